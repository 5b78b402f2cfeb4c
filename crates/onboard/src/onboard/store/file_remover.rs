//! Removes the files of destroyed buckets, so that the ring's thread does not wait for that.
//!
//! In: buckets whose key is destroyed and whose end is in the audit log; their files have been
//! renamed, so that a later start knows that. Out: nothing, or the bucket again if its file cannot
//! be removed. Costs: a thread that sleeps; removing a file of 40 MB takes some 25 ms. Leaves to
//! others: everything that makes a bucket unreadable, which has happened before.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::bucket::Bucket;

/// Removes files, on a thread of its own once [`FileRemover::work_aside`] was called. Dropping it
/// waits until everything that it was given is removed.
#[derive(Default)]
pub(super) struct FileRemover {
    at_work: Option<(Sender<Bucket>, JoinHandle<()>)>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    left: Mutex<Left>,
    done: Condvar,
}

/// What is not removed yet. Locked for an addition.
#[derive(Default)]
struct Left {
    buckets: usize,
    bytes: u64,
    refused: Vec<Bucket>,
}

impl FileRemover {
    /// From now on a caller does not wait. If no thread can be started, callers keep waiting.
    pub(super) fn work_aside(&mut self) {
        let (to, buckets) = channel();
        let shared = self.shared.clone();
        let started = crate::threads::spawn("ring-graves", move || work(&buckets, &shared));
        match started {
            Ok(thread) => self.at_work = Some((to, thread)),
            Err(e) => tracing::warn!(error = %e, "ring removes its files by itself"),
        }
    }

    /// Takes a destroyed bucket. If its file cannot be removed, [`FileRemover::refused`] returns it.
    pub(super) fn hand_over(&self, mut bucket: Bucket) {
        let Some((to, _)) = &self.at_work else {
            if bucket.remove_files().is_err() {
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

    /// Bytes on the disk that are still to be removed.
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

    /// Buckets whose files could not be removed, since the last call.
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
        let gone = bucket.remove_files();
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

impl Drop for FileRemover {
    fn drop(&mut self) {
        if let Some((to, thread)) = self.at_work.take() {
            drop(to);
            if thread.join().is_err() {
                tracing::error!("thread that removes buckets panicked");
            }
        }
    }
}
