//! Reads the log: exports it as JSON lines, returns its last records, walks all of it for
//! verification.

use std::io::Write;

use super::*;

/// Number of latest records that are searched for a hit: those of several weeks of a busy car.
const LATEST: u64 = 4_096;

/// Called with each line, and with the checkpoint that seals it if there is one.
type Look<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

impl Audit {
    /// Writes the whole log as JSON lines: each record as it was hashed, and each checkpoint right
    /// after the record that it seals. The last record states that the log was exported, and a seal
    /// over it ends the export. Returns the number of records, and the head.
    pub fn export(&self, who: Actor, out: &mut dyn Write) -> Result<(u64, String), ExportError> {
        let last = self.announce_export(who)?;
        let mut failed = None;
        let mut put = |line: &[u8]| {
            if failed.is_none() {
                failed = out.write_all(line).and_then(|()| out.write_all(b"\n")).err();
            }
        };
        let head = self.walk(last, &mut |line, envelope| {
            put(line);
            if let Some(envelope) = envelope {
                put(envelope);
            }
        })?;
        match failed {
            Some(e) => Err(e.into()),
            None => Ok((last, head)),
        }
    }

    /// Verifies the whole chain in place. `key` is the car's public key as somebody outside knows
    /// it; if it is `None`, the car's own is used.
    pub fn verify(&self, key: Option<PublicKey>) -> Result<Verdict, AuditError> {
        let Some(key) = key.or_else(|| self.first_key()) else {
            return Err(AuditError::Closed(self.closed().unwrap_or_default()));
        };
        let mut verifier = Verifier::new(key);
        let mut fault = None;
        self.walk(u64::MAX, &mut |line, envelope| {
            if fault.is_none() {
                fault = verifier
                    .line(line)
                    .and_then(|()| envelope.map_or(Ok(()), |e| verifier.line(e)))
                    .err();
            }
        })?;
        let broken = |fault| AuditError::Broken { path: self.0.path.clone(), fault };
        match fault {
            Some(fault) => Err(broken(fault)),
            None => verifier.end_in_place().map_err(broken),
        }
    }

    /// The last `n` records, oldest first.
    pub fn recent(&self, n: u64) -> Result<Vec<Record>, AuditError> {
        let mut kept = std::collections::VecDeque::new();
        self.each(|line| {
            if let Ok(record) = serde_json::from_slice::<Record>(line) {
                kept.push_back(record);
                if kept.len() as u64 > n {
                    kept.pop_front();
                }
            }
        })?;
        Ok(kept.into())
    }

    /// SHA-256 of the first line, which identifies the chain; `None` while the log is empty.
    pub fn chain(&self) -> Result<Option<String>, AuditError> {
        let open = self.lock();
        let open = open.as_ref().map_err(|why| AuditError::Closed(why.clone()))?;
        let first = open
            .db
            .query_row("SELECT hash FROM record WHERE seq = 1", (), |r| r.get(0))
            .optional()
            .map_err(|e| self.store(e))?;
        Ok(first.map(|hash| chain::hex(&hash)))
    }

    /// Those of `hits` that the latest records do not state as recorded: the process was killed
    /// between the two commits.
    pub fn without_record(&self, mut hits: Vec<Ulid>) -> Result<Vec<Ulid>, AuditError> {
        let last = match &*self.lock() {
            Err(why) => return Err(AuditError::Closed(why.clone())),
            Ok(open) => head(&open.db).map_err(|e| self.store(e))?.map_or(0, |(seq, _)| seq),
        };
        for record in self.since(last.saturating_sub(LATEST), LATEST)? {
            if let AuditEvent::HitRecorded { hit, .. } = record.event {
                hits.retain(|wanted| *wanted != hit);
            }
        }
        Ok(hits)
    }

    /// Up to `most` records after `seq`, oldest first.
    pub fn since(&self, seq: Seq, most: u64) -> Result<Vec<Record>, AuditError> {
        let open = self.lock();
        let open = open.as_ref().map_err(|why| AuditError::Closed(why.clone()))?;
        let lines = (|| {
            let mut query = open
                .db
                .prepare_cached("SELECT line FROM record WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
            let lines = query.query_map([int(seq), int(most)], |r| r.get::<_, Vec<u8>>(0))?;
            lines.collect::<Result<Vec<_>, _>>()
        })()
        .map_err(|e| self.store(e))?;
        Ok(lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// The key with which the chain began. The first `key_created` or `key_rotated` names it; a
    /// chain with neither has known one key only.
    fn first_key(&self) -> Option<PublicKey> {
        let mut first = None;
        self.each(|line| {
            if first.is_none()
                && let Ok(record) = serde_json::from_slice::<Record>(line)
                && let AuditEvent::KeyCreated { public, .. } = record.event
            {
                first = PublicKey::parse(&public).ok();
            }
        })
        .ok()?;
        first.or_else(|| self.public_key())
    }

    /// Calls `look` with every line.
    pub(super) fn each(&self, mut look: impl FnMut(&[u8])) -> Result<(), AuditError> {
        self.walk(u64::MAX, &mut |line, _| look(line)).map(|_| ())
    }

    /// Walks every line up to `last` with the checkpoint that seals it. Returns the last line's
    /// hash.
    fn walk(&self, last: u64, look: &mut Look<'_>) -> Result<String, AuditError> {
        let open = self.lock();
        let open = open.as_ref().map_err(|why| AuditError::Closed(why.clone()))?;
        (|| {
            let mut query = open.db.prepare_cached(
                "SELECT r.line, c.envelope, r.hash FROM record r LEFT JOIN checkpoint c USING (seq)
                 WHERE r.seq <= ?1 ORDER BY r.seq",
            )?;
            let mut rows = query.query([int(last)])?;
            let mut head = chain::BEFORE_ALL;
            while let Some(row) = rows.next()? {
                let envelope = row.get_ref(1)?.as_blob_or_null()?;
                look(row.get_ref(0)?.as_blob()?, envelope);
                head = row.get(2)?;
            }
            Ok(chain::hex(&head))
        })()
        .map_err(|e| self.store(e))
    }

    fn store(&self, e: rusqlite::Error) -> AuditError {
        StoreError::from_sqlite(&self.0.path, e).into()
    }
}

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log could not be read.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The destination could not be written.
    #[error("audit export not written: {0}")]
    Io(#[from] std::io::Error),
}

/// A number as SQLite stores it.
pub fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A number as SQLite stores it, read back.
pub fn uint(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| u64::try_from(n).unwrap_or(0))
}

/// Number and hash of the last record.
pub(super) fn head(db: &Connection) -> rusqlite::Result<Option<(u64, chain::Hash)>> {
    db.prepare_cached("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1")?
        .query_row((), |row| Ok((uint(row, 0)?, row.get(1)?)))
        .optional()
}

/// The last checkpoint, and whether there are records after it. The records from that checkpoint on are
/// checked: all of the chain would take a second of every start, and `check` looks at the rest.
pub(super) fn check_end(
    db: &Connection,
    path: &Path,
    key: &PublicKey,
) -> Result<(Option<Sealed>, bool), AuditError> {
    let broken = |fault| AuditError::Broken { path: path.to_owned(), fault };
    let sqlite = |e| AuditError::from(StoreError::from_sqlite(path, e));
    let sealed = db
        .query_row("SELECT seq, envelope FROM checkpoint ORDER BY seq DESC LIMIT 1", (), |row| {
            Ok(Sealed { seq: uint(row, 0)?, envelope: row.get(1)? })
        })
        .optional()
        .map_err(sqlite)?;
    let mut expected = None;
    if let Some(sealed) = &sealed {
        let bad = |why| broken(Fault::Checkpoint { after: sealed.seq, why });
        let checkpoint = Envelope::parse(&sealed.envelope)
            .map_err(|e| e.to_string())
            .and_then(|envelope| Checkpoint::open_own(&envelope, key))
            .map_err(bad)?;
        expected = Some(checkpoint.head);
    }
    let from = sealed.as_ref().map_or(1, |s| s.seq);
    let mut query = db
        .prepare("SELECT seq, line, hash FROM record WHERE seq >= ?1 ORDER BY seq")
        .map_err(sqlite)?;
    let mut rows = query.query([int(from)]).map_err(sqlite)?;
    let mut last: Option<(u64, String)> = None;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let (seq, line, kept): (u64, Vec<u8>, chain::Hash) =
            (|| Ok((uint(row, 0)?, row.get(1)?, row.get(2)?)))().map_err(sqlite)?;
        let hash = chain::hash(&line);
        let prev = serde_json::from_slice::<Record>(&line).map(|r| r.prev).ok();
        let fits = match &last {
            Some((before, head)) => {
                seq == before + 1 && prev.as_ref().is_none_or(|prev| prev == head)
            }
            None => seq == from && expected.as_ref().is_none_or(|head| *head == chain::hex(&hash)),
        };
        if !fits || hash != kept {
            let why = "changed, missing or moved since it was written".into();
            return Err(broken(Fault::Record { seq: last.map_or(from, |l| l.0 + 1), why }));
        }
        last = Some((seq, chain::hex(&hash)));
    }
    let end = last.map_or(0, |l| l.0);
    match &sealed {
        Some(sealed) if end < sealed.seq => {
            Err(broken(Fault::Truncated { last: end, sealed: sealed.seq }))
        }
        _ => {
            let unsealed = end > sealed.as_ref().map_or(0, |s| s.seq);
            Ok((sealed, unsealed))
        }
    }
}
