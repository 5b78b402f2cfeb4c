//! `outrider status`: asks the running daemon how this car is. The answer contains no plate and no position.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::alert::console::status::CameraState;
use crate::clock::{self, ClockReport, TimeSource};
use crate::config::Config;
use crate::control;
use crate::daemon::asked::STATUS;
use crate::daemon::standing::{Gps, Told};
use crate::health::PartState;
use crate::uplink::certificate::{PAGE, PART};

/// Ask the running daemon how this car is: cameras, GPS, clock, lists, last shift, link, storage, certificate.
#[derive(Debug, Args)]
#[command(
    after_help = "This shows what the running daemon knows. outrider check tries each part itself and says what to \
do. The exit code is 1 where no daemon answers.\n\nExamples:\n  outrider status\n  outrider status --json | jq .lists"
)]
pub struct StatusArgs {
    /// A JSON object.
    #[arg(long)]
    json: bool,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl StatusArgs {
    /// Asks and prints.
    pub fn run(self) -> anyhow::Result<()> {
        let state = Config::load(&self.config)?.keeping.directory;
        let mut out = std::io::stdout().lock();
        if self.json {
            let told: serde_json::Value = control::ask(&state, STATUS, &())?;
            writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?;
            return Ok(());
        }
        let told: Told = control::ask(&state, STATUS, &())?;
        write!(out, "{}", table(&told))?;
        Ok(())
    }
}

/// The word at the beginning of a line.
#[derive(Clone, Copy)]
enum Word {
    Ok,
    Warn,
    Fail,
    Off,
}

impl Word {
    fn of(state: &PartState) -> Self {
        match state {
            PartState::Working => Self::Ok,
            PartState::Starting | PartState::Impaired(_) => Self::Warn,
            PartState::Down(_) => Self::Fail,
            PartState::Off => Self::Off,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Off => "off",
        }
    }
}

/// A number of seconds as a person says it.
fn span(seconds: i64) -> String {
    let words = clock::span(Duration::from_secs(seconds.unsigned_abs()));
    if seconds < 0 { format!("{words} in the future") } else { words }
}

fn state_text(state: &PartState) -> String {
    match state {
        PartState::Working => "working".into(),
        PartState::Starting => "starting".into(),
        PartState::Impaired(why) | PartState::Down(why) => why.clone(),
        PartState::Off => "not configured".into(),
    }
}

fn gps(gps: &Gps) -> (Word, String) {
    if !gps.fix {
        let word = match gps.part {
            PartState::Off => Word::Off,
            PartState::Down(_) => Word::Fail,
            _ => Word::Warn,
        };
        return (word, format!("NO FIX: {}{}", state_text(&gps.part), by(gps)));
    }
    let mut text = format!("{} fix", if gps.three_d { "3D" } else { "2D" });
    match gps.accuracy_m {
        Some(metres) => text += &format!(", within {metres:.0} m"),
        None => text += ", accuracy not known",
    }
    if let Some(age) = gps.age_s {
        text += &format!(", {age:.0} s old");
    }
    (Word::of(&gps.part), text + &by(gps))
}

/// Whose word the position is, where that is not gpsd's as in most cars.
fn by(gps: &Gps) -> String {
    match gps.source.starts_with("TAIP") {
        true => format!(" ({})", gps.source),
        false => String::new(),
    }
}

fn clock(clock: Option<&ClockReport>, state: Option<&PartState>) -> (Word, String) {
    let word = state.map_or(Word::Warn, Word::of);
    let Some(report) = clock else { return (word, "nothing is known yet".into()) };
    let by = match report.source {
        TimeSource::Gps => "GPS",
        TimeSource::Ntp => "the network",
        TimeSource::Rtc => "a battery clock alone",
        TimeSource::Unverified => "nobody",
    };
    let mut text = format!("vouched for by {by}");
    if let Some(ms) = report.offset_ms {
        text += &format!(", {:.1} s from GPS", ms as f64 / 1000.0);
    }
    if report.disputed {
        text += ": CONTRADICTED";
    }
    (word, text)
}

fn age(of: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(of).as_secs())
}

fn shift(told: &Told) -> String {
    let Some(last) = &told.shift else { return "none is on record of late".into() };
    let what = match last.not_well {
        0 => "all was well".to_owned(),
        1 => "one thing was not well".to_owned(),
        n => format!("{n} things were not well"),
    };
    format!("begun {} ago by {}, {what}", age(last.at, told.now), last.by)
}

/// One line for each: a word, the part, the fact.
fn table(told: &Told) -> String {
    let mut rows: Vec<(Word, String, String)> = Vec::new();
    let mut row = |word, part: &str, fact: String| rows.push((word, part.to_owned(), fact));
    if told.cameras.is_empty() {
        row(Word::Fail, "cameras", "NOT READING: no camera is configured".into());
    }
    for camera in &told.cameras {
        let (word, text) = match (camera.state, camera.detail.is_empty()) {
            (CameraState::Reading, true) => (Word::Ok, String::new()),
            (CameraState::Reading, false) => (Word::Warn, format!(", {}", camera.detail)),
            (CameraState::Starting, _) => (Word::Warn, ", starting".into()),
            (CameraState::Overloaded, _) => (Word::Warn, format!(", {}", camera.detail)),
            (CameraState::NotReading, _) => (Word::Fail, format!(", {}", camera.detail)),
        };
        let reads = match camera.state {
            CameraState::NotReading => "NOT READING",
            CameraState::Overloaded => "OVERLOADED",
            _ => "reading",
        };
        let fact = format!(
            "{reads}, {:.1} frames read a second, {} vehicles read",
            camera.fps, camera.reads
        );
        row(word, &format!("camera {}", camera.id), fact + &text);
    }
    let (word, fact) = gps(&told.gps);
    row(word, "gps", fact);
    let (word, fact) = clock(told.clock.as_ref(), told.parts.get("clock"));
    row(word, "clock", fact);
    if told.lists.is_empty() {
        row(Word::Fail, "lists", "none is in service".into());
    }
    for list in &told.lists {
        let fact = format!(
            "{} entries, version {}, its source is {} old",
            list.entries,
            list.version,
            age(list.source_time, told.now)
        );
        row(if list.stale { Word::Warn } else { Word::Ok }, &format!("list {}", list.name), fact);
    }
    let policy = told.policy.map_or("none in force".to_owned(), |v| format!("version {v}"));
    row(Word::Ok, "policy", policy);
    match &told.models[..] {
        [] => row(Word::Ok, "models", "as shipped".into()),
        lines => lines.iter().for_each(|line| row(Word::Ok, "models", line.clone())),
    }
    row(Word::Ok, "shift", shift(told));
    row(
        Word::of(&told.link),
        "link",
        format!("{}; {} hits wait", state_text(&told.link), told.waiting),
    );
    let (word, free) = match told.storage.free_bytes {
        Some(bytes) => (Word::Ok, format!("{} MiB free", bytes >> 20)),
        None => (Word::Warn, "free space not known".into()),
    };
    let fact =
        format!("{free} at {}; non-hits {}", told.storage.path.display(), told.storage.non_hits);
    row(word, "storage", fact);
    // The daemon judges by its own settings how near the end is.
    for (part, name, expiry) in [
        (PART, "certificate", &told.certificate),
        (PAGE, "page certificate", &told.page_certificate),
    ] {
        if let Some(expiry) = expiry {
            let state = told.parts.get(part);
            let fact = match state {
                Some(PartState::Impaired(why) | PartState::Down(why)) => why.clone(),
                _ => expiry.in_words(),
            };
            row(state.map_or(Word::Ok, Word::of), name, fact);
        }
    }
    // These have lines of their own above.
    const SAID: [&str; 4] = ["gps", "clock", "broker", "cameras"];
    for (part, state) in &told.parts {
        let unsaid = match part.as_str() {
            PART => told.certificate.is_none(),
            PAGE => told.page_certificate.is_none(),
            part => !SAID.contains(&part),
        };
        if unsaid && !matches!(state, PartState::Working | PartState::Off) {
            row(Word::of(state), part, state_text(state));
        }
    }
    let width = rows.iter().map(|(_, part, _)| part.chars().count()).max().unwrap_or(0);
    let mut text = format!(
        "outrider {} (build {}), vehicle {} of {}, up {}, {} hits since the start\n",
        told.version,
        told.build,
        told.vehicle,
        told.agency,
        span(i64::try_from(told.up_s).unwrap_or(i64::MAX)),
        told.hits
    );
    for (word, part, fact) in rows {
        text += &format!("{:4}  {part:width$}  {fact}\n", word.text());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_as_a_person_says_them() {
        for (seconds, words) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 days")]
        {
            assert_eq!(span(seconds), words);
        }
        assert_eq!(span(-90), "90 s in the future");
    }
}
