//! Secrets: the device key, the keys derived from it, and the memory they live in.
//!
//! In: a systemd credential or a key file. Out: a [`DeviceKey`], from which each store derives its
//! own 32-byte key. Costs: microseconds, and one locked page of memory per key. Leaves to others:
//! which file a key opens (`sqlcipher.rs`), and the ring's random bucket keys (`onboard/store`).
//!
//! What the copies inside SQLCipher and `ring` do after use is theirs: SQLCipher is told to wipe
//! what it frees (`cipher_memory_security`), `ring` does not promise to.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::KeySource;
use crate::dsse::SigningKey;
use credential::Sealed;

pub mod credential;
mod opened;
pub mod passphrase;
pub mod rotation;
mod source;

/// Name of the systemd credential: `LoadCredentialEncrypted=outrider-device-key:...`.
pub const CREDENTIAL: &str = "outrider-device-key";

/// Name of the key file inside the state folder, where there is no credential.
pub const KEY_FILE: &str = "device.key";

/// Why there is no device key. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key can be read by others.
    #[error(
        "device key {path} can be read by others (mode {mode:04o}): if nobody can have copied it, \
         run chmod 600 {path}; else delete the state folder and start afresh"
    )]
    Lax {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file belongs to another user.
    #[error(
        "device key {path} belongs to user {owner}, but this runs as user {us}: run chown {us} {path}"
    )]
    Owner {
        /// The key file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Not a key.
    #[error("device key {path} has {len} bytes, must be 32 (or 64 hexadecimal digits)")]
    Size {
        /// The key file.
        path: PathBuf,
        /// What it holds.
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
    /// None there, and none is to be made here.
    #[error(
        "this car has no device key in {path}: run outrider provision device, or start the daemon"
    )]
    Missing {
        /// The state folder.
        path: PathBuf,
    },
    /// Another than the configuration asks for.
    #[error("keeping.key = \"{wanted}\", and {found}: {advice}")]
    Otherwise {
        /// What the configuration says.
        wanted: KeySource,
        /// What there is, in words.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It was there.
    #[error(
        "device key {path} is gone since this program has read it: bring it back; another would open \
         nothing that this car keeps"
    )]
    Vanished {
        /// The key file.
        path: PathBuf,
    },
    /// Sealing it.
    #[error(transparent)]
    Sealed(#[from] credential::CredentialError),
    /// Behind a passphrase that nobody has typed yet.
    #[error("device key {path} waits for its passphrase: run outrider unlock")]
    Locked {
        /// The key file.
        path: PathBuf,
    },
    /// Not the passphrase.
    #[error("that is not the passphrase of this car's device key")]
    Passphrase,
    /// A passphrase that is guessed.
    #[error(
        "a passphrase of {length} characters is guessed: take {} or more",
        passphrase::SHORTEST
    )]
    Short {
        /// How long it is.
        length: usize,
    },
    /// The kernel gave no random bytes.
    #[error("no random bytes from the kernel: {0}")]
    Random(String),
}

/// A page of its own, so that locking and unlocking never touches a neighbour.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// 32 secret bytes on a page of their own: locked against swapping and left out of core dumps
/// where the kernel allows it, wiped when dropped. Neither prints nor clones.
pub struct SecretKey(Box<Page>);

impl SecretKey {
    /// A key that nobody has seen.
    pub fn random() -> Result<Self, KeyError> {
        let mut key = Self::empty();
        getrandom::fill(&mut key.0.0[..32]).map_err(|e| KeyError::Random(e.to_string()))?;
        Ok(key)
    }

    /// A key from bytes that the caller wipes.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Self::empty();
        key.0.0[..32].copy_from_slice(bytes);
        key
    }

    /// The bytes. Every call is a place where a key could get out: keep them few.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.0[..32].try_into().expect("the page is longer than a key")
    }

    fn empty() -> Self {
        let mut page = Box::new(Page([0; 4096]));
        lock(&mut page);
        Self(page)
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.0[..32].zeroize();
        unlock(&mut self.0);
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

/// Keeps a page out of swap and core dumps. Both may be refused (RLIMIT_MEMLOCK): the key then
/// still works, so the refusal is not an error; `outrider.service` sets the limit.
#[expect(unsafe_code, reason = "mlock and madvise take a raw address")]
fn lock(page: &mut Page) {
    let at = std::ptr::from_mut(page).cast();
    // SAFETY: `at` is the start of a live, page-aligned 4096-byte allocation that we own; neither
    // call changes its content.
    unsafe {
        let _ = rustix::mm::mlock(at, size_of::<Page>());
        let _ = rustix::mm::madvise(at, size_of::<Page>(), rustix::mm::Advice::LinuxDontDump);
    }
}

#[expect(unsafe_code, reason = "munlock and madvise take a raw address")]
fn unlock(page: &mut Page) {
    let at = std::ptr::from_mut(page).cast();
    // SAFETY: as in `lock`; the page holds nothing but this key, so no neighbour is unlocked.
    unsafe {
        let _ = rustix::mm::munlock(at, size_of::<Page>());
        let _ = rustix::mm::madvise(at, size_of::<Page>(), rustix::mm::Advice::LinuxDoDump);
    }
}

/// Where the device key comes from: said openly, in `check`, health and hits.
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

/// What a key is derived for. One secret per purpose: opening one store says nothing of another.
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
    /// Tags that tell one looked-up plate from another without naming it.
    PlateTag,
    /// `counters.db`.
    Counters,
    /// Sealing what the fleet has sent: the trust document, list keys, how far a list has come.
    FleetSeal,
}

impl Purpose {
    /// Part of the derivation: changing one makes its store unreadable.
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

/// The secret from which every persistent key of this car derives.
#[derive(Debug)]
pub struct DeviceKey {
    secret: SecretKey,
    protection: Protection,
}

impl DeviceKey {
    /// The systemd credential if the service manager passed one, else the key file in the state
    /// folder, made at first start.
    pub fn load(state: &Path) -> Result<Self, KeyError> {
        Self::load_from(credentials().as_deref(), &state.join(KEY_FILE))
    }

    /// As [`DeviceKey::load`], for commands beside the daemon: makes no key.
    pub fn existing(state: &Path) -> Result<Self, KeyError> {
        match source::found(state) {
            Some(_) => Self::load(state),
            None => Err(KeyError::Missing { path: state.to_owned() }),
        }
    }

    /// Makes the state folder's first key, behind a passphrase if one is given; an error if there is
    /// one already.
    pub fn create(state: &Path, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: state.to_owned(), source };
        private_folder(state).map_err(io)?;
        if Self::existing(state).is_ok() || passphrase::is_locked(state) {
            return Err(io(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a device key already: outrider provision rotate changes it",
            )));
        }
        match passphrase {
            None => make_key_file(&state.join(KEY_FILE))?,
            Some(words) => {
                let path = state.join(passphrase::SEALED_FILE);
                passphrase::write(&path, &SecretKey::random()?, words)?;
                File::open(state).and_then(|dir| dir.sync_all()).map_err(io)?;
                passphrase::unlock(state, words)?;
            }
        }
        Self::existing(state)
    }

    /// Makes the first key of a car whose key systemd seals; this process holds it open.
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
        sealed.hold(state, &secret);
        Ok(Self { secret, protection: Protection::SystemdCredential })
    }

    fn load_from(credentials: Option<&Path>, file: &Path) -> Result<Self, KeyError> {
        let state = file.parent().unwrap_or(Path::new("/"));
        let io = |source| KeyError::Io { path: state.to_owned(), source };
        let passed = match credentials.map(|dir| dir.join(CREDENTIAL)).filter(|p| p.exists()) {
            // Permissions of credentials are systemd's business: it alone writes that folder.
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
        let io = |source| KeyError::Io { path: file.to_owned(), source };
        let meta = fs::metadata(file).map_err(io)?;
        let mode = meta.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Lax { path: file.to_owned(), mode });
        }
        let us = rustix::process::geteuid().as_raw();
        if meta.uid() != us {
            return Err(KeyError::Owner { path: file.to_owned(), owner: meta.uid(), us });
        }
        let secret = read_key(file)?;
        opened::saw(file);
        Ok(Self { secret, protection: Protection::KeyFile })
    }

    /// Names this key, as its public half is named.
    fn name(&self) -> String {
        self.signing_key().public().id().to_string()
    }

    /// Where the key came from.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// The key that signs for this car: checkpoints of the audit log, evidence.
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
    // 64 digits and a line end at most; more is read only to tell that it is more.
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

/// A key as 32 bytes or 64 digits.
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

/// Writes the whole key aside and links it into place: a power cut leaves a key or none, and of
/// two processes that start together, one wins.
fn make_key_file(path: &Path) -> Result<(), KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("/"));
    private_folder(folder).map_err(io)?;
    let aside = folder.join(format!("{KEY_FILE}.{}", std::process::id()));
    let _ = fs::remove_file(&aside);
    let key = SecretKey::random()?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(io)?;
    file.write_all(key.expose()).and_then(|()| file.sync_all()).map_err(io)?;
    match fs::hard_link(&aside, path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(io(e)),
        _ => fs::remove_file(&aside).map_err(io)?,
    }
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(io)
}

/// Makes a folder that only we may enter, if it is not there.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests;
