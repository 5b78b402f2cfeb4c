//! What a row's texts mean: an entry, nothing that is wanted here, or a problem.
//!
//! In: a row and a mapping. Out: a [`Reading`]. Costs: about a microsecond. A problem never repeats what
//! the row says, which may be a person's data in a column that has moved: it shows the text's shape,
//! `AA-999` for a letter, letter, dash and three digits.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::mapping::{Category, Field, Mapping, Unlisted, valid_category};
use super::rows::{Bindings, Row};
use crate::hotlist::format::{LONGEST_TEXT, LONGEST_WORD, tidy};
use crate::hotlist::{Entry, Priority, VehicleText, state_code};
use crate::plate::{Jurisdiction, ListedPlate, Plate, PlateError};

/// What is wrong with a row. Shows shapes, never texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No plate, or none that can be.
    #[error("{0}")]
    Plate(#[from] PlateError),
    /// No code of an issuer.
    #[error("jurisdiction of the form {0:?} is neither ISO 3166 nor a state or province")]
    Jurisdiction(String),
    /// No date.
    #[error("{} of the form {shape:?} is no date as the mapping has them", .field.name())]
    Date {
        /// Which.
        field: Field,
        /// Its shape.
        shape: String,
    },
    /// Neither low, medium nor high.
    #[error("priority of the form {0:?} is none of low, medium, high")]
    Priority(String),
    /// Neither yes nor no.
    #[error("covert of the form {0:?} is neither yes nor no")]
    Covert(String),
    /// Bytes that are no characters.
    #[error("is not text in the mapping's encoding")]
    Encoding,
    /// Longer than any row.
    #[error("is longer than 64 KiB")]
    TooLong,
    /// A quote that nobody closes.
    #[error("opens a quote that is not closed within ten lines")]
    Quote,
    /// JSON that is no object.
    #[error("is no JSON object")]
    NoObject,
}

/// What came of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// An entry.
    Entry(Box<Entry>),
    /// Stands where there is no plate.
    Junk,
    /// Of a category that is not wanted here: its letter or word, and whether the mapping knows it.
    Dropped {
        /// As the source writes it, cut to 24 characters.
        category: String,
        /// Listed in the mapping, but off.
        off: bool,
    },
    /// Something is wrong.
    Bad(Problem),
}

/// What rows get that do not say otherwise, and what is asked for beyond the mapping.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// Category of rows that state none, in place of the mapping's.
    pub category: Option<String>,
    /// Issuer of plates of rows that state none.
    pub jurisdiction: Jurisdiction,
    /// Categories that the mapping has off and that are wanted.
    pub with: BTreeSet<String>,
    /// Whether patterns are taken even if the mapping says nothing of them.
    pub patterns: bool,
}

/// Reads rows by a mapping.
#[derive(Debug)]
pub struct Interpreter<'m> {
    mapping: &'m Mapping,
    defaults: &'m Defaults,
    zone: TimeZone,
    /// Category names are shared, not copied, by five million entries.
    names: Vec<Arc<str>>,
}

impl<'m> Interpreter<'m> {
    /// Reads by this mapping; `zone` where it names none.
    pub fn new(mapping: &'m Mapping, defaults: &'m Defaults, zone: &TimeZone) -> Self {
        let named = mapping.time_zone.as_deref();
        let zone =
            named.map_or_else(|| zone.clone(), |name| TimeZone::get(name).expect("validated"));
        let names = mapping.categories.values().map(|c| c.category.as_str().into()).collect();
        Self { mapping, defaults, zone, names }
    }

    /// Reads a row.
    pub fn read(&self, bindings: &Bindings, row: &Row<'_>) -> Reading {
        self.try_read(bindings, row).unwrap_or_else(Reading::Bad)
    }

    fn try_read(&self, bindings: &Bindings, row: &Row<'_>) -> Result<Reading, Problem> {
        let text = |field| bindings.text(field, row);
        let plate = text(Field::Plate);
        if plate.contains('\u{fffd}') {
            return Err(Problem::Encoding);
        }
        if self.is_junk(&plate) {
            return Ok(Reading::Junk);
        }
        let stated = text(Field::Category);
        let (category, known) = match self.category(&stated) {
            Ok(found) => found,
            Err(off) => {
                return Ok(Reading::Dropped { category: tidy(&stated, 24), off });
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
            jurisdiction: self.jurisdiction(&text(Field::Jurisdiction))?,
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
        // Most plates are letters and digits already, and five million of them pass here.
        if plate.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            return self.mapping.is_junk(plate);
        }
        let plain: String = plate.chars().filter(plain).collect();
        !plain.is_empty() && self.mapping.is_junk(&plain.to_ascii_uppercase())
    }

    /// A row's category and what the mapping says of it. An error: it is not wanted, and whether the
    /// mapping knows it.
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
                let name = as_name(stated);
                if valid_category(&name) { Ok((name.into(), None)) } else { Err(false) }
            }
            None => Err(false),
        }
    }

    fn jurisdiction(&self, text: &str) -> Result<Jurisdiction, Problem> {
        if text.is_empty() || text.eq_ignore_ascii_case("unknown") {
            return Ok(self.defaults.jurisdiction);
        }
        let wrong = || Problem::Jurisdiction(shape(text));
        let meant = self.mapping.jurisdictions.get(&text.to_ascii_uppercase());
        if let Some(meant) = meant {
            return Jurisdiction::parse(meant).map_err(|_| wrong());
        }
        if text.contains('-') {
            return Jurisdiction::parse(text).map_err(|_| wrong());
        }
        state_code(text)
            .or_else(|| {
                // `CA` is California to an American source; a country's own code stays one elsewhere.
                let country = self.mapping.country.is_none();
                country.then(|| Jurisdiction::parse(text).ok()).flatten()
            })
            .ok_or_else(wrong)
    }

    fn date(&self, field: Field, text: &str, end: bool) -> Result<Option<Timestamp>, Problem> {
        let blank = text.is_empty() || text.bytes().all(|b| matches!(b, b'0' | b'-' | b'/' | b' '));
        if blank {
            return Ok(None);
        }
        let formats = &self.mapping.dates;
        let civil = formats.iter().find_map(|format| {
            if ["%H", "%I", "%T", "%R"].iter().any(|hour| format.contains(hour)) {
                return DateTime::strptime(format, text).ok();
            }
            let day = Date::strptime(format, text).ok()?;
            let day = if end { day.checked_add(1.day()).ok()? } else { day };
            Some(day.at(0, 0, 0, 0))
        });
        let at = match civil {
            Some(civil) => self.zone.to_timestamp(civil).ok(),
            None => text.parse::<Timestamp>().ok(),
        };
        let whole = at.and_then(|at| Timestamp::from_second(at.as_second()).ok());
        whole.map(Some).ok_or_else(|| Problem::Date { field, shape: shape(text) })
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

/// A model year. One that cannot be is left out: nobody is stopped for it.
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

/// A text's shape: letters as A, digits as 9, the rest as it is; at most 16 characters of it.
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
