//! What a plate's syntax says of its jurisdiction: compatible, incompatible or unknown, never more.
//!
//! In: a read and a jurisdiction that a list states. Out: whether the read has one of that
//! jurisdiction's usual formats. Costs: a table of some fifty formats, a microsecond. Personalised and
//! special plates follow no format, so *incompatible* means "look twice" and never drops an alert;
//! *compatible* proves nothing either: many provinces and states share a format. A jurisdiction that
//! is not in the table is *unknown*, and so is one whose formats are too many to tell anything.
//!
//! The formats are public knowledge: they can be seen on any road.

use serde::{Deserialize, Serialize};

use super::{Jurisdiction, Plate};

/// How a read's syntax fits a jurisdiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Syntax {
    /// One of its usual formats.
    Compatible,
    /// None of its usual formats: personalised, special, misread, or from elsewhere.
    Incompatible,
    /// Nothing can be said.
    #[default]
    Unknown,
}

/// Formats: `L` a letter, `D` a digit, `X` either.
///
/// O, Q and 0 and I and 1 count as both: folding has merged them already on many lists.
const FORMATS: &[(&str, &[&str])] = &[
    // ABCD 123 since 1997, ABC 123 and 123 ABC before; AB 12345 commercial; A12 34B trailers;
    // five characters on motorcycles.
    ("CA-ON", &["LLLLDDD", "LLLDDD", "DDDLLL", "LLDDDDD", "LDDDDL", "XXXXX"]),
    // A12 BCD since 2010, 123 ABC before; commercial and other classes begin with a letter.
    ("CA-QC", &["LDDLLL", "DDDLLL", "LLLDDD", "LDDDDDD", "LLDDDDD"]),
    // AB1 23C since 2014, ABC 123 and 123 ABC before; AB 1234 and 1234 AB commercial.
    ("CA-BC", &["LLDDDL", "LLLDDD", "DDDLLL", "LLDDDD", "DDDDLL"]),
    ("CA-AB", &["LLLDDDD", "LLLDDD", "LDDDDD"]),
    ("CA-SK", &["DDDLLL", "LLLDDD"]),
    ("CA-MB", &["LLLDDD"]),
    ("CA-NB", &["LLLDDD"]),
    ("CA-NS", &["LLLDDD"]),
    ("CA-NL", &["LLLDDD"]),
    ("CA-NT", &["DDDDDD"]),
    ("CA-YT", &["LLLDD"]),
    // 1ABC123 since 1980, 123 ABC and ABC 123 before; 1A23456 and 12345A1 commercial.
    ("US-CA", &["DLLLDDD", "DDDLLL", "LLLDDD", "DLDDDDD", "DDDDDLD"]),
    // ABC 1234 since 2001, before ABC 123 and A12 3BC; 12345 AB commercial.
    ("US-NY", &["LLLDDDD", "LLLDDD", "LDDDLL", "DDDDDLL"]),
    // A12 BCD, before ABC 12D.
    ("US-NJ", &["LDDLLL", "LLLDDL"]),
    ("US-PA", &["LLLDDDD"]),
    ("US-OH", &["LLLDDDD", "LLLDDD"]),
    // ABC 1234, since 2013 1ABC23.
    ("US-MI", &["LLLDDDD", "DLLLDD", "LLLDDD"]),
    ("US-WA", &["LLLDDDD", "DDDLLL", "LDDDDDL", "LDDDDDD"]),
    ("US-TX", &["LLLDDDD", "LLDLDDD", "LLLDDD", "DDDLLL"]),
    ("US-VA", &["LLLDDDD", "LLLDDD"]),
    ("US-NC", &["LLLDDDD"]),
    ("US-WI", &["LLLDDDD", "DDDLLL", "LLLDDD"]),
    ("US-MN", &["LLLDDD", "DDDLLL"]),
    // AB12 CDE since 2001; A123 BCD and ABC 123D before.
    ("GB", &["LLDDLLL", "LDDDLLL", "LLLDDDL", "LDDLLL", "LLLDDL", "LDLLL", "LLLDL"]),
    ("FR", &["LLDDDLL"]),
    ("ES", &["DDDDLLL"]),
    ("IT", &["LLDDDLL"]),
];

/// Judges a read against the jurisdiction that a list states, or that was read.
///
/// Of a country, the formats of all its parts count, and fitting none says nothing: not every part
/// is in the table.
pub fn judge(read: &Plate, jurisdiction: Jurisdiction) -> Syntax {
    let code = jurisdiction.as_str();
    let any = |formats: &[&str]| formats.iter().any(|format| fits(read.expose(), format));
    if let Some((_, formats)) = FORMATS.iter().find(|(of, _)| *of == code) {
        return if any(formats) { Syntax::Compatible } else { Syntax::Incompatible };
    }
    let within = |of: &str| code.len() == 2 && of.len() > 2 && of.starts_with(code);
    match FORMATS.iter().any(|(of, formats)| within(of) && any(formats)) {
        true => Syntax::Compatible,
        false => Syntax::Unknown,
    }
}

/// Whether a text has a usual format of any jurisdiction in the table; "any five characters" is
/// none.
pub(crate) fn is_usual(text: &str) -> bool {
    let mut formats = FORMATS.iter().flat_map(|(_, formats)| *formats);
    formats.any(|format| !format.contains('X') && fits(text, format))
}

/// Whether a text, letters and digits, has a format.
pub(crate) fn fits(text: &str, format: &str) -> bool {
    let both = |c: u8| matches!(c, b'O' | b'Q' | b'0' | b'I' | b'1');
    text.len() == format.len()
        && text.bytes().zip(format.bytes()).all(|(c, class)| match class {
            b'L' => c.is_ascii_uppercase() || both(c),
            b'D' => c.is_ascii_digit() || both(c),
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::passenger("CKSV841", "CA-ON", Syntax::Compatible)]
    #[case::older_passenger("ABC123", "CA-ON", Syntax::Compatible)]
    #[case::commercial("AB12345", "CA-ON", Syntax::Compatible)]
    #[case::zero_for_the_letter_o("CK0V841", "CA-ON", Syntax::Compatible)]
    #[case::new_yorks_on_an_ontario_entry("ABC2345", "CA-ON", Syntax::Incompatible)]
    #[case::ontarios_on_a_new_york_entry("CKSV841", "US-NY", Syntax::Incompatible)]
    #[case::personalised("ROCKER", "CA-ON", Syntax::Incompatible)]
    #[case::shared_format_proves_nothing("ABC1234", "US-PA", Syntax::Compatible)]
    #[case::country_alone("CKSV841", "CA", Syntax::Compatible)]
    #[case::country_whose_parts_are_not_all_known("ROCKER", "CA", Syntax::Unknown)]
    #[case::not_in_the_table("CKSV841", "US-MT", Syntax::Unknown)]
    #[case::not_stated("CKSV841", "", Syntax::Unknown)]
    fn what_the_syntax_says(#[case] read: &str, #[case] from: &str, #[case] expected: Syntax) {
        let from = Jurisdiction::parse(from).unwrap();
        assert_eq!(judge(&Plate::parse(read).unwrap(), from), expected);
    }

    #[rstest]
    #[case("CKSV841", true)]
    #[case("AB12CDE", true)]
    #[case("CARBRAX", false)]
    #[case("ABCDE", false)]
    fn usual_somewhere(#[case] text: &str, #[case] usual: bool) {
        assert_eq!(is_usual(text), usual);
    }

    #[test]
    fn every_format_of_the_table_is_one_and_every_jurisdiction_a_code() {
        for (of, formats) in FORMATS {
            assert_eq!(Jurisdiction::parse(of).unwrap().as_str(), *of);
            assert!(!formats.is_empty(), "{of}");
            for format in *formats {
                assert!(format.bytes().all(|c| b"LDX".contains(&c)), "{of} {format}");
                assert!((3..=crate::plate::MAX_PLATE_LEN).contains(&format.len()), "{of}");
            }
        }
    }
}
