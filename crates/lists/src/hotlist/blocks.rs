//! The records of one chunk as they stay in memory: small blocks, each compressed and encrypted by
//! itself.
//!
//! In: a verified chunk. Out: the same records, a block of some forty at a time. Costs: half as
//! much memory again as the chunk has bytes. A hit opens 4 KiB, where the whole chunk has two
//! thousand records and takes a hundred times as long (`benches/matching.rs`). The encryption keeps
//! plates that no read has touched out of core dumps and swap, as far as a key in the same memory
//! can: the key belongs to this process, is never written anywhere and ends with it. Leaves to
//! others: the chunks on the disk (`sync/cache.rs` keeps them as they arrived).

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::format::{Chunk, Record, RecordKey};
use crate::keys::KeyError;
use crate::secret::SecretKey;

/// Content after which a block ends, in bytes. Smaller blocks open faster and compress worse.
const BLOCK: usize = 4 * 1024;

/// The fastest level: a list of a million entries is compressed at every start of the car.
const ZSTD_LEVEL: i32 = 1;

/// The key that encrypts blocks. There is one per list and process; nobody else can open what it
/// has encrypted.
pub(super) struct MemorySeal {
    key: LessSafeKey,
    /// Blocks encrypted so far: each has a nonce of its own.
    sealed: AtomicU64,
}

impl MemorySeal {
    /// A random key.
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
    /// Number of its first record.
    first: u32,
    /// Where it starts.
    start: u32,
    /// Number of bytes once it is open.
    length: u32,
}

/// The records of one chunk.
pub(super) struct Blocks {
    seal: Arc<MemorySeal>,
    /// The nonce number of the first block; the others follow.
    nonce: u64,
    records: u32,
    ends: Option<(RecordKey, RecordKey)>,
    blocks: Box<[Block]>,
    sealed: Box<[u8]>,
}

impl Blocks {
    /// Splits a chunk into blocks and encrypts them.
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

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.records as usize
    }

    /// Keys of the first and the last record.
    pub(super) fn ends(&self) -> Option<(RecordKey, RecordKey)> {
        self.ends
    }

    /// Bytes of memory in use.
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
        // It was encrypted above, and memory does not change.
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

    /// Calls `of` with every record in order, and collects the results.
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
    /// Its working memory is larger than what it unpacks.
    static UNPACKER: RefCell<zstd::bulk::Decompressor<'static>> =
        RefCell::new(zstd::bulk::Decompressor::new().expect("room for zstd's working memory"));
}

/// An open block; it is wiped when dropped.
pub(super) struct Open {
    /// The numbers of its records in the chunk.
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
        /// Number of blocks that this thread has opened.
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
        // A block in the place of another does not open either: the nonce depends on its number.
        let before = std::mem::replace(&mut blocks.nonce, 1_000);
        assert!(blocks.open(0).is_none());
        blocks.nonce = before;
        assert!(blocks.open(0).is_some());
        blocks.seal = MemorySeal::new().unwrap();
        assert!(blocks.open(0).is_none());
    }

    /// A look-up opens the block of the first match, and the next block only if the match is the
    /// block's last entry, to see that the next plate is another.
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
