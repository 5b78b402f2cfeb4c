//! The people who may sign in at a car: number, roles, end of training, hashed PIN.
//!
//! In: the users of a policy. Out: whether they are valid, and the differences between two sets of
//! them. Leaves to others: signing in ([`sessions`](crate::sessions)).

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::rules::Who;
use crate::config::HumanDuration;
use crate::pin::PinHash;
use crate::text::ForeignText;

/// Longest number of a person, in characters.
const MOST_NUMBER: usize = 32;

/// Longest name, in characters.
const MOST_NAME: usize = 64;

/// Most users of one policy.
pub const MOST_USERS: usize = 2_000;

/// How long somebody who enters nothing stays signed in, unless policy says otherwise.
pub const IDLE: HumanDuration = HumanDuration::from_secs(15 * 60);

/// How long somebody stays signed in at all, unless policy says otherwise.
pub const SHIFT: HumanDuration = HumanDuration::from_secs(12 * 3600);

/// A person who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Their name; shown beside the number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The roles in which they may act; at least one.
    pub roles: BTreeSet<Who>,
    /// Last day (UTC) of their training; without it the training does not lapse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_until: Option<Date>,
    /// Their PIN's hash, as `outrider provision pin` makes it.
    pub pin: PinHash,
}

/// How long somebody stays signed in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignInRules {
    /// Longest time without an entry, until the PIN is asked for again; [`IDLE`] where it is left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<HumanDuration>,
    /// Longest time in all, until number and PIN are asked for again; [`SHIFT`] where it is left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<HumanDuration>,
}

impl SignInRules {
    /// Time without an entry after which the PIN is asked for, limited to between a minute and four
    /// hours.
    pub fn idle(&self) -> HumanDuration {
        let (least, most) = (HumanDuration::from_secs(60), HumanDuration::from_secs(4 * 3600));
        self.idle.unwrap_or(IDLE).clamp(least, most)
    }

    /// Time after which somebody has to sign in anew, limited to between an hour and a day.
    pub fn shift(&self) -> HumanDuration {
        let (least, most) = (HumanDuration::from_secs(3600), HumanDuration::from_secs(86_400));
        self.shift.unwrap_or(SHIFT).clamp(least, most)
    }

    pub(super) fn filled_from(self, from: &Self) -> Self {
        let Self { idle, shift } = self;
        Self { idle: idle.or(from.idle), shift: shift.or(from.shift) }
    }
}

/// Checks that these users are valid; the error is a sentence.
pub fn check(users: &BTreeMap<String, User>) -> Result<(), String> {
    if users.len() > MOST_USERS {
        return Err(format!("policy names {} users, at most {MOST_USERS} may be", users.len()));
    }
    let mut alike = BTreeSet::new();
    for (number, User { name, roles, trained_until: _, pin: _ }) in users {
        if !is_number(number) {
            let shown = ForeignText::shown(number, 40);
            return Err(format!(
                "{shown:?} is no user's number: 1 to {MOST_NUMBER} letters, digits, - or _, and not all of them \
                 signs"
            ));
        }
        if !alike.insert(number.to_ascii_lowercase()) {
            return Err(format!(
                "two users have the number {number}, which differs only in upper and lower case"
            ));
        }
        if roles.is_empty() {
            return Err(format!(
                "user {number} has no role: officer, supervisor, auditor, maintainer"
            ));
        }
        if !name.is_empty() && ForeignText::parse(name, MOST_NAME).is_err() {
            return Err(format!(
                "the name of user {number} is not one line of {MOST_NAME} characters"
            ));
        }
    }
    Ok(())
}

/// Whether a text can be a person's number.
pub fn is_number(text: &str) -> bool {
    (1..=MOST_NUMBER).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && text.bytes().any(|b| b.is_ascii_alphanumeric())
}
