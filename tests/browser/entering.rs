//! Who enters something on the page: signs in, is locked, judges a hit; and what is refused.

use super::*;

/// Asks for a step, and gives the whole answer.
fn judge(car: &Car, headers: &str, json: &str) -> String {
    page::send_with(&car.page, headers, "/hits/judge", json)
}

/// What the log says of entries that were refused.
pub(super) fn refused_entries(car: &Car) -> Vec<String> {
    let records = car.audit.recent(200).unwrap();
    let why = |record: outrider::audit::Record| match record.event {
        outrider::audit::AuditEvent::EntryRefused { what, why } => Some(format!("{what}: {why}")),
        _ => None,
    };
    records.into_iter().filter_map(why).collect()
}

#[test]
fn verdicts_need_the_token_and_our_origin_and_illegal_moves_are_refused() {
    let car = Car::start();
    let (hit, covert) = (testing_hit(1), testing_hit(2));
    for hit in [&hit, &covert] {
        car.outbox.record(hit).unwrap();
    }
    let id = hit.id().to_string();
    car.board.show(&card(&id, "CKSV841", "CKSV841", Priority::High), jpeg());
    let origin = format!("Origin: http://{}\r\n", car.address);
    let cookie = format!("Cookie: {}\r\n", car.page.cookie());
    let step = |id: &str, word: &str, more: &str| {
        format!(r#"{{"hit":"{id}","word":"{word}","officer":"1234","role":"officer"{more}}}"#)
    };
    let nobody = page::nobody(&car.page).headers(&car.page);
    let auditor = page::sign_in(&car.page, "55", PIN).headers(&car.page);
    let ours = page::sign_in(&car.page, "1234", PIN).headers(&car.page);
    let misread = step(&id, "misread", "");
    assert!(judge(&car, &origin, &misread).starts_with("HTTP/1.1 401"));
    assert!(judge(&car, &cookie, &misread).starts_with("HTTP/1.1 403"));
    // Our own page, and not as it is now: what another page makes a browser send has no header of ours.
    let forged = judge(&car, &format!("{origin}{cookie}"), &misread);
    assert!(forged.starts_with("HTTP/1.1 403") && forged.contains("load it again"), "{forged}");
    // Nobody is signed in, somebody else is, somebody who does not judge.
    let answer = judge(&car, &nobody, &misread);
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.contains("nobody is signed in"),
        "{answer}"
    );
    let answer = judge(&car, &ours, &misread.replace("1234", "9"));
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("1234 is signed in"), "{answer}");
    let answer = judge(&car, &ours, &misread.replace("\"officer\"}", "\"supervisor\"}"));
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("may not act as"), "{answer}");
    let unstated = format!(r#"{{"hit":"{id}","word":"misread"}}"#);
    let answer = judge(&car, &auditor, &unstated);
    assert!(
        answer.starts_with("HTTP/1.1 422") && answer.contains("auditors do not judge"),
        "{answer}"
    );
    let refused = refused_entries(&car);
    for why in
        ["nobody is signed in", "somebody else was stated", "a role was stated", "auditors do not"]
    {
        assert!(
            refused.iter().any(|r| r.starts_with("disposition: ") && r.contains(why)),
            "{why}: {refused:?}"
        );
    }
    let both = r#","compared":{"characters":true,"jurisdiction":true}"#;
    let half = r#","compared":{"characters":true,"jurisdiction":false}"#;
    let elsewhere = step(&covert.id().to_string(), "misread", "");
    for (json, status, why) in [
        (elsewhere, "404", "no such hit on the board"),
        (step(&id, "dispatch_confirmed", ""), "422", "is not confirmed by sight"),
        (step(&id, "confirmed", half), "422", "both compared"),
        (step(&id, "confirmed", ""), "422", "both compared"),
        (misread.clone(), "200", "\"rejected\":true"),
        (step(&id, "confirmed", both), "422", "take that back with a reason first"),
        (step(&id, "taken_back", ""), "422", "say why"),
        (step(&id, "taken_back", r#","why":"looked_again""#), "200", "UNVERIFIED"),
        (step(&id, "confirmed", both), "200", "CONFIRMED BY SIGHT"),
    ] {
        let answer = judge(&car, &ours, &json);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{json}: {answer}");
        assert!(answer.contains(why), "{json}: {answer}");
    }
    let steps = car.outbox.dispositions(hit.id()).unwrap();
    assert_eq!(steps.len(), 3);
    assert!(steps.iter().all(|s| s.officer == "1234" && s.role == Some(Who::Officer)), "{steps:?}");
    assert!(car.outbox.dispositions(covert.id()).unwrap().is_empty());
    assert!(refused_entries(&car).iter().any(|r| r.contains("is not confirmed by sight")));
    // A car whose policy names nobody shows the hit and takes nothing.
    *car.rules.lock().unwrap() = Arc::default();
    for headers in [&ours, &page::nobody(&car.page).headers(&car.page)] {
        let answer = judge(&car, headers, &step(&id, "dispatch_confirmed", ""));
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    let answer = judge(&car, &page::nobody(&car.page).headers(&car.page), &misread);
    assert!(answer.contains("no policy with users is in force"), "{answer}");
    assert_eq!(car.outbox.dispositions(hit.id()).unwrap().len(), 3);
}

/// Types number and PIN into the form that is open.
pub(super) fn sign_in(browser: &Browser, number: &str) {
    browser.ask(&format!(
        "const f = document.getElementById('sign-in-form'); f.elements.number.value = '{number}'; \
         f.elements.pin.value = '{PIN}'; f.requestSubmit()"
    ));
    browser.until(&format!("document.getElementById('who').textContent.includes('{number}')"));
    browser.until("document.getElementById('sign-in').hidden");
}

/// The officer goes through the start of the shift, as the page does it.
pub(super) fn begin_shift(browser: &Browser) {
    browser.ask(
        "fetch('/shift').then((answer) => answer.json()) \
           .then((told) => post('/shift/begin', { version: told.version, heard: false })).then(askSession)",
    );
    browser.until("session.who && !session.who.begin && document.getElementById('shift').hidden");
}

#[test]
fn officer_signs_in_with_the_pad_is_locked_goes_on_and_signs_out() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    car.parked.store(true, Ordering::Relaxed);
    browser.size(1024, 600);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    browser.until("status.position.speed_mps < 1");
    assert_eq!(browser.text("who"), "Sign in");
    browser.ask("document.getElementById('who').click()");
    browser.until("!document.getElementById('sign-in').hidden");
    browser.keep_picture("sign-in-dark-1024x600");
    let keys = |digits: &str| {
        for digit in digits.chars() {
            browser.ask(&format!(
                "[...document.querySelectorAll('#pad button')].find((b) => b.textContent === '{digit}').click()"
            ));
        }
    };
    keys("12345⌫");
    assert_eq!(browser.ask("return document.activeElement.name"), "number");
    browser.ask("document.getElementById('sign-in-form').elements.pin.focus()");
    keys("480214");
    let submit = || browser.ask("document.getElementById('sign-in-form').requestSubmit()");
    submit();
    browser
        .until("document.getElementById('sign-in-says').textContent === 'number or PIN is wrong'");
    assert_eq!(
        browser.ask("return document.getElementById('sign-in-form').elements.number.value"),
        "1234"
    );
    browser.until("document.activeElement.name === 'pin' && document.activeElement.value === ''");
    keys(PIN);
    submit();
    browser.until("document.getElementById('who').textContent === '1234: BEGIN SHIFT'");
    begin_shift(&browser);
    browser.until("document.getElementById('who').textContent === '1234 officer'");
    assert_eq!(browser.ask("return document.cookie"), "", "no script reads the session");
    // Every key of the pad is large enough for a finger.
    let smallest = browser.ask(
        "document.getElementById('sign-in').hidden = false; \
         const all = [...document.querySelectorAll('#pad button')].map((b) => b.getBoundingClientRect()); \
         document.getElementById('sign-in').hidden = true; \
         return Math.min(...all.flatMap((r) => [r.width, r.height]))",
    );
    assert!(smallest.as_f64().unwrap() >= 56.0, "{smallest} px");
    browser.ask("document.getElementById('lock').click()");
    browser.until("document.getElementById('who').textContent.includes('LOCKED')");
    browser.ask("document.getElementById('who').click()");
    browser.until("document.getElementById('sign-in-title').textContent.includes('1234')");
    keys(PIN);
    submit();
    browser.until("document.getElementById('who').textContent === '1234 officer'");
    // Policy takes the user away: the page knows within seconds, by itself.
    let rules = Rules { users: users(), ..Rules::default() };
    let without =
        Rules { users: users().into_iter().filter(|(n, _)| n != "1234").collect(), ..rules };
    *car.rules.lock().unwrap() = Arc::new(without);
    browser.until("document.getElementById('who').textContent === 'Sign in'");
    browser.ask("document.getElementById('who').click()");
    browser.until("!document.getElementById('sign-in').hidden");
    sign_in(&browser, "9");
    browser.ask("document.getElementById('sign-out').click()");
    browser.until("document.getElementById('who').textContent === 'Sign in'");
}

#[test]
fn hit_comes_in_front_of_a_form_and_gives_it_back_as_it_was() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    car.parked.store(true, Ordering::Relaxed);
    let hit = testing_hit(1);
    car.outbox.record(&hit).unwrap();
    let id = hit.id().to_string();
    browser.size(1280, 800);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    browser.until("status.position.speed_mps < 1");
    browser.ask("document.getElementById('who').click()");
    browser.until("!document.getElementById('sign-in').hidden");
    browser.ask(
        "const n = document.getElementById('sign-in-form').elements.number; n.focus(); n.value = '12'",
    );
    car.board.show(&card(&id, "CKSV841", "CKSV841", Priority::High), jpeg());
    browser.until(
        "!document.getElementById('card').hidden && document.getElementById('sign-in').hidden",
    );
    let look = browser.ask("return document.documentElement.dataset.look");
    // What is typed on changes neither the form nor the display.
    for key in ["n", "h", "c", "j", "w", "ArrowDown", "3"] {
        browser.press(key);
    }
    assert_eq!(browser.ask("return document.getElementById('card').hidden"), false);
    assert_eq!(browser.ask("return document.documentElement.dataset.look"), look);
    assert_eq!(browser.ask("return document.getElementById('resume').hidden"), false);
    browser.keep_picture("form-behind-a-hit-dark-1280x800");
    browser.press("Escape");
    browser.until("!document.getElementById('sign-in').hidden");
    assert_eq!(browser.ask("return document.activeElement.name"), "number");
    assert_eq!(browser.ask("return document.activeElement.value"), "12");
    // The hit was acknowledged and not judged: it waits, counted.
    assert!(browser.text("waiting-title").contains("(1)"), "{}", browser.text("waiting-title"));
    // A moving car opens no field, and says why; what was open is put aside.
    car.parked.store(false, Ordering::Relaxed);
    browser.until("document.getElementById('sign-in').hidden");
    browser.ask("document.getElementById('who').click()");
    assert!(browser.text("entry-says").contains("above 8 km/h"), "{}", browser.text("entry-says"));
    assert_eq!(browser.ask("return document.getElementById('sign-in').hidden"), true);
}

#[test]
fn high_hit_stays_until_it_is_judged_by_two_inputs_and_every_page_shows_it() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    car.parked.store(true, Ordering::Relaxed);
    let hits = [1, 2].map(testing_hit);
    for hit in &hits {
        car.outbox.record(hit).unwrap();
    }
    let [high, low] = hits.each_ref().map(|hit| hit.id().to_string());
    browser.size(1280, 800);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    browser.until("status.position.speed_mps < 1");
    car.board.show(&card(&high, "CKSV841", "CKSV841", Priority::High), jpeg());
    let front = |id: &str| format!("document.getElementById('card').dataset.hit === '{id}'");
    browser.until(&front(&high));
    // Neither a lower one, nor Esc, nor time takes it away.
    browser.ask("shownAt = performance.now() - 60000");
    browser.press("Escape");
    assert_eq!(browser.ask("return document.getElementById('card').hidden"), false);
    car.board.show(&card(&low, "O1ABQ", "01AB0", Priority::Low), jpeg());
    browser.until("document.getElementById('next').innerText.includes('(1)')");
    assert_eq!(browser.ask(&format!("return {}", front(&high))), true);
    // A page that is opened later has the same in front.
    browser.go(&car.url());
    browser.until(&front(&high));
    let settled = || std::thread::sleep(Duration::from_millis(700));
    let press = |what: &str| {
        settled();
        browser.ask(&format!("document.querySelector('[data-move={what}]').click()"));
    };
    // Nobody is signed in: the press asks for number and PIN, and the hit is there again after that.
    press("characters");
    browser.until("!document.getElementById('sign-in').hidden");
    sign_in(&browser, "1234");
    browser.until(&format!("{} && !document.getElementById('card').hidden", front(&high)));
    press("characters");
    settled();
    assert!(car.outbox.dispositions(hits[0].id()).unwrap().is_empty(), "one input is not two");
    press("jurisdiction");
    browser.until("document.getElementById('standing').innerText.includes('CONFIRMED BY SIGHT')");
    assert_eq!(car.outbox.dispositions(hits[0].id()).unwrap()[0].officer, "1234");
    browser.keep_picture("confirmed-dark-1280x800");
    // The one that waited is one key away; a word from elsewhere is on the page within a second.
    browser.press("w");
    browser.until(&front(&low));
    let ours = page::sign_in(&car.page, "9", PIN).headers(&car.page);
    let json = format!(r#"{{"hit":"{low}","word":"misread","officer":"9","role":"officer"}}"#);
    assert!(judge(&car, &ours, &json).starts_with("HTTP/1.1 200"));
    let took = browser.until("document.getElementById('priority').textContent === '■ MISREAD'");
    assert!(took < Duration::from_secs(1), "shown after {took:?}");
    assert!(browser.text("standing").contains("MISREAD not this vehicle"));
    assert_eq!(
        browser.ask("return Boolean(document.querySelector('[data-move=characters]'))"),
        false
    );
    browser.keep_picture("misread-dark-1280x800");
}
