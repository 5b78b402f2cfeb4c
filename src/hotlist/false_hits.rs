//! How many false hits a list must be expected to give.
//!
//! In: the loaded list, how it is matched, how many plates are read and how many of them wrongly. Out:
//! hits that are not the listed vehicle. Costs: one pass over the list's keys when it is loaded,
//! nothing afterwards.
//!
//! The arithmetic (FIELD 3d; docs/decisions/0079):
//!
//! ```text
//! false hits = reads x (misread rate + texts tried besides the read's own) x P(a text is listed)
//!            + reads x sum over patterns of P(a plate fits)                   (wildcards only)
//! ```
//!
//! *P(a text is listed)* is the list's density. A plate has a format: which places are letters and
//! which digits. Not all texts of a format are on the road: provinces hand plates out in series, so
//! the first letters say little. How many texts are plausible is taken from the list itself, place by
//! place: the perplexity of its characters there, two to the power of their entropy. A list of a million
//! among ten million plausible plates has a density of a tenth, and 10,000 reads of which 2 % are wrong
//! then give 20 false hits under exact matching.

use std::collections::BTreeMap;

use super::{Hotlist, Matching};
use crate::plate::{ListedPlate, MAX_PLATE_LEN, PlateKey};

/// Reads of a busy shift (FIELD 3d): what false hits are told for.
pub const SHIFT_READS: u64 = 10_000;

/// Share of reads with a wrong character, until a reader has been measured on the car's own roads
/// (FIELD 3d). Our models do better by day and worse in rain: docs/evaluation.
pub const MISREAD_RATE: f64 = 0.02;

/// Texts that look-alike matching tries for a read besides its own, on average. Assumed, not measured:
/// it lies between 0 for a plate read close and by day and 63, the most, for one read at its limit
/// (docs/decisions/0079).
pub const TEXTS_TRIED: f64 = 3.0;

/// Keys that are looked at; more do not change the third digit.
const SAMPLE: usize = 200_000;

/// How a list's plates spread.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// Share of the list, and plausible texts, of each format.
    formats: Vec<Spread>,
    entries: usize,
    /// Of the patterns together: how probable it is that a plate fits.
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
    /// Looks at a list: one pass over its keys.
    pub fn of_list(list: &Hotlist) -> Self {
        Self::of(list.keys(), list.patterns().map(|entry| entry.plate))
    }

    /// Looks at packed keys and patterns that are no list in memory: the author's, before any car has it.
    pub fn of_keys(keys: &[u64], patterns: &[ListedPlate]) -> Self {
        Self::of(keys.iter().copied(), patterns.iter().copied())
    }

    /// Looks at a list's packed keys (in any order; those of patterns are passed over) and patterns.
    fn of(
        keys: impl ExactSizeIterator<Item = u64>,
        patterns: impl Iterator<Item = ListedPlate>,
    ) -> Self {
        // Of ten slots of an index seven are filled.
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
        let spread =
            |((length, letters), (count, counts)): ((usize, u16), (u32, Box<Counts>))| Spread {
                entries: f64::from(count) * step as f64,
                plausible: (0..length)
                    .map(|at| perplexity(&counts[at], letters >> at & 1 == 1))
                    .product(),
            };
        Self {
            formats: formats.into_iter().map(spread).collect(),
            entries,
            patterns: patterns.map(|p| fit(p.expose())).sum(),
        }
    }

    /// How probable it is that a text which looks like one of this list's is on it.
    pub fn density(&self) -> f64 {
        let all: f64 = self.formats.iter().map(|f| f.entries).sum();
        if all == 0.0 {
            return 0.0;
        }
        // A format's share among the passing plates is taken to be its share of the list.
        self.formats.iter().map(|f| f.entries / all * (f.entries / f.plausible).min(1.0)).sum()
    }

    /// Plates, patterns not counted.
    pub fn entries(&self) -> usize {
        self.entries
    }
}

/// False hits to be expected of a list among `reads`, of which `misread_rate` (0 to 1) have a wrong
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

/// How many characters are in effective use at a place. One of each kind is added to what was seen, so
/// that a list of a few plates does not pass for all there are.
fn perplexity(counts: &[u32; 36], letter: bool) -> f64 {
    // Folded text has no I, O and Q.
    const LETTERS: usize = 23;
    let seen = if letter { &counts[10..] } else { &counts[..10] };
    let kinds = if letter { LETTERS } else { 10 };
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

/// How probable it is that a plate on the road fits a pattern: each stated letter is one in 23, each
/// digit one in ten. That its length must fit too is left out, which errs towards more false hits.
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
mod tests {
    use super::*;
    use crate::plate::Plate;

    fn shape(plates: &[String]) -> Shape {
        let keys: Vec<_> = plates.iter().map(|p| Plate::parse(p).unwrap().key().get()).collect();
        Shape::of(keys.into_iter(), std::iter::empty())
    }

    /// Of a million plausible plates (ten letters in three places, three digits) one in `of`.
    fn one_in(of: usize) -> Vec<String> {
        let letter = |n: usize| char::from(b"ABCDEFGHJK"[n % 10]);
        (0..1_000_000)
            // Scattered: a list that has every tenth number is another matter.
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
        assert!(few.density() < 1e-6, "{}", few.density());
        assert_eq!(shape(&[]).density(), 0.0);
    }

    #[test]
    fn formats_count_by_themselves() {
        // A full format of ten thousand beside a thin one.
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
