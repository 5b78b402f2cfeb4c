//! A file of NMEA 0183 sentences, for recorded drives: RMC gives place, speed and time, GSA whether
//! the height was solved. Anything between the sentences is ignored; sentences that are left out
//! are reported.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::sentences::Sentences;
use super::{Fix, FixSource, GpsError, Report};

/// Knots to metres a second.
const KNOT: f32 = 1852.0 / 3600.0;

/// A recorded drive, played once at its own pace from the first call on.
pub struct NmeaFile {
    reports: std::vec::IntoIter<(Duration, Report)>,
    next: Option<(Duration, Report)>,
    started: Option<Instant>,
}

impl NmeaFile {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, GpsError> {
        let text = std::fs::read(path)
            .map_err(|source| GpsError::File { path: path.to_owned(), source })?;
        let track = Track::of(&text);
        if let (true, Some(why)) = (track.reports.is_empty(), track.trouble()) {
            return Err(GpsError::NoTrack { path: path.to_owned(), why });
        }
        let mut reports = track.reports.into_iter();
        let next = reports.next();
        Ok(Self { reports, next, started: None })
    }
}

impl FixSource for NmeaFile {
    fn next_report(&mut self, timeout: Duration) -> Result<Report, GpsError> {
        let started = *self.started.get_or_insert_with(Instant::now);
        let Some((due, report)) = self.next else { return Ok(Report::End) };
        let wait = due.saturating_sub(started.elapsed());
        std::thread::sleep(wait.min(timeout));
        if wait > timeout {
            return Ok(Report::Quiet);
        }
        self.next = self.reports.next();
        Ok(report)
    }
}

/// The reports of a recording, and what of it could not be used.
#[derive(Debug, Default)]
pub struct Track {
    /// Each with its time since the first one.
    pub reports: Vec<(Duration, Report)>,
    /// Sentences that are damaged or cut.
    damaged: usize,
    /// RMC sentences without a possible date and time.
    undated: usize,
    /// Sentences of other kinds.
    others: usize,
    /// Whether the recording has no checksums.
    unchecked: bool,
}

impl Track {
    /// Reads the bytes of a recording.
    pub fn of(bytes: &[u8]) -> Self {
        let found = Sentences::of(bytes);
        let mut track = Self {
            damaged: found.wrong + found.cut,
            unchecked: found.unchecked,
            ..Self::default()
        };
        let mut first: Option<Timestamp> = None;
        let mut three_d = false;
        for sentence in found.whole {
            let fields: Vec<&str> = sentence.split(',').collect();
            match fields[0].get(2..) {
                Some("GSA") => three_d = fields.get(2) == Some(&"3"),
                Some("RMC") => {
                    let Some(time) = time(&fields) else {
                        track.undated += 1;
                        continue;
                    };
                    let since = time.duration_since(*first.get_or_insert(time));
                    // A clock that jumps back cannot order reports.
                    let last = track.reports.last().map_or(Duration::ZERO, |(at, _)| *at);
                    let at = Duration::try_from(since).unwrap_or_default().max(last);
                    let fix = place(&fields, time, three_d).map_or(Report::NoFix, Report::Fix);
                    track.reports.push((at, fix));
                }
                _ => track.others += 1,
            }
        }
        track
    }

    /// Describes what of the recording could not be used; `None` if all was.
    pub fn trouble(&self) -> Option<String> {
        let Self { damaged, undated, others, .. } = self;
        let left_out = format!("{damaged} damaged, {undated} without a date");
        if self.reports.is_empty() {
            return Some(format!(
                "no RMC sentence in it is understood ({left_out}, {others} of other kinds): NO FIX"
            ));
        }
        match (damaged + undated, self.unchecked) {
            (0, false) => None,
            (0, true) => Some("its sentences have no checksums and are taken as they are".into()),
            (n, _) => Some(format!("{n} sentences left out ({left_out})")),
        }
    }
}

/// The reports of a recording, each with its time since the first one.
pub fn parse(bytes: impl AsRef<[u8]>) -> Vec<(Duration, Report)> {
    Track::of(bytes.as_ref()).reports
}

fn time(fields: &[&str]) -> Option<Timestamp> {
    let (hms, dmy) = (fields.get(1)?, fields.get(9)?);
    let two = |text: &str, at: usize| text.get(at..at + 2)?.parse::<i8>().ok();
    let fraction: f64 = match hms.get(6..) {
        None | Some("") => 0.0,
        Some(rest) => format!("0{rest}").parse().ok()?,
    };
    let time = Time::new(two(hms, 0)?, two(hms, 2)?, two(hms, 4)?, (fraction * 1e9) as i32).ok()?;
    let date = Date::new(2000 + i16::from(two(dmy, 4)?), two(dmy, 2)?, two(dmy, 0)?).ok()?;
    TimeZone::UTC.to_timestamp(DateTime::from_parts(date, time)).ok()
}

fn place(fields: &[&str], time: Timestamp, three_d: bool) -> Option<Fix> {
    if *fields.get(2)? != "A" {
        return None;
    }
    // 4335.4000 is 43 degrees, 35.4 minutes.
    let degrees = |text: &str, half: &str, negative: &str| {
        let value: f64 = text.parse().ok()?;
        let whole = (value / 100.0).trunc();
        let degrees = whole + (value - whole * 100.0) / 60.0;
        degrees.is_finite().then_some(if half == negative { -degrees } else { degrees })
    };
    let number = |i: usize| fields.get(i)?.parse::<f32>().ok().filter(|x| x.is_finite());
    let latitude = degrees(fields.get(3)?, fields.get(4)?, "S")?;
    let longitude = degrees(fields.get(5)?, fields.get(6)?, "W")?;
    if !Fix::is_place(latitude, longitude) {
        return None;
    }
    Some(Fix {
        latitude,
        longitude,
        accuracy_m: None,
        speed_mps: number(7).map(|knots| knots * KNOT),
        heading_deg: number(8),
        time: Some(time),
        three_d,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DRIVE: &str = "\
$GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1*39\r
$GPRMC,070000.00,A,4335.4000,N,07938.4000,W,27.0,271.5,231126,,,A*46\r
$GPRMC,070001.00,A,4335.4000,N,07938.4000,W,27.0,271.5,231126,,,A*00\r
$GPGGA,070001.00,nonsense*2B\r
$GPRMC,070002.50,V,,,,,,,231126,,,N*75\r
";

    #[test]
    fn recorded_drive() {
        let sums_right: String = DRIVE
            .lines()
            .map(|line| {
                let body = line.trim().trim_start_matches('$').split('*').next().unwrap();
                let sum = body.bytes().fold(0, |x, b| x ^ b);
                let wrong = line.ends_with("*00");
                format!("${body}*{:02X}\r\n", if wrong { sum ^ 1 } else { sum })
            })
            .collect();
        let reports = parse(&sums_right);
        assert_eq!(reports.len(), 2);
        let (at, Report::Fix(fix)) = reports[0] else { panic!() };
        assert_eq!(at, Duration::ZERO);
        assert!((fix.latitude - 43.59).abs() < 1e-9 && (fix.longitude + 79.64).abs() < 1e-9);
        assert!((fix.speed_mps.unwrap() - 13.89).abs() < 0.01 && fix.three_d);
        assert_eq!(fix.time, Some("2026-11-23T07:00:00Z".parse().unwrap()));
        assert_eq!(reports[1], (Duration::from_millis(2_500), Report::NoFix));
    }

    #[test]
    fn recording_of_which_nothing_is_understood_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("track.nmea");
        std::fs::write(&path, "$GPGGA,070001.00,4335.4,N,07938.4,W,1,08,1,90,M,,,,\n>RPV123\n")
            .unwrap();
        let told = NmeaFile::open(&path).err().unwrap().to_string();
        let why =
            "no RMC sentence in it is understood (0 damaged, 0 without a date, 1 of other kinds)";
        assert_eq!(told, format!("NMEA file {}: {why}: NO FIX", path.display()));
        let damaged = DRIVE.replace("35.4", "36.4");
        let told = Track::of(damaged.as_bytes()).trouble().unwrap();
        assert!(told.starts_with("no RMC sentence in it is understood (4 damaged"), "{told}");
    }

    #[test]
    fn receiver_that_says_active_at_nought_nought_has_no_fix() {
        let body = "GPRMC,070000.00,A,0000.0000,N,00000.0000,E,0.0,0.0,231126,,,A";
        let sum = body.bytes().fold(0, |x, b| x ^ b);
        let reports = parse(format!("${body}*{sum:02X}\r\n"));
        assert_eq!(reports, [(Duration::ZERO, Report::NoFix)]);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse([b"$GPRMC,".as_slice(), &bytes].concat());
        }

        #[test]
        fn any_text(text in "[$A-Z0-9,.*\r\n]{0,200}", odd in ".{0,40}") {
            parse(&text);
            parse(format!("$GPRMC,{odd}*00\n$GPRMC,07é000,A*00"));
        }
    }
}
