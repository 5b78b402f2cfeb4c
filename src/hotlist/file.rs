//! Lists read from files: one plate a line, or CSV with a header.
//!
//! In: bytes. Out: a [`Hotlist`] and the rows that do not serve, by line. Whatever columns a CSV has
//! beyond those below, names and dates of birth included, are dropped here and never kept.
//!
//! | field | columns (case, spaces and punctuation do not matter) |
//! |---|---|
//! | plate | `plate`, `plate number`, `licence plate`, `license plate`, `lic` |
//! | jurisdiction | `jurisdiction`: ISO 3166, such as `CA-ON`; or `state`, `province`, `state/province`, `plate state`, `lis`: also a bare US state or Canadian province |
//! | category | `category`, `type` |
//! | priority | `priority`: low, medium, high |
//! | reason | `reason`, `description`, `comment`, `remarks` |
//! | source | `source`, `source agency`, `agency`, `ori` |
//! | case | `case`, `case number`, `oca`, `nic` |
//! | vehicle | `year`, `colour`, `make`, `model` (or `vehicle`), `class` |
//! | for the officer | `caution`; `action`; `covert`: yes or no |
//! | confirmed | `last confirmed`, `confirmed` |
//! | in force | `effective`, `effective date`; `expires`, `expiry`, `expiry date`, `expiration date` (a day without a time counts to its end, in the car's time zone) |

use std::path::Path;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use sha2::{Digest, Sha256};

use super::list::Builder;
use super::{
    Entry, Hotlist, HotlistError, ListStamp, Matching, Priority, RowError, SkippedRow, VehicleText,
};
use crate::config::HotlistConfig;
use crate::plate::{Jurisdiction, ListedPlate, Plate, PlateError};

/// Names of columns, letters and digits only.
const PLATE: &[&str] = &["plate", "platenumber", "licenceplate", "licenseplate", "lic"];
const JURISDICTION: &[&str] = &["jurisdiction"];
const STATE: &[&str] = &["state", "province", "stateprovince", "platestate", "lis"];
const CATEGORY: &[&str] = &["category", "type"];
const PRIORITY: &[&str] = &["priority"];
const REASON: &[&str] = &["reason", "description", "comment", "remarks"];
const SOURCE: &[&str] = &["source", "sourceagency", "agency", "ori"];
const CASE: &[&str] = &["case", "casenumber", "oca", "nic"];
const YEAR: &[&str] = &["year", "vyr"];
const COLOUR: &[&str] = &["colour", "color", "vco"];
const MAKE: &[&str] = &["make", "vma"];
const MODEL: &[&str] = &["model", "vmo", "vehicle"];
const CLASS: &[&str] = &["class", "vehicleclass", "vst"];
const CAUTION: &[&str] = &["caution"];
const ACTION: &[&str] = &["action"];
const COVERT: &[&str] = &["covert"];
const CONFIRMED: &[&str] = &["lastconfirmed", "confirmed"];
const EFFECTIVE: &[&str] = &["effective", "effectivedate"];
const EXPIRES: &[&str] = &["expires", "expiry", "expirydate", "expirationdate"];

/// What an officer can take in at a glance; a longer text is cut.
const LONGEST_TEXT: usize = 200;

/// Reads a list from its file.
pub fn load(config: &HotlistConfig) -> Result<(Hotlist, Vec<SkippedRow>), HotlistError> {
    let unreadable = |source| HotlistError::Unreadable { path: config.path.clone(), source };
    let bytes = std::fs::read(&config.path).map_err(unreadable)?;
    let changed = std::fs::metadata(&config.path).and_then(|m| m.modified()).map_err(unreadable)?;
    let source_time = Timestamp::try_from(changed).unwrap_or(Timestamp::UNIX_EPOCH);
    parse(&bytes, config, source_time, &TimeZone::system())
}

/// Reads a list from a file's bytes.
pub fn parse(
    bytes: &[u8],
    config: &HotlistConfig,
    source_time: Timestamp,
    zone: &TimeZone,
) -> Result<(Hotlist, Vec<SkippedRow>), HotlistError> {
    let digest = Sha256::digest(bytes);
    let stamp = ListStamp {
        name: config.name.as_str().into(),
        version: data_encoding::HEXLOWER.encode(&digest).into(),
        source_time,
    };
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);

    let mut rows = Rows { config, zone, builder: Builder::default(), skipped: Vec::new(), good: 0 };
    match header(text, &config.path)? {
        Some((delimiter, columns)) => rows.csv(text, delimiter, &columns)?,
        None => rows.plain(text)?,
    }
    let Rows { builder, mut skipped, good, .. } = rows;
    if good == 0
        && let Some(first) = skipped.first()
    {
        return Err(HotlistError::NothingUsable {
            path: config.path.clone(),
            rows: skipped.len(),
            line: first.line,
            why: first.why.clone(),
        });
    }
    let ages = (config.amber_after.get(), config.red_after.get());
    let (list, duplicates) = builder.finish(stamp, config.matching, ages);
    skipped.extend(
        duplicates
            .into_iter()
            .map(|d| SkippedRow { line: d.line, why: RowError::Repeats { of: d.of } }),
    );
    skipped.sort_by_key(|row| row.line);
    Ok((list, skipped))
}

/// Where the fields are: a place in the row, and the column's name for messages.
#[derive(Default)]
struct Columns {
    plate: usize,
    jurisdiction: Option<usize>,
    state: Option<(usize, String)>,
    category: Option<usize>,
    priority: Option<(usize, String)>,
    reason: Option<usize>,
    source: Option<usize>,
    case: Option<usize>,
    year: Option<usize>,
    colour: Option<usize>,
    make: Option<usize>,
    model: Option<usize>,
    class: Option<usize>,
    caution: Option<usize>,
    action: Option<usize>,
    covert: Option<(usize, String)>,
    effective: Option<(usize, String)>,
    expires: Option<(usize, String)>,
    confirmed: Option<(usize, String)>,
}

/// The delimiter and columns of a CSV; `None` for a plain list.
fn header(text: &str, path: &Path) -> Result<Option<(u8, Columns)>, HotlistError> {
    let Some(first) = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with('#')) else {
        return Ok(None);
    };
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(|d| first.matches(*d).count());
    let delimiter = delimiter.expect("there are three");
    let names: Vec<&str> = first.split(delimiter).map(|n| n.trim().trim_matches('"')).collect();
    let plain: Vec<String> = names
        .iter()
        .map(|n| n.chars().filter(char::is_ascii_alphanumeric).collect::<String>())
        .map(|n| n.to_ascii_lowercase())
        .collect();
    let find = |wanted: &[&str]| plain.iter().position(|name| wanted.contains(&name.as_str()));
    let named = |wanted| find(wanted).map(|i| (i, names[i].to_owned()));
    let Some(plate) = find(PLATE) else {
        // A line with several cells is no plain list.
        if names.len() > 1 {
            let columns = names.join(", ").chars().take(200).collect();
            return Err(HotlistError::NoPlateColumn { path: path.to_owned(), columns });
        }
        return Ok(None);
    };
    let columns = Columns {
        plate,
        jurisdiction: find(JURISDICTION),
        state: named(STATE),
        category: find(CATEGORY),
        priority: named(PRIORITY),
        reason: find(REASON),
        source: find(SOURCE),
        case: find(CASE),
        year: find(YEAR),
        colour: find(COLOUR),
        make: find(MAKE),
        model: find(MODEL),
        class: find(CLASS),
        caution: find(CAUTION),
        action: find(ACTION),
        covert: named(COVERT),
        effective: named(EFFECTIVE),
        expires: named(EXPIRES),
        confirmed: named(CONFIRMED),
    };
    Ok(Some((u8::try_from(delimiter).expect("the three are ASCII"), columns)))
}

struct Rows<'a> {
    config: &'a HotlistConfig,
    zone: &'a TimeZone,
    builder: Builder,
    skipped: Vec<SkippedRow>,
    good: usize,
}

impl Rows<'_> {
    fn take(&mut self, line: u64, entry: Result<Entry, RowError>) -> Result<(), HotlistError> {
        match entry {
            Ok(entry) => {
                self.builder.push(line, &entry)?;
                self.good += 1;
            }
            Err(why) => self.skipped.push(SkippedRow { line, why }),
        }
        Ok(())
    }

    /// Patterns where the list's settings ask for them; whether policy lets them serve is decided
    /// when the list is put in service.
    fn plate(&self, text: &str) -> Result<ListedPlate, PlateError> {
        match self.config.matching {
            Matching::Wildcard => ListedPlate::parse(text),
            Matching::Exact | Matching::LookAlike => Plate::parse(text).map(ListedPlate::from),
        }
    }

    fn plain(&mut self, text: &str) -> Result<(), HotlistError> {
        for (line, row) in (1..).zip(text.lines()) {
            let plate = row.split('#').next().unwrap_or_default().trim();
            if plate.is_empty() {
                continue;
            }
            let entry = self
                .plate(plate)
                .map(|plate| Entry::plain(plate, &self.config.category, self.config.priority))
                .map_err(RowError::from);
            self.take(line, entry)?;
        }
        Ok(())
    }

    fn csv(&mut self, text: &str, delimiter: u8, columns: &Columns) -> Result<(), HotlistError> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(true)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut row = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut row) {
                Ok(false) => return Ok(()),
                Ok(true) => {
                    let line = row.position().map_or(0, |at| line_of(text, at));
                    let entry = self.entry(&row, columns);
                    self.take(line, entry)?;
                }
                Err(e) => {
                    let line = e.position().map_or(0, |at| line_of(text, at));
                    self.take(line, Err(RowError::Csv(e.to_string())))?;
                    if matches!(e.kind(), csv::ErrorKind::Io(_)) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn entry(&self, row: &csv::StringRecord, columns: &Columns) -> Result<Entry, RowError> {
        let cell = |place: usize| row.get(place).unwrap_or_default();
        let text = |place: Option<usize>| shortened(place.map(cell).unwrap_or_default());
        let plate = self.plate(cell(columns.plate))?;

        let mut jurisdiction = Jurisdiction::UNKNOWN;
        if let Some(place) = columns.jurisdiction {
            jurisdiction = Jurisdiction::parse(cell(place))?;
        }
        if let (true, Some((place, column))) = (jurisdiction.is_unknown(), &columns.state) {
            jurisdiction = state(cell(*place), column)?;
        }
        let priority = match &columns.priority {
            Some((place, column)) => match cell(*place).to_ascii_lowercase().as_str() {
                "" => self.config.priority,
                "low" => Priority::Low,
                "medium" => Priority::Medium,
                "high" => Priority::High,
                _ => {
                    let value = excerpt(cell(*place));
                    return Err(RowError::Priority { column: column.clone(), value });
                }
            },
            None => self.config.priority,
        };
        let category = text(columns.category);
        let when = |at: &Option<(usize, String)>, end: bool| match at {
            Some((place, column)) => instant(cell(*place), column, end, self.zone),
            None => Ok(None),
        };
        let covert = match &columns.covert {
            Some((place, column)) => match cell(*place).to_ascii_lowercase().as_str() {
                "" | "no" | "n" | "false" | "0" => false,
                "yes" | "y" | "true" | "1" => true,
                _ => {
                    let value = excerpt(cell(*place));
                    return Err(RowError::Flag { column: column.clone(), value });
                }
            },
            None => false,
        };
        Ok(Entry {
            plate,
            jurisdiction,
            category: if category.is_empty() {
                self.config.category.as_str().into()
            } else {
                category.into()
            },
            priority,
            reason: text(columns.reason),
            source: text(columns.source),
            case: text(columns.case),
            vehicle: VehicleText {
                class: text(columns.class),
                make: text(columns.make),
                model: text(columns.model),
                colour: text(columns.colour),
                year: columns.year.and_then(|place| cell(place).parse().ok()),
            },
            effective: when(&columns.effective, false)?,
            expires: when(&columns.expires, true)?,
            last_confirmed: when(&columns.confirmed, false)?,
            caution: text(columns.caution),
            action: text(columns.action),
            covert,
        })
    }
}

/// The line of a row. The reader's position is where it began to look for the row, which is before
/// the comments and empty lines that it passed over.
fn line_of(text: &str, at: &csv::Position) -> u64 {
    let start = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let passed = text.get(start..).unwrap_or_default().lines();
    at.line() + passed.take_while(|l| l.is_empty() || l.starts_with('#')).count() as u64
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

fn excerpt(text: &str) -> String {
    text.chars().take(16).collect()
}

/// A cell of a column of states and provinces: `NY` and `ON` mean what they mean there; a code with
/// a country is taken as it is (OpenALPR writes `us-mo`).
fn state(text: &str, column: &str) -> Result<Jurisdiction, RowError> {
    let code = text.to_ascii_uppercase();
    if code.is_empty() || code == "UNKNOWN" || code.contains('-') {
        return Ok(Jurisdiction::parse(&code)?);
    }
    state_code(&code)
        .ok_or_else(|| RowError::State { column: column.to_owned(), value: excerpt(text) })
}

/// The US state or Canadian province of a bare postal code; the two share none.
pub(super) fn state_code(code: &str) -> Option<Jurisdiction> {
    const US: &str = "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE \
                      NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC AS GU \
                      MP PR VI";
    const CA: &str = "AB BC MB NB NL NS NT NU ON PE QC SK YT";
    let code = code.to_ascii_uppercase();
    [("US", US), ("CA", CA)].into_iter().find_map(|(country, codes)| {
        let known = code.len() == 2 && codes.split(' ').any(|c| c == code);
        known.then(|| Jurisdiction::parse(&format!("{country}-{code}")).ok()).flatten()
    })
}

/// An instant, or a day: its beginning, or for an end the beginning of the next.
fn instant(
    text: &str,
    column: &str,
    end: bool,
    zone: &TimeZone,
) -> Result<Option<Timestamp>, RowError> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Some(at));
    }
    // A day first: as a date and time it would be its midnight.
    let civil = match text.parse::<Date>() {
        Ok(day) if !text.contains(':') => {
            let day = if end { day.checked_add(1.day()).ok() } else { Some(day) };
            day.map(|day| day.at(0, 0, 0, 0))
        }
        _ => text.parse::<DateTime>().ok(),
    };
    civil
        .and_then(|civil| zone.to_timestamp(civil).ok())
        .map(Some)
        .ok_or_else(|| RowError::Date { column: column.to_owned(), value: excerpt(text) })
}

#[cfg(test)]
mod tests;
