//! Looks each read up in the hotlists; the one place where a [`Hit`] is made.
//!
//! In: [`PlateRead`]s of all cameras. Out: a [`Hit`], or the read back for the ring. Exact means that
//! folded text and jurisdiction agree; a jurisdiction that was not read agrees with all, and the
//! alert says so. A read costs a probe per list; up to 64 per list that allows look-alikes, and a
//! compare for each pattern of a list that allows wildcards. Entries that are covert make a hit of
//! their own, so that what the officer sees says nothing of them.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::frame::CameraId;
use super::frame_read::FrameRead;
use super::look_alike::{LEAST_RATIO, LookAlikes, MOST_TEXTS};
use super::read::PlateRead;
use super::vision::candidate::{Confidence, Crop, Slots};
use crate::clock::FrameTime;
use crate::gps::Position;
use crate::hotlist::{Entry, Freshness, ListStamp, Lookups, Matching, Serving};
use crate::plate::syntax::{self, Syntax};
use crate::plate::{Jurisdiction, ListedPlate, Plate, PlateKey, pattern};

/// Entries that one hit carries at most: what an officer can compare.
const MOST_MATCHES: usize = 8;

/// Entries remembered as having alarmed: more than an officer could look at in a day.
const MOST_ALARMED: usize = 4096;

/// How the read met the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// One of the vote's less likely texts is the entry's; to be shown as approximate.
    LookAlike,
    /// The read's own text fits the entry's pattern; to be shown as approximate.
    Wildcard,
    /// The read's own text, folded, is the entry's.
    Exact,
}

/// One way in which a read met a list.
#[derive(Debug, Clone)]
pub struct Match {
    /// The list's line.
    pub entry: Arc<Entry>,
    /// The list it came from, and its age.
    pub list: ListStamp,
    /// Exact or approximate.
    pub kind: MatchKind,
    /// Places (from 0) at which the read's text and the entry's differ for the eye, letters that
    /// lists cannot keep apart included: O against 0 does not stop a match and is worth a look.
    pub differing: Vec<u8>,
    /// Whether the read's text has a usual format of the jurisdiction that the entry states. Where it
    /// has not, the alert says so; it is never dropped for that.
    pub syntax: Syntax,
    /// Whether the list's source is so old that the list counts as stale.
    pub stale: bool,
}

/// A read that is on a list: all that may be told, kept and sent.
///
/// Fields are private and there is no constructor outside this file.
#[derive(Debug, Clone)]
pub struct Hit {
    id: Ulid,
    plate: Plate,
    jurisdiction: Jurisdiction,
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
    models: Arc<ModelStamp>,
}

/// The models that made a read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStamp {
    /// SHA-256 of the detector's file, hex.
    pub detector: String,
    /// SHA-256 of the OCR's file, hex.
    pub ocr: String,
}

impl Hit {
    /// Names the hit everywhere: alert, store, broker.
    pub fn id(&self) -> Ulid {
        self.id
    }
    /// The text as read.
    pub fn plate(&self) -> &Plate {
        &self.plate
    }
    /// The jurisdiction as read; unknown until a model reads it, and then the alert says
    /// `jurisdiction not read: compare`.
    pub fn jurisdiction(&self) -> Jurisdiction {
        self.jurisdiction
    }
    /// The least certain character's probability.
    pub fn weakest(&self) -> Confidence {
        self.weakest
    }
    /// The entry that tells most, and how the read met it.
    pub fn best(&self) -> &Match {
        &self.best
    }
    /// Exact or approximate.
    pub fn match_kind(&self) -> MatchKind {
        self.best.kind
    }
    /// Places (from 0) at which the read's text and the entry's differ for the eye.
    pub fn differing(&self) -> &[u8] {
        &self.best.differing
    }
    /// The list's line.
    pub fn entry(&self) -> &Entry {
        &self.best.entry
    }
    /// The list it came from, and its age.
    pub fn list(&self) -> &ListStamp {
        &self.best.list
    }
    /// Whether the read's text has a usual format of the jurisdiction that the entry states.
    pub fn syntax(&self) -> Syntax {
        self.best.syntax
    }
    /// Whether the list counts as stale.
    pub fn stale(&self) -> bool {
        self.best.stale
    }
    /// Whether it must give no cue in the car. All its entries are then covert, else none is.
    pub fn covert(&self) -> bool {
        self.best.entry.covert
    }
    /// Further entries that the same read met: other jurisdictions, other lists, less likely
    /// texts. One vehicle is one alert.
    pub fn others(&self) -> &[Match] {
        &self.others
    }
    /// Which camera saw it.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }
    /// The best frame's time.
    pub fn seen(&self) -> FrameTime {
        self.seen
    }
    /// Boot-clock time of the frame that made the vote sure: what the alert's delay counts from.
    pub fn decided(&self) -> Duration {
        self.decided
    }
    /// Frames that took part in the vote.
    pub fn frames(&self) -> u32 {
        self.frames
    }
    /// What each of the latest frames said by itself, oldest first. Stays in the car.
    pub fn frame_reads(&self) -> &[FrameRead] {
        &self.frame_reads
    }
    /// What the vote says of each character: the likeliest symbols with their probabilities, at most
    /// `most` of each. Stays in the car.
    pub fn vote(&self, most: usize) -> Vec<Vec<(char, f32)>> {
        self.slots.iter().map(|slot| slot.likeliest(most)).collect()
    }
    /// Where the car was.
    pub fn position(&self) -> &Position {
        &self.position
    }
    /// The plate's pixels in the best frame.
    pub fn crop(&self) -> &Crop {
        &self.crop
    }
    /// The models that made the read.
    pub fn models(&self) -> &ModelStamp {
        &self.models
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
    Hit {
        id,
        plate,
        jurisdiction: Jurisdiction::UNKNOWN,
        weakest: Confidence::new(0.97),
        best: Match {
            syntax: syntax::judge(&plate, entry.jurisdiction),
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
        crop,
        models: Arc::new(ModelStamp { detector: "d".repeat(64), ocr: "0".repeat(64) }),
    }
}

/// What became of a read.
#[expect(clippy::large_enum_variant, reason = "moved twice in its life, never stored")]
pub(super) enum Outcome {
    /// On a list: tell. One hit, or two where one is covert.
    Hits(Vec<Hit>),
    /// On a list that has just alarmed for the same entry: counted, not told again.
    Quiet,
    /// On no list: the ring's, or nobody's.
    NoHit(PlateRead),
}

/// Looks reads up. One per daemon: all cameras share what has alarmed lately.
pub(super) struct Matcher {
    lookups: Lookups,
    alarmed: Alarmed,
}

impl Matcher {
    /// Alarms for one entry once within `realert_after`.
    pub(super) fn new(lookups: Lookups, realert_after: Duration) -> Self {
        Self { lookups, alarmed: Alarmed { realert_after, entries: FxHashMap::default() } }
    }

    /// Looks one read up.
    pub(super) fn step(&mut self, read: PlateRead) -> Outcome {
        let matches = look_up(self.lookups.lists(), &read);
        if matches.is_empty() {
            return Outcome::NoHit(read);
        }
        // What the officer sees must say nothing of covert entries: they make a hit of their own.
        let (covert, open): (Vec<_>, Vec<_>) = matches.into_iter().partition(|m| m.entry.covert);
        let second = read.id.increment().unwrap_or_else(|wrapped| wrapped);
        let covert_id = if open.is_empty() { read.id } else { second };
        let hits = [(read.id, open), (covert_id, covert)];
        let hits: Vec<_> =
            hits.into_iter().filter_map(|(id, matches)| self.hit(id, matches, &read)).collect();
        match hits.is_empty() {
            true => Outcome::Quiet,
            false => Outcome::Hits(hits),
        }
    }

    /// A hit of these matches; `None` if there are none, or if all have alarmed lately.
    fn hit(&mut self, id: Ulid, mut matches: Vec<Match>, read: &PlateRead) -> Option<Hit> {
        let at = read.seen.monotonic;
        if matches.iter().all(|m| self.alarmed.holds_back(m, at)) {
            return None;
        }
        matches.truncate(MOST_MATCHES);
        for m in &matches {
            self.alarmed.note(m, at);
        }
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
            models: read.models.clone(),
        })
    }
}

/// Everything that a read meets, the most telling first: exact, then patterns, then look-alikes, the
/// likelier text first; of equals the more urgent entry, then one whose jurisdiction the plate's syntax
/// does not speak against. Look-alikes are asked for only when the read's own text is on no list: a
/// vote that has passed leaves its alternatives a tenth at most.
fn look_up(lists: &[Serving], read: &PlateRead) -> Vec<Match> {
    let now = read.seen.wall;
    let mut found = Found { read, found: Vec::new() };
    for list in lists {
        found.under(list, read.plate.key(), MatchKind::Exact, 1.0);
        for entry in list.fitting(&read.plate, now) {
            found.push(list, entry.clone(), MatchKind::Wildcard, 1.0);
        }
    }
    let alike = |list: &&Serving| list.matching() >= Matching::LookAlike;
    if found.found.is_empty() && lists.iter().any(|l| alike(&l)) {
        for (key, ratio) in LookAlikes::of(&read.slots, LEAST_RATIO).take(MOST_TEXTS).skip(1) {
            for list in lists.iter().filter(alike) {
                found.under(list, key, MatchKind::LookAlike, ratio);
            }
        }
    }
    let mut found = found.found;
    found.sort_by(|(p, a), (q, b)| {
        let against = |m: &Match| m.syntax == Syntax::Incompatible;
        b.kind
            .cmp(&a.kind)
            .then_with(|| q.total_cmp(p))
            .then_with(|| b.entry.priority.cmp(&a.entry.priority))
            .then_with(|| against(a).cmp(&against(b)))
    });
    found.into_iter().map(|(_, m)| m).collect()
}

/// What a read has met so far, each with the likelihood of the text that met it.
struct Found<'a> {
    read: &'a PlateRead,
    found: Vec<(f32, Match)>,
}

impl Found<'_> {
    /// Takes what a list has under a key.
    fn under(&mut self, list: &Serving, key: PlateKey, kind: MatchKind, ratio: f32) {
        for entry in list.look_up(key, self.read.seen.wall) {
            self.push(list, entry, kind, ratio);
        }
    }

    /// Takes an entry, if its jurisdiction may be the read one and the rules in force let it alarm.
    fn push(&mut self, list: &Serving, mut entry: Entry, kind: MatchKind, ratio: f32) {
        entry.covert |= list.covert();
        let (read, now) = (self.read, self.read.seen.wall);
        if !read.jurisdiction.may_be(&entry.jurisdiction)
            || !list.allows(&entry.category)
            || list.stopped(now)
        {
            return;
        }
        let found = Match {
            differing: differing(&read.plate, entry.plate.expose()),
            syntax: syntax::judge(&read.plate, entry.jurisdiction),
            stale: list.freshness(now) == Freshness::Red,
            entry: Arc::new(entry),
            list: list.stamp().clone(),
            kind,
        };
        self.found.push((ratio, found));
    }
}

/// Entries that have alarmed lately.
struct Alarmed {
    realert_after: Duration,
    entries: FxHashMap<EntryId, (Duration, MatchKind)>,
}

/// List, plate as listed, jurisdiction.
type EntryId = (Arc<str>, ListedPlate, Jurisdiction);

impl Alarmed {
    fn id(m: &Match) -> EntryId {
        (m.list.name.clone(), m.entry.plate, m.entry.jurisdiction)
    }

    /// Whether the entry has alarmed within the time, and at least as surely as now: an exact match
    /// after an approximate one is news.
    fn holds_back(&self, m: &Match, at: Duration) -> bool {
        self.entries.get(&Self::id(m)).is_some_and(|(last, kind)| {
            at.saturating_sub(*last) < self.realert_after && *kind >= m.kind
        })
    }

    fn note(&mut self, m: &Match, at: Duration) {
        if self.entries.len() >= MOST_ALARMED {
            let realert_after = self.realert_after;
            self.entries.retain(|_, (last, _)| at.saturating_sub(*last) < realert_after);
        }
        if self.entries.len() >= MOST_ALARMED {
            let oldest = self.entries.iter().min_by_key(|(_, (last, _))| *last);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                self.entries.remove(&id);
            }
        }
        self.entries.insert(Self::id(m), (at, m.kind));
    }
}

/// Places at which two texts differ. Of texts of different length, all places past the shorter; of a
/// pattern, those that it leaves open.
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
