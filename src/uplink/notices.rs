//! What the broker is to hold for those who come later, and only the latest counts: the audit log's
//! last checkpoint.
//!
//! In: whoever has something newer. Out: messages, once per connection and per change. Nothing is
//! kept on the disk here: the log has it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::wire::Outbound;
use crate::audit::Sealed;

/// The latest notices. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    checkpoint: Option<Sealed>,
    /// Whether this connection's broker has been handed it.
    handed: bool,
}

impl Notices {
    /// A newer head of the audit log.
    pub fn checkpoint(&self, sealed: Sealed) {
        let mut state = self.lock();
        if state.checkpoint.as_ref() != Some(&sealed) {
            *state = State { checkpoint: Some(sealed), handed: false };
        }
    }

    /// A new connection has been handed nothing.
    pub(super) fn start_over(&self) {
        self.lock().handed = false;
    }

    /// What this connection's broker has not been handed.
    pub(super) fn due(&self) -> Option<Outbound> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.handed, true) {
            return None;
        }
        state.checkpoint.clone().map(Outbound::Checkpoint)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
