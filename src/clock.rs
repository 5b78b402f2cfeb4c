//! Time, real or simulated.
//!
//! Two clocks matter. The *boot clock* (`CLOCK_MONOTONIC`, the one the kernel stamps camera
//! buffers with) never jumps and orders everything; the *wall clock* is what people read and may
//! be set back. A [`FrameTime`] carries both, taken at the same instant.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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

    /// What vouches for the wall clock just now.
    fn source(&self) -> TimeSource {
        TimeSource::Unverified
    }

    /// Which boot the boot clock counts from.
    fn boot(&self) -> BootId {
        BootId::of_machine()
    }
}

/// What vouches for the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// A fix's own time agrees with it.
    Gps,
    /// It was set from the network since the boot.
    Ntp,
    /// It was set at boot from a clock with a battery.
    Rtc,
    /// Nothing does: it may stand where it was saved at the last shutdown.
    Unverified,
}

impl TimeSource {
    /// As written in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gps => "gps",
            Self::Ntp => "ntp",
            Self::Rtc => "rtc",
            Self::Unverified => "unverified",
        }
    }

    /// What the machine itself says: its time service, else a clock with a battery that the kernel
    /// read at boot. (`adjtimex` would say it too, and the service's sandbox forbids it.)
    fn of_machine(root: &Path) -> Self {
        if root.join("run/systemd/timesync/synchronized").exists() {
            return Self::Ntp;
        }
        let hctosys = root.join("sys/class/rtc/rtc0/hctosys");
        match std::fs::read_to_string(hctosys).is_ok_and(|text| text.trim() == "1") {
            true => Self::Rtc,
            false => Self::Unverified,
        }
    }
}

/// Tells one boot of the machine from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootId([u8; 16]);

impl BootId {
    /// This boot. A machine that does not tell gets a random one: each start of ours then counts
    /// as another boot, which forgets sooner, never later.
    pub fn of_machine() -> Self {
        static THIS: std::sync::OnceLock<BootId> = std::sync::OnceLock::new();
        *THIS.get_or_init(Self::ask)
    }

    fn ask() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let mut id = [0; 16];
        let told =
            data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).is_ok_and(|bytes| {
                bytes.len() == 16 && {
                    id.copy_from_slice(&bytes);
                    true
                }
            });
        if !told {
            // All zeroes would be equal to another boot's: leave the chance to the kernel.
            let _ = getrandom::fill(&mut id);
        }
        Self(id)
    }

    /// A boot by its sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
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

    fn source(&self) -> TimeSource {
        TimeSource::of_machine(Path::new("/"))
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct SimulatedClock {
    now: Mutex<FrameTime>,
    source: Mutex<TimeSource>,
    boot: Mutex<BootId>,
}

impl SimulatedClock {
    /// Starts at boot-clock zero, which is `wall` on the wall clock; the network vouches for it.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self {
            now: Mutex::new(FrameTime { monotonic: Duration::ZERO, wall }),
            source: Mutex::new(TimeSource::Ntp),
            boot: Mutex::new(BootId::from_bytes([1; 16])),
        }
    }

    /// What vouches for the wall clock from now on.
    pub fn set_source(&self, source: TimeSource) {
        *self.source.lock().expect("no holder of the simulated clock panics") = source;
    }

    /// Switches the machine off and on: the boot clock starts anew, the wall clock stands at `wall`.
    pub fn reboot(&self, wall: Timestamp) {
        let mut boot = self.boot.lock().expect("no holder of the simulated clock panics");
        let next = u128::from_le_bytes(boot.to_bytes()).wrapping_add(1);
        *boot = BootId::from_bytes(next.to_le_bytes());
        *self.lock() = FrameTime { monotonic: Duration::ZERO, wall };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FrameTime> {
        self.now.lock().expect("no holder of the simulated clock panics")
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.monotonic += by;
        now.wall += by;
    }

    /// Moves both clocks forward to an instant of the boot clock; one that has passed is let be.
    pub fn advance_to(&self, monotonic: Duration) {
        let mut now = self.lock();
        let by = monotonic.saturating_sub(now.monotonic);
        now.monotonic += by;
        now.wall += by;
    }

    /// Sets the wall clock, forward or back, and leaves the boot clock alone.
    pub fn set_wall(&self, wall: Timestamp) {
        self.lock().wall = wall;
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> FrameTime {
        *self.lock()
    }

    fn source(&self) -> TimeSource {
        *self.source.lock().expect("no holder of the simulated clock panics")
    }

    fn boot(&self) -> BootId {
        *self.boot.lock().expect("no holder of the simulated clock panics")
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
    fn machine_says_what_vouches_for_its_clock() {
        let root = tempfile::tempdir().unwrap();
        let of = || TimeSource::of_machine(root.path());
        assert_eq!(of(), TimeSource::Unverified);
        let rtc = root.path().join("sys/class/rtc/rtc0");
        std::fs::create_dir_all(&rtc).unwrap();
        std::fs::write(rtc.join("hctosys"), "0\n").unwrap();
        assert_eq!(of(), TimeSource::Unverified, "a clock that nobody read at boot");
        std::fs::write(rtc.join("hctosys"), "1\n").unwrap();
        assert_eq!(of(), TimeSource::Rtc);
        let sync = root.path().join("run/systemd/timesync");
        std::fs::create_dir_all(&sync).unwrap();
        std::fs::write(sync.join("synchronized"), "").unwrap();
        assert_eq!(of(), TimeSource::Ntp);
    }

    #[test]
    fn boots_differ() {
        assert_eq!(BootId::of_machine(), BootId::of_machine());
        let clock = SimulatedClock::starting_at(Timestamp::UNIX_EPOCH);
        let before = clock.boot();
        clock.reboot(Timestamp::UNIX_EPOCH);
        assert_ne!(clock.boot(), before);
    }

    #[test]
    fn wall_clock_set_back_leaves_the_boot_clock_alone() {
        let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
        clock.advance(Duration::from_secs(5));
        clock.set_wall("2020-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(clock.now().monotonic, Duration::from_secs(5));
    }
}
