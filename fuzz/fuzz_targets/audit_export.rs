//! An export of the audit log, as anybody could hand it in who has a good one and not the car's key: raw, or the
//! good one with lines dropped, moved, made up and sealed by another key, and every hash computed anew. What
//! holds is what the car exported, byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider::audit::forger::{Edit, forge, make_log};
use outrider::audit::verify;
use outrider::dsse::SigningKey;

fuzz_target!(|bytes: &[u8]| {
    let [car, own] = ["01", "09"].map(|n| SigningKey::parse(&n.repeat(32)).expect("a key"));
    let public = car.public();
    let good = make_log(&car, 24, 7);
    assert!(verify(&good, public, &[]).is_ok());
    assert_eq!(verify(bytes, public, &[]).is_ok(), bytes == good);
    let Some((first, rest)) = bytes.split_first() else { return };
    let edits: Vec<(usize, Edit)> = rest
        .chunks_exact(3)
        .take(8)
        .map(|edit| {
            let what = match edit[1] % 10 {
                0 => Edit::Drop,
                1 => Edit::Cut,
                2 => Edit::Double,
                3 => Edit::Swap(usize::from(edit[2])),
                4 => Edit::Invent,
                5 => Edit::Alter,
                6 => Edit::Strip,
                7 => Edit::ChangeKey,
                8 => Edit::Reseal { named: true },
                _ => Edit::Reseal { named: false },
            };
            (usize::from(edit[0]), what)
        })
        .collect();
    let mut bad = forge(&good, &edits, first & 1 == 1, &own, &public);
    // One byte as well, for what no edit of lines comes to.
    if first & 2 == 2 && !bad.is_empty() {
        let at = usize::from(*first) * 37 % bad.len();
        bad[at] ^= first >> 2;
    }
    assert_eq!(verify(&bad, public, &[]).is_ok(), bad == good);
});
