//! Applies signed policy: keeps the one in force over restarts, and calls its observers when the
//! rules change.
//!
//! In: envelopes from the broker or a file, not verified yet. Out: the rules in force. When a
//! policy is refused, the previous one stays in force, health says why, and the refusal is in the
//! audit log. A policy that cannot be recorded or written to the disk is not applied.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::changes::Change;
use super::document::{LONGEST, Opened, Policy, PolicyError, Previous, Signer};
use super::kept::{Kept, Taken};
use super::rules::Rules;
use crate::audit::{self, Actor, Audit, AuditEvent};
use crate::clock::Clock;
use crate::config::PolicyConfig;
use crate::dsse::{Envelope, KeyId};
use crate::files::{self, Readers};
use crate::health::{Health, PartState};
use crate::in_force::Memory;
use crate::inbound::Inbound;
use crate::keys::DeviceKey;
use crate::threads::Turns;
use crate::trust::{Role, Trust};

/// The name under which health reports this part.
const PART: &str = "policy";

/// What health says if the configuration no longer names its ceiling.
pub const CEILING_GONE: &str = "policy.ceiling was in force and is gone from the configuration: the ceiling of \
    before holds; name a file without rules to end it";

/// The control-socket request that returns the policy.
pub const SHOW: &str = "policy/show";

/// Time between two checks of the file, of new keys, and of the policy's end.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why the ceiling cannot be used. A car with an unusable ceiling does not start.
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
    let text = files::read_text(path, Readers::Anybody).map_err(|e| bad(e.to_string()))?;
    let ceiling: Rules = toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))?;
    if !ceiling.users.is_empty() {
        return Err(bad("users stand in a policy, a ceiling names none".into()));
    }
    Ok(ceiling)
}

/// Returns the trust document in force, if there is one.
pub type Keys = Box<dyn Fn() -> Option<Arc<Trust>> + Send + Sync>;

/// An observer, called with the rules whenever they change.
pub type Obey = Box<dyn Fn(&Rules) + Send + Sync>;

/// The state of policy, for `outrider policy show` and `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The policy in force.
    pub policy: Option<Policy>,
    /// Its signers.
    pub signers: Vec<Signer>,
    /// Whether it has expired.
    pub expired: bool,
    /// Whether there was a policy that is missing or cannot be read any more.
    pub lost: bool,
    /// Whether too few of its signers may still sign.
    #[serde(default)]
    pub withdrawn: bool,
    /// Whether a ceiling is provisioned.
    pub ceiling: bool,
    /// Why the latest policy was refused, if it was.
    pub refused: Option<String>,
}

/// Holds the policy in force. There is one per daemon.
pub struct HeldPolicy {
    agency: String,
    file: Option<PathBuf>,
    ceiling: Option<Rules>,
    /// Whether the configuration no longer names a ceiling, so that the previous one holds.
    ceiling_gone: bool,
    keys: Keys,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    audit: Audit,
    kept: Kept,
    /// Locked while a policy is examined; policies arrive about once a week.
    inside: Mutex<Inside>,
    /// Locked to copy or to replace one pointer.
    rules: Mutex<Arc<Rules>>,
    /// Locked while all observers are called.
    obeying: Mutex<Vec<Obey>>,
}

#[derive(Default)]
struct Inside {
    taken: Taken,
    /// The envelope that was refused last, and why. The broker sends it again and again, and it is
    /// examined again when new keys have arrived.
    refused: Option<(Vec<u8>, String)>,
    /// Time and size of the file when it was last read.
    seen: Option<(SystemTime, u64)>,
    expired: bool,
}

impl HeldPolicy {
    /// Opens the policy that was in force before the restart.
    pub fn open(
        config: &PolicyConfig,
        agency: &str,
        state: &Path,
        device: &DeviceKey,
        keys: Keys,
        (clock, health, audit): (Arc<dyn Clock>, Arc<Health>, Audit),
    ) -> Result<Self, CeilingError> {
        let memory = Memory::new(state, device);
        let (ceiling, ceiling_gone) = match config.ceiling.as_deref() {
            Some(path) => {
                let ceiling = load_ceiling(path)?;
                let limits = (ceiling != Rules::default()).then_some(&ceiling);
                let limits = limits.and_then(|rules| serde_json::to_string(rules).ok());
                memory.note(|record| record.ceiling = limits);
                (Some(ceiling), false)
            }
            None => {
                let before = memory.read().ceiling;
                let gone = before.is_some();
                // A ceiling that this version does not understand was a limit all the same.
                let rules = |json: String| {
                    serde_json::from_str(&json).unwrap_or_else(|_| Rules::strictest())
                };
                (before.map(rules), gone)
            }
        };
        if ceiling_gone {
            tracing::error!("{CEILING_GONE}");
        }
        let kept = Kept::new(state, device);
        // If the log cannot be read, only the memory shows that a policy is missing.
        let recorded = || audit.was_in_force().map_or(0, |(policy, _)| policy);
        let taken = kept.read(recorded);
        let held = Self {
            agency: agency.to_owned(),
            file: config.file.clone(),
            ceiling,
            ceiling_gone,
            keys,
            clock,
            health,
            audit,
            inside: Mutex::new(Inside { taken, ..Inside::default() }),
            kept,
            rules: Mutex::default(),
            obeying: Mutex::default(),
        };
        held.settle(&mut held.inside());
        Ok(held)
    }

    /// The rules in force: the policy's, and where it leaves a rule out, the ceiling's.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.lock().expect("no holder panics").clone()
    }

    /// Calls `obey` now and whenever the rules change.
    pub fn on_change(&self, obey: impl Fn(&Rules) + Send + Sync + 'static) {
        obey(&self.rules());
        self.obeying.lock().expect("no holder panics").push(Box::new(obey));
    }

    /// The state of policy.
    pub fn state(&self) -> State {
        let inside = self.inside();
        State {
            policy: inside.taken.previous.policy.clone(),
            signers: inside.taken.signers.clone(),
            expired: inside.expired,
            lost: inside.taken.previous.lost,
            withdrawn: inside.taken.withdrawn,
            ceiling: self.ceiling.is_some(),
            refused: inside.refused.as_ref().map(|(_, why)| why.clone()),
        }
    }

    /// Applies a policy if it is valid. Returns whether it is a new one.
    pub fn offer(&self, envelope: &[u8]) -> Result<bool, PolicyError> {
        let mut inside = self.inside();
        let done = self.apply(&mut inside, envelope);
        match &done {
            Ok(_) => inside.refused = None,
            Err(e) => self.refuse(&mut inside, envelope, e),
        }
        self.settle(&mut inside);
        done
    }

    fn apply(&self, inside: &mut Inside, envelope: &[u8]) -> Result<bool, PolicyError> {
        let standing = self.clock.standing();
        let keys = (self.keys)();
        self.check_signers(inside, keys.as_deref());
        let before = inside.taken.before(keys.as_deref());
        let Opened { needed, policy, signers, changes } = Policy::open_at(
            envelope,
            keys.as_deref(),
            &self.agency,
            &before,
            self.ceiling.as_ref(),
            &standing,
        )?;
        if before.policy.as_ref() == Some(&policy) && !before.lost {
            return Ok(false);
        }
        // The policy is recorded before it is in force, and on the disk before it is obeyed.
        let event = AuditEvent::PolicyApplied {
            version: policy.version,
            changes: for_audit(&changes),
            signers: signers.iter().map(|s| s.key.clone()).collect(),
        };
        let who = Actor::Author(signers[0].key.clone());
        self.audit.append(who, event).map_err(|e| PolicyError::NotTaken(e.to_string()))?;
        tracing::info!(version = policy.version, changes = changes.len(), "policy in force");
        let mut floors = inside.taken.floors.clone();
        floors.extend(signers.iter().map(|signer| (signer.key.clone(), policy.version)));
        let taken = Taken {
            previous: Previous { highest: policy.version, lost: false, policy: Some(policy) },
            signers,
            taken: Some(standing.at),
            needed,
            floors,
            withdrawn: false,
            envelope: Some(Envelope::parse(envelope)?),
        };
        self.kept.write(&taken).map_err(|e| PolicyError::NotTaken(e.to_string()))?;
        inside.taken = taken;
        Ok(true)
    }

    /// Checks that enough signers of the policy in force may still sign. If not, what they signed
    /// ends: the strictest rules hold, even after a restart, until others have signed.
    fn check_signers(&self, inside: &mut Inside, keys: Option<&Trust>) {
        let Some(trust) = keys.filter(|_| inside.taken.previous.policy.is_some()) else { return };
        let taken = &mut inside.taken;
        let stand: Vec<KeyId> = taken.signers.iter().map(|signer| signer.key.clone()).collect();
        let withdrawn = !trust.enough_stand(&stand, &Role::Policy, taken.needed);
        if std::mem::replace(&mut taken.withdrawn, withdrawn) != withdrawn {
            let version = taken.previous.policy.as_ref().map(|policy| policy.version);
            tracing::error!(
                version,
                withdrawn,
                "those who signed the policy in force have changed"
            );
            if let Err(e) = self.kept.write(taken) {
                tracing::error!(error = %e, "withdrawal of the policy's signers not written");
            }
        }
    }

    fn refuse(&self, inside: &mut Inside, envelope: &[u8], error: &PolicyError) {
        let why = error.to_string();
        // The broker sends a retained policy with every connection: one record of its refusal is
        // enough.
        if inside.refused.as_ref().is_some_and(|(e, w)| *e == envelope && *w == why) {
            return;
        }
        let claimed = unverified_content(envelope);
        let signers: Vec<KeyId> =
            claimed.as_ref().map_or_else(Vec::new, |(e, _)| e.signers().take(4).cloned().collect());
        let policy = claimed.and_then(|(_, policy)| policy);
        let changes = policy.as_ref().map_or_else(Vec::new, |policy| {
            let before = inside.taken.before((self.keys)().as_deref());
            super::changes(&before.compared_with(self.clock.now().wall), &policy.rules)
        });
        let event = AuditEvent::PolicyRefused {
            version: policy.map_or(0, |p| p.version),
            changes: for_audit(&changes),
            signers,
            why: why.clone(),
        };
        if self.audit.refused("policy", event) {
            tracing::warn!(%error, "policy refused");
        }
        let kept = envelope.get(..LONGEST).unwrap_or(envelope).to_vec();
        inside.refused = Some((kept, why));
    }

    /// Computes the rules in force and calls the observers.
    fn settle(&self, inside: &mut Inside) {
        let now = self.clock.now().wall;
        let keys = (self.keys)();
        self.check_signers(inside, keys.as_deref());
        let previous = inside.taken.before(keys.as_deref());
        inside.expired =
            previous.policy.as_ref().is_some_and(|p| p.expires.is_some_and(|end| end <= now));
        let mut rules = previous.rules_at(now);
        if let Some(ceiling) = &self.ceiling {
            rules = rules.filled_from(ceiling);
        }
        let refused = inside.refused.as_ref().map(|(_, why)| why.as_str());
        let mut state = health(inside, refused);
        if self.ceiling_gone {
            state = with_remark(state, CEILING_GONE);
        }
        self.health.set(PART, state);
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

    /// Reads the policy's file again if it has changed, and checks whether the policy in force has
    /// expired.
    pub fn refresh(&self) {
        if let Some(envelope) = self.file_text() {
            // Health and the audit log report a refusal.
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
            // A file may end with a line end, a message may not.
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
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

    /// Applies what arrives from the broker and the file, on a thread of its own, until the senders
    /// are dropped.
    pub fn follow(
        self: Arc<Self>,
        inbound: Receiver<Inbound>,
        new_keys: impl Fn() -> u64 + Send + 'static,
    ) {
        crate::threads::spawn("policy", move || {
            let mut keys = new_keys();
            let mut vouched = self.clock.standing().vouched();
            let mut turns = Turns::every(LOOK_EVERY);
            loop {
                match inbound.recv_timeout(turns.wait()) {
                    Ok(Inbound { payload, .. }) => drop(self.offer(&payload)),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                // This check runs by the clock, so that a policy expires even in a flood of
                // messages.
                if turns.is_due() {
                    self.refresh();
                }
                // A policy that was refused for want of a key, or of a known time, is examined
                // again.
                let now_vouched = self.clock.standing().vouched();
                let known = now_vouched && !std::mem::replace(&mut vouched, now_vouched);
                if known || keys != new_keys() {
                    keys = new_keys();
                    self.retry_refused();
                }
            }
        })
        .expect("the process may start threads");
    }

    /// Examines again the policy that was refused last.
    pub fn retry_refused(&self) {
        let refused = self.inside().refused.as_ref().map(|(envelope, _)| envelope.clone());
        match refused {
            Some(envelope) => _ = self.offer(&envelope),
            // The signers of the policy in force may have been withdrawn.
            None => self.settle(&mut self.inside()),
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

/// The policy in force according to the sealed file, without a daemon; for `check`.
pub fn on_disk(state: &Path, device: &DeviceKey) -> (Option<Policy>, bool) {
    let taken = Kept::new(state, device).peek();
    (taken.previous.policy, taken.previous.lost || taken.withdrawn)
}

/// Whether a ceiling was in force that this configuration no longer names; for `check`.
pub fn ceiling_gone(config: &PolicyConfig, state: &Path, device: &DeviceKey) -> bool {
    config.ceiling.is_none() && Memory::new(state, device).read().ceiling.is_some()
}

/// A part's state with a remark added.
fn with_remark(state: PartState, what: &str) -> PartState {
    match state {
        PartState::Down(why) => PartState::Down(format!("{why}; {what}")),
        PartState::Impaired(why) => PartState::Impaired(format!("{why}; {what}")),
        _ => PartState::Impaired(what.to_owned()),
    }
}

fn health(inside: &Inside, refused: Option<&str>) -> PartState {
    let previous = &inside.taken.previous;
    match (&previous.policy, refused) {
        (None, refused) if previous.lost => PartState::Down(format!(
            "the policy in force cannot be read any more, or is gone: nothing is kept, lists match exactly{}",
            refused.map_or(String::new(), |why| format!("; {why}"))
        )),
        (Some(policy), refused) if inside.taken.withdrawn => PartState::Down(format!(
            "the signers of policy version {} may no longer sign: nothing is kept, lists match exactly{}",
            policy.version,
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
            "policy version {} has expired: its limits stay in force, its grants have lapsed",
            policy.version
        )),
        (Some(_), None) => PartState::Working,
    }
}

/// The content that an envelope states, not verified.
fn unverified_content(envelope: &[u8]) -> Option<(Envelope, Option<Policy>)> {
    let envelope = Envelope::parse(envelope.get(..LONGEST).unwrap_or(envelope)).ok()?;
    let policy = Policy::parse(envelope.unverified_payload()).ok();
    Some((envelope, policy))
}

/// Most changes in one audit record.
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
