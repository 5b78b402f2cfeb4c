//! The lists in service: replaced as a whole while running, looked up without waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::Hotlist;
use super::chunked::Revoked;

/// The lists in service. One per daemon.
#[derive(Debug, Default)]
pub struct Hotlists {
    /// Counts replacements, so that [`Lookups`] see without the lock whether there was one.
    generation: AtomicU64,
    /// Held to copy or to replace one pointer.
    current: Mutex<Arc<[Arc<Hotlist>]>>,
}

impl Hotlists {
    /// Puts lists in service.
    pub fn of(lists: Vec<Hotlist>) -> Self {
        let service = Self::default();
        for list in lists {
            service.put(list);
        }
        service
    }

    /// Puts a list in service in place of the one of the same name, or beside the others.
    pub fn put(&self, list: Hotlist) {
        let mut current = self.current.lock().expect("no holder panics");
        let mut lists: Vec<_> =
            current.iter().filter(|l| l.stamp().name != list.stamp().name).cloned().collect();
        lists.push(Arc::new(list));
        *current = lists.into();
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes a list out of service. Returns whether it was in.
    pub fn remove(&self, name: &str) -> bool {
        let mut current = self.current.lock().expect("no holder panics");
        let lists: Vec<_> = current.iter().filter(|l| *l.stamp().name != *name).cloned().collect();
        let was_in = lists.len() < current.len();
        if was_in {
            *current = lists.into();
            self.generation.fetch_add(1, Ordering::Release);
        }
        was_in
    }

    /// Puts other revocations of a list in force: nothing is built anew.
    pub(super) fn revoke(&self, name: &str, revoked: Option<&Revoked>) {
        let current = self.lists();
        if let Some(list) = current.iter().find(|l| *l.stamp().name == *name) {
            self.put(list.with_revoked(revoked.cloned()));
        }
    }

    /// The lists in service now.
    pub fn lists(&self) -> Arc<[Arc<Hotlist>]> {
        self.current.lock().expect("no holder panics").clone()
    }

    /// Goes up with every replacement.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A look-up's own view, for one thread.
    pub fn lookups(self: &Arc<Self>) -> Lookups {
        let seen = self.generation.load(Ordering::Acquire);
        Lookups { seen, lists: self.lists(), service: self.clone() }
    }
}

/// One thread's view of the lists, brought up to date between look-ups.
#[derive(Debug)]
pub struct Lookups {
    service: Arc<Hotlists>,
    seen: u64,
    lists: Arc<[Arc<Hotlist>]>,
}

impl Lookups {
    /// The lists as last replaced. Never waits: while a replacement is being made the view stays
    /// what it was, for this once.
    pub fn lists(&mut self) -> &[Arc<Hotlist>] {
        let generation = self.service.generation.load(Ordering::Acquire);
        if generation != self.seen
            && let Ok(current) = self.service.current.try_lock()
        {
            self.lists = current.clone();
            // A replacement after the load above is seen next time.
            self.seen = generation;
        }
        &self.lists
    }
}
