//! Mappings: how a source writes its rows, declared in TOML and not in code.
//!
//! In: a file of `hotlists/mappings/`, built in or the agency's own. Out: a consistent [`Mapping`],
//! or a message for its author. Category letters differ from state to state, so they stand in the
//! mapping.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::codes::Issuers;
use crate::entry::Priority;

/// The built-in mappings. Their files are `hotlists/mappings/<name>.toml`.
const BUILT_IN: [(&str, &str); 13] = [
    ("ncic-fixed", include_str!("../../../../../hotlists/mappings/ncic-fixed.toml")),
    ("ncic-csv", include_str!("../../../../../hotlists/mappings/ncic-csv.toml")),
    ("clew-svs", include_str!("../../../../../hotlists/mappings/clew-svs.toml")),
    ("clew-sfr", include_str!("../../../../../hotlists/mappings/clew-sfr.toml")),
    ("clew-slr", include_str!("../../../../../hotlists/mappings/clew-slr.toml")),
    ("new-york", include_str!("../../../../../hotlists/mappings/new-york.toml")),
    ("openalpr-csv", include_str!("../../../../../hotlists/mappings/openalpr-csv.toml")),
    ("genetec", include_str!("../../../../../hotlists/mappings/genetec.toml")),
    ("vigilant", include_str!("../../../../../hotlists/mappings/vigilant.toml")),
    ("predator-json", include_str!("../../../../../hotlists/mappings/predator-json.toml")),
    ("illinois-leads", include_str!("../../../../../hotlists/mappings/illinois-leads.toml")),
    ("plain", include_str!("../../../../../hotlists/mappings/plain.toml")),
    ("outrider-csv", include_str!("../../../../../hotlists/mappings/outrider-csv.toml")),
];

/// Texts that stand where there is no plate. A mapping may add more.
const JUNK: [&str; 12] = [
    "0", "00", "000", "0000", "190", "NONE", "NOPLATE", "NOTAG", "UNK", "UNKN", "UNKNOWN", "XXXXXX",
];

/// Why a mapping is not used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// There is no mapping of this name.
    #[error("no mapping {name:?}: give the path of a .toml file, or one of {}", names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read mapping {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or not a mapping.
    #[error("mapping {name}: {why}")]
    Malformed {
        /// The mapping.
        name: String,
        /// The place and the reason.
        why: String,
    },
    /// Some of its parts contradict each other.
    #[error("mapping {name}: {key}: {why}")]
    Wrong {
        /// The mapping.
        name: String,
        /// The key.
        key: String,
        /// The reason.
        why: String,
    },
}

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Fields at fixed positions of a line.
    Fixed,
    /// Cells between delimiters.
    Delimited,
    /// `LIC/ABC123 LIS/IL ...`
    Tagged,
    /// An object of objects, keyed by plate, or a list of objects.
    Json,
}

/// Whether the first line names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    /// The first line is a row.
    #[default]
    None,
    /// The first line is a header if it names the plate's column; else it is a row.
    Optional,
    /// The first line must be a header.
    Required,
    /// The first line must be a header if it has several cells; a file of one cell a line is a
    /// plain list.
    WhereCells,
}

/// What happens to rows with categories that the mapping does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// They are dropped and counted.
    #[default]
    Drop,
    /// They are kept; the category is written in lower case with underscores.
    Keep,
}

/// The fields of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The plate: the one field that every mapping needs.
    Plate,
    /// Who issued it.
    Jurisdiction,
    /// A letter or word that `[categories]` explains.
    Category,
    /// low, medium or high.
    Priority,
    /// Free text.
    Reason,
    /// Who listed it.
    Source,
    /// The source's case number.
    Case,
    /// Vehicle class.
    Class,
    /// Vehicle make.
    Make,
    /// Vehicle model.
    Model,
    /// Vehicle colour.
    Colour,
    /// Model year, of two digits or four.
    Year,
    /// From when on it is in force.
    Effective,
    /// Until when it is in force; a day counts to its end.
    Expires,
    /// When the source last confirmed it.
    LastConfirmed,
    /// A warning.
    Caution,
    /// What to do.
    Action,
    /// Whether a hit gives no cue in the car.
    Covert,
}

impl Field {
    /// The field's name in mappings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plate => "plate",
            Self::Jurisdiction => "jurisdiction",
            Self::Category => "category",
            Self::Priority => "priority",
            Self::Reason => "reason",
            Self::Source => "source",
            Self::Case => "case",
            Self::Class => "class",
            Self::Make => "make",
            Self::Model => "model",
            Self::Colour => "colour",
            Self::Year => "year",
            Self::Effective => "effective",
            Self::Expires => "expires",
            Self::LastConfirmed => "last_confirmed",
            Self::Caution => "caution",
            Self::Action => "action",
            Self::Covert => "covert",
        }
    }
}

/// Where a field's text is. Which of `slice`, `column`, `index`, `tag`, `path` and `value` may be
/// given depends on the kind of mapping; `slice` may also limit one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// First character, from 0, and the one after the last; without the second, to the end of the
    /// line. Together with `column`, `index` or `tag` it is a part of that text.
    pub slice: Option<Vec<usize>>,
    /// A column by its name; several names are alternatives. Case and punctuation do not matter.
    pub column: Vec<String>,
    /// A column by its number, from 0; negative numbers count from the end.
    pub index: Option<i32>,
    /// With `index`: that column and all after it, for free text with delimiters in it.
    pub rest: bool,
    /// A tag.
    pub tag: Option<String>,
    /// JSON: the names of members from the outside in, joined by dots; `@key` is the entry's own
    /// key.
    pub path: Option<String>,
    /// This text in every row.
    pub value: Option<String>,
    /// Translations of the source's words; a word that is not listed stays as it is.
    pub values: BTreeMap<String, String>,
    /// The kind of issuers' codes here, if it differs from the mapping's own.
    pub issuers: Option<Issuers>,
    /// Tagged: this place is used only in lines without that tag.
    pub without_tag: Option<String>,
}

/// One category of the source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its name here, such as `stolen_vehicle`.
    pub category: String,
    /// How urgent it is; the mapping's own priority if left out.
    pub priority: Option<Priority>,
    /// A warning, for rows that state none.
    #[serde(default)]
    pub caution: String,
    /// Free text, for rows that have none.
    #[serde(default)]
    pub reason: String,
    /// Whether it is dropped unless asked for by name: officers should not be alerted to it by
    /// default.
    #[serde(default)]
    pub off: bool,
}

/// A column of personal data: it is never read, and the report says so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonColumn {
    /// Its contents, for the report.
    pub name: String,
    /// Its position, in words or as in `[fields]`; for people only.
    #[serde(default)]
    pub at: String,
}

/// How a source writes its rows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Its name.
    pub name: String,
    /// Its purpose, in a sentence.
    pub about: String,
    /// How rows are laid out.
    pub kind: Kind,
    /// The file's encoding, by any of its usual names; `auto` is UTF-8 or Windows-1252, line by line.
    #[serde(default = "either")]
    pub encoding: String,
    /// Delimited: the character between cells.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// Delimited: alternatives to `delimiter`. The one that occurs most often in the first line is
    /// used, or the one that a line `sep=;` before it declares.
    #[serde(default)]
    pub or_delimiters: String,
    /// Delimited: whether cells may stand in double quotes.
    #[serde(default)]
    pub quotes: bool,
    /// Delimited: whether the first line names the columns.
    #[serde(default)]
    pub header: Header,
    /// Number of lines at the top that are not rows.
    #[serde(default)]
    pub skip_lines: u64,
    /// Lines that begin with these are not rows: headers and footers.
    #[serde(default)]
    pub skip_prefixes: Vec<String>,
    /// The character that starts a comment, which goes to the end of the line.
    #[serde(default)]
    pub comment: Option<char>,
    /// Tagged: the character between tag and text.
    #[serde(default = "slash")]
    pub tag_end: char,
    /// Whose states a source's bare codes are, for people: `issuers` determines how they are read.
    #[serde(default)]
    pub country: Option<String>,
    /// The kind of bare issuers' codes: `states`, `countries` or `ncic`.
    #[serde(default)]
    pub issuers: Issuers,
    /// The time zone of its days; the machine's own if left out.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// The forms of dates (strftime), in the order of trying.
    #[serde(default = "usual_dates")]
    pub dates: Vec<String>,
    /// Category of rows that state none.
    #[serde(default)]
    pub category: Option<String>,
    /// Priority of categories and rows that state none.
    #[serde(default)]
    pub priority: Priority,
    /// What happens to rows with categories that are not listed below.
    #[serde(default)]
    pub unlisted: Unlisted,
    /// Whether `?` and `*` in a plate make it a pattern.
    #[serde(default)]
    pub patterns: bool,
    /// Further texts that stand where there is no plate.
    #[serde(default)]
    pub junk: BTreeSet<String>,
    /// Where each field is. Of several places, the first that is not empty is used.
    pub fields: BTreeMap<Field, OneOrMore>,
    /// The source's letters or words and their meanings.
    #[serde(default)]
    pub categories: BTreeMap<String, Category>,
    /// Codes of issuers that are not ISO 3166, such as `PQ = "CA-QC"`.
    #[serde(default)]
    pub jurisdictions: BTreeMap<String, String>,
    /// Columns of personal data.
    #[serde(default)]
    pub person: Vec<PersonColumn>,
}

/// One place, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(Box<Place>),
    /// Several, in the order of trying.
    More(Vec<Place>),
}

impl OneOrMore {
    /// All of them.
    pub fn places(&self) -> &[Place] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::More(places) => places,
        }
    }
}

/// The encoding of mappings that declare none: each line is UTF-8 or Windows-1252.
const EITHER: &str = "auto";

fn either() -> String {
    EITHER.into()
}

fn slash() -> char {
    '/'
}

fn usual_dates() -> Vec<String> {
    ["%Y-%m-%d", "%Y%m%d"].map(String::from).to_vec()
}

/// Names of the built-in mappings.
pub fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

impl Mapping {
    /// Finds a built-in mapping by its name, or reads one from a file: a name with a slash or
    /// ending in `.toml` is a path.
    pub fn find(name: &str) -> Result<Self, MappingError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        if !name.contains('/') && !name.ends_with(".toml") {
            return Err(MappingError::Unknown { name: name.into() });
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path)
            .map_err(|source| MappingError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(name, &text)
    }

    /// The text of a built-in mapping, as a start for a new one.
    pub fn text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// Parses and checks a mapping; `name` is for messages.
    pub fn parse(name: &str, text: &str) -> Result<Self, MappingError> {
        let mapping: Self = toml::from_str(text).map_err(|e| MappingError::Malformed {
            name: name.into(),
            // The library's own message is left out, because it repeats the line: that may be a
            // row, if somebody has passed the list in place of the mapping.
            why: match e.span() {
                Some(at) => {
                    let line = text[..at.start.min(text.len())].lines().count().max(1);
                    format!("line {line}: {}", without_values(e.message()))
                }
                None => without_values(e.message()),
            },
        })?;
        mapping.validate().map_err(|(key, why)| MappingError::Wrong {
            name: name.into(),
            key,
            why,
        })?;
        Ok(mapping)
    }

    fn validate(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, why: &str| Err((key.to_owned(), why.to_owned()));
        if !self.fields.contains_key(&Field::Plate) {
            return wrong("fields.plate", "every mapping says where the plate is");
        }
        let known = encoding_rs::Encoding::for_label(self.encoding.as_bytes()).is_some();
        if self.encoding != EITHER && !known {
            return wrong("encoding", "no encoding of the WHATWG's list, such as \"windows-1252\"");
        }
        if (self.kind == Kind::Delimited) != self.delimiter.is_some() {
            return wrong("delimiter", "goes with kind = \"delimited\", and only with it");
        }
        let unfit = |d: char| !d.is_ascii() || matches!(d, '"' | '\n' | '\r');
        if self.delimiter.is_some_and(unfit) || self.or_delimiters.contains(unfit) {
            return wrong("delimiter", "must be one ASCII character, and no quote");
        }
        if !self.or_delimiters.is_empty() && self.kind != Kind::Delimited {
            return wrong("or_delimiters", "goes with kind = \"delimited\"");
        }
        let order = |first: &str, second: &str| {
            self.dates.iter().any(|form| {
                let (a, b) = (form.find(first), form.find(second));
                a.zip(b).is_some_and(|(a, b)| a < b) && form.find("%Y").or(form.find("%y")) > b
            })
        };
        if order("%m", "%d") && order("%d", "%m") {
            return wrong("dates", "declare one order: month before day, or day before month");
        }
        if self.header != Header::None && self.kind != Kind::Delimited {
            return wrong("header", "goes with kind = \"delimited\"");
        }
        if let Some(zone) = &self.time_zone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            return wrong("time_zone", "no time zone of the IANA's list");
        }
        if let Some(country) = &self.country
            && (country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return wrong("country", "must be two capital letters, such as \"US\"");
        }
        for (code, meaning) in &self.jurisdictions {
            if super::codes::issuer(meaning, Issuers::Countries).is_none() {
                let why = format!("{meaning:?} is no ISO 3166 code such as CA-ON, US-NY or DE");
                return Err((format!("jurisdictions.{code}"), why));
            }
        }
        let names = self.categories.values().map(|c| &c.category).chain(&self.category);
        for name in names {
            if !valid_category(name) {
                return Err((
                    format!("category {name:?}"),
                    "must be 1 to 32 of a-z, 0-9 and _".into(),
                ));
            }
        }
        if self.category.is_none() && !self.fields.contains_key(&Field::Category) {
            return wrong("category", "rows state none (no fields.category), so say it here");
        }
        for (field, places) in &self.fields {
            for place in places.places() {
                self.check_place(place)
                    .map_err(|why| (format!("fields.{}", field.name()), why.to_owned()))?;
            }
        }
        Ok(())
    }

    fn check_place(&self, place: &Place) -> Result<(), &'static str> {
        match place.slice.as_deref() {
            None | Some([_]) => {}
            Some([from, to]) if from < to => {}
            _ => return Err("slice must be [first, after the last] or [first]"),
        }
        let named = !place.column.is_empty();
        let numbered = place.index.is_some();
        let one = |a: bool, b: bool, c: bool| u8::from(a) + u8::from(b) + u8::from(c) == 1;
        if place.value.is_some() {
            let alone = !named && !numbered && place.tag.is_none() && place.path.is_none();
            return if alone { Ok(()) } else { Err("value goes with no other place") };
        }
        let fits = match self.kind {
            Kind::Fixed => {
                let no_other = !named && !numbered && place.tag.is_none() && place.path.is_none();
                place.slice.is_some() && no_other
            }
            // A name, and a number for files without a header, may be given together.
            Kind::Delimited => (named || numbered) && place.tag.is_none() && place.path.is_none(),
            // A position in the line itself: for what stands before the first tag.
            Kind::Tagged => {
                let tagged = one(place.tag.is_some(), named, numbered);
                let sliced = place.tag.is_none() && !named && !numbered && place.slice.is_some();
                (tagged || sliced) && place.path.is_none()
            }
            Kind::Json => one(place.path.is_some(), named, numbered) && place.tag.is_none(),
        };
        if !fits {
            return Err(match self.kind {
                Kind::Fixed => "a fixed file's fields are said by slice",
                Kind::Delimited => "a delimited file's fields are said by column or index",
                Kind::Tagged => "a tagged file's fields are said by tag or slice",
                Kind::Json => "a JSON file's fields are said by path",
            });
        }
        if named && !numbered && self.header == Header::None {
            return Err("column goes with a header; without one, say index");
        }
        if place.without_tag.is_some() && self.kind != Kind::Tagged {
            return Err("without_tag goes with kind = \"tagged\"");
        }
        if named && !numbered && self.header == Header::Optional {
            return Err("where the header is optional, say index beside column");
        }
        if place.rest && !numbered {
            return Err("rest goes with index");
        }
        Ok(())
    }

    /// The file's encoding; `None` where each line is UTF-8 or Windows-1252.
    pub fn encoding(&self) -> Option<&'static encoding_rs::Encoding> {
        encoding_rs::Encoding::for_label(self.encoding.as_bytes())
    }

    /// Whether the mapping names this category, so that it is not a text from a row.
    pub fn names_category(&self, name: &str) -> bool {
        self.category.as_deref() == Some(name)
            || self.categories.values().any(|c| c.category == name)
    }

    /// Whether a plate's text, reduced to letters and digits, stands for "no plate".
    pub fn is_junk(&self, plate: &str) -> bool {
        JUNK.contains(&plate) || self.junk.contains(plate)
    }
}

/// A message of the TOML library without its quotes, except for a key's name.
fn without_values(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    for (quoting, said) in [
        ("invalid type: string", "invalid type: string"),
        ("unknown variant", "unknown word"),
        ("invalid value: string", "invalid value: string"),
    ] {
        if let Some((before, rest)) = line.split_once(quoting) {
            let wanted = rest.split_once(", expected").map_or("", |(_, wanted)| wanted);
            return format!("{before}{said}, expected{wanted}");
        }
    }
    line.to_owned()
}

/// Whether a text can be the name of a category.
pub fn valid_category(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn every_built_in_mapping_is_whole() {
        for name in names() {
            let mapping = Mapping::find(name).unwrap();
            assert_eq!(mapping.name, name);
            assert!(mapping.about.ends_with('.'), "{name}: about is a sentence");
        }
    }

    const GOOD: &str = "name = \"x\"\nabout = \"X.\"\nkind = \"delimited\"\ndelimiter = \",\"\n\
                        category = \"stolen\"\n[fields]\nplate = { index = 0 }\n";

    #[rstest]
    #[case("plate = { index = 0 }", "case = { index = 0 }", "fields.plate: every mapping says")]
    #[case("index = 0", "slice = [0, 8]", "fields.plate: a delimited file's fields are said by")]
    #[case("index = 0", "column = [\"plate\"]", "fields.plate: column goes with a header")]
    #[case("index = 0", "index = 0, slice = [8, 8]", "fields.plate: slice must be")]
    #[case("delimiter = \",\"\n", "", "delimiter: goes with kind")]
    #[case("\"stolen\"", "\"Stolen!\"", "category \"Stolen!\": must be 1 to 32")]
    #[case("category = \"stolen\"\n", "", "category: rows state none")]
    #[case("about = \"X.\"", "about = \"X.\"\nencoding = \"klingon\"", "encoding: no encoding of")]
    #[case("about = \"X.\"", "about = \"X.\"\ntime_zone = \"Moon\"", "time_zone: no time zone")]
    #[case("about = \"X.\"", "about = \"X.\"\ncolour = 1", "unknown field `colour`")]
    fn mappings_that_do_not_hold_together(
        #[case] one: &str,
        #[case] other: &str,
        #[case] why: &str,
    ) {
        Mapping::parse("x", GOOD).unwrap();
        let text = GOOD.replacen(one, other, 1);
        assert_ne!(text, GOOD);
        let message = Mapping::parse("mine.toml", &text).unwrap_err().to_string();
        assert!(message.starts_with("mapping mine.toml: "), "{message}");
        assert!(message.contains(why), "{message}");
    }

    #[test]
    fn name_that_is_none_is_answered_with_those_there_are() {
        let message = Mapping::find("ncic").unwrap_err().to_string();
        assert!(message.contains("ncic-fixed, ncic-csv"), "{message}");
    }
}
