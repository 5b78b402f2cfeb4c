//! One vehicle pass after voting. It is private to `onboard`: nobody outside can name `PlateRead`,
//! so nobody outside can keep, print or send one.

use std::sync::Arc;
use std::time::Duration;

use ulid::Ulid;

use super::frame::CameraId;
use super::frame_read::FrameRead;
use super::matcher::ModelStamp;
use super::vision::JurisdictionRead;
use super::vision::candidate::{Confidence, Crop, Slots};
use crate::clock::FrameTime;
use crate::gps::Position;
use crate::plate::Plate;

/// The result of the vote for one vehicle pass. It neither prints nor serialises.
#[derive(Clone)]
pub(crate) struct PlateRead {
    /// Identifies the read in logs and stores.
    pub(crate) id: Ulid,
    /// The likeliest text.
    pub(crate) plate: Plate,
    /// Who issued it, with a probability; `None` if unknown, which is stated and never guessed.
    pub(crate) jurisdiction: Option<JurisdictionRead>,
    /// Voted distributions, one per character of `plate`.
    pub(crate) slots: Slots,
    /// The least certain character's probability after the vote.
    pub(crate) weakest: Confidence,
    /// The camera.
    pub(crate) camera: CameraId,
    /// The best frame's own time.
    pub(crate) seen: FrameTime,
    /// Boot-clock time of the frame that made the vote sure.
    pub(crate) decided: Duration,
    /// Number of frames that voted.
    pub(crate) frames: u32,
    /// The readings of the latest single frames: they leave with a hit and in no other way.
    pub(crate) frame_reads: Vec<FrameRead>,
    /// The car's position at that time.
    pub(crate) position: Position,
    /// The plate's pixels in the best frame.
    pub(crate) crop: Crop,
    /// The vehicle in the frame that made the vote sure, its own plate the only one to be read on it. Goes with a hit
    /// and with nothing else: the ring never gets it.
    pub(crate) context: Option<Crop>,
    /// The models that made it.
    pub(crate) models: Arc<ModelStamp>,
}
