use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::onboard::script::{SIZE, frame, frame_at, of_slots, plate};
use crate::onboard::vision::candidate::Slots;

/// For each text the tracks that it was in, and the number of tracks in total.
#[derive(Default)]
struct Log {
    tracks: BTreeMap<String, Vec<TrackId>>,
    opened: Vec<TrackId>,
    closed: Vec<TrackId>,
}

fn drive(frames: impl IntoIterator<Item = Sighted>) -> Log {
    let mut tracker = Tracker::new(8);
    let mut log = Log::default();
    let mut take = |events: Vec<Event>| {
        for event in events {
            match event {
                Event::Seen { track, candidate, .. } => {
                    if !log.opened.contains(&track) {
                        log.opened.push(track);
                    }
                    let of_text = log.tracks.entry(candidate.text().to_string()).or_default();
                    if !of_text.contains(&track) {
                        of_text.push(track);
                    }
                }
                Event::Closed(track) => log.closed.push(track),
            }
        }
    };
    for frame in frames {
        take(tracker.step(frame));
    }
    take(tracker.finish());
    log
}

/// A plate as a camera with a focal length of 2,000 pixels sees it: 0.3 m wide, `x` metres to the
/// right, 0.6 m below the camera, `z` metres ahead. `None` once it is out of the picture.
fn seen(text: &str, p: f32, x: f32, z: f32) -> Option<Candidate> {
    let (w, h) = (SIZE.0 as f32, SIZE.1 as f32);
    let at = (w / 2.0 + 2000.0 * x / z, h / 2.0 + 2000.0 * 0.6 / z);
    let inside = z > 1.0 && (0.0..w).contains(&at.0) && (0.0..h).contains(&at.1);
    inside.then(|| plate(text, p, at, 2000.0 * 0.3 / z))
}

#[test]
fn plate_that_stays_is_one_track() {
    let log = drive((0..90).map(|n| frame(n, vec![plate("CKSV841", 0.9, (900.0, 600.0), 90.0)])));
    assert_eq!((log.opened.len(), log.closed.len()), (1, 1));
}

#[rstest]
#[case::wiper_hides_plate_for_six_frames(6, 1)]
#[case::gone_for_longer_than_the_gap(9, 2)]
fn hidden_plate(#[case] hidden: u64, #[case] tracks: usize) {
    // 8 m/s of closing speed, from 20 m on.
    let log = drive((0..40).map(|n| {
        let z = 20.0 - 8.0 * n as f32 / 30.0;
        let visible = !(15..15 + hidden).contains(&n);
        frame(n, visible.then(|| seen("CKSV841", 0.9, 1.0, z)).flatten().into_iter().collect())
    }));
    assert_eq!(log.opened.len(), tracks);
}

#[rstest]
#[case::next_lane_at_225_km_h_and_30_fps(62.5, 30, 3.5)]
#[case::next_lane_at_225_km_h_and_15_fps(62.5, 15, 3.5)]
#[case::own_lane_at_100_km_h_and_15_fps(27.8, 15, 0.3)]
#[case::pulling_away(-5.0, 30, 0.5)]
fn passing_car_is_one_track(#[case] speed: f32, #[case] fps: u64, #[case] x: f32) {
    let log = drive((0..3 * fps).map(|n| {
        let start = if speed > 0.0 { 18.0 } else { 5.0 };
        let z = start - speed * n as f32 / fps as f32;
        let found = if z < 20.0 { seen("CKSV841", 0.85, x, z) } else { None };
        frame_at(n, n * 1000 / fps, found.into_iter().collect())
    }));
    assert_eq!(log.opened.len(), 1);
}

#[test]
fn fast_pass_whose_characters_are_never_clear_is_one_track() {
    let log = drive((0..20).map(|n| {
        let z = 18.0 - 62.5 * n as f32 / 30.0;
        let candidate = seen("CKSV841", 0.3, 3.5, z).map(|mut c| {
            c.slots.clear();
            c
        });
        frame(n, candidate.into_iter().collect())
    }));
    assert_eq!(log.opened.len(), 1);
}

#[test]
fn two_cars_side_by_side_are_two_tracks() {
    let log = drive((0..60).map(|n| {
        let z = 18.0 - 6.0 * n as f32 / 30.0;
        let both = [seen("CKSV841", 0.9, -1.7, z), seen("BMNT220", 0.9, 1.8, z + 0.4)];
        frame(n, both.into_iter().flatten().collect())
    }));
    assert_eq!(log.tracks.values().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(log.opened.len(), 2);
}

#[test]
fn one_car_overtakes_another_and_texts_stay_with_their_cars() {
    // The picture of the faster car crosses over the slower one's.
    let log = drive((0..60).map(|n| {
        let t = n as f32 / 30.0;
        let slow = plate("CKSV841", 0.9, (900.0, 600.0), 90.0);
        let fast = plate("BMNT220", 0.9, (500.0 + 400.0 * t, 600.0), 90.0);
        // It is hidden behind the slow car while they overlap.
        let hidden = (fast.detection.bbox.centre().x - 900.0).abs() < 80.0;
        frame(n, if hidden { vec![slow] } else { vec![slow, fast] })
    }));
    assert_eq!(log.tracks["CKSV841"].len(), 1);
    assert!(!log.tracks["BMNT220"].contains(&log.tracks["CKSV841"][0]));
}

#[test]
fn another_car_behind_the_wiper_is_another_track() {
    let log = drive((0..30).map(|n| match n {
        0..10 => frame(n, vec![plate("CKSV841", 0.9, (900.0, 600.0), 90.0)]),
        10..16 => frame(n, vec![]),
        _ => frame(n, vec![plate("BMNT220", 0.9, (905.0, 600.0), 92.0)]),
    }));
    assert_eq!(log.opened.len(), 2);
    assert_ne!(log.tracks["CKSV841"], log.tracks["BMNT220"]);
}

#[test]
fn one_misread_frame_does_not_tear_a_track() {
    let log = drive((0..20).map(|n| {
        let text = if n == 9 { "CKSV8A1" } else { "CKSV841" };
        frame(n, vec![plate(text, 0.95, (900.0, 600.0), 90.0)])
    }));
    assert_eq!(log.opened.len(), 1);
}

#[test]
fn plate_found_twice_in_a_frame_counts_once() {
    let log = drive((0..10).map(|n| {
        let whole = plate("CKSV841", 0.9, (900.0, 600.0), 90.0);
        let mut part = plate("SV841", 0.9, (915.0, 602.0), 60.0);
        part.detection.score = crate::onboard::vision::candidate::Confidence::new(0.5);
        frame(n, vec![part, whole])
    }));
    assert_eq!(log.opened.len(), 1);
    assert_eq!(log.tracks.keys().collect::<Vec<_>>(), ["CKSV841"]);
}

#[test]
fn frame_that_comes_twice_is_looked_at_once() {
    let mut tracker = Tracker::new(8);
    let twice = || frame(5, vec![plate("CKSV841", 0.9, (900.0, 600.0), 90.0)]);
    assert_eq!(tracker.step(twice()).len(), 1);
    assert!(tracker.step(twice()).is_empty());
}

#[test]
fn clock_that_starts_over_closes_what_was_open() {
    let mut tracker = Tracker::new(8);
    let one = || vec![plate("CKSV841", 0.9, (900.0, 600.0), 90.0)];
    tracker.step(frame_at(50, 5_000, one()));
    let events = tracker.step(frame_at(0, 100, one()));
    assert!(matches!(events[..], [Event::Closed(a), Event::Seen { track: b, .. }] if a != b));
}

#[test]
fn camera_that_falls_silent_ends_its_tracks() {
    let mut tracker = Tracker::new(8);
    tracker.step(frame(0, vec![plate("CKSV841", 0.9, (900.0, 600.0), 90.0)]));
    assert!(tracker.tick(Duration::from_millis(1_400)).is_empty());
    assert!(matches!(tracker.tick(Duration::from_millis(1_600))[..], [Event::Closed(_)]));
}

#[rstest]
#[case::inside((900.0, 600.0), false)]
#[case::left((40.0, 600.0), true)]
#[case::bottom((900.0, 1060.0), true)]
fn plate_at_the_edge_is_known_to_be_cut(#[case] centre: (f32, f32), #[case] expected: bool) {
    let mut tracker = Tracker::new(8);
    let events = tracker.step(frame(0, vec![plate("CKSV841", 0.9, centre, 80.0)]));
    assert!(matches!(events[..], [Event::Seen { cut, .. }] if cut == expected));
}

#[test]
fn boxes_that_are_none_are_left_out() {
    let mut bad = plate("CKSV841", 0.9, (900.0, 600.0), 90.0);
    bad.detection.bbox.w = f32::NAN;
    let mut flat = plate("CKSV841", 0.9, (500.0, 600.0), 90.0);
    flat.detection.bbox.h = 0.0;
    assert!(Tracker::new(8).step(frame(0, vec![bad, flat])).is_empty());
}

#[test]
fn full_tracker_keeps_each_plate_in_its_own_track() {
    // A car park: as many plates as there may be tracks, thirty-two in a frame, and then two of
    // them again, with a newcomer before them in the order of detection.
    let at = |n: usize| (30.0 + 29.0 * (n % 64) as f32, 100.0 + 12.0 * (n % 64) as f32);
    // Texts with nothing in common: four equal characters, different for every plate.
    let text = |n: usize| {
        let c = |i: usize| char::from(crate::plate::SYMBOLS[(n * 7 + i * 11) % 31]);
        format!("{}{}{}{}", c(0), c(n / 31 + 1), c(n % 5 + 2), c(n % 7 + 3))
    };
    let named = |n: usize, score: f32| {
        let mut seen = plate(&text(n), 0.95, at(n), 24.0);
        seen.detection.score = crate::onboard::vision::candidate::Confidence::new(score);
        seen
    };
    let mut tracker = Tracker::new(8);
    let mut of_text = BTreeMap::new();
    let mut closed = Vec::new();
    let mut take = |events: Vec<Event>| {
        for event in events {
            match event {
                Event::Seen { track, candidate, .. } => {
                    let before = of_text.insert(candidate.text().to_string(), track);
                    assert!(
                        before.is_none_or(|b| b == track),
                        "{} changed its track",
                        candidate.text()
                    );
                }
                Event::Closed(track) => closed.push(track),
            }
        }
    };
    take(tracker.step(frame(0, (0..32).map(|n| named(n, 0.8)).collect())));
    take(tracker.step(frame(1, (32..64).map(|n| named(n, 0.8)).collect())));
    assert_eq!(tracker.tracks.len(), MOST_TRACKS);
    // The newcomer makes the tracker close a track; the last in its list moves to the free
    // position.
    let mut newcomer = plate("BMNT220", 0.95, (1800.0, 60.0), 24.0);
    newcomer.detection.score = crate::onboard::vision::candidate::Confidence::new(0.99);
    let again = [31, 0, 30, 62, 63].map(|n| named(n, 0.8));
    take(tracker.step(frame(2, [vec![newcomer], again.to_vec()].concat())));
    assert_eq!(closed.len(), 1);
    assert!(!closed.contains(&of_text[&text(0)]) && !closed.contains(&of_text[&text(63)]));
}

proptest! {
    /// For any input the number of tracks is bounded, no candidate is in two tracks at once, and
    /// what was opened is closed once.
    #[test]
    fn bounded_and_closed_once(
        places in prop::collection::vec(
            prop::collection::vec((0.0..1900.0_f32, 0.0..1000.0_f32, 8.0..300.0_f32), 0..40),
            1..12,
        ),
    ) {
        let mut tracker = Tracker::new(2);
        let mut open = std::collections::BTreeSet::new();
        let mut check = |events: Vec<Event>| {
            let mut seen = std::collections::BTreeSet::new();
            for event in events {
                match event {
                    Event::Seen { track, .. } => {
                        open.insert(track);
                        assert!(seen.insert(track), "two plates of one frame in one track");
                    }
                    Event::Closed(track) => assert!(open.remove(&track)),
                }
            }
            assert!(open.len() <= MOST_TRACKS);
        };
        for (n, places) in places.into_iter().enumerate() {
            let candidates =
                places.into_iter().map(|(x, y, w)| of_slots(Slots::new(), (x, y), w)).collect();
            check(tracker.step(frame(n as u64, candidates)));
        }
        check(tracker.finish());
        prop_assert!(open.is_empty());
    }
}
