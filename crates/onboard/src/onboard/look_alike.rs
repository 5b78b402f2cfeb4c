//! The texts that a vote considers possible, likeliest first.
//!
//! In: voted slots. Out: folded keys in order of probability, each once, down to a fraction of the
//! likeliest one's. Costs: a heap operation per text and slot. Leaves to others: looking the texts
//! up (the matcher).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use arrayvec::ArrayVec;

use super::vision::candidate::{Slot, Slots};
use crate::plate::{MAX_PLATE_LEN, PlateKey, SYMBOLS, fold};

/// Texts less likely than this fraction of the likeliest are left out.
///
/// A vote passes at 0.9 for the weakest character, so its strongest rival has at most 0.1: this
/// ratio lets through every single substitution with 0.1 % or more, and pairs of the likelier ones.
/// Smaller probabilities come from the smoothing of the vote, not from anything that was seen.
pub(super) const LEAST_RATIO: f32 = 1e-3;

/// Most texts, the likeliest included. 64 look-ups cost about 10 µs.
pub(super) const MOST_TEXTS: usize = 64;

/// A slot's symbols, likeliest first: each folded, with its log probability relative to the first.
type Ranked = ArrayVec<(u8, f32), 36>;

/// Texts in order of probability: an iterator over (key, probability relative to the likeliest).
pub(super) struct LookAlikes {
    slots: ArrayVec<Ranked, MAX_PLATE_LEN>,
    open: BinaryHeap<Text>,
    least: f32,
}

/// One text: for each slot, the rank of its symbol.
#[derive(PartialEq)]
struct Text {
    log: f32,
    ranks: ArrayVec<u8, MAX_PLATE_LEN>,
    /// The last slot whose rank is not 0. Children change this slot or a later one, so that each
    /// text has exactly one parent and is made once.
    last: usize,
}

impl Eq for Text {}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of equally likely texts the one that differs later comes first: any fixed order makes
        // drives replay exactly.
        self.log.total_cmp(&other.log).then_with(|| other.ranks.cmp(&self.ranks))
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl LookAlikes {
    /// The texts of `slots` that are at least `least_ratio` as likely as the likeliest.
    pub(super) fn of(slots: &Slots, least_ratio: f32) -> Self {
        let least = least_ratio.ln();
        let slots: ArrayVec<Ranked, MAX_PLATE_LEN> =
            slots.iter().map(|slot| ranked(slot, least_ratio)).collect();
        // The number of texts that 64 texts of seven slots leave open.
        let mut open = BinaryHeap::with_capacity(4 * MOST_TEXTS);
        if !slots.is_empty() {
            let ranks = slots.iter().map(|_| 0).collect();
            open.push(Text { log: 0.0, ranks, last: 0 });
        }
        Self { slots, open, least }
    }
}

impl Iterator for LookAlikes {
    type Item = (PlateKey, f32);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.open.pop()?;
        for place in text.last..self.slots.len() {
            let rank = usize::from(text.ranks[place]);
            let Some((_, log)) = self.slots[place].get(rank + 1) else { continue };
            let log = text.log - self.slots[place][rank].1 + log;
            if log >= self.least {
                let mut ranks = text.ranks.clone();
                ranks[place] += 1;
                self.open.push(Text { log, ranks, last: place });
            }
        }
        let symbols = text.ranks.iter().zip(&self.slots).map(|(r, slot)| slot[usize::from(*r)].0);
        let key = PlateKey::of_folded(symbols).expect("1 to 12 slots");
        Some((key, text.log.exp()))
    }
}

fn ranked(slot: &Slot, least_ratio: f32) -> Ranked {
    let mut mass = [0.0_f32; 36];
    for (symbol, p) in SYMBOLS.iter().zip(slot.0) {
        mass[usize::from(crate::plate::symbol_index(fold(*symbol)))] += p;
    }
    let best = mass.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let mut ranked: Ranked = SYMBOLS
        .iter()
        .zip(mass)
        // A logarithm is expensive, and most symbols are far below the limit.
        .filter(|(_, p)| *p >= best * least_ratio)
        .map(|(symbol, p)| (*symbol, (p / best).ln()))
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plate::Plate;

    fn slots(of: &[&[(u8, f32)]]) -> Slots {
        of.iter()
            .map(|symbols| {
                let mut slot = Slot([0.0; 36]);
                for (c, p) in *symbols {
                    slot.0[usize::from(crate::plate::symbol_index(*c))] = *p;
                }
                slot
            })
            .collect()
    }

    fn key(text: &str) -> PlateKey {
        Plate::parse(text).unwrap().key()
    }

    #[test]
    fn likeliest_first_and_each_once() {
        let slots = slots(&[&[(b'5', 0.9), (b'S', 0.1)], &[(b'3', 0.6), (b'7', 0.3), (b'2', 0.1)]]);
        let found: Vec<_> = LookAlikes::of(&slots, 1e-3).collect();
        let keys: Vec<_> = found.iter().map(|f| f.0).collect();
        assert_eq!(keys, ["53", "57", "52", "S3", "S7", "S2"].map(key));
        assert!((found[1].1 - 0.5).abs() < 1e-6);
    }

    #[test]
    fn letters_that_lists_cannot_keep_apart_are_one() {
        let slots = slots(&[&[(b'O', 0.3), (b'0', 0.3), (b'Q', 0.2), (b'D', 0.2)]]);
        let found: Vec<_> = LookAlikes::of(&slots, 1e-3).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].0, key("0"));
        assert!((found[1].1 - 0.25).abs() < 1e-6);
    }

    #[test]
    fn nothing_read_offers_nothing() {
        assert_eq!(LookAlikes::of(&Slots::new(), 1e-3).count(), 0);
    }

    proptest! {
        /// Compared with every possible text, over three symbols (A B C) and up to five slots.
        #[test]
        fn order_and_completeness_against_brute_force(
            weights in prop::collection::vec(prop::array::uniform3(0.0..1.0_f32), 1..=5),
            ratio in 0.001..0.5_f32,
        ) {
            let symbols: Vec<Vec<(u8, f32)>> = weights
                .iter()
                .map(|w| b"ABC".iter().copied().zip(*w).collect())
                .collect();
            let slots = slots(&symbols.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let found: Vec<_> = LookAlikes::of(&slots, ratio).collect();

            let mut all = vec![(String::new(), 1.0_f64)];
            for slot in &symbols {
                let best = f64::from(slot.iter().map(|s| s.1).fold(0.0, f32::max));
                all = all
                    .iter()
                    .flat_map(|(text, p)| slot.iter().map(move |(c, q)| {
                        (format!("{text}{}", char::from(*c)), p * f64::from(*q) / best)
                    }))
                    .collect();
            }
            // At the edge of the ratio rounding decides: both sides get a small margin.
            let ratio = f64::from(ratio);
            for (text, p) in &all {
                let present = found.iter().filter(|f| f.0 == key(text)).count();
                prop_assert!(present <= 1);
                if *p > ratio * 1.001 { prop_assert_eq!(present, 1); }
                if *p < ratio * 0.999 { prop_assert_eq!(present, 0); }
            }
            for pair in found.windows(2) {
                prop_assert!(pair[0].1 >= pair[1].1 - 1e-6);
            }
        }
    }
}
