//! An evidence bundle, as anybody could hand it in who has a good one and no key: raw, or the good one with pieces
//! of it copied, cut and exchanged. What holds is the bundle that was signed, byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider::dsse::SigningKey;
use outrider::records::evidence::{made_up, verify};

fuzz_target!(|bytes: &[u8]| {
    let key = SigningKey::parse(&"07".repeat(32)).expect("a key");
    let public = key.public();
    let good = made_up(&key);
    assert!(verify(&good, &public).is_ok());
    assert_eq!(verify(bytes, &public).is_ok(), bytes == good);
    let mut bad = good.clone();
    // Six bytes are an edit: how much goes, and which piece of the good one comes in its place.
    for edit in bytes.chunks_exact(6).take(8) {
        let place = |at: usize| usize::from(u16::from_le_bytes([edit[at], edit[at + 1]]));
        let at = place(0) % (bad.len() + 1);
        let end = (at + usize::from(edit[2] % 64)).min(bad.len());
        let from = place(3) % good.len();
        let piece = &good[from..(from + usize::from(edit[5])).min(good.len())];
        bad.splice(at..end, piece.iter().copied());
    }
    assert_eq!(verify(&bad, &public).is_ok(), bad == good);
});
