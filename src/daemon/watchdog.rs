//! Decides whether systemd's watchdog is fed: only while both threads of every camera go on.
//!
//! In: a health snapshot each second. Out: to feed it, or not to and why. A thread whose counter no longer
//! rises hangs; the watchdog is then not fed, and systemd starts the daemon anew. A camera that is *known* to be away
//! (unplugged, stalled, being opened again), or whose frames cannot be read, is no reason: a restart
//! mends no cable, and would blind the other cameras each time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::camera_id::CameraId;
use crate::clock::Awake;
use crate::health::{PartState, Snapshot};

/// Longest round of a thread whose camera does not say that it is away.
///
/// The capture thread goes round every 100 ms, the reading thread every 250 ms or with a frame,
/// which takes a second on the slowest computer; opening a camera takes up to four.
const LIMIT: Duration = Duration::from_secs(8);

/// Judges snapshots.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    threads: BTreeMap<(CameraId, &'static str), Moved>,
}

#[derive(Debug)]
struct Moved {
    beats: u64,
    at: Awake,
}

impl Heartbeat {
    /// Judges a snapshot taken at `now`: `Ok` feeds, `Err` says what hangs. A machine that sleeps
    /// hangs nothing.
    pub(super) fn step(&mut self, now: Awake, snapshot: &Snapshot) -> Result<(), String> {
        for (part, state) in &snapshot.parts {
            let thread =
                part == "matcher" || part.starts_with("reading/") || part.starts_with("capture/");
            if let (true, PartState::Down(why)) = (thread, state) {
                return Err(format!("{part}: {why}"));
            }
        }
        let mut hung = Ok(());
        for (id, counts) in &snapshot.cameras {
            let away = matches!(
                snapshot.parts.get(&format!("camera/{id}")),
                Some(PartState::Down(_) | PartState::Off)
            );
            let threads = [("capture", counts.capture_beats), ("reading", counts.reading_beats)];
            for (thread, beats) in threads {
                let moved =
                    self.threads.entry((id.clone(), thread)).or_insert(Moved { beats, at: now });
                // The driver of a camera that is away may take its time; nobody else may.
                if beats != moved.beats || (away && thread == "capture") {
                    *moved = Moved { beats, at: now };
                }
                let quiet = now.since(moved.at);
                if quiet > LIMIT {
                    let quiet = quiet.as_secs();
                    hung = Err(format!("{thread}/{id}: has gone no further for {quiet} s"));
                }
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
                let now = Awake::after_boot(Duration::from_secs(*second));
                heartbeat.step(now, &health.snapshot()).is_ok()
            })
            .collect()
    }

    /// One second of a camera: rounds of its two threads, and what it says of itself.
    fn camera(health: &Health, name: &str, capture: u64, reading: u64, state: PartState) {
        let counts = health.camera(&CameraId::new(name));
        counts.capture_beats.many(capture);
        counts.reading_beats.many(reading);
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
            camera(health, "front", if second <= 10 { 30 } else { 0 }, 4, PartState::Working);
        });
        assert_eq!(fed.last(), Some(&18));
    }

    #[test]
    fn reading_thread_that_hangs_on_a_bad_frame_is_noticed_though_its_camera_is_down() {
        let blind = || PartState::Down("frames come and none can be read".into());
        let fed = fed(30, |second, health| {
            camera(health, "front", 30, if second <= 10 { 30 } else { 0 }, blind());
        });
        assert_eq!(fed.last(), Some(&18));
    }

    #[test]
    fn unplugged_camera_does_not_restart_the_daemon() {
        let gone = || PartState::Down("camera /dev/video0 stopped".into());
        let fed = fed(3_600, |second, health| {
            let (rounds, state) = if second <= 10 { (30, PartState::Working) } else { (0, gone()) };
            camera(health, "front", rounds, 4, state);
        });
        assert_eq!(fed.len(), 3_600);
    }

    #[test]
    fn camera_whose_frames_cannot_be_read_does_not_restart_the_daemon() {
        // Frames come, the threads go round, nothing is ever looked at.
        let fed = fed(3_600, |_, health| {
            camera(health, "front", 30, 30, PartState::Working);
            let front = health.camera(&CameraId::new("front"));
            front.frames_bad.many(30);
            front.set_unreadable(Some("damaged JPEG".into()));
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
            let rounds = if second <= 10 || second > 105 { 30 } else { 0 };
            camera(health, "front", rounds, 4, state);
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
