//! What a log proves to somebody with the public key alone, against a forger who has everything but
//! the secret key.

use proptest::prelude::*;

use super::forger::{self, Edit};
use super::*;
use crate::secret::SecretKey;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(SecretKey::from_bytes(&[n; 32]))
}

fn car() -> SigningKey {
    key(1)
}

fn forger() -> SigningKey {
    key(9)
}

fn forge(log: &[u8], edits: &[(usize, Edit)], rehash: bool) -> Vec<u8> {
    forger::forge(log, edits, rehash, &forger(), &car().public())
}

fn check(log: &[u8]) -> Result<Verdict, Fault> {
    verify(log, car().public(), &[])
}

#[test]
fn invented_log_without_seals_is_refused_from_its_first_record_on() {
    let log = forger::make_log(&car(), 500, 64);
    assert_eq!(check(&log).unwrap().sealed, 500);
    // Seals are stripped, records dropped, made up and altered, and everything is hashed anew: the
    // lines fit each other.
    let edits = [(0, Edit::Strip), (30, Edit::Drop), (40, Edit::Invent), (50, Edit::Alter)];
    let invented = forge(&log, &edits, true);
    let fault = check(&invented).unwrap_err();
    assert_eq!(fault, Fault::Unsealed { from: 1, last: 500, most: 0 });
    assert!(fault.to_string().starts_with("from record 1 on nobody vouches"), "{fault}");
}

#[test]
fn end_that_is_made_up_anew_is_refused_from_the_first_record_behind_the_last_seal() {
    let log = forger::make_log(&car(), 500, 64);
    // Seven sealed stretches of 64 lines, with their seals.
    let tail = forge(&log, &[(455, Edit::Strip), (460, Edit::Alter), (470, Edit::Invent)], true);
    assert_eq!(check(&tail), Err(Fault::Unsealed { from: 449, last: 501, most: 0 }));
}

#[test]
fn end_that_is_cut_at_an_older_seal_is_missed_by_the_export_it_does_not_end_with() {
    let log = forger::make_log(&car(), 200, 64);
    let cut = forge(&log, &[(65, Edit::Cut)], false);
    assert_eq!(check(&cut), Err(Fault::CutShort { last: 64 }));
    // Where the log is cut at the end of an earlier export, only a head from outside shows it.
    let heads = forger::seals(&log);
    let witnessed = verify(&cut, car().public(), &heads[3..]);
    assert_eq!(witnessed, Err(Fault::Truncated { last: 64, sealed: 200 }));
    let verdict = verify(&log, car().public(), &heads).unwrap();
    assert_eq!(verdict.witnessed, [64, 128, 192, 200]);
}

#[test]
fn seal_that_was_taken_out_or_doubled_is_missed() {
    let log = forger::make_log(&car(), 200, 64);
    let seal = 64;
    let fault = check(&forge(&log, &[(seal, Edit::Drop)], false)).unwrap_err();
    assert!(matches!(fault, Fault::Checkpoint { after: 128, .. }), "{fault}");
    let fault = check(&forge(&log, &[(seal, Edit::Double)], false)).unwrap_err();
    assert!(matches!(fault, Fault::Checkpoint { after: 64, .. }), "{fault}");
}

#[test]
fn change_of_keys_that_vouches_for_itself_counts_for_nothing() {
    let log = forger::make_log(&car(), 20, 64);
    for named in [true, false] {
        for at in [0, 1, 10, 20] {
            let edits = [(at, Edit::ChangeKey), (at + 2, Edit::Reseal { named })];
            assert!(check(&forge(&log, &edits, true)).is_err(), "at {at}");
        }
    }
}

#[test]
fn piece_cut_out_of_the_middle_and_two_logs_in_one_are_refused() {
    let log = forger::make_log(&car(), 200, 64);
    let lines: Vec<&[u8]> = log.split_inclusive(|b| *b == b'\n').collect();
    let middle = lines[65..].concat();
    assert!(matches!(check(&middle), Err(Fault::Record { seq: 1, .. })));
    // Another car's log is appended, and the same car's log from before it was begun anew, both as
    // they are and renumbered.
    for other in [forger::make_log(&key(2), 90, 64), forger::make_log(&car(), 90, 50)] {
        for rehash in [false, true] {
            let glued = [log.clone(), other.clone()].concat();
            assert!(check(&forge(&glued, &[], rehash)).is_err());
            let glued = [other.clone(), log.clone()].concat();
            assert!(check(&forge(&glued, &[], rehash)).is_err());
        }
    }
}

#[test]
fn two_heads_of_one_record_that_differ_are_both_looked_at() {
    let log = forger::make_log(&car(), 20, 64);
    // The same car and the same key with another history, as somebody with both could hand it in.
    let other = forger::make_log(&car(), 21, 20);
    let [ours, theirs] = [forger::seals(&log).remove(0), forger::seals(&other).remove(0)];
    for heads in [[ours.clone(), theirs.clone()], [theirs, ours]] {
        let fault = verify(&log, car().public(), &heads).unwrap_err();
        assert!(matches!(fault, Fault::Outside { seq: 20, .. }), "{fault}");
    }
}

#[test]
fn head_from_outside_that_nobody_signed_proves_nothing() {
    let log = forger::make_log(&car(), 20, 64);
    let strange = forger::seals(&forger::make_log(&forger(), 20, 64));
    let fault = verify(&log, car().public(), &strange).unwrap_err();
    assert!(matches!(fault, Fault::Outside { seq: 20, .. }), "{fault}");
}

fn edit() -> impl Strategy<Value = (usize, Edit)> {
    let what = prop_oneof![
        Just(Edit::Drop),
        Just(Edit::Cut),
        Just(Edit::Double),
        (0_usize..200).prop_map(Edit::Swap),
        Just(Edit::Invent),
        Just(Edit::Alter),
        Just(Edit::Strip),
        Just(Edit::ChangeKey),
        any::<bool>().prop_map(|named| Edit::Reseal { named }),
    ];
    (0_usize..200, what)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// A forger with everything but the car's key gets nothing past the public key, whatever is
    /// hashed anew.
    #[test]
    fn whatever_holds_is_what_the_car_exported_byte_for_byte(
        edits in prop::collection::vec(edit(), 1..6), rehash: bool,
        flip in prop::option::of((0_usize..100_000, 1_u8..)),
        puts in prop::collection::vec((0_usize..100_000, any::<u8>()), 0..3),
    ) {
        let log = forger::make_log(&car(), 120, 17);
        let mut bad = forge(&log, &edits, rehash);
        if let Some((at, bits)) = flip && !bad.is_empty() {
            let at = at % bad.len();
            bad[at] ^= bits;
        }
        for (at, byte) in puts {
            bad.insert(at % (bad.len() + 1), byte);
        }
        let held = check(&bad);
        prop_assert_eq!(held.is_ok(), bad == log, "{:?}", held);
    }
}
