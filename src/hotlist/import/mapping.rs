//! How a source writes its rows, said in TOML rather than in code.
//!
//! In: a file of `hotlists/mappings/`, built in or the agency's own. Out: a [`Mapping`] whose parts go
//! together, or a message for whoever wrote it. Category letters differ from state to state, so they
//! stand in the mapping.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::hotlist::Priority;

/// The mappings that are built in. Their files are `hotlists/mappings/<name>.toml`.
const BUILT_IN: [(&str, &str); 13] = [
    ("ncic-fixed", include_str!("../../../hotlists/mappings/ncic-fixed.toml")),
    ("ncic-csv", include_str!("../../../hotlists/mappings/ncic-csv.toml")),
    ("clew-svs", include_str!("../../../hotlists/mappings/clew-svs.toml")),
    ("clew-sfr", include_str!("../../../hotlists/mappings/clew-sfr.toml")),
    ("clew-slr", include_str!("../../../hotlists/mappings/clew-slr.toml")),
    ("new-york", include_str!("../../../hotlists/mappings/new-york.toml")),
    ("openalpr-csv", include_str!("../../../hotlists/mappings/openalpr-csv.toml")),
    ("genetec", include_str!("../../../hotlists/mappings/genetec.toml")),
    ("vigilant", include_str!("../../../hotlists/mappings/vigilant.toml")),
    ("predator-json", include_str!("../../../hotlists/mappings/predator-json.toml")),
    ("illinois-leads", include_str!("../../../hotlists/mappings/illinois-leads.toml")),
    ("plain", include_str!("../../../hotlists/mappings/plain.toml")),
    ("outrider-csv", include_str!("../../../hotlists/mappings/outrider-csv.toml")),
];

/// Texts that stand where there is no plate. A mapping may name more.
const JUNK: [&str; 12] = [
    "0", "00", "000", "0000", "190", "NONE", "NOPLATE", "NOTAG", "UNK", "UNKN", "UNKNOWN", "XXXXXX",
];

/// Why a mapping is not used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// No such name.
    #[error("no mapping {name:?}: give the path of a .toml file, or one of {}", names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// It cannot be read.
    #[error("cannot read mapping {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or not of this form.
    #[error("mapping {name}: {why}")]
    Malformed {
        /// Which.
        name: String,
        /// Where and why.
        why: String,
    },
    /// Parts that do not go together.
    #[error("mapping {name}: {key}: {why}")]
    Wrong {
        /// Which.
        name: String,
        /// Where in it.
        key: String,
        /// Why.
        why: String,
    },
}

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Fields at fixed places of a line.
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
    /// It does not.
    #[default]
    None,
    /// It does if it names the plate's column; else it is a row.
    Optional,
    /// It must.
    Required,
}

/// What becomes of categories that the mapping does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// Dropped and counted.
    #[default]
    Drop,
    /// Kept as they are written, in lower case with underscores.
    Keep,
}

/// What a record is made of.
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
    /// Who put it there.
    Source,
    /// Its case number there.
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
    /// From when on it holds.
    Effective,
    /// Until when it holds; a day counts to its end.
    Expires,
    /// When the source last said so.
    LastConfirmed,
    /// What to beware of.
    Caution,
    /// What to do.
    Action,
    /// Whether a hit gives no cue in the car.
    Covert,
}

impl Field {
    /// As the mapping writes it.
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

/// Where a field's text is. Of `slice` alone, `column`, `index`, `tag`, `path` and `value`, those are
/// given that the kind knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// First character, from 0, and the one after the last; without the second, to the line's end.
    /// Beside `column`, `index` or `tag`: a part of that.
    pub slice: Option<Vec<usize>>,
    /// A column by its name; several are several names for it. Case and punctuation do not matter.
    pub column: Vec<String>,
    /// A column by its number, from 0; negative from the end.
    pub index: Option<i32>,
    /// With `index`: that column and all after it, for free text with delimiters in it.
    pub rest: bool,
    /// A tag.
    pub tag: Option<String>,
    /// JSON: names of members, from the outside in, joined by dots; `@key` is the entry's own key.
    pub path: Option<String>,
    /// Always this text.
    pub value: Option<String>,
    /// What the source's words mean here; a word that is not listed stays as it is.
    pub values: BTreeMap<String, String>,
}

/// One category of the source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// What it is called here, such as `stolen_vehicle`.
    pub category: String,
    /// How urgent; the mapping's own priority if left out.
    pub priority: Option<Priority>,
    /// What to beware of, where the source's rows do not say.
    #[serde(default)]
    pub caution: String,
    /// Free text, where the source's rows have none.
    #[serde(default)]
    pub reason: String,
    /// Dropped unless asked for by name: what no officer should be told of by default.
    #[serde(default)]
    pub off: bool,
}

/// A column of personal data: never read, and the report says so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonColumn {
    /// What it holds, for the report.
    pub name: String,
    /// Where it is, in words or as in `[fields]`; for people only.
    #[serde(default)]
    pub at: String,
}

/// How a source writes its rows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// How rows are laid out.
    pub kind: Kind,
    /// The file's encoding, by any of its usual names.
    #[serde(default = "utf_8")]
    pub encoding: String,
    /// Delimited: what is between cells.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// Delimited: whether cells may stand in double quotes.
    #[serde(default)]
    pub quotes: bool,
    /// Delimited: whether the first line names the columns.
    #[serde(default)]
    pub header: Header,
    /// Lines at the top that are no rows.
    #[serde(default)]
    pub skip_lines: u64,
    /// Lines that begin like this are no rows: headers and footers.
    #[serde(default)]
    pub skip_prefixes: Vec<String>,
    /// What starts a comment that goes to the line's end.
    #[serde(default)]
    pub comment: Option<char>,
    /// Tagged: what is between tag and text.
    #[serde(default = "slash")]
    pub tag_end: char,
    /// Country of states that are written without one; the other's are found anyway.
    #[serde(default)]
    pub country: Option<String>,
    /// Where a day begins and ends; the machine's own zone if left out.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// How dates are written (strftime), in the order of trying.
    #[serde(default = "usual_dates")]
    pub dates: Vec<String>,
    /// Category of rows that state none.
    #[serde(default)]
    pub category: Option<String>,
    /// Priority of categories and rows that state none.
    #[serde(default)]
    pub priority: Priority,
    /// What becomes of categories that are not listed below.
    #[serde(default)]
    pub unlisted: Unlisted,
    /// Whether `?` and `*` in a plate make it a pattern.
    #[serde(default)]
    pub patterns: bool,
    /// Further texts that stand where there is no plate.
    #[serde(default)]
    pub junk: BTreeSet<String>,
    /// Where each field is. Several places: the first that is not empty.
    pub fields: BTreeMap<Field, OneOrMore>,
    /// The source's letters or words and what they mean.
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

fn utf_8() -> String {
    "utf-8".into()
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
    /// A built-in mapping by its name, or one from a file: what has a slash or ends in `.toml` is a path.
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

    /// The text of a built-in mapping, as a start for one's own.
    pub fn text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// Parses and checks a mapping; `name` is for messages.
    pub fn parse(name: &str, text: &str) -> Result<Self, MappingError> {
        let mapping: Self = toml::from_str(text).map_err(|e| MappingError::Malformed {
            name: name.into(),
            why: e.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
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
        if encoding_rs::Encoding::for_label(self.encoding.as_bytes()).is_none() {
            return wrong("encoding", "no encoding of the WHATWG's list, such as \"windows-1252\"");
        }
        if (self.kind == Kind::Delimited) != self.delimiter.is_some() {
            return wrong("delimiter", "goes with kind = \"delimited\", and only with it");
        }
        if self.delimiter.is_some_and(|d| !d.is_ascii() || d == '"' || d == '\n') {
            return wrong("delimiter", "must be one ASCII character, and no quote");
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
            if let Err(e) = crate::plate::Jurisdiction::parse(meaning) {
                return Err((format!("jurisdictions.{code}"), e.to_string()));
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
            // A name, and the number for files without a header, may go together.
            Kind::Delimited => (named || numbered) && place.tag.is_none() && place.path.is_none(),
            Kind::Tagged => one(place.tag.is_some(), named, numbered) && place.path.is_none(),
            Kind::Json => one(place.path.is_some(), named, numbered) && place.tag.is_none(),
        };
        if !fits {
            return Err(match self.kind {
                Kind::Fixed => "a fixed file's fields are said by slice",
                Kind::Delimited => "a delimited file's fields are said by column or index",
                Kind::Tagged => "a tagged file's fields are said by tag",
                Kind::Json => "a JSON file's fields are said by path",
            });
        }
        if named && !numbered && self.header == Header::None {
            return Err("column goes with a header; without one, say index");
        }
        if named && !numbered && self.header == Header::Optional {
            return Err("where the header is optional, say index beside column");
        }
        if place.rest && !numbered {
            return Err("rest goes with index");
        }
        Ok(())
    }

    /// The file's encoding.
    pub fn encoding(&self) -> &'static encoding_rs::Encoding {
        encoding_rs::Encoding::for_label(self.encoding.as_bytes()).expect("validated")
    }

    /// Whether a plate's text, letters and digits only, stands for no plate.
    pub fn is_junk(&self, plate: &str) -> bool {
        JUNK.contains(&plate) || self.junk.contains(plate)
    }
}

/// Whether a text can name a category.
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
