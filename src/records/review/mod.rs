//! Records for supervisors and auditors: the hit log, look-ups, the audit log with the state of its chain, figures;
//! and all of it as files.
//!
//! In: a person who is signed in, and a filter. Out: rows, after it is in the audit log that they were looked at; or
//! a refusal. Costs: a scan of the hits, or of the log by pages. Leaves to others: the page (`alert/console`), and
//! whole logs with their seals (`outrider audit export`).
//!
//! Absent on purpose: a filter by plate, which would be a look-up without grounds; covert hits, of which nothing in
//! the car may tell.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

mod export;
mod figures;
mod hits;
mod log;
#[cfg(test)]
mod tests;

pub use export::{Exported, Wanted};
pub use figures::Figures;
pub use hits::{Hits, HitsFilter};
pub use log::{Chain, Log, LogFilter, LookUps, LookUpsFilter};

use crate::audit::{Audit, AuditError, AuditEvent};
use crate::clock::Clock;
use crate::config::Vehicle;
use crate::counters::{Counters, CountersError};
use crate::grounds::{Permissions, VagueError};
use crate::hits::{Outbox, OutboxError};
use crate::sessions::{Refused, SignedIn};

/// Rows that the page gets at once.
const ROWS: usize = 200;

/// Why records are not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not this role's to see.
    #[error(
        "{0} do not see the records of others: a supervisor or an auditor does. Your own hits are on the alert page"
    )]
    NotAllowed(&'static str),
    /// Policy lets this role take nothing out.
    #[error("{0} may not export records: policy has not given them export_evidence")]
    NotTaken(&'static str),
    /// No grounds.
    #[error(transparent)]
    Vague(#[from] VagueError),
    /// The first day lies behind the last.
    #[error("the first day {from} is after the last, {to}")]
    Backwards {
        /// The first.
        from: Date,
        /// The last.
        to: Date,
    },
    /// Nothing is counted.
    #[error("nothing is counted in this car: `outrider status` says why")]
    NoCounters,
    /// It could not be written down, so it does not happen.
    #[error("nothing is shown without a record: {0}")]
    Unaudited(#[from] AuditError),
    /// The hits.
    #[error(transparent)]
    Hits(#[from] OutboxError),
    /// The counts.
    #[error(transparent)]
    Counters(#[from] CountersError),
}

impl From<ReviewError> for Refused {
    fn from(e: ReviewError) -> Self {
        match &e {
            // What is neither a code nor a case may be anything.
            ReviewError::Vague(vague) => Self::as_recorded(&e, vague.on_record()),
            _ => Self::new(e),
        }
    }
}

/// Where records are looked at. One per daemon.
pub struct Review {
    /// What was done, and that it was looked at.
    pub audit: Audit,
    /// The hits.
    pub outbox: Outbox,
    /// The counts; `None` where nothing is counted.
    pub counters: Option<Counters>,
    /// Who may.
    pub permissions: Permissions,
    /// Whose car it is.
    pub vehicle: Vehicle,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A stretch of time, either end open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Span {
    /// From then on.
    pub from: Option<Timestamp>,
    /// Until then.
    pub to: Option<Timestamp>,
}

impl Span {
    fn has(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    fn words(&self) -> Vec<String> {
        let from = self.from.map(|from| format!("from {from:.0}"));
        let to = self.to.map(|to| format!("until {to:.0}"));
        from.into_iter().chain(to).collect()
    }
}

/// A choice as the log has it: what is in no record may be any text, a plate too.
fn choice(name: &str, wanted: Option<&String>, known: bool) -> Option<String> {
    wanted.map(|wanted| match known {
        true => format!("{name} {wanted}"),
        false => format!("{name} that no record has"),
    })
}

impl Review {
    fn may(who: &SignedIn) -> Result<(), ReviewError> {
        match who.role().reviews() {
            true => Ok(()),
            false => Err(ReviewError::NotAllowed(who.role().words())),
        }
    }

    /// Before anything is shown. If it cannot be written, nothing was found.
    fn viewed(
        &self,
        who: &SignedIn,
        what: &str,
        filter: &[String],
        results: usize,
    ) -> Result<(), ReviewError> {
        let (what, filter) = (what.to_owned(), filter.join(", "));
        let event = AuditEvent::RecordsViewed { what, filter, results: results as u64 };
        self.audit.append(who.actor(), event)?;
        Ok(())
    }
}
