//! The card beyond what every hit has: another jurisdiction, a tone that is silenced, a shift of ten thousand, text that
//! would be markup.

use super::*;

#[test]
fn plate_of_another_jurisdiction_is_said_with_how_sure_and_as_what_it_was_told() {
    let Some((browser, car)) = opened(1280, 800) else { return };
    let mut twin = card("01A", "CKSV841", "CKSV841", Priority::Low);
    twin.listed_priority = Priority::High;
    (twin.jurisdiction_read, twin.jurisdiction_confidence) = (Some("US-MI".into()), Some(0.97));
    twin.jurisdictions = Agreement::Other;
    car.board.show(&twin, jpeg());
    browser.until("document.getElementById('card').dataset.hit === '01A'");
    let seen = browser.text("card");
    for part in
        ["plate of Michigan (97 %)", "Ontario", "OTHER JURISDICTION", "told as low, not high"]
    {
        assert!(seen.contains(part), "{part:?} is missing from the card: {seen}");
    }
    assert!(!seen.contains("not compared"), "{seen}");
    // Nobody is told to beware of, or to do, what belongs to another state's vehicle.
    assert!(seen.contains("Of the listed vehicle: armed and dangerous"), "{seen}");
    assert!(seen.contains("CONFIRM ITS PROVINCE FIRST, THEN: stop"), "{seen}");
    assert!(!seen.contains("CAUTION") && !seen.contains("DO:"), "{seen}");
    browser.keep_picture("other-jurisdiction-dark-1280x800");
}

#[test]
fn tone_is_silenced_by_one_key_and_the_hit_stays_to_be_judged() {
    let Some((browser, car)) = watching(1024, 600) else { return };
    assert_eq!(browser.ask("return document.getElementById('quiet').hidden"), true);
    *car.sounding.lock().unwrap() = vec!["01A".into()];
    car.board.show(&card("01A", "CKSV841", "CKSV841", Priority::High), jpeg());
    browser.until("document.getElementById('card').dataset.hit === '01A'");
    browser.until("!document.getElementById('quiet').hidden");
    browser.press("a");
    browser.until("document.getElementById('quiet').hidden");
    assert!(car.sounding.lock().unwrap().is_empty());
    assert!(browser.text("standing").starts_with("UNVERIFIED"));
    // What no page of ours sends silences nothing.
    *car.sounding.lock().unwrap() = vec!["01A".into()];
    let mut stream = TcpStream::connect(car.address).unwrap();
    let (host, body) = (car.address, r#"{"hit":"01A"}"#);
    write!(
        stream,
        "POST /hits/answer HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        car.page.cookie(),
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(*car.sounding.lock().unwrap(), ["01A"]);
}

/// A shift of ten thousand hits: what the page holds and draws is the same at the last as at the three hundredth.
#[test]
fn ten_thousand_hits_cost_the_page_no_more_each_than_the_first() {
    let Some((browser, car)) = watching(1024, 600) else { return };
    car.board.show(&card("01A", "CKSV841", "CKSV841", Priority::High), jpeg());
    browser.until("document.getElementById('card').dataset.hit === '01A'");
    // Pictures are asked of the network: that is not what is counted here.
    browser.ask("picturesOf = () => ({ plate: $('picture'), context: $('context') })");
    let mut after = Vec::new();
    for from in (0..10_000).step_by(100) {
        let to = from + 100;
        let found = browser.ask(&format!(
            "const first = hits.get('01A');
             const start = performance.now();
             for (let n = {from}; n < {to}; n += 1) {{
               const priority = ['low', 'low', 'medium', 'high'][n % 4];
               add({{ ...first, id: `02${{String(n).padStart(6, '0')}}`, priority, seen: new Date().toISOString() }}, 'hit');
             }}
             void document.body.offsetHeight;
             return [(performance.now() - start) / ({to} - {from}), document.querySelectorAll('*').length, hits.size,
               raised.size, waiting.size, pictures.size];"
        ));
        if to % 1_000 == 0 {
            eprintln!("to {to}: {found} [ms a hit, elements, hits, raised, waiting, pictures]");
        }
        after.push(found);
    }
    let counts = |found: &serde_json::Value| found.as_array().unwrap()[1..].to_vec();
    // The last hundred leave as many elements and hits as those of the first hour.
    let (early, last) = (counts(&after[29]), counts(&after[99]));
    assert_eq!(early, last, "{after:?}");
    assert!(last[0].as_u64().unwrap() < 1_200, "{after:?}");
    assert!(last[1..].iter().all(|count| count.as_u64().unwrap() <= 401), "{after:?}");
    // The first one, high and not judged, is where it was.
    assert_eq!(browser.ask("return shown"), "01A");
    // The board too keeps what is to be judged, and lets go what is not.
    for n in 0..60 {
        car.board.show(&card(&format!("03{n}"), "O1ABQ", "01AB0", Priority::Low), jpeg());
    }
    let own = format!("Host: {}\r\nCookie: {}\r\n", car.address, car.page.cookie());
    assert!(get(car.address, "/hit/01A/plate.jpg", &own).starts_with("HTTP/1.1 200"));
    assert!(get(car.address, "/hit/030/plate.jpg", &own).starts_with("HTTP/1.1 404"));
    car.board.older_from(Box::new(|id, _| (id == "030").then(jpeg)));
    assert!(get(car.address, "/hit/030/plate.jpg", &own).starts_with("HTTP/1.1 200"));
}

#[test]
fn list_text_is_never_markup() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    let nasty =
        "<img src=x onerror=\"window.owned=1\"><script>window.owned=1</script>\u{202e}&amp;";
    let mut card = card("01A", "CKSV841", "CKSV841", Priority::High);
    for field in [
        &mut card.category,
        &mut card.reason,
        &mut card.source,
        &mut card.case,
        &mut card.vehicle,
        &mut card.caution,
        &mut card.action,
        &mut card.list,
        &mut card.camera,
    ] {
        *field = nasty.into();
    }
    card.jurisdiction_listed = Some(nasty.into());
    car.health.set("broker", PartState::Impaired(nasty.into()));
    browser.go(&car.url());
    car.board.show(&card, jpeg());
    browser.until("!document.getElementById('card').hidden");
    browser.press("m");
    browser.until("!document.getElementById('facts').hidden");
    assert!(browser.text("facts").contains("<script>window.owned=1</script>"));
    assert_eq!(browser.ask("return window.owned === undefined"), true);
    // The plate's picture, and the place of the vehicle's.
    assert_eq!(browser.ask("return document.querySelectorAll('main img').length"), 2);
    // And were markup ever to slip in, the page's own policy forbids it to run.
    browser.ask("const s = document.createElement('script'); s.textContent = 'window.owned=1'; document.body.append(s)");
    assert_eq!(browser.ask("return window.owned === undefined"), true);
}
