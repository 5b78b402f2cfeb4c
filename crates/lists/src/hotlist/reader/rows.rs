//! Finds a row's text at each place that a mapping names.
//!
//! In: one line (or one JSON object) and a mapping, whose columns are first bound to the header.
//! Out: the raw text of a field, as the source wrote it. Leaves to others: what the text means
//! (`interpret.rs`).

use std::borrow::Cow;

use serde_json::Value;

use super::codes::Issuers;
use super::columns::{plain, shown_all};
use super::mapping::{Field, Header, Kind, Mapping, Place};
use crate::plate::letters::is_invisible;

/// One row, split as its kind requires.
#[derive(Debug)]
pub enum Row<'a> {
    /// A line of fixed positions.
    Line(&'a str),
    /// Cells between delimiters.
    Cells(Vec<Cow<'a, str>>),
    /// A line, its tags and their texts.
    Tags(&'a str, Vec<(&'a str, &'a str)>),
    /// A JSON object and the key it stands under.
    Object(&'a str, &'a Value),
}

/// Where a field is, once the header is known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Slice,
    Cell(i32, bool),
    Tag(String),
    Path(Vec<String>),
    Value(String),
}

/// A place of a mapping, bound to the columns of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    source: Source,
    slice: Option<(usize, Option<usize>)>,
    place: Place,
    /// Its description, for `--explain`.
    pub words: String,
}

impl Bound {
    /// The field's text in a row, trimmed; translated if the mapping has a translation.
    pub fn text<'r>(&'r self, row: &'r Row<'_>) -> Cow<'r, str> {
        if let (Some(tag), Row::Tags(_, tags)) = (&self.place.without_tag, row)
            && tags.iter().any(|(name, _)| name == tag)
        {
            return Cow::Borrowed("");
        }
        let raw: Cow<'r, str> = match (&self.source, row) {
            (Source::Value(text), _) => return Cow::Borrowed(text),
            (Source::Slice, Row::Line(line) | Row::Tags(line, _)) => Cow::Borrowed(line),
            (Source::Cell(at, rest), Row::Cells(cells)) => {
                let at = match usize::try_from(*at) {
                    Ok(at) => Some(at),
                    Err(_) => cells.len().checked_sub(at.unsigned_abs() as usize),
                };
                match at {
                    None => Cow::Borrowed(""),
                    Some(at) if *rest => Cow::Owned(cells.get(at..).unwrap_or_default().join(" ")),
                    Some(at) => Cow::Borrowed(cells.get(at).map_or("", |cell| cell)),
                }
            }
            (Source::Tag(tag), Row::Tags(_, tags)) => {
                Cow::Borrowed(tags.iter().find(|(name, _)| name == tag).map_or("", |(_, t)| t))
            }
            (Source::Path(path), Row::Object(key, value)) => member(path, key, value),
            _ => Cow::Borrowed(""),
        };
        let text = match (self.slice, raw) {
            (None, raw) => trimmed(raw),
            (Some((from, to)), Cow::Borrowed(text)) => {
                Cow::Borrowed(part(text, from, to).trim_matches(blank))
            }
            (Some((from, to)), Cow::Owned(text)) => {
                Cow::Owned(part(&text, from, to).trim_matches(blank).to_owned())
            }
        };
        let text = unguarded(text);
        match self.place.values.get(&*text) {
            Some(meaning) => Cow::Borrowed(meaning),
            None => text,
        }
    }

    /// The kind of issuers' codes at this place, if it has one of its own.
    pub fn issuers(&self) -> Option<Issuers> {
        self.place.issuers
    }
}

/// Removes what keeps a spreadsheet from reading a cell as a number: `="0012345"`, `'0012345`.
fn unguarded(text: Cow<'_, str>) -> Cow<'_, str> {
    let inner = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.or_else(|| text.strip_prefix('\'').filter(|rest| !rest.contains('\'')));
    match inner {
        None => text,
        Some(inner) => Cow::Owned(inner.trim().to_owned()),
    }
}

/// Whether a character is insignificant at an end of a cell.
fn blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(blank)),
        Cow::Owned(text) if text.trim_matches(blank).len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(blank).to_owned()),
    }
}

/// Characters `from` to `to` of a text; empty where the text is shorter.
fn part(text: &str, from: usize, to: Option<usize>) -> &str {
    if text.is_ascii() {
        let to = to.unwrap_or(text.len()).min(text.len());
        return text.get(from..to).unwrap_or_default();
    }
    let at = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(i, _)| i);
    text.get(at(from)..to.map_or(text.len(), at)).unwrap_or_default()
}

fn member<'r>(path: &[String], key: &'r str, value: &'r Value) -> Cow<'r, str> {
    if path.len() == 1 && path[0] == "@key" {
        return Cow::Borrowed(key);
    }
    let mut value = value;
    for name in path {
        match value.get(name) {
            Some(inner) => value = inner,
            None => return Cow::Borrowed(""),
        }
    }
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(n) => Cow::Owned(n.to_string()),
        Value::Bool(b) => Cow::Borrowed(if *b { "yes" } else { "no" }),
        _ => Cow::Borrowed(""),
    }
}

/// The fields of a mapping, bound to the columns of a file.
#[derive(Debug)]
pub struct Bindings {
    fields: Vec<(Field, Vec<Bound>)>,
    /// Columns that no field reads: their content is dropped.
    pub unused: Vec<String>,
    /// The header's columns, reduced to letters and digits; empty without a header.
    pub header: Vec<String>,
}

/// A header that does not name the plate's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlateColumn {
    /// Its columns, in a form that may be shown: the line may be a row and not a header.
    pub columns: Vec<String>,
}

impl Bindings {
    /// Binds a mapping; `header` are the cells of the first line where the mapping expects one. The
    /// second value says whether the line was in fact a header.
    pub fn new(
        mapping: &Mapping,
        header: Option<&[Cow<'_, str>]>,
    ) -> Result<(Self, bool), NoPlateColumn> {
        let known: Vec<String> = header.unwrap_or_default().iter().map(|c| plain(c)).collect();
        let find = |names: &[String]| {
            names.iter().find_map(|name| known.iter().position(|column| *column == plain(name)))
        };
        let plate = mapping.fields[&Field::Plate].places();
        let is_header = mapping.header != Header::None
            && plate.iter().any(|place| find(&place.column).is_some());
        let must = mapping.header == Header::Required
            || (mapping.header == Header::WhereCells && known.len() > 1);
        if must && !is_header {
            let columns = shown_all(header.unwrap_or_default().iter().map(|c| &**c));
            return Err(NoPlateColumn { columns });
        }
        let mut used = vec![false; if is_header { known.len() } else { 0 }];
        let mut fields = Vec::new();
        for (field, places) in &mapping.fields {
            let mut bound = Vec::new();
            for place in places.places() {
                let column = if is_header { find(&place.column) } else { None };
                if let Some(at) = column {
                    used[at] = true;
                }
                bound.extend(bind(place, column, is_header, mapping.kind));
            }
            if !bound.is_empty() {
                fields.push((*field, bound));
            }
        }
        let columns = header.unwrap_or_default().iter();
        let unused = columns.zip(&used).filter(|(_, used)| !**used);
        let unused = unused.map(|(column, _)| column.trim().to_owned()).collect();
        let header = if is_header { known } else { Vec::new() };
        Ok((Self { fields, unused, header }, is_header))
    }

    /// A field's text: that of the first of its places that is not empty.
    pub fn text<'r>(&'r self, field: Field, row: &'r Row<'_>) -> Cow<'r, str> {
        self.found(field, row).map(|(text, _)| text).unwrap_or_default()
    }

    /// The text, and the place where it was found.
    pub fn found<'r>(
        &'r self,
        field: Field,
        row: &'r Row<'_>,
    ) -> Option<(Cow<'r, str>, &'r Bound)> {
        let places = self.fields.iter().find(|(f, _)| *f == field).map(|(_, places)| &places[..]);
        let texts = places.unwrap_or_default().iter().map(|place| (place.text(row), place));
        texts.into_iter().find(|(text, _)| !text.is_empty())
    }

    /// Every field with its places, for `--explain`.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &[Bound])> {
        self.fields.iter().map(|(field, places)| (*field, &places[..]))
    }
}

fn bind(place: &Place, column: Option<usize>, is_header: bool, kind: Kind) -> Option<Bound> {
    let slice = place.slice.as_deref().map(|s| (s[0], s.get(1).copied()));
    let (source, words) = if let Some(text) = &place.value {
        (Source::Value(text.clone()), "always".to_owned())
    } else if let Some(tag) = &place.tag {
        (Source::Tag(tag.clone()), format!("tag {tag}"))
    } else if let Some(path) = &place.path {
        (Source::Path(path.split('.').map(str::to_owned).collect()), format!("member {path}"))
    } else if kind == Kind::Fixed || kind == Kind::Tagged {
        (Source::Slice, String::new())
    } else if let Some(at) = column {
        let number = i32::try_from(at).ok()?;
        (Source::Cell(number, place.rest), format!("column {:?}", place.column[0]))
    } else {
        // A named column that this file lacks is no field; a number is used where there is no
        // header.
        let at = place.index.filter(|_| place.column.is_empty() || !is_header)?;
        (Source::Cell(at, place.rest), format!("column {at}"))
    };
    let words = match slice {
        None => words,
        Some((from, to)) => {
            let to = to.map_or("the end".into(), |to| to.to_string());
            format!("{words}{}characters {from} to {to}", if words.is_empty() { "" } else { ", " })
        }
    };
    Some(Bound { source, slice, place: place.clone(), words })
}

/// Why a line cannot be split into cells by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// A quote is open at its end: the cell may continue in the next line.
    Open,
    /// There is text between a closing quote and the next delimiter: the quotes have another
    /// meaning.
    Broken,
}

/// Splits a line into cells.
pub fn cells(line: &str, delimiter: char, quotes: bool) -> Result<Vec<Cow<'_, str>>, Quoting> {
    if !quotes || !line.contains('"') {
        return Ok(line.split(delimiter).map(Cow::Borrowed).collect());
    }
    let mut out = Vec::new();
    let mut rest = line;
    loop {
        let Some(quoted) = rest.trim_start_matches(' ').strip_prefix('"') else {
            let (cell, more) = match rest.split_once(delimiter) {
                Some((cell, more)) => (cell, Some(more)),
                None => (rest, None),
            };
            out.push(Cow::Borrowed(cell));
            match more {
                Some(more) => rest = more,
                None => return Ok(out),
            }
            continue;
        };
        let mut cell = String::new();
        let mut from = quoted;
        let after = loop {
            let (part, more) = from.split_once('"').ok_or(Quoting::Open)?;
            cell.push_str(part);
            match more.strip_prefix('"') {
                Some(more) => {
                    cell.push('"');
                    from = more;
                }
                None => break more,
            }
        };
        out.push(Cow::Owned(cell));
        let (between, more) = match after.split_once(delimiter) {
            Some((between, more)) => (between, Some(more)),
            None => (after, None),
        };
        if !between.trim_matches(blank).is_empty() {
            return Err(Quoting::Broken);
        }
        match more {
            Some(more) => rest = more,
            None => return Ok(out),
        }
    }
}

/// Finds a line's tags: two to four capital letters and the tag's end, at the start of the line or
/// after a space; the text extends to the next tag.
pub fn tags(line: &str, end: char) -> Vec<(&str, &str)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut word = 0;
    for (at, c) in line.char_indices() {
        if c.is_whitespace() {
            word = at + c.len_utf8();
        } else if c == end {
            let name = &line[word..at];
            let tag = (2..=4).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase());
            if tag && found.last().is_none_or(|(start, _)| *start != word) {
                found.push((word, at + c.len_utf8()));
            }
        }
    }
    let ends = found.iter().skip(1).map(|(start, _)| *start).chain([line.len()]);
    let with_ends = found.iter().zip(ends);
    with_ends
        .map(|((start, text), next)| {
            (&line[*start..*text - end.len_utf8()], line[*text..next].trim())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a,b,,c", &["a", "b", "", "c"])]
    #[case("\"a, b\",c", &["a, b", "c"])]
    #[case("\"say \"\"stop\"\"\", \"x\" ,y", &["say \"stop\"", "x", "y"])]
    #[case("\"two\nlines\",b", &["two\nlines", "b"])]
    #[case("12\" wheel,b", &["12\" wheel", "b"])]
    fn cells_of_csv(#[case] line: &str, #[case] expected: &[&str]) {
        assert_eq!(cells(line, ',', true).unwrap(), expected);
    }

    #[test]
    fn open_quote_goes_on_in_the_next_line_unless_quotes_mean_nothing() {
        assert_eq!(cells("a,\"b", ',', true), Err(Quoting::Open));
        assert_eq!(cells("\"AB\"C12,x", ',', true), Err(Quoting::Broken), "no part is dropped");
        assert_eq!(cells("a,\"b", ',', false).unwrap(), ["a", "\"b"]);
    }

    #[test]
    fn guards_of_spreadsheets_are_no_text() {
        for (cell, text) in [
            ("=\"0012345\"", "0012345"),
            ("'0012345", "0012345"),
            ("\u{a0}AB12\u{200b} ", "AB12"),
            ("d'Or", "d'Or"),
            ("=A1", "=A1"),
        ] {
            assert_eq!(unguarded(trimmed(Cow::Borrowed(cell))), text);
        }
    }

    #[test]
    fn tags_as_leads_writes_them() {
        let line = "LIC/ABC123 LIS/IL VYR/05 VMA/DODG VCO/RED DOT/20250102 MIS/HOLD FOR 12/24 HRS";
        let tags = tags(line, '/');
        assert_eq!(tags[0], ("LIC", "ABC123"));
        assert_eq!(tags[4], ("VCO", "RED"));
        assert_eq!(tags[6], ("MIS", "HOLD FOR 12/24 HRS"), "digits are no tag");
    }

    #[test]
    fn fixed_places_count_characters_not_bytes() {
        assert_eq!(part("ÉÉAB12", 2, Some(4)), "AB");
        assert_eq!(part("AB12", 2, None), "12");
        assert_eq!(part("AB12", 3, Some(9)), "2");
        assert_eq!(part("AB12", 9, Some(12)), "");
        assert_eq!(part("AB12", 9, None), "");
    }
}
