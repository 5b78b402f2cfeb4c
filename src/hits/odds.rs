//! How likely it is that an alert is a misread.
//!
//! In: how sure the vote is of the listed text, how dense the list is among the plates on the road, and what
//! the road has shown of that list. Out: the odds, or nothing where one of the three is not known. Costs: a few
//! multiplications. Leaves to others: what the road has shown (`daemon/odds.rs`).
//!
//! The arithmetic is Bayes's. Of all reads a share *r* is of vehicles that are truly on the list. A misread text is on
//! it with probability *d*, the list's density (docs/decisions/0079). The vote gives the listed text with
//! probability *a*. Then
//!
//! ```text
//! misread = (1 - a) d / ((1 - a) d + a r)
//! r       = hits (judged - misread + 1/2) / (judged + 1) / reads
//! ```
//!
//! with hits and reads of the last days of this car, and what its officers made of those that they judged. Every
//! number that went in is kept with the hit, and goes into its evidence bundle.

use serde::{Deserialize, Serialize};

use crate::plate::fold;

/// Hits of a list that people must have judged before the road has shown anything: with fewer, one misread more or
/// less would change the odds by more than a quarter.
pub const LEAST_JUDGED: u32 = 20;

/// Beyond this nothing is told apart: the vote's own probabilities were measured on thousands of passes, not on more.
const MOST: f64 = 10_000.0;

/// What this car has seen of one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Road {
    /// For so many days, today included.
    pub days: u32,
    /// Reads of every plate that passed.
    pub reads: u64,
    /// Hits on the list.
    pub hits: u32,
    /// How many of them somebody compared with the picture.
    pub judged: u32,
    /// How many of those were misread.
    pub misread: u32,
}

/// The odds of one hit, with all that they were computed from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Odds {
    /// Probability that the alert is a misread, 0 to 1.
    pub misread: f64,
    /// Probability that the vote gives the listed text.
    pub text: f64,
    /// The list's density: how probable it is that a text which looks like one of the list's is on it.
    pub density: f64,
    /// What this car has seen of the list.
    pub road: Road,
}

impl Odds {
    /// The odds of a hit. `vote` has for each character the likeliest symbols with their probabilities, `listed` is
    /// the entry's text. `None` where the listed text has other places than the read or leaves some open, where the
    /// list's density is not known, or where too few of its hits have been judged.
    pub fn of(vote: &[Vec<(char, f32)>], listed: &str, density: f64, road: Road) -> Option<Self> {
        let text = probability(vote, listed).filter(|text| *text > 0.0)?;
        let seen = road.reads > 0 && road.hits > 0 && road.judged >= LEAST_JUDGED;
        if !seen || !density.is_finite() || density <= 0.0 || road.misread > road.judged {
            return None;
        }
        let (judged, misread) = (f64::from(road.judged), f64::from(road.misread));
        let right = (judged - misread + 0.5) / (judged + 1.0);
        #[expect(clippy::cast_precision_loss, reason = "reads of a month, far below 2^53")]
        let listed = f64::from(road.hits) * right / road.reads as f64;
        let (wrong, right) = ((1.0 - text) * density, text * listed);
        Some(Self { misread: wrong / (wrong + right), text, density, road })
    }

    /// In words for the officer.
    pub fn in_words(&self) -> String {
        let one_in = 1.0 / self.misread;
        if self.misread > 0.5 {
            return "more likely a misread than not".into();
        }
        if one_in > MOST {
            return "fewer than 1 in 10,000 alerts like this one is a misread".into();
        }
        // Two digits: the inputs are not known any better.
        let step = 10_f64.powf((one_in.log10().floor() - 1.0).max(0.0));
        let rounded = ((one_in / step).round() * step).max(2.0);
        let digits = format!("{rounded:.0}");
        let shown = match digits.len() {
            4.. => format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]),
            _ => digits,
        };
        format!("about 1 in {shown} alerts like this one is a misread")
    }
}

/// The probability that a vote gives a text, look-alikes that lists do not keep apart (O and 0, I and 1) taken
/// together. `None` if the text has another number of places than the vote, or leaves one open.
fn probability(vote: &[Vec<(char, f32)>], text: &str) -> Option<f64> {
    if vote.is_empty()
        || text.len() != vote.len()
        || !text.bytes().all(|c| c.is_ascii_alphanumeric())
    {
        return None;
    }
    let of_place = |(slot, wanted): (&Vec<(char, f32)>, u8)| {
        let same = |c: char| u8::try_from(c).is_ok_and(|c| fold(c) == fold(wanted));
        slot.iter().filter(|(c, _)| same(*c)).map(|(_, p)| f64::from(*p)).sum::<f64>().min(1.0)
    };
    Some(vote.iter().zip(text.bytes()).map(of_place).product())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ROAD: Road = Road { days: 30, reads: 100_000, hits: 50, judged: 40, misread: 10 };

    fn vote(sure: f32) -> Vec<Vec<(char, f32)>> {
        "CKSV841"
            .chars()
            .map(|c| match c {
                '8' => vec![('8', sure), ('B', 1.0 - sure)],
                _ => vec![(c, 1.0)],
            })
            .collect()
    }

    #[test]
    fn odds_are_what_the_formula_says_and_anybody_can_compute_them_again() {
        let odds = Odds::of(&vote(0.9), "CKSV841", 0.05, ROAD).unwrap();
        assert!((odds.text - 0.9).abs() < 1e-6);
        // Of 100,000 reads 50 hits, 30.5 of 41 right: r = 0.000372. 0.1 x 0.05 against 0.9 x 0.000372.
        assert!((odds.misread - 0.937).abs() < 0.001, "{odds:?}");
        assert_eq!(odds.in_words(), "more likely a misread than not");
        let again: Odds = serde_json::from_str(&serde_json::to_string(&odds).unwrap()).unwrap();
        assert_eq!(Odds::of(&vote(0.9), "CKSV841", again.density, again.road), Some(odds));
    }

    #[test]
    fn surer_vote_shorter_list_and_a_road_with_fewer_misreads_lower_the_odds() {
        let misread =
            |sure, density, road| Odds::of(&vote(sure), "CKSV841", density, road).unwrap().misread;
        let base = misread(0.99, 0.001, ROAD);
        assert!(misread(0.999, 0.001, ROAD) < base);
        assert!(misread(0.99, 0.0001, ROAD) < base);
        assert!(misread(0.99, 0.001, Road { misread: 0, ..ROAD }) < base);
        assert!(misread(0.99, 0.001, Road { reads: 10 * ROAD.reads, ..ROAD }) > base);
    }

    #[test]
    fn approximate_match_is_held_against_what_the_vote_gives_the_listed_text() {
        let exact = Odds::of(&vote(0.9), "CKSV841", 0.01, ROAD).unwrap();
        let alike = Odds::of(&vote(0.9), "CKSVB41", 0.01, ROAD).unwrap();
        assert!((alike.text - 0.1).abs() < 1e-6);
        assert!(alike.misread > exact.misread);
        // O and 0 are one symbol to a list.
        let zero = vec![vec![('0', 0.6), ('O', 0.4)]; 3];
        assert!((probability(&zero, "OO0").unwrap() - 1.0).abs() < 1e-6);
    }

    #[rstest]
    #[case::few_judged("CKSV841", 0.01, Road { judged: 19, misread: 1, ..ROAD })]
    #[case::no_reads("CKSV841", 0.01, Road { reads: 0, ..ROAD })]
    #[case::density_unknown("CKSV841", 0.0, ROAD)]
    #[case::density_is_no_number("CKSV841", f64::NAN, ROAD)]
    #[case::pattern("CKSV84?", 0.01, ROAD)]
    #[case::other_places("CKSV84", 0.01, ROAD)]
    #[case::vote_excludes_it("CKSV84X", 0.01, ROAD)]
    fn what_is_not_known_is_not_said(
        #[case] listed: &str,
        #[case] density: f64,
        #[case] road: Road,
    ) {
        assert_eq!(Odds::of(&vote(0.9), listed, density, road), None);
    }

    #[rstest]
    #[case(0.4, "about 1 in 3 alerts like this one is a misread")]
    #[case(0.021, "about 1 in 48 alerts like this one is a misread")]
    #[case(0.0023, "about 1 in 430 alerts like this one is a misread")]
    #[case(0.000_81, "about 1 in 1,200 alerts like this one is a misread")]
    #[case(0.000_01, "fewer than 1 in 10,000 alerts like this one is a misread")]
    fn words_have_two_digits(#[case] misread: f64, #[case] words: &str) {
        assert_eq!(Odds { misread, text: 0.9, density: 0.1, road: ROAD }.in_words(), words);
    }
}
