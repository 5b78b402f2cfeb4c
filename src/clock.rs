//! Time, real or simulated.
//!
//! Two clocks matter. The *boot clock* (`CLOCK_MONOTONIC`, the one the kernel stamps camera
//! buffers with) never jumps and orders everything; the *wall clock* is what people read and may
//! be set back. A [`FrameTime`] carries both, taken at the same instant.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FrameTime {
    /// Time since boot, as `CLOCK_MONOTONIC` counts it.
    pub monotonic: Duration,
    /// The same instant on the wall clock, as it was disciplined then.
    pub wall: Timestamp,
}

/// Tells the time. Stages take a clock rather than ask the system, so that drives replay exactly.
pub trait Clock: Send + Sync + 'static {
    /// Now, on both clocks.
    fn now(&self) -> FrameTime;

    /// Maps an instant of the boot clock (a kernel capture stamp) to both clocks.
    ///
    /// Stamps may lie up to a frame period in the future (measured with the kernel's vivid
    /// driver), so the difference is signed.
    fn at(&self, monotonic: Duration) -> FrameTime {
        let now = self.now();
        let wall = if monotonic >= now.monotonic {
            now.wall + (monotonic - now.monotonic)
        } else {
            now.wall - (now.monotonic - monotonic)
        };
        FrameTime { monotonic, wall }
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> FrameTime {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let monotonic = Duration::new(
            u64::try_from(t.tv_sec).expect("the boot clock starts at zero"),
            u32::try_from(t.tv_nsec).expect("nanoseconds of a second fit in 32 bits"),
        );
        FrameTime { monotonic, wall: Timestamp::now() }
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct SimulatedClock(Mutex<FrameTime>);

impl SimulatedClock {
    /// Starts at boot-clock zero, which is `wall` on the wall clock.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self(Mutex::new(FrameTime { monotonic: Duration::ZERO, wall }))
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("no holder of the simulated clock panics");
        now.monotonic += by;
        now.wall += by;
    }

    /// Moves both clocks forward to an instant of the boot clock; one that has passed is let be.
    pub fn advance_to(&self, monotonic: Duration) {
        let mut now = self.0.lock().expect("no holder of the simulated clock panics");
        let by = monotonic.saturating_sub(now.monotonic);
        now.monotonic += by;
        now.wall += by;
    }

    /// Sets the wall clock, forward or back, and leaves the boot clock alone.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().expect("no holder of the simulated clock panics").wall = wall;
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> FrameTime {
        *self.0.lock().expect("no holder of the simulated clock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_of_the_near_future_maps_forward() {
        let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
        clock.advance(Duration::from_secs(10));
        let at = clock.at(Duration::from_millis(10_033));
        assert_eq!(at.wall.to_string(), "2026-11-23T07:00:10.033Z");
        let before = clock.at(Duration::from_millis(9_500));
        assert_eq!(before.wall.to_string(), "2026-11-23T07:00:09.5Z");
    }

    #[test]
    fn wall_clock_set_back_leaves_the_boot_clock_alone() {
        let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
        clock.advance(Duration::from_secs(5));
        clock.set_wall("2020-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(clock.now().monotonic, Duration::from_secs(5));
    }
}
