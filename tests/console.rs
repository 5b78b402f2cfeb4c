//! The officer's page in a real browser: what it shows of hits and health, how soon, and that
//! nothing on a list can be more than text there.

#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod browser;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use browser::Browser;
use jiff::Timestamp;
use outrider::alert::card::{Card, Other, pairs};
use outrider::alert::console::board::{Board, Hello};
use outrider::alert::console::status::{Beside, ListStatus};
use outrider::alert::console::{Console, ConsoleError};
use outrider::clock::SystemClock;
use outrider::config::ConsoleConfig;
use outrider::gps::{Fix, Position};
use outrider::health::{Health, PartState};
use outrider::hotlist::Priority;
use outrider::onboard::MatchKind;
use outrider::onboard::frame::CameraId;
use outrider::plate::syntax::Syntax;

/// A console whose cameras deliver frames from a thread until they are stopped.
struct Car {
    runtime: tokio::runtime::Runtime,
    console: Option<Console>,
    address: SocketAddr,
    board: Arc<Board>,
    health: Arc<Health>,
    front_runs: Arc<AtomicBool>,
    all: Arc<AtomicBool>,
}

impl Car {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let board = Arc::new(Board::new(&Hello {
            vehicle: "4127".into(),
            agency: "peel".into(),
            version: "0.1.0".into(),
        }));
        let health = Arc::new(Health::default());
        let names = ["front", "left"].map(CameraId::new);
        let (front_runs, all) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        for (part, state) in [
            ("camera/front", PartState::Working),
            ("camera/left", PartState::Working),
            ("gps", PartState::Working),
            ("broker", PartState::Working),
            ("sound", PartState::Working),
        ] {
            health.set(part, state);
        }
        let (h, f, a, n) = (health.clone(), front_runs.clone(), all.clone(), names.clone());
        std::thread::spawn(move || {
            while a.load(Ordering::Relaxed) {
                for (name, runs) in [(&n[0], f.load(Ordering::Relaxed)), (&n[1], true)] {
                    if runs {
                        h.camera(name).frames.one();
                        h.camera(name).looked.one();
                    }
                }
                std::thread::sleep(Duration::from_millis(33));
            }
        });
        let config = ConsoleConfig { listen: "127.0.0.1:0".parse().unwrap(), ..Default::default() };
        let console = runtime
            .block_on(Console::start(
                &config,
                board.clone(),
                names.to_vec(),
                Arc::new(SystemClock),
                health.clone(),
                (Box::new(beside), None),
            ))
            .unwrap();
        let address = console.address();
        Self { runtime, console: Some(console), address, board, health, front_runs, all }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn stop_console(&mut self) {
        let console = self.console.take().unwrap();
        self.runtime.block_on(console.stop());
    }
}

impl Drop for Car {
    fn drop(&mut self) {
        self.all.store(false, Ordering::Relaxed);
    }
}

fn beside() -> Beside {
    let list = |name: &str, entries, hours: i64, stale| ListStatus {
        name: name.into(),
        version: "17".into(),
        entries,
        source_time: Timestamp::now() - jiff::SignedDuration::from_hours(hours),
        stale,
    };
    Beside {
        lists: vec![list("stolen", 18_240, 1, false), list("suspended", 7_031, 30, true)],
        hotplates: None,
        position: fixed(),
        waiting: 0,
        kept: "not kept".into(),
        hidden: std::collections::BTreeSet::new(),
        past: Vec::new(),
    }
}

fn fixed() -> Position {
    Position::Fixed {
        fix: Fix {
            latitude: 43.589_07,
            longitude: -79.644_12,
            accuracy_m: Some(3.2),
            speed_mps: Some(13.4),
            heading_deg: Some(352.0),
            time: None,
            three_d: true,
        },
        age: Duration::from_millis(120),
        interpolated: true,
    }
}

fn card(id: &str, read: &str, listed: &str, priority: Priority) -> Card {
    Card {
        id: id.into(),
        category: match priority {
            Priority::High => "stolen_vehicle",
            Priority::Medium => "suspended_driver",
            Priority::Low => "expired_registration",
        }
        .into(),
        priority,
        match_kind: if read == listed { MatchKind::Exact } else { MatchKind::LookAlike },
        pairs: pairs(read, listed),
        jurisdiction_read: None,
        jurisdiction_listed: Some("CA-ON".into()),
        syntax: Syntax::Compatible,
        stale: false,
        list: "stolen".into(),
        list_time: Timestamp::now() - jiff::SignedDuration::from_mins(62),
        reason: "Stolen overnight, keys taken in a break-in".into(),
        source: "Peel Regional Police".into(),
        case: "25-118402".into(),
        vehicle: "2019 Honda CR-V, grey".into(),
        camera: "front".into(),
        seen: Timestamp::now(),
        frames: 11,
        weakest: 0.88,
        position: fixed(),
        plate_px: 118,
        others: vec![],
    }
}

/// A picture that stands for a plate: the page only has to show it.
fn jpeg() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(118, 60, |x, y| {
        let edge = !(4..114).contains(&x) || !(4..56).contains(&y);
        let glyph = (14..46).contains(&y) && x % 15 > 5 && (x / 15 + y / 9) % 3 != 0;
        if edge || glyph { image::Rgb([30, 52, 110]) } else { image::Rgb([214, 220, 228]) }
    });
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, image::ImageFormat::Jpeg).unwrap();
    out.into_inner()
}

/// Everything that must be in sight at arm's length is: inside the window, and nothing is wider
/// than the window.
fn assert_in_sight(browser: &Browser, ids: &[&str], what: &str) {
    let wide = browser.ask("return document.documentElement.scrollWidth - innerWidth");
    assert!(wide.as_i64().unwrap() <= 0, "{what}: the page is {wide} px too wide");
    for id in ids {
        let hidden = browser.ask(&format!(
            "const r = document.querySelector('{id}').getBoundingClientRect();
             return [r.left, r.top, innerWidth - r.right, innerHeight - r.bottom, r.width - 1, r.height - 1]
               .filter((d) => d < -0.5).length"
        ));
        assert_eq!(hidden, 0, "{what}: {id} is not wholly in sight");
    }
}

#[test]
fn officer_sees_the_hit_and_what_to_compare() {
    let Some(browser) = Browser::start() else { return };
    let mut car = Car::start();
    browser.size(1280, 800);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    browser.until("! /(^|[^0-9])0 fps/.test(document.getElementById('chips').innerText)");
    for look in ["dark", "light", "night"] {
        for (w, h) in [(1280, 800), (1024, 600), (390, 844)] {
            browser.size(w, h);
            browser.ask(&format!("look('{look}')"));
            assert_in_sight(&browser, &["#watch-word", "#chips"], &format!("{look} {w}x{h}"));
            browser.keep_picture(&format!("watch-{look}-{w}x{h}"));
        }
    }
    let chips = browser.text("chips");
    for part in
        ["front", "fps", "GPS 3D ±3 m", "stolen 1 h", "Link ok", "Non-hits not kept", "Sound on"]
    {
        assert!(chips.contains(part), "{part:?} is missing from the status row: {chips}");
    }

    // A hit appears by itself, with all that is needed to compare.
    let mut approximate = card("01A", "CKSV841", "CKSVB41", Priority::High);
    approximate.others = vec![Other {
        listed: "CKSV841".into(),
        category: "expired_registration".into(),
        priority: Priority::Low,
        match_kind: MatchKind::Exact,
        jurisdiction: Some("US-MI".into()),
        list: "expired".into(),
    }];
    car.board.show(&approximate, jpeg());
    let took = browser.until("document.getElementById('card').dataset.hit === '01A'");
    eprintln!("hit on the page after {took:?}");
    let seen = browser.text("card");
    for part in [
        "STOLEN VEHICLE",
        "▲ HIGH",
        "UNVERIFIED not grounds for a stop",
        "C K S V 8 4 1",
        "C K S V B 4 1",
        "jurisdiction not read",
        "Ontario",
        "≈ APPROXIMATE: 8 read, B listed",
        "2019 Honda CR-V, grey",
        "Stolen overnight",
        "Peel Regional Police",
        "25-118402",
        "stolen, its source is 1 h old",
        "43.58907, -79.64412 · ±3 m · N-bound · 48 km/h",
        "11 frames, weakest character 88 %",
        "· jurisdiction not compared",
        "= CKSV841 Michigan: expired registration (expired)",
        "118 px wide",
    ] {
        assert!(seen.contains(part), "{part:?} is missing from the card: {seen}");
    }
    let marked = browser.ask("return document.querySelectorAll('#read .differs').length");
    assert_eq!(marked, 1, "exactly the differing character is marked");
    browser.until("document.getElementById('picture').naturalWidth === 118");
    for look in ["dark", "light", "night"] {
        for (w, h) in [(1280, 800), (1024, 600), (390, 844)] {
            browser.size(w, h);
            browser.ask(&format!("look('{look}')"));
            let ids =
                ["#category", "#priority", ".unverified", "#read", "#listed", "#sign", "figure"];
            assert_in_sight(&browser, &ids, &format!("{look} {w}x{h}"));
            browser.keep_picture(&format!("hit-{look}-{w}x{h}"));
        }
    }

    // A lesser hit waits beside it, a page opened later gets both.
    browser.size(1280, 800);
    browser.ask("look('dark')");
    car.board.show(&card("01B", "BXRT907", "BXRT907", Priority::Medium), jpeg());
    browser.until("document.getElementById('waiting-title').textContent === 'Waiting (1)'");
    let mut no_fix = card("01C", "O1ABQ", "01AB0", Priority::Low);
    no_fix.match_kind = MatchKind::Exact;
    no_fix.position = Position::NoFix;
    car.board.show(&no_fix, jpeg());
    browser.until("document.getElementById('waiting-title').textContent === 'Waiting (2)'");
    browser.keep_picture("queue-dark-1280x800");
    browser.press("ArrowUp");
    browser.press("ArrowUp");
    browser.until("document.getElementById('card').dataset.hit === '01B'");
    let sign = browser.text("sign");
    assert_eq!(sign, "= EXACT, every character · jurisdiction not compared");
    browser.ask("document.querySelector('.hit[data-id=\"01C\"]').click()");
    browser.until("document.getElementById('card').dataset.hit === '01C'");
    let seen = browser.text("card");
    assert!(
        seen.contains("NO FIX") && seen.contains("= EXACT, with O and 0, I and 1 taken as equal"),
        "{seen}"
    );
    browser.keep_picture("folded-no-fix-dark-1280x800");
    browser.press("Escape");
    browser.until("!document.getElementById('watch').hidden");
    browser.go(&car.url());
    browser.until("document.querySelectorAll('.hit').length === 3");

    // The daemon goes away, and the page says so.
    car.stop_console();
    let took =
        browser.until("document.getElementById('banner').textContent.startsWith('NOT CONNECTED')");
    assert!(took < Duration::from_secs(4), "lost connection shown after {took:?}");
    browser.keep_picture("lost-dark-1280x800");
}

#[test]
fn camera_that_stops_is_on_the_screen_within_two_seconds() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    browser.size(1280, 800);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
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
    browser.until("document.getElementById('chips').innerText.includes('Sound NONE')");
    car.health.set("hotlist/wanted", PartState::Down("wanted.csv is not there".into()));
    browser.until("document.getElementById('chips').innerText.includes('wanted NOT LOADED')");
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
    assert!(browser.text("facts").contains("<script>window.owned=1</script>"));
    assert_eq!(browser.ask("return window.owned === undefined"), true);
    assert_eq!(browser.ask("return document.querySelectorAll('main img').length"), 1);
    // And were markup ever to slip in, the page's own policy forbids it to run.
    browser.ask("const s = document.createElement('script'); s.textContent = 'window.owned=1'; document.body.append(s)");
    assert_eq!(browser.ask("return window.owned === undefined"), true);
}

fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn foreign_names_and_sites_get_nothing() {
    let car = Car::start();
    car.board.show(&card("01A", "CKSV841", "CKSV841", Priority::High), jpeg());
    let port = car.address.port();
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    let page = get(car.address, "/", &own);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("default-src 'none'"), "{page}");
    assert!(get(car.address, "/hit/01A/plate.jpg", &own).contains("image/jpeg"));
    assert!(get(car.address, "/hit/01Z/plate.jpg", &own).starts_with("HTTP/1.1 404"));
    for (path, headers, status) in [
        ("/", format!("Host: evil.example:{port}\r\n"), "421"),
        ("/events", format!("Host: evil.example:{port}\r\n"), "421"),
        ("/hit/01A/plate.jpg", format!("Host: evil.example:{port}\r\n"), "421"),
        ("/no-such-page", format!("Host: evil.example:{port}\r\n"), "421"),
        ("/events", format!("{own}Origin: http://evil.example\r\n"), "403"),
        ("/hit/01A/plate.jpg", format!("{own}Sec-Fetch-Site: cross-site\r\n"), "403"),
    ] {
        let answer = get(car.address, path, &headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {headers}: {answer}");
        assert!(answer.contains("content-security-policy"), "{answer}");
        assert!(!answer.contains("CKSV"), "{answer}");
    }
}

#[test]
fn port_that_is_taken_is_named_with_what_to_do() {
    let car = Car::start();
    let config = ConsoleConfig { listen: car.address, ..Default::default() };
    let second = car.runtime.block_on(Console::start(
        &config,
        car.board.clone(),
        vec![],
        Arc::new(SystemClock),
        car.health.clone(),
        (Box::new(beside), None),
    ));
    let Err(error @ ConsoleError::Listen { .. }) = second else { panic!("two on one port") };
    assert_eq!(
        error.to_string(),
        format!(
            "console.listen = \"{0}\": Address already in use (os error 98): choose another port, or \
             stop the program that `ss -ltnp 'sport = :{1}'` shows",
            car.address,
            car.address.port()
        )
    );
}
