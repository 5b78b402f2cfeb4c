//! Time from the match to the officer's card and to the tone, over 1,000 hits, in a whole daemon.
//!
//! The daemon is the car's own, with tracker, vote, matcher, stores and page; a scripted camera drives past listed
//! plates, and its reader notes when each frame was handed on. Which frame makes a vote sure is the same one in every
//! pass, so the time from that frame to the tone and to the page's socket holds all that follows reading: tracking, vote,
//! look-up, pictures, page. Once alone, and once beside four cameras of 1080p at fifteen frames a second that the shipped
//! models read. What a browser takes to draw the card is measured in `tests/browser/`.
//!
//! `cargo bench --features testing --bench alerts`. A hit takes 224 ms of waiting and 1,000 of them, twice, seven and a half minutes,
//! on top of what the machine takes itself. `OUTRIDER_HITS=n` takes another number, and `OUTRIDER_BESIDE=4` (or `0`) only the drive
//! beside so many cameras. Needs `scripts/onnxruntime.sh`.

#![allow(clippy::disallowed_types, reason = "the bench is the page's end of the socket")]

#[path = "../tests/common/car.rs"]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "tests use the rest of it")]
mod car;
mod oncoming;

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use outrider::alert::console::PageAddress;
use outrider::alert::{Annunciator, SoundError};
use outrider::camera_id::CameraId;
use outrider::clock::{Clock as _, SystemClock};
use outrider::config::Config;
use outrider::daemon::{Daemon, SeamCamera, Seams};
use outrider::geometry::Rect;
use outrider::onboard::capture::{CaptureError, FrameSource};
use outrider::onboard::frame::{Frame, Pixels};
use outrider::onboard::vision::candidate::{Crop, Sighted};
use outrider::onboard::vision::jpeg;
use outrider::onboard::{FrameReader, ModelStamp};

/// Time between two frames of a pass: longer than most alerts take, so that it is known which frame raised them. A slower
/// one still counts from that frame: it is the same one in every pass.
const APART: Duration = Duration::from_millis(40);

/// Frames of a camera that the models read, a second.
const FRAMES_PER_SECOND: u64 = 15;

/// When each of the script's frames was handed on, by its number.
type HandedOn = Arc<Mutex<Vec<Instant>>>;

/// The script's camera, at the pace of this bench.
struct Paced(Box<dyn FrameSource>);

impl FrameSource for Paced {
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        let frame = self.0.next_frame(timeout)?;
        if let Some(frame) = &frame {
            // Before each frame but the first of a pass, so that the last one in which it is seen has its time too.
            let follows = (1..=car::SEEN).contains(&(frame.sequence % car::PERIOD));
            std::thread::sleep(if follows { APART } else { Duration::from_millis(2) });
        }
        Ok(frame)
    }

    fn live(&self) -> bool {
        false
    }
}

/// The script's reader, which notes when it handed a frame on, and gives a picture of the vehicle as models do.
struct Noting {
    reader: Box<dyn FrameReader>,
    handed_on: HandedOn,
}

impl FrameReader for Noting {
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        let seen = self.reader.read_frame(frame);
        self.handed_on.lock().expect("no holder panics").push(Instant::now());
        seen
    }

    fn context(&mut self, _: &Rect, _: &[Rect]) -> Option<Crop> {
        let (width, height) = (400, 300);
        let rgb = (0..width * height * 3).map(|n| (n * 7 % 251) as u8).collect();
        Some(Crop { width, height, rgb })
    }

    fn stamp(&self) -> Arc<ModelStamp> {
        self.reader.stamp()
    }
}

/// A loudspeaker that notes when a tone begins, and plays none.
struct Onsets(HandedOn);

impl Annunciator for Onsets {
    fn ready(&mut self) -> Result<(), SoundError> {
        Ok(())
    }

    fn play(&mut self, samples: &[i16], _: &dyn Fn() -> bool) -> Result<(), SoundError> {
        // Silence proves a device that had failed; it is no tone.
        if samples.iter().any(|s| *s != 0) {
            self.0.lock().expect("no holder panics").push(Instant::now());
        }
        Ok(())
    }
}

/// A camera that shows the same street at its frame rate for ever.
struct Street {
    id: CameraId,
    picture: Vec<u8>,
    next: u64,
    start: Instant,
    delivered: Arc<AtomicU64>,
}

impl FrameSource for Street {
    fn next_frame(&mut self, _: Duration) -> Result<Option<Frame>, CaptureError> {
        let due = self.start + Duration::from_micros(1_000_000 * self.next / FRAMES_PER_SECOND);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        self.next += 1;
        self.delivered.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Frame {
            camera: self.id.clone(),
            sequence: self.next,
            captured: SystemClock.now(),
            pixels: Pixels::Mjpeg(self.picture.clone()),
        }))
    }
}

/// A 1080p picture of an oncoming car, as JPEG.
fn street() -> Vec<u8> {
    let image = oncoming::picture((1920, 1080));
    jpeg::encode_rgb(image.as_raw(), image.width(), image.height(), 85).expect("a picture")
}

/// Notes when each hit's card arrives at a page, by plate.
fn listen(page: &PageAddress) -> Arc<Mutex<HashMap<String, Instant>>> {
    let arrived = Arc::<Mutex<HashMap<String, Instant>>>::default();
    let (sink, cookie) = (arrived.clone(), page.cookie());
    let mut line = TcpStream::connect(page.address).expect("the page is served");
    write!(line, "GET /events HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", page.address)
        .expect("the page listens");
    std::thread::spawn(move || {
        let mut is_hit = false;
        for text in BufReader::new(line).lines().map_while(Result::ok) {
            let now = Instant::now();
            match text.strip_prefix("data:") {
                Some(data) if is_hit => {
                    let card: serde_json::Value = serde_json::from_str(data).expect("JSON");
                    let pairs = card["pairs"].as_array().expect("a card has pairs");
                    let plate = pairs.iter().filter_map(|pair| pair["read"].as_str()).collect();
                    sink.lock().expect("no holder panics").insert(plate, now);
                }
                _ => {
                    is_hit =
                        text == "event:hit" || text == "event: hit" || (is_hit && !text.is_empty())
                }
            }
        }
    });
    arrived
}

/// Drives past `plates`, all listed, with so many cameras beside it, and prints what it took.
fn drive(plates: &[String], cameras: usize, picture: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().display();
    std::fs::write(folder.path().join("list.csv"), list(plates)).expect("a file");
    // Nobody answers here, and a high hit's tone would come again: the tone of a medium one is raised the same way.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = format!("build/onnxruntime/{}/libonnxruntime.so", std::env::consts::ARCH);
    let config = format!(
        "[models]\nonnxruntime = {:?}\nfolder = {:?}\n[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n\
         [console]\nlisten = \"127.0.0.1:0\"\n\
         [[hotlist]]\nname = \"bench\"\npath = \"{dir}/list.csv\"\n\
         [keeping]\ndirectory = \"{dir}/state\"\ndisk_reserve = \"0B\"\n",
        root.join(library),
        root.join("models")
    );
    let file = folder.path().join("outrider.toml");
    std::fs::write(&file, config).expect("a file");
    let config = Config::load(Path::new(&file)).expect("a configuration");

    let (mut open, reader) = car::camera(plates, Duration::ZERO);
    let (handed_on, onsets) = (HandedOn::default(), HandedOn::default());
    let script = SeamCamera {
        id: CameraId::new("front"),
        open: Box::new(move || Ok(Box::new(Paced(open()?)) as Box<dyn FrameSource>)),
        reader: Some(Box::new(Noting { reader, handed_on: handed_on.clone() })),
    };
    let delivered = Arc::<AtomicU64>::default();
    let streets = (0..cameras).map(|n| {
        let id = CameraId::new(format!("street{n}"));
        let (picture, counter, name) = (picture.to_vec(), delivered.clone(), id.clone());
        let open = move || {
            let (picture, delivered) = (picture.clone(), counter.clone());
            let start = Instant::now();
            let source = Street { id: name.clone(), picture, next: 0, start, delivered };
            Ok(Box::new(source) as Box<dyn FrameSource>)
        };
        SeamCamera { id, open: Box::new(open), reader: None }
    });
    let seams = Seams {
        cameras: Some(streets.chain([script]).collect()),
        annunciator: Some(Box::new(Onsets(onsets.clone()))),
        ..Seams::default()
    };
    let began = Instant::now();
    let daemon = Daemon::start(config, seams).expect("the daemon starts");
    let arrived = listen(daemon.console().expect("the page is on"));
    let everything = plates.len() as u64 * car::PERIOD;
    let patience = Duration::from_secs(60) + APART * (everything as u32);
    while (handed_on.lock().expect("no holder panics").len() as u64) < everything {
        assert!(began.elapsed() < patience, "the drive does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(1));
    let took = began.elapsed();
    daemon.stop();

    let frames = handed_on.lock().expect("no holder panics").clone();
    let tones = onsets.lock().expect("no holder panics").clone();
    let cards = arrived.lock().expect("no holder panics").clone();
    assert_eq!(
        (tones.len(), cards.len()),
        (plates.len(), plates.len()),
        "tones and cards of every hit"
    );
    let deciding = deciding_frame(&frames, &tones);
    let since = |vehicle: usize, then: Instant| {
        let frame = frames[vehicle * car::PERIOD as usize + deciding];
        then.checked_duration_since(frame).expect("no alert comes before the frame that raised it")
    };
    let sound = tones.iter().enumerate().map(|(n, then)| since(n, *then)).collect();
    let card = plates.iter().enumerate().map(|(n, plate)| since(n, cards[plate])).collect();
    let looked_at = delivered.load(Ordering::Relaxed) as f64 / took.as_secs_f64();
    println!(
        "{cameras} cameras beside the script, {looked_at:.0} frames a second from them, {} hits",
        plates.len()
    );
    print("match to sound", sound);
    print("match to card", card);
}

/// The number within a pass of the frame that makes the vote sure, which most of the tones follow at once.
fn deciding_frame(frames: &[Instant], tones: &[Instant]) -> usize {
    let mut votes = HashMap::<usize, usize>::new();
    for (vehicle, tone) in tones.iter().enumerate() {
        let pass = &frames[vehicle * car::PERIOD as usize..][..car::PERIOD as usize];
        let before = pass.iter().filter(|then| *then <= tone).count();
        *votes.entry(before.saturating_sub(1)).or_default() += 1;
    }
    votes.into_iter().max_by_key(|(_, n)| *n).expect("there are hits").0
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("  {what:15} p50 {:?}, p95 {:?}, most {:?}", at(0.5), at(0.95), at(1.0));
}

fn list(plates: &[String]) -> String {
    let mut text = String::from("plate,jurisdiction,category,priority\n");
    for plate in plates {
        text.push_str(&format!("{plate},CA-ON,bench,medium\n"));
    }
    text
}

fn main() {
    let hits: usize = match std::env::var("OUTRIDER_HITS") {
        Ok(text) => text.parse().expect("OUTRIDER_HITS is a number"),
        Err(_) => 1_000,
    };
    let beside: Vec<usize> = match std::env::var("OUTRIDER_BESIDE") {
        Ok(text) => vec![text.parse().expect("OUTRIDER_BESIDE is a number of cameras")],
        Err(_) => vec![0, 4],
    };
    let plates: Vec<_> = (0..hits).map(|n| format!("HIT{n:04}")).collect();
    let picture = street();
    for cameras in beside {
        drive(&plates, cameras, &picture);
    }
}
