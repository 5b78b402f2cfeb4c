//! Whether systemd's watchdog is fed: only while frames move.
//!
//! In: a health snapshot each second. Out: feed, or starve and why. A camera whose frames nobody
//! looks at although it claims to work means that a thread hangs: starve, and systemd starts us
//! anew. A camera that is *known* to be away (unplugged, stalled, being opened again) is no reason:
//! a restart brings no cable back, and would blind the other cameras each time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::health::{PartState, Snapshot};
use crate::onboard::frame::CameraId;

/// Longest time without a frame looked at, from a camera that does not say it is away.
///
/// Capture gives a camera 4 s to its first frame and 1.5 s between frames before it says so
/// itself; twice the longer is past any honest delay.
const LIMIT: Duration = Duration::from_secs(8);

/// Judges snapshots.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    cameras: BTreeMap<CameraId, Moved>,
}

#[derive(Debug)]
struct Moved {
    looked: u64,
    at: Duration,
}

impl Heartbeat {
    /// Judges a snapshot taken at `now` on the boot clock: `Ok` feeds, `Err` says what hangs.
    pub(super) fn step(&mut self, now: Duration, snapshot: &Snapshot) -> Result<(), String> {
        for (part, state) in &snapshot.parts {
            let thread =
                part == "matcher" || part.starts_with("reading/") || part.starts_with("capture/");
            if let (true, PartState::Down(why)) = (thread, state) {
                return Err(format!("{part}: {why}"));
            }
        }
        let mut hung = Ok(());
        for (id, counts) in &snapshot.cameras {
            let moved =
                self.cameras.entry(id.clone()).or_insert(Moved { looked: counts.looked, at: now });
            let away = matches!(
                snapshot.parts.get(&format!("camera/{id}")),
                Some(PartState::Down(_) | PartState::Off)
            );
            if counts.looked != moved.looked || away {
                *moved = Moved { looked: counts.looked, at: now };
            }
            let quiet = now.saturating_sub(moved.at);
            if quiet > LIMIT {
                let quiet = quiet.as_secs();
                hung = Err(format!("camera/{id}: works, and no frame looked at for {quiet} s"));
            }
        }
        hung
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    /// Seconds, from 1, at which the watchdog is fed.
    fn fed(seconds: u64, mut each: impl FnMut(u64, &Health)) -> Vec<u64> {
        let health = Health::default();
        let mut heartbeat = Heartbeat::default();
        (1..=seconds)
            .filter(|second| {
                each(*second, &health);
                heartbeat.step(Duration::from_secs(*second), &health.snapshot()).is_ok()
            })
            .collect()
    }

    fn camera(health: &Health, name: &str, frames: u64, looked: u64, state: PartState) {
        let id = CameraId::new(name);
        health.camera(&id).frames.many(frames);
        health.camera(&id).looked.many(looked);
        health.set(&format!("camera/{name}"), state);
    }

    #[test]
    fn watchdog_is_not_fed_when_a_reading_thread_hangs() {
        // The camera goes on delivering; after 10 s nobody looks.
        let fed = fed(30, |second, health| {
            camera(health, "front", 30, if second <= 10 { 28 } else { 0 }, PartState::Working);
            camera(health, "left", 30, 30, PartState::Working);
        });
        assert_eq!(fed, (1..=18).collect::<Vec<_>>());
    }

    #[test]
    fn watchdog_is_not_fed_when_a_driver_hangs_in_the_capture_thread() {
        let fed = fed(30, |second, health| {
            let moving = if second <= 10 { 30 } else { 0 };
            camera(health, "front", moving, moving, PartState::Working);
        });
        assert_eq!(fed.last(), Some(&18));
    }

    #[test]
    fn unplugged_camera_does_not_restart_the_daemon() {
        let gone = || PartState::Down("camera /dev/video0 stopped".into());
        let fed = fed(3_600, |second, health| {
            let (frames, state) = if second <= 10 { (30, PartState::Working) } else { (0, gone()) };
            camera(health, "front", frames, frames, state);
        });
        assert_eq!(fed.len(), 3_600);
    }

    #[test]
    fn camera_that_comes_back_gets_its_time_again() {
        let fed = fed(120, |second, health| {
            let state = match second {
                ..=10 => PartState::Working,
                11..=100 => PartState::Down("camera /dev/video0 stopped".into()),
                _ => PartState::Starting,
            };
            let frames = if second <= 10 || second > 105 { 30 } else { 0 };
            camera(health, "front", frames, frames, state);
        });
        assert_eq!(fed.len(), 120);
    }

    #[test]
    fn thread_that_ended_by_a_fault_is_no_unplugged_camera() {
        let fed = fed(20, |second, health| {
            camera(health, "front", 30, 30, PartState::Working);
            if second == 5 {
                health.set("matcher", PartState::Down("a fault inside stopped it".into()));
            }
        });
        assert_eq!(fed, [1, 2, 3, 4]);
    }
}
