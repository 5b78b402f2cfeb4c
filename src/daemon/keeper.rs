//! The keeper thread: once a second it writes down what the parts only show, such as a camera that
//! went, a clock that jumped, and has the audit log's head sealed and sent.
//!
//! In: health, both clocks. Out: audit records, the latest checkpoint for the broker. Costs: nothing
//! worth measuring. Leaves to others: telling the officer, which has happened before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::odds::Roads;
use crate::aside;
use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::{Clock, FrameTime};
use crate::config::Vehicle;
use crate::counters::{Counters, CountersError};
use crate::gps;
use crate::health::{Health, PartState, Snapshot};
use crate::hits::Outbox;
use crate::threads::{self, UntilDropped};
use crate::uplink::Notices;
use crate::wire::StatsReport;

/// The counters' name in health.
const COUNTERS: &str = "counters";

/// The clock's name in health.
const CLOCK: &str = "clock";

/// Looks between two looks for days that the broker does not have, and how many go at once.
const DAYS_EVERY: u64 = 60;
const DAYS_AT_ONCE: usize = 31;

/// Looks between two counts of what officers made of the hits of the last days.
const ROADS_EVERY: u64 = 600;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Parts that come and go within this time are no gap: a camera that is reopened takes a second.
const GRACE: Duration = Duration::from_secs(3);

/// A difference between the two clocks that grows by this much between two looks is a step and not
/// the kernel's slewing, which is below a thousandth.
const STEP: Duration = Duration::from_secs(1);

/// Writes down. One per daemon.
pub(super) struct Keeper {
    pub(super) audit: Audit,
    pub(super) notices: Notices,
    pub(super) vehicle: Vehicle,
    /// The state folder, and how long what lies aside there is kept.
    pub(super) aside: (PathBuf, Duration),
    /// `None` if they could not be opened; health says why.
    pub(super) counters: Option<Counters>,
    pub(super) clock: Arc<dyn Clock>,
    /// The clock that satellites put right: how it stands is told with every look.
    pub(super) disciplined: Arc<dyn Clock>,
    pub(super) health: Arc<Health>,
    pub(super) seen: Seen,
    /// What the road has shown of each list, and the hits that it is counted from.
    pub(super) roads: (Roads, Outbox),
    /// Days that the broker has acknowledged and that are not written down.
    pub(super) acknowledged: Vec<(jiff::civil::Date, u64)>,
    pub(super) looks: u64,
}

impl Keeper {
    /// Looks on until what it returns is dropped; then it writes down that the daemon stops, seals the log's end, and
    /// ends.
    pub(super) fn spawn(mut self) -> UntilDropped {
        let look_on = move |pause: threads::Pause| {
            while pause.goes_on_after(LOOK) {
                self.observe();
            }
            self.end();
        };
        threads::spawn_until_dropped("keeper", look_on).expect("the system can start a thread")
    }

    /// Compares clock, cameras and parts with what they were a moment ago, and writes down what has changed.
    fn observe(&mut self) {
        let standing = self.disciplined.standing();
        self.health.set_clock(standing.report());
        let state = gps::clock_health(&standing);
        if self.health.state(CLOCK).as_ref() != Some(&state) {
            tracing::info!(?state, "clock");
            self.health.set(CLOCK, state);
        }
        for event in self.seen.step(self.clock.now(), &self.clock, &self.health.snapshot()) {
            self.audit.note(Actor::System, event);
        }
        if self.looks.is_multiple_of(DAYS_EVERY) {
            let (state, keep) = &self.aside;
            aside::forget_old(state, *keep);
            aside::report_to_health(state, &self.health);
        }
        self.count();
        self.audit.tick();
        if let Some(sealed) = self.audit.sealed() {
            self.notices.checkpoint(sealed);
        }
    }

    /// Adds up, and hands the broker the days that it does not have.
    fn count(&mut self) {
        let Some(counters) = &self.counters else {
            self.looks += 1;
            return;
        };
        let now = self.clock.now().wall;
        let Tally { on, blind, lost } = self.seen.tally;
        let beside = [
            ("", "seconds_on", on.as_secs()),
            ("", "seconds_not_reading", blind.as_secs()),
            ("", "seconds_without_fix", lost.as_secs()),
        ];
        let done = (|| {
            counters.live(now, &self.health.snapshot(), &beside)?;
            counters.count(&self.audit)?;
            self.acknowledged.extend(self.notices.take_acknowledged());
            while let Some((day, revision)) = self.acknowledged.last() {
                counters.acknowledged(*day, *revision)?;
                self.acknowledged.pop();
            }
            if self.looks.is_multiple_of(ROADS_EVERY) {
                let (roads, outbox) = &self.roads;
                roads.look_back(outbox, counters, now);
            }
            if self.looks.is_multiple_of(DAYS_EVERY) {
                counters.forget_old(now)?;
                for day in counters.unsent(now, DAYS_AT_ONCE)? {
                    self.notices.stats(StatsReport::of(&self.vehicle, day));
                }
            }
            Ok::<_, CountersError>(())
        })();
        self.looks += 1;
        let state = match done {
            Ok(()) => PartState::Working,
            Err(e) => PartState::Down(e.to_string()),
        };
        if self.health.state(COUNTERS).as_ref() != Some(&state) {
            self.health.set(COUNTERS, state);
        }
    }

    fn end(&mut self) {
        self.observe();
        let last = self.health.snapshot();
        let (hits, recorded, delivered) = (last.hits, last.recorded, last.delivered);
        self.audit.note(Actor::System, AuditEvent::Stopped { hits, recorded, delivered });
        if let Ok(Some(sealed)) = self.audit.checkpoint() {
            self.notices.checkpoint(sealed);
        }
        self.count();
    }
}

/// What was seen at the last looks. All the thinking, no I/O.
#[derive(Default)]
pub(super) struct Seen {
    /// Wall clock less boot clock, in milliseconds.
    offset_ms: Option<i64>,
    /// Parts that are down: since when, and whether that is written down.
    down: BTreeMap<String, (Duration, bool)>,
    /// The last look.
    last: Option<Duration>,
    tally: Tally,
}

/// Times since the start.
#[derive(Default, Clone, Copy)]
struct Tally {
    on: Duration,
    /// With no camera reading.
    blind: Duration,
    /// Without a position.
    lost: Duration,
}

impl Seen {
    fn step(
        &mut self,
        now: FrameTime,
        clock: &Arc<dyn Clock>,
        health: &Snapshot,
    ) -> Vec<AuditEvent> {
        let mut events = Vec::new();
        let offset = now.wall.as_millisecond()
            - i64::try_from(now.monotonic.as_millis()).unwrap_or(i64::MAX);
        if let Some(before) = self.offset_ms.replace(offset) {
            let by_ms = offset.saturating_sub(before);
            if u128::from(by_ms.unsigned_abs()) >= STEP.as_millis() {
                events.push(AuditEvent::ClockStepped { by_ms, time_source: clock.source() });
            }
        }
        let since =
            now.monotonic.saturating_sub(self.last.replace(now.monotonic).unwrap_or(now.monotonic));
        let reads = |(part, state): (&String, &PartState)| {
            part.starts_with("camera/")
                && matches!(state, PartState::Working | PartState::Impaired(_))
        };
        self.tally.on += since;
        if !health.parts.iter().any(reads) {
            self.tally.blind += since;
        }
        if !matches!(health.parts.get("gps"), Some(PartState::Working)) {
            self.tally.lost += since;
        }
        for (part, state) in &health.parts {
            if part != "gps" && !part.starts_with("camera/") {
                continue;
            }
            // A receiver that works and has no fix gives no position either.
            let lost = matches!(state, PartState::Down(_))
                || (part == "gps" && matches!(state, PartState::Impaired(_)));
            match state {
                _ if lost => {
                    let (since, told) =
                        self.down.entry(part.clone()).or_insert((now.monotonic, false));
                    if !*told && now.monotonic.saturating_sub(*since) >= GRACE {
                        *told = true;
                        events.push(match part.strip_prefix("camera/") {
                            Some(camera) => AuditEvent::CameraLost { camera: camera.into() },
                            None => AuditEvent::GpsLost,
                        });
                    }
                }
                PartState::Starting => {}
                _ => {
                    if let Some((since, true)) = self.down.remove(part) {
                        let seconds = now.monotonic.saturating_sub(since).as_secs();
                        events.push(match part.strip_prefix("camera/") {
                            Some(camera) => {
                                AuditEvent::CameraBack { camera: camera.into(), seconds }
                            }
                            None => AuditEvent::GpsBack { seconds },
                        });
                    }
                }
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    struct Car {
        clock: Arc<SimulatedClock>,
        health: Health,
        seen: Seen,
    }

    impl Car {
        fn new() -> Self {
            let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
            let mut car =
                Self { clock: Arc::new(clock), health: Health::default(), seen: Seen::default() };
            assert_eq!(car.after(0), []);
            car
        }

        fn after(&mut self, seconds: u64) -> Vec<AuditEvent> {
            self.clock.advance(Duration::from_secs(seconds));
            let clock: Arc<dyn Clock> = self.clock.clone();
            self.seen.step(clock.now(), &clock, &self.health.snapshot())
        }
    }

    #[test]
    fn camera_unplugged_and_back_is_a_gap_with_two_ends() {
        let mut car = Car::new();
        car.health.set("camera/front", PartState::Down("unplugged".into()));
        assert_eq!(car.after(1), []);
        let lost = AuditEvent::CameraLost { camera: "front".into() };
        assert_eq!(car.after(4), [lost]);
        assert_eq!(car.after(60), []);
        car.health.set("camera/front", PartState::Working);
        let back = AuditEvent::CameraBack { camera: "front".into(), seconds: 69 };
        assert_eq!(car.after(5), [back]);
    }

    #[test]
    fn camera_reopened_within_a_second_is_no_gap() {
        let mut car = Car::new();
        car.health.set("camera/front", PartState::Down("stalled".into()));
        assert_eq!(car.after(1), []);
        car.health.set("camera/front", PartState::Working);
        assert_eq!(car.after(1), []);
        assert_eq!(car.after(60), []);
    }

    #[test]
    fn wall_clock_set_back_an_hour_is_written_down() {
        let mut car = Car::new();
        assert_eq!(car.after(60), []);
        car.clock.set_wall("2026-11-23T06:01:00Z".parse().unwrap());
        let events = car.after(1);
        assert!(matches!(events[..], [AuditEvent::ClockStepped { by_ms: -3_600_000, .. }]));
    }
}
