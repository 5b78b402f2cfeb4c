//! Text that others wrote: the author of a list, a broker, a driver, somebody who types into a
//! form.
//!
//! In: any text. Out: a [`ForeignText`]: one line of printable characters, of limited length, read
//! from left to right, without invisible characters; or a refusal that names the first fault.
//! Costs: one pass. Leaves to others: what the text means, and escaping it where it is shown.
//!
//! There are two ways in. [`ForeignText::parse`] refuses a text, where its author can write it
//! anew: a form, a command, a policy. [`ForeignText::shown`] replaces what cannot be shown, where
//! losing the text would be worse: a listed car's description, the words of an error.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Replaces a character that cannot be shown.
const INSTEAD: char = '\u{fffd}';

/// Longest error text or remark of others, in characters.
pub const MOST_REMARK: usize = 200;

/// Most combining marks on one letter: Vietnamese takes two, and many of them cover the lines
/// around.
const MOST_MARKS: usize = 2;

/// Text that others wrote, fit to be shown, logged and kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ForeignText(Box<str>);

/// Why a text is refused. The message does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too long.
    #[error("has {has} characters, at most {most} are taken")]
    Long {
        /// How many it has.
        has: usize,
        /// How many it may have.
        most: usize,
    },
    /// It has a character that is invisible or changes the direction of writing.
    #[error("has a character that cannot be shown (U+{:04X}, the {place}. one): write it without", *.what as u32)]
    Character {
        /// The character.
        what: char,
        /// Its position, from 1.
        place: usize,
    },
}

impl ForeignText {
    /// Takes a text of at most `most` characters, all of which can be shown. Spaces around it are
    /// removed, and several in a row become one.
    pub fn parse(text: &str, most: usize) -> Result<Self, TextError> {
        // The length is checked first, so that a huge text costs nothing more.
        let has = text.trim().chars().count();
        if has > most {
            return Err(TextError::Long { has, most });
        }
        let mut marks = 0;
        for (place, what) in (1..).zip(text.chars()) {
            marks = if is_mark(what) { marks + 1 } else { 0 };
            if !is_shown(what) && !is_blank(what) || marks > MOST_MARKS {
                return Err(TextError::Character { what, place });
            }
        }
        Ok(Self(joined(text.chars()).into()))
    }

    /// Makes any text fit to be shown: a character that cannot be shown becomes `\u{fffd}`, line
    /// ends and other blanks become a space, and what is past `most` characters is cut off and
    /// replaced by an ellipsis.
    pub fn shown(text: &str, most: usize) -> Self {
        let mut marks = 0;
        let clean = text.chars().map(|c| {
            marks = if is_mark(c) { marks + 1 } else { 0 };
            match c {
                c if is_space(c) => ' ',
                c if is_shown(c) && marks <= MOST_MARKS => c,
                _ => INSTEAD,
            }
        });
        // One character more than is kept shows whether something was cut off; beyond that only
        // blanks are read.
        let mut out = joined(clean.take(most.saturating_mul(4).saturating_add(4)));
        if let Some((end, _)) = out.char_indices().nth(most) {
            out.truncate(end);
            out.push('…');
        }
        Self(out.into())
    }

    /// A remark of others: the text of an error, a driver's name for itself.
    pub fn remark(text: impl fmt::Display) -> Self {
        Self::shown(&text.to_string(), MOST_REMARK)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Longest line of a log, in characters.
const MOST_LINE: usize = 2_000;

/// Makes a line of our log fit to be written, whoever's words are in it: one line, without control
/// sequences and invisible characters. Its own line end stays, and so do the colours that we set
/// ourselves if `coloured`.
pub fn log_line(line: &str, coloured: bool) -> String {
    let body = line.strip_suffix('\n').unwrap_or(line);
    let mut out = String::with_capacity(line.len());
    let mut rest = body;
    let mut room = MOST_LINE;
    while let Some(c) = rest.chars().next() {
        if let Some(code) = colour(rest).filter(|_| coloured) {
            out.push_str(code);
            rest = &rest[code.len()..];
            continue;
        }
        if room == 0 {
            out.push('…');
            break;
        }
        room -= 1;
        out.push(match c {
            c if is_space(c) => ' ',
            c if is_shown(c) => c,
            _ => INSTEAD,
        });
        rest = &rest[c.len_utf8()..];
    }
    if coloured {
        out.push_str("\x1b[0m");
    }
    if line.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// The sequence at the beginning of a text that sets a colour: `ESC [ 1;31 m`, and no other that
/// begins with ESC.
fn colour(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("\x1b[")?;
    let end = inside.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    (end <= 8 && inside[end..].starts_with('m')).then(|| &text[..end + 3])
}

/// Writes logs: each write is one line and goes through [`log_line`].
#[derive(Debug)]
pub struct Lines<W>(pub W, pub bool);

impl<W: std::io::Write> std::io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let line = log_line(&String::from_utf8_lossy(bytes), self.1);
        self.0.write_all(line.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Longest case number, in characters.
const MOST_CASE: usize = 32;

/// Most letters in a case number: a prefix such as `PR` or `OCC`, not a name.
const CASE_LETTERS: usize = 4;

/// Fewest digits in a case number.
const CASE_DIGITS: usize = 4;

/// Checks a case number: letters, digits, `-`, `/`, `.`, `_` and `#`; at least four digits, at most
/// four letters, and at least twice as many digits as letters. Most plates and all names fail this.
/// The number leaves the car with a hit, so that it must not be able to carry anything else.
pub fn case_number(text: &str) -> Option<ForeignText> {
    let text = text.trim();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-/._#".contains(&b);
    if text.len() > MOST_CASE || !text.bytes().all(fits) {
        return None;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let good = digits >= CASE_DIGITS && letters <= CASE_LETTERS && digits >= 2 * letters;
    good.then(|| ForeignText(text.into()))
}

/// Whether a character takes a place on the line and does not move the others.
fn is_shown(c: char) -> bool {
    !(c.is_control() || is_space(c) && c != ' ' || is_unseen(c) || is_turning(c))
}

/// A blank that people type or paste: a space or a no-break space.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}')
}

/// Every blank, including line ends.
fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// Characters without width, tags, selectors, private-use and unassigned characters (Unicode 16,
/// General_Category Cf, Co, Cn of the ends of planes, and Default_Ignorable_Code_Point).
fn is_unseen(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2
        | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e
        | 0x2060..=0x206f | 0x2800 | 0x3164 | 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xfe00..=0xfe0f
        | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0xfffe..=0xffff | 0x110bd | 0x110cd
        | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff
        | 0xf0000..=0x10_ffff)
}

/// Letters that are written from right to left: one of them moves what stands beside it on our
/// lines.
fn is_turning(c: char) -> bool {
    matches!(u32::from(c),
        0x590..=0x8ff | 0xfb1d..=0xfdff | 0xfe70..=0xfeff | 0x10800..=0x10fff | 0x1e800..=0x1efff)
}

/// A mark above or below the letter before it.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c),
        0x300..=0x36f | 0x483..=0x489 | 0xe31 | 0xe34..=0xe3a | 0xe47..=0xe4e | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

/// Removes blanks around a text and makes several in a row one.
fn joined(text: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    for c in text {
        match is_space(c) {
            true if out.is_empty() || out.ends_with(' ') => {}
            true => out.push(' '),
            false => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

impl Deref for ForeignText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<ForeignText> for String {
    fn from(text: ForeignText) -> Self {
        text.0.into()
    }
}

impl PartialEq<str> for ForeignText {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for ForeignText {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl Serialize for ForeignText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

/// Refuses what [`ForeignText::parse`] refuses, at [`MOST_REMARK`] characters.
impl<'de> Deserialize<'de> for ForeignText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?, MOST_REMARK).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("  Stolen   overnight, Québec ", Ok("Stolen overnight, Québec"))]
    #[case("Crème brûlée, 長野県, Москва", Ok("Crème brûlée, 長野県, Москва"))]
    #[case("a\u{a0}b", Ok("a b"))]
    #[case("line\nforged", Err('\n'))]
    #[case("\u{1b}[2Jgone", Err('\u{1b}'))]
    #[case("abc\u{202e}fed", Err('\u{202e}'))]
    #[case("CK\u{200b}SV", Err('\u{200b}'))]
    #[case("CK\u{ad}SV", Err('\u{ad}'))]
    #[case("x\u{fe0f}", Err('\u{fe0f}'))]
    #[case("\u{e0041}", Err('\u{e0041}'))]
    #[case("שלום", Err('ש'))]
    #[case("bell\u{7}", Err('\u{7}'))]
    #[case("c1\u{9b}2J", Err('\u{9b}'))]
    #[case("e\u{301}\u{301}\u{301}", Err('\u{301}'))]
    fn what_is_taken(#[case] text: &str, #[case] taken: Result<&str, char>) {
        match (ForeignText::parse(text, 100), taken) {
            (Ok(text), Ok(wanted)) => assert_eq!(text, wanted),
            (Err(TextError::Character { what, .. }), Err(wanted)) => assert_eq!(what, wanted),
            (got, _) => panic!("{text:?}: {got:?}"),
        }
    }

    #[test]
    fn what_is_longer_is_refused_with_its_length_or_cut() {
        let long = "x".repeat(3_000);
        let refused = ForeignText::parse(&long, 200).unwrap_err();
        assert_eq!(refused.to_string(), "has 3000 characters, at most 200 are taken");
        let cut = ForeignText::shown(&long, 200);
        assert_eq!(cut.chars().count(), 201);
        assert!(cut.ends_with("x…"));
        assert_eq!(ForeignText::shown("a\r\n{\"level\":\"ERROR\"}", 99), "a {\"level\":\"ERROR\"}");
        assert_eq!(ForeignText::shown("a\u{1b}[31mb\u{202e}", 99), "a\u{fffd}[31mb\u{fffd}");
    }

    #[test]
    fn log_line_is_one_line_whoever_wrote_in_it() {
        let forged = "WARN refused error=x\n2026-11-29 INFO policy in force\u{1b}[2J\u{202e}\n";
        assert_eq!(
            log_line(forged, false),
            "WARN refused error=x 2026-11-29 INFO policy in force\u{fffd}[2J\u{fffd}\n"
        );
        let ours = "\x1b[33m WARN\x1b[0m a\x1b[2Kb\n";
        assert_eq!(log_line(ours, true), "\x1b[33m WARN\x1b[0m a\u{fffd}[2Kb\x1b[0m\n");
        assert_eq!(log_line(&"x".repeat(9_000), false).chars().count(), MOST_LINE + 1);
        let mut out = Vec::new();
        std::io::Write::write_all(&mut Lines(&mut out, false), forged.as_bytes()).unwrap();
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
    }

    #[rstest]
    #[case("26-00417", true)]
    #[case("PR2026/4411", true)]
    #[case(" INC0012345 ", true)]
    #[case("2026", true)]
    #[case("CKSV841", false)]
    #[case("ABC1234", false)]
    #[case("SMITH 26-00417", false)]
    #[case("26-00417 JOHN", false)]
    #[case("JOHNSMITH26004177777", false)]
    #[case("26-00417\u{200b}", false)]
    #[case("26-00417;12", false)]
    #[case("12", false)]
    #[case("", false)]
    #[case("1234567890123456789012345678901234", false)]
    fn what_a_case_number_looks_like(#[case] text: &str, #[case] good: bool) {
        assert_eq!(case_number(text).is_some(), good, "{text:?}");
    }

    proptest! {
        #[test]
        fn whatever_is_shown_is_one_line_bounded_printable_and_taken_again(text in ".{0,300}", most in 0_usize..80) {
            let shown = ForeignText::shown(&text, most);
            prop_assert!(shown.chars().count() <= most + 1);
            prop_assert!(shown.chars().all(is_shown));
            prop_assert_eq!(ForeignText::parse(&shown, most + 1), Ok(shown.clone()));
        }

        #[test]
        fn what_is_taken_is_shown_as_it_is(text in "\\PC{0,60}") {
            if let Ok(taken) = ForeignText::parse(&text, 60) {
                prop_assert_eq!(ForeignText::shown(&taken, 60), taken);
            }
        }
    }
}
