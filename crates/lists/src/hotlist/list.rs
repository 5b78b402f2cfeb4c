//! One list in memory: an index of packed plates over rows that are unpacked on a hit only.
//!
//! Rows of a list from a file are packed texts; rows of a list from the broker stay in their sealed
//! chunks (`chunked.rs`).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::chunked::{ChunkedRows, Revoked};
use super::index::Index;
use super::{Entry, HotlistError, ListStamp, Matching, Priority, VehicleText};
use crate::clock::When;
use crate::plate::{Jurisdiction, ListedPlate, PlateKey};

/// Separates the fields of a packed row; it is removed from texts.
const FIELD_END: char = '\u{1f}';

/// An indexed list. It is built first, and then put in service by [`super::Hotlists`].
pub struct Hotlist {
    stamp: ListStamp,
    matching: Matching,
    amber_after: Duration,
    red_after: Duration,
    /// Shared with copies of the list that have other revocations.
    index: Arc<Index>,
    rows: Arc<Rows>,
    revoked: Option<Revoked>,
}

/// Rows by (plate key, jurisdiction).
enum Rows {
    Packed {
        /// Where each row starts in `packed`; then the end of the last row.
        starts: Box<[u32]>,
        packed: Box<str>,
    },
    Chunked(ChunkedRows),
}

/// The age of a list's source, compared with the limits in its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Recent enough.
    Fresh,
    /// Older than `amber_after`.
    Amber,
    /// Older than `red_after`.
    Red,
}

impl Freshness {
    /// Compares the age of a source with two limits.
    pub fn of(
        source: Timestamp,
        now: Timestamp,
        amber_after: Duration,
        red_after: Duration,
    ) -> Self {
        let age = Duration::try_from(now.duration_since(source)).unwrap_or_default();
        if age >= red_after {
            Self::Red
        } else if age >= amber_after {
            Self::Amber
        } else {
            Self::Fresh
        }
    }
}

impl Hotlist {
    /// A list whose rows are in sealed chunks.
    pub(super) fn chunked(
        stamp: ListStamp,
        matching: Matching,
        (amber_after, red_after): (Duration, Duration),
        (index, rows): (Index, ChunkedRows),
        revoked: Option<Revoked>,
    ) -> Self {
        let (index, rows) = (Arc::new(index), Arc::new(Rows::Chunked(rows)));
        Self { stamp, matching, amber_after, red_after, index, rows, revoked }
    }

    /// The same list with other revocations; nothing else is copied.
    pub(super) fn with_revoked(&self, revoked: Option<Revoked>) -> Self {
        Self {
            stamp: self.stamp.clone(),
            index: self.index.clone(),
            rows: self.rows.clone(),
            revoked,
            ..*self
        }
    }

    /// How its entries may be matched.
    pub fn matching(&self) -> Matching {
        self.matching
    }

    /// Name, version, age of the source.
    pub fn stamp(&self) -> &ListStamp {
        &self.stamp
    }

    /// Number of entries, expired ones included.
    pub fn len(&self) -> usize {
        match &*self.rows {
            Rows::Packed { starts, .. } => starts.len() - 1,
            Rows::Chunked(rows) => rows.len(),
        }
    }

    /// Whether there is nothing to match.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the index and of the rows. The row numbers that the index needs count as a part of
    /// it.
    pub fn bytes(&self) -> (usize, usize) {
        match &*self.rows {
            Rows::Packed { starts, packed } => {
                (self.index.bytes(), packed.len() + starts.len() * 4)
            }
            Rows::Chunked(rows) => {
                let (places, sealed) = rows.bytes();
                (self.index.bytes() + places, sealed)
            }
        }
    }

    /// How old the source is, compared with the settings.
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        Freshness::of(self.stamp.source_time, now, self.amber_after, self.red_after)
    }

    /// The ages at which its settings call it old and stale.
    pub fn ages(&self) -> (Duration, Duration) {
        (self.amber_after, self.red_after)
    }

    /// The packed keys of its plates, unordered, with zeros among them.
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = u64> {
        self.index.keys()
    }

    /// The listed plates, without patterns, unordered, with revoked and expired ones.
    pub fn plates(&self) -> impl Iterator<Item = PlateKey> {
        self.index.keys().filter_map(PlateKey::of_packed)
    }

    /// Whether this plate is listed, in force or not.
    pub fn lists(&self, key: PlateKey) -> bool {
        self.index.find(key.get()).is_some()
    }

    /// The entries under a key that are in force at `now` and not revoked, one per jurisdiction
    /// that lists it. Usually there are none, and then this costs one probe.
    ///
    /// If only a range of the present time is known, these are the entries that may be in force.
    /// The present is not before the list's source.
    pub fn look_up(&self, key: PlateKey, now: impl Into<When>) -> impl Iterator<Item = Entry> {
        let when = now.into().not_before(self.stamp.source_time);
        let first = self.index.find(key.get());
        first
            .into_iter()
            .flat_map(|first| self.rows.from(first))
            .take_while(move |entry| entry.plate.key() == Some(key))
            .filter(move |entry| entry.may_hold(when))
            .filter(|entry| !self.revoked.as_ref().is_some_and(|revoked| revoked.holds(entry)))
    }
}

impl Hotlist {
    /// Every entry whose plate is a pattern, in force or not; a look-up by key does not find them.
    /// This opens the chunks that hold them, so a caller keeps the result for each version.
    pub fn patterns(&self) -> impl Iterator<Item = Entry> {
        let first = match &*self.rows {
            // No plate packs to zero, so patterns come first among packed rows.
            Rows::Packed { .. } => 0,
            Rows::Chunked(rows) => rows.plates(),
        };
        self.rows
            .from(first)
            .take_while(|entry| entry.plate.is_pattern())
            .filter(|entry| !self.revoked.as_ref().is_some_and(|revoked| revoked.holds(entry)))
    }
}

impl Rows {
    /// The rows from `first` on. A chunk is opened once for all of its rows.
    fn from(&self, first: usize) -> impl Iterator<Item = Entry> {
        let (packed, chunked) = match self {
            Self::Packed { starts, packed } => (Some((starts, packed)), None),
            Self::Chunked(rows) => (None, Some(rows.from(first))),
        };
        let packed = packed.into_iter().flat_map(move |(starts, packed)| {
            let rows = starts.get(first..).unwrap_or_default().windows(2);
            rows.map(|ends| {
                let text = &packed[ends[0] as usize..ends[1] as usize];
                unpack(text).expect("rows are packed by this file alone")
            })
        });
        packed.chain(chunked.into_iter().flatten())
    }
}

impl std::fmt::Debug for Hotlist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hotlist")
            .field("stamp", &self.stamp)
            .field("entries", &self.len())
            .finish_non_exhaustive()
    }
}

/// Collects rows and drops duplicates.
///
/// A row repeats another if plate *and* jurisdiction are the same; of such rows the one with the
/// highest priority is kept, the first among equals.
#[derive(Default)]
pub struct Builder {
    rows: Vec<Row>,
    packed: String,
}

struct Row {
    /// The plate's key; zero for a pattern, which has no key.
    key: u64,
    jurisdiction: Jurisdiction,
    plate: ListedPlate,
    priority: Priority,
    line: u64,
    start: u32,
    end: u32,
}

/// A row that repeats another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// The line that is left out.
    pub line: u64,
    /// The line that is kept.
    pub of: u64,
}

impl Builder {
    /// Adds a row; `line` is for messages.
    pub fn push(&mut self, line: u64, entry: &Entry) -> Result<(), HotlistError> {
        let place = |n: usize| u32::try_from(n).map_err(|_| HotlistError::TooLarge);
        let start = place(self.packed.len())?;
        pack(entry, &mut self.packed);
        self.rows.push(Row {
            key: entry.plate.key().map_or(0, PlateKey::get),
            jurisdiction: entry.jurisdiction,
            plate: entry.plate,
            priority: entry.priority,
            line,
            start,
            end: place(self.packed.len())?,
        });
        Ok(())
    }

    /// Sorts, drops duplicates, builds the index.
    pub fn finish(
        mut self,
        stamp: ListStamp,
        matching: Matching,
        (amber_after, red_after): (Duration, Duration),
    ) -> (Hotlist, Vec<Duplicate>) {
        self.rows.sort_by(|a, b| {
            let place = |r: &Row| (r.key, r.jurisdiction, r.plate);
            place(a).cmp(&place(b)).then(b.priority.cmp(&a.priority)).then(a.line.cmp(&b.line))
        });
        let mut duplicates = Vec::new();
        self.rows.dedup_by(|later, kept| {
            let same = later.plate == kept.plate && later.jurisdiction == kept.jurisdiction;
            if same {
                duplicates.push(Duplicate { line: later.line, of: kept.line });
            }
            same
        });
        let mut packed = String::with_capacity(self.packed.len());
        let mut starts = Vec::with_capacity(self.rows.len() + 1);
        starts.push(0);
        for row in &self.rows {
            packed.push_str(&self.packed[row.start as usize..row.end as usize]);
            starts.push(u32::try_from(packed.len()).expect("no longer than what push measured"));
        }
        let list = Hotlist {
            stamp,
            matching,
            amber_after,
            red_after,
            index: Arc::new(Index::of_sorted(self.rows.iter().map(|row| row.key))),
            rows: Arc::new(Rows::Packed {
                starts: starts.into_boxed_slice(),
                packed: packed.into_boxed_str(),
            }),
            revoked: None,
        };
        (list, duplicates)
    }
}

fn pack(entry: &Entry, out: &mut String) {
    let seconds = |t: Option<Timestamp>| t.map_or(String::new(), |t| t.as_second().to_string());
    let priority = match entry.priority {
        Priority::Low => "l",
        Priority::Medium => "m",
        Priority::High => "h",
    };
    let jurisdiction =
        if entry.jurisdiction.is_unknown() { "" } else { entry.jurisdiction.as_str() };
    for field in [
        entry.plate.expose(),
        jurisdiction,
        priority,
        &entry.category,
        &entry.reason,
        &entry.source,
        &entry.case,
        &entry.vehicle.class,
        &entry.vehicle.make,
        &entry.vehicle.model,
        &entry.vehicle.colour,
        &entry.vehicle.year.map_or(String::new(), |y| y.to_string()),
        &entry.caution,
        &entry.action,
        if entry.covert { "c" } else { "" },
        &seconds(entry.effective),
        &seconds(entry.expires),
        &seconds(entry.last_confirmed),
    ] {
        out.extend(field.chars().filter(|c| *c != FIELD_END));
        out.push(FIELD_END);
    }
}

fn unpack(row: &str) -> Option<Entry> {
    let mut fields = row.split_terminator(FIELD_END);
    let mut next = || fields.next();
    let plate = ListedPlate::parse(next()?).ok()?;
    let jurisdiction = Jurisdiction::parse(next()?).ok()?;
    let priority = match next()? {
        "l" => Priority::Low,
        "m" => Priority::Medium,
        _ => Priority::High,
    };
    let category = Arc::from(next()?);
    let mut text = || next().map(str::to_owned);
    let (reason, source, case) = (text()?, text()?, text()?);
    let (class, make, model, colour) = (text()?, text()?, text()?, text()?);
    let vehicle = VehicleText { class, make, model, colour, year: text()?.parse().ok() };
    let (caution, action, covert) = (text()?, text()?, !text()?.is_empty());
    let mut time = || {
        let text = next()?;
        Some(if text.is_empty() {
            None
        } else {
            Some(Timestamp::from_second(text.parse().ok()?).ok()?)
        })
    };
    let (effective, expires, last_confirmed) = (time()?, time()?, time()?);
    let entry = Entry {
        plate,
        jurisdiction,
        category,
        priority,
        reason,
        source,
        case,
        vehicle,
        effective,
        expires,
        last_confirmed,
        caution,
        action,
        covert,
    };
    Some(entry.shown())
}
