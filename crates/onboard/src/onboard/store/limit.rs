//! Applies the rules in force to the ring; they can change while it runs.
//!
//! A narrower policy takes effect at once: within a second the ring holds nothing that the new
//! rules would not have let in. A wider one takes effect at the next start, so that a ring never
//! grows during a drive.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::config::KeepingConfig;
use crate::policy::{KeepingRules, limit_keeping};

/// Sets what a running ring may keep. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct RingLimit(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<KeepingRules>,
    changes: AtomicU64,
}

impl RingLimit {
    /// Applies these rules to the ring from now on.
    pub fn set(&self, rules: &KeepingRules) {
        *self.0.rules.lock().expect("no holder panics") = rules.clone();
        self.0.changes.fetch_add(1, Ordering::Release);
    }

    /// The settings under new rules, if there are new rules and they narrow anything.
    pub(super) fn narrowed(
        &self,
        keeping: &KeepingConfig,
        seen: &mut u64,
    ) -> Option<KeepingConfig> {
        let changes = self.0.changes.load(Ordering::Acquire);
        if changes == *seen {
            return None;
        }
        *seen = changes;
        let mut narrowed = keeping.clone();
        limit_keeping(&mut narrowed, &self.0.rules.lock().expect("no holder panics"));
        (narrowed.non_hit != keeping.non_hit || narrowed.thumbnails != keeping.thumbnails)
            .then_some(narrowed)
    }
}
