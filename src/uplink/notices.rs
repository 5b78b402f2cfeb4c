//! Messages of which only the latest counts and whose order does not matter: the audit log's last checkpoint, days of
//! counts, that the car was wiped.
//!
//! In: newer states from the audit log and the counters. Out: on each connection the messages that its broker has
//! not acknowledged. Nothing is kept on the disk here: log and counters have it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::audit::Sealed;
use crate::wire::{Outbound, StatsReport};

/// The latest notices. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    checkpoint: Option<Sealed>,
    /// Whether this connection's broker has been handed it.
    handed: bool,
    /// Days, and whether this connection's broker has been handed them.
    days: BTreeMap<Date, (StatsReport, bool)>,
    acknowledged: Vec<(Date, u64)>,
    wiped: Option<Timestamp>,
}

impl Notices {
    /// A newer head of the audit log.
    pub fn checkpoint(&self, sealed: Sealed) {
        let mut state = self.lock();
        if state.checkpoint.as_ref() != Some(&sealed) {
            state.checkpoint = Some(sealed);
            state.handed = false;
        }
    }

    /// A day's counts, in their latest state.
    pub fn stats(&self, report: StatsReport) {
        let mut state = self.lock();
        let known = state.days.get(&report.day).is_some_and(|(had, _)| *had == report);
        if !known {
            state.days.insert(report.day, (report, false));
        }
    }

    /// Called when the keys are destroyed: the status says so from now on.
    pub fn wipe(&self, at: Timestamp) {
        self.lock().wiped = Some(at);
    }

    /// Whether the broker may still be handed something.
    pub fn is_due(&self) -> bool {
        let state = self.lock();
        (state.checkpoint.is_some() && !state.handed) || state.days.values().any(|(_, h)| !h)
    }

    /// States of days that the broker has acknowledged since the last call.
    pub fn take_acknowledged(&self) -> Vec<(Date, u64)> {
        std::mem::take(&mut self.lock().acknowledged)
    }

    /// When the keys were destroyed.
    pub(super) fn wiped(&self) -> Option<Timestamp> {
        self.lock().wiped
    }

    /// Called for a new connection, which has been handed nothing.
    pub(super) fn start_over(&self) {
        let mut state = self.lock();
        state.handed = false;
        state.days.values_mut().for_each(|(_, handed)| *handed = false);
    }

    /// The next message that this connection's broker has not been handed.
    pub(super) fn due(&self) -> Option<Outbound> {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.handed, true)
            && let Some(sealed) = &state.checkpoint
        {
            return Some(Outbound::Checkpoint(sealed.clone()));
        }
        let (report, handed) = state.days.values_mut().find(|(_, handed)| !handed)?;
        *handed = true;
        Some(Outbound::Stats(Box::new(report.clone())))
    }

    /// Called when the broker has acknowledged this state of a day.
    pub(super) fn acknowledged(&self, day: Date, revision: u64) {
        let mut state = self.lock();
        if state.days.get(&day).is_some_and(|(report, _)| report.revision == revision) {
            state.days.remove(&day);
        }
        state.acknowledged.push((day, revision));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding the lock left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
