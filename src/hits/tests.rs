//! What is kept and what goes: holds, pictures, dispositions, clocks, a disk that refuses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rstest::rstest;
use sha2::Digest as _;

use super::*;
use crate::clock::SimulatedClock;
use crate::config::HumanDuration;
use crate::uplink::tests::{hit, vehicle};
use crate::wire::{DispositionStep, Message, QueueReport, StopOutcome};

const DAY: Duration = Duration::from_secs(86_400);

struct Car {
    dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    health: Arc<Health>,
    keeping: KeepingConfig,
}

impl Car {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keeping = KeepingConfig {
            directory: dir.path().join("state"),
            hits: HumanDuration::from_secs(30 * 86_400),
            hit_images: HumanDuration::from_secs(7 * 86_400),
            ..KeepingConfig::default()
        };
        let clock = Arc::new(SimulatedClock::starting_at(start()));
        clock.advance(Duration::from_secs(60));
        Self { dir, clock, health: Arc::default(), keeping }
    }

    fn open(&self) -> Outbox {
        Outbox::open(&self.keeping, &vehicle(), self.clock.clone(), self.health.clone()).unwrap()
    }

    fn holds(&self) -> Holds {
        Holds::open(&self.keeping.directory, self.clock.clone()).unwrap()
    }
}

fn start() -> Timestamp {
    "2026-11-23T07:00:00Z".parse().unwrap()
}

/// Sends and acknowledges everything that is due; the names of what it was, in order.
fn deliver(outbox: &Outbox) -> Vec<String> {
    let name = |what| match what {
        Outbound::Hit(_) => "text".to_owned(),
        Outbound::PlateImage { .. } => "picture".to_owned(),
        Outbound::Disposition(_) => "disposition".to_owned(),
        other => panic!("{other:?} in the outbox"),
    };
    testing_deliver(outbox).into_iter().map(name).collect()
}

#[test]
fn pictures_go_before_their_hits_and_text_stays() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    deliver(&outbox);
    let told: Arc<Mutex<Vec<Gone>>> = Arc::default();
    let sink = told.clone();
    outbox.on_gone(move |gone| sink.lock().unwrap().push(gone));
    car.clock.advance(7 * DAY + Duration::from_secs(1));
    assert!(outbox.image(hit(1).id(), HitImage::Context).unwrap().is_some());
    assert_eq!(outbox.forget_old().unwrap(), keep::Gone { hits: 0, images: 2 });
    for image in [HitImage::Plate, HitImage::Context] {
        assert_eq!(outbox.image(hit(1).id(), image).unwrap(), None, "{}", image.name());
    }
    let kept = outbox.recent(9).unwrap();
    assert_eq!(kept[0].report.images.len(), 1, "the report still names the digest");
    car.clock.advance(24 * DAY);
    assert_eq!(outbox.forget_old().unwrap(), keep::Gone { hits: 1, images: 0 });
    assert_eq!(outbox.forget_old().unwrap(), keep::Gone::default());
    let told = told.lock().unwrap();
    assert_eq!(told[..], [Gone { hits: 0, images: 2 }, Gone { hits: 1, images: 0 }], "once each");
}

#[test]
fn picture_of_the_vehicle_is_kept_and_is_in_no_message() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    let context = outbox.image(hit(1).id(), HitImage::Context).unwrap().unwrap();
    let plate = outbox.plate_jpeg(hit(1).id()).unwrap().unwrap();
    assert_ne!(context, plate);
    let digest = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(&context));
    let sent = testing_deliver(&outbox);
    assert_eq!(sent.len(), 2, "the text and the plate's picture");
    for what in sent {
        let message = Message::new(&vehicle(), what);
        let payload = message.payload();
        let holds = |part: &[u8]| payload.windows(part.len()).any(|bytes| bytes == part);
        assert!(!holds(&context) && !holds(digest.as_bytes()), "{}", message.topic());
    }
}

#[test]
fn picture_shared_by_two_hits_stays_for_the_second() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    deliver(&outbox);
    // The same picture under another hit: as if the plate had been cropped to the same pixels.
    let store = outbox.db().unwrap();
    store
        .db
        .execute_batch(
            "INSERT INTO hit SELECT x'000000000000000000000000000000ff', 0, report, detail FROM hit;
             INSERT INTO hit_image SELECT x'000000000000000000000000000000ff', name, sha256
                 FROM hit_image;
             INSERT INTO outbox (hit, kind, bytes)
                 VALUES (x'000000000000000000000000000000ff', 0, 1);",
        )
        .unwrap();
    drop(store);
    car.clock.advance(31 * DAY);
    assert_eq!(outbox.forget_old().unwrap().hits, 1);
    let images: i64 =
        outbox.db().unwrap().db.query_row("SELECT count(*) FROM image", (), |r| r.get(0)).unwrap();
    assert_eq!(images, 2, "the plate's and the vehicle's");
}

#[test]
fn held_hit_outlives_its_retention_until_the_hold_ends() {
    let car = Car::new();
    let outbox = car.open();
    for n in 1..=3 {
        outbox.record(&hit(n)).unwrap();
    }
    deliver(&outbox);
    let holds = car.holds();
    let until = start() + 90 * DAY;
    holds.place(hit(1).id(), "court order 26-118", "Sgt. Okafor", until).unwrap();
    holds.place(hit(2).id(), "complaint", "Sgt. Okafor", until).unwrap();
    car.clock.advance(31 * DAY);
    assert_eq!(outbox.forget_old().unwrap().hits, 1, "the one that nobody holds");
    assert!(outbox.plate_jpeg(hit(1).id()).unwrap().is_some(), "its picture is held too");
    assert_eq!(holds.in_force().unwrap().len(), 2);
    // One ends by hand, one by itself.
    assert_eq!(holds.release(hit(2).id(), "Insp. Roy").unwrap(), 1);
    assert!(matches!(holds.release(hit(2).id(), "Insp. Roy"), Err(HoldError::NotHeld(_))));
    assert_eq!(outbox.forget_old().unwrap().hits, 1);
    car.clock.advance(60 * DAY);
    assert_eq!(outbox.forget_old().unwrap().hits, 1);
    assert_eq!(outbox.recent(9).unwrap().len(), 0);
}

#[test]
fn hold_needs_a_hit_a_reason_an_author_and_a_future() {
    let car = Car::new();
    assert!(matches!(
        Holds::open(&car.keeping.directory, car.clock.clone()),
        Err(HoldError::NoHits(_))
    ));
    car.open().record(&hit(1)).unwrap();
    let holds = car.holds();
    let place = |n, reason, author, until| {
        holds.place(hit(n).id(), reason, author, until).unwrap_err().to_string()
    };
    let later = start() + DAY;
    assert_eq!(place(1, " ", "a", later), "a hold needs a reason that is not empty");
    assert_eq!(place(1, "r", "", later), "a hold needs an author that is not empty");
    assert!(place(1, "r", "a", start()).contains("would be over already"));
    assert!(place(9, "r", "a", later).contains("there is no hit"));
}

#[test]
fn hold_placed_beside_a_running_daemon_sends_nothing_twice() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    let due = outbox.due(1, true, &|_| false).unwrap();
    outbox.progress(&[(due[0].seq, News::Sent)]).unwrap();
    car.holds().place(hit(1).id(), "r", "a", start() + DAY).unwrap();
    assert_eq!(outbox.recent(1).unwrap()[0].delivery, Delivery::Sent);
}

#[test]
fn dispositions_follow_their_hits_text_in_order() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    let step = |step, outcome| {
        let at = car.clock.now().wall;
        let report = DispositionReport::new(
            &vehicle(),
            hit(1).id(),
            at,
            &crate::sessions::SignedIn::for_tests("badge 881", crate::policy::Who::Officer),
            step,
            outcome,
        );
        outbox.decide(&report).unwrap();
        outbox.decide(&report).unwrap();
        report
    };
    let first = step(DispositionStep::ConfirmedBySight, None);
    let second = step(DispositionStep::Outcome, Some(StopOutcome::Arrest));
    assert_eq!(outbox.queue().unwrap().dispositions, 2);
    // While the text has not been handed over, nothing else is due.
    assert_eq!(outbox.due(9, false, &|_| false).unwrap().len(), 1);
    let sent = deliver(&outbox);
    assert_eq!(sent[0], "text");
    assert_eq!(sent.len(), 4);
    assert_eq!(outbox.queue().unwrap(), QueueReport::default());
    assert_eq!(outbox.dispositions(hit(1).id()).unwrap(), [first, second]);
    let stranger = DispositionReport::new(
        &vehicle(),
        hit(9).id(),
        start(),
        &crate::sessions::SignedIn::for_tests("badge 881", crate::policy::Who::Officer),
        DispositionStep::Misread,
        None,
    );
    assert!(matches!(outbox.decide(&stranger), Err(OutboxError::NoSuchHit(_))));
}

#[test]
fn hit_whose_disposition_is_not_delivered_stays() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    deliver(&outbox);
    let step = DispositionStep::Stale;
    let report = DispositionReport::new(
        &vehicle(),
        hit(1).id(),
        start(),
        &crate::sessions::SignedIn::for_tests("badge 1", crate::policy::Who::Officer),
        step,
        None,
    );
    outbox.decide(&report).unwrap();
    car.clock.advance(60 * DAY);
    assert_eq!(outbox.forget_old().unwrap().hits, 0);
    deliver(&outbox);
    car.clock.advance(31 * DAY);
    assert_eq!(outbox.forget_old().unwrap().hits, 1);
}

/// The clock stepped after delivery, then real time passes: the hit is gone when its time is over,
/// whatever the wall clock says.
#[rstest]
#[case::back_by_minutes("2026-11-23T06:50:00Z")]
#[case::back_by_years("2001-01-01T00:00:00Z")]
#[case::forward_by_minutes("2026-11-23T07:20:00Z")]
#[case::forward_by_years("2038-01-01T00:00:00Z")]
fn stepped_clock_keeps_no_hit_longer(
    #[case] wall: &str,
    #[values(false, true)] over_a_restart: bool,
) {
    let car = Car::new();
    let mut outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    deliver(&outbox);
    let wall: Timestamp = wall.parse().unwrap();
    match over_a_restart {
        true => {
            drop(outbox);
            car.clock.reboot(wall);
            outbox = car.open();
        }
        false => car.clock.set_wall(wall),
    }
    for _ in 0..31 {
        car.clock.advance(DAY);
        outbox.forget_old().unwrap();
    }
    assert_eq!(outbox.recent(9).unwrap().len(), 0);
}

#[test]
fn nights_in_suspend_count_whatever_the_wall_clock_says() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    deliver(&outbox);
    let wall = car.clock.now().wall;
    for _ in 0..31 {
        car.clock.sleep(DAY);
        car.clock.set_wall(wall);
        outbox.forget_old().unwrap();
    }
    assert_eq!(outbox.recent(9).unwrap().len(), 0);
}

#[test]
fn clock_that_starts_in_1970_and_is_then_set_forgets_nothing_early() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    deliver(&outbox);
    drop(outbox);
    for day in 1..10 {
        car.clock.reboot(Timestamp::UNIX_EPOCH);
        let outbox = car.open();
        car.clock.advance(Duration::from_secs(30));
        outbox.forget_old().unwrap();
        car.clock.set_wall(start() + day * DAY);
        outbox.forget_old().unwrap();
        assert_eq!(outbox.recent(9).unwrap().len(), 1, "day {day}");
    }
}

#[test]
fn full_disk_takes_the_reserve_then_delivered_hits_and_never_a_held_or_waiting_one() {
    let car = Car::new();
    let outbox = car.open();
    assert!(outbox.0.reserve.exists());
    for n in 0..40 {
        outbox.record(&hit(n)).unwrap();
    }
    deliver(&outbox);
    car.holds().place(hit(0).id(), "r", "a", start() + 90 * DAY).unwrap();
    outbox.limit_pages_for_tests(Some(0));
    // Until every picture and hit that may go has gone, and the disk is full of what must stay.
    let mut n = 100;
    while outbox.record(&hit(n)).is_ok() {
        n += 1;
        assert!(n < 1_000, "the disk never fills");
    }
    assert!(!outbox.0.reserve.exists(), "it went first");
    let there: Vec<_> = outbox.recent(usize::MAX).unwrap().iter().map(|h| h.id).collect();
    assert!(there.contains(&hit(0).id()), "held");
    assert!(outbox.plate_jpeg(hit(0).id()).unwrap().is_some());
    assert!(!there.contains(&hit(1).id()), "delivered, and given up");
    for new in 100..n {
        assert!(there.contains(&hit(new).id()), "hit {new} was told to be on the disk");
    }
    assert!(n > 120, "only {} hits fitted where 40 had been", n - 100);
    let Some(PartState::Down(why)) = car.health.state(PART) else { panic!("said nothing") };
    assert!(why.starts_with("1 hit is in memory only"), "{why}");
    outbox.limit_pages_for_tests(None);
    outbox.retry_refused();
    assert_eq!(car.health.state(PART), Some(PartState::Working));
    assert!(outbox.0.reserve.exists(), "made again");
}

#[test]
fn memory_is_bounded_and_what_is_lost_is_counted() {
    let car = Car::new();
    let outbox = car.open();
    outbox.limit_pages_for_tests(Some(0));
    let most = u32::try_from(write::MOST_IN_MEMORY).unwrap();
    for n in 0..most + 15 {
        let _ = outbox.record(&hit(n));
    }
    let held = outbox.queue().unwrap().not_on_disk;
    assert_eq!(held, most);
    let counted = car.health.recorded.get() + u64::from(held) + car.health.hits_lost.get();
    assert_eq!(counted, u64::from(most) + 15);
    assert!(car.health.hits_lost.get() > 0);
    let Some(PartState::Down(why)) = car.health.state(PART) else { panic!("said nothing") };
    assert!(why.contains("no more fit"), "{why}");
}

/// The car shows what the part says: a number that covert hits are part of would tell of them.
#[test]
fn covert_hits_that_the_disk_refuses_are_in_no_number_that_the_car_shows() {
    let car = Car::new();
    let outbox = car.open();
    outbox.limit_pages_for_tests(Some(0));
    let mut n = 0;
    while outbox.record(&hit(n)).is_ok() {
        n += 1;
        assert!(n < 1_000, "the disk never fills");
    }
    let why = || match car.health.state(PART) {
        Some(PartState::Down(why)) => why,
        state => panic!("{state:?}"),
    };
    assert!(why().starts_with("1 hit is in memory only"), "{}", why());
    outbox.refused().iter_mut().for_each(|hit| hit.covert = true);
    outbox.retry_refused();
    assert!(why().starts_with("hits are in memory only"), "{}", why());
}

/// A folder that is a file: what a read-only or broken disk looks like to us, root included.
#[test]
fn disk_that_refuses_from_the_start_is_said_and_tried_again() {
    let car = Car::new();
    std::fs::write(&car.keeping.directory, "in the way").unwrap();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap_err();
    let Some(PartState::Down(why)) = car.health.state(PART) else { panic!("said nothing") };
    assert!(why.starts_with("1 hit is in memory only"), "{why}");
    std::fs::remove_file(&car.keeping.directory).unwrap();
    crate::uplink::tests::until("hits are on the disk", || {
        outbox.retry_refused();
        car.health.state(PART) == Some(PartState::Working)
    });
    assert_eq!(outbox.recent(9).unwrap().len(), 1);
    let folder: &Path = car.dir.path();
    assert!(folder.join("state/hits.db").exists());
}

/// Ruins the database under an open connection, its journal too.
fn ruin(path: &Path) {
    for suffix in ["", "-wal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let length = std::fs::metadata(&name).map_or(0, |m| m.len());
        if length > 0 {
            std::fs::write(&name, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
        }
    }
}

#[test]
fn database_ruined_while_it_is_open_is_set_aside_and_the_next_hits_are_recorded() {
    let car = Car::new();
    let outbox = car.open();
    outbox.record(&hit(1)).unwrap();
    let seen = outbox.due(10, false, &|_| false).unwrap().iter().map(|item| item.seq).max();
    ruin(outbox.path());
    // What the connection has in memory would serve on.
    outbox.db().unwrap().db.execute_batch("PRAGMA shrink_memory").unwrap();
    // The first may be refused; it is held, and written once there is a database that takes it.
    for n in 2..5 {
        let _ = outbox.record(&hit(n));
    }
    let start = std::time::Instant::now();
    while !outbox.queue().is_ok_and(|q| q.not_on_disk == 0 && q.hits >= 3) {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", car.health.state(PART));
        std::thread::sleep(Duration::from_millis(20));
        outbox.retry_refused();
    }
    let kept: Vec<_> = outbox.recent(10).unwrap().iter().map(|kept| kept.id).collect();
    assert!((2..5).all(|n| kept.contains(&hit(n).id())), "{kept:?}");
    let aside = crate::aside::list(&car.keeping.directory);
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(matches!(car.health.state(crate::aside::PART), Some(PartState::Impaired(_))));
    // An acknowledgement of a message of before names none of these.
    let first = outbox.due(10, false, &|_| false).unwrap().iter().map(|item| item.seq).min();
    assert!(first > seen, "{first:?} {seen:?}");
    outbox.verify().unwrap();
    assert_eq!(car.health.hits_lost.get(), 0);
}

#[test]
fn database_of_a_later_version_or_another_key_does_not_keep_the_car_from_recording() {
    for how in ["later", "other key"] {
        let car = Car::new();
        drop(car.open());
        let path = car.keeping.directory.join("hits.db");
        if how == "later" {
            let key = crate::keys::DeviceKey::load(&car.keeping.directory).unwrap();
            let key = key.derive(crate::keys::Purpose::Hits);
            let durability = crate::sqlcipher::Durability::Full;
            let db = crate::sqlcipher::open(&path, &key, durability, "", 2).unwrap();
            db.execute_batch("PRAGMA user_version = 9").unwrap();
        } else {
            std::fs::write(&path, [0x5a; 16_384]).unwrap();
        }
        let outbox = car.open();
        outbox.record(&hit(1)).unwrap();
        assert_eq!(outbox.recent(10).unwrap().len(), 1, "{how}");
        assert_eq!(crate::aside::list(&car.keeping.directory).len(), 1, "{how}");
    }
}
