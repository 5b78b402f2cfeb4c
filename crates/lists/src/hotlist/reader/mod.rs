//! One reader for every file that lists plates: for `hotlist import` at the desk and for a file in
//! the car.
//!
//! In: a file as the source writes it, and a [`Mapping`] that describes it. Out: its rows, one at a
//! time, each an [`Entry`](super::Entry) or a problem. Costs: one pass, one line in memory; about a
//! microsecond a row. Leaves to others: what happens with an entry (`import`, `file`).
//!
//! ```text
//! container ─> lines ─> rows (cells, tags, places) ─> interpret (letters, codes, dates) ─> entry or problem
//!                          └─ footer: lines that are no rows
//! ```
//!
//! Personal data is not kept: a record has no field for a person, and columns that no field reads
//! are dropped. Problems are reported by line, column and shape, never by content, because a column
//! that has moved may hold a person's data.

use std::io::{self, BufRead};

use serde_json::Value;

pub mod codes;
pub mod columns;
pub mod container;
pub mod dates;
pub mod footer;
pub mod interpret;
mod json;
pub mod lines;
pub mod mapping;
pub mod rows;

use interpret::Problem;
use lines::{Decoded, LONGEST_LINE, Line, Lines};
use mapping::{Header, Kind, Mapping};
use rows::{Bindings, NoPlateColumn, Quoting, Row, cells, tags};

/// Most lines of a quoted cell.
const LONGEST_CELL_LINES: usize = 10;

/// Why reading a file stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file breaks off.
    #[error("line {line}: {source}")]
    Broken {
        /// The last line that was read.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// The header lacks the plate's column: the file belongs to another mapping.
    #[error(
        "none of the file's columns ({}) is the mapping's plate column: is this the right mapping?",
        .0.join(", ")
    )]
    NoPlateColumn(Vec<String>),
    /// The JSON is not valid.
    #[error("not JSON as the mapping has it: {0}")]
    Json(String),
}

/// An item of a file.
pub enum Item<'a> {
    /// A row, which may extend over several lines.
    Row {
        /// First line.
        line: u64,
        /// Last line: the same, unless a quoted cell continues.
        to: u64,
        /// The row, split into its parts.
        row: Row<'a>,
        /// Where the fields are.
        bindings: &'a Bindings,
    },
    /// A line that is not a valid row.
    Bad {
        /// Its number.
        line: u64,
        /// What is wrong.
        problem: Problem,
    },
    /// A header or footer among the rows: a total, a trailer, the header once more.
    NoRow,
    /// Columns of the header that no field reads.
    Unused(&'a [String]),
}

/// Called with every item; returns whether to go on.
pub type Sink<'s, E> = &'s mut dyn FnMut(Item<'_>) -> Result<bool, E>;

/// Reads a file's rows. Returns how many lines were not UTF-8 in a file that may be either.
pub fn each_row<E: From<ReadError>>(
    reader: &mut dyn BufRead,
    mapping: &Mapping,
    sink: Sink<'_, E>,
) -> Result<u64, E> {
    let broken = |source| ReadError::Broken { line: 0, source };
    if mapping.kind == Kind::Json {
        let decoded = Decoded::whole(reader, mapping.encoding()).map_err(broken)?;
        let (bindings, _) = Bindings::new(mapping, None).map_err(no_plate)?;
        json::each_object(decoded, &mut |number, key: &str, value: &Value| {
            let item = match value.is_object() {
                true => {
                    let row = Row::Object(key, value);
                    Item::Row { line: number, to: number, row, bindings: &bindings }
                }
                false => Item::Bad { line: number, problem: Problem::NoObject },
            };
            sink(item)
        })?;
        return Ok(0);
    }
    let decoded = Decoded::new(reader, mapping.encoding()).map_err(broken)?;
    let mut lines = Lines::new(decoded);
    each_line(&mut lines, mapping, sink)?;
    Ok(lines.not_utf_8())
}

fn no_plate(e: NoPlateColumn) -> ReadError {
    ReadError::NoPlateColumn(e.columns)
}

/// What is known of a delimited file after its first row.
struct Layout {
    bindings: Bindings,
    delimiter: Option<char>,
    /// Number of cells of a row: that of the header, or of the first row.
    cells: usize,
}

fn each_line<E: From<ReadError>>(
    lines: &mut Lines<'_>,
    mapping: &Mapping,
    sink: Sink<'_, E>,
) -> Result<(), E> {
    let mut layout: Option<Layout> = None;
    let mut said = None;
    loop {
        let at = lines.number();
        let broken = |source| ReadError::Broken { line: at, source };
        match lines.advance().map_err(broken)? {
            Line::End => return Ok(()),
            Line::TooLong => {
                let line = lines.number();
                if !sink(Item::Bad { line, problem: Problem::TooLong })? {
                    return Ok(());
                }
                continue;
            }
            Line::Text => {}
        }
        let from = lines.number();
        if layout.is_none()
            && said.is_none()
            && let Some(delimiter) = sep_line(lines.text(), mapping)
        {
            said = Some(delimiter);
            continue;
        }
        if from <= mapping.skip_lines || !is_row(lines.text(), mapping) {
            continue;
        }
        let delimiter = match &layout {
            Some(layout) => layout.delimiter,
            None => said.or_else(|| delimiter_of(lines.text(), mapping)),
        };
        if footer::is_no_row(lines.text(), delimiter) {
            if !sink(Item::NoRow)? {
                return Ok(());
            }
            continue;
        }
        if layout.is_none() && header_below(lines, mapping, said).map_err(broken)? {
            if !sink(Item::NoRow)? {
                return Ok(());
            }
            continue;
        }
        let expected = layout.as_ref().map_or(0, |layout| layout.cells);
        if let Err(problem) = close_quotes(lines, mapping, delimiter, expected).map_err(broken)? {
            if !sink(Item::Bad { line: from, problem })? {
                return Ok(());
            }
            continue;
        }
        let to = lines.number();
        let text = without_comment(lines.text(), mapping, layout.as_ref());
        let row = match mapping.kind {
            Kind::Fixed => Row::Line(text),
            Kind::Tagged => Row::Tags(text, tags(text, mapping.tag_end)),
            Kind::Delimited | Kind::Json => {
                match cells(text, delimiter.expect("validated"), mapping.quotes) {
                    Ok(cells) => Row::Cells(cells),
                    // A comment may have cut off a quoted text.
                    Err(_) if sink(Item::Bad { line: from, problem: Problem::Quote })? => continue,
                    Err(_) => return Ok(()),
                }
            }
        };
        if layout.is_none() {
            let header = match &row {
                Row::Cells(cells) if mapping.header != Header::None => Some(&cells[..]),
                _ => None,
            };
            let (bindings, is_header) = Bindings::new(mapping, header).map_err(no_plate)?;
            let count = if let Row::Cells(cells) = &row { cells.len() } else { 0 };
            let go_on = sink(Item::Unused(&bindings.unused))?;
            layout = Some(Layout { bindings, delimiter, cells: count });
            if !go_on {
                return Ok(());
            }
            if is_header {
                continue;
            }
        }
        let layout = layout.as_ref().expect("made above");
        let item = match fits(&row, layout, mapping) {
            Fit::Row => Item::Row { line: from, to, row, bindings: &layout.bindings },
            Fit::NoRow => Item::NoRow,
            Fit::Not(problem) => Item::Bad { line: from, problem },
        };
        if !sink(item)? {
            return Ok(());
        }
    }
}

/// Most lines of titles and remarks above a header.
const LONGEST_TITLE: usize = 20;

/// Whether this line is a title above the header: it does not name the plate's column, one of the
/// next lines does, and it has fewer cells than that one, so it is not a row.
fn header_below(lines: &mut Lines<'_>, mapping: &Mapping, said: Option<char>) -> io::Result<bool> {
    if !matches!(mapping.header, Header::Required | Header::WhereCells) {
        return Ok(false);
    }
    let header_cells = |line: &str| {
        let delimiter = said.or_else(|| delimiter_of(line, mapping))?;
        let cells = cells(line, delimiter, mapping.quotes).ok()?;
        let (_, is_header) = Bindings::new(mapping, Some(&cells)).ok()?;
        (is_header && cells.len() > 1).then_some((delimiter, cells.len()))
    };
    if header_cells(lines.text()).is_some() {
        return Ok(false);
    }
    let this = lines.text().to_owned();
    for n in 0..LONGEST_TITLE {
        let Some(next) = lines.peek(n)? else { return Ok(false) };
        if let Some((delimiter, count)) = header_cells(next) {
            return Ok(this.split(delimiter).count() != count);
        }
    }
    Ok(false)
}

enum Fit {
    Row,
    /// It is empty, or the header once more, where files were concatenated.
    NoRow,
    Not(Problem),
}

/// Whether a row has the cells that the header names. If it has more, a delimiter inside a text has
/// split it, and what follows is under the wrong columns; if it has hardly any, it is a part of a
/// row.
fn fits(row: &Row<'_>, layout: &Layout, mapping: &Mapping) -> Fit {
    let Row::Cells(cells) = row else { return Fit::Row };
    let header = &layout.bindings.header;
    let said = |c: &&std::borrow::Cow<'_, str>| !c.trim().is_empty();
    if cells.len() > 1 && !cells.iter().any(|c| said(&c)) {
        // Spreadsheets write empty rows after the last.
        return Fit::NoRow;
    }
    let columns = match (header.len(), mapping.header) {
        // A plain list has one cell a line.
        (0, Header::WhereCells) => 1,
        (0, _) => return Fit::Row,
        // Spreadsheets write empty columns after the last.
        (n, _) => header.iter().rposition(|name| !name.is_empty()).map_or(n, |last| last + 1),
    };
    if cells.len() == header.len() && cells.iter().zip(header).all(|(c, h)| columns::plain(c) == *h)
    {
        return Fit::NoRow;
    }
    let too_many = cells.iter().skip(columns).any(|c| said(&c));
    if too_many || (columns > 1 && cells.len() * 2 < columns) {
        return Fit::Not(Problem::Cells { found: cells.len(), header: columns });
    }
    Fit::Row
}

/// The delimiter that a first line `sep=;` declares, as Excel writes and reads it.
fn sep_line(line: &str, mapping: &Mapping) -> Option<char> {
    if mapping.kind != Kind::Delimited {
        return None;
    }
    let line = line.trim_matches(|c: char| c == '"' || c == ' ');
    let (name, said) = line.split_once('=')?;
    let delimiter = said.chars().next()?;
    let is = name.eq_ignore_ascii_case("sep")
        && said.trim_end_matches([',', ';', '\t', ' ']).len() <= 1
        && delimiter.is_ascii()
        && !delimiter.is_ascii_alphanumeric();
    is.then_some(delimiter)
}

/// Of the delimiters that the mapping allows, the one that is most frequent in the line.
fn delimiter_of(line: &str, mapping: &Mapping) -> Option<char> {
    let first = mapping.delimiter?;
    let mut best = (first, line.matches(first).count());
    for other in mapping.or_delimiters.chars() {
        let n = line.matches(other).count();
        if n > best.1 {
            best = (other, n);
        }
    }
    Some(best.0)
}

/// Whether a line is a row: not empty, not a comment, and not one that the mapping skips.
fn is_row(line: &str, mapping: &Mapping) -> bool {
    let start = line.trim_start();
    let empty = line
        .chars()
        .all(|c| c.is_whitespace() || c.is_control() || crate::plate::letters::is_invisible(c));
    let other = empty
        || mapping.comment.is_some_and(|c| start.starts_with(c))
        || mapping.skip_prefixes.iter().any(|p| line.starts_with(p.as_str()));
    !other
}

fn without_comment<'l>(line: &'l str, mapping: &Mapping, layout: Option<&Layout>) -> &'l str {
    // In CSV a comment's character may occur in a cell: only whole lines are comments there.
    let plain = mapping.header == Header::WhereCells
        && layout.is_none_or(|layout| layout.bindings.header.is_empty());
    match mapping.comment.filter(|_| !mapping.quotes || plain) {
        Some(c) => line.split(c).next().unwrap_or_default(),
        None => line,
    }
}

/// Reads on until a quoted cell is closed, if the lines then form one row.
///
/// They do if the row has the right number of cells, and none of the lines after the first looks
/// like a row by itself. Otherwise a quote was left open: the line with it is bad, and the lines
/// after it are read as rows.
fn close_quotes(
    lines: &mut Lines<'_>,
    mapping: &Mapping,
    delimiter: Option<char>,
    expected: usize,
) -> io::Result<Result<(), Problem>> {
    let Some(delimiter) = delimiter.filter(|_| mapping.kind == Kind::Delimited && mapping.quotes)
    else {
        return Ok(Ok(()));
    };
    match cells(lines.text(), delimiter, true) {
        Ok(_) => return Ok(Ok(())),
        Err(Quoting::Broken) => return Ok(Err(Problem::QuoteInside)),
        Err(Quoting::Open) => {}
    }
    let mut joined = lines.text().to_owned();
    let usual = if expected == 0 { joined.split(delimiter).count() } else { expected };
    for n in 0..LONGEST_CELL_LINES {
        let Some(next) = lines.peek(n)? else { break };
        let is_row = cells(next, delimiter, true).is_ok_and(|alone| alone.len() == usual);
        if is_row || joined.len() + next.len() > LONGEST_LINE {
            break;
        }
        joined.push('\n');
        joined.push_str(next);
        match cells(&joined, delimiter, true) {
            Ok(found) if expected == 0 || found.len() == expected => {
                lines.join(n + 1);
                return Ok(Ok(()));
            }
            Err(Quoting::Open) => {}
            Ok(_) | Err(Quoting::Broken) => break,
        }
    }
    Ok(Err(Problem::Quote))
}
