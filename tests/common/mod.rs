//! What several integration tests need: a real mosquitto, a subscriber that is not ours, waiting
//! for a condition, a scripted car.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of this")]
#![allow(clippy::disallowed_types, reason = "the tests are the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

pub mod author;
pub mod car;
pub mod desk;
pub mod fleet;
pub mod forensic;
pub mod load;
pub mod mosquitto;
pub mod packages;
pub mod page;
pub mod people;
pub mod rtsp;
pub mod running;
pub mod runtime;
pub mod search;
pub mod skips;
pub mod spawned;

use std::time::{Duration, Instant};

pub(crate) use skips::skipped;

/// Waits for something to become true, and says what did not.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    within(Duration::from_secs(30), what, &mut done);
}

/// Waits for something to become true, this long at most.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
