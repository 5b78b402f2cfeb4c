//! What the page says of the car itself: a camera that stops, and the row of chips on top, in which what is not well
//! stands in front, in the colour of how bad it is.

use super::*;

/// An expression: whether a chip of this kind begins with these words.
fn chip(kind: &str, words: &str) -> String {
    format!(
        "[...document.querySelectorAll('#chips li')].some((li) => \
         li.className === '{kind}' && li.textContent.startsWith('{words}'))"
    )
}

#[test]
fn certificate_is_as_bad_in_the_row_as_its_part_says() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    // On a phone the row wraps, and has room for every chip.
    browser.size(390, 844);
    browser.go(&car.url());
    browser.until(&chip("warn", "Certificate 21 days left"));
    assert!(!browser.text("chips").contains("Page certificate"), "{}", browser.text("chips"));
    // As in its last week, whatever the page would make of the days by itself.
    for part in ["certificate", "page_certificate"] {
        car.health.set(part, PartState::Down("ends soon: renew it".into()));
    }
    browser.until(&chip("bad", "Certificate 21 days left"));
    browser.until(&chip("bad", "Page certificate 45 days left"));
    for part in ["certificate", "page_certificate"] {
        car.health.set(part, PartState::Working);
    }
    browser.until("!document.getElementById('chips').textContent.includes('ertificate')");
    assert!(browser.text("state").contains("Certificate 21 days left"), "still in the list");
    // One that has ended is bad although its part has not been looked at since the clock was set.
    let ended = browser.ask(
        "const chips = [];
         drawCertificate(chips, [], 'Certificate', 'certificate', '2020-01-01T00:00:00Z', 'no link');
         return chips.map((one) => [one.kind, one.value]);",
    );
    assert_eq!(ended, serde_json::json!([["bad", "HAS ENDED: no link"]]));
}

#[test]
fn camera_that_stops_is_on_the_screen_within_two_seconds() {
    let Some((browser, car)) = watching(1280, 800) else { return };
    // A longer watch than the limit, so that what is measured is the stop and not the start.
    let running = Instant::now();
    while running.elapsed() < Duration::from_millis(2_500) {
        assert!(browser.text("banner").is_empty(), "no alarm while both cameras read");
    }
    car.front_runs.store(false, Ordering::Relaxed);
    let took = browser
        .until("document.getElementById('banner').textContent.startsWith('NOT READING: front')");
    eprintln!("stopped camera on the page after {took:?}");
    assert!(took < Duration::from_millis(2_000), "stopped camera shown after {took:?}");
    assert_eq!(browser.text("watch-word"), "PARTLY BLIND");
    browser.keep_picture("blind-dark-1280x800");
    car.board.show(&card("01A", "CKSV841", "CKSV841", Priority::High), jpeg());
    browser.until("!document.getElementById('card').hidden");
    for (w, h) in [(1280, 800), (1024, 600), (390, 844)] {
        browser.size(w, h);
        assert_in_sight(
            &browser,
            &["#banner", "#category", ".unverified", "#read", "#listed"],
            "banner and card",
        );
        browser.keep_picture(&format!("blind-hit-{w}x{h}"));
    }
    car.front_runs.store(true, Ordering::Relaxed);
    browser.until("document.getElementById('banner').hidden");
    car.health.set("sound", PartState::Down("sound device \"default\": No such device".into()));
    browser.until("document.getElementById('banner').textContent.includes('NO SOUND')");
    car.health.set("hotlist/wanted", PartState::Down("wanted.csv is not there".into()));
    browser.press("Escape");
    browser.until("document.getElementById('state').innerText.includes('wanted.csv is not there')");
    car.health.set("sound", PartState::Working);
    browser.until("document.getElementById('banner').hidden");
    let off = "ignition is off: the car powers off in 58 s";
    car.health.set("ignition", PartState::Impaired(off.into()));
    let says = "IGNITION IS OFF: the car powers off in 58 s";
    browser.until(&format!("document.getElementById('banner').textContent === '{says}'"));
    car.health.set("ignition", PartState::Working);
    browser.until("document.getElementById('banner').hidden");
}
