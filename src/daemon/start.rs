//! The parts of a running Outrider, built in order, connected, and stopped in order.
//!
//! `outrider run` starts one on the car's cameras; `outrider demo` starts the same one on rendered
//! cameras. What differs between them is in [`Seams`], nothing else.
//!
//! Starting: what has expired is destroyed before anything else; then keys and hits, lists, models,
//! sound and screen, position, the uplink, and last the cameras. Stopping is the way back.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::runtime::Runtime;
use tracing::{error, info, warn};

use super::beacon::{self, OpenBeacon};
use super::fleet::Fleet;
use super::keeper::{Keeper, Seen};
use super::odds::Roads;
use super::page::{self, RECALLED};
use super::past;
use super::power::{self, Power, SeamIgnition};
use super::records::{Records, Wipe};
use super::rules::Ruled;
use super::standing::{self, Latest};
use super::{commands, heat, metrics, teller};
use crate::alert::console::board::{Board, Hello};
use crate::alert::console::{Console, Doors, Duty, PageAddress, Token};
use crate::alert::{Annunciator, Desk, Sounder, Sounding, Speaker, Speech};
use crate::audit::{Actor, Audit, AuditEvent};
use crate::camera_id::CameraId;
use crate::clock::{Clock, SystemClock, TimeSource};
use crate::config::{Config, GpsSource};
use crate::control::{self, Listening};
use crate::counters::Counters;
use crate::entry::Priority;
use crate::files;
use crate::gps::{Disciplined, Fixes, Gps};
use crate::health::{Health, PartState, Snapshot};
use crate::hits::Outbox;
use crate::hotlist::{self, hotplate};
use crate::keys::{DeviceKey, rotation};
use crate::models::{self, Models};
use crate::onboard::capture::watch::Opener;
use crate::onboard::glance::Glances;
use crate::onboard::store::{PurgeRecord, PurgeSink, Ring, RingSeams};
use crate::onboard::{self, CameraParts, FrameReader, Onboard, capture, score};
use crate::policy::{HeldPolicy, Who};
use crate::records::disposition::Judge;
use crate::records::review::Review;
use crate::sessions::Sessions;
use crate::threads::UntilDropped;
use crate::uplink::{self, Notices, Uplink};
use crate::wire::Names;

/// Where a daemon meets hardware and time. The default is the real thing.
pub struct Seams {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Cameras in place of those of the configuration.
    pub cameras: Option<Vec<SeamCamera>>,
    /// What sounds in place of the loudspeaker of the configuration.
    pub annunciator: Option<Box<dyn Annunciator>>,
    /// An ignition line in place of that of the configuration.
    pub ignition: Option<SeamIgnition>,
    /// A beacon's line in place of that of the configuration.
    pub beacon: Option<OpenBeacon>,
    /// What the drive really shows, where that is known.
    pub truth: Option<score::Truth>,
    /// Whether the drive is a rendered one that nobody steers: its page opens text fields at any speed.
    pub nobody_drives: bool,
}

/// A camera that is not in the configuration.
pub struct SeamCamera {
    /// Its name.
    pub id: CameraId,
    /// How to open it.
    pub open: Opener,
    /// What looks at its frames in place of the models of the configuration.
    pub reader: Option<Box<dyn FrameReader>>,
}

impl Default for Seams {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            cameras: None,
            annunciator: None,
            ignition: None,
            beacon: None,
            truth: None,
            nobody_drives: false,
        }
    }
}

/// The part of health that says that there is no camera, and its words. Lists, hits and the page serve all the
/// same: a car is set up step by step, and what it has kept must not wait for a camera.
pub(super) const NO_CAMERA: (&str, &str) = ("cameras", "no camera is configured");

/// Time that the cameras and the stages behind them get to drain: the slowest look is under a
/// second on the car's computer, and every stage holds at most a few frames.
const DRAIN: Duration = Duration::from_secs(3);

/// Time that hits on their way to the broker get before we leave; what is not acknowledged by then
/// waits on the disk for the next start.
const DELIVER: Duration = Duration::from_secs(2);

/// Time that the uplink gets to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// A running Outrider.
pub struct Daemon {
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    control: Option<Listening>,
    hotplates: Option<UntilDropped>,
    past: Option<past::Running>,
    lists: hotlist::WatchHandle,
    fleet: Fleet,
    gps: Gps,
    audit: Audit,
    keeper: UntilDropped,
    outbox: Outbox,
    onboard: Onboard,
    /// Held here too, so that what it keeps expires whatever becomes of the cameras.
    ring: Ring,
    standing: UntilDropped,
    heat: UntilDropped,
    power: Option<Power>,
    beacon: Option<UntilDropped>,
    metrics: Option<std::net::SocketAddr>,
    teller: teller::Running,
    uplink: Uplink,
    console: Option<Console>,
    sounding: Sounding,
    runtime: Runtime,
    notices: Notices,
    wipes: Receiver<Wipe>,
    /// Secrets outside of the state folder, for a wipe.
    secrets: Vec<PathBuf>,
    watching_models: UntilDropped,
    models_from_broker: Option<UntilDropped>,
    models: Arc<Models>,
}

impl Daemon {
    /// Builds and connects the parts. An error is one line that says what to do.
    pub fn start(config: Config, seams: Seams) -> anyhow::Result<Self> {
        // The machine's clock dates what is kept; what is in force, and when a car was seen, is asked of a
        // clock that satellites put right.
        let Seams { clock: machine, cameras, annunciator, ignition, beacon, truth, nobody_drives } =
            seams;
        let disciplined = Arc::new(Disciplined::new(machine.clone()));
        let clock: Arc<dyn Clock> = disciplined.clone();
        let health = Arc::new(Health::default());

        super::set_up::refuse_before_the_first_start(&config)?;
        // Before anything is read from it or written to it.
        files::own_folder(&config.keeping.directory)
            .context("keeping.directory cannot be relied on")?;
        control::refuse_a_second(&config.keeping.directory)?;
        let secrets = config.secrets();

        // Before anything makes another: the key that the configuration asks for.
        DeviceKey::open(&config.keeping)?;
        // What is purged at the start is written down, so the log comes before the ring.
        let audit = Audit::open_or_closed(
            &config.keeping,
            &config.vehicle,
            machine.clone(),
            health.clone(),
        );
        begin_log(&audit);
        let (config, ruled) = Ruled::take_up(config, &clock, &health, &audit)?;
        audit.note(
            Actor::System,
            AuditEvent::Started {
                software: crate::version::text().into(),
                non_hit: config.keeping.non_hit.to_string(),
                protection: audit.protection(),
            },
        );
        // Before anything else, so that nothing expired outlives the start.
        let located = Arc::new(OnceLock::new());
        let seams = RingSeams {
            purges: Arc::new(Audited(audit.clone())),
            source: time_source(machine.clone(), located.clone()),
        };
        let ring = Ring::open_with(&config.keeping, machine.clone(), health.clone(), seams)?;
        let outbox =
            Outbox::open(&config.keeping, &config.vehicle, machine.clone(), health.clone())?;
        let purges = audit.clone();
        outbox.on_gone(move |gone| {
            let (hits, images) = (gone.hits as u64, gone.images as u64);
            purges.note(Actor::System, AuditEvent::HitsPurged { hits, images });
        });
        let lists = hotlist::Watch::new(config.hotlist.clone(), clock.clone(), health.clone());
        let hotlists = lists.service();
        let covert = || config.hotlist.iter().filter(|list| list.covert);
        hotlists.conceal(covert().map(|list| list.name.clone()));
        health.conceal(covert().map(|list| format!("hotlist/{}", list.name)));
        let lists = lists.spawn();
        // A version that policy holds back stays held back over a restart.
        hotlists.govern(&ruled.held().rules().lists);
        let mut fleet = Fleet::prepare(&config, &hotlists, &audit, &clock, &health)?;
        let ring_limit = ring.limit();
        let hotplates = commands::hotplates(&config, &hotlists, (&clock, &health, &audit));
        ruled.connect(&fleet, &hotlists, hotplates.as_ref(), ring_limit);
        let past = past::spawn(&config, ring.searcher(), ruled.held(), (&hotlists, &audit, &clock));
        let device = DeviceKey::load(&config.keeping.directory)?;
        let models = Models::open(models::Parts {
            config: &config,
            device: &device,
            trust: fleet.trust().cloned(),
            audit: audit.clone(),
            clock: clock.clone(),
            health: health.clone(),
        });
        let cameras = cameras_and_readers(&config, cameras, &clock, &models)?;
        if cameras.is_empty() {
            let (part, what) = NO_CAMERA;
            let why = format!("{what}: {WHAT_TO_ADD}");
            error!("NOT READING: {why}");
            health.set(part, PartState::Down(why));
        }
        for camera in config.camera.iter().filter(|camera| camera.recording.is_some()) {
            let why = format!("{} plays a recording and is no camera: not for duty", camera.name);
            error!("{why}");
            health.set(&format!("recording/{}", camera.name), PartState::Impaired(why));
        }
        let names: Vec<CameraId> = cameras.iter().map(|c| c.id.clone()).collect();

        let gps = Gps::start(&config.gps, clock.clone(), health.clone());
        let fixes = gps.fixes();
        let _ = located.set(fixes.clone());
        // A recording tells of the time of its drive.
        if config.gps.source == GpsSource::Gpsd {
            disciplined.believe(fixes.clone());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("console")
            .on_thread_start(|| crate::threads::began("console"))
            .enable_all()
            .build()
            .context("cannot start the console's threads")?;
        let board = Arc::new(Board::new(&Hello {
            vehicle: config.vehicle.id.clone(),
            agency: config.vehicle.agency.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            screen: config.console.screen,
            nobody_drives,
        }));
        page::recall(&board, &outbox, ruled.held().rules().verify);
        board.older_from(page::older(&outbox));
        page::forgets_with(&board, &outbox);
        let annunciator =
            annunciator.unwrap_or_else(|| Box::new(Speaker::new(config.alert.device.clone())));
        let (sounder, sounding) = Sounder::spawn(annunciator, &config.alert, health.clone());
        let answered = sounder.clone();
        board.answers_to(Box::new(move |hit| answered.answer(hit)));
        let (shown, judged) = (board.clone(), sounder.clone());
        let judge = Arc::new(Judge::new(
            outbox.clone(),
            audit.clone(),
            config.vehicle.clone(),
            clock.clone(),
            (
                verify(ruled.held()),
                Box::new(move |hit, told| {
                    shown.stand(hit, told);
                    if told.is.is_some() {
                        judged.answer(hit);
                    }
                }),
            ),
        ));
        // What a hit still needs before it counts is what the policy of now says. The policy keeps neither alive: the
        // judge knows the policy, and the store of hits would never be closed.
        let (shown, judged) = (Arc::downgrade(&board), Arc::downgrade(&judge));
        ruled.held().on_change(move |_| {
            if let (Some(shown), Some(judged)) = (shown.upgrade(), judged.upgrade()) {
                shown.stand_anew(&judged);
            }
        });
        catch_up(&audit, &outbox);
        let rules = ruled.held().clone();
        let sessions = Arc::new(Sessions::new(
            Box::new(move || rules.rules()),
            audit.clone(),
            clock.clone(),
            &config.keeping.directory,
        ));
        let policed = sessions.clone();
        ruled.held().on_change(move |_| _ = policed.tick());
        let ask = || {
            page::asker(
                &config,
                &clock,
                (&hotlists, hotplates.as_ref(), past.as_ref().map(past::Running::shared)),
                &fixes,
                (&outbox, &sounder),
            )
        };
        let latest = Latest::default();
        let standing = standing::spawn(
            &config,
            names.clone(),
            clock.clone(),
            health.clone(),
            ask(),
            latest.clone(),
        );
        let heat = heat::spawn(config.thermal.clone(), "/sys".into(), health.clone());
        let power =
            power::spawn(&config.power, ignition, machine.clone(), fixes.clone(), health.clone());
        let waits = sounder.clone();
        let waits = move || !waits.unanswered().is_empty();
        let beacon = beacon::spawn(config.alert.beacon.as_ref(), beacon, waits, health.clone());
        let glances = Glances::new(names.clone(), &config.reading);
        let tone = sounder.clone();
        let metrics = metrics::start(&config.metrics, &runtime, latest.clone(), &health);
        let counters = Counters::open(&config.keeping)
            .inspect_err(|e| {
                error!(error = %e, "nothing is counted");
                health.set("counters", PartState::Down(e.to_string()));
            })
            .ok();
        let review = Arc::new(Review {
            audit: audit.clone(),
            outbox: outbox.clone(),
            counters: counters.clone(),
            permissions: permissions(ruled.held()),
            vehicle: config.vehicle.clone(),
            clock: clock.clone(),
        });
        let console = if config.console.enabled {
            let started = runtime.block_on(Console::start(
                &config.console,
                board.clone(),
                names.clone(),
                clock.clone(),
                health.clone(),
                Doors {
                    ask: ask(),
                    hotplates: hotplates.clone(),
                    judge: judge.clone(),
                    review,
                    sessions: sessions.clone(),
                    duty: Duty {
                        glances: glances.clone(),
                        tone: Box::new(move || tone.alert(Priority::High)),
                        kept: page::kept(&config, ruled.held(), &health),
                    },
                },
                Token::of(&config.keeping.directory)?,
            ))?;
            health.set("console", PartState::Working);
            Some(started)
        } else {
            health.set("console", PartState::Off);
            None
        };
        let notices = Notices::default();
        let roads = Roads::new(hotlists.clone(), config.keeping.hits.get());
        let keeper = Keeper {
            roads: (roads.clone(), outbox.clone()),
            audit: audit.clone(),
            notices: notices.clone(),
            vehicle: config.vehicle.clone(),
            counters: counters.clone(),
            clock: machine.clone(),
            disciplined: clock.clone(),
            health: health.clone(),
            seen: Seen::default(),
            aside: (config.keeping.directory.clone(), config.keeping.hits.get()),
            acknowledged: Vec::new(),
            looks: 0,
        };
        let keeper = keeper.spawn();
        let (wipe, wipes) = sync_channel(1);
        let records = Records {
            audit: audit.clone(),
            outbox: outbox.clone(),
            judge,
            counters,
            vehicle: config.vehicle.clone(),
            searcher: ring.searcher(),
            permissions: permissions(ruled.held()),
            sessions: sessions.clone(),
            clock: clock.clone(),
            wipe: wipe.clone(),
        };
        let state = config.keeping.directory.clone();
        let answers = commands::all(
            &config,
            hotplates.as_ref(),
            ruled.held(),
            (&health, latest, &models),
            (&sessions, &audit),
        );
        let control = commands::listen(records.answer(answers, state), &config, &health)?;
        fleet.obey(&config, &audit, &clock, wipe);
        let models_from_broker = fleet.bring_models(&models, ruled.held(), &clock, &fixes);
        let uplink = uplink::spawn(
            &config.uplink,
            uplink::Parts {
                outbox: outbox.clone(),
                vehicle: config.vehicle.clone(),
                non_hit: config.keeping.non_hit,
                notices: notices.clone(),
                names: Names { cameras: names, key_protection: audit.protection() },
                hotlists: hotlists.clone(),
                clock: clock.clone(),
                health: health.clone(),
            },
        )?;
        // Whoever listens has subscribed by now.
        fleet.open(&config, &health)?;
        let (onboard, hits) = onboard::spawn(onboard::Parts {
            cameras,
            hotlists: hotlists.clone(),
            fixes,
            ring: ring.clone(),
            clock: clock.clone(),
            health: health.clone(),
            reading: config.reading.clone(),
            glances,
            truth,
        });
        let speech = config.alert.speech.then(|| Speech::spawn(sounder.clone(), health.clone()));
        let desk = Desk::new(sounder, speech, board, health.clone());
        let teller = teller::spawn(
            hits,
            desk,
            outbox.clone(),
            audit.clone(),
            clock.clone(),
            (health.clone(), roads),
        );
        Ok(Self {
            clock,
            health,
            control,
            hotplates: hotplates.map(hotplate::Hotplates::tick_on),
            past,
            lists,
            fleet,
            gps,
            audit,
            keeper,
            outbox,
            onboard,
            ring,
            standing,
            heat,
            power,
            beacon,
            metrics,
            teller,
            uplink,
            console,
            sounding,
            runtime,
            notices,
            wipes,
            secrets,
            watching_models: models.watch(),
            models_from_broker,
            models,
        })
    }

    /// Counters and states of every part.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// The time by which it runs.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The record of who did what.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Where the console is served, with the port that was taken and what lets a browser in; `None` if it is
    /// switched off.
    pub fn console(&self) -> Option<&PageAddress> {
        self.console.as_ref().map(Console::page)
    }

    /// Where counters are served, with the port that was taken; `None` if they are not.
    pub fn metrics(&self) -> Option<std::net::SocketAddr> {
        self.metrics
    }

    /// Looks at the hotlist files now rather than within two seconds. A list that cannot be read
    /// stays as it was, and says so.
    pub fn reload_hotlists(&self) {
        self.lists.check_now();
    }

    /// Whether the ignition was off for the whole grace, so that the daemon is to stop and the machine goes off.
    pub fn ignition_is_over(&self) -> bool {
        self.power.as_ref().is_some_and(Power::is_over)
    }

    /// An order to wipe this car, if there is one.
    pub fn wipe_asked(&self) -> Option<Wipe> {
        self.wipes.try_recv().ok()
    }

    /// Makes this car unreadable: the keys at once, then the goodbye that says so, then the files.
    pub fn wipe(self, order: Wipe) -> anyhow::Result<()> {
        let Wipe { who, why, state } = order;
        warn!(who = %who, why, "wiping this car");
        if let Some(key) = self.audit.public_key() {
            self.audit.note(who, AuditEvent::KeyWiped { key: key.id(), why });
        }
        if let Ok(Some(sealed)) = self.audit.checkpoint() {
            self.notices.checkpoint(sealed);
        }
        // What the process holds open already is enough for the goodbye.
        rotation::destroy_keys(&state).context("keys not destroyed")?;
        let left = rotation::destroy_secrets(&self.secrets);
        self.notices.wipe(self.clock.now().wall);
        // The head of the log is the only thing that is left to say who did this.
        let until = Instant::now() + GOODBYE;
        while self.notices.is_due() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.stop();
        let files = rotation::wipe(&state).context("files not removed")?;
        warn!(files, "car wiped");
        if let [(path, why), ..] = &left[..] {
            bail!("{} secrets are left, such as {}: {why}", left.len(), path.display());
        }
        Ok(())
    }

    /// Waits until every camera is at its end by itself, as recordings are; returns whether they
    /// were within `deadline`.
    pub fn wait_for_end(&self, deadline: Duration) -> bool {
        self.onboard.wait(deadline).is_ok()
    }

    /// Waits until the broker has acknowledged every hit, `deadline` at most; returns whether it
    /// has. Returns at once when there is no connection to wait for.
    pub fn wait_for_delivery(&self, deadline: Duration) -> bool {
        delivered(&self.outbox, &self.health, deadline)
    }

    /// Closes the cameras, drains every stage in reading order, records what was alerted, gives the
    /// uplink a moment, and ends, within ten seconds whatever hangs. Returns the last counts.
    pub fn stop(self) -> Snapshot {
        // First, whatever hangs later: it is on for nobody from here on.
        drop(self.beacon);
        // The teller goes on taking hits meanwhile, so that none is lost between the stages.
        match self.onboard.stop(DRAIN) {
            Ok(()) if self.teller.ends_within(DRAIN) => {
                delivered(&self.outbox, &self.health, DELIVER);
            }
            Ok(()) => warn!("hits still being recorded, left behind"),
            Err(e) => warn!(error = %e, "cameras left behind"),
        }
        drop((self.control, self.past, self.hotplates, self.gps, self.lists, self.ring));
        self.models.end_trials();
        drop((self.standing, self.heat, self.watching_models, self.models_from_broker));
        self.models.stopping();
        // Last: it writes down that the daemon stops.
        drop(self.keeper);
        if !self.fleet.stop(GOODBYE) {
            warn!("downlink left behind");
        }
        if !self.uplink.stop(GOODBYE) {
            warn!("uplink left behind");
        }
        if let Some(console) = self.console {
            self.runtime.block_on(console.stop());
        }
        self.sounding.stop();
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        // Until now an ignition that comes back keeps the machine on.
        drop(self.power);
        let last = self.health.snapshot();
        // Not what was recorded and delivered: the difference would tell of covert hits.
        info!(hits = last.hits, "stopped");
        last
    }
}

/// A log begins with the key that verifies it.
fn begin_log(audit: &Audit) {
    if audit.outline().is_ok_and(|outline| outline.last == 0)
        && let (Some(public), Some(protection)) = (audit.public_key(), audit.protection())
    {
        let (key, public) = (public.id(), public.to_string());
        audit.note(Actor::System, AuditEvent::KeyCreated { key, public, protection });
    }
}

/// Writes purges into the audit log, which keeps what its disk refuses and tries again.
struct Audited(Audit);

impl PurgeSink for Audited {
    fn purged(&self, record: &PurgeRecord) -> Result<(), String> {
        let event = AuditEvent::BucketPurged {
            bucket: record.bucket.clone(),
            key_id: record.key.clone().unwrap_or_else(|| "unknown".into()),
            rows: record.rows.unwrap_or(0),
            opened: record.opened.unwrap_or_default(),
            time_source: record.time_source,
            reason: record.reason.as_str().into(),
        };
        self.0.note(Actor::System, event);
        Ok(())
    }
}

/// What vouches for the wall clock: satellites once there is a fix, else the machine.
fn time_source(
    clock: Arc<dyn Clock>,
    fixes: Arc<OnceLock<Fixes>>,
) -> Arc<dyn Fn() -> TimeSource + Send + Sync> {
    Arc::new(move || match fixes.get() {
        Some(fixes) if fixes.vouch_for(clock.now()) => TimeSource::Gps,
        _ => clock.source(),
    })
}

/// What has to be done before a hit counts, by the policy in force.
fn verify(policy: &Arc<HeldPolicy>) -> crate::records::disposition::Verify {
    let policy = policy.clone();
    Box::new(move || policy.rules().verify)
}

/// Who may do what, by the policy in force.
pub(super) fn permissions(policy: &Arc<HeldPolicy>) -> crate::grounds::Permissions {
    let policy = policy.clone();
    Arc::new(move |who: Who| policy.rules().roles.of(who))
}

/// Waits until the broker has everything; gives up at the deadline, or without a connection.
fn delivered(outbox: &Outbox, health: &Health, deadline: Duration) -> bool {
    let until = Instant::now() + deadline;
    loop {
        if outbox.queue().is_ok_and(|q| q.hits + q.images + q.not_on_disk == 0) {
            return true;
        }
        let connected = matches!(
            health.state("broker"),
            Some(PartState::Working | PartState::Impaired(_) | PartState::Starting)
        );
        if !connected || Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a car without a camera lacks.
const WHAT_TO_ADD: &str =
    "add a [[camera]] section and restart; `outrider check` lists what is plugged in";

/// Each camera with a reader of its own: cameras share no lock.
fn cameras_and_readers(
    config: &Config,
    seams: Option<Vec<SeamCamera>>,
    clock: &Arc<dyn Clock>,
    models: &Models,
) -> anyhow::Result<Vec<CameraParts>> {
    let cameras = seams.unwrap_or_else(|| {
        let car = config.camera.iter().map(|camera| SeamCamera {
            id: camera.name.clone(),
            open: capture::opener(camera.clone(), clock.clone()),
            reader: None,
        });
        car.collect()
    });
    cameras
        .into_iter()
        .map(|SeamCamera { id, open, reader }| {
            let reader = match reader {
                Some(reader) => reader,
                None => models.reader()?,
            };
            Ok(CameraParts { id, open, reader })
        })
        .collect()
}

/// Writes down hits whose record a kill came before.
fn catch_up(audit: &Audit, outbox: &Outbox) {
    let Ok(recent) = outbox.recent(RECALLED) else { return };
    let Ok(missing) = audit.without_record(recent.iter().map(|kept| kept.id).collect()) else {
        return;
    };
    for kept in recent.iter().rev().filter(|kept| missing.contains(&kept.id)) {
        audit.note(Actor::System, teller::recorded_before(kept));
    }
}
