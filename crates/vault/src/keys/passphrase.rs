//! A device key under a passphrase, which somebody types at the start of the shift.
//!
//! In: a passphrase, from a terminal or the control socket, never from an argument or the
//! environment. Out: the device key, on a locked page while the process lives. Costs: about a third
//! of a second and 64 MiB, once, so that guessing is expensive. Leaves to others: asking for the
//! passphrase.
//!
//! The file holds the key encrypted with Argon2id and ChaCha20-Poly1305; whoever takes the disk has
//! to guess.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{KeyError, SecretKey, opened};
use crate::files;
use crate::secret::RandomError;

/// Name of the file inside the state folder.
pub const SEALED_FILE: &str = "device.key.sealed";

/// Shortest passphrase, in characters: that of five words, or what a password manager makes.
pub const SHORTEST: usize = 12;

/// Identifies the file's format and the cost of a guess: 64 MiB, three passes, one lane. Measured
/// on one core of the build machine at 0.2 to 0.4 s.
const MAGIC: &[u8; 4] = b"ODK1";
const MEMORY_KIB: u32 = if cfg!(test) { 256 } else { 64 * 1024 };
const PASSES: u32 = 3;

const SALT: usize = 16;
const WHOLE: usize = MAGIC.len() + SALT + NONCE_LEN + 32 + 16;

/// Whether the state folder's key still needs its passphrase.
pub fn is_locked(state: &Path) -> bool {
    let path = state.join(SEALED_FILE);
    path.exists() && opened::held(&path).is_none()
}

/// Opens the state folder's key; a wrong passphrase is an error.
pub fn unlock(state: &Path, passphrase: &str) -> Result<(), KeyError> {
    let path = state.join(SEALED_FILE);
    let io = |source| KeyError::Io { path: path.clone(), source };
    let mut bytes = Vec::new();
    File::open(&path).and_then(|f| f.take(WHOLE as u64 + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() != WHOLE || !bytes.starts_with(MAGIC) {
        return Err(KeyError::Size { path, len: bytes.len() });
    }
    let (salt, rest) = bytes[MAGIC.len()..].split_at(SALT);
    let (nonce, sealed) = rest.split_at(NONCE_LEN);
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(nonce.try_into().expect("the nonce's length"));
    let plain = sealer(passphrase, salt)
        .open_in_place(nonce, Aad::from(MAGIC), &mut sealed)
        .map_err(|_| KeyError::Passphrase)?;
    let key = SecretKey::from_bytes((&*plain).try_into().expect("32 bytes were sealed"));
    opened::hold(path, key);
    Ok(())
}

/// Writes a key under a passphrase into a new file, and keeps the key open in this process.
pub(super) fn write(path: &Path, key: &SecretKey, passphrase: &str) -> Result<(), KeyError> {
    let length = passphrase.chars().count();
    if length < SHORTEST {
        return Err(KeyError::Short { length });
    }
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|e| RandomError(e.to_string()));
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE_LEN]);
    random(&mut salt)?;
    random(&mut nonce)?;
    let mut sealed = Zeroizing::new(key.expose().to_vec());
    sealer(passphrase, &salt)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(MAGIC),
            &mut *sealed,
        )
        .expect("32 bytes are not too long to seal");
    files::create(path, &[&MAGIC[..], &salt, &nonce, &sealed]).map_err(io)
}

fn sealer(passphrase: &str, salt: &[u8]) -> LessSafeKey {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).expect("within argon2's bounds");
    let mut key = Zeroizing::new([0_u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .expect("salt and output have lengths that argon2 takes");
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*key).expect("the key has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::super::{DeviceKey, Protection, Purpose};
    use super::*;

    #[test]
    fn key_opens_with_its_passphrase_alone_and_only_after_it_was_typed() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::random().unwrap();
        write(&dir.path().join(SEALED_FILE), &key, "five words are long enough").unwrap();
        assert!(is_locked(dir.path()));
        assert!(matches!(DeviceKey::load(dir.path()), Err(KeyError::Locked { .. })));
        assert!(matches!(
            unlock(dir.path(), "five words are long enougH"),
            Err(KeyError::Passphrase)
        ));
        assert!(is_locked(dir.path()));
        unlock(dir.path(), "five words are long enough").unwrap();
        let device = DeviceKey::load(dir.path()).unwrap();
        assert_eq!(device.protection(), Protection::Passphrase);
        assert!(!dir.path().join(super::super::KEY_FILE).exists(), "no key file beside it");
        let again = DeviceKey::load(dir.path()).unwrap();
        let of = |device: &DeviceKey| *device.derive(Purpose::Hits).expose();
        assert_eq!(of(&device), of(&again));
    }

    #[test]
    fn short_passphrase_is_refused_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SEALED_FILE);
        let error = write(&path, &SecretKey::random().unwrap(), "1234").unwrap_err();
        assert!(error.to_string().contains("4 characters"), "{error}");
        assert!(!path.exists());
    }
}
