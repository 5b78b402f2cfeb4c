//! The audit log: who did what, when and why; hash-chained, signed by the device key, append-only.
//!
//! In: [`AuditEvent`]s, a closed list without a field for a plate. Out: JSON lines that anyone can
//! verify with the car's public key alone, and signed checkpoints that leave the car, so that
//! others notice a log whose end was cut off. Costs: one synchronous commit a record. Leaves to
//! others: what happens while it cannot be written. The rule is: look-ups and policy changes are
//! refused; reading and alerting go on, and health says why.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use ulid::Ulid;

mod browse;
mod chain;
mod event;
mod export;
#[cfg(any(test, feature = "testing"))]
pub mod forger;
pub mod pages;
mod refusals;
#[cfg(test)]
mod tests;
mod verify;
#[cfg(test)]
mod verify_tests;

pub use chain::{CHECKPOINT_TYPE, Checkpoint, Record, SEALED_EVERY, digest};
pub use event::{Actor, AuditEvent, Change, MOST_TEXT, Person, ShiftLine};
pub use export::ExportError;
pub use export::{int, uint};
pub use verify::{ExportFault, Fault, Verdict, Verifier, verify, verify_from};

use self::refusals::Refusals;
use crate::clock::{Clock, FrameTime};
use crate::config::{KeepingConfig, Vehicle};
use crate::dsse::{Envelope, PublicKey, SigningKey};
use crate::health::{Health, PartState};
use crate::keys::{DeviceKey, KeyError, Protection, Purpose};
use crate::plate::PlateKey;
use crate::secret::SecretKey;
use crate::sqlcipher::{self, Durability, StoreError};

/// The name under which health reports this part.
const PART: &str = "audit";

/// Version of `schema.sql`.
const SCHEMA_VERSION: u32 = 1;

/// Age of the oldest unsealed record at which a seal is due; every [`SEALED_EVERY`]th record is
/// sealed in any case. It limits what a thief of the car can cut off unnoticed.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(120);

/// Most records that wait in memory for the disk: those of a day in a busy car.
const MOST_WAITING: usize = 1_000;

/// Number of a record: 1, 2, 3 and so on.
pub type Seq = u64;

/// Why the log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The device key cannot be used.
    #[error("audit log: {0}")]
    Key(#[from] KeyError),
    /// The database cannot be used.
    #[error("audit log: {0}")]
    Store(#[from] StoreError),
    /// The chain is broken.
    #[error(
        "audit log {path}: {fault}; keep the file, run outrider audit verify, and ask who had access"
    )]
    Broken {
        /// The database.
        path: PathBuf,
        /// The first bad record.
        fault: Fault,
    },
    /// The log could not be opened at the start.
    #[error("audit log closed: {0}")]
    Closed(String),
}

/// A signed head of the chain, to be sent to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The record that it seals.
    pub seq: Seq,
    /// The DSSE envelope as JSON.
    pub envelope: Vec<u8>,
}

/// The audit log. Clones share it.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    path: PathBuf,
    vehicle: Vehicle,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    protection: Option<Protection>,
    /// The key of the database.
    key: Option<SecretKey>,
    signing: Option<SigningKey>,
    tags: Option<SecretKey>,
    /// Guards the events that the disk has refused, while one is added or written again. Locked
    /// before `open`.
    waiting: Mutex<VecDeque<(FrameTime, Actor, AuditEvent)>>,
    /// Guards the recent refusals, for a moment.
    refusals: Mutex<Refusals>,
    /// Guards the connection for one transaction at a time, which lasts as long as a commit.
    open: Mutex<Result<Open, String>>,
}

struct Open {
    db: Connection,
    /// The latest checkpoint, made or found.
    sealed: Option<Sealed>,
    /// When the oldest record without a checkpoint was written, on the boot clock.
    unsealed_since: Option<Duration>,
}

/// When a record is sealed.
#[derive(Clone, Copy)]
enum Sealing<'a> {
    /// When enough records or enough time have passed since the previous seal.
    WhenDue,
    /// In the commit that writes it; these further keys sign too when keys change.
    Now(&'a [&'a SigningKey]),
}

/// Number of the last record that a seal covers, 0 if there is none.
fn sealed_to(db: &Connection) -> rusqlite::Result<Seq> {
    db.prepare_cached("SELECT COALESCE(MAX(seq), 0) FROM checkpoint")?
        .query_row((), |row| export::uint(row, 0))
}

fn store(e: &AuditError) -> Option<&StoreError> {
    match e {
        AuditError::Store(e) => Some(e),
        AuditError::Key(_) | AuditError::Broken { .. } | AuditError::Closed(_) => None,
    }
}

fn connect(
    path: &Path,
    key: &SecretKey,
    signing: &SigningKey,
    clock: &dyn Clock,
) -> Result<Open, AuditError> {
    let schema = include_str!("schema.sql");
    let db = sqlcipher::open(path, key, Durability::Full, schema, SCHEMA_VERSION)?;
    let (sealed, unsealed) = export::check_end(&db, path, &signing.public())?;
    let unsealed_since = unsealed.then(|| clock.now().monotonic);
    Ok(Open { db, sealed, unsealed_since })
}

impl Audit {
    /// Opens or makes `audit.db` in the state folder, and checks the chain's end. A damaged log is
    /// an error and stays where it is: a command that only reads a log moves nothing away.
    pub fn open(
        keeping: &KeepingConfig,
        vehicle: &Vehicle,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Result<Self, AuditError> {
        Self::take_up(keeping, vehicle, clock, health, false)
    }

    fn take_up(
        keeping: &KeepingConfig,
        vehicle: &Vehicle,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
        set_aside: bool,
    ) -> Result<Self, AuditError> {
        let path = keeping.directory.join("audit.db");
        crate::files::private_folder(&keeping.directory)
            .map_err(|source| StoreError::Io { path: keeping.directory.clone(), source })?;
        let device = DeviceKey::load(&keeping.directory)?;
        let (key, signing) = (device.derive(Purpose::Audit), device.signing_key());
        // Only a file that cannot be read is set aside. A chain that can be read and is broken is
        // evidence.
        let work = || connect(&path, &key, &signing, &*clock);
        let open = match set_aside {
            true => sqlcipher::open_or_replace(&path, work, store)?.0,
            false => work()?,
        };
        health.set(PART, PartState::Working);
        Ok(Self(Arc::new(Inner {
            path,
            vehicle: vehicle.clone(),
            clock,
            health,
            protection: Some(device.protection()),
            key: Some(key),
            signing: Some(signing),
            tags: Some(device.derive(Purpose::PlateTag)),
            waiting: Mutex::default(),
            refusals: Mutex::default(),
            open: Mutex::new(Ok(open)),
        })))
    }

    /// As [`Audit::open`], for the daemon: a log that is damaged, or made with another key, is set
    /// aside and a new one begun; one whose chain is broken stays where it is. If no log can be
    /// opened, the one that is returned refuses every record, so that reading and alerting go on
    /// without look-ups and policy changes.
    pub fn open_or_closed(
        keeping: &KeepingConfig,
        vehicle: &Vehicle,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Self {
        let opened = Self::take_up(keeping, vehicle, clock.clone(), health.clone(), true);
        opened.unwrap_or_else(|e| {
            tracing::error!(error = %e, "audit log closed: no look-ups, no policy changes");
            health.set(PART, PartState::Down(format!("{e}: no look-ups, no policy changes")));
            Self(Arc::new(Inner {
                path: keeping.directory.join("audit.db"),
                vehicle: vehicle.clone(),
                clock,
                health,
                protection: None,
                key: None,
                signing: None,
                tags: None,
                waiting: Mutex::default(),
                refusals: Mutex::default(),
                open: Mutex::new(Err(e.to_string())),
            }))
        })
    }

    /// Writes one record. It is on the disk when this returns `Ok`. A look-up, an export or a
    /// change of policy must not happen before that.
    pub fn append(&self, who: Actor, event: AuditEvent) -> Result<Seq, AuditError> {
        {
            let mut waiting = self.waiting();
            self.write_waiting(&mut waiting);
        }
        self.append_at(self.0.clock.now(), who, event)
    }

    fn append_at(&self, now: FrameTime, who: Actor, event: AuditEvent) -> Result<Seq, AuditError> {
        let mut open = self.lock();
        let mut done = match &mut *open {
            Err(why) => Err(AuditError::Closed(why.clone())),
            Ok(open) => {
                let event = event.clone();
                self.write(open, now, who.clone().shown(), Sealing::WhenDue, |_, _| event.cut())
            }
        };
        if let (Err(AuditError::Store(e)), Ok(damaged)) = (&done, &mut *open)
            && e.is_unusable()
        {
            done = self.begin_anew(damaged).and_then(|()| {
                self.write(damaged, now, who.shown(), Sealing::WhenDue, |_, _| event.cut())
            });
        }
        self.report_to_health(&done);
        done
    }

    /// As [`Audit::append`], but sealed in the same commit. `event` is called with the number of
    /// its record and the hash of the record before it.
    fn append_sealed(
        &self,
        who: Actor,
        with: &[&SigningKey],
        event: impl FnOnce(Seq, &chain::Hash) -> AuditEvent,
    ) -> Result<Seq, AuditError> {
        {
            let mut waiting = self.waiting();
            self.write_waiting(&mut waiting);
        }
        let now = self.0.clock.now();
        let mut open = self.lock();
        let done = match &mut *open {
            Err(why) => Err(AuditError::Closed(why.clone())),
            Ok(open) => self.write(open, now, who.shown(), Sealing::Now(with), event),
        };
        self.report_to_health(&done);
        done
    }

    /// Reports in health whether the last record was written.
    fn report_to_health(&self, done: &Result<Seq, AuditError>) {
        match done {
            Ok(_) => self.report_working(),
            Err(AuditError::Closed(_)) => {}
            Err(e) => {
                tracing::error!(error = %e, "audit record not written");
                let line = format!("{e}: no look-ups, no policy changes");
                self.0.health.set(PART, PartState::Down(line));
            }
        }
    }

    /// Sets aside a log that has turned out to be damaged, and begins a new one with the key that
    /// verifies it.
    fn begin_anew(&self, open: &mut Open) -> Result<(), AuditError> {
        let Inner { path, clock, key, signing, protection, .. } = &*self.0;
        let (Some(key), Some(signing), Some(protection)) = (key, signing, protection) else {
            return Err(AuditError::Closed("it has no key".into()));
        };
        crate::aside::set_aside(path)
            .map_err(|source| StoreError::Io { path: path.clone(), source })?;
        *open = connect(path, key, signing, &**clock)?;
        if let Some(folder) = path.parent() {
            crate::aside::report_to_health(folder, &self.0.health);
        }
        let public = signing.public();
        let (key, public) = (public.id(), public.to_string());
        let created = AuditEvent::KeyCreated { key, public, protection: *protection };
        self.write(open, clock.now(), Actor::System, Sealing::WhenDue, |_, _| created).map(drop)
    }

    /// As [`Audit::append`], for what has happened already. An event that the disk refuses waits in
    /// memory until the disk takes it; its record states when it happened.
    pub fn note(&self, who: Actor, event: AuditEvent) {
        let now = self.0.clock.now();
        let mut waiting = self.waiting();
        if waiting.len() == MOST_WAITING {
            // The oldest events are kept: they show how it began.
            tracing::error!("audit record lost: too many wait for the disk");
            return;
        }
        waiting.push_back((now, who, event));
        self.write_waiting(&mut waiting);
    }

    fn write_waiting(&self, waiting: &mut VecDeque<(FrameTime, Actor, AuditEvent)>) {
        while let Some((at, who, event)) = waiting.front().cloned() {
            match self.append_at(at, who, event) {
                // A closed log takes nothing later either; health has reported it.
                Ok(_) | Err(AuditError::Closed(_)) => _ = waiting.pop_front(),
                Err(_) => return,
            }
        }
    }

    /// As [`Audit::note`], for the refusal of something that anybody can send: after a few refusals
    /// of one kind in ten minutes, the rest are counted and summed up in one record. Returns
    /// whether this one gets a record of its own; if not, it needs no line in the daemon's log
    /// either.
    pub fn refused(&self, kind: &str, event: AuditEvent) -> bool {
        let now = self.0.clock.now().monotonic;
        let written = {
            let mut refusals = self.0.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            refusals.needs_record(now, kind, &event)
        };
        if written {
            self.note(Actor::System, event);
        }
        written
    }

    /// Seals the chain's end if it is not sealed yet.
    pub fn checkpoint(&self) -> Result<Option<Sealed>, AuditError> {
        let now = self.0.clock.now();
        match &mut *self.lock() {
            Err(why) => Err(AuditError::Closed(why.clone())),
            Ok(open) => {
                if open.unsealed_since.is_some() {
                    self.seal(open, now)?;
                }
                Ok(open.sealed.clone())
            }
        }
    }

    /// Makes the checkpoint that is due; called about once a second.
    pub fn tick(&self) {
        {
            let mut waiting = self.waiting();
            self.write_waiting(&mut waiting);
        }
        let now = self.0.clock.now().monotonic;
        let counted = {
            let mut refusals = self.0.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            refusals.due(now)
        };
        for event in counted {
            self.note(Actor::System, event);
        }
        let due = self.lock().as_ref().is_ok_and(|open| {
            open.unsealed_since.is_some_and(|since| now.saturating_sub(since) >= CHECKPOINT_AFTER)
        });
        if due && let Err(e) = self.checkpoint() {
            tracing::error!(error = %e, "audit checkpoint not made");
        }
    }

    /// The latest checkpoint, to be sent to the broker.
    pub fn sealed(&self) -> Option<Sealed> {
        self.lock().as_ref().ok()?.sealed.clone()
    }

    /// Why no record can be written; `None` if records can be. It is for a check before a look-up
    /// begins; only `append` proves it.
    pub fn closed(&self) -> Option<String> {
        self.lock().as_ref().err().cloned()
    }

    /// The key that verifies this car's checkpoints and evidence.
    pub fn public_key(&self) -> Option<PublicKey> {
        self.0.signing.as_ref().map(SigningKey::public)
    }

    /// Where the device key comes from; `None` if there is none.
    pub fn protection(&self) -> Option<Protection> {
        self.0.protection
    }

    /// Signs a document with the car's key; `None` if there is none.
    pub fn sign(&self, kind: &'static str, payload: Vec<u8>) -> Option<Envelope> {
        let key = self.0.signing.as_ref()?;
        Some(Envelope::sign(kind, payload, &[key]))
    }

    /// Records that the device key changes, sealed by both keys, so that whoever knows the old
    /// public key can trust the new one. Returns the new public key.
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
        // The record and its seal are one commit: a change of keys that both keys have not sealed
        // does not count (`verify.rs`).
        self.append_sealed(who, &[&next], |_, _| event)?;
        Ok(public)
    }

    /// A tag for a plate that does not reveal it: the same plate has the same tag in this car, and
    /// nobody without the device key can tell which plate it is.
    pub fn tag(&self, plate: PlateKey) -> String {
        let Some(key) = &self.0.tags else { return String::new() };
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.expose());
        let tag = ring::hmac::sign(&key, &plate.get().to_le_bytes());
        data_encoding::HEXLOWER.encode(&tag.as_ref()[..8])
    }

    /// What the log says was once in force: the highest version of a policy (0 if none), and the
    /// root for which the car was last provisioned. It walks the whole log, and is for the case
    /// that one of the files is missing.
    pub fn was_in_force(&self) -> Result<(u64, Option<String>), AuditError> {
        let (mut policy, mut root) = (0, None);
        let has = |line: &[u8], text: &str| line.windows(text.len()).any(|w| w == text.as_bytes());
        self.each(|line| {
            // The cheap check comes first: few lines are of these kinds.
            if !has(line, "policy_applied") && !has(line, "trust.root") {
                return;
            }
            match serde_json::from_slice::<Record>(line).map(|record| record.event) {
                Ok(AuditEvent::PolicyApplied { version, .. }) => policy = version.max(policy),
                Ok(AuditEvent::ConfigChanged { changes }) => {
                    let roots = changes.into_iter().filter(|c| c.field == "trust.root");
                    root = roots.filter_map(|c| c.new).next_back().or(root.take());
                }
                _ => {}
            }
        })?;
        Ok((policy, root))
    }

    /// Records that concern a hit, as stored, oldest first.
    pub fn about(&self, hit: Ulid) -> Result<Vec<Vec<u8>>, AuditError> {
        let wanted = hit.to_string();
        let mut lines = Vec::new();
        self.each(|line| {
            // The cheap check comes first: few lines contain this text at all.
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
        sealing: Sealing<'_>,
        event: impl FnOnce(Seq, &chain::Hash) -> AuditEvent,
    ) -> Result<Seq, AuditError> {
        let age = open.unsealed_since.map(|since| now.monotonic.saturating_sub(since));
        let old = age.is_some_and(|age| age >= CHECKPOINT_AFTER);
        let (seq, sealed) = (|| {
            // Another process may have written meanwhile: the head is read under the write lock.
            let tx = open.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (last, head) = export::head(&tx)?.unwrap_or((0, chain::BEFORE_ALL));
            let seq = last + 1;
            let record = Record {
                v: chain::FORMAT,
                seq,
                wall: jiff::Timestamp::from_millisecond(now.wall.as_millisecond())
                    .unwrap_or(jiff::Timestamp::UNIX_EPOCH),
                time_source: self.0.clock.source(),
                boot: data_encoding::HEXLOWER.encode(&self.0.clock.boot().to_bytes()),
                boot_ms: u64::try_from(now.monotonic.as_millis()).unwrap_or(u64::MAX),
                who,
                event: event(seq, &head),
                prev: chain::hex(&head),
            };
            let line = record.line();
            let hash = chain::hash(&line);
            tx.prepare_cached("INSERT INTO record (seq, line, hash) VALUES (?1, ?2, ?3)")?
                .execute(params![export::int(seq), line, hash])?;
            let with = match sealing {
                Sealing::Now(with) => Some(with),
                Sealing::WhenDue if old || seq - sealed_to(&tx)? >= SEALED_EVERY => Some(&[][..]),
                Sealing::WhenDue => None,
            };
            // The seal is written with the record or neither is: not even a full disk lets a log
            // exceed the bound that verifiers check.
            let sealed = with.map_or(Ok(None), |with| self.put_seal(&tx, now, with))?;
            tx.commit()?;
            Ok((seq, sealed))
        })()
        .map_err(|e| StoreError::from_sqlite(&self.0.path, e))?;
        match sealed {
            Some(sealed) => (open.unsealed_since, open.sealed) = (None, Some(sealed)),
            None => _ = open.unsealed_since.get_or_insert(now.monotonic),
        }
        Ok(seq)
    }

    fn seal(&self, open: &mut Open, now: FrameTime) -> Result<(), AuditError> {
        let sealed = (|| {
            let tx = open.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let sealed = self.put_seal(&tx, now, &[])?;
            tx.commit()?;
            Ok(sealed)
        })()
        .map_err(|e| StoreError::from_sqlite(&self.0.path, e))?;
        open.unsealed_since = None;
        open.sealed = sealed.or(open.sealed.take());
        Ok(())
    }

    /// Seals the head, also with `further` keys where keys change; returns the seal that it has if
    /// there is one.
    fn put_seal(
        &self,
        tx: &Connection,
        now: FrameTime,
        with: &[&SigningKey],
    ) -> rusqlite::Result<Option<Sealed>> {
        let Some(signing) = &self.0.signing else { return Ok(None) };
        let Some((seq, head)) = export::head(tx)? else { return Ok(None) };
        let previous = sealed_to(tx)?;
        if previous == seq {
            let envelope = tx.query_row(
                "SELECT envelope FROM checkpoint WHERE seq = ?1",
                [export::int(seq)],
                |r| r.get(0),
            )?;
            return Ok(Some(Sealed { seq, envelope }));
        }
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
            previous: Some(previous),
        };
        let keys: Vec<_> = std::iter::once(signing).chain(with.iter().copied()).collect();
        let envelope = checkpoint.sign(&keys).to_json();
        tx.prepare_cached("INSERT INTO checkpoint (seq, envelope) VALUES (?1, ?2)")?
            .execute(params![export::int(seq), envelope])?;
        Ok(Some(Sealed { seq, envelope }))
    }

    fn report_working(&self) {
        if matches!(self.0.health.state(PART), Some(PartState::Down(_))) {
            tracing::info!("audit log is written again");
            self.0.health.set(PART, PartState::Working);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(FrameTime, Actor, AuditEvent)>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Result<Open, String>> {
        // A panic inside a transaction rolls it back: the connection is whole.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Simulates a full disk, or ends that.
    #[cfg(any(test, feature = "testing"))]
    pub fn fill_disk_for_tests(&self, full: bool) {
        if let Ok(open) = &*self.lock() {
            let now: i64 = open.db.query_row("PRAGMA page_count", (), |r| r.get(0)).expect("open");
            let most = if full { now } else { 1_000_000 };
            open.db
                .query_row(&format!("PRAGMA max_page_count = {most}"), (), |_| Ok(()))
                .expect("open");
            if full {
                // Fills what is still free in the last pages.
                let fill = "UPDATE checkpoint SET envelope = zeroblob(3000)";
                let _ = open.db.execute(fill, ());
            }
        }
    }
}
