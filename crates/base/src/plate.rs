//! Plate text, jurisdictions, look-alike characters.
//!
//! A plate tells where another person is, so [`Plate`] neither prints nor serialises: its `Debug`
//! says `Plate(redacted)`, and [`Plate::expose`] is the only way to the characters, easy to find in
//! review.

use std::fmt;

pub mod formats;
pub mod letters;
pub mod names;
pub mod pattern;
pub mod syntax;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

/// Longest plate, in characters. Twelve characters of 37 symbols fit into 63 bits.
pub const MAX_PLATE_LEN: usize = 12;

/// The characters a plate is made of, in the order that slot probabilities use.
pub const SYMBOLS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Why a text is not a plate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlateError {
    /// Nothing is left once separators are dropped.
    #[error("plate is empty")]
    Empty,
    /// It has more characters than any plate.
    #[error("plate has {0} characters, the most is {MAX_PLATE_LEN}")]
    TooLong(usize),
    /// It has a character that no plate carries. The message does not repeat the text itself.
    #[error("plate has the character {0:?}, which is neither a letter A-Z nor a digit")]
    Character(char),
    /// It is a pattern that states too few characters.
    #[error("pattern states fewer than {MIN_STATED} characters")]
    Vague,
}

/// A normalised plate: 1 to 12 characters of `0-9A-Z`, without separators, not folded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Plate(ArrayString<MAX_PLATE_LEN>);

impl Plate {
    /// Normalises a text as lists and models write it: letters become capitals; separators and
    /// invisible characters are dropped; letters lose their marks; letters of other scripts are
    /// taken for the Latin letter of the same shape ([`letters`]).
    pub fn parse(text: &str) -> Result<Self, PlateError> {
        use letters::Letter;
        let mut out = ArrayString::new();
        let mut n = 0_usize;
        for c in text.chars() {
            let c = match letters::letter(c) {
                Letter::Nothing => continue,
                Letter::Is(c) | Letter::Shape(c) => char::from(c),
                Letter::None => return Err(PlateError::Character(c)),
            };
            n += 1;
            // Counting goes on past the end, so that the message can state the length.
            let _ = out.try_push(c);
        }
        match n {
            0 => Err(PlateError::Empty),
            n if n > MAX_PLATE_LEN => Err(PlateError::TooLong(n)),
            _ => Ok(Self(out)),
        }
    }

    /// The characters. Every call is a place where a plate could get out: keep them few.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key under which lists and reads are compared: folded and packed.
    pub fn key(&self) -> PlateKey {
        PlateKey::of_folded(self.0.bytes()).expect("a plate has 1 to 12 characters")
    }
}

impl fmt::Debug for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plate(redacted)")
    }
}

/// A folded plate packed base 37, the first character in the highest place; never zero.
///
/// `Debug` is redacted, because the packing can be undone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlateKey(u64);

/// Symbols per place of a [`PlateKey`]: 36, and one for "none".
const BASE: u64 = 37;

impl PlateKey {
    /// Packs at most 12 folded symbols; `None` if there are none or more than 12.
    pub fn of_folded(symbols: impl IntoIterator<Item = u8>) -> Option<Self> {
        let mut key = 0_u64;
        let mut n = 0;
        for c in symbols {
            key = key.checked_mul(BASE)? + u64::from(symbol_index(fold(c))) + 1;
            n += 1;
        }
        (1..=MAX_PLATE_LEN).contains(&n).then_some(Self(key))
    }

    /// The key with this packed value, as an index holds it; `None` for zero.
    pub fn of_packed(packed: u64) -> Option<Self> {
        (packed != 0).then_some(Self(packed))
    }

    /// The packed value.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The indices into [`SYMBOLS`] that a packed value stands for, first to last.
    pub fn symbols_of(packed: u64) -> arrayvec::ArrayVec<u8, MAX_PLATE_LEN> {
        let (mut symbols, mut left) = (arrayvec::ArrayVec::new(), packed);
        while left > 0 && !symbols.is_full() {
            symbols.push(u8::try_from(left % BASE).expect("below 37").saturating_sub(1));
            left /= BASE;
        }
        symbols.reverse();
        symbols
    }
}

impl fmt::Debug for PlateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlateKey(redacted)")
    }
}

/// A plate as a list writes it: a [`Plate`], or a pattern in which `?` stands for one character and
/// `*` for any number of them. Policy decides whether patterns are matched at all.
///
/// `Debug` is redacted, as for [`Plate`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListedPlate(ArrayString<MAX_PLATE_LEN>);

/// Fewest characters that a pattern must state: with fewer it would match every other car.
pub const MIN_STATED: usize = 2;

impl ListedPlate {
    /// Normalises a text as [`Plate::parse`] does, but keeps `?` and `*`.
    pub fn parse(text: &str) -> Result<Self, PlateError> {
        let wild = |c| matches!(c, '?' | '*');
        if !text.contains(wild) {
            return Plate::parse(text).map(Self::from);
        }
        let mut out = ArrayString::new();
        let mut n = 0;
        for part in text.split_inclusive(wild) {
            let (plain, end) = match part.strip_suffix(wild) {
                Some(plain) => (plain, part.chars().next_back()),
                None => (part, None),
            };
            match Plate::parse(plain) {
                Ok(part) => {
                    let _ = out.try_push_str(part.expose());
                    n += part.expose().len();
                }
                Err(PlateError::Empty) => {}
                Err(PlateError::TooLong(more)) => n += more,
                Err(e) => return Err(e),
            }
            if let Some(end) = end {
                let _ = out.try_push(end);
                n += 1;
            }
        }
        if n > MAX_PLATE_LEN {
            return Err(PlateError::TooLong(n));
        }
        if out.chars().filter(|c| !wild(*c)).count() < MIN_STATED {
            return Err(PlateError::Vague);
        }
        Ok(Self(out))
    }

    /// The characters, with `?` and `*`. Keep the calls few, as of [`Plate::expose`].
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is a pattern.
    pub fn is_pattern(&self) -> bool {
        self.0.bytes().any(|c| matches!(c, b'?' | b'*'))
    }

    /// The plate; `None` for a pattern.
    pub fn plate(&self) -> Option<Plate> {
        (!self.is_pattern()).then_some(Plate(self.0))
    }

    /// The key of the plate; `None` for a pattern.
    pub fn key(&self) -> Option<PlateKey> {
        self.plate().map(|plate| plate.key())
    }

    /// The text with look-alikes folded: equal for two entries that mean the same plate.
    pub fn folded(&self) -> ArrayString<MAX_PLATE_LEN> {
        let mut out = ArrayString::new();
        for c in self.0.bytes() {
            out.push(char::from(fold(c)));
        }
        out
    }

    /// The key by which lists are sorted: plates by their key come first, then patterns by theirs.
    pub fn order(&self) -> (bool, u64) {
        match self.key() {
            Some(key) => (false, key.get()),
            None => (true, self.0.bytes().fold(0, |key, c| key * 39 + pattern_place(c))),
        }
    }
}

/// The digit for a character of a pattern, from 1. Twelve characters of 38 symbols and "none" fit
/// into 64 bits.
fn pattern_place(c: u8) -> u64 {
    match c {
        b'?' => 37,
        b'*' => 38,
        c => u64::from(symbol_index(fold(c))) + 1,
    }
}

impl From<Plate> for ListedPlate {
    fn from(plate: Plate) -> Self {
        Self(plate.0)
    }
}

impl fmt::Debug for ListedPlate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListedPlate(redacted)")
    }
}

/// Merges the characters that plates and lists cannot keep apart: O and Q with 0, I with 1.
///
/// NCIC-derived files write the letter O as zero, so lists and reads are folded alike, and the raw
/// text is kept beside.
pub const fn fold(c: u8) -> u8 {
    match c {
        b'O' | b'Q' => b'0',
        b'I' => b'1',
        c => c,
    }
}

/// The index of a character in [`SYMBOLS`].
///
/// # Panics
/// If `c` is not one of `0-9A-Z`.
pub const fn symbol_index(c: u8) -> u8 {
    match c {
        b'0'..=b'9' => c - b'0',
        b'A'..=b'Z' => c - b'A' + 10,
        _ => panic!("not a plate symbol"),
    }
}

/// Who issued a plate: an ISO 3166 country with an optional subdivision, such as `CA-ON`, `US-NY`
/// or `DE`; or unknown, which is stated and never guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Jurisdiction(Option<ArrayString<6>>);

impl Jurisdiction {
    /// Not read, or not stated by the list.
    pub const UNKNOWN: Self = Self(None);

    /// Parses `CA-ON`, `ca-on` (as OpenALPR lists write it), `DE`; an empty text or `unknown` is
    /// [`Jurisdiction::UNKNOWN`].
    pub fn parse(text: &str) -> Result<Self, JurisdictionError> {
        let bad = || JurisdictionError(text.chars().take(16).collect());
        let text_up = text.trim().to_ascii_uppercase();
        if text_up.is_empty() || text_up == "UNKNOWN" {
            return Ok(Self::UNKNOWN);
        }
        let (country, rest) = text_up.split_once('-').unwrap_or((&text_up, ""));
        let letters = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric());
        let well_formed = country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && rest.len() <= 3
            && letters(rest)
            && (rest.is_empty() != text_up.contains('-'));
        if !well_formed {
            return Err(bad());
        }
        Ok(Self(Some(ArrayString::from(&text_up).map_err(|_| bad())?)))
    }

    /// Whether the issuer is unknown.
    pub fn is_unknown(&self) -> bool {
        self.0.is_none()
    }

    /// Whether two jurisdictions can be the same issuer: they are equal, or one is unknown, or one
    /// is the country of the other's subdivision (`CA` and `CA-ON`).
    pub fn may_be(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) if a.len() != b.len() && (a.len() == 2 || b.len() == 2) => {
                a[..2] == b[..2]
            }
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
    }

    /// Compares a jurisdiction that was read with the one that a list states.
    pub fn compare(read: Self, listed: Self) -> Agreement {
        match (read.is_unknown(), listed.is_unknown()) {
            (_, true) => Agreement::NotStated,
            (true, false) => Agreement::NotRead,
            (false, false) if read.may_be(&listed) => Agreement::Same,
            (false, false) => Agreement::Other,
        }
    }

    /// The code, or `unknown`.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("unknown", |s| s.as_str())
    }
}

/// How the jurisdiction on a plate compares with the one on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The plate was read as that jurisdiction's, or as a part of that country.
    Same,
    /// The plate was read as another jurisdiction's, and so is another plate, as far as was read.
    Other,
    /// No jurisdiction was read.
    NotRead,
    /// The list states none.
    NotStated,
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jurisdiction({self})")
    }
}

impl Serialize for Jurisdiction {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Jurisdiction {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A text that is not an ISO 3166 code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("jurisdiction {0:?} is not an ISO 3166 code such as CA-ON, US-NY or DE")]
pub struct JurisdictionError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_and_case_do_not_matter() {
        assert_eq!(Plate::parse("cksv-841"), Plate::parse("CKSV 841"));
        assert_eq!(Plate::parse("wü·ab 12").unwrap().expose(), "WUAB12");
    }

    #[test]
    fn texts_that_are_no_plates() {
        assert_eq!(Plate::parse(" - "), Err(PlateError::Empty));
        assert_eq!(Plate::parse("ABCDEFGHIJKLM"), Err(PlateError::TooLong(13)));
        assert_eq!(Plate::parse("AB*1"), Err(PlateError::Character('*')));
    }

    #[test]
    fn look_alikes_share_a_key_and_leading_zeros_count() {
        let key = |s| Plate::parse(s).unwrap().key();
        assert_eq!(key("O1Q"), key("0I0"));
        assert_ne!(key("0A"), key("A"));
        assert_ne!(key("8A"), key("BA"));
    }

    #[test]
    fn patterns_keep_their_wildcards_and_no_plate_has_any() {
        let listed = ListedPlate::parse("ck-s? 8*").unwrap();
        assert_eq!(listed.expose(), "CKS?8*");
        assert!(listed.is_pattern() && listed.plate().is_none() && listed.key().is_none());
        assert_eq!(ListedPlate::parse("*8-4*1").unwrap().expose(), "*84*1");
        assert_eq!(ListedPlate::parse("ABQI?2").unwrap().folded().as_str(), "AB01?2");
        let plain = ListedPlate::parse("cksv-841").unwrap();
        assert_eq!(plain.key(), Some(Plate::parse("CKSV841").unwrap().key()));
        assert!(plain.order() < listed.order(), "patterns come after all plates");
    }

    #[test]
    fn pattern_that_would_match_everything_is_none() {
        assert_eq!(ListedPlate::parse("*"), Err(PlateError::Vague));
        assert_eq!(ListedPlate::parse("A??"), Err(PlateError::Vague));
        assert_eq!(ListedPlate::parse("ABCDEFGHIJK??"), Err(PlateError::TooLong(13)));
        assert_eq!(ListedPlate::parse("AB#?"), Err(PlateError::Character('#')));
    }

    #[test]
    fn debug_never_shows_characters() {
        let plate = Plate::parse("CKSV841").unwrap();
        assert_eq!(format!("{plate:?} {:?}", plate.key()), "Plate(redacted) PlateKey(redacted)");
    }

    #[test]
    fn jurisdiction_codes() {
        assert_eq!(Jurisdiction::parse("us-mo").unwrap().as_str(), "US-MO");
        assert_eq!(Jurisdiction::parse("").unwrap(), Jurisdiction::UNKNOWN);
        assert!(Jurisdiction::parse("Ontario").is_err());
        assert!(Jurisdiction::parse("CA-").is_err());
    }

    #[test]
    fn another_province_is_another_issuer_and_unknown_may_be_any() {
        let may = |a, b| Jurisdiction::parse(a).unwrap().may_be(&Jurisdiction::parse(b).unwrap());
        assert!(may("CA-ON", "CA-ON") && may("CA", "CA-ON") && may("CA-ON", "CA"));
        assert!(may("", "US-NY") && may("US-NY", "unknown"));
        assert!(!may("CA-ON", "CA-QC") && !may("US", "CA-ON") && !may("CA", "US"));
    }
}
