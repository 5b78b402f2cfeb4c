//! A clock that is corrected by GPS.
//!
//! In: the machine's clock, the receiver's fixes. Out: the same boot clock, and a wall clock that
//! shows the receiver's time where the machine's is wrong and nobody else vouches for it. Costs: a
//! look at the last fix for each reading. Leaves to others: setting the machine's clock (chronyd
//! does that).
//!
//! Once GPS has given the time, the boot clock counts it on while there is no fix, so that a tunnel
//! does not set the car back by three days. Where the network vouches for the machine's clock and
//! GPS contradicts it, neither is trusted alone ([`Standing::when`]), and health says so.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use super::Fixes;
use crate::clock::{Awake, BootId, Clock, FrameTime, MOST_APART, Standing, TimeSource};
use crate::health::PartState;

/// How long the receiver's time is counted on without a fix. A crystal with an error of a hundred
/// millionths is nine seconds off after that time.
const COUNTED_ON: Duration = Duration::from_secs(24 * 3600);

/// By how much the delays of two reports may differ.
const STEADY: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// The machine's clock, corrected by GPS where that is needed.
pub struct Disciplined {
    machine: Arc<dyn Clock>,
    fixes: OnceLock<Fixes>,
    /// An instant of the boot clock and the GPS time at it. Locked to copy or replace it.
    told: Mutex<Option<(Duration, Timestamp)>>,
}

impl Disciplined {
    /// Shows the machine's clock until there are fixes.
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        Self { machine, fixes: OnceLock::new(), told: Mutex::new(None) }
    }

    /// Uses the time of this receiver from now on.
    pub fn believe(&self, fixes: Fixes) {
        // The first receiver that is set stays.
        let _ = self.fixes.set(fixes);
    }

    /// The time by GPS: reported, or counted on by the boot clock since the last report.
    fn receiver(&self, monotonic: Duration) -> Option<Timestamp> {
        let fresh = self.fixes.get().and_then(|fixes| fixes.time_at(monotonic));
        let mut told = self.told.lock().expect("no holder panics");
        let counted = told.and_then(|(then, time)| {
            let since = monotonic.checked_sub(then).filter(|since| *since <= COUNTED_ON)?;
            time.checked_add(since).ok()
        });
        let Some(fresh) = fresh else { return counted };
        // Reports arrive with varying delays; the time must not jump to and fro with them.
        let steady = counted.filter(|counted| counted.duration_since(fresh).abs() < STEADY);
        let time = steady.unwrap_or(fresh);
        *told = Some((monotonic, time));
        Some(time)
    }
}

impl Clock for Disciplined {
    fn now(&self) -> FrameTime {
        let now = self.machine.now();
        FrameTime { wall: self.stand(now).at, ..now }
    }

    /// The machine's own: what stands still in a sleep is not the boot clock, and nobody corrects it.
    fn awake(&self) -> Awake {
        self.machine.awake()
    }

    fn source(&self) -> TimeSource {
        self.standing().source
    }

    fn standing(&self) -> Standing {
        self.stand(self.machine.now())
    }

    fn boot(&self) -> BootId {
        self.machine.boot()
    }
}

impl Disciplined {
    fn stand(&self, now: FrameTime) -> Standing {
        let machine = Standing::of_machine(now.wall, self.machine.source());
        let standing = Standing { receiver: self.receiver(now.monotonic), ..machine };
        match (standing.receiver, standing.offset()) {
            // The network keeps the machine's clock: a contradiction is reported, not resolved
            // here.
            (Some(_), Some(_)) if standing.source == TimeSource::Ntp => standing,
            (Some(_), Some(by)) if by.abs() <= MOST_APART => {
                Standing { source: TimeSource::Gps, ..standing }
            }
            (Some(receiver), _) => Standing { at: receiver, source: TimeSource::Gps, ..standing },
            (None, _) => standing,
        }
    }
}

impl std::fmt::Debug for Disciplined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disciplined").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

/// The state of the clock for the officer and the fleet.
pub fn health(standing: &Standing) -> PartState {
    let apart = standing.offset().filter(|by| by.abs() > MOST_APART).map(|by| {
        let side = if by.is_negative() { "behind" } else { "ahead of" };
        format!("this computer's clock is {:.0} s {side} GPS", by.abs().as_secs_f64())
    });
    match (apart, standing.source) {
        (Some(apart), TimeSource::Ntp) => PartState::Impaired(format!(
            "{apart}, and the network vouches for it: one of them is wrong, entries that may be in force \
             by either alert"
        )),
        (Some(apart), _) => PartState::Impaired(format!("{apart}: the time of GPS is used")),
        (None, TimeSource::Gps | TimeSource::Ntp) => PartState::Working,
        (None, TimeSource::Rtc) => PartState::Impaired(
            "only a battery clock says what time it is: entries that may be in force alert".into(),
        ),
        (None, TimeSource::Unverified) => PartState::Impaired(
            "nobody vouches for the clock (no GPS time, no chronyd or systemd-timesyncd): entries that \
             may be in force alert"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;
    use crate::gps::Fix;

    fn fix(time: &str) -> Option<Fix> {
        Some(Fix {
            latitude: 43.59,
            longitude: -79.64,
            accuracy_m: None,
            speed_mps: None,
            heading_deg: None,
            time: Some(time.parse().unwrap()),
            three_d: true,
        })
    }

    fn car(source: TimeSource) -> (Arc<SimulatedClock>, Fixes, Disciplined) {
        let clock = Arc::new(SimulatedClock::starting_at("2026-11-20T07:00:00Z".parse().unwrap()));
        clock.set_source(source);
        let fixes = Fixes::new(Duration::from_secs(3));
        let disciplined = Disciplined::new(clock.clone());
        disciplined.believe(fixes.clone());
        (clock, fixes, disciplined)
    }

    #[test]
    fn clock_three_days_behind_is_put_right_by_a_fix_and_stays_right_in_a_tunnel() {
        let (clock, fixes, disciplined) = car(TimeSource::Unverified);
        assert!(!disciplined.standing().vouched());
        clock.advance(Duration::from_secs(10));
        fixes.push(Duration::from_secs(10), fix("2026-11-23T07:00:10Z"));
        assert_eq!(disciplined.now().wall.to_string(), "2026-11-23T07:00:10Z");
        assert_eq!(disciplined.now().monotonic, Duration::from_secs(10));
        let standing = disciplined.standing();
        assert!(standing.vouched() && standing.source == TimeSource::Gps);
        assert_eq!(standing.report().offset_ms, Some(-3 * 86_400_000));
        let PartState::Impaired(said) = health(&standing) else { panic!() };
        assert_eq!(said, "this computer's clock is 259200 s behind GPS: the time of GPS is used");
        clock.advance(Duration::from_secs(600));
        fixes.push(Duration::from_secs(20), None);
        assert_eq!(disciplined.now().wall.to_string(), "2026-11-23T07:10:10Z");
        clock.advance(COUNTED_ON);
        assert!(!disciplined.standing().vouched(), "counted on for a day");
    }

    #[test]
    fn clock_within_two_seconds_of_gps_is_left_alone_and_one_past_them_is_said() {
        for (time, said) in [("2026-11-20T07:00:01Z", false), ("2026-11-20T07:14:00Z", true)] {
            let (clock, fixes, disciplined) = car(TimeSource::Unverified);
            fixes.push(Duration::ZERO, fix(time));
            assert_eq!(disciplined.now().wall != clock.now().wall, said);
            assert_eq!(health(&disciplined.standing()) != PartState::Working, said);
        }
    }

    #[test]
    fn frame_after_a_sleep_is_of_now_by_the_corrected_clock_too() {
        let (clock, _, disciplined) = car(TimeSource::Unverified);
        clock.advance(Duration::from_secs(10));
        clock.sleep(Duration::from_secs(8 * 3_600));
        assert_eq!(disciplined.awake(), clock.awake());
        // The kernel stamps with the clock that stood still.
        let stamp = Awake::after_boot(Duration::from_secs(10));
        assert_eq!(disciplined.at(stamp), clock.at(stamp));
        assert_eq!(disciplined.at(stamp).monotonic, Duration::from_secs(8 * 3_600 + 10));
    }

    #[test]
    fn network_and_satellites_that_contradict_each_other_are_said_and_neither_is_believed_alone() {
        let (clock, fixes, disciplined) = car(TimeSource::Ntp);
        fixes.push(Duration::ZERO, fix("2026-11-23T07:00:00Z"));
        let standing = disciplined.standing();
        assert!(!standing.vouched() && standing.disputed());
        assert_eq!(disciplined.now(), clock.now());
        assert!(matches!(health(&standing), PartState::Impaired(_)));
    }
}
