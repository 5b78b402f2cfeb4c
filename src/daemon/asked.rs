//! What commands may ask of the running daemon, by the words that the control socket knows.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// One plate in what this car keeps.
pub(crate) const QUERY: &str = "query";
/// What a hit was.
pub(crate) const DISPOSITION: &str = "disposition";
/// Everything about one hit.
pub(crate) const EVIDENCE: &str = "evidence";
/// The passphrase of the device key.
pub(crate) const UNLOCK: &str = "unlock";
/// To make this car unreadable, at once.
pub(crate) const WIPE: &str = "wipe";
/// How this car is: cameras, lists, link, storage.
pub(crate) const STATUS: &str = "status";
/// Counts of days.
pub(crate) const DAYS: &str = "report/days";

/// Which days are wanted, both included.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Days {
    pub(crate) from: Date,
    pub(crate) to: Date,
}
