//! `[metrics]`: counters and gauges for a monitoring agent on this machine, in Prometheus' text format.
//!
//! In: the latest look of `standing`. Out: `GET /metrics` on a loopback address, one connection at a time, each
//! over within two seconds. Off unless it is configured. Names of cameras and of lists that may be shown are the
//! only words in it: no plate, no position, nothing of covert lists, no count that tells of them by a difference.
//! A browser is sent away: another site's page may have led it here under a name of its own.
#![expect(clippy::disallowed_types, reason = "a door on loopback that hands out counters alone")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::standing::{Latest, Look, latest};
use crate::alert::console::status::CameraState;
use crate::config::MetricsConfig;
use crate::health::{CameraSnapshot, Health, PartState};

/// The part's name in health.
const PART: &str = "metrics";

/// Longest request: an agent's takes a few hundred bytes.
const LONGEST: usize = 8 << 10;

/// Time for a request to arrive and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(2);

/// Listens, if it is configured. A port that is taken keeps no car from reading: health tells it.
pub(super) fn start(
    config: &MetricsConfig,
    runtime: &Runtime,
    of: Latest,
    health: &Health,
) -> Option<SocketAddr> {
    let at = config.listen?;
    let bound = runtime.block_on(async {
        let listener = TcpListener::bind(at).await?;
        listener.local_addr().map(|address| (listener, address))
    });
    match bound {
        Ok((listener, address)) => {
            tracing::info!(%address, "metrics served");
            health.set(PART, PartState::Working);
            runtime.spawn(serve(listener, address, of));
            Some(address)
        }
        Err(e) => {
            tracing::error!(%at, error = %e, "no metrics");
            health.set(PART, PartState::Down(format!("metrics.listen = \"{at}\": {e}")));
            None
        }
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, of: Latest) {
    loop {
        match listener.accept().await {
            Ok((mut line, _)) => {
                let _ = tokio::time::timeout(PATIENCE, answer(&mut line, address, &of)).await;
            }
            // Out of descriptors, which is somebody else's fault and passes.
            Err(_) => tokio::time::sleep(PATIENCE).await,
        }
    }
}

async fn answer(line: &mut TcpStream, address: SocketAddr, of: &Latest) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut some = [0; 1024];
        match line.read(&mut some).await? {
            0 => return Ok(()),
            n if head.len() + n > LONGEST => return Ok(()),
            n => head.extend_from_slice(&some[..n]),
        }
    }
    let (status, body) = respond(&String::from_utf8_lossy(&head), address, of);
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    line.write_all(text.as_bytes()).await?;
    line.shutdown().await
}

/// Status line and body.
fn respond(head: &str, address: SocketAddr, of: &Latest) -> (&'static str, String) {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let value = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let here = [address.to_string(), format!("localhost:{}", address.port())];
    if !value("host").is_some_and(|host| here.iter().any(|own| own == host)) {
        return ("403 Forbidden", "ask by the address of metrics.listen\n".into());
    }
    // Browsers say where a request comes from; agents do not.
    if value("origin").is_some() || value("sec-fetch-site").is_some() {
        return ("403 Forbidden", "not for browsers\n".into());
    }
    match (method, path) {
        ("GET", "/metrics") => match latest(of) {
            Some(look) => ("200 OK", text(&look)),
            None => ("503 Service Unavailable", "the daemon is still starting\n".into()),
        },
        ("GET", _) => ("404 Not Found", "/metrics is what there is\n".into()),
        _ => ("405 Method Not Allowed", "GET /metrics\n".into()),
    }
}

/// One family of samples under its name.
struct Families(String);

impl Families {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP outrider_{name} {help}\n# TYPE outrider_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.0, "outrider_{name}");
        for (n, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if n == 0 { "{" } else { "," });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.family(name, kind, help);
            self.sample(name, &[], value);
        }
    }
}

/// A counter of a camera: its name, what it counts, and where it is.
type CameraCounter = (&'static str, &'static str, fn(&CameraSnapshot) -> u64);

const CAMERA_COUNTERS: [CameraCounter; 7] = [
    ("camera_frames_total", "Frames that the camera delivered.", |c| c.frames),
    ("camera_frames_lost_total", "Frames that the driver lost.", |c| c.frames_lost),
    ("camera_frames_skipped_total", "Frames replaced by a newer one before anyone looked.", |c| {
        c.frames_skipped
    }),
    ("camera_frames_bad_total", "Frames that could not be decoded.", |c| c.frames_bad),
    ("camera_frames_looked_total", "Frames looked at.", |c| c.looked),
    ("camera_interruptions_total", "Times the camera stalled or was unplugged.", |c| {
        c.interruptions
    }),
    ("camera_reads_total", "Vehicle passes that gave a read.", |c| c.reads),
];

fn state_number(state: &PartState) -> f64 {
    match state {
        PartState::Working => 1.0,
        PartState::Impaired(_) => 0.5,
        PartState::Starting | PartState::Down(_) | PartState::Off => 0.0,
    }
}

/// Everything, as text.
fn text(Look { told, counts }: &Look) -> String {
    let mut out = Families(String::new());
    out.family("build_info", "gauge", "Which program runs.");
    out.sample("build_info", &[("version", &told.version), ("build", &told.build)], 1.0);
    out.one("uptime_seconds", "gauge", "Time since the start.", Some(told.up_s as f64));
    out.one("cameras_configured", "gauge", "Cameras.", Some(told.cameras.len() as f64));
    out.family("camera_reading", "gauge", "Whether frames of the camera are looked at.");
    for camera in &told.cameras {
        let looked = matches!(camera.state, CameraState::Reading | CameraState::Overloaded);
        let reads = f64::from(u8::from(looked));
        out.sample("camera_reading", &[("camera", camera.id.as_str())], reads);
    }
    for (name, help, count) in CAMERA_COUNTERS {
        out.family(name, "counter", help);
        for (camera, counts) in counts {
            out.sample(name, &[("camera", camera.as_str())], count(counts) as f64);
        }
    }
    out.one("hits_total", "counter", "Hits since the start.", Some(told.hits as f64));
    out.one("hits_waiting", "gauge", "Hits not acknowledged yet.", Some(told.waiting as f64));
    out.one("gps_fix", "gauge", "Whether there is a fix.", Some(f64::from(u8::from(told.gps.fix))));
    let offset = told.clock.and_then(|clock| clock.offset_ms).map(|ms| ms as f64 / 1000.0);
    out.one("clock_offset_seconds", "gauge", "The machine's clock less GPS time.", offset);
    out.family("list_entries", "gauge", "Entries of a list that serve.");
    for list in &told.lists {
        out.sample("list_entries", &[("list", &list.name)], list.entries as f64);
    }
    out.family("list_age_seconds", "gauge", "Age of a list's source.");
    for list in &told.lists {
        let age = told.now.duration_since(list.source_time).as_secs();
        out.sample("list_age_seconds", &[("list", &list.name)], age as f64);
    }
    out.one("policy_version", "gauge", "Policy in force.", told.policy.map(|v| v as f64));
    let free = told.storage.free_bytes.map(|bytes| bytes as f64);
    out.one("storage_free_bytes", "gauge", "Free space at the state folder.", free);
    let ends = told.certificate.map(|c| c.ends.as_second() as f64);
    out.one("certificate_ends_timestamp_seconds", "gauge", "When the TLS certificate ends.", ends);
    let (page, help) =
        ("page_certificate_ends_timestamp_seconds", "When the page's certificate ends.");
    let ends = told.page_certificate.map(|c| c.ends.as_second() as f64);
    out.one(page, "gauge", help, ends);
    out.family("part_up", "gauge", "1 works, 0.5 works in part, 0 does not.");
    for (part, state) in told.parts.iter().filter(|(_, state)| **state != PartState::Off) {
        out.sample("part_up", &[("part", part)], state_number(state));
    }
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_agent_on_this_machine_is_answered() {
        let at: SocketAddr = "127.0.0.1:9464".parse().unwrap();
        let of = Latest::default();
        let asked = |head: &str| respond(head, at, &of).0[..3].to_owned();
        assert_eq!(asked("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\n\r\n"), "503");
        assert_eq!(asked("GET /metrics HTTP/1.1\r\nhost: localhost:9464\r\n\r\n"), "503");
        assert_eq!(asked("GET / HTTP/1.1\r\nHost: 127.0.0.1:9464\r\n\r\n"), "404");
        assert_eq!(asked("POST /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\n\r\n"), "405");
        for foreign in [
            "GET /metrics HTTP/1.1\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nHost: plates.example:9464\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nOrigin: http://a.example\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nSec-Fetch-Site: none\r\n\r\n",
            "",
        ] {
            assert_eq!(asked(foreign), "403", "{foreign}");
        }
    }

    #[test]
    fn words_from_a_configuration_stay_inside_their_quotes() {
        let mut out = Families(String::new());
        out.sample("x", &[("camera", "a\"b\\c\nd")], 1.0);
        assert_eq!(out.0, "outrider_x{camera=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
