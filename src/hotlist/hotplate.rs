//! Hotplates: entries that officers add in the car, for a shift.
//!
//! In: a plate, a reason, who adds it and for how long. Out: the list `hotplates`, in service beside
//! the fleet's, and [`Hotplate`]s for whoever may see them. Costs: a synchronous commit for each one
//! added or removed. Leaves to others: who a person is (the command states it, the audit keeps it).
//!
//! Every one has a reason, an author and an end. It ends on the wall clock or on the boot clock,
//! whichever is first; a wall clock that stands before a time already seen ends it at once, so that
//! setting the clock back prolongs nothing. What cannot be audited is not added.

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
use crate::keys::DeviceKey;
use crate::plate::{Jurisdiction, JurisdictionError, ListedPlate, PlateError};
use crate::policy::{Permission, Rules, Who};
use crate::sqlcipher::StoreError;

/// Their category, on alerts and in what is delivered.
pub const CATEGORY: &str = "hotplate";

/// The part's name in health.
const PART: &str = "hotplates";

/// Shortest reason, in characters: "stolen" is one, "x" is none.
const SHORTEST_REASON: usize = 5;

/// Longest reason, in characters: what an alert shows.
const LONGEST_REASON: usize = 200;

/// Characters that a partial plate must state: with three, one car in a thousand (digits) to one in
/// 17,000 (letters) fits, a handful a shift; with two it would be a hundred.
const LEAST_STATED: usize = 3;

/// Why a hotplate is not added or removed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HotplateError {
    /// No plate.
    #[error("{0}")]
    Plate(#[from] PlateError),
    /// No jurisdiction.
    #[error("{0}")]
    Jurisdiction(#[from] JurisdictionError),
    /// A partial plate without a grant.
    #[error("partial plates (? and *) need a policy that grants them")]
    NoWildcards,
    /// A partial plate that fits too many.
    #[error("a partial plate must state at least {LEAST_STATED} characters, this one states {0}")]
    Loose(usize),
    /// Too short or too long to be one.
    #[error("give a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, it has {0}")]
    Reason(usize),
    /// Nobody.
    #[error("say who you are: 1 to 32 letters, digits, - or _")]
    Author,
    /// Not this role's to do.
    #[error("{} may not {} by the policy in force: ask a supervisor", .0.words(), .1.words())]
    NotAllowed(Who, Permission),
    /// Too short or too long.
    #[error("a hotplate runs from 1m to {longest}, not {asked}")]
    Time {
        /// What was asked.
        asked: HumanDuration,
        /// The longest, by configuration and policy.
        longest: HumanDuration,
    },
    /// As many as there may be.
    #[error("there are {0} hotplates, as many as may be: remove one first")]
    Full(usize),
    /// It is there.
    #[error("this plate is a hotplate already, {0}: remove it first")]
    There(Ulid),
    /// It is not there.
    #[error("there is no hotplate {0}: it may have expired; see outrider hotplate list")]
    Unknown(String),
    /// It cannot be put on record.
    #[error("not done, because it cannot be audited: {0}")]
    Audit(String),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hotplate {
    /// Names it in the audit, in commands and in a policy that revokes it.
    pub id: Ulid,
    /// The plate, or a pattern.
    pub plate: ListedPlate,
    /// Who issued the plate, if that is known.
    pub jurisdiction: Jurisdiction,
    /// How urgent.
    pub priority: Priority,
    /// Why.
    pub reason: String,
    /// The case it belongs to, if any.
    pub case: String,
    /// Who added it.
    pub by: String,
    /// In which role.
    pub role: Who,
    /// When.
    pub added: Timestamp,
    /// When it ends on the wall clock.
    pub expires: Timestamp,
}

/// What somebody wants added.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The plate, or a pattern where policy grants them.
    pub plate: String,
    /// Who issued it; empty if that is not known.
    #[serde(default)]
    pub jurisdiction: String,
    /// How urgent.
    #[serde(default)]
    pub priority: Priority,
    /// Why.
    pub reason: String,
    /// The case, if any.
    #[serde(default)]
    pub case: String,
    /// Who adds it.
    pub by: String,
    /// In which role.
    pub role: Who,
    /// For how long; a shift if nothing is said.
    #[serde(default)]
    pub lasts: Option<HumanDuration>,
}

/// The hotplates of this car. One per daemon.
pub struct Hotplates {
    service: Arc<Hotlists>,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    audit: Audit,
    path: PathBuf,
    /// Held for one change: as long as a commit takes.
    inside: Mutex<Inside>,
}

struct Inside {
    /// As configured.
    config: HotplatesConfig,
    rules: Rules,
    keep: Keep,
    running: Vec<(Hotplate, Ends)>,
}

impl Hotplates {
    /// Takes up those of before the restart; what has expired since is gone when this returns.
    pub fn open(
        config: &HotplatesConfig,
        state: &Path,
        device: &DeviceKey,
        service: Arc<Hotlists>,
        (clock, health, audit): (Arc<dyn Clock>, Arc<Health>, Audit),
    ) -> Result<Self, HotplateError> {
        let path = state.join("hotplates.db");
        let now = clock.now();
        let mut keep = Keep::open(&path, device)?;
        let running = keep.read(now, clock.boot())?;
        let hotplates = Self {
            service,
            clock,
            health,
            audit,
            path,
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

    /// Obeys new rules: what they revoke goes at once, what they forbid is no longer added.
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
            // It goes whether or not it can be put on record: a revocation never waits.
            self.audit.note(Actor::System, event);
            self.forget(&mut inside, id);
        }
        self.serve(&inside);
    }

    /// Adds one.
    pub fn add(&self, wanted: &Wanted) -> Result<Hotplate, HotplateError> {
        let mut inside = self.inside();
        let now = self.clock.now();
        self.expire(&mut inside, now);
        let hotplate = inside.check(wanted, now)?;
        let event = AuditEvent::HotplateAdded {
            id: hotplate.id.to_string(),
            reason: hotplate.reason.clone(),
            case: hotplate.case.clone(),
            expires: hotplate.expires,
        };
        let on_record = self.audit.append(hotplate.role.actor(&hotplate.by), event);
        on_record.map_err(|e| HotplateError::Audit(e.to_string()))?;
        let lasts =
            Duration::try_from(hotplate.expires.duration_since(hotplate.added)).unwrap_or_default();
        let ends = Ends { boot: self.clock.boot(), at: now.monotonic + lasts };
        inside.keep.write(&hotplate, &ends, now)?;
        inside.running.push((hotplate.clone(), ends));
        self.serve(&inside);
        Ok(hotplate)
    }

    /// Those that run.
    pub fn list(&self) -> Vec<Hotplate> {
        self.inside().running.iter().map(|(h, _)| h.clone()).collect()
    }

    /// Removes one.
    pub fn remove(&self, id: &str, role: Who, by: &str, why: &str) -> Result<(), HotplateError> {
        let mut inside = self.inside();
        inside.may(role, Permission::RemoveHotplate)?;
        check_author(by)?;
        let why = check_reason(why)?;
        let found = inside.running.iter().find(|(h, _)| h.id.to_string() == id.trim());
        let id = found.map(|(h, _)| h.id).ok_or_else(|| HotplateError::Unknown(id.into()))?;
        let event = AuditEvent::HotplateRemoved { id: id.to_string(), why: why.to_owned() };
        let on_record = self.audit.append(role.actor(by), event);
        on_record.map_err(|e| HotplateError::Audit(e.to_string()))?;
        self.forget(&mut inside, id);
        self.serve(&inside);
        Ok(())
    }

    /// To be called every second: what has reached its end goes.
    pub fn tick(&self) {
        let now = self.clock.now();
        let mut inside = self.inside();
        if self.expire(&mut inside, now) {
            self.serve(&inside);
        }
        if !inside.running.is_empty()
            && let Err(error) = inside.keep.seen(now)
        {
            tracing::warn!(%error, "time not noted beside the hotplates");
        }
    }

    /// Ticks every second, on a thread of its own, until the handle is dropped.
    pub fn tick_on(self: Arc<Self>) -> Ticking {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("hotplates".into())
            .spawn(move || {
                use std::sync::mpsc::RecvTimeoutError::Timeout;
                while stopped.recv_timeout(Duration::from_secs(1)) == Err(Timeout) {
                    self.tick();
                }
            })
            .expect("the system can start a thread");
        Ticking { stop: Some(stop), thread: Some(thread) }
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

    /// Out of service first; a disk that refuses is told, and the end holds by the clock anyway.
    fn forget(&self, inside: &mut Inside, id: Ulid) {
        inside.running.retain(|(h, _)| h.id != id);
        if let Err(error) = inside.keep.forget(id) {
            tracing::error!(%error, "hotplate out of service, still on the disk");
        }
    }

    /// Puts the list in service; where there is none, nothing is shown.
    fn serve(&self, inside: &Inside) {
        self.health.set(PART, PartState::Working);
        if inside.running.is_empty() {
            self.service.remove(HOTPLATES);
            return;
        }
        let now = self.clock.now().wall;
        let mut builder = Builder::default();
        for (line, (hotplate, _)) in (1..).zip(&inside.running) {
            if let Err(error) = builder.push(line, &hotplate.entry()) {
                tracing::error!(%error, "hotplate does not serve");
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
        // It has no age: each entry has an end of its own.
        let ages = (Duration::MAX, Duration::MAX);
        let (list, _) = builder.finish(stamp, matching, ages);
        self.service.put(list);
    }

    /// The database, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no holder panics")
    }
}

/// Ends what has reached its end, while it lives.
pub struct Ticking {
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Ticking {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Inside {
    fn may(&self, role: Who, permission: Permission) -> Result<(), HotplateError> {
        match self.rules.roles.of(role).contains(&permission) {
            true => Ok(()),
            false => Err(HotplateError::NotAllowed(role, permission)),
        }
    }

    /// Everything that a hotplate must be.
    fn check(&self, wanted: &Wanted, now: FrameTime) -> Result<Hotplate, HotplateError> {
        self.may(wanted.role, Permission::AddHotplate)?;
        check_author(&wanted.by)?;
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
            reason: reason.to_owned(),
            case: wanted.case.trim().chars().take(64).collect(),
            by: wanted.by.trim().to_owned(),
            role: wanted.role,
            added: now.wall,
            expires: now.wall + lasts.get(),
        })
    }
}

impl Hotplate {
    /// The entry that serves. It says that it is a hotplate, and whose.
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

fn check_reason(reason: &str) -> Result<&str, HotplateError> {
    let reason = reason.trim();
    let length = reason.chars().count();
    match (SHORTEST_REASON..=LONGEST_REASON).contains(&length) {
        true => Ok(reason),
        false => Err(HotplateError::Reason(length)),
    }
}

fn check_author(by: &str) -> Result<(), HotplateError> {
    if is_author(by.trim()) { Ok(()) } else { Err(HotplateError::Author) }
}

/// Whether a text can be a person's number.
pub(super) fn is_author(by: &str) -> bool {
    (1..=32).contains(&by.len())
        && by.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
