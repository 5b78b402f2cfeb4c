//! The first minute of a new package: are the cameras read as fast as the trial promised?
//!
//! In: the counters of the cameras. Out: one verdict when the minute is over. Costs: a few comparisons. Leaves to
//! others: going back (`installed.rs`), and counting the starts that end before the minute is over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kept::Probation;
use crate::camera_id::CameraId;
use crate::clock::{Awake, Clock};
use crate::health::{CameraHealth, Health};

/// How long a new package is watched.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Share of the promised frames a second that must be read. The trial counts the time of one core, and in the minute
/// decoding, matching, the page and the other cameras share them.
const LEAST_SHARE: f64 = 0.7;

/// Fewest frames in the minute from which anything can be said: two a second, the slowest that a camera may be set to.
const FEWEST: u64 = 120;

/// How a minute went.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The package stays.
    Proven,
    /// It is slower than promised; the line says how much.
    Slow(String),
}

/// A minute that has begun.
pub(super) struct Watched {
    began: Awake,
    most_fps: BTreeMap<String, f64>,
    counts: BTreeMap<String, Counts>,
    /// Whether reading was slowed down on purpose.
    hot: bool,
}

/// Counters of one camera: frames that could be read, and frames that were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    good: u64,
    looked: u64,
}

impl Counts {
    fn of(health: &CameraHealth) -> Self {
        let good = health.frames.get().saturating_sub(health.frames_bad.get());
        Self { good, looked: health.looked.get() }
    }
}

impl Watched {
    /// Begins a minute.
    pub(super) fn begin(probation: &Probation, clock: &dyn Clock, health: &Health) -> Self {
        let most_fps = probation.most_fps.clone();
        let counts = most_fps.keys().map(|name| {
            let now = Counts::of(&health.camera(&CameraId::new(name.as_str())));
            (name.clone(), now)
        });
        let counts = counts.collect();
        Self { began: clock.awake(), counts, most_fps, hot: false }
    }

    /// The verdict, once the minute is over.
    pub(super) fn look(&mut self, clock: &dyn Clock, health: &Health) -> Option<Verdict> {
        for name in self.most_fps.keys() {
            self.hot |= !health.camera(&CameraId::new(name.as_str())).least_pause().is_zero();
        }
        let passed = clock.awake().since(self.began);
        if passed < MINUTE {
            return None;
        }
        if self.hot {
            return Some(Verdict::Proven);
        }
        let slow = self.most_fps.iter().find_map(|(name, most_fps)| {
            let before = self.counts.get(name).copied().unwrap_or_default();
            let now = Counts::of(&health.camera(&CameraId::new(name.as_str())));
            let went = Counts {
                good: now.good.saturating_sub(before.good),
                looked: now.looked.saturating_sub(before.looked),
            };
            too_slow(went, passed, *most_fps * shared(self.most_fps.len()))
                .map(|why| format!("camera {name}: {why}"))
        });
        Some(slow.map_or(Verdict::Proven, Verdict::Slow))
    }
}

/// The share of a core that each camera has.
fn shared(cameras: usize) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores as f64 / cameras.max(1) as f64).min(1.0)
}

fn too_slow(went: Counts, passed: Duration, most_fps: f64) -> Option<String> {
    if went.good < FEWEST {
        return None;
    }
    let seconds = passed.as_secs_f64();
    let (sent, read) = (went.good as f64 / seconds, went.looked as f64 / seconds);
    let due = sent.min(most_fps);
    (read < due * LEAST_SHARE).then(|| {
        format!("{read:.1} frames a second were read in the first minute, and the trial promised {due:.1}")
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::SimulatedClock;
    use crate::models::Kind;

    /// The verdict on a camera that sends and reads so many frames in a minute, promised `most_fps`.
    fn after(sent: u64, looked: u64, most_fps: f64, hot: bool) -> Option<Verdict> {
        let clock = SimulatedClock::starting_at(Timestamp::UNIX_EPOCH);
        let health = Health::default();
        let camera = health.camera(&CameraId::new("front"));
        camera.frames.many(7_000);
        let most_fps = BTreeMap::from([("front".to_owned(), most_fps)]);
        let probation = Probation { kind: Kind::Ocr, starts: 1, most_fps };
        let mut watched = Watched::begin(&probation, &clock, &health);
        clock.advance(Duration::from_secs(59));
        if hot {
            health.slow_down(Duration::from_millis(200));
        }
        assert_eq!(watched.look(&clock, &health), None, "the minute is not over");
        health.slow_down(Duration::ZERO);
        camera.frames.many(sent);
        camera.looked.many(looked);
        clock.advance(Duration::from_secs(1));
        watched.look(&clock, &health)
    }

    #[test]
    fn camera_that_is_read_more_slowly_than_promised_ends_the_probation() {
        let slow = after(1_800, 600, 25.0, false);
        let why = "camera front: 10.0 frames a second were read in the first minute, and the trial promised 25.0";
        assert_eq!(slow, Some(Verdict::Slow(why.into())));
        assert_eq!(after(1_800, 1_700, 25.0, false), Some(Verdict::Proven));
        assert_eq!(after(1_800, 1_100, 25.0, false), Some(Verdict::Proven), "within the share");
    }

    #[test]
    fn camera_that_sends_nothing_or_a_hot_machine_is_not_held_against_a_model() {
        assert_eq!(after(0, 0, 25.0, false), Some(Verdict::Proven));
        assert_eq!(after(100, 1, 25.0, false), Some(Verdict::Proven));
        assert_eq!(after(1_800, 300, 25.0, true), Some(Verdict::Proven));
        // A slow camera that is read whole is read as fast as can be.
        assert_eq!(after(300, 300, 100.0, false), Some(Verdict::Proven));
    }
}
