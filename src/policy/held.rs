//! The policy that this car goes by: taken, kept, obeyed, and told.
//!
//! In: envelopes from the broker or a file, none of them believed yet. Out: the rules in force, and a
//! word to whoever must obey when they change. A policy that is refused leaves the one before, is told
//! in health and audited. What cannot be audited or kept is not taken.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::changes::Change;
use super::document::{LONGEST, Opened, Policy, PolicyError, Signer};
use super::kept::{Kept, Taken};
use super::rules::Rules;
use crate::audit::{self, Actor, Audit, AuditEvent};
use crate::clock::Clock;
use crate::config::PolicyConfig;
use crate::downlink::Inbound;
use crate::dsse::{Envelope, KeyId};
use crate::health::{Health, PartState};
use crate::keys::DeviceKey;
use crate::trust::Trust;

/// The part's name in health.
const PART: &str = "policy";

/// What a command asks of the control socket to be shown the policy.
pub const SHOW: &str = "policy/show";

/// Time between two looks at the file, at new keys, and at the policy's date.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why the ceiling cannot be used. A car without its ceiling does not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "policy.ceiling = {path:?}: {why}; it holds the tables of a policy's rules, such as [keeping] non_hit = \"3m\""
)]
pub struct CeilingError {
    /// The file.
    path: PathBuf,
    /// What is wrong.
    why: String,
}

/// Reads a ceiling: rules in TOML.
pub fn load_ceiling(path: &Path) -> Result<Rules, CeilingError> {
    let bad = |why: String| CeilingError { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))
}

/// Who may sign, as far as is known at the moment.
pub type Keys = Box<dyn Fn() -> Option<Arc<Trust>> + Send + Sync>;

/// Told the rules whenever they change.
pub type Obey = Box<dyn Fn(&Rules) + Send + Sync>;

/// How things stand, for `outrider policy show` and `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The policy in force.
    pub policy: Option<Policy>,
    /// Who signed it.
    pub signers: Vec<Signer>,
    /// Whether it is past its date.
    pub expired: bool,
    /// Whether there was one that cannot be read any more.
    pub lost: bool,
    /// Whether a ceiling is provisioned.
    pub ceiling: bool,
    /// Why the latest one was not taken, if it was not.
    pub refused: Option<String>,
}

/// The policy in force. One per daemon.
pub struct HeldPolicy {
    agency: String,
    file: Option<PathBuf>,
    ceiling: Option<Rules>,
    keys: Keys,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    audit: Audit,
    kept: Kept,
    /// Held while a policy is looked at: policies come one a week.
    inside: Mutex<Inside>,
    /// Held to copy or to replace one pointer.
    rules: Mutex<Arc<Rules>>,
    /// Held to tell all of them.
    obeying: Mutex<Vec<Obey>>,
}

#[derive(Default)]
struct Inside {
    taken: Taken,
    /// The envelope that was refused last, and why: the broker sends it again and again, and it is
    /// worth another look when new keys have arrived.
    refused: Option<(Vec<u8>, String)>,
    /// The file as it was when it was read last.
    seen: Option<(SystemTime, u64)>,
    expired: bool,
}

impl HeldPolicy {
    /// Takes up what was in force before the restart.
    pub fn open(
        config: &PolicyConfig,
        agency: &str,
        state: &Path,
        device: &DeviceKey,
        keys: Keys,
        (clock, health, audit): (Arc<dyn Clock>, Arc<Health>, Audit),
    ) -> Result<Self, CeilingError> {
        let ceiling = config.ceiling.as_deref().map(load_ceiling).transpose()?;
        let kept = Kept::new(state, device);
        let held = Self {
            agency: agency.to_owned(),
            file: config.file.clone(),
            ceiling,
            keys,
            clock,
            health,
            audit,
            inside: Mutex::new(Inside { taken: kept.read(), ..Inside::default() }),
            kept,
            rules: Mutex::default(),
            obeying: Mutex::default(),
        };
        held.settle(&mut held.inside());
        Ok(held)
    }

    /// The rules in force: the policy's, and where it is silent the ceiling's.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.lock().expect("no holder panics").clone()
    }

    /// Calls `obey` now and whenever the rules change.
    pub fn tell(&self, obey: impl Fn(&Rules) + Send + Sync + 'static) {
        obey(&self.rules());
        self.obeying.lock().expect("no holder panics").push(Box::new(obey));
    }

    /// How things stand.
    pub fn state(&self) -> State {
        let inside = self.inside();
        State {
            policy: inside.taken.previous.policy.clone(),
            signers: inside.taken.signers.clone(),
            expired: inside.expired,
            lost: inside.taken.previous.lost,
            ceiling: self.ceiling.is_some(),
            refused: inside.refused.as_ref().map(|(_, why)| why.clone()),
        }
    }

    /// Takes a policy if it is believed. Returns whether it is a new one.
    pub fn offer(&self, envelope: &[u8]) -> Result<bool, PolicyError> {
        let mut inside = self.inside();
        let done = self.take(&mut inside, envelope);
        match &done {
            Ok(_) => inside.refused = None,
            Err(e) => self.refuse(&mut inside, envelope, e),
        }
        self.settle(&mut inside);
        done
    }

    fn take(&self, inside: &mut Inside, envelope: &[u8]) -> Result<bool, PolicyError> {
        let now = self.clock.now().wall;
        let keys = (self.keys)();
        let Opened { policy, signers, changes } = Policy::open(
            envelope,
            keys.as_deref(),
            &self.agency,
            &inside.taken.previous,
            self.ceiling.as_ref(),
            now,
        )?;
        let previous = &inside.taken.previous;
        if previous.policy.as_ref() == Some(&policy) {
            return Ok(false);
        }
        // On record before it is in force, and on the disk before it is obeyed.
        let event = AuditEvent::PolicyApplied {
            version: policy.version,
            changes: for_audit(&changes),
            signers: signers.iter().map(|s| s.key.clone()).collect(),
        };
        let who = Actor::Author(signers[0].key.clone());
        self.audit.append(who, event).map_err(|e| PolicyError::NotTaken(e.to_string()))?;
        self.kept
            .write(envelope, policy.version, &signers, now)
            .map_err(|e| PolicyError::NotTaken(e.to_string()))?;
        tracing::info!(version = policy.version, changes = changes.len(), "policy in force");
        inside.taken.previous.highest = policy.version;
        inside.taken.previous.lost = false;
        inside.taken.previous.policy = Some(policy);
        inside.taken.signers = signers;
        inside.taken.taken = Some(now);
        Ok(true)
    }

    fn refuse(&self, inside: &mut Inside, envelope: &[u8], error: &PolicyError) {
        let why = error.to_string();
        // The broker sends a retained policy with every connection: once is enough on record.
        if inside.refused.as_ref().is_some_and(|(e, w)| *e == envelope && *w == why) {
            return;
        }
        tracing::warn!(%error, "policy refused");
        let claimed = claims(envelope);
        let signers: Vec<KeyId> =
            claimed.as_ref().map_or_else(Vec::new, |(e, _)| e.signers().take(4).cloned().collect());
        let policy = claimed.and_then(|(_, policy)| policy);
        let changes = policy.as_ref().map_or_else(Vec::new, |policy| {
            let before = inside.taken.previous.rules_at(self.clock.now().wall);
            super::changes(&before, &policy.rules)
        });
        self.audit.note(
            Actor::System,
            AuditEvent::PolicyRefused {
                version: policy.map_or(0, |p| p.version),
                changes: for_audit(&changes),
                signers,
                why: why.clone(),
            },
        );
        let kept = envelope.get(..LONGEST).unwrap_or(envelope).to_vec();
        inside.refused = Some((kept, why));
    }

    /// Works out the rules in force and tells whoever must know.
    fn settle(&self, inside: &mut Inside) {
        let now = self.clock.now().wall;
        let previous = &inside.taken.previous;
        inside.expired =
            previous.policy.as_ref().is_some_and(|p| p.expires.is_some_and(|end| end <= now));
        let mut rules = previous.rules_at(now);
        if let Some(ceiling) = &self.ceiling {
            rules = rules.filled_from(ceiling);
        }
        let refused = inside.refused.as_ref().map(|(_, why)| why.as_str());
        self.health.set(PART, health(inside, refused));
        self.health.set_policy(previous.policy.as_ref().map(|policy| policy.version));
        let news = {
            let mut current = self.rules.lock().expect("no holder panics");
            let news = **current != rules;
            *current = Arc::new(rules.clone());
            news
        };
        if news {
            for obey in self.obeying.lock().expect("no holder panics").iter() {
                obey(&rules);
            }
        }
    }

    /// Looks at the file and at the policy's date.
    pub fn look(&self) {
        if let Some(envelope) = self.file_text() {
            // Refusals are told where everyone looks: health and audit.
            let _ = self.offer(&envelope);
        } else {
            self.settle(&mut self.inside());
        }
    }

    fn file_text(&self) -> Option<Vec<u8>> {
        let path = self.file.as_ref()?;
        let meta = std::fs::metadata(path).ok()?;
        let mark = Some((meta.modified().ok()?, meta.len()));
        {
            let mut inside = self.inside();
            if inside.seen == mark {
                return None;
            }
            inside.seen = mark;
        }
        let read = || -> io::Result<Vec<u8>> {
            use io::Read as _;
            let mut bytes = Vec::new();
            std::fs::File::open(path)?.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "policy file not read");
                None
            }
        }
    }

    /// Takes what comes from the broker and the file, on a thread of its own, until the senders are
    /// gone.
    pub fn follow(
        self: Arc<Self>,
        inbound: Receiver<Inbound>,
        new_keys: impl Fn() -> u64 + Send + 'static,
    ) {
        std::thread::Builder::new()
            .name("policy".into())
            .spawn(move || {
                let mut keys = new_keys();
                loop {
                    match inbound.recv_timeout(LOOK_EVERY) {
                        Ok(Inbound { payload, .. }) => drop(self.offer(&payload)),
                        Err(RecvTimeoutError::Timeout) => self.look(),
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                    // What was refused for want of a key is worth another look.
                    if keys != new_keys() {
                        keys = new_keys();
                        self.again();
                    }
                }
            })
            .expect("the process may start threads");
    }

    /// Looks again at what was refused last.
    pub fn again(&self) {
        let refused = self.inside().refused.as_ref().map(|(envelope, _)| envelope.clone());
        if let Some(envelope) = refused {
            let _ = self.offer(&envelope);
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no holder panics")
    }
}

impl std::fmt::Debug for HeldPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = self.inside().taken.previous.policy.as_ref().map(|p| p.version);
        f.debug_struct("HeldPolicy").field("version", &version).finish_non_exhaustive()
    }
}

/// What is in force by what is sealed on the disk, without a daemon: for `check`.
pub fn on_disk(state: &Path, device: &DeviceKey) -> (Option<Policy>, bool) {
    let taken = Kept::new(state, device).read();
    (taken.previous.policy, taken.previous.lost)
}

fn health(inside: &Inside, refused: Option<&str>) -> PartState {
    let previous = &inside.taken.previous;
    match (&previous.policy, refused) {
        (None, refused) if previous.lost => PartState::Down(format!(
            "the policy in force cannot be read any more: nothing is kept, lists match exactly{}",
            refused.map_or(String::new(), |why| format!("; {why}"))
        )),
        (None, None) => PartState::Off,
        (None, Some(why)) => {
            PartState::Impaired(format!("{why}; no policy is in force, the configuration decides"))
        }
        (Some(policy), Some(why)) => {
            PartState::Impaired(format!("{why}; version {} stays in force", policy.version))
        }
        (Some(policy), None) if inside.expired => PartState::Impaired(format!(
            "version {} is past its date: it limits on and grants nothing",
            policy.version
        )),
        (Some(_), None) => PartState::Working,
    }
}

/// What an envelope claims to be, nothing proven.
fn claims(envelope: &[u8]) -> Option<(Envelope, Option<Policy>)> {
    let envelope = Envelope::parse(envelope.get(..LONGEST).unwrap_or(envelope)).ok()?;
    let policy = Policy::parse(envelope.unverified_payload()).ok();
    Some((envelope, policy))
}

/// Most changes that one audit record lists.
const MOST_CHANGES: usize = 64;

fn for_audit(changes: &[Change]) -> Vec<audit::Change> {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let each = changes.iter().take(MOST_CHANGES).map(|c| audit::Change {
        field: c.what.chars().take(80).collect(),
        old: said(&c.old),
        new: said(&c.new),
    });
    each.collect()
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
