//! Remembers the root for which this car was provisioned, in the state folder.
//!
//! In: the root of the configuration, at `outrider provision device` or `pin-root`. Out: whether a
//! later start has the same root. Costs: one small sealed file. Leaves to others: the audit record.
//!
//! Otherwise somebody who exchanges the file that `trust.root` names could sign lists, policy and
//! commands from the next start on. A car that was never provisioned has no pin; it uses the root
//! of the file until it has believed a document of that root. From then on the root is remembered
//! ([`Memory`]), whatever happens to the pin's own file.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Root;
use crate::in_force::Memory;
use crate::keys::sealed::Sealer;
use crate::keys::{DeviceKey, Purpose};

/// Name of the file in the state folder, and the name under which it is sealed.
const FILE: &str = "root.sealed";

/// Why a root is refused.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file exists and does not open; that must not be taken for "no pin".
    #[error(
        "{0} cannot be read any more: see that trust.root is the agency's own, then run outrider \
         provision pin-root"
    )]
    Lost(PathBuf),
    /// It is not the root for which the car was provisioned.
    #[error(
        "trust.root is root {found}, and this car was provisioned for root {pinned}: put that file back; \
         if the agency has a new root, run outrider provision pin-root"
    )]
    Another {
        /// The root of the configuration.
        found: String,
        /// The root of the provisioning.
        pinned: String,
    },
}

impl Root {
    /// Its keys as JSON, to be remembered.
    pub(super) fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// A name for this set of keys and the number that must sign; it does not depend on their order
    /// in the file.
    pub fn name(&self) -> String {
        let mut keys: Vec<_> = self.keys.iter().map(|key| *key.as_bytes()).collect();
        keys.sort_unstable();
        let mut digest = Sha256::new().chain_update(b"outrider/v1/root");
        digest.update((self.needed as u64).to_le_bytes());
        for key in keys {
            digest.update(key);
        }
        data_encoding::HEXLOWER.encode(&digest.finalize()[..8])
    }
}

/// The name of the root for which this car was provisioned, if it was.
pub fn pinned(state: &Path, device: &DeviceKey) -> Result<Option<String>, PinError> {
    let path = state.join(FILE);
    let io = |source| PinError::Io { path: path.clone(), source };
    let read = Sealer::new(device, Purpose::FleetSeal).read(&path, FILE);
    match read.map_err(io)? {
        Some(name) => Ok(Some(String::from_utf8_lossy(&name).into_owned())),
        None if path.exists() => Err(PinError::Lost(path)),
        None => match Memory::new(state, device).recall() {
            Ok(record) => Ok(record.and_then(|record| record.root)),
            Err(_) => Err(PinError::Lost(path)),
        },
    }
}

/// The name of the root in this car's memory, whatever happened to the pin's own file.
pub fn remembered(state: &Path, device: &DeviceKey) -> Option<String> {
    Memory::new(state, device).read().root
}

/// The keys of the root whose documents this car has believed: for a configuration that no longer
/// names one.
pub fn remembered_keys(state: &Path, device: &DeviceKey) -> Option<Root> {
    let keys = Memory::new(state, device).read().root_keys?;
    serde_json::from_str(&keys).ok()
}

/// Whether the pin's own file is missing although a root was pinned.
pub fn is_gone(state: &Path, device: &DeviceKey) -> bool {
    let memory = Memory::new(state, device).recall();
    let remembered = memory.is_ok_and(|record| record.is_some_and(|record| record.pinned));
    remembered && !state.join(FILE).exists()
}

/// Pins a root: from now on this car accepts no other.
pub fn pin(root: &Root, state: &Path, device: &DeviceKey) -> Result<(), PinError> {
    let path = state.join(FILE);
    Sealer::new(device, Purpose::FleetSeal)
        .write(&path, FILE, root.name().as_bytes())
        .map_err(|source| PinError::Io { path, source })?;
    Memory::new(state, device).note(|record| {
        record.root = Some(root.name());
        record.root_keys = root.to_json();
        record.pinned = true;
    });
    Ok(())
}

/// Checks that this is the root that was pinned, if one was.
pub fn check(root: &Root, state: &Path, device: &DeviceKey) -> Result<(), PinError> {
    let found = root.name();
    match pinned(state, device)? {
        Some(pinned) if pinned != found => Err(PinError::Another { found, pinned }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsse::SigningKey;
    use crate::keys::rotation::Rotation;

    fn root(keys: &[u8], needed: usize) -> Root {
        let key = |n: &u8| SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap().public();
        Root { keys: keys.iter().map(key).collect(), needed }
    }

    #[test]
    fn another_root_is_refused_once_one_is_pinned_and_after_a_new_device_key_too() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path();
        let device = DeviceKey::load(state).unwrap();
        check(&root(&[1], 1), state, &device).unwrap();
        check(&root(&[2], 1), state, &device).unwrap();
        pin(&root(&[1, 2], 2), state, &device).unwrap();
        check(&root(&[2, 1], 2), state, &device).unwrap();
        Rotation::begin(state, false).unwrap().finish(None).unwrap();
        let device = DeviceKey::load(state).unwrap();
        check(&root(&[1, 2], 2), state, &device).unwrap();
        for other in [root(&[1, 2], 1), root(&[1], 1), root(&[1, 2, 3], 2)] {
            let error = check(&other, state, &device).unwrap_err();
            assert!(matches!(error, PinError::Another { .. }), "{error}");
        }
    }

    #[test]
    fn pin_that_is_gone_is_remembered_and_another_root_stays_refused() {
        let dir = tempfile::tempdir().unwrap();
        let device = DeviceKey::load(dir.path()).unwrap();
        pin(&root(&[1], 1), dir.path(), &device).unwrap();
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        check(&root(&[1], 1), dir.path(), &device).unwrap();
        assert!(is_gone(dir.path(), &device));
        let error = check(&root(&[2], 1), dir.path(), &device).unwrap_err();
        assert!(matches!(error, PinError::Another { .. }), "{error}");
    }

    #[test]
    fn damaged_pin_is_not_the_absence_of_one() {
        let dir = tempfile::tempdir().unwrap();
        let device = DeviceKey::load(dir.path()).unwrap();
        pin(&root(&[1], 1), dir.path(), &device).unwrap();
        let path = dir.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = check(&root(&[1], 1), dir.path(), &device).unwrap_err();
        assert!(matches!(error, PinError::Lost(_)), "{error}");
    }
}
