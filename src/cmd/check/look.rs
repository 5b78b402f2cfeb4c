//! The looks that `outrider check` takes, in the order in which a newcomer can act on them.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Finding, kept};
use crate::alert::{Annunciator as _, Speaker};
use crate::clock::{Clock, SystemClock};
use crate::config::{CameraConfig, Config, GpsSource, HotlistConfig, ListSource, Retention};
use crate::gps::gpsd::Gpsd;
use crate::gps::{FixSource as _, Report};
use crate::hotlist::false_hits::{self, MISREAD_RATE, SHIFT_READS};
use crate::hotlist::{self, Freshness, sync};
use crate::onboard::capture;
use crate::onboard::frame::Pixels;
use crate::onboard::vision::{Reader, Runtime};
use crate::trust::Root;
use crate::uplink;

/// Time for a camera's first frame; USB cameras take up to two seconds.
const FIRST_FRAME: Duration = Duration::from_secs(4);

/// Time for gpsd to say whether it has a fix: receivers report once a second.
const FIX: Duration = Duration::from_secs(4);

/// Time for the broker, TLS included, over a slow mobile line.
const BROKER: Duration = Duration::from_secs(10);

/// Free space below which a shift's hits may not fit: 10,000 hits with pictures.
const ENOUGH: u64 = 512 << 20;

/// The year in which this version was written: a clock before it is not set.
const WRITTEN: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Looks at every part.
pub(super) fn at_all(config: &Config, findings: &mut Vec<Finding>) {
    models(config, findings);
    cameras(config, findings);
    findings.push(gps(config));
    findings.push(broker(config));
    lists(config, findings);
    findings.extend(kept::root(config));
    findings.push(kept::policy(config));
    findings.push(clock());
    findings.push(disk(config));
    kept::records(config, findings);
    findings.push(sound(config));
    findings.push(console(config));
}

fn models(config: &Config, findings: &mut Vec<Finding>) {
    match Runtime::find(config.models.onnxruntime.as_deref()) {
        Ok(runtime) => findings.push(Finding::ok(
            "onnx runtime",
            format!("{} from {}", runtime.version(), runtime.path().display()),
        )),
        Err(e) => {
            findings.push(Finding::fail(
                "onnx runtime",
                e,
                "install libonnxruntime.so beside the binary, or set models.onnxruntime",
            ));
            return;
        }
    }
    findings.push(match Reader::load(&config.models) {
        Ok(reader) => {
            let [detector, ocr] = reader.weights().map(|w| {
                format!("{} {} (sha256 {}...)", w.name, w.version, w.sha256.get(..12).unwrap_or(""))
            });
            Finding::ok("models", format!("{detector}, {ocr}"))
        }
        Err(e) => Finding::fail("models", e, "install the model packages again, or mend [models]"),
    });
}

fn cameras(config: &Config, findings: &mut Vec<Finding>) {
    if config.camera.is_empty() {
        let (plugged, _) = capture::list_cameras();
        let names: Vec<_> =
            plugged.iter().map(|c| format!("{} ({})", c.stable_name().display(), c.card)).collect();
        let fact = match names.as_slice() {
            [] => "none is configured, and none is plugged in".to_owned(),
            names => format!("none is configured; plugged in: {}", names.join(", ")),
        };
        findings.push(Finding::fail("cameras", fact, "add a [[camera]] section for each"));
    }
    findings.extend(config.camera.iter().map(camera));
}

fn camera(config: &CameraConfig) -> Finding {
    let part = format!("camera {}", config.name);
    let start = Instant::now();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut source = match capture::open(config, clock) {
        Ok(source) => source,
        Err(e) => {
            return Finding::fail(
                &part,
                e,
                "plug it in, or mend its [[camera]] section; if the daemon runs, it holds the camera",
            );
        }
    };
    match source.next_frame(FIRST_FRAME) {
        Ok(Some(frame)) => {
            let picture = match &frame.pixels {
                Pixels::Mjpeg(bytes) => match turbojpeg::read_header(bytes) {
                    Ok(header) => format!("{}x{} mjpeg", header.width, header.height),
                    Err(e) => {
                        return Finding::warn(
                            &part,
                            format!("its first frame is no picture: {e}"),
                            "try again; if it stays, try another cable or another format",
                        );
                    }
                },
                other => format!("{other:?}"),
            };
            let took = start.elapsed().as_millis();
            Finding::ok(&part, format!("{picture}, first frame after {took} ms"))
        }
        Ok(None) => Finding::fail(&part, "opened, and is at its end", "see what device names"),
        Err(e) => Finding::fail(&part, e, "try another cable or port, or a lower resolution"),
    }
}

fn gps(config: &Config) -> Finding {
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
        GpsSource::Gpsd => {}
    }
    let start = "start gpsd (systemctl start gpsd) and see `gpspipe -w -n 5`, or set gps.address";
    let mut gpsd = match Gpsd::connect(&config.gps.address) {
        Ok(gpsd) => gpsd,
        Err(e) => return Finding::fail("gps", e, start),
    };
    let until = Instant::now() + FIX;
    let mut heard = "gpsd answers, and no receiver reports";
    loop {
        match gpsd.next_report(until.saturating_duration_since(Instant::now())) {
            Ok(Report::Fix(fix)) => {
                let kind = if fix.three_d { "3D" } else { "2D" };
                let sure = fix.accuracy_m.map_or(String::new(), |m| format!(", within {m:.0} m"));
                return Finding::ok("gps", format!("{kind} fix{sure}"));
            }
            Ok(Report::NoFix) => heard = "the receiver works and has no fix",
            Ok(Report::NoReceiver) => heard = "gpsd answers, and it has no receiver",
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

fn broker(config: &Config) -> Finding {
    match uplink::probe(&config.uplink, &config.vehicle, BROKER) {
        Ok(Some(address)) => Finding::ok("broker", format!("{address} answers")),
        Ok(None) => {
            Finding::warn("broker", "none is configured: hits stay in the car", "set uplink.broker")
        }
        Err(e) => Finding::fail(
            "broker",
            e,
            "see [uplink], the line, and the broker's own log; hits wait in the car meanwhile",
        ),
    }
}

fn lists(config: &Config, findings: &mut Vec<Finding>) {
    if config.hotlist.is_empty() {
        findings.push(Finding::fail(
            "hotlists",
            "none is configured: nothing can be matched",
            "add a [[hotlist]] section",
        ));
    }
    findings.extend(config.hotlist.iter().map(|one| list(config, one)));
}

/// A list that comes from the broker: what the car has of it.
fn broker_list(all: &Config, config: &HotlistConfig) -> Finding {
    let part = format!("hotlist {}", config.name);
    let state = &all.keeping.directory;
    if let Some(root) = &all.trust.root
        && let Err(e) = Root::load(root)
    {
        return Finding::fail(&part, e, "put the root's public keys there, or mend trust.root");
    }
    let kept = match sync::kept(state, config) {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            return Finding::warn(
                &part,
                "nothing of it has come yet",
                "start the daemon where the broker is in reach; see [uplink] and [trust]",
            );
        }
        Err(e) => {
            return Finding::fail(&part, e, "mend the file, or the owner of the state folder");
        }
    };
    let now = Timestamp::now();
    let fact = format!(
        "version {}, {} entries, its source is of {:.0}",
        kept.version, kept.entries, kept.source_time
    );
    if kept.expires <= now {
        let fact = format!("{fact}; it expired at {:.0} and serves no more", kept.expires);
        return Finding::fail(&part, fact, "see why no newer version has arrived");
    }
    if let Some(newest) = kept.newest {
        let fact = format!("{fact}; version {newest} is known and does not serve yet");
        let what = "see why on the console or in the daemon's log; a version whose size has changed \
                    suddenly waits for outrider hotlist confirm";
        return Finding::warn(&part, fact, what);
    }
    let ages = (config.amber_after.get(), config.red_after.get());
    match Freshness::of(kept.source_time, now, ages.0, ages.1) {
        Freshness::Red => {
            Finding::fail(&part, fact, "bring a newer list: this one is past red_after")
        }
        Freshness::Amber => Finding::warn(&part, fact, "see why no newer list has arrived"),
        Freshness::Fresh => Finding::ok(&part, fact),
    }
}

fn list(all: &Config, config: &HotlistConfig) -> Finding {
    if config.source == ListSource::Mqtt {
        return broker_list(all, config);
    }
    let part = format!("hotlist {}", config.name);
    let (list, skipped) = match hotlist::load(config) {
        Ok(loaded) => loaded,
        Err(e) => return Finding::fail(&part, e, "put the file there, or mend hotlist.path"),
    };
    let source = list.stamp().source_time;
    let mut fact = format!("{} entries", list.len());
    if let Some(first) = skipped.first() {
        fact += &format!(", {} rows skipped (line {}: {})", skipped.len(), first.line, first.why);
    }
    fact += &format!(", its source is of {source:.0}");
    let shape = false_hits::Shape::of_list(&list);
    let expected =
        |matching| false_hits::expected_false_hits(&shape, matching, SHIFT_READS, MISREAD_RATE);
    fact += &format!(
        "; to be expected in {SHIFT_READS} reads: {:.1} false hits by {} matching",
        expected(config.matching),
        config.matching
    );
    match (list.is_empty(), list.freshness(Timestamp::now()), skipped.is_empty()) {
        (true, _, _) => Finding::warn(&part, fact, "see whether the list is meant to be empty"),
        (_, Freshness::Red, _) => {
            Finding::fail(&part, fact, "bring a newer list: this one is past red_after")
        }
        (_, Freshness::Amber, _) => Finding::warn(&part, fact, "see why no newer list has arrived"),
        (_, _, false) => Finding::warn(&part, fact, "mend the rows; the others serve"),
        _ => Finding::ok(&part, fact),
    }
}

fn clock() -> Finding {
    let now = Timestamp::now();
    if now < WRITTEN {
        return Finding::fail(
            "clock",
            format!("says {now:.0}, which is before this program was written"),
            "set it: chronyd or systemd-timesyncd, or gpsd as its source",
        );
    }
    match disciplined() {
        Some(true) => Finding::ok("clock", format!("{now:.0}, disciplined")),
        Some(false) => Finding::warn(
            "clock",
            format!("{now:.0}, and nothing keeps it right"),
            "run chronyd or systemd-timesyncd, with gpsd as a source where there is no network",
        ),
        None => Finding::warn(
            "clock",
            format!("{now:.0}; the kernel does not say if it is right"),
            "ask chronyc tracking",
        ),
    }
}

/// Whether something (NTP, GPS, PTP) disciplines the system clock; the kernel knows.
fn disciplined() -> Option<bool> {
    #[expect(unsafe_code, reason = "rustix and the standard library have no adjtimex")]
    // SAFETY: timex is a plain struct of integers for which all zeros is valid; with modes = 0 the
    // call only writes into it.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    match state {
        -1 => None,
        state => Some(state != libc::TIME_ERROR),
    }
}

fn disk(config: &Config) -> Finding {
    let keeping = &config.keeping;
    let wanted = &keeping.directory;
    // Before the first start the folder is not there: its nearest parent is on the same disk.
    let there = wanted.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let stat = match rustix::fs::statvfs(there) {
        Ok(stat) => stat,
        Err(e) => {
            return Finding::fail(
                "disk",
                format!("{}: {e}", there.display()),
                "see keeping.directory",
            );
        }
    };
    let free = stat.f_bavail * stat.f_frsize;
    let ring = match keeping.non_hit {
        Retention::Nothing => 0,
        _ => keeping.ring_bytes.get(),
    };
    let needed = ENOUGH.max(keeping.disk_reserve.get()) + ring;
    let kind = filesystem(there);
    let fact = format!(
        "{} MiB free at {} ({kind}), {} MiB wanted",
        free >> 20,
        wanted.display(),
        needed >> 20
    );
    if let Err(e) = writable(there) {
        return Finding::fail(
            "disk",
            format!("{}: {e}", there.display()),
            "run as the user that the daemon runs as, or mend the folder's owner",
        );
    }
    match kind.as_str() {
        "tmpfs" | "ramfs" => {
            Finding::fail("disk", fact, "a hit must survive a power cut: use a real disk")
        }
        "vfat" | "exfat" | "msdos" => {
            Finding::warn("disk", fact, "it knows no file rights and no journal: use ext4 or f2fs")
        }
        _ if free < needed => {
            Finding::warn("disk", fact, "free some space, or lower keeping.ring_bytes")
        }
        _ => Finding::ok("disk", fact),
    }
}

/// Tries by making a file that has no name and so leaves nothing behind.
fn writable(folder: &Path) -> rustix::io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    match open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR) {
        // Some filesystems (overlay of old, network) have no nameless files.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)
        }
        opened => opened.map(drop),
    }
}

/// The kind of filesystem a path lies on, as the kernel's list of mounts has it.
fn filesystem(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
            path.starts_with(at).then(|| (at.len(), kind.to_owned()))
        })
        .max_by_key(|(length, _)| *length)
        .map_or_else(|| "unknown filesystem".into(), |(_, kind)| kind)
}

fn sound(config: &Config) -> Finding {
    match Speaker::new(config.alert.device.clone()).ready() {
        Ok(()) => Finding::ok(
            "sound",
            format!("{:?} opens, volume {} %", config.alert.device, config.alert.volume),
        ),
        Err(e) => Finding::fail("sound", e, "connect the loudspeaker, or choose another device"),
    }
}

fn console(config: &Config) -> Finding {
    let listen = config.console.listen;
    if !config.console.enabled {
        return Finding::warn(
            "console",
            "switched off: the officer hears alerts and sees none",
            "set console.enabled = true",
        );
    }
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("console", format!("{listen} is free")),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => Finding::warn(
            "console",
            format!("{listen} is taken"),
            "by the running daemon, it is to be hoped: see `ss -ltnp`",
        ),
        Err(e) => Finding::fail("console", format!("{listen}: {e}"), "mend console.listen"),
    }
}
