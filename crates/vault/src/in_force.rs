//! Remembers what was in force in this car, sealed by the device key, so that its loss is noticed.
//!
//! In: which policy, ceiling, trust document, root, list and model versions came into force, and until
//! when there are hotplates. Out: the same after a restart, or an error if there was a memory and
//! it cannot be read. Costs: one small sealed file, written when one of them changes. Leaves to
//! others: what a car does that has lost something (the strictest rules, a start refused, a list
//! fetched anew that is not older than before).
//!
//! Without this memory, somebody who removes the file of a policy, a root or a list would have a
//! car without a policy, with a root of their own, or with last month's list. An older copy of the
//! whole state folder is not noticed here. Putting one in place takes access to the disk and to the
//! running system, and it is noticed by anybody who keeps a later head of the audit log elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dsse::KeyId;
use crate::keys::sealed::Sealer;
use crate::keys::{DeviceKey, Purpose};

/// Name of the file in the state folder, and the name under which it is sealed.
const FILE: &str = "in_force.sealed";

/// Held while the file is read and rewritten: several parts of the daemon do that.
static WRITING: Mutex<()> = Mutex::new(());

/// What was in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The highest version of a policy; 0 if there was none.
    pub policy: u64,
    /// The highest version of a trust document; 0 if there was none.
    pub trust: u64,
    /// The root whose documents were believed.
    pub root: Option<String>,
    /// Its keys, as JSON: they show that a configuration which names no root now did name one.
    pub root_keys: Option<String>,
    /// The ceiling that limited policies, as JSON.
    pub ceiling: Option<String>,
    /// When the last of the hotplates ends.
    pub hotplates_until: Option<Timestamp>,
    /// Whether a person pinned that root; the pin's own file states it too.
    pub pinned: bool,
    /// The highest version of each list, by the key that signed it.
    pub lists: BTreeMap<String, BTreeMap<KeyId, u64>>,
    /// The highest version of a package of each kind of model, by the key that signed it.
    pub models: BTreeMap<String, BTreeMap<KeyId, u64>>,
}

/// The memory of one car.
pub struct Memory {
    path: PathBuf,
    sealer: Sealer,
}

impl Memory {
    /// The memory in this state folder.
    pub fn new(state: &Path, device: &DeviceKey) -> Self {
        Self { path: state.join(FILE), sealer: Sealer::new(device, Purpose::FleetSeal) }
    }

    /// What is remembered; the default if there is no memory, or if it cannot be read.
    pub fn read(&self) -> Record {
        self.recall().unwrap_or_default().unwrap_or_default()
    }

    /// As [`Memory::read`], but it is an error if there is a memory and it cannot be read.
    pub fn recall(&self) -> io::Result<Option<Record>> {
        let lost = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        match self.sealer.read(&self.path, FILE)? {
            Some(json) => serde_json::from_slice(&json).map(Some).map_err(|e| lost(e.to_string())),
            None if self.path.exists() => {
                Err(lost(format!("{} does not open with this car's key", self.path.display())))
            }
            None => Ok(None),
        }
    }

    /// Remembers a change. A failed write is logged only: the change is in force all the same, and
    /// is written with the next one.
    pub fn note(&self, change: impl FnOnce(&mut Record)) {
        let _one_at_a_time = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = self.read();
        let mut after = before.clone();
        change(&mut after);
        if after == before && self.path.exists() {
            return;
        }
        let json = serde_json::to_vec(&after).expect("texts and numbers");
        if let Err(e) = self.sealer.write(&self.path, FILE, &json) {
            tracing::error!(error = %e, "record of what is in force not written");
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::rotation::Rotation;

    #[test]
    fn memory_lasts_over_restarts_and_a_new_key_and_damage_is_not_forgetting() {
        let dir = tempfile::tempdir().unwrap();
        let memory = |state: &Path| Memory::new(state, &DeviceKey::load(state).unwrap());
        assert_eq!(memory(dir.path()).recall().unwrap(), None);
        memory(dir.path()).note(|record| record.policy = 7);
        memory(dir.path()).note(|record| record.root = Some("r".into()));
        let known = Record { policy: 7, root: Some("r".into()), ..Record::default() };
        assert_eq!(memory(dir.path()).read(), known);
        Rotation::begin(dir.path(), false).unwrap().finish(None).unwrap();
        assert_eq!(memory(dir.path()).read(), known);
        std::fs::write(dir.path().join(FILE), b"ORS1 something else entirely").unwrap();
        assert!(memory(dir.path()).recall().is_err());
    }
}
