//! Keeping a hit and its pictures past their retention, because somebody answers for it; and ending that.
//!
//! In: a [`Request`] and who made it. Out: what was done, after it is in the audit log.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::audit::{Audit, AuditEvent};
use crate::clock::Clock;
use crate::hits::{Holds, held_hits};
use crate::sessions::{SignedIn, Stated, StatesWho};

/// What is asked of the control socket.
pub const HOLD: &str = "hold";

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Keep a hit.
    Place {
        /// Which, by its ULID.
        hit: String,
        /// Why.
        reason: String,
        /// Who says so, where that is stated: it has to be who is signed in.
        #[serde(default)]
        author: String,
        /// When the hold ends by itself.
        until: Timestamp,
    },
    /// End the holds of a hit.
    Release {
        /// Which, by its ULID.
        hit: String,
        /// Who says so, where that is stated: it has to be who is signed in.
        #[serde(default)]
        author: String,
    },
    /// Tell the holds in force.
    List,
}

impl StatesWho for Request {
    fn stated(&self) -> Stated<'_> {
        match self {
            Self::Place { author, .. } | Self::Release { author, .. } => {
                Stated { number: Some(author), role: None }
            }
            Self::List => Stated::default(),
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// The hit is kept.
    Placed {
        /// Which.
        hit: String,
        /// Until when.
        until: Timestamp,
    },
    /// Its retention counts again.
    Ended {
        /// Which.
        hit: String,
        /// How many holds have ended.
        holds: usize,
    },
    /// A line of JSON each.
    InForce(Vec<String>),
}

/// Whether this person may hold hits and end that; the error says who may.
pub fn may(who: &SignedIn) -> Result<(), String> {
    match who.role().holds() {
        true => Ok(()),
        false => Err(format!(
            "{} may not hold hits or end a hold: a supervisor or an auditor may",
            who.role().words()
        )),
    }
}

/// The holds in force.
///
/// # Errors
///
/// A store that cannot be read.
pub fn list(holds: &Holds) -> anyhow::Result<Done> {
    let each = holds.in_force()?;
    Ok(Done::InForce(each.iter().map(serde_json::to_string).collect::<Result<_, _>>()?))
}

/// Does it, and writes it down.
///
/// # Errors
///
/// A role that does not hold hits, no such hit, a reason that says nothing, a store or an audit log that cannot be
/// written.
pub fn carry_out(
    holds: &Holds,
    audit: &Audit,
    who: &SignedIn,
    request: Request,
) -> anyhow::Result<Done> {
    if !matches!(request, Request::List) {
        may(who).map_err(anyhow::Error::msg)?;
    }
    let author = format!("{} {}", who.role().word(), who.number());
    let named = |hit: &str| Ulid::from_string(hit).with_context(|| format!("{hit:?} is no hit"));
    // What nobody could read of later is not done.
    if let Some(why) = audit.closed().filter(|_| !matches!(request, Request::List)) {
        bail!("no hold without a record: {why}");
    }
    Ok(match request {
        Request::List => list(holds)?,
        Request::Release { hit, author: _ } => {
            let id = named(&hit)?;
            let ended = holds.release(id, &author)?;
            let why = format!("ended by {author}");
            audit.append(who.actor(), AuditEvent::LegalHoldEnded { hit: id, why })?;
            Done::Ended { hit, holds: ended }
        }
        Request::Place { hit, reason, author: _, until } => {
            let hold = holds.place(named(&hit)?, &reason, &author, until)?;
            let reason = format!("{}, for {}", hold.reason, hold.author);
            audit.append(who.actor(), AuditEvent::LegalHold { hit: hold.hit, until, reason })?;
            Done::Placed { hit, until: hold.until }
        }
    })
}

/// Refuses what would destroy a hit under legal hold: its hold is ended first, by name and on record. What
/// cannot be read any more is not held by this.
pub(crate) fn refuse_held(state: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
    match held_hits(state, clock) {
        Ok(hits @ 1..) => bail!(
            "{hits} hits are under legal hold: export them (outrider evidence) and end their holds \
             (outrider hold HIT --release --author NAME) first"
        ),
        Ok(0) => Ok(()),
        Err(e) => {
            tracing::warn!(error = %e, "nobody can tell whether a hit is under legal hold");
            Ok(())
        }
    }
}
