//! Removes the files of dead buckets, so that the ring's thread does not wait for it.
//!
//! In: buckets whose key is destroyed, whose end is told, and whose file has its last name. Out: nothing,
//! or the bucket back if its file will not go. Costs: a thread that sleeps; a file of 40 MB takes some 25 ms
//! to remove. Leaves to others: everything that makes a bucket unreadable, which has happened before.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::bucket::Bucket;

/// Removes files, on a thread of its own once [`Undertaker::work_aside`] was called. Dropping it waits
/// until what it was given is gone.
#[derive(Default)]
pub(super) struct Undertaker {
    at_work: Option<(Sender<Bucket>, JoinHandle<()>)>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    left: Mutex<Left>,
    done: Condvar,
}

/// What is not gone yet. Held for an addition.
#[derive(Default)]
struct Left {
    buckets: usize,
    bytes: u64,
    refused: Vec<Bucket>,
}

impl Undertaker {
    /// From now on whoever hands over a bucket does not wait. Where no thread can be had, they do.
    pub(super) fn work_aside(&mut self) {
        let (to, buckets) = channel();
        let shared = self.shared.clone();
        let started = std::thread::Builder::new()
            .name("ring-graves".into())
            .spawn(move || work(&buckets, &shared));
        match started {
            Ok(thread) => self.at_work = Some((to, thread)),
            Err(e) => tracing::warn!(error = %e, "ring removes its files by itself"),
        }
    }

    /// Takes a dead bucket. What its file's removal meets comes back by [`Undertaker::refused`].
    pub(super) fn take(&self, mut bucket: Bucket) {
        let Some((to, _)) = &self.at_work else {
            if bucket.bury().is_err() {
                self.shared.lock().refused.push(bucket);
            }
            return;
        };
        {
            let mut left = self.shared.lock();
            left.buckets += 1;
            left.bytes += bucket.bytes();
        }
        to.send(bucket).expect("the thread ends when this sender is gone");
    }

    /// Bytes on the disk that are on their way out.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.lock().bytes
    }

    /// Waits until everything has been tried.
    pub(super) fn wait(&self) {
        let mut left = self.shared.lock();
        while left.buckets > 0 {
            left = self.shared.done.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Buckets whose files would not go, since the last call.
    pub(super) fn refused(&self) -> Vec<Bucket> {
        std::mem::take(&mut self.shared.lock().refused)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(buckets: &Receiver<Bucket>, shared: &Shared) {
    for mut bucket in buckets {
        let bytes = bucket.bytes();
        let gone = bucket.bury();
        let mut left = shared.lock();
        left.buckets -= 1;
        left.bytes -= bytes;
        if let Err(e) = gone {
            tracing::warn!(error = %e, "file of a destroyed bucket not removed yet");
            left.refused.push(bucket);
        }
        shared.done.notify_all();
    }
}

impl Drop for Undertaker {
    fn drop(&mut self) {
        if let Some((to, thread)) = self.at_work.take() {
            drop(to);
            if thread.join().is_err() {
                tracing::error!("thread that removes buckets panicked");
            }
        }
    }
}
