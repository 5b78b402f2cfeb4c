//! The hit log: every hit that the car still keeps, in exactly one standing, and how often hits were misreads.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{ROWS, Review, ReviewError, Span, choice};
use crate::counters::report::{DISPOSITIONS, UNREVIEWED};
use crate::counters::share::Share;
use crate::entry::Priority;
use crate::hits::KeptHit;
use crate::onboard::MatchKind;
use crate::records::disposition::{Standing, Word};
use crate::sessions::SignedIn;
use crate::wire::DispositionReport;

/// Which hits are wanted; what is left out is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HitsFilter {
    /// When they were seen.
    pub seen: Span,
    /// As listed.
    pub category: Option<String>,
    /// One of [`DISPOSITIONS`], or [`UNREVIEWED`].
    pub standing: Option<String>,
    /// The list's name.
    pub list: Option<String>,
    /// The camera's.
    pub camera: Option<String>,
}

/// One hit.
#[derive(Debug, Clone, Serialize)]
pub struct HitRow {
    pub hit: String,
    pub seen: Timestamp,
    pub camera: String,
    pub list: String,
    pub category: String,
    pub priority: Priority,
    pub exact: bool,
    pub read: String,
    pub listed: String,
    pub jurisdiction: String,
    pub standing: &'static str,
    pub came: Option<&'static str>,
    pub by: Option<String>,
    pub at: Option<Timestamp>,
    pub operator: Option<String>,
}

/// How often the hits of one list, or one camera, were misreads.
#[derive(Debug, Clone, Serialize)]
pub struct RateRow {
    /// Which.
    pub name: String,
    /// Hits in all.
    pub hits: u64,
    /// Misreads among those that somebody compared.
    pub misreads: Share,
}

/// The hits that a filter leaves, in figures and rows.
#[derive(Debug, Clone, Serialize)]
pub struct Hits {
    /// The newest first; the page gets some of them.
    pub rows: Vec<HitRow>,
    /// How many there are.
    pub total: u64,
    /// Of these: by standing. Each hit is in one.
    pub standings: BTreeMap<&'static str, u64>,
    /// Of these: by what came of it.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Misreads among those that somebody compared.
    pub misreads: Share,
    /// By list.
    pub lists: Vec<RateRow>,
    /// By camera.
    pub cameras: Vec<RateRow>,
    /// What may be chosen: categories, lists and cameras of all hits that are kept.
    pub choices: Choices,
}

/// What hits that are kept have.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Choices {
    pub categories: BTreeSet<String>,
    pub lists: BTreeSet<String>,
    pub cameras: BTreeSet<String>,
    pub standings: Vec<&'static str>,
}

/// The word under which a hit counts, as the counters have it.
fn standing(is: Option<Word>) -> &'static str {
    is.map_or(UNREVIEWED, Word::as_str)
}

/// Whether somebody has said what the picture shows: a hit that was dismissed, or that nobody looked at, says
/// nothing of how well the car reads.
pub(super) fn compared(standing: &str) -> bool {
    ![UNREVIEWED, "dismissed"].contains(&standing)
}

fn row(kept: KeptHit, steps: &[DispositionReport]) -> HitRow {
    let KeptHit { id, report, .. } = kept;
    let at = Standing::of(steps);
    let last = steps.last();
    let operator = steps.iter().rev().find_map(|step| step.dispatch.as_ref());
    HitRow {
        hit: id.to_string(),
        seen: report.seen,
        camera: report.camera.to_string(),
        list: report.entry.list,
        category: report.entry.category,
        priority: report.entry.told.unwrap_or(report.entry.priority),
        exact: report.entry.matched == MatchKind::Exact,
        read: report.read.plate,
        listed: report.entry.plate,
        jurisdiction: report.entry.jurisdiction.to_string(),
        standing: standing(at.is),
        came: at.came.map(Word::as_str),
        by: last.map(|step| step.officer.clone()),
        at: last.map(|step| step.at),
        operator: operator.map(|said| said.operator.clone()),
    }
}

fn rates(rows: &[HitRow], name: impl Fn(&HitRow) -> &str) -> Vec<RateRow> {
    let names: BTreeSet<_> = rows.iter().map(&name).collect();
    let rate = |one: &str| {
        let own: Vec<_> = rows.iter().filter(|row| name(row) == one).collect();
        let misreads = misreads(own.iter().copied());
        RateRow { name: one.to_owned(), hits: own.len() as u64, misreads }
    };
    names.into_iter().map(rate).collect()
}

fn misreads<'r>(rows: impl Iterator<Item = &'r HitRow>) -> Share {
    let judged: Vec<_> = rows.filter(|row| compared(row.standing)).collect();
    let wrong = judged.iter().filter(|row| row.standing == "misread").count();
    Share::of(wrong as u64, judged.len() as u64)
}

impl Review {
    /// The hit log, once it is written down who looks at it.
    pub fn hits(&self, who: &SignedIn, filter: &HitsFilter) -> Result<Hits, ReviewError> {
        Self::may(who)?;
        let (mut found, words) = self.find_hits(filter)?;
        self.viewed(who, "hits", &words, found.rows.len())?;
        found.rows.truncate(ROWS);
        Ok(found)
    }

    /// All that a filter leaves, and the filter in words.
    pub(super) fn find_hits(
        &self,
        filter: &HitsFilter,
    ) -> Result<(Hits, Vec<String>), ReviewError> {
        let mut choices = Choices {
            standings: DISPOSITIONS.into_iter().chain([UNREVIEWED]).collect(),
            ..Choices::default()
        };
        let mut rows = Vec::new();
        for kept in self.outbox.recent(usize::MAX)? {
            if kept.report.covert {
                continue;
            }
            choices.categories.insert(kept.report.entry.category.clone());
            choices.lists.insert(kept.report.entry.list.clone());
            choices.cameras.insert(kept.report.camera.to_string());
            let is = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|w| w == own);
            if !filter.seen.has(kept.report.seen)
                || !is(&filter.category, &kept.report.entry.category)
                || !is(&filter.list, &kept.report.entry.list)
                || !is(&filter.camera, &kept.report.camera.to_string())
            {
                continue;
            }
            let steps = self.outbox.dispositions(kept.id)?;
            let row = row(kept, &steps);
            if is(&filter.standing, row.standing) {
                rows.push(row);
            }
        }
        let known = |wanted: &Option<String>, all: &BTreeSet<String>| {
            wanted.as_ref().is_some_and(|wanted| all.contains(wanted))
        };
        let standing = filter.standing.as_ref();
        let stands = standing.is_some_and(|s| choices.standings.contains(&s.as_str()));
        let mut words = filter.seen.words();
        words.extend(choice(
            "category",
            filter.category.as_ref(),
            known(&filter.category, &choices.categories),
        ));
        words.extend(choice("standing", standing, stands));
        words.extend(choice("list", filter.list.as_ref(), known(&filter.list, &choices.lists)));
        let camera = known(&filter.camera, &choices.cameras);
        words.extend(choice("camera", filter.camera.as_ref(), camera));
        let mut standings: BTreeMap<_, _> = choices.standings.iter().map(|s| (*s, 0)).collect();
        let mut outcomes = BTreeMap::new();
        for row in &rows {
            *standings.entry(row.standing).or_default() += 1;
            if let Some(came) = row.came {
                *outcomes.entry(came).or_default() += 1;
            }
        }
        let found = Hits {
            total: rows.len() as u64,
            standings,
            outcomes,
            misreads: misreads(rows.iter()),
            lists: rates(&rows, |row| &row.list),
            cameras: rates(&rows, |row| &row.camera),
            choices,
            rows,
        };
        Ok((found, words))
    }

    /// Whether a hit may be spoken of here.
    pub(super) fn covert(&self, hit: Ulid) -> bool {
        self.outbox.kept(hit).ok().flatten().is_some_and(|kept| kept.report.covert)
    }
}
