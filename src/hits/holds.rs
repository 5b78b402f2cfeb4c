//! Legal holds, from outside the daemon: `outrider hold`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use ulid::Ulid;

use super::keep::{self, Hold};
use super::store::{Opener, Store};
use super::{OutboxError, StoreError};
use crate::clock::Clock;
use crate::text::{ForeignText, MOST_REMARK, TextError};

/// Why a hold cannot be placed or ended. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The database.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// There are no hits yet.
    #[error("{0} does not exist: this car has not recorded a hit")]
    NoHits(PathBuf),
    /// A hold without a reason or an author.
    #[error("a hold needs {0} that is not empty")]
    Empty(&'static str),
    /// A hold that is over already.
    #[error("a hold until {until} would be over already, because it is {now}: give a later time")]
    Over {
        /// Its end.
        until: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// A text that cannot be shown.
    #[error("{what} {why}")]
    Text {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        why: TextError,
    },
    /// Nothing to end.
    #[error("hit {0} is not under legal hold")]
    NotHeld(Ulid),
}

/// How many hits of this car a legal hold keeps at the moment: what a wipe would destroy.
pub fn held_hits(directory: &Path, clock: Arc<dyn Clock>) -> Result<usize, HoldError> {
    match Holds::open(directory, clock) {
        Ok(holds) => {
            let hits = holds.in_force()?.into_iter().map(|hold| hold.hit);
            Ok(hits.collect::<std::collections::BTreeSet<_>>().len())
        }
        Err(HoldError::NoHits(_)) => Ok(0),
        Err(e) => Err(e),
    }
}

/// The holds of a car. The daemon may be running.
pub struct Holds {
    store: Store,
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Holds {
    /// Opens `hits.db` in the state folder, which must be there.
    pub fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, HoldError> {
        let opener = Opener::new(directory, clock.clone(), Arc::default());
        if !opener.path().exists() {
            return Err(HoldError::NoHits(opener.path().to_owned()));
        }
        let path = opener.path().to_owned();
        Ok(Self { store: opener.connect()?, path, clock })
    }

    /// Keeps a hit and its pictures until then.
    pub fn place(
        &self,
        hit: Ulid,
        reason: &str,
        author: &str,
        until: Timestamp,
    ) -> Result<Hold, HoldError> {
        let now = self.clock.now().wall;
        for (what, text) in [("a reason", reason), ("an author", author)] {
            if text.trim().is_empty() {
                return Err(HoldError::Empty(what));
            }
            ForeignText::parse(text, MOST_REMARK).map_err(|why| HoldError::Text { what, why })?;
        }
        if until <= now {
            return Err(HoldError::Over { until, now });
        }
        if !keep::exists(&self.store.db, hit).map_err(|e| self.sqlite(e))? {
            return Err(OutboxError::NoSuchHit(hit).into());
        }
        let hold = Hold {
            hit,
            reason: reason.trim().into(),
            author: author.trim().into(),
            placed: now,
            until,
        };
        keep::place(&self.store.db, &hold).map_err(|e| self.sqlite(e))?;
        Ok(hold)
    }

    /// Ends every hold of a hit, so that its retention applies again. Returns how many there were.
    pub fn release(&self, hit: Ulid, author: &str) -> Result<usize, HoldError> {
        if author.trim().is_empty() {
            return Err(HoldError::Empty("an author"));
        }
        let now = self.clock.now().wall;
        match keep::release(&self.store.db, hit, author.trim(), now).map_err(|e| self.sqlite(e))? {
            0 => Err(HoldError::NotHeld(hit)),
            n => Ok(n),
        }
    }

    /// The holds in force, the oldest first.
    pub fn in_force(&self) -> Result<Vec<Hold>, HoldError> {
        keep::in_force(&self.store.db, self.clock.now().wall).map_err(|e| self.sqlite(e))
    }

    fn sqlite(&self, e: rusqlite::Error) -> HoldError {
        HoldError::Outbox(StoreError::from_sqlite(&self.path, e).into())
    }
}
