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
//! A read that matched nothing cannot get out: `read` is private, and [`Hit`] has private fields
//! and is made only in `matcher.rs`. What is public compiles:
//!
//! ```
//! use outrider_onboard::onboard::{Hit, score::Truth};
//! use outrider_base::plate::Plate;
//! fn length(hit: &Hit) -> usize {
//!     hit.plate().expose().len()
//! }
//! let plate = Plate::parse("CKSV 841").unwrap();
//! assert_eq!(format!("{plate:?} {:?}", Truth::default().score().reads), "Plate(redacted) 0");
//! ```
//!
//! The following attempts to get around it do not compile. Naming a read:
//!
//! ```compile_fail,E0603
//! use outrider_onboard::onboard::read::PlateRead;
//! ```
//!
//! Building a hit from nothing, so that it may be sent:
//!
//! ```compile_fail,E0451
//! use outrider_onboard::onboard::Hit;
//! fn forge(hit: Hit, plate: outrider_base::plate::Plate) -> Hit {
//!     Hit { plate, ..hit }
//! }
//! ```
//!
//! Making hits with the matcher itself, or intercepting reads at the ring or the score:
//!
//! ```compile_fail,E0603
//! use outrider_onboard::onboard::matcher::Matcher;
//! ```
//!
//! ```compile_fail,E0624
//! fn listen(ring: &outrider_onboard::onboard::store::Ring) {
//!     let _ = outrider_onboard::onboard::store::Ring::offer;
//! }
//! ```
//!
//! ```compile_fail,E0624
//! let _ = outrider_onboard::onboard::score::Truth::judge;
//! ```
//!
//! Printing or sending a plate without calling `expose`:
//!
//! ```compile_fail,E0277
//! let plate = outrider_base::plate::Plate::parse("CKSV 841").unwrap();
//! println!("{plate}");
//! ```
//!
//! ```compile_fail,E0277
//! let plate = outrider_base::plate::Plate::parse("CKSV 841").unwrap();
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
pub mod fit;
pub mod frame;
mod frame_read;
pub mod glance;
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
pub use matcher::{Hit, Match, MatchKind, ModelStamp};
#[cfg(any(test, feature = "testing"))]
pub use matcher::{hit_for_tests, of_jurisdiction_for_tests};
pub use pipeline::{Onboard, StillRunning, spawn};
pub use reading::FrameReader;
pub use vision::JurisdictionRead;

/// One camera and the models that read its frames.
pub struct CameraParts {
    /// Its name.
    pub id: CameraId,
    /// Opens it, at the start and after every interruption.
    pub open: Opener,
    /// Reads its frames: `vision::Reader`, or a script in tests.
    pub reader: Box<dyn FrameReader>,
}

/// The parts of the pipeline.
pub struct Parts {
    /// The cameras; each gets two threads of its own.
    pub cameras: Vec<CameraParts>,
    /// The lists in service.
    pub hotlists: Arc<Hotlists>,
    /// The receiver's fixes, from which positions are taken.
    pub fixes: Fixes,
    /// The ring for reads that match nothing, as the configuration allows.
    pub ring: store::Ring,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The counters.
    pub health: Arc<Health>,
    /// The settings.
    pub reading: ReadingConfig,
    /// Where somebody may look at what a camera sees.
    pub glances: glance::Glances,
    /// What a drive really showed, where that is known, for scoring; it does not affect hits.
    pub truth: Option<score::Truth>,
}
