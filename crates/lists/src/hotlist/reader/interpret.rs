//! Interprets a row's texts: an entry, nothing that is wanted here, or a problem.
//!
//! In: a row and a mapping. Out: a [`Reading`]. Costs: about a microsecond. A problem never repeats
//! a row's text, which may be a person's data in a column that has moved: it shows the text's
//! shape, such as `AA-999` for two letters, a dash and three digits.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::codes::{self, Issuers};
use super::dates::{self, NoDate, YEARS};
use super::mapping::{Category, Field, Mapping, Unlisted, valid_category};
use super::rows::{Bindings, Row};
use super::{columns, footer};
use crate::entry::Priority;
use crate::hotlist::format::{LONGEST_TEXT, LONGEST_WORD, tidy};
use crate::hotlist::{Entry, VehicleText};
use crate::plate::{Jurisdiction, ListedPlate, Plate, PlateError};

/// What is wrong with a row. It shows shapes, never texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no plate, or an impossible one.
    #[error("{0}")]
    Plate(#[from] PlateError),
    /// The jurisdiction is not a code of an issuer.
    #[error("jurisdiction of the form {0:?} is neither ISO 3166 nor a state or province")]
    Jurisdiction(String),
    /// A date is not one.
    #[error(
        "{} of the form {shape:?} is not a date in the mapping's forms within {} to {}",
        .field.name(), YEARS.start(), YEARS.end()
    )]
    Date {
        /// The field.
        field: Field,
        /// Its shape.
        shape: String,
    },
    /// The priority is not low, medium or high.
    #[error("priority of the form {0:?} is none of low, medium, high")]
    Priority(String),
    /// The covert flag is not yes or no.
    #[error("covert of the form {0:?} is neither yes nor no")]
    Covert(String),
    /// The bytes are not text in this encoding.
    #[error("is not text in the mapping's encoding")]
    Encoding,
    /// It is longer than any row.
    #[error("is longer than 64 KiB")]
    TooLong,
    /// A quote is not closed.
    #[error("opens a quote that no cell of this row closes")]
    Quote,
    /// There is text between a closing quote and the next delimiter.
    #[error("has text between a closing quote and the next delimiter")]
    QuoteInside,
    /// The cells do not match the header's columns.
    #[error("has {found} cells, the header names {header}")]
    Cells {
        /// Number of cells in the row.
        found: usize,
        /// Number of columns in the header.
        header: usize,
    },
    /// A column's name stands where the plate should be.
    #[error("has a column's name, or a word of a footer, where the plate should be")]
    NoRow,
    /// The plate was changed into a number or a day by a spreadsheet.
    #[error("plate of the form {0:?} is a number as a spreadsheet rewrites it: the plate is lost")]
    Number(String),
    /// The JSON value is not an object.
    #[error("is no JSON object")]
    NoObject,
}

/// The result for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// An entry.
    Entry(Box<Entry>),
    /// The row has a placeholder where the plate should be.
    Junk,
    /// Its category is not wanted here.
    Dropped {
        /// The category's letter, or the shape of its word: where a column has moved, it is not a
        /// category.
        category: String,
        /// Whether the mapping lists it but switches it off.
        off: bool,
    },
    /// Something is wrong with it.
    Bad(Problem),
}

/// Values for rows that do not state them, and what is wanted beyond the mapping.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// Category of rows that state none, in place of the mapping's.
    pub category: Option<String>,
    /// Issuer of plates whose rows state none.
    pub jurisdiction: Jurisdiction,
    /// Categories that the mapping switches off and that are wanted here.
    pub with: BTreeSet<String>,
    /// Whether patterns are accepted even if the mapping does not say so.
    pub patterns: bool,
}

/// Interprets rows by a mapping.
#[derive(Debug)]
pub struct Interpreter<'m> {
    mapping: &'m Mapping,
    defaults: &'m Defaults,
    zone: TimeZone,
    /// Five million entries share category names and do not copy them.
    names: Vec<Arc<str>>,
}

impl<'m> Interpreter<'m> {
    /// Uses this mapping; `zone` is used where it names none.
    pub fn new(mapping: &'m Mapping, defaults: &'m Defaults, zone: &TimeZone) -> Self {
        let named = mapping.time_zone.as_deref();
        let zone =
            named.map_or_else(|| zone.clone(), |name| TimeZone::get(name).expect("validated"));
        let names = mapping.categories.values().map(|c| c.category.as_str().into()).collect();
        Self { mapping, defaults, zone, names }
    }

    /// Interprets a row.
    pub fn read(&self, bindings: &Bindings, row: &Row<'_>) -> Reading {
        self.try_read(bindings, row).unwrap_or_else(Reading::Bad)
    }

    fn try_read(&self, bindings: &Bindings, row: &Row<'_>) -> Result<Reading, Problem> {
        let text = |field| bindings.text(field, row);
        let plate = text(Field::Plate);
        if plate.contains('\u{fffd}') || is_misread(&plate) {
            return Err(Problem::Encoding);
        }
        if self.is_junk(&plate) {
            return Ok(Reading::Junk);
        }
        if is_number(&plate) {
            return Err(Problem::Number(shape(&plate)));
        }
        let words = plate.len() > LONGEST_WORD_PLATE
            && !plate.contains(|c: char| c.is_ascii_digit() || c == '?' || c == '*');
        let words =
            words && plate.chars().filter(|c| c.is_alphabetic()).count() > LONGEST_WORD_PLATE;
        if words
            || COLUMNS.contains(&columns::plain(&plate).as_str())
            || footer::is_no_row(&plate, None)
        {
            return Err(Problem::NoRow);
        }
        let stated = text(Field::Category);
        let (category, known) = match self.category(&stated) {
            Ok(found) => found,
            Err(off) => {
                return Ok(Reading::Dropped { category: as_shown(&stated), off });
            }
        };
        let plate = match self.mapping.patterns || self.defaults.patterns {
            true => ListedPlate::parse(&plate)?,
            false => Plate::parse(&plate)?.into(),
        };
        let word = |field| tidy(&text(field), LONGEST_WORD);
        let free = |field, other: &str| match tidy(&text(field), LONGEST_TEXT) {
            said if said.is_empty() => other.to_owned(),
            said => said,
        };
        let usual = known.and_then(|c| c.priority).unwrap_or(self.mapping.priority);
        let date = |field, end| self.date(field, &text(field), end);
        let entry = Entry {
            plate,
            jurisdiction: self.jurisdiction(bindings, row)?,
            category,
            priority: priority(&text(Field::Priority), usual)?,
            reason: free(Field::Reason, known.map_or("", |c| &c.reason)),
            source: word(Field::Source),
            case: word(Field::Case),
            vehicle: VehicleText {
                class: word(Field::Class),
                make: word(Field::Make),
                model: word(Field::Model),
                colour: word(Field::Colour),
                year: year(&text(Field::Year)),
            },
            effective: date(Field::Effective, false)?,
            expires: date(Field::Expires, true)?,
            last_confirmed: date(Field::LastConfirmed, false)?,
            caution: free(Field::Caution, known.map_or("", |c| &c.caution)),
            action: free(Field::Action, ""),
            covert: flag(&text(Field::Covert))?,
        };
        Ok(Reading::Entry(Box::new(entry)))
    }

    fn is_junk(&self, plate: &str) -> bool {
        let plain = |c: &char| c.is_ascii_alphanumeric();
        // Most plates are letters and digits already, and five million of them come here.
        if plate.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            return self.mapping.is_junk(plate);
        }
        let plain: String = plate.chars().filter(plain).collect();
        !plain.is_empty() && self.mapping.is_junk(&plain.to_ascii_uppercase())
    }

    /// A row's category and what the mapping says of it. The error is for a category that is not
    /// wanted, and states whether the mapping lists it.
    fn category(&self, stated: &str) -> Result<(Arc<str>, Option<&'m Category>), bool> {
        if stated.is_empty() {
            let usual = self.defaults.category.as_ref().or(self.mapping.category.as_ref());
            return usual.map(|name| (name.as_str().into(), None)).ok_or(false);
        }
        let found = self
            .mapping
            .categories
            .iter()
            .zip(&self.names)
            .find(|((letter, _), _)| letter.eq_ignore_ascii_case(stated));
        match found {
            Some(((_, c), _)) if c.off && !self.defaults.with.contains(&c.category) => Err(true),
            Some(((_, c), name)) => Ok((name.clone(), Some(c))),
            None if self.mapping.unlisted == Unlisted::Keep => {
                // A car is wanted even if its category is too long or has no Latin letter.
                let name: String = as_name(stated).chars().take(32).collect();
                let usual = self.defaults.category.as_ref().or(self.mapping.category.as_ref());
                match (valid_category(&name), usual) {
                    (true, _) => Ok((name.into(), None)),
                    (false, Some(usual)) => Ok((usual.as_str().into(), None)),
                    (false, None) => Err(false),
                }
            }
            None => Err(false),
        }
    }

    fn jurisdiction(&self, bindings: &Bindings, row: &Row<'_>) -> Result<Jurisdiction, Problem> {
        let found = bindings.found(Field::Jurisdiction, row);
        let Some((text, place)) = found.filter(|(text, _)| !text.eq_ignore_ascii_case("unknown"))
        else {
            return Ok(self.defaults.jurisdiction);
        };
        let wrong = || Problem::Jurisdiction(shape(&text));
        let issuers = place.issuers().unwrap_or(self.mapping.issuers);
        let meant = self.mapping.jurisdictions.get(&text.to_ascii_uppercase());
        match meant {
            Some(meant) => codes::issuer(meant, Issuers::Countries).ok_or_else(wrong),
            None => codes::issuer(&text, issuers).ok_or_else(wrong),
        }
    }

    fn date(&self, field: Field, text: &str, end: bool) -> Result<Option<Timestamp>, Problem> {
        dates::parse(text, &self.mapping.dates, end, &self.zone)
            .map_err(|NoDate| Problem::Date { field, shape: shape(text) })
    }
}

/// Most letters of a plate without a digit: personalised plates have seven or eight places. A
/// longer text is a title or a remark.
const LONGEST_WORD_PLATE: usize = 8;

/// Names of plate columns: a heading is not a plate, but would look like one.
const COLUMNS: &[&str] = &[
    "plate",
    "plates",
    "platenumber",
    "plateno",
    "licenseplate",
    "licenceplate",
    "licplate",
    "licenseno",
    "licenceno",
    "tagnumber",
    "numberplate",
    "registrationnumber",
    "kennzeichen",
];

/// UTF-8 text that somebody decoded as Windows-1252: each character has become two.
fn is_misread(text: &str) -> bool {
    let mut before = ' ';
    text.chars().any(|c| {
        let pair = matches!(before, 'Ã' | 'Â' | 'â' | 'Ð' | 'Ñ' | 'Î')
            && (matches!(c, '\u{80}'..='\u{bf}') || "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ".contains(c));
        before = c;
        pair
    })
}

/// `12345.0` and `1.23E+05`: a number into which a spreadsheet or a script changed a plate.
fn is_number(text: &str) -> bool {
    let Some((whole, rest)) = text.split_once('.') else { return false };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let exponent = |s: &str| {
        s.split_once(['E', 'e']).is_some_and(|(a, b)| digits(a) && b.starts_with(['+', '-']))
    };
    !whole.is_empty()
        && digits(whole)
        && ((!rest.is_empty() && rest.bytes().all(|b| b == b'0')) || exponent(rest))
}

/// A category in a form that a report may show: one character is a code; a longer text may be
/// anything.
fn as_shown(stated: &str) -> String {
    let mut chars = stated.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii_alphanumeric() => c.to_string(),
        _ => format!("words of the form {:?}", shape(stated)),
    }
}

fn priority(text: &str, usual: Priority) -> Result<Priority, Problem> {
    match text {
        "" => Ok(usual),
        t if t.eq_ignore_ascii_case("low") => Ok(Priority::Low),
        t if t.eq_ignore_ascii_case("medium") => Ok(Priority::Medium),
        t if t.eq_ignore_ascii_case("high") => Ok(Priority::High),
        t => Err(Problem::Priority(shape(t))),
    }
}

fn flag(text: &str) -> Result<bool, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "" | "no" | "n" | "false" | "0" => Ok(false),
        "yes" | "y" | "true" | "1" => Ok(true),
        _ => Err(Problem::Covert(shape(text))),
    }
}

/// A model year. An impossible one is left out, because nobody is stopped because of it.
fn year(text: &str) -> Option<u16> {
    let year: u16 = text.parse().ok()?;
    match (text.len(), year) {
        (2, 0..=49) => Some(2000 + year),
        (2, _) => Some(1900 + year),
        (4, 1880..=2199) => Some(year),
        _ => None,
    }
}

fn as_name(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// A text's shape: letters as A, digits as 9, the rest unchanged; at most 16 characters.
pub fn shape(text: &str) -> String {
    let mask = |c: char| match c {
        c if c.is_alphabetic() => 'A',
        c if c.is_numeric() => '9',
        c => c,
    };
    text.chars().take(16).map(mask).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn plates_that_a_program_has_spoilt() {
        assert!(is_misread("HBXÂ\u{a0}101") && is_misread("WÃœAB12") && is_misread("â€‹HBX101"));
        assert!(!is_misread("WÜAB12") && !is_misread("ÂB12"));
        assert!(is_number("12345.0") && is_number("1.23E+05") && is_number("7.000"));
        assert!(!is_number("12.345") && !is_number("A1.0") && !is_number("12345"));
    }

    #[test]
    fn category_is_shown_as_a_letter_or_a_shape() {
        assert_eq!(as_shown("Q"), "Q");
        assert_eq!(as_shown("NOBODY A. 1970"), "words of the form \"AAAAAA A. 9999\"");
    }

    #[test]
    fn shape_shows_no_letter_and_no_digit() {
        assert_eq!(shape("SMITH, J 1970"), "AAAAA, A 9999");
    }

    #[rstest]
    #[case("05", Some(2005))]
    #[case("87", Some(1987))]
    #[case("2019", Some(2019))]
    #[case("0000", None)]
    #[case("UNKN", None)]
    fn model_years(#[case] text: &str, #[case] expected: Option<u16>) {
        assert_eq!(year(text), expected);
    }

    #[test]
    fn unlisted_words_become_names() {
        assert_eq!(as_name("Stolen Vehicle / Felony"), "stolen_vehicle_felony");
    }
}
