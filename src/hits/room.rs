//! Room for hits on a disk that is full.
//!
//! In: a refusal of the disk. Out: room, if there is any to be had. Costs: a file of
//! [`RESERVE`] bytes. Leaves to others: the space that the ring gives up (`onboard/store/ring.rs`).
//!
//! First a file is removed that exists for this purpose only; its space holds the hits of some days. Then
//! pictures and hits that the broker has are deleted, the oldest first, unless they are under legal hold. What
//! still does not fit waits in memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::keep::Gone;

/// Bytes kept free for hits: some fifty with their pictures, each written into the log and from there
/// into its place (`tests/full_disk.rs`).
pub(super) const RESERVE: u64 = 2 << 20;

/// Hits whose pictures, or which, are given up at a time.
const AT_A_TIME: i64 = 32;

/// The file beside `hits.db` whose only use is to be removed.
pub(super) struct Reserve(PathBuf);

impl Reserve {
    pub(super) fn beside(hits: &Path) -> Self {
        Self(hits.with_extension("reserve"))
    }

    pub(super) fn exists(&self) -> bool {
        self.0.exists()
    }

    /// Makes the reserve if the disk has ample room. Returns whether it is there.
    pub(super) fn make(&self) -> bool {
        if self.exists() {
            return true;
        }
        let folder = self.0.parent().unwrap_or(Path::new("/"));
        let free = rustix::fs::statvfs(folder).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize));
        if free < RESERVE * 4 {
            return false;
        }
        let made = self.allocate();
        if let Err(e) = &made {
            tracing::debug!(error = %e, "no reserve for hits");
            let _ = std::fs::remove_file(&self.0);
        }
        made.is_ok()
    }

    fn allocate(&self) -> io::Result<()> {
        let file: File =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.0)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE)?;
        file.sync_all()
    }

    /// Gives the reserve up. Returns whether there was one.
    pub(super) fn spend(&self) -> bool {
        std::fs::remove_file(&self.0).is_ok()
    }
}

/// Deletes some of what the broker has: pictures first, then hits, the oldest first. Returns
/// how many.
pub(super) fn give_up_delivered(db: &mut Connection, hold_ms: i64) -> rusqlite::Result<Gone> {
    let tx = db.transaction()?;
    let images = tx.execute(
        "DELETE FROM hit_image WHERE hit IN (
             SELECT o.hit FROM outbox o WHERE o.kind = 1 AND o.state = 2
                 AND EXISTS (SELECT 1 FROM hit_image i WHERE i.hit = o.hit)
                 AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.hit = o.hit
                                 AND h.released_ms IS NULL AND h.until_ms > ?1)
             ORDER BY o.seq LIMIT ?2)",
        [hold_ms, AT_A_TIME],
    )?;
    let hits = match images {
        0 => tx.execute(
            "DELETE FROM hit WHERE id IN (
                 SELECT o.hit FROM outbox o WHERE NOT EXISTS (
                     SELECT 1 FROM hold h WHERE h.hit = o.hit
                     AND h.released_ms IS NULL AND h.until_ms > ?1)
                 GROUP BY o.hit HAVING min(o.state = 2) = 1 ORDER BY min(o.seq) LIMIT ?2)",
            [hold_ms, AT_A_TIME],
        )?,
        _ => 0,
    };
    super::keep::drop_orphans(&tx)?;
    tx.commit()?;
    if images + hits > 0 {
        tracing::warn!(images, hits, "disk full, delivered hits give way to new ones");
    }
    Ok(Gone { hits, images })
}
