use proptest::prelude::*;

use super::super::record::tests::any_entry;
use super::*;
use crate::hotlist::Entry;

fn key() -> ListKey {
    ListKey::parse(&"07".repeat(32)).unwrap()
}

fn entries(n: u32) -> Vec<Entry> {
    synthetic_entries(n)
}

fn sealed(key: &ListKey, entries: &[Entry]) -> Vec<Sealed> {
    let mut writer = ChunkWriter::new(key);
    let mut out = Vec::new();
    for entry in entries {
        out.extend(writer.push(&Record::of(entry)).unwrap());
    }
    out.extend(writer.finish());
    out
}

fn opened(key: &ListKey, chunks: &[Sealed]) -> Vec<Entry> {
    let chunks: Vec<_> =
        chunks.iter().map(|c| open_chunk(key, c.address, &c.bytes).unwrap()).collect();
    chunks.iter().flat_map(|c| c.records().map(|(_, r)| r.to_entry()).collect::<Vec<_>>()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_entries_come_back_in_order(entries in prop::collection::vec(any_entry(), 1..30)) {
        let key = key();
        let mut entries = entries;
        entries.sort_by_key(|e| Record::of(e).key());
        entries.dedup_by_key(|e| Record::of(e).key());
        let chunks = sealed(&key, &entries);
        prop_assert_eq!(opened(&key, &chunks), entries);
    }

    #[test]
    fn any_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let key = key();
        let chunk = &sealed(&key, &entries(20))[0];
        let mut bytes = chunk.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(open_chunk(&key, chunk.address, &bytes).is_err());
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open_chunk(&key(), Address::from_bytes([7; 32]), &bytes).is_err());
    }

    #[test]
    fn any_cut_or_lengthened_chunk_is_refused(at in any::<prop::sample::Index>()) {
        let key = key();
        let chunk = &sealed(&key, &entries(20))[0];
        let cut = &chunk.bytes[..at.index(chunk.bytes.len())];
        prop_assert!(open_chunk(&key, chunk.address, cut).is_err());
        let longer = [&chunk.bytes[..], &[0]].concat();
        prop_assert!(open_chunk(&key, chunk.address, &longer).is_err());
    }
}

#[test]
fn chunk_under_anothers_address_is_refused() {
    let key = key();
    let chunks = sealed(&key, &entries(8_000));
    assert!(chunks.len() > 1);
    let swapped = open_chunk(&key, chunks[0].address, &chunks[1].bytes);
    assert_eq!(swapped, Err(FormatError::Sealed(chunks[0].address)));
}

#[test]
fn chunk_sealed_with_another_key_is_refused() {
    let other = ListKey::parse(&"08".repeat(32)).unwrap();
    let chunk = &sealed(&other, &entries(10))[0];
    let refused = open_chunk(&key(), chunk.address, &chunk.bytes);
    assert_eq!(refused, Err(FormatError::Sealed(chunk.address)));
}

#[test]
fn oversize_message_is_refused_before_anything_else() {
    let refused = open_chunk(&key(), Address::from_bytes([7; 32]), &vec![1; MAX_SEALED + 1]);
    assert!(matches!(refused, Err(FormatError::Size { .. })));
}

/// Seals what `seal` never would: somebody with the list key may be hostile or have a bug.
fn forged(key: &ListKey, content: &[u8], says: u32, packed: Vec<u8>) -> (Address, Vec<u8>) {
    let address = Address::of(key, Kind::Records, content);
    let plain = [&says.to_le_bytes()[..], &packed].concat();
    let payload = Payload { msg: &plain, aad: &associated(Kind::Records, &address) };
    let sealed = key.cipher.encrypt(&address.nonce(), payload).unwrap();
    (address, [&[FORMAT, Kind::Records.byte()][..], &sealed].concat())
}

#[test]
fn bomb_is_not_unpacked() {
    let key = key();
    let zeros = vec![0; 4 << 20];
    let packed = zstd::bulk::compress(&zeros, 1).unwrap();
    for says in [4 << 20, MAX_PLAIN as u32, 100] {
        let (address, bytes) = forged(&key, &zeros, says, packed.clone());
        assert!(bytes.len() < MAX_SEALED, "small on the wire");
        let refused = open_chunk(&key, address, &bytes);
        assert!(matches!(refused, Err(FormatError::Packed { .. })), "{refused:?}");
    }
}

#[test]
fn content_that_is_not_the_addresss_is_refused_even_if_well_sealed() {
    let key = key();
    let mut content = Vec::new();
    Record::of(&synthetic_entry(1)).encode(&mut content).unwrap();
    let packed = zstd::bulk::compress(&content, 1).unwrap();
    let (address, bytes) = forged(&key, b"something else", content.len() as u32, packed);
    assert_eq!(open_chunk(&key, address, &bytes), Err(FormatError::Address(address)));
}

#[test]
fn records_out_of_order_or_twice_are_refused() {
    let key = key();
    let (a, b) = (synthetic_entry(1), synthetic_entry(2));
    for pair in [[&a, &b], [&b, &a], [&a, &a]] {
        let records = pair.map(Record::of);
        let mut content = Vec::new();
        records.iter().for_each(|r| r.encode(&mut content).unwrap());
        let packed = zstd::bulk::compress(&content, 1).unwrap();
        let (address, bytes) = forged(&key, &content, content.len() as u32, packed);
        let right = records[0].key() < records[1].key();
        assert_eq!(open_chunk(&key, address, &bytes).is_ok(), right);
        assert_eq!(seal_chunk(&key, &records).is_ok(), right);
    }
}

#[test]
fn equal_contents_stay_equal_and_another_key_shows_nothing_of_it() {
    let (key, other) = (key(), ListKey::parse(&"08".repeat(32)).unwrap());
    let entries = entries(100);
    assert_eq!(sealed(&key, &entries), sealed(&key, &entries));
    let (a, b) = (&sealed(&key, &entries)[0], &sealed(&other, &entries)[0]);
    assert_ne!(a.address, b.address);
    assert_ne!(a.bytes[HEADER..60], b.bytes[HEADER..60]);
}

#[test]
fn one_entry_more_touches_one_chunk_or_two() {
    let key = key();
    let mut list = entries(20_000);
    let before = sealed(&key, &list);
    assert!(before.len() >= 5, "{} chunks", before.len());
    assert!(before.iter().all(|c| c.bytes.len() <= MAX_SEALED));
    for n in [3, 10_000, 19_000] {
        let gone = list.remove(n);
        let after = sealed(&key, &list);
        let new = after.iter().filter(|c| !before.contains(c)).count();
        assert!(new <= 2, "{new} chunks changed");
        list.insert(n, gone);
    }
}

#[test]
fn entries_that_do_not_compress_still_fit_in_a_message() {
    let key = key();
    let mut list = entries(1_500);
    for (i, entry) in list.iter_mut().enumerate() {
        let noise: Vec<u8> = (0..90_u64)
            .flat_map(|n| spread(n + 91 * i as u64).to_le_bytes())
            .map(|b| b'!' + b % 90)
            .collect();
        entry.reason = String::from_utf8(noise[..250].to_vec()).unwrap();
        entry.caution = String::from_utf8(noise[250..500].to_vec()).unwrap();
    }
    let chunks = sealed(&key, &list);
    assert!(chunks.iter().all(|c| c.bytes.len() <= MAX_SEALED));
    assert_eq!(opened(&key, &chunks), list);
}

#[test]
fn offset_finds_its_record_again() {
    let key = key();
    let chunk = &sealed(&key, &entries(300))[0];
    let chunk = open_chunk(&key, chunk.address, &chunk.bytes).unwrap();
    assert_eq!(chunk.len(), chunk.records().count());
    for (offset, record) in chunk.records() {
        assert_eq!(chunk.at(offset), Some(record));
    }
}
