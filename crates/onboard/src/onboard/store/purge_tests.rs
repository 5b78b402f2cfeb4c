//! What the ring records of its purges, that wrong clocks keep nothing longer, how it survives a
//! bad disk.

use proptest::prelude::*;
use rstest::rstest;

use super::super::{PART, PurgeReason, Ring};
use super::tests::*;
use super::*;
use crate::clock::{Clock, SimulatedClock};
use crate::config::HumanBytes;
use crate::health::{Health, PartState};

#[test]
fn purge_record_says_what_went_and_by_which_clock() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let audit = Arc::new(Records::default());
    let config = keeping(dir.path(), Retention::For(HOUR));
    let open = |n, clock: &SimulatedClock| {
        let sealer = Some(sealer(dir.path()));
        Buckets::open(&config, sealer, boot(n), clock.now(), audit.clone()).unwrap()
    };
    let mut ring = open(1, &clock);
    ring.write(&[kept(1, clock.now()), kept(2, clock.now())], clock.now()).unwrap();
    let name = ring.buckets[0].name().to_owned();
    let key = ring.buckets[0].key_id();
    drop(ring);
    // It is counted and named although another run wrote it.
    let rebooted = SimulatedClock::starting_at(clock.now().wall + HOUR / 2);
    let mut ring = open(2, &rebooted);
    ring.set_source(TimeSource::Gps);
    rebooted.advance(HOUR / 2);
    ring.purge_due(rebooted.now()).unwrap();
    let taken = audit.taken.lock().unwrap();
    let [record] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!((&record.bucket, record.rows), (&name, Some(2)));
    assert_eq!((record.key.clone(), record.reason), (key, PurgeReason::Expired));
    assert_eq!(record.key.as_ref().map(String::len), Some(16));
    assert_eq!((record.time_source, record.at), (TimeSource::Gps, rebooted.now().wall));
    assert_eq!(record.boot_ms, 1_800_000);
    assert_eq!(record.opened, Some(clock.now().wall - OUT_OF_ORDER));
    let json = serde_json::to_string(record).unwrap();
    assert!(!json.contains("NOHIT"), "{json}");
}

#[test]
fn record_that_the_audit_refuses_is_offered_again_and_the_bucket_is_gone_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let audit = Arc::new(Records::default());
    let config = keeping(dir.path(), Retention::For(HOUR));
    let sealer = Some(sealer(dir.path()));
    let mut ring = Buckets::open(&config, sealer, boot(1), clock.now(), audit.clone()).unwrap();
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    audit.refuses.store(true, std::sync::atomic::Ordering::Relaxed);
    clock.advance(HOUR);
    ring.purge_due(clock.now()).unwrap();
    assert_eq!(files(&dir.path().join("state/ring")), Vec::<PathBuf>::new());
    assert!(audit.taken.lock().unwrap().is_empty());
    audit.refuses.store(false, std::sync::atomic::Ordering::Relaxed);
    ring.purge_due(clock.now()).unwrap();
    ring.purge_due(clock.now()).unwrap();
    assert_eq!(audit.taken.lock().unwrap().len(), 1, "once");
}

#[test]
fn file_whose_end_was_told_goes_at_the_next_start_and_is_not_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let config = keeping(dir.path(), Retention::For(HOUR));
    let open = |audit: &Arc<Records>| {
        let sealer = Some(sealer(dir.path()));
        Buckets::open(&config, sealer, boot(1), clock.now(), audit.clone()).unwrap()
    };
    let audit = Arc::new(Records::default());
    let mut ring = open(&audit);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    // The process was killed after the record and before the removal.
    let mut bucket = ring.buckets.pop_back().unwrap();
    assert!(bucket.destroy_key().unwrap());
    bucket.rename_destroyed().unwrap();
    ring.writing = false;
    drop((bucket, ring));
    let left = files(&dir.path().join("state/ring"));
    assert!(left.len() == 1 && left[0].extension().is_some_and(|e| e == "gone"), "{left:?}");
    let ring = open(&audit);
    assert_eq!(files(&dir.path().join("state/ring")), Vec::<PathBuf>::new());
    assert!(ring.buckets.is_empty() && audit.taken.lock().unwrap().is_empty());
    // A configuration that keeps nothing removes it too.
    fs::write(dir.path().join("state/ring/0123456789abcdef.gone"), "noise").unwrap();
    remove_all(&config, clock.now(), TimeSource::Ntp, &*audit).unwrap();
    assert!(!dir.path().join("state/ring").exists() && audit.taken.lock().unwrap().is_empty());
}

#[test]
fn files_leave_aside_and_the_ring_stays_within_its_size_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let config = KeepingConfig {
        ring_bytes: HumanBytes::mib(1),
        ..keeping(dir.path(), Retention::For(HOUR))
    };
    let audit = Arc::new(Records::default());
    let sealer = Some(sealer(dir.path()));
    let mut ring = Buckets::open(&config, sealer, boot(1), clock.now(), audit.clone()).unwrap();
    ring.work_aside();
    let folder = dir.path().join("state/ring");
    for n in 0..60 {
        let read = Kept { thumbnail: Some(vec![7; 30_000]), ..kept(n, clock.now()) };
        assert_eq!(ring.write(&[read], clock.now()).unwrap(), Outcome::Written);
        // Files may be removed while they are counted.
        let sizes = files(&folder)
            .iter()
            .filter_map(|f| fs::metadata(f).ok())
            .map(|m| m.len())
            .sum::<u64>();
        assert!(sizes <= 1 << 20, "{sizes} after {n}");
        clock.advance(Duration::from_secs(5));
    }
    assert!(audit.taken.lock().unwrap().len() > 2);
    clock.advance(HOUR);
    ring.purge_due(clock.now()).unwrap();
    // The keys are destroyed, whether the files are removed or not.
    assert!(files(&folder).iter().all(|f| f.extension().is_some_and(|e| e == "gone")));
    drop(ring);
    assert_eq!(files(&folder), Vec::<PathBuf>::new(), "whoever stops it waits for the rest");
}

#[test]
fn file_that_will_not_go_is_said_until_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.work_aside();
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    // A folder in the place of its file behaves like a disk that refuses, even for root.
    let path = dir.path().join(format!("state/ring/{}.db", ring.buckets[0].name()));
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(path.join("in the way")).unwrap();
    clock.advance(HOUR);
    let _ = ring.purge_due(clock.now());
    ring.file_remover.wait();
    for _ in 0..3 {
        let said = ring.purge_due(clock.now()).unwrap_err().to_string();
        assert!(said.contains(".gone"), "{said}");
    }
    assert_eq!(ring.take_purged().len(), 1, "told once");
    fs::remove_dir_all(path.with_extension("gone")).unwrap();
    ring.purge_due(clock.now()).unwrap();
}

#[test]
fn full_ring_sheds_its_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let config = KeepingConfig {
        ring_bytes: HumanBytes::mib(1),
        ..keeping(dir.path(), Retention::For(HOUR))
    };
    let mut ring = open_as(&config, Some(sealer(dir.path())), boot(1), &clock);
    for n in 0..60 {
        let read = Kept { thumbnail: Some(vec![7; 30_000]), ..kept(n, clock.now()) };
        assert_eq!(ring.write(&[read], clock.now()).unwrap(), Outcome::Written);
        clock.advance(Duration::from_secs(5));
    }
    let there = plates(&ring, dir.path());
    assert!(there.len() > 10 && there.len() < 40, "{}", there.len());
    let newest: Vec<_> = (60 - there.len() as u32..60).map(plate).collect();
    assert_eq!(there, newest, "what is there are the newest, and every one of them");
    assert!(ring.take_purged().iter().all(|p| p.reason == PurgeReason::Shed));
}

#[test]
fn ring_gives_way_when_others_fill_the_disk_while_nothing_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    ring.reserve = 1 << 30;
    ring.free = |_| 1 << 29;
    ring.purge_due(clock.now()).unwrap();
    assert!(ring.buckets.is_empty());
}

#[test]
fn thumbnail_is_the_plate_alone_and_only_where_asked_for() {
    let read = read(1, clock().now());
    let with = Kept::of(&read, true).thumbnail.unwrap();
    let size = turbojpeg::read_header(&with).unwrap();
    assert_eq!((size.width, size.height), (read.crop.width as usize, read.crop.height as usize));
    assert!(Kept::of(&read, false).thumbnail.is_none());
}

#[test]
fn clock_that_nobody_vouches_for_adopts_nothing_of_an_earlier_boot() {
    // A machine without a battery clock starts with the time of its shutdown: half a minute has
    // passed by its own clock, a day in fact.
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    drop(ring);
    let config = keeping(dir.path(), Retention::For(HOUR));
    let asleep = SimulatedClock::starting_at(clock.now().wall + Duration::from_secs(30));
    let unverified = |n| (boot(n).0, TimeSource::Unverified);
    // The same boot needs nobody to vouch: its own clock went on.
    let ring = open_as(&config, Some(sealer(dir.path())), unverified(1), &clock);
    assert_eq!(ring.buckets.len(), 1);
    drop(ring);
    let mut ring = open_as(&config, Some(sealer(dir.path())), unverified(2), &asleep);
    assert!(ring.buckets.is_empty());
    let [gone] = &ring.take_purged()[..] else { panic!("one record") };
    assert_eq!((gone.reason, gone.rows), (PurgeReason::Unwanted, Some(1)));
}

/// The time to which the wall clock is set, while running or over a restart.
#[rstest]
#[case::back_by_minutes("2026-11-23T07:50:00Z")]
#[case::back_by_years("2001-01-01T00:00:00Z")]
#[case::forward_by_minutes("2026-11-23T08:20:00Z")]
#[case::forward_by_years("2038-01-01T00:00:00Z")]
fn stepped_clock_keeps_no_read_longer(
    #[case] wall: &str,
    #[values(false, true)] new_boot: bool,
    #[values(false, true)] new_run: bool,
) {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    clock.advance(HOUR / 4);
    match new_boot {
        true => clock.reboot(wall.parse().unwrap()),
        false => clock.set_wall(wall.parse().unwrap()),
    }
    if new_boot || new_run {
        drop(ring);
        ring = open(dir.path(), HOUR, 1 + u8::from(new_boot), &clock);
    }
    // Three quarters of an hour later the hour is over, by either clock.
    clock.advance(HOUR / 4 * 3);
    ring.purge_due(clock.now()).unwrap();
    assert_eq!(plates(&ring, dir.path()), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    /// Whatever the wall clock does while the machine runs, and however often the daemon restarts:
    /// no read remains when its time is over by the boot clock.
    #[test]
    fn no_wall_clock_keeps_a_read_longer(
        steps in prop::collection::vec((1_u64..900, -100_000_i64..100_000, any::<bool>()), 1..12)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock();
        let mut ring = open(dir.path(), HOUR, 1, &clock);
        let mut seen = Vec::new();
        for (n, (pause, jump, restart)) in (0..).zip(steps) {
            ring.write(&[kept(n, clock.now())], clock.now()).unwrap();
            seen.push((plate(n), clock.now().monotonic));
            clock.advance(Duration::from_secs(pause));
            let wall = clock.now().wall + jiff::SignedDuration::from_secs(jump);
            clock.set_wall(wall);
            if restart {
                drop(ring);
                ring = open(dir.path(), HOUR, 1, &clock);
            }
            ring.purge_due(clock.now()).unwrap();
            let there = plates(&ring, dir.path());
            for (plate, at) in &seen {
                let age = clock.now().monotonic - *at;
                prop_assert!(age < HOUR || !there.contains(plate), "{} after {:?}", plate, age);
            }
        }
    }
}

/// A file in the place of the folder behaves like a read-only or broken disk, even for root.
#[test]
fn disk_that_refuses_is_said_and_the_ring_comes_back_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let config = keeping(dir.path(), Retention::For(HOUR));
    fs::create_dir_all(&config.directory).unwrap();
    let in_the_way = config.directory.join("ring");
    fs::write(&in_the_way, "x").unwrap();
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock);
    let ring = Ring::open(&config, clock.clone(), health.clone()).unwrap();
    let Some(PartState::Down(why)) = health.state(PART) else { panic!("said nothing") };
    assert!(why.contains("not kept") && why.contains("ring"), "{why}");
    ring.offer(read(1, clock.now()));
    fs::remove_file(&in_the_way).unwrap();
    until("the ring works", || health.state(PART) == Some(PartState::Working));
    ring.offer(read(2, clock.now()));
    drop(ring);
    assert_eq!(health.ring_written.get() + health.ring_dropped.get(), 2);
    assert!(health.ring_written.get() >= 1);
}

#[test]
fn configuration_that_keeps_nothing_clears_a_refusing_disk_once_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let config = keeping(dir.path(), Retention::Nothing);
    let stuck = config.directory.join("ring/0123456789abcdef.db");
    fs::create_dir_all(stuck.join("in the way")).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock);
    let ring = Ring::open(&config, clock.clone(), health.clone()).unwrap();
    assert!(matches!(health.state(PART), Some(PartState::Down(_))));
    ring.offer(read(1, clock.now()));
    fs::remove_dir_all(&stuck).unwrap();
    until("the rest is gone", || health.state(PART) == Some(PartState::Off));
    assert!(!config.directory.join("ring").exists());
    drop(ring);
    assert_eq!(health.ring_written.get(), 0);
}

#[test]
fn suspended_car_keeps_no_read_longer() {
    // The night in suspend counts, although the wall clock was set back too.
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    let before = clock.now().wall;
    clock.sleep(8 * HOUR);
    clock.set_wall(before);
    ring.purge_due(clock.now()).unwrap();
    assert!(ring.buckets.is_empty());
    assert_eq!(files(&dir.path().join("state/ring")), Vec::<PathBuf>::new());
}

#[test]
fn hibernated_car_whose_boot_clock_stood_still_keeps_no_read_longer_once_the_wall_clock_is_right() {
    // Without a battery clock the kernel does not know how long it was off: only the wall clock can
    // show it.
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    clock.set_wall(clock.now().wall + 8 * HOUR);
    ring.purge_due(clock.now()).unwrap();
    assert!(ring.buckets.is_empty());
}

/// Polls, because the ring's thread checks once a second.
fn until(what: &str, done: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn session_ends_when_the_machine_sleeps() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(clock());
    let health = Arc::new(Health::default());
    let config = keeping(dir.path(), Retention::Session);
    let ring = Ring::open(&config, clock.clone(), health.clone()).unwrap();
    let folder = dir.path().join("state/ring");
    ring.offer(read(1, clock.now()));
    until("a read", || health.ring_written.get() == 1);
    let before = files(&folder);
    assert!(!before.is_empty());
    // A long drive does not end a session.
    clock.advance(8 * HOUR);
    ring.offer(read(2, clock.now()));
    until("another", || health.ring_written.get() == 2);
    assert_eq!(health.ring_purged.get(), 0);
    clock.sleep(8 * HOUR);
    until("the end", || health.ring_purged.get() == 2);
    let after = files(&folder);
    assert!(after.iter().all(|file| !before.contains(file)), "{before:?} {after:?}");
}
