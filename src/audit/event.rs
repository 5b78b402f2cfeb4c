//! What may be written into the audit log: a closed list.
//!
//! No event has a place for a plate. A hit is named by its ULID, a look-up's plate by a tag that only
//! this car can make. Free text is cut to `MOST_TEXT` characters.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::TimeSource;
use crate::dsse::KeyId;
use crate::keys::Protection;

/// Longest free text of a record, in characters.
pub const MOST_TEXT: usize = 400;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", content = "id", rename_all = "snake_case")]
pub enum Actor {
    /// An officer, by number.
    Officer(String),
    /// A supervisor, by number.
    Supervisor(String),
    /// Whoever holds this key: an author of a list, a signer of policy.
    Author(KeyId),
    /// Outrider by itself.
    System,
    /// Whoever holds this key, from afar.
    Remote(KeyId),
    /// Whoever has a shell in the car: root, or the service's own user, by user id.
    Shell(u32),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Officer(id) => write!(f, "officer {id}"),
            Self::Supervisor(id) => write!(f, "supervisor {id}"),
            Self::Author(key) => write!(f, "key {key}"),
            Self::System => f.write_str("system"),
            Self::Remote(key) => write!(f, "remote key {key}"),
            Self::Shell(uid) => write!(f, "shell of user {uid}"),
        }
    }
}

/// One field that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its dotted name, such as `keeping.non_hit`.
    pub field: String,
    /// What it was; nothing if it was not there.
    pub old: Option<String>,
    /// What it is, or was meant to become; nothing if it goes.
    pub new: Option<String>,
}

/// Everything that is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum AuditEvent {
    /// The daemon has started.
    Started { software: String, non_hit: String, protection: Option<Protection> },
    /// The daemon stops in order. A start without a stop before it is a crash or a power cut.
    Stopped { hits: u64, recorded: u64, delivered: u64 },
    /// A list version went into service.
    ListServed { list: String, version: String, entries: u64, source_time: Timestamp },
    /// A list version was not taken.
    ListRefused { list: String, version: String, why: String },
    /// Entries were revoked, which counts at once.
    ListRevoked { list: String, version: String, entries: u64 },
    /// A policy is in force.
    PolicyApplied { version: u64, changes: Vec<Change>, signers: Vec<KeyId> },
    /// A policy was not taken.
    PolicyRefused { version: u64, changes: Vec<Change>, signers: Vec<KeyId>, why: String },
    /// Somebody added a plate for a while; the plate itself is in the hotplate store.
    HotplateAdded { id: String, reason: String, case: String, expires: Timestamp },
    /// Somebody took it out.
    HotplateRemoved { id: String, why: String },
    /// Its time was over.
    HotplateExpired { id: String },
    /// A bucket of the ring was destroyed: first its key, then its file.
    BucketPurged {
        bucket: String,
        key_id: String,
        rows: u64,
        opened: Timestamp,
        time_source: TimeSource,
        reason: String,
    },
    /// A hit is on the disk.
    HitRecorded {
        #[serde(with = "text")]
        hit: Ulid,
        camera: String,
        list: String,
        list_version: String,
        list_age_s: u64,
        category: String,
        exact: bool,
    },
    /// A hit and its pictures were deleted because their time was over.
    HitsPurged { hits: u64, images: u64 },
    /// What a person made of a hit.
    Disposition {
        #[serde(with = "text")]
        hit: Ulid,
        old: String,
        new: String,
    },
    /// What came of it: a stop, an arrest, nothing.
    Outcome {
        #[serde(with = "text")]
        hit: Ulid,
        old: String,
        new: String,
    },
    /// Somebody searched; written before the results are shown.
    LookUp { target: String, reason: String, case: String, scope: String, results: u64 },
    /// Somebody wanted to search and was not let.
    LookUpRefused { target: String, reason: String, case: String, scope: String, why: String },
    /// An evidence bundle was written.
    EvidenceExported {
        #[serde(with = "text")]
        hit: Ulid,
        case: String,
        sha256: String,
    },
    /// Somebody wanted evidence and was not given it.
    EvidenceRefused { hit: String, case: String, why: String },
    /// A device key was made.
    KeyCreated { key: KeyId, public: String, protection: Protection },
    /// The device key was changed; both keys sign the checkpoint over this record.
    KeyRotated { old: KeyId, new: KeyId, public: String, protection: Protection },
    /// The keys are destroyed next; nothing follows.
    KeyWiped { key: KeyId, why: String },
    /// A command from afar was not followed. `signers` are those that it names.
    CommandRefused { signers: Vec<KeyId>, why: String },
    /// The wall clock jumped against the boot clock.
    ClockStepped { by_ms: i64, time_source: TimeSource },
    /// A camera gives nothing from here on.
    CameraLost { camera: String },
    /// It gives again.
    CameraBack { camera: String, seconds: u64 },
    /// No position from here on.
    GpsLost,
    /// A position again.
    GpsBack { seconds: u64 },
    /// The log was exported.
    AuditExported { records: u64, head: String },
    /// A hit must be kept, whatever the retention says.
    LegalHold {
        #[serde(with = "text")]
        hit: Ulid,
        until: Timestamp,
        reason: String,
    },
    /// It need not be any more.
    LegalHoldEnded {
        #[serde(with = "text")]
        hit: Ulid,
        why: String,
    },
    /// The configuration differs from that of the last start.
    ConfigChanged { changes: Vec<Change> },
    /// Somebody signed in or out, or was not let in.
    Session { what: String },
}

impl AuditEvent {
    /// The hit it is about.
    pub fn hit(&self) -> Option<Ulid> {
        match self {
            Self::HitRecorded { hit, .. }
            | Self::Disposition { hit, .. }
            | Self::Outcome { hit, .. }
            | Self::EvidenceExported { hit, .. }
            | Self::LegalHold { hit, .. }
            | Self::LegalHoldEnded { hit, .. } => Some(*hit),
            _ => None,
        }
    }

    /// Cuts what people and senders wrote to its most.
    pub(super) fn cut(mut self) -> Self {
        match &mut self {
            Self::ListRefused { why, list, version } => {
                [why, list, version].into_iter().for_each(cut);
            }
            Self::PolicyRefused { why, changes, .. } => {
                cut(why);
                changes.iter_mut().for_each(cut_change);
            }
            Self::PolicyApplied { changes, .. } | Self::ConfigChanged { changes } => {
                changes.iter_mut().for_each(cut_change);
            }
            Self::HotplateAdded { reason, case, .. } => [reason, case].into_iter().for_each(cut),
            Self::HotplateRemoved { why, .. }
            | Self::CommandRefused { why, .. }
            | Self::KeyWiped { why, .. }
            | Self::LegalHoldEnded { why, .. }
            | Self::Session { what: why } => cut(why),
            Self::LookUp { reason, case, scope, .. } => {
                [reason, case, scope].into_iter().for_each(cut);
            }
            Self::LookUpRefused { reason, case, scope, why, .. } => {
                [reason, case, scope, why].into_iter().for_each(cut);
            }
            Self::EvidenceRefused { case, why, .. } => [case, why].into_iter().for_each(cut),
            Self::LegalHold { reason, .. } => cut(reason),
            _ => {}
        }
        self
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MOST_TEXT) {
        text.truncate(end);
        text.push('…');
    }
}

fn cut_change(change: &mut Change) {
    [&mut change.old, &mut change.new].into_iter().flatten().for_each(cut);
}

/// A ULID as its 26 characters.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use ulid::Ulid;

    pub(super) fn serialize<S: Serializer>(id: &Ulid, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Ulid, D::Error> {
        Ulid::from_string(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}
