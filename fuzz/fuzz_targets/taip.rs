//! What anybody on the car's network can put into a packet for the router's door: whatever it is, a position that is
//! said is a place, pieces of a stream say what the whole says, and nothing grows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider::gps::taip::{Messages, Said};

fuzz_target!(|bytes: &[u8]| {
    let mut whole = Messages::default();
    let said = whole.packet(bytes);
    for one in &said {
        if let Said::Place { at, fix } = one {
            assert!(at.as_secs() <= 86_400);
            assert!((-90.0..=90.0).contains(&fix.latitude) && (-180.0..=180.0).contains(&fix.longitude));
            assert!(fix.latitude != 0.0 || fix.longitude != 0.0, "what receivers report before they know a place");
            assert!(fix.accuracy_m.is_none() && fix.time.is_none(), "TAIP says neither");
        }
    }
    let mut stream = Messages::default();
    let mut again = Vec::new();
    for piece in bytes.chunks(7) {
        again.extend(stream.read(piece));
    }
    again.extend(stream.packet(b""));
    assert_eq!(said, again);
    assert_eq!((whole.damaged, whole.others), (stream.damaged, stream.others));
});
