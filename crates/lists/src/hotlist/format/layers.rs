//! Merges layers into one list: for each key the newest layer's record, without removals.
//!
//! In: layers, oldest first, each in order. Out: the listed entries, in order. Costs: one
//! comparison per layer and record; nothing is stored.

use super::record::{Record, RecordKey};

/// A record, or something that stands for one, such as its place.
pub trait Keyed {
    /// The key by which records are ordered.
    fn key(&self) -> RecordKey;
    /// Whether it marks an entry as removed.
    fn removed(&self) -> bool;
}

impl Keyed for Record<'_> {
    fn key(&self) -> RecordKey {
        Record::key(self)
    }
    fn removed(&self) -> bool {
        self.removed
    }
}

impl<T> Keyed for (Record<'_>, T) {
    fn key(&self) -> RecordKey {
        self.0.key()
    }
    fn removed(&self) -> bool {
        self.0.removed
    }
}

/// Merges layers, oldest first, into one list. Each must be in order by itself.
pub fn merged<T: Keyed, I: Iterator<Item = T>>(layers: Vec<I>) -> Merged<T, I> {
    let heads =
        layers.into_iter().map(|mut rest| Head { next: keyed(rest.next()), rest }).collect();
    Merged { heads }
}

fn keyed<T: Keyed>(next: Option<T>) -> Option<(RecordKey, T)> {
    next.map(|next| (next.key(), next))
}

struct Head<T, I> {
    next: Option<(RecordKey, T)>,
    rest: I,
}

/// The list that results from some layers; see [`merged`].
pub struct Merged<T, I> {
    heads: Vec<Head<T, I>>,
}

impl<T: Keyed, I: Iterator<Item = T>> Iterator for Merged<T, I> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            let keys = self.heads.iter().filter_map(|head| head.next.as_ref().map(|(key, _)| *key));
            let least = keys.min()?;
            let mut word = None;
            for head in &mut self.heads {
                if head.next.as_ref().is_some_and(|(key, _)| *key == least) {
                    // Later layers override earlier ones.
                    word = head.next.take().map(|(_, item)| item);
                    head.next = keyed(head.rest.next());
                }
            }
            if let Some(word) = word.filter(|word| !word.removed()) {
                return Some(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::plate::{Jurisdiction, ListedPlate};

    fn record(n: u16, category: &'static str, removed: bool) -> Record<'static> {
        let plate = ListedPlate::parse(&format!("P{n:03}")).unwrap();
        match removed {
            true => Record::removal(plate, Jurisdiction::UNKNOWN),
            false => Record::bare(plate, Jurisdiction::UNKNOWN, category),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn layers_say_what_a_map_would_that_is_written_over(
            layers in prop::collection::vec(
                prop::collection::btree_map(0..40_u16, any::<bool>(), 0..30), 0..5),
        ) {
            const NAMES: [&str; 5] = ["base", "one", "two", "three", "four"];
            let layers: Vec<Vec<_>> = layers.iter().zip(NAMES)
                .map(|(layer, name)| layer.iter().map(|(n, gone)| record(*n, name, *gone)).collect())
                .collect();
            let mut map = BTreeMap::new();
            for record in layers.iter().flatten() {
                map.insert(record.key(), *record);
            }
            map.retain(|_, record| !record.removed);
            let read: Vec<_> = merged(layers.into_iter().map(Vec::into_iter).collect()).collect();
            prop_assert_eq!(read, map.into_values().collect::<Vec<_>>());
        }
    }
}
