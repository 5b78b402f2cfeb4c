//! The log for whoever looks at it in the running car: the newest records first, and the whole chain checked.
//!
//! Both go by pages, so that the next record waits for one page at most. Leaves to others: who may look.

use super::pages::{Line, Wanted};
use super::*;

/// Records that are read at a time.
const WINDOW: Seq = 512;

/// The key is made before anything that is recorded, or at the first start.
const BEGINNING: Seq = 16;

impl Audit {
    /// Shows records before this one, or from the last on, the newest first, for as long as `look` says yes. One
    /// that cannot be read is left to [`Audit::verify_by_pages`] to name.
    pub fn newest_first(
        &self,
        before: Option<Seq>,
        mut look: impl FnMut(Record) -> bool,
    ) -> Result<(), AuditError> {
        let end = self.outline()?.last;
        let mut last = before.map_or(end, |before| before.saturating_sub(1).min(end));
        while last > 0 {
            let after = last.saturating_sub(WINDOW);
            let mut from = after;
            let mut lines = Vec::new();
            // A page ends early where its lines are long.
            while from < last
                && let page = self.page(Wanted { after: from, last })?
                && let Some(reached) = page.last().map(|line| line.seq)
            {
                lines.extend(page);
                from = reached;
            }
            for Line { line, .. } in lines.into_iter().rev() {
                if let Ok(record) = serde_json::from_str::<Record>(&line)
                    && !look(record)
                {
                    return Ok(());
                }
            }
            last = after;
        }
        Ok(())
    }

    /// Checks the whole chain as it is now, by the key that it begins with. A fault is an answer, not an error.
    pub fn verify_by_pages(&self) -> Result<Result<Verdict, Fault>, AuditError> {
        let last = self.outline()?.last;
        let mut first = None;
        for Line { line, .. } in self.page(Wanted { after: 0, last: BEGINNING })? {
            if first.is_none()
                && let Ok(record) = serde_json::from_str::<Record>(&line)
                && let AuditEvent::KeyCreated { public, .. } = record.event
            {
                first = PublicKey::parse(&public).ok();
            }
        }
        let Some(key) = first.or_else(|| self.public_key()) else {
            return Err(AuditError::Closed(self.closed().unwrap_or_default()));
        };
        let mut verifier = Verifier::new(key);
        let mut after = 0;
        while after < last {
            let page = self.page(Wanted { after, last })?;
            let Some(reached) = page.last().map(|line| line.seq) else { break };
            for Line { line, seal, .. } in page {
                let held = verifier
                    .line(line.as_bytes())
                    .and_then(|()| seal.map_or(Ok(()), |seal| verifier.line(seal.as_bytes())));
                if let Err(fault) = held {
                    return Ok(Err(fault));
                }
            }
            after = reached;
        }
        Ok(verifier.end_in_place())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn newest_records_come_first_over_every_window_and_the_chain_is_checked_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let keeping =
            KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let audit = Audit::open(&keeping, &vehicle, Arc::new(SystemClock), Arc::default()).unwrap();
        let many = 2 * WINDOW + 3;
        for _ in 0..many {
            audit.append(Actor::System, AuditEvent::GpsLost).unwrap();
        }
        let end = audit.outline().unwrap().last;
        let mut seen = Vec::new();
        audit
            .newest_first(None, |record| {
                seen.push(record.seq);
                true
            })
            .unwrap();
        let all: Vec<_> = (1..=end).rev().collect();
        assert_eq!(seen, all);
        let mut seen = Vec::new();
        audit
            .newest_first(Some(10), |record| {
                seen.push(record.seq);
                record.seq > 8
            })
            .unwrap();
        assert_eq!(seen, [9, 8]);
        let verdict = audit.verify_by_pages().unwrap().unwrap();
        assert_eq!(verdict.records, end);
        assert!(verdict.sealed > end - SEALED_EVERY, "{verdict:?}");
    }
}
