//! Checks that the device key is of the kind that the configuration asks for.
//!
//! In: `keeping.key`. Out: the device key, or one line that says what to do. The check comes before
//! any store is opened, so that a car meant for a passphrase or a credential never makes a key
//! file.

use std::path::Path;

use super::{CREDENTIAL, DeviceKey, KEY_FILE, KeyError, Protection, credential, passphrase};
use crate::config::{KeepingConfig, KeySource};

/// The kind of key that there is, without opening it. A credential takes precedence over the state
/// folder.
pub(super) fn found(state: &Path) -> Option<Protection> {
    let passed = super::credentials().is_some_and(|dir| dir.join(CREDENTIAL).exists());
    if passed || credential::held(state).is_some() {
        return Some(Protection::SystemdCredential);
    }
    if state.join(passphrase::SEALED_FILE).exists() {
        return Some(Protection::Passphrase);
    }
    state.join(KEY_FILE).exists().then_some(Protection::KeyFile)
}

/// Refuses a kind of key that the configuration does not ask for, and says what to do.
fn fits(wanted: KeySource, found: Option<Protection>) -> Result<(), KeyError> {
    use Protection::{KeyFile, Passphrase, SystemdCredential};
    let (found, advice) = match (wanted, found) {
        (KeySource::Auto, _)
        | (KeySource::File, None | Some(KeyFile))
        | (KeySource::Passphrase, Some(Passphrase))
        | (KeySource::Credential, Some(SystemdCredential)) => return Ok(()),
        (KeySource::Credential, _) => (
            "systemd passes none",
            "make one (outrider provision device) and load it in the unit \
             (LoadCredentialEncrypted=outrider-device-key)",
        ),
        (KeySource::Passphrase, None) => {
            ("this car has no device key yet", "run outrider provision device")
        }
        (KeySource::Passphrase, Some(KeyFile)) => (
            "this car's key is a file",
            "run outrider provision rotate, which puts a new one behind a passphrase",
        ),
        (KeySource::File, Some(Passphrase)) => (
            "this car's key is behind a passphrase",
            "set keeping.key = \"passphrase\"; to go without one, wipe the car and provision it anew",
        ),
        (KeySource::File | KeySource::Passphrase, Some(SystemdCredential)) => (
            "systemd passes a credential",
            "take it out of the unit, or set keeping.key = \"credential\"",
        ),
    };
    Err(KeyError::Otherwise { wanted, found, advice })
}

impl DeviceKey {
    /// Opens the key that the configuration asks for; makes it where that is a file and there is
    /// none.
    pub fn open(keeping: &KeepingConfig) -> Result<Self, KeyError> {
        super::rotation::refuse_wiped(&keeping.directory)?;
        fits(keeping.key, found(&keeping.directory))?;
        Self::load(&keeping.directory)
    }

    /// As [`DeviceKey::open`], for commands beside the daemon: it makes no key.
    pub fn open_existing(keeping: &KeepingConfig) -> Result<Self, KeyError> {
        super::rotation::refuse_wiped(&keeping.directory)?;
        let found = found(&keeping.directory);
        fits(keeping.key, found)?;
        Self::existing(&keeping.directory)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn keeping(dir: &Path, key: KeySource) -> KeepingConfig {
        KeepingConfig { directory: dir.to_owned(), key, ..KeepingConfig::default() }
    }

    #[rstest]
    #[case(KeySource::Auto, Some(Protection::KeyFile))]
    #[case(KeySource::File, Some(Protection::KeyFile))]
    #[case(KeySource::Passphrase, None)]
    #[case(KeySource::Credential, None)]
    fn first_start_makes_a_file_only_where_one_is_wanted(
        #[case] key: KeySource,
        #[case] made: Option<Protection>,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let opened = DeviceKey::open(&keeping(dir.path(), key));
        assert_eq!(opened.ok().map(|key| key.protection()), made);
        assert_eq!(dir.path().join(KEY_FILE).exists(), made.is_some());
        assert_eq!(found(dir.path()), made);
    }

    #[test]
    fn another_key_than_the_configured_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let with = |key| DeviceKey::open(&keeping(dir.path(), key)).unwrap_err().to_string();
        assert_eq!(
            with(KeySource::Passphrase),
            "keeping.key = \"passphrase\", and this car has no device key yet: run outrider provision device"
        );
        DeviceKey::create(dir.path(), None).unwrap();
        assert!(with(KeySource::Passphrase).contains("is a file: run outrider provision rotate"));
        assert!(
            with(KeySource::Credential).contains("LoadCredentialEncrypted=outrider-device-key")
        );
        let other = tempfile::tempdir().unwrap();
        DeviceKey::create(other.path(), Some("five words are long enough")).unwrap();
        let error = DeviceKey::open(&keeping(other.path(), KeySource::File)).unwrap_err();
        assert!(error.to_string().contains("set keeping.key = \"passphrase\""), "{error}");
        DeviceKey::open(&keeping(other.path(), KeySource::Passphrase)).unwrap();
    }

    #[test]
    fn looking_makes_none() {
        let dir = tempfile::tempdir().unwrap();
        let error = DeviceKey::open_existing(&keeping(dir.path(), KeySource::Auto)).unwrap_err();
        assert!(matches!(error, KeyError::Missing { .. }), "{error}");
        assert!(!dir.path().join(KEY_FILE).exists());
    }
}
