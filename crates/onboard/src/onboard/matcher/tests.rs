use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::config::{HotlistConfig, UnreadJurisdiction};
use crate::gps::Position;
use crate::hotlist::{self, Hotlist, Hotlists};
use crate::onboard::script::{at_ms, doubtful, slots};
use crate::onboard::vision::candidate::Slots;

fn list(name: &str, matching: &str, text: &str) -> Hotlist {
    let config: HotlistConfig = toml::from_str(&format!(
        "name = {name:?}\npath = \"list.csv\"\nmatching = {matching:?}\ncategory = \"stolen_vehicle\""
    ))
    .unwrap();
    hotlist::parse(text.as_bytes(), &config, at_ms(0).wall, &jiff::tz::TimeZone::UTC).unwrap().0
}

fn matcher(lists: Vec<Hotlist>) -> (Matcher, Arc<Hotlists>) {
    let service = Arc::new(Hotlists::of(lists));
    (Matcher::new(service.lookups(), Duration::from_secs(300)), service)
}

fn read_of(slots: Slots, ms: u64) -> PlateRead {
    let text: String = slots.iter().map(|s| char::from(s.best().0)).collect();
    PlateRead {
        id: Ulid::from_parts(ms, 1),
        plate: Plate::parse(&text).unwrap(),
        jurisdiction: None,
        weakest: slots
            .iter()
            .map(|s| s.best().1)
            .fold(Confidence::new(1.0), |a, b| if b < a { b } else { a }),
        slots,
        camera: CameraId::new("front"),
        seen: at_ms(ms),
        decided: at_ms(ms).monotonic,
        frames: 5,
        frame_reads: Vec::new(),
        position: Position::NoFix,
        crop: Crop::default(),
        context: None,
        models: Arc::default(),
    }
}

fn read(text: &str, ms: u64) -> PlateRead {
    read_of(slots(text, 0.97), ms)
}

fn hit(outcome: Outcome) -> Hit {
    match outcome {
        Outcome::Hits(mut hits) if hits.len() == 1 => hits.remove(0),
        Outcome::Hits(hits) => panic!("{} hits", hits.len()),
        Outcome::Quiet => panic!("held back"),
        Outcome::NoHit(_) => panic!("on no list"),
    }
}

#[test]
fn listed_plate_is_a_hit_and_its_neighbour_is_not() {
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", "plate,state\nCKSV841,ON\n")]);
    let hit = hit(matcher.step(read("CKSV841", 0)));
    assert_eq!(hit.plate().expose(), "CKSV841");
    assert_eq!((hit.match_kind(), hit.differing()), (MatchKind::Exact, &[][..]));
    assert_eq!(hit.entry().jurisdiction.as_str(), "CA-ON");
    assert!(hit.jurisdiction().is_unknown(), "what was not read is not guessed from the list");
    assert_eq!(&*hit.list().name, "stolen");
    assert!(matches!(matcher.step(read("CKSV847", 0)), Outcome::NoHit(_)));
}

#[test]
fn picture_of_the_vehicle_goes_with_a_hit_and_with_nothing_else() {
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", "plate,state\nCKSV841,ON\n")]);
    let seen = Crop { width: 2, height: 1, rgb: vec![9; 6] };
    let listed = PlateRead { context: Some(seen.clone()), ..read("CKSV841", 0) };
    assert_eq!(hit(matcher.step(listed)).context().map(|context| &context.rgb), Some(&seen.rgb));
    let other = PlateRead { context: Some(seen), ..read("CKSV847", 0) };
    let Outcome::NoHit(forgotten) = matcher.step(other) else { panic!("on no list") };
    assert!(forgotten.context.is_none(), "the ring would have it");
}

#[test]
fn folded_match_is_exact_and_shows_where_the_texts_differ() {
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", "CKOV841\n")]);
    let hit = hit(matcher.step(read("CK0V84I", 0)));
    assert_eq!(hit.match_kind(), MatchKind::Exact);
    assert_eq!(hit.plate().expose(), "CK0V84I");
    assert_eq!(hit.differing(), [2, 6]);
}

/// Green v. San Francisco: 5SOW350 was read as 5SOW750.
#[rstest]
#[case::exact_list_stays_silent("exact", false)]
#[case::look_alike_list_tells_and_says_so("look_alike", true)]
fn alternative_of_a_doubtful_character(#[case] matching: &str, #[case] told: bool) {
    let (mut matcher, _) = matcher(vec![list("stolen", matching, "5SOW750\n")]);
    let mut slots = slots("5SOW350", 0.97);
    slots[4] = doubtful(b'3', 0.92, b'7', 0.06);
    match matcher.step(read_of(slots, 0)) {
        Outcome::Hits(hits) => {
            let hit = &hits[0];
            assert!(told);
            assert_eq!(hit.match_kind(), MatchKind::LookAlike);
            assert_eq!(hit.differing(), [4]);
            assert_eq!(hit.plate().expose(), "5SOW350", "the read stays what was read");
        }
        Outcome::NoHit(_) => assert!(!told),
        Outcome::Quiet => panic!(),
    }
}

#[test]
fn alternative_that_the_vote_did_not_hold_possible_is_no_match() {
    let (mut matcher, _) = matcher(vec![list("stolen", "look_alike", "5SOW750\n")]);
    let slots = slots("5SOW350", 0.9995);
    assert!(matches!(matcher.step(read_of(slots, 0)), Outcome::NoHit(_)));
}

#[test]
fn one_vehicle_is_one_hit_with_every_entry_it_met() {
    let (mut matcher, _) = matcher(vec![
        list("expired", "exact", "plate,priority\nABC123,low\n"),
        list("stolen", "exact", "plate,state,priority\nABC123,NY,high\nABC123,QC,medium\n"),
    ]);
    let hit = hit(matcher.step(read("ABC123", 0)));
    assert_eq!(hit.entry().priority, crate::entry::Priority::High, "the most urgent first");
    let others: Vec<_> = hit.others().iter().map(|m| m.entry.jurisdiction.to_string()).collect();
    assert_eq!(others, ["CA-QC", "unknown"]);
}

fn issued(mut read: PlateRead, by: &str, p: f32) -> PlateRead {
    read.jurisdiction = JurisdictionRead::new(Jurisdiction::parse(by).unwrap(), Confidence::new(p));
    read
}

/// Gilliam v. Aurora: the same characters, another state.
#[rstest]
#[case::of_the_listed_state("US-NY", Agreement::Same, Priority::High)]
#[case::of_another_state("CA-ON", Agreement::Other, Priority::Low)]
#[case::not_read("unknown", Agreement::NotRead, Priority::High)]
fn plate_of_another_state_never_sounds_high(
    #[case] read_as: &str,
    #[case] jurisdictions: Agreement,
    #[case] told: Priority,
) {
    let text = "plate,state,priority\nABC123,NY,high\n";
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", text)]);
    let hit = hit(matcher.step(issued(read("ABC123", 0), read_as, 0.98)));
    assert_eq!((hit.jurisdictions(), hit.priority()), (jurisdictions, told));
    assert_eq!(hit.entry().priority, Priority::High, "what the list says stays said");
    assert_eq!(hit.jurisdiction().to_string(), read_as);
    let sure = hit.jurisdiction_confidence().map(Confidence::get);
    assert_eq!(sure, (read_as != "unknown").then_some(0.98), "and how sure it is, or nothing");
}

#[rstest]
#[case::unless_policy_says_otherwise(UnreadJurisdiction::Alert, "NY", Priority::High)]
#[case::as_policy_says(UnreadJurisdiction::Lower, "NY", Priority::Medium)]
#[case::where_the_list_states_one(UnreadJurisdiction::Lower, "", Priority::High)]
fn jurisdiction_that_was_not_read_is_told_as_policy_says(
    #[case] unread: UnreadJurisdiction,
    #[case] state: &str,
    #[case] told: Priority,
) {
    let text = format!("plate,state,priority\nABC123,{state},high\n");
    let (matcher, _) = matcher(vec![list("stolen", "exact", &text)]);
    let mut matcher = matcher.with_unread_jurisdiction(unread);
    assert_eq!(hit(matcher.step(read("ABC123", 0))).priority(), told);
}

#[test]
fn plate_of_the_listed_state_is_news_after_its_twin_of_another() {
    let text = "plate,state,priority\nABC123,NY,high\n";
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", text)]);
    hit(matcher.step(issued(read("ABC123", 0), "CA-ON", 0.98)));
    let again = matcher.step(issued(read("ABC123", 1_000), "CA-ON", 0.98));
    assert!(matches!(again, Outcome::Quiet));
    let twin = hit(matcher.step(issued(read("ABC123", 2_000), "US-NY", 0.98)));
    assert_eq!(twin.priority(), Priority::High);
    let again = matcher.step(issued(read("ABC123", 3_000), "CA-ON", 0.98));
    assert!(matches!(again, Outcome::Quiet), "less urgent than what has alarmed");
}

#[test]
fn entry_of_the_read_state_comes_before_a_more_urgent_one_of_another() {
    let text = "plate,state,priority\nABC123,NY,high\nABC123,ON,low\n";
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", text)]);
    let hit = hit(matcher.step(issued(read("ABC123", 0), "CA-ON", 0.98)));
    assert_eq!((hit.entry().jurisdiction.as_str(), hit.priority()), ("CA-ON", Priority::Low));
    let other = &hit.others()[0];
    assert_eq!((other.jurisdictions, other.priority), (Agreement::Other, Priority::Low));
}

#[test]
fn twin_of_another_state_hides_no_look_alike_of_the_read_one() {
    let text = "plate,state,priority\n5SOW350,NY,high\n5SOW750,CA,high\n";
    let (mut matcher, _) = matcher(vec![list("stolen", "look_alike", text)]);
    let mut slots = slots("5SOW350", 0.97);
    slots[4] = doubtful(b'3', 0.92, b'7', 0.06);
    let hit = hit(matcher.step(issued(read_of(slots, 0), "US-CA", 0.98)));
    assert_eq!((hit.match_kind(), hit.priority()), (MatchKind::LookAlike, Priority::High));
    assert_eq!(hit.others()[0].jurisdictions, Agreement::Other);
}

#[test]
fn text_that_is_merely_alike_and_of_another_state_is_no_match() {
    let text = "plate,state\n5SOW750,NY\n";
    let (mut matcher, _) = matcher(vec![list("stolen", "look_alike", text)]);
    let mut slots = slots("5SOW350", 0.97);
    slots[4] = doubtful(b'3', 0.92, b'7', 0.06);
    let read = read_of(slots, 0);
    let outcome = matcher.step(issued(read.clone(), "US-CA", 0.98));
    assert!(matches!(outcome, Outcome::NoHit(_)));
    assert!(matches!(matcher.step(read), Outcome::Hits(_)), "not read, it may be");
}

#[rstest]
#[case::a_minute_later(60_000, false)]
#[case::after_the_time(301_000, true)]
fn car_that_is_met_again(#[case] ms: u64, #[case] alarms: bool) {
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", "CKSV841\n")]);
    hit(matcher.step(read("CKSV841", 0)));
    assert_eq!(matches!(matcher.step(read("CKSV841", ms)), Outcome::Hits(_)), alarms);
}

#[test]
fn exact_match_is_not_held_back_by_an_approximate_one() {
    let (mut matcher, _) = matcher(vec![list("stolen", "look_alike", "5SOW750\n")]);
    let mut doubtful_read = slots("5SOW350", 0.97);
    doubtful_read[4] = doubtful(b'3', 0.92, b'7', 0.06);
    assert_eq!(
        hit(matcher.step(read_of(doubtful_read.clone(), 0))).match_kind(),
        MatchKind::LookAlike
    );
    assert!(matches!(matcher.step(read_of(doubtful_read, 1_000)), Outcome::Quiet));
    assert_eq!(hit(matcher.step(read("5SOW750", 2_000))).match_kind(), MatchKind::Exact);
    assert!(matches!(matcher.step(read("5SOW750", 3_000)), Outcome::Quiet));
}

#[test]
fn new_entry_for_a_plate_that_has_just_alarmed_alarms() {
    let (mut matcher, service) = matcher(vec![list("stolen", "exact", "CKSV841\n")]);
    hit(matcher.step(read("CKSV841", 0)));
    service.put(list("missing", "exact", "CKSV841\n"));
    let again = hit(matcher.step(read("CKSV841", 5_000)));
    assert_eq!(again.others().len(), 1);
}

#[test]
fn list_replaced_mid_track_is_the_one_that_counts() {
    let (mut matcher, service) = matcher(vec![list("stolen", "exact", "CKSV841\n")]);
    service.put(list("stolen", "exact", "BMNT220\n"));
    assert!(matches!(matcher.step(read("CKSV841", 0)), Outcome::NoHit(_)));
    assert!(matches!(matcher.step(read("BMNT220", 0)), Outcome::Hits(_)));
}

#[test]
fn what_has_alarmed_is_bounded() {
    let text: String = (0..MOST_ALARMED + 100).map(|n| format!("ABC{n:05}\n")).collect();
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", &text)]);
    for n in 0..MOST_ALARMED + 100 {
        hit(matcher.step(read(&format!("ABC{n:05}"), n as u64)));
    }
    assert!(matcher.alarmed.entries.len() <= MOST_ALARMED);
    // The oldest are forgotten first.
    let last = MOST_ALARMED + 99;
    assert!(matches!(matcher.step(read(&format!("ABC{last:05}"), 9_000)), Outcome::Quiet));
}

fn govern(service: &Hotlists, rules: &str) {
    service.govern(&serde_json::from_str(rules).unwrap());
}

#[test]
fn partial_plate_of_a_list_that_policy_grants_wildcards() {
    let text = "plate,state,priority\nCKS*41,ON,high\nCKSV8?1,ON,low\n";
    let (mut matcher, service) = matcher(vec![list("amber", "wildcard", text)]);
    assert!(matches!(matcher.step(read("CKSV841", 0)), Outcome::NoHit(_)), "no policy, no grant");
    govern(&service, r#"{"named":{"amber":{"matching":"wildcard"}}}"#);
    let hit = hit(matcher.step(read("CKSV841", 1)));
    assert_eq!((hit.match_kind(), hit.differing()), (MatchKind::Wildcard, &[3, 4][..]));
    assert_eq!(hit.entry().plate.expose(), "CKS*41");
    assert_eq!(hit.others().len(), 1, "both patterns, one vehicle");
    assert!(matches!(matcher.step(read("CKSV842", 2)), Outcome::NoHit(_)));
}

#[test]
fn exact_entry_comes_before_a_pattern_and_a_pattern_before_a_look_alike() {
    let lists = vec![
        list("partial", "wildcard", "plate,priority\n5SOW?50,high\n"),
        list("whole", "look_alike", "plate,priority\n5SOW350,low\n5SOW750,high\n"),
    ];
    let (mut matcher, service) = matcher(lists);
    govern(&service, r#"{"every":{"matching":"wildcard"}}"#);
    let mut slots = slots("5SOW350", 0.97);
    slots[4] = doubtful(b'3', 0.92, b'7', 0.06);
    let hit = hit(matcher.step(read_of(slots, 0)));
    let kinds: Vec<_> = hit.others().iter().map(|m| m.kind).collect();
    assert_eq!((hit.match_kind(), &kinds[..]), (MatchKind::Exact, &[MatchKind::Wildcard][..]));
}

#[test]
fn covert_entry_makes_a_hit_of_its_own_and_the_other_says_nothing_of_it() {
    let (mut matcher, _) = matcher(vec![
        list("watch", "exact", "plate,covert,priority\nCKSV841,yes,high\nBMNT220,yes,high\n"),
        list("expired", "exact", "plate,priority\nCKSV841,low\n"),
    ]);
    let Outcome::Hits(hits) = matcher.step(read("CKSV841", 0)) else { panic!() };
    let seen: Vec<_> =
        hits.iter().map(|h| (h.covert(), &*h.list().name, h.others().len())).collect();
    assert_eq!(seen, [(false, "expired", 0), (true, "watch", 0)]);
    assert_ne!(hits[0].id(), hits[1].id());
    assert!(matches!(matcher.step(read("CKSV841", 1_000)), Outcome::Quiet));
    assert!(hit(matcher.step(read("BMNT220", 0))).covert());
}

#[test]
fn syntax_that_speaks_against_the_jurisdiction_is_said_and_drops_nothing() {
    let (mut matcher, _) = matcher(vec![list("stolen", "exact", "plate,state\nCKSV841,NY\n")]);
    let hit = hit(matcher.step(read("CKSV841", 0)));
    assert_eq!(hit.syntax(), Syntax::Incompatible);
    let (mut both, _) =
        self::matcher(vec![list("stolen", "exact", "plate,state\nCKSV841,NY\nCKSV841,ON\n")]);
    let hit = self::hit(both.step(read("CKSV841", 0)));
    assert_eq!((hit.entry().jurisdiction.as_str(), hit.syntax()), ("CA-ON", Syntax::Compatible));
    assert_eq!(hit.others()[0].syntax, Syntax::Incompatible);
}

#[test]
fn category_that_policy_does_not_allow_never_alarms() {
    let text = "plate,category\nCKSV841,expired_registration\nBMNT220,stolen_vehicle\n";
    let (mut matcher, service) = matcher(vec![list("mixed", "exact", text)]);
    govern(&service, r#"{"categories":["stolen_vehicle"]}"#);
    assert!(matches!(matcher.step(read("CKSV841", 0)), Outcome::NoHit(_)));
    assert!(matches!(matcher.step(read("BMNT220", 0)), Outcome::Hits(_)));
}

#[test]
fn stale_list_says_so_or_stops_as_policy_wants() {
    let (mut matcher, service) = matcher(vec![list("stolen", "exact", "CKSV841\n")]);
    let day = 86_400_000;
    assert!(!hit(matcher.step(read("CKSV841", day))).stale());
    assert!(hit(matcher.step(read("CKSV841", 3 * day))).stale());
    govern(&service, r#"{"every":{"past_red":"stop"}}"#);
    assert!(matches!(matcher.step(read("CKSV841", 4 * day)), Outcome::NoHit(_)));
}

proptest! {
    /// Compared with every listed plate one by one: which of them the slots consider possible, and
    /// whether the likeliest of those is the one in the hit.
    #[test]
    fn against_brute_force(
        listed in prop::collection::btree_set("[A-C]{4}", 1..30),
        weights in prop::collection::vec(prop::array::uniform3(0.001..1.0_f32), 4),
    ) {
        let text: String = listed.iter().map(|p| format!("{p}\n")).collect();
        let (mut matcher, _) = matcher(vec![list("stolen", "look_alike", &text)]);
        let slots: Slots = weights
            .iter()
            .map(|w| {
                let mut slot = crate::onboard::vision::candidate::Slot([0.0; 36]);
                let sum: f32 = w.iter().sum();
                for (c, w) in (10..).zip(w) {
                    slot.0[c] = w / sum;
                }
                slot
            })
            .collect();
        let ratio = |plate: &str| -> f32 {
            plate
                .bytes()
                .zip(&slots)
                .map(|(c, slot)| slot.0[usize::from(c - b'A') + 10] / slot.best().1.get())
                .product()
        };
        let read = read_of(slots.clone(), 0);
        let own = read.plate.expose().to_owned();
        match matcher.step(read) {
            Outcome::Hits(hits) => {
                let hit = &hits[0];
                let told = hit.entry().plate.expose().to_owned();
                if listed.contains(&own) {
                    prop_assert_eq!(&told, &own);
                    prop_assert_eq!(hit.match_kind(), MatchKind::Exact);
                } else {
                    let best = listed.iter().map(|p| ratio(p)).fold(0.0, f32::max);
                    prop_assert!(ratio(&told) >= best * 0.9999);
                    prop_assert_eq!(hit.match_kind(), MatchKind::LookAlike);
                    let all: BTreeSet<_> = std::iter::once(told)
                        .chain(hit.others().iter().map(|m| m.entry.plate.expose().to_owned()))
                        .collect();
                    prop_assert_eq!(all.len(), hit.others().len() + 1);
                }
            }
            Outcome::NoHit(_) => {
                for plate in &listed {
                    prop_assert!(*plate != own);
                    // 64 texts are tried: of 81 the unlikeliest may be left out.
                    prop_assert!(ratio(plate) < LEAST_RATIO * 1.001 || weights.len() == 4 && rank(&slots, ratio(plate)) >= MOST_TEXTS);
                }
            }
            Outcome::Quiet => prop_assert!(false),
        }
    }
}

/// How many texts over A, B and C are likelier than this.
fn rank(slots: &Slots, ratio: f32) -> usize {
    let mut all = vec![1.0_f32];
    for slot in slots {
        let best = slot.best().1.get();
        all = all.iter().flat_map(|p| (10..13).map(move |c| p * slot.0[c] / best)).collect();
    }
    all.iter().filter(|p| **p >= ratio * 0.999).count()
}

/// A hit names eight entries; a plate on nine lists used to raise an alert with each read, for the
/// ninth.
#[rstest]
#[case(8)]
#[case(9)]
#[case(40)]
fn plate_on_many_lists_alarms_once(#[case] lists: usize) {
    let lists = (0..lists).map(|n| list(&format!("list{n}"), "exact", "CKSV841\n")).collect();
    let (mut matcher, _) = matcher(lists);
    let told: Vec<_> = (0..60)
        .filter_map(|n| match matcher.step(read("CKSV841", n * 1_000)) {
            Outcome::Hits(hits) => Some((n, hits.len(), hits[0].others().len())),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(0, 1, 7)]);
}

#[test]
fn car_stolen_in_the_future_of_a_clock_that_nobody_vouches_for_alarms_and_the_hit_says_so() {
    use crate::clock::{SimulatedClock, TimeSource};
    // The list's source and the machine's clock are three days before the entry is in force.
    let from = at_ms(0).wall + jiff::SignedDuration::from_hours(72);
    let over = at_ms(0).wall - jiff::SignedDuration::from_hours(1);
    let text = format!("plate,effective,expires\nCKSV841,{from},\nBMNT220,,{over}\n");
    for (source, alarms) in [
        (TimeSource::Unverified, true),
        (TimeSource::Rtc, true),
        (TimeSource::Ntp, false),
        (TimeSource::Gps, false),
    ] {
        let clock = Arc::new(SimulatedClock::starting_at(at_ms(0).wall));
        clock.set_source(source);
        let (matcher, _service) = matcher(vec![list("stolen", "exact", &text)]);
        let mut matcher = matcher.with_clock(clock);
        let outcome = matcher.step(read("CKSV841", 0));
        assert_eq!(matches!(outcome, Outcome::Hits(_)), alarms, "{source:?}");
        if let Outcome::Hits(hits) = outcome {
            assert_eq!(hits[0].clock().source, source);
        }
        let outcome = matcher.step(read("BMNT220", 10));
        assert!(matches!(outcome, Outcome::NoHit(_)), "over before its list was made, {source:?}");
    }
}
