//! Which models this car reads with, and when it goes back to those before.
//!
//! In: the record and the files of `kept.rs`, whom the root trusts, the counters of the cameras. Out: the readers of the
//! cameras; a line in health, in the log and in the audit log where the daemon has gone back by itself. Costs: a look every
//! two seconds. Leaves to others: trying a new package (`install.rs`).
//!
//! The daemon goes back to the package before, or to the shipped model, where a package does not load or is not the
//! one that was installed, where its signer is withdrawn, where the program has ended twice before the package's first
//! minute was over, and where cameras are read more slowly in that minute than the trial promised.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::arrivals::Arrivals;
use super::exchange::{Desk, Exchanged};
use super::kept::{Installed, Kept, Record, Told};
use super::package::Kind;
use super::probation::{self, Watched};
use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::Clock;
use crate::config::{CameraConfig, Config, KeepingConfig, ModelsConfig, ReadingConfig};
use crate::health::{Health, PartState};
use crate::in_force::Memory;
use crate::keys::DeviceKey;
use crate::onboard::FrameReader;
use crate::onboard::vision::{Reader, VisionError};
use crate::text::ForeignText;
use crate::threads::{self, UntilDropped};
use crate::trust::{HeldTrust, Role, Trust};

/// The name under which health reports this part.
pub(super) const PART: &str = "models";

/// Time between two looks at the probation and at whose signature holds.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Starts of a new package that may end before its first minute is over: the first may be a power cut.
const MOST_STARTS: u32 = 2;

/// What the models of a car need.
pub struct Parts<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// This car's key.
    pub device: &'a DeviceKey,
    /// Whose signatures are believed; `None` without `[trust]`.
    pub trust: Option<Arc<HeldTrust>>,
    /// Where roll-backs are recorded.
    pub audit: Audit,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where this part and the cameras report.
    pub health: Arc<Health>,
}

/// The models of one car. There is one per daemon.
pub struct Models {
    /// As configured: what is shipped.
    pub(super) config: ModelsConfig,
    pub(super) cameras: Vec<CameraConfig>,
    pub(super) reading: ReadingConfig,
    pub(super) keeping: KeepingConfig,
    pub(super) kept: Kept,
    pub(super) memory: Memory,
    pub(super) trust: Option<Arc<HeldTrust>>,
    pub(super) audit: Audit,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Arc<Health>,
    /// Locked to read or to replace it, and while a package is put in force or taken out.
    record: Mutex<Record>,
    /// Why the record could not be read.
    trouble: Mutex<Option<String>>,
    /// Where the readers of the cameras are exchanged.
    pub(super) desks: Mutex<Vec<Desk>>,
    /// The minute of a new package, while it lasts.
    watched: Mutex<Option<Watched>>,
    /// The last package that was refused since the start.
    pub(super) refused: Mutex<Option<Told>>,
    /// Held while a package is tried: one at a time.
    pub(super) busy: Mutex<()>,
    /// What comes over the broker. Locked to keep one part, or to put them together.
    arrivals: Mutex<Arrivals>,
    /// Why parts are not fetched.
    pub(super) not_fetched: Mutex<Option<String>>,
    /// Whether the daemon is stopping.
    ending: AtomicBool,
}

impl Models {
    /// Reads the record, and gives up what may not be used any more. Called once for each start, before the cameras.
    pub fn open(parts: Parts<'_>) -> Arc<Self> {
        let Parts { config, device, trust, audit, clock, health } = parts;
        let state = &config.keeping.directory;
        let (kept, memory) = (Kept::new(state, device), Memory::new(state, device));
        let (record, trouble) = match kept.read() {
            Ok(Some(record)) => (record, None),
            Ok(None) if memory.read().models.is_empty() => (Record::default(), None),
            Ok(None) => {
                let why = "the record of installed models is gone: shipped models are in force";
                (Record::default(), Some(why.to_owned()))
            }
            Err(e) => (Record::default(), Some(e.to_string())),
        };
        match &trouble {
            Some(why) => tracing::error!("{why}"),
            // Folders are removed only where it is known which of them count.
            None => kept.sweep(&record),
        }
        let models = Self {
            config: config.models.clone(),
            cameras: config.camera.clone(),
            reading: config.reading.clone(),
            keeping: config.keeping.clone(),
            kept,
            memory,
            trust,
            audit,
            clock,
            health,
            record: Mutex::new(record),
            trouble: Mutex::new(trouble),
            desks: Mutex::default(),
            watched: Mutex::default(),
            refused: Mutex::default(),
            busy: Mutex::default(),
            arrivals: Mutex::new(Arrivals::open(state, device)),
            not_fetched: Mutex::default(),
            ending: AtomicBool::new(false),
        };
        models.begin();
        models.tell();
        Arc::new(models)
    }

    /// Judges what is in force at a start.
    fn begin(&self) {
        let mut record = self.record();
        let looping = record.probation.as_ref().is_some_and(|p| p.starts >= MOST_STARTS);
        if looping {
            let why = format!(
                "the program ended {MOST_STARTS} times before the package's first minute was over"
            );
            self.give_up_unproven(&mut record, &why);
        } else if let Some(probation) = &mut record.probation {
            probation.starts += 1;
        }
        for kind in Kind::ALL {
            if let Some(why) = record.in_force(kind).and_then(|installed| self.unusable(installed))
            {
                self.go_back(&mut record, kind, &why, Actor::System);
            }
        }
        // A power cut may have come between the record and the memory of the highest versions.
        for installed in record.all() {
            self.note_version(installed);
        }
        // A start that is not counted might be repeated for ever.
        if record.probation.is_some() && !self.write(&record) {
            let why = "the disk does not take the record of its start";
            self.give_up_unproven(&mut record, why);
        }
        self.watch_anew(&record);
    }

    /// Goes back from every package that has not survived a minute.
    fn give_up_unproven(&self, record: &mut Record, why: &str) {
        let mut next = record.probation.as_ref().map(|probation| probation.kind);
        while let Some(kind) = next {
            self.go_back(record, kind, why, Actor::System);
            next = record.kinds_unproven().next();
        }
    }

    /// Begins to watch what is on probation, if anything is.
    fn watch_anew(&self, record: &Record) {
        let begun = record.probation.as_ref();
        *self.watched() = begun.map(|p| Watched::begin(p, &*self.clock, &self.health));
    }

    /// Why a package may not be used, if it may not.
    fn unusable(&self, installed: &Installed) -> Option<String> {
        if self.current_trust().is_some_and(|trust| !trust.stands(&installed.signer, &Role::Models))
        {
            return Some(format!(
                "the key {} that signed it may sign no models any more",
                installed.signer
            ));
        }
        self.kept.check(installed).err().map(|e| e.to_string())
    }

    pub(super) fn current_trust(&self) -> Option<Arc<Trust>> {
        self.trust.as_ref()?.current()
    }

    /// The highest version of this kind that was in force; versions by withdrawn keys do not count.
    pub(super) fn highest(&self, kind: Kind, trust: &Trust) -> u64 {
        let known = self.memory.read().models.remove(kind.word()).unwrap_or_default();
        let counts = known.into_iter().filter(|(by, _)| trust.stands(by, &Role::Models));
        counts.map(|(_, version)| version).max().unwrap_or(0)
    }

    /// Remembers that a version was in force.
    pub(super) fn note_version(&self, installed: &Installed) {
        let (kind, version) = (installed.statement.kind, installed.statement.version);
        self.memory.note(|record| {
            let by_key = record.models.entry(kind.word().to_owned()).or_default();
            let highest = by_key.entry(installed.signer.clone()).or_default();
            *highest = version.max(*highest);
        });
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no holder panics")
    }

    pub(super) fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().expect("no holder panics")
    }

    /// Ends a trial that is going on: the daemon stops.
    pub fn end_trials(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    fn watched(&self) -> MutexGuard<'_, Option<Watched>> {
        self.watched.lock().expect("no holder panics")
    }

    /// A record that does not reach the disk is in force until the next start, and the log says so.
    fn write(&self, record: &Record) -> bool {
        let written = self.kept.write(record);
        if let Err(e) = &written {
            tracing::error!(error = %e, "record of models not written");
        }
        written.is_ok()
    }

    /// The settings by which readers are loaded: those of the configuration, with installed packages in place of the
    /// shipped models.
    pub(super) fn settings(&self, record: &Record) -> ModelsConfig {
        let mut settings = self.config.clone();
        for kind in Kind::ALL {
            if let Some(installed) = record.in_force(kind) {
                with_model(&mut settings, kind, &self.kept.path(installed));
            }
        }
        settings
    }

    /// A reader for one camera. Where an installed package does not load, the one before does it.
    pub fn reader(&self) -> Result<Box<dyn FrameReader>, VisionError> {
        let mut record = self.record();
        loop {
            match Reader::load(&self.settings(&record)) {
                Ok(reader) => {
                    let (reader, desk) = Exchanged::begin(Box::new(reader));
                    self.desks.lock().expect("no holder panics").push(desk);
                    self.tell_of(&record);
                    return Ok(Box::new(reader));
                }
                Err(e) => {
                    let blamed = Kind::ALL.into_iter().find(|kind| {
                        let path =
                            record.in_force(*kind).map(|installed| self.kept.path(installed));
                        path.is_some_and(|path| e.to_string().contains(&*path.to_string_lossy()))
                    });
                    let Some(kind) = blamed else { return Err(e) };
                    let why = format!("it does not load: {e}");
                    self.go_back(&mut record, kind, &why, Actor::System);
                    // Cameras whose readers were loaded before read with the same.
                    self.exchange(&record);
                }
            }
        }
    }

    /// Takes a package out of force and puts the one before in its place; returns what is in force now, in words.
    pub(super) fn go_back(&self, record: &mut Record, kind: Kind, why: &str, who: Actor) -> String {
        let why = ForeignText::shown(why, 300);
        let slot = record.slots.entry(kind).or_default();
        let gone = slot.in_force.take();
        slot.in_force = slot.previous.take().filter(|before| self.unusable(before).is_none());
        let to = in_words(slot.in_force.as_ref());
        let package = in_words(gone.as_ref());
        let before = record.probation.clone();
        record.probation.take_if(|probation| probation.kind == kind);
        record.settle();
        if record.probation != before {
            self.watch_anew(record);
        }
        if who == Actor::System {
            tracing::error!(%kind, package, to, %why, "model package rolled back");
            let what =
                format!("{kind} {package} was taken out of force: {why}; in force now: {to}");
            // One after the other, each is told until somebody has seen them.
            let what = match record.rolled_back.take() {
                Some(earlier) => format!("{}; {what}", earlier.what),
                None => what,
            };
            record.rolled_back = Some(Told { at: self.clock.now().wall, what });
        } else {
            tracing::warn!(%kind, package, to, "model package rolled back");
        }
        let model = kind.word().to_owned();
        let event = AuditEvent::ModelRolledBack {
            model,
            package,
            to: to.clone(),
            why: why.as_str().into(),
        };
        self.audit.note(who, event);
        self.write(record);
        to
    }

    /// Loads readers for all cameras and gives them out; says in the log where that is not possible before a restart.
    pub(super) fn exchange(&self, record: &Record) {
        let desks = self.desks.lock().expect("no holder panics").clone();
        for desk in desks {
            match Reader::load(&self.settings(record)) {
                Ok(reader) => *desk.lock().expect("no holder panics") = Some(Box::new(reader)),
                Err(e) => tracing::error!(error = %e, "models exchanged at the next start only"),
            }
        }
    }

    /// Begins the first minute of what is in force by a record that is on the disk already.
    pub(super) fn put_in_force(&self, record: &Record) {
        *self.trouble.lock().expect("no holder panics") = None;
        self.watch_anew(record);
        self.tell_of(record);
    }

    /// Says in health what people should know.
    pub(super) fn tell(&self) {
        self.tell_of(&self.record());
    }

    pub(super) fn tell_of(&self, record: &Record) {
        let trouble = self.trouble.lock().expect("no holder panics").clone();
        let told = trouble.or_else(|| Some(record.rolled_back.as_ref()?.what.clone()));
        match told {
            Some(why) => self.health.set(PART, PartState::Impaired(why)),
            // A car with the models that were shipped has nothing to say of packages.
            None if record.slots.is_empty() => {}
            None => self.health.set(PART, PartState::Working),
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().expect("no holder panics").clone()
    }

    /// Looks at the probation, and at whose signatures still hold, until the handle is dropped.
    pub fn watch(self: &Arc<Self>) -> UntilDropped {
        let models = self.clone();
        let work = move |pause: threads::Pause| {
            let mut known = 0;
            while pause.goes_on_after(LOOK_EVERY) {
                models.look();
                let changes = models.trust.as_ref().map_or(0, |trust| trust.changes());
                if std::mem::replace(&mut known, changes) != changes {
                    models.look_at_signers();
                }
            }
        };
        threads::spawn_until_dropped("models", work).expect("the system can start a thread")
    }

    /// Ends the probation when its minute is over.
    pub(super) fn look(&self) {
        let Some(verdict) =
            self.watched().as_mut().and_then(|w| w.look(&*self.clock, &self.health))
        else {
            return;
        };
        *self.watched() = None;
        let mut record = self.record();
        let Some(kind) = record.probation.as_ref().map(|probation| probation.kind) else { return };
        match verdict {
            probation::Verdict::Proven => {
                record.prove();
                self.write(&record);
                tracing::info!(%kind, "new model has proven itself");
            }
            probation::Verdict::Slow(why) => {
                self.go_back(&mut record, kind, &why, Actor::System);
                self.exchange(&record);
            }
        }
        self.tell_of(&record);
    }

    /// Goes back from packages whose signers are withdrawn.
    fn look_at_signers(&self) {
        let mut record = self.record();
        let mut gone = false;
        for kind in Kind::ALL {
            if let Some(why) = record.in_force(kind).and_then(|installed| self.unusable(installed))
            {
                self.go_back(&mut record, kind, &why, Actor::System);
                gone = true;
            }
        }
        if gone {
            self.exchange(&record);
            self.tell_of(&record);
        }
    }

    /// The daemon stops in order: a start that ends so counts against nobody.
    pub fn stopping(&self) {
        let mut record = self.record();
        if let Some(probation) = &mut record.probation {
            probation.starts = probation.starts.saturating_sub(1);
            self.write(&record);
        }
    }
}

/// Puts a model into the place of the configured one. Where no jurisdiction is read, none is.
pub(super) fn with_model(settings: &mut ModelsConfig, kind: Kind, folder: &Path) {
    let folder = folder.to_string_lossy().into_owned();
    match kind {
        Kind::Detector => settings.detector = folder,
        Kind::Ocr => settings.ocr = folder,
        Kind::Jurisdiction if settings.jurisdiction().is_some() => settings.jurisdiction = folder,
        Kind::Jurisdiction => {}
    }
}

/// A package in words, or what there is without one.
pub(super) fn in_words(installed: Option<&Installed>) -> String {
    installed.map_or_else(|| "the shipped model".into(), |i| i.statement.words())
}
