//! The patterns of one list, compiled for matching with every read.
//!
//! In: the entries of a list whose plates are patterns. Out: those that a read fits. Costs: every
//! pattern is filed under one feature that a read must have to fit (mostly two neighbouring
//! characters), so that only patterns under the read's own features are tried: about thirty
//! features looked up and a handful of comparisons for a thousand patterns (`benches/matching.rs`).
//! A list without patterns costs nothing.

use arrayvec::ArrayVec;

use super::Entry;
use crate::clock::When;
use crate::plate::{MAX_PLATE_LEN, Plate, SYMBOLS, fold, pattern, symbol_index};

/// Patterns by the feature under which they are filed.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// Where each feature's patterns begin in `hung`, and the end of the last; empty without
    /// patterns.
    starts: Box<[u32]>,
    hung: Box<[Form]>,
    entries: Vec<Entry>,
}

/// How one pattern is compared.
#[derive(Debug, Clone)]
enum Form {
    /// Without `*`: which bits count, their values, and the entry's number.
    Fixed(u128, u128, u32),
    /// With `*`.
    Run(ArrayVec<u8, MAX_PLATE_LEN>, u32),
}

const N: usize = SYMBOLS.len();

/// The features, numbered: two neighbouring characters anywhere; a character at a position from the
/// start; a character anywhere.
const PAIRS: usize = N * N;
const PLACES: usize = MAX_PLATE_LEN * N;
const HOOKS: usize = PAIRS + PLACES + N;

/// Most features of a read.
const MOST: usize = 3 * MAX_PLATE_LEN;

fn pair(a: u8, b: u8) -> usize {
    usize::from(symbol_index(a)) * N + usize::from(symbol_index(b))
}

fn place(at: usize, c: u8) -> usize {
    PAIRS + at * N + usize::from(symbol_index(c))
}

fn anywhere(c: u8) -> usize {
    PAIRS + PLACES + usize::from(symbol_index(c))
}

impl Patterns {
    /// Compiles entries; those whose plate is not a pattern are skipped.
    pub(super) fn of(entries: impl Iterator<Item = Entry>) -> Self {
        let entries: Vec<_> = entries.filter(|entry| entry.plate.is_pattern()).collect();
        if entries.is_empty() {
            return Self::default();
        }
        let mut by_hook: Vec<Vec<Form>> = vec![Vec::new(); HOOKS];
        for (number, entry) in (0..).zip(&entries) {
            let text: ArrayVec<u8, MAX_PLATE_LEN> =
                entry.plate.expose().bytes().map(fold).collect();
            let hook = hook(&text, |hook| by_hook[hook].len());
            by_hook[hook].push(Form::of(&text, number));
        }
        let mut starts = Vec::with_capacity(HOOKS + 1);
        let mut hung = Vec::with_capacity(entries.len());
        for forms in by_hook {
            starts.push(u32::try_from(hung.len()).expect("rows are counted in 32 bits"));
            hung.extend(forms);
        }
        starts.push(u32::try_from(hung.len()).expect("rows are counted in 32 bits"));
        Self { starts: starts.into_boxed_slice(), hung: hung.into_boxed_slice(), entries }
    }

    /// The entries that a read fits and that may be in force now.
    pub(super) fn fitting(&self, read: &Plate, when: When) -> impl Iterator<Item = &Entry> {
        let text: ArrayVec<u8, MAX_PLATE_LEN> = match self.entries.is_empty() {
            true => ArrayVec::new(),
            false => read.expose().bytes().map(fold).collect(),
        };
        let bits = packed(text.iter().copied());
        let fits = move |form: &&Form| match form {
            Form::Fixed(mask, want, _) => bits & mask == *want,
            Form::Run(pattern, _) => pattern::fits(pattern, &text),
        };
        let tried = self.tried(read);
        tried
            .filter(fits)
            .map(|form| &self.entries[form.number()])
            .filter(move |e| e.may_hold(when))
    }

    /// The patterns filed under a feature of the read, each once.
    fn tried(&self, read: &Plate) -> impl Iterator<Item = &Form> {
        let hooks = match self.entries.is_empty() {
            true => ArrayVec::new(),
            false => hooks_of(read),
        };
        hooks.into_iter().flat_map(|hook| {
            let ends = [self.starts[hook] as usize, self.starts[hook + 1] as usize];
            &self.hung[ends[0]..ends[1]]
        })
    }
}

/// The features of a read, each once.
fn hooks_of(read: &Plate) -> ArrayVec<usize, MOST> {
    let text: ArrayVec<u8, MAX_PLATE_LEN> = read.expose().bytes().map(fold).collect();
    let mut hooks = ArrayVec::new();
    for (at, c) in text.iter().enumerate() {
        hooks.push(place(at, *c));
        if !text[..at].contains(c) {
            hooks.push(anywhere(*c));
        }
        if let Some(next) = text.get(at + 1)
            && !text[..=at].windows(2).any(|two| two == [*c, *next])
        {
            hooks.push(pair(*c, *next));
        }
    }
    hooks
}

/// The feature under which a pattern is filed: of the most selective kind that it has, the one with
/// the fewest patterns so far.
fn hook(text: &[u8], hanging: impl Fn(usize) -> usize) -> usize {
    let stated = |c: &u8| !matches!(c, b'?' | b'*');
    let pairs =
        text.windows(2).filter(|two| two.iter().all(stated)).map(|two| pair(two[0], two[1]));
    let fixed = text.iter().position(|c| *c == b'*').unwrap_or(text.len());
    let in_place = text[..fixed].iter().enumerate().filter(|(_, c)| stated(c));
    let anywhere = text.iter().filter(|c| stated(c)).map(|c| anywhere(*c));
    let least = |hook: &usize| hanging(*hook);
    pairs
        .min_by_key(least)
        .or_else(|| in_place.map(|(at, c)| place(at, *c)).min_by_key(least))
        .or_else(|| anywhere.min_by_key(least))
        .expect("a pattern states two characters at least")
}

impl Form {
    fn of(text: &ArrayVec<u8, MAX_PLATE_LEN>, number: u32) -> Self {
        if text.contains(&b'*') {
            return Self::Run(text.clone(), number);
        }
        let mut want = packed(text.iter().copied());
        let mut mask = LENGTH;
        for (at, c) in text.iter().enumerate() {
            match c {
                b'?' => want &= !(0xff << (8 * at)),
                _ => mask |= 0xff << (8 * at),
            }
        }
        Self::Fixed(mask, want, number)
    }

    /// The number of its entry.
    fn number(&self) -> usize {
        let (Self::Fixed(_, _, number) | Self::Run(_, number)) = self;
        *number as usize
    }
}

/// The bits above the twelve characters, which hold their number.
const LENGTH: u128 = 0xff << (8 * MAX_PLATE_LEN);

/// Up to twelve characters and their number, in one word.
fn packed(text: impl IntoIterator<Item = u8>) -> u128 {
    let (mut bits, mut n) = (0_u128, 0);
    for c in text {
        bits |= u128::from(c) << (8 * n);
        n += 1;
    }
    bits | (n as u128) << (8 * MAX_PLATE_LEN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::Priority;
    use crate::plate::ListedPlate;

    fn patterns(listed: &[ListedPlate]) -> Patterns {
        Patterns::of(listed.iter().map(|p| Entry::plain(*p, "listed", Priority::Low)))
    }

    #[test]
    fn of_a_thousand_patterns_a_read_tries_a_handful() {
        // Two letters, an open place, a letter, and so on, as partial plates are reported.
        let n = |n: u32, of: u32, from: u8| char::from(from + (n % of) as u8);
        let listed = (0..1_000_u32).map(|i| {
            let text = match i % 4 {
                0 => format!("{}{}?{}*", n(i / 4, 26, b'A'), n(i / 100, 26, b'A'), i % 10),
                1 => format!("*{}{}{}", n(i / 7, 26, b'A'), i % 10, i / 11 % 10),
                2 => format!(
                    "{}{}{}?{:03}",
                    n(i, 26, b'A'),
                    n(i / 3, 26, b'A'),
                    n(i / 9, 26, b'A'),
                    i
                ),
                _ => format!("{}?{}?{}??", n(i, 26, b'A'), n(i / 5, 26, b'A'), i % 10),
            };
            ListedPlate::parse(&text).unwrap()
        });
        let listed: Vec<_> = listed.collect();
        let patterns = patterns(&listed);
        let reads = ["CKSV841", "BMNT220", "AHK512", "DLR0S15", "7XYZ123"];
        let tried: usize =
            reads.iter().map(|r| patterns.tried(&Plate::parse(r).unwrap()).count()).sum();
        assert!(tried <= 40 * reads.len(), "{tried} tried for {} reads", reads.len());
    }

    proptest! {
        #[test]
        fn compiled_patterns_find_what_each_finds_by_itself(
            listed in prop::collection::vec("[AO0?*]{3,6}", 1..20),
            read in "[AO0]{1,7}",
        ) {
            let listed: Vec<_> = listed.iter().filter_map(|t| ListedPlate::parse(t).ok()).collect();
            let patterns = patterns(&listed);
            let read = Plate::parse(&read).unwrap();
            let mut found: Vec<_> = patterns
                .fitting(&read, When::at(jiff::Timestamp::UNIX_EPOCH))
                .map(|e| e.plate.expose().to_owned())
                .collect();
            found.sort_unstable();
            let mut by_hand: Vec<_> = listed
                .iter()
                .filter(|p| p.is_pattern() && p.means(&read))
                .map(|p| p.expose().to_owned())
                .collect();
            by_hand.sort_unstable();
            prop_assert_eq!(found, by_hand);
        }
    }
}
