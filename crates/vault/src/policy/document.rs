//! The policy document: canonical JSON in a signed envelope, and the conditions under which it is
//! accepted.
//!
//! In: an envelope, the keys that may sign policy, the previous policy, the ceiling. Out: an
//! [`Opened`] policy with its changes and signers. Leaves to others: where it comes from and where
//! it is kept (`held.rs`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::changes::{Change, Direction, changes};
use super::people;
use super::rules::Rules;
use crate::clock::Standing;
use crate::dated::{Dated, DatedError, Kind};
use crate::dsse::{DsseError, Envelope, KeyId, SigningKey};
use crate::trust::{Role, Trust};

/// Type of the envelope's payload.
pub const POLICY_TYPE: &str = "application/vnd.outrider.policy.v1+json";

/// Longest envelope that is parsed, in bytes; a policy that names a hundred lists takes 20 KB, and
/// one with 2,000 users 600 KB.
pub const LONGEST: usize = 1 << 20;

/// Signatures that a widening or silencing policy needs, by keys of different people.
pub const TO_WIDEN: usize = 2;

/// Why a policy is refused. The previous policy stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The envelope is not believed.
    #[error("policy: {0}")]
    Signature(#[from] DsseError),
    /// There is no key that may sign policy.
    #[error("policy: the trust document names no key that may sign policy, or has not arrived")]
    NoTrust,
    /// The payload is not a valid policy.
    #[error("policy: {0}")]
    Malformed(String),
    /// The payload is not in its one canonical form.
    #[error("policy is not in canonical form: sign it with `outrider policy sign`")]
    NotCanonical,
    /// The envelope is too long.
    #[error("policy has {found} bytes, at most {LONGEST} are looked at")]
    TooLong {
        /// Its size.
        found: usize,
    },
    /// The policy is for another agency.
    #[error("policy is for agency {found:?}, this is {ours:?}")]
    Agency {
        /// The agency that it names.
        found: String,
        /// This car's agency.
        ours: String,
    },
    /// It is older than a policy that was in force.
    #[error("policy has version {found}, version {known} was in force already")]
    Rollback {
        /// Its version.
        found: u64,
        /// The highest version that was in force.
        known: u64,
    },
    /// It differs from the policy in force and has the same version.
    #[error("policy has version {0} like the one in force and says something else")]
    SameVersion(u64),
    /// Its users are not valid.
    #[error("policy: {0}")]
    People(String),
    /// It has expired.
    #[error("policy expired at {0}")]
    Expired(Timestamp),
    /// Its dates or its version cannot be believed.
    #[error(transparent)]
    Dated(#[from] DatedError),
    /// It removes hotplates that will only be added in the future.
    #[error(
        "policy removes hotplates added before {0}, a time in the future: it would forbid new ones without \
         saying so; hotplates.most = 0 forbids them"
    )]
    RevokedBefore(Timestamp),
    /// It widens or silences, and too few people have signed.
    #[error(
        "policy widens or silences{} and has {have} of the {TO_WIDEN} signatures that needs{}: {}",
        beyond(.first), same_holder(.same_person), abridged(.widens)
    )]
    Widens {
        /// Number of different people who signed.
        have: usize,
        /// The person who signed with two keys, if somebody did.
        same_person: Option<String>,
        /// Whether this car has no policy to compare it with.
        first: bool,
        /// What it widens or silences, in sentences.
        widens: Vec<String>,
    },
    /// It is valid, but the car cannot record or store it, and therefore does not apply it.
    #[error("the policy's signatures are right, but this car cannot apply it: {0}")]
    NotTaken(String),
    /// It goes past the ceiling of this car's provisioning, which no signature allows.
    #[error("policy goes past the ceiling of this car's provisioning: {}", abridged(.0))]
    Ceiling(Vec<String>),
}

fn abridged(what: &[String]) -> String {
    let (shown, more) = what.split_at(what.len().min(3));
    match more.len() {
        0 => shown.join("; "),
        n => format!("{}; and {n} more", shown.join("; ")),
    }
}

fn beyond(first: &bool) -> &'static str {
    match first {
        true => " beyond the strictest rules, with which a car compares that has no policy,",
        false => "",
    }
}

fn same_holder(who: &Option<String>) -> String {
    who.as_ref().map_or(String::new(), |who| format!(" (both keys are {who}'s)"))
}

/// A policy, as it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The agency that it is for.
    pub agency: String,
    /// The version, which only grows; a car accepts no lower one.
    pub version: u64,
    /// When it was written.
    pub issued: Timestamp,
    /// The end, if there is one: from then on its grants lapse, and its limits stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Why it was made, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The rules.
    pub rules: Rules,
}

impl Policy {
    /// The canonical form.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers, sets and maps with text keys")
    }

    /// Parses the canonical form, and no other.
    pub fn parse(payload: &[u8]) -> Result<Self, PolicyError> {
        let policy: Self =
            serde_json::from_slice(payload).map_err(|e| PolicyError::Malformed(e.to_string()))?;
        if policy.canonical() != payload {
            return Err(PolicyError::NotCanonical);
        }
        policy.check_people()?;
        Ok(policy)
    }

    /// Checks that its users are valid.
    pub fn check_people(&self) -> Result<(), PolicyError> {
        people::check(&self.rules.users).map_err(PolicyError::People)
    }

    /// Signs it.
    pub fn sign(&self, keys: &[&SigningKey]) -> Envelope {
        Envelope::sign(POLICY_TYPE, self.canonical(), keys)
    }

    /// The dates and the version that it states, with `known` as the highest known version.
    pub fn dated(&self, known: u64) -> Dated {
        let Self { issued, expires, version, .. } = *self;
        Dated { kind: Kind::Policy, issued, expires, version: Some((version, known)) }
    }

    /// The rules in effect at this time: after its end the limits stay and the grants lapse.
    pub fn rules_at(&self, now: Timestamp) -> Rules {
        match self.expires.is_some_and(|end| end <= now) {
            true => self.rules.lapsed(),
            false => self.rules.clone(),
        }
    }

    /// Opens an envelope, or says why it is refused.
    ///
    /// `previous` is the policy in force. A car without one does not know the fleet's policy: its
    /// first one is compared with the strictest rules, so that with one signature it cannot go
    /// beyond those. `ceiling` is what this car was provisioned for.
    pub fn open(
        envelope: &[u8],
        trust: Option<&Trust>,
        agency: &str,
        previous: &Previous,
        ceiling: Option<&Rules>,
        now: Timestamp,
    ) -> Result<Opened, PolicyError> {
        Self::open_at(envelope, trust, agency, previous, ceiling, &now.into())
    }

    /// As [`Policy::open`], with the knowledge of who vouches for the time.
    pub fn open_at(
        envelope: &[u8],
        trust: Option<&Trust>,
        agency: &str,
        previous: &Previous,
        ceiling: Option<&Rules>,
        now: &Standing,
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
        if let Some(end) = policy.expires.filter(|end| *end <= now.at) {
            return Err(PolicyError::Expired(end));
        }
        policy.dated(previous.highest).check(now)?;
        if let Some(before) = policy.rules.hotplates.revoked_before.filter(|at| *at > policy.issued)
        {
            return Err(PolicyError::RevokedBefore(before));
        }
        let held = previous.policy.as_ref().filter(|_| !previous.lost);
        if held.is_some_and(|p| *p != policy && p.version == policy.version) {
            return Err(PolicyError::SameVersion(policy.version));
        }
        let changed = changes(&previous.compared_with(now.at), &policy.rules);
        let widens = sentences(&changed);
        let signers = people(trust, &signed);
        let have = trust.people(&signed);
        if !widens.is_empty() && have < TO_WIDEN {
            let same_person = (signers.len() > have).then(|| signers[0].name.clone());
            let first = previous.policy.is_none();
            return Err(PolicyError::Widens { have, same_person, first, widens });
        }
        if let Some(ceiling) = ceiling {
            let past = past_ceiling(&policy.rules, ceiling);
            if !past.is_empty() {
                return Err(PolicyError::Ceiling(past));
            }
        }
        let needed = if widens.is_empty() { 1 } else { TO_WIDEN };
        Ok(Opened { needed, policy, signers, changes: changed })
    }
}

/// What came before: the policy in force and the highest version that ever was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Previous {
    /// The policy in force, if there is one.
    pub policy: Option<Policy>,
    /// A policy with a lower version is refused.
    pub highest: u64,
    /// The policy in force cannot be read any more: the strictest rules hold until a policy
    /// arrives.
    pub lost: bool,
}

impl Previous {
    /// The rules with which a new policy is compared. Without a policy these are the strictest,
    /// because the fleet's policy is unknown; they are not "no limits".
    pub fn compared_with(&self, now: Timestamp) -> Rules {
        match &self.policy {
            Some(_) if !self.lost => self.rules_at(now),
            _ => Rules::strictest(),
        }
    }

    /// The rules in effect at this time.
    pub fn rules_at(&self, now: Timestamp) -> Rules {
        match &self.policy {
            _ if self.lost => Rules::strictest(),
            Some(policy) => policy.rules_at(now),
            None => Rules::default(),
        }
    }
}

/// A policy that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// How many people had to sign it.
    pub needed: usize,
    /// What it says.
    pub policy: Policy,
    /// The holders of the keys that signed it.
    pub signers: Vec<Signer>,
    /// The differences from the previous policy.
    pub changes: Vec<Change>,
}

/// A signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// The key.
    pub key: KeyId,
    /// The holder of the key, according to the trust document.
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
    let widens = changes.iter().filter(|c| c.direction.needs_two());
    widens.map(|c| c.says.clone()).collect()
}

/// The rules in which a policy goes past a ceiling. A rule that the policy leaves out does not: the
/// ceiling also limits the configuration.
pub fn past_ceiling(rules: &Rules, ceiling: &Rules) -> Vec<String> {
    // A ceiling limits what people may do; it does not name them.
    let ceiling = Rules { users: rules.users.clone(), ..ceiling.clone() };
    changes(&ceiling, &rules.filled_from(&ceiling))
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
pub(super) mod tests;
