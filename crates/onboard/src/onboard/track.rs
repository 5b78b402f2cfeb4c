//! Joins the detections of one plate over frames.
//!
//! In: what was sighted in each frame of one camera, in order. Out: the track of each candidate,
//! and the tracks that have ended. Costs: a few comparisons per pair of open track and candidate.
//! Leaves to others: combining the characters (the vote).
//!
//! A plate is found again where one of three movements puts it: it stays (a car that is followed),
//! it continues as before, or it moves away from (towards) the middle of the picture as it grows
//! (shrinks), as everything does towards which a camera drives. The third needs no history, which
//! matters: at 225 km/h of closing speed and 15 frames a second, a plate in the next lane jumps by
//! eight of its own widths between two frames and is seen three times. The text decides where
//! geometry leaves a choice: two plates that were clearly read and have little in common are never
//! joined.

use std::time::Duration;

use arrayvec::ArrayString;

use super::vision::candidate::{Candidate, Sighted};
use crate::clock::FrameTime;
use crate::geometry::{Point, Rect};
use crate::plate::{MAX_PLATE_LEN, fold};

/// Most open tracks. A car park seen from the road shows about thirty plates.
const MOST_TRACKS: usize = 64;

/// Most candidates per frame, best detections first.
const MOST_CANDIDATES: usize = 32;

/// Time after which an unseen track closes, however few frames were read meanwhile: at 10 m/s of
/// relative speed a car has moved by three lengths, and what is seen then is another one.
const MOST_UNSEEN: Duration = Duration::from_millis(1_500);

/// Overlap (IoU), or share of the smaller box, from which on two detections are one plate.
const SAME_PLATE: (f32, f32) = (0.45, 0.75);

/// Distance from its predicted place, in plate widths, within which a plate is found again whatever
/// its text: the gap between two plates is many widths, the jitter of a detector's box a tenth of
/// one.
const NEAR: f32 = 0.8;

/// Added to [`NEAR`] for each frame in which the plate was not found, up to three.
const NEAR_PER_MISS: f32 = 0.25;

/// The same distance for a plate with the same text: the eight widths of the module's text, and a
/// half.
const NEAR_BY_TEXT: f32 = 8.5;

/// Similarity above which two texts are the same, and below which they are different.
const ONE_TEXT: f32 = 0.7;
const TWO_TEXTS: f32 = 0.34;

/// Probability of the least certain character from which on a text may keep two plates apart.
const CLEAR_TEXT: f32 = 0.6;

/// A box this close to the frame's edge, in its own heights, may lack characters there.
const EDGE: f32 = 0.08;

/// Identifies a track of one camera; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TrackId(u64);

/// A result of the tracker.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
#[derive(Debug)]
pub(super) enum Event {
    /// A candidate belongs to a track, an old one or a new one.
    Seen {
        /// The track.
        track: TrackId,
        /// What was seen of the plate.
        candidate: Candidate,
        /// The frame's time.
        at: FrameTime,
        /// Whether the plate reaches the edge of the frame, so that characters may be missing.
        cut: bool,
    },
    /// The track has ended: its plate will not be seen again.
    Closed(TrackId),
}

/// One camera's open tracks.
pub(super) struct Tracker {
    max_gap: u32,
    tracks: Vec<Track>,
    next: u64,
    last: Option<(u64, Duration)>,
}

struct Track {
    id: TrackId,
    bbox: Rect,
    at: Duration,
    /// Speed in pixels a second, and growth as the width's logarithm per second, once it was seen
    /// twice.
    motion: Option<(Point, f32)>,
    missed: u32,
    best: Text,
    last: Text,
}

/// A text and how clearly it was read.
#[derive(Default, Clone, Copy)]
struct Text {
    folded: ArrayString<MAX_PLATE_LEN>,
    weakest: f32,
}

impl Tracker {
    /// Closes a track after `max_gap` frames without its plate.
    pub(super) fn new(max_gap: u32) -> Self {
        Self { max_gap, tracks: Vec::new(), next: 0, last: None }
    }

    /// Takes the sightings of one frame.
    pub(super) fn step(&mut self, sighted: Sighted) -> Vec<Event> {
        let at = sighted.captured;
        let mut events = Vec::new();
        match self.last {
            // The same frame again adds nothing.
            Some((sequence, _)) if sequence == sighted.sequence => return events,
            // A camera that was opened anew may show another street.
            Some((_, last)) if at.monotonic < last => self.close_all(&mut events),
            _ => {}
        }
        self.last = Some((sighted.sequence, at.monotonic));
        self.close_unseen(at.monotonic, &mut events);

        let candidates = without_doubles(sighted.candidates);
        let size = (sighted.size.0 as f32, sighted.size.1 as f32);
        let texts: Vec<Text> = candidates.iter().map(Text::of).collect();
        let joined = self.assign(&candidates, &texts, at.monotonic, size);

        for track in &mut self.tracks {
            track.missed += 1;
        }
        // Tracks that were found again are updated before new ones are opened: opening one may
        // close the stalest, which must not be one that this frame shows.
        for (c, joined) in joined.iter().enumerate() {
            if let Some(track) = joined.and_then(|id| self.tracks.iter_mut().find(|t| t.id == id)) {
                track.update(candidates[c].detection.bbox, at.monotonic, texts[c]);
            }
        }
        for ((candidate, text), joined) in candidates.into_iter().zip(texts).zip(joined) {
            let bbox = candidate.detection.bbox;
            let track = joined.unwrap_or_else(|| self.open(bbox, at.monotonic, text, &mut events));
            events.push(Event::Seen { track, candidate, at, cut: is_cut(&bbox, size) });
        }
        let max_gap = self.max_gap;
        self.close_where(&mut events, |track| track.missed > max_gap);
        events
    }

    /// Closes tracks that were not seen for long: for a camera that sends no frames.
    pub(super) fn tick(&mut self, now: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        self.close_unseen(now, &mut events);
        events
    }

    /// Closes all tracks: the camera's source has ended.
    pub(super) fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.close_all(&mut events);
        events
    }

    /// The track of each candidate, assigned by cost. Tracks are named by id, because positions
    /// change when tracks close.
    fn assign(
        &self,
        candidates: &[Candidate],
        texts: &[Text],
        at: Duration,
        size: (f32, f32),
    ) -> Vec<Option<TrackId>> {
        let mut pairs = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            for (c, candidate) in candidates.iter().enumerate() {
                if let Some(cost) = track.cost(&candidate.detection.bbox, &texts[c], at, size) {
                    pairs.push((cost, t, c));
                }
            }
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut taken = vec![false; self.tracks.len()];
        let mut joined = vec![None; candidates.len()];
        for (_, t, c) in pairs {
            if !taken[t] && joined[c].is_none() {
                taken[t] = true;
                joined[c] = Some(self.tracks[t].id);
            }
        }
        joined
    }

    fn open(&mut self, bbox: Rect, at: Duration, text: Text, events: &mut Vec<Event>) -> TrackId {
        if self.tracks.len() == MOST_TRACKS {
            let stalest = (0..self.tracks.len()).max_by_key(|i| self.tracks[*i].missed);
            if let Some(i) = stalest {
                events.push(Event::Closed(self.tracks.swap_remove(i).id));
            }
        }
        let id = TrackId(self.next);
        self.next += 1;
        self.tracks.push(Track { id, bbox, at, motion: None, missed: 0, best: text, last: text });
        id
    }

    fn close_unseen(&mut self, now: Duration, events: &mut Vec<Event>) {
        self.close_where(events, |track| now.saturating_sub(track.at) > MOST_UNSEEN);
    }

    fn close_all(&mut self, events: &mut Vec<Event>) {
        self.close_where(events, |_| true);
    }

    fn close_where(&mut self, events: &mut Vec<Event>, ended: impl Fn(&Track) -> bool) {
        self.tracks.retain(|track| {
            let ended = ended(track);
            if ended {
                events.push(Event::Closed(track.id));
            }
            !ended
        });
    }
}

impl Track {
    fn update(&mut self, bbox: Rect, at: Duration, text: Text) {
        let dt = (at - self.at.min(at)).as_secs_f32();
        if dt > 0.0 {
            let (from, to) = (self.bbox.centre(), bbox.centre());
            let now = (
                Point { x: (to.x - from.x) / dt, y: (to.y - from.y) / dt },
                (bbox.w / self.bbox.w).ln() / dt,
            );
            // Half the old value, half the new: boxes jitter, and speed in the picture grows as a
            // car comes nearer.
            self.motion = Some(self.motion.map_or(now, |(v, g)| {
                (Point { x: (v.x + now.0.x) / 2.0, y: (v.y + now.0.y) / 2.0 }, (g + now.1) / 2.0)
            }));
        }
        (self.bbox, self.at, self.missed, self.last) = (bbox, at, 0, text);
        if text.weakest > self.best.weakest {
            self.best = text;
        }
    }

    /// How badly a candidate fits; `None` if it cannot be this plate.
    fn cost(&self, bbox: &Rect, text: &Text, at: Duration, size: (f32, f32)) -> Option<f32> {
        let likeness = self.best.likeness(text).max(self.last.likeness(text));
        let clear = text.weakest.min(self.best.weakest) >= CLEAR_TEXT;
        if clear && likeness <= TWO_TEXTS {
            return None;
        }
        let known = text.weakest > 0.0 && self.best.weakest > 0.0;
        let same = known && likeness >= ONE_TEXT && text.folded.len() >= 4;

        let missed = self.missed.min(3) as f32;
        let growth = (bbox.w / self.bbox.w).ln();
        // 40 m/s at 15 frames a second and 7 m: half as large again per frame.
        let most_growth = if same { 1.3 } else { 0.4 + 0.15 * missed };
        let near = if same { NEAR_BY_TEXT } else { NEAR + NEAR_PER_MISS * missed };
        let distance = self.distance(bbox, at, size);
        if !(growth.abs() <= most_growth && distance <= near) {
            return None;
        }
        // An unknown text is no evidence for or against.
        let unlike = if known { 1.0 - likeness } else { 0.5 };
        Some(distance + growth.abs() + 2.0 * unlike)
    }

    /// Distance to the nearest predicted place, in plate widths.
    fn distance(&self, bbox: &Rect, at: Duration, size: (f32, f32)) -> f32 {
        let dt = at.saturating_sub(self.at).as_secs_f32();
        let (from, to) = (self.bbox.centre(), bbox.centre());
        let scale = bbox.w / self.bbox.w;
        let middle = Point { x: size.0 / 2.0, y: size.1 / 2.0 };
        let away = Point {
            x: middle.x + (from.x - middle.x) * scale,
            y: middle.y + (from.y - middle.y) * scale,
        };
        let on = self.motion.map(|(v, _)| Point { x: from.x + v.x * dt, y: from.y + v.y * dt });
        [Some(from), Some(away), on]
            .into_iter()
            .flatten()
            .map(|p| (p.x - to.x).hypot(p.y - to.y))
            .fold(f32::INFINITY, f32::min)
            / bbox.w.max(self.bbox.w).max(1.0)
    }
}

impl Text {
    fn of(candidate: &Candidate) -> Self {
        let folded =
            candidate.slots.iter().map(|s| char::from(fold(s.best().0))).collect::<String>();
        let folded = ArrayString::from(&folded).unwrap_or_default();
        Self { folded, weakest: candidate.weakest().get() }
    }

    /// 1 for the same text, 0 for nothing in common: one minus the edit distance divided by the
    /// longer text's length. Half a plate is half alike.
    fn likeness(&self, other: &Self) -> f32 {
        let (a, b) = (self.folded.as_bytes(), other.folded.as_bytes());
        let longer = a.len().max(b.len());
        if longer == 0 { 0.5 } else { 1.0 - edits(a, b) as f32 / longer as f32 }
    }
}

/// Number of insertions, deletions and substitutions that lead from one text to the other.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: [usize; MAX_PLATE_LEN + 1] = std::array::from_fn(|j| j);
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Drops candidates that show the same plate as a better detection.
fn without_doubles(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.detection.score.get().total_cmp(&a.detection.score.get()));
    let mut kept: Vec<Candidate> = Vec::with_capacity(candidates.len().min(MOST_CANDIDATES));
    for candidate in candidates {
        let bbox = candidate.detection.bbox;
        let sound = bbox.w >= 1.0 && bbox.h >= 1.0 && bbox.area().is_finite();
        let double = kept.iter().any(|k| are_one(&k.detection.bbox, &bbox));
        if sound && !double && kept.len() < MOST_CANDIDATES {
            kept.push(candidate);
        }
    }
    kept
}

fn are_one(a: &Rect, b: &Rect) -> bool {
    let iou = a.iou(b);
    // The intersection follows from the intersection over union and the areas.
    let both = iou * (a.area() + b.area()) / (1.0 + iou);
    iou > SAME_PLATE.0 || both > SAME_PLATE.1 * a.area().min(b.area())
}

fn is_cut(bbox: &Rect, (width, height): (f32, f32)) -> bool {
    let edge = (bbox.h * EDGE).max(1.0);
    bbox.x < edge || bbox.y < edge || bbox.right() > width - edge || bbox.bottom() > height - edge
}

#[cfg(test)]
mod tests;
