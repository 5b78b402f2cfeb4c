//! Counts without plates, per day and camera, for years: the seven statistics of the MCCA, and our
//! own.
//!
//! In: the audit log, which records everything that a person or a list did, and the in-memory
//! counters of what the cameras saw. Out: a [`DayReport`] for each day. Costs: one small commit a
//! second while something changes, about a kilobyte a day. Leaves to others: sending (`uplink`),
//! showing (`outrider report`).
//!
//! Audit records are counted exactly: the counts and the number of the last counted record change
//! in one transaction, so that after a crash at any point nothing is counted twice or left out.
//! What the cameras saw is added every second as a difference; a kill loses the last second and
//! never counts it twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

mod fold;
pub mod report;
pub mod share;
#[cfg(test)]
mod tests;

use crate::audit::{Audit, AuditError, int, uint};
use crate::config::KeepingConfig;
use crate::health::Snapshot;
use crate::keys::{DeviceKey, KeyError, Purpose};
use crate::secret::SecretKey;
use crate::sqlcipher::{self, Durability, StoreError};

/// Version of `schema.sql`.
const SCHEMA_VERSION: u32 = 1;

/// Days that are kept: five years and a quarter, so that a year can be compared with the four before.
const DAYS_KEPT: i64 = 5 * 366 + 92;

/// Records of the audit log that one transaction counts.
const RECORDS_AT_ONCE: u64 = 512;

/// Longest word, such as a list's category, in characters.
const MOST_WORD: usize = 48;

/// Why counting failed.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// The device key cannot be used.
    #[error("counters: {0}")]
    Key(#[from] KeyError),
    /// The database cannot be used.
    #[error("counters: {0}")]
    Store(#[from] StoreError),
    /// The audit log cannot be read.
    #[error("counters: {0}")]
    Audit(#[from] AuditError),
    /// The log is shorter than it was.
    #[error(
        "counters: record {counted} of the audit log was counted, and the log ends with record {last}: records \
         were cut off, or an older log was put back"
    )]
    Cut {
        /// The last record that was counted.
        counted: u64,
        /// The last record that is there.
        last: u64,
    },
}

/// The counts of one day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayReport {
    /// The day, UTC.
    pub day: Date,
    /// How often it has changed.
    pub revision: u64,
    /// Counts of the car as a whole.
    pub car: BTreeMap<String, u64>,
    /// Counts by camera.
    pub cameras: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The name under which covert hits are counted, separately from all others.
const COVERT: &str = "hits_covert";

impl DayReport {
    /// The day as it may be shown in the car: without covert hits, and without the reads on no
    /// list, from which they could be inferred.
    #[must_use]
    pub fn shown(mut self) -> Self {
        for counts in self.cameras.values_mut().chain([&mut self.car]) {
            counts.retain(|what, _| what != COVERT && what != "non_hits");
        }
        self
    }
}

/// The counters. Clones share them.
#[derive(Clone)]
pub struct Counters(Arc<Inner>);

struct Inner {
    path: PathBuf,
    key: SecretKey,
    /// Guards the connection for one transaction at a time, and the values added so far.
    state: Mutex<State>,
}

struct State {
    db: Connection,
    /// The in-memory values that are in the database already, by camera and word.
    had: BTreeMap<(String, &'static str), u64>,
}

/// A value to add to a statistic.
pub struct Add {
    day: i64,
    camera: String,
    what: String,
    n: i64,
}

impl Counters {
    /// Opens or makes `counters.db` in the state folder.
    pub fn open(keeping: &KeepingConfig) -> Result<Self, CountersError> {
        let path = keeping.directory.join("counters.db");
        crate::files::private_folder(&keeping.directory)
            .map_err(|source| StoreError::Io { path: keeping.directory.clone(), source })?;
        let key = DeviceKey::load(&keeping.directory)?.derive(Purpose::Counters);
        let (db, _) = sqlcipher::open_or_replace(&path, || connect(&path, &key), |e| Some(e))?;
        let state = State { db, had: BTreeMap::new() };
        Ok(Self(Arc::new(Inner { path, key, state: Mutex::new(state) })))
    }

    /// Sets aside counters that have turned out to be damaged, and begins anew: the audit log
    /// restores what it holds; what the cameras saw is counted from here on.
    fn begin_anew(&self) -> Result<(), StoreError> {
        let io = |source| StoreError::Io { path: self.0.path.clone(), source };
        let mut state = self.lock();
        crate::aside::set_aside(&self.0.path).map_err(io)?;
        state.db = connect(&self.0.path, &self.0.key)?;
        Ok(())
    }

    /// Passes a result on; if the counters turn out to be damaged, begins anew, so that the next
    /// call counts.
    fn or_begin_anew<T>(&self, done: Result<T, CountersError>) -> Result<T, CountersError> {
        if let Err(CountersError::Store(e)) = &done
            && e.is_unusable()
        {
            self.begin_anew()?;
        }
        done
    }

    /// Adds what the cameras saw since the last call. `beside` are counts that health does not
    /// have.
    pub fn live(
        &self,
        now: Timestamp,
        health: &Snapshot,
        beside: &[(&str, &'static str, u64)],
    ) -> Result<(), CountersError> {
        self.or_begin_anew(self.add_live(now, health, beside))
    }

    fn add_live(
        &self,
        now: Timestamp,
        health: &Snapshot,
        beside: &[(&str, &'static str, u64)],
    ) -> Result<(), CountersError> {
        let mut values = fold::of_health(health);
        values.extend(beside.iter().map(|(camera, what, n)| ((*camera).to_owned(), *what, *n)));
        let day = day_of(now);
        let mut state = self.lock();
        let mut adds = Vec::new();
        for (camera, what, n) in &values {
            let had = state.had.get(&(camera.clone(), *what)).copied().unwrap_or(0);
            let n = i64::try_from(n.saturating_sub(had)).unwrap_or(i64::MAX);
            if n > 0 {
                adds.push(Add { day, camera: camera.clone(), what: (*what).into(), n });
            }
        }
        if adds.is_empty() {
            return Ok(());
        }
        self.transact(&mut state, |tx| add(tx, &adds))?;
        state.had.extend(values.into_iter().map(|(camera, what, n)| ((camera, what), n)));
        Ok(())
    }

    /// Counts the audit records that were written since the last call; returns how many. It is an
    /// error if the log has fewer records than were counted: counts and log then contradict each
    /// other.
    pub fn count(&self, audit: &Audit) -> Result<u64, CountersError> {
        self.or_begin_anew(self.count_log(audit))
    }

    fn count_log(&self, audit: &Audit) -> Result<u64, CountersError> {
        let Some(chain) = audit.chain()? else { return Ok(0) };
        let mut counted = 0;
        loop {
            let mut state = self.lock();
            let from: u64 = state
                .db
                .query_row("SELECT seq FROM counted WHERE chain = ?1", [&chain], |r| uint(r, 0))
                .optional()
                .map_err(|e| self.store(e))?
                .unwrap_or(0);
            let records = audit.since(from, RECORDS_AT_ONCE)?;
            let Some(last) = records.last().map(|r| r.seq) else {
                let last = audit.outline()?.last;
                return match last < from {
                    true => Err(CountersError::Cut { counted: from, last }),
                    false => Ok(counted),
                };
            };
            let adds: Vec<_> = records.iter().flat_map(fold::of_record).collect();
            self.transact(&mut state, |tx| {
                add(tx, &adds)?;
                tx.execute(
                    "INSERT INTO counted (one, chain, seq) VALUES (1, ?1, ?2)
                     ON CONFLICT DO UPDATE SET chain = excluded.chain, seq = excluded.seq",
                    params![chain, int(last)],
                )
                .map(|_| ())
            })?;
            counted += records.len() as u64;
        }
    }

    /// Days whose latest state the broker has not acknowledged, oldest first. Today is included
    /// only once it is over, so that a day is usually sent once.
    pub fn unsent(&self, now: Timestamp, most: usize) -> Result<Vec<DayReport>, CountersError> {
        let state = self.lock();
        let days = (|| {
            let mut query = state.db.prepare_cached(
                "SELECT day FROM day WHERE acked < revision AND day < ?1 ORDER BY day LIMIT ?2",
            )?;
            let days = query.query_map(params![day_of(now), most as i64], |r| r.get(0))?;
            days.collect::<Result<Vec<i64>, _>>()
        })()
        .map_err(|e| self.store(e))?;
        days.into_iter().map(|day| self.read(&state.db, day)).collect()
    }

    /// Notes that the broker has this state of a day.
    pub fn acknowledged(&self, day: Date, revision: u64) -> Result<(), CountersError> {
        let mut state = self.lock();
        self.transact(&mut state, |tx| {
            tx.execute(
                "UPDATE day SET acked = max(acked, ?2) WHERE day = ?1",
                params![number(day), int(revision)],
            )
            .map(|_| ())
        })
    }

    /// Every day with counts from one day to another, both included.
    pub fn days(&self, from: Date, to: Date) -> Result<Vec<DayReport>, CountersError> {
        let state = self.lock();
        let days = (|| {
            let mut query = state
                .db
                .prepare_cached("SELECT day FROM day WHERE day BETWEEN ?1 AND ?2 ORDER BY day")?;
            let days = query.query_map([number(from), number(to)], |r| r.get(0))?;
            days.collect::<Result<Vec<i64>, _>>()
        })()
        .map_err(|e| self.store(e))?;
        days.into_iter().map(|day| self.read(&state.db, day)).collect()
    }

    /// Deletes days that are older than five years and a quarter.
    pub fn forget_old(&self, now: Timestamp) -> Result<(), CountersError> {
        let before = day_of(now) - DAYS_KEPT;
        let mut state = self.lock();
        self.transact(&mut state, |tx| {
            tx.execute("DELETE FROM tally WHERE day < ?1", [before])?;
            tx.execute("DELETE FROM day WHERE day < ?1", [before]).map(|_| ())
        })
    }

    /// The database file, for messages and `check`.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn read(&self, db: &Connection, day: i64) -> Result<DayReport, CountersError> {
        (|| {
            let revision =
                db.query_row("SELECT revision FROM day WHERE day = ?1", [day], |r| uint(r, 0))?;
            let mut report = DayReport { day: date(day), revision, ..DayReport::default() };
            let mut query = db.prepare_cached(
                "SELECT c.text, w.text, t.n FROM tally t
                 JOIN word c ON c.id = t.camera JOIN word w ON w.id = t.what
                 WHERE t.day = ?1 AND t.n > 0",
            )?;
            let mut rows = query.query([day])?;
            while let Some(row) = rows.next()? {
                let (camera, what, n): (String, String, u64) =
                    (row.get(0)?, row.get(1)?, uint(row, 2)?);
                let counts = match camera.as_str() {
                    "" => &mut report.car,
                    _ => report.cameras.entry(camera).or_default(),
                };
                counts.insert(what, n);
            }
            Ok(report)
        })()
        .map_err(|e| self.store(e))
    }

    fn transact(
        &self,
        state: &mut State,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), CountersError> {
        (|| {
            let tx = state.db.transaction()?;
            work(&tx)?;
            tx.commit()
        })()
        .map_err(|e| self.store(e))
    }

    fn store(&self, e: rusqlite::Error) -> CountersError {
        StoreError::from_sqlite(&self.0.path, e).into()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside a transaction rolls it back: the connection is whole.
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn connect(path: &Path, key: &SecretKey) -> Result<Connection, StoreError> {
    let schema = include_str!("schema.sql");
    let db = sqlcipher::open(path, key, Durability::Full, schema, SCHEMA_VERSION)?;
    // The file is whole after a crash; a power cut may lose the last seconds, and the audit log
    // restores what it holds. A forced write every second would wear the flash for nothing.
    db.execute_batch("PRAGMA synchronous = NORMAL")
        .map_err(|e| StoreError::from_sqlite(path, e))?;
    // A file that was cut off is noticed here and not at the first count.
    db.query_row("SELECT count(*) FROM day", (), |_| Ok(()))
        .map_err(|e| StoreError::from_sqlite(path, e))?;
    Ok(db)
}

fn add(tx: &Transaction<'_>, adds: &[Add]) -> rusqlite::Result<()> {
    let word = |text: &str| -> rusqlite::Result<i64> {
        let text: String = text.chars().take(MOST_WORD).collect();
        tx.prepare_cached("INSERT INTO word (text) VALUES (?1) ON CONFLICT DO NOTHING")?
            .execute([&text])?;
        tx.prepare_cached("SELECT id FROM word WHERE text = ?1")?.query_row([&text], |r| r.get(0))
    };
    let mut days = std::collections::BTreeSet::new();
    for Add { day, camera, what, n } in adds {
        tx.prepare_cached(
            "INSERT INTO tally (day, camera, what, n) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (day, camera, what) DO UPDATE SET n = n + excluded.n",
        )?
        .execute(params![day, word(camera)?, word(what)?, n])?;
        days.insert(*day);
    }
    for day in days {
        tx.prepare_cached(
            "INSERT INTO day (day, revision) VALUES (?1, 1)
             ON CONFLICT DO UPDATE SET revision = revision + 1",
        )?
        .execute([day])?;
    }
    Ok(())
}

/// The day of an instant, as days since 1970-01-01, UTC.
fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

fn number(day: Date) -> i64 {
    day.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |midnight| day_of(midnight.timestamp()))
}

fn date(day: i64) -> Date {
    Timestamp::from_second(day.saturating_mul(86_400))
        .map_or(Date::ZERO, |at| at.to_zoned(jiff::tz::TimeZone::UTC).date())
}
