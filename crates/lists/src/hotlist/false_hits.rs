//! Estimates how many false hits a list will give.
//!
//! In: the loaded list, how it is matched, how many plates are read and how many of them wrongly.
//! Out: the expected number of hits that are not the listed vehicle. Costs: one pass over the
//! list's keys when it is loaded, nothing afterwards.
//!
//! The arithmetic (FIELD 3d; docs/decisions/0079):
//!
//! ```text
//! false hits = reads x (misread rate + texts tried besides the read's own) x P(a text is listed)
//!            + reads x sum over patterns of P(a plate fits)                   (wildcards only)
//! ```
//!
//! *P(a text is listed)* is the list's density among the plates on the road. A misread text is
//! close to the plate that was read. Plates are issued in series, so the misread text is most often
//! another plate of the same series, which is on the road too. Of *n* listed plates among *M* on
//! the road, a misread therefore meets one about *n* times in *M*, whether they are neighbours or
//! scattered. `false_hits/simulation.rs` compares this with misreads as our readers make them.
//!
//! *M* is not in the list. What the list shows is how many texts its plates may be drawn from:
//! place by place, the perplexity of its characters, two to the power of their entropy. A long list
//! that spreads over its region shows this well; a short one, or one of a single fleet, does not.
//! So the estimate is kept between the number of plates that are surely on the road
//! ([`ON_THE_ROAD`]) and what the list's length allows ([`LISTED_OF`]). A list of a million among
//! ten million plausible plates has a density of a tenth, and 10,000 reads of which 2 % are wrong
//! then give 20 false hits under exact matching.

use std::collections::BTreeMap;

use super::{Hotlist, Matching};
use crate::plate::{ListedPlate, MAX_PLATE_LEN, PlateKey};

/// Reads in a busy shift (FIELD 3d), for which false hits are reported.
pub const SHIFT_READS: u64 = 10_000;

/// Share of reads with a wrong character, until a reader has been measured on the car's own roads
/// (FIELD 3d). Our models do better by day and worse in rain: docs/evaluation.
pub const MISREAD_RATE: f64 = 0.02;

/// Texts that look-alike matching tries for a read besides its own, on average. Assumed, not measured:
/// it lies between 0 for a plate read close and by day and 63, the most, for one read at its limit
/// (docs/decisions/0079).
pub const TEXTS_TRIED: f64 = 3.0;

/// Least number of plates on the road: that of a small state or province. Assumed: where there are
/// fewer, false hits are more frequent in proportion.
pub const ON_THE_ROAD: f64 = 1_000_000.0;

/// Out of this many plates on the road one is assumed to be listed, unless the list itself shows
/// that it is drawn from fewer. Assumed, towards more false hits: NCIC's file of about five
/// million, the largest list known to us, has one in 56 of the vehicles registered in the USA.
pub const LISTED_OF: f64 = 20.0;

/// Keys that are sampled; more do not change the third digit.
const SAMPLE: usize = 200_000;

/// How a list's plates are distributed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// For each format, its number of entries and of plausible texts.
    formats: Vec<Spread>,
    entries: usize,
    /// The probability that a plate fits one of the patterns.
    patterns: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Spread {
    entries: f64,
    plausible: f64,
}

/// Counts of the characters of one format, place by place.
type Counts = [[u32; 36]; MAX_PLATE_LEN];

impl Shape {
    /// Measures a list: one pass over its keys.
    pub fn of_list(list: &Hotlist) -> Self {
        Self::of(list.keys(), list.patterns().map(|entry| entry.plate))
    }

    /// Measures packed keys and patterns that are not a list in memory: the author's, before any
    /// car has them.
    pub fn of_keys(keys: &[u64], patterns: &[ListedPlate]) -> Self {
        Self::of(keys.iter().copied(), patterns.iter().copied())
    }

    /// Measures a list's packed keys (in any order; those of patterns are skipped) and patterns.
    fn of(
        keys: impl ExactSizeIterator<Item = u64>,
        patterns: impl Iterator<Item = ListedPlate>,
    ) -> Self {
        // Seven of ten slots of an index are filled.
        let step = (keys.len() * 7 / 10).div_ceil(SAMPLE).max(1);
        let mut entries = 0;
        let mut formats: BTreeMap<(usize, u16), (u32, Box<Counts>)> = BTreeMap::new();
        for (n, key) in keys.filter(|key| *key != 0).enumerate() {
            entries += 1;
            if n % step != 0 {
                continue;
            }
            let symbols = PlateKey::symbols_of(key);
            let letters = symbols
                .iter()
                .enumerate()
                .fold(0_u16, |mask, (at, s)| mask | u16::from(*s >= 10) << at);
            let (count, counts) = formats
                .entry((symbols.len(), letters))
                .or_insert_with(|| (0, Box::new([[0; 36]; MAX_PLATE_LEN])));
            *count += 1;
            for (at, symbol) in symbols.iter().enumerate() {
                counts[at][usize::from(*symbol)] += 1;
            }
        }
        let entries_of_all = entries;
        let spread = |((length, letters), (count, counts)): ((usize, u16), (u32, Box<Counts>))| {
            let entries = f64::from(count) * step as f64;
            let letter = |at: usize| letters >> at & 1 == 1;
            let texts: f64 = (0..length).map(|at| kinds(letter(at)) as f64).product();
            let spread = (0..length).map(|at| perplexity(&counts[at], letter(at))).product();
            // Among the plates on the road, a format is assumed to have the same share as in the
            // list.
            let least = (ON_THE_ROAD * entries / entries_of_all.max(1) as f64).min(texts);
            let most = least.max(entries * LISTED_OF).min(texts);
            Spread { entries, plausible: f64::clamp(spread, least, most) }
        };
        Self {
            formats: formats.into_iter().map(spread).collect(),
            entries,
            patterns: patterns.map(|p| fit(p.expose())).sum(),
        }
    }

    /// The probability that a text which looks like one of this list's plates is listed.
    pub fn density(&self) -> f64 {
        let all: f64 = self.formats.iter().map(|f| f.entries).sum();
        if all == 0.0 {
            return 0.0;
        }
        // Among the passing plates, a format is assumed to have the same share as in the list.
        self.formats.iter().map(|f| f.entries / all * (f.entries / f.plausible).min(1.0)).sum()
    }

    /// Number of plates, without patterns.
    pub fn entries(&self) -> usize {
        self.entries
    }
}

/// The expected number of false hits among `reads`, of which `misread_rate` (0 to 1) have a wrong
/// character.
pub fn expected_false_hits(
    shape: &Shape,
    matching: Matching,
    reads: u64,
    misread_rate: f64,
) -> f64 {
    let tried = if matching >= Matching::LookAlike { TEXTS_TRIED } else { 0.0 };
    let fitting = if matching == Matching::Wildcard { shape.patterns } else { 0.0 };
    reads as f64 * ((misread_rate + tried) * shape.density() + fitting)
}

/// The effective number of characters at a place. One of each kind is added to the counts, so that
/// a list of a few plates does not look as if it had all there are.
fn perplexity(counts: &[u32; 36], letter: bool) -> f64 {
    let seen = if letter { &counts[10..] } else { &counts[..10] };
    let kinds = kinds(letter);
    let used = seen.iter().filter(|n| **n > 0).count();
    let all = seen.iter().map(|n| f64::from(*n)).sum::<f64>() + kinds as f64;
    let entropy: f64 = seen
        .iter()
        .filter(|n| **n > 0)
        .map(|n| (f64::from(*n) + 1.0) / all)
        .chain(std::iter::repeat_n(1.0 / all, kinds.saturating_sub(used)))
        .map(|p| -p * p.log2())
        .sum();
    entropy.exp2()
}

/// The number of characters that a place can have: folded text has no I, O and Q.
fn kinds(letter: bool) -> usize {
    if letter { 23 } else { 10 }
}

/// A number of false hits for people: with as many digits as are meaningful, and never zero for a
/// small number.
pub fn in_words(hits: f64) -> String {
    match hits {
        h if h <= 0.0 => "0".into(),
        h if h < 0.001 => "under 0.001".into(),
        h if h < 0.1 => format!("{h:.3}"),
        h if h < 10.0 => format!("{h:.1}"),
        h => format!("{h:.0}"),
    }
}

/// The probability that a plate on the road fits a pattern: each stated letter counts one in 23,
/// each digit one in ten. That its length must fit too is left out, which errs towards more false
/// hits.
fn fit(pattern: &str) -> f64 {
    pattern
        .bytes()
        .map(|c| match c {
            b'?' | b'*' => 1.0,
            c if c.is_ascii_digit() => 0.1,
            _ => 1.0 / 23.0,
        })
        .product()
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plate::Plate;

    pub(super) fn shape(plates: &[String]) -> Shape {
        let keys: Vec<_> = plates.iter().map(|p| Plate::parse(p).unwrap().key().get()).collect();
        Shape::of(keys.into_iter(), std::iter::empty())
    }

    /// One in `of` of a million plausible plates (ten letters in three places, three digits).
    fn one_in(of: usize) -> Vec<String> {
        let letter = |n: usize| char::from(b"ABCDEFGHJK"[n % 10]);
        (0..1_000_000)
            // They are scattered: a list that has every tenth number is another case.
            .filter(|n| {
                (*n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 < (1 << 24) / of as u64
            })
            .map(|n| {
                format!(
                    "{}{}{}{:03}",
                    letter(n / 100_000),
                    letter(n / 10_000),
                    letter(n / 1000),
                    n % 1000
                )
            })
            .collect()
    }

    #[test]
    fn tenth_of_the_plausible_plates_listed_gives_twenty_false_hits_a_shift() {
        let shape = shape(&one_in(10));
        assert!((99_000..101_000).contains(&shape.entries()), "{}", shape.entries());
        let exact = expected_false_hits(&shape, Matching::Exact, SHIFT_READS, MISREAD_RATE);
        assert!((exact - 20.0).abs() < 0.4, "{exact}");
        let alike = expected_false_hits(&shape, Matching::LookAlike, SHIFT_READS, MISREAD_RATE);
        assert!((alike / exact - (0.02 + TEXTS_TRIED) / 0.02).abs() < 1e-6, "{alike}");
    }

    #[test]
    fn list_half_as_dense_gives_half_as_many() {
        let [dense, thin] = [5, 10].map(|of| shape(&one_in(of)).density());
        assert!((dense / thin - 2.0).abs() < 0.02, "{dense} {thin}");
    }

    #[test]
    fn list_of_a_few_plates_does_not_pass_for_all_there_are() {
        let few = shape(&["CKSV841".into(), "BMNT220".into(), "AHKC512".into()]);
        assert!(few.density() < 1e-5, "{}", few.density());
        assert_eq!(shape(&[]).density(), 0.0);
    }

    #[test]
    fn formats_count_by_themselves() {
        // A complete format of ten thousand beside a sparse one.
        let mut plates: Vec<String> = (0..10_000).map(|n| format!("{n:04}")).collect();
        plates.extend((0..10_000).map(|n| format!("ABC{:04}", n * 7 % 10_000)));
        let density = shape(&plates).density();
        assert!(
            density > 0.45,
            "half of the list is in a format of which all are listed: {density}"
        );
    }

    #[test]
    fn pattern_adds_what_fits_it_and_only_where_wildcards_are_used() {
        let patterns = ["CKS*", "?84?1"].map(|p| ListedPlate::parse(p).unwrap());
        let shape = Shape::of([].into_iter(), patterns.into_iter());
        let hits = |m| expected_false_hits(&shape, m, 10_000, 0.02);
        assert_eq!(hits(Matching::LookAlike), 0.0);
        let expected = 10_000.0 * (1.0 / 23.0_f64.powi(3) + 0.001);
        assert!((hits(Matching::Wildcard) - expected).abs() < 1e-9);
    }
}
