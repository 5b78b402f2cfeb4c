//! A simulated receiver, a small server that speaks gpsd's protocol so that a demo uses the product's own
//! client; and the route that it reports.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::clock::Clock;
use crate::gps::Fix;

/// A drive along a parkway that bends a little, at an even speed.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Metres a second.
    pub speed_mps: f64,
}

/// Where the drive starts: by the water in Mississauga, Ontario.
const START: (f64, f64) = (43.5491, -79.5872);
/// Mean course, along the shore to the north-east, in degrees.
const COURSE_DEG: f64 = 41.0;
/// How far the road bends to either side, and the length of one bend.
const BEND: (f64, f64) = (9.0, 900.0);
const METRES_PER_DEGREE: f64 = 111_320.0;

impl Route {
    /// The fix at a time of the drive; `time` is what the receiver takes for the time.
    pub fn fix(&self, seconds: f64, time: Timestamp) -> Fix {
        let gone = (self.speed_mps * seconds).max(0.0);
        let (amplitude, length) = BEND;
        let turn = std::f64::consts::TAU / length;
        // Course COURSE + amplitude * sin(turn * s), summed up in steps of ten metres.
        let course = |s: f64| (COURSE_DEG + amplitude * (turn * s).sin()).to_radians();
        let (mut north, mut east, mut s) = (0.0, 0.0, 0.0);
        while s < gone {
            let step = (gone - s).min(10.0);
            let c = course(s + step / 2.0);
            north += step * c.cos();
            east += step * c.sin();
            s += step;
        }
        let latitude = START.0 + north / METRES_PER_DEGREE;
        Fix {
            latitude,
            longitude: START.1 + east / (METRES_PER_DEGREE * latitude.to_radians().cos()),
            accuracy_m: Some(3.2),
            speed_mps: Some(self.speed_mps as f32),
            heading_deg: Some(course(gone).to_degrees() as f32),
            time: Some(time),
            three_d: true,
        }
    }
}

impl Route {
    /// The same drive as a receiver's own sentences, one RMC and GSA a second, from `start` on.
    pub fn nmea(&self, start: Timestamp, seconds: u32) -> String {
        let mut text = String::new();
        for s in 0..=seconds {
            let time = start + Duration::from_secs(u64::from(s));
            let fix = self.fix(f64::from(s), time);
            let rmc = format!(
                "GPRMC,{},A,{},{},{},{},{:.2},{:.1},{},,,A",
                time.strftime("%H%M%S.%3f"),
                degrees(fix.latitude, 2),
                if fix.latitude < 0.0 { "S" } else { "N" },
                degrees(fix.longitude, 3),
                if fix.longitude < 0.0 { "W" } else { "E" },
                self.speed_mps * 3600.0 / 1852.0,
                fix.heading_deg.unwrap_or_default(),
                time.strftime("%d%m%y"),
            );
            for body in ["GPGSA,A,3,01,07,11,14,17,19,22,28,,,,,1.8,0.9,1.5", &rmc] {
                let sum = body.bytes().fold(0, |sum, b| sum ^ b);
                let _ = writeln!(text, "${body}*{sum:02X}\r");
            }
        }
        text
    }
}

/// Degrees and minutes as NMEA writes them: 4332.9460.
fn degrees(value: f64, digits: usize) -> String {
    let value = value.abs();
    let minutes = (value - value.floor()) * 60.0;
    format!("{:0digits$}{minutes:08.5}", value.floor() as u32)
}

/// A running server; it stops when this is dropped.
pub struct SimulatedGpsd {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

/// Time between two reports, as most receivers have it.
const REPORT_EVERY: Duration = Duration::from_secs(1);

impl SimulatedGpsd {
    /// Listens on a free port of the loopback address; `gone` says how many seconds the drive has
    /// lasted.
    pub fn start(
        route: Route,
        clock: Arc<dyn Clock>,
        gone: Arc<dyn Fn() -> f64 + Send + Sync>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let serving = stop.clone();
        std::thread::Builder::new().name("demo-gpsd".into()).spawn(move || {
            for client in listener.incoming() {
                if serving.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (clock, gone, stop) = (clock.clone(), gone.clone(), serving.clone());
                // A client that leaves ends its thread at the next report.
                let serve = move || {
                    let _ = serve(&client, route, &*clock, &*gone, &stop);
                };
                let _ = std::thread::Builder::new().name("demo-gpsd-client".into()).spawn(serve);
            }
        })?;
        Ok(Self { address, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SimulatedGpsd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

/// Speaks with one client until it leaves.
fn serve(
    client: &TcpStream,
    route: Route,
    clock: &dyn Clock,
    gone: &dyn Fn() -> f64,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let mut out = client;
    let mut say = |message: serde_json::Value| writeln!(out, "{message}\r");
    say(json!({"class": "VERSION", "release": "3.25", "rev": "outrider-demo",
        "proto_major": 3, "proto_minor": 15}))?;
    let device = "/dev/simulated0";
    let mut lines = BufReader::new(client).lines();
    // Watching begins when the client asks for it, as with gpsd.
    for line in lines.by_ref() {
        let line = line?;
        if line.starts_with("?WATCH=") && line.contains("\"enable\":true") {
            break;
        }
    }
    say(json!({"class": "DEVICES", "devices": [{"class": "DEVICE", "path": device,
        "driver": "simulated", "activated": clock.now().wall.to_string(), "cycle": 1.0}]}))?;
    say(json!({"class": "WATCH", "enable": true, "json": true, "nmea": false, "raw": 0,
        "scaled": false, "timing": false, "split24": false, "pps": false}))?;
    while !stop.load(Ordering::Relaxed) {
        let now = clock.now();
        let fix = route.fix(gone(), now.wall);
        let time = now.wall.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        say(json!({"class": "TPV", "device": device, "mode": 3, "time": time, "ept": 0.005,
            "lat": fix.latitude, "lon": fix.longitude, "altHAE": 76.2, "altMSL": 112.0,
            "epx": 2.1, "epy": 2.4, "epv": 5.8, "eph": fix.accuracy_m,
            "track": fix.heading_deg, "speed": fix.speed_mps, "climb": 0.0, "eps": 0.4}))?;
        std::thread::sleep(REPORT_EVERY);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn route_goes_as_far_as_its_speed_says() {
        let route = Route { speed_mps: 20.0 };
        let (a, b) =
            (route.fix(0.0, Timestamp::UNIX_EPOCH), route.fix(10.0, Timestamp::UNIX_EPOCH));
        let north = (b.latitude - a.latitude) * METRES_PER_DEGREE;
        let east = (b.longitude - a.longitude) * METRES_PER_DEGREE * a.latitude.to_radians().cos();
        assert!((north.hypot(east) - 200.0).abs() < 1.0, "{north} {east}");
        assert!(north > 0.0 && east > 0.0);
    }

    #[test]
    fn sentences_say_what_the_route_says() {
        let route = Route { speed_mps: 14.0 };
        let start: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
        let reports = crate::gps::nmea::parse(route.nmea(start, 10));
        assert_eq!(reports.len(), 11);
        let (at, crate::gps::Report::Fix(fix)) = reports[10] else { panic!("a fix") };
        assert_eq!(at, Duration::from_secs(10));
        let truth = route.fix(10.0, start + at);
        assert!((fix.latitude - truth.latitude).abs() < 1e-6);
        assert!((fix.longitude - truth.longitude).abs() < 1e-6);
        assert!((fix.speed_mps.unwrap() - 14.0).abs() < 0.01);
    }

    #[test]
    fn speaks_as_gpsd_does() {
        let clock = Arc::new(SystemClock);
        let route = Route { speed_mps: 14.0 };
        let gpsd = SimulatedGpsd::start(route, clock, Arc::new(|| 3.0)).unwrap();
        let mut stream = TcpStream::connect(gpsd.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        gpsd_proto::handshake(&mut reader, &mut stream).unwrap();
        let gpsd_proto::ResponseData::Tpv(tpv) = gpsd_proto::get_data(&mut reader).unwrap() else {
            panic!("the first report is a position");
        };
        assert!((tpv.lat.unwrap() - START.0).abs() < 0.01);
        assert!(matches!(tpv.mode, gpsd_proto::Mode::Fix3d));
        let time = tpv.time.unwrap();
        assert!(time.parse::<Timestamp>().is_ok(), "{time}");
    }
}
