//! Waiting for a thread, and not for ever.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks at a thread that is to end.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until a thread has ended, `deadline` at most. Returns whether it has.
pub(crate) fn ends_within<T>(thread: &JoinHandle<T>, deadline: Duration) -> bool {
    let until = Instant::now() + deadline;
    while !thread.is_finished() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    true
}

/// The same, and whether it ended well: a thread that is left behind, or that panicked, did not.
pub(crate) fn ends_well_within<T>(thread: JoinHandle<T>, deadline: Duration) -> bool {
    ends_within(&thread, deadline) && thread.join().is_ok()
}
