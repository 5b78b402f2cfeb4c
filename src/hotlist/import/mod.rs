//! From a source's file to sorted, canonical records: `outrider hotlist import`.
//!
//! In: a file as the source writes it, and a [`Mapping`] that says how. Out: [`Gathered`] records and a
//! [`Report`]: what was taken, left out and why. Costs: one pass; the records once in memory; about a
//! microsecond a row. Leaves to others: sealing (`format`), files of our own (`publish`).
//!
//! Personal data is not kept: a record has no field for a person, columns that no field takes are
//! never read, and the report names them. Problems are told by line and shape, never by content.

use std::io::{self, BufRead, Write};

use jiff::tz::TimeZone;
use serde_json::Value;

mod gather;
mod interpret;
mod json;
mod mapping;
mod report;
mod rows;
mod source;

pub use gather::{Gathered, Repeat};
pub use interpret::{Defaults, Interpreter, Problem, Reading, shape};
pub use mapping::{
    Category, Field, Header, Kind, Mapping, MappingError, OneOrMore, Place, Unlisted, names,
    valid_category,
};
pub use report::{Explained, Report};
pub use rows::{Bindings, Bound, NoPlateColumn, Row, cells, tags};
pub use source::{
    AskPassword, Decoded, LONGEST_LINE, Line, Lines, Opening, Progress, SourceError, open,
};

/// Lines over which a cell in quotes may go on.
const LONGEST_CELL_LINES: usize = 10;

/// Most rows: what the format carries (`format/manifest.rs`).
const MOST_ROWS: u64 = 50_000_000;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file breaks off.
    #[error("line {line}: {source}")]
    Broken {
        /// After which line.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// A header without the plate's column: another mapping's file.
    #[error(
        "no column of the mapping's plate among the file's ({}); is this the right mapping?",
        .0.join(", ")
    )]
    NoPlateColumn(Vec<String>),
    /// Not one row is usable: another mapping's file.
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
    /// JSON that is none.
    #[error("not JSON as the mapping has it: {0}")]
    Json(String),
    /// The file for bad rows cannot be written.
    #[error("cannot write the quarantine file: {0}")]
    Quarantine(io::Error),
}

/// Everything that an import needs to know beside the file.
pub struct Importing<'a> {
    /// How the source writes.
    pub mapping: &'a Mapping,
    /// What rows get that do not say otherwise.
    pub defaults: &'a Defaults,
    /// Where days begin if the mapping does not say.
    pub zone: &'a TimeZone,
    /// Takes line and reason of every row that is not taken, tab-separated.
    pub quarantine: &'a mut dyn Write,
}

/// Reads a source from its first byte to its last.
pub fn import(
    reader: &mut dyn BufRead,
    importing: Importing<'_>,
) -> Result<(Gathered, Report), ImportError> {
    let Importing { mapping, defaults, zone, quarantine } = importing;
    let mut taking = Taking {
        interpreter: Interpreter::new(mapping, defaults, zone),
        gathered: Gathered::default(),
        report: Report::new(mapping),
        quarantine,
        first: None,
    };
    each_row(reader, mapping, &mut |row| taking.take(row))?;
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
    let done = each_row(reader, mapping, &mut |item| match item {
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
        (done, None) => done.map(|()| None),
    }
}

/// What a file consists of.
pub(crate) enum Item<'a> {
    /// A row, from one line to another.
    Row {
        /// First line.
        line: u64,
        /// Last line: the same, unless a cell in quotes goes on.
        to: u64,
        /// Taken apart.
        row: Row<'a>,
        /// Where the fields are.
        bindings: &'a Bindings,
    },
    /// A line that is no row at all.
    Bad {
        /// Which.
        line: u64,
        /// Why.
        problem: Problem,
    },
    /// Columns that no field takes, from the header.
    Unused(&'a [String]),
}

/// Told every item; says whether to go on.
type Sink<'s> = &'s mut dyn FnMut(Item<'_>) -> Result<bool, ImportError>;

fn each_row(
    reader: &mut dyn BufRead,
    mapping: &Mapping,
    sink: Sink<'_>,
) -> Result<(), ImportError> {
    let decoded = Decoded::new(reader, mapping.encoding());
    if mapping.kind == Kind::Json {
        let (bindings, _) = Bindings::new(mapping, None).map_err(no_plate)?;
        return json::each_object(decoded, &mut |number, key: &str, value: &Value| {
            let item = match value.is_object() {
                true => {
                    let row = Row::Object(key, value);
                    Item::Row { line: number, to: number, row, bindings: &bindings }
                }
                false => Item::Bad { line: number, problem: Problem::NoObject },
            };
            sink(item)
        });
    }
    each_line(Lines::new(decoded), mapping, sink)
}

fn no_plate(e: NoPlateColumn) -> ImportError {
    ImportError::NoPlateColumn(e.columns)
}

fn each_line(mut lines: Lines<'_>, mapping: &Mapping, sink: Sink<'_>) -> Result<(), ImportError> {
    let mut bindings = match mapping.header {
        Header::None => Some(Bindings::new(mapping, None).map_err(no_plate)?.0),
        _ => None,
    };
    let broken = |line, source| ImportError::Broken { line, source };
    loop {
        let at = lines.number();
        let item = match lines.advance().map_err(|e| broken(at, e))? {
            Line::End => return Ok(()),
            Line::TooLong => Item::Bad { line: lines.number(), problem: Problem::TooLong },
            Line::Text => {
                let from = lines.number();
                if from <= mapping.skip_lines || !is_row(lines.text(), mapping) {
                    continue;
                }
                if !close_quotes(&mut lines, mapping).map_err(|e| broken(at, e))? {
                    // The rows that it swallowed are lost with it; better told than guessed at.
                    Item::Bad { line: from, problem: Problem::Quote }
                } else {
                    let to = lines.number();
                    let text = without_comment(lines.text(), mapping);
                    let row = match mapping.kind {
                        Kind::Fixed => Row::Line(text),
                        Kind::Tagged => Row::Tags(tags(text, mapping.tag_end)),
                        Kind::Delimited | Kind::Json => {
                            let delimiter = mapping.delimiter.expect("validated");
                            let cells = cells(text, delimiter, mapping.quotes);
                            Row::Cells(cells.expect("quotes are closed"))
                        }
                    };
                    if bindings.is_none() {
                        let Row::Cells(header) = &row else { unreachable!("validated") };
                        let (bound, is_header) =
                            Bindings::new(mapping, Some(header)).map_err(no_plate)?;
                        let go_on = sink(Item::Unused(&bound.unused))?;
                        bindings = Some(bound);
                        if !go_on {
                            return Ok(());
                        }
                        if is_header {
                            continue;
                        }
                    }
                    let bindings = bindings.as_ref().expect("bound above");
                    Item::Row { line: from, to, row, bindings }
                }
            }
        };
        if !sink(item)? {
            return Ok(());
        }
    }
}

/// Whether a line is a row, rather than empty, a comment, or a header or footer.
fn is_row(line: &str, mapping: &Mapping) -> bool {
    let start = line.trim_start();
    let other = start.is_empty()
        || mapping.comment.is_some_and(|c| start.starts_with(c))
        || mapping.skip_prefixes.iter().any(|p| line.starts_with(p.as_str()));
    !other
}

fn without_comment<'l>(line: &'l str, mapping: &Mapping) -> &'l str {
    // In CSV a comment's sign may stand in a cell: only whole lines are comments there.
    match mapping.comment.filter(|_| !mapping.quotes) {
        Some(c) => line.split(c).next().unwrap_or_default(),
        None => line,
    }
}

/// Reads on until a cell in quotes is closed; false if none of the next lines does.
fn close_quotes(lines: &mut Lines<'_>, mapping: &Mapping) -> io::Result<bool> {
    if mapping.kind != Kind::Delimited || !mapping.quotes {
        return Ok(true);
    }
    let delimiter = mapping.delimiter.expect("validated");
    for _ in 0..LONGEST_CELL_LINES {
        if cells(lines.text(), delimiter, true).is_some() {
            return Ok(true);
        }
        if lines.join()? != Line::Text {
            return Ok(false);
        }
    }
    Ok(cells(lines.text(), delimiter, true).is_some())
}

struct Taking<'a> {
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
            Item::Bad { line, problem } => (line, Reading::Bad(problem)),
            Item::Row { line, row, bindings, .. } => (line, self.interpreter.read(bindings, &row)),
        };
        self.report.rows += 1;
        if self.report.rows > MOST_ROWS {
            return Err(ImportError::TooMany);
        }
        match reading {
            Reading::Entry(entry) => {
                self.report.entry(&entry);
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
