//! What an officer is shown at the start of a shift: one line for each thing that the shift depends on, with a clear word.
//!
//! In: the status that the page has anyway, how the cameras are aimed, and what is kept. Out: [`Line`]s, each well, not
//! well or not known; as they are shown they go on record (`AuditEvent::ShiftBegun`). All the thinking, no I/O. Leaves to
//! others: who is signed in, and whether the tone was heard.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::console::status::{CameraState, CameraStatus, ListStatus, Status};
use crate::audit::ShiftLine;
use crate::camera_id::CameraId;
use crate::clock::{ClockReport, MOST_APART, TimeSource, span};
use crate::config::{KeepingConfig, Retention};
use crate::gps::Position;
use crate::health::PartState;
use crate::onboard::fit::{Aim, Fit};

/// Whether a line is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    /// It is.
    Ok,
    /// It is not: the shift goes without it, or with less of it.
    NotWell,
    /// It cannot be known yet.
    NotKnown,
}

impl Is {
    /// As it goes on record.
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotWell => "not_well",
            Self::NotKnown => "not_known",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it is about.
    pub what: String,
    /// The camera, if it is one: the page shows what it sees.
    pub camera: Option<CameraId>,
    /// Whether it is well.
    pub is: Is,
    /// The word to look at.
    pub word: String,
    /// What there is to know besides; may be empty.
    pub says: String,
}

impl Line {
    fn new(what: &str, is: Is, word: impl Into<String>, says: impl Into<String>) -> Self {
        let (what, word, says) = (what.to_owned(), word.into(), says.into());
        Self { what, camera: None, is, word, says }
    }

    /// As it goes on record.
    pub fn on_record(&self) -> ShiftLine {
        let Self { what, is, word, says, camera } = self;
        let what = match camera {
            Some(camera) => format!("camera {camera}"),
            None => what.clone(),
        };
        let says = if says.is_empty() { word.clone() } else { format!("{word}: {says}") };
        ShiftLine { what, is: is.word().into(), says }
    }
}

/// Everything that a shift depends on.
pub fn lines(status: &Status, aims: &BTreeMap<CameraId, Aim>, kept: &str) -> Vec<Line> {
    let mut lines: Vec<Line> =
        status.cameras.iter().map(|one| camera(one, aims.get(&one.id))).collect();
    if lines.is_empty() {
        lines.push(Line::new("Cameras", Is::NotWell, "NONE", "no plate can be read"));
    }
    lines.push(gps(&status.position, status.parts.get("gps")));
    lines.push(clock(status.clock.as_ref()));
    lines.extend(lists(status));
    lines.push(sound(status.parts.get("sound")));
    lines.push(disk(status.car.disk_free, status.car.disk_reserve));
    lines.push(Line::new("Kept in the car", Is::Ok, "", kept));
    lines
}

fn camera(camera: &CameraStatus, aim: Option<&Aim>) -> Line {
    let fps = format!("{:.0} fps", camera.fps);
    let (mut is, mut word, mut says) = match camera.state {
        CameraState::Reading if camera.detail.is_empty() => (Is::Ok, "READING", fps),
        CameraState::Reading => (Is::NotWell, "READING", format!("{fps}, {}", camera.detail)),
        CameraState::Overloaded => {
            (Is::NotWell, "OVERLOADED", format!("{fps}, cars can pass unread"))
        }
        CameraState::Starting => (Is::NotKnown, "STARTING", String::new()),
        CameraState::NotReading => (Is::NotWell, "NOT READING", camera.detail.clone()),
    };
    if let Some(aim) = aim.filter(|_| camera.state != CameraState::NotReading) {
        // What is wrong with its plates is the word of a camera that reads.
        if camera.state == CameraState::Reading && camera.detail.is_empty() {
            let ill = [(&aim.width, "PLATES SMALL"), (&aim.focus, "BLURRED"), (&aim.light, "DARK")];
            let ill = ill.into_iter().find(|(verdict, _)| verdict.fit == Fit::NotWell);
            word = ill.map_or(word, |(_, ill)| ill);
        }
        let plates = match aim.fit() {
            Fit::NotKnown => aim.width.says.clone(),
            // What is well needs fewer words.
            Fit::Well => format!("plates {}, {}", aim.width.says, aim.focus.says),
            Fit::NotWell => {
                let ill = [&aim.focus, &aim.light].into_iter().filter(|v| v.fit == Fit::NotWell);
                let ill: String = ill.map(|verdict| format!(", {}", verdict.says)).collect();
                format!("plates {}{ill}", aim.width.says)
            }
        };
        let space = if says.is_empty() { "" } else { ", " };
        says = format!("{says}{space}{plates}");
        is = match (is, aim.fit()) {
            (Is::NotWell, _) | (_, Fit::NotWell) => Is::NotWell,
            (Is::NotKnown, _) | (_, Fit::NotKnown) => Is::NotKnown,
            _ => Is::Ok,
        };
    }
    let id = camera.id.clone();
    Line { camera: Some(id), ..Line::new(camera.id.as_str(), is, word, says) }
}

fn gps(position: &Position, part: Option<&PartState>) -> Line {
    match (position, part) {
        (Position::Fixed { fix, .. }, _) => {
            let sure = fix.accuracy_m.map_or(String::new(), |m| format!("within {m:.0} m"));
            Line::new("GPS", Is::Ok, if fix.three_d { "3D FIX" } else { "2D FIX" }, sure)
        }
        (_, None | Some(PartState::Off)) => {
            Line::new("GPS", Is::NotWell, "OFF", "hits will say NO FIX")
        }
        (_, Some(PartState::Impaired(why) | PartState::Down(why))) => {
            Line::new("GPS", Is::NotWell, "NO FIX", why.clone())
        }
        _ => Line::new("GPS", Is::NotWell, "NO FIX", "hits will not say where"),
    }
}

fn clock(report: Option<&ClockReport>) -> Line {
    let Some(report) = report else {
        return Line::new("Clock", Is::NotKnown, "NOT KNOWN YET", "");
    };
    let most = i64::try_from(MOST_APART.as_millis()).unwrap_or(i64::MAX);
    match (report.offset_ms, report.source) {
        (Some(ms), _) if ms.abs() > most => {
            let side = if ms > 0 { "AHEAD OF GPS" } else { "BEHIND GPS" };
            let word = format!("{} {side}", apart(ms.unsigned_abs()));
            Line::new("Clock", Is::NotWell, word, "times of hits may be wrong")
        }
        (Some(ms), _) => {
            let word = format!("{:.1} s FROM GPS", ms.abs() as f64 / 1000.0);
            Line::new("Clock", Is::Ok, word, "")
        }
        (None, TimeSource::Ntp | TimeSource::Gps) => {
            Line::new("Clock", Is::NotKnown, "NOT COMPARED", "kept by the network, no GPS time")
        }
        (None, _) => {
            Line::new("Clock", Is::NotWell, "NOBODY VOUCHES", "no GPS time, no network time")
        }
    }
}

/// A difference between two clocks, as a person says it.
fn apart(ms: u64) -> String {
    match ms / 1000 {
        s @ ..60 => format!("{s}.{} s", ms % 1000 / 100),
        s @ 60..3_600 => format!("{} min {} s", s / 60, s % 60),
        s @ 3_600..172_800 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        s => format!("{} days", s / 86_400),
    }
}

fn lists(status: &Status) -> Vec<Line> {
    // Hotplates stand on the page itself, each with its end.
    let lists = status.lists.iter().filter(|list| list.name != "hotplates");
    let mut lines: Vec<Line> = lists.map(|one| list(one, status.now)).collect();
    if lines.is_empty() {
        lines.push(Line::new("Lists", Is::NotWell, "NONE", "nothing can be matched"));
    }
    for (name, part) in &status.parts {
        if let (Some(name), PartState::Down(why)) = (name.strip_prefix("hotlist/"), part) {
            lines.push(Line::new(&format!("List {name}"), Is::NotWell, "NOT LOADED", why.clone()));
        }
    }
    lines
}

fn list(list: &ListStatus, now: Timestamp) -> Line {
    let age = span(now.duration_since(list.source_time).unsigned_abs());
    let plates = format!("{} plates", list.entries);
    let what = format!("List {}", list.name);
    match list.stale {
        true => Line::new(
            &what,
            Is::NotWell,
            format!("{age} OLD"),
            format!("{plates}, confirm by radio"),
        ),
        false => Line::new(&what, Is::Ok, format!("{age} old"), plates),
    }
}

/// Whether no tone can be heard in this car, as far as it knows.
pub fn is_silent(status: &Status) -> bool {
    sound(status.parts.get("sound")).is == Is::NotWell
}

fn sound(part: Option<&PartState>) -> Line {
    match part {
        Some(PartState::Working) => Line::new("Sound", Is::Ok, "READY", ""),
        Some(PartState::Starting) => Line::new("Sound", Is::NotKnown, "STARTING", ""),
        Some(PartState::Impaired(why) | PartState::Down(why)) => {
            Line::new("Sound", Is::NotWell, "NO SOUND", why.clone())
        }
        None | Some(PartState::Off) => Line::new("Sound", Is::NotWell, "OFF", "watch the screen"),
    }
}

fn disk(free: Option<u64>, reserve: u64) -> Line {
    let Some(free) = free else { return Line::new("Disk", Is::NotKnown, "NOT KNOWN", "") };
    let word = match free >> 30 {
        0 => format!("{} MB FREE", free >> 20),
        _ => format!("{:.1} GB FREE", free as f64 / f64::from(1 << 30)),
    };
    match free < reserve {
        true => Line::new("Disk", Is::NotWell, word, "almost full, only hits are kept"),
        false => Line::new("Disk", Is::Ok, word, ""),
    }
}

/// What is kept in this car and for how long, in plain words, and by whose word.
pub fn kept(keeping: &KeepingConfig, policy: Option<u64>) -> String {
    let others = match keeping.non_hit {
        Retention::Nothing => "Plates on no list are forgotten at once.".to_owned(),
        Retention::Session => {
            "Plates on no list are kept, encrypted, until Outrider is switched off.".to_owned()
        }
        Retention::For(time) => {
            format!("Plates on no list are kept for {}, encrypted.", span(time))
        }
    };
    let (hits, images) = (keeping.hits.get(), keeping.hit_images.get().min(keeping.hits.get()));
    let pictures = match images {
        Duration::ZERO => "their pictures until delivered".to_owned(),
        _ if images == hits => "with their pictures".to_owned(),
        _ => format!("their pictures {}", span(images)),
    };
    let by = match policy {
        Some(version) => format!("Policy {version}."),
        None => "This car's own settings: no policy.".to_owned(),
    };
    format!("{others} Hits are kept {} after delivery, {pictures}. {by}", span(hits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn report(offset_ms: Option<i64>, source: TimeSource) -> ClockReport {
        ClockReport { source, disputed: false, offset_ms }
    }

    #[rstest]
    #[case(Some(120), TimeSource::Ntp, Is::Ok, "0.1 s FROM GPS")]
    #[case(Some(-2_000), TimeSource::Ntp, Is::Ok, "2.0 s FROM GPS")]
    #[case(Some(-2_001), TimeSource::Ntp, Is::NotWell, "2.0 s BEHIND GPS")]
    #[case(Some(843_000), TimeSource::Gps, Is::NotWell, "14 min 3 s AHEAD OF GPS")]
    #[case(Some(-90_000_000), TimeSource::Rtc, Is::NotWell, "25 h 0 min BEHIND GPS")]
    #[case(None, TimeSource::Ntp, Is::NotKnown, "NOT COMPARED")]
    #[case(None, TimeSource::Rtc, Is::NotWell, "NOBODY VOUCHES")]
    fn clock_is_told_against_gps(
        #[case] offset: Option<i64>,
        #[case] source: TimeSource,
        #[case] is: Is,
        #[case] word: &str,
    ) {
        let line = clock(Some(&report(offset, source)));
        assert_eq!((line.is, line.word.as_str()), (is, word));
    }

    #[test]
    fn what_is_kept_is_said_in_plain_words() {
        let mut keeping = KeepingConfig::default();
        assert_eq!(
            kept(&keeping, Some(3)),
            "Plates on no list are forgotten at once. Hits are kept 30 days after delivery, with their \
             pictures. Policy 3."
        );
        keeping.non_hit = "3m".parse().unwrap();
        keeping.hit_images = "7d".parse().unwrap();
        assert_eq!(
            kept(&keeping, None),
            "Plates on no list are kept for 3 min, encrypted. Hits are kept 30 days after delivery, their \
             pictures 7 days. This car's own settings: no policy."
        );
    }

    fn seen(state: CameraState, detail: &str) -> CameraStatus {
        CameraStatus {
            id: CameraId::new("front"),
            state,
            detail: detail.into(),
            fps: 14.6,
            skipped: 0.0,
            reads: 0,
            reads_a_minute: 0,
            unread: Default::default(),
        }
    }

    #[test]
    fn camera_that_reads_is_not_well_while_its_plates_are_too_small() {
        let glances = crate::onboard::glance::Glances::new(
            [CameraId::new("front")],
            &crate::config::ReadingConfig::default(),
        );
        let aims = glances.aims();
        let line = camera(&seen(CameraState::Reading, ""), aims.values().next());
        assert_eq!((line.is, line.word.as_str()), (Is::NotKnown, "READING"));
        assert_eq!(line.says, "15 fps, no plate read yet");
        assert_eq!(
            line.on_record(),
            ShiftLine {
                what: "camera front".into(),
                is: "not_known".into(),
                says: "READING: 15 fps, no plate read yet".into()
            }
        );
        let line = camera(&seen(CameraState::NotReading, "unplugged"), aims.values().next());
        assert_eq!((line.is, line.says.as_str()), (Is::NotWell, "unplugged"));
        let line = camera(&seen(CameraState::Reading, "slowed down: hot"), None);
        assert_eq!(line.is, Is::NotWell);
    }
}
