//! The rows of a list that came in chunks: they stay compressed and encrypted in memory, and a small block
//! of a chunk (`blocks.rs`) is opened on a hit only.
//!
//! In: a manifest's layers, their chunks once each has proven to be what it should be. Out: an index, and
//! for each row the number of its record. Costs: 17 bytes an entry for the index, 4 more where there are
//! layers above the base, and the blocks; a hit opens one block (`benches/matching.rs`). Leaves to
//! others: proving a chunk ([`open_chunk`](super::format::open_chunk)).

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

/// Why chunks do not make the list that their manifest promises: its author's software is broken, or
/// hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    /// A chunk that is not what it should be.
    #[error(transparent)]
    Chunk(#[from] FormatError),
    /// A chunk that its layer does not lead up to.
    #[error("chunk {0} does not follow the one before it")]
    Order(Address),
    /// A chunk with another number of records than its page says.
    #[error("chunk {address} has {found} records, its page says {promised}")]
    Records {
        /// Which.
        address: Address,
        /// How many it has.
        found: usize,
        /// How many its page says.
        promised: u32,
    },
    /// Another number of entries than the manifest says.
    #[error("list has {found} entries, its manifest says {promised}")]
    Entries {
        /// How many it has.
        found: u64,
        /// How many the manifest says.
        promised: u64,
    },
    /// More records than 32 bits count.
    #[error("list has more than 4,294,967,295 records")]
    TooLarge,
    /// Not all chunks are here.
    #[error("chunk {0} is not here")]
    Missing(Address),
}

/// Chunks that are here, by address.
pub(super) type Chunks = HashMap<Address, Arc<Blocks>>;

/// A chunk, and the number of its first record among those of all chunks.
struct Held {
    first: u32,
    blocks: Arc<Blocks>,
}

/// Rows that are in chunks.
pub(super) struct ChunkedRows {
    chunks: Box<[Held]>,
    /// Each row's record by its number, plates in order, then patterns; `None` where every row's
    /// number is its record's.
    records: Option<Box<[u32]>>,
    rows: usize,
    plates: usize,
}

impl ChunkedRows {
    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Bytes held: places of rows, and sealed blocks.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let places = self.records.as_ref().map_or(0, |records| records.len() * 4);
        (places, self.chunks.iter().map(|c| c.blocks.bytes() + size_of::<Held>()).sum())
    }

    /// Rows from here on are patterns.
    pub(super) fn plates(&self) -> usize {
        self.plates
    }

    /// The rows from one on; a block is opened once for all of its rows in turn.
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
            Some(open.record(number)?.to_entry())
        })
    }
}

/// Where a record is, and what decides which layer's word counts.
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

/// The records of one layer in order. Ends early at trouble, which it leaves behind.
struct Reader<'a> {
    chunks: &'a Chunks,
    refs: std::slice::Iter<'a, ChunkRef>,
    /// Number of the next chunk's first record.
    first: u32,
    last: Option<RecordKey>,
    open: std::vec::IntoIter<Place>,
    trouble: &'a RefCell<Option<ChunkedError>>,
}

impl Reader<'_> {
    fn open_next(&mut self, reference: &ChunkRef) -> Result<(), ChunkedError> {
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
                return Some(place);
            }
            let reference = self.refs.next()?;
            if let Err(e) = self.open_next(reference) {
                self.trouble.borrow_mut().get_or_insert(e);
                return None;
            }
        }
    }
}

/// Reads all layers, oldest first, and indexes what they list.
pub(super) fn build(
    manifest: &Manifest,
    layers: &[Vec<ChunkRef>],
    chunks: &Chunks,
) -> Result<(Index, ChunkedRows), ChunkedError> {
    let trouble = RefCell::new(None);
    let (mut held, mut readers, mut first) = (Vec::new(), Vec::new(), 0_u32);
    for layer in layers {
        let refs = layer.iter();
        let open = Vec::new().into_iter();
        readers.push(Reader { chunks, refs, first, last: None, open, trouble: &trouble });
        for ChunkRef { address, entries, .. } in layer {
            let blocks = chunks.get(address).ok_or(ChunkedError::Missing(*address))?.clone();
            held.push(Held { first, blocks });
            first = first.checked_add(*entries).ok_or(ChunkedError::TooLarge)?;
        }
    }
    let promised = manifest.counts.entries;
    let expected = usize::try_from(promised).map_err(|_| ChunkedError::TooLarge)?;
    let mut index = Index::with_room(expected);
    let mut records = Vec::with_capacity(if layers.len() > 1 { expected } else { 0 });
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
        if layers.len() > 1 {
            records.push(place.record);
        }
        rows += 1;
    }
    if let Some(trouble) = trouble.into_inner() {
        return Err(trouble);
    }
    // In a single layer every record is a row, so that the numbers agree; a base with removals in it
    // has fewer rows than it says.
    let whole = layers.len() > 1 || rows == first as usize;
    if rows != expected || !whole {
        return Err(ChunkedError::Entries { found: rows as u64, promised });
    }
    let rows = ChunkedRows {
        chunks: held.into_boxed_slice(),
        records: (layers.len() > 1).then(|| records.into_boxed_slice()),
        rows,
        plates,
    };
    Ok((index, rows))
}

/// Entries that are revoked: in force no more, whatever the rows say.
#[derive(Clone)]
pub(super) struct Revoked {
    keys: Arc<ListKeys>,
    key: ListKeyId,
    tags: Arc<[RevocationTag]>,
}

impl Revoked {
    /// What a manifest revokes; `None` if that is nothing.
    pub(super) fn of(manifest: &Manifest, keys: &Arc<ListKeys>) -> Option<Self> {
        let tags = &manifest.revoked;
        let (keys, key) = (keys.clone(), manifest.key);
        (!tags.is_empty()).then(|| Self { keys, key, tags: tags.as_slice().into() })
    }

    /// Whether an entry is revoked. Costs an HMAC, on a hit only.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        self.keys.get(self.key).is_some_and(|key| {
            let tag = revocation_tag(key, entry.plate, entry.jurisdiction);
            self.tags.binary_search(&tag).is_ok()
        })
    }
}
