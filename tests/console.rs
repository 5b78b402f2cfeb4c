//! The officer's page in a real browser: what it shows of hits and health, how soon, and that
//! it shows anything from a list as text only.

#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

#[path = "browser/begin.rs"]
mod begin;
mod browser;
#[path = "browser/desk.rs"]
mod desk;
#[path = "browser/drive.rs"]
mod drive;
#[path = "browser/entering.rs"]
mod entering;
#[path = "browser/eye.rs"]
mod eye;
#[path = "browser/glance.rs"]
mod glance;
#[path = "browser/hits.rs"]
mod hits;
#[path = "common/page.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it is used here")]
mod page;
#[path = "browser/practice.rs"]
mod practice;
#[path = "browser/row.rs"]
mod row;
#[path = "browser/served.rs"]
mod served;
#[path = "common/skips.rs"]
mod skips;
#[path = "browser/working.rs"]
mod working;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use browser::Browser;
use jiff::Timestamp;
use outrider::alert::card::{Card, Other, pairs};
use outrider::alert::console::board::{Board, Hello, Pictures};
use outrider::alert::console::status::{Beside, CarStatus, ListStatus};
use outrider::alert::console::{Console, ConsoleError, Doors, Duty, PageAddress, Token};
use outrider::audit::Audit;
use outrider::camera_id::CameraId;
use outrider::clock::SystemClock;
use outrider::config::{ConsoleConfig, KeepingConfig, ReadingConfig, Screen, Vehicle};
use outrider::counters::Counters;
use outrider::entry::Priority;
use outrider::gps::{Fix, Position};
use outrider::health::{Health, PartState};
use outrider::hits::{Outbox, testing_hit};
use outrider::onboard::MatchKind;
use outrider::onboard::glance::Glances;
use outrider::pin::PinHash;
use outrider::plate::Agreement;
use outrider::plate::syntax::Syntax;
use outrider::policy::{Rules, User, Who};
use outrider::records::disposition::{Judge, Tell, Told, Verify};
use outrider::records::review::Review;
use outrider::sessions::Sessions;
use outrider_render::car::{Body, Car as RenderedCar, PAINTS};
use outrider_render::chance::Chance;
use outrider_render::light::TimeOfDay;
use outrider_render::plate::{Design, Texture};
use outrider_render::scene::{Placed, Scene, Vehicle as RenderedVehicle};
use outrider_render::view::View;

/// A console whose cameras deliver frames from a thread until they are stopped.
struct Car {
    runtime: tokio::runtime::Runtime,
    console: Option<Console>,
    address: SocketAddr,
    page: PageAddress,
    board: Arc<Board>,
    health: Arc<Health>,
    front_runs: Arc<AtomicBool>,
    all: Arc<AtomicBool>,
    outbox: Outbox,
    /// Hits whose tone comes again until the page says that they were seen.
    sounding: Arc<Mutex<Vec<String>>>,
    judge: Arc<Judge>,
    review: Arc<Review>,
    sessions: Arc<Sessions>,
    audit: Audit,
    rules: Arc<Mutex<Arc<Rules>>>,
    /// Whether the car stands: a moving one opens no field.
    parked: Arc<AtomicBool>,
    /// What the cameras see; nothing until a test gives them frames.
    glances: Glances,
    /// Tones that somebody asked for.
    tones: Arc<AtomicUsize>,
    state: tempfile::TempDir,
}

impl Car {
    fn start() -> Self {
        Self::start_on(Screen::default())
    }

    fn start_on(screen: Screen) -> Self {
        Self::start_with(screen, ConsoleConfig::default())
    }

    fn start_with(screen: Screen, config: ConsoleConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let board = Arc::new(Board::new(&Hello {
            vehicle: "4127".into(),
            agency: "peel".into(),
            version: "0.1.0".into(),
            nobody_drives: false,
            screen,
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
            ("certificate", PartState::Impaired("21 days left".into())),
            ("page_certificate", PartState::Working),
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
        let state = tempfile::tempdir().unwrap();
        let keeping =
            KeepingConfig { directory: state.path().join("state"), ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let clock = Arc::new(SystemClock);
        let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let rules = Arc::new(Mutex::new(Arc::new(Rules { users: users(), ..Rules::default() })));
        let asked = rules.clone();
        let verify: Verify = Box::new(move || asked.lock().unwrap().verify);
        let shown = board.clone();
        let tell = move |hit: &str, told: &Told| shown.stand(hit, told);
        let counters = Counters::open(&keeping).unwrap();
        let permitted = rules.clone();
        let review = Arc::new(Review {
            audit: audit.clone(),
            outbox: outbox.clone(),
            counters: Some(counters),
            permissions: Arc::new(move |who| permitted.lock().unwrap().roles.of(who)),
            vehicle: vehicle.clone(),
            clock: clock.clone(),
        });
        let doors = (verify, Box::new(tell) as Tell);
        let judge = Judge::new(outbox.clone(), audit.clone(), vehicle, clock.clone(), doors);
        let parked = Arc::new(AtomicBool::new(false));
        let stands = parked.clone();
        let in_force = rules.clone();
        let in_force = Box::new(move || in_force.lock().unwrap().clone());
        let sessions = Sessions::new(in_force, audit.clone(), clock, &keeping.directory);
        let (judge, sessions) = (Arc::new(judge), Arc::new(sessions));
        let config = ConsoleConfig { listen: "127.0.0.1:0".parse().unwrap(), ..config };
        let sounding = Arc::new(Mutex::new(Vec::<String>::new()));
        let (told, answered) = (sounding.clone(), sounding.clone());
        let ask = move || {
            let mut beside = beside(stands.load(Ordering::Relaxed));
            beside.car.sounding = told.lock().unwrap().clone();
            beside
        };
        board.answers_to(Box::new(move |hit| answered.lock().unwrap().retain(|id| id != hit)));
        let glances = Glances::new(names.clone(), &ReadingConfig::default());
        let tones = Arc::new(AtomicUsize::new(0));
        let console = runtime
            .block_on(Console::start(
                &config,
                board.clone(),
                names.to_vec(),
                Arc::new(SystemClock),
                health.clone(),
                Doors {
                    ask: Box::new(ask),
                    hotplates: None,
                    judge: judge.clone(),
                    review: review.clone(),
                    sessions: sessions.clone(),
                    duty: duty(&glances, &tones),
                },
                Token::random().unwrap(),
            ))
            .unwrap();
        let page = console.page().clone();
        let address = page.address;
        Self {
            runtime,
            console: Some(console),
            address,
            page,
            board,
            health,
            front_runs,
            all,
            outbox,
            sounding,
            judge,
            review,
            sessions,
            audit,
            rules,
            parked,
            glances,
            tones,
            state,
        }
    }

    fn url(&self) -> String {
        self.page.to_string()
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

/// A browser with a page of this size, and the car whose page it has opened.
fn opened(width: u32, height: u32) -> Option<(Browser, Car)> {
    let browser = Browser::start()?;
    let car = Car::start();
    browser.size(width, height);
    browser.go(&car.url());
    Some((browser, car))
}

/// As [`opened`], once the page says that the car is watching.
fn watching(width: u32, height: u32) -> Option<(Browser, Car)> {
    let (browser, car) = opened(width, height)?;
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    Some((browser, car))
}

const PIN: &str = "480213";

/// What an officer looks at before the shift; counts the tones.
fn duty(glances: &Glances, tones: &Arc<AtomicUsize>) -> Duty {
    let tones = tones.clone();
    Duty {
        glances: glances.clone(),
        tone: Box::new(move || _ = tones.fetch_add(1, Ordering::Relaxed)),
        kept: Box::new(|| outrider::alert::shift::kept(&KeepingConfig::default(), Some(3))),
    }
}

/// An officer, another one, a supervisor, an auditor and a maintainer.
fn users() -> BTreeMap<String, User> {
    let user = |(number, role): (&str, Who)| {
        let (name, pin) = (String::new(), PinHash::of(PIN).unwrap());
        (number.to_owned(), User { name, roles: [role].into(), trained_until: None, pin })
    };
    [
        ("1234", Who::Officer),
        ("9", Who::Officer),
        ("55", Who::Auditor),
        ("7", Who::Supervisor),
        ("77", Who::Maintainer),
    ]
    .map(user)
    .into()
}

fn beside(parked: bool) -> Beside {
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
        position: parked_or_moving(parked),
        waiting: 0,
        kept: "not kept".into(),
        past: Vec::new(),
        car: CarStatus {
            certificate_ends: Some(
                Timestamp::now() + jiff::SignedDuration::from_hours(21 * 24 + 1),
            ),
            page_certificate_ends: Some(
                Timestamp::now() + jiff::SignedDuration::from_hours(45 * 24 + 1),
            ),
            disk_free: Some(51 << 30),
            disk_reserve: 256 << 20,
            muted: vec![Priority::Low],
            sounding: Vec::new(),
        },
    }
}

fn parked_or_moving(parked: bool) -> Position {
    let mut position = fixed();
    if let Position::Fixed { fix, .. } = &mut position
        && parked
    {
        fix.speed_mps = Some(0.1);
    }
    position
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

/// Another entry that the same plate is on.
fn other() -> Other {
    Other {
        listed: "CKSV841".into(),
        category: "expired_registration".into(),
        priority: Priority::Low,
        match_kind: MatchKind::Exact,
        jurisdiction: Some("US-MI".into()),
        list: "expired".into(),
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
        listed_priority: priority,
        match_kind: if read == listed { MatchKind::Exact } else { MatchKind::LookAlike },
        pairs: pairs(read, listed),
        jurisdiction_read: None,
        jurisdiction_confidence: None,
        jurisdiction_listed: Some("CA-ON".into()),
        jurisdictions: Agreement::NotRead,
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
        caution: "armed and dangerous".into(),
        action: "stop, felony stop procedure".into(),
        others: vec![],
        odds: None,
        standing: Told::default(),
    }
}

/// A picture of a plate as a camera that is some way off sees it: rendered, 118 pixels wide.
fn jpeg() -> Vec<u8> {
    picture_of("CKSV 841")
}

fn picture_of(text: &str) -> Vec<u8> {
    let plate = Texture::plate(Design::Ontario, text, 7);
    let small =
        image::imageops::resize(plate.image(), 118, 59, image::imageops::FilterType::Triangle);
    let mut out = std::io::Cursor::new(Vec::new());
    small.write_to(&mut out, image::ImageFormat::Jpeg).unwrap();
    out.into_inner()
}

/// A hit's pictures: its plate, and the vehicle a few plate widths around.
fn pictures() -> Pictures {
    static CONTEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let (width, height) = (400, 300);
        let view = View { width, height, focal: 1_840.0, yaw_deg: 0.0, horizon: 0.3, above_m: 1.2 };
        let plate = Texture::plate(Design::Ontario, "CKSV 841", 7);
        let car = RenderedCar::new(Body::Suv, PAINTS[2]);
        let placed = Placed {
            car: &car,
            plate_m: plate.size_m(),
            across_m: 0.0,
            ahead_m: 7.0,
            oncoming: false,
            closing_mps: 0.0,
        };
        let mut frame = image::RgbImage::new(width, height);
        Scene::new(view, TimeOfDay::Day, 0.0, 3).draw(
            &mut frame,
            &[RenderedVehicle { placed, plate: &plate }],
            40.0,
            0.0,
            &mut Chance::new(3),
        );
        let mut out = std::io::Cursor::new(Vec::new());
        frame.write_to(&mut out, image::ImageFormat::Jpeg).unwrap();
        out.into_inner()
    });
    Pictures { plate: jpeg(), context: CONTEXT.clone() }
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
    // What is not well stands in front of the row.
    assert!(browser.text("chips").starts_with("List suspended 1 d Certificate 21 days left front"));
    assert_eq!(browser.text("mute"), "Muted: low");
    let state = format!("{} {}", browser.text("cameras"), browser.text("state"));
    for part in [
        "front",
        "fps",
        "plates/min",
        "43.58907, -79.64412 · ±3 m",
        "stolen: 18,240 plates, 1 h old",
        "suspended: 7,031 plates, 1 d old: OLD, confirm by radio",
        "connected to the agency, every hit is sent",
        "Certificate 21 days left",
        "Page certificate 45 days left",
        "Disk 51.0 GB free",
        "Other plates not kept",
        "Sound ready",
    ] {
        assert!(state.contains(part), "{part:?} is missing from the state: {state}");
    }

    // A hit appears by itself, with all that is needed to compare.
    let mut approximate = card("01A", "CKSV841", "CKSVB41", Priority::High);
    approximate.others = vec![other()];
    approximate.odds = Some("about 1 in 48 alerts like this one is a misread".into());
    car.board.show(&approximate, pictures());
    let took = browser.until("document.getElementById('card').dataset.hit === '01A'");
    eprintln!("hit on the page after {took:?}");
    let seen = browser.text("card");
    for part in [
        "STOLEN VEHICLE",
        "▲ HIGH",
        "CAUTION: armed and dangerous",
        "CONFIRM FIRST, THEN: stop, felony stop procedure",
        "UNVERIFIED not grounds for a stop",
        "C K S V 8 4 1",
        "C K S V B 4 1",
        "province not read",
        "Ontario",
        "≈ APPROXIMATE: 8 read, B listed · province not compared · about 1 in 48 alerts like this one is a misread",
        "2019 Honda CR-V, grey",
        "Stolen overnight",
        "ON 2 LISTS",
    ] {
        assert!(seen.contains(part), "{part:?} is missing from the card: {seen}");
    }
    browser.press("m");
    let seen = browser.text("card");
    for part in [
        "Peel Regional Police",
        "25-118402",
        "stolen, its source is 1 h old",
        "43.58907, -79.64412 · ±3 m · N-bound · 48 km/h",
        "11 frames, weakest character 88 %",
        "= CKSV841 Michigan: expired registration (expired)",
        "118 px wide",
    ] {
        assert!(seen.contains(part), "{part:?} is missing from what is known besides: {seen}");
    }
    assert_eq!(browser.ask("return document.querySelectorAll('[data-move]').length"), 0);
    browser.press("m");
    let marked = browser.ask("return document.querySelectorAll('#read .differs').length");
    assert_eq!(marked, 1, "exactly the differing character is marked");
    browser.until("document.getElementById('picture').naturalWidth === 118");
    for look in ["dark", "light", "night"] {
        for (w, h) in [(1280, 800), (1024, 600), (390, 844)] {
            browser.size(w, h);
            browser.ask(&format!("look('{look}')"));
            let ids = [
                "#category",
                "#priority",
                ".unverified",
                "#read",
                "#listed",
                "#sign",
                "figure",
                "#beware",
            ];
            assert_in_sight(&browser, &ids, &format!("{look} {w}x{h}"));
            // A phone scrolls to what is to be pressed.
            if w > 720 {
                assert_in_sight(&browser, &["#context", "#moves"], &format!("{look} {w}x{h}"));
                let covered = browser.ask(
                    "const at = (id) => document.getElementById(id).getBoundingClientRect();
                     return innerWidth > 500 && at('context').bottom > at('moves').top + 0.5",
                );
                assert_eq!(covered, false, "{look} {w}x{h}: the picture covers buttons");
            }
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
    assert_eq!(sign, "= EXACT, every character · province not compared");
    // Two things that do not agree are both said.
    let mut both = card("01D", "BXRT907", "BXRT9O8", Priority::Medium);
    (both.jurisdiction_read, both.jurisdiction_confidence) = (Some("US-MI".into()), Some(0.9));
    both.jurisdictions = Agreement::Other;
    car.board.show(&both, jpeg());
    browser.until("Boolean(document.querySelector('.hit[data-id=\"01D\"]'))");
    browser.ask("document.querySelector('.hit[data-id=\"01D\"]').click()");
    browser.until("document.getElementById('card').dataset.hit === '01D'");
    let sign = browser.text("sign");
    let says =
        "≠ OTHER JURISDICTION: plate of Michigan (90 %), list says Ontario; 7 read, 8 listed";
    assert_eq!(sign, says);
    browser.ask("document.querySelector('.hit[data-id=\"01C\"]').click()");
    browser.until("document.getElementById('card').dataset.hit === '01C'");
    let seen = browser.text("card");
    browser.press("m");
    assert!(browser.text("facts").contains("NO FIX"));
    browser.press("m");
    assert!(seen.contains("= EXACT, with O and 0, I and 1 taken as equal"), "{seen}");
    browser.keep_picture("folded-no-fix-dark-1280x800");
    browser.press("Escape");
    browser.until("!document.getElementById('watch').hidden");
    browser.go(&car.url());
    browser.until("document.querySelectorAll('.hit').length === 4");

    // The daemon goes away, and the page says so.
    car.stop_console();
    let took =
        browser.until("document.getElementById('banner').textContent.startsWith('NOT CONNECTED')");
    assert!(took < Duration::from_secs(4), "lost connection shown after {took:?}");
    browser.keep_picture("lost-dark-1280x800");
    // Pictures are in the page: those of hits that nobody has looked at yet too.
    for id in ["01A", "01B", "01C"] {
        browser.ask(&format!("document.querySelector('.hit[data-id=\"{id}\"]').click()"));
        browser.until(&format!("document.getElementById('card').dataset.hit === '{id}'"));
        let width = browser.ask("return document.getElementById('picture').naturalWidth");
        assert_eq!(width, 118, "the picture of {id} went with the connection");
    }
}

/// Gets a path, with these headers; the whole answer.
fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
