//! The ring of reads that matched nothing, beside one plain SQLCipher table.
//!
//! DESIGN 5: at least 1,000 reads a second into the ring with thumbnails, and the hot path never
//! waits for the disk. `offer` is what a read costs the matcher's thread. `purge` destroys a bucket
//! of 64, 1,024 and 8,192 reads, as far as the ring's thread waits for it: it has to cost the same;
//! `removal` is what another thread does after it. Beside it one table with an index on time,
//! WAL, `synchronous=NORMAL`, `secure_delete`, the same rows in batches of the same size, that
//! forgets by DELETE. Bytes written are the kernel's count for this process (`/proc/self/io`), so the
//! target folder has to be on a disk.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use outrider::config::{KeepingConfig, Retention};
use outrider::onboard::store::testing::{Offering, OneBucket, thumbnail};
use rusqlite::{Connection, params};

/// Reads in one measured batch.
const MANY: u64 = 4_096;

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-stores").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the target folder is ours");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("the target folder is ours");
    path
}

fn keeping(name: &str) -> KeepingConfig {
    KeepingConfig {
        directory: folder(name),
        non_hit: Retention::For(Duration::from_secs(3_600)),
        thumbnails: true,
        disk_reserve: "0B".parse().expect("a size"),
        ..KeepingConfig::default()
    }
}

/// Bytes that this process has had written to disks so far.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// One table for everything.
struct Plain {
    db: Connection,
    pictures: Vec<Vec<u8>>,
    next: i64,
}

impl Plain {
    fn new(name: &str) -> Self {
        let db = Connection::open(folder(name).join("reads.db")).expect("a file");
        db.execute_batch(
            "PRAGMA key = \"x'000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'\";
             PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;
             CREATE TABLE read (id BLOB NOT NULL, seen_ms INTEGER NOT NULL, camera TEXT NOT NULL,
                 plate TEXT NOT NULL, weakest REAL NOT NULL, frames INTEGER NOT NULL,
                 latitude REAL, longitude REAL, accuracy_m REAL, thumbnail BLOB);
             CREATE INDEX read_by_time ON read (seen_ms);",
        )
        .expect("a database");
        Self { db, pictures: (0..64).map(thumbnail).collect(), next: 0 }
    }

    fn write(&mut self, n: u64) {
        for _ in 0..n / 64 {
            let tx = self.db.transaction().expect("room");
            for picture in &self.pictures {
                self.next += 1;
                tx.prepare_cached(
                    "INSERT INTO read VALUES (?1, ?2, 'front', ?3, 0.9, 5, NULL, NULL, NULL, ?4)",
                )
                .expect("a statement")
                .execute(params![
                    self.next.to_le_bytes(),
                    self.next,
                    format!("B{:06}", self.next % 1_000_000),
                    picture
                ])
                .expect("room");
            }
            tx.commit().expect("room");
        }
    }

    /// Forgets the oldest.
    fn delete(&mut self, n: u64) {
        let before = self.next - self.rows() + n as i64;
        self.db.execute("DELETE FROM read WHERE seen_ms <= ?1", [before]).expect("room");
    }

    fn rows(&self) -> i64 {
        self.db.query_row("SELECT count(*) FROM read", (), |r| r.get(0)).expect("a table")
    }
}

fn inserts(c: &mut Criterion) {
    let mut group = c.benchmark_group("insert with thumbnail");
    group.sample_size(10).throughput(Throughput::Elements(MANY));
    let mut ring = Offering::new(&keeping("ring"), 256);
    let (before, start) = (written(), Instant::now());
    ring.write(MANY * 2);
    let bytes = (written() - before) / (MANY * 2);
    let rate = (MANY * 2) as f64 / start.elapsed().as_secs_f64();
    eprintln!("ring: {bytes} bytes written per read, {rate:.0} reads a second");
    group.bench_function("ring", |b| b.iter(|| ring.write(MANY)));
    drop(ring);

    let mut plain = Plain::new("plain");
    let before = written();
    plain.write(MANY * 2);
    let insert = (written() - before) / (MANY * 2);
    let before = written();
    plain.delete(MANY * 2);
    plain.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).expect("a log");
    let delete = (written() - before) / (MANY * 2);
    eprintln!("plain table: {insert} bytes written per read, and {delete} to forget it");
    group.bench_function("plain table", |b| b.iter(|| plain.write(MANY)));
    group.finish();
}

fn offer(c: &mut Criterion) {
    let ring = Offering::new(&keeping("offer"), 64);
    c.bench_function("offer: what a read costs the hot path", |b| b.iter_custom(|n| ring.offer(n)));
}

fn purges(c: &mut Criterion) {
    let mut group = c.benchmark_group("purge");
    group.sample_size(10);
    for reads in [64, 1_024, 8_192] {
        let folder = folder(&format!("purge-{reads}"));
        group.bench_function(format!("bucket of {reads}"), |b| {
            b.iter_batched(
                || OneBucket::new(&folder, reads),
                OneBucket::purge,
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("removal of {reads}"), |b| {
            b.iter_batched(
                || OneBucket::new(&folder, reads).purge(),
                drop,
                BatchSize::PerIteration,
            );
        });
        let mut plain = Plain::new(&format!("delete-{reads}"));
        plain.write(8_192);
        group.bench_function(format!("DELETE of {reads}"), |b| {
            b.iter_custom(|n| {
                (0..n)
                    .map(|_| {
                        plain.write(reads);
                        let start = Instant::now();
                        plain.delete(reads);
                        start.elapsed()
                    })
                    .sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, inserts, offer, purges);
criterion_main!(benches);
