//! A doubtful plate is looked at again in another crop, and the readings are joined.
//!
//! A box a little too tight or too wide costs a character; another margin often settles it. Only
//! plates in doubt pay for it: those that are sure already, and those too poor to be read at all,
//! are left as they are. Measured in docs/decisions/0021-second-look.md.

use super::candidate::{Slot, Slots};

/// Least certain character from which a plate is sure enough.
///
/// Of the development half's single looks, 99.5 % of those above 0.98 are right, 93 % of those from
/// 0.9 to 0.98, 70 % of those below.
const SURE: f32 = 0.98;
/// Below this there is hardly a plate to read: of 18 such reads of labelled plates 3 were right.
const HOPELESS: f32 = 0.3;

/// By how much the second crop is wider than the first, as a fraction of the plate's size.
pub(super) const WIDER: f32 = 0.05;

/// Numbers of the readings to look at again.
pub(super) fn doubtful(read: &[Slots]) -> impl Iterator<Item = usize> + '_ {
    read.iter().enumerate().filter_map(|(i, slots)| {
        let weakest = slots.iter().map(|s| s.best().1.get()).reduce(f32::min)?;
        (HOPELESS..SURE).contains(&weakest).then_some(i)
    })
}

/// Joins looks at one plate: of the lengths read the likeliest, and of the looks of that length the
/// mean of each character's probabilities.
pub(super) fn join(looks: &[Slots]) -> Slots {
    let whole = |slots: &Slots| -> f32 {
        if slots.is_empty() { 0.0 } else { slots.iter().map(|s| s.best().1.get()).product() }
    };
    let votes = |n: usize| -> f32 { looks.iter().filter(|s| s.len() == n).map(whole).sum() };
    let length = looks.iter().map(|s| s.len()).max_by(|a, b| votes(*a).total_cmp(&votes(*b)));
    let Some(length) = length else { return Slots::new() };
    let alike: Vec<&Slots> = looks.iter().filter(|s| s.len() == length).collect();
    // Looks that saw another length doubt every character of this one.
    let all: f32 = looks.iter().map(whole).sum();
    let trust = if all > 0.0 { votes(length) / all } else { 1.0 };
    let share = trust / alike.len() as f32;
    (0..length)
        .map(|i| {
            let mut mean = Slot([0.0; 36]);
            for slots in &alike {
                mean.0.iter_mut().zip(&slots[i].0).for_each(|(m, p)| *m += p * share);
            }
            mean
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plate::symbol_index;

    fn read(text: &str, p: f32) -> Slots {
        text.bytes()
            .map(|c| {
                let mut slot = Slot([0.0; 36]);
                slot.0[usize::from(symbol_index(c))] = p;
                slot
            })
            .collect()
    }

    fn text(slots: &Slots) -> String {
        slots.iter().map(|s| char::from(s.best().0)).collect()
    }

    #[test]
    fn only_plates_in_doubt_are_looked_at_again() {
        let reads = [read("AB1", 0.999), read("AB1", 0.8), read("AB1", 0.1), Slots::new()];
        assert_eq!(doubtful(&reads).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn looks_that_agree_stay_and_looks_that_differ_share() {
        let joined = join(&[read("AB8", 0.9), read("ABB", 0.5)]);
        assert_eq!(text(&joined), "AB8");
        assert!((joined[0].best().1.get() - 0.7).abs() < 1e-6);
        assert!((joined[2].best().1.get() - 0.45).abs() < 1e-6);
    }

    #[test]
    fn another_length_costs_trust_and_the_likelier_length_wins() {
        let joined = join(&[read("AB12", 0.9), read("AB1", 0.6)]);
        assert_eq!(text(&joined), "AB12");
        assert!(joined[0].best().1.get() < 0.9);
        assert!(join(&[Slots::new(), Slots::new()]).is_empty());
    }
}
