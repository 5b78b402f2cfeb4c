//! Tests what the ring promises, on real files.

use std::sync::Mutex;

use proptest::prelude::*;
use ulid::Ulid;

use super::super::{PART, PurgeReason as Cause, Ring};
use super::*;
use crate::camera_id::CameraId;
use crate::clock::{Awake, Clock, SimulatedClock, SystemClock};
use crate::config::HumanBytes;
use crate::gps::Position;
use crate::health::{Health, PartState};
use crate::keys::DeviceKey;
use crate::onboard::read::PlateRead;
use crate::onboard::vision::candidate::{Confidence, Crop, Slots};
use crate::plate::Plate;

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn keeping(dir: &Path, non_hit: Retention) -> KeepingConfig {
    KeepingConfig {
        directory: dir.join("state"),
        non_hit,
        disk_reserve: HumanBytes::new(0),
        ..KeepingConfig::default()
    }
}

pub(super) fn clock() -> SimulatedClock {
    let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
    clock.advance(HOUR);
    clock
}

pub(super) fn sealer(dir: &Path) -> Sealer {
    Sealer::new(&DeviceKey::load(&dir.join("state")).unwrap())
}

pub(super) fn boot(n: u8) -> (BootId, TimeSource) {
    (BootId::from_bytes([n; 16]), TimeSource::Ntp)
}

pub(super) fn open_as(
    keeping: &KeepingConfig,
    sealer: Option<Sealer>,
    when: (BootId, TimeSource),
    clock: &dyn Clock,
) -> Buckets {
    Buckets::open(keeping, sealer, when, clock.now(), Arc::new(Records::default())).unwrap()
}

pub(super) fn open(dir: &Path, age: Duration, n: u8, clock: &SimulatedClock) -> Buckets {
    let keeping = keeping(dir, Retention::For(age));
    open_as(&keeping, Some(sealer(dir)), boot(n), clock)
}

/// A sink for purge records that can be set to refuse.
#[derive(Default)]
pub(super) struct Records {
    pub(super) taken: Mutex<Vec<PurgeRecord>>,
    pub(super) refuses: std::sync::atomic::AtomicBool,
}

impl PurgeSink for Records {
    fn purged(&self, record: &PurgeRecord) -> Result<(), String> {
        if self.refuses.load(std::sync::atomic::Ordering::Relaxed) {
            return Err("audit is full".into());
        }
        self.taken.lock().unwrap().push(record.clone());
        Ok(())
    }
}

pub(super) fn kept(n: u32, seen: FrameTime) -> Kept {
    Kept {
        id: Ulid::from_parts(u64::from(n), u128::from(n)),
        seen,
        camera: CameraId::new("front"),
        plate: Plate::parse(&plate(n)).unwrap(),
        weakest: Confidence::new(0.9),
        frames: 5,
        place: Some((43.7, -79.6)),
        accuracy_m: None,
        thumbnail: None,
    }
}

pub(super) fn plate(n: u32) -> String {
    format!("NOHIT{n:04}")
}

pub(super) fn read(n: u32, seen: FrameTime) -> PlateRead {
    PlateRead {
        id: Ulid::from_parts(u64::from(n), u128::from(n)),
        plate: Plate::parse(&plate(n)).unwrap(),
        jurisdiction: None,
        slots: Slots::new(),
        weakest: Confidence::new(0.9),
        camera: CameraId::new("front"),
        seen,
        decided: seen.monotonic,
        frames: 5,
        frame_reads: Vec::new(),
        position: Position::NoFix,
        crop: Crop { width: 96, height: 48, rgb: vec![90; 96 * 48 * 3] },
        context: None,
        models: Arc::default(),
    }
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut all = Vec::new();
    for path in entries.map(|e| e.unwrap().path()) {
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}

fn bytes_in(folder: &Path) -> u64 {
    files(folder).iter().map(|f| fs::metadata(f).unwrap().len()).sum()
}

pub(super) fn plates(ring: &Buckets, dir: &Path) -> Vec<String> {
    let sealer = sealer(dir);
    ring.buckets.iter().flat_map(|b| b.plates(&sealer)).collect()
}

/// The forms in which a plate may occur in a file.
fn disguises(plate: &str) -> Vec<(&'static str, Vec<u8>)> {
    let clear = plate.as_bytes().to_vec();
    let mut all = vec![
        ("reversed", clear.iter().rev().copied().collect()),
        ("lower case", plate.to_lowercase().into_bytes()),
        ("utf-16 le", plate.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("utf-16 be", plate.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("hex", data_encoding::HEXLOWER.encode(&clear).into_bytes()),
        ("HEX", data_encoding::HEXUPPER.encode(&clear).into_bytes()),
    ];
    // Base64 of a text inside a longer one has three possible alignments. Whole groups of four
    // digits depend on the plate alone.
    for skip in 0..3 {
        let inner = &clear[skip..];
        let whole = &inner[..inner.len() / 3 * 3];
        all.push(("base64", data_encoding::BASE64.encode(whole).into_bytes()));
    }
    all.push(("clear", clear));
    all
}

/// Where and in which form any of the plates is found below a folder.
fn search(folder: &Path, plates: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files(folder) {
        let bytes = fs::read(&file).unwrap();
        for plate in plates {
            for (how, needle) in disguises(plate) {
                if bytes.windows(needle.len()).any(|w| w == needle) {
                    found.push(format!("{plate} {how} in {}", file.display()));
                }
            }
        }
    }
    found
}

#[test]
fn zero_retention_writes_nothing_and_removes_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let open = |non_hit| Ring::open(&keeping(dir.path(), non_hit), clock.clone(), health.clone());

    let ring = open(Retention::Nothing).unwrap();
    (0..50).for_each(|n| ring.offer(read(n, clock.now())));
    drop(ring);
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    assert!(!dir.path().join("state").exists(), "not even a folder");
    assert_eq!((health.ring_written.get(), health.ring_dropped.get()), (0, 0));
    assert_eq!(health.state(PART), Some(PartState::Off));

    let ring = open(Retention::For(HOUR)).unwrap();
    ring.offer(read(1, clock.now()));
    drop(ring);
    let there = files(&dir.path().join("state/ring"));
    assert!(there.iter().any(|f| f.extension().is_some_and(|e| e == "key")), "{there:?}");
    drop(open(Retention::Nothing).unwrap());
    assert!(!dir.path().join("state/ring").exists());
}

#[test]
fn plates_are_in_no_file_and_the_search_would_find_them() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let planted: Vec<String> = (0..200).map(plate).collect();
    let config = KeepingConfig { thumbnails: true, ..keeping(dir.path(), Retention::For(HOUR)) };
    let ring = Ring::open(&config, clock.clone(), health.clone()).unwrap();
    (0..200).for_each(|n| ring.offer(read(n, clock.now())));
    let during = || search(dir.path(), &planted);
    assert_eq!(during(), Vec::<String>::new());
    drop(ring);
    assert_eq!(health.ring_written.get(), 200);
    assert!(bytes_in(&dir.path().join("state/ring")) > 100_000, "thumbnails are there");
    assert_eq!(during(), Vec::<String>::new());

    // The control: the same rows without encryption, and each form by itself.
    let control = tempfile::tempdir().unwrap();
    let plain = rusqlite::Connection::open(control.path().join("plain.db")).unwrap();
    plain.execute_batch(include_str!("schema.sql")).unwrap();
    for plate in &planted {
        plain
            .execute(
                "INSERT INTO read VALUES (zeroblob(16), 0, 'front', ?1, 1, 1, 0, 0, 0, NULL)",
                [plate],
            )
            .unwrap();
    }
    drop(plain);
    assert_eq!(search(control.path(), &planted).len(), planted.len());
    for (how, bytes) in disguises(&planted[7]) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("f"), [b"??".as_slice(), &bytes, b"??"].concat()).unwrap();
        assert!(!search(folder.path(), &planted[7..8]).is_empty(), "{how}");
    }
}

#[test]
fn reads_within_their_time_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now()), kept(2, clock.now())], clock.now()).unwrap();
    drop(ring);
    clock.advance(HOUR / 2);
    // Another boot: its clock starts anew, and the wall clock goes on.
    let rebooted = SimulatedClock::starting_at(clock.now().wall);
    let ring = open(dir.path(), HOUR, 2, &rebooted);
    assert_eq!(plates(&ring, dir.path()), [plate(1), plate(2)]);
}

#[test]
fn expired_reads_are_gone_before_open_returns() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    drop(ring);
    let rebooted = SimulatedClock::starting_at(clock.now().wall + HOUR);
    let mut ring = open(dir.path(), HOUR, 2, &rebooted);
    assert_eq!(files(&dir.path().join("state/ring")), Vec::<PathBuf>::new());
    assert_eq!(ring.take_purged()[0].reason, Cause::Expired);
}

#[test]
fn no_read_outlives_its_time_while_running() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    let mut oldest_seen = Vec::new();
    for n in 0..400 {
        let now = clock.now();
        ring.write(&[kept(n, now)], now).unwrap();
        oldest_seen.push((plate(n), now.monotonic));
        clock.advance(Duration::from_secs(30));
        ring.purge_due(clock.now()).unwrap();
        assert!(ring.buckets.len() <= 18, "{} buckets", ring.buckets.len());
        if n % 50 == 49 {
            let now = clock.now().monotonic;
            let there = plates(&ring, dir.path());
            for (plate, seen) in &oldest_seen {
                let age = now - *seen;
                assert!(age < HOUR || !there.contains(plate), "{plate} is there after {age:?}");
                let young = age < HOUR - HOUR / 8;
                assert!(!young || there.contains(plate), "{plate} is gone after {age:?}");
            }
        }
    }
}

#[test]
fn wall_clock_set_back_keeps_nothing_longer() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    clock.set_wall("2001-01-01T00:00:00Z".parse().unwrap());
    clock.advance(HOUR);
    ring.purge_due(clock.now()).unwrap();
    assert!(ring.buckets.is_empty(), "the boot clock counts");
}

#[test]
fn wall_clock_set_back_over_a_restart_forgets_what_it_cannot_date() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    drop(ring);
    let back = SimulatedClock::starting_at(clock.now().wall - HOUR);
    let mut ring = open(dir.path(), HOUR, 2, &back);
    assert!(ring.buckets.is_empty());
    assert_eq!(ring.take_purged()[0].reason, Cause::Unwanted);
    assert_eq!(files(&dir.path().join("state/ring")), Vec::<PathBuf>::new());
}

#[test]
fn bucket_of_an_earlier_boot_ages_on_this_boots_clock() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    drop(ring);
    let rebooted = SimulatedClock::starting_at(clock.now().wall + HOUR / 2);
    let mut ring = open(dir.path(), HOUR, 2, &rebooted);
    assert_eq!(ring.buckets.len(), 1);
    // Then the wall clock is set back by years, and half an hour passes.
    rebooted.set_wall("2001-01-01T00:00:00Z".parse().unwrap());
    rebooted.advance(HOUR / 2);
    ring.purge_due(rebooted.now()).unwrap();
    assert!(ring.buckets.is_empty());
}

#[test]
fn wall_clock_set_forward_forgets_early() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    clock.set_wall("2038-01-01T00:00:00Z".parse().unwrap());
    ring.purge_due(clock.now()).unwrap();
    assert!(ring.buckets.is_empty());
}

#[test]
fn edited_or_foreign_buckets_go() {
    /// What is done to the younger bucket's key file and the older one's, in this folder.
    type Spoil = fn(&Path, &Path, &Path);
    let spoilers: [(&str, usize, Spoil); 5] = [
        // Under another name it would be another bucket, with an age of somebody's choice.
        ("renamed", 1, |_, old, folder| {
            fs::rename(old, folder.join("0123456789abcdef.key")).unwrap();
        }),
        ("the younger one's date and key", 1, |young, old, _| {
            fs::copy(young, old).unwrap();
        }),
        ("exchanged", 0, |young, old, folder| {
            fs::rename(young, folder.join("aside")).unwrap();
            fs::rename(old, young).unwrap();
            fs::rename(folder.join("aside"), old).unwrap();
        }),
        ("the wall clock's date edited", 1, |_, old, _| edit(old, 4 + 12 + 56)),
        ("the boot clock's date edited", 1, |_, old, _| edit(old, 4 + 12 + 48)),
    ];
    fn edit(file: &Path, at: usize) {
        let mut bytes = fs::read(file).unwrap();
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    for (how, left, spoil) in spoilers {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock();
        let mut ring = open(dir.path(), HOUR, 1, &clock);
        ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
        clock.advance(HOUR / 4);
        ring.write(&[kept(2, clock.now())], clock.now()).unwrap();
        let folder = dir.path().join("state/ring");
        assert_eq!(ring.buckets.len(), 2);
        let key = |n: usize| folder.join(format!("{}.key", ring.buckets[n].name()));
        let (old, young) = (key(0), key(1));
        drop(ring);
        spoil(&young, &old, &folder);
        let ring = open(dir.path(), HOUR, 1, &clock);
        assert_eq!(ring.buckets.len(), left, "{how}");
        assert!(!plates(&ring, dir.path()).contains(&plate(1)), "{how}: the older read is there");
        let there = files(&folder);
        let whole = |file: &PathBuf| file.with_extension("") == young.with_extension("");
        assert!(there.iter().all(|f| left == 1 && whole(f)), "{how}: {there:?}");
    }
}

#[test]
fn shorter_retention_counts_for_what_was_written_under_a_longer_one() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), 24 * HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    clock.advance(2 * HOUR);
    ring.write(&[kept(2, clock.now())], clock.now()).unwrap();
    drop(ring);
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    assert_eq!(plates(&ring, dir.path()), [plate(2)], "two hours old, and an hour is the most");
    assert_eq!(ring.take_purged()[0].reason, Cause::Expired);
    drop(ring);
    clock.advance(HOUR / 2);
    let ring = open(dir.path(), HOUR / 2, 1, &clock);
    assert_eq!(plates(&ring, dir.path()), Vec::<String>::new());
    assert_eq!(files(&dir.path().join("state/ring")), Vec::<PathBuf>::new());
}

#[test]
fn reads_out_of_order_share_a_bucket_and_much_older_ones_do_not_make_it_younger() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    let second_ago = clock.at(Awake::after_boot(clock.now().monotonic - Duration::from_secs(1)));
    let minute_ago = clock.at(Awake::after_boot(clock.now().monotonic - Duration::from_secs(60)));
    for (n, seen) in [(1, clock.now()), (2, second_ago), (3, minute_ago)] {
        ring.write(&[kept(n, seen)], clock.now()).unwrap();
    }
    assert_eq!(ring.buckets.len(), 2);
    clock.advance(HOUR - Duration::from_secs(60));
    ring.purge_due(clock.now()).unwrap();
    assert_eq!(ring.buckets.len(), 1, "the read of a minute before is gone on its own time");
}

#[test]
fn session_keys_are_in_no_file_and_a_restart_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = keeping(dir.path(), Retention::Session);
    let folder = dir.path().join("state/ring");
    let mut ring = open_as(&config, None, (clock.boot(), TimeSource::Ntp), &*clock);
    let reads: Vec<_> = (0..40).map(|n| kept(n, clock.now())).collect();
    ring.write(&reads, clock.now()).unwrap();
    let [bucket] = &files(&folder)[..] else { panic!("{:?}", files(&folder)) };
    assert!(!dir.path().join("state/device.key").exists(), "a session needs no device key");
    let key = ring.buckets[0].secret_in_memory().unwrap();
    let disguised = [key.to_vec(), data_encoding::HEXLOWER.encode(&key).into_bytes()];
    let holds_key = |bytes: &[u8]| {
        disguised.iter().any(|needle| bytes.windows(needle.len()).any(|w| w == needle))
    };
    assert!(holds_key(&[b"..".as_slice(), &key, b".."].concat()), "the search would find it");
    for file in files(dir.path()) {
        assert!(!holds_key(&fs::read(&file).unwrap()), "{} has the key", file.display());
    }

    // A crash: only what is on the disk remains. SQLite finds no database in it.
    let left = fs::read(bucket).unwrap();
    assert!(left.len() > 8_000);
    let found = rusqlite::Connection::open(bucket).unwrap().query_row(
        "SELECT count(*) FROM sqlite_schema",
        (),
        |r| r.get::<_, i64>(0),
    );
    assert!(found.is_err());
    std::mem::forget(ring);
    drop(Ring::open(&config, clock.clone(), health.clone()).unwrap());
    assert_eq!(files(&folder), Vec::<PathBuf>::new());

    // A clean end.
    let ring = Ring::open(&config, clock.clone(), health.clone()).unwrap();
    (0..40).for_each(|n| ring.offer(read(n, clock.now())));
    drop(ring);
    assert_eq!(health.ring_written.get(), 40);
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
    assert_eq!(health.ring_purged.get(), 40);
}

#[test]
fn session_after_a_retention_destroys_what_was_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    drop(ring);
    let config = keeping(dir.path(), Retention::Session);
    let ring = open_as(&config, None, boot(1), &clock);
    assert!(ring.buckets.is_empty());
    assert_eq!(files(&dir.path().join("state/ring")), Vec::<PathBuf>::new());
}

#[test]
fn disk_at_its_reserve_sheds_and_then_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    ring.reserve = 1 << 30;
    ring.free = |_| 1 << 29;
    let outcome = ring.write(&[kept(2, clock.now())], clock.now()).unwrap();
    assert_eq!(outcome, Outcome::NoRoom);
    assert!(ring.buckets.is_empty(), "the ring gives way to hits");
    assert_eq!(ring.take_purged()[0].reason, Cause::Shed);
    ring.free = |_| 1 << 40;
    assert_eq!(ring.write(&[kept(3, clock.now())], clock.now()).unwrap(), Outcome::Written);
    assert_eq!(plates(&ring, dir.path()), [plate(3)]);
}

#[test]
fn bucket_that_cannot_be_removed_is_said_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut ring = open(dir.path(), HOUR, 1, &clock);
    ring.write(&[kept(1, clock.now())], clock.now()).unwrap();
    // Root can remove anything but a non-empty folder in the place of a file.
    let db = files(&dir.path().join("state/ring"))
        .into_iter()
        .find(|f| f.ends_with(format!("{}.db", ring.buckets[0].name())));
    let db = db.unwrap();
    fs::remove_file(&db).unwrap();
    fs::create_dir(&db).unwrap();
    fs::write(db.join("x"), "x").unwrap();
    clock.advance(HOUR);
    let message = ring.purge_due(clock.now()).unwrap_err().to_string();
    assert!(message.contains(".gone"), "{message}");
    assert!(!db.with_extension("key").exists(), "its key is gone all the same");
    ring.purge_due(clock.now()).unwrap_err();
    fs::remove_dir_all(db.with_extension("gone")).unwrap();
    ring.purge_due(clock.now()).unwrap();
}

/// A clock that blocks the ring's thread until it is released.
struct StuckClock(Mutex<()>);

impl Clock for StuckClock {
    fn now(&self) -> FrameTime {
        drop(self.0.lock().unwrap());
        FrameTime { monotonic: Duration::from_secs(9), wall: Timestamp::UNIX_EPOCH }
    }
}

#[test]
fn offering_never_waits_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let clock = Arc::new(StuckClock(Mutex::default()));
    let config = keeping(dir.path(), Retention::For(HOUR));
    let ring = Ring::open(&config, clock.clone(), health.clone()).unwrap();
    let seen = FrameTime { monotonic: Duration::from_secs(9), wall: Timestamp::UNIX_EPOCH };
    let stuck = clock.0.lock().unwrap();
    let slowest = (0..2_000)
        .map(|n| {
            let start = std::time::Instant::now();
            ring.offer(read(n, seen));
            start.elapsed()
        })
        .max();
    assert!(slowest < Some(Duration::from_millis(500)), "{slowest:?}");
    assert!(health.ring_dropped.get() > 1_000, "{}", health.ring_dropped.get());
    drop(stuck);
    drop(ring);
    assert_eq!(health.ring_written.get() + health.ring_dropped.get(), 2_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn ring_stays_within_its_bytes_and_its_age(
        steps in prop::collection::vec((1_u32..40, 0_usize..5_000, 0_u64..400), 1..25)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock();
        let most = 1 << 20;
        let config = KeepingConfig {
            ring_bytes: HumanBytes::new(most),
            ..keeping(dir.path(), Retention::For(HOUR))
        };
        let mut ring = open_as(&config, Some(sealer(dir.path())), boot(1), &clock);
        for (reads, picture, pause) in steps {
            let reads: Vec<_> = (0..reads)
                .map(|n| Kept {
                    thumbnail: (picture > 0).then(|| vec![7; picture]),
                    ..kept(n, clock.now())
                })
                .collect();
            prop_assert_eq!(ring.write(&reads, clock.now()).unwrap(), Outcome::Written);
            let bytes = bytes_in(&dir.path().join("state/ring"));
            prop_assert!(bytes <= most, "{} bytes", bytes);
            clock.advance(Duration::from_secs(pause));
            ring.purge_due(clock.now()).unwrap();
            let now = Now::from(clock.now());
            prop_assert!(ring.buckets.iter().all(|b| b.age_ms(now) < millis(HOUR)));
        }
    }
}

#[test]
fn look_up_finds_one_plate_in_open_and_closed_buckets_and_nothing_of_others() {
    for sealed in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock();
        let retention = if sealed { Retention::For(HOUR * 24) } else { Retention::Session };
        let keeping = keeping(dir.path(), retention);
        let sealer = sealed.then(|| sealer(dir.path()));
        let mut ring = open_as(&keeping, sealer, boot(1), &clock);
        let start = clock.now();
        ring.write(&[kept(1, start), kept(2, start)], start).unwrap();
        clock.advance(HOUR * 2);
        let later = clock.now();
        ring.write(&[Kept { plate: Plate::parse("NOHIT-0001").unwrap(), ..kept(3, later) }], later)
            .unwrap();
        let key = |n| Plate::parse(&plate(n)).unwrap().key();
        let found = ring.find(&BTreeSet::from([key(1)]), start.wall).unwrap();
        let seen: Vec<_> = found.iter().map(|(_, s)| s.seen).collect();
        assert_eq!(seen, [start.wall, later.wall], "sealed: {sealed}");
        assert_eq!(found[0].1.place, Some((43.7, -79.6)));
        assert_eq!(ring.find(&BTreeSet::from([key(1)]), later.wall).unwrap().len(), 1, "since");
        assert!(ring.find(&BTreeSet::from([key(9)]), start.wall).unwrap().is_empty());
    }
}
