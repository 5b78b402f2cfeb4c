//! Secrets: the device key, the keys derived from it, and the memory they live in.
//!
//! In: a systemd credential or a key file. Out: a [`DeviceKey`], from which each store derives its
//! own 32-byte key. Costs: microseconds, and one locked page of memory per key. Leaves to others:
//! which file a key opens (`sqlcipher.rs`), and the ring's random bucket keys (`onboard/store`).
//!
//! The copies inside SQLCipher and `ring` are outside our control: SQLCipher is set to wipe what it
//! frees (`cipher_memory_security`), `ring` does not promise to.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::KeySource;
use crate::dsse::SigningKey;
use crate::files::{self, Readers, UntrustedError, private_folder};
use crate::secret::{RandomError, SecretKey};
use credential::Sealed;

pub mod credential;
mod opened;
pub mod passphrase;
pub mod rotation;
pub mod sealed;
mod source;

/// Name of the systemd credential: `LoadCredentialEncrypted=outrider-device-key:...`.
pub const CREDENTIAL: &str = "outrider-device-key";

/// Name of the key file inside the state folder, where there is no credential.
pub const KEY_FILE: &str = "device.key";

/// Why there is no device key. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Others can read the file, or can have changed it.
    #[error("device key {0}")]
    Untrusted(#[from] UntrustedError),
    /// The file does not hold a key.
    #[error("device key {path} has {len} bytes, must be 32 (or 64 hexadecimal digits)")]
    Size {
        /// The key file.
        path: PathBuf,
        /// Number of bytes in it.
        len: usize,
    },
    /// The key file cannot be read or made.
    #[error("device key {path}: {source}")]
    Io {
        /// The key file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no key, and this command makes none.
    #[error(
        "this car has no device key in {path}: run outrider provision device, or start the daemon"
    )]
    Missing {
        /// The state folder.
        path: PathBuf,
    },
    /// There is another kind of key than the configuration asks for.
    #[error("keeping.key = \"{wanted}\", and {found}: {advice}")]
    Otherwise {
        /// What the configuration says.
        wanted: KeySource,
        /// What there is, in words.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// This car was wiped, and stays wiped until it is provisioned.
    #[error(
        "this car was wiped ({path} says when and why) and stays wiped: run outrider provision device to \
         give it a new key"
    )]
    Wiped {
        /// The file that says so.
        path: PathBuf,
    },
    /// The key file has vanished while the daemon runs.
    #[error(
        "device key {path} is gone since this program has read it: bring it back; another would open \
         nothing that this car keeps"
    )]
    Vanished {
        /// The key file.
        path: PathBuf,
    },
    /// The credential could not be sealed or unsealed.
    #[error(transparent)]
    Sealed(#[from] credential::CredentialError),
    /// The key is under a passphrase that nobody has typed yet.
    #[error("device key {path} waits for its passphrase: run outrider unlock")]
    Locked {
        /// The key file.
        path: PathBuf,
    },
    /// The passphrase is wrong.
    #[error("that is not the passphrase of this car's device key")]
    Passphrase,
    /// The passphrase is too short.
    #[error(
        "a passphrase of {length} characters can be guessed: use {} or more",
        passphrase::SHORTEST
    )]
    Short {
        /// Its number of characters.
        length: usize,
    },
    /// The kernel gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Where the device key comes from; `check`, health and hits state it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// A systemd credential, which may be sealed to the TPM: a stolen disk alone does not open it.
    SystemdCredential,
    /// A file on the same disk: whoever takes the disk takes the key.
    KeyFile,
    /// A passphrase, typed at the start of the shift: whoever takes the disk has to guess it.
    Passphrase,
}

/// The purpose of a derived key. Every purpose has a key of its own, so that the key of one store
/// does not help with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `hits.db`.
    Hits,
    /// Sealing the ring's bucket keys.
    RingSeal,
    /// `hotplates.db`.
    Hotplates,
    /// `audit.db`.
    Audit,
    /// The seed of the key that signs audit checkpoints and evidence.
    DeviceSign,
    /// Tags by which looked-up plates can be distinguished without naming them.
    PlateTag,
    /// `counters.db`.
    Counters,
    /// Sealing what the fleet has sent: the trust document, list keys, the state of each list.
    FleetSeal,
}

impl Purpose {
    /// A part of the derivation: changing a label makes its store unreadable.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Hits => b"outrider/v1/hits.db",
            Self::RingSeal => b"outrider/v1/ring-seal",
            Self::Hotplates => b"outrider/v1/hotplates.db",
            Self::Audit => b"outrider/v1/audit.db",
            Self::DeviceSign => b"outrider/v1/device-sign",
            Self::PlateTag => b"outrider/v1/plate-tag",
            Self::Counters => b"outrider/v1/counters.db",
            Self::FleetSeal => b"outrider/v1/fleet-seal",
        }
    }
}

/// The secret from which every persistent key of this car is derived.
#[derive(Debug)]
pub struct DeviceKey {
    secret: SecretKey,
    protection: Protection,
}

impl DeviceKey {
    /// The systemd credential if the service manager passed one, else the key file in the state
    /// folder, which the first start makes.
    pub fn load(state: &Path) -> Result<Self, KeyError> {
        Self::load_from(credentials().as_deref(), &state.join(KEY_FILE))
    }

    /// As [`DeviceKey::load`], for commands beside the daemon: it makes no key.
    pub fn existing(state: &Path) -> Result<Self, KeyError> {
        rotation::refuse_wiped(state)?;
        match source::found(state) {
            Some(_) => Self::load(state),
            None => Err(KeyError::Missing { path: state.to_owned() }),
        }
    }

    /// Makes the first key of the state folder, under a passphrase if one is given. It is an error
    /// if there is a key already.
    pub fn create(state: &Path, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: state.to_owned(), source };
        private_folder(state).map_err(io)?;
        if Self::existing(state).is_ok() || passphrase::is_locked(state) {
            return Err(io(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a device key already: outrider provision rotate changes it",
            )));
        }
        rotation::end_wipe(state).map_err(io)?;
        match passphrase {
            None => make_key_file(&state.join(KEY_FILE))?,
            Some(words) => {
                let path = state.join(passphrase::SEALED_FILE);
                passphrase::write(&path, &SecretKey::random()?, words)?;
                passphrase::unlock(state, words)?;
            }
        }
        Self::existing(state)
    }

    /// Makes the first key of a car whose key systemd seals. The key stays open in this process.
    pub fn create_sealed(state: &Path, sealed: &Sealed) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: state.to_owned(), source };
        private_folder(state).map_err(io)?;
        if state.join(KEY_FILE).exists() || state.join(passphrase::SEALED_FILE).exists() {
            return Err(io(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a device key in the state folder already: wipe the car first",
            )));
        }
        let secret = SecretKey::random()?;
        sealed.create(&secret)?;
        rotation::end_wipe(state).map_err(io)?;
        sealed.hold(state, &secret);
        Ok(Self { secret, protection: Protection::SystemdCredential })
    }

    fn load_from(credentials: Option<&Path>, file: &Path) -> Result<Self, KeyError> {
        let state = file.parent().unwrap_or(Path::new("/"));
        rotation::refuse_wiped(state)?;
        let io = |source| KeyError::Io { path: state.to_owned(), source };
        let passed = match credentials.map(|dir| dir.join(CREDENTIAL)).filter(|p| p.exists()) {
            // The permissions of credentials are set by systemd: nothing else writes that folder.
            Some(path) => Some(read_key(&path)?),
            None => credential::held(state),
        };
        if let Some(secret) = passed {
            let key = Self { secret, protection: Protection::SystemdCredential };
            rotation::recover(state, Some(&key)).map_err(io)?;
            return Ok(key);
        }
        rotation::recover(state, None).map_err(io)?;
        let sealed = file.with_file_name(passphrase::SEALED_FILE);
        if sealed.exists() {
            return match opened::held(&sealed) {
                Some(secret) => Ok(Self { secret, protection: Protection::Passphrase }),
                None => Err(KeyError::Locked { path: sealed }),
            };
        }
        if !file.exists() {
            if opened::was_seen(file) {
                return Err(KeyError::Vanished { path: file.to_owned() });
            }
            make_key_file(file)?;
        }
        files::check(file, Readers::Owner)?;
        let secret = read_key(file)?;
        opened::remember(file);
        Ok(Self { secret, protection: Protection::KeyFile })
    }

    /// The key's name, which is that of its public half.
    fn name(&self) -> String {
        self.signing_key().public().id().to_string()
    }

    /// Where the key came from.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// The key with which this car signs checkpoints of the audit log and evidence.
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(self.derive(Purpose::DeviceSign))
    }

    /// The key for one purpose (HKDF-SHA256).
    pub fn derive(&self, purpose: Purpose) -> SecretKey {
        use ring::hkdf::{HKDF_SHA256, Salt};
        let info = [purpose.label()];
        let mut out = Zeroizing::new([0_u8; 32]);
        Salt::new(HKDF_SHA256, b"outrider device key")
            .extract(self.secret.expose())
            .expand(&info, HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *out))
            .expect("32 bytes are one block of HKDF-SHA256");
        SecretKey::from_bytes(&out)
    }
}

fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn read_key(path: &Path) -> Result<SecretKey, KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    // 64 digits and a line end at most are read; a byte more shows that the file is too long.
    let mut text = Zeroizing::new([0_u8; 128]);
    let mut file = File::open(path).map_err(io)?;
    let mut len = 0;
    while len < text.len() {
        match file.read(&mut text[len..]).map_err(io)? {
            0 => break,
            n => len += n,
        }
    }
    parse_key(&text[..len]).ok_or_else(|| KeyError::Size { path: path.to_owned(), len })
}

/// Parses a key of 32 bytes or 64 digits.
fn parse_key(text: &[u8]) -> Option<SecretKey> {
    if let Ok(raw) = <&[u8; 32]>::try_from(text) {
        return Some(SecretKey::from_bytes(raw));
    }
    let digits = text.trim_ascii();
    if digits.len() != 64 {
        return None;
    }
    let mut raw = Zeroizing::new([0_u8; 32]);
    data_encoding::HEXLOWER_PERMISSIVE.decode_mut(digits, &mut *raw).ok()?;
    Some(SecretKey::from_bytes(&raw))
}

/// Writes the whole key beside its place and links it there: a power cut leaves a key or none, and
/// of two processes that start together one wins.
fn make_key_file(path: &Path) -> Result<(), KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("/"));
    private_folder(folder).map_err(io)?;
    let key = SecretKey::random()?;
    match files::create(path, &[key.expose()]) {
        // The other process that started at the same time won.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(io),
    }
}

#[cfg(test)]
mod tests;
