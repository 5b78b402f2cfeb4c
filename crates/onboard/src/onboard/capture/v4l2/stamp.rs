//! When a buffer was filled, on our clocks: drivers stamp with the awake clock, or not at all.

use std::time::Duration;

use tracing::warn;

use super::abi::{Buffer, buf};
use crate::camera_id::CameraId;
use crate::clock::{Awake, Clock, FrameTime, Sleeps};

/// How far in the future a stamp may lie: vivid's are ahead by up to one frame period.
const FUTURE: Duration = Duration::from_secs(1);

/// Turns one camera's stamps into times.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    warned: bool,
    sleeps: Sleeps,
    /// Until when on the awake clock stamps may be from before the machine slept.
    doubtful: Option<Awake>,
}

impl Stamps {
    /// The time of a buffer on both clocks; none if it may be from before the machine slept: what
    /// the driver had ready then was seen hours ago, at another place.
    pub(super) fn at(
        &mut self,
        buffer: &Buffer,
        clock: &dyn Clock,
        camera: &CameraId,
    ) -> Option<FrameTime> {
        let awake = clock.awake();
        if self.sleeps.since_last(clock).is_some() {
            self.doubtful = Some(awake);
        }
        match stamp(buffer).filter(|stamp| *stamp <= awake + FUTURE) {
            Some(stamp) if self.doubtful.is_some_and(|until| stamp <= until) => None,
            Some(stamp) => Some(clock.at(stamp)),
            None => {
                if !self.warned {
                    self.warned = true;
                    warn!(%camera, "driver stamps no time, taking that of arrival");
                }
                Some(clock.now())
            }
        }
    }
}

/// When a buffer was filled on the awake clock, if the driver stamps with that clock.
fn stamp(buffer: &Buffer) -> Option<Awake> {
    let by_awake_clock = buffer.flags & buf::TIMESTAMP_MASK == buf::TIMESTAMP_MONOTONIC;
    let seconds = u64::try_from(buffer.seconds).ok()?;
    let micros = u32::try_from(buffer.microseconds).ok().filter(|m| *m < 1_000_000)?;
    let stamp = Duration::new(seconds, micros * 1_000);
    (by_awake_clock && !stamp.is_zero()).then_some(Awake::after_boot(stamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    fn buffer(flags: u32, seconds: i64, microseconds: i64) -> Buffer {
        Buffer { flags, seconds, microseconds, ..Default::default() }
    }

    #[test]
    fn only_stamps_of_the_awake_clock_are_believed() {
        let by_awake_clock = buf::TIMESTAMP_MONOTONIC;
        let stamped = |flags, seconds, micros| stamp(&buffer(flags, seconds, micros));
        assert_eq!(
            stamped(by_awake_clock, 12, 345_678),
            Some(Awake::after_boot(Duration::new(12, 345_678_000)))
        );
        // v4l2loopback copies what its feeder wrote; old drivers leave zeros.
        assert_eq!(stamped(0x4000, 12, 0), None);
        assert_eq!(stamped(by_awake_clock, 0, 0), None);
        assert_eq!(stamped(by_awake_clock, -1, 0), None);
        assert_eq!(stamped(by_awake_clock, 12, 1_000_000), None);
    }

    #[test]
    fn buffers_that_were_full_before_a_sleep_are_no_frames_of_now() {
        let clock = SimulatedClock::starting_at("2026-11-23T19:00:00Z".parse().unwrap());
        let mut stamps = Stamps::default();
        let mut at = |clock: &SimulatedClock, seconds, micros| {
            let buffer = buffer(buf::TIMESTAMP_MONOTONIC, seconds, micros);
            let at = stamps.at(&buffer, clock, &CameraId::new("front"));
            at.map(|at| (at.wall.to_string(), at.monotonic))
        };
        clock.advance(Duration::from_secs(100));
        let evening = Some(("2026-11-23T19:01:40Z".into(), Duration::from_secs(100)));
        assert_eq!(at(&clock, 100, 0), evening);
        // Four buffers were full when the lid was shut; the first is dequeued in the morning.
        clock.sleep(Duration::from_secs(12 * 3_600));
        clock.advance(Duration::from_millis(300));
        for n in 1..=4 {
            assert_eq!(at(&clock, 100, n * 33_000), None);
        }
        clock.advance(Duration::from_millis(700));
        let morning = Some(("2026-11-24T07:01:41Z".into(), Duration::from_secs(12 * 3_600 + 101)));
        assert_eq!(at(&clock, 101, 0), morning);
    }
}
