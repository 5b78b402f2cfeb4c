//! Is this a plate at all? The detector has its say by its score, the lettering by its shape.
//!
//! In: a text and the detector's score. Out: their product, 0 to 1, where the shape counts for 1 if
//! vehicles carry it by the hundred thousand and for less the rarer it is on plates and the commoner
//! on badges, signs, vans and timestamps. Costs: a table of some seventy formats, a microsecond. What
//! the characters are, and how surely, is another question and left to the vote: a badge can be read
//! without any doubt.
//!
//! Nothing is impossible here but a text that is too short or too long: a personalised plate needs
//! a surer detector than a common one, not a different world. Chosen on the pack's pictures and
//! confirmed on the evaluation's: docs/decisions/0025-lettering-that-is-no-plate.md.

use super::candidate::Confidence;
use crate::plate::syntax;

/// Characters of the shortest text that is a read. Screws, badges and stickers give one or two; the
/// shortest personalised plates have two and are not read.
pub const LEAST_CHARACTERS: usize = 3;

/// Letters alone: personalised plates, and nearly everything else that is written on and beside cars.
const LETTERS: f32 = 0.6;
/// Eight letters and more: the longest personalised plates, and most names.
const MANY_LETTERS: f32 = 0.5;
/// Digits alone: telephone numbers, dates, house numbers, and the plates of a few places, which are told
/// from those by nothing but the detector.
const DIGITS: f32 = 0.65;
/// More than eight characters in no known format.
const LONG: f32 = 0.65;
/// Five and fewer, whatever their order: old and special plates, and what is left of cut lettering.
const SHORT: f32 = 0.8;
/// Letters and digits in an order that is in no table: the tables do not know every plate.
const MIXED: f32 = 0.85;

/// Formats of vehicles that are not in [`syntax`]'s table because no list here states where they are
/// from; `L` a letter, `D` a digit. Those of five characters and fewer prove nothing and are left out.
const ELSEWHERE: &[&str] = &[
    // Brazil, before and since 2018.
    "LLLDDDD",
    "LLLDLDD", //
    // Romania and Bucharest, Germany, Austria, Croatia, Slovenia.
    "LDDLLL",
    "LDDDLLL",
    "LLDDDDL",
    "LLLDDDDD",
    "LLLLDDDD",
    "LLDDDD",
    "LLLDDDD",
    "LDDDDDL",
    // Poland, Norway, Denmark, Switzerland.
    "LLDDDDD",
    "LLLDDDL",
    "LLDDDDDD", //
    // The Netherlands, Sweden, Finland, Belgium, Hungary, Lithuania.
    "DDLLLD",
    "DDLLLL",
    "LLLLDD",
    "LLDDLL",
    "LLLDDL",
    "DLLLDD",
    "DDDLLD",
    "DLDDDLL",
    "DLLLDDD",
    "LLDDDL", //
    // India, Russia, Ukraine, Turkey.
    "LLDDLLDDDD",
    "LLDDLDDDD",
    "LLDLLDDDD",
    "LDDDLLDD",
    "LDDDLLDDD",
    "LLDDDDLL",
    "DDLLLDDD",
    "DDLLDDDD",
    "DDLDDDD",
    "DDLLLDD",
];

/// How plausible it is that lettering found with this score is a plate, 0 to 1.
pub fn plausibility(text: &str, score: Confidence) -> f32 {
    score.get() * shape(text)
}

fn shape(text: &str) -> f32 {
    let n = text.len();
    if n < LEAST_CHARACTERS {
        return 0.0;
    }
    let known = || syntax::is_usual(text) || ELSEWHERE.iter().any(|f| syntax::fits(text, f));
    // O, Q, 0, I and 1 are letters here as they are shown: what was seen, not what it may mean.
    let (letters, digits) =
        (text.bytes().all(|c| c.is_ascii_alphabetic()), text.bytes().all(|c| c.is_ascii_digit()));
    match n {
        ..=7 if letters => LETTERS,
        _ if letters => MANY_LETTERS,
        _ if digits => DIGITS,
        ..=5 => SHORT,
        _ if known() => 1.0,
        6..=8 => MIXED,
        _ => LONG,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// The gate's default.
    fn passes(text: &str, score: f32) -> bool {
        let least = crate::config::ReadingConfig::default().min_plausibility;
        plausibility(text, Confidence::new(score)) >= least
    }

    // Scores are those that the detector gave in pictures.
    #[rstest]
    #[case::ontario("CKSV841", 0.36, true)]
    #[case::slovakia_far_away("RK340AO", 0.39, true)]
    #[case::romania_at_night("IF10KAX", 0.39, true)]
    #[case::india("MH12MR0613", 0.42, true)]
    #[case::format_that_no_table_has("UH1F0F", 0.43, true)]
    #[case::personalised("SHEILL", 0.59, true)]
    #[case::personalised_of_eight("NEILDMND", 0.76, true)]
    #[case::dealers_badge("CARBRAXX", 0.64, false)]
    #[case::model_badge("HBGTA", 0.5, false)]
    #[case::sign("PROPERT", 0.40, false)]
    #[case::school_bus("REDLH1SFS", 0.45, false)]
    #[case::telephone("31484559Q0", 0.44, false)]
    #[case::timestamp("2011005", 0.45, false)]
    #[case::photographers_mark("SW722", 0.37, false)]
    #[case::oval("SK", 0.99, false)]
    #[case::nothing("", 0.99, false)]
    fn what_is_read_as_a_plate(#[case] text: &str, #[case] score: f32, #[case] is_plate: bool) {
        assert_eq!(passes(text, score), is_plate);
    }

    proptest! {
        #[test]
        fn surer_detector_never_makes_a_plate_less_plausible(
            text in "[0-9A-Z]{0,12}",
            score in 0.0_f32..1.0,
            more in 0.0_f32..0.5,
        ) {
            let p = plausibility(&text, Confidence::new(score));
            prop_assert!((0.0..=1.0).contains(&p) && p <= score);
            prop_assert!(plausibility(&text, Confidence::new(score + more)) >= p);
        }
    }

    #[test]
    fn every_format_is_one() {
        for format in ELSEWHERE {
            assert!(format.bytes().all(|c| c == b'L' || c == b'D'), "{format}");
            assert!((6..=crate::plate::MAX_PLATE_LEN).contains(&format.len()), "{format}");
        }
    }
}
