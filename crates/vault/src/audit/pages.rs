//! Serves the log in pages to commands outside the daemon: `outrider audit` and `check`.
//!
//! In: a request on the control socket. Out: lines as they were hashed, a mebibyte at a time, so
//! that an export of years neither fills memory nor delays the next record. Costs: reading the
//! page. Leaves to others: verifying the chain; the command that asks does that itself and does not
//! trust the daemon.

use serde::{Deserialize, Serialize};

use super::*;
use crate::control::Control;

/// Requests the number of the last record and the key that signs.
pub const OUTLINE: &str = "audit/outline";

/// The same, after sealing the end, so that there is a signature to verify.
pub const SEAL: &str = "audit/seal";

/// Requests lines.
pub const LINES: &str = "audit/lines";

/// Requests the record and the seal with which an export ends.
pub const EXPORT: &str = "audit/export";

/// Size after which a page ends, in bytes.
const PAGE: usize = 1 << 20;

/// Most rows of a page.
const ROWS: u64 = 4_096;

/// The number of the last record, and the key that signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outline {
    /// Number of the last record.
    pub last: Seq,
    /// SHA-256 of its line; empty while there is none.
    pub head: String,
    /// The key that signs for this car now.
    pub key: Option<PublicKey>,
    /// Where the device key comes from.
    pub protection: Option<Protection>,
}

/// The lines that are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Those after this record,
    pub after: Seq,
    /// and up to this one.
    pub last: Seq,
}

/// A record's line and the checkpoint that seals it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Number under which the record is stored.
    pub seq: Seq,
    /// Its JSON, byte for byte. A line that is not UTF-8 was not written by us: its bad bytes are
    /// replaced by marks, which breaks the chain at this record, as it should.
    pub line: String,
    /// The checkpoint's envelope.
    pub seal: Option<String>,
}

impl Audit {
    /// The number of the last record, and the key that signs.
    pub fn outline(&self) -> Result<Outline, AuditError> {
        let head = match &*self.lock() {
            Err(why) => return Err(AuditError::Closed(why.clone())),
            Ok(open) => export::head(&open.db).map_err(|e| self.sqlite(e))?,
        };
        let (last, head) = head.map_or((0, String::new()), |(seq, hash)| (seq, chain::hex(&hash)));
        Ok(Outline { last, head, key: self.public_key(), protection: self.protection() })
    }

    /// Seals the end. Returns the outline up to that seal, whatever has been written since.
    pub fn sealed_outline(&self) -> Result<Outline, AuditError> {
        let sealed = self.checkpoint()?;
        let mut outline = self.outline()?;
        if let Some(Sealed { seq, .. }) = sealed
            && seq < outline.last
            && let Some(line) = self.page(Wanted { after: seq - 1, last: seq })?.first()
        {
            (outline.last, outline.head) = (seq, chain::digest(&line.line));
        }
        Ok(outline)
    }

    /// The lines after a record, up to one page; empty after the last record.
    pub fn page(&self, wanted: Wanted) -> Result<Vec<Line>, AuditError> {
        let open = self.lock();
        let open = open.as_ref().map_err(|why| AuditError::Closed(why.clone()))?;
        (|| {
            let mut query = open.db.prepare_cached(
                "SELECT r.seq, r.line, c.envelope FROM record r LEFT JOIN checkpoint c USING (seq)
                 WHERE r.seq > ?1 AND r.seq <= ?2 ORDER BY r.seq LIMIT ?3",
            )?;
            let mut rows = query.query([int(wanted.after), int(wanted.last), int(ROWS)])?;
            let (mut lines, mut bytes) = (Vec::new(), 0);
            while bytes < PAGE
                && let Some(row) = rows.next()?
            {
                let text = |blob: &[u8]| String::from_utf8_lossy(blob).into_owned();
                let line = text(row.get_ref(1)?.as_blob()?);
                let seal = row.get_ref(2)?.as_blob_or_null()?.map(text);
                bytes += line.len() + seal.as_ref().map_or(0, String::len);
                lines.push(Line { seq: uint(row, 0)?, line, seal });
            }
            Ok(lines)
        })()
        .map_err(|e| self.sqlite(e))
    }

    /// Records that the log is exported, and seals that record in the same commit. An export ends
    /// with the record whose number this returns: one that ends elsewhere was cut off.
    pub fn announce_export(&self, who: Actor) -> Result<Seq, AuditError> {
        self.append_sealed(who, &[], |seq, before| AuditEvent::AuditExported {
            records: seq - 1,
            head: if seq == 1 { String::new() } else { chain::hex(before) },
        })
    }

    fn sqlite(&self, e: rusqlite::Error) -> AuditError {
        StoreError::from_sqlite(&self.0.path, e).into()
    }
}

/// Registers the answers. Whoever reaches the socket may read; the record of an export names who
/// took it.
pub fn answer(control: Control, audit: &Audit) -> Control {
    let [outlines, seals] = [audit.clone(), audit.clone()];
    let [pages, exports] = [audit.clone(), audit.clone()];
    control
        .on(SEAL, move |(): ()| seals.sealed_outline().map_err(|e| e.to_string()))
        .on(OUTLINE, move |(): ()| outlines.outline().map_err(|e| e.to_string()))
        .on(LINES, move |wanted: Wanted| pages.page(wanted).map_err(|e| e.to_string()))
        .on_from(EXPORT, move |who, (): ()| {
            exports.announce_export(Actor::Shell(who.uid)).map_err(|e| e.to_string())
        })
}
