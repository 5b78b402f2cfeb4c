//! Converts CTC logits to one distribution per character.
//!
//! The vote and the look-alike matching need alternatives, so the best text is not enough. The text
//! is the best path, improved until no single edit makes it likelier. Then each character's
//! distribution is computed exactly: the probability of the whole text with that character replaced
//! by each other symbol, summed over all alignments (forward-backward), compared with the texts in
//! which it is missing or another is inserted beside it. So a slot has 0.9 only if nothing else is
//! likely at this place: no other letter, no letter less and no letter more.
//!
//! Cost: about 50 µs for seven characters over 40 steps, a fortieth of the OCR itself.

use super::candidate::{Slot, Slots};
use crate::plate::MAX_PLATE_LEN;

/// Index of blank in a step; symbols come before it, in the order of `plate::SYMBOLS`.
const BLANK: usize = 36;
/// Probabilities of the 36 symbols and blank.
type Step = [f64; 37];

/// Most edits from the best path: it is nearly always the best text already, and each round costs
/// as much as the whole.
const MOST_EDITS: usize = 4;

/// Converts logits, `classes.len()` per step, to slots; the result is empty if no character is
/// seen, or more than a plate has.
///
/// With several looks at one plate, every text's probability is the geometric mean over the looks,
/// so that a text which any look excludes is excluded. The looks need not agree at which step a
/// character is.
pub(super) fn slots(looks: &[&[f32]], classes: &[Option<u8>], temperature: f32) -> Slots {
    let looks: Vec<_> = looks.iter().map(|l| probabilities(l, classes, temperature)).collect();
    let around = |text: &[u8]| Neighbours::of_all(&looks, text);
    // Starts from the likeliest of the best paths; they are nearly always the same.
    let mut paths: Vec<Vec<u8>> = looks.iter().map(|steps| best_path(steps)).collect();
    paths.sort_unstable();
    paths.dedup();
    let begin = paths.into_iter().filter(|text| text.len() <= MAX_PLATE_LEN);
    let begin = begin.map(|text| (around(&text), text));
    let Some((mut edits, mut text)) = begin.max_by(|a, b| a.0.whole.total_cmp(&b.0.whole)) else {
        return Slots::new();
    };
    for _ in 0..MOST_EDITS {
        let Some(better) = edits.likelier(&text) else { break };
        if better.len() > MAX_PLATE_LEN {
            return Slots::new();
        }
        text = better;
        edits = around(&text);
    }
    edits.slots()
}

fn probabilities(logits: &[f32], classes: &[Option<u8>], temperature: f32) -> Vec<Step> {
    logits
        .chunks_exact(classes.len())
        .map(|one| {
            let top = one.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut step = [0.0; 37];
            for (logit, class) in one.iter().zip(classes) {
                let p = f64::from((logit - top) / temperature).exp();
                step[class.map_or(BLANK, usize::from)] += if p.is_finite() { p } else { 0.0 };
            }
            let sum: f64 = step.iter().sum();
            if sum > 0.0 {
                step.iter_mut().for_each(|p| *p /= sum);
            } else {
                step[BLANK] = 1.0; // logits that are not numbers say nothing
            }
            step
        })
        .collect()
}

/// The likeliest class of each step, without repeats and blanks.
fn best_path(steps: &[Step]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut last = BLANK;
    for step in steps {
        let best = (0..=BLANK).max_by(|a, b| step[*a].total_cmp(&step[*b])).expect("37 classes");
        if best != last && best != BLANK {
            text.push(u8::try_from(best).expect("36 symbols"));
        }
        last = best;
    }
    text
}

/// Probabilities of a text and of all texts one edit away from it.
struct Neighbours {
    /// Of the text itself.
    whole: f64,
    /// With character `i` replaced by each symbol; its own symbol gives `whole`.
    replaced: Vec<[f64; 36]>,
    /// With character `i` left out.
    removed: Vec<f64>,
    /// With each symbol put in before character `i`, and at the end.
    inserted: Vec<[f64; 36]>,
}

impl Neighbours {
    fn of(steps: &[Step], text: &[u8]) -> Self {
        let lattice = Lattice::new(steps, text);
        let n = text.len();
        let replaced = (0..n).map(|i| lattice.with_symbol(i, i + 1)).collect();
        let inserted = (0..=n).map(|i| lattice.with_symbol(i, i)).collect();
        let removed = (0..n).map(|i| lattice.without(i)).collect();
        Self { whole: lattice.whole(), replaced, removed, inserted }
    }

    /// The geometric mean over several looks.
    fn of_all(looks: &[Vec<Step>], text: &[u8]) -> Self {
        let mut all = looks.iter().map(|steps| Self::of(steps, text));
        let mut mean = all.next().expect("there is a look");
        if looks.len() > 1 {
            for mut other in all {
                mean.values().zip(other.values()).for_each(|(a, b)| *a *= *b);
            }
            mean.values().for_each(|p| *p = p.powf(1.0 / looks.len() as f64));
        }
        mean
    }

    /// All its probabilities, in a fixed order.
    fn values(&mut self) -> impl Iterator<Item = &mut f64> {
        let symbols = self.replaced.iter_mut().chain(&mut self.inserted).flatten();
        std::iter::once(&mut self.whole).chain(&mut self.removed).chain(symbols)
    }

    /// The likeliest text one edit away, if it is likelier than the text itself.
    fn likelier(&self, text: &[u8]) -> Option<Vec<u8>> {
        // Rounding must not make two equally likely texts alternate.
        let mut best = self.whole * (1.0 + 1e-9);
        let mut better = None;
        let mut offer = |p: f64, edited: &dyn Fn() -> Vec<u8>| {
            if p > best {
                best = p;
                better = Some(edited());
            }
        };
        for (i, symbols) in self.replaced.iter().enumerate() {
            for (s, p) in (0..36).zip(symbols) {
                offer(*p, &|| [&text[..i], &[s], &text[i + 1..]].concat());
            }
        }
        for (i, p) in self.removed.iter().enumerate() {
            offer(*p, &|| [&text[..i], &text[i + 1..]].concat());
        }
        for (i, symbols) in self.inserted.iter().enumerate() {
            for (s, p) in (0..36).zip(symbols) {
                offer(*p, &|| [&text[..i], &[s], &text[i..]].concat());
            }
        }
        better
    }

    fn slots(&self) -> Slots {
        let mut slots = Slots::new();
        for (i, symbols) in self.replaced.iter().enumerate() {
            let extra: f64 = self.inserted[i + 1].iter().sum::<f64>()
                + if i == 0 { self.inserted[0].iter().sum() } else { 0.0 };
            let all = symbols.iter().sum::<f64>() + self.removed[i] + extra;
            let mut slot = Slot([0.0; 36]);
            if all > 0.0 {
                for (p, symbol) in slot.0.iter_mut().zip(symbols) {
                    *p = (symbol / all) as f32;
                }
            }
            slots.push(slot);
        }
        slots
    }
}

/// Forward and backward sums over all alignments of a text.
///
/// States are blank, first character, blank, second character, ..., blank: state `2i` is the blank
/// before character `i`, state `2i + 1` is character `i`.
struct Lattice<'a> {
    steps: &'a [Step],
    text: &'a [u8],
    /// `forward[t][s]`: the sum over all ways to be in state `s` at step `t`, that step included.
    forward: Vec<Vec<f64>>,
    /// `backward[t][s]`: the sum over all ways from state `s` at step `t` to a valid end, that step
    /// included.
    backward: Vec<Vec<f64>>,
}

impl<'a> Lattice<'a> {
    fn new(steps: &'a [Step], text: &'a [u8]) -> Self {
        let states = 2 * text.len() + 1;
        let class = |s: usize| if s.is_multiple_of(2) { BLANK } else { usize::from(text[s / 2]) };
        // Going two states ahead skips a blank, which is required between equal characters.
        let may_skip = |from: usize, to: usize| to % 2 == 1 && class(from) != class(to);
        let mut forward = vec![vec![0.0; states]; steps.len()];
        let mut backward = forward.clone();
        for (t, step) in steps.iter().enumerate() {
            for s in 0..states {
                let mut reach = 0.0;
                if t == 0 {
                    reach = if s < 2 { 1.0 } else { 0.0 };
                } else {
                    let before = &forward[t - 1];
                    reach += before[s];
                    reach += if s > 0 { before[s - 1] } else { 0.0 };
                    reach += if s > 1 && may_skip(s - 2, s) { before[s - 2] } else { 0.0 };
                }
                forward[t][s] = reach * step[class(s)];
            }
        }
        for (t, step) in steps.iter().enumerate().rev() {
            for s in 0..states {
                let mut rest = 0.0;
                if t + 1 == steps.len() {
                    rest = if s + 2 >= states { 1.0 } else { 0.0 };
                } else {
                    let after = &backward[t + 1];
                    rest += after[s];
                    rest += if s + 1 < states { after[s + 1] } else { 0.0 };
                    rest += if s + 2 < states && may_skip(s, s + 2) { after[s + 2] } else { 0.0 };
                }
                backward[t][s] = rest * step[class(s)];
            }
        }
        Self { steps, text, forward, backward }
    }

    fn whole(&self) -> f64 {
        self.backward.first().map_or(1.0, |b| b[0] + b.get(1).copied().unwrap_or(0.0))
    }

    /// The sums over all ways to read the first `left` characters before step `t`, ending in the
    /// blank after them, and in the last of them.
    fn before(&self, left: usize, t: usize) -> (f64, f64) {
        if t == 0 {
            return (if left == 0 { 1.0 } else { 0.0 }, 0.0);
        }
        let forward = &self.forward[t - 1];
        (forward[2 * left], if left > 0 { forward[2 * left - 1] } else { 0.0 })
    }

    /// The sums over all ways to read the characters from `right` on after step `t`, starting in
    /// the blank before them, and in the first of them.
    fn after(&self, right: usize, t: usize) -> (f64, f64) {
        let n = self.text.len();
        match self.backward.get(t + 1) {
            Some(backward) => {
                (backward[2 * right], if right < n { backward[2 * right + 1] } else { 0.0 })
            }
            None => (if right == n { 1.0 } else { 0.0 }, 0.0),
        }
    }

    /// For each symbol, the probability of the first `left` characters, that symbol, and the
    /// characters from `right` on.
    fn with_symbol(&self, left: usize, right: usize) -> [f64; 36] {
        let previous = left.checked_sub(1).map(|i| usize::from(self.text[i]));
        let next = self.text.get(right).map(|s| usize::from(*s));
        let (mut inside, mut total) = ([0.0; 36], [0.0; 36]);
        for (t, step) in self.steps.iter().enumerate() {
            let (blank_before, char_before) = self.before(left, t);
            let (blank_after, char_after) = self.after(right, t);
            let (enter, leave) = (blank_before + char_before, blank_after + char_after);
            for s in 0..36 {
                // A blank is required between equal neighbours.
                let enter = if previous == Some(s) { blank_before } else { enter };
                let leave = if next == Some(s) { blank_after } else { leave };
                inside[s] = (inside[s] + enter) * step[s];
                total[s] += inside[s] * leave;
            }
        }
        total
    }

    /// Probability of the text without character `i`.
    fn without(&self, i: usize) -> f64 {
        let n = self.text.len();
        let Some(next) = self.text.get(i + 1) else {
            let last = &self.forward[self.steps.len() - 1];
            return last[2 * i] + if i > 0 { last[2 * i - 1] } else { 0.0 };
        };
        debug_assert!(i + 1 < n);
        let parted = i > 0 && self.text[i - 1] == *next;
        (0..self.steps.len())
            .map(|t| {
                let (blank, character) = self.before(i, t);
                let enter = blank + if parted { 0.0 } else { character };
                enter * self.backward[t][2 * i + 3]
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plate::{SYMBOLS, symbol_index};

    fn classes() -> Vec<Option<u8>> {
        std::iter::once(None).chain((0..36).map(Some)).collect()
    }

    /// Logits whose steps favour the given characters; `-` is blank.
    fn logits(path: &str, by: f32) -> Vec<f32> {
        path.bytes()
            .flat_map(|c| {
                let mut step = vec![0.0; 37];
                step[if c == b'-' { 0 } else { usize::from(symbol_index(c)) + 1 }] = by;
                step
            })
            .collect()
    }

    fn text(slots: &Slots) -> String {
        slots.iter().map(|s| char::from(s.best().0)).collect()
    }

    /// The probability of a text by trying every path, for small cases.
    fn brute_force(steps: &[Step], text: &[u8]) -> f64 {
        fn go(steps: &[Step], last: usize, rest: &[u8]) -> f64 {
            let Some((step, steps)) = steps.split_first() else {
                return if rest.is_empty() { 1.0 } else { 0.0 };
            };
            (0..37)
                .map(|c| {
                    if c == BLANK || c == last {
                        step[c] * go(steps, c, rest)
                    } else if rest.first().is_some_and(|r| usize::from(*r) == c) {
                        step[c] * go(steps, c, &rest[1..])
                    } else {
                        0.0
                    }
                })
                .sum()
        }
        go(steps, BLANK, text)
    }

    #[test]
    fn repeats_need_a_blank_between_them() {
        let read = |path: &str| text(&slots(&[&logits(path, 12.0)], &classes(), 1.0));
        assert_eq!(read("--AA--BB-C-"), "ABC");
        assert_eq!(read("--A-A--BB-B"), "AABB");
        assert_eq!(read("----"), "");
    }

    #[test]
    fn sure_steps_give_sure_characters() {
        let slots = slots(&[&logits("-A-B-1-2-", 14.0)], &classes(), 1.0);
        assert!(slots.iter().all(|s| s.best().1.get() > 0.999), "{:?}", text(&slots));
    }

    #[test]
    fn doubt_between_two_letters_shows_both_and_leaves_the_others_sure() {
        let mut l = logits("-A-8-C-", 12.0);
        l[3 * 37 + usize::from(symbol_index(b'B')) + 1] = 11.5;
        let slots = slots(&[&l], &classes(), 1.0);
        assert_eq!(text(&slots), "A8C");
        let (eight, b) = (slots[1].0[8], slots[1].0[11]);
        assert!((eight - 0.62).abs() < 0.02 && (b - 0.38).abs() < 0.02, "{eight} {b}");
        assert!(slots[0].best().1.get() > 0.99 && slots[2].best().1.get() > 0.99);
    }

    #[test]
    fn character_that_may_not_be_there_is_doubtful() {
        let mut l = logits("-A-B-1-", 12.0);
        l[5 * 37] = 12.2; // blank about as likely as the 1
        let slots = slots(&[&l], &classes(), 1.0);
        let weakest = slots.iter().map(|s| s.best().1.get()).fold(1.0, f32::min);
        assert!(weakest < 0.6, "{} {weakest}", text(&slots));
    }

    #[test]
    fn many_alignments_beat_one_best_path() {
        // Each step favours blank a little, but an A somewhere is likelier than none at all.
        let mut l = Vec::new();
        for _ in 0..4 {
            let mut step = vec![-20.0; 37];
            (step[0], step[11]) = (0.3, 0.0);
            l.extend(step);
        }
        assert_eq!(text(&slots(&[&l], &classes(), 1.0)), "A");
    }

    #[test]
    fn looks_that_see_it_elsewhere_agree_and_looks_that_see_another_doubt() {
        // The second look has everything one step later.
        let (first, later) = (logits("-A-8-C--", 12.0), logits("--A-8-C-", 12.0));
        let weakest = |s: &Slots| s.iter().map(|s| s.best().1.get()).fold(1.0, f32::min);
        let joined = slots(&[&first, &later], &classes(), 1.0);
        assert_eq!(text(&joined), "A8C");
        assert!(weakest(&joined) > 0.99);
        let mut first = first;
        first[3 * 37 + usize::from(symbol_index(b'B')) + 1] = 9.0;
        let mut other = logits("--A-B-C-", 11.0);
        other[4 * 37 + usize::from(symbol_index(b'8')) + 1] = 9.0;
        let joined = slots(&[&first, &other], &classes(), 1.0);
        assert_eq!(text(&joined), "A8C");
        assert!((0.5..0.99).contains(&joined[1].best().1.get()), "{}", weakest(&joined));
        let one_more = logits("A-8-C-1-", 4.0);
        let joined = slots(&[&first, &one_more], &classes(), 1.0);
        assert_eq!(text(&joined), "A8C");
        assert!(weakest(&joined) < 0.999, "{}", weakest(&joined));
    }

    #[test]
    fn longer_than_any_plate_is_no_reading() {
        let path = "A-B-".repeat(7);
        assert!(slots(&[&logits(&path, 12.0)], &classes(), 1.0).is_empty());
    }

    #[test]
    fn logits_that_are_no_numbers_are_no_reading() {
        assert!(slots(&[&[f32::NAN; 37 * 5]], &classes(), 1.0).is_empty());
        assert!(slots(&[&[f32::NEG_INFINITY; 37 * 5]], &classes(), 1.0).is_empty());
        let _ = slots(&[&[f32::INFINITY; 37 * 5]], &classes(), 1.0);
    }

    #[test]
    fn higher_temperature_is_less_sure() {
        let l = logits("-A-B-", 5.0);
        let weakest =
            |t| slots(&[&l], &classes(), t).iter().map(|s| s.best().1.get()).fold(1.0, f32::min);
        assert!(weakest(1.0) > weakest(2.0));
    }

    /// Random logits over blank and three symbols; the others are excluded.
    fn few_symbols() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(prop::array::uniform4(-3.0_f32..3.0), 5).prop_map(|steps| {
            let mut l = Vec::new();
            for four in steps {
                let mut step = vec![f32::NEG_INFINITY; 37];
                step[..4].copy_from_slice(&four);
                l.extend(step);
            }
            l
        })
    }

    proptest! {
        #[test]
        fn edits_have_the_probability_of_the_edited_text(
            l in few_symbols(),
            text in prop::collection::vec(0_u8..3, 0..4),
        ) {
            let steps = probabilities(&l, &classes(), 1.0);
            let edits = Neighbours::of(&steps, &text);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
            prop_assert!(close(edits.whole, brute_force(&steps, &text)));
            for i in 0..=text.len() {
                for s in 0..3_u8 {
                    let put_in = [&text[..i], &[s], &text[i..]].concat();
                    let p = brute_force(&steps, &put_in);
                    prop_assert!(close(edits.inserted[i][usize::from(s)], p));
                    if i < text.len() {
                        let swapped = [&text[..i], &[s], &text[i + 1..]].concat();
                        let p = brute_force(&steps, &swapped);
                        prop_assert!(close(edits.replaced[i][usize::from(s)], p));
                    }
                }
                if i < text.len() {
                    let removed = [&text[..i], &text[i + 1..]].concat();
                    prop_assert!(close(edits.removed[i], brute_force(&steps, &removed)));
                }
            }
        }

        #[test]
        fn slots_are_distributions_and_no_edit_is_likelier(
            l in prop::collection::vec(-8.0_f32..8.0, 37 * 10),
        ) {
            let found = slots(&[&l], &classes(), 1.0);
            for slot in &found {
                let sum: f32 = slot.0.iter().sum();
                prop_assert!(slot.0.iter().all(|p| (0.0..=1.0).contains(p)));
                prop_assert!(sum <= 1.0 + 1e-5, "{sum}");
            }
            let steps = probabilities(&l, &classes(), 1.0);
            let read: Vec<u8> = found.iter().map(|s| symbol_index(s.best().0)).collect();
            let greedy = best_path(&steps);
            prop_assert!(
                Neighbours::of(&steps, &read).whole >= Neighbours::of(&steps, &greedy).whole * 0.999_999
            );
        }

        #[test]
        fn clear_steps_give_the_best_path(path in "(-{1,3}[0-9A-Z]{1,3}){1,8}-") {
            // Different characters within three steps are as clear as a single one.
            let l = logits(&path, 16.0);
            let steps = probabilities(&l, &classes(), 1.0);
            let best: String =
                best_path(&steps).iter().map(|s| char::from(SYMBOLS[usize::from(*s)])).collect();
            let found = slots(&[&l], &classes(), 1.0);
            if best.len() <= MAX_PLATE_LEN {
                prop_assert_eq!(text(&found), best);
            } else {
                prop_assert!(found.is_empty());
            }
        }
    }
}
