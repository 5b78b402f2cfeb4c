//! The ignition: when it is off for longer than the grace, the daemon stops in order and the machine is powered off.
//!
//! In: an ignition line, looked at four times a second. Out: the part `ignition` of health, what
//! [`Power::is_over`] says to the daemon, and a marker in the unit's runtime directory. The daemon has no right to power a
//! machine off: when it has ended, root looks for the marker and does it (`ExecStopPost` of the unit,
//! docs/decisions/0135). Costs: a thread that sleeps. A line that cannot be read powers nothing off.

mod ignition;
mod line;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{error, info, warn};

pub use ignition::Seen;
use ignition::{Ignition, Standing};
pub(crate) use line::GpioLine;
pub use line::{IgnitionLine, OpenLine};

use super::gpio::{LineError, NeedsLine, keep_open};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config::PowerConfig;
use crate::gps::{Fixes, Position};
use crate::health::{Health, PartState};
use crate::threads::{self, UntilDropped};

/// The part's name in health.
pub(crate) const PART: &str = "ignition";

/// The marker's name in the runtime directory. The unit's `ExecStopPost` looks for it.
pub const MARKER: &str = "power-off";

/// Longest wait for a change of the line.
const SLICE: Duration = Duration::from_millis(250);

/// Least time between two looks: a line that bounces keeps no processor busy.
const BREATH: Duration = Duration::from_millis(10);

/// Speed from which on a car moves, in metres a second: 8 km/h, as on the page.
const MOVES: f32 = 2.2;

/// An ignition line in place of the configuration's.
pub struct SeamIgnition {
    /// How to open it.
    pub open: OpenLine,
    /// Where the marker is put.
    pub runtime: PathBuf,
}

/// The ignition that is watched. Dropping it ends the watch, and leaves the marker as it is.
pub(super) struct Power {
    over: Arc<AtomicBool>,
    _thread: UntilDropped,
}

impl Power {
    /// Whether the ignition was off for the whole grace, so that the daemon is to stop.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Watches the line of the seam or of the configuration; nothing where there is neither.
pub(super) fn spawn(
    config: &PowerConfig,
    seam: Option<SeamIgnition>,
    clock: Arc<dyn Clock>,
    fixes: Fixes,
    health: Arc<Health>,
) -> Option<Power> {
    let runtime = match &seam {
        Some(seam) => Some(seam.runtime.clone()),
        None => std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from),
    };
    let marker = runtime.map(|folder| folder.join(MARKER));
    // One of an earlier life: this car is not to go off at the end of this one.
    if let Some(marker) = &marker {
        remove(marker);
    }
    let open: OpenLine = match (seam, config.watched()) {
        (Some(seam), _) => seam.open,
        (None, Some((chip, line))) => {
            let (chip, active) = (chip.clone(), config.active);
            Box::new(move || Ok(Box::new(GpioLine::open(&chip, line, active)?)))
        }
        (None, None) => {
            health.set(PART, PartState::Off);
            return None;
        }
    };
    health.set(PART, PartState::Starting);
    let over = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        open,
        marker,
        ignition: Ignition::new(config.grace.get()),
        told: None,
        is_marked: false,
        clock,
        fixes,
        health,
        over: over.clone(),
    };
    let thread = threads::spawn_until_dropped("ignition", move |pause| keep_open(watch, &pause))
        .expect("the system can start a thread");
    Some(Power { over, _thread: thread })
}

struct Watch {
    open: OpenLine,
    /// Where root looks; nothing where there is no runtime directory, so that nobody would.
    marker: Option<PathBuf>,
    ignition: Ignition,
    /// What was told last, without the seconds.
    told: Option<std::mem::Discriminant<Standing>>,
    /// Whether the marker is there.
    is_marked: bool,
    clock: Arc<dyn Clock>,
    fixes: Fixes,
    health: Arc<Health>,
    over: Arc<AtomicBool>,
}

impl NeedsLine for Watch {
    type Line = dyn IgnitionLine;

    fn open(&mut self) -> Result<Box<dyn IgnitionLine>, LineError> {
        (self.open)()
    }

    fn uses(
        &mut self,
        mut line: Box<dyn IgnitionLine>,
        pauses: &mut Backoff,
        pause: &threads::Pause,
    ) -> Option<LineError> {
        while pause.goes_on_after(BREATH) {
            let seen = match line.look(SLICE) {
                Ok(seen) => seen,
                Err(trouble) => return Some(trouble),
            };
            pauses.worked();
            let moving = moves(&self.fixes, self.clock.as_ref());
            let standing = self.ignition.step(self.clock.awake(), seen, moving);
            self.act(standing);
        }
        None
    }

    fn without(&mut self, trouble: &str, is_new: bool) {
        self.ignition.lost();
        self.told = None;
        // It is logged once and not with every attempt.
        if is_new {
            error!(trouble, "ignition not seen, nothing is powered off by it, trying again");
        }
        let down = format!("{trouble}: it is tried again, and powers nothing off meanwhile");
        self.health.set(PART, PartState::Down(down));
    }
}

impl Watch {
    fn act(&mut self, standing: Standing) {
        let kind = std::mem::discriminant(&standing);
        let before = self.told.replace(kind);
        let is_new = before != Some(kind);
        if standing != Standing::Over && self.is_marked {
            warn!("ignition is no longer off while the daemon stops; it starts anew");
            if let Some(marker) = &self.marker {
                remove(marker);
            }
            self.is_marked = false;
        }
        let state = match standing {
            Standing::NotYetOn => {
                if is_new {
                    warn!(
                        "ignition has not been on since the start; it powers nothing off before it was"
                    );
                }
                PartState::Impaired(
                    "the ignition has not been on since the start, and powers nothing off before it was: if the engine \
                     runs, see power.line, power.active and the wire"
                        .into(),
                )
            }
            Standing::On => {
                if before == Some(std::mem::discriminant(&Standing::Off(Duration::ZERO))) {
                    info!("ignition is on again; the car stays on");
                } else if is_new {
                    info!("ignition is on");
                }
                PartState::Working
            }
            Standing::Off(left) => {
                let seconds = left.as_secs_f64().ceil() as u64;
                if is_new {
                    warn!("ignition is off; the car powers off in {seconds} s");
                }
                PartState::Impaired(format!("ignition is off: the car powers off in {seconds} s"))
            }
            Standing::OffAndMoving => {
                if is_new {
                    error!("ignition line says off and the car moves; it powers nothing off");
                }
                PartState::Impaired(
                    "the ignition line says off and the car moves: see its wire. It powers nothing off".into(),
                )
            }
            Standing::Over => self.end(is_new),
        };
        self.over.store(self.is_marked, Ordering::Relaxed);
        self.health.set(PART, state);
    }

    /// Leaves the marker. Where that cannot be, the daemon goes on: it would start anew a second later, and again.
    fn end(&mut self, is_new: bool) -> PartState {
        let left = match &self.marker {
            Some(_) if self.is_marked => Ok(()),
            Some(marker) => std::fs::write(marker, "ignition\n")
                .map_err(|e| format!("{} cannot be written: {e}", marker.display())),
            None => Err("the unit has no RuntimeDirectory=".to_owned()),
        };
        match left {
            Ok(()) => {
                if !std::mem::replace(&mut self.is_marked, true) {
                    warn!(
                        "ignition was off for the whole grace; the daemon stops and the machine is powered off"
                    );
                }
                PartState::Impaired("ignition is off: the car is powering off".into())
            }
            Err(why) => {
                if is_new {
                    error!(
                        why,
                        "ignition is off and nobody would power this machine off, the daemon goes on"
                    );
                }
                PartState::Down(format!(
                    "ignition is off and nobody would power this machine off: {why}"
                ))
            }
        }
    }
}

/// Whether the car moves, as far as a fix says so.
pub(super) fn moves(fixes: &Fixes, clock: &dyn Clock) -> bool {
    match fixes.at(clock.now().monotonic) {
        Position::Fixed { fix, .. } => fix.speed_mps.is_some_and(|speed| speed >= MOVES),
        Position::NoFix => false,
    }
}

fn remove(marker: &Path) {
    match std::fs::remove_file(marker) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => error!(marker = %marker.display(), error = %e, "marker not removed"),
    }
}

#[cfg(test)]
mod tests;
