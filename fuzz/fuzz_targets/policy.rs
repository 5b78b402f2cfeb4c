//! A policy: whatever is believed is canonical, and nothing is believed unsigned.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider::policy::{Direction, Policy, Previous, Rules, changes, past_ceiling};

fuzz_target!(|bytes: &[u8]| {
    let now = jiff::Timestamp::UNIX_EPOCH;
    assert!(Policy::open(bytes, None, "opp", &Previous::default(), None, now).is_err());
    let Ok(policy) = Policy::parse(bytes) else { return };
    assert_eq!(policy.canonical(), bytes, "one text for one policy");
    assert!(changes(&policy.rules, &policy.rules).is_empty());
    assert!(past_ceiling(&policy.rules, &policy.rules).is_empty());
    let lapsed = changes(&policy.rules, &policy.rules.lapsed());
    assert!(lapsed.iter().all(|change| change.direction != Direction::Widens));
    let _ = changes(&Rules::default(), &policy.rules);
});
