//! Describes how a bucket ended: the record of it that goes into the audit log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::TimeSource;

/// Why a bucket was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurgeReason {
    /// It reached the configured age.
    Expired,
    /// The ring reached its size, or the disk its reserve.
    Shed,
    /// Its age or its key is unknown, or the configuration no longer allows it.
    Unwanted,
    /// Writing to it failed, or it cannot be read.
    Broken,
    /// The session ended.
    SessionOver,
}

impl PurgeReason {
    /// The word for it in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Shed => "shed",
            Self::Unwanted => "unwanted",
            Self::Broken => "broken",
            Self::SessionOver => "session_over",
        }
    }
}

/// Which bucket was destroyed, when and why; never what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeRecord {
    /// Name of the bucket.
    pub bucket: String,
    /// The id of the key that was destroyed, in hexadecimal; `None` if it was missing or could not
    /// be unsealed.
    pub key: Option<String>,
    /// Number of reads in it; `None` if they could not be counted.
    pub rows: Option<u64>,
    /// The earliest time at which its oldest read may have been seen, on the wall clock.
    pub opened: Option<Timestamp>,
    /// When it was destroyed, on the wall clock.
    pub at: Timestamp,
    /// The same instant on the boot clock, in milliseconds.
    pub boot_ms: i64,
    /// Who vouched for the wall clock.
    pub time_source: TimeSource,
    /// Why it was destroyed.
    pub reason: PurgeReason,
}

/// Receives records of purges: the audit log.
///
/// A record is passed on after the key is destroyed and before the file is removed, so that a power
/// cut in between leaves a file whose end is recorded at the next start. A refused record is
/// offered again.
pub trait PurgeSink: Send + Sync {
    /// Takes a record durably, or returns why it cannot.
    fn purged(&self, record: &PurgeRecord) -> Result<(), String>;
}

/// Writes records to the log, where there is no audit.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogOnly;

impl PurgeSink for LogOnly {
    fn purged(&self, r: &PurgeRecord) -> Result<(), String> {
        tracing::info!(
            bucket = r.bucket,
            key = r.key,
            rows = r.rows,
            time_source = r.time_source.as_str(),
            reason = r.reason.as_str(),
            "ring bucket destroyed"
        );
        Ok(())
    }
}
