//! Looks each read up in the hotlists; the one place where a [`Hit`] is made.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::frame::CameraId;
use super::vision::candidate::{Confidence, Crop};
use crate::clock::FrameTime;
use crate::gps::Position;
use crate::hotlist::Entry;
use crate::plate::Plate;

/// How the read met the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// The read's own text, folded, is the entry's.
    Exact,
    /// One of the vote's less likely texts is; to be shown as approximate.
    LookAlike,
}

/// A read that is on a list: all that may be told, kept and sent.
///
/// Fields are private and there is no constructor outside this file.
#[derive(Debug, Clone)]
pub struct Hit {
    id: Ulid,
    plate: Plate,
    weakest: Confidence,
    match_kind: MatchKind,
    entry: Arc<Entry>,
    list: ListStamp,
    camera: CameraId,
    seen: FrameTime,
    frames: u32,
    position: Position,
    crop: Crop,
    models: Arc<ModelStamp>,
}

/// Which list an entry came from, and how old its source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListStamp {
    /// Name of the list.
    pub name: Arc<str>,
    /// Version; a file's list has the file's digest here.
    pub version: Arc<str>,
    /// When the source last said so; the file's own date for lists read from a file.
    pub source_time: Timestamp,
}

/// The models that made a read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStamp {
    /// SHA-256 of the detector's file, hex.
    pub detector: String,
    /// SHA-256 of the OCR's file, hex.
    pub ocr: String,
}

impl Hit {
    /// Names the hit everywhere: alert, store, broker.
    pub fn id(&self) -> Ulid {
        self.id
    }
    /// The text as read.
    pub fn plate(&self) -> &Plate {
        &self.plate
    }
    /// The least certain character's probability.
    pub fn weakest(&self) -> Confidence {
        self.weakest
    }
    /// Exact or approximate.
    pub fn match_kind(&self) -> MatchKind {
        self.match_kind
    }
    /// The list's line.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
    /// The list it came from, and its age.
    pub fn list(&self) -> &ListStamp {
        &self.list
    }
    /// Which camera saw it.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }
    /// The best frame's time.
    pub fn seen(&self) -> FrameTime {
        self.seen
    }
    /// Frames that took part in the vote.
    pub fn frames(&self) -> u32 {
        self.frames
    }
    /// Where the car was.
    pub fn position(&self) -> &Position {
        &self.position
    }
    /// The plate's pixels in the best frame.
    pub fn crop(&self) -> &Crop {
        &self.crop
    }
    /// The models that made the read.
    pub fn models(&self) -> &ModelStamp {
        &self.models
    }
}
