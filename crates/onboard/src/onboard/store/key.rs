//! The keys of buckets: random, one for each, sealed by the device key or in memory only.
//!
//! A sealed key is a file of 96 bytes beside its bucket: without the device key the bucket is
//! noise, and deleting these 96 bytes deletes the bucket. The bucket's date is sealed with it, so
//! that nobody can make a bucket younger by editing a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ::ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::clock::BootId;
use crate::keys::{DeviceKey, KeyError, Purpose};
use crate::secret::SecretKey;

/// Identifies the file's format.
const MAGIC: &[u8; 4] = b"ORK1";

/// Key, boot, boot clock, wall clock.
const PLAIN: usize = 32 + 16 + 8 + 8;

/// Length of the file.
const WHOLE: usize = MAGIC.len() + NONCE_LEN + PLAIN + 16;

/// When a bucket was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) boot: BootId,
    pub(super) boot_ms: i64,
    pub(super) wall_ms: i64,
}

/// Seals bucket keys with the device key.
pub(super) struct Sealer(LessSafeKey);

impl Sealer {
    pub(super) fn new(device: &DeviceKey) -> Self {
        let key = device.derive(Purpose::RingSeal);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.expose()).expect("the key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Writes a sealed key; `name` is the bucket's and is sealed along.
    pub(super) fn write(
        &self,
        path: &Path,
        name: &str,
        key: &SecretKey,
        opened: &Opened,
    ) -> io::Result<()> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|e| io::Error::other(e.to_string()))?;
        let mut plain = Zeroizing::new([0_u8; PLAIN]);
        plain[..32].copy_from_slice(key.expose());
        plain[32..48].copy_from_slice(&opened.boot.to_bytes());
        plain[48..56].copy_from_slice(&opened.boot_ms.to_le_bytes());
        plain[56..64].copy_from_slice(&opened.wall_ms.to_le_bytes());
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut *plain,
            )
            .expect("64 bytes are not too long to seal");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(MAGIC)?;
        file.write_all(&nonce)?;
        file.write_all(&*plain)?;
        file.write_all(tag.as_ref())?;
        file.sync_all()
    }

    /// Reads a sealed key; `None` if this device key has not sealed it for `name`.
    pub(super) fn read(&self, path: &Path, name: &str) -> io::Result<Option<(SecretKey, Opened)>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(WHOLE + 1));
        File::open(path)?.take(WHOLE as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() != WHOLE || !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let (head, sealed) = bytes.split_at_mut(MAGIC.len() + NONCE_LEN);
        let nonce = head[MAGIC.len()..].try_into().expect("the nonce's length");
        let Ok(plain) = self.0.open_in_place(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            sealed,
        ) else {
            return Ok(None);
        };
        let number =
            |at: usize| i64::from_le_bytes(plain[at..at + 8].try_into().expect("eight bytes"));
        let opened = Opened {
            boot: BootId::from_bytes(plain[32..48].try_into().expect("sixteen bytes")),
            boot_ms: number(48),
            wall_ms: number(56),
        };
        let key = SecretKey::from_bytes(plain[..32].try_into().expect("32 bytes"));
        Ok(Some((key, opened)))
    }
}

/// Identifies a key in records without revealing it: the first eight bytes of a digest over it.
/// Somebody who has the key later can show that it is the one; nobody can compute the key from the
/// id.
pub(super) fn id(key: &SecretKey) -> [u8; 8] {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::new().chain_update(b"outrider/v1/key-id").chain_update(key.expose());
    let whole: [u8; 32] = digest.finalize().into();
    whole[..8].try_into().expect("32 bytes have eight")
}

/// A new random key.
pub(super) fn fresh() -> Result<SecretKey, KeyError> {
    Ok(SecretKey::random()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(dir: &Path) -> DeviceKey {
        DeviceKey::load(&dir.join("state")).unwrap()
    }

    const OPENED: Opened =
        Opened { boot: BootId::from_bytes([9; 16]), boot_ms: 12_345, wall_ms: 1_795_000_000_000 };

    #[test]
    fn sealed_key_comes_back_with_its_date() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let sealer = Sealer::new(&device(dir.path()));
        let key = fresh().unwrap();
        sealer.write(&path, "a", &key, &OPENED).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), WHOLE as u64);
        let (back, opened) = sealer.read(&path, "a").unwrap().unwrap();
        assert_eq!((back.expose(), opened), (key.expose(), OPENED));
    }

    #[test]
    fn key_under_another_name_edited_or_cut_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let sealer = Sealer::new(&device(dir.path()));
        sealer.write(&path, "a", &fresh().unwrap(), &OPENED).unwrap();
        assert!(sealer.read(&path, "b").unwrap().is_none());
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut edited = whole.clone();
            edited[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, edited).unwrap();
            assert!(sealer.read(&path, "a").unwrap().is_none(), "bit {bit}");
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(sealer.read(&path, "a").unwrap().is_none(), "cut to {length} bytes");
        }
        std::fs::write(&path, [whole.as_slice(), b"\0"].concat()).unwrap();
        assert!(sealer.read(&path, "a").unwrap().is_none(), "a byte more");
        std::fs::write(&path, &whole).unwrap();
        assert!(sealer.read(&path, "a").unwrap().is_some(), "as it was written it is read");
    }
}
