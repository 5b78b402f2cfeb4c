//! Judges whether lettering is a plate at all, by the detector's score and by the text's shape.
//!
//! In: a text and the detector's score. Out: their product, 0 to 1. The shape counts 1 if hundreds
//! of thousands of vehicles have such a text, more if letters and digits are arranged as in some
//! jurisdiction's format, and less the rarer it is on plates and the more common on badges, signs,
//! vans and timestamps. Costs: a table of some seventy formats, a microsecond. Leaves to others:
//! which characters they are, and how certainly (the vote): a badge can be read without any doubt.
//!
//! Only a text that is too short or too long is impossible: a personalised plate merely needs a
//! surer detector than a common one. The values were chosen on the pack's pictures and confirmed on
//! the evaluation's: docs/decisions/0025-lettering-that-is-no-plate.md. They were set anew on the
//! second pack's pictures, where the first rule refused four correct plates in a hundred:
//! docs/decisions/0093-what-a-format-proves.md.

use super::candidate::Confidence;
use crate::plate::{formats, syntax};

/// Fewest characters of a read. Screws, badges and stickers give one or two; the shortest
/// personalised plates have two and are not read.
pub const LEAST_CHARACTERS: usize = 3;

/// A text in a format of some jurisdiction: hardly anything else is written like that, so it
/// supports a plate that the detector doubts.
pub(super) const KNOWN: f32 = 1.2;
/// Letters only: personalised plates, and nearly everything else that is written on and beside
/// cars.
const LETTERS: f32 = 0.63;
/// Three letters: months on stickers, BUS, remains of a name.
const THREE_LETTERS: f32 = 0.5;
/// Eight letters and more: the longest personalised plates, and most names.
const MANY_LETTERS: f32 = 0.5;
/// Digits only: telephone numbers, dates, house numbers, and the plates of a few places, which only
/// the detector can distinguish from those.
const DIGITS: f32 = 0.65;
/// Four digits and fewer: the year on a sticker, a house number, a fleet number.
const FEW_DIGITS: f32 = 0.5;
/// More than eight characters in no known format.
const LONG: f32 = 0.65;
/// Five characters and fewer, in any order: old and special plates, and remains of cut lettering.
const SHORT: f32 = 0.8;
/// Letters and digits in an order that no table has: the tables do not contain every plate.
const MIXED: f32 = 0.85;

/// How plausible it is that lettering found with this score is a plate, 0 to 1.
pub fn plausibility(text: &str, score: Confidence) -> f32 {
    (score.get() * shape(text)).min(1.0)
}

fn shape(text: &str) -> f32 {
    let n = text.len();
    if n < LEAST_CHARACTERS {
        return 0.0;
    }
    let known = || syntax::is_usual(text) || formats::is_elsewhere(text);
    // O, Q, 0, I and 1 are counted as they appear, not by what they may mean.
    let (letters, digits) =
        (text.bytes().all(|c| c.is_ascii_alphabetic()), text.bytes().all(|c| c.is_ascii_digit()));
    match n {
        3 if letters => THREE_LETTERS,
        ..=7 if letters => LETTERS,
        _ if letters => MANY_LETTERS,
        ..=4 if digits => FEW_DIGITS,
        _ if digits => DIGITS,
        ..=5 => SHORT,
        _ if known() => KNOWN,
        6..=8 => MIXED,
        _ => LONG,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Whether a text passes the gate at its default.
    fn passes(text: &str, score: f32) -> bool {
        let least = crate::config::ReadingConfig::default().min_plausibility;
        plausibility(text, Confidence::new(score)) >= least
    }

    // The scores are those that the detector gave in pictures.
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
    #[case::usual_format_that_is_hardly_found("GLJ121", 0.31, true)]
    #[case::personalised_and_blurred("XKALABR", 0.58, true)]
    #[case::year_on_a_sticker("2012", 0.54, false)]
    #[case::month_on_a_sticker("JAN", 0.6, false)]
    #[case::house_number("319", 0.65, false)]
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
            prop_assert!((0.0..=1.0).contains(&p) && p <= KNOWN * score);
            prop_assert!(plausibility(&text, Confidence::new(score + more)) >= p);
        }
    }
}
