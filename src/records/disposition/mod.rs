//! What people make of a hit: compared by eye, confirmed by dispatch, and what came of it (promise P6).
//!
//! In: a hit's name, a [`Word`], a person who is signed in. Out: one more step in `hits.db`, to the broker, in the audit log,
//! from where it is counted; and the hit's status in words. Every step of command line and page goes through
//! one [`Judge`], which holds steps apart and tells whoever shows the hit. Leaves to others: the buttons.

mod standing;
mod word;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::audit::{Audit, AuditEvent};
use crate::clock::Clock;
use crate::config::Vehicle;
use crate::hits::{Outbox, OutboxError};
use crate::policy::{VerifyRules, Who};
use crate::sessions::{Refused, SignedIn, Stated, StatesWho};
use crate::wire::{DispatchReport, DispositionReport, TakenBackWhy};

pub use standing::{Standing, Told};
pub use word::Word;

/// A hit that nobody has looked at.
pub const UNVERIFIED: &str = "unverified";

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
    /// Half a comparison.
    #[error(
        "hit {0} is confirmed by sight once characters and jurisdiction are both compared with the \
         picture and match: say both"
    )]
    CompareBoth(Ulid),
    /// A rejected hit is not confirmed in one step.
    #[error("hit {hit} was rejected ({was}): take that back with a reason first")]
    Rejected {
        /// The hit.
        hit: Ulid,
        /// What was said of it.
        was: &'static str,
    },
    /// The same again, or less than is known.
    #[error("hit {hit} is {was} already")]
    Already {
        /// The hit.
        hit: Ulid,
        /// What was said of it.
        was: &'static str,
    },
    /// Nothing to take back.
    #[error("nothing has been said of hit {0} that could be taken back")]
    NothingSaid(Ulid),
    /// No reason.
    #[error(
        "say why the word on hit {0} is taken back: pressed_by_mistake, looked_again or new_information"
    )]
    WhyFirst(Ulid),
    /// Nobody at dispatch.
    #[error(
        "say who at dispatch said so of hit {0}: the operator's number, 1 to {MOST_OPERATOR} digits"
    )]
    OperatorFirst(Ulid),
    /// Dispatch cannot have said so then.
    #[error("dispatch cannot have said so of hit {0} before it was seen, nor later than now")]
    NotThen(Ulid),
    /// An operator of another step.
    #[error("{word} of hit {hit} is not what dispatch says: leave the operator out")]
    NotDispatchs {
        /// The hit.
        hit: Ulid,
        /// What is said.
        word: &'static str,
    },
    /// Not this role's to do.
    #[error("{0} do not judge hits: an officer or a supervisor does")]
    NotAllowed(&'static str),
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
    /// Who says so, where that is stated: it has to be who is signed in.
    #[serde(default)]
    pub officer: String,
    /// In which role, where that is stated.
    #[serde(default)]
    pub role: Option<Who>,
    /// What was compared with the picture and matches; `confirmed` asks for both.
    #[serde(default)]
    pub compared: Compared,
    /// Why a word is taken back.
    #[serde(default)]
    pub why: Option<TakenBackWhy>,
    /// Who at dispatch said so, and when; `dispatch_confirmed` and `not_active` ask for it.
    #[serde(default)]
    pub dispatch: Option<Dispatch>,
}

/// Digits of an operator's number at most. Digits alone, so that no plate with a letter fits in.
const MOST_OPERATOR: usize = 8;

/// What dispatch said, by whom and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// The operator's number.
    pub operator: String,
    /// When they said so; now, if nothing is said.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

impl Dispatch {
    /// Checks it against the hit and the clock.
    fn checked(&self, hit: Ulid, now: Timestamp) -> Result<DispatchReport, DispositionError> {
        let operator = self.operator.trim();
        let digits = operator.bytes().all(|b| b.is_ascii_digit());
        if !digits || !(1..=MOST_OPERATOR).contains(&operator.len()) {
            return Err(DispositionError::OperatorFirst(hit));
        }
        let at = self.at.unwrap_or(now);
        let seen = i64::try_from(hit.timestamp_ms()).unwrap_or(i64::MAX);
        // To the second: that is how precisely a person says it.
        if at.as_second() < seen / 1000 || at > now {
            return Err(DispositionError::NotThen(hit));
        }
        Ok(DispatchReport { operator: operator.to_owned(), at })
    }
}

impl StatesWho for Request {
    fn stated(&self) -> Stated<'_> {
        Stated { number: Some(&self.officer), role: self.role }
    }
}

impl From<DispositionError> for Refused {
    fn from(e: DispositionError) -> Self {
        Self::new(e)
    }
}

/// What a person compared with the picture by eye, each a deliberate input of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The characters in the picture are the entry's.
    pub characters: bool,
    /// The state or province in the picture is the entry's.
    pub jurisdiction: bool,
}

/// Tells whoever shows a hit where it stands now.
pub type Tell = Box<dyn Fn(&str, &Told) + Send + Sync>;

/// What policy asks for before a hit counts, whenever it is asked.
pub type Verify = Box<dyn Fn() -> VerifyRules + Send + Sync>;

/// Takes every step, from wherever it comes: the command line and the page have the same one.
pub struct Judge {
    outbox: Outbox,
    audit: Audit,
    vehicle: Vehicle,
    clock: Arc<dyn Clock>,
    verify: Verify,
    tell: Tell,
    /// One step at a time: each is judged by what the one before left.
    one: Mutex<()>,
}

impl Judge {
    /// Writes steps to these, and tells of each.
    pub fn new(
        outbox: Outbox,
        audit: Audit,
        vehicle: Vehicle,
        clock: Arc<dyn Clock>,
        (verify, tell): (Verify, Tell),
    ) -> Self {
        Self { outbox, audit, vehicle, clock, verify, tell, one: Mutex::default() }
    }

    /// Where a hit stands, by the policy of now.
    pub fn stands(&self, hit: Ulid) -> Result<Told, OutboxError> {
        Ok(Told::of(&self.outbox.dispositions(hit)?, (self.verify)()))
    }

    /// Writes one step down; returns where the hit stands then.
    pub fn decide(&self, who: &SignedIn, request: &Request) -> Result<Told, DispositionError> {
        let Request { word, compared, why, .. } = *request;
        if !who.role().judges() {
            return Err(DispositionError::NotAllowed(who.role().words()));
        }
        let hit =
            Ulid::from_string(&request.hit).map_err(|_| OutboxError::NoSuchHit(Ulid::nil()))?;
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let mut steps = self.outbox.dispositions(hit)?;
        let before = Standing::of(&steps);
        let after = before.after(hit, word, compared, why)?;
        let now = self.clock.now().wall;
        let dispatch = match (&request.dispatch, word.is_dispatchs()) {
            (Some(dispatch), true) => Some(dispatch.checked(hit, now)?),
            (None, true) => return Err(DispositionError::OperatorFirst(hit)),
            (Some(_), false) => {
                return Err(DispositionError::NotDispatchs { hit, word: word.as_str() });
            }
            (None, false) => None,
        };
        let (step, outcome) = word.step();
        let mut report = DispositionReport::new(&self.vehicle, hit, now, who, step, outcome);
        report.why = why.filter(|_| word == Word::TakenBack);
        report.dispatch = dispatch;
        self.outbox.decide(&report)?;
        let event = match word.is_outcome() {
            true => {
                let old = before.came.map_or(String::new(), |w| w.as_str().into());
                AuditEvent::Outcome { hit, old, new: word.as_str().into() }
            }
            false => {
                let of = |is: Option<Word>| is.map_or(UNVERIFIED, Word::as_str).into();
                AuditEvent::Disposition {
                    hit,
                    old: of(before.is),
                    new: of(after.is),
                    why: report.why.map(|why| why.as_str().into()),
                    operator: report.dispatch.as_ref().map(|said| said.operator.clone()),
                }
            }
        };
        self.audit.note(who.actor(), event);
        steps.push(report);
        let told = Told::of(&steps, (self.verify)());
        (self.tell)(&hit.to_string(), &told);
        Ok(told)
    }
}

#[cfg(test)]
mod tests;
