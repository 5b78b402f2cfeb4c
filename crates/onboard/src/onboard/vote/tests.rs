use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::onboard::script::{at_ms, doubtful, frame, of_slots, plate, slots};
use crate::onboard::track::Tracker;
use crate::onboard::vision::candidate::{Candidate, Sighted};
use crate::onboard::vision::jurisdiction::impression_for_tests;
use crate::onboard::vision::legibility::Legibility;

/// What came of some frames: the reads (text, weakest, frames), then the other outcomes.
#[derive(Default)]
struct Log {
    reads: Vec<Voted>,
    first_read_at: Option<usize>,
    unread: Vec<Unread>,
    contradicted: usize,
    rejoined: usize,
}

impl Log {
    fn texts(&self) -> Vec<&str> {
        self.reads.iter().map(|r| r.plate.expose()).collect()
    }
}

fn drive(frames: impl IntoIterator<Item = Sighted>) -> Log {
    let mut tracker = Tracker::new(8);
    let mut voter = Voter::new(ReadingConfig::default());
    let mut log = Log::default();
    let mut n = 0;
    let mut take = |events: Vec<Event>, n: usize| {
        for event in events {
            match voter.step(event) {
                None => {}
                Some(Outcome::Read(voted)) => {
                    log.first_read_at.get_or_insert(n);
                    log.reads.push(*voted);
                }
                Some(Outcome::Unread(why)) => log.unread.push(why),
                Some(Outcome::Contradicted) => log.contradicted += 1,
                Some(Outcome::Rejoined) => log.rejoined += 1,
            }
        }
    };
    for frame in frames {
        n += 1;
        take(tracker.step(frame), n);
    }
    take(tracker.finish(), n);
    log
}

/// A car coming nearer: frame `n` of a pass, the plate growing by 3 % a frame.
fn nearing(n: u64, slots: Slots) -> Candidate {
    let width = 70.0 * 1.03_f32.powi(i32::try_from(n).unwrap());
    of_slots(slots, (960.0 + 3.0 * n as f32, 600.0 + 4.0 * n as f32), width)
}

fn pass(texts: &[(&str, f32)]) -> Vec<Sighted> {
    (0_u64..)
        .zip(texts)
        .map(|(n, (text, p))| {
            let seen = (!text.is_empty()).then(|| nearing(n, slots(text, *p)));
            frame(n, seen.into_iter().collect())
        })
        .collect()
}

#[test]
fn clear_plate_is_read_once_and_early() {
    let log = drive(pass(&[("CKSV841", 0.99); 20]));
    assert_eq!(log.texts(), ["CKSV841"]);
    assert_eq!(log.first_read_at, Some(3));
    assert_eq!((log.contradicted, log.rejoined), (0, 0));
}

#[test]
fn one_confident_misread_among_good_frames_is_outvoted() {
    let mut texts = [("CKSV841", 0.95); 12];
    texts[1] = ("CKSV8A1", 0.95);
    let log = drive(pass(&texts));
    assert_eq!(log.texts(), ["CKSV841"]);
}

#[rstest]
#[case::character_missed(("CKSV81", 0.9))]
#[case::screw_read_as_one(("CKSV8411", 0.8))]
#[case::first_half_covered(("V841", 0.9))]
#[case::second_half_covered(("CKSV", 0.9))]
#[case::sticker_in_front(("7CKSV841", 0.7))]
fn frame_of_another_length_is_aligned(#[case] odd: (&str, f32)) {
    let mut texts = [("CKSV841", 0.98); 24];
    texts[1] = odd;
    let log = drive(pass(&texts));
    assert_eq!(log.texts(), ["CKSV841"]);
}

#[test]
fn half_covered_plate_in_every_second_frame_is_not_read_as_half() {
    let texts: Vec<_> =
        (0..16).map(|n| if n % 2 == 0 { ("V841", 0.95) } else { ("CKSV841", 0.95) }).collect();
    let log = drive(pass(&texts));
    assert!(log.texts().iter().all(|t| *t == "CKSV841"), "a half plate was read as a whole one");
}

#[test]
fn doubtful_character_keeps_the_whole_plate_back() {
    let log = drive((0..20).map(|n| {
        let mut slots = slots("5SOW350", 0.97);
        slots[4] = doubtful(b'3', 0.48, b'7', 0.46);
        frame(n, vec![nearing(n, slots)])
    }));
    assert!(log.reads.is_empty());
    assert_eq!(log.unread, [Unread::Unsure]);
}

#[test]
fn o_and_zero_are_one_character_for_the_gate() {
    let log = drive((0..12).map(|n| {
        let mut slots = slots("CKOV841", 0.97);
        slots[2] = doubtful(b'O', 0.55, b'0', 0.42);
        frame(n, vec![nearing(n, slots)])
    }));
    assert_eq!(log.texts(), ["CKOV841"]);
    assert!(log.reads[0].weakest.get() > 0.9);
    let o = log.reads[0].slots[2].0;
    let share = o[usize::from(crate::plate::symbol_index(b'0'))];
    assert!((0.3..0.5).contains(&share), "what the eye may doubt is kept: {share}");
}

/// A clear text that the detector took for a plate with this score.
fn lettering(text: &str, score: f32) -> Vec<Candidate> {
    let mut seen = plate(text, 0.99, (900.0, 600.0), 90.0);
    seen.detection.score = Confidence::new(score);
    vec![seen; 10]
}

#[test]
fn personalised_plate_needs_a_surer_detector_than_a_sign() {
    let read = |text, score| {
        drive((0..).zip(lettering(text, score)).map(|(n, seen)| frame(n, vec![seen])))
    };
    assert_eq!(read("ROCKER", 0.75).texts(), ["ROCKER"]);
    assert!(read("ROCKER", 0.5).reads.is_empty());
    assert_eq!(read("CKSV841", 0.4).texts(), ["CKSV841"]);
}

#[rstest]
#[case::never_wide_enough(vec![plate("CKSV841", 0.9, (900.0, 600.0), 30.0); 10], Unread::Small)]
#[case::no_character_seen(vec![of_slots(Slots::new(), (900.0, 600.0), 90.0); 10], Unread::Illegible)]
#[case::badge(vec![plate("11", 0.95, (900.0, 600.0), 90.0); 10], Unread::Illegible)]
#[case::always_cut_by_the_edge(vec![plate("SV841", 0.95, (30.0, 600.0), 90.0); 10], Unread::Illegible)]
#[case::dealers_badge(lettering("CARBRAXX", 0.6), Unread::Implausible)]
#[case::seen_in_two_frames(vec![plate("CKSV841", 0.95, (900.0, 600.0), 90.0); 2], Unread::Brief)]
#[case::low_contrast(vec![plate("CKSV841", 0.4, (900.0, 600.0), 90.0); 10], Unread::Unsure)]
fn pass_without_a_read_says_why(#[case] seen: Vec<Candidate>, #[case] why: Unread) {
    let log = drive((0..).zip(seen).map(|(n, candidate)| frame(n, vec![candidate])));
    assert!(log.reads.is_empty());
    assert_eq!(log.unread, [why]);
}

/// Ten frames of a plate 90 pixels wide, of which the OCR says this, the last time for the rest of them.
fn said(text: &str, p: f32, said: &[(Option<Cause>, f32)]) -> Vec<Candidate> {
    let mut frames = vec![plate(text, p, (900.0, 600.0), 90.0); 10];
    for (n, frame) in frames.iter_mut().enumerate() {
        let (cause, p) = said[n.min(said.len() - 1)];
        frame.legibility = Some(Legibility::for_tests(cause, p));
    }
    frames
}

fn with(mut frames: Vec<Candidate>, change: impl Fn(usize, &mut Candidate)) -> Vec<Candidate> {
    frames.iter_mut().enumerate().for_each(|(n, frame)| change(n, frame));
    frames
}

const DARK: (Option<Cause>, f32) = (Some(Cause::Dark), 0.8);
const SOFT: (Option<Cause>, f32) = (Some(Cause::Soft), 0.8);
const LEGIBLE: (Option<Cause>, f32) = (None, 0.8);

#[rstest]
#[case::smeared(said("", 0.0, &[SOFT]), Unread::Blurred)]
#[case::dark(said("", 0.0, &[DARK]), Unread::Dark)]
#[case::covered(said("", 0.0, &[(Some(Cause::Covered), 0.8)]), Unread::Covered)]
#[case::glare(said("", 0.0, &[(Some(Cause::Glare), 0.8)]), Unread::Glare)]
#[case::two_characters_in_the_dark(said("11", 0.9, &[DARK]), Unread::Dark)]
#[case::uncertain_in_the_dark(said("CKSV841", 0.4, &[DARK]), Unread::Dark)]
#[case::uncertain_and_legible(said("CKSV841", 0.4, &[LEGIBLE]), Unread::Unsure)]
#[case::empty_and_legible(said("", 0.0, &[LEGIBLE]), Unread::Illegible)]
#[case::mean_of_all_frames(said("", 0.0, &[SOFT, SOFT, DARK]), Unread::Dark)]
#[case::frames_that_are_sure_outweigh_others(
    said("", 0.0, &[(Some(Cause::Soft), 0.5), (Some(Cause::Dark), 0.9)].repeat(5)),
    Unread::Dark
)]
#[case::small_wins(with(said("", 0.0, &[DARK]), |_, one| one.detection.bbox.w = 30.0), Unread::Small)]
#[case::small_frames_say_nothing(
    with(said("", 0.0, &[SOFT, SOFT, SOFT, SOFT, SOFT, SOFT, DARK]), |n, one| one.detection.bbox.w = if n < 6 { 39.0 } else { 42.0 }),
    Unread::Dark
)]
#[case::at_the_edge_nobody_knows(
    with(said("SV841", 0.9, &[(Some(Cause::Covered), 0.8)]), |_, one| one.detection.bbox.x = 0.0),
    Unread::Illegible
)]
#[case::lettering_in_the_dark(with(said("CARBRAXX", 0.99, &[DARK]), |_, one| one.detection.score = Confidence::new(0.6)), Unread::Implausible)]
#[case::seen_in_two_dark_frames(said("CKSV841", 0.95, &[DARK])[..2].to_vec(), Unread::Brief)]
fn pass_without_a_read_says_what_the_pictures_show(
    #[case] seen: Vec<Candidate>,
    #[case] why: Unread,
) {
    let log = drive((0..).zip(seen).map(|(n, candidate)| frame(n, vec![candidate])));
    assert!(log.reads.is_empty());
    assert_eq!(log.unread, [why]);
}

#[test]
fn plate_that_is_read_is_read_whatever_the_head_says() {
    let seen = said("CKSV841", 0.97, &[DARK]);
    let log = drive((0..).zip(seen).map(|(n, candidate)| frame(n, vec![candidate])));
    assert_eq!((log.texts(), log.unread.len()), (vec!["CKSV841"], 0));
}

#[test]
fn car_that_waits_in_view_is_read_once() {
    let log =
        drive((0..1800).map(|n| frame(n, vec![plate("CKSV841", 0.95, (900.0, 600.0), 90.0)])));
    assert_eq!(log.texts(), ["CKSV841"]);
}

#[test]
fn a_minute_of_the_same_view_is_not_a_minute_of_evidence() {
    let mut ballot = Ballot::default();
    for n in 0..1800 {
        let seconds = if n == 0 { 0.0 } else { 1.0 / 30.0 };
        let mut slots = slots("5SOW350", 0.97);
        slots[4] = doubtful(b'3', 0.52, b'7', 0.43);
        ballot.add(&slots, 1.0, Change { seconds, ..Change::default() });
    }
    assert!(ballot.looks() <= 1.0 / 0.6, "{} looks", ballot.looks());
    let weakest = ballot.elect().iter().map(|e| e.p[e.symbol]).fold(1.0, f32::min);
    assert!(weakest < 0.7, "{weakest}");
}

#[test]
fn lost_and_found_again_within_seconds_is_the_same_pass() {
    let log = drive((0..60).map(|n| {
        let hidden = (20..35).contains(&n);
        let seen = (!hidden).then(|| plate("CKSV841", 0.95, (900.0, 600.0), 90.0));
        frame(n, seen.into_iter().collect())
    }));
    assert_eq!((log.texts(), log.rejoined), (vec!["CKSV841"], 1));
}

#[test]
fn same_car_a_minute_later_is_another_pass() {
    let seen = |n| frame(n, vec![plate("CKSV841", 0.95, (900.0, 600.0), 90.0)]);
    let log = drive((0..10).chain(1800..1810).map(seen));
    assert_eq!(log.texts(), ["CKSV841", "CKSV841"]);
}

#[test]
fn later_frames_that_are_surer_revise_the_read_once() {
    // From afar a 7 looks like a 2; near, it is clear, and goes on being clear.
    let log = drive((0..40).map(|n| {
        let text = if n < 4 { "AHK512" } else { "AHK517" };
        frame(n, vec![nearing(n, slots(text, 0.99))])
    }));
    assert_eq!(log.texts(), ["AHK512", "AHK517"]);
    assert!(!log.reads[0].revises && log.reads[1].revises);
    assert_eq!(log.contradicted, 0);
}

#[test]
fn later_frames_that_are_only_doubtful_are_counted_and_not_told() {
    let log = drive((0..30).map(|n| {
        let mut slots = slots("AHK512", 0.95);
        if n >= 5 {
            slots[5] = doubtful(b'7', 0.6, b'2', 0.1);
        }
        frame(n, vec![nearing(n, slots)])
    }));
    assert_eq!(log.texts(), ["AHK512"]);
    assert_eq!(log.contradicted, 1);
}

#[rstest]
#[case::full(80.0, 1.0)]
#[case::wider(300.0, 1.0)]
#[case::half(40.0, 0.5)]
fn frame_counts_by_how_near_its_plate_is(#[case] width: f32, #[case] weight: f32) {
    assert!((Weighing::IN_FORCE.of_width(width) - weight).abs() < 0.001);
}

#[test]
fn read_is_stamped_with_its_best_frame() {
    let log = drive((0..8).map(|n| {
        let p = if n == 1 { 0.999 } else { 0.99 };
        frame(n, vec![plate("CKSV841", p, (900.0, 600.0), 90.0)])
    }));
    assert_eq!(log.reads[0].seen, at_ms(33));
    assert_eq!(log.reads[0].frames as usize, log.first_read_at.unwrap());
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    let mut bad = slots("CKSV841", 0.95);
    bad[2].0 = [f32::NAN; 36];
    bad[3].0 = [f32::INFINITY; 36];
    let log = drive((0..12).map(|n| {
        let slots = if n == 2 { bad.clone() } else { slots("CKSV841", 0.97) };
        frame(n, vec![nearing(n, slots)])
    }));
    assert_eq!(log.texts(), ["CKSV841"]);
}

/// Characters as (place in the symbols, probability): slots do not print.
fn any_text() -> impl Strategy<Value = Vec<(u8, f32)>> {
    prop::collection::vec((0..36_u8, 0.3..0.99_f32), 1..=12)
}

fn of_text(characters: &[(u8, f32)]) -> Slots {
    characters
        .iter()
        .map(|(s, p)| crate::onboard::script::slot(crate::plate::SYMBOLS[usize::from(*s)], *p))
        .collect()
}

fn folded_text(elected: &[Elected]) -> Vec<usize> {
    elected.iter().map(|e| e.symbol).filter(|s| *s != NONE).collect()
}

proptest! {
    /// The same frame over and over says what it says once, and never less surely.
    #[test]
    fn vote_of_identical_frames_never_flips(text in any_text(), times in 2..40_usize) {
        let slots = of_text(&text);
        let mut ballot = Ballot::default();
        ballot.add(&slots, 0.7, Change::default());
        let once = ballot.elect();
        let mut weakest = 0.0_f32;
        for _ in 1..times {
            ballot.add(&slots, 0.7, Change { seconds: 0.03, ..Change::default() });
            let now = ballot.elect();
            prop_assert_eq!(folded_text(&now), folded_text(&once));
            let least = now.iter().map(|e| e.p[e.symbol]).fold(1.0, f32::min);
            prop_assert!(least >= weakest - 1e-4, "{} after {}", least, weakest);
            weakest = least;
        }
    }

    /// Whatever comes, in whatever length and order, what is elected is a distribution.
    #[test]
    fn every_column_stays_a_distribution(
        frames in prop::collection::vec((any_text(), 0.05..1.0_f32, 0.0..0.5_f32), 1..30),
    ) {
        let mut ballot = Ballot::default();
        for (text, weight, growth) in frames {
            ballot.add(&of_text(&text), weight, Change { seconds: 0.03, growth, moved: 0.1 });
            for elected in ballot.elect() {
                let sum: f32 = elected.p.iter().sum();
                prop_assert!((sum - 1.0).abs() < 1e-3, "{}", sum);
                let of_symbols: f32 = (0..36).map(|s| elected.of_symbol(s)).sum();
                prop_assert!((of_symbols + elected.p[NONE] - 1.0).abs() < 1e-3);
            }
            prop_assert!(ballot.elect().len() <= 16);
        }
    }
}

/// Looks at whose plate it is add up over a pass as the characters do: what no look is sure of alone, the
/// pass may be; and a pass whose looks disagree says nothing.
#[rstest]
#[case::all_alike(&["US-NY"; 20], Some("US-NY"))]
#[case::one_of_the_first_three_differs(&["US-NY", "US-NY", "CA-QC"], None)]
#[case::half_and_half(&["US-NY", "CA-QC"], None)]
#[case::nobody_looks(&[], None)]
fn jurisdiction_of_a_pass(#[case] looks: &[&str], #[case] expected: Option<&str>) {
    let one = |issuer: &str| impression_for_tests(&[(issuer, 0.8)], 0.83);
    assert!(one("US-NY").read("ROCKER1").is_none(), "no look is sure enough alone");
    let frames = (0..20_u64).map(|n| {
        let mut candidate = nearing(n, slots("ROCKER1", 0.9));
        let look = looks.get(n as usize % looks.len().max(1));
        candidate.issuer = look.map(|issuer| one(issuer));
        frame(n, vec![candidate])
    });
    let log = drive(frames);
    let read = log.reads[0].jurisdiction;
    assert_eq!(read.map(|r| r.jurisdiction().to_string()).as_deref(), expected);
    assert_eq!(read.is_some_and(|r| r.probability().get() >= 0.83), expected.is_some());
}
