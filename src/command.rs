//! Commands from afar: today one, the wipe.
//!
//! In: a signed envelope from `vehicle/<id>/cmd`. Out: a [`Command`] that is believed, or why not. Leaves
//! to others: doing it (`cmd/run`), who may sign (`trust.rs`, `Role::Command`).
//!
//! A command is for one vehicle, names the public key that this car has *now*, and ends. A wiped car gets
//! a new key, so an old wipe that somebody kept wipes nothing: no counter has to survive the wipe.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::config::Vehicle;
use crate::dsse::{DsseError, Envelope, KeyId, PublicKey, SigningKey};

/// Type of the envelope's payload.
pub const COMMAND_TYPE: &str = "application/vnd.outrider.command.v1+json";

/// Longest that a command may wait for a car: a month in the workshop.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Why a command is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The envelope is not believed.
    #[error("command: {0}")]
    Signature(#[from] DsseError),
    /// Its payload is not what it must be.
    #[error("command: {0}")]
    Malformed(String),
    /// Meant for another car.
    #[error("command is for vehicle {found}, this is {ours}")]
    Vehicle {
        /// What it says.
        found: String,
        /// Who we are.
        ours: String,
    },
    /// Meant for this car as it was once.
    #[error(
        "command is for key {found}, this car's is {ours}: it was wiped or given a new key since"
    )]
    Key {
        /// What it says.
        found: KeyId,
        /// Ours.
        ours: KeyId,
    },
    /// Too old, or meant to be valid for too long.
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
}

impl CommandError {
    /// Whether it is refused for the same reason as before: the time goes on meanwhile.
    pub fn is_like(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Time { .. }, Self::Time { .. })) || self == other
    }
}

/// What a car is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Destroy every key and everything they open.
    Wipe,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Whose car.
    pub agency: String,
    /// Which car.
    pub vehicle: String,
    /// The public key that this car signs with, by name.
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

    /// Believes a command if one of `keys` has signed it and it is for this car, as it is now. Returns
    /// who signed.
    pub fn open(
        envelope: &Envelope,
        keys: &[PublicKey],
        vehicle: &Vehicle,
        ours: &PublicKey,
        now: Timestamp,
    ) -> Result<(Self, KeyId), CommandError> {
        let (payload, signed) = envelope.open(COMMAND_TYPE, keys, 1)?;
        let command: Self =
            serde_json::from_slice(payload).map_err(|e| CommandError::Malformed(e.to_string()))?;
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
        if now >= expires || expires.duration_since(issued) > LONGEST {
            return Err(CommandError::Time { issued, expires, now });
        }
        let by = signed.first().cloned().expect("at least one has signed");
        Ok((command, by))
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
        let forever = Command { expires: "2030-01-01T00:00:00Z".parse().unwrap(), ..wipe() };
        assert!(matches!(open(&forever, 1, NOW), Err(CommandError::Time { .. })));
    }
}
