//! How a hit reaches the officer: a tone through ALSA and a page on a local console.

mod sound;
mod speaker;
pub mod tone;

pub use sound::{Annunciator, Recorder, Sounder, Sounding};
pub use speaker::{SoundError, Speaker};
