//! The watch on a scripted line, by a clock that the script moves.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::clock::SimulatedClock;
use crate::config::HumanDuration;
use crate::gps::Fix;

/// What a look finds: a level, or that the chip has gone.
#[derive(Clone, Copy)]
enum Look {
    On,
    Off,
    Gone,
}

use Look::{Gone, Off, On};

/// A line that shows one level for each second of its script, and then goes on showing the last one, for no time.
#[derive(Clone)]
struct Script(Arc<Mutex<(VecDeque<Look>, Look)>>, Arc<SimulatedClock>);

impl IgnitionLine for Script {
    fn look(&mut self, _: Duration) -> Result<Seen, LineError> {
        let mut script = self.0.lock().unwrap();
        match script.0.pop_front() {
            Some(next) => {
                self.1.advance(Duration::from_secs(1));
                script.1 = next;
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
        match script.1 {
            On => Ok(Seen { was_on: true, is_on: true }),
            Off => Ok(Seen { was_on: false, is_on: false }),
            Gone => {
                // An hour later the next opening finds it again, as it was.
                self.1.advance(Duration::from_secs(3_600));
                script.1 = Off;
                let source = "No such device".into();
                Err(LineError::Lost { chip: "/dev/gpiochip0".into(), line: 17, source })
            }
        }
    }
}

struct Car {
    script: Script,
    clock: Arc<SimulatedClock>,
    fixes: Fixes,
    health: Arc<Health>,
    folder: tempfile::TempDir,
    power: Power,
}

impl Car {
    fn start() -> Self {
        let clock = Arc::new(SimulatedClock::starting_at("2026-11-30T07:00:00Z".parse().unwrap()));
        let script = Script(Arc::new(Mutex::new((VecDeque::new(), Off))), clock.clone());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MARKER), "of an earlier life").unwrap();
        let opened = script.clone();
        let seam = SeamIgnition {
            open: Box::new(move || Ok(Box::new(opened.clone()))),
            runtime: folder.path().to_owned(),
        };
        let config = PowerConfig { grace: HumanDuration::from_secs(60), ..PowerConfig::default() };
        let fixes = Fixes::new(Duration::from_secs(600));
        let health = Arc::new(Health::default());
        let power = spawn(&config, Some(seam), clock.clone(), fixes.clone(), health.clone());
        Self { script, clock, fixes, health, folder, power: power.unwrap() }
    }

    /// Lets the line show these, a second each, and waits until they were looked at.
    fn shows(&self, looks: &[(Look, usize)]) {
        let all = looks.iter().flat_map(|(look, times)| std::iter::repeat_n(*look, *times));
        self.script.0.lock().unwrap().0.extend(all);
        let since = Instant::now();
        while !self.script.0.lock().unwrap().0.is_empty() {
            assert!(since.elapsed() < Duration::from_secs(60), "{:?}", self.health.state(PART));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[track_caller]
    fn says(&self, expected: &str) {
        let since = Instant::now();
        loop {
            let state = self.health.state(PART);
            let says = match &state {
                Some(PartState::Impaired(line) | PartState::Down(line)) => line.as_str(),
                Some(PartState::Working) => "working",
                _ => "",
            };
            if says.starts_with(expected) {
                return;
            }
            assert!(since.elapsed() < Duration::from_secs(10), "{expected:?}, but {state:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_marked(&self) -> bool {
        self.folder.path().join(MARKER).exists()
    }
}

#[test]
fn ignition_that_is_off_is_told_with_its_seconds_and_ends_the_daemon_after_the_grace() {
    let car = Car::start();
    car.shows(&[(Off, 100)]);
    car.says("the ignition has not been on since the start");
    assert!(
        !car.power.is_over() && !car.is_marked(),
        "and what was left of an earlier life is gone"
    );
    car.shows(&[(On, 3)]);
    car.says("working");
    car.shows(&[(Off, 3)]);
    car.says("ignition is off: the car powers off in 58 s");
    car.shows(&[(Off, 57)]);
    car.says("ignition is off: the car powers off in 1 s");
    assert!(!car.power.is_over() && !car.is_marked());
    car.shows(&[(Off, 1)]);
    car.says("ignition is off: the car is powering off");
    assert!(car.power.is_over() && car.is_marked());
}

#[test]
fn ignition_that_comes_back_within_the_grace_or_while_the_daemon_stops_powers_nothing_off() {
    let car = Car::start();
    car.shows(&[(On, 1), (Off, 50), (On, 1)]);
    car.says("working");
    assert!(!car.power.is_over() && !car.is_marked());
    car.shows(&[(Off, 61)]);
    car.says("ignition is off: the car is powering off");
    assert!(car.is_marked());
    car.shows(&[(On, 1)]);
    car.says("working");
    assert!(
        !car.power.is_over() && !car.is_marked(),
        "root finds nothing, and systemd starts it anew"
    );
}

#[test]
fn chip_that_goes_is_told_tried_again_and_powers_nothing_off() {
    let car = Car::start();
    car.shows(&[(On, 1), (Off, 59), (Gone, 1)]);
    car.says("lost line 17 of /dev/gpiochip0: No such device: it is tried again");
    // Opened again, it has to be off for the whole grace anew.
    car.shows(&[(Off, 59)]);
    car.says("ignition is off: the car powers off in ");
    assert!(!car.power.is_over() && !car.is_marked());
    car.shows(&[(Off, 5)]);
    car.says("ignition is off: the car is powering off");
}

#[test]
fn car_that_moves_is_not_powered_off_by_a_line_that_says_off() {
    let car = Car::start();
    car.shows(&[(On, 1)]);
    let fix = Fix {
        latitude: 43.59,
        longitude: -79.64,
        accuracy_m: None,
        speed_mps: Some(14.0),
        heading_deg: None,
        time: None,
        three_d: true,
    };
    car.fixes.push(car.clock.now().monotonic, Some(fix));
    car.shows(&[(Off, 200)]);
    car.says("the ignition line says off and the car moves");
    assert!(!car.power.is_over() && !car.is_marked());
    car.fixes.push(car.clock.now().monotonic, Some(Fix { speed_mps: Some(0.3), ..fix }));
    car.shows(&[(Off, 62)]);
    car.says("ignition is off: the car is powering off");
}

#[test]
fn daemon_whose_marker_nobody_would_see_goes_on_and_says_so() {
    let car = Car::start();
    std::fs::remove_dir_all(car.folder.path()).unwrap();
    car.shows(&[(On, 1), (Off, 62)]);
    car.says("ignition is off and nobody would power this machine off: ");
    assert!(!car.power.is_over());
}

#[test]
fn wall_clock_that_jumps_and_a_sleep_bring_no_end_nearer() {
    let car = Car::start();
    car.shows(&[(On, 1), (Off, 3)]);
    car.clock.set_wall("2031-01-01T00:00:00Z".parse().unwrap());
    car.clock.sleep(Duration::from_secs(8 * 3_600));
    car.shows(&[(Off, 1)]);
    car.says("ignition is off: the car powers off in 57 s");
    assert!(!car.power.is_over());
}
