//! What supervisors and auditors see, that it adds up, and what is on record of it.

use super::*;
use crate::clock::SystemClock;
use crate::config::KeepingConfig;
use crate::grounds::Reason;
use crate::hits::{testing_covert_hit, testing_hit};
use crate::policy::{Permission, Rules, VerifyRules, Who};
use crate::records::disposition::{Compared, Dispatch, Judge, Request, Tell, Verify, Word};
use crate::wire::TakenBackWhy;

struct Bench {
    review: Review,
    judge: Judge,
    _dir: tempfile::TempDir,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let keeping = KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let clock = Arc::new(SystemClock);
    let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
    let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
    let counters = Counters::open(&keeping).unwrap();
    let doors: (Verify, Tell) = (Box::new(VerifyRules::default), Box::new(|_, _| {}));
    let judge = Judge::new(outbox.clone(), audit.clone(), vehicle.clone(), clock.clone(), doors);
    let permissions: Permissions = Arc::new(|who| Rules::default().roles.of(who));
    let review = Review { audit, outbox, counters: Some(counters), permissions, vehicle, clock };
    Bench { review, judge, _dir: dir }
}

impl Bench {
    /// A hit, recorded as the daemon does, and what is said of it.
    fn hit(&self, n: u32, said: &[Word]) {
        let hit = if n == COVERT { testing_covert_hit(n) } else { testing_hit(n) };
        self.review.outbox.record(&hit).unwrap();
        let event = AuditEvent::HitRecorded {
            hit: hit.id(),
            camera: "front".into(),
            list: "cpic".into(),
            list_version: "7".into(),
            list_age_s: 60,
            category: "stolen_vehicle".into(),
            exact: true,
            covert: n == COVERT,
        };
        self.review.audit.note(crate::audit::Actor::System, event);
        for word in said {
            let by_dispatch = matches!(word, Word::DispatchConfirmed | Word::NotActive);
            let request = Request {
                hit: hit.id().to_string(),
                word: *word,
                officer: String::new(),
                role: None,
                compared: Compared { characters: true, jurisdiction: true },
                why: (*word == Word::TakenBack).then_some(TakenBackWhy::LookedAgain),
                dispatch: by_dispatch.then(|| Dispatch { operator: "27".into(), at: None }),
            };
            self.judge.decide(&SignedIn::for_tests("1234", Who::Officer), &request).unwrap();
        }
    }

    fn last(&self) -> AuditEvent {
        self.review.audit.recent(1).unwrap().pop().unwrap().event
    }
}

const COVERT: u32 = 99;

fn supervisor() -> SignedIn {
    SignedIn::for_tests("7", Who::Supervisor)
}

/// One hit for each standing that there is, and a covert one.
fn one_of_each() -> Bench {
    let bench = bench();
    let said: [&[Word]; 9] = [
        &[],
        &[Word::Confirmed],
        &[Word::Confirmed, Word::DispatchConfirmed, Word::Arrest],
        &[Word::Confirmed, Word::NotActive],
        &[Word::Misread],
        &[Word::WrongJurisdiction],
        &[Word::Stale],
        &[Word::Dismissed],
        &[Word::Misread, Word::TakenBack],
    ];
    for (n, words) in said.into_iter().enumerate() {
        bench.hit(u32::try_from(n).unwrap(), words);
    }
    bench.hit(COVERT, &[]);
    bench
}

#[test]
fn every_hit_is_in_exactly_one_standing_and_figures_agree_with_the_log() {
    let bench = one_of_each();
    let found = bench.review.hits(&supervisor(), &HitsFilter::default()).unwrap();
    assert_eq!(found.total, 9, "nothing is told of the covert one");
    assert_eq!(found.standings.values().sum::<u64>(), found.total);
    assert_eq!((found.standings["unreviewed"], found.standings["not_active"]), (2, 1));
    // Two were never compared, and one was dismissed.
    assert_eq!(found.misreads.says, "1 of 6");
    assert_eq!(found.outcomes["arrest"], 1);
    assert_eq!(found.lists.iter().map(|one| one.hits).sum::<u64>(), 9);
    let AuditEvent::RecordsViewed { what, filter, results } = bench.last() else { panic!() };
    assert_eq!((what.as_str(), filter.as_str(), results), ("hits", "", 9));
    let day = |date: &str| date.parse().unwrap();
    let who = supervisor();
    let figures = bench.review.figures(&who, day("2026-11-01"), day("2026-11-30")).unwrap();
    let total = &figures.report.total;
    assert_eq!(total.hotplate_hits, 9);
    assert_eq!(total.dispositions.values().sum::<u64>(), 9, "{:?}", total.dispositions);
    for (word, n) in &found.standings {
        assert_eq!(total.dispositions.get(*word).copied().unwrap_or(0), *n, "{word}");
    }
    assert_eq!(figures.misreads, found.misreads);
}

#[test]
fn filters_narrow_and_what_is_not_known_is_not_written_down() {
    let bench = one_of_each();
    let filter = HitsFilter { standing: Some("misread".into()), ..HitsFilter::default() };
    let found = bench.review.hits(&supervisor(), &filter).unwrap();
    assert_eq!((found.total, found.rows[0].standing), (1, "misread"));
    assert_eq!(found.choices.categories.len(), 1);
    let AuditEvent::RecordsViewed { filter, .. } = bench.last() else { panic!() };
    assert_eq!(filter, "standing misread");
    let typed = HitsFilter { category: Some("CKSV841".into()), ..HitsFilter::default() };
    assert_eq!(bench.review.hits(&supervisor(), &typed).unwrap().total, 0);
    let AuditEvent::RecordsViewed { filter, .. } = bench.last() else { panic!() };
    assert_eq!(filter, "category that no record has");
    let later = Span { from: Some("2026-11-23T08:00:00Z".parse().unwrap()), to: None };
    let filter = HitsFilter { seen: later, ..HitsFilter::default() };
    assert_eq!(bench.review.hits(&supervisor(), &filter).unwrap().total, 0);
}

#[test]
fn officers_and_maintainers_are_refused_and_nothing_is_given_without_a_record() {
    let bench = one_of_each();
    for role in [Who::Officer, Who::Maintainer] {
        let who = SignedIn::for_tests("1234", role);
        let refused = bench.review.hits(&who, &HitsFilter::default()).unwrap_err().to_string();
        assert!(refused.contains("a supervisor or an auditor does"), "{refused}");
        assert!(bench.review.chain(&who).is_err());
        assert!(bench.review.log(&who, &LogFilter::default()).is_err());
        assert!(bench.review.look_ups(&who, &LookUpsFilter::default()).is_err());
        let day = "2026-11-23".parse().unwrap();
        assert!(bench.review.figures(&who, day, day).is_err());
    }
    bench.review.audit.fill_disk_for_tests(true);
    // What is still free in the last pages takes a few records more.
    let unrecorded = (0..200)
        .find_map(|_| bench.review.hits(&supervisor(), &HitsFilter::default()).err())
        .expect("the disk fills");
    assert!(matches!(unrecorded, ReviewError::Unaudited(_)), "{unrecorded}");
}

#[test]
fn log_is_told_newest_first_without_what_would_tell_of_covert_hits_and_the_chain_is_checked() {
    let bench = one_of_each();
    let stopped = AuditEvent::Stopped { hits: 10, recorded: 10, delivered: 10 };
    bench.review.audit.note(crate::audit::Actor::System, stopped);
    let look_up = AuditEvent::LookUp {
        target: "5f0c".into(),
        reason: "hit_and_run".into(),
        case: "26-00417".into(),
        scope: "since yesterday".into(),
        results: 2,
    };
    bench.review.audit.note(supervisor().actor(), look_up);
    let log = bench.review.log(&supervisor(), &LogFilter::default()).unwrap();
    assert!(log.rows.windows(2).all(|pair| pair[0].record > pair[1].record));
    let told = serde_json::to_string(&log).unwrap();
    assert!(!told.contains("hit_recorded") && !told.contains("HIT00"), "{told}");
    let stopped = log.rows.iter().find(|row| row.kind == "stopped").unwrap();
    assert!(stopped.facts.is_empty(), "{stopped:?}");
    let filter = LogFilter { kind: Some("outcome".into()), ..LogFilter::default() };
    let outcomes = bench.review.log(&supervisor(), &filter).unwrap();
    assert_eq!((outcomes.rows.len(), outcomes.more), (1, false));
    let by = LogFilter { role: Some("officer".into()), ..LogFilter::default() };
    let by = bench.review.log(&supervisor(), &by).unwrap();
    assert!(by.rows.iter().all(|row| row.who == "officer 1234"), "{by:?}");
    let found = bench.review.look_ups(&supervisor(), &LookUpsFilter::default()).unwrap();
    assert_eq!((found.total, found.reasons["hit_and_run"], found.refused), (1, 1, 0));
    assert_eq!(found.rows[0].case, "26-00417");
    let before = bench.review.audit.outline().unwrap().last;
    let chain = bench.review.chain(&SignedIn::for_tests("55", Who::Auditor)).unwrap();
    assert!(chain.holds && chain.from == 1 && chain.to == before, "{chain:?}");
    assert!(chain.sealed <= chain.to && chain.keys.len() == 1);
    let AuditEvent::RecordsViewed { what, filter, .. } = bench.last() else { panic!() };
    assert_eq!((what.as_str(), filter.as_str()), ("chain", "holds"));
}

#[test]
fn export_takes_a_reason_and_a_case_and_is_on_record_with_its_digest() {
    let bench = one_of_each();
    let wanted = |reason: &str, case: &str, format| Wanted {
        what: export::What::Hits(HitsFilter::default()),
        format,
        reason: reason.into(),
        case: case.into(),
    };
    let take = |wanted: &Wanted| bench.review.export(&supervisor(), wanted);
    let csv = export::Format::Csv;
    assert!(matches!(take(&wanted("curious", "26-00417", csv)), Err(ReviewError::Vague(_))));
    assert!(matches!(take(&wanted("complaint", "test", csv)), Err(ReviewError::Vague(_))));
    let file = take(&wanted("complaint", "26-00417", csv)).unwrap();
    assert_eq!(file.text.lines().count(), 10, "{}", file.text);
    assert!(file.text.starts_with("hit,seen,camera,list,category,priority,match,read,listed"));
    assert!(!file.name.contains("HIT") && file.name.starts_with("outrider-4127-hits-"));
    let AuditEvent::RecordsExported { what, format, reason, case, results, sha256, .. } =
        bench.last()
    else {
        panic!()
    };
    assert_eq!((what.as_str(), format.as_str(), results), ("hits", "csv", 9));
    assert_eq!((reason.as_str(), case.as_str()), ("complaint", "26-00417"));
    assert_eq!(sha256, file.sha256);
    let (from, to) = ("2026-11-01".parse().unwrap(), "2026-11-30".parse().unwrap());
    let figures = export::What::Figures { from, to };
    let wanted = Wanted { what: figures, ..wanted("disclosure", "26-00417", csv) };
    let file = take(&wanted).unwrap();
    assert!(file.text.contains("2026-11,dispositions,not_active,1"), "{}", file.text);
    let json = Wanted { format: export::Format::Json, ..wanted };
    let parsed: serde_json::Value = serde_json::from_str(&take(&json).unwrap().text).unwrap();
    assert_eq!(parsed["total"]["hotplate_hits"], 9);
}

#[test]
fn who_may_not_export_evidence_exports_no_records() {
    let mut bench = one_of_each();
    bench.review.permissions = Arc::new(|_| [Permission::LookUp].into());
    let wanted = Wanted {
        what: export::What::LookUps(LookUpsFilter::default()),
        format: export::Format::Csv,
        reason: "complaint".into(),
        case: "26-00417".into(),
    };
    let refused = bench.review.export(&supervisor(), &wanted).unwrap_err().to_string();
    assert!(refused.contains("export_evidence"), "{refused}");
    assert_eq!(Reason::ALL.len(), 11, "the page offers each");
}
