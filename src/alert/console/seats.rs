//! Pages that are open: each has a seat, and the newest always gets one.
//!
//! A page that is opened is the one that somebody looks at. When every seat is taken, the page that was opened
//! longest ago is told so, and does not come back by itself: whoever looks at it loads it again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Pages open at once. A car has one or two screens; the rest of the descriptors are the cameras'.
const PAGES: usize = 16;

/// The seats. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    next: u64,
    taken: VecDeque<(u64, watch::Sender<bool>)>,
}

/// A page's seat, free again when it is dropped.
pub(super) struct Seat {
    id: u64,
    seats: Seats,
}

impl Seats {
    /// Takes a seat. The other half says when it has to be given up.
    pub(super) fn take(&self) -> (Seat, watch::Receiver<bool>) {
        let mut inside = self.lock();
        if inside.taken.len() >= PAGES
            && let Some((_, oldest)) = inside.taken.pop_front()
        {
            let _ = oldest.send(true);
        }
        inside.next += 1;
        let id = inside.next;
        let (give_up, given_up) = watch::channel(false);
        inside.taken.push_back((id, give_up));
        (Seat { id, seats: self.clone() }, given_up)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().taken.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_page_gets_the_seat_of_the_oldest_and_seats_come_free() {
        let seats = Seats::default();
        let mut taken: Vec<_> = (0..PAGES).map(|_| seats.take()).collect();
        assert!(taken.iter().all(|(_, up)| !*up.borrow()));
        drop(taken.remove(5));
        let _free = seats.take();
        assert!(!*taken[0].1.borrow(), "there was a free one");
        let _newest = seats.take();
        assert!(*taken[0].1.borrow());
        assert!(taken[1..].iter().all(|(_, up)| !*up.borrow()));
        assert_eq!(seats.lock().taken.len(), PAGES);
    }
}
