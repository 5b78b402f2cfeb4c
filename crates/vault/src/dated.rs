//! Checks the dates and version numbers that signed documents state; one check for all of them.
//!
//! In: when a document says that it was signed and when it ends, its version; the time and who
//! vouches for it; the highest known version. Out: nothing, or why the document is refused, whoever
//! has signed it. Costs: a few comparisons. Leaves to others: signatures, and documents that have
//! expired or are older than a known one, which each kind of document refuses with a message of its
//! own.
//!
//! The car's own time limits what a signer may state: a document dated in the future cannot have
//! been signed yet, and its life is counted from now, not from a date that its signer chose.
//! Versions grow in limited steps: a version that left no room for a next one would be in force for
//! ever, even if the root withdrew its key.

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Standing, TimeSource};

/// How far a document may be dated ahead of a clock that somebody vouches for: a desk's clock may
/// be set by hand.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// How far it may be ahead of a battery clock, which may run on local time and drift for a day.
const AHEAD_OF_BATTERY: SignedDuration = SignedDuration::from_hours(36);

/// How far it may be ahead of a clock that nobody vouches for, which continues from when the car
/// was switched off: a season in a garage. A car that stood longer accepts documents once it knows
/// the time.
const AHEAD_OF_NOBODY: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Largest step of a version. Authors count by one; a version that is a time in seconds grows by
/// this much in half a year.
pub const MOST_STEP: u64 = 1 << 24;

/// Highest version that a car accepts as its first: above every time in seconds until 2106, and far
/// enough from the end for 2^40 steps.
pub const MOST_FIRST: u64 = 1 << 32;

/// A kind of signed document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The manifest of a list.
    Manifest,
    /// The policy of the cars.
    Policy,
    /// The document that says who may sign what.
    Trust,
    /// A command to one car.
    Command,
    /// A package with a model.
    Models,
}

impl Kind {
    /// In words.
    fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Policy => "policy",
            Self::Trust => "trust document",
            Self::Command => "command",
            Self::Models => "model package",
        }
    }

    /// Longest life from now on, in days.
    pub const fn most_days(self) -> i64 {
        match self {
            // Lists are made daily; nobody maintains one that is to last more than a year and a
            // month.
            Self::Manifest => 400,
            // Ten years and the leap days: a document that is to last longer states no end.
            Self::Policy | Self::Trust | Self::Models => 3_653,
            // A month in the workshop.
            Self::Command => 30,
        }
    }
}

/// Why a document's dates or version are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatedError {
    /// It is dated in the future.
    #[error(
        "{} says that it was issued at {issued}, and it is {now}{}: at most {} ahead is believed",
        .kind.word(), by(.vouched), spelled(.most)
    )]
    Ahead {
        /// The kind of document.
        kind: Kind,
        /// The date that it states.
        issued: Timestamp,
        /// The present time.
        now: Timestamp,
        /// Who vouches for the present time.
        vouched: TimeSource,
        /// How far ahead it may be dated.
        most: SignedDuration,
    },
    /// It lasts too long.
    #[error(
        "{} is to hold until {expires}, and it is {now}: at most {} days from now are believed",
        .kind.word(), .kind.most_days()
    )]
    Life {
        /// The kind of document.
        kind: Kind,
        /// The end that it states.
        expires: Timestamp,
        /// The present time.
        now: Timestamp,
    },
    /// Its version leaves no room for later ones.
    #[error("{} has version {version}, {}: steps of this size would soon leave no higher version", .kind.word(), step(.highest))]
    Step {
        /// The kind of document.
        kind: Kind,
        /// The version that it states.
        version: u64,
        /// The highest known version; 0 if none.
        highest: u64,
    },
}

impl DatedError {
    /// Whether the other error has the same reason; times may differ, because time goes on.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ahead { issued: a, .. }, Self::Ahead { issued: b, .. })
            | (Self::Life { expires: a, .. }, Self::Life { expires: b, .. }) => a == b,
            _ => self == other,
        }
    }
}

fn by(source: &TimeSource) -> &'static str {
    match source {
        TimeSource::Gps => " by GPS",
        TimeSource::Ntp => " by the network",
        TimeSource::Rtc => " by a battery clock",
        TimeSource::Unverified => " by a clock that nobody vouches for",
    }
}

fn spelled(d: &SignedDuration) -> String {
    match (d.as_hours(), d.as_mins()) {
        (0, minutes) => format!("{minutes} minutes"),
        (hours, _) if hours > 48 => format!("{} days", hours / 24),
        (hours, _) => format!("{hours} hours"),
    }
}

fn step(highest: &u64) -> String {
    match highest {
        0 => format!("and a first one is {MOST_FIRST} at most"),
        known => format!("and {known} counts: a version goes up by {MOST_STEP} at most"),
    }
}

/// What a document states of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    /// The kind of document.
    pub kind: Kind,
    /// When it was signed.
    pub issued: Timestamp,
    /// Until when it holds, if there is an end.
    pub expires: Option<Timestamp>,
    /// Its version and the highest known one, for documents with versions.
    pub version: Option<(u64, u64)>,
}

impl Dated {
    /// Checks that this can be believed now.
    pub fn check(&self, now: &Standing) -> Result<(), DatedError> {
        let Self { kind, issued, expires, version } = *self;
        let latest = latest(now);
        if issued > latest {
            let most = latest.duration_since(now.at);
            return Err(DatedError::Ahead { kind, issued, now: now.at, vouched: now.source, most });
        }
        let longest = SignedDuration::from_hours(24 * kind.most_days());
        // The life is counted from the latest possible time, so that a car whose clock is behind
        // accepts what others accept.
        if let Some(expires) = expires
            && latest.checked_add(longest).is_ok_and(|most| expires > most)
        {
            return Err(DatedError::Life { kind, expires, now: now.at });
        }
        match version {
            Some((version, 0)) if version > MOST_FIRST => {
                Err(DatedError::Step { kind, version, highest: 0 })
            }
            Some((version, highest))
                if highest > 0 && version.saturating_sub(highest) > MOST_STEP =>
            {
                Err(DatedError::Step { kind, version, highest })
            }
            _ => Ok(()),
        }
    }
}

/// The latest date that a document may state.
fn latest(now: &Standing) -> Timestamp {
    let ahead = match now.source {
        TimeSource::Gps | TimeSource::Ntp => AHEAD,
        TimeSource::Rtc => AHEAD_OF_BATTERY,
        TimeSource::Unverified => AHEAD_OF_NOBODY,
    };
    let from = match now.receiver {
        Some(receiver) if now.disputed() => now.at.max(receiver),
        _ => now.at,
    };
    from.checked_add(ahead).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now(source: TimeSource) -> Standing {
        Standing::of_machine(at("2026-11-24T07:00:00Z"), source)
    }

    const ALL: [Kind; 5] = [Kind::Manifest, Kind::Policy, Kind::Trust, Kind::Command, Kind::Models];

    #[rstest]
    #[case(TimeSource::Gps, "2026-11-24T07:10:00Z", "2026-11-24T07:10:01Z")]
    #[case(TimeSource::Ntp, "2026-11-24T07:10:00Z", "2026-11-24T07:10:01Z")]
    #[case(TimeSource::Rtc, "2026-11-25T19:00:00Z", "2026-11-25T19:00:01Z")]
    #[case(TimeSource::Unverified, "2027-02-22T07:00:00Z", "2027-02-22T07:00:01Z")]
    fn no_document_of_any_kind_is_signed_in_the_future(
        #[case] source: TimeSource,
        #[case] last: &str,
        #[case] past: &str,
    ) {
        for kind in ALL {
            let of = |issued| Dated { kind, issued: at(issued), expires: None, version: None };
            assert_eq!(of(last).check(&now(source)), Ok(()), "{kind:?}");
            let refused = of(past).check(&now(source)).unwrap_err();
            assert!(matches!(refused, DatedError::Ahead { .. }), "{kind:?}");
        }
    }

    #[test]
    fn life_is_counted_from_now_whatever_its_signer_says() {
        for kind in ALL {
            for issued in ["1999-01-01T00:00:00Z", "2026-11-24T07:00:00Z"] {
                let of = |days| Dated {
                    kind,
                    issued: at(issued),
                    expires: Some(now(TimeSource::Ntp).at + SignedDuration::from_hours(days * 24)),
                    version: None,
                };
                assert_eq!(of(kind.most_days()).check(&now(TimeSource::Ntp)), Ok(()));
                let refused = of(kind.most_days() + 1).check(&now(TimeSource::Ntp)).unwrap_err();
                assert!(matches!(refused, DatedError::Life { .. }), "{kind:?}");
            }
        }
    }

    #[test]
    fn version_that_leaves_no_room_is_refused_whatever_came_before() {
        for highest in [0, 1, 41, MOST_FIRST, u64::MAX - MOST_STEP - 1] {
            let of = |version| Dated {
                kind: Kind::Manifest,
                issued: Timestamp::UNIX_EPOCH,
                expires: None,
                version: Some((version, highest)),
            };
            let check = |version| of(version).check(&now(TimeSource::Ntp));
            assert!(matches!(check(u64::MAX), Err(DatedError::Step { .. })), "after {highest}");
            assert_eq!(check(highest + 1), Ok(()), "after {highest}");
            assert_eq!(check(highest + MOST_STEP), Ok(()), "after {highest}");
        }
        let refused = Dated {
            kind: Kind::Policy,
            issued: Timestamp::UNIX_EPOCH,
            expires: None,
            version: Some((u64::MAX, 41)),
        };
        assert_eq!(
            refused.check(&now(TimeSource::Ntp)).unwrap_err().to_string(),
            "policy has version 18446744073709551615, and 41 counts: a version goes up by 16777216 at \
             most: steps of this size would soon leave no higher version"
        );
    }
}
