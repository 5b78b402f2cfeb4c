//! The sound thread: takes priorities, plays tones, and never keeps anybody waiting.
//!
//! In: [`Sounder::raise`] from the thread that alerts, which only pushes to a short queue. Out:
//! an [`Annunciator`]. The most urgent tone sounds first and among equals the newest; a more urgent
//! tone cuts a less urgent one short. The tone of a high hit is repeated until somebody has answered it. If the
//! device is missing, busy, or opens and plays nothing, health says so under `sound`, and the device is tried again,
//! with growing pauses, until it plays; tones that have waited too long to be useful are dropped and counted.
//! Spoken words ([`Sounder::utter`]) sound when no tone waits, and every tone cuts them short.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::config::AlertConfig;
use crate::entry::Priority;
use crate::health::{Health, PartState};

use super::speaker::SoundError;

/// Makes an alert heard: a loudspeaker, or a recorder in tests.
pub trait Annunciator: Send {
    /// Opens the device if it is not open; an error says why no tone would sound. Called before the
    /// first alert and again after every failure.
    fn ready(&mut self) -> Result<(), SoundError>;

    /// Plays samples at [`super::tone::RATE`], mono, until their end or until `go_on` returns `false`.
    fn play(&mut self, samples: &[i16], go_on: &dyn Fn() -> bool) -> Result<(), SoundError>;
}

/// Pauses between two attempts at a device that does not sound.
///
/// A USB sound stick takes about a second to come back after a plug is knocked; the officer knows within two
/// seconds that it is back.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MOST: Duration = Duration::from_secs(2);

/// Silence that a device which has failed must play to prove that it works: 20 ms.
const PROOF: [i16; super::tone::RATE as usize / 50] = [0; super::tone::RATE as usize / 50];

/// Most tones that may wait. Eight high ones take ten seconds: more would sound for cars long gone.
const QUEUE: usize = 8;

/// Age past which a waiting tone is dropped: an officer would take it for the next car's.
const USEFUL: Duration = Duration::from_secs(15);

/// Time from one burst of a high hit that nobody has answered to the next. IEC 60601-1-8 allows 2.5 to 15 s.
const AGAIN: Duration = Duration::from_secs(5);

/// Time after which the tone of a hit that nobody answers is no longer repeated: nobody is in the car. The page still
/// shows the hit.
const LONGEST: Duration = Duration::from_secs(600);

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
    /// High hits that nobody has answered, and since when.
    unanswered: Vec<(String, Instant)>,
    /// When their tone is repeated.
    again: Option<Instant>,
    /// Words that wait until no tone does: those of the most urgent hit, among equals of the newest.
    words: Option<Words>,
    closed: bool,
}

/// Spoken words as samples at [`super::tone::RATE`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Words {
    priority: Priority,
    since: Instant,
    samples: Vec<i16>,
}

/// What sounds next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sound {
    Tone(Priority, Instant),
    Words(Words),
}

impl Queue {
    /// Takes the most urgent tone, among equals the newest.
    fn pop(&mut self) -> Option<(Priority, Instant)> {
        let at = (0..self.waiting.len()).max_by_key(|i| (self.waiting[*i].0, *i))?;
        Some(self.waiting.remove(at))
    }

    /// Adds a tone; past the limit the least urgent and oldest one is dropped. Returns whether one was.
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

    /// Forgets hits that nobody has answered for so long that nobody is there.
    fn give_up(&mut self, now: Instant) {
        self.unanswered.retain(|(_, since)| now.duration_since(*since) < LONGEST);
    }

    /// Takes the tone that is repeated, if its time has come.
    fn repeat(&mut self, now: Instant) -> Option<(Priority, Instant)> {
        self.give_up(now);
        if self.unanswered.is_empty() || self.again.is_some_and(|again| now < again) {
            return None;
        }
        self.again = Some(now + AGAIN);
        Some((Priority::High, now))
    }

    fn drop_stale(&mut self, now: Instant) -> usize {
        self.words.take_if(|words| now.duration_since(words.since) >= USEFUL);
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
        let thread = crate::threads::spawn("sound", move || {
            run(annunciator, volume, &thread_shared, &health)
        })
        .expect("the system can start a thread");
        let mute = config.mute.iter().copied().filter(|p| *p != Priority::High).collect();
        (Self { shared: shared.clone(), mute }, Sounding { shared, thread: Some(thread) })
    }

    /// Requests the tone of a hit and returns at once. A high hit's tone is repeated until it is answered.
    pub fn raise(&self, hit: &str, priority: Priority) {
        if priority == Priority::High {
            let mut queue = self.lock();
            let now = Instant::now();
            queue.unanswered.push((hit.to_owned(), now));
            queue.again = Some(now + AGAIN);
        }
        self.alert(priority);
    }

    /// Called when somebody has seen this hit: its tone is not repeated.
    pub fn answer(&self, hit: &str) {
        self.lock().unanswered.retain(|(id, _)| id != hit);
    }

    /// Hits whose tone is repeated until they are answered.
    pub fn unanswered(&self) -> Vec<String> {
        let mut queue = self.lock();
        // A device that does not sound repeats nothing, and would never give up either.
        queue.give_up(Instant::now());
        queue.unanswered.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Priorities that make no sound, by setting.
    pub fn muted(&self) -> &[Priority] {
        &self.mute
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.shared.state.lock().expect("no holder panics")
    }

    /// Whether a hit of this priority is heard.
    pub fn is_heard(&self, priority: Priority) -> bool {
        !self.mute.contains(&priority)
    }

    /// Has words spoken, as samples at [`super::tone::RATE`], once no tone waits. Returns at once; words of a less
    /// urgent hit than those that wait already are dropped.
    pub fn utter(&self, priority: Priority, samples: Vec<i16>) {
        let mut queue = self.lock();
        if queue.words.as_ref().is_none_or(|waiting| waiting.priority <= priority) {
            queue.words = Some(Words { priority, since: Instant::now(), samples });
        }
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Requests a tone and returns at once.
    pub fn alert(&self, priority: Priority) {
        if !self.is_heard(priority) {
            return;
        }
        let mut queue = self.lock();
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
    let mut pauses = Backoff::new(RETRY_FIRST, RETRY_MOST);
    let mut working = false;
    // A device that opened and did not play has to play again before it counts as working.
    let mut proof = false;
    loop {
        if !working {
            let tried = annunciator.ready().and_then(|()| match proof {
                true => annunciator.play(&PROOF, &|| true),
                false => Ok(()),
            });
            if let Err(e) = tried {
                report_down(health, &e);
                if !wait_before_retry(shared, pauses.failed()) {
                    return;
                }
                continue;
            }
            working = true;
            pauses.worked();
            health.set("sound", PartState::Working);
            info!("sound ready");
        }
        let Some(sound) = next(shared) else { return };
        let played = match &sound {
            Sound::Tone(priority, _) => {
                let samples = super::tone::samples(*priority, volume);
                // Asked every few milliseconds while the tone plays.
                annunciator.play(&samples, &|| {
                    let queue = shared.state.lock().expect("no holder panics");
                    !queue.closed && queue.waiting.iter().all(|(waiting, _)| waiting <= priority)
                })
            }
            Sound::Words(words) => annunciator.play(&words.samples, &|| {
                let queue = shared.state.lock().expect("no holder panics");
                !queue.closed && queue.waiting.is_empty()
            }),
        };
        if let Err(e) = played {
            report_down(health, &e);
            (working, proof) = (false, true);
            // It has not been heard: a tone waits with the others for the device, and keeps its age. Words would come
            // too late.
            if let Sound::Tone(priority, since) = sound {
                shared.state.lock().expect("no holder panics").push(priority, since);
            }
            if !wait_before_retry(shared, pauses.failed()) {
                return;
            }
        }
    }
}

/// Reports once why nothing sounds.
fn report_down(health: &Health, why: &SoundError) {
    let said = PartState::Down(why.to_string());
    if health.state("sound").as_ref() != Some(&said) {
        warn!(error = %why, "no sound");
        health.set("sound", said);
    }
}

/// Waits before the device is tried again. Returns `false` when closed meanwhile.
fn wait_before_retry(shared: &Shared, pause: Duration) -> bool {
    let queue = shared.state.lock().expect("no holder panics");
    let until = |q: &mut Queue| !q.closed;
    let (queue, _) = shared.wake.wait_timeout_while(queue, pause, until).expect("no holder panics");
    !queue.closed
}

/// Waits for what sounds next; `None` when closed.
fn next(shared: &Shared) -> Option<Sound> {
    let mut queue = shared.state.lock().expect("no holder panics");
    loop {
        if queue.closed {
            return None;
        }
        let stale = queue.drop_stale(Instant::now());
        if stale > 0 {
            warn!(stale, "tones dropped that had waited too long");
        }
        let now = Instant::now();
        if let Some((priority, since)) = queue.pop().or_else(|| queue.repeat(now)) {
            return Some(Sound::Tone(priority, since));
        }
        if let Some(words) = queue.words.take() {
            return Some(Sound::Words(words));
        }
        // An alert wakes this thread; a repeated tone wakes it by its time.
        let sleep = match (queue.unanswered.is_empty(), queue.again) {
            (false, Some(again)) => again.saturating_duration_since(now),
            _ => LONGEST,
        };
        queue = shared.wake.wait_timeout(queue, sleep).expect("no holder panics").0;
    }
}

/// Remembers tones instead of playing them: for tests and for machines without a loudspeaker.
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

    const HIGH: usize = 27_840;
    const MEDIUM: usize = 31_680;
    const LOW: usize = 12_000;

    fn until(what: &str, mut met: impl FnMut() -> bool) {
        let start = Instant::now();
        while !met() {
            assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
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
        assert_eq!(queue.pop(), Some((Priority::High, now)));
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
        assert_eq!(queue.pop().map(|(priority, _)| priority), Some(Priority::Low));
    }

    #[test]
    fn high_comes_again_until_it_is_answered_and_stops_when_nobody_ever_does() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.unanswered.push(("01A".into(), start));
        queue.again = Some(start + AGAIN);
        assert_eq!(queue.repeat(start + AGAIN / 2), None, "not before its time");
        let first = start + AGAIN;
        assert_eq!(queue.repeat(first), Some((Priority::High, first)));
        assert_eq!(queue.repeat(first), None, "once each time");
        assert!(queue.repeat(first + AGAIN).is_some());
        assert_eq!(queue.repeat(start + LONGEST), None);
        assert!(queue.unanswered.is_empty());
    }

    #[test]
    fn tone_of_a_high_hit_is_heard_again_and_after_the_answer_no_more() {
        let recorder = Recorder::default();
        let config = AlertConfig { mute: vec![Priority::Low], ..Default::default() };
        let (sounder, sounding) =
            Sounder::spawn(Box::new(recorder.clone()), &config, Arc::new(Health::default()));
        assert_eq!(sounder.muted(), [Priority::Low]);
        sounder.raise("01B", Priority::Medium);
        assert!(sounder.unanswered().is_empty(), "a medium hit sounds once");
        until("the medium tone", || recorder.played() == [MEDIUM]);
        sounder.raise("01A", Priority::High);
        assert_eq!(sounder.unanswered(), ["01A"]);
        until("the tone and its repeat", || recorder.played() == [MEDIUM, HIGH, HIGH]);
        sounder.answer("another");
        assert_eq!(sounder.unanswered(), ["01A"]);
        sounder.answer("01A");
        assert!(sounder.unanswered().is_empty());
        sounding.stop();
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

    /// Plays until `go_on` returns `false`, and reports what it did.
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

    #[test]
    fn words_wait_for_the_tone_and_every_tone_cuts_them_short() {
        let (tx, heard) = mpsc::channel();
        let (sounder, sounding) = Sounder::spawn(
            Box::new(Endless(tx)),
            &AlertConfig::default(),
            Arc::new(Health::default()),
        );
        let next = || heard.recv_timeout(Duration::from_secs(20)).unwrap();
        sounder.alert(Priority::Medium);
        assert_eq!(next(), (MEDIUM, false));
        sounder.utter(Priority::Low, vec![1; 10]);
        sounder.utter(Priority::Medium, vec![1; 20]);
        sounder.utter(Priority::Low, vec![1; 30]);
        sounder.alert(Priority::High);
        assert_eq!([next(), next()], [(MEDIUM, true), (HIGH, false)]);
        sounder.alert(Priority::High);
        // Equals wait, so the high tone ends only with the thread; a second thread shows the words alone.
        sounding.stop();
        assert_eq!(next(), (HIGH, true));

        let (tx, heard) = mpsc::channel();
        let health = Arc::new(Health::default());
        let (sounder, sounding) =
            Sounder::spawn(Box::new(Endless(tx)), &AlertConfig::default(), health);
        let next = || heard.recv_timeout(Duration::from_secs(20)).unwrap();
        sounder.utter(Priority::High, vec![1; 20]);
        assert_eq!(next(), (20, false));
        sounder.alert(Priority::Low);
        assert_eq!([next(), next()], [(20, true), (LOW, false)]);
        sounding.stop();
        assert_eq!(next(), (LOW, true));
    }

    #[test]
    fn words_of_the_most_urgent_hit_wait_and_not_for_ever() {
        let start = Instant::now();
        let mut queue = Queue::default();
        let words = |priority| Words { priority, since: start, samples: vec![1] };
        queue.words = Some(words(Priority::High));
        assert_eq!(queue.drop_stale(start + USEFUL / 2), 0);
        assert_eq!(queue.words, Some(words(Priority::High)));
        queue.drop_stale(start + USEFUL);
        assert_eq!(queue.words, None, "an officer would take them for the next car's");
    }

    /// A device that always opens, and plays nothing until it is repaired.
    #[derive(Clone, Default)]
    struct OpensOnly {
        tried: Arc<Mutex<Vec<usize>>>,
        mended: Arc<std::sync::atomic::AtomicBool>,
    }

    impl Annunciator for OpensOnly {
        fn ready(&mut self) -> Result<(), SoundError> {
            Ok(())
        }
        fn play(&mut self, samples: &[i16], _: &dyn Fn() -> bool) -> Result<(), SoundError> {
            self.tried.lock().unwrap().push(samples.len());
            match self.mended.load(std::sync::atomic::Ordering::SeqCst) {
                true => Ok(()),
                false => {
                    let (device, reason) = ("stick".into(), "Input/output error".into());
                    Err(SoundError::Device { device, reason })
                }
            }
        }
    }

    #[test]
    fn device_that_opens_and_does_not_play_is_tried_now_and_then_and_told_until_it_plays() {
        let device = OpensOnly::default();
        let health = Arc::new(Health::default());
        let (sounder, sounding) =
            Sounder::spawn(Box::new(device.clone()), &AlertConfig::default(), health.clone());
        until("sound opened", || health.state("sound") == Some(PartState::Working));
        sounder.alert(Priority::High);
        until("the first failure", || !device.tried.lock().unwrap().is_empty());
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1_500) {
            std::thread::sleep(Duration::from_millis(5));
            let said = health.state("sound");
            assert!(!matches!(said, Some(PartState::Working)), "works by being opened: {said:?}");
        }
        // At 0, 0.25 and 0.75 s; one more for a machine that is busy.
        let tried = device.tried.lock().unwrap().len();
        assert!((2..=4).contains(&tried), "tried {tried} times in 1.5 s");
        device.mended.store(true, std::sync::atomic::Ordering::SeqCst);
        until("the tone that waited", || device.tried.lock().unwrap().last() == Some(&HIGH));
        until("it works", || health.state("sound") == Some(PartState::Working));
        sounding.stop();
    }
}
