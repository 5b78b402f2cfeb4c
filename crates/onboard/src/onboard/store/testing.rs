//! The inside of the ring for benches, behind a feature that release builds leave off.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ulid::Ulid;

use super::bucket::{Bucket, Now};
use super::key::Sealer;
use super::{Kept, Ring};
use crate::camera_id::CameraId;
use crate::clock::{BootId, Clock, FrameTime, SystemClock};
use crate::config::KeepingConfig;
use crate::gps::Position;
use crate::health::Health;
use crate::keys::DeviceKey;
use crate::onboard::read::PlateRead;
use crate::onboard::vision::candidate::{Confidence, Crop, Slots};
use crate::plate::Plate;

/// The `n`th read of a drive: a plate and a picture of its own.
fn read(n: u64, seen: FrameTime) -> PlateRead {
    let mut seed = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
    // Plates are smooth with sharp edges: blocks of one grey, not noise.
    let rgb = (0..128 * 64 * 3_u64).map(|i| {
        if i % 24 == 0 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        (seed >> 60) as u8 * 16
    });
    PlateRead {
        id: Ulid::from_parts(n, u128::from(n)),
        plate: Plate::parse(&format!("B{:06}", n % 1_000_000)).expect("a plate"),
        jurisdiction: None,
        slots: Slots::new(),
        weakest: Confidence::new(0.9),
        camera: CameraId::new("front"),
        seen,
        decided: seen.monotonic,
        frames: 5,
        frame_reads: Vec::new(),
        position: Position::NoFix,
        crop: Crop { width: 128, height: 64, rgb: rgb.collect() },
        context: None,
        models: Arc::default(),
    }
}

/// A running ring, and reads to offer.
pub struct Offering {
    ring: Ring,
    health: Arc<Health>,
    reads: Vec<PlateRead>,
}

impl Offering {
    /// Opens a ring and prepares this many different reads.
    pub fn new(keeping: &KeepingConfig, reads: u64) -> Self {
        let health = Arc::new(Health::default());
        let clock = Arc::new(SystemClock);
        let seen = clock.now();
        let ring = Ring::open(keeping, clock, health.clone()).expect("a folder of our own");
        Self { ring, health, reads: (0..reads).map(|n| read(n, seen)).collect() }
    }

    /// Offers reads as fast as the ring takes them without dropping one, until `n` are written.
    pub fn write(&mut self, n: u64) {
        let start = self.written();
        let seen = SystemClock.now();
        let mut offered = 0;
        while self.written() - start < n {
            if offered < n && offered - (self.written() - start) < 250 {
                let mut read = self.reads[offered as usize % self.reads.len()].clone();
                read.seen = seen;
                self.ring.offer(read);
                offered += 1;
            } else {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        assert_eq!(self.health.ring_dropped.get(), 0, "nothing is dropped at this pace");
    }

    /// Time that the caller needs for `n` offers, whatever the disk does meanwhile.
    pub fn offer(&self, n: u64) -> Duration {
        let mut spent = Duration::ZERO;
        for i in 0..n {
            let read = self.reads[i as usize % self.reads.len()].clone();
            let start = Instant::now();
            self.ring.offer(read);
            spent += start.elapsed();
        }
        spent
    }

    fn written(&self) -> u64 {
        self.health.ring_written.get()
    }
}

/// One bucket with this many reads, to be destroyed.
pub struct OneBucket(Bucket);

impl OneBucket {
    /// Makes one.
    pub fn new(folder: &Path, reads: u64) -> Self {
        let now = SystemClock.now();
        let sealer = Sealer::new(&DeviceKey::load(folder).expect("a folder of our own"));
        let opened = Now::from(now);
        let mut bucket = Bucket::create(folder, opened, BootId::of_machine(), Some(&sealer))
            .expect("a folder of our own");
        let kept: Vec<Kept> = (0..reads.min(64)).map(|n| Kept::of(&read(n, now), true)).collect();
        for _ in 0..reads.div_ceil(64) {
            bucket.write(&kept).expect("room on the disk");
        }
        bucket.close();
        // Writes that the file system still has to make for it must not count as a cost of
        // destroying it.
        std::fs::File::open(folder).and_then(|f| f.sync_all()).expect("a folder of our own");
        Self(bucket)
    }

    /// Destroys it as far as the ring's thread waits for that: its key, and its file's name.
    pub fn purge(mut self) -> DestroyedFile {
        self.0.destroy_key().expect("its key is there");
        self.0.rename_destroyed().expect("its file is there");
        DestroyedFile(self.0)
    }
}

/// The file of a destroyed bucket, which is removed on drop.
pub struct DestroyedFile(Bucket);

impl Drop for DestroyedFile {
    fn drop(&mut self) {
        self.0.remove_files().expect("its file is there");
    }
}

/// A thumbnail as the ring keeps it, for other measurements.
pub fn thumbnail(n: u64) -> Vec<u8> {
    Kept::of(&read(n, SystemClock.now()), true).thumbnail.expect("a picture")
}
