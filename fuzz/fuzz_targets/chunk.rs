//! What a chunk and a page hold, as someone with the list key could seal it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider::hotlist::format::{Address, ListKey, check_content, open_chunk, open_page};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(chunk) = check_content(bytes.to_vec()) {
        let mut again = Vec::new();
        for (offset, record) in chunk.records() {
            assert_eq!(chunk.at(offset), Some(record));
            record.encode(&mut again).expect("what is read can be written");
        }
        assert_eq!(again, bytes, "what is taken has one reading");
    }
    let key = ListKey::parse(&"07".repeat(32)).expect("a key");
    let address = Address::from_bytes([7; 32]);
    assert!(open_chunk(&key, address, bytes).is_err());
    assert!(open_page(&key, address, bytes).is_err());
});
