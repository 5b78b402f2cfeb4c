//! One entry as bytes, in its only possible encoding.
//!
//! In: a [`Record`]. Out: its bytes, and back a view that borrows from them. Costs: no allocation
//! in either direction. Two encoders write the same bytes for the same entry, and the decoder
//! refuses everything that an encoder would not have written.
//!
//! ```text
//! record  = length u16, then that many bytes of body              (integers are little-endian)
//! body    = flags u32, plate, jurisdiction, category, then what the flags announce, in their order
//! text    = length u8 (1-255), UTF-8 without control characters, no space at either end
//! flags   = 0-1 priority (0 low, 1 medium, 2 high) | 2 covert | 3 removed
//!         | 4 reason | 5 source | 6 case | 7 class | 8 make | 9 model | 10 colour   (texts)
//!         | 11 year u16 | 12 effective | 13 expires | 14 last confirmed             (i64, Unix seconds)
//!         | 15 caution | 16 action                                                  (texts)
//! ```
//! The jurisdiction is the only text that may be empty: then it is unknown. A removed record has
//! only plate and jurisdiction, and priority 0.

use jiff::Timestamp;

use crate::entry::Priority;
use crate::hotlist::{Entry, VehicleText};
use crate::plate::{Jurisdiction, ListedPlate};

/// Longest free text (reason, caution, action), in bytes.
pub const LONGEST_TEXT: usize = 255;

/// Longest other text, in bytes (the settings limit a category to 32).
pub const LONGEST_WORD: usize = 64;

const COVERT: u32 = 1 << 2;
const REMOVED: u32 = 1 << 3;
const REASON: u32 = 1 << 4;
const SOURCE: u32 = 1 << 5;
const CASE: u32 = 1 << 6;
const CLASS: u32 = 1 << 7;
const MAKE: u32 = 1 << 8;
const MODEL: u32 = 1 << 9;
const COLOUR: u32 = 1 << 10;
const YEAR: u32 = 1 << 11;
const EFFECTIVE: u32 = 1 << 12;
const EXPIRES: u32 = 1 << 13;
const CONFIRMED: u32 = 1 << 14;
const CAUTION: u32 = 1 << 15;
const ACTION: u32 = 1 << 16;
const KNOWN: u32 = (ACTION << 1) - 1;

/// Possible model years.
const YEARS: std::ops::RangeInclusive<u16> = 1880..=2199;

/// Why bytes are not a record, or an entry cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It ends in the middle.
    #[error("is cut short")]
    Short,
    /// It has more bytes than its fields need.
    #[error("has bytes after its last field")]
    Long,
    /// It has flags that do not exist or exclude each other.
    #[error("has flags that no author writes")]
    Flags,
    /// Its plate is not in canonical form.
    #[error("has a plate that is not in canonical form")]
    Plate,
    /// Its jurisdiction is not in canonical form.
    #[error("has a jurisdiction that is not in canonical form")]
    Jurisdiction,
    /// One of its texts is empty, too long, padded, or holds control characters.
    #[error("has a {0} that is not in canonical form")]
    Text(&'static str),
    /// It has an impossible date.
    #[error("has an impossible date")]
    Date,
    /// It has an impossible model year.
    #[error("has an impossible model year")]
    Year,
    /// It does not come after the record before it.
    #[error("is out of order, or repeats the one before")]
    Order,
}

/// One entry, borrowed. [`Entry`] is its owned form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The plate as listed, or a pattern.
    pub plate: ListedPlate,
    /// Who issued it.
    pub jurisdiction: Jurisdiction,
    /// In a layer above the base: the entry that was listed under this plate is removed. All other
    /// fields are empty then.
    pub removed: bool,
    /// Its category, such as `stolen_vehicle`.
    pub category: &'a str,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether a hit must give no cue in the car.
    pub covert: bool,
    /// Free text for the officer.
    pub reason: &'a str,
    /// Who listed it.
    pub source: &'a str,
    /// The source's case number.
    pub case: &'a str,
    /// Vehicle: class.
    pub class: &'a str,
    /// Vehicle: make.
    pub make: &'a str,
    /// Vehicle: model.
    pub model: &'a str,
    /// Vehicle: colour.
    pub colour: &'a str,
    /// Vehicle: model year.
    pub year: Option<u16>,
    /// From when on it is in force. Whole seconds.
    pub effective: Option<Timestamp>,
    /// From when on it is no longer in force.
    pub expires: Option<Timestamp>,
    /// When the source last confirmed it.
    pub last_confirmed: Option<Timestamp>,
    /// A warning.
    pub caution: &'a str,
    /// What to do.
    pub action: &'a str,
}

/// The position of a record among others; no two records of a layer have the same.
///
/// Plates are ordered by their folded key, and patterns come after them; then by jurisdiction; then
/// by the listed text, so that `O1A` and `01A` of one jurisdiction can both be listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey((bool, u64), Jurisdiction, ListedPlate);

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey(redacted)")
    }
}

impl RecordKey {
    /// The key for a plate of a jurisdiction.
    pub fn of(plate: ListedPlate, jurisdiction: Jurisdiction) -> Self {
        Self(plate.order(), jurisdiction, plate)
    }

    /// The packed plate or pattern, which decides where a chunk ends.
    pub(super) fn packed(&self) -> u64 {
        self.0.1
    }
}

impl<'a> Record<'a> {
    /// A record that marks an entry as removed.
    pub fn removal(plate: ListedPlate, jurisdiction: Jurisdiction) -> Self {
        let priority = Priority::Low;
        Self { removed: true, priority, ..Self::bare(plate, jurisdiction, "") }
    }

    /// A record with nothing but a plate and a category.
    pub fn bare(plate: ListedPlate, jurisdiction: Jurisdiction, category: &'a str) -> Self {
        Self {
            plate,
            jurisdiction,
            removed: false,
            category,
            priority: Priority::Medium,
            covert: false,
            reason: "",
            source: "",
            case: "",
            class: "",
            make: "",
            model: "",
            colour: "",
            year: None,
            effective: None,
            expires: None,
            last_confirmed: None,
            caution: "",
            action: "",
        }
    }

    /// The record of an entry.
    pub fn of(entry: &'a Entry) -> Self {
        Self {
            priority: entry.priority,
            covert: entry.covert,
            reason: &entry.reason,
            source: &entry.source,
            case: &entry.case,
            class: &entry.vehicle.class,
            make: &entry.vehicle.make,
            model: &entry.vehicle.model,
            colour: &entry.vehicle.colour,
            year: entry.vehicle.year,
            effective: entry.effective,
            expires: entry.expires,
            last_confirmed: entry.last_confirmed,
            caution: &entry.caution,
            action: &entry.action,
            ..Self::bare(entry.plate, entry.jurisdiction, &entry.category)
        }
    }

    /// Its position among others.
    pub fn key(&self) -> RecordKey {
        RecordKey::of(self.plate, self.jurisdiction)
    }

    /// Appends its bytes; on an error it appends nothing.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let start = out.len();
        self.write(out).inspect_err(|_| out.truncate(start))?;
        let body = out.len() - start - 2;
        let length = u16::try_from(body).expect("fields are bounded");
        out[start..start + 2].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let mut flags = match self.priority {
            Priority::Low => 0,
            Priority::Medium => 1,
            Priority::High => 2,
        };
        let mut mark = |set: bool, flag: u32| flags |= if set { flag } else { 0 };
        mark(self.covert, COVERT);
        mark(self.removed, REMOVED);
        for (text, flag, ..) in self.texts() {
            mark(!text.is_empty(), flag);
        }
        mark(self.year.is_some(), YEAR);
        mark(self.effective.is_some(), EFFECTIVE);
        mark(self.expires.is_some(), EXPIRES);
        mark(self.last_confirmed.is_some(), CONFIRMED);
        if self.removed && (flags != REMOVED || !self.category.is_empty()) {
            return Err(RecordError::Flags);
        }
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&flags.to_le_bytes());
        put(out, self.plate.expose());
        let jurisdiction =
            if self.jurisdiction.is_unknown() { "" } else { self.jurisdiction.as_str() };
        put(out, jurisdiction);
        if self.removed {
            return Ok(());
        }
        check("category", self.category, LONGEST_WORD)?;
        put(out, self.category);
        let [officer @ .., caution, action] = self.texts();
        for (text, _, name, most) in officer {
            put_checked(out, name, text, most)?;
        }
        if let Some(year) = self.year {
            if !YEARS.contains(&year) {
                return Err(RecordError::Year);
            }
            out.extend_from_slice(&year.to_le_bytes());
        }
        for date in [self.effective, self.expires, self.last_confirmed].into_iter().flatten() {
            out.extend_from_slice(&date.as_second().to_le_bytes());
        }
        for (text, _, name, most) in [caution, action] {
            put_checked(out, name, text, most)?;
        }
        Ok(())
    }

    /// The optional texts in the order of their flags.
    fn texts(&self) -> [(&'a str, u32, &'static str, usize); 9] {
        [
            (self.reason, REASON, "reason", LONGEST_TEXT),
            (self.source, SOURCE, "source", LONGEST_WORD),
            (self.case, CASE, "case number", LONGEST_WORD),
            (self.class, CLASS, "vehicle class", LONGEST_WORD),
            (self.make, MAKE, "make", LONGEST_WORD),
            (self.model, MODEL, "model", LONGEST_WORD),
            (self.colour, COLOUR, "colour", LONGEST_WORD),
            (self.caution, CAUTION, "caution", LONGEST_TEXT),
            (self.action, ACTION, "action", LONGEST_TEXT),
        ]
    }

    /// Decodes the record at the start of `bytes`. Also returns its length in bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, usize), RecordError> {
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or(RecordError::Short)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let mut body = Body(rest.get(..length).ok_or(RecordError::Short)?);
        let record = body.record()?;
        if !body.0.is_empty() {
            return Err(RecordError::Long);
        }
        Ok((record, length + 2))
    }

    /// The record as an owned entry.
    pub fn to_entry(&self) -> Entry {
        Entry {
            plate: self.plate,
            jurisdiction: self.jurisdiction,
            category: self.category.into(),
            priority: self.priority,
            reason: self.reason.into(),
            source: self.source.into(),
            case: self.case.into(),
            vehicle: VehicleText {
                class: self.class.into(),
                make: self.make.into(),
                model: self.model.into(),
                colour: self.colour.into(),
                year: self.year,
            },
            effective: self.effective,
            expires: self.expires,
            last_confirmed: self.last_confirmed,
            caution: self.caution.into(),
            action: self.action.into(),
            covert: self.covert,
        }
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("no text is longer than 255 bytes"));
    out.extend_from_slice(text.as_bytes());
}

fn put_checked(
    out: &mut Vec<u8>,
    name: &'static str,
    text: &str,
    most: usize,
) -> Result<(), RecordError> {
    if !text.is_empty() {
        check(name, text, most)?;
        put(out, text);
    }
    Ok(())
}

/// Checks that a text is canonical: it is not empty, has at most `most` bytes, no space at its ends
/// and no control characters.
fn check(name: &'static str, text: &str, most: usize) -> Result<(), RecordError> {
    // Nearly every text of nearly every list is printable ASCII, and loading spends its time here:
    // bytes are checked first.
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    let printable = plain || !text.chars().any(char::is_control);
    let bare = text.trim().len() == text.len();
    let fits = (1..=most).contains(&text.len());
    if fits && bare && printable { Ok(()) } else { Err(RecordError::Text(name)) }
}

/// Makes a text canonical: control characters become spaces, runs of spaces become one, and it is
/// cut after `most` bytes.
pub fn tidy(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty());
    'words: for word in words {
        if !out.is_empty() {
            if out.len() + 1 >= most {
                break;
            }
            out.push(' ');
        }
        for c in word.chars() {
            if out.len() + c.len_utf8() > most {
                break 'words;
            }
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn record(&mut self) -> Result<Record<'a>, RecordError> {
        let flags = u32::from_le_bytes(self.fixed()?);
        if flags & !KNOWN != 0 {
            return Err(RecordError::Flags);
        }
        let has = |flag: u32| flags & flag != 0;
        let plate = self.text()?;
        let listed = ListedPlate::parse(plate).map_err(|_| RecordError::Plate)?;
        if listed.expose() != plate {
            return Err(RecordError::Plate);
        }
        let code = self.text()?;
        let jurisdiction = Jurisdiction::parse(code).map_err(|_| RecordError::Jurisdiction)?;
        let spelled = if jurisdiction.is_unknown() { "" } else { jurisdiction.as_str() };
        if spelled != code {
            return Err(RecordError::Jurisdiction);
        }
        if has(REMOVED) {
            let alone = flags == REMOVED;
            return alone.then(|| Record::removal(listed, jurisdiction)).ok_or(RecordError::Flags);
        }
        let category = self.checked("category", LONGEST_WORD)?;
        let mut record = Record::bare(listed, jurisdiction, category);
        record.priority = match flags & 3 {
            0 => Priority::Low,
            1 => Priority::Medium,
            2 => Priority::High,
            _ => return Err(RecordError::Flags),
        };
        record.covert = has(COVERT);
        let mut text = |flag: u32, name, most| match has(flag) {
            true => self.checked(name, most),
            false => Ok(""),
        };
        record.reason = text(REASON, "reason", LONGEST_TEXT)?;
        record.source = text(SOURCE, "source", LONGEST_WORD)?;
        record.case = text(CASE, "case number", LONGEST_WORD)?;
        record.class = text(CLASS, "vehicle class", LONGEST_WORD)?;
        record.make = text(MAKE, "make", LONGEST_WORD)?;
        record.model = text(MODEL, "model", LONGEST_WORD)?;
        record.colour = text(COLOUR, "colour", LONGEST_WORD)?;
        if has(YEAR) {
            let year = u16::from_le_bytes(self.fixed()?);
            record.year = Some(year).filter(|y| YEARS.contains(y));
            record.year.ok_or(RecordError::Year)?;
        }
        let mut date = |flag: u32| match has(flag) {
            true => self.date().map(Some),
            false => Ok(None),
        };
        record.effective = date(EFFECTIVE)?;
        record.expires = date(EXPIRES)?;
        record.last_confirmed = date(CONFIRMED)?;
        let mut text = |flag: u32, name| match has(flag) {
            true => self.checked(name, LONGEST_TEXT),
            false => Ok(""),
        };
        record.caution = text(CAUTION, "caution")?;
        record.action = text(ACTION, "action")?;
        Ok(record)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (fixed, rest) = self.0.split_first_chunk::<N>().ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(*fixed)
    }

    fn date(&mut self) -> Result<Timestamp, RecordError> {
        Timestamp::from_second(i64::from_le_bytes(self.fixed()?)).map_err(|_| RecordError::Date)
    }

    fn text(&mut self) -> Result<&'a str, RecordError> {
        let [length] = self.fixed()?;
        let (text, rest) =
            self.0.split_at_checked(usize::from(length)).ok_or(RecordError::Short)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| RecordError::Text("text that is not UTF-8"))
    }

    fn checked(&mut self, name: &'static str, most: usize) -> Result<&'a str, RecordError> {
        let text = self.text()?;
        check(name, text, most)?;
        Ok(text)
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
pub(super) mod tests;
