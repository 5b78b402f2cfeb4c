//! The root that this car was provisioned for, remembered beside what it keeps.
//!
//! In: the root of the configuration, at `outrider provision device` or `pin-root`. Out: whether a later
//! start finds the same. Costs: one small sealed file. Leaves to others: saying so in the audit log.
//!
//! Whoever exchanges the file that `trust.root` names could else sign lists, policy and commands of their
//! own from the next start on. A car that was never provisioned has no pin, and goes by the file.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Root;
use crate::keys::{DeviceKey, Purpose};
use crate::sealed::Sealer;

/// Name of the file in the state folder, and what it is sealed under.
const FILE: &str = "root.sealed";

/// Why a root is not gone by.
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
    /// It is there and does not open: nobody may take that for "no pin".
    #[error(
        "{0} cannot be read any more: see that trust.root is the agency's own, then run outrider \
         provision pin-root"
    )]
    Lost(PathBuf),
    /// Not the root that the car was provisioned for.
    #[error(
        "trust.root is root {found}, and this car was provisioned for root {pinned}: put that file back; \
         if the agency has a new root, run outrider provision pin-root"
    )]
    Another {
        /// Of the configuration.
        found: String,
        /// Of the provisioning.
        pinned: String,
    },
}

impl Root {
    /// Names this set of keys and how many of them must sign, whatever the order in the file.
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

/// The name of the root that this car was provisioned for, if it was.
pub fn pinned(state: &Path, device: &DeviceKey) -> Result<Option<String>, PinError> {
    let path = state.join(FILE);
    let read = Sealer::new(device, Purpose::FleetSeal).read(&path, FILE);
    match read.map_err(|source| PinError::Io { path: path.clone(), source })? {
        Some(name) => Ok(Some(String::from_utf8_lossy(&name).into_owned())),
        None if path.exists() => Err(PinError::Lost(path)),
        None => Ok(None),
    }
}

/// Remembers a root from now on.
pub fn pin(root: &Root, state: &Path, device: &DeviceKey) -> Result<(), PinError> {
    let path = state.join(FILE);
    Sealer::new(device, Purpose::FleetSeal)
        .write(&path, FILE, root.name().as_bytes())
        .map_err(|source| PinError::Io { path, source })
}

/// Whether this is the root to go by.
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
