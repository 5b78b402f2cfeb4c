//! The figures of a period: the same report that `outrider report` writes, with its changes in words.

use jiff::civil::Date;
use serde::Serialize;

use super::{Review, ReviewError};
use crate::counters::report::Report;
use crate::counters::share::Share;
use crate::sessions::SignedIn;

/// The seven figures of a period, month by month.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// As `outrider report` has it.
    pub report: Report,
    /// For each month of it: the changes of detections and hits against the year before, in words.
    pub changes: Vec<(String, String)>,
    /// Hits among reads.
    pub hits_of_reads: Share,
    /// Misreads among the hits that somebody compared.
    pub misreads: Share,
}

impl Review {
    /// The figures of these days. They are counts and name no plate: nothing is written down.
    pub fn figures(&self, who: &SignedIn, from: Date, to: Date) -> Result<Figures, ReviewError> {
        Self::may(who)?;
        let report = self.report(from, to)?;
        let of = |word: &str| report.total.dispositions.get(word).copied().unwrap_or(0);
        let compared: u64 = report
            .total
            .dispositions
            .iter()
            .filter(|(word, _)| super::hits::compared(word))
            .map(|(_, n)| n)
            .sum();
        Ok(Figures {
            changes: report.months.iter().map(crate::counters::report::Month::changes).collect(),
            hits_of_reads: Share::of(report.total.hotplate_hits, report.total.detections),
            misreads: Share::of(of("misread"), compared),
            report,
        })
    }

    pub(super) fn report(&self, from: Date, to: Date) -> Result<Report, ReviewError> {
        if from > to {
            return Err(ReviewError::Backwards { from, to });
        }
        let counters = self.counters.as_ref().ok_or(ReviewError::NoCounters)?;
        // What was written down a moment ago counts too; and the year before, to compare with.
        counters.count(&self.audit)?;
        let year = jiff::Span::new().years(1);
        let days = counters.days(from.checked_sub(year).unwrap_or(from), to)?;
        let days = days.into_iter().map(|day| (self.vehicle.id.clone(), day.shown())).collect();
        Ok(Report::of(&self.vehicle.agency, from, to, days))
    }
}
