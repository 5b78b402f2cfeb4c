//! What the road has shown of each list, for the odds on the alert card.
//!
//! In: the hits that are kept with what people made of them, the counters, the lists in service. Out: the odds of
//! a hit at once, from memory: an alert waits for no disk. Costs: every ten minutes a pass over the newest hits of
//! a month. Covert hits count for nothing here: the odds of an open one would tell of them.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::counters::Counters;
use crate::hits::{Odds, Outbox, Reading, Road};
use crate::hotlist::Hotlists;
use crate::onboard::Hit;
use crate::records::disposition::{Standing, Word};

/// Days that are looked back, today included; fewer where hits are kept for less.
const DAYS: u32 = 30;

/// Hits that are looked at, the newest: at ten an hour they are more than a month.
const HITS: usize = 5_000;

/// What is known of the road. Clones share it.
#[derive(Clone)]
pub(super) struct Roads {
    hotlists: Arc<Hotlists>,
    days: u32,
    /// By list. Held to copy one or to replace all.
    seen: Arc<RwLock<BTreeMap<String, Road>>>,
}

impl Roads {
    /// Nothing is known yet. `kept` is how long hits are kept.
    pub(super) fn new(hotlists: Arc<Hotlists>, kept: std::time::Duration) -> Self {
        let days = u32::try_from(kept.as_secs() / 86_400).unwrap_or(u32::MAX).min(DAYS);
        Self { hotlists, days, seen: Arc::default() }
    }

    /// The odds of a hit, if they can be known.
    pub(super) fn odds(&self, hit: &Hit) -> Option<Odds> {
        let list = &hit.list().name;
        let road = *self.seen.read().expect("no holder panics").get(&**list)?;
        let lists = self.hotlists.lists();
        let serving = lists.iter().find(|serving| serving.list().stamp().name == *list)?;
        let listed = hit.entry().plate.expose();
        Odds::of(&Reading::vote_of(hit), listed, serving.shape().density(), road)
    }

    /// Counts anew.
    pub(super) fn look_back(&self, outbox: &Outbox, counters: &Counters, now: Timestamp) {
        match self.count(outbox, counters, now) {
            Ok(seen) => *self.seen.write().expect("no holder panics") = seen,
            Err(e) => tracing::warn!(error = %e, "the odds of alerts are not known"),
        }
    }

    fn count(
        &self,
        outbox: &Outbox,
        counters: &Counters,
        now: Timestamp,
    ) -> anyhow::Result<BTreeMap<String, Road>> {
        let Some(before) = self.days.checked_sub(1) else { return Ok(BTreeMap::new()) };
        let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
        let first = day(now.checked_sub(SignedDuration::from_hours(24 * i64::from(before)))?);
        let reads = counters
            .days(first, day(now))?
            .iter()
            .flat_map(|day| day.cameras.values())
            .filter_map(|counts| counts.get("reads"))
            .sum();
        let mut seen: BTreeMap<String, Road> = BTreeMap::new();
        for kept in outbox.recent(HITS)? {
            if kept.report.covert || day(kept.report.seen) < first {
                continue;
            }
            let road = seen.entry(kept.report.entry.list.clone()).or_insert(Road {
                days: self.days,
                reads,
                ..Road::default()
            });
            road.hits += 1;
            match Standing::of(&outbox.dispositions(kept.id)?).is {
                Some(Word::Misread) => {
                    road.judged += 1;
                    road.misread += 1;
                }
                // Whoever said one of these has compared the characters.
                Some(
                    Word::Confirmed
                    | Word::WrongJurisdiction
                    | Word::DispatchConfirmed
                    | Word::NotActive,
                ) => {
                    road.judged += 1;
                }
                _ => {}
            }
        }
        Ok(seen)
    }
}
