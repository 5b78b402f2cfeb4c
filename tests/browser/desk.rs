//! What comes after sight on the alert page, and the supervisor's and auditor's page.

use serde_json::Value;

use super::eye::{LOOKS, SCREENS, screen_of, wrong};
use super::*;
use outrider::audit::{Actor, AuditEvent};
use outrider::hits::testing_covert_hit;
use outrider::policy::VerifyRules;

/// Opens the alert page of a car that stands, as somebody.
pub(super) fn opened(browser: &Browser, car: &Car, number: &str) {
    car.parked.store(true, Ordering::Relaxed);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    browser.until("status.position.speed_mps < 1");
    browser.ask("document.getElementById('who').click()");
    browser.until("!document.getElementById('sign-in').hidden");
    super::entering::sign_in(browser, number);
    browser.until("session.who");
    if browser.ask("return Boolean(session.who.begin)") == true {
        super::entering::begin_shift(browser);
    }
}

/// Presses a move once the press counts.
pub(super) fn press(browser: &Browser, what: &str) {
    browser.until(&format!("document.querySelector('[data-move={what}]')"));
    std::thread::sleep(Duration::from_millis(700));
    browser.ask(&format!("document.querySelector('[data-move={what}]').click()"));
}

pub(super) fn stands(browser: &Browser, words: &str) {
    browser.until(&format!("document.getElementById('standing').innerText.includes('{words}')"));
}

/// A hit of the records, on the page.
pub(super) fn raised(car: &Car, n: u32, priority: Priority) -> String {
    let hit = testing_hit(n);
    car.outbox.record(&hit).unwrap();
    let id = hit.id().to_string();
    car.board.show(&card(&id, "CKSV841", "CKSV841", priority), jpeg());
    id
}

/// An officer opens the page on a high hit and presses that characters and jurisdiction match. Returns the hit.
fn confirm_by_sight(browser: &Browser, car: &Car) -> String {
    browser.size(1024, 600);
    opened(browser, car, "1234");
    let id = raised(car, 1, Priority::High);
    browser.until(&format!("document.getElementById('card').dataset.hit === '{id}'"));
    press(browser, "characters");
    press(browser, "jurisdiction");
    id
}

fn audited(car: &Car) -> Vec<AuditEvent> {
    car.audit.recent(200).unwrap().into_iter().map(|record| record.event).collect()
}

#[test]
fn hit_goes_from_sight_over_dispatch_to_an_outcome_and_every_page_shows_each_step() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    browser.size(1280, 800);
    opened(&browser, &car, "1234");
    let id = raised(&car, 1, Priority::High);
    browser.until(&format!("document.getElementById('card').dataset.hit === '{id}'"));
    // Nobody copies a plate that nobody has compared, nor says what came of it.
    for early in ["copy", "outcome", "dispatch_confirmed", "taken_back"] {
        let there =
            browser.ask(&format!("return Boolean(document.querySelector('[data-move={early}]'))"));
        assert_eq!(there, false, "{early}");
    }
    let selectable = "return getComputedStyle(document.querySelector('#read span')).userSelect";
    assert_eq!(browser.ask(selectable), "none");
    let to_do = "return document.getElementById('action').textContent.split(':')[0]";
    assert_eq!(browser.ask(to_do), "CONFIRM FIRST, THEN");
    press(&browser, "characters");
    press(&browser, "jurisdiction");
    stands(&browser, "CONFIRMED BY SIGHT");
    assert!(!browser.text("standing").contains("grounds"), "{}", browser.text("standing"));
    assert_eq!(browser.ask(to_do), "DISPATCH FIRST, THEN");
    assert_eq!(browser.ask(selectable), "auto");
    browser.keep_picture("by-sight-dark-1280x800");
    browser.ask(
        "window.copied = null; navigator.clipboard.writeText = async (t) => { window.copied = t; }",
    );
    press(&browser, "copy");
    browser.until("window.copied === 'CKSV841'");
    // Dispatch has an operator; a number that is none is refused by the daemon, in words.
    press(&browser, "dispatch_confirmed");
    browser.until("!document.getElementById('dispatch').hidden");
    let what = browser.text("dispatch-what");
    assert!(what.contains("CKSV841") && what.contains("Ontario"), "{what}");
    browser.keep_picture("dispatch-dark-1280x800");
    let digits = |text: &str| {
        for digit in text.chars() {
            browser.ask(&format!(
                "[...document.querySelectorAll('#dispatch-pad button')].find((b) => b.textContent === '{digit}').click()"
            ));
        }
    };
    digits("270⌫");
    browser.ask("document.getElementById('dispatch-form').elements.ago.value = '10'");
    let submit = "document.getElementById('dispatch-form').requestSubmit()";
    browser.ask(submit);
    stands(&browser, "CONFIRMED ACTIVE BY DISPATCH");
    assert!(
        browser.text("standing").contains("operator 27 · 1234"),
        "{}",
        browser.text("standing")
    );
    assert!(browser.text("standing").contains("grounds to act as listed"));
    assert_eq!(browser.ask(to_do), "DO");
    let steps = car.outbox.dispositions(testing_hit(1).id()).unwrap();
    let said = steps[1].dispatch.clone().unwrap();
    let ago = steps[1].at.duration_since(said.at).as_secs();
    assert!(said.operator == "27" && (595..=605).contains(&ago), "{said:?}");
    // What came of it; another page, opened on a second line, hears each step within a second.
    let heard = page::Heard::default();
    page::listen(&car.page, &heard);
    press(&browser, "outcome");
    browser.keep_picture("outcomes-dark-1280x800");
    let start = Instant::now();
    press(&browser, "citation");
    let pressed = Instant::now();
    stands(&browser, "CITATION");
    while !String::from_utf8_lossy(&heard.lock().unwrap()).contains("\"came\":\"citation\"") {
        assert!(pressed.elapsed() < Duration::from_secs(1), "the other page has not heard");
        std::thread::sleep(Duration::from_millis(10));
    }
    eprintln!(
        "outcome on both pages {:?} after the press",
        start.elapsed() - Duration::from_millis(700)
    );
    browser.keep_picture("outcome-dark-1280x800");
    press(&browser, "taken_back");
    press(&browser, "looked_again");
    stands(&browser, "UNVERIFIED");
    let events = audited(&car);
    let operator = events.iter().any(|event| matches!(event,
        AuditEvent::Disposition { new, operator: Some(o), .. } if new == "dispatch_confirmed" && o == "27"));
    let why = events.iter().any(|event| matches!(event,
        AuditEvent::Disposition { new, why: Some(w), .. } if new == "unverified" && w == "looked_again"));
    let outcome = events.iter().any(|event| {
        matches!(event,
        AuditEvent::Outcome { new, .. } if new == "citation")
    });
    assert!(operator && why && outcome, "{events:?}");
}

#[test]
fn policy_without_dispatch_makes_sight_grounds_at_once_on_the_page_too() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    confirm_by_sight(&browser, &car);
    stands(&browser, "have dispatch confirm");
    let verify = VerifyRules { dispatch: Some(false), ..VerifyRules::default() };
    *car.rules.lock().unwrap() = Arc::new(Rules { users: users(), verify, ..Rules::default() });
    car.board.stand_anew(&car.judge);
    let took = browser.until(
        "document.getElementById('standing').innerText.includes('grounds to act as listed')",
    );
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(
        browser.ask("return document.getElementById('action').textContent.split(':')[0]"),
        "DO"
    );
    browser.keep_picture("by-sight-alone-dark-1024x600");
}

#[test]
fn operator_is_typed_in_a_car_that_stands_and_chosen_in_one_that_moves() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    let id = confirm_by_sight(&browser, &car);
    stands(&browser, "CONFIRMED BY SIGHT");
    car.parked.store(false, Ordering::Relaxed);
    browser.until("status.position.speed_mps > 8");
    press(&browser, "dispatch_confirmed");
    browser.until("document.getElementById('entry-says').textContent.includes('above 8 km/h')");
    assert_eq!(browser.ask("return document.getElementById('dispatch').hidden"), true);
    browser.ask("operators = ['27']");
    press(&browser, "dispatch_confirmed");
    browser.keep_picture("operator-while-driving-dark-1024x600");
    press(&browser, "operator-27");
    stands(&browser, "operator 27");
    // A hit comes in front of the form for dispatch, and gives it back.
    car.parked.store(true, Ordering::Relaxed);
    browser.until("status.position.speed_mps < 1");
    press(&browser, "not_active");
    browser.until("!document.getElementById('dispatch').hidden");
    browser.ask("document.getElementById('dispatch-form').elements.operator.value = '3'");
    let second = raised(&car, 2, Priority::High);
    browser.until(&format!("document.getElementById('card').dataset.hit === '{second}' && !document.getElementById('card').hidden"));
    browser.press("Escape");
    browser.until("!document.getElementById('dispatch').hidden");
    assert_eq!(
        browser.ask("return document.getElementById('dispatch-form').elements.operator.value"),
        "3"
    );
    assert_eq!(browser.ask("return about.hit"), Value::from(id));
}

#[test]
fn further_moves_fit_every_screen_in_every_look() {
    let Some(browser) = Browser::start() else { return };
    let mut bad = Vec::new();
    for size in SCREENS {
        let car = Car::start_on(screen_of(size.0));
        browser.size(size.0, size.1);
        opened(&browser, &car, "1234");
        let id = raised(&car, 1, Priority::High);
        browser.until(&format!("document.getElementById('card').dataset.hit === '{id}'"));
        browser.until("document.getElementById('picture').naturalWidth === 118");
        let mut look_at = |what: &str| {
            browser.ask("document.getElementById('card').classList.remove('fresh')");
            for look in LOOKS {
                browser.ask(&format!("look('{look}')"));
                let name = format!("{what}-{look}-{}x{}", size.0, size.1);
                bad.extend(wrong(&browser, size, look, &name));
                browser.keep_picture(&name);
            }
        };
        press(&browser, "characters");
        press(&browser, "jurisdiction");
        stands(&browser, "CONFIRMED BY SIGHT");
        look_at("sight");
        press(&browser, "dispatch_confirmed");
        browser.until("!document.getElementById('dispatch').hidden");
        look_at("operator");
        browser.ask("document.getElementById('dispatch-form').elements.operator.value = '27'; document.getElementById('dispatch-form').requestSubmit()");
        stands(&browser, "CONFIRMED ACTIVE BY DISPATCH");
        look_at("active");
        press(&browser, "outcome");
        look_at("outcomes");
        press(&browser, "no_action");
        stands(&browser, "NO ACTION");
        look_at("came");
    }
    assert!(bad.is_empty(), "{} things are wrong:\n{}", bad.len(), bad.join("\n"));
}

/// Hits in every standing, look-ups, reads of two months: what a supervisor finds.
fn worked(car: &Car) {
    let officer = page::sign_in(&car.page, "1234", PIN);
    let judge = |hit: &str, word: &str, more: &str| {
        let json = format!(r#"{{"hit":"{hit}","word":"{word}"{more}}}"#);
        let answer = page::send(&car.page, &officer, "/hits/judge", &json);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    let both = r#","compared":{"characters":true,"jurisdiction":true}"#;
    let operator = r#","dispatch":{"operator":"27"}"#;
    let said: [&[(&str, &str)]; 9] = [
        &[],
        &[("confirmed", both)],
        &[("confirmed", both), ("dispatch_confirmed", operator), ("arrest", "")],
        &[("confirmed", both), ("not_active", operator)],
        &[("misread", "")],
        &[("wrong_jurisdiction", "")],
        &[("stale", "")],
        &[("dismissed", "")],
        &[("misread", ""), ("taken_back", r#","why":"looked_again""#)],
    ];
    for (n, words) in said.into_iter().enumerate() {
        let hit = testing_hit(u32::try_from(n).unwrap());
        car.outbox.record(&hit).unwrap();
        let id = hit.id().to_string();
        car.board.recall(&card(&id, "CKSV841", "CKSV841", Priority::High), jpeg());
        car.audit.note(Actor::System, recorded(hit.id(), false));
        for (word, more) in words {
            judge(&id, word, more);
        }
    }
    let covert = testing_covert_hit(99);
    car.outbox.record(&covert).unwrap();
    car.audit.note(Actor::System, recorded(covert.id(), true));
    let look_up = |results: Option<u64>| {
        let (target, reason, case, scope) = (
            "5f0c9d2e11aa".into(),
            "hit_and_run".into(),
            "26-00417".into(),
            "since 2026-11-29".into(),
        );
        match results {
            Some(results) => AuditEvent::LookUp { target, reason, case, scope, results },
            None => {
                let why = "officer may not look plates up across days".into();
                AuditEvent::LookUpRefused { target, reason, case, scope, why }
            }
        }
    };
    car.audit.note(Actor::Officer("1234".into()), look_up(Some(1)));
    car.audit.note(Actor::Officer("1234".into()), look_up(None));
    car.health.camera(&CameraId::new("front")).reads.many(18_240);
    let counters = car.review.counters.as_ref().unwrap();
    let month = Timestamp::now() - jiff::SignedDuration::from_hours(31 * 24);
    counters.live(month, &car.health.snapshot(), &[]).unwrap();
    car.health.camera(&CameraId::new("front")).reads.many(21_400);
    counters.live(Timestamp::now(), &car.health.snapshot(), &[]).unwrap();
}

fn recorded(hit: ulid::Ulid, covert: bool) -> AuditEvent {
    AuditEvent::HitRecorded {
        hit,
        camera: "front".into(),
        list: "cpic".into(),
        list_version: "7".into(),
        list_age_s: 60,
        category: "stolen_vehicle".into(),
        exact: true,
        covert,
    }
}

/// Goes to the records by the button of the alert page.
fn records(browser: &Browser, car: &Car, number: &str) {
    opened(browser, car, number);
    browser.ask("document.getElementById('records').click()");
    browser.until("location.pathname === '/records' && document.querySelector('#rows table')");
}

fn tab(browser: &Browser, name: &str, until: &str) {
    browser.ask(&format!("document.querySelector('[data-tab=\"{name}\"]').click()"));
    browser.until(until);
}

#[test]
fn supervisor_finds_every_hit_once_and_nothing_covert_and_each_look_is_on_record() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    worked(&car);
    browser.size(1280, 800);
    records(&browser, &car, "7");
    // The hits of a test are a week old and more: from the first on.
    let show = "document.getElementById('filter').elements.from.value = '2026-11-01'; document.getElementById('filter').requestSubmit()";
    browser.ask(show);
    browser.until("document.querySelectorAll('#rows tbody tr').length === 9");
    let summary = browser.text("summary");
    assert!(summary.starts_with("9 hits"), "{summary}");
    for part in ["2 unverified", "1 misread", "1 not active", "1 confirmed by dispatch", "1 of 6"] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    let counted = browser.ask(
        "const [sum, ...each] = [...document.querySelectorAll('.counts b')].map((b) => Number(b.textContent)); \
         return sum - each.reduce((a, b) => a + b, 0)",
    );
    assert_eq!(counted, 0, "every hit is in one standing");
    assert!(!browser.text("rows").contains("HIT0099"));
    browser.keep_picture("records-hits-dark-1280x800");
    browser.ask("document.querySelector('.plate-text').click()");
    browser.until("document.getElementById('plate').naturalWidth > 0");
    browser.ask("document.getElementById('filter').elements.standing.value = 'misread'; document.getElementById('filter').requestSubmit()");
    browser.until("document.querySelectorAll('#rows tbody tr').length === 1");
    tab(&browser, "look-ups", "document.getElementById('rows').innerText.includes('REFUSED')");
    let rows = browser.text("rows");
    assert!(rows.contains("26-00417") && rows.contains("hit and run"), "{rows}");
    browser.keep_picture("records-look-ups-dark-1280x800");
    tab(&browser, "log", "document.querySelector('.holds')");
    let chain = browser.text("summary");
    assert!(
        chain.contains("The chain holds: records 1 to") && chain.contains("Sealed up to"),
        "{chain}"
    );
    let rows = browser.text("rows");
    assert!(rows.contains("records viewed") && !rows.contains("hit recorded"), "{rows}");
    browser.keep_picture("records-log-dark-1280x800");
    tab(&browser, "figures", "document.querySelectorAll('.chart svg').length === 10");
    let figures = browser.text("summary");
    for part in ["39,640 plates read", "9 hits", "1 look-up, 1 refused", "1 arrest that", "1 of 6"]
    {
        assert!(figures.contains(part), "{part}: {figures}");
    }
    browser.keep_picture("records-figures-dark-1280x800");
    browser.ask("window.scrollTo(0, 700)");
    browser.keep_picture("records-figures-lower-dark-1280x800");
    // Nothing that was chosen stands in an address, and each look is on record.
    assert_eq!(browser.ask("return location.href.split('/').pop()"), "records");
    let views = audited(&car).into_iter().filter_map(|event| match event {
        AuditEvent::RecordsViewed { what, filter, .. } => Some(format!("{what}: {filter}")),
        _ => None,
    });
    let views: Vec<_> = views.collect();
    assert!(views.iter().any(|view| view.ends_with("standing misread")), "{views:?}");
    for what in ["hits: ", "look-ups: ", "audit log: ", "chain: holds"] {
        assert!(views.iter().any(|view| view.starts_with(what)), "{what}: {views:?}");
    }
}

#[test]
fn export_asks_for_grounds_and_officers_are_refused_and_driving_closes_the_page() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    worked(&car);
    browser.size(1280, 800);
    records(&browser, &car, "55");
    browser.ask(
        "window.saved = []; HTMLAnchorElement.prototype.click = function () { window.saved.push(this.download); };
         document.getElementById('filter').elements.from.value = '2026-11-01'; document.getElementById('filter').requestSubmit()",
    );
    browser.until("document.querySelectorAll('#rows tbody tr').length === 9");
    let export = |case: &str, format: &str| {
        browser.ask(&format!(
            "const f = document.getElementById('export'); f.elements.case.value = '{case}'; \
             f.requestSubmit(f.querySelector('[value={format}]'))"
        ));
    };
    export("test", "csv");
    browser.until("document.getElementById('says').textContent.includes('names no case')");
    export("26-00417", "csv");
    browser.until("window.saved.length === 1");
    browser.until("document.getElementById('exported').textContent.includes('on record')");
    browser.keep_picture("records-exported-dark-1280x800");
    let taken = audited(&car).into_iter().any(|event| {
        matches!(event,
        AuditEvent::RecordsExported { results: 9, case, .. } if case == "26-00417")
    });
    assert!(taken);
    // The car drives off: nothing of it stays on the screen, and the daemon gives nothing.
    car.parked.store(false, Ordering::Relaxed);
    browser.until("document.getElementById('closed').textContent.startsWith('Driving')");
    assert_eq!(browser.ask("return document.querySelectorAll('#rows tr').length"), 0);
    assert_eq!(
        browser.ask("return [...document.querySelectorAll('input, select')].filter((f) => f.checkVisibility()).length"),
        0
    );
    browser.keep_picture("records-driving-dark-1280x800");
    let auditor = page::sign_in(&car.page, "55", PIN);
    let answer = page::send(&car.page, &auditor, "/records/hits", "{}");
    assert!(
        answer.starts_with("HTTP/1.1 409") && answer.contains("when the car stands"),
        "{answer}"
    );
    // A hit that comes meanwhile is said here too.
    raised(&car, 40, Priority::High);
    browser.until("document.getElementById('news').textContent.includes('▲ HIGH')");
    car.parked.store(true, Ordering::Relaxed);
    browser.until("document.querySelectorAll('#rows tbody tr').length > 0");
    // Who judges hits sees those, and not what others did.
    let officer = page::sign_in(&car.page, "1234", PIN);
    for (path, body) in [
        ("/records/hits", "{}"),
        ("/records/look-ups", "{}"),
        ("/records/log", "{}"),
        ("/records/chain", "{}"),
        ("/records/figures", r#"{"from":"2026-11-01","to":"2026-11-30"}"#),
        (
            "/records/export",
            r#"{"what":{"hits":{}},"format":"csv","reason":"complaint","case":"26-00417"}"#,
        ),
    ] {
        let answer = page::send(&car.page, &officer, path, body);
        assert!(answer.starts_with("HTTP/1.1 422"), "{path}: {answer}");
        assert!(answer.contains("a supervisor or an auditor does"), "{path}: {answer}");
        assert!(!answer.contains("HIT0"), "{answer}");
        let nobody = page::send(&car.page, &page::nobody(&car.page), path, body);
        assert!(nobody.starts_with("HTTP/1.1 401"), "{path}: {nobody}");
    }
    let refused = super::entering::refused_entries(&car);
    assert!(
        refused.iter().any(|r| r.starts_with("records/hits: officers do not see")),
        "{refused:?}"
    );
}

#[test]
fn records_are_legible_and_axe_core_finds_nothing() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    worked(&car);
    browser.size(1024, 600);
    records(&browser, &car, "7");
    browser.ask("document.getElementById('filter').elements.from.value = '2026-11-01'; document.getElementById('filter').requestSubmit()");
    browser.until("document.querySelectorAll('#rows tbody tr').length === 9");
    let axe = super::eye::axe();
    if let Some(axe) = &axe {
        browser.ask(axe);
    }
    let mut bad = Vec::new();
    for (name, until) in [
        ("hits", "document.querySelectorAll('#rows tbody tr').length === 9"),
        ("look-ups", "document.getElementById('rows').innerText.includes('REFUSED')"),
        ("log", "document.querySelector('.holds')"),
        ("figures", "document.querySelectorAll('.chart svg').length === 10"),
    ] {
        tab(&browser, name, until);
        for look in LOOKS {
            browser.ask(&format!("document.documentElement.dataset.look = '{look}'"));
            let what = format!("records-{name}-{look}");
            // A page that scrolls: what lies below the window is no fault here.
            let found = wrong(&browser, (1024, 600), look, &what);
            bad.extend(found.into_iter().filter(|fault| {
                let below_window = fault.contains("cut off") || fault.contains("scrolls or is cut");
                // It is closed while somebody drives: ISO 15008's floor does.
                let arc = fault.strip_suffix(" minutes of arc").and_then(|f| f.rsplit(' ').next());
                let large = arc.and_then(|arc| arc.parse::<f64>().ok()).is_some_and(|a| a >= 12.0);
                !below_window && !large
            }));
            if axe.is_some() {
                super::eye::assert_axe_finds_nothing(&browser, &what);
            }
            browser.keep_picture(&format!("{what}-1024x600"));
        }
        let wide = browser.ask("return document.documentElement.scrollWidth - innerWidth");
        assert!(wide.as_i64().unwrap() <= 0, "{name}: {wide} px too wide");
    }
    assert!(bad.is_empty(), "{} things are wrong:\n{}", bad.len(), bad.join("\n"));
}
