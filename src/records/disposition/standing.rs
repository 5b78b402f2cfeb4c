//! Where a hit stands, what may be said of it next, and whether what policy asks for has been done.

use jiff::Timestamp;
use serde::Serialize;
use ulid::Ulid;

use super::word::{WORDS, Word};
use super::{Compared, DispositionError};
use crate::policy::VerifyRules;
use crate::wire::{DispositionReport, TakenBackWhy};

/// Where a hit stands, as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// In words ([`Standing::status`]).
    pub status: &'static str,
    /// The last word on what it is.
    pub is: Option<Word>,
    /// The last word on what came of it.
    pub came: Option<Word>,
    /// Whether it is nothing to act on.
    pub rejected: bool,
    /// Whether what policy asks for before anybody acts on the hit has been done.
    pub grounds: bool,
    /// What may be said next.
    pub next: Vec<Word>,
    /// Who said the last word.
    pub by: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// The operator at dispatch, where the standing is dispatch's word.
    pub operator: Option<String>,
}

impl Told {
    pub(super) fn new(
        standing: Standing,
        last: Option<&DispositionReport>,
        verify: VerifyRules,
    ) -> Self {
        let may = |word: &Word| standing.may(*word, Ulid::nil()).is_ok();
        Self {
            status: standing.status(verify),
            is: standing.is,
            came: standing.came,
            rejected: standing.is.is_some_and(Word::rejects),
            grounds: standing.is_grounds(verify),
            next: WORDS.into_iter().filter(may).collect(),
            by: last.map(|step| step.officer.clone()),
            at: last.map(|step| step.at),
            operator: None,
        }
    }

    /// From the steps that are on record, the first first.
    pub fn of(steps: &[DispositionReport], verify: VerifyRules) -> Self {
        let standing = Standing::of(steps);
        let mut told = Self::new(standing, steps.last(), verify);
        if standing.is.is_some_and(Word::is_dispatchs) {
            // The last that dispatch said: what came of it since is another step.
            let said = steps.iter().rev().find_map(|step| step.dispatch.as_ref());
            told.operator = said.map(|said| said.operator.clone());
        }
        told
    }
}

impl From<Standing> for Told {
    /// Without the person who decided.
    fn from(standing: Standing) -> Self {
        Self::new(standing, None, VerifyRules::default())
    }
}

impl Default for Told {
    /// Nobody has said anything.
    fn default() -> Self {
        Self::of(&[], VerifyRules::default())
    }
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
            at.with(word)
        })
    }

    /// After a word.
    pub(super) fn with(self, word: Word) -> Self {
        match word {
            Word::TakenBack => Self { is: None, ..self },
            _ if word.is_outcome() => Self { came: Some(word), ..self },
            _ => Self { is: Some(word), ..self },
        }
    }

    /// The standing after a word, if the word is a move: one table for hits and for practice.
    pub fn after(
        self,
        hit: Ulid,
        word: Word,
        compared: Compared,
        why: Option<TakenBackWhy>,
    ) -> Result<Self, DispositionError> {
        self.may(word, hit)?;
        if word == Word::Confirmed && !(compared.characters && compared.jurisdiction) {
            return Err(DispositionError::CompareBoth(hit));
        }
        if word == Word::TakenBack && why.is_none() {
            return Err(DispositionError::WhyFirst(hit));
        }
        Ok(self.with(word))
    }

    /// Whether a word may be said next: the one table of moves.
    pub(super) fn may(self, word: Word, hit: Ulid) -> Result<(), DispositionError> {
        match (self.is, word) {
            (None, Word::TakenBack) => Err(DispositionError::NothingSaid(hit)),
            (Some(_), Word::TakenBack) => Ok(()),
            (None, word) if word.is_outcome() => Err(DispositionError::Unseen(hit)),
            (Some(_), word) if self.came == Some(word) => {
                Err(DispositionError::Already { hit, was: word.as_str() })
            }
            (Some(_), word) if word.is_outcome() => Ok(()),
            (Some(was), word) if was == word => {
                Err(DispositionError::Already { hit, was: was.as_str() })
            }
            (Some(was), word) if was.rejects() && !word.rejects() => {
                Err(DispositionError::Rejected { hit, was: was.as_str() })
            }
            // Dispatch is asked after sight: to say it again would only lose what dispatch said.
            (Some(Word::DispatchConfirmed), Word::Confirmed) => {
                Err(DispositionError::Already { hit, was: Word::DispatchConfirmed.as_str() })
            }
            (is, Word::DispatchConfirmed) if is != Some(Word::Confirmed) => {
                Err(DispositionError::SightFirst(hit))
            }
            _ => Ok(()),
        }
    }

    /// Whether what policy asks for before anybody acts on the hit has been done. Sight comes first and is asked for
    /// always; dispatch unless two people have signed that this agency goes without.
    pub fn is_grounds(self, verify: VerifyRules) -> bool {
        match self.is {
            Some(Word::DispatchConfirmed) => true,
            Some(Word::Confirmed) => !verify.asks_dispatch(),
            _ => false,
        }
    }

    /// The status that people read (promise P6).
    pub fn status(self, verify: VerifyRules) -> &'static str {
        match self.is {
            None => "UNVERIFIED: not grounds for a stop",
            Some(Word::Confirmed) if self.is_grounds(verify) => {
                "CONFIRMED BY SIGHT: grounds to act as listed"
            }
            Some(Word::Confirmed) => "CONFIRMED BY SIGHT: have dispatch confirm that it is active",
            Some(Word::DispatchConfirmed) => {
                "CONFIRMED ACTIVE BY DISPATCH: grounds to act as listed"
            }
            Some(Word::Misread) => "MISREAD: not this vehicle",
            Some(Word::WrongJurisdiction) => "WRONG JURISDICTION: not this vehicle",
            Some(Word::Stale) => "STALE: the entry is out of date",
            Some(Word::NotActive) => "NOT ACTIVE: dispatch says so",
            Some(_) => "DISMISSED: not followed up",
        }
    }
}
