//! The lists that turn a read into a hit: entries, the index, files on disk.
//!
//! In: files (plain lists, CSV). Out: [`Hotlists`], several lists in service at once, replaced while
//! running without making a look-up wait. An exact look-up is one probe; entries are unpacked on a
//! hit only. What a match means is left to the matcher.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plate::{Jurisdiction, JurisdictionError, ListedPlate, PlateError};

mod blocks;
mod chunked;
pub mod false_hits;
mod file;
pub mod format;
pub mod hotplate;
pub mod import;
mod index;
mod list;
mod patterns;
pub mod publish;
mod service;
pub mod sync;
mod watch;

pub use chunked::ChunkedError;
use file::state_code;
pub use file::{load, parse};
pub use list::{Builder, Duplicate, Freshness, Hotlist};
pub use service::{Hotlists, Lookups, Serving};
pub use watch::{Watch, WatchHandle};

/// Name of the list that officers make in the car. No other may have it.
pub const HOTPLATES: &str = "hotplates";

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

/// How a list's entries may be matched. Each way includes the ones before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// The folded text must be equal.
    #[default]
    Exact,
    /// Also the vote's likely alternatives, shown as approximate.
    LookAlike,
    /// Also patterns: `?` stands for one character, `*` for any run. Needs a policy that grants it.
    Wildcard,
}

impl std::fmt::Display for Matching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::LookAlike => "look_alike",
            Self::Wildcard => "wildcard",
        })
    }
}

/// One line of a hotlist. The plate keeps the list's own text; matching uses its folded key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The plate as listed; a pattern where it has `?` or `*`.
    pub plate: ListedPlate,
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
    /// The vehicle, as far as stated.
    pub vehicle: VehicleText,
    /// From when on it holds, if stated.
    pub effective: Option<Timestamp>,
    /// From when on it holds no more, if stated.
    pub expires: Option<Timestamp>,
    /// When the source last said that it is active, if stated.
    pub last_confirmed: Option<Timestamp>,
    /// What to beware of, such as `armed`, if stated.
    pub caution: String,
    /// What to do, such as `stop` or `report only`, if stated.
    pub action: String,
    /// Whether a hit must give no cue in the car.
    pub covert: bool,
}

/// A vehicle as a list describes it; texts are the list's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VehicleText {
    /// Such as `car`, `motorcycle`, `truck`.
    pub class: String,
    /// Such as `Honda` or NCIC's `HOND`.
    pub make: String,
    /// Such as `Civic`.
    pub model: String,
    /// Such as `grey` or NCIC's `GRY`.
    pub colour: String,
    /// Model year.
    pub year: Option<u16>,
}

impl std::fmt::Display for VehicleText {
    /// Year, colour, make, model, class: what is stated, in the order in which one says it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let year = self.year.map(|y| y.to_string()).unwrap_or_default();
        let parts = [&year, &self.colour, &self.make, &self.model, &self.class];
        let stated: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).cloned().collect();
        f.write_str(&stated.join(" "))
    }
}

impl Entry {
    /// A bare entry: what a plain list states.
    pub fn plain(plate: impl Into<ListedPlate>, category: &str, priority: Priority) -> Self {
        Self {
            plate: plate.into(),
            jurisdiction: Jurisdiction::UNKNOWN,
            category: category.into(),
            priority,
            reason: String::new(),
            source: String::new(),
            case: String::new(),
            vehicle: VehicleText::default(),
            effective: None,
            expires: None,
            last_confirmed: None,
            caution: String::new(),
            action: String::new(),
            covert: false,
        }
    }

    /// Whether the entry is in force.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.effective.is_none_or(|from| from <= now) && self.expires.is_none_or(|end| now < end)
    }
}

/// Which list an entry came from, and how old its source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListStamp {
    /// Name of the list.
    pub name: Arc<str>,
    /// Version; a file's list has the file's SHA-256 here, hex.
    pub version: Arc<str>,
    /// When the source last said so; the file's own date for lists read from a file.
    pub source_time: Timestamp,
}

/// Why a list is not in service.
#[derive(Debug, thiserror::Error)]
pub enum HotlistError {
    /// The file cannot be read.
    #[error("cannot read hotlist {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A header, and none of its columns is the plate.
    #[error("hotlist {path}: no plate column among its columns ({columns})")]
    NoPlateColumn {
        /// The file.
        path: PathBuf,
        /// The header's columns.
        columns: String,
    },
    /// Every row is bad: this is some other file.
    #[error("hotlist {path}: none of its {rows} rows is usable; the first, line {line}: {why}")]
    NothingUsable {
        /// The file.
        path: PathBuf,
        /// Rows in the file.
        rows: usize,
        /// Line of the first bad row.
        line: u64,
        /// What is wrong with it.
        why: RowError,
    },
    /// More text than offsets of 32 bits reach.
    #[error("hotlist is larger than 4 GiB")]
    TooLarge,
}

/// A row that does not serve. The rest of the list does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRow {
    /// Line in the file, from 1.
    pub line: u64,
    /// What is wrong. Never repeats the plate.
    pub why: RowError,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// No plate, or none that can be.
    #[error(transparent)]
    Plate(#[from] PlateError),
    /// A jurisdiction that is no code.
    #[error(transparent)]
    Jurisdiction(#[from] JurisdictionError),
    /// A bare code in a column of states and provinces that is neither.
    #[error("{column} {value:?} is no US state or Canadian province; write it as US-NY or CA-ON")]
    State {
        /// The column's name.
        column: String,
        /// At most 16 characters of what it says.
        value: String,
    },
    /// A date that is none.
    #[error("{column} {value:?} is no date such as 2026-11-23 or 2026-11-23T07:00:00Z")]
    Date {
        /// The column's name.
        column: String,
        /// At most 16 characters of what it says.
        value: String,
    },
    /// A priority that is none.
    #[error("{column} {value:?} is none of low, medium, high")]
    Priority {
        /// The column's name.
        column: String,
        /// At most 16 characters of what it says.
        value: String,
    },
    /// A flag that is none.
    #[error("{column} {value:?} is neither yes nor no")]
    Flag {
        /// The column's name.
        column: String,
        /// At most 16 characters of what it says.
        value: String,
    },
    /// The same plate of the same jurisdiction is listed on another line, with at least this
    /// priority.
    #[error("repeats line {of}: same plate, same jurisdiction")]
    Repeats {
        /// The line that serves.
        of: u64,
    },
    /// The row breaks the CSV.
    #[error("malformed CSV: {0}")]
    Csv(String),
}
