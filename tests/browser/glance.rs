//! The cards of the glance trial (docs/console/glance.md): six hits that a number draws, as the page shows them 1.5 s after
//! they arrive, and the answers to the trial's questions in a file of their own.
//!
//! `OUTRIDER_GLANCE=27 cargo test --workspace --features testing --test console cards_of_the_glance_trial` writes
//! `glance-1.png` to `glance-6.png` and `glance-answers.json` into `target/screens/`; every second picture is blurred,
//! as by an eye that is not on the screen. Whoever is asked sees the pictures, and the answers afterwards.

use super::*;

/// How long the test's shutter is open: NHTSA's occlusion test.
const GLANCE: Duration = Duration::from_millis(1_500);

#[test]
fn cards_of_the_glance_trial_are_drawn() {
    let Some(browser) = Browser::start() else { return };
    let number = std::env::var("OUTRIDER_GLANCE").unwrap_or_else(|_| "27".into());
    let mut chance = Chance::new(number.parse().expect("OUTRIDER_GLANCE is a number"));
    let mut answers = Vec::new();
    browser.size(1024, 600);
    for n in 1..=6 {
        let car = Car::start();
        browser.go(&car.url());
        let (card, on_the_plate) = drawn(&mut chance, n);
        let picture = picture_of(&on_the_plate);
        answers.push(serde_json::json!({
            "card": n,
            "priority": card.priority,
            "category": card.category,
            "read": read(&card, |pair| pair.read),
            "listed": read(&card, |pair| pair.listed),
            "jurisdiction_read": card.jurisdiction_read,
            "jurisdiction_listed": card.jurisdiction_listed,
            "caution": card.caution,
            "action": card.action,
        }));
        car.board.show(&card, picture);
        browser.until(&format!("document.getElementById('card').dataset.hit === '{}'", card.id));
        if n % 2 == 0 {
            browser.ask("document.body.style.filter = 'blur(2px)'");
        }
        std::thread::sleep(GLANCE);
        let beware = browser.text("beware");
        let caution = if card.caution.is_empty() { "No caution listed" } else { &card.caution };
        let action = if card.action.is_empty() { "No instruction listed" } else { &card.action };
        assert!(beware.contains(caution) && beware.contains(action), "card {n}: {beware}");
        browser.keep_picture(&format!("glance-{n}"));
    }
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screens");
    let text = serde_json::to_string_pretty(&answers).unwrap();
    std::fs::write(file.join("glance-answers.json"), text).unwrap();
}

fn read(card: &Card, of: impl Fn(&outrider::alert::card::Pair) -> Option<char>) -> String {
    card.pairs.iter().filter_map(of).collect()
}

/// A hit that chance draws: what the card shows, and the plate on the vehicle.
fn drawn(chance: &mut Chance, n: u32) -> (Card, String) {
    let mut pick = |of: usize| chance.below(of);
    let letters = b"ABCEHJKLMNPRSTVWXYZ";
    let mut read: Vec<char> = (0..4).map(|_| char::from(letters[pick(letters.len())])).collect();
    read.extend((0..3).map(|_| char::from(b'0' + pick(10) as u8)));
    let mut listed = read.clone();
    if pick(2) == 0 {
        let at = pick(4);
        listed[at] = char::from(letters[pick(letters.len())]);
    }
    let (read, listed): (String, String) =
        (read.into_iter().collect(), listed.into_iter().collect());
    let priority = [Priority::High, Priority::Medium, Priority::Low][pick(3)];
    let mut card = card(&format!("01GLANCE{n:018}"), &read, &listed, priority);
    card.category =
        ["stolen_vehicle", "warrant", "suspended_driver", "stolen_plate"][pick(4)].into();
    card.caution = ["", "armed and dangerous", "child in vehicle"][pick(3)].into();
    card.action = ["", "stop", "do not stop alone", "report only"][pick(4)].into();
    card.plate_px = 118;
    match pick(3) {
        0 => {}
        1 => {
            card.jurisdiction_read = Some("CA-ON".into());
            card.jurisdiction_confidence = Some(0.98);
            card.jurisdictions = Agreement::Same;
        }
        _ => {
            card.jurisdiction_read = Some("US-MI".into());
            card.jurisdiction_confidence = Some(0.97);
            card.jurisdictions = Agreement::Other;
        }
    }
    let on_the_plate = format!("{} {}", &read[..4], &read[4..]);
    (card, on_the_plate)
}
