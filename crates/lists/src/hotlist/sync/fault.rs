//! Steps of a sync at which tests kill the process, to check what is left.
//!
//! Release builds have none of this: the function is empty.

/// Kills the process here, as in a power cut, if `OUTRIDER_DIE_AT` says so: it holds the step's
/// name, or the name, a colon and how many times the step is passed first.
#[cfg(any(test, feature = "testing"))]
pub(super) fn step(name: &'static str) {
    use std::sync::Mutex;
    static PASSED: Mutex<u32> = Mutex::new(0);
    let Ok(at) = std::env::var("OUTRIDER_DIE_AT") else { return };
    let (step, times) = at.split_once(':').unwrap_or((&at, "0"));
    if step != name {
        return;
    }
    let mut passed = PASSED.lock().expect("no holder panics");
    if *passed >= times.parse().unwrap_or(0) {
        let us = rustix::process::getpid();
        let _ = rustix::process::kill_process(us, rustix::process::Signal::KILL);
        // The signal is about to arrive.
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
    *passed += 1;
}

/// Does nothing in release builds.
#[cfg(not(any(test, feature = "testing")))]
pub(super) fn step(_: &'static str) {}
