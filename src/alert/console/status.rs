//! The status row: what works and what does not, as the page shows it.
//!
//! In: the health snapshot, four times a second. Out: a [`Status`]. A camera counts as reading
//! while frames are *looked at*, so a dead cable, a hung driver and a hung reading thread all show
//! as NOT READING within two seconds, whatever they say of themselves.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::camera_id::CameraId;
use crate::clock::ClockReport;
use crate::entry::Priority;
use crate::gps::Position;
use crate::health::{CameraSnapshot, PartState, Shown};
use crate::hotlist::hotplate::Told;
use crate::records::lookup::past::PastSighting;

/// Time without a frame looked at after which a camera is not reading.
///
/// The officer must know within 2 s. The last frame may be a tick of 250 ms old when it is counted, and the sixth tick after
/// that is a quarter of a second before the limit, which is for the way to the page. Half a tick less than six, so that
/// it is the sixth although one comes early. A camera at 1 frame a second with 0.2 s of reading is counted each fifth tick.
const QUIET: Duration = Duration::from_millis(1375);

/// Time a camera may take from start to its first frame before that is called not reading.
const STARTING: Duration = Duration::from_secs(8);

/// Span over which rates are taken.
const RATE_OVER: Duration = Duration::from_secs(3);

/// Frames skipped a second that are no chance: one is a hiccup of the machine.
const SKIPS: f32 = 1.0;

/// Time for which frames must be skipped before a camera is called overloaded: a busy crossing is shorter.
const OVERLOADED: Duration = Duration::from_secs(10);

/// Span over which reads are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Everything in the status row, at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The vehicle's wall clock, by which the page tells ages.
    pub now: Timestamp,
    /// One per configured camera.
    pub cameras: Vec<CameraStatus>,
    /// Hotlists in use.
    pub lists: Vec<ListStatus>,
    /// Hotplates that run; nothing where there can be none.
    pub hotplates: Option<Vec<Told>>,
    /// Version of the policy in force, if any.
    pub policy: Option<u64>,
    /// Who vouches for the time, and how far the car's clock is from GPS.
    pub clock: Option<ClockReport>,
    /// Where the car is.
    pub position: Position,
    /// Hits that the broker has not acknowledged yet.
    pub waiting: u64,
    /// What becomes of reads that match nothing, in words.
    pub kept: String,
    /// Every other part by name: `gps`, `broker`, `ring`, `sound`, ...
    pub parts: BTreeMap<String, PartState>,
    /// Vehicle passes read since the start.
    pub reads: u64,
    /// Hits since the start.
    pub hits: u64,
    /// Plates that were seen before a list had them, where policy allows that comparison.
    pub past: Vec<PastSighting>,
    /// The car's own computer, and its tones.
    pub car: CarStatus,
    /// Changes when a page should ask anew who is signed in.
    pub sessions: u64,
}

/// The car's own computer, and its tones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CarStatus {
    /// When the certificate for the broker ends, where there is one.
    pub certificate_ends: Option<Timestamp>,
    /// When the certificate ends by which the page is served, where there is one.
    pub page_certificate_ends: Option<Timestamp>,
    /// Bytes free where hits are kept; nothing where that cannot be told.
    pub disk_free: Option<u64>,
    /// Bytes below which only hits are kept.
    pub disk_reserve: u64,
    /// Priorities that make no sound, by setting.
    pub muted: Vec<Priority>,
    /// Hits whose tone comes again until they are answered.
    pub sounding: Vec<String>,
}

/// Vehicles that were seen and gave no plate, by the reason, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Too few pixels.
    pub small: u64,
    /// No characters, and nobody knows why.
    pub illegible: u64,
    /// Out of focus or smeared.
    #[serde(default)]
    pub blurred: u64,
    /// Too little light.
    #[serde(default)]
    pub dark: u64,
    /// Covered or dirty.
    #[serde(default)]
    pub covered: u64,
    /// Drowned in light.
    #[serde(default)]
    pub glare: u64,
    /// Hardly a plate.
    pub implausible: u64,
    /// Not sure of every character.
    pub unsure: u64,
    /// Too few frames agreed.
    pub brief: u64,
}

impl Unread {
    fn of(counts: &CameraSnapshot) -> Self {
        Self {
            small: counts.unread_small,
            illegible: counts.unread_illegible,
            blurred: counts.unread_blurred,
            dark: counts.unread_dark,
            covered: counts.unread_covered,
            glare: counts.unread_glare,
            implausible: counts.unread_implausible,
            unsure: counts.unread_unsure,
            brief: counts.unread_brief,
        }
    }
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraStatus {
    /// Its name.
    pub id: CameraId,
    /// Whether it reads.
    pub state: CameraState,
    /// Why not, or what is missing; empty when all is well.
    pub detail: String,
    /// Frames looked at a second.
    pub fps: f32,
    /// Frames skipped a second because reading was behind.
    pub skipped: f32,
    /// Vehicle passes read since the start.
    pub reads: u64,
    /// Vehicle passes read in the last minute.
    pub reads_a_minute: u64,
    /// Vehicles that gave no plate.
    pub unread: Unread,
}

/// Whether a camera reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraState {
    /// Frames are looked at.
    Reading,
    /// Frames are looked at, and others have been skipped for so long that cars can pass unread.
    Overloaded,
    /// No frame yet, and not too long for that.
    Starting,
    /// No frame is looked at.
    NotReading,
}

/// One hotlist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListStatus {
    /// Its name.
    pub name: String,
    /// Its version; a file's digest for lists from files.
    pub version: String,
    /// Entries that serve.
    pub entries: u64,
    /// When its source last said so.
    pub source_time: Timestamp,
    /// Whether it is older than it may be.
    pub stale: bool,
}

/// What health does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// Hotlists in use.
    pub lists: Vec<ListStatus>,
    /// Hotplates that run.
    pub hotplates: Option<Vec<Told>>,
    /// Where the car is.
    pub position: Position,
    /// Hits not acknowledged yet.
    pub waiting: u64,
    /// What becomes of non-hits.
    pub kept: String,
    /// Plates that were seen before a list had them.
    pub past: Vec<PastSighting>,
    /// The car's own computer, and its tones.
    pub car: CarStatus,
}

/// Makes a status of each snapshot.
#[derive(Debug)]
pub struct Watch {
    cameras: BTreeMap<CameraId, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    first: Option<Duration>,
    moved: Option<Duration>,
    /// Time, frames looked at, frames skipped; the oldest is about `RATE_OVER` ago.
    past: VecDeque<(Duration, u64, u64)>,
    /// Since when frames are skipped all the time.
    behind: Option<Duration>,
    /// Time and passes read; the oldest is a minute ago.
    read: VecDeque<(Duration, u64)>,
}

impl Watch {
    /// Watches these cameras, whether or not they ever report.
    pub fn new(cameras: impl IntoIterator<Item = CameraId>) -> Self {
        Self { cameras: cameras.into_iter().map(|id| (id, Seen::default())).collect() }
    }

    /// Judges a snapshot taken at `monotonic` on the boot clock and `now` on the wall clock.
    pub fn step(
        &mut self,
        monotonic: Duration,
        now: Timestamp,
        snapshot: &Shown,
        beside: Beside,
    ) -> Status {
        for id in snapshot.cameras.keys() {
            self.cameras.entry(id.clone()).or_default();
        }
        let cameras = self
            .cameras
            .iter_mut()
            .map(|(id, seen)| {
                let counts = snapshot.cameras.get(id);
                let (looked, skipped) = counts.map_or((0, 0), |c| (c.looked, c.frames_skipped));
                let part = snapshot.parts.get(&format!("camera/{id}"));
                let (state, detail) = seen.judge(monotonic, looked, skipped, part);
                let (fps, skipped) = seen.rates(monotonic);
                let state = seen.keeps_up(monotonic, state, skipped);
                let reads = counts.map_or(0, |c| c.reads);
                let reads_a_minute = seen.reads_a_minute(monotonic, reads);
                let unread = counts.map(Unread::of).unwrap_or_default();
                let id = id.clone();
                CameraStatus { id, state, detail, fps, skipped, reads, reads_a_minute, unread }
            })
            .collect();
        let parts = snapshot.parts.iter().filter(|(name, _)| !name.starts_with("camera/"));
        let parts = parts.map(|(name, state)| (name.clone(), state.clone())).collect();
        Status {
            now,
            cameras,
            lists: beside.lists,
            hotplates: beside.hotplates,
            policy: snapshot.policy,
            clock: snapshot.clock,
            position: beside.position,
            waiting: beside.waiting,
            kept: beside.kept,
            parts,
            reads: snapshot.cameras.values().map(|c| c.reads).sum(),
            hits: snapshot.hits,
            past: beside.past,
            car: beside.car,
            sessions: 0,
        }
    }
}

impl Seen {
    fn judge(
        &mut self,
        now: Duration,
        looked: u64,
        skipped: u64,
        part: Option<&PartState>,
    ) -> (CameraState, String) {
        let first = *self.first.get_or_insert(now);
        let before = self.past.back().map_or(0, |p| p.1);
        if looked > before {
            self.moved = Some(now);
        }
        self.past.push_back((now, looked, skipped));
        while self.past.get(1).is_some_and(|p| now.saturating_sub(p.0) >= RATE_OVER) {
            self.past.pop_front();
        }
        match (part, self.moved) {
            (Some(PartState::Down(why)), _) => (CameraState::NotReading, why.clone()),
            (Some(PartState::Off), _) => (CameraState::NotReading, "switched off".into()),
            (part, Some(moved)) if now.saturating_sub(moved) < QUIET => {
                let detail = match part {
                    Some(PartState::Impaired(why)) => why.clone(),
                    _ => String::new(),
                };
                (CameraState::Reading, detail)
            }
            (_, Some(moved)) => {
                let quiet = now.saturating_sub(moved).as_secs();
                (CameraState::NotReading, format!("no frame for {quiet} s"))
            }
            (_, None) if now.saturating_sub(first) < STARTING => {
                (CameraState::Starting, String::new())
            }
            (_, None) => (CameraState::NotReading, "no frame since the start".into()),
        }
    }

    /// Calls a camera overloaded that reads and has skipped frames for too long.
    fn keeps_up(&mut self, now: Duration, state: CameraState, skipped: f32) -> CameraState {
        if state != CameraState::Reading || skipped <= SKIPS {
            self.behind = None;
            return state;
        }
        let since = *self.behind.get_or_insert(now);
        match now.saturating_sub(since) >= OVERLOADED {
            true => CameraState::Overloaded,
            false => state,
        }
    }

    fn reads_a_minute(&mut self, now: Duration, reads: u64) -> u64 {
        self.read.push_back((now, reads));
        while self.read.front().is_some_and(|(at, _)| now.saturating_sub(*at) > MINUTE) {
            self.read.pop_front();
        }
        reads.saturating_sub(self.read.front().map_or(reads, |(_, before)| *before))
    }

    /// Frames looked at and skipped a second.
    fn rates(&self, now: Duration) -> (f32, f32) {
        let (Some(old), Some(new)) = (self.past.front(), self.past.back()) else {
            return (0.0, 0.0);
        };
        let span = now.saturating_sub(old.0).as_secs_f32();
        if span <= 0.0 {
            return (0.0, 0.0);
        }
        ((new.1 - old.1) as f32 / span, new.2.saturating_sub(old.2) as f32 / span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    const TICK: Duration = Duration::from_millis(250);

    fn beside() -> Beside {
        Beside {
            lists: vec![],
            hotplates: None,
            position: Position::NoFix,
            waiting: 0,
            kept: "not kept".into(),
            past: Vec::new(),
            car: CarStatus::default(),
        }
    }

    #[test]
    fn every_reason_of_a_pass_without_a_read_is_shown_and_older_counts_have_no_causes() {
        let health = Health::default();
        let front = health.camera(&CameraId::new("front"));
        for (n, counter) in (1..).zip([
            &front.unread_small,
            &front.unread_illegible,
            &front.unread_blurred,
            &front.unread_dark,
            &front.unread_covered,
            &front.unread_glare,
            &front.unread_implausible,
            &front.unread_unsure,
            &front.unread_brief,
        ]) {
            counter.many(n);
        }
        let counts = &health.snapshot().cameras[&CameraId::new("front")];
        let (small, illegible, blurred, dark, covered) = (1, 2, 3, 4, 5);
        let (glare, implausible, unsure, brief) = (6, 7, 8, 9);
        let seen =
            Unread { small, illegible, blurred, dark, covered, glare, implausible, unsure, brief };
        assert_eq!(Unread::of(counts), seen);

        let without = |mut json: serde_json::Value, prefix: &str| {
            for cause in ["blurred", "dark", "covered", "glare"] {
                json.as_object_mut().unwrap().remove(&format!("{prefix}{cause}")).unwrap();
            }
            json
        };
        let older = without(serde_json::to_value(counts).unwrap(), "unread_");
        let older = Unread::of(&serde_json::from_value(older).unwrap());
        assert_eq!(older, Unread { blurred: 0, dark: 0, covered: 0, glare: 0, ..seen });
        let older_page = without(serde_json::to_value(seen).unwrap(), "");
        assert_eq!(serde_json::from_value::<Unread>(older_page).unwrap(), older);
    }

    /// Runs ticks; `frames(tick)` are looked at before each.
    fn drive(ticks: u32, health: &Health, frames: impl Fn(u32) -> u64) -> Vec<CameraStatus> {
        let id = CameraId::new("front");
        let mut watch = Watch::new([id.clone()]);
        let wall = "2026-11-23T03:00:00Z".parse().unwrap();
        (0..ticks)
            .map(|tick| {
                health.camera(&id).looked.many(frames(tick));
                let status = watch.step(TICK * tick, wall, &health.shown(), beside());
                status.cameras[0].clone()
            })
            .collect()
    }

    #[test]
    fn camera_that_stops_is_not_reading_within_two_seconds() {
        let health = Health::default();
        // Eight frames a tick until 5 s, then none, and nobody says why.
        let seen = drive(32, &health, |tick| if tick < 20 { 8 } else { 0 });
        assert_eq!(seen[19].state, CameraState::Reading);
        assert!((seen[19].fps - 32.0).abs() < 0.5, "{}", seen[19].fps);
        let noticed = seen.iter().rposition(|s| s.state == CameraState::Reading).unwrap() + 1;
        let after = TICK * (noticed as u32 - 19);
        assert!(after <= Duration::from_millis(1750), "{after:?}");
        assert_eq!(seen[noticed].detail, "no frame for 1 s");
    }

    #[test]
    fn camera_that_stops_is_noticed_at_the_sixth_tick_although_that_comes_early() {
        let (health, id) = (Health::default(), CameraId::new("front"));
        let mut watch = Watch::new([id.clone()]);
        let wall = "2026-11-23T03:00:00Z".parse().unwrap();
        let mut state_at =
            |at: Duration| watch.step(at, wall, &health.shown(), beside()).cameras[0].state;
        health.camera(&id).looked.many(8);
        assert_eq!(state_at(Duration::ZERO), CameraState::Reading);
        assert_eq!(state_at(TICK * 5), CameraState::Reading);
        assert_eq!(state_at(TICK * 6 - Duration::from_millis(3)), CameraState::NotReading);
    }

    #[test]
    fn camera_that_says_it_is_unplugged_is_believed_at_once() {
        let health = Health::default();
        health.set("camera/front", PartState::Down("camera /dev/video0 stopped".into()));
        let seen = drive(2, &health, |_| 8);
        assert_eq!(seen[1].state, CameraState::NotReading);
        assert_eq!(seen[1].detail, "camera /dev/video0 stopped");
    }

    #[test]
    fn one_frame_a_second_is_still_reading() {
        let seen = drive(40, &Health::default(), |tick| u64::from(tick % 4 == 0));
        assert!(seen.iter().all(|s| s.state == CameraState::Reading));
    }

    #[test]
    fn camera_that_never_starts_is_not_starting_for_ever() {
        let seen = drive(40, &Health::default(), |_| 0);
        assert_eq!(seen[0].state, CameraState::Starting);
        assert_eq!(seen[39].state, CameraState::NotReading);
        assert_eq!(seen[39].detail, "no frame since the start");
    }

    #[test]
    fn camera_that_skips_frames_for_ten_seconds_is_overloaded_until_it_keeps_up() {
        let health = Health::default();
        let id = CameraId::new("front");
        // Four frames a second are looked at; six are skipped from 10 s to 30 s.
        let seen = drive(200, &health, |tick| {
            health.camera(&id).frames_skipped.many(if (40..120).contains(&tick) { 2 } else { 0 });
            health.camera(&id).reads.many(u64::from(tick % 4 == 0));
            1
        });
        let states: Vec<_> = seen.iter().map(|one| one.state).collect();
        let first = states.iter().position(|s| *s == CameraState::Overloaded).unwrap();
        let last = states.iter().rposition(|s| *s == CameraState::Overloaded).unwrap();
        // Rates are those of three seconds: it is noticed within them, and forgotten within them.
        assert!((80..=80 + 13).contains(&first), "from tick {first}");
        assert!((119..=120 + 13).contains(&last), "to tick {last}");
        assert!(states[first..=last].iter().all(|s| *s == CameraState::Overloaded));
        assert!(states[last + 1..].iter().all(|s| *s == CameraState::Reading));
        assert_eq!(seen[199].reads_a_minute, 49, "all but the first of fifty seconds");
    }
}
