//! What the cameras of this machine offer, and how one of them does.
//!
//! `camera_probe` lists the cameras. `camera_probe SECONDS [KEY=VALUE]..` runs the camera that
//! those settings of a `[[camera]]` section describe, as the daemon would, and prints every second
//! how many frames came, were lost or broken, how large they are and how old on arrival.
//!
//! ```text
//! camera_probe 10 device="HD Pro Webcam" format=yuyv width=1280 height=720 exposure=10
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use outrider::clock::{Clock, SystemClock};
use outrider::config::CameraConfig;
use outrider::health::{CameraHealth, Health, PartState};
use outrider::onboard::capture::newest::{Slot, Taken};
use outrider::onboard::capture::{self, Capture, list_cameras};
use outrider::onboard::frame::Frame;

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args().skip(1);
    let Some(seconds) = arguments.next() else {
        list();
        return Ok(());
    };
    let seconds = Duration::from_secs_f64(seconds.parse().context("how many seconds?")?);
    run(seconds, &settings(arguments)?)
}

fn list() {
    let (cameras, errors) = list_cameras();
    println!("{} cameras", cameras.len());
    for camera in &cameras {
        println!("{:?} ({}) at {}", camera.card, camera.driver, camera.device.display());
        for (kind, name) in [("by-id", &camera.by_id), ("by-path", &camera.by_path)] {
            println!("  {kind}: {}", name.as_ref().map_or("-".into(), |n| n.display().to_string()));
        }
        let (usable, other): (Vec<_>, Vec<_>) =
            camera.offer.formats.iter().partition(|f| f.format.is_some());
        for format in usable {
            println!("  {}", format.fourcc);
            for size in &format.sizes {
                println!("    {size} at {}", size.rates);
            }
        }
        println!(
            "  not read: {}",
            other.iter().map(|f| f.fourcc.as_str()).collect::<Vec<_>>().join(" ")
        );
        for control in &camera.controls {
            println!("  {}: {:?}, auto {}", control.key, control.range, control.auto);
        }
    }
    for error in &errors {
        println!("error: {error}");
    }
}

/// `key=value` pairs as a section of the configuration file; bare words become texts.
fn settings(pairs: impl Iterator<Item = String>) -> anyhow::Result<CameraConfig> {
    let mut section = String::from("name = \"probe\"\n");
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else { bail!("{pair}: not KEY=VALUE") };
        let number = value.parse::<f64>().is_ok();
        let value = if number { value.to_owned() } else { format!("{value:?}") };
        section += &format!("{key} = {value}\n");
    }
    Ok(toml::from_str(&section)?)
}

fn run(seconds: Duration, config: &CameraConfig) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let health = Arc::new(Health::default());
    let slot = Arc::new(Slot::<Frame>::new());
    let open = capture::opener(config.clone(), clock.clone());
    let loop_ =
        Capture::new(config.name.clone(), open, slot.clone(), clock.clone(), health.clone());
    let thread = std::thread::spawn(move || loop_.run());
    let counts = health.camera(&config.name);
    let started = Instant::now();
    let mut second = Second::default();
    let mut state = None;
    while started.elapsed() < seconds {
        let taken = slot.take_for(Duration::from_millis(20));
        let now = health.state(&format!("camera/{}", config.name));
        if now != state {
            println!("{:6.2} s  {}", started.elapsed().as_secs_f64(), words(now.as_ref()));
            state = now;
        }
        match taken {
            Taken::Value(frame) => second.add(&frame, clock.as_ref()),
            Taken::Nothing => {}
            Taken::Closed => break,
        }
        if second.began.elapsed() >= Duration::from_secs(1) {
            second.print(started.elapsed(), &counts);
            second = Second::default();
        }
    }
    slot.close();
    if thread.join().is_err() {
        bail!("the capture thread panicked");
    }
    Ok(())
}

fn words(state: Option<&PartState>) -> String {
    match state {
        Some(PartState::Down(why)) => format!("DOWN: {why}"),
        Some(other) => format!("{other:?}"),
        None => "-".into(),
    }
}

struct Second {
    began: Instant,
    ages_ms: Vec<f64>,
    last: Option<String>,
    bytes: usize,
}

impl Default for Second {
    fn default() -> Self {
        Self { began: Instant::now(), ages_ms: Vec::new(), last: None, bytes: 0 }
    }
}

impl Second {
    fn add(&mut self, frame: &Frame, clock: &dyn Clock) {
        // Signed: stamps may lie a little in the future.
        let age = clock.now().monotonic.as_secs_f64() - frame.captured.monotonic.as_secs_f64();
        self.ages_ms.push(age * 1e3);
        self.bytes += frame.pixels.bytes().len();
        self.last = Some(format!("#{} {:?}", frame.sequence, frame.pixels));
    }

    fn print(&mut self, at: Duration, counts: &CameraHealth) {
        self.ages_ms.sort_by(f64::total_cmp);
        let n = self.ages_ms.len();
        println!(
            "{:6.2} s  {:5.1} fps  {:7} B/frame  age p50 {:6.1} ms  max {:6.1} ms  total {} lost {} \
             bad {} skipped {} interruptions {}  {}",
            at.as_secs_f64(),
            n as f64 / self.began.elapsed().as_secs_f64(),
            self.bytes / n.max(1),
            self.ages_ms.get(n / 2).copied().unwrap_or(f64::NAN),
            self.ages_ms.last().copied().unwrap_or(f64::NAN),
            counts.frames.get(),
            counts.frames_lost.get(),
            counts.frames_bad.get(),
            counts.frames_skipped.get(),
            counts.interruptions.get(),
            self.last.as_deref().unwrap_or("-"),
        );
    }
}
