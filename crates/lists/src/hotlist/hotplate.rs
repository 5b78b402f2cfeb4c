//! Hotplates: entries that officers add in the car, for a shift.
//!
//! In: a plate, a reason, who adds it and for how long. Out: the list `hotplates`, in service
//! beside the fleet's, and [`Hotplate`]s for those who may see them. Costs: a synchronous commit
//! for each one that is added or removed. Leaves to others: proving who a person is ([`SignedIn`]).
//!
//! Every hotplate has a reason, an author and an end. It ends on the wall clock or on the boot
//! clock, whichever comes first. If the wall clock stands before a time that was already noted, it
//! ends at once, so that setting the clock back prolongs nothing. A hotplate that cannot be audited
//! is not added.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

mod answer;
mod keep;
#[cfg(test)]
mod tests;

pub use answer::{ADD, LIST, REMOVE, Remove, Told, answer};

use self::keep::{Ends, Keep};
use super::list::Builder;
use super::{Entry, HOTPLATES, Hotlists, ListStamp, Matching, Priority};
use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::{Clock, FrameTime};
use crate::config::{HotplatesConfig, HumanDuration};
use crate::health::{Health, PartState};
use crate::in_force::Memory;
use crate::keys::DeviceKey;
use crate::plate::{Jurisdiction, JurisdictionError, ListedPlate, PlateError};
use crate::policy::{Permission, Rules, Who};
use crate::sessions::{SignedIn, Stated, StatesWho};
use crate::sqlcipher::StoreError;
use crate::text::{ForeignText, TextError, case_number};
use crate::threads::{self, UntilDropped};

/// The category of hotplates, on alerts and in what is delivered.
pub const CATEGORY: &str = "hotplate";

/// The name under which health reports this part.
const PART: &str = "hotplates";

/// Shortest reason, in characters: "stolen" is a reason, "x" is not.
const SHORTEST_REASON: usize = 5;

/// Longest reason, in characters: what an alert shows.
const LONGEST_REASON: usize = 200;

/// Fewest characters that a partial plate must state: with three, one car in a thousand (digits) to
/// one in 17,000 (letters) fits, a handful a shift; with two it would be a hundred.
const LEAST_STATED: usize = 3;

/// Why a hotplate is not added or removed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HotplateError {
    /// The text is not a plate.
    #[error("{0}")]
    Plate(#[from] PlateError),
    /// The text is not a jurisdiction.
    #[error("{0}")]
    Jurisdiction(#[from] JurisdictionError),
    /// It is a partial plate, which policy does not grant.
    #[error("partial plates (? and *) need a policy that grants them")]
    NoWildcards,
    /// It is a partial plate that too many cars fit.
    #[error("a partial plate must state at least {LEAST_STATED} characters, this one states {0}")]
    Loose(usize),
    /// The reason is too short or too long.
    #[error("give a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, it has {0}")]
    Reason(usize),
    /// The reason has characters that cannot be shown.
    #[error("the reason {0}")]
    Text(TextError),
    /// The case number is not one, or contains the plate: it leaves the car with a hit.
    #[error(
        "give the number under which the case is kept, such as 26-00417, or none: no words, no plate; the \
         rest goes into the reason, which stays in the car"
    )]
    Case,
    /// This role may not do that.
    #[error("{} may not {} by the policy in force: ask a supervisor", .0.words(), .1.words())]
    NotAllowed(Who, Permission),
    /// It would last too short or too long.
    #[error("a hotplate runs from 1m to {longest}, not {asked}")]
    Time {
        /// The time that was asked for.
        asked: HumanDuration,
        /// The longest that configuration and policy allow.
        longest: HumanDuration,
    },
    /// There are as many as are allowed.
    #[error("there are {0} hotplates, as many as may be: remove one first")]
    Full(usize),
    /// The plate is a hotplate already.
    #[error("this plate is a hotplate already, {0}: remove it first")]
    There(Ulid),
    /// There is no such hotplate.
    #[error("there is no hotplate {0}: it may have expired; see outrider hotplate list")]
    Unknown(String),
    /// It cannot be recorded in the audit log.
    #[error("not done, because it cannot be audited: {0}")]
    Audit(String),
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A hotplate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hotplate {
    /// Identifies it in the audit log, in commands and in a policy that revokes it.
    pub id: Ulid,
    /// The plate, or a pattern.
    pub plate: ListedPlate,
    /// Who issued the plate, if that is known.
    pub jurisdiction: Jurisdiction,
    /// How urgent it is.
    pub priority: Priority,
    /// Why it was added.
    pub reason: String,
    /// The case to which it belongs, if there is one.
    pub case: String,
    /// Who added it.
    pub by: String,
    /// The role in which they acted.
    pub role: Who,
    /// When it was added.
    pub added: Timestamp,
    /// When it ends on the wall clock.
    pub expires: Timestamp,
}

/// A request to add a hotplate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The plate, or a pattern where policy grants them.
    pub plate: String,
    /// Who issued the plate; empty if that is not known.
    #[serde(default)]
    pub jurisdiction: String,
    /// How urgent it is.
    #[serde(default)]
    pub priority: Priority,
    /// Why it is added.
    pub reason: String,
    /// The case to which it belongs, if there is one.
    #[serde(default)]
    pub case: String,
    /// Who adds it, if stated: it must be the person who is signed in.
    #[serde(default)]
    pub by: String,
    /// The role in which they act, if stated.
    #[serde(default)]
    pub role: Option<Who>,
    /// How long it lasts; a shift if left out.
    #[serde(default)]
    pub lasts: Option<HumanDuration>,
}

impl StatesWho for Wanted {
    fn stated(&self) -> Stated<'_> {
        Stated { number: Some(&self.by), role: self.role }
    }
}

impl HotplateError {
    /// The reason of a refusal for the audit log. What somebody typed is left out: it may be
    /// anything, even a plate.
    pub fn on_record(&self) -> String {
        match self {
            Self::Plate(_) => "no plate".into(),
            Self::Jurisdiction(_) => "no jurisdiction".into(),
            Self::Text(_) => "a reason that cannot be shown".into(),
            Self::Unknown(_) => "no such hotplate".into(),
            other => other.to_string(),
        }
    }
}

/// The hotplates of this car. There is one per daemon.
pub struct Hotplates {
    service: Arc<Hotlists>,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    audit: Audit,
    path: PathBuf,
    memory: Memory,
    /// Until when hotplates last whose store is missing.
    gone: Option<Timestamp>,
    /// Locked for one change: as long as a commit takes.
    inside: Mutex<Inside>,
}

struct Inside {
    /// The configuration.
    config: HotplatesConfig,
    rules: Rules,
    keep: Keep,
    running: Vec<(Hotplate, Ends)>,
}

impl Hotplates {
    /// Opens the hotplates of before the restart; those that have expired since are removed when
    /// this returns.
    pub fn open(
        config: &HotplatesConfig,
        state: &Path,
        device: &DeviceKey,
        service: Arc<Hotlists>,
        (clock, health, audit): (Arc<dyn Clock>, Arc<Health>, Audit),
    ) -> Result<Self, HotplateError> {
        let path = state.join("hotplates.db");
        let now = clock.now();
        let memory = Memory::new(state, device);
        let until = memory.read().hotplates_until.filter(|until| *until > now.wall);
        let gone = until.filter(|_| !path.exists());
        if let Some(until) = gone {
            tracing::error!(file = %path.display(), %until, "store of hotplates in force is missing");
        }
        let mut keep = Keep::open(&path, device)?;
        let running = keep.read(now, clock.boot())?;
        let hotplates = Self {
            service,
            clock,
            health,
            audit,
            path,
            memory,
            gone,
            inside: Mutex::new(Inside {
                config: config.clone(),
                rules: Rules::default(),
                keep,
                running,
            }),
        };
        let mut inside = hotplates.inside();
        hotplates.expire(&mut inside, now);
        hotplates.serve(&inside);
        drop(inside);
        Ok(hotplates)
    }

    /// Obeys new rules: removes at once what they revoke, and adds no longer what they forbid.
    pub fn obey(&self, rules: &Rules) {
        let mut inside = self.inside();
        inside.rules = rules.clone();
        let revoked: Vec<_> = inside
            .running
            .iter()
            .filter(|(h, _)| {
                rules.hotplates.revoked.contains(&h.id.to_string())
                    || rules.hotplates.revoked_before.is_some_and(|t| h.added < t)
            })
            .map(|(h, _)| h.id)
            .collect();
        for id in revoked {
            let event =
                AuditEvent::HotplateRemoved { id: id.to_string(), why: "revoked by policy".into() };
            // It is removed even if that cannot be recorded: a revocation never waits.
            self.audit.note(Actor::System, event);
            self.forget(&mut inside, id);
        }
        self.serve(&inside);
    }

    /// Adds a hotplate.
    pub fn add(&self, who: &SignedIn, wanted: &Wanted) -> Result<Hotplate, HotplateError> {
        let mut inside = self.inside();
        let now = self.clock.now();
        self.expire(&mut inside, now);
        let hotplate = inside.check(who, wanted, now)?;
        let event = AuditEvent::HotplateAdded {
            id: hotplate.id.to_string(),
            reason: hotplate.reason.clone(),
            case: hotplate.case.clone(),
            expires: hotplate.expires,
        };
        let on_record = self.audit.append(who.actor(), event);
        on_record.map_err(|e| HotplateError::Audit(e.to_string()))?;
        let lasts =
            Duration::try_from(hotplate.expires.duration_since(hotplate.added)).unwrap_or_default();
        let ends = Ends { boot: self.clock.boot(), at: now.monotonic + lasts };
        let Inside { keep, running, .. } = &mut *inside;
        match keep.write(&hotplate, &ends, now) {
            Err(HotplateError::Store(e)) if e.is_unusable() => {
                keep.begin_anew(running, now)?;
                keep.write(&hotplate, &ends, now)?;
            }
            done => done?,
        }
        inside.running.push((hotplate.clone(), ends));
        self.memory.note(|record| {
            record.hotplates_until = record.hotplates_until.max(Some(hotplate.expires));
        });
        self.serve(&inside);
        Ok(hotplate)
    }

    /// The hotplates in force.
    pub fn list(&self) -> Vec<Hotplate> {
        self.inside().running.iter().map(|(h, _)| h.clone()).collect()
    }

    /// Removes a hotplate.
    pub fn remove(&self, who: &SignedIn, id: &str, why: &str) -> Result<(), HotplateError> {
        let mut inside = self.inside();
        inside.may(who.role(), Permission::RemoveHotplate)?;
        let why = check_reason(why)?;
        let found = inside.running.iter().find(|(h, _)| h.id.to_string() == id.trim());
        let id = found
            .map(|(h, _)| h.id)
            .ok_or_else(|| HotplateError::Unknown(ForeignText::shown(id, 40).into()))?;
        let event = AuditEvent::HotplateRemoved { id: id.to_string(), why: why.into() };
        let on_record = self.audit.append(who.actor(), event);
        on_record.map_err(|e| HotplateError::Audit(e.to_string()))?;
        self.forget(&mut inside, id);
        self.serve(&inside);
        Ok(())
    }

    /// Removes the hotplates that have reached their end; called every second.
    pub fn tick(&self) {
        let now = self.clock.now();
        let mut inside = self.inside();
        if self.expire(&mut inside, now) || self.gone.is_some() {
            self.serve(&inside);
        }
        if !inside.running.is_empty()
            && let Err(error) = inside.keep.note_wall_clock(now)
        {
            tracing::warn!(%error, "time not written beside the hotplates");
        }
    }

    /// Ticks every second, on a thread of its own, until the handle is dropped.
    pub fn tick_on(self: Arc<Self>) -> UntilDropped {
        let tick_on = move |pause: threads::Pause| {
            while pause.goes_on_after(Duration::from_secs(1)) {
                self.tick();
            }
        };
        threads::spawn_until_dropped("hotplates", tick_on).expect("the system can start a thread")
    }

    fn expire(&self, inside: &mut Inside, now: FrameTime) -> bool {
        let over = |(h, ends): &(Hotplate, Ends)| h.expires <= now.wall || ends.at <= now.monotonic;
        let over: Vec<_> = inside.running.iter().filter(|h| over(h)).map(|(h, _)| h.id).collect();
        for id in &over {
            self.audit.note(Actor::System, AuditEvent::HotplateExpired { id: id.to_string() });
            self.forget(inside, *id);
        }
        !over.is_empty()
    }

    /// Takes a hotplate out of service first. If the disk refuses, that is logged, and the clock
    /// ends it anyway.
    fn forget(&self, inside: &mut Inside, id: Ulid) {
        inside.running.retain(|(h, _)| h.id != id);
        if let Err(error) = inside.keep.forget(id) {
            tracing::error!(%error, "hotplate out of service, still on the disk");
        }
    }

    /// Puts the list in service; if there are no hotplates, no list is shown.
    fn serve(&self, inside: &Inside) {
        let gone = self.gone.filter(|until| *until > self.clock.now().wall);
        self.health.set(PART, match gone {
            Some(until) => PartState::Impaired(format!(
                "the store of hotplates that last until {until} at the latest is missing: whoever added them \
                 must add them again"
            )),
            None => PartState::Working,
        });
        if inside.running.is_empty() {
            self.service.remove(HOTPLATES);
            return;
        }
        let now = self.clock.now().wall;
        let mut builder = Builder::default();
        for (line, (hotplate, _)) in (1..).zip(&inside.running) {
            if let Err(error) = builder.push(line, &hotplate.entry()) {
                tracing::error!(%error, "hotplate not put in service");
            }
        }
        let stamp = ListStamp {
            name: HOTPLATES.into(),
            version: inside.running.len().to_string().into(),
            source_time: now,
        };
        let matching = match inside.rules.hotplates.wildcards {
            true => Matching::Wildcard,
            false => Matching::Exact,
        };
        // The list has no age: each entry has an end of its own.
        let ages = (Duration::MAX, Duration::MAX);
        let (list, _) = builder.finish(stamp, matching, ages);
        self.service.put(list);
    }

    /// The database's path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no holder panics")
    }
}

impl Inside {
    fn may(&self, role: Who, permission: Permission) -> Result<(), HotplateError> {
        match self.rules.roles.of(role).contains(&permission) {
            true => Ok(()),
            false => Err(HotplateError::NotAllowed(role, permission)),
        }
    }

    /// Checks everything that is required of a hotplate.
    fn check(
        &self,
        who: &SignedIn,
        wanted: &Wanted,
        now: FrameTime,
    ) -> Result<Hotplate, HotplateError> {
        self.may(who.role(), Permission::AddHotplate)?;
        let plate = ListedPlate::parse(&wanted.plate)?;
        if plate.is_pattern() {
            if !self.rules.hotplates.wildcards {
                return Err(HotplateError::NoWildcards);
            }
            let stated = plate.expose().bytes().filter(u8::is_ascii_alphanumeric).count();
            if stated < LEAST_STATED {
                return Err(HotplateError::Loose(stated));
            }
        }
        let jurisdiction = Jurisdiction::parse(&wanted.jurisdiction)?;
        let reason = check_reason(&wanted.reason)?;
        let case = check_case(&wanted.case, &plate)?;
        let rules = &self.rules.hotplates;
        let longest = rules.longest.map_or(self.config.longest, |d| d.min(self.config.longest));
        let lasts = wanted.lasts.unwrap_or(self.config.shift.min(longest));
        if lasts > longest || lasts < HumanDuration::from_secs(60) {
            return Err(HotplateError::Time { asked: lasts, longest });
        }
        let most = rules.most.map_or(self.config.most, |n| n.min(self.config.most)) as usize;
        if self.running.len() >= most {
            return Err(HotplateError::Full(self.running.len()));
        }
        let same =
            |h: &Hotplate| h.plate.folded() == plate.folded() && h.jurisdiction == jurisdiction;
        if let Some((there, _)) = self.running.iter().find(|(h, _)| same(h)) {
            return Err(HotplateError::There(there.id));
        }
        let ms = u64::try_from(now.wall.as_millisecond()).unwrap_or(0);
        Ok(Hotplate {
            id: Ulid::from_parts(ms, Ulid::generate().random()),
            plate,
            jurisdiction,
            priority: wanted.priority,
            reason: reason.into(),
            case,
            by: who.number().to_owned(),
            role: who.role(),
            added: now.wall,
            expires: now.wall + lasts.get(),
        })
    }
}

impl Hotplate {
    /// The entry that is matched. It says that it is a hotplate, and who added it.
    fn entry(&self) -> Entry {
        Entry {
            jurisdiction: self.jurisdiction,
            reason: self.reason.clone(),
            source: format!("hotplate {} by {} {}", self.id, self.role.word(), self.by),
            case: self.case.clone(),
            effective: None,
            expires: Some(self.expires),
            ..Entry::plain(self.plate, CATEGORY, self.priority)
        }
    }
}

fn check_reason(reason: &str) -> Result<ForeignText, HotplateError> {
    let length = reason.trim().chars().count();
    if !(SHORTEST_REASON..=LONGEST_REASON).contains(&length) {
        return Err(HotplateError::Reason(length));
    }
    ForeignText::parse(reason, LONGEST_REASON).map_err(HotplateError::Text)
}

/// Checks a case number, which may be empty but never contain the plate.
fn check_case(case: &str, plate: &ListedPlate) -> Result<String, HotplateError> {
    if case.trim().is_empty() {
        return Ok(String::new());
    }
    let case = case_number(case).ok_or(HotplateError::Case)?;
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
    };
    let stated = plain(plate.expose());
    if stated.len() >= LEAST_STATED && plain(&case).contains(&stated) {
        return Err(HotplateError::Case);
    }
    Ok(case.into())
}
