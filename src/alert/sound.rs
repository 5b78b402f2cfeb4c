//! The sounding thread: takes priorities, gives tones, never keeps anybody waiting.
//!
//! In: [`Sounder::alert`] from the thread that tells hits, which only pushes to a short queue. Out:
//! an [`Annunciator`]. The most urgent tone sounds first and among equals the newest; a more urgent
//! one cuts a lesser one short. A device that is missing or busy is said in health as `sound` and
//! tried again until it is there; what has waited past its use is dropped and counted.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::config::AlertConfig;
use crate::health::{Health, PartState};
use crate::hotlist::Priority;

use super::speaker::SoundError;

/// Makes an alert heard: a loudspeaker, or a recorder in tests.
pub trait Annunciator: Send {
    /// Readies the device, if it is not; says whether it would sound. Called before the first
    /// alert and again after every failure.
    fn ready(&mut self) -> Result<(), SoundError>;

    /// Plays samples at [`super::tone::RATE`], mono, until they are through or `go_on` says no.
    fn play(&mut self, samples: &[i16], go_on: &dyn Fn() -> bool) -> Result<(), SoundError>;
}

/// Time between two attempts to open a missing device.
///
/// A USB sound stick takes about a second to come back after a plug is knocked.
const RETRY: Duration = Duration::from_secs(1);

/// Tones that may wait. Eight high ones take ten seconds: more would sound for cars long gone.
const QUEUE: usize = 8;

/// Age past which a waiting tone is dropped: it would be taken for the next car.
const USEFUL: Duration = Duration::from_secs(15);

/// The handle: give it priorities.
#[derive(Clone)]
pub struct Sounder {
    shared: Arc<Shared>,
    mute: Arc<[Priority]>,
}

struct Shared {
    /// Guards the waiting tones and the closing word; held for a push or a pop.
    state: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(Priority, Instant)>,
    closed: bool,
}

impl Queue {
    /// Takes the most urgent, among equals the newest.
    fn pop(&mut self) -> Option<Priority> {
        let at = (0..self.waiting.len()).max_by_key(|i| (self.waiting[*i].0, *i))?;
        Some(self.waiting.remove(at).0)
    }

    /// Adds one; past the limit the least urgent and oldest goes. Returns whether one went.
    fn push(&mut self, priority: Priority, now: Instant) -> bool {
        self.waiting.push((priority, now));
        if self.waiting.len() <= QUEUE {
            return false;
        }
        let least = (0..self.waiting.len())
            .min_by_key(|i| (self.waiting[*i].0, *i))
            .expect("one was just pushed");
        self.waiting.remove(least);
        true
    }

    fn drop_stale(&mut self, now: Instant) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|(_, since)| now.duration_since(*since) < USEFUL);
        before - self.waiting.len()
    }
}

impl Sounder {
    /// Starts the thread. It ends when [`Sounding::stop`] is called.
    pub fn spawn(
        annunciator: Box<dyn Annunciator>,
        config: &AlertConfig,
        health: Arc<Health>,
    ) -> (Self, Sounding) {
        let shared = Arc::new(Shared { state: Mutex::new(Queue::default()), wake: Condvar::new() });
        let (thread_shared, volume) =
            (shared.clone(), u8::try_from(config.volume.clamp(0, 100)).expect("clamped"));
        health.set("sound", PartState::Starting);
        let thread = std::thread::Builder::new()
            .name("sound".into())
            .spawn(move || run(annunciator, volume, &thread_shared, &health))
            .expect("the system can start a thread");
        let mute = config.mute.iter().copied().filter(|p| *p != Priority::High).collect();
        (Self { shared: shared.clone(), mute }, Sounding { shared, thread: Some(thread) })
    }

    /// Asks for a tone and returns at once.
    pub fn alert(&self, priority: Priority) {
        if self.mute.contains(&priority) {
            return;
        }
        let mut queue = self.shared.state.lock().expect("no holder panics");
        if queue.push(priority, Instant::now()) {
            warn!("more alerts than tones, the least urgent tone dropped");
        }
        drop(queue);
        self.shared.wake.notify_one();
    }
}

/// The running thread.
pub struct Sounding {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Sounding {
    /// Lets a tone that sounds fade, drops what waits, and ends the thread.
    pub fn stop(mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn close(&self) {
        self.shared.state.lock().expect("no holder panics").closed = true;
        self.shared.wake.notify_all();
    }
}

impl Drop for Sounding {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(mut annunciator: Box<dyn Annunciator>, volume: u8, shared: &Shared, health: &Health) {
    let mut working = false;
    loop {
        if !working {
            match annunciator.ready() {
                Ok(()) => {
                    working = true;
                    health.set("sound", PartState::Working);
                    info!("sound ready");
                }
                Err(e) => {
                    let said = PartState::Down(e.to_string());
                    if health.state("sound").as_ref() != Some(&said) {
                        warn!(error = %e, "no sound");
                        health.set("sound", said);
                    }
                    let queue = shared.state.lock().expect("no holder panics");
                    let until = |q: &mut Queue| !q.closed;
                    let (queue, _) = shared
                        .wake
                        .wait_timeout_while(queue, RETRY, until)
                        .expect("no holder panics");
                    if queue.closed {
                        return;
                    }
                    continue;
                }
            }
        }
        let Some(priority) = next(shared) else { return };
        let samples = super::tone::samples(priority, volume);
        // Asked every few milliseconds while the tone plays.
        let go_on = || {
            let queue = shared.state.lock().expect("no holder panics");
            !queue.closed && queue.waiting.iter().all(|(waiting, _)| *waiting <= priority)
        };
        let outcome = annunciator.play(&samples, &go_on);
        if let Err(e) = outcome {
            warn!(error = %e, "tone not played, trying the device again");
            health.set("sound", PartState::Down(e.to_string()));
            working = false;
            // It has not been heard: it waits with the others for the device to come back.
            let mut queue = shared.state.lock().expect("no holder panics");
            queue.push(priority, Instant::now());
        }
    }
}

/// Waits for the next tone to play; `None` when closed.
fn next(shared: &Shared) -> Option<Priority> {
    let mut queue = shared.state.lock().expect("no holder panics");
    loop {
        if queue.closed {
            return None;
        }
        let stale = queue.drop_stale(Instant::now());
        if stale > 0 {
            warn!(stale, "tones dropped that had waited too long");
        }
        if let Some(priority) = queue.pop() {
            return Some(priority);
        }
        queue = shared.wake.wait(queue).expect("no holder panics");
    }
}

/// Remembers instead of sounding: for tests and for machines without a loudspeaker.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    played: Arc<Mutex<Vec<usize>>>,
    failing: Arc<Mutex<Option<String>>>,
}

impl Recorder {
    /// Lengths, in samples, of everything played so far.
    pub fn played(&self) -> Vec<usize> {
        self.played.lock().expect("no holder panics").clone()
    }

    /// Makes every further call fail with this text, or `None` to work again.
    pub fn fail(&self, why: Option<&str>) {
        *self.failing.lock().expect("no holder panics") = why.map(str::to_owned);
    }

    fn outcome(&self) -> Result<(), SoundError> {
        match self.failing.lock().expect("no holder panics").clone() {
            Some(reason) => Err(SoundError::Device { device: "recorder".into(), reason }),
            None => Ok(()),
        }
    }
}

impl Annunciator for Recorder {
    fn ready(&mut self) -> Result<(), SoundError> {
        self.outcome()
    }

    fn play(&mut self, samples: &[i16], _go_on: &dyn Fn() -> bool) -> Result<(), SoundError> {
        self.outcome()?;
        self.played.lock().expect("no holder panics").push(samples.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const HIGH: usize = 57_600;
    const MEDIUM: usize = 23_040;
    const LOW: usize = 12_000;

    fn until(what: &str, mut met: impl FnMut() -> bool) {
        let start = Instant::now();
        while !met() {
            assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn newest_high_goes_first_and_the_least_goes_overboard() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for p in [Priority::Low, Priority::High, Priority::Medium, Priority::High] {
            assert!(!queue.push(p, now));
        }
        assert_eq!(queue.pop(), Some(Priority::High));
        assert_eq!(queue.waiting.len(), 3);
        for _ in 0..QUEUE - 3 {
            queue.push(Priority::High, now);
        }
        assert!(queue.push(Priority::High, now), "the queue has an end");
        assert!(queue.waiting.iter().all(|(p, _)| *p != Priority::Low), "the low one went");
    }

    #[test]
    fn tone_that_waited_too_long_is_not_sounded_for_another_car() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.push(Priority::High, start);
        queue.push(Priority::Low, start + Duration::from_secs(14));
        assert_eq!(queue.drop_stale(start + Duration::from_secs(16)), 1);
        assert_eq!(queue.pop(), Some(Priority::Low));
    }

    #[test]
    fn muted_priorities_are_silent_but_high_sounds_whatever_was_asked() {
        let recorder = Recorder::default();
        let config = AlertConfig {
            mute: vec![Priority::Low, Priority::Medium, Priority::High],
            ..Default::default()
        };
        let (sounder, sounding) =
            Sounder::spawn(Box::new(recorder.clone()), &config, Arc::new(Health::default()));
        sounder.alert(Priority::Low);
        sounder.alert(Priority::Medium);
        sounder.alert(Priority::High);
        until("the high tone", || recorder.played() == [HIGH]);
        sounding.stop();
    }

    #[test]
    fn missing_device_is_said_and_the_tone_sounds_when_it_is_back() {
        let recorder = Recorder::default();
        recorder.fail(Some("No such file or directory"));
        let health = Arc::new(Health::default());
        let (sounder, sounding) =
            Sounder::spawn(Box::new(recorder.clone()), &AlertConfig::default(), health.clone());
        let down = PartState::Down(
            "sound device \"recorder\": No such file or directory: see aplay -L for the names, \
             and set alert.device"
                .into(),
        );
        until("the missing device in health", || health.state("sound") == Some(down.clone()));
        sounder.alert(Priority::Medium);
        recorder.fail(None);
        until("the tone", || recorder.played() == [MEDIUM]);
        assert_eq!(health.state("sound"), Some(PartState::Working));
        sounding.stop();
    }

    /// Plays until it is told to stop, and tells what it did.
    struct Endless(mpsc::Sender<(usize, bool)>);

    impl Annunciator for Endless {
        fn ready(&mut self) -> Result<(), SoundError> {
            Ok(())
        }
        fn play(&mut self, samples: &[i16], go_on: &dyn Fn() -> bool) -> Result<(), SoundError> {
            self.0.send((samples.len(), false)).unwrap();
            until("the word to stop", || !go_on());
            self.0.send((samples.len(), true)).unwrap();
            Ok(())
        }
    }

    #[test]
    fn high_cuts_a_low_tone_short_and_equals_wait() {
        let (tx, heard) = mpsc::channel();
        let (sounder, sounding) = Sounder::spawn(
            Box::new(Endless(tx)),
            &AlertConfig::default(),
            Arc::new(Health::default()),
        );
        let next = || heard.recv_timeout(Duration::from_secs(20)).unwrap();
        sounder.alert(Priority::Low);
        assert_eq!(next(), (LOW, false));
        sounder.alert(Priority::Low);
        sounder.alert(Priority::High);
        assert_eq!([next(), next()], [(LOW, true), (HIGH, false)]);
        sounding.stop();
        assert_eq!(next(), (HIGH, true));
    }
}
