//! The lists that turn a read into a hit: entries, the index, files on the disk.
//!
//! In: files (plain lists, CSV). Out: [`Hotlists`], several lists in service at once, which are
//! replaced while the daemon runs without making a look-up wait. An exact look-up is one probe;
//! entries are unpacked on a hit only. The matcher decides what a match means.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::When;
use crate::plate::{Jurisdiction, ListedPlate};
use crate::text::{ForeignText, MOST_REMARK};

mod blocks;
mod chunked;
pub mod false_hits;
mod file;
pub mod format;
pub mod hotplate;
mod index;
mod list;
mod patterns;
pub mod reader;
mod service;
pub mod sync;
mod turnover;
mod watch;

pub use crate::entry::{HOTPLATES, Matching, Priority};
pub use chunked::ChunkedError;
pub use file::{Loaded, load, parse};
pub use list::{Builder, Duplicate, Freshness, Hotlist};
pub use service::{Hotlists, Lookups, Serving};
pub use watch::{Watch, WatchHandle};

/// One entry of a hotlist. The plate keeps the list's own text; matching uses its folded key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The plate as listed; a pattern where it has `?` or `*`.
    pub plate: ListedPlate,
    /// Who issued it; the same characters from another issuer are another plate.
    pub jurisdiction: Jurisdiction,
    /// Its category, such as `stolen_vehicle`.
    pub category: Arc<str>,
    /// How urgent it is.
    pub priority: Priority,
    /// Free text for the officer.
    pub reason: String,
    /// Who listed it, if stated.
    pub source: String,
    /// The source's case number, if stated.
    pub case: String,
    /// The vehicle, as far as stated.
    pub vehicle: VehicleText,
    /// From when on it is in force, if stated.
    pub effective: Option<Timestamp>,
    /// From when on it is no longer in force, if stated.
    pub expires: Option<Timestamp>,
    /// When the source last confirmed it, if stated.
    pub last_confirmed: Option<Timestamp>,
    /// A warning, such as `armed`, if stated.
    pub caution: String,
    /// What to do, such as `stop` or `report only`, if stated.
    pub action: String,
    /// Whether a hit must give no cue in the car.
    pub covert: bool,
}

impl Entry {
    /// The entry with its texts made fit to be shown: a listed car must not be missed because of
    /// how its author wrote about it.
    #[must_use]
    pub fn shown(mut self) -> Self {
        let Self { reason, source, case, vehicle, caution, action, .. } = &mut self;
        let VehicleText { class, make, model, colour, year: _ } = vehicle;
        for text in [reason, source, case, class, make, model, colour, caution, action] {
            *text = ForeignText::shown(text, MOST_REMARK).into();
        }
        self.category = ForeignText::shown(&self.category, MOST_CATEGORY).as_str().into();
        self
    }
}

/// Longest category, in characters.
const MOST_CATEGORY: usize = 64;

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
    /// Writes what is stated of year, colour, make, model and class, in the order in which people
    /// say them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let year = self.year.map(|y| y.to_string()).unwrap_or_default();
        let parts = [&year, &self.colour, &self.make, &self.model, &self.class];
        let stated: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).cloned().collect();
        f.write_str(&stated.join(" "))
    }
}

impl Entry {
    /// An entry with what a plain list states.
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
        self.may_hold(When::at(now))
    }

    /// Whether the entry may be in force, given the range in which the present lies.
    pub fn may_hold(&self, now: When) -> bool {
        now.may_be_within(self.effective, self.expires)
    }
}

/// The list that an entry came from, and how old its source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListStamp {
    /// Name of the list.
    pub name: Arc<str>,
    /// Version; for a list from a file this is the file's SHA-256, in hexadecimal.
    pub version: Arc<str>,
    /// When the source was last known to be right; for a list from a file, the file's own date.
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
        /// The system's error.
        source: std::io::Error,
    },
    /// There is a header, but none of its columns is the plate.
    #[error("hotlist {path}: no plate column among its columns ({columns})")]
    NoPlateColumn {
        /// The file.
        path: PathBuf,
        /// The header's columns.
        columns: String,
    },
    /// The file cannot be unpacked, or is not text.
    #[error("hotlist {0}")]
    Source(#[from] reader::container::SourceError),
    /// Reading the file broke off.
    #[error("hotlist {path}: {why}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where and why.
        why: reader::ReadError,
    },
    /// No row can be used: this is some other kind of file.
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
    /// There is more text than 32-bit offsets can address.
    #[error("hotlist is larger than 4 GiB")]
    TooLarge,
}

/// A row that could not be used. The rest of the list is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRow {
    /// Line in the file, from 1.
    pub line: u64,
    /// What is wrong. It never contains the plate.
    pub why: RowError,
}

impl std::fmt::Display for SkippedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// What is wrong with a row. It shows shapes, never texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The row cannot be read as an entry.
    #[error(transparent)]
    Row(#[from] reader::interpret::Problem),
    /// It has a word for "no plate" where the plate should be.
    #[error("has a word for no plate, such as UNKNOWN, where the plate should be")]
    NoPlate,
    /// Another line lists the same plate of the same jurisdiction, with at least this priority.
    #[error("repeats line {of}: same plate, same jurisdiction")]
    Repeats {
        /// The line that is kept.
        of: u64,
    },
}
