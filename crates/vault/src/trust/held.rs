//! Holds the trust document in force: the newest that the root has signed, kept over restarts.
//!
//! In: envelopes from the topic `alpr/v1/<agency>/trust`, not verified yet. Out: the document in
//! force. Its version is sealed on the disk with the document, so that an older one is refused even
//! after a restart. A document that is refused changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::{Root, Trust, TrustError};
use crate::audit::{Audit, AuditEvent};
use crate::clock::Clock;
use crate::dsse::Envelope;
use crate::files::{self, Readers};
use crate::health::{Health, PartState};
use crate::in_force::Memory;
use crate::inbound::Inbound;
use crate::keys::sealed::Sealer;
use crate::keys::{DeviceKey, Purpose};
use crate::threads::Turns;

/// The name under which health reports this part.
const PART: &str = "trust";

/// Name of the file in the state folder, and the name under which it is sealed.
const FILE: &str = "trust.sealed";

/// Time between two checks whether somebody vouches for the time by now.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why the root's public keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The file cannot be read.
    #[error("trust.root = {path:?}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a list of keys.
    #[error(
        "trust.root = {path:?}: {why}; it must hold keys = [\"64 hexadecimal digits\", ...] and, \
         where several must sign, needed = N"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Root {
    /// Reads the root's public keys from a file, TOML or JSON.
    pub fn load(path: &Path) -> Result<Self, RootError> {
        let text = files::read_text(path, Readers::Anybody)
            .map_err(|source| RootError::Unreadable { path: path.to_owned(), source })?;
        let malformed = |why| RootError::Malformed { path: path.to_owned(), why };
        let root: Self = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?,
            false => toml::from_str(&text).map_err(|e| malformed(e.message().to_owned()))?,
        };
        if root.keys.is_empty() || !(1..=root.keys.len()).contains(&root.needed) {
            let why = format!("{} keys, of which {} must sign", root.keys.len(), root.needed);
            return Err(malformed(why));
        }
        Ok(root)
    }
}

/// Holds the trust document in force. There is one per daemon.
pub struct HeldTrust {
    root: Root,
    agency: String,
    path: PathBuf,
    sealer: Sealer,
    memory: Memory,
    /// The version that was in force, if its document is missing.
    lost: Mutex<Option<u64>>,
    /// The audit log for refusals, once it is set.
    audit: OnceLock<Audit>,
    clock: Arc<dyn Clock>,
    /// Locked to copy or to replace one pointer.
    current: Mutex<Option<Arc<Trust>>>,
    /// The highest version ever believed, even of a document that has expired since.
    known: AtomicU64,
    changes: AtomicU64,
}

impl HeldTrust {
    /// Opens the document that was in force before the restart, if there was one.
    pub fn open(
        root: Root,
        agency: &str,
        state: &Path,
        device: &DeviceKey,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let sealer = Sealer::new(device, Purpose::FleetSeal);
        let path = state.join(FILE);
        let held = Self {
            agency: agency.to_owned(),
            current: Mutex::new(None),
            known: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            root,
            path,
            sealer,
            memory: Memory::new(state, device),
            lost: Mutex::new(None),
            audit: OnceLock::new(),
            clock,
        };
        let remembered = held.memory.read().trust;
        let believed = |held: &Self| held.current.lock().expect("no holder panics").is_some();
        if let Some(json) = held.sealer.read(&held.path, FILE)? {
            held.known.store(version_of(&json), Ordering::Release);
            match held.believe(&json) {
                Ok(trust) => *held.current.lock().expect("no holder panics") = Some(trust),
                // It has expired, or the root was exchanged; the broker will send another.
                Err(e) => tracing::warn!(error = %e, "previous trust document refused"),
            }
        }
        // This car never accepts a lower version than it has believed, whatever happened to the
        // file.
        if remembered > held.known.fetch_max(remembered, Ordering::AcqRel) {
            let file = held.path.display();
            tracing::error!(%file, version = remembered, "trust document that was in force is gone or older");
            *held.lost.lock().expect("no holder panics") = Some(remembered);
            *held.current.lock().expect("no holder panics") = None;
        }
        // The memory of this car is younger than its trust document.
        if believed(&held) {
            held.memory.note(|record| record.root_keys = held.root.to_json());
        }
        Ok(held)
    }

    /// Records refusals in this audit log from now on: a few in ten minutes, and a count of the
    /// others.
    pub fn record_in(&self, audit: Audit) {
        // The first log that is set stays: a car has one.
        let _ = self.audit.set(audit);
    }

    /// Notes a refusal. Anybody on the broker can cause refusals, so that not every one gets a line
    /// in the log or a record.
    fn refused(&self, e: &TrustError) {
        let event = AuditEvent::TrustRefused { why: e.to_string() };
        if self.audit.get().is_none_or(|audit| audit.refused("trust", event)) {
            tracing::warn!(error = %e, "trust document refused");
        }
    }

    /// Applies a document if it is newer than the one in force. Returns whether it was.
    pub fn offer(&self, json: &[u8]) -> Result<bool, TrustError> {
        let trust = self.believe(json)?;
        let mut current = self.current.lock().expect("no holder panics");
        if current.as_ref().is_some_and(|held| held.document().version >= trust.document().version)
        {
            return Ok(false);
        }
        // It is written before it is used: the car must remember what it has believed.
        if let Err(e) = self.sealer.write(&self.path, FILE, json) {
            tracing::error!(error = %e, "trust document not written to the disk");
        }
        let version = trust.document().version;
        self.memory.note(|record| {
            record.trust = version.max(record.trust);
            record.root = Some(self.root.name());
            record.root_keys = self.root.to_json();
        });
        *self.lost.lock().expect("no holder panics") = None;
        tracing::info!(version, "trust document in force");
        self.known.fetch_max(trust.document().version, Ordering::AcqRel);
        *current = Some(trust);
        self.changes.fetch_add(1, Ordering::Release);
        Ok(true)
    }

    /// The document in force; `None` before the first one has arrived, and after its end.
    pub fn current(&self) -> Option<Arc<Trust>> {
        let now = self.clock.now().wall;
        let current = self.current.lock().expect("no holder panics").clone();
        current.filter(|trust| trust.document().expires.is_none_or(|end| now < end))
    }

    /// A number that grows with every new document: what was refused for want of a key is then
    /// examined again.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Applies what arrives from the broker, on a thread of its own, until the senders are dropped;
    /// reports the state in health.
    pub fn follow(self: Arc<Self>, inbound: Receiver<Inbound>, health: Arc<Health>) {
        health.set(PART, self.state(None));
        crate::threads::spawn("trust", move || {
            let mut vouched = self.clock.standing().vouched();
            // A document that was refused because of its date; it is examined again when somebody
            // vouches for the time.
            let mut ahead: Option<Vec<u8>> = None;
            let mut turns = Turns::every(LOOK_EVERY);
            loop {
                let mut payload = match inbound.recv_timeout(turns.wait()) {
                    Ok(Inbound { payload, .. }) => Some(payload),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => None,
                };
                // This check runs by the clock, whatever arrives.
                if turns.is_due() {
                    let now = self.clock.standing().vouched();
                    let known = now && !std::mem::replace(&mut vouched, now);
                    payload = payload.or_else(|| ahead.take_if(|_| known));
                }
                let Some(payload) = payload else { continue };
                let refused = self.offer(&payload).err();
                if let Some(e) = &refused {
                    self.refused(e);
                }
                if matches!(refused, Some(TrustError::Dated(_))) {
                    ahead = Some(payload);
                }
                health.set(PART, self.state(refused));
            }
        })
        .expect("the process may start threads");
    }

    fn state(&self, refused: Option<TrustError>) -> PartState {
        if let Some(version) = *self.lost.lock().expect("no holder panics") {
            let refused = refused.map_or(String::new(), |e| format!("; {e}"));
            return PartState::Down(format!(
                "the trust document that was in force, version {version}, is missing: nothing that arrives is \
                 accepted until it or a newer one arrives{refused}"
            ));
        }
        match (self.current(), refused) {
            (Some(_), None) => PartState::Working,
            (Some(held), Some(e)) => PartState::Impaired(format!(
                "{e}; version {} stays in force",
                held.document().version
            )),
            (None, None) => PartState::Starting,
            (None, Some(e)) => PartState::Down(e.to_string()),
        }
    }

    fn believe(&self, json: &[u8]) -> Result<Arc<Trust>, TrustError> {
        let known = self.known.load(Ordering::Acquire);
        let envelope = Envelope::parse(json)?;
        let now = self.clock.standing();
        Trust::open_at(&envelope, &self.root, &self.agency, known, &now).map(Arc::new)
    }
}

/// The version of a document that this car has sealed, whether or not it is still valid.
fn version_of(json: &[u8]) -> u64 {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u64,
    }
    Envelope::parse_remembered(json)
        .ok()
        .and_then(|e| serde_json::from_slice(e.unverified_payload()).ok())
        .map_or(0, |v: Version| v.version)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::SystemClock;
    use crate::dsse::SigningKey;
    use crate::inbound::{Inbound, Topic};
    use crate::trust::TrustDocument;

    fn root_key() -> SigningKey {
        SigningKey::parse(&"11".repeat(32)).unwrap()
    }

    fn document(version: u64) -> Vec<u8> {
        let document = TrustDocument {
            agency: "peel".into(),
            version,
            issued: Timestamp::UNIX_EPOCH,
            expires: None,
            keys: Vec::new(),
            withdrawn: Vec::new(),
            retired: Vec::new(),
        };
        document.sign(&[&root_key()]).to_json()
    }

    fn open(state: &Path) -> HeldTrust {
        let root = Root { keys: vec![root_key().public()], needed: 1 };
        let device = DeviceKey::load(state).unwrap();
        HeldTrust::open(root, "peel", state, &device, Arc::new(SystemClock)).unwrap()
    }

    fn version(held: &HeldTrust) -> Option<u64> {
        held.current().map(|trust| trust.document().version)
    }

    #[test]
    fn newest_document_is_in_force_and_an_older_one_refused_after_a_restart_too() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let held = open(&state);
        assert_eq!(version(&held), None);
        assert_eq!(held.offer(&document(3)), Ok(true));
        assert_eq!(held.offer(&document(3)), Ok(false), "the broker sends it again and again");
        assert_eq!(held.changes(), 1);
        let again = open(&state);
        assert_eq!(version(&again), Some(3));
        assert_eq!(again.offer(&document(2)), Err(TrustError::Rollback { found: 2, known: 3 }));
        assert_eq!(version(&again), Some(3));
    }

    #[test]
    fn version_that_was_believed_is_remembered_in_whatever_form_it_came() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let device = DeviceKey::load(&state).unwrap();
        let loose = String::from_utf8(document(5)).unwrap().replace(':', ": ");
        Sealer::new(&device, Purpose::FleetSeal)
            .write(&state.join(FILE), FILE, loose.as_bytes())
            .unwrap();
        let held = open(&state);
        assert_eq!(held.offer(&document(4)), Err(TrustError::Rollback { found: 4, known: 5 }));
        assert_eq!(held.offer(&document(5)), Ok(true));
    }

    #[test]
    fn forged_document_changes_nothing_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let held = Arc::new(open(&dir.path().join("state")));
        held.offer(&document(3)).unwrap();
        let health = Arc::new(Health::default());
        let (to, inbound) = sync_channel(4);
        held.clone().follow(inbound, health.clone());
        let mut forged = document(4);
        let at = forged.windows(9).position(|w| w == b"\"payload\"").unwrap() + 20;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        to.send(Inbound { topic: Topic::Trust, payload: forged, retained: true }).unwrap();
        for _ in 0..500 {
            if matches!(health.state(PART), Some(PartState::Impaired(_))) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let Some(PartState::Impaired(why)) = health.state(PART) else { panic!("not told") };
        assert!(why.contains("version 3 stays in force"), "{why}");
        assert_eq!(version(&held), Some(3));
    }

    #[test]
    fn flood_of_forged_documents_is_a_few_records_and_a_count() {
        use crate::config::{KeepingConfig, Vehicle};
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let held = Arc::new(open(&state));
        let keeping = KeepingConfig { directory: state, ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let health = Arc::new(Health::default());
        let clock = Arc::new(SystemClock);
        let audit = Audit::open(&keeping, &vehicle, clock, health.clone()).unwrap();
        held.record_in(audit.clone());
        let (to, inbound) = sync_channel(4);
        let following = held.clone();
        following.follow(inbound, health);
        for n in 0..200_u32 {
            let payload = format!("no document {n}").into_bytes();
            to.send(Inbound { topic: Topic::Trust, payload, retained: true }).unwrap();
        }
        drop(to);
        let refused = || {
            let records = audit.since(0, 1_000).unwrap();
            let of = |r: &&crate::audit::Record| matches!(r.event, AuditEvent::TrustRefused { .. });
            records.iter().filter(of).count()
        };
        for _ in 0..500 {
            if refused() >= 5 && Arc::strong_count(&held) == 1 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(refused(), 5, "of 200");
    }

    #[test]
    fn root_reads_from_toml_and_json_and_a_bad_one_says_what_it_must_hold() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("root"), root_key().public());
        std::fs::write(&path, format!("keys = [\"{key}\"]\n")).unwrap();
        assert_eq!(Root::load(&path).unwrap(), Root { keys: vec![key], needed: 1 });
        std::fs::write(&path, format!("{{\"keys\":[\"{key}\"],\"needed\":1}}")).unwrap();
        assert_eq!(Root::load(&path).unwrap().keys, [key]);
        for bad in ["keys = []", "keys = [\"12\"]", &format!("keys = [\"{key}\"]\nneeded = 2")] {
            std::fs::write(&path, bad).unwrap();
            let message = Root::load(&path).unwrap_err().to_string();
            assert!(message.starts_with("trust.root = "), "{message}");
            assert!(message.contains("it must hold keys ="), "{message}");
        }
    }
}
