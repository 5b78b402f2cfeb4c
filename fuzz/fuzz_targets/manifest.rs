//! A manifest, as a hostile author would sign it and as a hostile broker would send it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider::hotlist::format::{Expected, Manifest};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.canonical(), bytes, "what is taken has one reading");
    }
    let expected = Expected {
        authors: &[],
        agency: "opp",
        list: "stolen",
        known_version: 0,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    assert!(Manifest::open(bytes, &expected).is_err(), "nobody has signed it");
});
