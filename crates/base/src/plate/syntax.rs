//! What a plate's format says about its jurisdiction: compatible, incompatible or unknown, never
//! more.
//!
//! In: a read and a jurisdiction that a list states. Out: whether the read has one of that
//! jurisdiction's usual formats. Costs: a table of some 300 formats, microseconds. Personalised and
//! special plates follow no format, so *incompatible* means "look twice" and never drops an alert.
//! *Compatible* proves nothing either, because many provinces and states share a format. A
//! jurisdiction is *unknown* if the table does not have it, or if its formats are too many to
//! distinguish anything. The formats are in [`formats`](super::formats).

use serde::{Deserialize, Serialize};

use super::formats::{ISSUERS, fits};
use super::{Jurisdiction, Plate};

/// How a read's format fits a jurisdiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Syntax {
    /// It has one of the usual formats.
    Compatible,
    /// It has none of the usual formats: it is personalised, special, misread, or from elsewhere.
    Incompatible,
    /// The table cannot say.
    #[default]
    Unknown,
}

/// Judges a read against a jurisdiction that a list states or that was read.
///
/// For a country, the formats of all its parts count, and fitting none of them proves nothing: not
/// every part is in the table.
pub fn judge(read: &Plate, jurisdiction: Jurisdiction) -> Syntax {
    let code = jurisdiction.as_str();
    let any = |formats: &[&str]| formats.iter().any(|format| fits(read.expose(), format));
    let judged = || ISSUERS.iter().filter(|issuer| !issuer.usual.is_empty());
    if let Some(issuer) = judged().find(|issuer| issuer.code == code) {
        return if any(issuer.usual) { Syntax::Compatible } else { Syntax::Incompatible };
    }
    let within = |of: &str| code.len() == 2 && of.len() > 2 && of.starts_with(code);
    match judged().any(|issuer| within(issuer.code) && any(issuer.usual)) {
        true => Syntax::Compatible,
        false => Syntax::Unknown,
    }
}

/// Share of an issuer's plates that follow its formats; the rest are personalised, special, old, or
/// missing from the table.
const FOLLOWING: f32 = 0.8;

/// Symbols possible at each place of a text without a format; letters that lists cannot keep apart
/// count as one.
const ANY: f32 = 33.0;

/// The natural logarithm of the likelihood that a plate of this issuer has this text, up to a
/// constant that depends on the table alone.
///
/// Within the share that follows the issuer's formats, each format is equally likely, and so is
/// each text of a format: `1ABC234` is one of few in California, and occurs in no other state. The
/// rest may be any text. `None` where the table has no format of the issuer: then nothing can be
/// said.
pub fn log_likelihood(text: &str, issuer: Jurisdiction) -> Option<f32> {
    let issuer = ISSUERS.iter().find(|of| of.code == issuer.as_str())?;
    let formats = || issuer.usual.iter().chain(issuer.more);
    let followed: f32 =
        formats().filter(|format| fits(text, format)).map(|format| 1.0 / texts(format)).sum();
    let anything = ANY.powi(i32::try_from(text.len()).unwrap_or(i32::MAX)).recip();
    let p = FOLLOWING * followed / formats().count() as f32 + (1.0 - FOLLOWING) * anything;
    Some(p.max(f32::MIN_POSITIVE).ln())
}

/// How many texts a format allows, with O, Q and I counted as digits.
fn texts(format: &str) -> f32 {
    format
        .bytes()
        .map(|class| match class {
            b'L' => 23.0,
            b'D' => 10.0,
            b'X' => ANY,
            _ => 1.0,
        })
        .product()
}

/// Whether a text has a usual format of any jurisdiction that is judged; "any five characters" does
/// not count as a format.
pub fn is_usual(text: &str) -> bool {
    let mut formats = ISSUERS.iter().flat_map(|issuer| issuer.usual);
    formats.any(|format| !format.contains('X') && fits(text, format))
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
        for (i, issuer) in ISSUERS.iter().enumerate() {
            let of = issuer.code;
            assert_eq!(Jurisdiction::parse(of).unwrap().as_str(), of);
            assert!(ISSUERS[i + 1..].iter().all(|other| other.code != of), "{of} stands twice");
            assert!(!issuer.usual.is_empty() || !issuer.more.is_empty(), "{of}");
            for format in issuer.usual.iter().chain(issuer.more) {
                let class = |c: u8| b"LDX".contains(&c) || !c.is_ascii_uppercase();
                assert!(format.bytes().all(class), "{of} {format}");
                assert!((3..=crate::plate::MAX_PLATE_LEN).contains(&format.len()), "{of}");
            }
        }
    }

    #[test]
    fn format_that_one_state_alone_has_speaks_for_it_and_a_shared_one_for_nobody() {
        let p = |text: &str, of: &str| log_likelihood(text, Jurisdiction::parse(of).unwrap());
        let ratio =
            |text: &str, a: &str, b: &str| (p(text, a).unwrap() - p(text, b).unwrap()).exp();
        assert!(ratio("6ABC234", "US-CA", "US-NV") > 50.0);
        assert!(ratio("CKSV841", "CA-ON", "US-NY") > 50.0);
        assert!((0.2..5.0).contains(&ratio("ABC1234", "US-PA", "US-NC")), "shared by many");
        assert!((ratio("ROCKER", "US-CA", "US-NV") - 1.0).abs() < 1e-3, "words are nobody's");
        assert!(p("ABC123", "MX").is_none(), "not in the table");
        assert!(p("", "US-CA").unwrap().is_finite());
    }

    #[test]
    fn letter_that_stands_for_itself_is_no_class() {
        assert!(fits("CABC123", "cLLLDDD") && !fits("DABC123", "cLLLDDD"));
        assert!(fits("DABC123", "dLLLDDD") && fits("1AB123", "1LLDDD") && fits("IAB123", "1LLDDD"));
    }

    /// The renderer's table agrees with this one: every passenger format in which plates are
    /// rendered is a format of its issuer here.
    #[test]
    fn formats_of_the_renderer_are_formats_here() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/training/outrider_train/formats.py");
        let table = std::fs::read_to_string(path).unwrap();
        let mut checked = 0;
        for entry in table.split("_p(").skip(1) {
            let mut quoted = entry.split('"').skip(1).step_by(2);
            let (Some(code), Some(patterns)) = (quoted.next(), quoted.next()) else { continue };
            if !code.starts_with(|c: char| c.is_ascii_uppercase()) {
                continue; // the helper's own definition
            }
            let issuer = ISSUERS.iter().find(|issuer| issuer.code == code);
            let issuer =
                issuer.unwrap_or_else(|| panic!("{code} is rendered and not in the table"));
            for pattern in patterns.split(',') {
                let format: String = pattern
                    .chars()
                    .filter(|c| !matches!(c, ' ' | '-'))
                    .map(|c| match c {
                        'l' | 'a' => 'L',
                        'd' => 'D',
                        'x' => 'X',
                        own => own.to_ascii_lowercase(),
                    })
                    .collect();
                let formats = issuer.usual.iter().chain(issuer.more);
                assert!(formats.clone().any(|f| *f == format), "{code} {pattern}");
                checked += 1;
            }
        }
        assert!(checked > 200, "{checked} patterns found in {path}");
    }
}
