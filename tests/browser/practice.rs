//! Training: drawn plates under a banner, judged as hits are, with counts of their own; a hit ends it.

use outrider::audit::AuditEvent;

use super::begin::{open, sign_in_here, told};
use super::entering::{begin_shift, refused_entries};
use super::*;

/// What the log says of training, and of hits that somebody judged.
fn on_record(car: &Car) -> (Vec<String>, usize) {
    let records = car.audit.recent(500).unwrap();
    let training = records.iter().filter_map(|record| match &record.event {
        AuditEvent::Training { what, right, wrong } => {
            Some(format!("{}: {what}, {right} right, {wrong} not", record.who))
        }
        _ => None,
    });
    let judged = records.iter().filter(|r| matches!(r.event, AuditEvent::Disposition { .. }));
    (training.collect(), judged.count())
}

#[test]
fn training_is_for_who_is_signed_in_in_a_car_that_stands_and_judges_no_hit() {
    let car = Car::start();
    let send = |who: &page::Session, path: &str, body: &str| {
        page::send(&car.page, who, &format!("/training/{path}"), body)
    };
    let nobody = page::nobody(&car.page);
    let [officer, other] = ["1234", "9"].map(|number| page::sign_in(&car.page, number, PIN));
    told(&send(&nobody, "begin", "{}"), 401, "nobody is signed in");
    page::start_of_shift(&car.page, &officer);
    told(&send(&officer, "begin", "{}"), 422, "the car moves");
    assert!(refused_entries(&car).iter().any(|r| r.starts_with("training: the car moves")));
    car.parked.store(true, Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(10);
    while !send(&officer, "begin", "{}").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < until, "the car stands");
        std::thread::sleep(Duration::from_millis(200));
    }
    told(&send(&other, "next", "{}"), 422, "no training runs here");
    let half = r#"{"word":"confirmed","compared":{"characters":true,"jurisdiction":false}}"#;
    told(&send(&officer, "judge", half), 422, "both compared");
    told(&send(&officer, "judge", r#"{"word":"dismissed"}"#), 200, "\"lesson\":\"Not right: ");
    // What it is called names no hit that could be judged.
    let next = send(&officer, "next", "{}");
    let card: serde_json::Value =
        serde_json::from_str(next.split_once("\r\n\r\n").unwrap().1).unwrap();
    let id = card["card"]["id"].as_str().unwrap();
    let body = format!(r#"{{"hit":"{id}","word":"misread"}}"#);
    told(&page::send(&car.page, &officer, "/hits/judge", &body), 404, "no such hit");
    let picture = format!("/hit/{id}/plate.jpg");
    let get = |who: &page::Session| {
        String::from_utf8_lossy(&page::get_as(&car.page, who, &picture)).into_owned()
    };
    told(&get(&officer), 200, "image/jpeg");
    told(&get(&other), 404, "no picture");
    told(&send(&officer, "end", "{}"), 200, "");
    let (training, judged) = on_record(&car);
    let expected = ["officer 1234: begun, 0 right, 0 not", "officer 1234: ended, 0 right, 1 not"];
    assert_eq!((training.as_slice(), judged), (&expected.map(str::to_owned)[..], 0));
    assert_eq!(car.outbox.queue().unwrap().hits, 0, "nothing waits to be sent");
}

#[test]
fn practice_is_judged_under_a_banner_until_a_hit_comes() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    browser.size(1024, 600);
    open(&browser, &car);
    let hidden = |id: &str| browser.ask(&format!("return document.getElementById('{id}').hidden"));
    assert_eq!(hidden("train"), true, "nobody is signed in");
    sign_in_here(&browser, "1234");
    begin_shift(&browser);
    browser.ask("document.getElementById('train').click()");
    let settled = || std::thread::sleep(Duration::from_millis(700));
    for n in 1..=3 {
        browser.until("!document.getElementById('training').hidden && !document.getElementById('card').hidden");
        browser.until("document.getElementById('picture').naturalWidth > 100");
        assert!(
            browser.text("training").starts_with("TRAINING: drawn plates, no hit, nothing is sent")
        );
        assert_eq!(browser.ask("return document.querySelectorAll('aside .hit').length"), 0);
        settled();
        browser.ask("document.querySelector('[data-move=misread]').click()");
        browser.until(
            "/^(Right|Not right): /.test(document.getElementById('training-says').textContent)",
        );
        assert!(browser.text("standing").starts_with("MISREAD"), "{}", browser.text("standing"));
        let score = browser.text("training-score");
        let counts: Vec<u64> = score.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert_eq!(counts.iter().sum::<u64>(), n, "{score}");
        if n < 3 {
            browser.ask("document.getElementById('training-next').click()");
            browser.until(
                "document.getElementById('training-says').textContent.startsWith('Compare')",
            );
        }
    }
    browser.keep_picture("training-judged-dark-1024x600");
    // A hit of the car, however low, comes in front at once.
    car.board.show(&card("01Low", "O1ABQ", "01AB0", Priority::Low), jpeg());
    browser.until("document.getElementById('card').dataset.hit === '01Low'");
    assert_eq!(hidden("training"), true);
    assert!(
        browser.text("entry-says").contains("a hit has come"),
        "{}",
        browser.text("entry-says")
    );
    assert_eq!(browser.ask("return [...hits.keys()]"), serde_json::json!(["01Low"]));
    let until = Instant::now() + Duration::from_secs(10);
    while on_record(&car).0.len() < 2 {
        assert!(Instant::now() < until, "the end is on record");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (training, judged) = on_record(&car);
    assert!(training[1].starts_with("officer 1234: ended, ") && judged == 0, "{training:?}");
    // So does a car that begins to move.
    browser.press("Escape");
    browser.ask("document.getElementById('train').click()");
    browser.until("!document.getElementById('training').hidden");
    car.parked.store(false, Ordering::Relaxed);
    browser.until(
        "document.getElementById('training').hidden && document.getElementById('card').hidden",
    );
    assert!(browser.text("entry-says").contains("Driving"), "{}", browser.text("entry-says"));
}
