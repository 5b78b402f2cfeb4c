//! Scores how well a drive was read, where the truth is known: for a rendered drive, or a test. The
//! truth goes in and only counters come out, so that scoring opens no gap in the fence.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frame::CameraId;
use super::read::PlateRead;
use crate::plate::{Plate, PlateKey};

/// How far outside a pass's visible time its read may be stamped. Renderers and cameras round to a
/// frame; 15 frames a second is the slowest useful rate.
const SLACK: Duration = Duration::from_millis(70);

/// One vehicle going by in front of one camera.
#[derive(Debug, Clone)]
pub struct TruePass {
    /// The text of its plate.
    pub plate: Plate,
    /// The camera that saw it.
    pub camera: CameraId,
    /// Boot-clock time from which on the plate is in the picture.
    pub first: Duration,
    /// Boot-clock time at which it was last in the picture.
    pub last: Duration,
    /// Whether it could be read: wide enough, for long enough, and gone before the end. Others are
    /// not counted as passes, and reading them is no misread.
    pub legible: bool,
}

/// A drive's ground truth. A cheap handle: clones share it.
#[derive(Clone, Default)]
pub struct Truth(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    passes: Vec<Pass>,
    score: Score,
}

struct Pass {
    key: PlateKey,
    camera: CameraId,
    first: Duration,
    last: Duration,
    legible: bool,
    read: bool,
}

/// Counters of a drive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Passes that were expected.
    pub passes: u64,
    /// Reads made.
    pub reads: u64,
    /// Passes that were read correctly; letters that lists cannot keep apart count as one.
    pub correct: u64,
    /// Reads of a text that no visible plate carried.
    pub misread: u64,
    /// Correct reads of a pass that had been read correctly before.
    pub repeated: u64,
    /// Correct reads of plates that are not counted as passes: too small, too brief, or still in
    /// view.
    pub beyond: u64,
}

impl Truth {
    /// Announces a pass, before its first frame is read.
    pub fn expect(&self, pass: &TruePass) {
        let mut state = self.0.lock().expect("no holder panics");
        state.score.passes += u64::from(pass.legible);
        state.passes.push(Pass {
            key: pass.plate.key(),
            camera: pass.camera.clone(),
            first: pass.first,
            last: pass.last,
            legible: pass.legible,
            read: false,
        });
    }

    /// The counters so far.
    pub fn score(&self) -> Score {
        self.0.lock().expect("no holder panics").score
    }

    /// Scores a read.
    pub(in crate::onboard) fn judge(&self, read: &PlateRead) {
        let seen = read.seen.monotonic;
        let key = read.plate.key();
        let mut state = self.0.lock().expect("no holder panics");
        let State { passes, score } = &mut *state;
        score.reads += 1;
        let mut visible = passes.iter_mut().filter(|pass| {
            pass.camera == read.camera
                && pass.key == key
                && pass.first <= seen + SLACK
                && seen <= pass.last + SLACK
        });
        // Of two simultaneous passes of one plate, the one that was not read yet is chosen.
        let mut found = None;
        for pass in visible.by_ref() {
            let unread = !pass.read;
            found = Some(pass);
            if unread {
                break;
            }
        }
        match found {
            Some(pass) if pass.read => score.repeated += 1,
            Some(pass) => {
                pass.read = true;
                score.correct += u64::from(pass.legible);
                score.beyond += u64::from(!pass.legible);
            }
            None => score.misread += 1,
        }
    }
}

impl std::fmt::Debug for Truth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Truth({:?})", self.score())
    }
}
