//! What `outrider check` tries of the position, of the ignition line and of the beacon.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Finding, kept};
use crate::clock::{Clock as _, MOST_APART, Standing, SystemClock, TimeSource};
use crate::config::{Config, GpsSource};
use crate::daemon::beacon::{self, GpioBeacon};
use crate::daemon::power::{self, GpioLine, IgnitionLine as _};
use crate::gps::gpsd::Gpsd;
use crate::gps::{self, Fix, FixSource as _, Report};
use crate::health::PartState;

/// Time for gpsd to say whether it has a fix: receivers report once a second.
const FIX: Duration = Duration::from_secs(4);

/// A receiver whose time is this far off counts weeks wrongly.
const A_DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// What to do about a receiver with a wrong date.
const ROLL_OVER: &str =
    "its place is right and its date is not: update the receiver's firmware, or replace it";

/// Where the car is, by whatever source the configuration names.
pub(super) fn gps(config: &Config) -> Finding {
    match config.gps.source {
        GpsSource::Off => {
            return Finding::warn(
                "gps",
                "switched off: every hit says NO FIX",
                "set gps.source = \"gpsd\"",
            );
        }
        GpsSource::Nmea => {
            let path = config.gps.path.clone().unwrap_or_default();
            return Finding::warn(
                "gps",
                format!("a recording: {}", path.display()),
                "set gps.source = \"gpsd\" before duty",
            );
        }
        GpsSource::Taip => return router(config),
        GpsSource::Gpsd => {}
    }
    let start = "start gpsd (systemctl start gpsd) and try `gpspipe -w -n 5`, or set gps.address";
    let mut gpsd = match Gpsd::connect(&config.gps.address) {
        Ok(gpsd) => gpsd,
        Err(e) => return Finding::fail("gps", e, start),
    };
    let until = Instant::now() + FIX;
    let mut heard = "gpsd answers, but no receiver reports";
    loop {
        match gpsd.next_report(until.saturating_duration_since(Instant::now())) {
            Ok(Report::Fix(fix)) => {
                let kind = if fix.three_d { "3D" } else { "2D" };
                let sure = fix.accuracy_m.map_or(String::new(), |m| format!(", within {m:.0} m"));
                return receiver(fix, format!("{kind} fix{sure}"));
            }
            Ok(Report::NoFix) => heard = "the receiver works but has no fix",
            Ok(Report::NoReceiver) => heard = "gpsd answers, but has no receiver",
            Ok(Report::Quiet | Report::End) => {}
            Err(e) => return Finding::fail("gps", e, start),
        }
        if Instant::now() >= until {
            return Finding::warn(
                "gps",
                heard,
                "move the antenna under the open sky, then check again",
            );
        }
    }
}

/// The ignition line, where one is watched.
pub(super) fn ignition(config: &Config) -> Option<Finding> {
    const SET: &str =
        "see power.chip and power.line with `gpioinfo`, and docs/operations.md for unit and udev";
    let part = power::PART;
    let (chip, line) = config.power.watched()?;
    let looked = GpioLine::open(chip, line, config.power.active)
        .and_then(|mut line| line.look(Duration::ZERO));
    Some(match (looked, kept::daemon_state(config, part)) {
        (Ok(seen), _) => {
            let is = if seen.is_on { "on" } else { "off" };
            Finding::ok(part, format!("line {line} of {} says {is}", chip.display()))
        }
        // The daemon has it.
        (Err(_), Some(PartState::Working)) => Finding::ok(part, "the running daemon says on"),
        (Err(_), Some(PartState::Impaired(why))) => {
            Finding::warn(part, format!("the running daemon says: {why}"), SET)
        }
        (Err(e), _) => Finding::fail(part, e, SET),
    })
}

/// The beacon, where there is one. It is not switched on: in a street that would be an alarm.
pub(super) fn beacon(config: &Config) -> Option<Finding> {
    const SET: &str = "see alert.beacon with `gpioinfo`, and docs/operations.md for unit and udev";
    let part = beacon::PART;
    let wanted = config.alert.beacon.as_ref()?;
    Some(match (GpioBeacon::open(wanted), kept::daemon_state(config, part)) {
        (Ok(_), _) => {
            let fact = format!("line {} of {} can be switched", wanted.line, wanted.chip.display());
            Finding::ok(part, fact)
        }
        // The daemon has it.
        (Err(_), Some(PartState::Working)) => Finding::ok(part, "the running daemon has the line"),
        (Err(e), _) => Finding::fail(part, e, SET),
    })
}

/// The router's word, heard here, or by the daemon where that runs and has the port.
fn router(config: &Config) -> Finding {
    const SET: &str = "set the router to send TAIP (RPV or RLN) once a second to gps.listen, or offer it at gps.connect";
    let mut router = match (gps::open_router(&config.gps), kept::daemon_state(config, "gps")) {
        (Ok(router), _) => router,
        (Err(_), Some(state)) => {
            return match state {
                PartState::Working => {
                    Finding::ok("gps", "the running daemon has a fix of the router")
                }
                PartState::Impaired(why) => {
                    Finding::warn("gps", format!("the running daemon says: {why}"), SET)
                }
                PartState::Down(why) => {
                    Finding::fail("gps", format!("the running daemon says: {why}"), SET)
                }
                PartState::Starting | PartState::Off => {
                    Finding::warn("gps", "the running daemon has heard nothing yet", SET)
                }
            };
        }
        (Err(e), None) => return Finding::fail("gps", e, SET),
    };
    let until = Instant::now() + FIX;
    let mut heard = None;
    while Instant::now() < until {
        match router.next_report(until.saturating_duration_since(Instant::now())) {
            Ok(Report::Fix(fix)) => {
                let kind = if fix.three_d { "3D" } else { "2D" };
                return Finding::ok(
                    "gps",
                    format!("{kind} fix, {}, accuracy not known", config.gps.in_words()),
                );
            }
            Ok(Report::NoFix) => heard = Some("the router works but has no fix".to_owned()),
            Ok(_) => {}
            Err(e) => return Finding::fail("gps", e, SET),
        }
    }
    let fact = heard.unwrap_or_else(|| router.silence());
    let strangers = router.strangers().map(|told| format!("; {told}")).unwrap_or_default();
    Finding::warn("gps", format!("{fact}{strangers}"), SET)
}

/// A receiver with a fix, and how its time compares with the machine's.
fn receiver(fix: Fix, fact: String) -> Finding {
    let now = Timestamp::now();
    if let Some(odd) = fix.odd_time() {
        return Finding::warn("gps", format!("{fact}; {odd}"), ROLL_OVER);
    }
    let source = SystemClock.source();
    let standing = Standing { receiver: fix.time, ..Standing::of_machine(now, source) };
    match standing.offset().filter(|by| by.abs() > MOST_APART) {
        Some(by) if source == TimeSource::Ntp && by.abs() > A_DAY => Finding::warn(
            "gps",
            format!("{fact}; its time and the network's differ by {:.0} s", by.as_secs_f64()),
            ROLL_OVER,
        ),
        Some(by) => Finding::warn(
            "gps",
            format!(
                "{fact}; this computer's clock is {:.0} s {} its time",
                by.abs().as_secs_f64(),
                if by.is_negative() { "behind" } else { "ahead of" }
            ),
            "let chronyd or systemd-timesyncd keep the clock, with gpsd as a source",
        ),
        None => Finding::ok("gps", fact),
    }
}
