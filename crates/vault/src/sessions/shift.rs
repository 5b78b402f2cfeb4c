//! The start of an officer's shift: what was shown, and that it was gone through, on record.
//!
//! In: the lines that the page has shown, and whether the tone was heard. Out: a record in the audit log, in the name of
//! whoever is signed in. Leaves to others: what the lines say (`alert::shift`).

use std::sync::PoisonError;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Door, Session, Sessions, SignInError, SignedIn};
use crate::audit::{Audit, AuditEvent, Record, ShiftLine};
use crate::policy::Who;

/// Records that are looked through for the last start of a shift: weeks of them, and a moment at the start.
const LOOKED_THROUGH: u64 = 4_096;

/// The last start of a shift in a car.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastShift {
    /// When.
    pub at: Timestamp,
    /// Whose, as the log names them: `officer 1234`.
    pub by: String,
    /// How many of the lines were not well; a tone that was not heard is one.
    pub not_well: usize,
}

impl Session {
    /// Whether this is an officer at the page who has not gone through the start of the shift.
    pub(super) fn is_to_begin(&self) -> bool {
        self.door == Door::Page && !self.begun && self.user.roles.contains(&Who::Officer)
    }
}

impl Sessions {
    /// An officer has gone through the start of the shift. Who has done so already has begun it once.
    pub fn begin_shift(
        &self,
        who: &SignedIn,
        token: Option<&str>,
        lines: Vec<ShiftLine>,
        heard: bool,
    ) -> Result<(), SignInError> {
        {
            let mut open = self.open();
            let session = token.and_then(|token| open.find_mut(Door::Page, token));
            let session = session.ok_or(SignInError::NotSignedIn)?;
            if !session.is_to_begin() {
                return Ok(());
            }
            session.begun = true;
            open.changes += 1;
        }
        let began = LastShift {
            at: self.clock.now().wall,
            by: who.actor().to_string(),
            not_well: not_well(&lines, heard),
        };
        *self.last_shift.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        self.audit.note(who.actor(), AuditEvent::ShiftBegun { lines, heard });
        Ok(())
    }

    /// Somebody has begun or ended to practise on drawn plates.
    pub fn trained(&self, who: &SignedIn, what: &str, right: u64, wrong: u64) {
        let event = AuditEvent::Training { what: what.to_owned(), right, wrong };
        self.audit.note(who.actor(), event);
    }

    /// The last start of a shift, of this run or of one before.
    pub fn last_shift(&self) -> Option<LastShift> {
        self.last_shift.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn not_well(lines: &[ShiftLine], heard: bool) -> usize {
    lines.iter().filter(|line| line.is == "not_well").count() + usize::from(!heard)
}

/// The last start of a shift that is on record, if it is not long ago.
pub(super) fn last(audit: &Audit) -> Option<LastShift> {
    let last = audit.outline().ok()?.last;
    let records = audit.since(last.saturating_sub(LOOKED_THROUGH), LOOKED_THROUGH).ok()?;
    records.into_iter().rev().find_map(of_record)
}

fn of_record(record: Record) -> Option<LastShift> {
    let AuditEvent::ShiftBegun { lines, heard } = &record.event else { return None };
    let not_well = not_well(lines, *heard);
    Some(LastShift { at: record.wall, by: record.who.to_string(), not_well })
}
