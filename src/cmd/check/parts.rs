//! What `outrider check` tries of each part, in the order in which a newcomer can act on it.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::{Finding, cameras, kept, place, sleep};
use crate::alert::{Annunciator as _, Speaker, speech};
use crate::clock::{Clock as _, SystemClock, TimeSource, WRITTEN};
use crate::config::{Config, HotlistConfig, ListSource, Retention};
use crate::health::PartState;
use crate::hotlist::false_hits::{self, MISREAD_RATE, SHIFT_READS};
use crate::hotlist::{self, Freshness, sync};
use crate::keys::DeviceKey;
use crate::models::settings_on_disk;
use crate::onboard::vision::{Reader, Runtime, Weights};
use crate::trust::Root;
use crate::uplink;
use crate::uplink::certificate::{Expiry, PAGE, RENEW, RENEW_PAGE, RESTART};

/// Time for the broker, TLS included, over a slow mobile line.
const BROKER: Duration = Duration::from_secs(10);

/// Free space below which a shift's hits may not fit: 10,000 hits with pictures.
const ENOUGH: u64 = 512 << 20;

/// Checks every part.
pub(super) fn check_all(config: &Config, findings: &mut Vec<Finding>) {
    models(config, findings);
    cameras::all(config, findings);
    findings.push(place::gps(config));
    findings.extend(place::ignition(config));
    findings.extend(place::beacon(config));
    findings.push(broker(config));
    findings.extend(certificate(config));
    findings.extend(page_certificate(config));
    lists(config, findings);
    findings.push(kept::folder(config));
    findings.extend(kept::root(config));
    findings.push(kept::policy(config));
    findings.push(kept::people(config));
    findings.push(clock());
    findings.extend(sleep::hibernation(Path::new("/")));
    findings.push(disk(config));
    kept::records(config, findings);
    kept::stores(config, findings);
    kept::running(config, findings);
    findings.push(sound(config));
    if config.alert.speech {
        findings.push(speech());
    }
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
    // Installed packages are tried in place of the shipped models, where their record can be read here.
    let device = DeviceKey::existing(&config.keeping.directory).ok();
    let settings = device.and_then(|device| settings_on_disk(config, &device).ok());
    findings.push(match Reader::load(settings.as_ref().unwrap_or(&config.models)) {
        Ok(reader) => {
            let named = |w: &Weights| {
                format!("{} {} (sha256 {}...)", w.name, w.version, w.sha256.get(..12).unwrap_or(""))
            };
            let [detector, ocr] = reader.weights().map(named);
            let issuer = reader.jurisdiction_weights().map(named);
            let issuer = issuer.unwrap_or_else(|| "no jurisdiction is read".into());
            Finding::ok("models", format!("{detector}, {ocr}, {issuer}"))
        }
        Err(e) => {
            Finding::fail("models", e, "install the model packages again, or correct [models]")
        }
    });
}

fn broker(config: &Config) -> Finding {
    match uplink::probe(&config.uplink, &config.vehicle, BROKER) {
        Ok(Some(address)) => match kept::daemon_state(config, "broker") {
            // The broker answers this check, but not the daemon: another client may have the daemon's identifier.
            Some(PartState::Down(why)) => Finding::fail(
                "broker",
                format!("{address} answers, and the running daemon says: {why}"),
                "check [uplink], the broker's own log, and whether another car has this vehicle.id",
            ),
            _ => Finding::ok("broker", format!("{address} answers")),
        },
        Ok(None) => {
            Finding::warn("broker", "none is configured: hits stay in the car", "set uplink.broker")
        }
        Err(e) => Finding::fail(
            "broker",
            e,
            "check [uplink], the connection and the broker's own log; hits wait in the car meanwhile",
        ),
    }
}

/// How long the car's own certificate is still valid.
fn certificate(config: &Config) -> Option<Finding> {
    let part = "certificate";
    match Expiry::of(&config.uplink, Timestamp::now()) {
        Ok(expiry) => expiry.map(|expiry| ends(part, &expiry, config, RENEW)),
        Err(e) => Some(Finding::fail(
            part,
            e,
            "put the car's certificate there, or correct uplink.certificate",
        )),
    }
}

/// How long the page's certificate is still valid: the file's, and the one that a running daemon has read at its start.
fn page_certificate(config: &Config) -> Option<Finding> {
    let part = "page certificate";
    let expiry = match Expiry::of_page(&config.console, Timestamp::now()) {
        Ok(expiry) => expiry?,
        Err(e) => {
            let advice = "put the page's certificate there, or correct console.certificate";
            return Some(Finding::fail(part, e, advice));
        }
    };
    let serves =
        |why| format!("{} in the file, and the running daemon says: {why}", expiry.in_words());
    let in_place = expiry.health(config.certificates.warn_days(), RENEW_PAGE);
    Some(match (in_place, kept::daemon_state(config, PAGE)) {
        (PartState::Working, Some(PartState::Down(why))) => {
            Finding::fail(part, serves(why), RESTART)
        }
        (PartState::Working, Some(PartState::Impaired(why))) => {
            Finding::warn(part, serves(why), RESTART)
        }
        _ => ends(part, &expiry, config, RENEW_PAGE),
    })
}

fn ends(part: &str, expiry: &Expiry, config: &Config, advice: &str) -> Finding {
    match expiry.health(config.certificates.warn_days(), advice) {
        PartState::Down(_) => Finding::fail(part, expiry.in_words(), advice),
        PartState::Impaired(_) => Finding::warn(part, expiry.in_words(), advice),
        _ => Finding::ok(part, expiry.in_words()),
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
        return Finding::fail(&part, e, "put the root's public keys there, or correct trust.root");
    }
    let kept = match sync::kept(state, config) {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            return Finding::warn(
                &part,
                "no part of it has arrived yet",
                "start the daemon where the broker can be reached; check [uplink] and [trust]",
            );
        }
        Err(e) => {
            return Finding::fail(
                &part,
                e,
                "restore the file, or correct the owner of the state folder",
            );
        }
    };
    let now = Timestamp::now();
    let fact = format!(
        "version {}, {} entries, its source is dated {:.0}",
        kept.version, kept.entries, kept.source_time
    );
    if kept.expires <= now {
        let fact = format!("{fact}; it expired at {:.0} and is out of service", kept.expires);
        return Finding::fail(&part, fact, "find out why no newer version has arrived");
    }
    if let Some(newest) = kept.newest {
        let fact = format!("{fact}; version {newest} is known and not in service yet");
        let what = "the console and the daemon's log say why; a version whose size has changed \
                    suddenly waits for outrider hotlist confirm";
        return Finding::warn(&part, fact, what);
    }
    let ages = (config.amber_after.get(), config.red_after.get());
    match Freshness::of(kept.source_time, now, ages.0, ages.1) {
        Freshness::Red => {
            Finding::fail(&part, fact, "bring a newer list: this one is past red_after")
        }
        Freshness::Amber => Finding::warn(&part, fact, "find out why no newer list has arrived"),
        Freshness::Fresh => Finding::ok(&part, fact),
    }
}

fn list(all: &Config, config: &HotlistConfig) -> Finding {
    if config.source == ListSource::Mqtt {
        return broker_list(all, config);
    }
    let part = format!("hotlist {}", config.name);
    let loaded = match hotlist::load(config) {
        Ok(loaded) => loaded,
        Err(e) => return Finding::fail(&part, e, "put the file there, or correct hotlist.path"),
    };
    let trouble = loaded.limits_unread();
    let hotlist::Loaded { list, skipped, unused_columns, .. } = loaded;
    let source = list.stamp().source_time;
    let mut fact = format!("{} entries", list.len());
    if let Some(first) = skipped.first() {
        fact += &format!(", {} rows skipped (line {}: {})", skipped.len(), first.line, first.why);
    }
    if let Some(trouble) = &trouble {
        fact += &format!("; {trouble}");
    }
    if !unused_columns.is_empty() {
        fact += &format!("; columns that nothing reads: {}", unused_columns.join(", "));
    }
    fact += &format!(", its source is dated {source:.0}");
    let shape = false_hits::Shape::of_list(&list);
    let expected =
        |matching| false_hits::expected_false_hits(&shape, matching, SHIFT_READS, MISREAD_RATE);
    fact += &format!(
        "; expected in {SHIFT_READS} reads: {} false hits by {} matching",
        false_hits::in_words(expected(config.matching)),
        config.matching
    );
    let whole = skipped.is_empty() && trouble.is_none();
    match (list.is_empty(), list.freshness(Timestamp::now()), whole) {
        (true, _, _) => {
            Finding::warn(&part, fact, "find out whether the list is meant to be empty")
        }
        (_, Freshness::Red, _) => {
            Finding::fail(&part, fact, "bring a newer list: this one is past red_after")
        }
        (_, Freshness::Amber, _) => {
            Finding::warn(&part, fact, "find out why no newer list has arrived")
        }
        (_, _, false) => {
            Finding::warn(&part, fact, "correct the rows and columns; the others are in service")
        }
        _ => Finding::ok(&part, fact),
    }
}

fn clock() -> Finding {
    let now = Timestamp::now();
    if now < WRITTEN {
        return Finding::fail(
            "clock",
            format!("says {now:.0}, which is before this program was written"),
            "let chronyd or systemd-timesyncd set it, if need be with gpsd as a source",
        );
    }
    let kept = match SystemClock.source() {
        TimeSource::Ntp => Some(true),
        _ => disciplined(),
    };
    match kept {
        Some(true) => Finding::ok("clock", format!("{now:.0}, disciplined")),
        Some(false) => Finding::warn(
            "clock",
            format!("{now:.0}, and nothing keeps it right"),
            "run chronyd or systemd-timesyncd, with gpsd as a source where there is no network",
        ),
        None => Finding::warn(
            "clock",
            format!("{now:.0}; the kernel does not say if it is right"),
            "run chronyc tracking",
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
                "correct keeping.directory",
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
            "run this check as the user that the daemon runs as, or correct the folder's owner",
        );
    }
    match kind.as_str() {
        "tmpfs" | "ramfs" => {
            Finding::fail("disk", fact, "a hit must survive a power cut: use a real disk")
        }
        "vfat" | "exfat" | "msdos" => Finding::warn(
            "disk",
            fact,
            "this kind has no file permissions and no journal: use ext4 or f2fs",
        ),
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

fn speech() -> Finding {
    match speech::try_out() {
        Ok(()) => Finding::ok("speech", format!("{} speaks", speech::PROGRAM)),
        Err(e) => Finding::warn("speech", e, "tones and page go on without it"),
    }
}

fn console(config: &Config) -> Finding {
    let listen = config.console.listen;
    if !config.console.enabled {
        return Finding::warn(
            "console",
            "switched off: the officer hears alerts but sees none",
            "set console.enabled = true",
        );
    }
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("console", format!("{listen} is free")),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => Finding::warn(
            "console",
            format!("{listen} is in use"),
            "that is right while the daemon runs; otherwise `ss -ltnp` shows which program uses it",
        ),
        Err(e) => Finding::fail("console", format!("{listen}: {e}"), "correct console.listen"),
    }
}
