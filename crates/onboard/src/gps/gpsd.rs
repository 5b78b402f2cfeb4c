//! Reads gpsd over TCP: its JSON lines come in, [`Report`]s go out.
//!
//! Lines of gpsd that are not needed here (SKY, TOFF, what `gpsd_proto` does not know) are skipped.
//! Many lines in a row that are no gpsd report mean that something else answers at the address,
//! which is an error. The length of lines is limited, so that an endless one does not fill the
//! memory.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use gpsd_proto::{ENABLE_WATCH_CMD, Mode, Tpv, UnifiedResponse};
use serde::Deserialize;
use tracing::{debug, warn};

use super::{Fix, FixSource, GpsError, Report};

/// Time for connecting, and then for gpsd's first line, which it sends at once.
const GREETING: Duration = Duration::from_secs(3);

/// Lines in a row without any report of gpsd after which something else must be answering.
const GARBAGE: u32 = 10;

/// Longest line, in bytes. A report on a sky full of satellites has 10 kB.
const LONGEST_LINE: usize = 64 * 1024;

/// A connection to gpsd.
pub struct Gpsd {
    address: String,
    stream: TcpStream,
    waiting: Vec<u8>,
    garbage: u32,
    greeted: bool,
    told: bool,
}

/// The field that every report of gpsd has.
#[derive(Deserialize)]
struct Class {
    class: String,
}

impl Gpsd {
    /// Connects and requests reports.
    pub fn connect(address: &str) -> Result<Self, GpsError> {
        let unreachable = |source| GpsError::Unreachable { address: address.to_owned(), source };
        let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
        for at in address.to_socket_addrs().map_err(unreachable)? {
            match TcpStream::connect_timeout(&at, GREETING) {
                Ok(mut stream) => {
                    stream.set_nodelay(true).map_err(unreachable)?;
                    stream.set_write_timeout(Some(GREETING)).map_err(unreachable)?;
                    stream.write_all(ENABLE_WATCH_CMD.as_bytes()).map_err(unreachable)?;
                    return Ok(Self {
                        address: address.to_owned(),
                        stream,
                        waiting: Vec::new(),
                        garbage: 0,
                        greeted: false,
                        told: false,
                    });
                }
                Err(e) => last = e,
            }
        }
        Err(unreachable(last))
    }

    /// The next whole line; `None` when the time is up.
    fn line(&mut self, until: Instant) -> Result<Option<Vec<u8>>, GpsError> {
        loop {
            if let Some(end) = self.waiting.iter().position(|b| *b == b'\n') {
                return Ok(Some(self.waiting.drain(..=end).collect()));
            }
            if self.waiting.len() > LONGEST_LINE {
                return Err(self.not_gpsd());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let lost = |source| GpsError::Lost { address: self.address.clone(), source };
            self.stream.set_read_timeout(Some(left)).map_err(lost)?;
            let mut some = [0; 4096];
            match self.stream.read(&mut some) {
                Ok(0) => return Err(GpsError::Closed { address: self.address.clone() }),
                Ok(n) => self.waiting.extend_from_slice(&some[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(lost(e)),
            }
        }
    }

    fn not_gpsd(&self) -> GpsError {
        GpsError::Garbage { address: self.address.clone() }
    }

    /// Interprets a line: a report, or nothing that is needed.
    fn report(&mut self, line: &[u8]) -> Result<Option<Report>, GpsError> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(None);
        }
        match serde_json::from_slice(line) {
            Ok(UnifiedResponse::Tpv(tpv)) => {
                self.garbage = 0;
                return Ok(report(&tpv));
            }
            Ok(UnifiedResponse::Devices(devices)) => {
                self.garbage = 0;
                self.greeted = true;
                return Ok(devices.devices.is_empty().then_some(Report::NoReceiver));
            }
            Ok(_) => {
                self.garbage = 0;
                self.greeted = true;
            }
            Err(error) => match serde_json::from_slice::<Class>(line) {
                // It is gpsd's, but newer or rarer than `gpsd_proto` knows: TOFF comes every
                // second.
                Ok(Class { class }) => {
                    self.garbage = 0;
                    if class == "TPV" && !self.told {
                        self.told = true;
                        warn!(%error, "gpsd's position report not understood");
                    } else {
                        debug!(%class, "gpsd report passed over");
                    }
                }
                Err(_) => {
                    self.garbage += 1;
                    if self.garbage >= GARBAGE {
                        return Err(self.not_gpsd());
                    }
                }
            },
        }
        Ok(None)
    }
}

impl FixSource for Gpsd {
    fn next_report(&mut self, timeout: Duration) -> Result<Report, GpsError> {
        // The greeting is part of the first call, so that a silent server is detected.
        let until = Instant::now() + if self.greeted { timeout } else { GREETING.max(timeout) };
        while let Some(line) = self.line(until)? {
            if let Some(report) = self.report(&line)? {
                return Ok(report);
            }
            if self.greeted && Instant::now() >= until {
                break;
            }
        }
        if self.greeted { Ok(Report::Quiet) } else { Err(self.not_gpsd()) }
    }
}

/// Interprets a TPV report. One with a fix but without coordinates, which may be the first after a
/// start, gives nothing.
fn report(tpv: &Tpv) -> Option<Report> {
    let three_d = match tpv.mode {
        Mode::NoFix => return Some(Report::NoFix),
        Mode::Fix2d => false,
        Mode::Fix3d => true,
    };
    let (latitude, longitude) = (tpv.lat?, tpv.lon?);
    if !Fix::is_place(latitude, longitude) {
        return Some(Report::NoFix);
    }
    let finite = |x: Option<f32>| x.filter(|x| x.is_finite() && *x >= 0.0);
    let accuracy_m = finite(tpv.eph).or_else(|| Some(finite(tpv.epx)?.hypot(finite(tpv.epy)?)));
    Some(Report::Fix(Fix {
        latitude,
        longitude,
        accuracy_m,
        speed_mps: finite(tpv.speed),
        heading_deg: finite(tpv.track).filter(|t| *t <= 360.0),
        time: tpv.time.as_ref().and_then(|t| t.parse().ok()),
        three_d,
    }))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use rstest::rstest;

    use super::*;

    const VERSION: &str =
        r#"{"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}"#;
    const DEVICES: &str =
        r#"{"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/gps0"}]}"#;
    const TPV: &str = r#"{"class":"TPV","device":"/dev/gps0","mode":3,"time":"2026-11-23T07:00:00.000Z","lat":43.59,"lon":-79.64,"track":271.5,"speed":13.9,"epx":3.0,"epy":4.0}"#;

    /// A server that sends these lines to a client, then waits for it to leave, or leaves itself.
    fn server(lines: Vec<String>, stay: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for line in lines {
                if stream.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
            if stay {
                let _ = stream.read_to_end(&mut Vec::new());
            } else {
                // The request is read before leaving: closing with unread bytes is a reset.
                let _ = stream.read(&mut [0; 256]);
            }
        });
        address
    }

    fn gpsd(lines: &[&str], stay: bool) -> Gpsd {
        let lines = [VERSION, DEVICES].iter().chain(lines).map(|l| format!("{l}\r\n")).collect();
        Gpsd::connect(&server(lines, stay)).unwrap()
    }

    const SOON: Duration = Duration::from_secs(2);

    #[test]
    fn position_report_becomes_a_fix() {
        let Report::Fix(fix) = gpsd(&[TPV], true).next_report(SOON).unwrap() else { panic!() };
        assert_eq!((fix.latitude, fix.longitude), (43.59, -79.64));
        assert_eq!((fix.speed_mps, fix.heading_deg), (Some(13.9), Some(271.5)));
        assert_eq!(fix.accuracy_m, Some(5.0));
        assert_eq!(fix.time, Some("2026-11-23T07:00:00Z".parse().unwrap()));
        assert!(fix.three_d);
    }

    #[rstest]
    #[case::no_fix(r#"{"class":"TPV","mode":1}"#, Report::NoFix)]
    #[case::place_that_is_none(r#"{"class":"TPV","mode":2,"lat":91.0,"lon":0.0}"#, Report::NoFix)]
    #[case::gulf_of_guinea(
        r#"{"class":"TPV","mode":3,"time":"2026-11-23T07:00:00.000Z","lat":0.0,"lon":0.0}"#,
        Report::NoFix
    )]
    #[case::no_receiver(r#"{"class":"DEVICES","devices":[]}"#, Report::NoReceiver)]
    fn reports_without_a_place(#[case] line: &str, #[case] expected: Report) {
        assert_eq!(gpsd(&[line], true).next_report(SOON).unwrap(), expected);
    }

    #[test]
    fn reports_that_nobody_needs_are_passed_over() {
        let first = r#"{"class":"TPV","device":"/dev/gps0","mode":3}"#;
        let toff = r#"{"class":"TOFF","device":"/dev/gps0","real_sec":1,"clock_sec":1}"#;
        let mut gpsd = gpsd(&[first, toff, "", "not json", TPV], true);
        assert!(matches!(gpsd.next_report(SOON).unwrap(), Report::Fix(_)));
    }

    #[test]
    fn receiver_that_says_nothing_is_quiet() {
        let mut gpsd = gpsd(&[r#"{"class":"TPV","mode":1}"#], true);
        assert_eq!(gpsd.next_report(SOON).unwrap(), Report::NoFix);
        assert_eq!(gpsd.next_report(Duration::from_millis(50)).unwrap(), Report::Quiet);
    }

    #[test]
    fn gpsd_speaking_garbage_is_named() {
        let garbage: Vec<String> = (0..50).map(|n| format!("%$#{n}\u{1}\n")).collect();
        let address = server(garbage, true);
        let error = Gpsd::connect(&address).unwrap().next_report(SOON).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("what answers at {address} does not speak gpsd's protocol: set gps.address")
        );
    }

    #[test]
    fn endless_line_is_garbage_and_fills_no_memory() {
        let address = server(vec!["x".repeat(1 << 20)], true);
        let error = Gpsd::connect(&address).unwrap().next_report(SOON).unwrap_err();
        assert!(matches!(error, GpsError::Garbage { .. }), "{error}");
    }

    #[test]
    fn nobody_there_is_named() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let error = Gpsd::connect(&address).err().unwrap().to_string();
        assert!(error.starts_with(&format!("cannot reach gpsd at {address}: ")), "{error}");
    }

    #[test]
    fn gpsd_that_leaves_is_named() {
        let mut gpsd = gpsd(&[], false);
        let address = gpsd.address.clone();
        let error = gpsd.next_report(SOON).unwrap_err();
        assert_eq!(error.to_string(), format!("gpsd at {address} closed the connection"));
    }
}
