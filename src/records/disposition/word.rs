//! The words that are said of hits, as people, the wire and the audit log have them.

use serde::{Deserialize, Serialize};

use crate::wire::{DispositionStep, StopOutcome};

/// What a person says of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Word {
    /// Characters and jurisdiction compared with the picture: they are the entry's.
    Confirmed,
    /// The picture shows other characters.
    Misread,
    /// The right characters, another state or province.
    WrongJurisdiction,
    /// The entry is out of date.
    Stale,
    /// Not followed up.
    Dismissed,
    /// Dispatch says that the entry is active; after `confirmed` only.
    DispatchConfirmed,
    /// Dispatch says that it is not.
    NotActive,
    /// No stop was made.
    NoStop,
    /// A stop, and nothing else.
    Stop,
    /// A citation.
    Citation,
    /// An arrest.
    Arrest,
    /// Vehicle or person found.
    Recovery,
    /// Nothing to be done.
    NoAction,
    /// What was said of the hit does not hold: it is unverified again. Asks for a reason.
    TakenBack,
}

/// Every word, in the order in which they are offered.
pub(super) const WORDS: [Word; 14] = [
    Word::Confirmed,
    Word::Misread,
    Word::WrongJurisdiction,
    Word::Stale,
    Word::Dismissed,
    Word::DispatchConfirmed,
    Word::NotActive,
    Word::NoStop,
    Word::Stop,
    Word::Citation,
    Word::Arrest,
    Word::Recovery,
    Word::NoAction,
    Word::TakenBack,
];

impl Word {
    pub(super) fn step(self) -> (DispositionStep, Option<StopOutcome>) {
        let outcome = |outcome| (DispositionStep::Outcome, Some(outcome));
        match self {
            Self::Confirmed => (DispositionStep::ConfirmedBySight, None),
            Self::Misread => (DispositionStep::Misread, None),
            Self::WrongJurisdiction => (DispositionStep::WrongJurisdiction, None),
            Self::Stale => (DispositionStep::Stale, None),
            Self::Dismissed => (DispositionStep::Dismissed, None),
            Self::DispatchConfirmed => (DispositionStep::ConfirmedActive, None),
            Self::NotActive => (DispositionStep::NotActive, None),
            Self::NoStop => outcome(StopOutcome::NoStop),
            Self::Stop => outcome(StopOutcome::Stop),
            Self::Citation => outcome(StopOutcome::Citation),
            Self::Arrest => outcome(StopOutcome::Arrest),
            Self::Recovery => outcome(StopOutcome::Recovery),
            Self::NoAction => outcome(StopOutcome::NoAction),
            Self::TakenBack => (DispositionStep::TakenBack, None),
        }
    }

    pub(super) fn of(step: DispositionStep, outcome: Option<StopOutcome>) -> Self {
        match (step, outcome) {
            (DispositionStep::ConfirmedBySight, _) => Self::Confirmed,
            (DispositionStep::Misread, _) => Self::Misread,
            (DispositionStep::WrongJurisdiction, _) => Self::WrongJurisdiction,
            (DispositionStep::Stale, _) => Self::Stale,
            (DispositionStep::Dismissed, _) => Self::Dismissed,
            (DispositionStep::ConfirmedActive, _) => Self::DispatchConfirmed,
            (DispositionStep::NotActive, _) => Self::NotActive,
            (DispositionStep::TakenBack, _) => Self::TakenBack,
            (DispositionStep::Outcome, outcome) => match outcome {
                Some(StopOutcome::NoStop) => Self::NoStop,
                Some(StopOutcome::Stop) => Self::Stop,
                Some(StopOutcome::Citation) => Self::Citation,
                Some(StopOutcome::Arrest) => Self::Arrest,
                Some(StopOutcome::Recovery) => Self::Recovery,
                Some(StopOutcome::NoAction) | None => Self::NoAction,
            },
        }
    }

    /// Whether it says that this hit is nothing to act on.
    pub(super) fn rejects(self) -> bool {
        matches!(
            self,
            Self::Misread
                | Self::WrongJurisdiction
                | Self::Stale
                | Self::Dismissed
                | Self::NotActive
        )
    }

    pub(super) fn is_outcome(self) -> bool {
        matches!(self.step(), (DispositionStep::Outcome, _))
    }

    /// Whether it is dispatch who says so: an operator, at a time.
    pub(super) fn is_dispatchs(self) -> bool {
        matches!(self, Self::DispatchConfirmed | Self::NotActive)
    }

    /// As counters and the audit log write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Misread => "misread",
            Self::WrongJurisdiction => "wrong_jurisdiction",
            Self::Stale => "stale",
            Self::Dismissed => "dismissed",
            Self::DispatchConfirmed => "dispatch_confirmed",
            Self::NotActive => "not_active",
            Self::NoStop => "no_stop",
            Self::Stop => "stop",
            Self::Citation => "citation",
            Self::Arrest => "arrest",
            Self::Recovery => "recovery",
            Self::NoAction => "no_action",
            Self::TakenBack => "taken_back",
        }
    }
}
