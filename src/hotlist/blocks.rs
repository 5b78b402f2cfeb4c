//! The records of one chunk as they stay in memory: small blocks, each compressed and sealed by itself.
//!
//! In: a chunk that has proven to be what it should be. Out: the same records again, a block of some
//! forty at a time. Costs: half as much memory again as the chunk has bytes; a hit opens 4 KiB where the chunk has
//! two thousand records and takes a hundred times as long (`benches/matching.rs`). The seal keeps
//! what is on no read's way out of core dumps and swap as far as a key in the same memory can: it is
//! this process's own, was never written down and ends with it. Leaves to others: what is on the disk
//! (`sync/cache.rs`: the chunks as they came).

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::format::{Chunk, Record, RecordKey};
use crate::keys::{KeyError, SecretKey};

/// Content at which a block ends. Smaller ones open faster and compress worse.
const BLOCK: usize = 4 * 1024;

/// The fastest level: a list of a million entries is packed whenever the car starts.
const ZSTD_LEVEL: i32 = 1;

/// Seals blocks. One per list and process; what it has sealed nobody else opens.
pub(super) struct MemorySeal {
    key: LessSafeKey,
    /// Blocks sealed so far: each has a nonce of its own.
    sealed: AtomicU64,
}

impl MemorySeal {
    /// A seal that nobody has seen.
    pub(super) fn new() -> Result<Arc<Self>, KeyError> {
        let secret = SecretKey::random()?;
        let key = UnboundKey::new(&AES_256_GCM, secret.expose()).expect("32 bytes are a key");
        Ok(Arc::new(Self { key: LessSafeKey::new(key), sealed: AtomicU64::new(0) }))
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// One block among those of a chunk.
#[derive(Clone, Copy)]
struct Block {
    /// The number of its first record.
    first: u32,
    /// Where it starts.
    start: u32,
    /// Bytes once it is open.
    length: u32,
}

/// The records of one chunk.
pub(super) struct Blocks {
    seal: Arc<MemorySeal>,
    /// The number of the first block's nonce; the others follow.
    nonce: u64,
    records: u32,
    ends: Option<(RecordKey, RecordKey)>,
    blocks: Box<[Block]>,
    sealed: Box<[u8]>,
}

impl Blocks {
    /// Cuts and seals what a chunk holds.
    pub(super) fn of(chunk: &Chunk, seal: &Arc<MemorySeal>) -> Self {
        let content = chunk.content();
        let mut cuts = vec![(0_u32, 0_usize)];
        for ((offset, _), number) in chunk.records().zip(0..) {
            let (_, start) = cuts[cuts.len() - 1];
            if offset as usize - start >= BLOCK {
                cuts.push((number, offset as usize));
            }
        }
        let nonces = seal.sealed.fetch_add(cuts.len() as u64, Ordering::Relaxed);
        let mut packer = zstd::bulk::Compressor::new(ZSTD_LEVEL).expect("a level that exists");
        let (mut blocks, mut sealed) = (Vec::with_capacity(cuts.len()), Vec::new());
        for (n, (first, start)) in cuts.iter().enumerate() {
            let end = cuts.get(n + 1).map_or(content.len(), |(_, next)| *next);
            let plain = &content[*start..end];
            let mut block = packer.compress(plain).expect("the buffer is large enough");
            seal.key
                .seal_in_place_append_tag(nonce(nonces + n as u64), Aad::empty(), &mut block)
                .expect("a block is far below the cipher's limit");
            let place = |n: usize| u32::try_from(n).expect("contents are bounded");
            let (start, length) = (place(sealed.len()), place(plain.len()));
            blocks.push(Block { first: *first, start, length });
            sealed.extend_from_slice(&block);
        }
        Self {
            seal: seal.clone(),
            nonce: nonces,
            records: u32::try_from(chunk.len()).expect("contents are bounded"),
            ends: chunk.ends(),
            blocks: blocks.into_boxed_slice(),
            sealed: sealed.into_boxed_slice(),
        }
    }

    /// How many records.
    pub(super) fn len(&self) -> usize {
        self.records as usize
    }

    /// Keys of the first and the last record.
    pub(super) fn ends(&self) -> Option<(RecordKey, RecordKey)> {
        self.ends
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        self.sealed.len() + self.blocks.len() * size_of::<Block>() + size_of::<Self>()
    }

    /// Opens the block that holds a record. `None` past the last one.
    pub(super) fn open(&self, record: u32) -> Option<Open> {
        let block = self.blocks.partition_point(|block| block.first <= record).checked_sub(1)?;
        (record < self.records).then(|| self.open_block(block))?
    }

    fn open_block(&self, number: usize) -> Option<Open> {
        let block = self.blocks.get(number)?;
        let end = self.blocks.get(number + 1).map_or(self.sealed.len(), |b| b.start as usize);
        let mut sealed = self.sealed.get(block.start as usize..end)?.to_vec();
        let nonce = nonce(self.nonce + number as u64);
        // It was sealed above, and memory does not change.
        let packed = self.seal.key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        let mut plain = Zeroizing::new(vec![0; block.length as usize]);
        let length = UNPACKER.with_borrow_mut(|unpacker| {
            unpacker.decompress_to_buffer(packed, &mut plain[..]).ok()
        })?;
        #[cfg(test)]
        tests::OPENED.with(|opened| opened.set(opened.get() + 1));
        let next = self.blocks.get(number + 1).map_or(self.records, |next| next.first);
        (length == plain.len()).then_some(Open { records: block.first..next, plain })
    }

    /// What is made of every record in turn.
    pub(super) fn map<T>(&self, mut of: impl FnMut(u32, &Record<'_>) -> T) -> Vec<T> {
        let mut out = Vec::with_capacity(self.len());
        for block in (0..self.blocks.len()).map_while(|number| self.open_block(number)) {
            let mut rest = &block.plain[..];
            while let Ok((record, taken)) = Record::decode(rest) {
                out.push(of(u32::try_from(out.len()).unwrap_or(u32::MAX), &record));
                rest = &rest[taken..];
            }
        }
        out
    }
}

thread_local! {
    /// Its working memory is larger than all that it works on.
    static UNPACKER: RefCell<zstd::bulk::Decompressor<'static>> =
        RefCell::new(zstd::bulk::Decompressor::new().expect("room for zstd's working memory"));
}

/// A block that is open; wiped when it is dropped.
pub(super) struct Open {
    /// Their numbers in the chunk.
    records: Range<u32>,
    plain: Zeroizing<Vec<u8>>,
}

impl Open {
    /// Whether a record is in this block.
    pub(super) fn holds(&self, number: u32) -> bool {
        self.records.contains(&number)
    }

    /// A record by its number in the chunk; `None` if another block has it.
    pub(super) fn record(&self, number: u32) -> Option<Record<'_>> {
        let mut rest = &self.plain[..];
        for _ in 0..number.checked_sub(self.records.start)? {
            let (length, _) = rest.split_first_chunk::<2>()?;
            rest = rest.get(2 + usize::from(u16::from_le_bytes(*length))..)?;
        }
        Record::decode(rest).ok().map(|(record, _)| record)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::hotlist::format::{ListKey, open_chunk, seal_chunk, synthetic_entries};
    use crate::hotlist::sync::made_up::MadeUp;
    use crate::plate::Plate;

    thread_local! {
        /// Blocks that this thread has opened.
        pub(in super::super) static OPENED: Cell<u32> = const { Cell::new(0) };
    }

    fn chunk(entries: &[crate::hotlist::Entry]) -> Chunk {
        let key = ListKey::parse(&"07".repeat(32)).unwrap();
        let records: Vec<_> = entries.iter().map(Record::of).collect();
        let sealed = seal_chunk(&key, &records).unwrap().unwrap();
        open_chunk(&key, sealed.address, &sealed.bytes).unwrap()
    }

    #[test]
    fn blocks_hold_what_their_chunk_held_and_open_one_by_one() {
        let entries = synthetic_entries(300);
        let blocks = Blocks::of(&chunk(&entries), &MemorySeal::new().unwrap());
        assert_eq!((blocks.len(), blocks.ends()), (entries.len(), chunk(&entries).ends()));
        let all = blocks.map(|n, record| (n as usize, record.to_entry()));
        assert!(all.iter().map(|(_, entry)| entry).eq(&entries));
        assert!(all.iter().map(|(n, _)| *n).eq(0..entries.len()));
        for (n, entry) in (0..).zip(&entries) {
            let open = blocks.open(n).unwrap();
            assert_eq!(open.record(n).unwrap().to_entry(), *entry);
            assert!(open.plain.len() < BLOCK + 512, "{} bytes opened", open.plain.len());
        }
        assert!(blocks.open(entries.len() as u32).is_none());
    }

    #[test]
    fn memory_shows_no_plate_and_one_seal_does_not_open_what_another_sealed() {
        let entries = synthetic_entries(100);
        let seal = MemorySeal::new().unwrap();
        let mut blocks = Blocks::of(&chunk(&entries), &seal);
        let shown = |text: &str| blocks.sealed.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(!entries.iter().any(|e| shown(e.plate.expose())));
        // A block in another's place does not open either: its nonce says which one it is.
        let before = std::mem::replace(&mut blocks.nonce, 1_000);
        assert!(blocks.open(0).is_none());
        blocks.nonce = before;
        assert!(blocks.open(0).is_some());
        blocks.seal = MemorySeal::new().unwrap();
        assert!(blocks.open(0).is_none());
    }

    /// Of a look-up: the first match opens its block, and only where that is the block's last entry the
    /// next one, to see that it is another plate.
    #[test]
    fn hit_opens_one_block_and_a_plate_that_is_not_listed_none() {
        let made = MadeUp::new("peel", "big", &"07".repeat(32), 3_000);
        let (list, now) = (made.hotlist(), jiff::Timestamp::now());
        let opened = |plate: &str, most: usize| {
            OPENED.set(0);
            let key = Plate::parse(plate).unwrap().key();
            let found = list.look_up(key, now).take(most).count();
            (found, OPENED.get())
        };
        let mut both = 0;
        for n in (0..3_000).step_by(7) {
            assert_eq!(opened(&made.plate(n), 1), (1, 1));
            both += u32::from(opened(&made.plate(n), usize::MAX).1 == 2);
            assert_eq!(opened("ZZZZZZZZ", usize::MAX), (0, 0));
        }
        assert!(both < 30, "{both} of 429 hits opened two blocks");
    }

    #[test]
    fn two_chunks_under_one_seal_share_no_nonce() {
        let seal = MemorySeal::new().unwrap();
        let [a, b] = [200, 300].map(|n| Blocks::of(&chunk(&synthetic_entries(n)), &seal));
        assert!(a.blocks.len() > 2 && b.nonce == a.nonce + a.blocks.len() as u64);
    }
}
