//! How a hit reaches the officer: a tone through ALSA and a page on a local console.
//!
//! In: each [`Hit`](crate::onboard::Hit), before anything is written to disk. Out: sound within
//! milliseconds, and a card on every open page. Neither can hold up reading: the tone has its own
//! thread and a short queue, pages have a stream that is cut when they fall behind.

pub mod card;
#[expect(clippy::disallowed_types, reason = "listens for the officer's browser")]
pub mod console;
mod desk;
pub mod shift;
mod sound;
mod speaker;
pub mod speech;
pub mod tone;
pub mod training;

pub use desk::Desk;
pub use sound::{Annunciator, Recorder, Sounder, Sounding};
pub use speaker::{SoundError, Speaker};
pub use speech::Speech;
