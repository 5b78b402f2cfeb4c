//! The beacon: whatever a GPIO line switches, on while a high hit waits that nobody has acknowledged.
//!
//! In: whether such a hit waits, asked ten times a second. Out: the line, and the part `beacon` of health. It is off from the
//! moment at which the line is opened, and switched off before the thread ends. A line that cannot be opened is told, and
//! opened again; the tone and the page need no line. Costs: a thread that sleeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gpiocdev::line::Value;
use tracing::{error, info};

use super::gpio::{HeldLine, LineError, NeedsLine, keep_open};
use crate::backoff::Backoff;
use crate::config::SwitchedLine;
use crate::health::{Health, PartState};
use crate::threads::{self, Pause, UntilDropped};

/// The part's name in health.
pub(crate) const PART: &str = "beacon";

/// Time between two questions whether a hit waits.
const LOOK: Duration = Duration::from_millis(100);

/// Time after which a level that has not changed is written again: a chip that has gone is told before it is needed.
const PROOF: Duration = Duration::from_secs(1);

/// A line by which the beacon is switched, or a substitute for one. It is off when it has just been opened.
pub trait BeaconLine: Send {
    /// Switches it. After an error the line must be opened anew.
    fn switch(&mut self, on: bool) -> Result<(), LineError>;
}

/// Opens the beacon's line; called again whenever it is lost.
pub type OpenBeacon = Box<dyn FnMut() -> Result<Box<dyn BeaconLine>, LineError> + Send>;

/// A line of a GPIO chip, asked for as an output that is off.
pub(crate) struct GpioBeacon(HeldLine);

impl GpioBeacon {
    /// Opens it, and switches it off by that.
    pub(crate) fn open(wanted: &SwitchedLine) -> Result<Self, LineError> {
        let SwitchedLine { chip, line, active } = wanted;
        let keys = "alert.beacon";
        let line =
            HeldLine::open((chip.as_path(), *line), "outrider beacon", *active, keys, |wanted| {
                wanted.as_output(Value::Inactive);
            });
        line.map(Self)
    }
}

impl BeaconLine for GpioBeacon {
    fn switch(&mut self, on: bool) -> Result<(), LineError> {
        let value = if on { Value::Active } else { Value::Inactive };
        self.0.request.set_lone_value(value).map_err(|e| self.0.lost(e))
    }
}

/// Switches the line of the seam or of the configuration while a hit waits; nothing where there is neither. Dropping the
/// thread switches it off.
pub(super) fn spawn(
    config: Option<&SwitchedLine>,
    seam: Option<OpenBeacon>,
    waits: impl Fn() -> bool + Send + 'static,
    health: Arc<Health>,
) -> Option<UntilDropped> {
    let open: OpenBeacon = match (seam, config) {
        (Some(open), _) => open,
        (None, Some(wanted)) => {
            let wanted = wanted.clone();
            Box::new(move || Ok(Box::new(GpioBeacon::open(&wanted)?)))
        }
        (None, None) => {
            health.set(PART, PartState::Off);
            return None;
        }
    };
    health.set(PART, PartState::Starting);
    let beacon = Beacon { open, waits, health };
    let thread = threads::spawn_until_dropped(PART, move |pause| keep_open(beacon, &pause))
        .expect("the system can start a thread");
    Some(thread)
}

struct Beacon<W> {
    open: OpenBeacon,
    waits: W,
    health: Arc<Health>,
}

impl<W: Fn() -> bool> NeedsLine for Beacon<W> {
    type Line = dyn BeaconLine;

    fn open(&mut self) -> Result<Box<dyn BeaconLine>, LineError> {
        (self.open)()
    }

    fn uses(
        &mut self,
        mut line: Box<dyn BeaconLine>,
        pauses: &mut Backoff,
        pause: &Pause,
    ) -> Option<LineError> {
        let mut is_on = false;
        let mut written: Option<Instant> = None;
        loop {
            let wanted = (self.waits)();
            let is_due = written.is_none_or(|then| then.elapsed() >= PROOF);
            if wanted != is_on || is_due {
                if let Err(trouble) = line.switch(wanted) {
                    return Some(trouble);
                }
                if wanted != is_on {
                    info!(on = wanted, "beacon switched");
                }
                (is_on, written) = (wanted, Some(Instant::now()));
                pauses.worked();
                self.health.set(PART, PartState::Working);
            }
            if !pause.goes_on_after(LOOK) {
                // Nobody looks after it from here on.
                if let Err(trouble) = line.switch(false) {
                    error!(%trouble, "beacon not switched off at the stop, it may be on");
                }
                return None;
            }
        }
    }

    fn without(&mut self, trouble: &str, is_new: bool) {
        // It is logged once and not with every attempt.
        if is_new {
            error!(trouble, "no beacon, trying again");
        }
        let down =
            format!("{trouble}: it is tried again; high hits show and sound without it meanwhile");
        self.health.set(PART, PartState::Down(down));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::config::ActiveLevel;

    /// A line that notes how it was switched, and fails while its chip is gone.
    #[derive(Clone, Default)]
    struct Script(Arc<Inside>);

    #[derive(Default)]
    struct Inside {
        switched: Mutex<Vec<bool>>,
        is_gone: AtomicBool,
        opened: AtomicBool,
    }

    impl Script {
        fn trouble(&self) -> Result<(), LineError> {
            let (chip, source) = ("/dev/gpiochip0".into(), "No such device".into());
            match self.0.is_gone.load(Ordering::SeqCst) {
                true if self.0.opened.load(Ordering::SeqCst) => {
                    self.0.opened.store(false, Ordering::SeqCst);
                    Err(LineError::Lost { chip, line: 27, source })
                }
                true => Err(LineError::NotOpened { chip, line: 27, keys: "alert.beacon", source }),
                false => Ok(()),
            }
        }
    }

    impl BeaconLine for Script {
        fn switch(&mut self, on: bool) -> Result<(), LineError> {
            self.trouble()?;
            let mut switched = self.0.switched.lock().unwrap();
            if switched.last() != Some(&on) {
                switched.push(on);
            }
            Ok(())
        }
    }

    struct Car {
        script: Script,
        hit: Arc<AtomicBool>,
        health: Arc<Health>,
        beacon: Option<UntilDropped>,
    }

    impl Car {
        fn start() -> Self {
            let (script, hit) = (Script::default(), Arc::<AtomicBool>::default());
            let (line, waits, health) = (script.clone(), hit.clone(), Arc::<Health>::default());
            let open: OpenBeacon = Box::new(move || {
                line.trouble()?;
                line.0.opened.store(true, Ordering::SeqCst);
                Ok(Box::new(line.clone()))
            });
            let waits = move || waits.load(Ordering::SeqCst);
            let beacon = spawn(None, Some(open), waits, health.clone());
            Self { script, hit, health, beacon }
        }

        fn hit(&self, waits: bool) {
            self.hit.store(waits, Ordering::SeqCst);
        }

        #[track_caller]
        fn was_switched(&self, expected: &[bool]) {
            let since = Instant::now();
            while *self.script.0.switched.lock().unwrap() != expected {
                let is = self.script.0.switched.lock().unwrap().clone();
                assert!(since.elapsed() < Duration::from_secs(20), "{is:?}, not {expected:?}");
                std::thread::sleep(Duration::from_millis(2));
            }
        }

        #[track_caller]
        fn says(&self, expected: &str) {
            let since = Instant::now();
            loop {
                let state = self.health.state(PART);
                let says = match &state {
                    Some(PartState::Down(why)) => why.as_str(),
                    Some(PartState::Working) => "working",
                    _ => "",
                };
                if says.starts_with(expected) {
                    return;
                }
                assert!(since.elapsed() < Duration::from_secs(20), "{expected:?}, but {state:?}");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    #[test]
    fn beacon_is_on_while_a_hit_waits_and_off_afterwards_and_at_the_stop() {
        let mut car = Car::start();
        car.says("working");
        car.was_switched(&[false]);
        car.hit(true);
        car.was_switched(&[false, true]);
        car.hit(false);
        car.was_switched(&[false, true, false]);
        car.hit(true);
        car.was_switched(&[false, true, false, true]);
        drop(car.beacon.take());
        car.was_switched(&[false, true, false, true, false]);
    }

    #[test]
    fn chip_that_goes_is_told_before_it_is_needed_and_the_beacon_is_on_again_when_it_is_back() {
        let car = Car::start();
        car.says("working");
        car.script.0.is_gone.store(true, Ordering::SeqCst);
        car.says("cannot open line 27 of /dev/gpiochip0: No such device: see alert.beacon, and");
        car.hit(true);
        car.script.0.is_gone.store(false, Ordering::SeqCst);
        car.says("working");
        car.was_switched(&[false, true]);
    }

    #[test]
    fn what_is_no_chip_is_named_and_what_to_do_about_it() {
        for path in ["/dev/gpiochip-of-nobody", "/dev/null"] {
            let wanted = SwitchedLine { chip: path.into(), line: 27, active: ActiveLevel::High };
            let error = GpioBeacon::open(&wanted).err().unwrap().to_string();
            assert!(error.starts_with(&format!("cannot open line 27 of {path}: ")), "{error}");
            assert!(error.contains("alert.beacon"), "{error}");
        }
    }

    #[test]
    fn car_without_a_beacon_has_no_thread_for_it() {
        let health = Arc::<Health>::default();
        assert!(spawn(None, None, || true, health.clone()).is_none());
        assert_eq!(health.state(PART), Some(PartState::Off));
    }
}
