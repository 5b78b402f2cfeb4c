//! One vehicle pass after voting. Private to `onboard`: nobody outside can write the word
//! `PlateRead`, so nobody outside can keep, print or send one.

use std::sync::Arc;
use std::time::Duration;

use ulid::Ulid;

use super::frame::CameraId;
use super::frame_read::FrameRead;
use super::matcher::ModelStamp;
use super::vision::candidate::{Confidence, Crop, Slots};
use crate::clock::FrameTime;
use crate::gps::Position;
use crate::plate::{Jurisdiction, Plate};

/// What the vote made of one vehicle pass. Neither prints nor serialises.
#[derive(Clone)]
pub(crate) struct PlateRead {
    /// Names the read in logs and stores.
    pub(crate) id: Ulid,
    /// The likeliest text.
    pub(crate) plate: Plate,
    /// Who issued it, as far as read: unknown until a model reads it.
    pub(crate) jurisdiction: Jurisdiction,
    /// Voted distributions, one per character of `plate`.
    pub(crate) slots: Slots,
    /// The least certain character's probability after the vote.
    pub(crate) weakest: Confidence,
    /// Which camera saw it.
    pub(crate) camera: CameraId,
    /// The best frame's own time.
    pub(crate) seen: FrameTime,
    /// Boot-clock time of the frame that made the vote sure.
    pub(crate) decided: Duration,
    /// Frames that took part in the vote.
    pub(crate) frames: u32,
    /// What each of the latest frames said by itself: goes with a hit, and with nothing else.
    pub(crate) frame_reads: Vec<FrameRead>,
    /// Where the car was at that time.
    pub(crate) position: Position,
    /// The plate's pixels in the best frame.
    pub(crate) crop: Crop,
    /// The models that made it.
    pub(crate) models: Arc<ModelStamp>,
}
