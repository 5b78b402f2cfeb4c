//! `outrider demo`: the whole system on a drive that it renders itself.
//!
//! The daemon is the one that `outrider run` starts. Around it are rendered cameras, a simulated
//! receiver that speaks gpsd's protocol, an MQTT broker, and a listener between car and broker
//! that searches every byte for plates that should have stayed inside. All of it runs in this
//! process and in a temporary folder that is removed with it.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::model_args::ModelArgs;
use crate::alert::Recorder;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::daemon::{Daemon, SeamCamera, Seams};
use crate::demo::camera::{Departure, Pace, RenderedCamera};
use crate::demo::gps::{Route, SimulatedGpsd};
use crate::demo::listed::{DemoList, must_stay};
use crate::demo::people;
use crate::demo::scenario::{DriveScenario, DriveSettings, Region, Side, Visit};
use crate::demo::watch::Screen;
use crate::demo::wire::{Search, Tap};
use crate::demo::{announce, broker, free_address};
use crate::health::{PartState, Snapshot};
use crate::onboard::score::{Score, Truth};
use crate::render::light::TimeOfDay;

/// Watch the whole system on a drive that it renders itself: no camera, no GPS, no network needed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider demo\n  outrider demo --dusk --cameras 2\n  outrider demo --headless --seconds 60 --json"
)]
pub struct DemoArgs {
    /// No sound and no console page: for scripts.
    #[arg(long)]
    headless: bool,
    /// How long the drive lasts [default: 60 headless, else 900; Ctrl-C ends it at any time].
    #[arg(long, value_name = "N")]
    seconds: Option<f32>,
    /// Print one line of JSON on standard output at the end.
    #[arg(long)]
    json: bool,
    /// Seed of the traffic: the same seed gives the same drive.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Frames a second of each camera, 2 to 120.
    #[arg(long, value_name = "N", default_value_t = 15.0)]
    fps: f32,
    /// Size of the pictures.
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = parse_size)]
    size: (u32, u32),
    /// The light in which the drive takes place.
    #[arg(long, value_enum, default_value = "day", conflicts_with = "dusk")]
    light: TimeOfDay,
    /// The same as `--light dusk`.
    #[arg(long)]
    dusk: bool,
    /// Our own speed, km/h.
    #[arg(long, value_name = "KM/H", default_value_t = 50.0)]
    speed: f32,
    /// Speed at which oncoming traffic and we close, km/h, up to 300 [default: twice our own].
    #[arg(long, value_name = "KM/H")]
    closing: Option<f32>,
    /// Vehicles a minute in each lane, up to 60.
    #[arg(long, value_name = "N", default_value_t = 24.0)]
    traffic: f32,
    /// Cameras: 1 looks to the left, at oncoming traffic; 2 also to the right.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    cameras: u8,
    /// German and Dutch plates instead of North American ones.
    #[arg(long)]
    europe: bool,
    /// Where the console is served; another port is taken if this one is in use.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8470")]
    listen: SocketAddr,
    #[command(flatten)]
    models: ModelArgs,
}

/// The result of a drive, as the last line prints it. It should show that every hit was alerted, recorded and
/// delivered, and that nobody else's plate left the car.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Outcome {
    /// Vehicles whose plate could be read and that left the picture before the end.
    passes: u64,
    /// Reads; the sum of the next four.
    reads: u64,
    /// Passes read rightly.
    correct: u64,
    /// Reads that no visible plate carried.
    misread: u64,
    /// Right reads of a pass read before.
    repeated: u64,
    /// Right reads of plates too small, too brief or too late to count as passes.
    beyond: u64,
    /// Reads on the list.
    hits: u64,
    /// Hits that the officer was alerted to.
    alerted: u64,
    /// Hits committed to disk.
    recorded: u64,
    /// Hits that the broker has acknowledged.
    delivered: u64,
    /// Different plates of non-hits found in the bytes that left the car.
    non_hits_on_wire: u64,
    /// Bytes that left the car, all of them searched.
    bytes_on_wire: u64,
    /// Frames a second that were read, per camera.
    fps: f64,
    /// Frames replaced by a newer one before they were read.
    frames_skipped: u64,
    /// From the capture of the frame that made a vote sure to the alert: 95 % of hits were at least
    /// this quick. Null without hits.
    latency_ms_p95: Option<f64>,
    /// How long the drive lasted.
    seconds: f64,
}

/// A plate counts as legible if the configuration's limits let it through: this width, in this many frames.
fn gates(config: &Config) -> (f32, u32) {
    (config.reading.min_plate_width, config.reading.min_agreeing_frames)
}

impl DemoArgs {
    fn settings(&self) -> anyhow::Result<DriveSettings> {
        let closing = self.closing.unwrap_or(2.0 * self.speed);
        let settings = DriveSettings {
            seed: self.seed,
            seconds: self.seconds.unwrap_or(if self.headless { 60.0 } else { 900.0 }),
            fps: self.fps,
            width: self.size.0,
            height: self.size.1,
            cameras: [Side::Left, Side::Right][..usize::from(self.cameras)].to_vec(),
            light: if self.dusk { TimeOfDay::Dusk } else { self.light },
            speed_kmh: self.speed,
            closing_kmh: ((closing * 0.8).max(self.speed), closing),
            oncoming_per_minute: self.traffic,
            right_per_minute: self.traffic,
            // At dusk the shutter stays open for longer.
            shutter_us: if self.dusk { 1000.0 } else { 500.0 },
            region: if self.europe { Region::Europe } else { Region::America },
            ..DriveSettings::default()
        };
        settings.validate().map_err(anyhow::Error::msg)?;
        Ok(settings)
    }

    /// Drives until the time is up or somebody ends it.
    pub fn run(&self) -> anyhow::Result<()> {
        let settings = self.settings()?;
        let folder = Folder::new()?;
        let plan = Arc::new(DriveScenario::plan(settings));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);

        let mut config = Config::parse(
            &format!(
                "[vehicle]\nid = \"demo\"\nagency = \"outrider\"\n\
                 [keeping]\ndirectory = {:?}\nnon_hit = \"session\"\n\
                 [uplink]\nhealth_every = \"5s\"\n",
                folder.0.join("store")
            ),
            std::path::Path::new("demo"),
        )?;
        people::sign(&mut config, &folder.0)?;
        config.models = self.models.config()?;
        config.console.enabled = !self.headless;
        config.console.listen = free_address(self.listen);

        let (width, frames) = gates(&config);
        let visits: Vec<Visit> =
            plan.settings.cameras.iter().flat_map(|&side| plan.visits(side, width)).collect();
        let list = DemoList::of(&plan, &visits, frames);
        let path = folder.0.join("hotlist.csv");
        std::fs::write(&path, &list.csv).context("cannot write the demo's hotlist")?;
        let entry = format!(
            "name = \"demo\"\npath = {path:?}\ncategory = \"listed\"\nmatching = \"look_alike\"\n"
        );
        config.hotlist = vec![toml::from_str(&entry).context("the demo's own list")?];

        let tap = Tap::before(broker::start()?, Search::for_plates(&must_stay(&plan, &list)))?;
        config.uplink.broker = Some(format!("mqtt://{}", tap.address()));
        let truth = Truth::default();
        let departure = Departure::new(clock.clone(), {
            let (plan, truth, visits) = (plan.clone(), truth.clone(), visits.clone());
            move |began| announce(&truth, &plan, &visits, frames, began)
        });
        let gone = {
            let departure = departure.clone();
            Arc::new(move || departure.seconds())
        };
        let route = Route { speed_mps: f64::from(plan.settings.speed_kmh) / 3.6 };
        let gpsd = SimulatedGpsd::start(route, clock.clone(), gone)?;
        config.gps.address = gpsd.address().to_string();
        config.validate()?;

        let screen = (!self.headless).then(Screen::default);
        let daemon = Daemon::start(
            config,
            Seams {
                clock,
                cameras: Some(cameras(&plan, &departure, screen.as_ref())?),
                annunciator: self.headless.then(|| Box::new(Recorder::default()) as _),
                ignition: None,
                beacon: None,
                truth: Some(truth.clone()),
                nobody_drives: true,
            },
        )?;
        self.welcome(&daemon, &plan, screen)?;
        let cut_short = self.watch(&daemon, &departure, &truth, &tap, plan.settings.seconds)?;

        // The cameras are at their end; wait for what is under way before anything is counted.
        departure.end();
        let seconds = departure.seconds().min(f64::from(plan.settings.seconds));
        daemon.wait_for_end(Duration::from_secs(20));
        daemon.wait_for_delivery(Duration::from_secs(20));
        let latency = daemon.health().alert_latency.p95();
        let last = daemon.stop();
        let mut outcome = outcome(&truth.score(), &last, &tap, latency, seconds);
        if cut_short {
            // A vehicle that had not come by then does not count as a pass.
            let gone = |v: &&Visit| plan.frame_s(v.visible.1) < seconds;
            let passed = visits.iter().filter(gone).filter(|v| v.legible_frames >= frames);
            outcome.passes = passed.count() as u64;
        }
        if self.json {
            println!("{}", serde_json::to_string(&outcome)?);
        } else {
            print_outcome(&outcome, cut_short);
        }
        if outcome.non_hits_on_wire > 0 {
            bail!("{} plates of non-hits left the car", outcome.non_hits_on_wire);
        }
        Ok(())
    }

    fn welcome(
        &self,
        daemon: &Daemon,
        plan: &DriveScenario,
        screen: Option<Screen>,
    ) -> anyhow::Result<()> {
        let Some(screen) = screen else { return Ok(()) };
        let s = &plan.settings;
        eprintln!();
        if let Some(page) = daemon.console() {
            eprintln!("  Officer's console   {page}   (open it in a browser)");
        }
        screen.link(daemon.console().map(ToString::to_string));
        let road = screen.serve(s.cameras.clone()).context("cannot serve the view of the road")?;
        for (n, line) in people::lines().iter().enumerate() {
            let title = if n == 0 { "To sign in there" } else { "" };
            eprintln!("  {title:<18}  {line}");
        }
        eprintln!("  View of the road    http://{road}/");
        eprintln!(
            "  The drive           {:.0} km/h, {}, {} camera{}, {:.0} frames a second",
            s.speed_kmh,
            format!("{:?}", s.light).to_lowercase(),
            s.cameras.len(),
            if s.cameras.len() == 1 { "" } else { "s" },
            s.fps
        );
        eprintln!("  Ctrl-C ends it, and everything that it kept goes with it.\n");
        Ok(())
    }

    /// Shows progress until the cameras are at their end or somebody ends the drive; returns which.
    fn watch(
        &self,
        daemon: &Daemon,
        departure: &Departure,
        truth: &Truth,
        tap: &Tap,
        seconds: f32,
    ) -> anyhow::Result<bool> {
        let asked_to_end = interrupted()?;
        let live = !self.headless && std::io::stderr().is_terminal();
        let mut last_line = Instant::now();
        loop {
            // Waits 200 ms, and less when the cameras are at their end.
            if daemon.wait_for_end(Duration::from_millis(200)) {
                break;
            }
            if asked_to_end.load(std::sync::atomic::Ordering::Relaxed) {
                clear_line(live);
                return Ok(true);
            }
            let every = if live { Duration::from_millis(400) } else { Duration::from_secs(10) };
            if !self.headless && last_line.elapsed() >= every {
                last_line = Instant::now();
                let line = status_line(daemon, departure, truth, tap, seconds);
                if live {
                    eprint!("\r\x1b[2K  {line}");
                    std::io::stderr().flush().ok();
                } else {
                    eprintln!("  {line}");
                }
            }
        }
        clear_line(live);
        Ok(false)
    }
}

fn clear_line(live: bool) {
    if live {
        eprint!("\r\x1b[2K");
    }
}

/// One line of progress.
fn status_line(
    daemon: &Daemon,
    departure: &Departure,
    truth: &Truth,
    tap: &Tap,
    seconds: f32,
) -> String {
    let health = daemon.health().snapshot();
    let score = truth.score();
    let gone = departure.seconds();
    let looked: u64 = health.cameras.values().map(|c| c.looked).sum();
    let cameras = health.cameras.len().max(1) as f64;
    let part = |name: &str| match health.parts.get(name) {
        Some(PartState::Working) => "ok",
        Some(PartState::Starting) => "starting",
        Some(PartState::Impaired(_)) => "impaired",
        Some(PartState::Down(_)) => "down",
        Some(PartState::Off) => "off",
        None => "-",
    };
    let clock = |s: f64| format!("{}:{:02}", s as u64 / 60, s as u64 % 60);
    format!(
        "{} of {}   {:4.1} frames/s   {} plates read   {} hits   {} delivered   gps {}   {} kB sent, {} other plates in it",
        clock(gone.min(f64::from(seconds))),
        clock(f64::from(seconds)),
        looked as f64 / gone.max(0.1) / cameras,
        score.reads,
        health.hits,
        health.delivered,
        part("gps"),
        tap.passed().bytes / 1000,
        tap.passed().plates,
    )
}

fn outcome(
    score: &Score,
    last: &Snapshot,
    tap: &Tap,
    latency: Option<Duration>,
    seconds: f64,
) -> Outcome {
    let looked: u64 = last.cameras.values().map(|c| c.looked).sum();
    let passed = tap.passed();
    let tenth = |x: f64| (x * 10.0).round() / 10.0;
    Outcome {
        passes: score.passes,
        reads: score.reads,
        correct: score.correct,
        misread: score.misread,
        repeated: score.repeated,
        beyond: score.beyond,
        hits: last.hits,
        alerted: last.alerted,
        recorded: last.recorded,
        delivered: last.delivered,
        non_hits_on_wire: passed.plates,
        bytes_on_wire: passed.bytes,
        fps: tenth(looked as f64 / seconds.max(0.1) / last.cameras.len().max(1) as f64),
        frames_skipped: last.cameras.values().map(|c| c.frames_skipped).sum(),
        latency_ms_p95: latency.map(|l| tenth(l.as_secs_f64() * 1e3)),
        seconds: tenth(seconds),
    }
}

fn print_outcome(o: &Outcome, cut_short: bool) {
    println!("After {} s{}:", o.seconds, if cut_short { ", ended by hand" } else { "" });
    println!("  {} vehicles passed with a legible plate, {} read rightly", o.passes, o.correct);
    println!(
        "  {} reads in all: {} misread, {} repeated, {} beyond those passes",
        o.reads, o.misread, o.repeated, o.beyond
    );
    println!(
        "  {} on the list: {} alerted, {} recorded, {} delivered and acknowledged",
        o.hits, o.alerted, o.recorded, o.delivered
    );
    println!(
        "  {} bytes left the car; plates of others among them: {}",
        o.bytes_on_wire, o.non_hits_on_wire
    );
    match o.latency_ms_p95 {
        Some(ms) => {
            println!("  {} frames a second; 95 % of alerts within {ms} ms of their frame", o.fps)
        }
        None => println!("  {} frames a second", o.fps),
    }
}

fn cameras(
    plan: &Arc<DriveScenario>,
    departure: &Arc<Departure>,
    screen: Option<&Screen>,
) -> anyhow::Result<Vec<SeamCamera>> {
    let open = |&side: &Side| {
        let (plan, departure, screen) = (plan.clone(), departure.clone(), screen.cloned());
        let make = move || {
            RenderedCamera::new(plan.clone(), side, Pace::Real, departure.clone())
                .map(|camera| camera.shown_on(screen.clone()))
        };
        let camera = make()?;
        // Made before the drive begins, so that it begins for all cameras at once.
        let mut first = Some(camera);
        Ok(SeamCamera {
            id: side.id(),
            open: Box::new(move || {
                let camera = match first.take() {
                    Some(camera) => camera,
                    None => make()?,
                };
                Ok(Box::new(camera))
            }),
            reader: None,
        })
    };
    plan.settings.cameras.iter().map(open).collect()
}

/// Becomes true at the first Ctrl-C or SIGTERM; the second one ends the process as usual.
fn interrupted() -> anyhow::Result<Arc<std::sync::atomic::AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = flag.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    crate::threads::spawn("signals", move || {
        runtime.block_on(async {
            let (Ok(mut int), Ok(mut term)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            for _ in 0..2 {
                tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
                if told.swap(true, std::sync::atomic::Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    })?;
    Ok(flag)
}

/// The demo's folder, for our own eyes; gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut random = [0; 8];
        getrandom::fill(&mut random).context("the system gives no random numbers")?;
        let name = format!("outrider-demo-{}", data_encoding::HEXLOWER.encode(&random));
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make a folder for the demo: {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), error = %e, "demo's folder left behind");
        }
    }
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    parts.ok_or_else(|| "needs width x height, such as 1280x720".into())
}
