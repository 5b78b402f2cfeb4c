//! The chain of records: lines of JSON, each of which holds the SHA-256 of the line before it.
//!
//! What is hashed are the very bytes that are stored and exported, so a verifier needs no canonical
//! JSON: `sha256sum` of one line is the next line's `prev`. A checkpoint is a DSSE envelope that
//! signs a head of the chain; in an export it follows the record that it seals.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::event::{Actor, AuditEvent};
use crate::clock::TimeSource;
use crate::dsse::{self, Envelope, PublicKey, SigningKey};

/// Type of a checkpoint's payload.
pub const CHECKPOINT_TYPE: &str = "application/vnd.outrider.audit-checkpoint.v1+json";

/// Version of the record format.
pub(super) const FORMAT: u8 = 1;

/// Most records from one seal to the next. The record that is the 64th after a seal is sealed in
/// the commit that writes it, so a log never holds more than 63 unsigned records, whatever happens
/// to the disk.
pub const SEALED_EVERY: u64 = 64;

/// A digest as bytes.
pub(super) type Hash = [u8; 32];

/// The `prev` of the first record.
pub(super) const BEFORE_ALL: Hash = [0; 32];

/// One record. Its fields, in this order, form the line that is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub v: u8,
    /// Number of the record: 1, 2, 3 and so on without a gap.
    pub seq: u64,
    /// When it happened, on the wall clock.
    pub wall: Timestamp,
    /// Who vouched for the wall clock at that time.
    pub time_source: TimeSource,
    /// The boot of the machine, as `BootId` identifies it.
    pub boot: String,
    /// When it happened, on that boot's clock, which nobody can set.
    pub boot_ms: u64,
    /// Who did it.
    pub who: Actor,
    /// What was done, why, and what was there before.
    pub event: AuditEvent,
    /// SHA-256 of the line before.
    pub prev: String,
}

impl Record {
    /// The bytes that are hashed, stored and exported.
    pub(super) fn line(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and dates")
    }
}

pub(super) fn hash(line: &[u8]) -> Hash {
    Sha256::digest(line).into()
}

/// SHA-256 of a line without its line end, in hexadecimal, as the next line states it.
pub fn digest(line: &str) -> String {
    hex(&hash(line.as_bytes()))
}

pub(super) fn hex(hash: &Hash) -> String {
    data_encoding::HEXLOWER.encode(hash)
}

/// A head of the chain, signed by the device key: a seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Version of this format.
    pub v: u8,
    /// Agency of the car.
    pub agency: String,
    /// Vehicle number of the car.
    pub vehicle: String,
    /// SHA-256 of the chain's first line; it distinguishes this chain from one that was begun anew.
    pub chain: String,
    /// Number of the last record.
    pub seq: u64,
    /// SHA-256 of its line.
    pub head: String,
    /// When it was signed.
    pub at: Timestamp,
    /// Number of the record that the previous seal covers, 0 for the first seal: by this a missing
    /// seal is noticed. Seals from before 2026-11-29 do not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
}

impl Checkpoint {
    pub(super) fn sign(&self, keys: &[&SigningKey]) -> Envelope {
        let payload = serde_json::to_vec(self).expect("strings, numbers and dates");
        Envelope::sign(CHECKPOINT_TYPE, payload, keys)
    }

    /// Opens a checkpoint if one of these keys has signed it.
    pub fn open(envelope: &Envelope, keys: &[PublicKey]) -> Result<Self, String> {
        let (payload, _) = envelope.open(CHECKPOINT_TYPE, keys, 1).map_err(|e| e.to_string())?;
        Self::parse(payload)
    }

    /// As [`Checkpoint::open`], for this car's own log. A checkpoint over a change of keys also has
    /// a signature by the previous key, which may be unknown here by now.
    pub(super) fn open_own(envelope: &Envelope, key: &PublicKey) -> Result<Self, String> {
        let opened = envelope.open_beside_others(CHECKPOINT_TYPE, std::slice::from_ref(key), 1);
        Self::parse(opened.map_err(|e| e.to_string())?.0)
    }

    fn parse(payload: &[u8]) -> Result<Self, String> {
        let checkpoint: Self = dsse::document(payload)?;
        match checkpoint.v {
            FORMAT => Ok(checkpoint),
            other => Err(format!("it is of format {other}, this reads format {FORMAT}")),
        }
    }
}
