//! Turns the candidates of one track into one read, as soon as it is sure.
//!
//! In: the tracker's events of one camera. Out: one [`Voted`] per vehicle pass, or the reason why
//! there is none. Adds up what the frames say (`ballot.rs`), asks whether it is a plate at all, and
//! then three things of *every* character: is the least certain one certain enough, have enough
//! frames agreed on it, was the plate large enough in them. Costs some microseconds per plate and frame. Position and list are
//! left to others.
//!
//! One pass is one read. A track that is lost and found again within seconds with the same text is
//! still the same pass. If later frames turn the vote against a read that is out already, that is
//! counted; a second read goes out only if the vote is clearer than it was the first time, and at
//! most once. `docs/decisions/0030` says why.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use arrayvec::ArrayVec;

use super::frame_read::{FrameRead, MOST_FRAMES};
use super::track::{Event, TrackId};
use super::vision::JurisdictionRead;
use super::vision::candidate::{Candidate, Confidence, Crop, Slot, Slots};
use super::vision::jurisdiction::Impressions;
use super::vision::legibility::{Cause, Mean};
use super::vision::plausible::{LEAST_CHARACTERS, plausibility};
use crate::clock::FrameTime;
use crate::config::ReadingConfig;
use crate::geometry::Rect;
use crate::plate::{Plate, PlateKey};

mod ballot;

pub(super) use ballot::Weighing;
use ballot::{Ballot, Change, Elected, NONE};

/// Smallest weight of a frame that votes at all.
const LEAST_WEIGHT: f32 = 0.05;

/// Probability that the least certain character must have for a read to replace one that is out.
const CERTAIN: f32 = 0.98;

/// Tenths of the frames that must not have seen a character for it to be no question any more: one
/// frame in ten with a screw or a drop on it must not keep a plate from being read for good.
const STRAY_TENTHS: u32 = 9;

/// How long after a plate was last seen the same text is still the same pass. A lorry in between
/// hides a car for two or three seconds; the same plate on another car within five is no accident
/// that happens.
const SAME_PASS: Duration = Duration::from_secs(5);

/// Passes remembered for that.
const MOST_RECENT: usize = 64;

/// One vehicle pass after voting.
pub(super) struct Voted {
    /// The likeliest text.
    pub(super) plate: Plate,
    /// Whose plate it is, of all looks together; `None` where nobody is sure enough.
    pub(super) jurisdiction: Option<JurisdictionRead>,
    /// Voted distributions, one per character.
    pub(super) slots: Slots,
    /// The least certain character's probability.
    pub(super) weakest: Confidence,
    /// The best frame's time.
    pub(super) seen: FrameTime,
    /// Boot-clock time of the frame that made the vote sure.
    pub(super) decided: Duration,
    /// Frames that voted.
    pub(super) frames: u32,
    /// The plate in the best frame.
    pub(super) crop: Crop,
    /// Where the plate is in the frame that made the vote sure.
    pub(super) now_at: Rect,
    /// What each of the latest frames said by itself.
    pub(super) frame_reads: Vec<FrameRead>,
    /// Whether it corrects a read of the same pass that is out.
    pub(super) revises: bool,
}

/// Why a pass gave no read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// The plate was never wide enough.
    Small,
    /// No frame showed characters, or too few to be a plate, and nobody knows why.
    Illegible,
    /// Such a plate, or one that stayed uncertain, of which the OCR says that it is out of focus or smeared.
    Blurred,
    /// The same, for want of light.
    Dark,
    /// The same, because something is in front of it.
    Covered,
    /// The same, because light drowns it.
    Glare,
    /// What was found is hardly a plate.
    Implausible,
    /// The least certain character stayed too uncertain, and nobody knows why.
    Unsure,
    /// Too few frames agreed.
    Brief,
}

impl From<Cause> for Unread {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Soft => Self::Blurred,
            Cause::Dark => Self::Dark,
            Cause::Covered => Self::Covered,
            Cause::Glare => Self::Glare,
        }
    }
}

/// What the voter found out.
pub(super) enum Outcome {
    /// A read.
    Read(Box<Voted>),
    /// The track has ended without one.
    Unread(Unread),
    /// The track has ended and its last vote was not the text that went out.
    Contradicted,
    /// The text is that of a pass that was read moments ago: still the same pass.
    Rejoined,
}

/// One camera's open votes.
pub(super) struct Voter {
    config: ReadingConfig,
    /// [`Weighing::IN_FORCE`], but where others are measured.
    weighing: Weighing,
    open: BTreeMap<TrackId, Poll>,
    recent: VecDeque<(PlateKey, Duration)>,
}

/// The vote of one track.
struct Poll {
    weighing: Weighing,
    ballot: Ballot,
    /// What the same frames show of whose plate it is.
    issuers: Impressions,
    /// What the frames that could have voted show of whether it can be read.
    legibility: Mean,
    /// The widest plate of any frame, in pixels.
    widest: f32,
    /// Whether any frame was wide enough.
    wide_enough: bool,
    /// Sum of the detector's scores in the frames that voted.
    scores: f32,
    last: Option<(Rect, Duration)>,
    said: VecDeque<FrameRead>,
    best: Option<Best>,
    out: Option<Out>,
}

/// The best frame.
struct Best {
    quality: f32,
    seen: FrameTime,
    crop: Crop,
}

/// The read that is out.
struct Out {
    key: PlateKey,
    agree: u32,
    revised: bool,
}

/// A vote counted.
struct Count {
    elected: Vec<Elected>,
    weakest: f32,
    agree: u32,
    frames: u32,
    /// The detector's mean score.
    score: Confidence,
}

impl Voter {
    /// Gates as configured.
    pub(super) fn new(config: ReadingConfig) -> Self {
        Self::weighing(config, Weighing::IN_FORCE)
    }

    /// Gates as configured, frames weighed so.
    pub(super) fn weighing(config: ReadingConfig, weighing: Weighing) -> Self {
        Self { config, weighing, open: BTreeMap::new(), recent: VecDeque::new() }
    }

    /// Takes one event of the tracker.
    pub(super) fn step(&mut self, event: Event) -> Option<Outcome> {
        match event {
            Event::Seen { track, candidate, at, cut } => self.seen(track, candidate, at, cut),
            Event::Closed(track) => self.closed(track),
        }
    }

    fn seen(
        &mut self,
        track: TrackId,
        candidate: Candidate,
        at: FrameTime,
        cut: bool,
    ) -> Option<Outcome> {
        let poll = self.open.entry(track).or_insert_with(|| Poll::new(self.weighing));
        let voted = poll.hear(candidate, at, cut, self.config.min_plate_width);
        let last_seen = at.monotonic;
        if let Some(out) = &poll.out {
            // Still in view: the pass goes on.
            if let Some(recent) = self.recent.iter_mut().find(|(key, _)| *key == out.key) {
                recent.1 = last_seen;
            }
        }
        if !voted {
            return None;
        }
        let count = poll.count()?;
        self.judge(track, count, last_seen)
    }

    /// Lets a vote out if it is sure.
    fn judge(&mut self, track: TrackId, count: Count, now: Duration) -> Option<Outcome> {
        count.passes(&self.config).ok()?;
        let poll = self.open.get_mut(&track).expect("the caller has it open");
        let plate = count.plate()?;
        let key = plate.key();
        let revises = match &poll.out {
            None => false,
            Some(out) if out.key == key || out.revised => return None,
            Some(out) if count.weakest >= CERTAIN && count.agree > out.agree => true,
            Some(_) => return None,
        };
        poll.out = Some(Out { key, agree: count.agree, revised: revises });
        self.recent.retain(|(_, last)| now.saturating_sub(*last) <= SAME_PASS);
        if let Some(recent) = self.recent.iter_mut().find(|(recent, _)| *recent == key) {
            recent.1 = now;
            return Some(Outcome::Rejoined);
        }
        if self.recent.len() == MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((key, now));
        let best = poll.best.as_ref().expect("a frame has voted");
        let (now_at, _) = poll.last.expect("a frame has voted");
        Some(Outcome::Read(Box::new(Voted {
            plate,
            jurisdiction: poll.issuers.read(&count.text(), poll.ballot.looks()),
            slots: count.slots(),
            weakest: Confidence::new(count.weakest),
            seen: best.seen,
            decided: now,
            frames: poll.ballot.frames(),
            crop: best.crop.clone(),
            now_at,
            frame_reads: poll.said.iter().cloned().collect(),
            revises,
        })))
    }

    fn closed(&mut self, track: TrackId) -> Option<Outcome> {
        let poll = self.open.remove(&track)?;
        let count = poll.count();
        if let Some(out) = &poll.out {
            let last = count.and_then(|c| c.plate()).map(|p| p.key());
            return (last != Some(out.key)).then_some(Outcome::Contradicted);
        }
        let why = match count {
            None if !poll.wide_enough => Unread::Small,
            None => Unread::Illegible,
            Some(count) => match count.passes(&self.config) {
                Err(why) => why,
                // A vote that passed was let out when it did, unless it spells no plate.
                Ok(()) => Unread::Illegible,
            },
        };
        Some(Outcome::Unread(match why {
            // What the characters do not explain, the picture may. What was seen too briefly is explained, and lettering
            // that is no plate is none in any light.
            Unread::Illegible | Unread::Unsure => poll.legibility.cause().map_or(why, Unread::from),
            why => why,
        }))
    }
}

impl Poll {
    fn new(weighing: Weighing) -> Self {
        Self {
            weighing,
            ballot: Ballot::sharing(weighing.shared),
            issuers: Impressions::default(),
            legibility: Mean::default(),
            widest: 0.0,
            wide_enough: false,
            scores: 0.0,
            last: None,
            said: VecDeque::new(),
            best: None,
            out: None,
        }
    }

    /// Takes one frame's candidate; tells whether it had a vote.
    fn hear(&mut self, candidate: Candidate, at: FrameTime, cut: bool, min_width: f32) -> bool {
        let bbox = candidate.detection.bbox;
        self.widest = self.widest.max(bbox.w);
        self.wide_enough |= bbox.w >= min_width;
        // A plate that reaches over the edge may be missing characters and read well all the same; and a small one is
        // soft, whatever else is wrong with it.
        if cut || bbox.w < min_width {
            return false;
        }
        if let Some(legibility) = candidate.legibility {
            self.legibility.add(legibility);
        }
        if candidate.slots.is_empty() {
            return false;
        }
        let change = self.last.map_or(Change::default(), |(last, then)| {
            let (a, b) = (last.centre(), bbox.centre());
            Change {
                seconds: at.monotonic.saturating_sub(then).as_secs_f32(),
                growth: (bbox.w / last.w).ln(),
                moved: (a.x - b.x).hypot(a.y - b.y) / bbox.w,
            }
        });
        self.last = Some((bbox, at.monotonic));
        let size = self.weighing.of_width(bbox.w);
        self.scores += candidate.detection.score.get();
        let weight = (size * candidate.detection.score.get()).max(LEAST_WEIGHT);
        self.ballot.add(&candidate.slots, weight, change);
        if let Some(issuer) = &candidate.issuer {
            self.issuers.add(issuer, weight);
        }
        if self.said.len() == MOST_FRAMES {
            self.said.pop_front();
        }
        self.said.push_back(FrameRead::of(&candidate, at));

        let quality = candidate.weakest().get() * bbox.w;
        if self.best.as_ref().is_none_or(|best| quality > best.quality) {
            self.best = Some(Best { quality, seen: at, crop: candidate.crop });
        }
        true
    }

    /// The state of the vote, if anyone has voted.
    fn count(&self) -> Option<Count> {
        if self.ballot.frames() == 0 {
            return None;
        }
        let mut elected = self.ballot.elect();
        let frames = self.ballot.frames();
        elected.retain(|e| !(e.symbol == NONE && e.agree * 10 >= frames * STRAY_TENTHS));
        let weakest = elected.iter().map(|e| e.p[e.symbol]).fold(1.0, f32::min);
        let agree = elected.iter().map(|e| e.agree).min().unwrap_or(0);
        let score = Confidence::new(self.scores / frames as f32);
        Some(Count { elected, weakest, agree, frames, score })
    }
}

impl Count {
    /// Whether the vote is sure, or why not.
    fn passes(&self, config: &ReadingConfig) -> Result<(), Unread> {
        if self.characters().count() < LEAST_CHARACTERS {
            return Err(Unread::Illegible);
        }
        if plausibility(&self.text(), self.score) < config.min_plausibility {
            return Err(Unread::Implausible);
        }
        if self.frames < config.min_agreeing_frames {
            return Err(Unread::Brief);
        }
        if self.weakest < config.min_confidence {
            return Err(Unread::Unsure);
        }
        if self.agree < config.min_agreeing_frames {
            return Err(Unread::Brief);
        }
        Ok(())
    }

    fn characters(&self) -> impl Iterator<Item = &Elected> {
        self.elected.iter().filter(|e| e.symbol != NONE)
    }

    fn text(&self) -> String {
        self.characters().map(|e| char::from(e.shown)).collect()
    }

    fn plate(&self) -> Option<Plate> {
        Plate::parse(&self.text()).ok()
    }

    fn slots(&self) -> Slots {
        self.characters()
            .map(|e| Slot(std::array::from_fn(|s| e.of_symbol(s))))
            .collect::<ArrayVec<_, _>>()
    }
}

#[cfg(test)]
mod tests;
