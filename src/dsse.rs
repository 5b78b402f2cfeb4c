//! Signed documents: DSSE envelopes with Ed25519.
//!
//! In: bytes and keys. Out: an [`Envelope`], or the bytes that enough distinct known keys have signed.
//! Costs: about 50 µs a signature. Leaves to others: what a document says, and which key may say it
//! (`trust.rs`).
//!
//! Source: Dead Simple Signing Envelope 1.0.2 (what is signed is the *pre-authentication encoding* of
//! type and payload); RFC 8032.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::keys::{KeyError, SecretKey};

/// Signatures that one envelope may carry: a document has a few signers, and every one costs a check.
const MOST_SIGNATURES: usize = 16;

/// Why an envelope is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// Not an envelope.
    #[error("not a signed document: {0}")]
    Malformed(String),
    /// An envelope of something else.
    #[error("signed document is of type {found:?}, must be {wanted:?}")]
    Type {
        /// What it says.
        found: String,
        /// What is needed here.
        wanted: &'static str,
    },
    /// A key is named and its signature does not fit: damage or forgery.
    #[error("the signature by key {0} does not fit: damaged or forged")]
    Forged(KeyId),
    /// Too few of the keys that count have signed.
    #[error("signed by {have} of the keys that may sign this, needs {needed}{}", named(.unknown))]
    TooFew {
        /// Distinct keys whose signatures fit.
        have: usize,
        /// How many there must be.
        needed: usize,
        /// Keys that signed and may not.
        unknown: Vec<KeyId>,
    },
    /// A public key that is none.
    #[error("{0:?} is no Ed25519 public key (64 hexadecimal digits)")]
    PublicKey(String),
    /// A secret key that is none.
    #[error("{0}")]
    Secret(String),
}

fn named(unknown: &[KeyId]) -> String {
    match unknown {
        [] => String::new(),
        keys => {
            let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
            format!("; also signed by keys that may not: {}", keys.join(", "))
        }
    }
}

/// Names a key: the first 16 hexadecimal digits of the SHA-256 of its public half.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}

/// The public half of a signing key. As text: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The raw key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        KeyId(data_encoding::HEXLOWER.encode(&Sha256::digest(self.0)[..8]))
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, DsseError> {
        let bad = || DsseError::PublicKey(text.chars().take(80).collect());
        let bytes =
            data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).map_err(|_| bad())?;
        Ok(Self(bytes.try_into().map_err(|_| bad())?))
    }

    /// Whether `signature` over `message` was made by the secret half. Plain Ed25519, no envelope.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// A key that signs. Its seed stays on a locked page; `ring` holds a copy of its own.
pub struct SigningKey {
    seed: SecretKey,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new key.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::from_seed(SecretKey::random()?))
    }

    /// The key of a 32-byte seed (RFC 8032).
    pub fn from_seed(seed: SecretKey) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("a seed has 32 bytes");
        Self { seed, pair }
    }

    /// Reads the seed back from 64 hexadecimal digits, as [`SigningKey::seed_text`] wrote it.
    pub fn parse(text: &str) -> Result<Self, DsseError> {
        let bad = || DsseError::Secret("not a secret key (64 hexadecimal digits)".into());
        let mut raw = Zeroizing::new([0_u8; 32]);
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            return Err(bad());
        }
        data_encoding::HEXLOWER_PERMISSIVE.decode_mut(digits, &mut *raw).map_err(|_| bad())?;
        Ok(Self::from_seed(SecretKey::from_bytes(&raw)))
    }

    /// The seed, to be written to a file that only its owner reads.
    pub fn seed_text(&self) -> Zeroizing<String> {
        Zeroizing::new(data_encoding::HEXLOWER.encode(self.seed.expose()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair.public_key().as_ref().try_into().expect("32 bytes"))
    }

    /// Signs bytes. Plain Ed25519, no envelope.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().expect("64 bytes")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

/// A document and who signed it. Believed only through [`Envelope::open`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    payload_type: String,
    #[serde(with = "base64")]
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: KeyId,
    #[serde(with = "base64")]
    sig: Vec<u8>,
}

impl Envelope {
    /// Puts a payload into an envelope and signs it with every key.
    pub fn sign(kind: &'static str, payload: Vec<u8>, keys: &[&SigningKey]) -> Self {
        let mut envelope =
            Self { payload_type: kind.into(), payload, signatures: Vec::with_capacity(keys.len()) };
        for key in keys {
            envelope.add(key);
        }
        envelope
    }

    /// Adds a signature; a second one by the same key replaces the first.
    pub fn add(&mut self, key: &SigningKey) {
        let keyid = key.public().id();
        self.signatures.retain(|s| s.keyid != keyid);
        let sig = key.sign(&pre_authentication(&self.payload_type, &self.payload)).to_vec();
        self.signatures.push(Signature { keyid, sig });
    }

    /// Parses an envelope; nothing in it is believed yet.
    pub fn parse(json: &[u8]) -> Result<Self, DsseError> {
        let envelope: Self =
            serde_json::from_slice(json).map_err(|e| DsseError::Malformed(e.to_string()))?;
        if envelope.signatures.len() > MOST_SIGNATURES {
            let n = envelope.signatures.len();
            return Err(DsseError::Malformed(format!(
                "{n} signatures, at most {MOST_SIGNATURES} are looked at"
            )));
        }
        Ok(envelope)
    }

    /// The envelope as it is stored and sent: JSON on one line.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings only")
    }

    /// What it says its payload is; unproven.
    pub fn kind(&self) -> &str {
        &self.payload_type
    }

    /// What it carries, unproven: to show, or to find out which keys to ask for.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Who says to have signed it; unproven.
    pub fn signers(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|s| &s.keyid)
    }

    /// The payload, if at least `needed` distinct keys of `keys` have signed it, and which did.
    ///
    /// A signature by one of `keys` that does not fit refuses the whole envelope; signatures by other
    /// keys do not count.
    pub fn open(
        &self,
        wanted: &'static str,
        keys: &[PublicKey],
        needed: usize,
    ) -> Result<(&[u8], Vec<KeyId>), DsseError> {
        if self.payload_type != wanted {
            let found = self.payload_type.chars().take(80).collect();
            return Err(DsseError::Type { found, wanted });
        }
        let message = pre_authentication(&self.payload_type, &self.payload);
        let (mut signed, mut unknown) = (Vec::new(), Vec::new());
        for signature in &self.signatures {
            match keys.iter().find(|k| k.id() == signature.keyid) {
                None => unknown.push(signature.keyid.clone()),
                Some(key) if !key.verifies(&message, &signature.sig) => {
                    return Err(DsseError::Forged(signature.keyid.clone()));
                }
                Some(_) if signed.contains(&signature.keyid) => {}
                Some(_) => signed.push(signature.keyid.clone()),
            }
        }
        if signed.len() < needed.max(1) {
            return Err(DsseError::TooFew { have: signed.len(), needed: needed.max(1), unknown });
        }
        Ok((&self.payload, signed))
    }
}

/// What is signed: type and payload with their lengths, so that neither can pass for a part of the
/// other.
fn pre_authentication(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

mod base64 {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&data_encoding::BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        data_encoding::BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "application/vnd.outrider.test+json";

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(SecretKey::from_bytes(&[n; 32]))
    }

    #[test]
    fn what_is_signed_is_the_standards_pre_authentication_encoding() {
        let pae = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn signature_is_that_of_rfc_8032() {
        // RFC 8032, 7.1, test 1.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key = SigningKey::parse(seed).unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(key.public().to_string(), public);
        assert_eq!(data_encoding::HEXLOWER.encode(&key.sign(b"")[..8]), "e5564300c360ac72");
        assert_eq!(*key.seed_text(), seed);
    }

    #[test]
    fn two_distinct_keys_are_needed_where_two_are_asked_for() {
        let (a, b) = (key(1), key(2));
        let keys = [a.public(), b.public()];
        let once = Envelope::sign(KIND, b"{}".to_vec(), &[&a, &a]);
        let too_few = once.open(KIND, &keys, 2).unwrap_err();
        assert!(matches!(too_few, DsseError::TooFew { have: 1, needed: 2, .. }));
        let both = Envelope::sign(KIND, b"{}".to_vec(), &[&a, &b]);
        let both = Envelope::parse(&both.to_json()).unwrap();
        let (payload, signed) = both.open(KIND, &keys, 2).unwrap();
        assert_eq!((payload, signed.len()), (&b"{}"[..], 2));
    }

    #[test]
    fn unsigned_document_is_never_believed() {
        let none = Envelope::sign(KIND, b"{}".to_vec(), &[]);
        assert!(none.open(KIND, &[key(1).public()], 0).is_err());
    }

    #[test]
    fn stranger_does_not_count_and_is_named() {
        let envelope = Envelope::sign(KIND, b"{}".to_vec(), &[&key(9)]);
        let message = envelope.open(KIND, &[key(1).public()], 1).unwrap_err().to_string();
        assert!(message.contains(key(9).public().id().as_str()), "{message}");
    }

    #[test]
    fn changed_byte_of_payload_type_or_signature_is_refused() {
        let a = key(1);
        let good = Envelope::sign(KIND, b"{\"n\":1}".to_vec(), &[&a]);
        let mut bad = good.clone();
        bad.payload[5] ^= 1;
        assert_eq!(bad.open(KIND, &[a.public()], 1), Err(DsseError::Forged(a.public().id())));
        let mut bad = good.clone();
        bad.signatures[0].sig[63] ^= 1;
        assert!(bad.open(KIND, &[a.public()], 1).is_err());
        assert!(matches!(
            good.open("application/vnd.outrider.other+json", &[a.public()], 1),
            Err(DsseError::Type { .. })
        ));
    }

    #[test]
    fn heap_of_signatures_is_refused_before_any_is_checked() {
        let mut envelope = Envelope::sign(KIND, b"{}".to_vec(), &[&key(1)]);
        let one = envelope.signatures[0].clone();
        envelope.signatures = vec![one; MOST_SIGNATURES + 1];
        assert!(Envelope::parse(&envelope.to_json()).is_err());
    }
}
