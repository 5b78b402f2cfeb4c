//! A row's text at each place that a mapping names.
//!
//! In: one line (or one JSON object) and a mapping, whose columns are bound to the header first. Out:
//! the raw text of a field, as the source has it. Leaves to others: what the text means
//! (`interpret.rs`).

use std::borrow::Cow;

use serde_json::Value;

use super::mapping::{Field, Header, Kind, Mapping, Place};

/// One row, taken apart as its kind has it.
#[derive(Debug)]
pub enum Row<'a> {
    /// A line of fixed places.
    Line(&'a str),
    /// Cells between delimiters.
    Cells(Vec<Cow<'a, str>>),
    /// Tags and their texts.
    Tags(Vec<(&'a str, &'a str)>),
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

/// A place of a mapping, bound to the columns there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    source: Source,
    slice: Option<(usize, Option<usize>)>,
    place: Place,
    /// In words, for `--explain`.
    pub words: String,
}

impl Bound {
    /// The field's text in a row, trimmed, in the source's own words; and what it means, if the mapping
    /// says so.
    pub fn text<'r>(&'r self, row: &'r Row<'_>) -> Cow<'r, str> {
        let raw: Cow<'r, str> = match (&self.source, row) {
            (Source::Value(text), _) => return Cow::Borrowed(text),
            (Source::Slice, Row::Line(line)) => Cow::Borrowed(line),
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
            (Source::Tag(tag), Row::Tags(tags)) => {
                Cow::Borrowed(tags.iter().find(|(name, _)| name == tag).map_or("", |(_, t)| t))
            }
            (Source::Path(path), Row::Object(key, value)) => member(path, key, value),
            _ => Cow::Borrowed(""),
        };
        let text = match (self.slice, raw) {
            (None, raw) => trimmed(raw),
            (Some((from, to)), Cow::Borrowed(text)) => Cow::Borrowed(part(text, from, to).trim()),
            (Some((from, to)), Cow::Owned(text)) => {
                Cow::Owned(part(&text, from, to).trim().to_owned())
            }
        };
        match self.place.values.get(&*text) {
            Some(meaning) => Cow::Borrowed(meaning),
            None => text,
        }
    }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// Characters `from` to `to` of a text; what is not there is nothing.
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
    /// Columns that no field takes: their content is dropped unread.
    pub unused: Vec<String>,
}

/// A header that does not name the plate's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlateColumn {
    /// The columns it has.
    pub columns: Vec<String>,
}

impl Bindings {
    /// Binds a mapping; `header` are the cells of the first line where the mapping has one. The second
    /// of the pair says whether the line was a header indeed.
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
        if mapping.header == Header::Required && !is_header {
            let columns = header.unwrap_or_default().iter().map(|c| c.trim().to_owned()).collect();
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
        Ok((Self { fields, unused }, is_header))
    }

    /// A field's text: that of the first of its places that is not empty.
    pub fn text<'r>(&'r self, field: Field, row: &'r Row<'_>) -> Cow<'r, str> {
        let places = self.fields.iter().find(|(f, _)| *f == field).map(|(_, places)| &places[..]);
        let texts = places.unwrap_or_default().iter().map(|place| place.text(row));
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
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
    } else if kind == Kind::Fixed {
        (Source::Slice, String::new())
    } else if let Some(at) = column {
        let number = i32::try_from(at).ok()?;
        (Source::Cell(number, place.rest), format!("column {:?}", place.column[0]))
    } else {
        // A named column that this file does not have is no field; a number serves without a header.
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

/// A column's name, letters and digits only.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// A line's cells. `None` while a quote is open at its end: the cell goes on in the next line.
pub fn cells(line: &str, delimiter: char, quotes: bool) -> Option<Vec<Cow<'_, str>>> {
    if !quotes || !line.contains('"') {
        return Some(line.split(delimiter).map(Cow::Borrowed).collect());
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
                None => return Some(out),
            }
            continue;
        };
        let mut cell = String::new();
        let mut from = quoted;
        let after = loop {
            let (part, more) = from.split_once('"')?;
            cell.push_str(part);
            match more.strip_prefix('"') {
                Some(more) => {
                    cell.push('"');
                    from = more;
                }
                None => break more,
            }
        };
        // What follows a closing quote up to the delimiter belongs to nobody.
        out.push(Cow::Owned(cell));
        match after.split_once(delimiter) {
            Some((_, more)) => rest = more,
            None => return Some(out),
        }
    }
}

/// A line's tags: two to four capital letters and the tag's end, at the line's start or after
/// a space; the text goes on to the next tag.
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
        assert_eq!(cells("a,\"b", ',', true), None);
        assert_eq!(cells("a,\"b", ',', false).unwrap(), ["a", "\"b"]);
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
