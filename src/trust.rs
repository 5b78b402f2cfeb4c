//! Who may sign what: the agency's root of trust and the document that it signs.
//!
//! In: the root's public keys, provisioned into the car, and a signed [`TrustDocument`]. Out: the keys
//! that may author a list, sign policy, or command a car. Leaves to others: where the document comes
//! from (a file, or the retained topic `alpr/v1/<agency>/trust`) and where the highest version seen is
//! remembered.
//!
//! The root's secret half stays offline. To withdraw an author's key, publish a document of a higher
//! version without it: no car has to be touched.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod held;
pub mod pin;

pub use held::{HeldTrust, RootError};

use crate::dsse::{DsseError, Envelope, KeyId, PublicKey, SigningKey};

/// Type of the envelope's payload.
pub const TRUST_TYPE: &str = "application/vnd.outrider.trust.v1+json";

/// Why a trust document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The envelope is not believed.
    #[error("trust document: {0}")]
    Signature(#[from] DsseError),
    /// Its payload is not what it must be.
    #[error("trust document: {0}")]
    Malformed(String),
    /// Meant for others.
    #[error("trust document is for agency {found:?}, this is {ours:?}")]
    Agency {
        /// What it says.
        found: String,
        /// Who we are.
        ours: String,
    },
    /// Older than one that was believed before.
    #[error("trust document has version {found}, version {known} is known already")]
    Rollback {
        /// What it says.
        found: u64,
        /// What is known.
        known: u64,
    },
    /// Past its date.
    #[error("trust document expired at {0}")]
    Expired(Timestamp),
}

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sign manifests of this list.
    ListAuthor(String),
    /// Sign policy; widening needs two such keys.
    Policy,
    /// Sign commands to cars, such as the remote wipe.
    Command,
}

/// A key and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Who holds it, for people.
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
    /// Whose cars it is for.
    pub agency: String,
    /// Only ever grows; a car takes no lower one.
    pub version: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// Until when it may be used, if there is an end.
    pub expires: Option<Timestamp>,
    /// Who may do what.
    pub keys: Vec<TrustedKey>,
    /// Keys that were in force once and are not: said for the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<KeyId>,
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
    /// Public halves.
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
    /// Believes an envelope if the root has signed it, it is ours, in date, and no older than
    /// version `known`.
    pub fn open(
        envelope: &Envelope,
        root: &Root,
        agency: &str,
        known: u64,
        now: Timestamp,
    ) -> Result<Self, TrustError> {
        let (payload, _) = envelope.open(TRUST_TYPE, &root.keys, root.needed)?;
        let document: TrustDocument =
            serde_json::from_slice(payload).map_err(|e| TrustError::Malformed(e.to_string()))?;
        if document.agency != agency {
            let found = document.agency.chars().take(80).collect();
            return Err(TrustError::Agency { found, ours: agency.into() });
        }
        if document.version < known {
            return Err(TrustError::Rollback { found: document.version, known });
        }
        if let Some(end) = document.expires.filter(|end| *end <= now) {
            return Err(TrustError::Expired(end));
        }
        Ok(Self(document))
    }

    /// The keys that may do this.
    pub fn keys_for(&self, role: &Role) -> Vec<PublicKey> {
        let may = self.0.keys.iter().filter(|key| key.roles.contains(role));
        may.filter(|key| !self.0.withdrawn.contains(&key.public.id()))
            .map(|key| key.public)
            .collect()
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
