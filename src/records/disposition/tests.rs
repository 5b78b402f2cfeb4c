//! Every step through the one judge: what is refused, recorded, sent and counted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use jiff::SignedDuration;

use super::word::WORDS;
use super::*;
use crate::clock::SimulatedClock;
use crate::config::KeepingConfig;
use crate::counters::Counters;
use crate::hits::testing_hit;

/// A judge over records of its own, and what it tells whoever shows hits.
struct Bench {
    judge: Judge,
    outbox: Outbox,
    audit: Audit,
    keeping: KeepingConfig,
    now: Timestamp,
    heard: Receiver<(String, Told)>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(verify: VerifyRules) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let clock = Arc::new(SimulatedClock::starting_at(now));
        let keeping =
            KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let (told, heard) = channel();
        let told = Mutex::new(told);
        let tell: Tell = Box::new(move |hit, now| {
            let _ = told.lock().unwrap().send((hit.to_owned(), now.clone()));
        });
        let doors = (Box::new(move || verify) as Verify, tell);
        let judge = Judge::new(outbox.clone(), audit.clone(), vehicle, clock, doors);
        Self { judge, outbox, audit, keeping, now, heard, _dir: dir }
    }

    fn hit(&self, n: u32) -> Ulid {
        let hit = testing_hit(n);
        self.outbox.record(&hit).unwrap();
        hit.id()
    }

    fn say(&self, request: &Request) -> Result<Told, DispositionError> {
        self.judge.decide(&SignedIn::for_tests("1234", Who::Officer), request)
    }
}

/// A word that brings along all that it may ask for.
fn whole(hit: Ulid, word: Word) -> Request {
    let dispatch = Dispatch { operator: "27".into(), at: None };
    Request {
        hit: hit.to_string(),
        word,
        officer: String::new(),
        role: None,
        compared: Compared { characters: true, jurisdiction: true },
        why: (word == Word::TakenBack).then_some(TakenBackWhy::LookedAgain),
        dispatch: word.is_dispatchs().then_some(dispatch),
    }
}

#[test]
fn sight_comes_before_dispatch_and_every_step_is_recorded_sent_and_counted() {
    let bench = Bench::new(VerifyRules::default());
    let hit = bench.hit(1);
    let say = |word| bench.say(&whole(hit, word));
    let auditor = SignedIn::for_tests("9", Who::Auditor);
    let not_theirs = bench.judge.decide(&auditor, &whole(hit, Word::Misread));
    assert!(matches!(not_theirs, Err(DispositionError::NotAllowed("auditors"))));
    assert!(matches!(say(Word::DispatchConfirmed), Err(DispositionError::SightFirst(_))));
    assert!(matches!(say(Word::Arrest), Err(DispositionError::Unseen(_))));
    for (characters, jurisdiction) in [(false, false), (true, false), (false, true)] {
        let compared = Compared { characters, jurisdiction };
        let half = bench.say(&Request { compared, ..whole(hit, Word::Confirmed) });
        assert!(matches!(half, Err(DispositionError::CompareBoth(_))));
    }
    let by_sight = say(Word::Confirmed).unwrap();
    assert!(by_sight.status.starts_with("CONFIRMED BY SIGHT: have dispatch"), "{by_sight:?}");
    assert!(!by_sight.grounds);
    assert!(matches!(say(Word::Confirmed), Err(DispositionError::Already { .. })));
    let active = say(Word::DispatchConfirmed).unwrap();
    assert_eq!(active.status, "CONFIRMED ACTIVE BY DISPATCH: grounds to act as listed");
    assert_eq!((active.grounds, active.operator.as_deref()), (true, Some("27")));
    assert_eq!(bench.heard.try_iter().last(), Some((hit.to_string(), active)));
    let arrested = say(Word::Arrest).unwrap();
    assert_eq!(arrested.operator.as_deref(), Some("27"), "dispatch's word still stands");
    assert!(matches!(say(Word::Arrest), Err(DispositionError::Already { .. })));
    let steps = bench.outbox.dispositions(hit).unwrap();
    let standing = Standing::of(&steps);
    assert_eq!((standing.is, standing.came), (Some(Word::DispatchConfirmed), Some(Word::Arrest)));
    let said = DispatchReport { operator: "27".into(), at: bench.now };
    assert_eq!(steps[1].dispatch, Some(said));
    assert_eq!(bench.outbox.queue().unwrap().dispositions, 3);
    let counters = Counters::open(&bench.keeping).unwrap();
    counters.count(&bench.audit).unwrap();
    let day = "2026-11-23".parse().unwrap();
    let car = counters.days(day, day).unwrap().remove(0).car;
    assert_eq!((car["disposition/dispatch_confirmed"], car["outcome/arrest"]), (1, 1));
    assert!(!car.contains_key("disposition/confirmed"), "moved on");
    bench.audit.verify(None).unwrap();
}

#[test]
fn dispatch_is_an_operator_and_a_time_and_neither_may_be_anything_else() {
    let bench = Bench::new(VerifyRules::default());
    let hit = bench.hit(1);
    bench.say(&whole(hit, Word::Confirmed)).unwrap();
    let by = |operator: &str, at| Some(Dispatch { operator: operator.into(), at });
    let active = |dispatch| bench.say(&Request { dispatch, ..whole(hit, Word::DispatchConfirmed) });
    for none in [None, by("", None), by("CKSV841", None), by("123456789", None), by("2 7", None)] {
        assert!(matches!(active(none), Err(DispositionError::OperatorFirst(_))));
    }
    let seen = Timestamp::from_millisecond(i64::try_from(hit.timestamp_ms()).unwrap()).unwrap();
    for never in [seen - SignedDuration::from_secs(2), bench.now + SignedDuration::from_secs(1)] {
        assert!(matches!(active(by("27", Some(never))), Err(DispositionError::NotThen(_))));
    }
    let misread = Request { dispatch: by("27", None), ..whole(hit, Word::Misread) };
    assert!(matches!(bench.say(&misread), Err(DispositionError::NotDispatchs { .. })));
    assert_eq!(bench.outbox.dispositions(hit).unwrap().len(), 1);
    let at = bench.now - SignedDuration::from_secs(1);
    let not_active = Request { dispatch: by("027", Some(at)), ..whole(hit, Word::NotActive) };
    let told = bench.say(&not_active).unwrap();
    assert!(told.rejected && !told.grounds, "{told:?}");
    let log = bench.audit.recent(9).unwrap();
    let Some(AuditEvent::Disposition { new, operator, .. }) = log.last().map(|r| &r.event) else {
        panic!("{log:?}")
    };
    assert_eq!((new.as_str(), operator.as_deref()), ("not_active", Some("027")));
    // Where that is taken back, no operator stands behind what is left.
    assert_eq!(bench.say(&whole(hit, Word::TakenBack)).unwrap().operator, None);
    let log = bench.audit.recent(9).unwrap();
    let Some(AuditEvent::Disposition { why, .. }) = log.last().map(|r| &r.event) else {
        panic!("{log:?}")
    };
    assert_eq!(why.as_deref(), Some("looked_again"));
}

#[test]
fn policy_says_whether_sight_alone_is_grounds() {
    let bench = Bench::new(VerifyRules { dispatch: Some(false), ..VerifyRules::default() });
    let hit = bench.hit(1);
    assert!(!bench.judge.stands(hit).unwrap().grounds);
    let by_sight = bench.say(&whole(hit, Word::Confirmed)).unwrap();
    assert_eq!(by_sight.status, "CONFIRMED BY SIGHT: grounds to act as listed");
    assert!(by_sight.grounds);
    let rejected = bench.say(&whole(hit, Word::Misread)).unwrap();
    assert!(!rejected.grounds && !rejected.status.contains("grounds"), "{rejected:?}");
}

#[test]
fn rejected_hit_is_confirmed_only_after_that_is_taken_back_with_a_reason() {
    let bench = Bench::new(VerifyRules::default());
    for (n, word) in WORDS.into_iter().filter(|word| word.rejects()).enumerate() {
        let hit = bench.hit(u32::try_from(n).unwrap());
        let say = |word| bench.say(&whole(hit, word));
        assert!(matches!(say(Word::TakenBack), Err(DispositionError::NothingSaid(_))));
        let rejected = say(word).unwrap();
        assert!(rejected.rejected && !rejected.next.contains(&Word::Confirmed), "{rejected:?}");
        assert!(matches!(say(Word::Confirmed), Err(DispositionError::Rejected { .. })));
        assert!(matches!(say(Word::DispatchConfirmed), Err(DispositionError::Rejected { .. })));
        let unexplained = Request { why: None, ..whole(hit, Word::TakenBack) };
        assert!(matches!(bench.say(&unexplained), Err(DispositionError::WhyFirst(_))));
        let back = say(Word::TakenBack).unwrap();
        assert_eq!((back.is, back.rejected), (None, false));
        assert!(say(Word::Confirmed).is_ok());
        let steps = bench.outbox.dispositions(hit).unwrap();
        assert_eq!(steps[1].why, Some(TakenBackWhy::LookedAgain));
        assert_eq!(Told::of(&steps, VerifyRules::default()).is, Some(Word::Confirmed));
    }
}
