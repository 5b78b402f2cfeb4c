//! Takes a package: verifies it, tries it, puts it in force; and goes back when a person says so.
//!
//! In: the bytes of a file, and a person who maintains the car or, where policy lets it, whoever signed it. Out: an
//! [`Outcome`] with what was measured, in the audit log before it takes effect. Costs: some seconds of one core. Leaves
//! to others: what happens at the next starts (`installed.rs`).
//!
//! Nothing is in force before the record is written, and the record is written last: a refusal, a full disk or a power
//! cut leaves everything as it was.

use std::sync::MutexGuard;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::installed::{Models, in_words, with_model};
use super::kept::{Installed, KeptError, Probation, Record, Told};
use super::package::{Kind, Package, PackageError, Statement};
use super::trial::{self, Comparison, TrialError};
use crate::audit::{Actor, AuditError, AuditEvent};
use crate::dated::DatedError;
use crate::onboard::FrameReader;
use crate::onboard::vision::{Reader, Runtime, VisionError};
use crate::trust::{Role, Trust};

/// Why a package is not installed. Everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Another one is being tried.
    #[error("another package is being tried: wait for its result, then install this one")]
    Busy,
    /// This car has no trust document, so nobody may sign models.
    #[error(
        "this car has no trust document, which says who may sign models: set [trust], or wait for the broker"
    )]
    NoTrust,
    /// It is not a package that somebody has signed who may.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It is in force already.
    #[error("{0} is in force already")]
    InForce(String),
    /// Another package of this version was in force.
    #[error(
        "another package of the {kind} was in force as version {version}: have this one signed with a higher version"
    )]
    TwoFaced {
        /// What the model does.
        kind: Kind,
        /// The version.
        version: u64,
    },
    /// This car reads no jurisdiction.
    #[error(
        "this car reads no jurisdiction (models.jurisdiction = \"off\"): set it, restart, then install this package"
    )]
    Off,
    /// It does not load.
    #[error("it does not load: {0}")]
    Loading(VisionError),
    /// What is in force does not load, so that nothing can be compared.
    #[error("the models in force do not load, so that nothing can be compared: {0}")]
    NothingInForce(VisionError),
    /// The trial gave no result.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The trial's result.
    #[error("{0}")]
    Worse(String),
    /// The daemon went back to other models while this one was tried, or its signer was withdrawn.
    #[error(
        "the models in force, or who may sign models, have changed during the trial: install it again"
    )]
    Changed,
    /// It cannot be recorded in the audit log.
    #[error("not installed, because it cannot be audited: {0}")]
    Unaudited(#[from] AuditError),
    /// It came on the topic of another kind of model.
    #[error(
        "a package of the {found} came where one of the {wanted} belongs: publish it with outrider models publish"
    )]
    Misplaced {
        /// What the model does.
        found: Kind,
        /// Where it came.
        wanted: Kind,
    },
    /// A package of this version came over the broker already, and it is another one.
    #[error(
        "another package of the {kind} came over the broker as version {version}: have this one signed with a higher version"
    )]
    CameOtherwise {
        /// What the model does.
        kind: Kind,
        /// The version.
        version: u64,
    },
    /// A later one came over the broker already.
    #[error(
        "version {found} of the {kind} comes over the broker after version {known}: have a higher one signed, or install it from its file"
    )]
    CameLater {
        /// What the model does.
        kind: Kind,
        /// Its version.
        found: u64,
        /// The highest version that came.
        known: u64,
    },
    /// It was in force and is not any more.
    #[error(
        "{0} was in force here and was given up: have a higher version signed, or install it from its file"
    )]
    GivenUp(String),
    /// The daemon stops.
    #[error("the daemon stops: install it once it runs again")]
    Stopping,
    /// The program ended while it was tried.
    #[error("the program ended {0} times while it was tried")]
    Ended(u32),
    /// The disk does not take it.
    #[error("cannot be kept: {0}")]
    Kept(#[from] KeptError),
    /// The disk does not take what comes.
    #[error("cannot be kept: {0}")]
    Disk(#[from] std::io::Error),
}

impl InstallError {
    /// Whether the same package may pass at another time: nothing is wrong with it.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::NoTrust
                | Self::NothingInForce(_)
                // A clock that was set back.
                | Self::Package(PackageError::Dated(DatedError::Ahead { .. }))
                | Self::Trial(TrialError::TooLong)
                | Self::Changed
                | Self::Stopping
                | Self::Unaudited(_)
                | Self::Kept(_)
                | Self::Disk(_)
        )
    }
}

/// What is said of a package whose signature does not hold.
pub(super) const NOT_VERIFIED: &str = "not verified";

/// What became of a package.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The package, if its signature holds.
    pub package: Option<String>,
    /// Why it is refused; `None` if it is in force.
    pub refused: Option<String>,
    /// What was measured, if it came to that.
    pub trial: Option<Comparison>,
}

/// What is known of a package so far, for the record of a refusal.
#[derive(Default)]
struct SoFar {
    package: Option<String>,
    trial: Option<Comparison>,
}

impl Models {
    /// Takes a package, or says why not.
    pub fn install(&self, who: Actor, file: &[u8]) -> Outcome {
        self.install_or_why(who, file).0
    }

    /// As [`Models::install`], with the refusal itself.
    pub(super) fn install_or_why(
        &self,
        who: Actor,
        file: &[u8],
    ) -> (Outcome, Option<InstallError>) {
        let mut so_far = SoFar::default();
        let installed = match self.busy.try_lock() {
            Ok(one) => self.try_install(&who, file, &mut so_far, &one),
            Err(_) => Err(InstallError::Busy),
        };
        let SoFar { package, trial } = so_far;
        let error = installed.err();
        let refused = error.as_ref().map(ToString::to_string);
        if let Some(why) = refused.clone() {
            let package = package.clone().unwrap_or_else(|| NOT_VERIFIED.into());
            self.note_refusal(Some(who), package, why);
        }
        (Outcome { package, refused, trial }, error)
    }

    /// Records a refusal. One by nobody in particular is counted where there are many.
    pub(super) fn note_refusal(&self, who: Option<Actor>, package: String, why: String) {
        let (shown, said) = (package.clone(), why.clone());
        let what = format!("{package}: {why}");
        let event = AuditEvent::ModelRefused { package, why };
        let recorded = match who {
            Some(who) => {
                self.audit.note(who, event);
                true
            }
            None => self.audit.refused("model", event),
        };
        if recorded {
            tracing::warn!(package = shown, why = said, "model package refused");
        }
        let told = Told { at: self.clock.now().wall, what };
        *self.refused.lock().expect("no holder panics") = Some(told);
    }

    fn try_install(
        &self,
        who: &Actor,
        file: &[u8],
        so_far: &mut SoFar,
        _one_at_a_time: &MutexGuard<'_, ()>,
    ) -> Result<(), InstallError> {
        let trust = self.current_trust().ok_or(InstallError::NoTrust)?;
        let (signers, now) = (trust.keys_for(&Role::Models), self.clock.standing());
        let package = Package::open(file, &signers, |kind| self.highest(kind, &trust), &now)?;
        let statement = &package.statement;
        so_far.package = Some(format!("{} {}", statement.kind, statement.words()));
        let record = self.record().clone();
        self.may_be_tried(statement, &record, &trust)?;
        let begun = self.begin_trial(&package, &record, so_far);
        let done = begun.and_then(|(readers, comparison)| {
            self.take(who, &package, &record, &comparison, readers)
        });
        // What was written for the trial, or was in force before the one before; but nothing where it is not known which
        // folders count.
        if self.trouble().is_none() {
            self.kept.sweep(&self.record());
        }
        done?;
        // It may wait beside, if it came over the broker too.
        self.conclude(&package.statement, None);
        Ok(())
    }

    /// Refuses what need not be tried, whoever has signed it.
    pub(super) fn may_be_tried(
        &self,
        statement: &Statement,
        record: &Record,
        trust: &Trust,
    ) -> Result<(), InstallError> {
        let (kind, version) = (statement.kind, statement.version);
        let slot = record.slots.get(&kind).cloned().unwrap_or_default();
        if slot.in_force.as_ref().is_some_and(|held| held.statement.is_same(statement)) {
            return Err(InstallError::InForce(statement.words()));
        }
        let newest = slot.newest.filter(|n| trust.stands(&n.signer, &Role::Models));
        if newest.is_some_and(|n| n.statement.version == version && !n.statement.is_same(statement))
        {
            return Err(InstallError::TwoFaced { kind, version });
        }
        if kind == Kind::Jurisdiction && self.config.jurisdiction().is_none() {
            return Err(InstallError::Off);
        }
        Ok(())
    }

    /// Tries a package beside the models in force. Returns a reader with it for each camera, so that nothing can fail
    /// any more once it is in force.
    fn begin_trial(
        &self,
        package: &Package<'_>,
        record: &Record,
        so_far: &mut SoFar,
    ) -> Result<(Vec<Box<dyn FrameReader>>, Comparison), InstallError> {
        let kind = package.statement.kind;
        let before = self.settings(record);
        let mut after = before.clone();
        with_model(&mut after, kind, &self.kept.write_new(package)?);
        let runtime = Runtime::find(before.onnxruntime.as_deref());
        let runtime = runtime.map_err(InstallError::NothingInForce)?;
        let began = self.clock.awake();
        // A daemon that stops waits for no trial.
        let elapsed = || match self.is_ending() {
            true => Duration::MAX,
            false => self.clock.awake().since(began),
        };
        let compared: Result<_, InstallError> =
            trial::ending_in_time(&elapsed, &runtime.interrupt(), || {
                let load = |settings| Reader::load_with(settings, &runtime);
                let mut in_force = load(&before).map_err(InstallError::NothingInForce)?;
                let mut new = load(&after).map_err(InstallError::Loading)?;
                let by = (&self.cameras[..], &self.reading);
                Ok(trial::compare(&mut in_force, &mut new, by, elapsed)?)
            });
        if self.is_ending() {
            return Err(InstallError::Stopping);
        }
        let comparison = match compared {
            // Whatever the models say of it: they were ended.
            Err(_) if elapsed() > trial::LONGEST => return Err(TrialError::TooLong.into()),
            other => other?,
        };
        so_far.trial = Some(comparison.clone());
        if let Some(why) = comparison.objection(kind) {
            return Err(InstallError::Worse(why));
        }
        let desks = self.desks.lock().expect("no holder panics").len();
        let load = |_| -> Result<Box<dyn FrameReader>, VisionError> {
            Ok(Box::new(Reader::load(&after)?))
        };
        let readers: Result<Vec<_>, _> = (0..desks).map(load).collect();
        Ok((readers.map_err(InstallError::Loading)?, comparison))
    }

    /// Puts a tried package in force.
    fn take(
        &self,
        who: &Actor,
        package: &Package<'_>,
        tried_beside: &Record,
        comparison: &Comparison,
        readers: Vec<Box<dyn FrameReader>>,
    ) -> Result<(), InstallError> {
        let mut held = self.record();
        // What the trial compared it with is not in force any more.
        let trust = self.current_trust();
        let withdrawn = trust.is_some_and(|t| !t.stands(&package.signer, &Role::Models));
        if withdrawn || held.slots != tried_beside.slots {
            return Err(InstallError::Changed);
        }
        let mut record = held.clone();
        let (statement, signer) = (package.statement.clone(), package.signer.clone());
        let kind = statement.kind;
        let installed = Installed { statement, signer, at: self.clock.now().wall };
        let slot = record.slots.entry(kind).or_default();
        let before = in_words(slot.in_force.as_ref());
        self.kept.put_in_place(&installed)?;
        // It is recorded before it takes effect: the person who installs is responsible.
        let event = AuditEvent::ModelInstalled {
            model: kind.word().into(),
            package: installed.statement.words(),
            version: installed.statement.version,
            sha256: installed.statement.files.onnx.sha256.clone(),
            signer: installed.signer.clone(),
            before,
            trial: comparison.words(),
        };
        self.audit.append(who.clone(), event)?;
        slot.newest = Some(installed.clone());
        slot.previous = slot.in_force.replace(installed.clone());
        let speed = comparison.after.speed.iter();
        let most_fps = speed.map(|(camera, speed)| (camera.clone(), speed.most_fps)).collect();
        record.probation = Some(Probation { kind, starts: 1, most_fps });
        record.unproven.insert(installed.folder());
        record.settle();
        record.rolled_back = None;
        self.kept.write(&record)?;
        self.note_version(&installed);
        tracing::info!(%kind, package = installed.statement.words(), "model package in force");
        *held = record;
        // While the record is locked nobody goes back: what the cameras get is what is in force.
        let desks = self.desks.lock().expect("no holder panics").clone();
        for (desk, reader) in desks.iter().zip(readers) {
            *desk.lock().expect("no holder panics") = Some(reader);
        }
        self.put_in_force(&held);
        Ok(())
    }

    /// Goes back to the package before because a person says so. Returns the kind of model and what is in force now.
    pub fn roll_back(&self, who: Actor, kind: Option<Kind>) -> Result<(Kind, String), String> {
        let _one = self.busy.try_lock().map_err(|_| InstallError::Busy.to_string())?;
        if let Some(why) = self.audit.closed() {
            return Err(format!("no roll-back without a record: {why}"));
        }
        let mut record = self.record();
        let installed: Vec<Kind> =
            Kind::ALL.into_iter().filter(|kind| record.in_force(*kind).is_some()).collect();
        let kind = match (kind, &installed[..]) {
            (Some(kind), _) if installed.contains(&kind) => kind,
            (Some(kind), _) => {
                return Err(format!("the shipped {kind} is in force: nothing to go back from"));
            }
            (None, [one]) => *one,
            (None, []) => return Err("shipped models are in force: nothing to go back from".into()),
            (None, several) => {
                let words: Vec<_> = several.iter().map(|kind| kind.word()).collect();
                return Err(format!(
                    "packages of several models are in force: name one of {}",
                    words.join(", ")
                ));
            }
        };
        let to = self.go_back(&mut record, kind, "a maintainer said so", who);
        record.rolled_back = None;
        self.kept.write(&record).map_err(|e| format!("in force until the next start only: {e}"))?;
        self.exchange(&record);
        self.tell_of(&record);
        self.kept.sweep(&record);
        Ok((kind, to))
    }

    /// A maintainer has seen why the daemon went back by itself.
    pub fn seen(&self) -> Result<(), String> {
        let mut record = self.record();
        record.rolled_back = None;
        self.kept.write(&record).map_err(|e| e.to_string())?;
        self.tell_of(&record);
        Ok(())
    }
}
