//! The patterns of one list, ready to be tried against every read.
//!
//! In: the entries of a list whose plates are patterns. Out: those that a read fits. Costs: a compare of
//! two words for each pattern without `*`; a walk along the read, at most 144 steps, for each with one.
//! Not measured yet. A list without patterns costs nothing.

use arrayvec::ArrayVec;

use jiff::Timestamp;

use super::Entry;
use crate::plate::{MAX_PLATE_LEN, Plate, fold, pattern};

/// Patterns by how they are tried.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// Without `*`: which bits count, what they must be, which entry.
    fixed: Vec<(u128, u128, usize)>,
    /// With `*`.
    runs: Vec<(ArrayVec<u8, MAX_PLATE_LEN>, usize)>,
    entries: Vec<Entry>,
}

impl Patterns {
    /// Compiles entries; those whose plate is no pattern are passed over.
    pub(super) fn of(entries: impl Iterator<Item = Entry>) -> Self {
        let mut patterns = Self::default();
        for entry in entries.filter(|entry| entry.plate.is_pattern()) {
            let (text, place) = (entry.plate.expose().as_bytes(), patterns.entries.len());
            if text.contains(&b'*') {
                patterns.runs.push((text.iter().copied().collect(), place));
            } else {
                let mut want = packed(text.iter().map(|c| fold(*c)));
                let mut mask = LENGTH;
                for (at, c) in text.iter().enumerate() {
                    match c {
                        b'?' => want &= !(0xff << (8 * at)),
                        _ => mask |= 0xff << (8 * at),
                    }
                }
                patterns.fixed.push((mask, want, place));
            }
            patterns.entries.push(entry);
        }
        patterns
    }

    /// The entries that a read fits and that hold at `now`.
    pub(super) fn fitting(&self, read: &Plate, now: Timestamp) -> impl Iterator<Item = &Entry> {
        let text: ArrayVec<u8, MAX_PLATE_LEN> = read.expose().bytes().map(fold).collect();
        let bits = packed(text.iter().copied());
        let fixed = self.fixed.iter().filter(move |(mask, want, _)| bits & mask == *want);
        let runs = self.runs.iter().filter(move |(pattern, _)| pattern::fits(pattern, &text));
        let places = fixed.map(|(_, _, place)| *place).chain(runs.map(|(_, place)| *place));
        places.map(|place| &self.entries[place]).filter(move |entry| entry.holds_at(now))
    }
}

/// The bits above the twelve characters: how many there are.
const LENGTH: u128 = 0xff << (8 * MAX_PLATE_LEN);

/// Up to twelve characters and their number in one word.
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
    use crate::hotlist::Priority;
    use crate::plate::ListedPlate;

    proptest! {
        #[test]
        fn compiled_patterns_find_what_each_finds_by_itself(
            listed in prop::collection::vec("[AO0?*]{3,6}", 1..20),
            read in "[AO0]{1,7}",
        ) {
            let listed: Vec<_> = listed.iter().filter_map(|t| ListedPlate::parse(t).ok()).collect();
            let entry = |p: &ListedPlate| Entry::plain(*p, "listed", Priority::Low);
            let patterns = Patterns::of(listed.iter().map(entry));
            let read = Plate::parse(&read).unwrap();
            let mut found: Vec<_> = patterns
                .fitting(&read, Timestamp::UNIX_EPOCH)
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
