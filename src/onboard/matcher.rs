//! Looks each read up in the hotlists; the one place where a [`Hit`] is made.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::frame::CameraId;
use super::vision::candidate::{Confidence, Crop};
use crate::clock::FrameTime;
use crate::gps::Position;
use crate::hotlist::{Entry, ListStamp};
use crate::plate::{Jurisdiction, Plate};

/// How the read met the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// One of the vote's less likely texts is the entry's; to be shown as approximate.
    LookAlike,
    /// The read's own text, folded, is the entry's.
    Exact,
}

/// One way in which a read met a list.
#[derive(Debug, Clone)]
pub struct Match {
    /// The list's line.
    pub entry: Arc<Entry>,
    /// The list it came from, and its age.
    pub list: ListStamp,
    /// Exact or approximate.
    pub kind: MatchKind,
    /// Places (from 0) at which the read's text and the entry's differ for the eye, letters that
    /// lists cannot keep apart included: O against 0 does not stop a match and is worth a look.
    pub differing: Vec<u8>,
}

/// A read that is on a list: all that may be told, kept and sent.
///
/// Fields are private and there is no constructor outside this file.
#[derive(Debug, Clone)]
pub struct Hit {
    id: Ulid,
    plate: Plate,
    jurisdiction: Jurisdiction,
    weakest: Confidence,
    best: Match,
    others: Vec<Match>,
    camera: CameraId,
    seen: FrameTime,
    frames: u32,
    position: Position,
    crop: Crop,
    models: Arc<ModelStamp>,
}

/// The models that made a read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The jurisdiction as read; unknown until a model reads it, and then the alert says
    /// `jurisdiction not read: compare`.
    pub fn jurisdiction(&self) -> Jurisdiction {
        self.jurisdiction
    }
    /// The least certain character's probability.
    pub fn weakest(&self) -> Confidence {
        self.weakest
    }
    /// Exact or approximate.
    pub fn match_kind(&self) -> MatchKind {
        self.best.kind
    }
    /// Places (from 0) at which the read's text and the entry's differ for the eye.
    pub fn differing(&self) -> &[u8] {
        &self.best.differing
    }
    /// The list's line.
    pub fn entry(&self) -> &Entry {
        &self.best.entry
    }
    /// The list it came from, and its age.
    pub fn list(&self) -> &ListStamp {
        &self.best.list
    }
    /// Further entries that the same read met: other jurisdictions, other lists, less likely
    /// texts. One vehicle is one alert.
    pub fn others(&self) -> &[Match] {
        &self.others
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

/// Hits for the tests of what comes after the fence.
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::too_many_arguments, reason = "one argument per field, in tests")]
pub fn hit_for_tests(
    id: Ulid,
    plate: Plate,
    entry: Entry,
    list: ListStamp,
    kind: MatchKind,
    camera: CameraId,
    seen: FrameTime,
    position: Position,
    crop: Crop,
) -> Hit {
    let differing = differing(&plate, &entry.plate);
    Hit {
        id,
        plate,
        jurisdiction: Jurisdiction::UNKNOWN,
        weakest: Confidence::new(0.97),
        best: Match { entry: Arc::new(entry), list, kind, differing },
        others: Vec::new(),
        camera,
        seen,
        frames: 7,
        position,
        crop,
        models: Arc::new(ModelStamp { detector: "d".repeat(64), ocr: "0".repeat(64) }),
    }
}

/// Places at which two texts differ. Of texts of different length, all places past the shorter.
fn differing(read: &Plate, listed: &Plate) -> Vec<u8> {
    let (a, b) = (read.expose().as_bytes(), listed.expose().as_bytes());
    (0..a.len().max(b.len()))
        .filter(|i| a.get(*i) != b.get(*i))
        .map(|i| u8::try_from(i).expect("a plate has at most 12 characters"))
        .collect()
}
