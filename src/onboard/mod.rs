//! Sees every plate that passes; hands out only [`Hit`]s and plate-free counters.
//!
//! ```text
//! camera ─ Frame ─> detector ─ Detection ─> OCR ─ Candidate ─> tracker ─ Track ─> vote ─ PlateRead ─> matcher ─┬─ Hit
//!          newest wins        plate corners      per-slot                                 + Position           └─ ring, or nothing
//!          skips counted      rectified crop     probabilities                            at frame time
//! ```
//!
//! A read that matched nothing has no way out: [`read`] is private, [`Hit`] has private fields and
//! is built in `matcher.rs` alone.

pub mod capture;
pub mod frame;
mod matcher;
mod read;
pub mod store;
mod track;
pub mod vision;
mod vote;

pub use matcher::{Hit, MatchKind};
