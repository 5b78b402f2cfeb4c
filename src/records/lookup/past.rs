//! Comparing new list entries with reads of before, where a signed policy allows it.
//!
//! In: the lists in service, looked at once a second. Out: a [`PastSighting`] for each read that the ring
//! still keeps of a plate which was on no list then and is now; told as what it is, with its age, without a
//! tone, in the car alone. Costs: one pass over the ring for a change of lists that brings few entries.
//! Leaves to others: showing (the console's page), the ring's own limits.
//!
//! Entries of the fleet's lists alone: a hotplate is not compared (`permit.rs`).
//!
//! Off unless the policy in force says `lookups.past_reads`. Each comparison is a look-up: on record before
//! anything is shown, with the policy as its authority, and limited. What was found goes when the read
//! itself goes, when the policy takes the grant back, and with the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::permit::Grant;
use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::Clock;
use crate::config::{KeepingConfig, Retention};
use crate::entry::HOTPLATES;
use crate::grounds::{Permit, Sighting};
use crate::hotlist::{Entry, Hotlist, Hotlists, Serving};
use crate::plate::PlateKey;
use crate::policy::{Rules, limit_keeping};

/// Entries that are compared in [`PER`], over all lists: an AMBER alert and a handful of thefts. A list that
/// changes by more is an update of its source, not news of a plate.
const MOST: usize = 16;

/// The span of time over which that limit counts. It passes on the boot clock, which nobody can set.
const PER: Duration = Duration::from_secs(600);

/// New entries of a version past which none of it is looked at.
const MOST_NEW: usize = 1_000;

/// Findings that are shown at most; the oldest go.
const MOST_SHOWN: usize = 50;

/// The reason under which a comparison is recorded: nobody can give it for a look-up.
pub const REASON: &str = "past_reads";

/// Reads of some plates that the ring still keeps. The error is one line.
pub type SearchMany =
    Arc<dyn Fn(&Permit) -> Result<Vec<(PlateKey, Sighting)>, String> + Send + Sync>;

/// A plate that was seen before it was listed. Not a hit: nobody was alerted, and characters alone were
/// compared, since the ring keeps no jurisdiction.
#[derive(Clone, PartialEq, Serialize)]
pub struct PastSighting {
    /// The list that has it now.
    pub list: String,
    /// As listed.
    pub category: String,
    /// As listed.
    pub plate: String,
    /// Who issued the listed plate.
    pub jurisdiction: String,
    /// When it was seen.
    pub seen: Timestamp,
    /// By which camera.
    pub camera: String,
    /// Latitude and longitude, if there was a fix.
    pub place: Option<(f64, f64)>,
}

impl std::fmt::Debug for PastSighting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PastSighting(list {}, seen {}, plate redacted)", self.list, self.seen)
    }
}

/// Compares. One per daemon.
pub struct PastReads {
    hotlists: Arc<Hotlists>,
    search: SearchMany,
    audit: Audit,
    clock: Arc<dyn Clock>,
    keeping: KeepingConfig,
    authority: Authority,
    inside: Mutex<Inside>,
}

/// The version of the policy in force.
pub type Authority = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// Lists by name.
type Known = BTreeMap<Arc<str>, Arc<Hotlist>>;

#[derive(Default)]
struct Inside {
    /// How long a read may be kept, by configuration and policy.
    non_hit: Retention,
    /// The grant, and the lists as they were at the last look; nothing without a grant.
    known: Option<(Grant, Known)>,
    generation: u64,
    /// When the last comparisons were made.
    spent: VecDeque<Duration>,
    /// With the time on the boot clock from which on nobody may see it.
    found: VecDeque<(Option<Duration>, PastSighting)>,
}

/// A new entry that may be compared.
struct News {
    key: PlateKey,
    entry: Entry,
    list: Arc<str>,
    version: Arc<str>,
}

impl PastReads {
    /// Compares nothing until [`PastReads::obey`] is told of a grant.
    pub fn new(
        hotlists: Arc<Hotlists>,
        search: SearchMany,
        audit: Audit,
        clock: Arc<dyn Clock>,
        keeping: KeepingConfig,
        authority: Authority,
    ) -> Self {
        let inside = Inside { non_hit: keeping.non_hit, ..Inside::default() };
        let inside = Mutex::new(inside);
        Self { hotlists, search, audit, clock, keeping, authority, inside }
    }

    /// Goes by these rules from now on.
    pub fn obey(&self, rules: &Rules) {
        let mut keeping = self.keeping.clone();
        limit_keeping(&mut keeping, &rules.keeping);
        let mut inside = self.lock();
        inside.non_hit = keeping.non_hit;
        match Grant::of(rules).filter(|_| keeping.non_hit != Retention::Nothing) {
            None => {
                inside.known = None;
                inside.found.clear();
            }
            Some(grant) if inside.known.is_none() => {
                // What serves when the grant comes is no news.
                inside.generation = self.hotlists.generation();
                inside.known = Some((grant, known(&self.hotlists.lists())));
            }
            Some(_) => {}
        }
    }

    /// What was found and may still be shown, the latest finding last.
    pub fn found(&self) -> Vec<PastSighting> {
        let now = self.clock.now().monotonic;
        let mut inside = self.lock();
        inside.found.retain(|(until, _)| until.is_none_or(|until| now < until));
        inside.found.iter().map(|(_, sighting)| sighting.clone()).collect()
    }

    /// Looks whether a list has new entries, and compares them. To be called once a second.
    pub fn step(&self) {
        let Some((news, left_out)) = self.news() else { return };
        if news.is_empty() && left_out.is_none() {
            return;
        }
        let authority = match (self.authority)() {
            Some(version) => format!("policy version {version}"),
            None => "ceiling of the provisioning".into(),
        };
        if let Some(why) = left_out {
            self.record(AuditEvent::LookUpRefused {
                target: String::new(),
                reason: REASON.into(),
                case: authority.clone(),
                scope: "new entries of lists in service".into(),
                why,
            });
        }
        if news.is_empty() {
            return;
        }
        let permit = {
            let inside = self.lock();
            // Taken back in this moment.
            let Some((grant, _)) = &inside.known else { return };
            grant.permit(news.iter().map(|n| (&*n.list, n.key)))
        };
        let found = (self.search)(&permit);
        for News { key, entry, list, version } in news {
            let target = self.audit.tag(key);
            let (reason, case) = (REASON.into(), authority.clone());
            let scope = format!("new entry of list {list} version {version}");
            let found = match &found {
                Ok(found) => found,
                Err(why) => {
                    let why = why.clone();
                    self.record(AuditEvent::LookUpRefused { target, reason, case, scope, why });
                    continue;
                }
            };
            let sightings: Vec<_> = found.iter().filter(|(k, _)| *k == key).collect();
            let results = sightings.len() as u64;
            // Before anything is shown. If it cannot be written, nothing was found.
            if self.record(AuditEvent::LookUp { target, reason, case, scope, results }) {
                self.show(&entry, &list, sightings.into_iter().map(|(_, sighting)| sighting));
            }
        }
    }

    /// The entries to compare, and why others are not.
    fn news(&self) -> Option<(Vec<News>, Option<String>)> {
        let generation = self.hotlists.generation();
        let mut inside = self.lock();
        if inside.known.is_none() || inside.generation == generation {
            return None;
        }
        inside.generation = generation;
        let lists = self.hotlists.lists();
        let (_, known_before) = inside.known.as_mut()?;
        let before = std::mem::replace(known_before, known(&lists));
        let now = self.clock.now();
        let mut news = Vec::new();
        let mut crowds = Vec::new();
        for list in lists.iter().filter(|l| !l.covert() && !l.stopped(now.wall)) {
            let name = &list.stamp().name;
            // Adding a hotplate is no look-up: whoever wants to know of the past asks, on grounds.
            if name.as_ref() == HOTPLATES {
                continue;
            }
            // A list's first version is no news either.
            let Some(old) = before.get(name) else { continue };
            if Arc::ptr_eq(old, list.list()) {
                continue;
            }
            match new_entries(list, old, now.wall) {
                Ok(mut entries) => news.append(&mut entries),
                Err(n) => crowds.push(format!("list {name} has {n} new entries at once")),
            }
        }
        // The most urgent first, and always the same order.
        news.sort_by_key(|n| (std::cmp::Reverse(n.entry.priority), n.key.get()));
        inside.spent.retain(|at| now.monotonic.saturating_sub(*at) < PER);
        let room = MOST - inside.spent.len().min(MOST);
        if news.len() > room {
            crowds.push(format!("{} new entries are too many", news.len() - room));
            news.truncate(room);
        }
        inside.spent.extend(news.iter().map(|_| now.monotonic));
        let left_out = (!crowds.is_empty())
            .then(|| format!("{}: at most {MOST} are compared in ten minutes", crowds.join("; ")));
        Some((news, left_out))
    }

    fn show<'s>(&self, entry: &Entry, list: &str, sightings: impl Iterator<Item = &'s Sighting>) {
        let now = self.clock.now();
        let mut inside = self.lock();
        for sighting in sightings {
            let age =
                Duration::try_from(now.wall.duration_since(sighting.seen)).unwrap_or_default();
            let until = match inside.non_hit {
                Retention::For(longest) => Some(now.monotonic + longest.saturating_sub(age)),
                Retention::Session | Retention::Nothing => None,
            };
            tracing::info!(
                list,
                age_s = age.as_secs(),
                "a plate that is new on a list was seen before: on the page, no alert"
            );
            let sighting = PastSighting {
                list: list.to_owned(),
                category: entry.category.to_string(),
                plate: entry.plate.expose().to_owned(),
                jurisdiction: entry.jurisdiction.to_string(),
                seen: sighting.seen,
                camera: sighting.camera.clone(),
                place: sighting.place,
            };
            if inside.found.len() == MOST_SHOWN {
                inside.found.pop_front();
            }
            inside.found.push_back((until, sighting));
        }
    }

    fn record(&self, event: AuditEvent) -> bool {
        self.audit
            .append(Actor::System, event)
            .inspect_err(|e| tracing::warn!(error = %e, "past reads not compared"))
            .is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(lists: &[Serving]) -> Known {
    lists.iter().map(|list| (list.stamp().name.clone(), list.list().clone())).collect()
}

/// Entries in force whose plate the version before did not have; how many there are if they are a crowd.
fn new_entries(list: &Serving, old: &Hotlist, now: Timestamp) -> Result<Vec<News>, usize> {
    let fresh: Vec<PlateKey> = list.plates().filter(|key| !old.lists(*key)).collect();
    if fresh.len() > MOST_NEW {
        return Err(fresh.len());
    }
    let (name, version) = (&list.stamp().name, &list.stamp().version);
    Ok(fresh
        .into_iter()
        .filter_map(|key| {
            let mut entries = list.look_up(key, now);
            // One of a plate: the same characters are searched for once.
            let entry = entries.find(|e| list.allows(&e.category) && !e.covert)?;
            Some(News { key, entry, list: name.clone(), version: version.clone() })
        })
        .collect())
}
