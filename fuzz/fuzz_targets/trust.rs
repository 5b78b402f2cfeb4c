//! A signed document of any kind, and a trust document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider::dsse::Envelope;
use outrider::trust::{Root, Trust};

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    let again = Envelope::parse(&envelope.to_json()).expect("what is written can be read");
    assert_eq!(again, envelope);
    let root = Root { keys: Vec::new(), needed: 1 };
    let now = jiff::Timestamp::UNIX_EPOCH;
    assert!(Trust::open(&envelope, &root, "opp", 0, now).is_err(), "nobody has signed it");
});
