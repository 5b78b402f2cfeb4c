//! The rows of a list that came in chunks: they stay compressed and encrypted in memory, and only a
//! hit opens a small block of a chunk (`blocks.rs`).
//!
//! In: the layers of a manifest, and their verified chunks. Out: an index, and for each row the
//! number of its record. Costs: 17 bytes an entry for the index, 4 more where there are layers
//! above the base, and the blocks; a hit opens one block (`benches/matching.rs`). Leaves to others:
//! verifying a chunk ([`open_chunk`](super::format::open_chunk)).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::Entry;
use super::blocks::{Blocks, Open};
use super::format::{
    Address, ChunkRef, FormatError, Keyed, ListKeyId, ListKeys, Manifest, RecordKey, RevocationTag,
    merged, revocation_tag,
};
use super::index::Index;
use crate::plate::PlateKey;

/// Why chunks do not form the list that their manifest describes: the author's software is broken,
/// or hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    /// A chunk is not valid.
    #[error(transparent)]
    Chunk(#[from] FormatError),
    /// A chunk is out of order in its layer.
    #[error("chunk {0} does not follow the one before it")]
    Order(Address),
    /// A chunk has another number of records than its page states.
    #[error("chunk {address} has {found} records, its page says {promised}")]
    Records {
        /// The chunk.
        address: Address,
        /// The number that it has.
        found: usize,
        /// The number that its page states.
        promised: u32,
    },
    /// The list has another number of entries than the manifest states.
    #[error("list has {found} entries, its manifest says {promised}")]
    Entries {
        /// The number that it has.
        found: u64,
        /// The number that the manifest states.
        promised: u64,
    },
    /// There are more records than 32 bits can number.
    #[error("list has more than 4,294,967,295 records")]
    TooLarge,
    /// A page is missing.
    #[error("a page is missing")]
    Page,
    /// A chunk is missing.
    #[error("chunk {0} is missing")]
    Missing(Address),
}

/// The chunks in memory, by address.
pub(super) type Chunks = HashMap<Address, Arc<Blocks>>;

/// A chunk, and the number of its first record among the records of all chunks.
struct Held {
    first: u32,
    blocks: Arc<Blocks>,
}

/// Rows that are in chunks.
pub(super) struct ChunkedRows {
    chunks: Box<[Held]>,
    /// The number of each row's record, plates in order, then patterns; `None` if every row has the
    /// number of its record.
    records: Option<Box<[u32]>>,
    rows: usize,
    plates: usize,
}

impl ChunkedRows {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Bytes in use: for the numbers of records, and for the blocks.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let places = self.records.as_ref().map_or(0, |records| records.len() * 4);
        (places, self.chunks.iter().map(|c| c.blocks.bytes() + size_of::<Held>()).sum())
    }

    /// Number of rows that are plates; the rows after them are patterns.
    pub(super) fn plates(&self) -> usize {
        self.plates
    }

    /// The rows from `first` on; each block is opened once for all of its rows.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = Entry> {
        let mut open: Option<(usize, Open)> = None;
        (first..self.rows).map_while(move |row| {
            let record = match &self.records {
                Some(records) => *records.get(row)?,
                None => u32::try_from(row).ok()?,
            };
            let next = self.chunks.partition_point(|chunk| chunk.first <= record);
            let at = next.checked_sub(1)?;
            let held = self.chunks.get(at)?;
            let number = record - held.first;
            let has = |(which, open): &(usize, Open)| *which == at && open.holds(number);
            if !open.as_ref().is_some_and(has) {
                open = Some((at, held.blocks.open(number)?));
            }
            let (_, open) = open.as_ref()?;
            Some(open.record(number)?.to_entry().shown())
        })
    }
}

/// Where a record is, and what decides which layer's record is used.
struct Place {
    key: RecordKey,
    plate: Option<PlateKey>,
    removed: bool,
    record: u32,
}

impl Keyed for Place {
    fn key(&self) -> RecordKey {
        self.key
    }
    fn removed(&self) -> bool {
        self.removed
    }
}

/// The records of one layer in order. It ends early at an error, which it stores.
struct Reader<'a> {
    chunks: &'a Chunks,
    refs: std::slice::Iter<'a, Option<ChunkRef>>,
    /// Ranges where later layers are damaged: records of this layer in them may have been removed
    /// or changed since.
    gaps: Vec<Gap>,
    /// Whether missing chunks are skipped.
    in_part: bool,
    /// Number of the next chunk's first record.
    first: u32,
    last: Option<RecordKey>,
    open: std::vec::IntoIter<Place>,
    trouble: &'a RefCell<Option<ChunkedError>>,
}

impl Reader<'_> {
    fn open_next(&mut self, reference: Option<ChunkRef>) -> Result<(), ChunkedError> {
        let reference = match reference {
            Some(reference) if !self.in_part || self.chunks.contains_key(&reference.address) => {
                reference
            }
            _ if self.in_part => return Ok(()),
            _ => return Err(ChunkedError::Page),
        };
        let address = reference.address;
        let chunk = self.chunks.get(&address).ok_or(ChunkedError::Missing(address))?;
        let promised = reference.entries;
        if chunk.len() != promised as usize {
            return Err(ChunkedError::Records { address, found: chunk.len(), promised });
        }
        if let Some((first, last)) = chunk.ends() {
            if self.last.is_some_and(|before| first <= before) {
                return Err(ChunkedError::Order(address));
            }
            self.last = Some(last);
        }
        let first = self.first;
        let places = chunk.map(|number, r| Place {
            key: r.key(),
            plate: r.plate.key(),
            removed: r.removed,
            record: first + number,
        });
        self.open = places.into_iter();
        self.first += promised;
        Ok(())
    }
}

impl Iterator for Reader<'_> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        loop {
            if let Some(place) = self.open.next() {
                if self.gaps.iter().any(|gap| gap.holds(place.key)) {
                    continue;
                }
                return Some(place);
            }
            let reference = *self.refs.next()?;
            if let Err(e) = self.open_next(reference) {
                self.trouble.borrow_mut().get_or_insert(e);
                return None;
            }
        }
    }
}

/// The range between two records of a layer in which chunks are missing.
#[derive(Clone, Copy)]
struct Gap {
    after: Option<RecordKey>,
    before: Option<RecordKey>,
}

impl Gap {
    fn holds(&self, key: RecordKey) -> bool {
        self.after.is_none_or(|after| key > after) && self.before.is_none_or(|before| key < before)
    }
}

/// The ranges in which a layer lacks chunks.
fn gaps(layer: &[Option<ChunkRef>], chunks: &Chunks) -> Vec<Gap> {
    let (mut gaps, mut last, mut open) = (Vec::new(), None, false);
    for reference in layer {
        let chunk = reference.as_ref().and_then(|r| chunks.get(&r.address));
        match chunk.map(|chunk| chunk.ends()) {
            None => open = true,
            Some(None) => {}
            Some(Some((first, end))) => {
                if std::mem::take(&mut open) {
                    gaps.push(Gap { after: last, before: Some(first) });
                }
                last = Some(end);
            }
        }
    }
    if open {
        gaps.push(Gap { after: last, before: None });
    }
    gaps
}

/// Reads all layers, oldest first, and indexes the entries. No chunk may be missing.
pub(super) fn build(
    manifest: &Manifest,
    layers: &[Vec<Option<ChunkRef>>],
    chunks: &Chunks,
) -> Result<(Index, ChunkedRows), ChunkedError> {
    read(manifest, layers, chunks, false)
}

/// As [`build`], with the chunks that are there. Where a layer is damaged, the records of the
/// layers below are left out: the missing chunks may have removed them.
pub(super) fn build_in_part(
    manifest: &Manifest,
    layers: &[Vec<Option<ChunkRef>>],
    chunks: &Chunks,
) -> Result<(Index, ChunkedRows), ChunkedError> {
    read(manifest, layers, chunks, true)
}

fn read(
    manifest: &Manifest,
    layers: &[Vec<Option<ChunkRef>>],
    chunks: &Chunks,
    in_part: bool,
) -> Result<(Index, ChunkedRows), ChunkedError> {
    let numbered = layers.len() > 1 || in_part;
    let trouble = RefCell::new(None);
    let (mut held, mut readers, mut first) = (Vec::new(), Vec::new(), 0_u32);
    for (n, layer) in layers.iter().enumerate() {
        let (refs, open) = (layer.iter(), Vec::new().into_iter());
        let gaps = layers[n + 1..].iter().flat_map(|later| gaps(later, chunks)).collect();
        let trouble = &trouble;
        readers.push(Reader { chunks, refs, gaps, in_part, first, last: None, open, trouble });
        for reference in layer {
            let Some(ChunkRef { address, entries, .. }) = reference else {
                if in_part {
                    continue;
                }
                return Err(ChunkedError::Page);
            };
            let blocks = match chunks.get(address) {
                Some(blocks) => blocks.clone(),
                None if in_part => continue,
                None => return Err(ChunkedError::Missing(*address)),
            };
            held.push(Held { first, blocks });
            first = first.checked_add(*entries).ok_or(ChunkedError::TooLarge)?;
        }
    }
    let promised = manifest.counts.entries;
    let expected = usize::try_from(promised).map_err(|_| ChunkedError::TooLarge)?;
    let mut index = Index::with_room(expected);
    let mut records = Vec::with_capacity(if numbered { expected } else { 0 });
    let (mut rows, mut plates) = (0_usize, 0);
    for place in merged(readers) {
        if rows == expected {
            rows += 1;
            break;
        }
        if let Some(plate) = place.plate {
            index.push(plate.get(), rows);
            plates += 1;
        }
        if numbered {
            records.push(place.record);
        }
        rows += 1;
    }
    if let Some(trouble) = trouble.into_inner() {
        return Err(trouble);
    }
    // In a single layer every record is a row, so that both have the same number; a base that
    // contains removals has fewer rows than records.
    let whole = numbered || rows == first as usize;
    if rows > expected || rows != expected && !in_part || !whole {
        return Err(ChunkedError::Entries { found: rows as u64, promised });
    }
    let rows = ChunkedRows {
        chunks: held.into_boxed_slice(),
        records: numbered.then(|| records.into_boxed_slice()),
        rows,
        plates,
    };
    Ok((index, rows))
}

/// The entries that the manifest revokes, whatever the rows say.
#[derive(Clone)]
pub(super) struct Revoked {
    keys: Arc<ListKeys>,
    key: ListKeyId,
    tags: Arc<[RevocationTag]>,
}

impl Revoked {
    /// The revocations of a manifest; `None` if there are none.
    pub(super) fn of(manifest: &Manifest, keys: &Arc<ListKeys>) -> Option<Self> {
        let tags = &manifest.revoked;
        let (keys, key) = (keys.clone(), manifest.key);
        (!tags.is_empty()).then(|| Self { keys, key, tags: tags.as_slice().into() })
    }

    /// Whether an entry is revoked. This costs an HMAC, and is asked on a hit only.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        self.keys.get(self.key).is_some_and(|key| {
            let tag = revocation_tag(key, entry.plate, entry.jurisdiction);
            self.tags.binary_search(&tag).is_ok()
        })
    }
}
