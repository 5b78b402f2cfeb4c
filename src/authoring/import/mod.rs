//! From a source's file to sorted, canonical records: `outrider hotlist import`.
//!
//! In: a file as the source writes it, and a [`Mapping`] that says how. Out: [`Gathered`] records and a
//! [`Report`]: what was taken, left out and why. Costs: one pass; the records once in memory; about a
//! microsecond a row. Leaves to others: sealing (`format`), files of our own (`publish`).
//!
//! Personal data is not kept: a record has no field for a person, columns that no field uses are
//! never read, and the report names them. Problems are reported by line and shape, never by content.

use std::io::{self, BufRead, Write};

use jiff::tz::TimeZone;

use crate::plate::letters::has_shapes;

mod gather;
mod report;

pub use crate::hotlist::reader::codes::Issuers;
pub use crate::hotlist::reader::container::{AskPassword, Opening, Progress, SourceError, open};
pub use crate::hotlist::reader::interpret::{Defaults, Interpreter, Problem, Reading, shape};
pub use crate::hotlist::reader::mapping::{
    Category, Field, Header, Kind, Mapping, MappingError, OneOrMore, Place, Unlisted, names,
    valid_category,
};
use crate::hotlist::reader::{Item, ReadError, each_row};
pub use gather::{Gathered, Repeat};
pub use report::{Explained, Refused, Report};

/// Most rows: what the format carries (`format/manifest.rs`).
const MOST_ROWS: u64 = 50_000_000;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read any further.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Not one row is usable: the file is probably one for another mapping.
    #[error("none of the {rows} rows is usable; the first problem, line {line}: {problem}")]
    NothingUsable {
        /// Rows read.
        rows: u64,
        /// Line of the first problem.
        line: u64,
        /// What it is.
        problem: Problem,
    },
    /// More than a list can have.
    #[error("more than {MOST_ROWS} rows: no list has as many")]
    TooMany,
    /// The file for bad rows cannot be written.
    #[error("cannot write the quarantine file: {0}")]
    Quarantine(io::Error),
}

/// Everything that an import needs to know beside the file.
pub struct Importing<'a> {
    /// How the source writes.
    pub mapping: &'a Mapping,
    /// Values for rows that state none.
    pub defaults: &'a Defaults,
    /// Time zone in which days begin if the mapping names none.
    pub zone: &'a TimeZone,
    /// Receives line and reason of every row that is left out, tab-separated.
    pub quarantine: &'a mut dyn Write,
}

/// Reads a source from its first byte to its last.
pub fn import(
    reader: &mut dyn BufRead,
    importing: Importing<'_>,
) -> Result<(Gathered, Report), ImportError> {
    let Importing { mapping, defaults, zone, quarantine } = importing;
    let mut taking = Taking {
        mapping,
        defaults,
        interpreter: Interpreter::new(mapping, defaults, zone),
        gathered: Gathered::default(),
        report: Report::new(mapping),
        quarantine,
        first: None,
    };
    taking.report.not_utf_8 = each_row(reader, mapping, &mut |row| taking.take(row))?;
    taking.finish()
}

/// Shows how one row is read, field by field. `None` if there is no such row.
pub fn explain(
    reader: &mut dyn BufRead,
    mapping: &Mapping,
    defaults: &Defaults,
    zone: &TimeZone,
    line: u64,
) -> Result<Option<Explained>, ImportError> {
    let interpreter = Interpreter::new(mapping, defaults, zone);
    let mut found = None;
    let done: Result<u64, ImportError> = each_row(reader, mapping, &mut |item| match item {
        Item::Row { line: from, to, row, bindings } if (from..=to).contains(&line) => {
            found = Some(Explained::of(from, bindings, &row, interpreter.read(bindings, &row)));
            Ok(false)
        }
        Item::Bad { line: bad, problem } if bad == line => {
            found = Some(Explained::bad(line, problem));
            Ok(false)
        }
        _ => Ok(true),
    });
    // What is wrong with the rest of the file does not matter here.
    match (done, found) {
        (_, Some(found)) => Ok(Some(found)),
        (done, None) => done.map(|_| None),
    }
}

struct Taking<'a> {
    mapping: &'a Mapping,
    defaults: &'a Defaults,
    interpreter: Interpreter<'a>,
    gathered: Gathered,
    report: Report,
    quarantine: &'a mut dyn Write,
    first: Option<(u64, Problem)>,
}

impl Taking<'_> {
    fn take(&mut self, item: Item<'_>) -> Result<bool, ImportError> {
        let (line, reading) = match item {
            Item::Unused(columns) => {
                self.report.unused(columns);
                return Ok(true);
            }
            Item::NoRow => {
                self.report.no_rows += 1;
                return Ok(true);
            }
            Item::Bad { line, problem } => (line, Reading::Bad(problem)),
            Item::Row { line, row, bindings, .. } => {
                let plate = bindings.text(Field::Plate, &row);
                self.report.other_letters += u64::from(has_shapes(&plate));
                (line, self.interpreter.read(bindings, &row))
            }
        };
        self.report.rows += 1;
        if self.report.rows > MOST_ROWS {
            return Err(ImportError::TooMany);
        }
        match reading {
            Reading::Entry(entry) => {
                self.report.entry(&entry, self.mapping, self.defaults);
                self.gathered.push(line, &entry).expect("what was interpreted is in form");
            }
            Reading::Junk => self.report.junk += 1,
            Reading::Dropped { category, off } => self.report.dropped(category, off),
            Reading::Bad(problem) => {
                writeln!(self.quarantine, "{line}\t{problem}").map_err(ImportError::Quarantine)?;
                self.report.quarantined += 1;
                self.first.get_or_insert((line, problem));
            }
        }
        Ok(true)
    }

    fn finish(mut self) -> Result<(Gathered, Report), ImportError> {
        if let (true, Some((line, problem))) = (self.gathered.is_empty(), self.first)
            && self.report.junk + self.report.dropped_rows() == 0
        {
            return Err(ImportError::NothingUsable { rows: self.report.rows, line, problem });
        }
        let mut failed = None;
        self.gathered.sort(|repeat| {
            self.report.repeats += 1;
            let told = writeln!(self.quarantine, "{}\trepeats line {}", repeat.line, repeat.of);
            failed = told.err().or(failed.take());
        });
        if let Some(e) = failed {
            return Err(ImportError::Quarantine(e));
        }
        self.report.entries = self.gathered.len() as u64;
        Ok((self.gathered, self.report))
    }
}

#[cfg(test)]
mod tests;
