//! Finds the first row of a packed plate, in one or two cache lines.
//!
//! The index is built once and never changed: open addressing with linear probing. 12 bytes a slot,
//! with seven in ten slots filled, make 17 MB for a million plates; a general hash map rounds up to
//! a power of two and takes 35.

/// Row numbers by packed plate. Zero is not a plate, so it marks an empty slot.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: Box<[u64]>,
    rows: Box<[u32]>,
    /// The key that was added last.
    last: u64,
}

/// An odd number near 2^64 divided by the golden ratio: neighbouring keys land far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Index {
    /// Indexes the first row of each key of a sorted sequence.
    pub(super) fn of_sorted(keys: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut index = Self::with_room(keys.len());
        for (row, key) in keys.enumerate() {
            index.push(key, row);
        }
        index
    }

    /// An empty index with room for exactly this many keys.
    pub(super) fn with_room(keys: usize) -> Self {
        // Ten slots for seven keys: a probe reads 2.2 slots on average, 6 for an absent key, most
        // of them in one cache line.
        let size = keys * 10 / 7 + 1;
        Self {
            keys: vec![0; size].into_boxed_slice(),
            rows: vec![0; size].into_boxed_slice(),
            last: 0,
        }
    }

    /// Indexes the next row of a sorted sequence; for rows with the same key the first is kept.
    pub(super) fn push(&mut self, key: u64, row: usize) {
        if key == self.last {
            return;
        }
        self.last = key;
        let mut slot = self.home(key);
        while self.keys[slot] != 0 {
            slot = self.next(slot);
        }
        self.keys[slot] = key;
        self.rows[slot] = u32::try_from(row).expect("rows are counted in 32 bits");
    }

    /// The first row with this key.
    pub(super) fn find(&self, key: u64) -> Option<usize> {
        if self.keys.is_empty() {
            return None;
        }
        let mut slot = self.home(key);
        loop {
            match self.keys[slot] {
                0 => return None,
                k if k == key => return Some(self.rows[slot] as usize),
                _ => slot = self.next(slot),
            }
        }
    }

    /// Every key, unordered; zeros for empty slots.
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = u64> {
        self.keys.iter().copied()
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.keys.len() * 8 + self.rows.len() * 4
    }

    fn home(&self, key: u64) -> usize {
        // The high half of the product is the hash scaled to the number of slots.
        ((u128::from(key.wrapping_mul(SPREAD)) * self.keys.len() as u128) >> 64) as usize
    }

    fn next(&self, slot: usize) -> usize {
        if slot + 1 == self.keys.len() { 0 } else { slot + 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_tree_finds(
            mut keys in prop::collection::vec(1..500_u64, 0..300),
            asked in prop::collection::vec(1..600_u64, 50),
        ) {
            keys.sort_unstable();
            let index = Index::of_sorted(keys.iter().copied());
            let mut first = BTreeMap::new();
            for (row, key) in keys.iter().enumerate() {
                first.entry(*key).or_insert(row);
            }
            for key in asked {
                prop_assert_eq!(index.find(key), first.get(&key).copied());
            }
        }
    }

    #[test]
    fn a_million_plates_stay_within_the_budget() {
        let index = Index::of_sorted((1..1_000_001_u32).map(|k| u64::from(k) * 1_000_003));
        assert!(index.bytes() <= 32 << 20, "{} bytes", index.bytes());
        assert_eq!(index.find(500 * 1_000_003), Some(499));
        assert_eq!(index.find(500 * 1_000_003 + 1), None);
    }
}
