//! Sees every plate that passes; hands out only [`Hit`]s and plate-free counters.
//!
//! ```text
//! camera ─ Frame ─> detector ─ Detection ─> OCR ─ Candidate ─> tracker ─ Track ─> vote ─ PlateRead ─> matcher ─┬─ Hit
//!          newest wins        plate corners      per-slot                                 + Position           └─ ring, or nothing
//!          skips counted      rectified crop     probabilities                            at frame time
//! ```
//!
//! # The fence
//!
//! A read that matched nothing has no way out: `read` is private, [`Hit`] has private fields and is
//! built in `matcher.rs` alone. What is public compiles:
//!
//! ```
//! use outrider::onboard::{Hit, score::Truth};
//! use outrider::plate::Plate;
//! fn told(hit: &Hit) -> usize {
//!     hit.plate().expose().len()
//! }
//! let plate = Plate::parse("CKSV 841").unwrap();
//! assert_eq!(format!("{plate:?} {:?}", Truth::default().score().reads), "Plate(redacted) 0");
//! ```
//!
//! These are climbs over it, and none compiles. Naming a read:
//!
//! ```compile_fail,E0603
//! use outrider::onboard::read::PlateRead;
//! ```
//!
//! Building a hit from nothing, so that it may be sent:
//!
//! ```compile_fail,E0451
//! use outrider::onboard::Hit;
//! fn forge(hit: Hit, plate: outrider::plate::Plate) -> Hit {
//!     Hit { plate, ..hit }
//! }
//! ```
//!
//! Making hits with the matcher itself, or reading along with the ring or the score:
//!
//! ```compile_fail,E0603
//! use outrider::onboard::matcher::Matcher;
//! ```
//!
//! ```compile_fail,E0624
//! fn listen(ring: &outrider::onboard::store::Ring) {
//!     let _ = outrider::onboard::store::Ring::offer;
//! }
//! ```
//!
//! ```compile_fail,E0624
//! let _ = outrider::onboard::score::Truth::judge;
//! ```
//!
//! Printing or sending a plate without saying so:
//!
//! ```compile_fail,E0277
//! let plate = outrider::plate::Plate::parse("CKSV 841").unwrap();
//! println!("{plate}");
//! ```
//!
//! ```compile_fail,E0277
//! let plate = outrider::plate::Plate::parse("CKSV 841").unwrap();
//! serde_json::to_string(&plate).unwrap();
//! ```

use std::sync::Arc;

pub use self::capture::Opener;
use self::frame::CameraId;
use crate::clock::Clock;
use crate::config::ReadingConfig;
use crate::gps::Fixes;
use crate::health::Health;
use crate::hotlist::Hotlists;

pub mod capture;
pub mod frame;
mod frame_read;
mod look_alike;
mod matcher;
mod pipeline;
mod read;
mod reading;
pub mod score;
#[cfg(any(test, feature = "testing"))]
mod script;
pub mod store;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod track;
pub mod vision;
mod vote;

pub use frame_read::FrameRead;
#[cfg(any(test, feature = "testing"))]
pub use matcher::hit_for_tests;
pub use matcher::{Hit, Match, MatchKind, ModelStamp};
pub use pipeline::{Onboard, StillRunning, spawn};
pub use reading::Look;

/// One camera and the models that look at its frames.
pub struct CameraParts {
    /// Its name.
    pub id: CameraId,
    /// How to open it, at the start and after every interruption.
    pub open: Opener,
    /// What looks at its frames: `vision::Reader`, or a script in tests.
    pub reader: Box<dyn Look>,
}

/// What the pipeline is made of.
pub struct Parts {
    /// The cameras; each gets two threads of its own.
    pub cameras: Vec<CameraParts>,
    /// The lists in service.
    pub hotlists: Arc<Hotlists>,
    /// Where the car is.
    pub fixes: Fixes,
    /// Where reads that match nothing go, for as long as the configuration says.
    pub ring: store::Ring,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where everything is counted.
    pub health: Arc<Health>,
    /// The settings.
    pub reading: ReadingConfig,
    /// What a drive really showed, where that is known: scored, never told.
    pub truth: Option<score::Truth>,
}
