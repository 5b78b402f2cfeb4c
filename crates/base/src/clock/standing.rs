//! How surely the time is known: who vouches for it, and between which two instants the true time
//! lies.
//!
//! A car computer without a battery clock starts with the time of its last shutdown, which may be
//! days behind. Whether an entry, a list or a signature is in force is decided by a time that
//! somebody vouches for (GPS, the network). Where nobody does, it is decided for the whole range in
//! which the present must lie.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::TimeSource;

/// The beginning of the year in which this version was written: no correct clock shows an earlier
/// time.
pub const WRITTEN: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Largest difference from the receiver's time at which the clock still counts as right: a fix
/// arrives up to a second after its instant, and hits state their time to the second.
pub const MOST_APART: SignedDuration = SignedDuration::from_secs(2);

/// The current time, and who vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The best known time.
    pub at: Timestamp,
    /// Who vouches for it.
    pub source: TimeSource,
    /// The time by GPS, while a receiver reports it or has reported it lately.
    pub receiver: Option<Timestamp>,
    /// The machine's own clock.
    pub machine: Timestamp,
}

/// The part of a [`Standing`] that leaves the car with hits and health and is shown on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockReport {
    /// Who vouches for the time that is reported.
    pub source: TimeSource,
    /// Whether two sources that vouch for the time contradict each other.
    pub disputed: bool,
    /// The machine's clock minus the receiver's time, in milliseconds; `None` without a receiver's
    /// time.
    pub offset_ms: Option<i64>,
}

impl Standing {
    /// The standing of a machine without a receiver.
    pub fn of_machine(wall: Timestamp, source: TimeSource) -> Self {
        Self { at: wall, source, receiver: None, machine: wall }
    }

    /// The machine's clock minus the receiver's time.
    pub fn offset(&self) -> Option<SignedDuration> {
        self.receiver.map(|receiver| self.machine.duration_since(receiver))
    }

    /// Whether the network vouches for the machine's clock while GPS contradicts it.
    pub fn disputed(&self) -> bool {
        self.source == TimeSource::Ntp && self.offset().is_some_and(|by| by.abs() > MOST_APART)
    }

    /// Whether a source vouches for the time and no other source contradicts it.
    pub fn vouched(&self) -> bool {
        matches!(self.source, TimeSource::Gps | TimeSource::Ntp) && !self.disputed()
    }

    /// The range in which the present must lie.
    pub fn when(&self) -> When {
        match self.receiver.filter(|_| self.disputed()) {
            Some(receiver) => {
                When { earliest: self.at.min(receiver), latest: self.at.max(receiver) }
            }
            None if self.vouched() => When::at(self.at),
            None => When { earliest: WRITTEN, latest: Timestamp::MAX },
        }
    }

    /// The report of it that leaves the car.
    pub fn report(&self) -> ClockReport {
        ClockReport {
            source: self.source,
            disputed: self.disputed(),
            offset_ms: self.offset().and_then(|by| i64::try_from(by.as_millis()).ok()),
        }
    }
}

impl From<Timestamp> for Standing {
    /// A known time.
    fn from(now: Timestamp) -> Self {
        Self::of_machine(now, TimeSource::Ntp)
    }
}

impl Default for ClockReport {
    /// The time before any source has reported.
    fn default() -> Self {
        Self { source: TimeSource::Unverified, disputed: false, offset_ms: None }
    }
}

/// The range in which the present must lie: a single instant where somebody vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// The present is not before this instant.
    pub earliest: Timestamp,
    /// The present is not after this instant.
    pub latest: Timestamp,
}

impl When {
    /// The range that contains this instant alone.
    pub fn at(now: Timestamp) -> Self {
        Self { earliest: now, latest: now }
    }

    /// Narrows the range: something was written at `known`, so the present is not before it. A date
    /// past `latest` proves nothing and changes nothing.
    #[must_use]
    pub fn not_before(self, known: Timestamp) -> Self {
        match known <= self.latest {
            true => Self { earliest: self.earliest.max(known), ..self },
            false => self,
        }
    }

    /// Whether something that is in force from `from` to `end` may be in force now.
    pub fn may_be_within(&self, from: Option<Timestamp>, end: Option<Timestamp>) -> bool {
        from.is_none_or(|from| from <= self.latest) && end.is_none_or(|end| self.earliest < end)
    }
}

impl From<Timestamp> for When {
    fn from(now: Timestamp) -> Self {
        Self::at(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn written_is_when_it_was_written() {
        assert_eq!(WRITTEN.to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn time_that_nobody_vouches_for_leaves_open_what_may_be_in_force() {
        let three_days_behind =
            Standing::of_machine(at("2026-12-20T07:00:00Z"), TimeSource::Unverified);
        let when = three_days_behind.when().not_before(at("2026-12-21T00:00:00Z"));
        let stolen_yesterday = Some(at("2026-12-22T00:00:00Z"));
        assert!(when.may_be_within(stolen_yesterday, None));
        assert!(
            !when.may_be_within(None, Some(at("2026-12-20T12:00:00Z"))),
            "over before its list"
        );
        assert!(when.may_be_within(None, Some(at("2026-12-21T12:00:00Z"))));
        let vouched = Standing { source: TimeSource::Gps, ..three_days_behind };
        assert!(!vouched.when().may_be_within(stolen_yesterday, None));
    }

    #[test]
    fn two_who_contradict_each_other_leave_open_what_either_says() {
        let disputed = Standing {
            receiver: Some(at("2026-12-23T07:00:00Z")),
            ..Standing::of_machine(at("2026-12-20T07:00:00Z"), TimeSource::Ntp)
        };
        assert!(disputed.disputed() && !disputed.vouched());
        let when = disputed.when();
        assert!(when.may_be_within(Some(at("2026-12-22T00:00:00Z")), None));
        assert!(when.may_be_within(None, Some(at("2026-12-22T00:00:00Z"))));
        assert!(!when.may_be_within(Some(at("2026-12-24T00:00:00Z")), None));
        assert_eq!(disputed.report().offset_ms, Some(-3 * 86_400_000));
        let close = Standing { receiver: Some(disputed.machine + MOST_APART), ..disputed };
        assert!(!close.disputed() && close.vouched());
    }
}
