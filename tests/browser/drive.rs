//! What the page is in a moving car: no field, nothing that scrolls, nothing that moves; hits are heard and judged.

use super::entering::{begin_shift, sign_in};
use super::*;

/// Everything that is in motion, can be scrolled or is cut in the middle, and every field that can be typed into.
const UNRULY: &str = "
    const shown = (one) => one.checkVisibility();
    const name = (one) => `${one.tagName}#${one.id}.${one.className}`;
    const all = [...document.querySelectorAll('*')].filter(shown);
    const moving = document.getAnimations().map((one) => `moves: ${name(one.effect.target)}`);
    const scrolls = all.filter((one) => {
      const style = getComputedStyle(one);
      const may = [style.overflowX, style.overflowY].some((how) => how === 'auto' || how === 'scroll');
      return may && (one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1);
    }).map((one) => `scrolls: ${name(one)}`);
    const page = document.documentElement;
    if (page.scrollHeight > innerHeight + 1 || page.scrollWidth > innerWidth + 1) scrolls.push('the page scrolls');
    const cut = [...document.querySelectorAll('aside li, #state dt, #state dd')].filter(shown).filter((one) => {
      const [inner, outer] = [one, one.closest('aside, #watch')].map((box) => box.getBoundingClientRect());
      return inner.bottom > outer.bottom + 1;
    }).map((one) => `cut: ${one.textContent}`);
    const fields = all.filter((one) => one.matches('input, select, textarea')).map((one) => `field: ${name(one)}`);
    return [...moving, ...scrolls, ...cut, ...fields];";

fn assert_calm(browser: &Browser, what: &str) {
    assert_eq!(browser.ask(UNRULY), serde_json::json!([]), "{what}");
}

#[test]
fn moving_car_opens_no_field_scrolls_and_animates_nothing_and_hits_are_judged() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    car.parked.store(true, Ordering::Relaxed);
    let hits = [1, 2].map(testing_hit);
    for hit in &hits {
        car.outbox.record(hit).unwrap();
    }
    let [first, second] = hits.each_ref().map(|hit| hit.id().to_string());
    browser.size(1024, 600);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    browser.until("status.position.speed_mps < 1");
    browser.ask("document.getElementById('who').click()");
    browser.until("!document.getElementById('sign-in').hidden");
    sign_in(&browser, "1234");
    begin_shift(&browser);
    for n in 0..30 {
        let mut earlier = card(&format!("00{n}"), "BXRT907", "BXRT907", Priority::Low);
        earlier.seen = Timestamp::now() - jiff::SignedDuration::from_hours(3);
        car.board.recall(&earlier, jpeg());
    }
    browser.until("hits.size === 30");
    // The control: a car that stands has lists that scroll.
    let standing = browser.ask(UNRULY);
    assert!(standing.to_string().contains("scrolls: ASIDE"), "{standing}");
    browser.press("Escape");
    browser.until("!document.getElementById('watch').hidden");

    car.parked.store(false, Ordering::Relaxed);
    browser.until("document.body.classList.contains('driving')");
    for (w, h) in [(1024, 600), (1024, 768), (1280, 800)] {
        browser.size(w, h);
        // The next status, once a second at most, fits what is shown into the new size.
        std::thread::sleep(Duration::from_millis(1_500));
        assert_calm(&browser, &format!("watch {w}x{h}"));
        browser.keep_picture(&format!("driving-watch-dark-{w}x{h}"));
    }
    for press in ["h", "v"] {
        browser.press(press);
        assert_calm(&browser, press);
    }
    assert!(browser.text("entry-says").contains("above 8 km/h"), "{}", browser.text("entry-says"));
    for id in ["look", "add-hotplate"] {
        let shown =
            browser.ask(&format!("return document.getElementById('{id}').checkVisibility()"));
        assert_eq!(shown, false, "{id}");
    }

    // A hit appears without motion, is answered, confirmed by two inputs, and rejected.
    browser.size(1024, 600);
    *car.sounding.lock().unwrap() = vec![first.clone()];
    car.board.show(&card(&first, "CKSV841", "CKSV841", Priority::High), jpeg());
    browser.until(&format!("document.getElementById('card').dataset.hit === '{first}'"));
    assert_eq!(
        browser.ask("return document.getElementById('card').classList.contains('fresh')"),
        true
    );
    assert_calm(&browser, "a hit that has just come");
    browser.until("!document.getElementById('quiet').hidden");
    browser.press("a");
    browser.until("document.getElementById('quiet').hidden");
    let settled = || std::thread::sleep(Duration::from_millis(700));
    for what in ["characters", "jurisdiction"] {
        settled();
        browser.ask(&format!("document.querySelector('[data-move={what}]').click()"));
    }
    browser.until("document.getElementById('standing').innerText.includes('CONFIRMED BY SIGHT')");
    assert_calm(&browser, "confirmed");
    car.board.show(&card(&second, "BXRT907", "BXRT907", Priority::High), jpeg());
    browser.until(&format!("document.getElementById('card').dataset.hit === '{second}'"));
    settled();
    browser.ask("document.querySelector('[data-move=misread]').click()");
    browser.until("document.getElementById('priority').textContent === '■ MISREAD'");
    assert_eq!(car.outbox.dispositions(hits[1].id()).unwrap().len(), 1);
    browser.keep_picture("driving-misread-dark-1024x600");
    browser.press("m");
    assert_calm(&browser, "more");
    browser.press("m");
    // Standing again, everything is there again.
    browser.press("Escape");
    car.parked.store(true, Ordering::Relaxed);
    browser.until("!document.body.classList.contains('driving')");
    browser.until("document.getElementById('look').checkVisibility()");
    assert_eq!(
        browser.ask(
            "return [...document.querySelectorAll('aside li')].filter((li) => li.hidden).length"
        ),
        0
    );
}
