//! The log by pages, for whoever reads it from outside the daemon: `outrider audit` and `check`.
//!
//! In: a question on the control socket. Out: lines as they were hashed, a mebibyte at a time, so that an
//! export of years neither fills memory nor keeps the next record waiting. Costs: a read of the page.
//! Leaves to others: checking the chain, which who asks does by itself: nobody takes a log's word for it.

use serde::{Deserialize, Serialize};

use super::*;
use crate::control::Control;

/// Asks how far the log has come and who signs it.
pub const OUTLINE: &str = "audit/outline";

/// The same, with the end sealed first, so that there is a signature to check.
pub const SEAL: &str = "audit/seal";

/// Asks for lines.
pub const LINES: &str = "audit/lines";

/// Asks for the record and the seal that begin an export.
pub const EXPORT: &str = "audit/export";

/// Bytes after which a page ends.
const PAGE: usize = 1 << 20;

/// Rows that a page has at most.
const ROWS: u64 = 4_096;

/// How far the log has come, and who signs it.
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

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Those behind this record,
    pub after: Seq,
    /// and up to this one.
    pub last: Seq,
}

/// A record's line and the checkpoint that seals it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Number of the record, as it is kept under.
    pub seq: Seq,
    /// Its JSON, byte for byte. What is not UTF-8 was not written by us; it is told with marks in place of it,
    /// which breaks the chain at this record as it should.
    pub line: String,
    /// The checkpoint's envelope.
    pub seal: Option<String>,
}

impl Audit {
    /// How far the log has come, and who signs it.
    pub fn outline(&self) -> Result<Outline, AuditError> {
        let head = match &*self.lock() {
            Err(why) => return Err(AuditError::Closed(why.clone())),
            Ok(open) => export::head(&open.db).map_err(|e| self.sqlite(e))?,
        };
        let (last, head) = head.map_or((0, String::new()), |(seq, hash)| (seq, chain::hex(&hash)));
        Ok(Outline { last, head, key: self.public_key(), protection: self.protection() })
    }

    /// Seals the end, and says how far the log has come.
    pub fn sealed_outline(&self) -> Result<Outline, AuditError> {
        self.checkpoint()?;
        self.outline()
    }

    /// Lines behind a record, a page's worth; none behind the last.
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

    /// Writes down that the log is exported and seals it; returns the record up to which it is sealed, with
    /// which an export ends.
    pub fn announce_export(&self, who: Actor) -> Result<Seq, AuditError> {
        let Outline { last, head, .. } = self.outline()?;
        let event = AuditEvent::AuditExported { records: last, head };
        let announced = self.append(who, event)?;
        Ok(self.checkpoint()?.map_or(announced, |sealed| sealed.seq))
    }

    fn sqlite(&self, e: rusqlite::Error) -> AuditError {
        StoreError::from_sqlite(&self.0.path, e).into()
    }
}

/// Registers the answers. Reading is open to whoever reaches the socket; an export says who took it.
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
