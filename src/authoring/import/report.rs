//! What an import took, left out, and why; and how one row was read.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::hotlist::Entry;
use crate::hotlist::reader::columns;
use crate::hotlist::reader::interpret::{Defaults, Problem, Reading};
use crate::hotlist::reader::mapping::Mapping;
use crate::hotlist::reader::rows::{Bindings, Row};

/// What an import took and left out. Counts and names of columns; no plate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The mapping.
    pub mapping: String,
    /// Rows read.
    pub rows: u64,
    /// Entries that were taken.
    pub entries: u64,
    /// Rows with something wrong: line and reason are in the quarantine file.
    pub quarantined: u64,
    /// Rows that repeat another's plate and jurisdiction.
    pub repeats: u64,
    /// Rows that have a word such as NONE where the plate should be.
    pub junk: u64,
    /// Rows of categories that the mapping does not list, by the source's letter or the shape of its word.
    pub unlisted: BTreeMap<String, u64>,
    /// Rows of categories that the mapping switches off.
    pub off: BTreeMap<String, u64>,
    /// Entries by category, repeats included. Words of rows that the mapping does not name are counted
    /// together.
    pub categories: BTreeMap<String, u64>,
    /// Entries by issuer, repeats included.
    pub jurisdictions: BTreeMap<String, u64>,
    /// Columns of personal data, dropped unread.
    pub personal_columns: Vec<String>,
    /// Other columns that no field uses, dropped unread.
    pub other_columns: Vec<String>,
    /// Columns that no field uses and that may say when or whether an entry is valid.
    pub limiting_columns: Vec<String>,
    /// Entries that expire.
    pub expiring: u64,
    /// Lines that are headers or footers, not rows.
    pub no_rows: u64,
    /// Plates with letters of another script, taken by their shape.
    pub other_letters: u64,
    /// Lines that were no UTF-8 and have been read as Windows-1252.
    pub not_utf_8: u64,
}

/// Why an import counts as failed: the list would be incomplete, and nobody would notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was read.
    #[error(
        "no entry among {rows} rows ({dropped} dropped by their category, {junk} with a word for no plate): \
         is this the right mapping? If an empty list is meant, say --allow-empty"
    )]
    Empty {
        /// Rows read.
        rows: u64,
        /// Rows dropped by category.
        dropped: u64,
        /// Rows with a word for no plate.
        junk: u64,
    },
    /// Too many rows are bad.
    #[error(
        "{bad} of {rows} rows have something wrong ({percent} %, the most is {most} %): mend the mapping or the \
         source, or say --most-bad {percent}"
    )]
    Bad {
        /// Bad rows.
        bad: u64,
        /// Rows read.
        rows: u64,
        /// The bad ones in percent, rounded up.
        percent: u64,
        /// The most in percent.
        most: u32,
    },
    /// Most rows have a category that the mapping does not list.
    #[error(
        "{unlisted} of {rows} rows have a category that the mapping does not list, more than half: list the \
         categories (off = true for those that are not wanted), or say --most-unlisted 100"
    )]
    Unlisted {
        /// Rows of unlisted categories.
        unlisted: u64,
        /// Rows read.
        rows: u64,
    },
}

/// The name under which categories are counted that the mapping does not name: where a column has moved, the word in
/// its place may be anything.
const OTHER_WORDS: &str = "(other words)";

/// Categories that agencies' lists usually have: none of these is personal data.
const USUAL: &[&str] = &[
    "amber_alert",
    "attempt_to_locate",
    "bolo",
    "expired_registration",
    "felony_vehicle",
    "gang_or_terrorist",
    "listed",
    "missing_person",
    "no_insurance",
    "protection_order",
    "stolen",
    "stolen_plate",
    "stolen_vehicle",
    "supervised_release",
    "surveillance",
    "suspended_registration",
    "uninsured",
    "violent_person",
    "wanted_felon",
    "wanted_person",
];

/// Most distinct words of categories that are counted by name: a column that has moved has as many
/// as there are rows.
const MOST_WORDS: usize = 100;

impl Report {
    pub(super) fn new(mapping: &Mapping) -> Self {
        let personal = mapping.person.iter().map(|column| match column.at.is_empty() {
            true => column.name.clone(),
            false => format!("{} ({})", column.name, column.at),
        });
        Self {
            mapping: mapping.name.clone(),
            personal_columns: personal.collect(),
            ..Self::default()
        }
    }

    pub(super) fn unused(&mut self, columns: &[String]) {
        for column in columns.iter().filter(|c| !c.is_empty()) {
            let list = if columns::is_limiting(column) {
                &mut self.limiting_columns
            } else if columns::is_personal(column) {
                &mut self.personal_columns
            } else {
                &mut self.other_columns
            };
            list.push(column.clone());
        }
    }

    pub(super) fn entry(&mut self, entry: &Entry, mapping: &Mapping, defaults: &Defaults) {
        let name = &*entry.category;
        let known = USUAL.contains(&name)
            || mapping.names_category(name)
            || defaults.category.as_deref() == Some(name);
        *count(&mut self.categories, if known { name } else { OTHER_WORDS }) += 1;
        *count(&mut self.jurisdictions, entry.jurisdiction.as_str()) += 1;
        self.expiring += u64::from(entry.expires.is_some());
    }

    pub(super) fn dropped(&mut self, category: String, off: bool) {
        let counts = if off { &mut self.off } else { &mut self.unlisted };
        let known = counts.len() < MOST_WORDS || counts.contains_key(&category);
        *count(counts, if known { &category } else { "(others)" }) += 1;
    }

    /// The category that most entries have, if it is one that the mapping names or that lists usually have.
    pub fn main_category(&self) -> Option<&str> {
        let named = self.categories.iter().filter(|(name, _)| *name != OTHER_WORDS);
        named.max_by_key(|(_, n)| **n).map(|(name, _)| name.as_str())
    }

    /// Refuses an import that has lost too much of its list. `most_bad` and `most_unlisted` are in
    /// percent of the rows. A single bad row refuses nothing, however few rows there are.
    pub fn judge(
        &self,
        most_bad: u32,
        most_unlisted: u32,
        allow_empty: bool,
    ) -> Result<(), Refused> {
        let rows = self.rows;
        if self.entries == 0 && !(allow_empty && rows == 0) {
            let (dropped, junk) = (self.dropped_rows(), self.junk);
            return Err(Refused::Empty { rows, dropped, junk });
        }
        let past = |n: u64, most: u32| n > 1 && n * 100 > rows * u64::from(most);
        let bad = self.quarantined;
        if past(bad, most_bad) {
            let percent = (bad * 100).div_ceil(rows);
            return Err(Refused::Bad { bad, rows, percent, most: most_bad });
        }
        let unlisted: u64 = self.unlisted.values().sum();
        if past(unlisted, most_unlisted) {
            return Err(Refused::Unlisted { unlisted, rows });
        }
        Ok(())
    }

    /// Rows of categories that are not wanted.
    pub fn dropped_rows(&self) -> u64 {
        self.unlisted.values().chain(self.off.values()).sum()
    }
}

fn count<'m>(counts: &'m mut BTreeMap<String, u64>, name: &str) -> &'m mut u64 {
    // Two look-ups cost less than allocating a key for each of five million rows.
    if !counts.contains_key(name) {
        counts.insert(name.to_owned(), 0);
    }
    counts.get_mut(name).expect("inserted if it was not there")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rows read as {}: {} entries", self.rows, self.mapping, self.entries)?;
        let counts = |map: &BTreeMap<String, u64>| {
            let words: Vec<_> = map.iter().map(|(name, n)| format!("{name} {n}")).collect();
            words.join(", ")
        };
        let lines = [
            ("categories", counts(&self.categories)),
            ("issuers", counts(&self.jurisdictions)),
            ("dropped, category not listed in the mapping", counts(&self.unlisted)),
            ("dropped, category off by default", counts(&self.off)),
            ("personal columns, dropped unread", self.personal_columns.join(", ")),
            ("other columns, dropped unread", self.other_columns.join(", ")),
            (
                "CAUTION: columns that may say when or whether an entry holds, and that no field takes",
                self.limiting_columns.join(", "),
            ),
        ];
        for (what, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(f, "  {what}: {text}")?;
        }
        for (what, n) in [
            ("quarantined", self.quarantined),
            ("repeat another row", self.repeats),
            ("no plate but a word for none", self.junk),
            ("with an expiry date", self.expiring),
            ("headers and footers, no rows", self.no_rows),
            ("plates with letters of another script, read by their shape", self.other_letters),
            ("lines that are no UTF-8, read as Windows-1252", self.not_utf_8),
        ] {
            if n > 0 {
                writeln!(f, "  {what}: {n}")?;
            }
        }
        Ok(())
    }
}

/// How one row was read. It shows the row's texts, for somebody who has the source anyway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The row's (first) line.
    pub line: u64,
    /// Each field: its name, where it was looked for, and the source's text.
    pub fields: Vec<(String, String, String)>,
    /// What came of it.
    pub outcome: String,
    /// The entry's fields, if it became one.
    pub entry: Vec<(String, String)>,
}

impl Explained {
    pub(super) fn bad(line: u64, problem: Problem) -> Self {
        Self { line, fields: Vec::new(), outcome: format!("quarantined: {problem}"), entry: vec![] }
    }

    pub(super) fn of(line: u64, bindings: &Bindings, row: &Row<'_>, reading: Reading) -> Self {
        let fields = bindings.fields().flat_map(|(field, places)| {
            let name = field.name().to_owned();
            places
                .iter()
                .map(move |place| (name.clone(), place.words.clone(), place.text(row).into_owned()))
        });
        let (outcome, entry) = match reading {
            Reading::Entry(entry) => ("becomes an entry".into(), entry_lines(&entry)),
            Reading::Junk => ("left out: a word for no plate".into(), vec![]),
            Reading::Dropped { category, off: false } => {
                (format!("dropped: category {category:?} is not listed in the mapping"), vec![])
            }
            Reading::Dropped { category, off: true } => {
                (format!("dropped: category {category:?} is off by default (--with)"), vec![])
            }
            Reading::Bad(problem) => (format!("quarantined: {problem}"), vec![]),
        };
        Self { line, fields: fields.collect(), outcome, entry }
    }
}

fn entry_lines(entry: &Entry) -> Vec<(String, String)> {
    let date = |t: Option<Timestamp>| t.map_or(String::new(), |t| t.to_string());
    let covert = if entry.covert { "yes" } else { "" };
    let lines = [
        ("plate", entry.plate.expose().to_owned()),
        ("matched as", entry.plate.folded().to_string()),
        ("jurisdiction", entry.jurisdiction.to_string()),
        ("category", entry.category.to_string()),
        ("priority", format!("{:?}", entry.priority).to_lowercase()),
        ("reason", entry.reason.clone()),
        ("source", entry.source.clone()),
        ("case", entry.case.clone()),
        ("vehicle", entry.vehicle.to_string()),
        ("effective", date(entry.effective)),
        ("expires", date(entry.expires)),
        ("last confirmed", date(entry.last_confirmed)),
        ("caution", entry.caution.clone()),
        ("action", entry.action.clone()),
        ("covert", covert.to_owned()),
    ];
    lines
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name.to_owned(), text))
        .collect()
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}: {}", self.line, self.outcome)?;
        for (field, place, text) in &self.fields {
            writeln!(f, "  {field:<15} {place:<28} {text:?}")?;
        }
        if !self.entry.is_empty() {
            writeln!(f, "the entry:")?;
        }
        for (name, text) in &self.entry {
            writeln!(f, "  {name:<15} {text}")?;
        }
        Ok(())
    }
}
