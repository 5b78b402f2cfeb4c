//! Who may sign what: the agency's root of trust and the trust document that it signs.
//!
//! In: the root's public keys, provisioned into the car, and a signed [`TrustDocument`]. Out: the
//! keys that may author a list, sign policy, command a car, or sign models. Leaves to others: where the document
//! comes from (a file, or the retained topic `alpr/v1/<agency>/trust`) and where the highest
//! version is remembered.
//!
//! The root's secret half stays offline. To withdraw a key, publish a document of a higher version
//! without it; no car has to be touched. Its documents lose their effect: a list that it signed is
//! no longer used, a policy that needed it is replaced by the strictest rules, and the versions
//! that it used up no longer count. If a key's holder has only left, the key is *retired*: it signs
//! nothing new, and what it has signed holds until it is replaced.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod held;
mod person;
pub mod pin;

pub use held::{HeldTrust, RootError};
pub use person::Person;

use crate::clock::Standing;
use crate::dated::{Dated, DatedError, Kind};
use crate::dsse::{self, DsseError, Envelope, KeyId, PublicKey, SigningKey};

/// Type of the envelope's payload.
pub const TRUST_TYPE: &str = "application/vnd.outrider.trust.v1+json";

/// Why a trust document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The envelope is not believed.
    #[error("trust document: {0}")]
    Signature(#[from] DsseError),
    /// The payload is not a valid trust document.
    #[error("trust document: {0}")]
    Malformed(String),
    /// It is for another agency.
    #[error("trust document is for agency {found:?}, this is {ours:?}")]
    Agency {
        /// The agency that it names.
        found: String,
        /// This car's agency.
        ours: String,
    },
    /// It is older than one that was believed before.
    #[error("trust document has version {found}, version {known} is known already")]
    Rollback {
        /// Its version.
        found: u64,
        /// The highest version that was believed.
        known: u64,
    },
    /// It has expired.
    #[error("trust document expired at {0}")]
    Expired(Timestamp),
    /// Its dates or its version cannot be believed.
    #[error(transparent)]
    Dated(#[from] DatedError),
    /// Its names cannot be told apart as people.
    #[error("trust document: {0}")]
    Person(String),
}

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sign manifests of this list.
    ListAuthor(String),
    /// Sign policy; a widening policy needs two such keys.
    Policy,
    /// Sign commands to cars, such as the remote wipe.
    Command,
    /// Sign packages of models.
    Models,
}

/// A key and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Its holder's name, for people.
    pub name: String,
    /// Its public half.
    pub public: PublicKey,
    /// What it may do.
    pub roles: Vec<Role>,
}

/// The keys in force, signed by the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustDocument {
    /// The agency that it is for.
    pub agency: String,
    /// The version, which only grows; a car accepts no lower one.
    pub version: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// The end of its validity, if there is one.
    pub expires: Option<Timestamp>,
    /// The keys and what they may do.
    pub keys: Vec<TrustedKey>,
    /// Keys that were in force once and no longer are, for the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<KeyId>,
    /// Keys of `keys` that sign nothing new; what they have signed holds until it is replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<KeyId>,
}

impl TrustDocument {
    /// Signs it.
    pub fn sign(&self, root: &[&SigningKey]) -> Envelope {
        let payload = serde_json::to_vec(self).expect("strings, numbers and dates");
        Envelope::sign(TRUST_TYPE, payload, root)
    }
}

/// The root's public keys, as provisioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The public halves.
    pub keys: Vec<PublicKey>,
    /// How many of them must sign; 1 where there is one.
    #[serde(default = "one")]
    pub needed: usize,
}

fn one() -> usize {
    1
}

/// A trust document that the root has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust(TrustDocument);

impl Trust {
    /// Opens an envelope if the root has signed it, it is for this agency, not expired, not older
    /// than version `known`, and its names can be told apart.
    pub fn open(
        envelope: &Envelope,
        root: &Root,
        agency: &str,
        known: u64,
        now: Timestamp,
    ) -> Result<Self, TrustError> {
        Self::open_at(envelope, root, agency, known, &now.into())
    }

    /// As [`Trust::open`], with the knowledge of who vouches for the time.
    pub fn open_at(
        envelope: &Envelope,
        root: &Root,
        agency: &str,
        known: u64,
        now: &Standing,
    ) -> Result<Self, TrustError> {
        let (payload, _) = envelope.open(TRUST_TYPE, &root.keys, root.needed)?;
        let document: TrustDocument = dsse::document(payload).map_err(TrustError::Malformed)?;
        if document.agency != agency {
            let found = document.agency.chars().take(80).collect();
            return Err(TrustError::Agency { found, ours: agency.into() });
        }
        if document.version < known {
            return Err(TrustError::Rollback { found: document.version, known });
        }
        if let Some(end) = document.expires.filter(|end| *end <= now.at) {
            return Err(TrustError::Expired(end));
        }
        let TrustDocument { issued, expires, version, .. } = document;
        let version = Some((version, known));
        Dated { kind: Kind::Trust, issued, expires, version }.check(now)?;
        Person::check(&document.keys).map_err(TrustError::Person)?;
        Ok(Self(document))
    }

    /// The keys that may act in this role.
    pub fn keys_for(&self, role: &Role) -> Vec<PublicKey> {
        let may = self.0.keys.iter().filter(|key| key.roles.contains(role));
        may.filter(|key| !self.0.withdrawn.contains(&key.public.id()))
            .filter(|key| !self.0.retired.contains(&key.public.id()))
            .map(|key| key.public)
            .collect()
    }

    /// The keys whose documents in this role hold: those that may sign, and retired ones.
    pub fn standing_for(&self, role: &Role) -> Vec<PublicKey> {
        let had = self.0.keys.iter().filter(|key| key.roles.contains(role));
        had.filter(|key| !self.0.withdrawn.contains(&key.public.id()))
            .map(|key| key.public)
            .collect()
    }

    /// Whether what a key has signed in this role still holds.
    pub fn stands(&self, key: &KeyId, role: &Role) -> bool {
        self.standing_for(role).iter().any(|public| public.id() == *key)
    }

    /// Whether what these keys have signed in this role still holds, where `needed` people had to
    /// sign.
    pub fn enough_stand(&self, keys: &[KeyId], role: &Role, needed: usize) -> bool {
        let stand: Vec<_> = keys.iter().filter(|key| self.stands(key, role)).cloned().collect();
        self.people(&stand) >= needed.max(1)
    }

    /// The person who holds this key.
    pub fn person(&self, key: &KeyId) -> Option<Person> {
        let found = self.0.keys.iter().find(|k| k.public.id() == *key)?;
        Person::parse(&found.name).ok()
    }

    /// How many different people hold these keys.
    pub fn people(&self, keys: &[KeyId]) -> usize {
        let people: std::collections::BTreeSet<_> =
            keys.iter().filter_map(|key| self.person(key)).collect();
        people.len()
    }

    /// The document.
    pub fn document(&self) -> &TrustDocument {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(version: u64, keys: Vec<TrustedKey>) -> (Envelope, Root) {
        let root = SigningKey::parse(&"11".repeat(32)).unwrap();
        let document = TrustDocument {
            agency: "opp".into(),
            version,
            issued: Timestamp::UNIX_EPOCH,
            expires: Some("2030-01-01T00:00:00Z".parse().unwrap()),
            keys,
            withdrawn: Vec::new(),
            retired: Vec::new(),
        };
        (document.sign(&[&root]), Root { keys: vec![root.public()], needed: 1 })
    }

    fn author(n: u8) -> TrustedKey {
        let public = SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap().public();
        let roles = vec![Role::ListAuthor("stolen".into())];
        TrustedKey { name: format!("author {n}"), public, roles }
    }

    fn open(envelope: &Envelope, root: &Root, known: u64) -> Result<Trust, TrustError> {
        Trust::open(envelope, root, "opp", known, "2026-11-24T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn author_withdrawn_in_the_next_version_may_sign_no_more() {
        let role = Role::ListAuthor("stolen".into());
        let (first, root) = signed(1, vec![author(1), author(2)]);
        assert_eq!(open(&first, &root, 0).unwrap().keys_for(&role).len(), 2);
        let (next, _) = signed(2, vec![author(2)]);
        assert_eq!(open(&next, &root, 1).unwrap().keys_for(&role), [author(2).public]);
        assert!(open(&next, &root, 1).unwrap().keys_for(&Role::Policy).is_empty());
        let back = open(&first, &root, 2);
        assert_eq!(back, Err(TrustError::Rollback { found: 1, known: 2 }));
    }

    #[test]
    fn two_spellings_of_one_name_are_no_two_people() {
        for second in ["author 1 ", "Author 1", "author\u{200b} 1", "аuthor 1", "author l"] {
            let other = TrustedKey { name: second.into(), ..author(2) };
            let (envelope, root) = signed(1, vec![author(1), other]);
            let refused = open(&envelope, &root, 0);
            assert!(matches!(refused, Err(TrustError::Person(_))), "{second:?}: {refused:?}");
        }
        let one_key_twice = TrustedKey { name: "somebody else".into(), ..author(1) };
        let (envelope, root) = signed(1, vec![author(1), one_key_twice]);
        assert!(matches!(open(&envelope, &root, 0), Err(TrustError::Person(_))));
        let second_key = TrustedKey { name: "author 1".into(), ..author(2) };
        let (envelope, root) = signed(1, vec![author(1), second_key]);
        let trust = open(&envelope, &root, 0).unwrap();
        let keys = [author(1).public.id(), author(2).public.id()];
        assert_eq!(trust.people(&keys), 1, "two keys of one person");
    }

    #[test]
    fn retired_key_signs_nothing_new_and_what_it_signed_stands() {
        let role = Role::ListAuthor("stolen".into());
        let root = SigningKey::parse(&"11".repeat(32)).unwrap();
        let (envelope, public) = signed(1, vec![author(1), author(2)]);
        let mut document = open(&envelope, &public, 0).unwrap().document().clone();
        document.version = 2;
        document.retired.push(author(1).public.id());
        let trust = open(&document.sign(&[&root]), &public, 1).unwrap();
        assert_eq!(trust.keys_for(&role), [author(2).public]);
        assert!(trust.stands(&author(1).public.id(), &role));
        document.withdrawn.push(author(1).public.id());
        let trust = open(&document.sign(&[&root]), &public, 1).unwrap();
        assert!(!trust.stands(&author(1).public.id(), &role), "withdrawn goes before retired");
    }

    #[test]
    fn document_of_the_future_or_with_the_last_version_is_refused() {
        let (envelope, root) = signed(u64::MAX, vec![author(1)]);
        assert!(matches!(open(&envelope, &root, 0), Err(TrustError::Dated(_))));
        assert!(matches!(open(&envelope, &root, 41), Err(TrustError::Dated(_))));
    }

    #[test]
    fn another_agencys_an_expired_and_a_foreign_document_are_refused() {
        let (envelope, root) = signed(1, vec![author(1)]);
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        let other = Trust::open(&envelope, &root, "rcmp", 0, now).unwrap_err();
        assert_eq!(other.to_string(), "trust document is for agency \"opp\", this is \"rcmp\"");
        let late = "2031-01-01T00:00:00Z".parse().unwrap();
        let late = Trust::open(&envelope, &root, "opp", 0, late);
        assert!(matches!(late, Err(TrustError::Expired(_))));
        let stranger = Root { keys: vec![author(7).public], needed: 1 };
        assert!(matches!(open(&envelope, &stranger, 0), Err(TrustError::Signature(_))));
    }
}
