//! The thread that reads a receiver, opens it anew when it is lost, and reports its state in
//! health.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{info, warn};

use super::gpsd::Gpsd;
use super::nmea::NmeaFile;
use super::router::Router;
use super::{FixSource, Fixes, GpsError, Report};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config::{GpsConfig, GpsSource};
use crate::health::{Health, PartState};

/// Longest single wait for a report, so that the thread stops promptly and notices silence.
const SLICE: Duration = Duration::from_millis(250);

/// Pause before the source is opened again; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause: a gpsd that starts late or again is found within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Silence after which the officer is told that the position is gone (P8: within 2 s).
const SILENCE: Duration = Duration::from_millis(1_800);

/// The name under which health reports this part.
const PART: &str = "gps";

/// The name under which health says that others than the router tell positions.
const STRANGERS: &str = "gps/senders";

type Open = Box<dyn FnMut() -> Result<Box<dyn FixSource>, GpsError> + Send>;

/// The running receiver. Dropping it stops the thread.
pub struct Gps {
    fixes: Fixes,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Gps {
    /// Starts as configured. A missing receiver is reported in health and tried again.
    pub fn start(config: &GpsConfig, clock: Arc<dyn Clock>, health: Arc<Health>) -> Self {
        let open: Open = match config.source {
            GpsSource::Off => {
                health.set(PART, PartState::Off);
                return Self { fixes: Fixes::new(config.max_age.get()), stop: None, thread: None };
            }
            GpsSource::Gpsd => {
                let address = config.address.clone();
                Box::new(move || Ok(Box::new(Gpsd::connect(&address)?)))
            }
            GpsSource::Taip => {
                let config = config.clone();
                Box::new(move || Ok(Box::new(open_router(&config)?)))
            }
            GpsSource::Nmea => {
                let path = config.path.clone().unwrap_or_default();
                Box::new(move || Ok(Box::new(NmeaFile::open(&path)?)))
            }
        };
        Self::with_source(open, config.max_age.get(), clock, health)
    }

    /// Starts with any source. `open` is called again whenever the source is lost.
    pub fn with_source(
        open: Open,
        max_age: Duration,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Self {
        let fixes = Fixes::new(max_age);
        let (stop, stopped) = sync_channel(0);
        health.set(PART, PartState::Starting);
        let service = Service { open, fixes: fixes.clone(), clock, health, stopped };
        let thread = crate::threads::spawn("gps", move || service.run())
            .expect("the system has room for a thread");
        Self { fixes, stop: Some(stop), thread: Some(thread) }
    }

    /// The fixes, from which anybody can read the position.
    pub fn fixes(&self) -> Fixes {
        self.fixes.clone()
    }
}

/// Opens the router of a configuration whose source is `taip`.
pub fn open_router(config: &GpsConfig) -> Result<Router, GpsError> {
    match (config.listen, config.from) {
        (Some(listen), Some(from)) => Router::listen(listen, from),
        _ => Router::connect(config.connect.as_deref().unwrap_or_default()),
    }
}

impl Drop for Gps {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Service {
    open: Open,
    fixes: Fixes,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    stopped: Receiver<()>,
}

impl Service {
    fn run(mut self) {
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut last_trouble = String::new();
        loop {
            let trouble = match (self.open)() {
                Ok(source) => match self.read(source, &mut pauses) {
                    Some(error) => error.to_string(),
                    None => return,
                },
                Err(error) => error.to_string(),
            };
            // It is logged once and not with every attempt.
            if trouble != last_trouble {
                warn!(%trouble, "no position, trying again");
            }
            self.health.set(PART, PartState::Down(trouble.clone()));
            last_trouble = trouble;
            if self.stopped_within(pauses.failed()) {
                return;
            }
        }
    }

    /// Reads until the source is lost (returns its error) or has ended (returns `None`).
    fn read(&self, mut source: Box<dyn FixSource>, pauses: &mut Backoff) -> Option<GpsError> {
        let mut heard = self.clock.now().monotonic;
        let mut no_receiver = false;
        let mut state = None;
        let mut tell = |new: PartState| {
            if state.as_ref() != Some(&new) {
                info!(state = ?new, "gps");
                self.health.set(PART, new.clone());
                state = Some(new);
            }
        };
        let mut strangers = None;
        loop {
            if self.stopped_within(Duration::ZERO) {
                return None;
            }
            let report = match source.next_report(SLICE) {
                Ok(report) => report,
                Err(error) => return Some(error),
            };
            let now = self.clock.now().monotonic;
            let told = source.strangers();
            if told != strangers {
                self.health
                    .set(STRANGERS, told.clone().map_or(PartState::Working, PartState::Impaired));
                strangers = told;
            }
            match report {
                Report::Fix(fix) => {
                    no_receiver = false;
                    self.fixes.push(now, Some(fix.without_odd_time()));
                    pauses.worked();
                    heard = now;
                    tell(fix.odd_time().map_or(PartState::Working, PartState::Impaired));
                }
                Report::NoFix => {
                    no_receiver = false;
                    self.fixes.push(now, None);
                    pauses.worked();
                    heard = now;
                    tell(PartState::Impaired("the receiver has no fix".into()));
                }
                Report::NoReceiver => {
                    self.fixes.push(now, None);
                    tell(PartState::Impaired(
                        "gpsd runs and has no receiver: plug one in, or name it in gpsd's settings"
                            .into(),
                    ));
                    no_receiver = true;
                }
                Report::Quiet if !no_receiver && now.saturating_sub(heard) >= SILENCE => {
                    tell(PartState::Impaired(source.silence()));
                }
                Report::Quiet => {}
                Report::End => {
                    self.health.set(PART, PartState::Down("the recording has ended".into()));
                    // Nothing is left to do until the thread is stopped.
                    let _ = self.stopped.recv();
                    return None;
                }
            }
        }
    }

    fn stopped_within(&self, pause: Duration) -> bool {
        self.stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Instant;

    use super::*;
    use crate::clock::SystemClock;
    use crate::gps::{Fix, Position};

    struct Script(VecDeque<Result<Report, GpsError>>);

    impl FixSource for Script {
        fn next_report(&mut self, timeout: Duration) -> Result<Report, GpsError> {
            self.0.pop_front().unwrap_or_else(|| {
                std::thread::sleep(timeout.min(Duration::from_millis(20)));
                Ok(Report::Quiet)
            })
        }
    }

    fn fix() -> Fix {
        Fix {
            latitude: 43.59,
            longitude: -79.64,
            accuracy_m: None,
            speed_mps: None,
            heading_deg: None,
            time: None,
            three_d: true,
        }
    }

    fn start(mut sources: VecDeque<Vec<Result<Report, GpsError>>>) -> (Gps, Arc<Health>) {
        let health = Arc::new(Health::default());
        let open: Open = Box::new(move || {
            let reports = sources.pop_front().unwrap_or_default();
            Ok(Box::new(Script(reports.into())))
        });
        let gps =
            Gps::with_source(open, Duration::from_secs(3), Arc::new(SystemClock), health.clone());
        (gps, health)
    }

    fn wait_for(health: &Health, state: &PartState) {
        let since = Instant::now();
        while health.state(PART).as_ref() != Some(state) {
            assert!(since.elapsed() < Duration::from_secs(10), "{:?}", health.state(PART));
            std::thread::yield_now();
        }
    }

    #[test]
    fn receiver_that_loses_and_finds_its_fix() {
        let reports = vec![Ok(Report::Fix(fix())), Ok(Report::NoFix)];
        let (gps, health) = start([reports].into());
        wait_for(&health, &PartState::Impaired("the receiver has no fix".into()));
        assert_eq!(gps.fixes().at(SystemClock.now().monotonic), Position::NoFix);
    }

    #[test]
    fn silence_is_told_and_a_lost_source_is_opened_again() {
        let lost = Err(GpsError::Closed { address: "gpsd".into() });
        let (gps, health) = start([vec![lost], vec![Ok(Report::Fix(fix()))]].into());
        wait_for(&health, &PartState::Working);
        assert!(matches!(gps.fixes().at(SystemClock.now().monotonic), Position::Fixed { .. }));
        wait_for(&health, &PartState::Impaired("the receiver says nothing".into()));
    }

    #[test]
    fn receiver_a_thousand_weeks_behind_is_told_and_its_time_is_not_used() {
        let time = Some("2007-04-15T07:00:00Z".parse().unwrap());
        let (gps, health) = start([vec![Ok(Report::Fix(Fix { time, ..fix() }))]].into());
        let since = Instant::now();
        let told = loop {
            if let Some(PartState::Impaired(told)) = health.state(PART) {
                break told;
            }
            assert!(since.elapsed() < Duration::from_secs(10));
        };
        assert!(told.contains("2007-04-15") && told.contains("rolled over"), "{told}");
        let Position::Fixed { fix, .. } = gps.fixes().at(SystemClock.now().monotonic) else {
            panic!("the place is right")
        };
        assert_eq!(fix.time, None);
    }

    #[test]
    fn position_of_the_router_is_used_its_age_is_known_and_it_vouches_for_no_clock() {
        let mut router = Some(
            Router::listen("127.0.0.1:0".parse().unwrap(), "127.0.0.1".parse().unwrap()).unwrap(),
        );
        let to = router.as_ref().and_then(Router::at).unwrap();
        let health = Arc::new(Health::default());
        let open: Open = Box::new(move || Ok(Box::new(router.take().expect("opened once"))));
        let clock = Arc::new(SystemClock);
        let gps = Gps::with_source(open, Duration::from_secs(3), clock.clone(), health.clone());
        let send = |from: &str, text: &str| send(from, to, text);
        send("127.0.0.3", ">RPV00001+4400000-0796400003027012<");
        let refused = |state: Option<PartState>| matches!(state, Some(PartState::Impaired(why)) if why.ends_with("the last from 127.0.0.3"));
        let since = Instant::now();
        while !refused(health.state(STRANGERS)) {
            assert!(since.elapsed() < Duration::from_secs(10), "{:?}", health.state(STRANGERS));
            std::thread::yield_now();
        }
        assert_eq!(gps.fixes().at(clock.now().monotonic), Position::NoFix);
        // The router's own time of day is the right one, and still no time.
        let seconds = clock.now().wall.as_second() % 86_400;
        send("127.0.0.1", &format!(">RPV{seconds:05}+4359000-0796400003027012<"));
        wait_for(&health, &PartState::Working);
        let now = clock.now();
        let Position::Fixed { fix, age, .. } = gps.fixes().at(now.monotonic) else { panic!() };
        assert_eq!((fix.latitude, fix.accuracy_m, fix.time), (43.59, None, None));
        assert!(age < Duration::from_secs(3), "{age:?}");
        assert!(!gps.fixes().vouch_for(now) && gps.fixes().time_at(now.monotonic).is_none());
        let disciplined = crate::gps::Disciplined::new(clock.clone());
        disciplined.believe(gps.fixes());
        assert_eq!(disciplined.standing().receiver, None);
        // The same fix, over and over, gets old all the same.
        let told = PartState::Impaired("the router 127.0.0.1 sends one fix again and again".into());
        let since = Instant::now();
        while gps.fixes().at(clock.now().monotonic) != Position::NoFix
            || health.state(PART) != Some(told.clone())
        {
            assert!(since.elapsed() < Duration::from_secs(10), "{:?}", health.state(PART));
            send("127.0.0.1", &format!(">RPV{seconds:05}+4359000-0796400003027012<"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[expect(clippy::disallowed_types, reason = "the test is the router")]
    fn send(from: &str, to: std::net::SocketAddr, text: &str) {
        std::net::UdpSocket::bind((from, 0)).unwrap().send_to(text.as_bytes(), to).unwrap();
    }

    #[test]
    fn no_receiver_configured_is_off_and_has_no_fix() {
        let config = GpsConfig { source: GpsSource::Off, ..GpsConfig::default() };
        let health = Arc::new(Health::default());
        let gps = Gps::start(&config, Arc::new(SystemClock), health.clone());
        assert_eq!(health.state(PART), Some(PartState::Off));
        assert_eq!(gps.fixes().at(Duration::from_secs(1)), Position::NoFix);
    }
}
