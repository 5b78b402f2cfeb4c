//! What an import took, left out, and why; and how one row was read.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::interpret::{Problem, Reading};
use super::mapping::Mapping;
use super::rows::{Bindings, Row};
use crate::hotlist::Entry;

/// Words in a column's name that tell of a person. Such columns are dropped like all that no field
/// takes; the report says so by name.
const PERSONAL: &[&str] = &[
    "name",
    "owner",
    "dob",
    "birth",
    "address",
    "street",
    "phone",
    "ssn",
    "soc",
    "sex",
    "race",
    "height",
    "weight",
    "hair",
    "eye",
    "licence no",
    "license no",
    "oln",
    "driver",
    "person",
    "vin",
    "author",
];

/// What an import took and left out. Counts and names of columns; no plate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The mapping.
    pub mapping: String,
    /// Rows read.
    pub rows: u64,
    /// Entries that serve.
    pub entries: u64,
    /// Rows with something wrong: line and reason are in the quarantine file.
    pub quarantined: u64,
    /// Rows that repeat another's plate and jurisdiction.
    pub repeats: u64,
    /// Rows with a word where the plate should be.
    pub junk: u64,
    /// Rows of categories that the mapping does not list, by the source's letter or word.
    pub unlisted: BTreeMap<String, u64>,
    /// Rows of categories that the mapping has off.
    pub off: BTreeMap<String, u64>,
    /// Entries by category, repeats included.
    pub categories: BTreeMap<String, u64>,
    /// Entries by issuer, repeats included.
    pub jurisdictions: BTreeMap<String, u64>,
    /// Columns of personal data, dropped unread.
    pub personal_columns: Vec<String>,
    /// Other columns that no field takes, dropped unread.
    pub other_columns: Vec<String>,
    /// Entries with an end.
    pub expiring: u64,
}

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
            let lower = column.to_ascii_lowercase().replace(['_', '-'], " ");
            let personal = PERSONAL.iter().any(|word| lower.contains(word));
            let list = if personal { &mut self.personal_columns } else { &mut self.other_columns };
            list.push(column.clone());
        }
    }

    pub(super) fn entry(&mut self, entry: &Entry) {
        *count(&mut self.categories, &entry.category) += 1;
        *count(&mut self.jurisdictions, entry.jurisdiction.as_str()) += 1;
        self.expiring += u64::from(entry.expires.is_some());
    }

    pub(super) fn dropped(&mut self, category: String, off: bool) {
        let counts = if off { &mut self.off } else { &mut self.unlisted };
        let known = counts.len() < MOST_WORDS || counts.contains_key(&category);
        *count(counts, if known { &category } else { "(others)" }) += 1;
    }

    /// Rows of categories that are not wanted.
    pub fn dropped_rows(&self) -> u64 {
        self.unlisted.values().chain(self.off.values()).sum()
    }
}

fn count<'m>(counts: &'m mut BTreeMap<String, u64>, name: &str) -> &'m mut u64 {
    // Looks twice rather than allocate a key for each of five million rows.
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
        ];
        for (what, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(f, "  {what}: {text}")?;
        }
        for (what, n) in [
            ("quarantined", self.quarantined),
            ("repeat another row", self.repeats),
            ("no plate but a word for none", self.junk),
            ("with an expiry date", self.expiring),
        ] {
            if n > 0 {
                writeln!(f, "  {what}: {n}")?;
            }
        }
        Ok(())
    }
}

/// How one row was read. Shows its texts: for whoever holds the source anyway.
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
