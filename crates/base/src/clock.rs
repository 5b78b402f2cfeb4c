//! Time, real or simulated.
//!
//! There are three clocks. The *boot clock* (`CLOCK_BOOTTIME`) counts from the boot, sleep
//! included; it never goes back and orders everything. The *wall clock* is what people read; it may
//! be set back. A [`FrameTime`] carries both, taken at the same instant. The *awake clock*
//! (`CLOCK_MONOTONIC`, with which the kernel stamps camera buffers) stands still while the machine
//! sleeps. It measures how long our own code has been at work, and never how old anything is.
//! [`Awake`] is a type of its own, so that the two cannot be confused.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};

mod chrony;
mod standing;

pub use standing::{ClockReport, MOST_APART, Standing, WRITTEN, When};

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FrameTime {
    /// Time since boot, suspend and hibernation included, as `CLOCK_BOOTTIME` counts it.
    pub monotonic: Duration,
    /// The same instant on the wall clock, as it was set at that moment.
    pub wall: Timestamp,
}

/// An instant of the awake clock: the time since boot without the time that the machine slept, as
/// `CLOCK_MONOTONIC` counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Awake(Duration);

impl Awake {
    /// The instant at which the awake clock shows `time`.
    pub const fn after_boot(time: Duration) -> Self {
        Self(time)
    }

    /// The awake time since an earlier instant; zero if `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Awake {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// Tells the time. Stages take a clock and do not ask the system, so that drives replay exactly.
pub trait Clock: Send + Sync + 'static {
    /// The current instant on the boot clock and the wall clock.
    fn now(&self) -> FrameTime;

    /// The current instant on the awake clock. For a machine that never sleeps this is the boot
    /// clock.
    fn awake(&self) -> Awake {
        Awake(self.now().monotonic)
    }

    /// Maps an instant of the awake clock (a kernel capture stamp) to the boot clock and the wall
    /// clock. A stamp from before a sleep is mapped to just after it; [`Sleeps`] detects sleeps.
    ///
    /// Stamps may lie up to a frame period in the future (measured with the kernel's vivid
    /// driver), so the difference is signed.
    fn at(&self, stamp: Awake) -> FrameTime {
        let (now, awake) = (self.now(), self.awake());
        if stamp >= awake {
            let ahead = stamp.since(awake);
            FrameTime { monotonic: now.monotonic + ahead, wall: now.wall + ahead }
        } else {
            let ago = awake.since(stamp);
            FrameTime { monotonic: now.monotonic.saturating_sub(ago), wall: now.wall - ago }
        }
    }

    /// Who vouches for the wall clock at present.
    fn source(&self) -> TimeSource {
        TimeSource::Unverified
    }

    /// The best known time, and who vouches for it. It decides whether a signature, a list or an
    /// entry is in force.
    fn standing(&self) -> Standing {
        Standing::of_machine(self.now().wall, self.source())
    }

    /// Identifies the boot from which the boot clock counts.
    fn boot(&self) -> BootId {
        BootId::of_machine()
    }
}

/// A shorter difference is not counted as sleep: on a busy machine as much time may pass between
/// the readings of the two clocks.
const SLEPT: Duration = Duration::from_millis(500);

/// Detects that the machine has slept: suspended, or hibernated where the boot clock counts that.
#[derive(Debug, Default)]
pub struct Sleeps(Option<Duration>);

impl Sleeps {
    /// How long the machine has slept since the last call; `None` if it has not.
    pub fn since_last(&mut self, clock: &dyn Clock) -> Option<Duration> {
        // The boot clock is read first, so that a pause between the two readings does not look like
        // sleep.
        let (boot, awake) = (clock.now().monotonic, clock.awake());
        let asleep = boot.saturating_sub(awake.0);
        let before = *self.0.get_or_insert(asleep);
        let slept = asleep.checked_sub(before).filter(|slept| *slept >= SLEPT)?;
        self.0 = Some(asleep);
        Some(slept)
    }
}

/// Who vouches for the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// The time in a GPS fix agrees with it.
    Gps,
    /// It was set from the network since the boot.
    Ntp,
    /// It was set at boot from a clock with a battery.
    Rtc,
    /// Nobody: it may show the time that was saved at the last shutdown.
    Unverified,
}

impl TimeSource {
    /// The word for it in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gps => "gps",
            Self::Ntp => "ntp",
            Self::Rtc => "rtc",
            Self::Unverified => "unverified",
        }
    }

    /// Asks the machine: its time service (systemd-timesyncd, chronyd) first, then whether the
    /// kernel read a clock with a battery at boot. (`adjtimex` would answer too, but the service's
    /// sandbox forbids it.)
    fn of_machine(root: &Path, chrony: impl FnOnce() -> bool) -> Self {
        if root.join("run/systemd/timesync/synchronized").exists() || chrony() {
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
    /// The present boot. Where the machine has no boot identifier, a random one is made: each start
    /// of ours then counts as another boot, which makes the daemon forget sooner, never later.
    pub fn of_machine() -> Self {
        static THIS: std::sync::OnceLock<BootId> = std::sync::OnceLock::new();
        *THIS.get_or_init(Self::read)
    }

    fn read() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let mut id = [0; 16];
        let is_read =
            data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).is_ok_and(|bytes| {
                bytes.len() == 16 && {
                    id.copy_from_slice(&bytes);
                    true
                }
            });
        if !is_read {
            // If no random bytes can be had, the id stays as the kernel left it: all zeroes would
            // equal another boot's.
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
        FrameTime { monotonic: since_boot(ClockId::Boottime), wall: Timestamp::now() }
    }

    fn awake(&self) -> Awake {
        Awake(since_boot(ClockId::Monotonic))
    }

    fn source(&self) -> TimeSource {
        TimeSource::of_machine(Path::new("/"), chrony::is_synchronised)
    }
}

fn since_boot(clock: ClockId) -> Duration {
    let t = rustix::time::clock_gettime(clock);
    Duration::new(
        u64::try_from(t.tv_sec).expect("both clocks start at zero"),
        u32::try_from(t.tv_nsec).expect("nanoseconds of a second fit in 32 bits"),
    )
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct SimulatedClock {
    now: Mutex<FrameTime>,
    slept: Mutex<Duration>,
    source: Mutex<TimeSource>,
    boot: Mutex<BootId>,
}

impl SimulatedClock {
    /// Starts at boot-clock zero, with the wall clock at `wall`; the network vouches for it.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self {
            now: Mutex::new(FrameTime { monotonic: Duration::ZERO, wall }),
            slept: Mutex::default(),
            source: Mutex::new(TimeSource::Ntp),
            boot: Mutex::new(BootId::from_bytes([1; 16])),
        }
    }

    /// Sets who vouches for the wall clock from now on.
    pub fn set_source(&self, source: TimeSource) {
        *self.source.lock().expect("no holder of the simulated clock panics") = source;
    }

    /// Simulates a reboot: the boot clock starts anew, and the wall clock stands at `wall`.
    pub fn reboot(&self, wall: Timestamp) {
        let mut boot = self.boot.lock().expect("no holder of the simulated clock panics");
        let next = u128::from_le_bytes(boot.to_bytes()).wrapping_add(1);
        *boot = BootId::from_bytes(next.to_le_bytes());
        *self.slept.lock().expect("no holder of the simulated clock panics") = Duration::ZERO;
        *self.lock() = FrameTime { monotonic: Duration::ZERO, wall };
    }

    /// Simulates a sleep of this length: the awake clock stands still meanwhile.
    pub fn sleep(&self, time: Duration) {
        *self.slept.lock().expect("no holder of the simulated clock panics") += time;
        self.advance(time);
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

    /// Moves both clocks forward to an instant of the boot clock; does nothing if that has passed.
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

    fn awake(&self) -> Awake {
        let slept = *self.slept.lock().expect("no holder of the simulated clock panics");
        Awake(self.lock().monotonic.saturating_sub(slept))
    }

    fn source(&self) -> TimeSource {
        *self.source.lock().expect("no holder of the simulated clock panics")
    }

    fn boot(&self) -> BootId {
        *self.boot.lock().expect("no holder of the simulated clock panics")
    }
}

/// A span of time as a person says it, in the largest unit of which there are two.
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        s @ ..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_of_the_near_future_maps_forward() {
        let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
        clock.advance(Duration::from_secs(10));
        let at = clock.at(Awake(Duration::from_millis(10_033)));
        assert_eq!(at.wall.to_string(), "2026-11-23T07:00:10.033Z");
        let before = clock.at(Awake(Duration::from_millis(9_500)));
        assert_eq!(before.wall.to_string(), "2026-11-23T07:00:09.5Z");
    }

    #[test]
    fn stamp_after_a_sleep_maps_to_when_it_was_taken() {
        let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
        let mut sleeps = Sleeps::default();
        clock.advance(Duration::from_secs(10));
        assert_eq!(sleeps.since_last(&clock), None);
        clock.sleep(Duration::from_secs(8 * 3_600));
        assert_eq!(sleeps.since_last(&clock), Some(Duration::from_secs(8 * 3_600)));
        assert_eq!(sleeps.since_last(&clock), None, "once");
        clock.advance(Duration::from_secs(2));
        assert_eq!(sleeps.since_last(&clock), None, "time at work is no sleep");
        // The kernel's stamp of a second ago: eleven seconds of work since the boot.
        let at = clock.at(Awake(Duration::from_secs(11)));
        assert_eq!(at.wall.to_string(), "2026-11-23T15:00:11Z");
        assert_eq!(at.monotonic, Duration::from_secs(8 * 3_600 + 11));
    }

    #[test]
    fn boot_clock_of_the_machine_counts_what_the_awake_clock_does_not() {
        let (awake, boot) = (SystemClock.awake(), SystemClock.now().monotonic);
        assert!(boot >= awake.0, "{boot:?} {awake:?}");
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let kernel: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(
            (kernel - boot.as_secs_f64()).abs() < 5.0,
            "uptime counts sleep: {kernel} {boot:?}"
        );
    }

    #[test]
    fn machine_says_what_vouches_for_its_clock() {
        let root = tempfile::tempdir().unwrap();
        let of = || TimeSource::of_machine(root.path(), || false);
        assert_eq!(of(), TimeSource::Unverified);
        let rtc = root.path().join("sys/class/rtc/rtc0");
        std::fs::create_dir_all(&rtc).unwrap();
        std::fs::write(rtc.join("hctosys"), "0\n").unwrap();
        assert_eq!(of(), TimeSource::Unverified, "a clock that nobody read at boot");
        std::fs::write(rtc.join("hctosys"), "1\n").unwrap();
        assert_eq!(of(), TimeSource::Rtc);
        assert_eq!(TimeSource::of_machine(root.path(), || true), TimeSource::Ntp, "chronyd");
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
