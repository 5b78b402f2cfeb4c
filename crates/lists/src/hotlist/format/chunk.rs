//! Splits records into chunks, and seals and addresses the chunks.
//!
//! In: records in order, a list key. Out: [`Sealed`] messages of at most 96 KiB; and back, the
//! content of a message whose key, address and canonical form are right. Costs: mostly zstd, which
//! compresses far slower than it decompresses. Leaves to others: which chunks make a list
//! (`page.rs`, `manifest.rs`).
//!
//! ```text
//! content = records, one after the other        (or a page's references)
//! address = HMAC-SHA256(address key, kind | content), as a topic 64 hexadecimal digits
//! message = format u8 = 1 | kind u8 | AES-256-GCM-SIV(seal key, nonce = address[0..12],
//!             associated data = format | kind | address, plain = content length u32 | zstd frame)
//! ```
//!
//! Sealing is *deterministic*: equal contents have equal addresses and, with the same zstd, equal
//! bytes, so that cars and brokers keep what has not changed. To someone without the key this
//! reveals how many chunks a list has, their compressed sizes, which of them stay from version to
//! version, and when they change; so about how many entries a list has and how many changed. It
//! does not reveal whether a given plate is listed: address and nonce are keyed. The address
//! depends on the content, not on the message, so that a newer zstd at the author's does not send
//! everything anew.
//!
//! A keyed hash of each record's plate decides where a chunk ends: an entry more or less moves no
//! boundary but that of its own chunk.

use std::fmt;

use aes_gcm_siv::aead::{Aead as _, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use ring::hmac;

use super::record::{Record, RecordError, RecordKey};
use super::{FormatError, ListKey};

/// Largest sealed message. AWS IoT Core takes 128 KiB with its headers; the rest take more.
pub const MAX_SEALED: usize = 96 * 1024;

/// Largest content, before compression: what opening a chunk may cost in memory.
pub const MAX_PLAIN: usize = 384 * 1024;

/// Least content of a chunk before a boundary can end it.
const MIN_PLAIN: usize = 64 * 1024;

/// Average content at which a boundary comes. Entries compress to a third or a quarter, so that
/// most messages have 50 KiB or so; those larger than [`MAX_SEALED`] are split once more.
const TARGET_PLAIN: usize = 192 * 1024;

/// Cars pay for bytes, authors for time, and only for changes: the level is well above zstd's own
/// default of 3, and below the levels from 16 on, which take many times as long. Chosen, not
/// measured.
const ZSTD_LEVEL: i32 = 9;

const FORMAT: u8 = 1;
const HEADER: usize = 2;
const TAG: usize = 16;

/// What a sealed message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    Records,
    /// References to chunks.
    Page,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::Page => 2,
        }
    }
}

/// The address of a sealed message: a keyed hash of its content, 64 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address([u8; 32]);

impl Address {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 lower-case hexadecimal digits: the last part of a chunk's topic.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The address of a content.
    fn of(key: &ListKey, kind: Kind, content: &[u8]) -> Self {
        let mut mac = hmac::Context::with_key(&key.address);
        mac.update(&[kind.byte()]);
        mac.update(content);
        Self(mac.sign().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    fn nonce(&self) -> Nonce {
        let nonce: [u8; 12] = self.0[..12].try_into().expect("the first 12 of 32");
        Nonce::from(nonce)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// A message as it is published under its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its address.
    pub address: Address,
    /// The payload.
    pub bytes: Vec<u8>,
    /// Number of records, or references, in it.
    pub entries: u32,
}

/// The associated data: the part of the message that is not encrypted.
fn associated(kind: Kind, address: &Address) -> [u8; HEADER + 32] {
    let mut out = [0; HEADER + 32];
    out[0] = FORMAT;
    out[1] = kind.byte();
    out[HEADER..].copy_from_slice(&address.0);
    out
}

/// Seals a content. The caller ensures its form and size.
pub(super) fn seal(key: &ListKey, kind: Kind, content: &[u8], entries: u32) -> Sealed {
    let address = Address::of(key, kind, content);
    let packed = zstd::bulk::compress(content, ZSTD_LEVEL).expect("the buffer is large enough");
    let length = u32::try_from(content.len()).expect("contents are bounded");
    let mut plain = Vec::with_capacity(4 + packed.len());
    plain.extend_from_slice(&length.to_le_bytes());
    plain.extend_from_slice(&packed);
    let payload = Payload { msg: &plain, aad: &associated(kind, &address) };
    let sealed =
        key.cipher.encrypt(&address.nonce(), payload).expect("far below the cipher's limit");
    let mut bytes = Vec::with_capacity(HEADER + sealed.len());
    bytes.extend_from_slice(&[FORMAT, kind.byte()]);
    bytes.extend_from_slice(&sealed);
    Sealed { address, bytes, entries }
}

/// Opens a message: size, key, address and unpacked size are checked. The caller checks its form.
pub(super) fn open(
    key: &ListKey,
    kind: Kind,
    address: Address,
    bytes: &[u8],
) -> Result<Vec<u8>, FormatError> {
    const LEAST: usize = HEADER + 4 + TAG + 1;
    if !(LEAST..=MAX_SEALED).contains(&bytes.len()) {
        let bytes = bytes.len();
        return Err(FormatError::Size { address, bytes, least: LEAST, most: MAX_SEALED });
    }
    if bytes[0] != FORMAT {
        return Err(FormatError::Version { address, found: bytes[0], ours: FORMAT });
    }
    if bytes[1] != kind.byte() {
        return Err(FormatError::Kind { address, found: bytes[1], wanted: kind.byte() });
    }
    let payload = Payload { msg: &bytes[HEADER..], aad: &associated(kind, &address) };
    let cipher: &Aes256GcmSiv = &key.cipher;
    let plain =
        cipher.decrypt(&address.nonce(), payload).map_err(|_| FormatError::Sealed(address))?;
    let (length, packed) = plain.split_first_chunk::<4>().expect("at least 5 bytes");
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let wrong = |why: String| FormatError::Packed { address, why };
    if !(1..=MAX_PLAIN).contains(&length) {
        return Err(wrong(format!("says to hold {length} bytes, must be 1 to {MAX_PLAIN}")));
    }
    // zstd cannot write past this buffer, which stops decompression bombs.
    let mut content = vec![0; length];
    match zstd::bulk::decompress_to_buffer(packed, &mut content) {
        Ok(n) if n == length => {}
        Ok(n) => return Err(wrong(format!("says to hold {length} bytes and holds {n}"))),
        Err(e) => return Err(wrong(e.to_string())),
    }
    if Address::of(key, kind, &content) != address {
        return Err(FormatError::Address(address));
    }
    Ok(content)
}

/// The records of one chunk, checked: they are canonical, in order, and under their address.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    address: Address,
    content: Vec<u8>,
    entries: u32,
    ends: Option<(RecordKey, RecordKey)>,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({}, {} records)", self.address, self.entries)
    }
}

impl Chunk {
    fn checked(address: Address, content: Vec<u8>) -> Result<Self, FormatError> {
        let (mut at, mut entries) = (0, 0_u32);
        let mut ends: Option<(RecordKey, RecordKey)> = None;
        while at < content.len() {
            let wrong = |why| FormatError::Record { address, record: entries as usize, why };
            let (record, taken) = Record::decode(&content[at..]).map_err(wrong)?;
            let key = record.key();
            ends = match ends {
                Some((_, last)) if key <= last => return Err(wrong(RecordError::Order)),
                Some((first, _)) => Some((first, key)),
                None => Some((key, key)),
            };
            at += taken;
            entries += 1;
        }
        Ok(Self { address, content, entries, ends })
    }

    /// The chunk's address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Number of records, removals included.
    pub fn len(&self) -> usize {
        self.entries as usize
    }

    /// Whether it has no records; no author seals such a chunk.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Keys of the first and the last record.
    pub fn ends(&self) -> Option<(RecordKey, RecordKey)> {
        self.ends
    }

    /// Bytes of memory in use.
    pub fn bytes(&self) -> usize {
        self.content.len()
    }

    /// Its records as bytes, one after the other.
    pub(in crate::hotlist) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Its records in order, each with the offset at which [`Chunk::at`] finds it again.
    pub fn records(&self) -> impl Iterator<Item = (u32, Record<'_>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (record, taken) = Record::decode(self.content.get(at..)?).ok()?;
            let offset = u32::try_from(at).expect("contents are bounded");
            at += taken;
            Some((offset, record))
        })
    }

    /// The offset after that of a record; [`Chunk::bytes`] after the last.
    pub fn after(&self, offset: u32) -> u32 {
        let length = self.content.get(offset as usize..).and_then(|rest| rest.first_chunk::<2>());
        offset + 2 + length.map_or(0, |l| u32::from(u16::from_le_bytes(*l)))
    }

    /// The record at an offset that [`Chunk::records`] gave.
    pub fn at(&self, offset: u32) -> Option<Record<'_>> {
        Record::decode(self.content.get(offset as usize..)?).ok().map(|(record, _)| record)
    }
}

/// Opens a chunk of records and checks every one of them.
pub fn open_chunk(key: &ListKey, address: Address, bytes: &[u8]) -> Result<Chunk, FormatError> {
    Chunk::checked(address, open(key, Kind::Records, address, bytes)?)
}

/// The check of [`open_chunk`] on an unsealed content: for fuzzing, which has no key.
#[cfg(any(test, feature = "testing"))]
pub fn check_content(content: Vec<u8>) -> Result<Chunk, FormatError> {
    Chunk::checked(Address::from_bytes([0; 32]), content)
}

/// Seals records as one chunk. `None` if the message would be larger than [`MAX_SEALED`]: authors
/// use [`ChunkWriter`], which splits such chunks.
pub fn seal_chunk(key: &ListKey, records: &[Record<'_>]) -> Result<Option<Sealed>, RecordError> {
    let mut content = Vec::new();
    let mut last = None;
    for record in records {
        if last.is_some_and(|last| record.key() <= last) {
            return Err(RecordError::Order);
        }
        last = Some(record.key());
        record.encode(&mut content)?;
    }
    if content.is_empty() || content.len() > MAX_PLAIN {
        return Ok(None);
    }
    let entries = u32::try_from(records.len()).expect("bounded by the content");
    let sealed = seal(key, Kind::Records, &content, entries);
    Ok((sealed.bytes.len() <= MAX_SEALED).then_some(sealed))
}

/// Splits a sequence of records into chunks and seals them.
pub struct ChunkWriter<'k> {
    key: &'k ListKey,
    content: Vec<u8>,
    /// Where each record starts, and its hash.
    starts: Vec<(usize, u64)>,
    last: Option<RecordKey>,
}

impl<'k> ChunkWriter<'k> {
    /// Starts a sequence.
    pub fn new(key: &'k ListKey) -> Self {
        Self { key, content: Vec::with_capacity(MAX_PLAIN), starts: Vec::new(), last: None }
    }

    /// Takes the next record. Returns the chunks that are complete now.
    pub fn push(&mut self, record: &Record<'_>) -> Result<Vec<Sealed>, RecordError> {
        let key = record.key();
        if self.last.is_some_and(|last| key <= last) {
            return Err(RecordError::Order);
        }
        let start = self.content.len();
        record.encode(&mut self.content)?;
        self.last = Some(key);
        let hash = spread(key.packed() ^ self.key.boundary);
        let mut out = Vec::new();
        if self.content.len() > MAX_PLAIN {
            let next = self.content.split_off(start);
            out = self.flush();
            self.content.extend_from_slice(&next);
            self.starts.push((0, hash));
            return Ok(out);
        }
        self.starts.push((start, hash));
        let length = (self.content.len() - start) as u64;
        // A long record ends a chunk with higher probability, so that chunks get similar sizes in
        // bytes.
        let due = u64::MAX / (TARGET_PLAIN - MIN_PLAIN) as u64 * length;
        if self.content.len() >= MIN_PLAIN && hash < due {
            out = self.flush();
        }
        Ok(out)
    }

    /// Ends the sequence.
    pub fn finish(mut self) -> Vec<Sealed> {
        self.flush()
    }

    fn flush(&mut self) -> Vec<Sealed> {
        let mut out = Vec::new();
        if !self.starts.is_empty() {
            seal_pieces(self.key, &self.content, &self.starts, &mut out);
        }
        self.content.clear();
        self.starts.clear();
        out
    }
}

/// Seals one piece, or splits it at the record with the least hash in its middle half until all
/// messages are small enough: this boundary, too, depends on its own record alone.
fn seal_pieces(key: &ListKey, content: &[u8], starts: &[(usize, u64)], out: &mut Vec<Sealed>) {
    let entries = u32::try_from(starts.len()).expect("bounded by the content");
    let sealed = seal(key, Kind::Records, content, entries);
    if sealed.bytes.len() <= MAX_SEALED || starts.len() < 4 {
        out.push(sealed);
        return;
    }
    let middle = starts.len() / 4..starts.len() * 3 / 4;
    let cut = middle.min_by_key(|i| starts[*i].1).expect("at least four records");
    let at = starts[cut].0;
    let rest: Vec<_> = starts[cut..].iter().map(|(start, hash)| (start - at, *hash)).collect();
    seal_pieces(key, &content[..at], &starts[..cut], out);
    seal_pieces(key, &content[at..], &rest, out);
}

/// Spreads a number over all 64 bits (the finaliser of SplitMix64).
fn spread(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Entries as NCIC has them: plates, cases and vehicles that compress like real ones.
#[cfg(any(test, feature = "testing"))]
pub fn synthetic_entries(n: u32) -> Vec<crate::hotlist::Entry> {
    let mut entries: Vec<_> = (0..n).map(synthetic_entry).collect();
    entries.sort_by_key(|e| Record::of(e).key());
    entries.dedup_by_key(|e| Record::of(e).key());
    entries
}

#[cfg(any(test, feature = "testing"))]
fn synthetic_entry(n: u32) -> crate::hotlist::Entry {
    use crate::entry::Priority;
    use crate::hotlist::Entry;
    use crate::plate::{Jurisdiction, ListedPlate};
    let x = spread(u64::from(n) + 1);
    let letter = |shift: u32| char::from(b'A' + ((x >> shift) % 26) as u8);
    let plate: String =
        [letter(0), letter(8), letter(16), letter(24)].into_iter().collect::<String>()
            + &format!("{:03}", (x >> 32) % 1_000);
    let pick = |shift: u32, of: &[&str]| of[((x >> shift) % of.len() as u64) as usize].to_owned();
    let mut entry = Entry::plain(
        ListedPlate::parse(&plate).expect("synthetic"),
        "stolen_vehicle",
        Priority::High,
    );
    entry.jurisdiction =
        Jurisdiction::parse(&pick(40, &["CA-ON", "CA-QC", "US-NY"])).expect("synthetic");
    entry.source = pick(42, &["ON0057000", "LA0570200", "NY0303000"]);
    entry.case = format!("V{:09}", x % 1_000_000_000);
    entry.vehicle.make = pick(44, &["HOND", "TOYT", "FORD", "CHEV", "YAMA"]);
    entry.vehicle.model = pick(46, &["CIV", "CRV", "F15", "COR"]);
    entry.vehicle.colour = pick(48, &["GRY", "BLK", "WHI", "RED", "BLU"]);
    entry.vehicle.year = Some(2000 + (x >> 50) as u16 % 26);
    entry.effective = jiff::Timestamp::from_second(1_700_000_000 + (x % 50_000_000) as i64).ok();
    entry
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
pub(super) mod tests;
