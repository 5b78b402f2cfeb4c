//! How this car is, for a person at its shell and for a monitoring agent: `outrider status`, `[metrics]`.
//!
//! In: health as it may be shown in the car, twice a second, and what the officer's page gets beside it. Out: a
//! [`Told`], which has no place for a plate, for a position, for a covert list or for a count that tells of one.
//! Costs: a thread that sleeps.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::console::Ask;
use crate::alert::console::status::{Beside, CameraStatus, ListStatus, Watch};
use crate::camera_id::CameraId;
use crate::clock::{Clock, ClockReport};
use crate::config::Config;
use crate::gps::Position;
use crate::health::{CameraSnapshot, Health, PartState};
use crate::sessions::LastShift;
use crate::threads::{self, UntilDropped};
use crate::uplink::certificate::{self, Expiry, Unreadable};
use crate::version;

/// Time between two looks: a camera that stops is told within two seconds.
const LOOK: Duration = Duration::from_millis(500);

/// Looks between two looks at the certificates' files: five minutes. A renewed one is known soon.
const CERTIFICATE_EVERY: u64 = 600;

/// How a car is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The program's version.
    pub(crate) version: String,
    /// The commit that it was built from.
    pub(crate) build: String,
    /// Unit number.
    pub(crate) vehicle: String,
    /// Agency.
    pub(crate) agency: String,
    /// The car's time.
    pub(crate) now: Timestamp,
    /// Seconds since this daemon started.
    pub(crate) up_s: u64,
    /// One per configured camera.
    pub(crate) cameras: Vec<CameraStatus>,
    /// Whether the car knows where it is; not where.
    pub(crate) gps: Gps,
    /// Who vouches for the time, and how far the car's clock is from GPS.
    pub(crate) clock: Option<ClockReport>,
    /// Lists in use, hotplates among them.
    pub(crate) lists: Vec<ListStatus>,
    /// Version of the policy in force, if any.
    pub(crate) policy: Option<u64>,
    /// The line to the broker.
    pub(crate) link: PartState,
    /// Hits that the broker has not acknowledged yet.
    pub(crate) waiting: u64,
    /// The disk.
    pub(crate) storage: Storage,
    /// The car's TLS certificate, if it has one that can be read.
    pub(crate) certificate: Option<Expiry>,
    /// The certificate by which the page is served, if there is one.
    #[serde(default)]
    pub(crate) page_certificate: Option<Expiry>,
    /// Vehicle passes read since the start.
    pub(crate) reads: u64,
    /// Hits since the start.
    pub(crate) hits: u64,
    /// When an officer last began a shift in this car, and who.
    #[serde(default)]
    pub(crate) shift: Option<LastShift>,
    /// Packages of models in force, a line for each, and the last that was refused; empty with the shipped models.
    #[serde(default)]
    pub(crate) models: Vec<String>,
    /// Every part but the cameras.
    pub(crate) parts: BTreeMap<String, PartState>,
}

/// Whether the car knows where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gps {
    /// Where positions come from, in words.
    #[serde(default)]
    pub(crate) source: String,
    /// What the part says of itself.
    pub(crate) part: PartState,
    /// Whether there is a fix near now.
    pub(crate) fix: bool,
    /// Whether height is known too.
    pub(crate) three_d: bool,
    /// How far off it may be, in metres, where the receiver says so.
    pub(crate) accuracy_m: Option<f32>,
    /// How old the fix is.
    pub(crate) age_s: Option<f64>,
}

impl Gps {
    fn of(source: String, position: &Position, part: Option<&PartState>) -> Self {
        let part = part.cloned().unwrap_or(PartState::Off);
        match position {
            Position::Fixed { fix, age, .. } => Self {
                source,
                part,
                fix: true,
                three_d: fix.three_d,
                accuracy_m: fix.accuracy_m,
                age_s: Some(age.as_secs_f64()),
            },
            Position::NoFix => {
                Self { source, part, fix: false, three_d: false, accuracy_m: None, age_s: None }
            }
        }
    }
}

/// The disk that the car keeps everything on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Storage {
    /// The state folder.
    pub(crate) path: PathBuf,
    /// Bytes that are free there; nothing where the disk does not say.
    pub(crate) free_bytes: Option<u64>,
    /// What becomes of reads that match nothing, in words.
    pub(crate) non_hits: String,
}

/// A look: what is told, and the counters of the cameras behind it.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) told: Told,
    pub(super) counts: BTreeMap<CameraId, CameraSnapshot>,
}

/// The latest look; nothing before the first.
pub(super) type Latest = Arc<Mutex<Option<Look>>>;

/// The latest look, as long as it can be had: nobody who holds it panics.
pub(super) fn latest(of: &Latest) -> Option<Look> {
    of.lock().expect("no holder panics").clone()
}

/// Looks on until what it returns is dropped, and puts each look into `latest`.
pub(super) fn spawn(
    config: &Config,
    cameras: Vec<CameraId>,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    ask: Ask,
    latest: Latest,
) -> UntilDropped {
    let config = config.clone();
    let mut watch = Watch::new(cameras);
    let warn_days = config.certificates.warn_days();
    let start = clock.now();
    let began = start.monotonic;
    // Looked at before this returns: the row of the page that is opened first is coloured by them.
    let mut certificate = look_at_certificate(&config, start.wall, &health);
    let mut in_place = Expiry::of_page(&config.console, start.wall);
    tell_of_page(served(&ask(), start.wall).as_ref(), &in_place, warn_days, &health);
    let look_on = move |pause: threads::Pause| {
        for look in 1_u64.. {
            let now = clock.now();
            if look.is_multiple_of(CERTIFICATE_EVERY) {
                certificate = look_at_certificate(&config, now.wall, &health);
                in_place = Expiry::of_page(&config.console, now.wall);
            }
            let beside = ask();
            let served = served(&beside, now.wall);
            tell_of_page(served.as_ref(), &in_place, warn_days, &health);
            let shown = health.shown();
            let status = watch.step(now.monotonic, now.wall, &shown, beside);
            let directory = &config.keeping.directory;
            let free = rustix::fs::statvfs(directory).ok().map(|s| s.f_bavail * s.f_frsize);
            let told = Told {
                version: version::VERSION.into(),
                build: version::BUILD.into(),
                vehicle: config.vehicle.id.clone(),
                agency: config.vehicle.agency.clone(),
                now: now.wall,
                up_s: now.monotonic.saturating_sub(began).as_secs(),
                cameras: status.cameras,
                gps: Gps::of(config.gps.in_words(), &status.position, shown.parts.get("gps")),
                clock: shown.clock,
                lists: status.lists,
                policy: shown.policy,
                link: shown.parts.get("broker").cloned().unwrap_or(PartState::Off),
                waiting: status.waiting,
                storage: Storage {
                    path: directory.clone(),
                    free_bytes: free,
                    non_hits: status.kept,
                },
                certificate,
                page_certificate: served,
                reads: status.reads,
                hits: status.hits,
                // Asked for when somebody asks.
                shift: None,
                models: Vec::new(),
                parts: status.parts,
            };
            *latest.lock().expect("no holder panics") = Some(Look { told, counts: shown.cameras });
            if !pause.goes_on_after(LOOK) {
                return;
            }
        }
    };
    threads::spawn_until_dropped("standing", look_on).expect("the system can start a thread")
}

/// The certificate by which the page is served, if there is one.
fn served(beside: &Beside, now: Timestamp) -> Option<Expiry> {
    beside.car.page_certificate_ends.map(|ends| Expiry::until(ends, now))
}

/// Says in health how long the certificate holds.
fn look_at_certificate(config: &Config, now: Timestamp, health: &Health) -> Option<Expiry> {
    match Expiry::of(&config.uplink, now) {
        Ok(Some(expiry)) => {
            let warn_days = config.certificates.warn_days();
            tell(certificate::PART, &expiry, (warn_days, certificate::RENEW), health);
            Some(expiry)
        }
        Ok(None) => None,
        Err(e) => {
            health.set(certificate::PART, PartState::Down(e.to_string()));
            None
        }
    }
}

/// Says in health how long the certificate holds by which the page is served, which is not always the one that has its
/// place by now.
fn tell_of_page(
    served: Option<&Expiry>,
    in_place: &Result<Option<Expiry>, Unreadable>,
    warn_days: i64,
    health: &Health,
) {
    let Some(served) = served else {
        if let Err(e) = in_place {
            health.set(certificate::PAGE, PartState::Down(e.to_string()));
        }
        return;
    };
    let advice = match in_place {
        Ok(Some(renewed)) if renewed.ends > served.ends => certificate::RESTART,
        _ => certificate::RENEW_PAGE,
    };
    tell(certificate::PAGE, served, (warn_days, advice), health);
    health.set_page_certificate_days(Some(served.days_left));
}

fn tell(part: &str, expiry: &Expiry, (warn_days, advice): (i64, &str), health: &Health) {
    let state = expiry.health(warn_days, advice);
    if health.state(part).as_ref() != Some(&state) && state != PartState::Working {
        tracing::warn!(part, ends = %expiry.ends, days_left = expiry.days_left, "certificate ends");
    }
    health.set(part, state);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::console::status::CarStatus;
    use crate::clock::SystemClock;

    #[test]
    fn parts_of_both_certificates_are_told_before_a_page_can_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let ends = |days: i64| now + jiff::SignedDuration::from_hours(24 * days + 1);
        let mut params = rcgen::CertificateParams::new(vec!["4127".into()]).unwrap();
        params.not_after = std::time::SystemTime::from(ends(3)).into();
        let key = rcgen::KeyPair::generate().unwrap();
        let path = dir.path().join("4127.pem");
        std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        let state = dir.path().display();
        let text = format!(
            "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[keeping]\ndirectory = \"{state}\"\n"
        );
        let mut config = Config::parse(&text, std::path::Path::new("test.toml")).unwrap();
        config.uplink.certificate = Some(path);
        let page_ends = ends(20);
        let ask = move || Beside {
            lists: Vec::new(),
            hotplates: None,
            position: Position::NoFix,
            waiting: 0,
            kept: String::new(),
            past: Vec::new(),
            car: CarStatus { page_certificate_ends: Some(page_ends), ..CarStatus::default() },
        };
        let (clock, health) = (Arc::new(SystemClock), Arc::new(Health::default()));
        let latest = Latest::default();
        let _looks =
            spawn(&config, Vec::new(), clock, health.clone(), Box::new(ask), latest.clone());
        let told = [certificate::PART, certificate::PAGE].map(|part| health.state(part));
        let [Some(PartState::Down(broker)), Some(PartState::Impaired(page))] = &told else {
            panic!("{told:?}")
        };
        assert!(broker.contains("in 3 days") && page.contains("in 20 days"), "{told:?}");
    }

    #[test]
    fn page_s_certificate_is_told_with_its_days_and_a_renewed_one_asks_for_a_restart() {
        let health = Health::default();
        tell_of_page(None, &Ok(None), 30, &health);
        let before = (health.state(certificate::PAGE), health.snapshot().page_certificate_days);
        assert_eq!(before, (None, None), "a page on loopback has none");
        let ends = |text: &str| {
            Expiry::until(text.parse().unwrap(), "2026-12-01T00:00:00Z".parse().unwrap())
        };
        let (served, renewed) = (ends("2026-12-24T12:00:00Z"), ends("2027-12-01T00:00:00Z"));
        tell_of_page(Some(&served), &Ok(Some(served)), 30, &health);
        assert_eq!(health.snapshot().page_certificate_days, Some(23));
        let said = |health: &Health| match health.state(certificate::PAGE) {
            Some(PartState::Impaired(why)) => why,
            other => panic!("{other:?}"),
        };
        let why = said(&health);
        assert!(why.contains("in 23 days") && why.contains("renew it"), "{why}");
        tell_of_page(Some(&served), &Ok(Some(renewed)), 30, &health);
        let why = said(&health);
        assert!(why.contains("in 23 days") && why.ends_with(certificate::RESTART), "{why}");
        tell_of_page(Some(&renewed), &Ok(Some(renewed)), 30, &health);
        assert_eq!(health.state(certificate::PAGE), Some(PartState::Working));
        assert_eq!(health.snapshot().page_certificate_days, Some(365));
        assert_eq!(health.state(certificate::PART), None, "the broker's is another");
    }
}
