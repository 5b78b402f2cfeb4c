//! Look-ups: one plate, in what this car still keeps, by somebody who says who they are and why.
//!
//! In: a [`Request`]. Out: [`Found`], after the look-up is in the audit log; or a refusal, which is in the
//! log too. Costs: a scan of the hits and of the ring's buckets: there is no index that would make
//! searching cheap, on purpose. Leaves to others: who may do what (policy), reading the ring's
//! buckets (`onboard/store`), which it opens for a [`Permit`] alone.
//!
//! Absent on purpose: a look-up by place, by part of a plate, of all reads, or over several cars.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub mod past;
#[cfg(test)]
mod past_tests;
mod permit;
#[cfg(test)]
mod tests;

use crate::audit::{Audit, AuditError, AuditEvent};
use crate::clock::{Clock, FrameTime};
use crate::grounds::{Permissions, Permit, Reason, Sighting, VagueError, case_number};
use crate::hits::{Outbox, OutboxError};
use crate::plate::{Plate, PlateError};
use crate::policy::Who;
use crate::sessions::{SignedIn, Stated, StatesWho};

/// What a look-up may reach back without a supervisor.
const ONE_DAY: SignedDuration = SignedDuration::from_hours(24);

/// Look-ups that one person may make in [`PER`]: work at the roadside needs two or three.
const MOST_PER_PERSON: usize = 6;

/// Look-ups that all persons together may make in [`PER`] in one car.
const MOST_PER_CAR: usize = 12;

/// The span of time over which those limits count. It passes on the boot clock, which nobody can set.
const PER: Duration = Duration::from_secs(600);

/// What somebody wants to know, and on what grounds.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The plate, whole.
    pub plate: String,
    /// Who asks, where that is stated: it has to be who is signed in.
    #[serde(default)]
    pub officer: String,
    /// In which role, where that is stated.
    #[serde(default)]
    pub role: Option<Who>,
    /// Why, by code.
    pub reason: String,
    /// For which case.
    pub case: String,
    /// From when on; a day back if nothing is said.
    pub since: Option<Timestamp>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request(by {}, {}, plate redacted)", self.officer, self.reason)
    }
}

impl StatesWho for Request {
    fn stated(&self) -> Stated<'_> {
        Stated { number: Some(&self.officer), role: self.role }
    }
}

/// A hit of the plate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HitFound {
    /// Its name.
    pub hit: String,
    /// When.
    pub seen: Timestamp,
    /// Which camera.
    pub camera: String,
    /// The list it is on.
    pub list: String,
    /// As listed.
    pub category: String,
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Hits of the plate.
    pub hits: Vec<HitFound>,
    /// Reads on no list.
    pub reads: Vec<Sighting>,
    /// What there was to search, in words.
    pub searched: String,
}

/// Why there is no answer. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// Not a plate.
    #[error("{0}: give the whole plate; part of one is not looked up")]
    Plate(#[from] PlateError),
    /// No grounds.
    #[error(transparent)]
    Vague(#[from] VagueError),
    /// Not this role.
    #[error("{role} may not {what}: ask a supervisor, or whoever signs this agency's policy")]
    Role {
        /// Who asked.
        role: &'static str,
        /// For what.
        what: &'static str,
    },
    /// Too many.
    #[error(
        "too many look-ups: at most {most} in ten minutes{whose}; wait, or ask a supervisor why so many are needed"
    )]
    Rate {
        /// How many.
        most: usize,
        /// By whom.
        whose: &'static str,
    },
    /// It could not be written down, so it does not happen.
    #[error("no look-up without a record: {0}")]
    Unaudited(#[from] AuditError),
    /// The hits.
    #[error(transparent)]
    Hits(#[from] OutboxError),
    /// The ring.
    #[error("reads on no list could not be searched: {0}")]
    Ring(String),
}

/// Searches the ring. The error is one line.
pub type SearchReads = Arc<dyn Fn(&Permit) -> Result<Vec<Sighting>, String> + Send + Sync>;

/// Where look-ups are made. One per daemon.
pub struct LookUps {
    /// Everything asked goes here first.
    pub audit: Audit,
    /// The hits.
    pub outbox: Outbox,
    /// The ring; `None` where nothing is ever kept.
    pub reads: Option<SearchReads>,
    /// Who may.
    pub permissions: Permissions,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When each of the last look-ups was made, and by whom.
    pub recent: Recent,
}

/// The last look-ups, for their number.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<(Duration, String)>>);

impl Recent {
    fn take(&self, now: Duration, officer: &str) -> Result<(), LookUpError> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|(at, _)| now.saturating_sub(*at) < PER);
        if recent.len() >= MOST_PER_CAR {
            return Err(LookUpError::Rate { most: MOST_PER_CAR, whose: " in one car" });
        }
        if recent.iter().filter(|(_, who)| who == officer).count() >= MOST_PER_PERSON {
            return Err(LookUpError::Rate { most: MOST_PER_PERSON, whose: " by one person" });
        }
        recent.push_back((now, officer.to_owned()));
        Ok(())
    }
}

impl LookUps {
    /// Answers a request, once it is written down.
    pub fn ask(&self, person: &SignedIn, request: &Request) -> Result<Found, LookUpError> {
        let who = person.actor();
        let now = self.clock.now();
        let since = request.since.unwrap_or(now.wall - ONE_DAY);
        let plate = Plate::parse(&request.plate);
        // A text that is no plate has no key to make a tag of.
        let target = plate.as_ref().map_or(String::new(), |p| self.audit.tag(p.key()));
        let scope = format!("since {since:.0}");
        let done = plate
            .map_err(LookUpError::from)
            .and_then(|plate| self.search(person, request, plate, since, now));
        // What is neither a code nor a case may be anything, a plate too: the log has no place for it.
        let good =
            |text: &str, good: bool| if good { text.trim().to_owned() } else { String::new() };
        let reason = good(&request.reason, Reason::parse(&request.reason).is_ok());
        let case = good(&request.case, case_number(&request.case).is_ok());
        match done {
            Ok(found) => {
                let results = (found.hits.len() + found.reads.len()) as u64;
                let event = AuditEvent::LookUp { target, reason, case, scope, results };
                // Before anything is shown. If it cannot be written, nothing was found.
                self.audit.append(who, event)?;
                Ok(found)
            }
            Err(e) => {
                let why = match &e {
                    LookUpError::Vague(vague) => vague.on_record().to_owned(),
                    other => other.to_string(),
                };
                let event = AuditEvent::LookUpRefused { target, reason, case, scope, why };
                self.audit.append(who, event)?;
                Err(e)
            }
        }
    }

    fn search(
        &self,
        person: &SignedIn,
        request: &Request,
        plate: Plate,
        since: Timestamp,
        now: FrameTime,
    ) -> Result<Found, LookUpError> {
        let permit = permit::for_person(self, person, request, &plate, since, now)?;
        let hits = self
            .outbox
            .recent(usize::MAX)?
            .into_iter()
            // Who looks up in the car must not learn of a covert hit there: the fleet has it.
            .filter(|kept| kept.report.seen >= since && !kept.report.covert)
            .filter(|kept| {
                Plate::parse(&kept.report.read.plate).is_ok_and(|p| p.key() == plate.key())
            })
            .map(|kept| HitFound {
                hit: kept.id.to_string(),
                seen: kept.report.seen,
                camera: kept.report.camera.to_string(),
                list: kept.report.entry.list,
                category: kept.report.entry.category,
            })
            .collect();
        let (reads, searched) = match &self.reads {
            None => (
                Vec::new(),
                "the hits of this car; reads on no list are not kept here: there is nothing to search",
            ),
            Some(search) => (
                search(&permit).map_err(LookUpError::Ring)?,
                "the hits of this car, and the reads on no list that it still keeps",
            ),
        };
        Ok(Found { hits, reads, searched: searched.into() })
    }
}
