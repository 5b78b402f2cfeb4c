//! The daemon's threads: how they start, how they end, and what happens when one panics.
//!
//! Every thread is started by [`spawn`] and has a name. A panic in any of them ends the whole
//! process with an error in the log ([`end_on_panic`]). If a thread ended unnoticed, data would not
//! expire or hits would not be recorded, while the screen still said *working*. systemd restarts
//! the daemon within a second or two, and what has expired is destroyed before a camera opens.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two checks whether a thread has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Time that the other threads get after a panic, in which a hit that raised an alert reaches the
/// disk.
const LAST_WRITES: Duration = Duration::from_millis(300);

/// Starts a thread. Linux shows 15 characters of its name.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let name: String = name.chars().take(15).collect();
    let known = name.clone();
    std::thread::Builder::new().name(name).spawn(move || {
        began(&known);
        work()
    })
}

/// Starts a thread that runs until its handle is dropped.
pub fn spawn_until_dropped(
    name: &'static str,
    work: impl FnOnce(Pause) + Send + 'static,
) -> io::Result<UntilDropped> {
    let (stop, stopped) = channel();
    let thread = spawn(name, move || work(Pause(stopped)))?;
    Ok(UntilDropped { name, stop: Some(stop), thread: Some(thread) })
}

/// Handle of a thread: dropping it ends the thread and waits for that.
#[derive(Debug)]
pub struct UntilDropped {
    name: &'static str,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for UntilDropped {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(thread = self.name, "thread panicked");
        }
    }
}

/// Given to such a thread, to wait between two rounds.
pub struct Pause(Receiver<()>);

impl Pause {
    /// Waits for `pause`, or until the thread must end. Returns whether it goes on.
    pub fn goes_on_after(&self, pause: Duration) -> bool {
        self.0.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }
}

/// Makes a panic in any thread end the process, with a line that names the thread and the place.
///
/// The panic's own message is left out: it may hold a text that was being read, and no plate may
/// reach a log.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without a name");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(thread, at, "a fault inside ends the daemon, to be started anew");
        let status = format!("a fault inside ended thread {thread} at {at}: starting anew");
        // The status is shown by systemd; where there is no systemd, the log has it.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Status(&status)]);
        std::thread::sleep(LAST_WRITES);
        std::process::abort();
    }));
}

/// Names of the threads that were started so far, for the test that makes each of them panic.
#[cfg(any(test, feature = "testing"))]
pub fn started_for_tests() -> Vec<String> {
    STARTED.lock().map(|started| started.iter().cloned().collect()).unwrap_or_default()
}

#[cfg(any(test, feature = "testing"))]
static STARTED: std::sync::Mutex<std::collections::BTreeSet<String>> =
    std::sync::Mutex::new(std::collections::BTreeSet::new());

/// Marks that a thread has begun. In tests it panics here if `OUTRIDER_PANIC_IN` is its name.
pub fn began(name: &str) {
    #[cfg(any(test, feature = "testing"))]
    {
        if let Ok(mut started) = STARTED.lock() {
            started.insert(name.to_owned());
        }
        if std::env::var_os("OUTRIDER_PANIC_IN").is_some_and(|asked| *asked == *name) {
            panic!("a test asked {name} to, with words that hold a plate: PANIC841");
        }
    }
    #[cfg(not(any(test, feature = "testing")))]
    let _ = name;
}

/// Waits until a thread has ended, at most for `deadline`. Returns whether it has ended.
pub fn ends_within<T>(thread: &JoinHandle<T>, deadline: Duration) -> bool {
    let until = Instant::now() + deadline;
    while !thread.is_finished() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    true
}

/// As [`ends_within`], but returns whether it ended well: a thread that still runs, or that
/// panicked, did not.
pub fn ends_well_within<T>(thread: JoinHandle<T>, deadline: Duration) -> bool {
    ends_within(&thread, deadline) && thread.join().is_ok()
}

/// A periodic task within a thread that also receives messages. If the task waited until no message
/// comes, a stranger could put it off for ever.
pub struct Turns {
    every: Duration,
    next: Instant,
}

impl Turns {
    /// The task is first due after this time.
    pub fn every(every: Duration) -> Self {
        Self { every, next: Instant::now() + every }
    }

    /// The time until the task is due: the longest to wait for a message.
    pub fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Whether the task is due; if so, it is next due one period from now.
    pub fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn thread_goes_on_until_its_handle_is_dropped_and_has_ended_then() {
        let turns = Arc::new(AtomicU32::new(0));
        let (counted, ended) = (turns.clone(), Arc::downgrade(&turns));
        let look_on = move |pause: Pause| {
            while pause.goes_on_after(Duration::from_millis(1)) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        };
        let thread = spawn_until_dropped("goes-on", look_on).unwrap();
        while turns.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        drop(thread);
        drop(turns);
        assert!(ended.upgrade().is_none(), "the thread holds nothing any more");
    }

    #[test]
    fn turns_come_round_however_much_comes_in_between() {
        let mut turns = Turns::every(Duration::from_millis(20));
        let (started, mut came) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_millis(200) {
            came += u32::from(turns.is_due());
            std::thread::sleep(turns.wait().min(Duration::from_millis(1)));
        }
        assert!((5..=10).contains(&came), "{came}");
    }
}
