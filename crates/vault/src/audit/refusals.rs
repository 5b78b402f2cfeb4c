//! Limits the records of refusals: the first few of a kind are recorded one by one, the rest are
//! counted and recorded once.
//!
//! In: refusals of what anybody can send: documents and commands without a valid signature. Out:
//! which of them get a record now, and one summary of the others. It does no I/O. Without it,
//! anybody who can publish to the broker could fill a car's log at some megabytes a second.

use std::collections::BTreeMap;
use std::time::Duration;

use super::AuditEvent;

/// Refusals of one kind that are recorded one by one in [`PER`]: enough for a person who tries
/// again, and for a document that arrives before its keys.
pub(super) const MOST: u64 = 5;

/// The time over which that limit counts, on the boot clock, which nobody can set.
pub(super) const PER: Duration = Duration::from_secs(600);

/// Most kinds that are counted separately: each list is one.
const MOST_KINDS: usize = 64;

/// The recent refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<String, Burst>);

#[derive(Debug)]
struct Burst {
    since: Duration,
    written: u64,
    left_out: u64,
    last: Option<AuditEvent>,
}

impl Refusals {
    /// Whether this refusal gets a record of its own. If not, it has been counted.
    pub(super) fn needs_record(&mut self, now: Duration, kind: &str, event: &AuditEvent) -> bool {
        if !self.0.contains_key(kind) && self.0.len() >= MOST_KINDS {
            return false;
        }
        let fresh = || Burst { since: now, written: 0, left_out: 0, last: None };
        let burst = self.0.entry(kind.to_owned()).or_insert_with(fresh);
        // A burst whose refusals were left out is kept for `due`, so that no count is lost.
        if now.saturating_sub(burst.since) >= PER && burst.left_out == 0 {
            *burst = fresh();
        }
        if burst.written < MOST {
            burst.written += 1;
            return true;
        }
        burst.left_out += 1;
        burst.last = Some(event.clone());
        false
    }

    /// One summary record for each kind whose time is over and of which some were left out.
    pub(super) fn due(&mut self, now: Duration) -> Vec<AuditEvent> {
        let mut due = Vec::new();
        self.0.retain(|_, burst| {
            if now.saturating_sub(burst.since) < PER {
                return true;
            }
            if let Some(last) = burst.last.take() {
                due.push(summed_up(last, burst.left_out));
            }
            false
        });
        due
    }
}

/// The last refusal of a kind, with the number of those that were left out.
fn summed_up(mut last: AuditEvent, n: u64) -> AuditEvent {
    if let AuditEvent::CommandRefused { why, .. }
    | AuditEvent::PolicyRefused { why, .. }
    | AuditEvent::TrustRefused { why }
    | AuditEvent::EntryRefused { why, .. }
    | AuditEvent::Session { what: why, .. }
    | AuditEvent::ListRefused { why, .. }
    | AuditEvent::ModelRefused { why, .. } = &mut last
    {
        let minutes = PER.as_secs() / 60;
        *why = format!("{n} more were refused within {minutes} minutes, the last: {why}");
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(n: u64) -> AuditEvent {
        AuditEvent::CommandRefused { signers: Vec::new(), why: format!("reason {n}") }
    }

    #[test]
    fn heap_of_refusals_is_a_few_records_and_a_count() {
        let mut refusals = Refusals::default();
        let mut written = 0;
        // A thousand a second for eleven minutes.
        let mut told = Vec::new();
        for n in 0..660_000 {
            let now = Duration::from_millis(n);
            written += u64::from(refusals.needs_record(now, "command", &refused(n)));
            if n % 1_000 == 0 {
                told.extend(refusals.due(now));
            }
        }
        assert_eq!(written, 2 * MOST, "in two stretches of ten minutes");
        let [AuditEvent::CommandRefused { why, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(why, "599996 more were refused within 10 minutes, the last: reason 600000");
        assert!(refusals.needs_record(Duration::ZERO, "list/stolen", &refused(0)), "another kind");
        let later = refusals.due(Duration::from_secs(3_000));
        assert_eq!(later.len(), 1);
        assert!(refusals.due(Duration::from_secs(9_000)).is_empty());
    }
}
