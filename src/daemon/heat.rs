//! Heat and a weak supply make a car look at fewer frames, and say so, before the computer throttles or stops unseen.
//!
//! In: what the kernel says under `/sys/class/thermal` and `/sys/class/hwmon`, every two seconds. Out: the longest
//! rate at which each camera may be looked at, and the part `heat` of health. A machine that says nothing is never
//! slowed. What was measured of these steps, and what was not, is in docs/decisions/0120-heat-slows-reading.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::ThermalConfig;
use crate::health::{Health, PartState};
use crate::threads::{self, UntilDropped};

/// The part's name in health.
const PART: &str = "heat";

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Degrees that a sensor must fall below a step before the step is left again.
const BACK: f64 = 5.0;

/// Degrees below the kernel's own critical point, at which it switches the machine off, that count as hot.
const BEFORE_CRITICAL: f64 = 5.0;

/// How much is asked of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Full,
    Warm,
    Hot,
}

impl Step {
    /// Least time between two looks of one camera.
    fn pause(self) -> Duration {
        match self {
            Self::Full => Duration::ZERO,
            Self::Warm => Duration::from_millis(100),
            Self::Hot => Duration::from_millis(250),
        }
    }

    fn looks_a_second(self) -> u32 {
        match self {
            Self::Full => 0,
            Self::Warm => 10,
            Self::Hot => 4,
        }
    }
}

/// What the machine says of itself.
#[derive(Debug, Default, PartialEq)]
struct Machine {
    /// The hottest sensor and its temperature.
    hottest: Option<(String, f64)>,
    /// A sensor that is near the point at which the kernel switches off, and that point.
    critical: Option<(String, f64)>,
    /// A supply that says that its voltage is too low.
    weak: Option<String>,
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// A temperature of sysfs, which is in thousandths of a degree.
fn degrees(path: &Path) -> Option<f64> {
    let thousandths: f64 = text(path)?.parse().ok()?;
    // Sensors that are not there are told as zero, or as something no machine survives.
    Some(thousandths / 1_000.0).filter(|t| (-40.0..=150.0).contains(t))
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    all.sort();
    all
}

impl Machine {
    /// Reads what is under `sys`, which is `/sys`.
    fn look(sys: &Path) -> Self {
        let mut machine = Self::default();
        for zone in folders(&sys.join("class/thermal")) {
            let Some(now) = degrees(&zone.join("temp")) else { continue };
            let name = text(&zone.join("type")).unwrap_or_else(|| "a sensor".into());
            for n in 0..16 {
                let kind = text(&zone.join(format!("trip_point_{n}_type")));
                let at = degrees(&zone.join(format!("trip_point_{n}_temp")));
                if let (Some("critical"), Some(at)) = (kind.as_deref(), at)
                    && now >= at - BEFORE_CRITICAL
                {
                    machine.critical = Some((name.clone(), at));
                }
            }
            if machine.hottest.as_ref().is_none_or(|(_, hottest)| now > *hottest) {
                machine.hottest = Some((name, now));
            }
        }
        for chip in folders(&sys.join("class/hwmon")) {
            let low = (0..8).any(|n| {
                let alarm = text(&chip.join(format!("in{n}_lcrit_alarm")));
                alarm.as_deref() == Some("1")
            });
            if low {
                machine.weak = Some(text(&chip.join("name")).unwrap_or_else(|| "a sensor".into()));
            }
        }
        machine
    }

    /// What to ask of it, after `before`, and why.
    fn judge(&self, config: &ThermalConfig, before: Step) -> (Step, String) {
        let mut step = Step::Full;
        let mut why = Vec::new();
        if let Some((sensor, now)) = &self.hottest {
            // A step is left only some degrees below where it begins: no flapping.
            let from = |limit: f64, of: Step| *now >= limit - if before >= of { BACK } else { 0.0 };
            if from(config.hot, Step::Hot) {
                step = Step::Hot;
            } else if from(config.warm, Step::Warm) {
                step = Step::Warm;
            }
            if step > Step::Full {
                why.push(format!("{sensor} is at {now:.0} degrees"));
            }
        }
        if let Some((sensor, at)) = &self.critical {
            step = Step::Hot;
            why.push(format!("{sensor} is near {at:.0} degrees, where the machine switches off"));
        }
        if let Some(supply) = &self.weak {
            step = step.max(Step::Warm);
            why.push(format!("{supply} says that the supply's voltage is too low"));
        }
        (step, why.join("; "))
    }
}

/// Looks on until what it returns is dropped. `sys` is `/sys`, but in tests.
pub(super) fn spawn(config: ThermalConfig, sys: PathBuf, health: Arc<Health>) -> UntilDropped {
    let look_on = move |pause: threads::Pause| {
        let mut step = Step::Full;
        loop {
            let machine = Machine::look(&sys);
            let (now, why) = machine.judge(&config, step);
            // Each time: a camera may have come since.
            health.slow_down(now.pause());
            let state = match now {
                Step::Full if machine.hottest.is_none() => PartState::Off,
                Step::Full => PartState::Working,
                slowed => PartState::Impaired(format!(
                    "{why}: each camera is looked at {} times a second at most",
                    slowed.looks_a_second()
                )),
            };
            if now != step {
                tracing::warn!(?state, "heat");
            }
            health.set(PART, state);
            step = now;
            if !pause.goes_on_after(LOOK) {
                return;
            }
        }
    };
    threads::spawn_until_dropped("heat", look_on).expect("the system can start a thread")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with a sensor at this temperature, which switches off at 110 degrees.
    fn machine(sys: &Path, temperature: &str, alarm: &str) -> Machine {
        let (zone, chip) =
            (sys.join("class/thermal/thermal_zone0"), sys.join("class/hwmon/hwmon1"));
        fs::create_dir_all(&zone).unwrap();
        fs::create_dir_all(&chip).unwrap();
        for (file, text) in [
            ("type", "cpu-thermal"),
            ("temp", temperature),
            ("trip_point_0_type", "critical"),
            ("trip_point_0_temp", "110000"),
        ] {
            fs::write(zone.join(file), format!("{text}\n")).unwrap();
        }
        fs::write(chip.join("name"), "rpi_volt\n").unwrap();
        fs::write(chip.join("in0_lcrit_alarm"), format!("{alarm}\n")).unwrap();
        Machine::look(sys)
    }

    #[test]
    fn steps_begin_at_their_temperature_and_end_below_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = ThermalConfig::default();
        let mut step = Step::Full;
        for (temperature, expected) in [
            ("60000", Step::Full),
            ("85000", Step::Warm),
            ("81000", Step::Warm),
            ("95000", Step::Hot),
            ("91000", Step::Hot),
            ("89000", Step::Warm),
            ("79000", Step::Full),
            ("106000", Step::Hot),
            // A sensor that is not there.
            ("-274000", Step::Full),
        ] {
            step = machine(dir.path(), temperature, "0").judge(&config, step).0;
            assert_eq!(step, expected, "{temperature}");
        }
    }

    #[test]
    fn why_a_car_is_slowed_is_said_and_a_machine_that_says_nothing_is_not_slowed() {
        let dir = tempfile::tempdir().unwrap();
        let config = ThermalConfig { warm: 100.0, hot: 120.0 };
        assert_eq!(
            Machine::look(dir.path()).judge(&config, Step::Full),
            (Step::Full, String::new())
        );
        let (step, why) = machine(dir.path(), "50000", "1").judge(&config, Step::Full);
        assert_eq!(step, Step::Warm);
        assert_eq!(why, "rpi_volt says that the supply's voltage is too low");
        let (step, why) = machine(dir.path(), "106000", "0").judge(&config, Step::Full);
        assert_eq!(step, Step::Hot);
        assert!(why.contains("near 110 degrees, where the machine switches off"), "{why}");
    }

    #[test]
    fn thread_slows_the_cameras_and_tells_health() {
        let dir = tempfile::tempdir().unwrap();
        let health = Arc::new(Health::default());
        let front = health.camera(&crate::camera_id::CameraId::new("front"));
        machine(dir.path(), "90000", "0");
        let running = spawn(ThermalConfig::default(), dir.path().to_owned(), health.clone());
        let start = std::time::Instant::now();
        while front.least_pause().is_zero() {
            assert!(start.elapsed() < Duration::from_secs(30), "never slowed");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(running);
        assert_eq!(front.least_pause(), Duration::from_millis(100));
        let Some(PartState::Impaired(why)) = health.state("heat") else { panic!("not said") };
        assert_eq!(
            why,
            "cpu-thermal is at 90 degrees: each camera is looked at 10 times a second at most"
        );
    }
}
