//! The lists that turn a read into a hit: entries, the index, files on disk.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::plate::{Jurisdiction, Plate};

/// How urgent an alert is; it chooses tone and colour.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// For information: expired registration and the like.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Stolen, wanted, missing; cannot be muted.
    High,
}

/// How a list's entries may be matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// The folded text must be equal.
    #[default]
    Exact,
    /// Also the vote's likely alternatives, shown as approximate.
    LookAlike,
}

/// One line of a hotlist. The plate keeps the list's own text; matching uses its folded key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The plate as listed.
    pub plate: Plate,
    /// Who issued it; the same characters from elsewhere are another plate.
    pub jurisdiction: Jurisdiction,
    /// Such as `stolen_vehicle`.
    pub category: Arc<str>,
    /// How urgent.
    pub priority: Priority,
    /// Free text for the officer.
    pub reason: String,
    /// Who put it there, if stated.
    pub source: String,
    /// The source's case number, if stated.
    pub case: String,
    /// Make, model, colour, year as the list writes them, if stated.
    pub vehicle: String,
}
