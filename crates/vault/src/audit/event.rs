//! The events that may be written into the audit log: a closed list.
//!
//! No event has a field for a plate. A hit is named by its ULID, and the plate of a look-up by a
//! tag that only this car can compute. Free text is cut to `MOST_TEXT` characters.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::TimeSource;
use crate::dsse::KeyId;
use crate::keys::Protection;
use crate::text::ForeignText;

/// Longest free text of a record, in characters.
pub const MOST_TEXT: usize = 400;

/// Longest number of a person, in characters.
const MOST_PERSON: usize = 64;

/// The number of a person, proven by a sign-in or read back from a log. A person who acts is named
/// in no other way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Person(String);

impl Person {
    /// A person who has signed in. Only `sessions` calls this; `tests/floors.rs` checks it.
    pub(crate) fn who_signed_in(number: &str) -> Self {
        Self(number.to_owned())
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Nobody has signed in: a test states who acts.
#[cfg(any(test, feature = "testing"))]
impl From<&str> for Person {
    fn from(number: &str) -> Self {
        Self(number.to_owned())
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", content = "id", rename_all = "snake_case")]
pub enum Actor {
    /// An officer, by number.
    Officer(Person),
    /// A supervisor, by number.
    Supervisor(Person),
    /// An auditor, by number.
    Auditor(Person),
    /// A maintainer, by number.
    Maintainer(Person),
    /// The holder of this key: an author of a list, a signer of policy.
    Author(KeyId),
    /// Outrider itself.
    System,
    /// The holder of this key, who sent a command from outside the car.
    Remote(KeyId),
    /// A user with a shell in the car, by user id: root, or the service's own user.
    Shell(u32),
}

impl Actor {
    /// The person as the log names them. A number that somebody typed is made one printable line.
    pub(super) fn shown(mut self) -> Self {
        if let Self::Officer(id) | Self::Supervisor(id) | Self::Auditor(id) | Self::Maintainer(id) =
            &mut self
        {
            id.0 = ForeignText::shown(&id.0, MOST_PERSON).into();
        }
        self
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Officer(id) => write!(f, "officer {id}"),
            Self::Supervisor(id) => write!(f, "supervisor {id}"),
            Self::Auditor(id) => write!(f, "auditor {id}"),
            Self::Maintainer(id) => write!(f, "maintainer {id}"),
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
    /// The old value; `None` if there was none.
    pub old: Option<String>,
    /// The new value, or the one that was wanted; `None` if it was removed.
    pub new: Option<String>,
}

/// One line that an officer was shown at the start of a shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftLine {
    /// What it is about, such as `camera front` or `clock`.
    pub what: String,
    /// Whether it was well: `ok`, `not_well` or `not_known`.
    pub is: String,
    /// In the words that were shown.
    pub says: String,
}

/// All events of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum AuditEvent {
    /// The daemon has started.
    Started { software: String, non_hit: String, protection: Option<Protection> },
    /// The daemon stops in order. A start that follows no stop means a crash or a power cut.
    Stopped { hits: u64, recorded: u64, delivered: u64 },
    /// A list version went into service.
    ListServed {
        list: String,
        version: String,
        entries: u64,
        source_time: Timestamp,
        /// What a person should ask about this version if it differs suddenly from the one before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sudden: Option<String>,
    },
    /// A list version was refused.
    ListRefused { list: String, version: String, why: String },
    /// A trust document was refused.
    TrustRefused { why: String },
    /// Entries were revoked, which takes effect at once.
    ListRevoked { list: String, version: String, entries: u64 },
    /// A policy is in force.
    PolicyApplied { version: u64, changes: Vec<Change>, signers: Vec<KeyId> },
    /// A policy was refused.
    PolicyRefused { version: u64, changes: Vec<Change>, signers: Vec<KeyId>, why: String },
    /// Somebody added a hotplate; the plate itself is only in the hotplate store.
    HotplateAdded { id: String, reason: String, case: String, expires: Timestamp },
    /// Somebody removed a hotplate.
    HotplateRemoved { id: String, why: String },
    /// A hotplate expired.
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
        /// Whether nothing in the car has shown it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        covert: bool,
    },
    /// Hits and pictures were deleted because their retention was over.
    HitsPurged { hits: u64, images: u64 },
    /// A person's disposition of a hit.
    Disposition {
        #[serde(with = "text")]
        hit: Ulid,
        old: String,
        new: String,
        /// Why a word was taken back, of a closed list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// The operator at dispatch who said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<String>,
    },
    /// The outcome of a hit: a stop, an arrest, nothing.
    Outcome {
        #[serde(with = "text")]
        hit: Ulid,
        old: String,
        new: String,
    },
    /// Somebody looked a plate up; this is written before the results are shown.
    LookUp { target: String, reason: String, case: String, scope: String, results: u64 },
    /// A look-up was refused.
    LookUpRefused { target: String, reason: String, case: String, scope: String, why: String },
    /// An evidence bundle was written.
    EvidenceExported {
        #[serde(with = "text")]
        hit: Ulid,
        case: String,
        sha256: String,
    },
    /// An evidence bundle was refused.
    EvidenceRefused { hit: String, case: String, why: String },
    /// A device key was made.
    KeyCreated { key: KeyId, public: String, protection: Protection },
    /// The device key was changed; both keys sign the checkpoint over this record.
    KeyRotated { old: KeyId, new: KeyId, public: String, protection: Protection },
    /// The keys are about to be destroyed; no record follows.
    KeyWiped { key: KeyId, why: String },
    /// A command from outside the car was refused. `signers` are those that it names.
    CommandRefused { signers: Vec<KeyId>, why: String },
    /// The wall clock jumped against the boot clock.
    ClockStepped { by_ms: i64, time_source: TimeSource },
    /// A camera delivers no more frames.
    CameraLost { camera: String },
    /// The camera delivers frames again.
    CameraBack { camera: String, seconds: u64 },
    /// There is no position any more.
    GpsLost,
    /// There is a position again.
    GpsBack { seconds: u64 },
    /// Somebody looked at records on the page; written before they are shown.
    RecordsViewed { what: String, filter: String, results: u64 },
    /// Somebody took records out of the car; written before they are given.
    RecordsExported {
        what: String,
        format: String,
        filter: String,
        reason: String,
        case: String,
        results: u64,
        sha256: String,
    },
    /// The log was exported.
    AuditExported { records: u64, head: String },
    /// A hit was put under a legal hold: it is kept past its retention.
    LegalHold {
        #[serde(with = "text")]
        hit: Ulid,
        until: Timestamp,
        reason: String,
    },
    /// A legal hold has ended.
    LegalHoldEnded {
        #[serde(with = "text")]
        hit: Ulid,
        why: String,
    },
    /// The configuration differs from that of the last start.
    ConfigChanged { changes: Vec<Change> },
    /// Somebody signed in or out, was locked, or was refused.
    Session {
        what: String,
        /// The number of that person, if a user of the policy has it. Any other text that was typed
        /// is left out: it may be anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<String>,
        /// Where: `page` or `shell of user 0`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        door: Option<String>,
    },
    /// An officer has gone through what the car is like at the start of a shift.
    ShiftBegun {
        lines: Vec<ShiftLine>,
        /// Whether the officer says that the tone was heard.
        heard: bool,
    },
    /// Somebody began or ended to practise on drawn plates; no hit is in it.
    Training { what: String, right: u64, wrong: u64 },
    /// An entry that somebody tried to make was refused.
    EntryRefused { what: String, why: String },
    /// A package with a model passed its trial and is in force.
    ModelInstalled {
        model: String,
        package: String,
        version: u64,
        sha256: String,
        signer: KeyId,
        /// What was in force before.
        before: String,
        /// What the trial measured.
        trial: String,
    },
    /// A package with a model was refused; what was in force stays so.
    ModelRefused { package: String, why: String },
    /// A package with a model was taken out of force, by a person or by the daemon itself.
    ModelRolledBack { model: String, package: String, to: String, why: String },
}

impl AuditEvent {
    /// The hit that this event concerns.
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

    /// Cuts texts that people and senders wrote to their longest length.
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
            | Self::TrustRefused { why }
            | Self::KeyWiped { why, .. }
            | Self::LegalHoldEnded { why, .. } => cut(why),
            Self::Session { what, number, door } => {
                [what].into_iter().chain(number).chain(door).for_each(cut);
            }
            Self::Training { what, .. } => cut(what),
            Self::EntryRefused { what, why } => [what, why].into_iter().for_each(cut),
            Self::ModelInstalled {
                model,
                package,
                version: _,
                sha256,
                signer: _,
                before,
                trial,
            } => {
                [model, package, sha256, before, trial].into_iter().for_each(cut);
            }
            Self::ModelRefused { package, why } => [package, why].into_iter().for_each(cut),
            Self::ModelRolledBack { model, package, to, why } => {
                [model, package, to, why].into_iter().for_each(cut);
            }
            Self::ShiftBegun { lines, .. } => {
                let words = lines.iter_mut().flat_map(|line| {
                    let ShiftLine { what, is, says } = line;
                    [what, is, says]
                });
                words.for_each(cut);
            }
            Self::LookUp { reason, case, scope, .. } => {
                [reason, case, scope].into_iter().for_each(cut);
            }
            Self::LookUpRefused { reason, case, scope, why, .. } => {
                [reason, case, scope, why].into_iter().for_each(cut);
            }
            Self::EvidenceRefused { hit, case, why } => {
                [hit, case, why].into_iter().for_each(cut);
            }
            Self::EvidenceExported { case, .. } => cut(case),
            Self::RecordsViewed { what, filter, .. } => [what, filter].into_iter().for_each(cut),
            Self::RecordsExported { what, format, filter, reason, case, .. } => {
                [what, format, filter, reason, case].into_iter().for_each(cut);
            }
            Self::HitRecorded { camera, list, list_version, category, .. } => {
                [camera, list, list_version, category].into_iter().for_each(cut);
            }
            Self::ListServed { list, version, sudden, .. } => {
                [list, version].into_iter().chain(sudden).for_each(cut);
            }
            Self::ListRevoked { list, version, .. } => [list, version].into_iter().for_each(cut),
            Self::LegalHold { reason, .. } => cut(reason),
            _ => {}
        }
        self
    }
}

fn cut(text: &mut String) {
    *text = ForeignText::shown(text, MOST_TEXT).into();
}

fn cut_change(change: &mut Change) {
    cut(&mut change.field);
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
