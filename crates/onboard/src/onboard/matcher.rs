//! Looks each read up in the hotlists; the one place where a [`Hit`] is made.
//!
//! In: [`PlateRead`]s of all cameras. Out: a [`Hit`], or the read itself for the ring. The same
//! text of another jurisdiction is another plate: where one was read and the list states another,
//! an exact match gets low priority, is marked, and comes after all others, and an approximate
//! match is dropped. A jurisdiction that was not read agrees with all, and the alert says so
//! (docs/decisions/0106-a-plate-of-another-state.md). Costs for a read: a probe for each list; up
//! to 64 probes for each list that allows look-alikes, and a comparison with each pattern of a list
//! that allows wildcards. Covert entries make a hit of their own, so that what the officer sees
//! does not reveal them.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::frame::CameraId;
use super::frame_read::FrameRead;
use super::look_alike::{LEAST_RATIO, LookAlikes, MOST_TEXTS};
use super::read::PlateRead;
use super::vision::JurisdictionRead;
use super::vision::candidate::{Confidence, Crop, Slots};
use crate::clock::{Clock, ClockReport, FrameTime, When};
use crate::config::UnreadJurisdiction;
use crate::entry::{Matching, Priority};
use crate::gps::Position;
use crate::hotlist::{Entry, Freshness, ListStamp, Lookups, Serving};
use crate::plate::syntax::{self, Syntax};
use crate::plate::{Agreement, Jurisdiction, ListedPlate, Plate, PlateKey, pattern};

/// Most entries of one hit: what an officer can compare.
const MOST_MATCHES: usize = 8;

/// Entries that are remembered as having raised an alert: more than an officer could look at in a
/// day.
const MOST_ALARMED: usize = 4096;

/// How the read matched the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// One of the vote's less likely texts is the entry's; it is shown as approximate.
    LookAlike,
    /// The read's own text fits the entry's pattern; it is shown as approximate.
    Wildcard,
    /// The read's own text, folded, is the entry's.
    Exact,
}

/// A match of a read with an entry.
#[derive(Debug, Clone)]
pub struct Match {
    /// The entry.
    pub entry: Arc<Entry>,
    /// The list with the entry, and its age.
    pub list: ListStamp,
    /// Exact or approximate.
    pub kind: MatchKind,
    /// Positions (from 0) at which the read's text and the entry's look different, including
    /// letters that lists cannot keep apart: O instead of 0 does not prevent a match but deserves a
    /// look.
    pub differing: Vec<u8>,
    /// Whether the read's text has a usual format of the jurisdiction that the entry states. If
    /// not, the alert says so; no alert is dropped for that.
    pub syntax: Syntax,
    /// How the jurisdiction that was read compares with the entry's.
    pub jurisdictions: Agreement,
    /// The effective priority: the entry's own, or a lower one if the jurisdictions do not agree.
    pub priority: Priority,
    /// Whether the list's source is so old that the list is stale.
    pub stale: bool,
}

/// A read that is on a list: everything that may be shown, kept and sent.
///
/// Its fields are private, and it has no constructor outside this file.
#[derive(Debug, Clone)]
pub struct Hit {
    id: Ulid,
    plate: Plate,
    jurisdiction: Option<JurisdictionRead>,
    weakest: Confidence,
    best: Match,
    others: Vec<Match>,
    camera: CameraId,
    seen: FrameTime,
    decided: Duration,
    frames: u32,
    frame_reads: Vec<FrameRead>,
    slots: Slots,
    position: Position,
    crop: Crop,
    context: Option<Crop>,
    models: Arc<ModelStamp>,
    clock: ClockReport,
}

/// The models that made a read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStamp {
    /// SHA-256 of the detector's file, hex.
    pub detector: String,
    /// SHA-256 of the OCR's file, hex.
    pub ocr: String,
    /// SHA-256 of the file of the jurisdiction model, hex; `None` without such a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
}

impl Hit {
    /// Identifies the hit everywhere: in the alert, the store, the broker.
    pub fn id(&self) -> Ulid {
        self.id
    }
    /// The text as read.
    pub fn plate(&self) -> &Plate {
        &self.plate
    }
    /// The jurisdiction as read; unknown where none was sure enough, and then the alert says
    /// `jurisdiction not read`.
    pub fn jurisdiction(&self) -> Jurisdiction {
        self.jurisdiction.map_or(Jurisdiction::UNKNOWN, |read| read.jurisdiction())
    }
    /// The probability of the jurisdiction; `None` where it is unknown.
    pub fn jurisdiction_confidence(&self) -> Option<Confidence> {
        self.jurisdiction.map(|read| read.probability())
    }
    /// How the jurisdiction that was read compares with the entry's.
    pub fn jurisdictions(&self) -> Agreement {
        self.best.jurisdictions
    }
    /// The effective priority, which determines tone and colour: the entry's own, or a lower one if
    /// the jurisdictions do not agree; of several entries, the highest.
    pub fn priority(&self) -> Priority {
        self.best.priority
    }
    /// The least certain character's probability.
    pub fn weakest(&self) -> Confidence {
        self.weakest
    }
    /// The most relevant entry, and how the read matched it.
    pub fn best(&self) -> &Match {
        &self.best
    }
    /// Whether it matched exactly or approximately.
    pub fn match_kind(&self) -> MatchKind {
        self.best.kind
    }
    /// Positions (from 0) at which the read's text and the entry's look different.
    pub fn differing(&self) -> &[u8] {
        &self.best.differing
    }
    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.best.entry
    }
    /// The list with the entry, and its age.
    pub fn list(&self) -> &ListStamp {
        &self.best.list
    }
    /// Whether the read's text has a usual format of the jurisdiction that the entry states.
    pub fn syntax(&self) -> Syntax {
        self.best.syntax
    }
    /// Whether the list is stale.
    pub fn stale(&self) -> bool {
        self.best.stale
    }
    /// Whether it must give no cue in the car. Then all its entries are covert; otherwise none is.
    pub fn covert(&self) -> bool {
        self.best.entry.covert
    }
    /// Further entries that the same read matched: of other jurisdictions, in other lists, with
    /// less likely texts. One vehicle gives one alert.
    pub fn others(&self) -> &[Match] {
        &self.others
    }
    /// The camera.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }
    /// The best frame's time.
    pub fn seen(&self) -> FrameTime {
        self.seen
    }
    /// Boot-clock time of the frame that made the vote sure: the delay of the alert is counted from
    /// here.
    pub fn decided(&self) -> Duration {
        self.decided
    }
    /// Number of frames that voted.
    pub fn frames(&self) -> u32 {
        self.frames
    }
    /// The readings of the latest single frames, oldest first. They stay in the car.
    pub fn frame_reads(&self) -> &[FrameRead] {
        &self.frame_reads
    }
    /// The vote for each character: the likeliest symbols with their probabilities, at most `most`
    /// of each. It stays in the car.
    pub fn vote(&self, most: usize) -> Vec<Vec<(char, f32)>> {
        self.slots.iter().map(|slot| slot.likeliest(most)).collect()
    }
    /// The car's position.
    pub fn position(&self) -> &Position {
        &self.position
    }
    /// The plate's pixels in the best frame.
    pub fn crop(&self) -> &Crop {
        &self.crop
    }
    /// The vehicle in the frame that made the vote sure, every other plate on it covered.
    pub fn context(&self) -> Option<&Crop> {
        self.context.as_ref()
    }
    /// The models that made the read.
    pub fn models(&self) -> &ModelStamp {
        &self.models
    }
    /// Who vouched for the time when it was matched.
    pub fn clock(&self) -> ClockReport {
        self.clock
    }
}

/// Hits for the tests of what comes after the fence.
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::too_many_arguments, reason = "one argument per field, in tests")]
pub fn hit_for_tests(
    id: Ulid,
    plate: Plate,
    entry: Entry,
    list: ListStamp,
    kind: MatchKind,
    camera: CameraId,
    seen: FrameTime,
    position: Position,
    crop: Crop,
) -> Hit {
    let differing = differing(&plate, entry.plate.expose());
    let jurisdictions = Jurisdiction::compare(Jurisdiction::UNKNOWN, entry.jurisdiction);
    Hit {
        id,
        plate,
        jurisdiction: None,
        weakest: Confidence::new(0.97),
        best: Match {
            syntax: syntax::judge(&plate, entry.jurisdiction),
            jurisdictions,
            priority: effective_priority(entry.priority, jurisdictions, UnreadJurisdiction::Alert),
            entry: Arc::new(entry),
            list,
            kind,
            differing,
            stale: false,
        },
        others: Vec::new(),
        camera,
        seen,
        decided: seen.monotonic,
        frames: 7,
        frame_reads: Vec::new(),
        slots: Slots::new(),
        position,
        context: Some(crop.clone()),
        crop,
        models: Arc::new(ModelStamp {
            detector: "d".repeat(64),
            ocr: "0".repeat(64),
            jurisdiction: None,
        }),
        clock: ClockReport::default(),
    }
}

/// A hit whose jurisdiction was read as `read`, for the tests of what comes after the fence.
#[cfg(any(test, feature = "testing"))]
pub fn of_jurisdiction_for_tests(mut hit: Hit, read: &str, probability: f32) -> Hit {
    let read = Jurisdiction::parse(read).expect("a code");
    hit.jurisdiction = JurisdictionRead::new(read, Confidence::new(probability));
    hit.best.jurisdictions = Jurisdiction::compare(read, hit.best.entry.jurisdiction);
    let (listed, unread) = (hit.best.entry.priority, UnreadJurisdiction::Alert);
    hit.best.priority = effective_priority(listed, hit.best.jurisdictions, unread);
    hit
}

/// The priority of a hit's entry in effect. If the plate was read as another jurisdiction's, it is
/// never high, whatever the list says of the other plate; if no jurisdiction was read, policy
/// decides.
fn effective_priority(
    listed: Priority,
    jurisdictions: Agreement,
    unread: UnreadJurisdiction,
) -> Priority {
    let most = match (jurisdictions, unread) {
        (Agreement::Other, _) => Priority::Low,
        (Agreement::NotRead, UnreadJurisdiction::Lower) => Priority::Medium,
        _ => Priority::High,
    };
    listed.min(most)
}

/// The result for a read.
#[expect(clippy::large_enum_variant, reason = "moved twice in its life, never stored")]
pub(super) enum Outcome {
    /// It is on a list: one hit, or two if some entries are covert.
    Hits(Vec<Hit>),
    /// It is on a list, but the same entry has raised an alert recently: it is only counted.
    Quiet,
    /// It is on no list: it goes to the ring or is forgotten.
    NoHit(PlateRead),
}

/// Matches reads with lists. There is one per daemon, so that all cameras share the recent alerts.
pub(super) struct Matcher {
    lookups: Lookups,
    alarmed: Alarmed,
    /// What happens to a hit whose entry states a jurisdiction while none was read.
    unread: UnreadJurisdiction,
    /// The clock; without one, a read's own stamp is used.
    clock: Option<Arc<dyn Clock>>,
}

impl Matcher {
    /// At most one alert for an entry within `realert_after`.
    pub(super) fn new(lookups: Lookups, realert_after: Duration) -> Self {
        let alarmed = Alarmed { realert_after, entries: FxHashMap::default() };
        Self { lookups, alarmed, unread: UnreadJurisdiction::Alert, clock: None }
    }

    /// Sets what happens to hits whose jurisdiction was not read.
    pub(super) fn with_unread_jurisdiction(self, unread: UnreadJurisdiction) -> Self {
        Self { unread, ..self }
    }

    /// Uses this clock for the range in which a read's time lies: where nobody vouches for the
    /// time, entries that may be in force raise alerts.
    pub(super) fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The range in which a read's time lies, and the report on the clock.
    fn when(&self, seen: FrameTime) -> (When, ClockReport) {
        let Some(clock) = &self.clock else {
            return (When::at(seen.wall), ClockReport::default());
        };
        let standing = clock.standing();
        // At most a second has passed since the frame; the range is that of the frame's time.
        let when = match standing.vouched() {
            true => When::at(seen.wall),
            false => standing.when(),
        };
        (when, standing.report())
    }

    /// Matches one read.
    pub(super) fn step(&mut self, read: PlateRead) -> Outcome {
        let (when, clock) = self.when(read.seen);
        let matches = look_up(self.lookups.lists(), &read, when, self.unread);
        if matches.is_empty() {
            // What matched nothing is no reason to keep a picture of anybody's vehicle.
            return Outcome::NoHit(PlateRead { context: None, ..read });
        }
        // What the officer sees must not reveal covert entries: these make a hit of their own.
        let (covert, open): (Vec<_>, Vec<_>) = matches.into_iter().partition(|m| m.entry.covert);
        let second = read.id.increment().unwrap_or_else(|wrapped| wrapped);
        let covert_id = if open.is_empty() { read.id } else { second };
        let hits = [(read.id, open), (covert_id, covert)];
        let hits: Vec<_> =
            hits.into_iter().filter_map(|(id, found)| self.hit(id, found, &read, clock)).collect();
        match hits.is_empty() {
            true => Outcome::Quiet,
            false => Outcome::Hits(hits),
        }
    }

    /// Makes a hit of these matches; `None` if there are none, or if all have raised an alert
    /// recently.
    fn hit(
        &mut self,
        id: Ulid,
        mut matches: Vec<Match>,
        read: &PlateRead,
        clock: ClockReport,
    ) -> Option<Hit> {
        let at = read.seen.monotonic;
        if matches.iter().all(|m| self.alarmed.holds_back(m, at)) {
            return None;
        }
        // All entries are noted, including those that the card has no room for: the vehicle raises
        // one alert, not one for each entry that was left out.
        for m in &matches {
            self.alarmed.note(m, at);
        }
        matches.truncate(MOST_MATCHES);
        let best = matches.remove(0);
        Some(Hit {
            id,
            plate: read.plate,
            jurisdiction: read.jurisdiction,
            weakest: read.weakest,
            best,
            others: matches,
            camera: read.camera.clone(),
            seen: read.seen,
            decided: read.decided,
            frames: read.frames,
            frame_reads: read.frame_reads.clone(),
            slots: read.slots.clone(),
            position: read.position,
            crop: read.crop.clone(),
            context: read.context.clone(),
            models: read.models.clone(),
            clock,
        })
    }
}

/// All matches of a read, the most relevant first: exact ones, then patterns, then look-alikes with
/// the likelier text first; of equals the more urgent entry, then one whose jurisdiction fits the
/// plate's format. Matches of another jurisdiction come last. Look-alikes are looked up only if the
/// read's own text is on no list of a jurisdiction that it may have: a vote that has passed leaves
/// at most a tenth for its alternatives.
fn look_up(
    lists: &[Serving],
    read: &PlateRead,
    when: When,
    unread: UnreadJurisdiction,
) -> Vec<Match> {
    let mut found = Found { read, when, unread, found: Vec::new() };
    for list in lists {
        found.under(list, read.plate.key(), MatchKind::Exact, 1.0);
        for entry in list.fitting(&read.plate, when) {
            found.push(list, entry.clone(), MatchKind::Wildcard, 1.0);
        }
    }
    let alike = |list: &&Serving| list.matching() >= Matching::LookAlike;
    let of_another = |(_, m): &(f32, Match)| m.jurisdictions == Agreement::Other;
    if found.found.iter().all(of_another) && lists.iter().any(|l| alike(&l)) {
        for (key, ratio) in LookAlikes::of(&read.slots, LEAST_RATIO).take(MOST_TEXTS).skip(1) {
            for list in lists.iter().filter(alike) {
                found.under(list, key, MatchKind::LookAlike, ratio);
            }
        }
    }
    let mut found = found.found;
    found.sort_by(|(p, a), (q, b)| {
        let against = |m: &Match| m.syntax == Syntax::Incompatible;
        let other = |m: &Match| m.jurisdictions == Agreement::Other;
        other(a)
            .cmp(&other(b))
            .then_with(|| b.kind.cmp(&a.kind))
            .then_with(|| q.total_cmp(p))
            .then_with(|| b.priority.cmp(&a.priority))
            .then_with(|| b.entry.priority.cmp(&a.entry.priority))
            .then_with(|| against(a).cmp(&against(b)))
    });
    found.into_iter().map(|(_, m)| m).collect()
}

/// The matches found so far, each with the likelihood of the matching text.
struct Found<'a> {
    read: &'a PlateRead,
    when: When,
    unread: UnreadJurisdiction,
    found: Vec<(f32, Match)>,
}

impl Found<'_> {
    /// Adds the entries of a list under a key.
    fn under(&mut self, list: &Serving, key: PlateKey, kind: MatchKind, ratio: f32) {
        for entry in list.look_up(key, self.when) {
            self.push(list, entry, kind, ratio);
        }
    }

    /// Adds an entry, if the rules in force let it raise alerts. An entry of another jurisdiction
    /// than the one read is added only for an exact text, because similar texts have too many such
    /// entries.
    fn push(&mut self, list: &Serving, mut entry: Entry, kind: MatchKind, ratio: f32) {
        entry.covert |= list.covert();
        let (read, now) = (self.read, self.read.seen.wall);
        let issuer = read.jurisdiction.map_or(Jurisdiction::UNKNOWN, |read| read.jurisdiction());
        let jurisdictions = Jurisdiction::compare(issuer, entry.jurisdiction);
        if (jurisdictions == Agreement::Other && kind != MatchKind::Exact)
            || !list.allows(&entry.category)
            || list.stopped(self.when)
        {
            return;
        }
        let found = Match {
            differing: differing(&read.plate, entry.plate.expose()),
            syntax: syntax::judge(&read.plate, entry.jurisdiction),
            jurisdictions,
            priority: effective_priority(entry.priority, jurisdictions, self.unread),
            stale: list.freshness(now) == Freshness::Red,
            entry: Arc::new(entry),
            list: list.stamp().clone(),
            kind,
        };
        self.found.push((ratio, found));
    }
}

/// Entries that have raised an alert recently.
struct Alarmed {
    realert_after: Duration,
    entries: FxHashMap<EntryId, (Duration, MatchKind, Priority)>,
}

/// List, plate as listed, jurisdiction.
type EntryId = (Arc<str>, ListedPlate, Jurisdiction);

impl Alarmed {
    fn id(m: &Match) -> EntryId {
        (m.list.name.clone(), m.entry.plate, m.entry.jurisdiction)
    }

    /// Whether the entry has raised an alert within the time, with at least the same certainty and
    /// priority: an exact match after an approximate one is new, and so is the listed
    /// jurisdiction's plate after another jurisdiction's plate with the same text.
    fn holds_back(&self, m: &Match, at: Duration) -> bool {
        self.entries.get(&Self::id(m)).is_some_and(|(last, kind, priority)| {
            let recent = at.saturating_sub(*last) < self.realert_after;
            recent && *kind >= m.kind && *priority >= m.priority
        })
    }

    fn note(&mut self, m: &Match, at: Duration) {
        if self.entries.len() >= MOST_ALARMED {
            let realert_after = self.realert_after;
            self.entries.retain(|_, (last, ..)| at.saturating_sub(*last) < realert_after);
        }
        if self.entries.len() >= MOST_ALARMED {
            let oldest = self.entries.iter().min_by_key(|(_, (last, ..))| *last);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                self.entries.remove(&id);
            }
        }
        self.entries.insert(Self::id(m), (at, m.kind, m.priority));
    }
}

/// Positions at which two texts differ. For texts of different length these include all positions
/// past the shorter one; for a pattern, those that it leaves open.
fn differing(read: &Plate, listed: &str) -> Vec<u8> {
    let listed = pattern::over(listed, read.expose());
    let (a, b) = (read.expose().as_bytes(), listed.as_bytes());
    (0..a.len().max(b.len()))
        .filter(|i| a.get(*i) != b.get(*i))
        .map(|i| u8::try_from(i).expect("a plate has at most 12 characters"))
        .collect()
}

#[cfg(test)]
mod tests;
