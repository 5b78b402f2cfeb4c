//! The daemon: starts the parts, tells systemd how they are, stops them on a
//! signal.
//!
//! SIGTERM or SIGINT stops in order within `DEADLINE`; a second one leaves at once. An ignition that was off for long
//! enough stops as a signal does, and leaves word for root, who powers the machine off (`power/`). SIGHUP reads
//! the hotlist files again. With `Type=notify`, systemd hears READY when the cameras are being
//! opened, a STATUS line whenever it changes, and the watchdog's food while frames move.

pub(crate) mod asked;
pub(crate) mod beacon;
mod commands;
mod fleet;
mod gpio;
mod heat;
mod keeper;
mod lists;
mod metrics;
mod odds;
mod page;
mod past;
pub(crate) mod power;
mod records;
mod rules;
mod set_up;
pub(crate) mod standing;
mod start;
mod teller;
mod unlock;
mod watchdog;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
mod whole;

use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::health::{PartState, Shown};
use crate::text::ForeignText;
use crate::threads;
use watchdog::Heartbeat;

pub use beacon::{BeaconLine, OpenBeacon};
pub use gpio::LineError;
pub use power::{IgnitionLine, MARKER as POWER_OFF, OpenLine, SeamIgnition, Seen};
pub use records::Wipe;
pub use set_up::{EXIT as EXIT_NOT_SET_UP, NotSetUp, load};
pub use start::{Daemon, SeamCamera, Seams};
pub use threads::end_on_panic;
#[cfg(any(test, feature = "testing"))]
pub use threads::started_for_tests;

/// Longest orderly stop. The unit's TimeoutStopSec is above it.
const DEADLINE: Duration = Duration::from_secs(12);

/// Longest start, from the open key to the cameras: the unit's TimeoutStartSec.
const START: Duration = Duration::from_secs(60);

/// Time between two looks at health for systemd.
const LOOK: Duration = Duration::from_secs(1);

/// Longest error that is printed, in characters: a screenful.
const LONGEST_ERROR: usize = 2_000;

/// An error and its causes on one line. A cause that the line names already is not said twice:
/// messages meant to be read alone name their cause themselves.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line += if line.is_empty() { "" } else { ": " };
            line += &cause;
        }
    }
    ForeignText::shown(&line, LONGEST_ERROR).into()
}

/// Runs the car of `config` until a signal stops it or a wipe is asked for.
pub fn run_until_signal(config: Config) -> anyhow::Result<()> {
    threads::end_on_panic();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?
        .block_on(live(config))
}

/// No core dumps and no debugger: memory holds plates that nothing may keep.
pub fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(e) = setrlimit(Resource::Core, none) {
        warn!(error = %e, "core dumps not switched off");
    }
    if let Err(e) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(error = %e, "memory not closed to debuggers");
    }
}

/// The signals that mean something to us.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

enum Asked {
    Stop,
    Reload,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::Stop,
            _ = self.int.recv() => Asked::Stop,
            _ = self.hup.recv() => Asked::Reload,
        }
    }

    async fn stop(&mut self) {
        while !matches!(self.next().await, Asked::Stop) {}
    }
}

async fn live(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let state = config.keeping.directory.clone();
    let judged = config.clone();
    let unlock = tokio::task::spawn_blocking(move || unlock::wait(&state));
    tokio::select! {
        unlocked = unlock => unlocked.context("unlocking was interrupted")??,
        () = signals.stop() => {
            info!("stopped while locked");
            std::process::exit(0);
        }
    }
    // Models are loaded and databases opened: not on the thread that answers signals.
    let start = tokio::task::spawn_blocking(|| Daemon::start(config, Seams::default()));
    let daemon = tokio::select! {
        started = start => started
            .context("starting was interrupted")?
            .map_err(|failed| not_started(failed, &judged))?,
        () = fed_for(START) => anyhow::bail!("not started within {} s", START.as_secs()),
        () = signals.stop() => {
            info!("stopped while starting");
            std::process::exit(0);
        }
    };
    match daemon.console() {
        Some(page) => info!("ready, console at {page}"),
        None => info!("ready, console switched off"),
    }
    tell_systemd(&[NotifyState::Ready]);
    let watched = sd_notify::watchdog_enabled().is_some();
    let mut heartbeat = Heartbeat::default();
    let mut told = String::new();
    let mut wiping = None;
    let mut starving = false;
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => break,
                Asked::Reload => {
                    info!("reading hotlists again");
                    daemon.reload_hotlists();
                }
            },
            _ = every.tick() => {
                wiping = daemon.wipe_asked();
                if wiping.is_some() || daemon.ignition_is_over() {
                    break;
                }
                let snapshot = daemon.health().snapshot();
                match heartbeat.step(daemon.clock().awake(), &snapshot) {
                    Ok(()) => {
                        starving = false;
                        if watched {
                            tell_systemd(&[NotifyState::Watchdog]);
                        }
                    }
                    Err(hung) if !starving => {
                        starving = true;
                        error!(hung, watched, "reading hangs, watchdog not fed");
                    }
                    Err(_) => {}
                }
                let status = status_line(&daemon.health().shown());
                if status != told {
                    tell_systemd(&[NotifyState::Status(&status)]);
                    told = status;
                }
            }
        }
    }
    info!("stopping");
    tell_systemd(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    let stop = move || match wiping {
        None => _ = daemon.stop(),
        Some(order) => {
            if let Err(e) = daemon.wipe(order) {
                error!(error = %e, "car not wiped whole");
            }
        }
    };
    match stop_in_order(stop, signals.stop(), DEADLINE).await {
        Stopped::InOrder => Ok(()),
        Stopped::SecondSignal => {
            warn!("second signal, leaving at once");
            std::process::exit(130);
        }
        Stopped::TooLate => {
            error!(seconds = DEADLINE.as_secs(), "not stopped in time, leaving");
            std::process::exit(1);
        }
    }
}

/// Why there was no start, for the log, and for who asks systemd.
fn not_started(failed: anyhow::Error, config: &Config) -> anyhow::Error {
    let failed = set_up::judge(failed, config);
    if failed.is::<NotSetUp>() {
        let status = format!("NOT READING: {}", one_line(&failed));
        tell_systemd(&[NotifyState::Status(&status)]);
    }
    failed
}

/// Feeds the watchdog for so long: a car that waited for its passphrase is watched since, and loads its models
/// all the same.
async fn fed_for(most: Duration) {
    let until = tokio::time::Instant::now() + most;
    while tokio::time::Instant::now() < until {
        tell_systemd(&[NotifyState::Watchdog]);
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stopped {
    InOrder,
    SecondSignal,
    TooLate,
}

/// Stops on a thread of its own, so that neither a hang nor a patient officer's second signal has
/// to wait for it.
async fn stop_in_order(
    stop: impl FnOnce() + Send + 'static,
    second: impl Future<Output = ()>,
    deadline: Duration,
) -> Stopped {
    let (done, stopped) = tokio::sync::oneshot::channel();
    crate::threads::spawn("stopping", move || {
        stop();
        let _ = done.send(());
    })
    .expect("the system can start a thread");
    tokio::select! {
        _ = stopped => Stopped::InOrder,
        () = second => Stopped::SecondSignal,
        () = tokio::time::sleep(deadline) => Stopped::TooLate,
    }
}

/// What `systemctl status` shows.
fn status_line(snapshot: &Shown) -> String {
    let reading = snapshot
        .cameras
        .keys()
        .filter(|id| {
            let part = snapshot.parts.get(&format!("camera/{id}"));
            matches!(part, Some(PartState::Working | PartState::Impaired(_)))
        })
        .count();
    let troubled: Vec<_> = snapshot
        .parts
        .iter()
        .filter(|(part, state)| matches!(state, PartState::Down(_)) && *part != start::NO_CAMERA.0)
        .map(|(part, _)| part.as_str())
        .collect();
    let cameras = match snapshot.parts.get(start::NO_CAMERA.0) {
        Some(_) => format!("NOT READING: {}", start::NO_CAMERA.1),
        None => format!("{reading} of {} cameras reading", snapshot.cameras.len()),
    };
    let mut line = format!("{cameras}, {} hits since the start", snapshot.hits);
    if !troubled.is_empty() {
        line += &format!("; down: {}", troubled.join(", "));
    }
    if let Some(PartState::Impaired(ignition)) = snapshot.parts.get(power::PART) {
        line += &format!("; {ignition}");
    }
    line
}

fn tell_systemd(what: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(what) {
        debug!(error = %e, "systemd not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera_id::CameraId;
    use crate::health::Health;

    fn stop(
        stop: impl FnOnce() + Send + 'static,
        second: impl Future<Output = ()>,
        deadline: Duration,
    ) -> Stopped {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(stop_in_order(stop, second, deadline))
    }

    fn hang() {
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn second_signal_leaves_at_once() {
        assert_eq!(stop(hang, std::future::ready(()), DEADLINE), Stopped::SecondSignal);
    }

    #[test]
    fn hang_while_stopping_ends_at_the_deadline() {
        let soon = Duration::from_millis(20);
        assert_eq!(stop(hang, std::future::pending(), soon), Stopped::TooLate);
    }

    #[test]
    fn orderly_stop_is_waited_for() {
        assert_eq!(stop(|| {}, std::future::pending(), DEADLINE), Stopped::InOrder);
    }

    #[test]
    fn status_line_names_what_is_down() {
        let health = Health::default();
        for (camera, state) in
            [("front", PartState::Working), ("left", PartState::Down("unplugged".into()))]
        {
            health.camera(&CameraId::new(camera)).looked.one();
            health.set(&format!("camera/{camera}"), state);
        }
        health.hits.many(3);
        // Nothing of a covert list: not its hits, not their delivery, not its name.
        health.hits_covert.many(4);
        health.recorded.many(7);
        health.delivered.many(7);
        health.set("hotlist/quietly", PartState::Down("gone".into()));
        health.conceal(["hotlist/quietly".to_owned()]);
        assert_eq!(
            status_line(&health.shown()),
            "1 of 2 cameras reading, 3 hits since the start; down: camera/left"
        );
    }
}
