//! What the page is to an eye: sizes in minutes of arc, contrasts, and distances between colours, as Chromium draws
//! it on each of the screens and in each look; and what axe-core has to say of it.

use serde_json::Value;

use super::*;
use outrider::config::Screen;

/// Screens that cars have, all of 10.1 inches, looked at from 700 mm.
pub(super) const SCREENS: [(u32, u32); 5] =
    [(1024, 768), (1024, 600), (1280, 800), (1920, 1080), (800, 480)];
pub(super) const LOOKS: [&str; 3] = ["light", "dark", "night"];

/// Least heights of a capital, in minutes of arc.
const MAIN_ARC: f64 = 20.0;
const LEAST_ARC: f64 = 16.0;

/// Least distance of two priorities' colours, CIE76, whoever looks.
const APART: f64 = 20.0;

pub(super) fn screen_of(width: u32) -> Screen {
    Screen { diagonal_inches: 10.1, width_px: width, distance_mm: 700 }
}

/// Minutes of arc of a height on such a screen.
fn arc(px: f64, (width, height): (u32, u32)) -> f64 {
    let screen = screen_of(width);
    let aspect = (f64::from(height) / f64::from(width)).atan();
    let pitch = screen.diagonal_inches * 25.4 * aspect.cos() / f64::from(width);
    (px * pitch / 2.0 / f64::from(screen.distance_mm)).atan().to_degrees() * 2.0 * 60.0
}

type Rgb = [f64; 3];

fn colour(value: &Value) -> Rgb {
    let parts: Vec<f64> = value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    [parts[0], parts[1], parts[2]]
}

/// sRGB to linear light (IEC 61966-2-1).
fn linear(colour: Rgb) -> Rgb {
    colour.map(|c| {
        let c = c / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    })
}

fn times(matrix: [Rgb; 3], x: Rgb) -> Rgb {
    matrix.map(|row| row.iter().zip(x).map(|(m, x)| m * x).sum())
}

/// Contrast of WCAG 2: relative luminances with the veil of 0.05.
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let luminance = |c: Rgb| {
        let [r, g, b] = linear(c);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// CIELAB under D65 of linear sRGB.
fn lab(linear: Rgb) -> Rgb {
    const XYZ: [Rgb; 3] = [
        [0.412_456_4, 0.357_576_1, 0.180_437_5],
        [0.212_672_9, 0.715_152_2, 0.072_175],
        [0.019_333_9, 0.119_192, 0.950_304_1],
    ];
    const WHITE: Rgb = [0.950_47, 1.0, 1.088_83];
    let xyz = times(XYZ, linear.map(|c| c.clamp(0.0, 1.0)));
    let f = |t: f64| {
        if t > 216.0 / 24389.0 { t.cbrt() } else { (24389.0 / 27.0 * t + 16.0) / 116.0 }
    };
    let [x, y, z] = [0, 1, 2].map(|i| f(xyz[i] / WHITE[i]));
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// Who looks: matrices for linear RGB of Machado, Oliveira and Fernandes, "A Physiologically-based Model for
/// Simulation of Color Vision Deficiency", IEEE TVCG 15(6), 2009, severity 1.0.
const EYES: [(&str, [Rgb; 3]); 4] = [
    ("normal", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protanopia",
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ),
];

/// CIE76 distance of two colours to such an eye.
fn distance(a: Rgb, b: Rgb, eye: [Rgb; 3]) -> f64 {
    let (a, b) = (lab(times(eye, linear(a))), lab(times(eye, linear(b))));
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// Looks at the page, and says all that is wrong with what it shows.
pub(super) fn wrong(browser: &Browser, size: (u32, u32), look: &str, what: &str) -> Vec<String> {
    let found = browser.ask(include_str!("eye.js"));
    let mut wrong = Vec::new();
    let least_contrast = if look == "night" { 5.0 } else { 7.0 };
    let seen = found["seen"].as_array().unwrap();
    assert!(seen.len() > 5, "{what}: hardly a text is seen");
    let px = |one: &Value| one["px"].as_f64().unwrap();
    let plate = seen.iter().filter(|one| one["plate"] == true).map(px).fold(0.0, f64::max);
    for one in seen {
        let name = format!("{what}: {} in #{}", one["text"], one["id"].as_str().unwrap());
        let high = arc(one["capital"].as_f64().unwrap(), size);
        let least = if one["main"] == true { MAIN_ARC } else { LEAST_ARC };
        if high < least {
            wrong.push(format!("{name}: {high:.1} minutes of arc"));
        }
        let ratio = contrast(colour(&one["ink"]), colour(&one["ground"]));
        if ratio < least_contrast || one["opacity"] != 1.0 {
            wrong.push(format!("{name}: contrast {ratio:.1}, opacity {}", one["opacity"]));
        }
        if one["clipped"] == true || one["outside"] == true {
            wrong.push(format!("{name}: cut off"));
        }
        if one["onCard"] == true && one["plate"] == false && plate > 0.0 && px(one) >= plate {
            wrong.push(format!("{name}: as large as the plate"));
        }
    }
    for one in found["scrolls"].as_array().unwrap() {
        wrong.push(format!("{what}: scrolls or is cut: {one}"));
    }
    for picture in found["pictures"].as_array().unwrap() {
        let sides = |name: &str| {
            let both = picture[name].as_array().unwrap();
            (both[0].as_f64().unwrap(), both[1].as_f64().unwrap())
        };
        let (natural, drawn, frame) = (sides("natural"), sides("drawn"), sides("frame"));
        let bars = (drawn.0 / drawn.1) / (natural.0 / natural.1);
        if !(0.97..=1.03).contains(&bars) || (drawn.0 - frame.0).abs() > 2.5 {
            let id = &picture["id"];
            wrong.push(format!("{what}: {id} {natural:?} drawn {drawn:?} in {frame:?}"));
        }
    }
    wrong
}

fn hit(id: &str, priority: Priority) -> Card {
    let mut card = match priority {
        Priority::High => card(id, "CKSV841", "CKSVB41", priority),
        Priority::Medium => card(id, "BXRT907", "BXRT907", priority),
        Priority::Low => card(id, "O1ABQ", "01AB0", priority),
    };
    if priority != Priority::High {
        card.caution.clear();
        card.action.clear();
        card.jurisdiction_read = Some("CA-ON".into());
    }
    card
}

/// The most that a card has to hold: long words everywhere, and everything that can be wrong is.
pub(super) fn crowded(id: &str) -> Card {
    let mut card = card(id, "CKSV8410A", "CKSVB410A", Priority::High);
    card.category = "felony_vehicle".into();
    card.jurisdiction_listed = Some("CA-NL".into());
    card.syntax = Syntax::Incompatible;
    card.stale = true;
    card.caution = "armed and dangerous, two occupants, handgun seen in the glove box".into();
    card.action = "do not stop without a second unit; call the dispatcher".into();
    card.reason =
        "Stolen overnight with violence, keys taken in a break-in, owner injured; seen twice since"
            .into();
    card.others = vec![super::other()];
    card.odds = Some("about 1 in 1,200 alerts like this one is a misread".into());
    card
}

fn shown(browser: &Browser, id: &str) {
    browser.until(&format!("document.getElementById('card').dataset.hit === '{id}'"));
    browser.until("document.getElementById('picture').naturalWidth === 118");
    browser.until("document.getElementById('context').naturalWidth === 400");
    // The frame that announces a hit moves for a second and a half.
    browser.ask("document.getElementById('card').classList.remove('fresh')");
}

#[test]
fn every_text_is_large_and_clear_enough_on_every_screen_in_every_look() {
    let Some(browser) = Browser::start() else { return };
    let mut bad = Vec::new();
    for size in SCREENS {
        let car = Car::start_on(screen_of(size.0));
        browser.size(size.0, size.1);
        browser.go(&car.url());
        browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
        let (width, height) = size;
        let mut look_at = |what: &str| {
            for look in LOOKS {
                browser.ask(&format!("look('{look}')"));
                let name = format!("{what}-{look}-{width}x{height}");
                bad.extend(wrong(&browser, size, look, &name));
                browser.keep_picture(&name);
            }
        };
        look_at("watch");
        for priority in [Priority::Low, Priority::Medium, Priority::High] {
            let id = format!("01{priority:?}");
            car.board.show(&hit(&id, priority), pictures());
            shown(&browser, &id);
            look_at(&format!("{priority:?}").to_lowercase());
        }
        browser.press("m");
        browser.until("!document.getElementById('facts').hidden");
        look_at("more");
        browser.press("m");
        // Another high one waits behind the first; then the crowded one is brought to the front, and a camera fails.
        car.board.show(&crowded("01Crowded"), pictures());
        browser.until("!document.getElementById('next').hidden");
        browser.press("w");
        shown(&browser, "01Crowded");
        look_at("crowded");
        car.front_runs.store(false, Ordering::Relaxed);
        browser.until("!document.getElementById('banner').hidden");
        look_at("crowded-blind");
    }
    assert!(bad.is_empty(), "{} things are wrong:\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn priorities_differ_in_shape_bars_lightness_and_colour_for_every_eye() {
    let Some((browser, car)) = watching(1024, 600) else { return };
    let mut marks = Vec::new();
    let mut tints = vec![Vec::new(); LOOKS.len()];
    for priority in [Priority::Low, Priority::Medium, Priority::High] {
        let id = format!("01{priority:?}");
        car.board.show(&hit(&id, priority), pictures());
        shown(&browser, &id);
        let bars = browser.ask(
            "return [...document.querySelectorAll('.bars i')].filter((i) => getComputedStyle(i).backgroundColor !== 'rgba(0, 0, 0, 0)').length",
        );
        marks.push((browser.text("priority"), bars.as_u64().unwrap()));
        for (look, tints) in LOOKS.iter().zip(&mut tints) {
            browser.ask(&format!("look('{look}')"));
            let tint = browser.ask(
                "return getComputedStyle(document.querySelector('#card .top')).backgroundColor.match(/[\\d.]+/g).map(Number)",
            );
            tints.push(colour(&tint));
        }
    }
    assert_eq!(
        marks,
        [("● LOW".into(), 1), ("◆ MEDIUM".into(), 2), ("▲ HIGH".into(), 3)],
        "shape and bars"
    );
    for (look, tints) in LOOKS.iter().zip(&tints) {
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            for (eye, matrix) in EYES {
                let apart = distance(tints[a], tints[b], matrix);
                eprintln!("{look}, {eye}: {} and {} are {apart:.0} apart", marks[a].0, marks[b].0);
                assert!(
                    apart >= APART,
                    "{look}, {eye}: {:?} and {:?} are {apart}",
                    marks[a],
                    marks[b]
                );
            }
            let lightness = |i: usize| lab(linear(tints[i]))[0];
            let step = (lightness(a) - lightness(b)).abs();
            assert!(
                step >= 4.0,
                "{look}: {:?} and {:?} are alike in lightness",
                marks[a],
                marks[b]
            );
        }
    }
    // The control: colours that an eye without red receptors takes for one are found to be so.
    assert!(distance([184.0, 21.0, 11.0], [143.0, 74.0, 0.0], EYES[1].1) < 30.0);
    assert!((contrast([0.0; 3], [255.0; 3]) - 21.0).abs() < 0.01);
}

/// axe-core, or said loudly why not.
pub(super) fn axe() -> Option<String> {
    let path = "build/axe/package/axe.min.js";
    let axe = std::fs::read_to_string(path);
    if axe.is_err() {
        let why = format!("{path} is not there: run scripts/axe.sh");
        skips::skipped("axe-core on the console", &why);
    }
    axe.ok()
}

/// Lets axe-core, which is in the page, look at all of it.
pub(super) fn assert_axe_finds_nothing(browser: &Browser, what: &str) {
    browser.ask(
        "window.found = null; axe.run(document, { resultTypes: ['violations'] }).then((r) => {
           window.found = r.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join('; ')}`);
         }, (e) => { window.found = [String(e)]; })",
    );
    browser.until("window.found !== null");
    assert_eq!(browser.ask("return window.found"), serde_json::json!([]), "{what}");
}

#[test]
fn axe_core_finds_nothing_on_card_and_watch() {
    let Some(browser) = Browser::start() else { return };
    let Some(axe) = axe() else { return };
    let car = Car::start();
    browser.size(1024, 600);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    browser.ask(&axe);
    let check = |what: &str| assert_axe_finds_nothing(&browser, what);
    check("watch");
    for look in LOOKS {
        browser.ask(&format!("look('{look}')"));
        car.board.show(&hit(&format!("01{look}"), Priority::Medium), pictures());
        browser.until("!document.getElementById('card').hidden");
        browser.ask("document.getElementById('card').classList.remove('fresh')");
        check(look);
    }
    browser.press("m");
    check("more");
}
