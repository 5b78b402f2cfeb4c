//! The policy document: canonical JSON in a signed envelope, and when it is believed.
//!
//! In: an envelope, the keys that may sign policy, the policy before, the ceiling. Out: an [`Opened`]
//! policy with what it changes and who signed. Leaves to others: where it comes from and where it is
//! kept (`service.rs`).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::changes::{Change, Direction, changes};
use super::rules::Rules;
use crate::dsse::{DsseError, Envelope, KeyId, SigningKey};
use crate::trust::{Role, Trust};

/// Type of the envelope's payload.
pub const POLICY_TYPE: &str = "application/vnd.outrider.policy.v1+json";

/// Longest envelope that is looked at; a policy that names a hundred lists takes 20 KB.
pub const LONGEST: usize = 96 << 10;

/// Signatures that a widening needs, by keys of different people.
pub const TO_WIDEN: usize = 2;

/// Why a policy is not taken. The policy before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The envelope is not believed.
    #[error("policy: {0}")]
    Signature(#[from] DsseError),
    /// No key may sign policy here.
    #[error("policy: the trust document names no key that may sign policy, or has not arrived")]
    NoTrust,
    /// Its payload is not what it must be.
    #[error("policy: {0}")]
    Malformed(String),
    /// Two texts would mean the same.
    #[error("policy is not in canonical form: sign it with `outrider policy sign`")]
    NotCanonical,
    /// Too long to be one.
    #[error("policy has {found} bytes, at most {LONGEST} are looked at")]
    TooLong {
        /// Its size.
        found: usize,
    },
    /// Meant for others.
    #[error("policy is for agency {found:?}, this is {ours:?}")]
    Agency {
        /// What it says.
        found: String,
        /// Who we are.
        ours: String,
    },
    /// Older than one that was in force.
    #[error("policy has version {found}, version {known} was in force already")]
    Rollback {
        /// What it says.
        found: u64,
        /// What is known.
        known: u64,
    },
    /// Two policies of one version.
    #[error("policy has version {0} like the one in force and says something else")]
    SameVersion(u64),
    /// Past its date.
    #[error("policy expired at {0}")]
    Expired(Timestamp),
    /// More is kept or matched, and too few people have signed.
    #[error(
        "policy widens and has {have} of the {TO_WIDEN} signatures that needs{}: {}",
        whose(.same_person), said(.widens)
    )]
    Widens {
        /// Different people who signed.
        have: usize,
        /// Who signed with two keys, if somebody did.
        same_person: Option<String>,
        /// What it widens, in sentences.
        widens: Vec<String>,
    },
    /// Believed, and not obeyed: what a car cannot put on record or remember it does not do.
    #[error("policy is signed well and not taken: {0}")]
    NotTaken(String),
    /// More than this car was provisioned for, whoever signs.
    #[error("policy goes past the ceiling of this car's provisioning: {}", said(.0))]
    Ceiling(Vec<String>),
}

fn said(what: &[String]) -> String {
    let (shown, more) = what.split_at(what.len().min(3));
    match more.len() {
        0 => shown.join("; "),
        n => format!("{}; and {n} more", shown.join("; ")),
    }
}

fn whose(who: &Option<String>) -> String {
    who.as_ref().map_or(String::new(), |who| format!(" (both keys are {who}'s)"))
}

/// A policy, as it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Whose cars it is for.
    pub agency: String,
    /// Only ever grows; a car takes no lower one.
    pub version: u64,
    /// When it was written.
    pub issued: Timestamp,
    /// From when on it grants nothing any more, if there is an end. Its limits hold on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Why it was made, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What it says.
    pub rules: Rules,
}

impl Policy {
    /// The one way to write it.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers, sets and maps with text keys")
    }

    /// Reads the canonical form, and no other.
    pub fn parse(payload: &[u8]) -> Result<Self, PolicyError> {
        let policy: Self =
            serde_json::from_slice(payload).map_err(|e| PolicyError::Malformed(e.to_string()))?;
        if policy.canonical() != payload {
            return Err(PolicyError::NotCanonical);
        }
        Ok(policy)
    }

    /// Signs it.
    pub fn sign(&self, keys: &[&SigningKey]) -> Envelope {
        Envelope::sign(POLICY_TYPE, self.canonical(), keys)
    }

    /// Its rules as they count at this time: past its date it limits on and grants nothing.
    pub fn rules_at(&self, now: Timestamp) -> Rules {
        match self.expires.is_some_and(|end| end <= now) {
            true => self.rules.lapsed(),
            false => self.rules.clone(),
        }
    }

    /// Believes an envelope, or says why not.
    ///
    /// `previous` is the policy in force; without one, a policy is compared with no policy, so that a
    /// first one may limit with one signature and grant with two. `ceiling` is what this car was
    /// provisioned for.
    pub fn open(
        envelope: &[u8],
        trust: Option<&Trust>,
        agency: &str,
        previous: &Previous,
        ceiling: Option<&Rules>,
        now: Timestamp,
    ) -> Result<Opened, PolicyError> {
        if envelope.len() > LONGEST {
            return Err(PolicyError::TooLong { found: envelope.len() });
        }
        let envelope = Envelope::parse(envelope)?;
        let trust = trust.ok_or(PolicyError::NoTrust)?;
        let keys = trust.keys_for(&Role::Policy);
        if keys.is_empty() {
            return Err(PolicyError::NoTrust);
        }
        let (payload, signed) = envelope.open(POLICY_TYPE, &keys, 1)?;
        let policy = Self::parse(payload)?;
        if policy.agency != agency {
            let found = policy.agency.chars().take(80).collect();
            return Err(PolicyError::Agency { found, ours: agency.into() });
        }
        if policy.version < previous.highest {
            let known = previous.highest;
            return Err(PolicyError::Rollback { found: policy.version, known });
        }
        if let Some(end) = policy.expires.filter(|end| *end <= now) {
            return Err(PolicyError::Expired(end));
        }
        if previous.policy.as_ref().is_some_and(|p| *p != policy && p.version == policy.version) {
            return Err(PolicyError::SameVersion(policy.version));
        }
        let changed = changes(&previous.rules_at(now), &policy.rules);
        let widens = sentences(&changed);
        let signers = people(trust, &signed);
        let names: BTreeSet<_> = signers.iter().map(|s| &s.name).collect();
        if !widens.is_empty() && names.len() < TO_WIDEN {
            let same_person = (signers.len() > names.len()).then(|| signers[0].name.clone());
            return Err(PolicyError::Widens { have: names.len(), same_person, widens });
        }
        if let Some(ceiling) = ceiling {
            let past = past_ceiling(&policy.rules, ceiling);
            if !past.is_empty() {
                return Err(PolicyError::Ceiling(past));
            }
        }
        Ok(Opened { policy, signers, changes: changed })
    }
}

/// What went before: the policy in force and the highest version ever in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Previous {
    /// The policy in force, if there is one.
    pub policy: Option<Policy>,
    /// No policy of a lower version is taken.
    pub highest: u64,
    /// What was in force cannot be read any more: the strictest rules hold until a policy arrives.
    pub lost: bool,
}

impl Previous {
    /// The rules that hold at this time.
    pub fn rules_at(&self, now: Timestamp) -> Rules {
        match &self.policy {
            Some(policy) => policy.rules_at(now),
            None if self.lost => Rules::strictest(),
            None => Rules::default(),
        }
    }
}

/// A believed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What it says.
    pub policy: Policy,
    /// Whose keys have signed it.
    pub signers: Vec<Signer>,
    /// What it changes of the one before.
    pub changes: Vec<Change>,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// The key.
    pub key: KeyId,
    /// Whose it is, as the trust document says.
    pub name: String,
}

fn people(trust: &Trust, signed: &[KeyId]) -> Vec<Signer> {
    let name = |key: &KeyId| {
        let found = trust.document().keys.iter().find(|k| k.public.id() == *key);
        found.map_or_else(|| key.to_string(), |k| k.name.clone())
    };
    signed.iter().map(|key| Signer { key: key.clone(), name: name(key) }).collect()
}

fn sentences(changes: &[Change]) -> Vec<String> {
    let widens = changes.iter().filter(|c| c.direction == Direction::Widens);
    widens.map(|c| c.says.clone()).collect()
}

/// In which rules a policy goes past a ceiling. What the policy leaves to the configuration is not
/// its doing: the ceiling limits the configuration too.
pub fn past_ceiling(rules: &Rules, ceiling: &Rules) -> Vec<String> {
    changes(ceiling, &rules.filled_from(ceiling))
        .into_iter()
        .filter(|c| c.direction == Direction::Widens)
        .map(|c| match (c.old.is_empty(), c.new.is_empty()) {
            (false, false) => format!("{} = {}, the ceiling is {}", c.what, c.new, c.old),
            _ => format!("{} is past the ceiling", c.what),
        })
        .collect()
}

#[cfg(test)]
#[path = "document_tests.rs"]
pub(crate) mod tests;
