//! Gathers entries in any order and gives them back sorted, each plate of a jurisdiction once.
//!
//! In: entries. Out: records in canonical order, and which lines repeat which. Costs: the encoded
//! records plus 16 bytes each, held once; sorting 5 million takes seconds. Of two rows for one plate and
//! jurisdiction the one with the higher priority stays, the earlier among equals.

use std::cmp::Ordering;

use crate::hotlist::Entry;
use crate::hotlist::format::{Record, RecordError};

/// Records lie in segments, so that growing never copies what is there.
const SEGMENT: usize = 16 << 20;

/// Marks patterns, which come after all plates.
const PATTERN: u64 = 1 << 63;

#[derive(Debug, Clone, Copy)]
struct Place {
    packed: u64,
    /// Where the record lies, after its line's number; and [`PATTERN`].
    at: u64,
}

/// Collects entries in the order in which they come.
#[derive(Debug, Default)]
pub struct Gathered {
    segments: Vec<Vec<u8>>,
    places: Vec<Place>,
}

/// A row that repeats another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// The line left out.
    pub line: u32,
    /// The line that is used instead.
    pub of: u32,
}

impl Gathered {
    /// Takes an entry; `line` is for messages.
    pub fn push(&mut self, line: u64, entry: &Entry) -> Result<(), RecordError> {
        // Two bytes of length, and no record is longer than 64 KiB.
        if self.segments.last().is_none_or(|s| s.len() + (1 << 16) + 8 > SEGMENT) {
            self.segments.push(Vec::with_capacity(SEGMENT));
        }
        let number = self.segments.len() as u64 - 1;
        let segment = self.segments.last_mut().expect("there is one");
        let start = segment.len();
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        segment.extend_from_slice(&line.to_le_bytes());
        Record::of(entry).encode(segment).inspect_err(|_| segment.truncate(start))?;
        let (pattern, packed) = entry.plate.order();
        let at = number * SEGMENT as u64 + start as u64;
        self.places.push(Place { packed, at: at | if pattern { PATTERN } else { 0 } });
        Ok(())
    }

    /// Entries taken so far, repeats included.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Sorts the entries and returns the repeats; [`Gathered::records`] reads what remains.
    pub fn sort(&mut self, mut repeats: impl FnMut(Repeat)) {
        let mut places = std::mem::take(&mut self.places);
        places.sort_unstable_by(|a, b| {
            let first = (a.at & PATTERN, a.packed).cmp(&(b.at & PATTERN, b.packed));
            first.then_with(|| self.tie(*a, *b))
        });
        places.dedup_by(|later, kept| {
            if later.packed != kept.packed {
                return false;
            }
            let ((line, a), (of, b)) = (self.at(*later), self.at(*kept));
            let same = a.key() == b.key();
            if same {
                repeats(Repeat { line, of });
            }
            same
        });
        self.places = places;
    }

    fn tie(&self, a: Place, b: Place) -> Ordering {
        let ((line_a, a), (line_b, b)) = (self.at(a), self.at(b));
        let urgent = b.priority.cmp(&a.priority);
        a.key().cmp(&b.key()).then(urgent).then(line_a.cmp(&line_b))
    }

    fn at(&self, place: Place) -> (u32, Record<'_>) {
        let at = usize::try_from(place.at & !PATTERN).expect("memory holds it");
        let bytes = &self.segments[at / SEGMENT][at % SEGMENT..];
        let (line, record) = bytes.split_first_chunk::<4>().expect("pushed with its line");
        let (record, _) = Record::decode(record).expect("pushed as a record");
        (u32::from_le_bytes(*line), record)
    }

    /// The records, in order once sorted.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.places.iter().map(|place| self.at(*place).1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::Priority;
    use crate::plate::{Jurisdiction, ListedPlate};

    fn entry(plate: &str, jurisdiction: &str, priority: Priority) -> Entry {
        let mut entry = Entry::plain(ListedPlate::parse(plate).unwrap(), "stolen", priority);
        entry.jurisdiction = Jurisdiction::parse(jurisdiction).unwrap();
        entry
    }

    #[test]
    fn same_plate_of_another_state_is_another_entry_and_the_urgent_row_stays() {
        let mut gathered = Gathered::default();
        for (line, plate, state, priority) in [
            (1, "ABC123", "US-MT", Priority::Low),
            (2, "ABC123", "US-CO", Priority::Low),
            (3, "ABC123", "US-MT", Priority::High),
            (4, "ABC123", "US-MT", Priority::High),
            (5, "AB?123", "US-MT", Priority::Low),
        ] {
            gathered.push(line, &entry(plate, state, priority)).unwrap();
        }
        let mut repeats = Vec::new();
        gathered.sort(|r| repeats.push((r.line, r.of)));
        repeats.sort_unstable();
        assert_eq!(repeats, [(1, 3), (4, 3)]);
        let kept: Vec<_> = gathered
            .records()
            .map(|r| (r.plate.expose().to_owned(), r.jurisdiction.to_string(), r.priority))
            .collect();
        assert_eq!(
            kept,
            [
                ("ABC123".into(), "US-CO".into(), Priority::Low),
                ("ABC123".into(), "US-MT".into(), Priority::High),
                ("AB?123".into(), "US-MT".into(), Priority::Low),
            ]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn always_in_strict_order(plates in prop::collection::vec("[0-9A-C]{1,3}|[AB]{2}[?*]", 0..80)) {
            let mut gathered = Gathered::default();
            for (line, plate) in (1..).zip(&plates) {
                gathered.push(line, &entry(plate, "", Priority::Low)).unwrap();
            }
            gathered.sort(|_| {});
            let keys: Vec<_> = gathered.records().map(|r| r.key()).collect();
            prop_assert!(keys.is_sorted_by(|a, b| a < b));
            let distinct: std::collections::BTreeSet<_> = plates.iter().collect();
            prop_assert_eq!(keys.len(), distinct.len());
        }
    }
}
