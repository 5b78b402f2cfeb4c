//! Remembers which messages the broker has acknowledged while that cannot be written to the disk. Without this, a
//! full or read-only disk would make us send the same message a thousand times.
//!
//! In: the broker's answers. Out: the true state of a message, whatever the disk says. Costs: an entry for
//! each message whose state is not written. Leaves to others: the disk. After a restart, a message that was
//! acknowledged and whose acknowledgement was never written is sent once more; the receiver recognises it by its ULID.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::queue::News;
use crate::backoff::Backoff;

/// Pauses between two attempts to write down what the disk has refused.
const AGAIN_FIRST: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });
const AGAIN_MOST: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 10_000 });

/// As in `schema.sql`.
pub(super) const WAITING: i64 = 0;
pub(super) const SENT: i64 = 1;
pub(super) const ACKNOWLEDGED: i64 = 2;
const SET_ASIDE: i64 = 3;

/// What is not written down.
pub(super) struct Unwritten {
    news: BTreeMap<i64, News>,
    /// A new connection began, whose broker takes messages of this size: what the disk says was sent was
    /// sent on an earlier one.
    started_over: Option<usize>,
    until: Option<Instant>,
    pauses: Backoff,
}

impl Default for Unwritten {
    fn default() -> Self {
        let pauses = Backoff::new(AGAIN_FIRST, AGAIN_MOST);
        Self { news: BTreeMap::new(), started_over: None, until: None, pauses }
    }
}

impl Unwritten {
    /// Whether everything is written.
    pub(super) fn is_empty(&self) -> bool {
        self.news.is_empty() && self.started_over.is_none()
    }

    /// For how many messages the disk has an older state than we know.
    pub(super) fn len(&self) -> usize {
        self.news.len()
    }

    /// Adds what became of messages. After an acknowledgement nothing changes a message's state.
    pub(super) fn add(&mut self, news: &[(i64, News)]) {
        for (seq, news) in news {
            if self.news.get(seq) != Some(&News::Acknowledged) {
                self.news.insert(*seq, news.clone());
            }
        }
    }

    /// Called for a new connection: what was under way on the one before waits again.
    pub(super) fn start_over(&mut self, largest: usize) {
        self.news.retain(|_, news| *news == News::Acknowledged);
        self.started_over = Some(largest);
    }

    /// Whether writing may be tried now: always, but for a while after the disk has refused.
    pub(super) fn may_try(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }

    /// What is to be written.
    pub(super) fn all(&self) -> (&BTreeMap<i64, News>, Option<usize>) {
        (&self.news, self.started_over)
    }

    /// Called when all of it was written.
    pub(super) fn written(&mut self) {
        *self = Self::default();
    }

    /// Called when the disk refused.
    pub(super) fn refused(&mut self) {
        self.until = Some(Instant::now() + self.pauses.failed());
    }

    /// The true state of a message whose state on the disk is `on_disk`.
    pub(super) fn state(&self, seq: i64, on_disk: i64) -> i64 {
        match self.news.get(&seq) {
            Some(News::Waiting) => WAITING,
            Some(News::Sent) => SENT,
            Some(News::Acknowledged) => ACKNOWLEDGED,
            Some(News::SetAside(_)) => SET_ASIDE,
            None if on_disk == SENT && self.started_over.is_some() => WAITING,
            None => on_disk,
        }
    }
}
