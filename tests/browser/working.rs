//! How an officer works hits: what the second tick does, whose turn it is, a picture that is large, a hit at its end, a
//! car without sound.

use super::begin::{open, sign_in_here, told};
use super::desk::{opened, press, raised, stands};
use super::eye::{LOOKS, SCREENS, assert_axe_finds_nothing, axe, crowded, screen_of, wrong};
use super::*;
use outrider::audit::AuditEvent;

fn front(browser: &Browser, id: &str) {
    browser.until(&format!(
        "document.getElementById('card').dataset.hit === '{id}' && !document.getElementById('card').hidden"
    ));
}

#[test]
fn second_tick_says_what_it_does_before_it_is_made() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    browser.size(1024, 600);
    opened(&browser, &car, "1234");
    let says = |what: &str| {
        let text = browser.ask(&format!(
            "return document.querySelector('[data-move={what}]').innerText.replace(/\\s+/g, ' ')"
        ));
        text.as_str().unwrap().to_owned()
    };
    for (n, first, second) in [(1, "characters", "jurisdiction"), (2, "jurisdiction", "characters")]
    {
        let id = raised(&car, n, Priority::High);
        front(&browser, &id);
        for what in [first, second] {
            assert!(
                !says(what).contains("confirms"),
                "one tick alone confirms nothing: {}",
                says(what)
            );
        }
        press(&browser, first);
        browser.until("document.querySelector('#moves .commits')");
        assert!(!says(first).contains("confirms"), "{}", says(first));
        assert!(says(second).ends_with("confirms it"), "{}", says(second));
        assert!(car.outbox.dispositions(testing_hit(n).id()).unwrap().is_empty());
        browser.keep_picture(&format!("second-tick-{first}-dark-1024x600"));
        // A tick that is taken away takes the word with it; the second one does what it says, in two inputs as ever.
        press(&browser, first);
        browser.until("!document.querySelector('#moves .commits')");
        press(&browser, first);
        press(&browser, second);
        stands(&browser, "CONFIRMED BY SIGHT");
    }
}

/// A hit that was seen so many seconds ago.
fn seen_ago(id: &str, priority: Priority, seconds: i64) -> Card {
    let mut card = card(id, "CKSV841", "CKSV841", priority);
    card.seen = Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    card
}

#[test]
fn hits_of_one_priority_come_by_turns_and_none_waits_for_ever() {
    let Some((browser, car)) = watching(1280, 800) else { return };
    // One in front, and behind it three that wait since minutes, two whose vehicle may be in sight, and a lesser one.
    for (id, priority, ago) in [
        ("Front", Priority::High, 200),
        ("Old1", Priority::High, 190),
        ("Old2", Priority::High, 180),
        ("Old3", Priority::High, 170),
        ("New1", Priority::High, 2),
        ("Low", Priority::Low, 1),
        ("New2", Priority::High, 0),
    ] {
        car.board.show(&seen_ago(id, priority, ago), jpeg());
    }
    browser.until("waiting.size === 6");
    front(&browser, "Front");
    let rows = || {
        browser.ask("return [...document.querySelectorAll('#waiting .hit')].map((b) => b.dataset.id).join(' ')")
    };
    let next = || {
        browser.press("w");
        browser.ask("return shown").as_str().unwrap().to_owned()
    };
    // The row shows the order in which they come; the one in front was an old one.
    assert_eq!(rows(), "New2 Old1 New1 Old2 Old3 Low");
    browser.until("document.getElementById('next-says').textContent === 'Next (6, 3 min)'");
    assert_eq!(browser.text("waiting-title"), "Waiting (6, longest 3 min)");
    browser.keep_picture("queue-by-turns-dark-1280x800");
    assert_eq!([next(), next()], ["New2", "Old1"]);
    // Newer ones come all the time; every old one has its turn all the same, and one that was left comes again last.
    let mut came = Vec::new();
    for n in 3..=9 {
        car.board.show(&seen_ago(&format!("New{n}"), Priority::High, 0), jpeg());
        browser.until(&format!("waiting.has('New{n}')"));
        came.push(next());
    }
    assert_eq!(came, ["New3", "Old2", "New5", "Old3", "New7", "Front", "New9"]);
    // Time passes, and what may have been in sight is no longer: the row is drawn anew by itself.
    browser.until("document.querySelector('#waiting .hit').dataset.id === 'New2'");
    browser.ask("for (const one of waiting.values()) if (!one.left) one.since -= 40000");
    browser.until("document.querySelector('#waiting .hit').dataset.id === 'New1'");
    // A stream that does not end: whoever presses often enough has seen every hit.
    let left = browser.ask("return waiting.size").as_u64().unwrap();
    let seen: std::collections::BTreeSet<String> = (0..left).map(|_| next()).collect();
    assert_eq!(seen.len() as u64, left, "{seen:?}");
    // The lesser one waits for all of these, and is not forgotten.
    assert_eq!(browser.ask("return queue().at(-1).id"), "Low");
    // One whose time is ahead, because the car's clock was set back since, goes out of sight as every other.
    car.board.show(&seen_ago("Ahead", Priority::Medium, -3_600), jpeg());
    browser.until("waiting.has('Ahead')");
    let may_be_in_sight = || browser.ask("return mayBeInSight(hits.get('Ahead'))");
    assert_eq!(may_be_in_sight(), true);
    browser.ask("waiting.get('Ahead').since -= 40000");
    assert_eq!(may_be_in_sight(), false);
}

/// What of the card can be pressed, and whether each of it is what a finger would hit.
const PRESSABLE: &str = "
    const all = [...document.querySelectorAll('main button')].filter((one) => one.checkVisibility());
    return all.map((one) => {
      const r = one.getBoundingClientRect();
      const hit = document.elementFromPoint((r.left + r.right) / 2, (r.top + r.bottom) / 2);
      return (one.id || one.innerText.split(/\\s/)[0]) + (one.contains(hit) ? '' : ' COVERED');
    }).join(' ');";

#[test]
fn picture_is_large_at_one_press_and_whatever_comes_is_in_front_all_the_same() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    browser.size(1024, 600);
    opened(&browser, &car, "1234");
    // It is for a moving car too.
    car.parked.store(false, Ordering::Relaxed);
    browser.until("document.body.classList.contains('driving')");
    let hit = testing_hit(1);
    car.outbox.record(&hit).unwrap();
    let id = hit.id().to_string();
    car.board.show(&card(&id, "CKSV841", "CKSV841", Priority::Medium), pictures());
    front(&browser, &id);
    browser.until("document.getElementById('context').naturalWidth === 400 && document.getElementById('picture').naturalWidth === 118");
    let wide = |id: &str| {
        let px = format!(
            "const i = document.getElementById('{id}'); return i.checkVisibility() ? i.getBoundingClientRect().width : 0"
        );
        browser.ask(&px).as_f64().unwrap()
    };
    let (plate, context) = (wide("picture"), wide("context"));
    let card_again = |how: &str| {
        assert_eq!((wide("picture"), wide("context")), (plate, context), "{how}");
        let moves =
            browser.ask("return document.querySelectorAll('[data-move=characters]').length");
        assert_eq!(moves, 1, "{how}");
    };
    // By pointer and by key; by another press and by Esc.
    browser.ask("document.getElementById('enlarge-plate').click()");
    assert!(wide("picture") > 2.5 * plate, "{plate} and then {}", wide("picture"));
    assert_eq!(wide("context"), 0.0);
    assert_eq!(browser.ask(PRESSABLE), "enlarge-plate Vehicle Back");
    let says = browser.text("large-says");
    assert!(says.contains("CKSV841") && says.contains("Ontario"), "{says}");
    // No press and no key judges what is not in sight.
    for key in ["c", "j"] {
        browser.press(key);
    }
    assert_eq!(browser.ask("return Object.keys(compared).length"), 0);
    browser.ask("document.getElementById('enlarge-plate').click()");
    card_again("a press on the picture");
    browser.press("p");
    browser.press("p");
    assert!(wide("context") > 2.0 * context && wide("picture") == 0.0, "{}", wide("context"));
    assert_eq!(browser.ask(PRESSABLE), "enlarge-context Plate Back");
    browser.keep_picture("large-context-dark-1024x600");
    browser.press("Escape");
    card_again("Esc");
    // The keyboard reaches both.
    let reached = browser.ask(
        "return ['plate', 'context'].map((what) => {
           const one = document.getElementById(`enlarge-${what}`); one.focus();
           return document.activeElement === one && one.tabIndex === 0 }).join(' ')",
    );
    assert_eq!(reached, "true true");

    // One that is no more urgent waits while somebody looks; a stopped camera is told; a high one comes in front.
    browser.press("p");
    car.board.show(&card("01Equal", "BXRT907", "BXRT907", Priority::Medium), jpeg());
    browser.until("document.getElementById('next-says').textContent === 'Next (1)'");
    car.front_runs.store(false, Ordering::Relaxed);
    browser.until("!document.getElementById('banner').hidden");
    assert_eq!(browser.ask(&format!("return large.hit === '{id}'")), true);
    browser.keep_picture("large-blind-dark-1024x600");
    car.board.show(&card("01High", "BXRT907", "BXRT907", Priority::High), pictures());
    front(&browser, "01High");
    assert_eq!(browser.ask("return large"), serde_json::Value::Null);
    assert!(browser.ask(PRESSABLE).as_str().unwrap().contains("Characters"));
    // In a moving car too it can be judged after the look.
    browser.press("p");
    browser.press("Escape");
    browser.until("document.querySelector('[data-move=characters]')");
    assert_eq!(
        browser.ask("return shown"),
        "01High",
        "Esc gave the card back and left it in front"
    );
}

#[test]
fn large_pictures_fit_every_screen_in_every_look() {
    let Some(browser) = Browser::start() else { return };
    let axe = axe();
    let mut bad = Vec::new();
    for size in SCREENS {
        let car = Car::start_on(screen_of(size.0));
        browser.size(size.0, size.1);
        browser.go(&car.url());
        browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
        car.board.show(&crowded("01Crowded"), pictures());
        front(&browser, "01Crowded");
        browser.until("[...pictures.values()].every(({ plate, context }) => plate.naturalWidth && context.naturalWidth)");
        browser.ask("document.getElementById('card').classList.remove('fresh')");
        for what in ["plate", "context"] {
            browser.press("p");
            for look in LOOKS {
                browser.ask(&format!("look('{look}')"));
                let name = format!("large-{what}-{look}-{}x{}", size.0, size.1);
                bad.extend(wrong(&browser, size, look, &name));
                let pressed = browser.ask(PRESSABLE).as_str().unwrap().to_owned();
                if pressed.contains("COVERED") {
                    bad.push(format!("{name}: {pressed}"));
                }
                browser.keep_picture(&name);
                if let Some(axe) = axe.as_ref().filter(|_| size == (1024, 600)) {
                    browser.ask(axe);
                    assert_axe_finds_nothing(&browser, &name);
                }
            }
        }
    }
    assert!(bad.is_empty(), "{} things are wrong:\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn hit_that_has_come_to_its_end_looks_finished_and_asks_for_nothing() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    browser.size(1024, 600);
    opened(&browser, &car, "1234");
    let id = raised(&car, 1, Priority::High);
    front(&browser, &id);
    let ground = || {
        browser.ask("return getComputedStyle(document.querySelector('#card .top')).backgroundColor")
    };
    let open = ground();
    press(&browser, "characters");
    press(&browser, "jurisdiction");
    stands(&browser, "CONFIRMED BY SIGHT");
    assert_eq!(ground(), open, "confirmed is not finished");
    assert_eq!(browser.text("priority"), "▲ HIGH");
    press(&browser, "outcome");
    press(&browser, "citation");
    stands(&browser, "ENDED: CITATION");
    assert_ne!(ground(), open);
    assert_eq!(browser.text("priority"), "✓ ENDED");
    assert!(!browser.text("standing").contains("grounds"), "{}", browser.text("standing"));
    assert_eq!(browser.text("action"), "Nothing more to do");
    let alarms = browser.ask("return [...document.querySelectorAll('#card .warns, #card .bars')].filter((one) => one.checkVisibility()).length");
    assert_eq!(alarms, 0);
    browser.keep_picture("ended-dark-1024x600");
    // So it does among the others; its plate can still be copied, and its word taken back.
    let row = browser
        .ask(&format!("return document.querySelector('.hit[data-id=\"{id}\"]').textContent"));
    assert!(row.as_str().unwrap().contains("✓ ENDED"), "{row}");
    press(&browser, "taken_back");
    press(&browser, "looked_again");
    stands(&browser, "UNVERIFIED");
    assert_eq!((browser.text("priority"), ground()), ("▲ HIGH".into(), open));
}

#[test]
fn car_without_sound_says_so_at_the_start_of_a_shift_and_asks_about_no_tone() {
    let Some(browser) = Browser::start() else { return };
    let mut bad = Vec::new();
    for size in [(800, 480), (1024, 600)] {
        let car = Car::start_on(screen_of(size.0));
        let down =
            || PartState::Down("sound device \"default\": No such device: see aplay -L".into());
        car.health.set("sound", down());
        browser.size(size.0, size.1);
        open(&browser, &car);
        sign_in_here(&browser, "1234");
        browser.until("!document.getElementById('shift-silent').hidden");
        let says = browser.text("shift-silent");
        assert!(says.starts_with("NO SOUND") && says.contains("keep it in sight"), "{says}");
        let asked = "return ['tone', 'heard', 'not-heard'].filter((id) => document.getElementById(id).checkVisibility()).length";
        assert_eq!(browser.ask(asked), 0);
        assert!(!browser.text("begin").contains("tone"), "{}", browser.text("begin"));
        for look in LOOKS {
            browser.ask(&format!("look('{look}')"));
            let name = format!("shift-silent-{look}-{}x{}", size.0, size.1);
            bad.extend(wrong(&browser, size, look, &name));
            browser.keep_picture(&name);
        }
        // Nobody can say that it was heard, on no other page either.
        let officer = page::sign_in(&car.page, "9", PIN);
        told(&page::send(&car.page, &officer, "/shift/tone", "{}"), 422, "the car has no sound");
        let version = page::start_of_shift(&car.page, &officer)["version"].clone();
        let heard = format!(r#"{{"version":{version},"heard":true}}"#);
        told(&page::send(&car.page, &officer, "/shift/begin", &heard), 422, "play the tone first");
        assert_eq!(car.tones.load(Ordering::Relaxed), 0);
        // The sound comes back, and the question with it; one that is heard and lost again is no answer.
        car.health.set("sound", PartState::Working);
        browser.until("document.getElementById('shift-silent').hidden");
        assert_eq!(browser.ask(asked), 3);
        told(&page::send(&car.page, &officer, "/shift/tone", "{}"), 200, "");
        car.health.set("sound", down());
        browser.until("!document.getElementById('shift-silent').hidden");
        let version = page::start_of_shift(&car.page, &officer)["version"].clone();
        let heard = format!(r#"{{"version":{version},"heard":true}}"#);
        told(&page::send(&car.page, &officer, "/shift/begin", &heard), 422, "no tone was heard");
        browser.ask("document.getElementById('begin').click()");
        browser.until("document.getElementById('shift').hidden");
        let begun =
            car.audit.recent(200).unwrap().into_iter().find_map(|record| match record.event {
                AuditEvent::ShiftBegun { lines, heard } => Some((lines, heard)),
                _ => None,
            });
        let (lines, heard) = begun.unwrap();
        assert!(
            !heard && lines.iter().any(|line| line.what == "Sound" && line.is == "not_well"),
            "{lines:?}"
        );
    }
    assert!(bad.is_empty(), "{} things are wrong:\n{}", bad.len(), bad.join("\n"));
}
