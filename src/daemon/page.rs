//! What the officer's page gets from the running parts: hits of before the start, and what health does
//! not know.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;
use ulid::Ulid;

use super::lists;
use crate::alert::Sounder;
use crate::alert::card::Card;
use crate::alert::console::board::{Board, Older, Pictures};
use crate::alert::console::status::{Beside, CarStatus};
use crate::alert::shift;
use crate::clock::{Clock, FrameTime};
use crate::config::{Config, KeepingConfig, Retention};
use crate::gps::Fixes;
use crate::health::Health;
use crate::hits::{HitImage, Outbox};
use crate::hotlist::Hotlists;
use crate::hotlist::hotplate::{Hotplates, Told};
use crate::policy::{HeldPolicy, VerifyRules, limit_keeping};
use crate::records::disposition::Told as Stands;
use crate::records::lookup::past::PastReads;
use crate::uplink::certificate::Expiry;

/// Hits of before the start that the page lists.
pub(super) const RECALLED: usize = 20;

/// Puts the hits of before the start on the page.
pub(super) fn recall(board: &Board, outbox: &Outbox, verify: VerifyRules) {
    let recent = match outbox.recent(RECALLED) {
        Ok(recent) => recent,
        Err(e) => {
            warn!(error = %e, "earlier hits not shown");
            return;
        }
    };
    for kept in recent.into_iter().rev().filter(|kept| !kept.report.covert) {
        let image = |image| outbox.image(kept.id, image).ok().flatten().unwrap_or_default();
        let pictures =
            Pictures { plate: image(HitImage::Plate), context: image(HitImage::Context) };
        let width = turbojpeg::read_header(&pictures.plate).map_or(0, |header| header.width);
        let width = u32::try_from(width).unwrap_or(0);
        let stands = match outbox.dispositions(kept.id) {
            Ok(steps) => Stands::of(&steps, verify),
            // Not shown as unverified when it may have been rejected.
            Err(e) => {
                warn!(hit = %kept.id, error = %e, "earlier hit not shown");
                continue;
            }
        };
        board.recall(&Card::of_kept(&kept, width, stands), pictures);
    }
}

/// A picture of a hit that the page has no more, from where hits are kept. What is covert is as good as none.
pub(super) fn older(outbox: &Outbox) -> Older {
    let outbox = outbox.clone();
    Box::new(move |hit, image| {
        let id = Ulid::from_string(hit).ok()?;
        let kept = outbox.kept(id).ok().flatten()?;
        if kept.report.covert { None } else { outbox.image(id, image).ok().flatten() }
    })
}

/// What is past its retention goes from the page too. Neither keeps the other alive.
pub(super) fn forgets_with(board: &Arc<Board>, outbox: &Outbox) {
    let shown = Arc::downgrade(board);
    outbox.on_forgotten(move |forgotten| {
        if let Some(shown) = shown.upgrade() {
            shown.forget(forgotten);
        }
    });
}

/// When the certificate for the broker ends: asked once a minute at most, for it may be renewed.
fn certificate(config: &Config) -> impl Fn(FrameTime) -> Option<Timestamp> + Send + Sync + use<> {
    let path = config.uplink.certificate.clone();
    let known = Mutex::new((None, None));
    move |now| {
        let mut known = known.lock().expect("no holder panics");
        let fresh =
            known.0.is_some_and(|at| now.monotonic.saturating_sub(at) < Duration::from_secs(60));
        if !fresh {
            let ends = path.as_deref().and_then(|path| Expiry::of_file(path, now.wall).ok());
            *known = (Some(now.monotonic), ends.map(|expiry| expiry.ends));
        }
        known.1
    }
}

/// When the certificate ends that the page is served by. Asked once: the page reads it at its start and serves by it to
/// the end, whatever takes its place in the meantime.
fn page_certificate(config: &Config, now: Timestamp) -> Option<Timestamp> {
    let expiry = Expiry::of_page(&config.console, now).ok().flatten();
    expiry.map(|expiry| expiry.ends)
}

/// What is kept in this car and for how long, by the policy that is in force when it is asked.
pub(super) fn kept(
    config: &Config,
    policy: &Arc<HeldPolicy>,
    health: &Arc<Health>,
) -> Box<dyn Fn() -> String + Send + Sync> {
    let (keeping, policy, health) = (config.keeping.clone(), policy.clone(), health.clone());
    Box::new(move || {
        // What a new policy says of hits counts from the next start; of plates on no list, at once.
        let mut limited = keeping.clone();
        limit_keeping(&mut limited, &policy.rules().keeping);
        let kept = KeepingConfig { non_hit: limited.non_hit, ..keeping.clone() };
        shift::kept(&kept, health.policy())
    })
}

/// What the console asks besides health, four times a second.
pub(super) fn asker(
    config: &Config,
    clock: &Arc<dyn Clock>,
    (hotlists, hotplates, past): (&Arc<Hotlists>, Option<&Arc<Hotplates>>, Option<&Arc<PastReads>>),
    fixes: &Fixes,
    (outbox, sounder): (&Outbox, &Sounder),
) -> crate::alert::console::Ask {
    let (hotplates, past) = (hotplates.cloned(), past.cloned());
    let kept = match config.keeping.non_hit {
        Retention::Nothing => "not kept".to_owned(),
        Retention::Session => "kept encrypted until switched off".to_owned(),
        Retention::For(_) => format!("kept {}, encrypted", config.keeping.non_hit),
    };
    let (clock, hotlists, fixes, outbox) =
        (clock.clone(), hotlists.clone(), fixes.clone(), outbox.clone());
    let (sounder, certificate) = (sounder.clone(), certificate(config));
    let page_certificate_ends = page_certificate(config, clock.now().wall);
    let (folder, disk_reserve) =
        (config.keeping.directory.clone(), config.keeping.disk_reserve.get());
    // The database is asked once a second at most: its lock is the hits'.
    let waiting = Mutex::new((Duration::ZERO, 0));
    Box::new(move || {
        let now = clock.now();
        let mut waiting = waiting.lock().expect("no holder panics");
        if waiting.0.is_zero() || now.monotonic.saturating_sub(waiting.0) >= Duration::from_secs(1)
        {
            *waiting = (now.monotonic, outbox.waiting_openly().unwrap_or_default());
        }
        Beside {
            lists: lists::status(&hotlists, now.wall),
            hotplates: hotplates.as_ref().map(|h| h.list().into_iter().map(Told::from).collect()),
            position: fixes.at(now.monotonic),
            waiting: waiting.1,
            kept: kept.clone(),
            past: past.as_ref().map(|past| past.found()).unwrap_or_default(),
            car: CarStatus {
                certificate_ends: certificate(now),
                page_certificate_ends,
                disk_free: rustix::fs::statvfs(&folder)
                    .ok()
                    .map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
                disk_reserve,
                muted: sounder.muted().to_vec(),
                sounding: sounder.unanswered(),
            },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::console::board::Hello;
    use crate::clock::{SimulatedClock, SystemClock};
    use crate::config::{HumanDuration, Screen, Vehicle};
    use crate::hits::{testing_covert_hit, testing_deliver, testing_hit};

    #[test]
    fn what_is_past_its_retention_goes_from_the_page_and_from_its_memory() {
        const DAY: Duration = Duration::from_secs(86_400);
        let dir = tempfile::tempdir().unwrap();
        let keeping = KeepingConfig {
            directory: dir.path().join("state"),
            hits: HumanDuration::from_secs(30 * 86_400),
            hit_images: HumanDuration::from_secs(7 * 86_400),
            ..KeepingConfig::default()
        };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let start = "2026-11-23T07:00:00Z".parse().unwrap();
        let clock = Arc::new(SimulatedClock::starting_at(start));
        clock.advance(Duration::from_secs(60));
        let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let (old, new) = (testing_hit(1), testing_hit(2));
        let board = Arc::new(Board::new(&Hello {
            vehicle: "4127".into(),
            agency: "peel".into(),
            version: String::new(),
            screen: Screen::default(),
            nobody_drives: false,
        }));
        forgets_with(&board, &outbox);
        let deliver = |hit| {
            outbox.record(hit).unwrap();
            testing_deliver(&outbox);
        };
        deliver(&old);
        recall(&board, &outbox, VerifyRules::default());
        let id = old.id().to_string();
        let picture = |image| board.picture(&id, image).is_some_and(|jpeg| !jpeg.is_empty());
        assert!(board.has(&id) && picture(HitImage::Plate) && picture(HitImage::Context));
        clock.advance(6 * DAY);
        deliver(&new);
        outbox.forget_old().unwrap();
        assert!(board.has(&id) && picture(HitImage::Plate), "not yet");
        clock.advance(2 * DAY);
        outbox.forget_old().unwrap();
        assert!(board.has(&id) && !picture(HitImage::Plate) && !picture(HitImage::Context));
        clock.advance(23 * DAY);
        outbox.forget_old().unwrap();
        assert!(!board.has(&id));
    }

    #[test]
    fn pictures_come_from_where_hits_are_kept_and_none_of_a_covert_one() {
        let dir = tempfile::tempdir().unwrap();
        let keeping =
            KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (open, covert) = (testing_hit(1), testing_covert_hit(2));
        {
            let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
            for hit in [&open, &covert] {
                outbox.record(hit).unwrap();
            }
        }
        // As after a restart.
        let outbox = Outbox::open(&keeping, &vehicle, clock, Arc::default()).unwrap();
        let older = older(&outbox);
        for image in [HitImage::Plate, HitImage::Context] {
            let jpeg = older(&open.id().to_string(), image).expect("a picture of a hit of before");
            assert_eq!(turbojpeg::read_header(&jpeg).unwrap().width, 64);
            assert!(outbox.image(covert.id(), image).unwrap().is_some(), "one is withheld");
            assert_eq!(older(&covert.id().to_string(), image), None);
            assert_eq!(older(&testing_hit(3).id().to_string(), image), None);
            assert_eq!(older("../hits.db", image), None);
        }
    }
}
