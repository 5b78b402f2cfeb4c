//! The record of a bucket's end, for the audit.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::TimeSource;

/// Why a bucket went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurgeReason {
    /// It reached the configured age.
    Expired,
    /// The ring reached its bytes, or the disk its reserve.
    Shed,
    /// Its age or its key cannot be told, or the configuration no longer wants it.
    Unwanted,
    /// Writing to it failed, or it cannot be read.
    Broken,
    /// The session ended.
    SessionOver,
}

impl PurgeReason {
    /// As written in records.
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

/// What went, when, why; never what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeRecord {
    /// Name of the bucket.
    pub bucket: String,
    /// The key that was destroyed, by a digest over it in hexadecimal; `None` if it was gone or not
    /// to be unsealed.
    pub key: Option<String>,
    /// Reads that were in it; `None` if they could not be counted.
    pub rows: Option<u64>,
    /// When its oldest read may have been seen, on the wall clock.
    pub opened: Option<Timestamp>,
    /// When it went, on the wall clock.
    pub at: Timestamp,
    /// The same instant on the boot clock, in milliseconds.
    pub boot_ms: i64,
    /// What vouched for the wall clock.
    pub time_source: TimeSource,
    /// Why it went.
    pub reason: PurgeReason,
}

/// Takes records of purges: the audit.
///
/// A record is handed over when the key is gone and before the file is, so that a power cut between
/// the two leaves a file whose end is recorded at the next start. What is refused is offered again.
pub trait PurgeSink: Send + Sync {
    /// Takes one record for good, or says why not.
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
