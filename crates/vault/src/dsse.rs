//! Signed documents: DSSE envelopes with Ed25519.
//!
//! In: bytes and keys. Out: an [`Envelope`], or the bytes that enough distinct known keys have
//! signed. Costs: about 50 µs a signature. Leaves to others: what a document says, and which key
//! may sign it (`trust.rs`).
//!
//! An envelope can be written in one way only: it is accepted in the very bytes that
//! [`Envelope::to_json`] writes, and every signature in it is checked. Nobody without a key can
//! change it or add to it.
//!
//! Source: Dead Simple Signing Envelope 1.0.2 (what is signed is the *pre-authentication encoding* of
//! type and payload); RFC 8032.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::secret::{RandomError, SecretKey};
use crate::text::ForeignText;

/// Most signatures of one envelope: a document has a few signers, and each signature costs a check.
const MOST_SIGNATURES: usize = 16;

/// Bytes of an Ed25519 signature.
const SIGNATURE: usize = 64;

/// Why an envelope is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// It is not an envelope.
    #[error("not a signed document: {0}")]
    Malformed(String),
    /// It is an envelope for another type of document.
    #[error("signed document is of type {found:?}, must be {wanted:?}")]
    Type {
        /// The type that it states.
        found: String,
        /// The type that is needed here.
        wanted: &'static str,
    },
    /// It is the same document in other bytes.
    #[error(
        "signed document is not in the one form that it has (docs/formats.md): it was changed after it was signed"
    )]
    NotCanonical,
    /// One key has signed twice.
    #[error(
        "signed document carries two signatures by key {0}: it was changed after it was signed"
    )]
    Twice(KeyId),
    /// Enough keys have signed, and also one that cannot be checked here.
    #[error(
        "signed document also carries a signature by key {0}, which may not sign this: what nobody can check \
         is not let through"
    )]
    Stranger(KeyId),
    /// A known key is named, but its signature does not fit: the document is damaged or forged.
    #[error("the signature by key {0} does not fit: damaged or forged")]
    Forged(KeyId),
    /// Too few of the keys that may sign have signed.
    #[error("signed by {have} of the keys that may sign this, needs {needed}{}", named(.unknown))]
    TooFew {
        /// Number of distinct keys whose signatures fit.
        have: usize,
        /// How many are needed.
        needed: usize,
        /// Keys that have signed and may not.
        unknown: Vec<KeyId>,
    },
    /// A text is not a public key.
    #[error("{0:?} is no Ed25519 public key (64 hexadecimal digits)")]
    PublicKey(String),
    /// A text is not a secret key.
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

/// The id of a key: the first 16 hexadecimal digits of the SHA-256 of its public half.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct KeyId(String);

/// Hexadecimal digits of a key's id.
const KEY_ID_DIGITS: usize = 16;

/// Only a well-formed id is accepted: anybody can write anything into an envelope that they do not
/// sign.
impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let good = text.len() == KEY_ID_DIGITS
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        match good {
            true => Ok(Self(text)),
            // The text is not repeated in the message: it may be anything.
            false => Err(serde::de::Error::custom(format!(
                "a key's name has {KEY_ID_DIGITS} hexadecimal digits, this text of {} bytes is none",
                text.len()
            ))),
        }
    }
}

impl KeyId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a well-formed id: an envelope may claim anything.
    fn is_sound(&self) -> bool {
        self.0.len() == 16 && self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
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

    /// The key's id.
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

/// A key that signs. Its seed is on a locked page; `ring` holds a copy of its own.
pub struct SigningKey {
    seed: SecretKey,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new key.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self::from_seed(SecretKey::random()?))
    }

    /// The key for a 32-byte seed (RFC 8032).
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

/// A document and its signatures. Use the document only through [`Envelope::open`].
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

    /// Parses an envelope; nothing in it is verified yet. It accepts the bytes that
    /// [`Envelope::to_json`] writes and no others, so that two different messages are never one
    /// document.
    pub fn parse(json: &[u8]) -> Result<Self, DsseError> {
        let envelope: Self = serde_json::from_slice(json)
            .map_err(|e| DsseError::Malformed(ForeignText::remark(e).into()))?;
        if envelope.signatures.len() > MOST_SIGNATURES {
            let n = envelope.signatures.len();
            return Err(DsseError::Malformed(format!(
                "{n} signatures, at most {MOST_SIGNATURES} are looked at"
            )));
        }
        if envelope.signatures.iter().any(|s| !s.keyid.is_sound() || s.sig.len() != SIGNATURE) {
            let why = "a key is named by 16 hexadecimal digits, and a signature has 64 bytes";
            return Err(DsseError::Malformed(why.into()));
        }
        if envelope.to_json() != json {
            return Err(DsseError::NotCanonical);
        }
        Ok(envelope)
    }

    /// As [`Envelope::parse`], for a file: `mosquitto_sub` and editors end a file with a line end,
    /// so that one byte may follow the document.
    pub fn parse_file(json: &[u8]) -> Result<Self, DsseError> {
        Self::parse(json.strip_suffix(b"\n").unwrap_or(json))
    }

    /// Parses an envelope that this car has believed before, in whatever form it arrived then. It
    /// was kept under the car's own seal, so that nobody can have changed it, and the version in it
    /// must not be forgotten.
    pub fn parse_remembered(json: &[u8]) -> Result<Self, DsseError> {
        serde_json::from_slice(json).map_err(|e| DsseError::Malformed(e.to_string()))
    }

    /// The envelope as it is stored and sent: JSON on one line.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings only")
    }

    /// The payload type that it states; not verified.
    pub fn kind(&self) -> &str {
        &self.payload_type
    }

    /// The payload, not verified: to show it, or to find out which keys are needed.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The keys that it states as signers; not verified.
    pub fn signers(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|s| &s.keyid)
    }

    /// The payload and the keys that signed it, if at least `needed` distinct keys of `keys` have
    /// signed it and nobody else has.
    ///
    /// A signature by one of `keys` that does not fit makes the whole envelope invalid, and so does
    /// one by a key that is not among them: anybody could have added it, and whoever shows the
    /// document would show it too.
    pub fn open(
        &self,
        wanted: &'static str,
        keys: &[PublicKey],
        needed: usize,
    ) -> Result<(&[u8], Vec<KeyId>), DsseError> {
        let (payload, signed, unknown) = self.open_beside_others(wanted, keys, needed)?;
        match unknown.into_iter().next() {
            Some(stranger) => Err(DsseError::Stranger(stranger)),
            None => Ok((payload, signed)),
        }
    }

    /// As [`Envelope::open`], where others may have signed too whose keys are not known here; also
    /// returns the key ids that these state.
    #[expect(clippy::type_complexity, reason = "what was signed, by whom, and who else says so")]
    pub fn open_beside_others(
        &self,
        wanted: &'static str,
        keys: &[PublicKey],
        needed: usize,
    ) -> Result<(&[u8], Vec<KeyId>, Vec<KeyId>), DsseError> {
        if self.payload_type != wanted {
            let found = ForeignText::shown(&self.payload_type, 80).into();
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
                Some(_) if signed.contains(&signature.keyid) => {
                    return Err(DsseError::Twice(signature.keyid.clone()));
                }
                Some(_) => signed.push(signature.keyid.clone()),
            }
        }
        if signed.len() < needed.max(1) {
            return Err(DsseError::TooFew { have: signed.len(), needed: needed.max(1), unknown });
        }
        // The order of signatures is not signed: it must not decide who is named first.
        signed.sort_unstable();
        Ok((&self.payload, signed, unknown))
    }
}

/// Parses a payload that can be written in one way only: one that differs when it is written again
/// is refused, so that what was signed has one meaning.
pub fn document<T: Serialize + serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    let document: T = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
    match serde_json::to_vec(&document) {
        Ok(again) if again == payload => Ok(document),
        Ok(_) => Err("its payload is not in canonical form".into()),
        Err(e) => Err(e.to_string()),
    }
}

/// The bytes that are signed: type and payload with their lengths, so that neither can pass for a
/// part of the other.
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
    use proptest::prelude::*;

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

    #[test]
    fn envelope_in_other_bytes_is_refused() {
        let (a, b) = (key(1), key(2));
        let good = Envelope::sign(KIND, b"{\"n\":1}".to_vec(), &[&a, &b]).to_json();
        let text = String::from_utf8(good.clone()).unwrap();
        let (payload, signature) = (r#""payload":"eyJuIjoxfQ==""#, text.find("==\"}").unwrap());
        let loose = |bytes: &str| bytes.to_owned();
        let (head, signatures) = text.split_once(",\"signatures\":").unwrap();
        let changed = [
            text.replace(':', ": "),
            format!(" {text}"),
            format!("{text}\n"),
            format!("{text}\0"),
            format!("\u{feff}{text}"),
            text.replace("payloadType", "payload\\u0054ype"),
            text.replace(payload, &format!("{payload},{payload}")),
            text.replace(payload, &format!("{payload},\"note\":1")),
            // The last digit has bits that carry no data.
            text.replace("fQ==", "fR=="),
            text.replace("fQ==", "fQ"),
            loose(&format!("{}B{}", &text[..signature - 1], &text[signature..])),
            format!("{{\"signatures\":{},{}}}", &signatures[..signatures.len() - 1], &head[1..]),
            text.replace(a.public().id().as_str(), &a.public().id().as_str().to_uppercase()),
        ];
        assert!(Envelope::parse(&good).is_ok());
        for bad in changed {
            assert_ne!(bad, text);
            assert!(Envelope::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        // An envelope that was believed once can be read back as it was.
        assert!(Envelope::parse_remembered(text.replace(':', ": ").as_bytes()).is_ok());
        // A file may end with one line end and nothing else.
        assert!(Envelope::parse_file(format!("{text}\n").as_bytes()).is_ok());
        assert!(Envelope::parse_file(format!("{text}\n\n").as_bytes()).is_err());
        assert!(Envelope::parse_file(format!("{text}\r\n").as_bytes()).is_err());
    }

    #[test]
    fn signature_that_a_stranger_adds_or_somebody_doubles_refuses_the_whole() {
        let (a, b) = (key(1), key(9));
        let keys = [a.public()];
        let mut envelope = Envelope::sign(KIND, b"{}".to_vec(), &[&a]);
        assert!(envelope.open(KIND, &keys, 1).is_ok());
        let mut doubled = envelope.clone();
        doubled.signatures.push(doubled.signatures[0].clone());
        assert_eq!(doubled.open(KIND, &keys, 1), Err(DsseError::Twice(a.public().id())));
        envelope.add(&b);
        assert_eq!(envelope.open(KIND, &keys, 1), Err(DsseError::Stranger(b.public().id())));
        envelope.signatures.reverse();
        assert_eq!(envelope.open(KIND, &keys, 1), Err(DsseError::Stranger(b.public().id())));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        /// The adversary holds keys of their own, and may change, cut, double and add bytes and
        /// signatures.
        #[test]
        fn whatever_holds_is_what_was_signed_byte_for_byte(
            cut in 0_usize..400, takes in 0_usize..6, puts in prop::collection::vec(any::<u8>(), 0..6),
            copied in prop::option::of((0_usize..3, 0_usize..3)), adds in prop::option::of(0_u8..4),
        ) {
            let (a, b) = (key(1), key(2));
            let keys = [a.public(), b.public()];
            let good = Envelope::sign(KIND, b"{\"n\":1}".to_vec(), &[&a, &b]);
            let mut changed = good.clone();
            if let Some((from, to)) = copied {
                let one = changed.signatures[from % 2].clone();
                changed.signatures.insert(to, one);
            }
            if let Some(n) = adds {
                changed.add(&key(7 + n));
            }
            let mut bytes = changed.to_json();
            let at = cut % bytes.len();
            let end = (at + takes).min(bytes.len());
            bytes.splice(at..end, puts);
            let held = Envelope::parse(&bytes).is_ok_and(|e| e.open(KIND, &keys, 2).is_ok());
            prop_assert_eq!(held, bytes == good.to_json());
        }
    }

    #[test]
    fn texts_of_whoever_signs_nothing_go_no_further() {
        let envelope = |keyid: &str, more: &str| {
            serde_json::json!({"payloadType": KIND, "payload": "e30=", "signatures": [
                {"keyid": keyid, "sig": "AA==", more: 1}
            ]})
            .to_string()
        };
        let long = "CKSV841 ".repeat(2_500);
        let forged = "x\nINFO policy in force\u{1b}[2J";
        for json in [
            envelope(&long, "a"),
            envelope(forged, "a"),
            envelope("0123456789abcdef", forged),
            envelope("0123456789abcdef", &long),
        ] {
            let why = Envelope::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(why.chars().count() < 300, "{} characters", why.chars().count());
            assert!(!why.contains('\n') && !why.contains('\u{1b}'), "{why}");
        }
        for bad in [&long, forged, "0123456789ABCDEF", ""] {
            assert!(serde_json::from_value::<KeyId>(serde_json::json!(bad)).is_err());
        }
    }
}
