//! What people make of a hit: compared by eye, confirmed by dispatch, and what came of it (promise P6).
//!
//! In: a hit's name, a [`Word`], a person. Out: one more step in `hits.db`, to the broker, in the audit log,
//! from where it is counted; and the hit's status in words. Leaves to others: the buttons.

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::audit::{Audit, AuditEvent};
use crate::clock::Clock;
use crate::config::Vehicle;
use crate::lookup::actor;
use crate::policy::Who;
use crate::uplink::wire::{DispositionReport, DispositionStep, StopOutcome};
use crate::uplink::{Outbox, OutboxError};

/// A hit that nobody has looked at.
pub const UNVERIFIED: &str = "unverified";

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
}

impl Word {
    fn step(self) -> (DispositionStep, Option<StopOutcome>) {
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
        }
    }

    fn of(step: DispositionStep, outcome: Option<StopOutcome>) -> Self {
        match (step, outcome) {
            (DispositionStep::ConfirmedBySight, _) => Self::Confirmed,
            (DispositionStep::Misread, _) => Self::Misread,
            (DispositionStep::WrongJurisdiction, _) => Self::WrongJurisdiction,
            (DispositionStep::Stale, _) => Self::Stale,
            (DispositionStep::Dismissed, _) => Self::Dismissed,
            (DispositionStep::ConfirmedActive, _) => Self::DispatchConfirmed,
            (DispositionStep::NotActive, _) => Self::NotActive,
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

    fn is_outcome(self) -> bool {
        matches!(self.step(), (DispositionStep::Outcome, _))
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
        }
    }
}

/// Why a word is not taken.
#[derive(Debug, thiserror::Error)]
pub enum DispositionError {
    /// Dispatch before sight.
    #[error(
        "hit {0} is not confirmed by sight: compare characters and jurisdiction with the picture first"
    )]
    SightFirst(Ulid),
    /// An outcome of nothing.
    #[error("hit {0} has not been looked at: say what it was first, such as confirmed or misread")]
    Unseen(Ulid),
    /// Nobody.
    #[error("give the officer's number")]
    Nobody,
    /// The hits.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// What a command asks of the control socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The hit's name.
    pub hit: String,
    /// What it was.
    pub word: Word,
    /// Who says so.
    pub officer: String,
    /// In which role.
    pub role: Who,
}

/// Where a hit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The last word on what it is.
    pub is: Option<Word>,
    /// The last word on what came of it.
    pub came: Option<Word>,
}

impl Standing {
    /// From the steps that are on record, the first first.
    pub fn of(steps: &[DispositionReport]) -> Self {
        steps.iter().fold(Self::default(), |at, step| {
            let word = Word::of(step.step, step.outcome);
            match word.is_outcome() {
                true => Self { came: Some(word), ..at },
                false => Self { is: Some(word), ..at },
            }
        })
    }

    /// The status that people read (promise P6).
    pub fn status(self) -> &'static str {
        match self.is {
            None => "UNVERIFIED: not grounds for a stop",
            Some(Word::Confirmed) => "CONFIRMED BY SIGHT: have dispatch confirm that it is active",
            Some(Word::DispatchConfirmed) => "CONFIRMED ACTIVE BY DISPATCH",
            Some(Word::Misread) => "MISREAD: not this vehicle",
            Some(Word::WrongJurisdiction) => "WRONG JURISDICTION: not this vehicle",
            Some(Word::Stale) => "STALE: the entry is out of date",
            Some(Word::NotActive) => "NOT ACTIVE: dispatch says so",
            Some(_) => "DISMISSED",
        }
    }
}

/// Writes one step down; returns where the hit stands then.
pub fn decide(
    outbox: &Outbox,
    audit: &Audit,
    vehicle: &Vehicle,
    clock: &dyn Clock,
    request: &Request,
) -> Result<Standing, DispositionError> {
    let officer = request.officer.trim();
    if officer.is_empty() {
        return Err(DispositionError::Nobody);
    }
    let hit = Ulid::from_string(&request.hit).map_err(|_| OutboxError::NoSuchHit(Ulid::nil()))?;
    let before = Standing::of(&outbox.dispositions(hit)?);
    match request.word {
        Word::DispatchConfirmed if before.is != Some(Word::Confirmed) => {
            return Err(DispositionError::SightFirst(hit));
        }
        word if word.is_outcome() && before.is.is_none() => {
            return Err(DispositionError::Unseen(hit));
        }
        _ => {}
    }
    let (step, outcome) = request.word.step();
    let report = DispositionReport::new(vehicle, hit, clock.now().wall, officer, step, outcome);
    outbox.decide(&report)?;
    let new = request.word.as_str().into();
    let event = match request.word.is_outcome() {
        true => {
            let old = before.came.map_or(String::new(), |w| w.as_str().into());
            AuditEvent::Outcome { hit, old, new }
        }
        false => {
            let old = before.is.map_or(UNVERIFIED, Word::as_str).into();
            AuditEvent::Disposition { hit, old, new }
        }
    };
    audit.note(actor(request.role, officer), event);
    Ok(match request.word.is_outcome() {
        true => Standing { came: Some(request.word), ..before },
        false => Standing { is: Some(request.word), ..before },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SimulatedClock;
    use crate::config::KeepingConfig;
    use crate::counters::Counters;
    use crate::uplink::testing_hit;

    #[test]
    fn sight_comes_before_dispatch_and_every_step_is_recorded_sent_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T08:00:00Z".parse().unwrap()));
        let keeping =
            KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let hit = testing_hit(1);
        outbox.record(&hit).unwrap();
        let say = |word| {
            let request = Request {
                hit: hit.id().to_string(),
                word,
                officer: "1234".into(),
                role: Who::Officer,
            };
            decide(&outbox, &audit, &vehicle, &*clock, &request)
        };
        assert!(matches!(say(Word::DispatchConfirmed), Err(DispositionError::SightFirst(_))));
        assert!(matches!(say(Word::Arrest), Err(DispositionError::Unseen(_))));
        assert!(say(Word::Confirmed).unwrap().status().starts_with("CONFIRMED BY SIGHT"));
        assert_eq!(say(Word::DispatchConfirmed).unwrap().status(), "CONFIRMED ACTIVE BY DISPATCH");
        say(Word::Arrest).unwrap();
        let standing = Standing::of(&outbox.dispositions(hit.id()).unwrap());
        assert_eq!(
            (standing.is, standing.came),
            (Some(Word::DispatchConfirmed), Some(Word::Arrest))
        );
        assert_eq!(outbox.queue().unwrap().dispositions, 3);
        let counters = Counters::open(&keeping).unwrap();
        counters.count(&audit).unwrap();
        let day = "2026-11-23".parse().unwrap();
        let car = counters.days(day, day).unwrap().remove(0).car;
        assert_eq!((car["disposition/dispatch_confirmed"], car["outcome/arrest"]), (1, 1));
        assert!(!car.contains_key("disposition/confirmed"), "moved on");
        audit.verify(None).unwrap();
    }
}
