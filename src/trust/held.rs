//! The trust document that this car goes by: the newest that the root has signed, kept over restarts.
//!
//! In: envelopes from the topic `alpr/v1/<agency>/trust`, none of them believed yet. Out: the document
//! in force. The version that was believed last is sealed on disk with the document, so that an older
//! one is refused after a restart as well. A document that is refused changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use super::{Root, Trust, TrustError};
use crate::clock::Clock;
use crate::downlink::Inbound;
use crate::dsse::Envelope;
use crate::health::{Health, PartState};
use crate::keys::{DeviceKey, Purpose};
use crate::sealed::Sealer;

/// The part's name in health.
const PART: &str = "trust";

/// Name of the file in the state folder, and what it is sealed under.
const FILE: &str = "trust.sealed";

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
    /// It is no list of keys.
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
        let text = std::fs::read_to_string(path)
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

/// What this car believes. One per daemon.
pub struct HeldTrust {
    root: Root,
    agency: String,
    path: PathBuf,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    /// Held to copy or to replace one pointer.
    current: Mutex<Option<Arc<Trust>>>,
    /// The highest version ever believed, also of a document that has expired since.
    known: AtomicU64,
    changes: AtomicU64,
}

impl HeldTrust {
    /// Takes up the document that was in force before the restart, if there was one.
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
            clock,
        };
        if let Some(json) = held.sealer.read(&held.path, FILE)? {
            held.known.store(version_of(&json), Ordering::Release);
            match held.believe(&json) {
                Ok(trust) => *held.current.lock().expect("no holder panics") = Some(trust),
                // Expired, or the root was exchanged: the next one from the broker will do.
                Err(e) => tracing::warn!(error = %e, "trust document of before not taken up"),
            }
        }
        Ok(held)
    }

    /// Takes a document if it is newer than the one in force. Returns whether it was.
    pub fn offer(&self, json: &[u8]) -> Result<bool, TrustError> {
        let trust = self.believe(json)?;
        let mut current = self.current.lock().expect("no holder panics");
        if current.as_ref().is_some_and(|held| held.document().version >= trust.document().version)
        {
            return Ok(false);
        }
        // Before it is used: what this car has once believed it must remember.
        if let Err(e) = self.sealer.write(&self.path, FILE, json) {
            tracing::error!(error = %e, "trust document not kept over a restart");
        }
        tracing::info!(version = trust.document().version, "trust document in force");
        self.known.fetch_max(trust.document().version, Ordering::AcqRel);
        *current = Some(trust);
        self.changes.fetch_add(1, Ordering::Release);
        Ok(true)
    }

    /// The document in force; `None` before the first one has come, and after its date.
    pub fn current(&self) -> Option<Arc<Trust>> {
        let now = self.clock.now().wall;
        let current = self.current.lock().expect("no holder panics").clone();
        current.filter(|trust| trust.document().expires.is_none_or(|end| now < end))
    }

    /// Goes up with every new document: what was refused for want of a key is worth another look.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Takes what comes from the broker, on a thread of its own, until the senders are gone; says in
    /// health how it stands.
    pub fn follow(self: Arc<Self>, inbound: Receiver<Inbound>, health: Arc<Health>) {
        health.set(PART, self.state(None));
        std::thread::Builder::new()
            .name("trust".into())
            .spawn(move || {
                for Inbound { payload, .. } in inbound {
                    let refused = self.offer(&payload).err();
                    if let Some(e) = &refused {
                        tracing::warn!(error = %e, "trust document refused");
                    }
                    health.set(PART, self.state(refused));
                }
            })
            .expect("the process may start threads");
    }

    fn state(&self, refused: Option<TrustError>) -> PartState {
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
        let now = self.clock.now().wall;
        Trust::open(&envelope, &self.root, &self.agency, known, now).map(Arc::new)
    }
}

/// The version of a document that this car has sealed, whether or not it holds still.
fn version_of(json: &[u8]) -> u64 {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u64,
    }
    Envelope::parse(json)
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
    use crate::downlink::{Downlink, Topic};
    use crate::dsse::SigningKey;
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
    fn forged_document_changes_nothing_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let held = Arc::new(open(&dir.path().join("state")));
        held.offer(&document(3)).unwrap();
        let health = Arc::new(Health::default());
        let vehicle = crate::config::Vehicle { id: "4127".into(), agency: "peel".into() };
        let (downlink, (to, inbound)) = (Downlink::new(&vehicle), sync_channel(4));
        downlink.subscribe(Topic::Trust, to);
        held.clone().follow(inbound, health.clone());
        let mut forged = document(4);
        let at = forged.windows(9).position(|w| w == b"\"payload\"").unwrap() + 20;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        downlink.deliver_for_tests(&Topic::Trust, &forged, true);
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
