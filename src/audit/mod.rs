//! The record of who did what, when and why: hash-chained, signed by the device key, only added to.
//!
//! In: [`AuditEvent`]s, a closed list without a place for a plate. Out: JSON lines that anyone can
//! verify with the car's public key alone, and signed checkpoints that leave the car, so that a log cut
//! off at its end is noticed elsewhere. Costs: one synchronous commit a record. Leaves to others: what
//! to do when it cannot be written. The rule is: no look-ups, no policy changes; reading and alerting
//! go on and health says why.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use ulid::Ulid;

mod chain;
mod event;
mod export;
pub mod pages;
#[cfg(test)]
mod tests;

pub use chain::{CHECKPOINT_TYPE, Checkpoint, Fault, Record, Verdict, Verifier, digest, verify};
pub use event::{Actor, AuditEvent, Change, MOST_TEXT};
pub use export::ExportError;
pub(crate) use export::{int, uint};

use crate::clock::{Clock, FrameTime};
use crate::config::{KeepingConfig, Vehicle};
use crate::dsse::{Envelope, PublicKey, SigningKey};
use crate::health::{Health, PartState};
use crate::keys::{self, DeviceKey, KeyError, Protection, Purpose, SecretKey};
use crate::plate::PlateKey;
use crate::sqlcipher::{self, Durability, StoreError};

/// The part's name in health.
const PART: &str = "audit";

/// Version of `schema.sql`.
const SCHEMA_VERSION: u32 = 1;

/// A checkpoint is due after this many records,
const CHECKPOINT_RECORDS: u64 = 64;

/// or when the oldest record without one is this old: what a thief of the car can cut off unnoticed.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(120);

/// Records that may wait for the disk: a day of a busy car.
const MOST_WAITING: usize = 1_000;

/// Number of a record: 1, 2, 3 and so on.
pub type Seq = u64;

/// Why the log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The device key.
    #[error("audit log: {0}")]
    Key(#[from] KeyError),
    /// The database.
    #[error("audit log: {0}")]
    Store(#[from] StoreError),
    /// The chain does not hold.
    #[error(
        "audit log {path}: {fault}; keep the file, run outrider audit verify, and ask who had access"
    )]
    Broken {
        /// The database.
        path: PathBuf,
        /// The first bad record.
        fault: Fault,
    },
    /// It could not be opened at the start.
    #[error("audit log closed: {0}")]
    Closed(String),
}

/// A signed head of the chain, to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The record that it seals.
    pub seq: Seq,
    /// The DSSE envelope as JSON.
    pub envelope: Vec<u8>,
}

/// The log. Clones share it.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    path: PathBuf,
    vehicle: Vehicle,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    protection: Option<Protection>,
    signing: Option<SigningKey>,
    tags: Option<SecretKey>,
    /// Guards what the disk refused, while it is put in or tried again. Taken before `open`.
    waiting: Mutex<VecDeque<(FrameTime, Actor, AuditEvent)>>,
    /// Guards the connection for one transaction at a time: as long as a commit takes to last.
    open: Mutex<Result<Open, String>>,
}

struct Open {
    db: Connection,
    /// The last checkpoint made or found.
    sealed: Option<Sealed>,
    /// When the oldest record without a checkpoint was written, on the boot clock.
    unsealed_since: Option<Duration>,
}

impl Audit {
    /// Opens or makes `audit.db` in the state folder, and checks the chain's end.
    pub fn open(
        keeping: &KeepingConfig,
        vehicle: &Vehicle,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Result<Self, AuditError> {
        let path = keeping.directory.join("audit.db");
        keys::private_folder(&keeping.directory)
            .map_err(|source| StoreError::Io { path: keeping.directory.clone(), source })?;
        let device = DeviceKey::load(&keeping.directory)?;
        let db = sqlcipher::open(
            &path,
            &device.derive(Purpose::Audit),
            Durability::Full,
            include_str!("schema.sql"),
            SCHEMA_VERSION,
        )?;
        let signing = device.signing_key();
        let (sealed, unsealed) = export::check_end(&db, &path, &signing.public())?;
        health.set(PART, PartState::Working);
        let now = clock.now().monotonic;
        let open = Open { db, sealed, unsealed_since: unsealed.then_some(now) };
        Ok(Self(Arc::new(Inner {
            path,
            vehicle: vehicle.clone(),
            clock,
            health,
            protection: Some(device.protection()),
            signing: Some(signing),
            tags: Some(device.derive(Purpose::PlateTag)),
            waiting: Mutex::default(),
            open: Mutex::new(Ok(open)),
        })))
    }

    /// As [`Audit::open`]; what cannot be opened is a log that refuses every record, so that reading
    /// and alerting go on without look-ups and policy changes.
    pub fn open_or_closed(
        keeping: &KeepingConfig,
        vehicle: &Vehicle,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Self {
        let opened = Self::open(keeping, vehicle, clock.clone(), health.clone());
        opened.unwrap_or_else(|e| {
            tracing::error!(error = %e, "audit log closed: no look-ups, no policy changes");
            health.set(PART, PartState::Down(format!("{e}: no look-ups, no policy changes")));
            Self(Arc::new(Inner {
                path: keeping.directory.join("audit.db"),
                vehicle: vehicle.clone(),
                clock,
                health,
                protection: None,
                signing: None,
                tags: None,
                waiting: Mutex::default(),
                open: Mutex::new(Err(e.to_string())),
            }))
        })
    }

    /// Writes one record. When this returns `Ok` it is on the disk; until then, what it would record
    /// must not happen if it is a look-up, an export or a change of policy.
    pub fn append(&self, who: Actor, event: AuditEvent) -> Result<Seq, AuditError> {
        {
            let mut waiting = self.waiting();
            self.write_waiting(&mut waiting);
        }
        self.append_at(self.0.clock.now(), who, event)
    }

    fn append_at(&self, now: FrameTime, who: Actor, event: AuditEvent) -> Result<Seq, AuditError> {
        let mut open = self.lock();
        let done = match &mut *open {
            Err(why) => Err(AuditError::Closed(why.clone())),
            Ok(open) => self.write(open, now, who, event.cut()),
        };
        match &done {
            Ok(_) => self.say_working(),
            Err(AuditError::Closed(_)) => {}
            Err(e) => {
                tracing::error!(error = %e, "audit record not written");
                let line = format!("{e}: no look-ups, no policy changes");
                self.0.health.set(PART, PartState::Down(line));
            }
        }
        done
    }

    /// As [`Audit::append`] for what has happened already. What the disk refuses waits in memory, is
    /// written as soon as the disk takes it, and tells when it happened.
    pub fn note(&self, who: Actor, event: AuditEvent) {
        let now = self.0.clock.now();
        let mut waiting = self.waiting();
        if waiting.len() == MOST_WAITING {
            // The oldest are the ones that say how it began.
            tracing::error!("audit record lost: too many wait for the disk");
            return;
        }
        waiting.push_back((now, who, event));
        self.write_waiting(&mut waiting);
    }

    fn write_waiting(&self, waiting: &mut VecDeque<(FrameTime, Actor, AuditEvent)>) {
        while let Some((at, who, event)) = waiting.front().cloned() {
            match self.append_at(at, who, event) {
                // A log that is closed for good takes nothing later either; health has said it.
                Ok(_) | Err(AuditError::Closed(_)) => _ = waiting.pop_front(),
                Err(_) => return,
            }
        }
    }

    /// Seals the chain's end with a signature if it is not sealed.
    pub fn checkpoint(&self) -> Result<Option<Sealed>, AuditError> {
        let now = self.0.clock.now();
        match &mut *self.lock() {
            Err(why) => Err(AuditError::Closed(why.clone())),
            Ok(open) => {
                if open.unsealed_since.is_some() {
                    self.seal(open, now, &[])?;
                }
                Ok(open.sealed.clone())
            }
        }
    }

    /// To be called about once a second: makes the checkpoint that is due.
    pub fn tick(&self) {
        {
            let mut waiting = self.waiting();
            self.write_waiting(&mut waiting);
        }
        let now = self.0.clock.now().monotonic;
        let due = self.lock().as_ref().is_ok_and(|open| {
            open.unsealed_since.is_some_and(|since| now.saturating_sub(since) >= CHECKPOINT_AFTER)
        });
        if due && let Err(e) = self.checkpoint() {
            tracing::error!(error = %e, "audit checkpoint not made");
        }
    }

    /// The latest checkpoint, to be sent off the car.
    pub fn sealed(&self) -> Option<Sealed> {
        self.lock().as_ref().ok()?.sealed.clone()
    }

    /// Why nothing can be written, if so. Ask it before a look-up is begun; only `append` proves.
    pub fn closed(&self) -> Option<String> {
        self.lock().as_ref().err().cloned()
    }

    /// The key that verifies this car's checkpoints and evidence.
    pub fn public_key(&self) -> Option<PublicKey> {
        self.0.signing.as_ref().map(SigningKey::public)
    }

    /// Where the device key comes from; nothing if there is none.
    pub fn protection(&self) -> Option<Protection> {
        self.0.protection
    }

    /// Signs a document with the car's key; `None` if there is none.
    pub fn sign(&self, kind: &'static str, payload: Vec<u8>) -> Option<Envelope> {
        let key = self.0.signing.as_ref()?;
        Some(Envelope::sign(kind, payload, &[key]))
    }

    /// Writes down that another device key comes, sealed by both, so that who knows the old one's public
    /// half can believe the new. Returns the new public key.
    pub fn rotate(&self, who: Actor, new: &DeviceKey) -> Result<PublicKey, AuditError> {
        let next = new.signing_key();
        let public = next.public();
        let Some(old) = self.public_key() else {
            return Err(AuditError::Closed(self.closed().unwrap_or_default()));
        };
        let event = AuditEvent::KeyRotated {
            old: old.id(),
            new: public.id(),
            public: public.to_string(),
            protection: new.protection(),
        };
        self.append(who, event)?;
        let now = self.0.clock.now();
        match &mut *self.lock() {
            Err(why) => return Err(AuditError::Closed(why.clone())),
            Ok(open) => self.seal(open, now, &[&next])?,
        }
        Ok(public)
    }

    /// Names a plate without telling it: the same plate has the same tag in this car, and who has not
    /// the device key cannot tell which plate it is.
    pub fn tag(&self, plate: PlateKey) -> String {
        let Some(key) = &self.0.tags else { return String::new() };
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.expose());
        let tag = ring::hmac::sign(&key, &plate.get().to_le_bytes());
        data_encoding::HEXLOWER.encode(&tag.as_ref()[..8])
    }

    /// Records that are about a hit, as stored, oldest first.
    pub fn about(&self, hit: Ulid) -> Result<Vec<Vec<u8>>, AuditError> {
        let wanted = hit.to_string();
        let mut lines = Vec::new();
        self.each(|line| {
            // Cheap before sure: few lines hold this text at all.
            if line.windows(wanted.len()).any(|w| w == wanted.as_bytes())
                && serde_json::from_slice::<Record>(line)
                    .is_ok_and(|record| record.event.hit() == Some(hit))
            {
                lines.push(line.to_vec());
            }
        })?;
        Ok(lines)
    }

    /// The database file, for messages and `check`.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn write(
        &self,
        open: &mut Open,
        now: FrameTime,
        who: Actor,
        event: AuditEvent,
    ) -> Result<Seq, AuditError> {
        let record = |seq, prev: &chain::Hash| Record {
            v: chain::FORMAT,
            seq,
            wall: jiff::Timestamp::from_millisecond(now.wall.as_millisecond())
                .unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            time_source: self.0.clock.source(),
            boot: data_encoding::HEXLOWER.encode(&self.0.clock.boot().to_bytes()),
            boot_ms: u64::try_from(now.monotonic.as_millis()).unwrap_or(u64::MAX),
            who,
            event,
            prev: chain::hex(prev),
        };
        let seq = (|| {
            // Another process may have written: the head is read under the write lock.
            let tx = open.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (last, head) = export::head(&tx)?.unwrap_or((0, chain::BEFORE_ALL));
            let record = record(last + 1, &head);
            let line = record.line();
            let hash = chain::hash(&line);
            tx.prepare_cached("INSERT INTO record (seq, line, hash) VALUES (?1, ?2, ?3)")?
                .execute(params![export::int(record.seq), line, hash])?;
            tx.commit()?;
            Ok(record.seq)
        })()
        .map_err(|e| StoreError::from_sqlite(&self.0.path, e))?;
        let since = *open.unsealed_since.get_or_insert(now.monotonic);
        let sealed = open.sealed.as_ref().map_or(0, |s| s.seq);
        if seq - sealed >= CHECKPOINT_RECORDS
            || now.monotonic.saturating_sub(since) >= CHECKPOINT_AFTER
        {
            // The record is on the disk: a checkpoint that fails is made later.
            if let Err(e) = self.seal(open, now, &[]) {
                tracing::error!(error = %e, "audit checkpoint not made");
            }
        }
        Ok(seq)
    }

    fn seal(
        &self,
        open: &mut Open,
        now: FrameTime,
        with: &[&SigningKey],
    ) -> Result<(), AuditError> {
        let Some(signing) = &self.0.signing else { return Ok(()) };
        let sealed = (|| {
            let tx = open.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some((seq, head)) = export::head(&tx)? else { return Ok(None) };
            let chain: chain::Hash =
                tx.query_row("SELECT hash FROM record WHERE seq = 1", (), |r| r.get(0))?;
            let checkpoint = Checkpoint {
                v: chain::FORMAT,
                agency: self.0.vehicle.agency.clone(),
                vehicle: self.0.vehicle.id.clone(),
                chain: chain::hex(&chain),
                seq,
                head: chain::hex(&head),
                at: now.wall,
            };
            let keys: Vec<_> = std::iter::once(signing).chain(with.iter().copied()).collect();
            let envelope = checkpoint.sign(&keys).to_json();
            tx.execute(
                "INSERT INTO checkpoint (seq, envelope) VALUES (?1, ?2)
                 ON CONFLICT (seq) DO UPDATE SET envelope = excluded.envelope",
                params![export::int(seq), envelope],
            )?;
            tx.commit()?;
            Ok(Some(Sealed { seq, envelope }))
        })()
        .map_err(|e| StoreError::from_sqlite(&self.0.path, e))?;
        open.unsealed_since = None;
        open.sealed = sealed.or(open.sealed.take());
        Ok(())
    }

    fn say_working(&self) {
        if matches!(self.0.health.state(PART), Some(PartState::Down(_))) {
            tracing::info!("audit log is written again");
            self.0.health.set(PART, PartState::Working);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(FrameTime, Actor, AuditEvent)>> {
        self.0.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Result<Open, String>> {
        // A panic inside a transaction rolls it back: the connection is whole.
        self.0.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes the disk seem full, or not any more.
    #[cfg(any(test, feature = "testing"))]
    pub fn fill_disk_for_tests(&self, full: bool) {
        if let Ok(open) = &*self.lock() {
            let now: i64 = open.db.query_row("PRAGMA page_count", (), |r| r.get(0)).expect("open");
            let most = if full { now } else { 1_000_000 };
            open.db
                .query_row(&format!("PRAGMA max_page_count = {most}"), (), |_| Ok(()))
                .expect("open");
            if full {
                // What still fits into the last pages.
                let fill = "UPDATE checkpoint SET envelope = zeroblob(3000)";
                let _ = open.db.execute(fill, ());
            }
        }
    }
}
