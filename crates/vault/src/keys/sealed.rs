//! Small files that only this car can read back, and that are always replaced as a whole.
//!
//! In: bytes and a name. Out: the same bytes, or nothing if the file was made by another car, for
//! another name, or changed since. Costs: one write, two syncs. Leaves to others: what the bytes
//! mean; and it does not detect an older whole file in the place of a newer one (putting one there
//! takes the disk and the running system).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::files;
use crate::keys::{DeviceKey, Purpose};

/// Identifies the file's format.
pub const MAGIC: &[u8; 4] = b"ORS1";

/// Longest file that is read, in bytes: the state of a list holds two manifests.
const LONGEST: u64 = 32 << 20;

/// Seals and opens files of one purpose.
pub struct Sealer(LessSafeKey);

impl Sealer {
    /// The sealer for one purpose, with a key derived from the device key.
    pub fn new(device: &DeviceKey, purpose: Purpose) -> Self {
        let key = device.derive(purpose);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.expose()).expect("the key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Replaces a file: after a power cut the old one is there or the new one. `name` is sealed
    /// along, so that no file passes for another; a rotation of the device key (`keys/rotation.rs`)
    /// assumes that it is the file's own name.
    pub fn write(&self, path: &Path, name: &str, plain: &[u8]) -> io::Result<()> {
        files::replace(path, &[&self.seal(name.as_bytes(), plain)?])
    }

    /// Reads a file; `None` if it does not exist, or if this car has not sealed it under `name`.
    pub fn read(&self, path: &Path, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut bytes = Zeroizing::new(Vec::new());
        match File::open(path) {
            Ok(file) => file.take(LONGEST).read_to_end(&mut bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(self.open(name.as_bytes(), &bytes))
    }

    /// The bytes of a file that holds `plain`, sealed under `name`.
    pub fn seal(&self, name: &[u8], plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|e| io::Error::other(e.to_string()))?;
        let mut sealed = Zeroizing::new(plain.to_vec());
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name),
                &mut *sealed,
            )
            .expect("not too long to seal");
        Ok([&MAGIC[..], &nonce, &sealed].concat())
    }

    /// The content of a file; `None` if it was not sealed under this name by this key.
    pub fn open(&self, name: &[u8], file: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = file.strip_prefix(MAGIC)?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::assume_unique_for_key(nonce.try_into().expect("the nonce's length"));
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let length = self.0.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sealer(folder: &Path) -> Sealer {
        Sealer::new(&DeviceKey::load(folder).unwrap(), Purpose::FleetSeal)
    }

    #[test]
    fn comes_back_on_this_car_under_this_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let (ours, path) = (sealer(&dir.path().join("state")), dir.path().join("trust"));
        assert!(ours.read(&path, "trust").unwrap().is_none());
        ours.write(&path, "trust", b"first").unwrap();
        ours.write(&path, "trust", b"second").unwrap();
        assert_eq!(**ours.read(&path, "trust").unwrap().unwrap(), *b"second");
        assert!(ours.read(&path, "list").unwrap().is_none());
        assert!(sealer(&other.path().join("state")).read(&path, "trust").unwrap().is_none());
        assert!(!fs::read(&path).unwrap().windows(6).any(|w| w == b"second"));
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, path) = (sealer(&dir.path().join("state")), dir.path().join("trust"));
        ours.write(&path, "trust", b"plain").unwrap();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(ours.read(&path, "trust").unwrap().is_none(), "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(ours.read(&path, "trust").unwrap().is_none(), "cut at {at}");
        }
    }
}
