//! Pages: the addresses of a layer's chunks, sealed like chunks.
//!
//! In: references in order. Out: sealed pages, split by content like chunks, so that a chunk more
//! or less changes one page. A reference has 40 bytes: the address, then the size of the message
//! and the number of records as u32, little-endian.

use super::chunk::{self, Address, Kind, MAX_SEALED, Sealed};
use super::{FormatError, ListKey};

/// Bytes of a reference.
const REFERENCE: usize = 40;

/// Most references of a page: addresses do not compress, and 1,500 of them have 60 KB.
pub(super) const MOST: usize = 1_500;

/// Least references of a page before a boundary can end it, and the average number after that.
const LEAST: usize = 256;
const MEAN: u64 = 512;

/// A reference to a chunk of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// Its address.
    pub address: Address,
    /// Size of its message, in bytes.
    pub bytes: u32,
    /// Number of its records.
    pub entries: u32,
}

impl ChunkRef {
    /// The reference to a sealed chunk.
    pub fn of(sealed: &Sealed) -> Self {
        let bytes = u32::try_from(sealed.bytes.len()).expect("messages are bounded");
        Self { address: sealed.address, bytes, entries: sealed.entries }
    }
}

/// Seals references as pages.
pub fn paged(key: &ListKey, chunks: &[ChunkRef]) -> Vec<Sealed> {
    let mut out = Vec::new();
    let mut content = Vec::new();
    let mut flush = |content: &mut Vec<u8>| {
        if !content.is_empty() {
            let entries = u32::try_from(content.len() / REFERENCE).expect("at most MOST");
            out.push(chunk::seal(key, Kind::Page, content, entries));
            content.clear();
        }
    };
    for one in chunks {
        content.extend_from_slice(one.address.as_bytes());
        content.extend_from_slice(&one.bytes.to_le_bytes());
        content.extend_from_slice(&one.entries.to_le_bytes());
        let n = content.len() / REFERENCE;
        // An address is a keyed hash already.
        let (hash, _) = one.address.as_bytes().split_first_chunk::<8>().expect("32 bytes");
        if n >= MOST || (n >= LEAST && u64::from_le_bytes(*hash) < u64::MAX / MEAN) {
            flush(&mut content);
        }
    }
    flush(&mut content);
    out
}

/// Opens a page and checks that its references are possible.
pub fn open_page(
    key: &ListKey,
    address: Address,
    bytes: &[u8],
) -> Result<Vec<ChunkRef>, FormatError> {
    let content = chunk::open(key, Kind::Page, address, bytes)?;
    let wrong = |why| FormatError::Page { address, why };
    if content.len() % REFERENCE != 0 || content.len() / REFERENCE > MOST {
        return Err(wrong("has no whole number of references, or too many"));
    }
    let number = |b: &[u8]| u32::from_le_bytes(b.try_into().expect("four bytes"));
    let references = content.chunks_exact(REFERENCE).map(|r| {
        let one = ChunkRef {
            address: Address::from_bytes(r[..32].try_into().expect("32 bytes")),
            bytes: number(&r[32..36]),
            entries: number(&r[36..40]),
        };
        let sound = one.bytes > 0 && one.bytes as usize <= MAX_SEALED && one.entries > 0;
        sound.then_some(one).ok_or_else(|| wrong("names a chunk of a size that cannot be"))
    });
    references.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ListKey {
        ListKey::parse(&"07".repeat(32)).unwrap()
    }

    fn reference(n: u32) -> ChunkRef {
        let mut address = [0; 32];
        let spread = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        address[..8].copy_from_slice(&spread.to_le_bytes());
        ChunkRef { address: Address::from_bytes(address), bytes: 50_000 + n, entries: n + 1 }
    }

    #[test]
    fn one_chunk_more_changes_one_page_of_many() {
        let key = key();
        let mut chunks: Vec<_> = (0..10_000).map(reference).collect();
        let before = paged(&key, &chunks);
        let back: Vec<_> =
            before.iter().flat_map(|p| open_page(&key, p.address, &p.bytes).unwrap()).collect();
        assert_eq!(back, chunks);
        assert!(before.len() > 8 && before.iter().all(|p| p.bytes.len() <= MAX_SEALED));
        chunks.insert(5_000, reference(777_777));
        let after = paged(&key, &chunks);
        let new = after.iter().filter(|p| !before.contains(p)).count();
        assert!(new <= 2, "{new} pages of {} changed", after.len());
    }

    #[test]
    fn page_is_no_chunk_and_chunk_no_page() {
        let key = key();
        let page = &paged(&key, &[reference(1)])[0];
        assert!(matches!(
            super::super::open_chunk(&key, page.address, &page.bytes),
            Err(FormatError::Kind { .. })
        ));
        let mut relabelled = page.bytes.clone();
        relabelled[1] = 1;
        assert!(matches!(
            super::super::open_chunk(&key, page.address, &relabelled),
            Err(FormatError::Sealed(_))
        ));
    }

    #[test]
    fn page_that_names_an_absurd_chunk_is_refused() {
        let key = key();
        for absurd in [
            ChunkRef { bytes: 0, ..reference(1) },
            ChunkRef { bytes: MAX_SEALED as u32 + 1, ..reference(1) },
            ChunkRef { entries: 0, ..reference(1) },
        ] {
            let page = &paged(&key, &[absurd])[0];
            assert!(matches!(
                open_page(&key, page.address, &page.bytes),
                Err(FormatError::Page { .. })
            ));
        }
        let ragged = chunk::seal(&key, Kind::Page, &[7; 41], 1);
        assert!(open_page(&key, ragged.address, &ragged.bytes).is_err());
    }
}
