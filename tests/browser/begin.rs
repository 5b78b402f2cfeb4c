//! The start of an officer's shift, and what the cameras see: what is shown, to whom, and what is refused.

use std::error::Error;

use outrider::audit::{AuditEvent, Record};
use outrider::clock::{Clock as _, ClockReport, FrameTime, TimeSource};
use outrider::geometry::Rect;
use outrider::gps::Fixes;
use outrider::hotlist::Hotlists;
use outrider::onboard::capture::{CaptureError, FrameSource};
use outrider::onboard::frame::{Frame, Pixels};
use outrider::onboard::store::Ring;
use outrider::onboard::vision::candidate::{Candidate, Confidence, Crop, Detection, Sighted, Slot};
use outrider::onboard::{self, CameraParts, FrameReader, ModelStamp, Onboard};

use super::entering::{begin_shift, refused_entries, sign_in};
use super::eye::{self, LOOKS, SCREENS, screen_of};
use super::*;

/// Size of the frames.
const FRAME: (u32, u32) = (1280, 720);

/// Where the plate is in them, and the same again a little to the right, which nobody finds.
const PLATE: Rect = Rect { x: 560.0, y: 420.0, w: 118.0, h: 59.0 };

/// What a camera sees: a road, a car, its plate.
fn frame() -> Vec<u8> {
    let mut picture = image::RgbImage::from_fn(FRAME.0, FRAME.1, |x, y| match y {
        0..260 => image::Rgb([150, 170, 190]),
        _ if (420..820).contains(&x) && (280..560).contains(&y) => image::Rgb([60, 66, 92]),
        _ => image::Rgb([92, 92, 90]),
    });
    let plate = Texture::plate(Design::Ontario, "CKSV 841", 7);
    let small = image::imageops::resize(
        plate.image(),
        PLATE.w as u32,
        PLATE.h as u32,
        image::imageops::FilterType::Triangle,
    );
    image::imageops::replace(&mut picture, &small, PLATE.x as i64, PLATE.y as i64);
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, image::ImageFormat::Jpeg).unwrap();
    out.into_inner()
}

/// A camera that gives the same frame ten times a second until the car goes.
struct Road {
    camera: CameraId,
    jpeg: Vec<u8>,
    next: u64,
    runs: Arc<AtomicBool>,
}

impl FrameSource for Road {
    fn next_frame(&mut self, _: Duration) -> Result<Option<Frame>, CaptureError> {
        std::thread::sleep(Duration::from_millis(100));
        if !self.runs.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.next += 1;
        let FrameTime { monotonic, wall } = SystemClock.now();
        Ok(Some(Frame {
            camera: self.camera.clone(),
            sequence: self.next,
            captured: FrameTime { monotonic, wall },
            pixels: Pixels::Mjpeg(self.jpeg.clone()),
        }))
    }
}

/// Finds the plate in every frame, whose crop was drawn once.
struct Knows(Crop);

impl FrameReader for Knows {
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        let slot = |symbol: u8| {
            let mut slot = Slot([0.0005; 36]);
            slot.0[usize::from(outrider::plate::symbol_index(symbol))] = 0.98;
            slot
        };
        let seen = Candidate {
            detection: Detection { bbox: PLATE, corners: None, score: Confidence::new(0.9) },
            slots: b"CKSV841".iter().map(|c| slot(*c)).collect(),
            issuer: None,
            legibility: None,
            crop: self.0.clone(),
        };
        Ok(Sighted {
            camera: frame.camera.clone(),
            sequence: frame.sequence,
            captured: frame.captured,
            size: FRAME,
            candidates: vec![seen],
            unread: Vec::new(),
        })
    }

    fn stamp(&self) -> Arc<ModelStamp> {
        Arc::default()
    }
}

/// The plate's own pixels.
fn crop() -> Crop {
    let plate = Texture::plate(Design::Ontario, "CKSV 841", 7);
    let filter = image::imageops::FilterType::Triangle;
    let rgb = image::imageops::resize(plate.image(), 137, 68, filter).into_raw();
    Crop { width: 137, height: 68, rgb }
}

/// Lets both cameras of a car see the road.
fn see(car: &Car) -> Onboard {
    let crop = crop();
    let keeping =
        KeepingConfig { directory: car.state.path().join("seen"), ..KeepingConfig::default() };
    let clock = Arc::new(SystemClock);
    let health = Arc::new(Health::default());
    let jpeg = frame();
    let camera = |name: &str| {
        let (id, runs) = (CameraId::new(name), car.all.clone());
        let mut road = Some(Road { camera: id.clone(), jpeg: jpeg.clone(), next: 0, runs });
        let open = move || {
            let road: Box<dyn FrameSource> = Box::new(road.take().unwrap());
            Ok(road)
        };
        CameraParts { id, open: Box::new(open), reader: Box::new(Knows(crop.clone())) }
    };
    let (running, _) = onboard::spawn(onboard::Parts {
        cameras: ["front", "left"].map(camera).into(),
        hotlists: Arc::new(Hotlists::of(Vec::new())),
        fixes: Fixes::new(Duration::from_secs(3)),
        ring: Ring::open(&keeping, clock.clone(), health.clone()).unwrap(),
        clock,
        health,
        reading: ReadingConfig::default(),
        glances: car.glances.clone(),
        truth: None,
    });
    let read = |car: &Car| car.glances.aims().values().all(|aim| aim.reads > 0);
    let until = Instant::now() + Duration::from_secs(30);
    while !read(car) {
        assert!(Instant::now() < until, "no plate is read");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

/// What the log says of shifts.
fn begun(car: &Car) -> Vec<Record> {
    let is = |record: &Record| matches!(record.event, AuditEvent::ShiftBegun { .. });
    car.audit.recent(500).unwrap().into_iter().filter(is).collect()
}

/// A clock that satellites contradict.
fn wrong_clock(car: &Car, ms: i64) {
    let source = TimeSource::Ntp;
    car.health.set_clock(ClockReport { source, disputed: ms.abs() > 2_000, offset_ms: Some(ms) });
}

pub(super) fn told(answer: &str, status: u16, why: &str) {
    let head = format!("HTTP/1.1 {status}");
    assert!(answer.starts_with(&head) && answer.contains(why), "{status} {why}: {answer}");
}

#[test]
fn shift_begins_with_what_was_shown_and_with_nothing_else() {
    let car = Car::start();
    wrong_clock(&car, -843_000);
    let begin = |who: &page::Session, version: &serde_json::Value, heard: bool| {
        let body = format!(r#"{{"version":{version},"heard":{heard}}}"#);
        page::send(&car.page, who, "/shift/begin", &body)
    };
    let get = |who: &page::Session, path: &str| {
        String::from_utf8_lossy(&page::get_as(&car.page, who, path)).into_owned()
    };
    let nobody = page::nobody(&car.page);
    told(&get(&nobody, "/shift"), 401, "nobody is signed in");
    told(&begin(&nobody, &1.into(), false), 401, "nobody is signed in");
    told(&page::send(&car.page, &nobody, "/shift/tone", "{}"), 401, "nobody is signed in");
    let officer = page::sign_in(&car.page, "1234", PIN);
    let (other, auditor) =
        (page::sign_in(&car.page, "9", PIN), page::sign_in(&car.page, "55", PIN));
    let shown = page::start_of_shift(&car.page, &officer);
    assert_eq!((&shown["begin"], &shown["tone"]), (&true.into(), &false.into()));
    let version = &shown["version"];
    told(&begin(&officer, version, true), 422, "play the tone first");
    told(&begin(&officer, &9_999.into(), false), 422, "too old");
    told(&begin(&other, version, false), 422, "too old");
    let theirs = page::start_of_shift(&car.page, &auditor);
    assert_eq!(theirs["begin"], false);
    told(&begin(&auditor, &theirs["version"], false), 422, "no shift is to be begun");
    // What only our own page knows has to come along.
    let cookie = format!("Cookie: {}\r\nOrigin: http://{}\r\n", car.page.cookie(), car.address);
    let forged = page::send_with(&car.page, &cookie, "/shift/begin", "{}");
    told(&forged, 403, "load it again");
    assert!(begun(&car).is_empty());
    let refused = refused_entries(&car);
    for why in ["play the tone first", "too old", "no shift is to be begun"] {
        assert!(refused.iter().any(|r| r.starts_with("shift: ") && r.contains(why)), "{refused:?}");
    }

    told(&page::send(&car.page, &officer, "/shift/tone", "{}"), 200, "");
    told(&page::send(&car.page, &officer, "/shift/tone", "{}"), 422, "the tone sounds already");
    assert_eq!(car.tones.load(Ordering::Relaxed), 1);
    let shown = page::start_of_shift(&car.page, &officer);
    assert_eq!(shown["tone"], true);
    // What is written down is what was shown, not what is by then.
    wrong_clock(&car, 100);
    std::thread::sleep(Duration::from_millis(1_500));
    told(&begin(&officer, &shown["version"], true), 200, "");
    let records = begun(&car);
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!(record.who.to_string(), "officer 1234");
    let AuditEvent::ShiftBegun { lines, heard: true } = &record.event else { panic!("{record:?}") };
    let line = |what: &str| {
        let found = lines.iter().find(|line| line.what == what);
        let found = found.unwrap_or_else(|| panic!("no line {what}: {lines:?}"));
        (found.is.as_str(), found.says.as_str())
    };
    assert_eq!(line("Clock"), ("not_well", "14 min 3 s BEHIND GPS: times of hits may be wrong"));
    assert_eq!(line("List suspended").0, "not_well");
    // The hour is not over by the moment that the status is made.
    assert_eq!(line("List stolen"), ("ok", "59 min old: 18240 plates"));
    assert_eq!(line("GPS"), ("ok", "3D FIX: within 3 m"));
    assert_eq!(line("camera front").0, "not_known");
    assert!(line("Kept in the car").1.contains("forgotten at once"));
    assert_eq!(lines.len(), shown["lines"].as_array().unwrap().len());
    car.audit.verify(None).unwrap();
    let last = car.sessions.last_shift().unwrap();
    assert_eq!((last.by.as_str(), last.not_well), ("officer 1234", 2));
    // Once is enough, and whoever signs in next begins their own.
    let again = page::start_of_shift(&car.page, &officer);
    assert_eq!(again["begin"], false);
    told(&begin(&officer, &again["version"], true), 422, "no shift is to be begun");
    assert_eq!(page::start_of_shift(&car.page, &other)["begin"], true);
    // A car without users has no shifts, and refuses whoever was signed in.
    *car.rules.lock().unwrap() = Arc::default();
    told(&get(&nobody, "/shift"), 404, "no shifts");
    told(&begin(&officer, &again["version"], true), 403, "load it again");
    assert_eq!(begun(&car).len(), 1);
}

#[test]
fn cameras_are_looked_at_by_whoever_is_signed_in_and_aimed_by_a_maintainer() {
    let car = Car::start();
    let _seen = see(&car);
    let get = |who: &page::Session, path: &str| page::get_as(&car.page, who, path);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let nobody = page::nobody(&car.page);
    for path in ["/camera/front/now.jpg", "/aim"] {
        told(&text(&get(&nobody, path)), 401, "nobody is signed in");
    }
    let [officer, auditor, maintainer] =
        ["1234", "55", "77"].map(|number| page::sign_in(&car.page, number, PIN));
    for who in [&officer, &auditor, &maintainer] {
        let answer = get(who, "/camera/front/now.jpg");
        let head = text(&answer);
        let head = head.split("\r\n\r\n").next().unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        for line in ["content-type: image/jpeg", "cache-control: no-store"] {
            assert!(head.contains(line), "{line} is missing: {head}");
        }
        let jpeg = &answer[head.len() + 4..];
        let seen = image::load_from_memory(jpeg).unwrap().to_rgb8();
        assert_eq!(seen.dimensions(), (320, 180));
        // The plate is one flat colour; the road above the car is not the colour of the car.
        let inside = (140..169).flat_map(|x| (105..119).map(move |y| (x, y)));
        let (least, most) = inside.fold((255, 0), |(least, most), (x, y)| {
            let v = seen.get_pixel(x, y).0[1];
            (v.min(least), v.max(most))
        });
        assert!(most - least <= 4, "{least} to {most}: something is left of the plate");
        let (sky, road) = (seen.get_pixel(20, 20).0[1], seen.get_pixel(20, 150).0[1]);
        assert!(sky.abs_diff(road) > 40, "{sky} {road}");
    }
    told(&text(&get(&officer, "/camera/rear/now.jpg")), 404, "no camera is called rear");
    for who in [&officer, &auditor] {
        told(&text(&get(who, "/aim")), 403, "aimed by a maintainer");
    }
    let aim = text(&get(&maintainer, "/aim"));
    let aim: serde_json::Value =
        serde_json::from_str(aim.split_once("\r\n\r\n").unwrap().1).unwrap();
    let front = &aim["front"];
    assert_eq!(
        (&front["width"]["fit"], &front["width"]["says"]),
        (&"well".into(), &"118 px wide".into())
    );
    assert_eq!((&front["focus"]["fit"], &front["light"]["fit"]), (&"well".into(), &"well".into()));
    assert_eq!(
        (&front["needs"]["wanted_width"], &front["view"]["width"]),
        (&80.0.into(), &1280.into())
    );
    assert!(!aim.to_string().contains("CKSV"), "{aim}");
    // Locked is not signed in.
    told(&page::send(&car.page, &officer, "/session/lock", "{}"), 200, "");
    told(&text(&get(&officer, "/camera/front/now.jpg")), 423, "locked");
    // Nobody can sign in: whoever sets the car up sees its cameras.
    *car.rules.lock().unwrap() = Arc::default();
    assert!(text(&get(&nobody, "/camera/front/now.jpg")).starts_with("HTTP/1.1 200"));
    assert!(text(&get(&nobody, "/aim")).starts_with("HTTP/1.1 200"));
    // No look is in the log, nor anything of it on the disk but the log and the keys.
    let seen = std::fs::read_dir(car.state.path().join("seen"));
    assert_eq!(seen.map_or(0, |files| files.count()), 0, "nothing is kept of what was seen");
}

/// Loads the page of a car that stands.
pub(super) fn open(browser: &Browser, car: &Car) {
    car.parked.store(true, Ordering::Relaxed);
    browser.go(&car.url());
    browser.until("document.getElementById('watch-word').textContent === 'WATCHING'");
    browser.until("status.position.speed_mps < 1");
}

pub(super) fn sign_in_here(browser: &Browser, number: &str) {
    browser.ask("document.getElementById('who').click()");
    browser.until("!document.getElementById('sign-in').hidden");
    sign_in(browser, number);
}

#[test]
fn officer_goes_through_the_start_of_the_shift_and_a_hit_comes_in_front_of_it() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    let _seen = see(&car);
    wrong_clock(&car, -843_000);
    browser.size(1024, 600);
    open(&browser, &car);
    sign_in_here(&browser, "1234");
    browser.until("!document.getElementById('shift').hidden");
    browser.until("document.querySelectorAll('#shift .peek img').length === 2");
    let shown = browser.text("shift");
    for part in [
        "1234, officer",
        "front READING",
        "plates 118 px wide, sharp",
        "GPS 3D FIX within 3 m",
        "Clock 14 min 3 s BEHIND GPS",
        "List stolen 59 min old 18240 plates",
        "List suspended 29 h OLD 7031 plates, confirm by radio",
        "Sound READY",
        "Disk 51.0 GB FREE",
        "Plates on no list are forgotten at once. Hits are kept 30 days after delivery, with their pictures. Policy 3.",
    ] {
        assert!(shown.contains(part), "{part:?} is missing: {shown}");
    }
    // Nothing but going through it, or signing out, leads away.
    for key in ["Escape", "h", "v", "w", "m"] {
        browser.press(key);
    }
    assert_eq!(browser.ask("return document.getElementById('shift').hidden"), false);
    assert_eq!(browser.ask("return document.getElementById('overview').hidden"), true);
    let disabled =
        |id: &str| browser.ask(&format!("return document.getElementById('{id}').disabled"));
    assert_eq!((disabled("begin"), disabled("heard")), (true.into(), true.into()));
    browser.ask("document.getElementById('tone').click()");
    browser.until("!document.getElementById('heard').disabled");
    assert_eq!(car.tones.load(Ordering::Relaxed), 1);
    browser.ask("document.getElementById('not-heard').click()");
    assert_eq!(browser.text("begin"), "Begin shift, 3 not well");
    browser.ask("document.getElementById('heard').click()");
    assert_eq!(browser.text("begin"), "Begin shift, 2 not well");

    // A hit comes in front, can be judged although no shift is begun, and gives the page back.
    let hit = testing_hit(1);
    car.outbox.record(&hit).unwrap();
    let id = hit.id().to_string();
    car.board.show(&card(&id, "CKSV841", "CKSV841", Priority::High), jpeg());
    browser.until(
        "!document.getElementById('card').hidden && document.getElementById('shift').hidden",
    );
    assert_eq!(browser.text("who"), "1234: BEGIN SHIFT");
    std::thread::sleep(Duration::from_millis(700));
    browser.ask("document.querySelector('[data-move=misread]').click()");
    browser.until("!document.getElementById('shift').hidden");
    assert_eq!(car.outbox.dispositions(hit.id()).unwrap()[0].officer, "1234");
    // A moving car puts it aside, and brings it back when it stands.
    car.parked.store(false, Ordering::Relaxed);
    browser.until("document.getElementById('shift').hidden");
    assert!(browser.text("entry-says").contains("above 8 km/h"));
    car.parked.store(true, Ordering::Relaxed);
    browser.until("!document.getElementById('shift').hidden");
    browser.ask("document.getElementById('heard').click()");
    browser.ask("document.getElementById('begin').click()");
    browser.until("document.getElementById('shift').hidden");
    browser.until("document.getElementById('who').textContent === '1234 officer'");
    assert_eq!(begun(&car).len(), 1);
    // Another page of the same browser has nothing to begin.
    browser.go(&car.url());
    browser.until("document.getElementById('who').textContent === '1234 officer'");
    assert_eq!(browser.ask("return document.getElementById('shift').hidden"), true);
}

#[test]
fn nobody_but_an_officer_is_asked_to_begin_and_cameras_are_one_key_away() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    let _seen = see(&car);
    let front = car.health.camera(&CameraId::new("front"));
    front.unread_small.many(12);
    for (n, cause) in (1..).zip([
        &front.unread_illegible,
        &front.unread_glare,
        &front.unread_covered,
        &front.unread_dark,
        &front.unread_blurred,
    ]) {
        cause.many(n);
    }
    browser.size(1024, 600);
    open(&browser, &car);
    // Nobody is signed in: the key asks for that first.
    browser.press("v");
    browser.until("!document.getElementById('sign-in').hidden");
    sign_in(&browser, "77");
    browser.until("document.getElementById('who').textContent === '77 maintainer'");
    assert_eq!(browser.ask("return document.getElementById('shift').hidden"), true);
    browser.press("v");
    browser.until("document.querySelectorAll('#looks .peek img').length === 2");
    browser.until("document.querySelectorAll('#looks .aim').length === 8");
    let shown = browser.text("looks");
    for part in [
        "Plates that were found are covered. Nothing of this is kept.",
        "Seen, not read: 12 too small, 5 blurred, 4 too dark, 3 covered, 2 glare, 1 illegible",
        "Plates 118 px now, 118 usual, 80 needed",
        "0.06 needed",
        "of 255, 60 needed",
        "Picture 1280x720, light ",
    ] {
        assert!(shown.contains(part), "{part:?} is missing: {shown}");
    }
    // The picture is a live one: another has come a while later.
    let first = browser.ask("return document.querySelector('#looks .peek img').src");
    browser.until(&format!("document.querySelector('#looks .peek img').src !== {first}"));
    // Closed, nothing is asked for any more.
    browser.press("Escape");
    browser.until("document.getElementById('looks').hidden");
    std::thread::sleep(Duration::from_millis(1_000));
    let asked = browser.ask("return peekCount");
    std::thread::sleep(Duration::from_millis(2_000));
    assert_eq!(browser.ask("return peekCount"), asked, "nobody looks");
    // An officer sees the cameras and not how they are aimed; no other key opens them in a moving car.
    browser.ask("document.getElementById('sign-out').click()");
    browser.until("document.getElementById('who').textContent === 'Sign in'");
    sign_in_here(&browser, "1234");
    begin_shift(&browser);
    browser.press("v");
    browser.until("document.querySelectorAll('#looks .peek img').length === 2");
    assert_eq!(browser.ask("return document.querySelectorAll('#looks .aim').length"), 0);
    car.parked.store(false, Ordering::Relaxed);
    browser.until("document.getElementById('looks').hidden");
    browser.press("v");
    assert_eq!(browser.ask("return document.getElementById('looks').hidden"), true);
}

#[test]
fn start_of_shift_and_cameras_are_large_and_clear_on_every_screen_in_every_look() {
    let Some(browser) = Browser::start() else { return };
    let axe = eye::axe();
    let mut bad = Vec::new();
    for size in SCREENS {
        let car = Car::start_on(screen_of(size.0));
        let _seen = see(&car);
        wrong_clock(&car, -843_000);
        browser.size(size.0, size.1);
        open(&browser, &car);
        let mut look_at = |what: &str, section: &str| {
            for look in LOOKS {
                browser.ask(&format!("look('{look}')"));
                let name = format!("{what}-{look}-{}x{}", size.0, size.1);
                bad.extend(eye::wrong(&browser, size, look, &name));
                let over = browser.ask(&format!(
                    "const s = document.getElementById('{section}'); \
                     return [s.scrollHeight - s.clientHeight, s.scrollWidth - s.clientWidth]"
                ));
                if over.as_array().unwrap().iter().any(|px| px.as_i64().unwrap() > 1) {
                    bad.push(format!("{name}: scrolls by {over}"));
                }
                browser.keep_picture(&name);
                if let Some(axe) = axe.as_ref().filter(|_| size == (1024, 600)) {
                    browser.ask(axe);
                    eye::assert_axe_finds_nothing(&browser, &name);
                }
            }
        };
        sign_in_here(&browser, "1234");
        browser.until("document.querySelectorAll('#shift .peek img').length === 2");
        browser.ask("document.getElementById('tone').click()");
        browser.until("!document.getElementById('heard').disabled");
        browser.ask("document.getElementById('heard').click()");
        look_at("shift", "shift");
        begin_shift(&browser);
        browser.press("v");
        browser.until("document.querySelectorAll('#looks .peek img').length === 2");
        look_at("cameras", "looks");
        browser.press("Escape");
        browser.ask("document.getElementById('train').click()");
        browser.until("document.getElementById('picture').naturalWidth > 100");
        look_at("training", "card");
        browser.ask("document.getElementById('training-end').click()");
        browser.ask("document.getElementById('sign-out').click()");
        browser.until("document.getElementById('who').textContent === 'Sign in'");
        sign_in_here(&browser, "77");
        browser.press("v");
        browser.until("document.querySelectorAll('#looks .aim').length === 8");
        look_at("aim", "looks");
    }
    assert!(bad.is_empty(), "{} things are wrong:\n{}", bad.len(), bad.join("\n"));
}
