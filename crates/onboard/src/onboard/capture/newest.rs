//! A slot between a camera and its reader that holds the newest frame only.
//!
//! A slow reader must read what the camera sees now, not what it saw before. So a frame that nobody
//! has taken is replaced, and whoever put the newer one in counts that. The lock is held for a move
//! of a few words, never while a picture is copied.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A place for one value. Closing it wakes everybody who waits; the value in it can still be taken.
#[derive(Debug)]
pub struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    closed: bool,
}

/// The result of putting a value in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The slot was empty.
    Stored,
    /// An older value was replaced.
    Replaced,
    /// The slot is closed; the value was dropped.
    Closed,
}

/// The result of waiting for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken<T> {
    /// The newest value.
    Value(T),
    /// No value came in time.
    Nothing,
    /// The slot is closed and empty: no value will come.
    Closed,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slot<T> {
    /// An empty, open slot.
    pub fn new() -> Self {
        Self { state: Mutex::new(State { value: None, closed: false }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no holder of the slot's lock panics")
    }

    /// Puts a value in, replacing one that nobody took.
    pub fn put(&self, value: T) -> Put {
        let mut state = self.lock();
        if state.closed {
            return Put::Closed;
        }
        let old = state.value.replace(value);
        drop(state);
        self.changed.notify_all();
        // The old picture is freed here, after the lock was released.
        if old.is_some() { Put::Replaced } else { Put::Stored }
    }

    /// Waits until the slot is empty and puts a value in, so that nothing is replaced.
    pub fn put_when_free(&self, value: T) -> Put {
        let mut state = self
            .changed
            .wait_while(self.lock(), |s| !s.closed && s.value.is_some())
            .expect("no holder of the slot's lock panics");
        if state.closed {
            return Put::Closed;
        }
        state.value = Some(value);
        drop(state);
        self.changed.notify_all();
        Put::Stored
    }

    /// Waits for a value; `None` once the slot is closed and empty.
    pub fn take(&self) -> Option<T> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |s| !s.closed && s.value.is_none())
            .expect("no holder of the slot's lock panics");
        let value = state.value.take();
        drop(state);
        self.changed.notify_all();
        value
    }

    /// Waits for a value, at most for `timeout`.
    pub fn take_for(&self, timeout: Duration) -> Taken<T> {
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |s| !s.closed && s.value.is_none())
            .expect("no holder of the slot's lock panics");
        let (value, closed) = (state.value.take(), state.closed);
        drop(state);
        self.changed.notify_all();
        match value {
            Some(value) => Taken::Value(value),
            None if closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// Closes the slot, from either side: no more values can be put in, and takers get `None` once
    /// it is empty.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Whether the slot is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Sleeps for `pause`, or until the slot is closed. Returns whether it is closed.
    pub fn closed_within(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return state.closed;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .expect("no holder of the slot's lock panics")
                .0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn newer_value_replaces_the_one_that_waits() {
        let slot = Slot::new();
        assert_eq!(slot.put(1), Put::Stored);
        assert_eq!(slot.put(2), Put::Replaced);
        assert_eq!(slot.take(), Some(2));
        assert_eq!(slot.take_for(Duration::ZERO), Taken::Nothing);
    }

    #[test]
    fn closing_wakes_a_waiting_taker() {
        let slot = Arc::new(Slot::<u8>::new());
        let taker = thread::spawn({
            let slot = slot.clone();
            move || slot.take()
        });
        slot.close();
        assert_eq!(taker.join().unwrap(), None);
    }

    #[test]
    fn closing_wakes_a_waiting_putter_and_a_pause() {
        let slot = Arc::new(Slot::new());
        slot.put(1);
        let putter = thread::spawn({
            let slot = slot.clone();
            move || slot.put_when_free(2)
        });
        let sleeper = thread::spawn({
            let slot = slot.clone();
            move || slot.closed_within(Duration::from_secs(600))
        });
        slot.close();
        assert_eq!(putter.join().unwrap(), Put::Closed);
        assert!(sleeper.join().unwrap());
    }

    #[test]
    fn value_put_before_closing_is_still_taken() {
        let slot = Slot::new();
        slot.put(7);
        slot.close();
        assert_eq!(slot.put(8), Put::Closed);
        assert_eq!(slot.take_for(Duration::ZERO), Taken::Value(7));
        assert_eq!(slot.take_for(Duration::ZERO), Taken::Closed);
        assert_eq!(slot.take(), None);
    }

    #[test]
    fn waiting_putter_loses_nothing() {
        let slot = Arc::new(Slot::new());
        let putter = thread::spawn({
            let slot = slot.clone();
            move || {
                for n in 0..1_000 {
                    assert_eq!(slot.put_when_free(n), Put::Stored);
                }
                slot.close();
            }
        });
        let got: Vec<_> = std::iter::from_fn(|| slot.take()).collect();
        putter.join().unwrap();
        assert_eq!(got, (0..1_000).collect::<Vec<_>>());
    }

    proptest! {
        /// Puts and takes in any order: a take gives the newest, and stored = taken + left over,
        /// put = stored + replaced.
        #[test]
        fn newest_wins_and_counts_add_up(steps in prop::collection::vec(any::<bool>(), 0..200)) {
            let slot = Slot::new();
            let (mut put, mut replaced, mut taken) = (0_u32, 0, 0);
            let mut newest = None;
            for is_put in steps {
                if is_put {
                    put += 1;
                    newest = Some(put);
                    match slot.put(put) {
                        Put::Stored => {}
                        Put::Replaced => replaced += 1,
                        Put::Closed => unreachable!("nobody closes it"),
                    }
                } else {
                    match slot.take_for(Duration::ZERO) {
                        Taken::Value(v) => {
                            taken += 1;
                            prop_assert_eq!(Some(v), newest.take());
                        }
                        Taken::Nothing => prop_assert_eq!(newest, None),
                        Taken::Closed => unreachable!("nobody closes it"),
                    }
                }
            }
            prop_assert_eq!(put, replaced + taken + u32::from(newest.is_some()));
        }

        /// The same between two threads: what is taken only ever goes up.
        #[test]
        fn taker_in_another_thread_never_sees_an_older_value(n in 1_u32..2_000) {
            let slot = Arc::new(Slot::new());
            let putter = thread::spawn({
                let slot = slot.clone();
                move || {
                    let replaced = (0..n).filter(|&i| slot.put(i) == Put::Replaced).count();
                    slot.close();
                    replaced
                }
            });
            let got: Vec<_> = std::iter::from_fn(|| slot.take()).collect();
            let replaced = putter.join().unwrap();
            prop_assert!(got.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(got.last(), Some(&(n - 1)));
            prop_assert_eq!(got.len() + replaced, n as usize);
        }
    }
}
