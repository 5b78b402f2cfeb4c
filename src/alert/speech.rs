//! What is said of a hit after its tone, where `alert.speech` asks for it: "stolen vehicle, Ontario, A B C D 1 2 3".
//!
//! In: cards. Out: samples for the [`Sounder`], which plays them when no tone waits. espeak-ng makes them, in a
//! process of its own for each hit: it gets the words on its standard input, so that no plate stands among the
//! arguments of a process, and has three seconds for it. If it is missing or fails, health says so under `speech`, and tones
//! and page go on as they are. Words that come while others are being made wait, the newest four at most.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::card::{Card, Mark};
use super::sound::Sounder;
use super::tone;
use crate::entry::Priority;
use crate::health::{Health, PartState};
use crate::onboard::MatchKind;
use crate::plate::{Agreement, names};

/// What makes the words.
pub const PROGRAM: &str = "espeak-ng";

/// Words a minute: slower than its default, since the officer writes nothing down.
const WORDS_A_MINUTE: &str = "150";

/// Time that the words of one hit may take to be made; they take about a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// Hits whose words may wait to be made.
const WAITING: usize = 4;

/// Most bytes that are taken for one hit: twenty seconds of sound.
const MOST_BYTES: u64 = 20 * 2 * 22_050;

/// Why nothing is said.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// The program is not there.
    #[error(
        "{program}, which speaks, is not installed (apt-get install espeak-ng), or set alert.speech = false"
    )]
    Missing {
        /// Its name.
        program: String,
    },
    /// It cannot be run.
    #[error("{program} cannot be run: {source}")]
    Run {
        /// Its name.
        program: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It ran, and there is nothing to play.
    #[error("{program} made no speech: {why}")]
    Silent {
        /// Its name.
        program: String,
        /// What is wrong with its answer.
        why: String,
    },
}

/// Where cards go to be spoken.
#[derive(Clone)]
pub struct Speech(SyncSender<(Priority, String)>);

impl Speech {
    /// Starts the thread that has words made. It ends when every handle is dropped.
    pub fn spawn(sounder: Sounder, health: Arc<Health>) -> Self {
        Self::spawn_with(PROGRAM.into(), sounder, health)
    }

    fn spawn_with(program: String, sounder: Sounder, health: Arc<Health>) -> Self {
        let (to, words) = sync_channel(WAITING);
        health.set("speech", PartState::Starting);
        crate::threads::spawn("speech", move || run(&program, &words, &sounder, &health))
            .expect("the system can start a thread");
        Self(to)
    }

    /// Says what a card is about, if its priority is heard at all. Returns at once.
    pub fn say(&self, card: &Card, sounder: &Sounder) {
        if sounder.is_heard(card.priority) && self.0.try_send((card.priority, words(card))).is_err()
        {
            warn!("more hits than can be spoken of, one is not spoken");
        }
    }
}

fn run(program: &str, words: &Receiver<(Priority, String)>, sounder: &Sounder, health: &Health) {
    // Said before the first hit, so that a missing program is known at the start of the shift.
    report(health, spoken(program, "ready").map(|_| ()));
    for (priority, text) in words {
        match spoken(program, &text) {
            Ok(samples) => {
                report(health, Ok(()));
                sounder.utter(priority, samples);
            }
            Err(e) => report(health, Err(e)),
        }
    }
}

/// Tells health once what has changed.
fn report(health: &Health, outcome: Result<(), SpeechError>) {
    let said = match &outcome {
        Ok(()) => PartState::Working,
        Err(e) => PartState::Down(e.to_string()),
    };
    if health.state("speech").as_ref() == Some(&said) {
        return;
    }
    match outcome {
        Ok(()) => info!("speech ready"),
        Err(e) => warn!(error = %e, "no speech"),
    }
    health.set("speech", said);
}

/// Whether words can be made on this machine.
pub fn try_out() -> Result<(), SpeechError> {
    spoken(PROGRAM, "ready").map(|_| ())
}

/// What is said of a card: its category, whose plate the list says it is, what was read, and what speaks against it.
fn words(card: &Card) -> String {
    let mut parts = vec![card.category.replace('_', " ")];
    if let Some(code) = &card.jurisdiction_listed {
        parts.push(names::of(code).unwrap_or(code).to_owned());
    }
    let read: Vec<String> =
        card.pairs.iter().filter_map(|pair| pair.read).map(String::from).collect();
    parts.push(read.join(" "));
    if card.match_kind != MatchKind::Exact
        || card.pairs.iter().any(|pair| pair.mark == Mark::Differs)
    {
        parts.push("not exact".into());
    }
    if card.jurisdictions == Agreement::Other {
        parts.push("plate of another jurisdiction".into());
    }
    parts.join(", ")
}

/// Has a text spoken: samples at [`tone::RATE`].
fn spoken(program: &str, text: &str) -> Result<Vec<i16>, SpeechError> {
    let failed = |source| SpeechError::Run { program: program.into(), source };
    let silent = |why: &str| SpeechError::Silent { program: program.into(), why: why.into() };
    let started = Command::new(program)
        .args(["--stdin", "--stdout", "-s", WORDS_A_MINUTE, "-v", "en"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(SpeechError::Missing { program: program.into() });
        }
        Err(e) => return Err(failed(e)),
    };
    let mut input = child.stdin.take().expect("its input was asked for");
    let output = child.stdout.take().expect("its output was asked for");
    // A pipe holds more than a plate and a few words, so that this waits for nobody.
    let written = input.write_all(text.as_bytes());
    drop(input);
    let reader = crate::threads::spawn("speech-output", move || {
        let mut wave = Vec::new();
        output.take(MOST_BYTES).read_to_end(&mut wave).map(|_| wave)
    })
    .map_err(failed)?;
    let ended = ends_within(&mut child, PATIENCE).map_err(failed)?;
    let wave = reader.join().expect("reading does not panic").map_err(failed)?;
    // A program that ends without having read its text has said what is wrong by its answer.
    if let Err(e) = written
        && e.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(failed(e));
    }
    if !ended {
        return Err(silent("it does not answer"));
    }
    let (rate, samples) = read_wave(&wave).ok_or_else(|| silent("its answer is no sound"))?;
    if samples.iter().all(|s| *s == 0) {
        return Err(silent("its answer is silence"));
    }
    Ok(at_our_rate(&samples, rate))
}

/// Waits for a process, and ends it after this time. Returns whether it ended by itself.
fn ends_within(child: &mut Child, patience: Duration) -> std::io::Result<bool> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

/// Rate and samples of a WAV of one channel of 16 bits. Its sizes count for nothing: a program that writes into
/// a pipe does not know them.
fn read_wave(wave: &[u8]) -> Option<(u32, Vec<i16>)> {
    let head = wave.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVEfmt ")?;
    let number = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
    let rate = u32::from_le_bytes(head.get(8..12)?.try_into().ok()?);
    let is_ours = (number(4)?, number(6)?, number(18)?) == (1, 1, 16);
    let data = head.get(20..)?.strip_prefix(b"data")?.get(4..)?;
    let samples = data.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    (is_ours && (8_000..=48_000).contains(&rate)).then_some((rate, samples))
}

/// The same sound at [`tone::RATE`], by linear interpolation.
fn at_our_rate(samples: &[i16], rate: u32) -> Vec<i16> {
    let length = samples.len() as u64 * u64::from(tone::RATE) / u64::from(rate);
    let step = f64::from(rate) / f64::from(tone::RATE);
    let sample = |at: usize| f64::from(samples[at.min(samples.len() - 1)]);
    (0..length)
        .map(|n| {
            let at = n as f64 * step;
            let (whole, part) = (at as usize, at.fract());
            (sample(whole) * (1.0 - part) + sample(whole + 1) * part) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Recorder;
    use crate::config::AlertConfig;
    use crate::hits::testing_hit;

    fn spoken_of(change: impl FnOnce(&mut Card)) -> String {
        let mut card = Card::of(&testing_hit(1), None);
        change(&mut card);
        words(&card)
    }

    #[test]
    fn category_jurisdiction_and_each_character_are_said_and_what_speaks_against_the_hit() {
        assert_eq!(spoken_of(|_| {}), "stolen vehicle, Ontario, H I T 0 0 0 1");
        assert_eq!(
            spoken_of(|card| card.jurisdiction_listed = None),
            "stolen vehicle, H I T 0 0 0 1"
        );
        let like = spoken_of(|card| card.match_kind = MatchKind::LookAlike);
        assert_eq!(like, "stolen vehicle, Ontario, H I T 0 0 0 1, not exact");
        let other = spoken_of(|card| card.jurisdictions = Agreement::Other);
        assert!(other.ends_with(", plate of another jurisdiction"), "{other}");
    }

    #[test]
    fn wave_of_a_pipe_is_read_and_anything_else_is_refused() {
        let mut wave = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wave.extend(22_050_u32.to_le_bytes());
        wave.extend(44_100_u32.to_le_bytes());
        wave.extend(*b"\x02\0\x10\0data\xff\xff\xff\x7f\x01\0\xff\x7f\0");
        assert_eq!(read_wave(&wave), Some((22_050, vec![1, 32_767])));
        for cut in 0..44 {
            assert_eq!(read_wave(&wave[..cut]), None, "{cut}");
        }
        wave[22] = 2;
        assert_eq!(read_wave(&wave), None, "two channels");
        let slow = at_our_rate(&[0, 100], 24_000);
        assert_eq!(slow, [0, 50, 100, 100]);
    }

    #[test]
    fn program_that_is_missing_silent_or_slow_is_told_in_words() {
        let said = |program: &str| spoken(program, "A B C").unwrap_err().to_string();
        assert!(said("outrider-no-such-voice").contains("apt-get install espeak-ng"));
        assert!(said("true").contains("its answer is no sound"), "{}", said("true"));
        // More than a pipe holds: it has ended before it was told all.
        let unread = spoken("true", &"A ".repeat(1 << 20)).unwrap_err().to_string();
        assert!(unread.contains("its answer is no sound"), "{unread}");
        let dir = tempfile::tempdir().unwrap();
        let sleeps = dir.path().join("sleeps");
        std::fs::write(&sleeps, "#!/bin/sh\nexec sleep 60\n").unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&sleeps, std::fs::Permissions::from_mode(0o755)).unwrap();
        let said = said(sleeps.to_str().unwrap());
        assert!(said.contains("does not answer"), "{said}");
    }

    #[test]
    fn hit_is_spoken_after_its_tone_by_the_real_program_and_a_missing_one_is_in_health() {
        let recorder = Recorder::default();
        let health = Arc::new(Health::default());
        let config = AlertConfig { mute: vec![Priority::Low], ..AlertConfig::default() };
        let (sounder, sounding) =
            Sounder::spawn(Box::new(recorder.clone()), &config, health.clone());
        let until = |what: &str, met: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !met() {
                assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let speech = Speech::spawn(sounder.clone(), health.clone());
        until("speech works", &|| health.state("speech") == Some(PartState::Working));
        let mut card = Card::of(&testing_hit(1), None);
        sounder.alert(card.priority);
        speech.say(&card, &sounder);
        until("tone and words", &|| recorder.played().len() == 2);
        let seconds = recorder.played()[1] / tone::RATE as usize;
        assert!(
            (2..=10).contains(&seconds),
            "{seconds} s for a category, a province and seven characters"
        );
        card.priority = Priority::Low;
        speech.say(&card, &sounder);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(recorder.played().len(), 2, "a muted priority is not spoken either");
        let _kept = Speech::spawn_with("outrider-no-such-voice".into(), sounder, health.clone());
        until(
            "it is missed",
            &|| matches!(health.state("speech"), Some(PartState::Down(why)) if why.contains("espeak-ng")),
        );
        sounding.stop();
    }
}
