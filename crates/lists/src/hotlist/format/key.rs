//! The list key: whoever has it can read the list, and nobody else can.
//!
//! In: 32 secret bytes, shared by the authors and the cars of one list. Out: one derived key for
//! each use. Leaves to others: files (`secret_file.rs`), and who gets which key (`provision`).

use std::fmt;
use std::path::Path;

use aes_gcm_siv::{Aes256GcmSiv, KeyInit as _};
use ring::hmac;
use zeroize::Zeroizing;

use crate::keys::KeyError;
use crate::plate::{Jurisdiction, ListedPlate};
use crate::secret::SecretKey;
use crate::secret_file::{self, SecretFileError};

/// Bytes of a list key.
pub const LIST_KEY_LEN: usize = 32;

/// Separates the parts of a hashed text; no part can contain it.
const PART_END: u8 = 0x1f;

/// Identifies a list key without revealing it: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListKeyId([u8; 8]);

impl ListKeyId {
    /// Parses 16 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for ListKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ListKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListKeyId({self})")
    }
}

impl serde::Serialize for ListKeyId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ListKeyId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not 16 hexadecimal digits"))
    }
}

/// Identifies a revoked plate of a jurisdiction to holders of the list key only: 16 bytes of a
/// keyed hash. As text: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationTag([u8; 16]);

impl RevocationTag {
    /// Parses 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for RevocationTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for RevocationTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationTag({self})")
    }
}

impl serde::Serialize for RevocationTag {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for RevocationTag {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not 32 hexadecimal digits"))
    }
}

/// A list key and the keys derived from it.
pub struct ListKey {
    secret: SecretKey,
    id: ListKeyId,
    pub(super) cipher: Aes256GcmSiv,
    pub(super) address: hmac::Key,
    revocation: hmac::Key,
    pub(super) boundary: u64,
}

impl ListKey {
    /// A random key.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::of(SecretKey::random()?))
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut raw = Zeroizing::new([0_u8; LIST_KEY_LEN]);
        let digits = text.trim().as_bytes();
        if digits.len() != 2 * LIST_KEY_LEN {
            return None;
        }
        data_encoding::HEXLOWER_PERMISSIVE.decode_mut(digits, &mut *raw).ok()?;
        Some(Self::of(SecretKey::from_bytes(&raw)))
    }

    fn of(secret: SecretKey) -> Self {
        let derived = |label: &[u8]| {
            use ring::hkdf::{HKDF_SHA256, Salt};
            let mut out = Zeroizing::new([0_u8; 32]);
            Salt::new(HKDF_SHA256, b"outrider list key")
                .extract(secret.expose())
                .expand(&[label], HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut *out))
                .expect("32 bytes are one block of HKDF-SHA256");
            out
        };
        let mac = |label: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, &*derived(label));
        let cipher = Aes256GcmSiv::new_from_slice(&*derived(b"outrider/v1/list/seal"))
            .expect("32 bytes are a key");
        let [id, boundary] = [&b"outrider/v1/list/id"[..], b"outrider/v1/list/boundary"]
            .map(|label| derived(label)[..8].try_into().expect("the first 8 of 32"));
        Self {
            id: ListKeyId(id),
            cipher,
            address: mac(b"outrider/v1/list/address"),
            revocation: mac(b"outrider/v1/list/revocation"),
            boundary: u64::from_le_bytes(boundary),
            secret,
        }
    }

    /// Its identifier, which may be shown.
    pub fn id(&self) -> ListKeyId {
        self.id
    }

    /// The key as text, to be written to a file that only its owner reads.
    pub fn secret_text(&self) -> Zeroizing<String> {
        Zeroizing::new(data_encoding::HEXLOWER.encode(self.secret.expose()))
    }
}

impl fmt::Debug for ListKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListKey({})", self.id)
    }
}

/// The tag under which a plate of a jurisdiction is revoked: HMAC-SHA256 of the folded plate, the byte
/// 0x1f and the jurisdiction's code (nothing if unknown), cut to 16 bytes. About half a microsecond.
pub fn revocation_tag(
    key: &ListKey,
    plate: ListedPlate,
    jurisdiction: Jurisdiction,
) -> RevocationTag {
    let code = if jurisdiction.is_unknown() { "" } else { jurisdiction.as_str() };
    let mut mac = hmac::Context::with_key(&key.revocation);
    mac.update(plate.folded().as_bytes());
    mac.update(&[PART_END]);
    mac.update(code.as_bytes());
    RevocationTag(mac.sign().as_ref()[..16].try_into().expect("the first 16 of 32"))
}

/// The keys of one list: the newest, which seals, and earlier ones, which open what was sealed with
/// them.
#[derive(Debug)]
pub struct ListKeys(Vec<ListKey>);

impl ListKeys {
    /// Reads a file that only its owner reads: one key a line, the newest first; `#` starts a
    /// comment.
    pub fn load(path: &Path) -> Result<Self, SecretFileError> {
        let text = secret_file::read_given(path)?;
        Self::parse(&text).ok_or_else(|| SecretFileError::Content {
            path: path.to_owned(),
            what: "list key (64 hexadecimal digits a line, the newest first)",
        })
    }

    /// Parses the text of such a file; `None` if it holds no key, or anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(|l| l.split('#').next().unwrap_or_default().trim());
        let keys: Option<Vec<_>> = lines.filter(|l| !l.is_empty()).map(ListKey::parse).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    /// A single key.
    pub fn one(key: ListKey) -> Self {
        Self(vec![key])
    }

    /// The key with which new chunks are sealed.
    pub fn newest(&self) -> &ListKey {
        &self.0[0]
    }

    /// The key with this identifier.
    pub fn get(&self, id: ListKeyId) -> Option<&ListKey> {
        self.0.iter().find(|key| key.id == id)
    }

    /// All keys, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &ListKey> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &ListKey, plate: &str, jurisdiction: &str) -> RevocationTag {
        let jurisdiction = Jurisdiction::parse(jurisdiction).unwrap();
        revocation_tag(key, ListedPlate::parse(plate).unwrap(), jurisdiction)
    }

    #[test]
    fn tag_is_of_the_folded_plate_and_its_jurisdiction_alone() {
        let key = ListKey::parse(&"07".repeat(32)).unwrap();
        assert_eq!(tag(&key, "O1Q", "CA-ON"), tag(&key, "0I0", "CA-ON"));
        assert_ne!(tag(&key, "O1Q", "CA-ON"), tag(&key, "O1Q", "CA-QC"));
        assert_ne!(tag(&key, "O1Q", ""), tag(&key, "O1Q", "CA"));
        let other = ListKey::parse(&"08".repeat(32)).unwrap();
        assert_ne!(tag(&key, "O1Q", "CA-ON"), tag(&other, "O1Q", "CA-ON"));
        assert_eq!(
            RevocationTag::parse(&tag(&key, "A1", "").to_string()),
            Some(tag(&key, "A1", ""))
        );
    }

    #[test]
    fn debug_and_name_do_not_show_the_key() {
        let key = ListKey::parse(&"07".repeat(32)).unwrap();
        assert!(!format!("{key:?}").contains("0707"));
        assert!(!key.id().to_string().contains("0707"));
        assert_eq!(*key.secret_text(), "07".repeat(32));
    }
}
