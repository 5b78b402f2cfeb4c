//! Commands to a car from outside. There is one: the wipe.
//!
//! In: a signed envelope from `vehicle/<id>/cmd`. Out: a [`Command`] whose signature and dates
//! hold, or why it is refused. Leaves to others: carrying it out (`cmd/run`), who may sign
//! (`trust.rs`, `Role::Command`).
//!
//! A command names one vehicle, the public key that this car has *now*, and an end. A wiped car
//! gets a new key, so an old wipe that somebody kept has no effect, and no counter has to survive
//! the wipe.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::Standing;
use crate::config::Vehicle;
use crate::dated::{Dated, DatedError, Kind};
use crate::dsse::{self, DsseError, Envelope, KeyId, PublicKey, SigningKey};

/// Type of the envelope's payload.
pub const COMMAND_TYPE: &str = "application/vnd.outrider.command.v1+json";

/// Longest time for which a command may wait for a car: a month in the workshop.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The envelope is not believed.
    #[error("command: {0}")]
    Signature(#[from] DsseError),
    /// The payload is not a valid command.
    #[error("command: {0}")]
    Malformed(String),
    /// The command is for another car.
    #[error("command is for vehicle {found}, this is {ours}")]
    Vehicle {
        /// The vehicle that it names.
        found: String,
        /// This vehicle.
        ours: String,
    },
    /// The command is for this car before it got its present key.
    #[error(
        "command is for key {found}, this car's is {ours}: it was wiped or given a new key since"
    )]
    Key {
        /// The key that it names.
        found: KeyId,
        /// This car's key.
        ours: KeyId,
    },
    /// The command is too old, or valid for too long.
    #[error(
        "command was issued {issued} and ends {expires}, it is {now}: at most 30 days may lie between"
    )]
    Time {
        /// When it was signed.
        issued: Timestamp,
        /// When it ends.
        expires: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// Its dates cannot be believed.
    #[error(transparent)]
    Dated(#[from] DatedError),
    /// It destroys what cannot be recovered, and too few people have signed.
    #[error(
        "command destroys {held} that a legal hold keeps, and is signed by {have} of the {TO_DESTROY} \
         people that takes"
    )]
    Held {
        /// Hits that are held.
        held: String,
        /// Different people who signed.
        have: usize,
    },
}

/// People who must sign a command that destroys a hit under a legal hold.
pub const TO_DESTROY: usize = 2;

impl CommandError {
    /// Whether the other error has the same reason; times may differ, because time goes on.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Time { .. }, Self::Time { .. }) => true,
            (Self::Dated(a), Self::Dated(b)) => a.is_like(b),
            _ => self == other,
        }
    }
}

/// What a car is ordered to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Destroy every key and everything that the keys open.
    Wipe,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Agency of the car.
    pub agency: String,
    /// Vehicle number of the car.
    pub vehicle: String,
    /// The id of the public key with which this car signs.
    pub key: KeyId,
    /// What to do.
    pub order: Order,
    /// Why, for the record.
    pub reason: String,
    /// When it was signed.
    pub issued: Timestamp,
    /// Until when it may be followed.
    pub expires: Timestamp,
}

impl Command {
    /// Signs it.
    pub fn sign(&self, key: &SigningKey) -> Envelope {
        let payload = serde_json::to_vec(self).expect("strings and dates");
        Envelope::sign(COMMAND_TYPE, payload, &[key])
    }

    /// Signs it with every key.
    pub fn sign_with(&self, keys: &[&SigningKey]) -> Envelope {
        let payload = serde_json::to_vec(self).expect("strings and dates");
        Envelope::sign(COMMAND_TYPE, payload, keys)
    }

    /// Opens a command if one of `keys` has signed it and it is for this car with its present key.
    /// Returns the first key that signed.
    pub fn open(
        envelope: &Envelope,
        keys: &[PublicKey],
        vehicle: &Vehicle,
        ours: &PublicKey,
        now: Timestamp,
    ) -> Result<(Self, KeyId), CommandError> {
        let (command, signed) = Self::open_all(envelope, keys, vehicle, ours, &now.into())?;
        let by = signed.first().cloned().expect("at least one has signed");
        Ok((command, by))
    }

    /// As [`Command::open`]; returns all of `keys` that have signed.
    pub fn open_all(
        envelope: &Envelope,
        keys: &[PublicKey],
        vehicle: &Vehicle,
        ours: &PublicKey,
        now: &Standing,
    ) -> Result<(Self, Vec<KeyId>), CommandError> {
        let (payload, signed) = envelope.open(COMMAND_TYPE, keys, 1)?;
        let command: Self = dsse::document(payload).map_err(CommandError::Malformed)?;
        if (&command.agency, &command.vehicle) != (&vehicle.agency, &vehicle.id) {
            let name = |agency: &str, id: &str| {
                format!("{agency}/{id}").chars().take(80).collect::<String>()
            };
            let found = name(&command.agency, &command.vehicle);
            let ours = name(&vehicle.agency, &vehicle.id);
            return Err(CommandError::Vehicle { found, ours });
        }
        if command.key != ours.id() {
            return Err(CommandError::Key { found: command.key, ours: ours.id() });
        }
        let Self { issued, expires, .. } = command;
        if now.at >= expires || expires.duration_since(issued) > LONGEST {
            return Err(CommandError::Time { issued, expires, now: now.at });
        }
        Dated { kind: Kind::Command, issued, expires: Some(expires), version: None }.check(now)?;
        Ok((command, signed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SigningKey {
        SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
    }

    fn wipe() -> Command {
        Command {
            agency: "peel".into(),
            vehicle: "4127".into(),
            key: key(7).public().id(),
            order: Order::Wipe,
            reason: "stolen".into(),
            issued: "2026-11-23T07:00:00Z".parse().unwrap(),
            expires: "2026-11-30T07:00:00Z".parse().unwrap(),
        }
    }

    fn open(command: &Command, signer: u8, now: &str) -> Result<(Command, KeyId), CommandError> {
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let envelope = command.sign(&key(signer));
        Command::open(
            &envelope,
            &[key(1).public()],
            &vehicle,
            &key(7).public(),
            now.parse().unwrap(),
        )
    }

    const NOW: &str = "2026-11-24T07:00:00Z";

    #[test]
    fn command_of_a_commander_for_this_car_is_believed() {
        let (command, by) = open(&wipe(), 1, NOW).unwrap();
        assert_eq!((command.order, by), (Order::Wipe, key(1).public().id()));
    }

    #[test]
    fn strangers_other_cars_old_keys_and_old_commands_are_refused() {
        assert!(matches!(open(&wipe(), 2, NOW), Err(CommandError::Signature(_))));
        let other = Command { vehicle: "4128".into(), ..wipe() };
        assert!(matches!(open(&other, 1, NOW), Err(CommandError::Vehicle { .. })));
        let before = Command { key: key(8).public().id(), ..wipe() };
        assert!(matches!(open(&before, 1, NOW), Err(CommandError::Key { .. })));
        let late = open(&wipe(), 1, "2026-11-30T07:00:00Z");
        assert!(matches!(late, Err(CommandError::Time { .. })));
        // A command signed "in ten years" would be valid for ten years if it were accepted now.
        let (issued, expires) = ("2036-11-24T07:00:00Z", "2036-12-23T07:00:00Z");
        let to_come = Command {
            issued: issued.parse().unwrap(),
            expires: expires.parse().unwrap(),
            ..wipe()
        };
        assert!(matches!(open(&to_come, 1, NOW), Err(CommandError::Dated(_))));
        let forever = Command { expires: "2030-01-01T00:00:00Z".parse().unwrap(), ..wipe() };
        assert!(matches!(open(&forever, 1, NOW), Err(CommandError::Time { .. })));
    }
}
