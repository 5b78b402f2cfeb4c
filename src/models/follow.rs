//! Packages of models over the broker: what is heard, looked at, tried, and told.
//!
//! In: first lines, not verified; whole packages; results of trials. Out: a package that is to be fetched, that waits for
//! a maintainer, or that was tried. Costs: a signature check for each first line. Leaves to others: the messages
//! (`fetch.rs`), what a package must be (`install.rs`), what is kept of it (`arrivals.rs`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::fetch::{Follower, TURN};
use super::in_parts::NO_PARTS;
use super::install::{InstallError, Outcome};
use super::installed::Models;
use super::kept::Record;
use super::package::{Kind, Package, PackageError, Signed, Statement};
use crate::audit::Actor;
use crate::downlink::Downlink;
use crate::health::{ModelFate, ModelStanding};
use crate::policy::HeldPolicy;
use crate::threads::{self, UntilDropped};
use crate::trust::{Role, Trust};

/// Where packages come from, and when they may be tried.
pub struct FromFleet {
    /// Where parts subscribe.
    pub downlink: Downlink,
    /// Says what may come.
    pub policy: Arc<HeldPolicy>,
    /// Whether the car stands: a trial takes a core for some seconds.
    pub stands: Box<dyn Fn() -> bool + Send>,
}

impl Models {
    /// Follows what comes over the broker until the handle is dropped.
    pub fn follow(self: &Arc<Self>, from: FromFleet) -> UntilDropped {
        let mut follower = Follower::new(self.clone(), from);
        follower.obey();
        let work = move |pause: threads::Pause| {
            while pause.goes_on_after(Duration::ZERO) {
                follower.turn(TURN);
            }
        };
        threads::spawn_until_dropped("models-in", work).expect("the system can start a thread")
    }

    /// Takes up a package by its first line, or says why not. Nothing happens for one that is known.
    pub(super) fn announce(&self, kind: Kind, line: &[u8]) -> Result<(), InstallError> {
        let trust = self.current_trust().ok_or(InstallError::NoTrust)?;
        let (signers, now) = (trust.keys_for(&Role::Models), self.clock.standing());
        let signed = Signed::open(line, &signers, |kind| self.highest(kind, &trust), &now)?;
        let statement = &signed.statement;
        if statement.kind != kind {
            return Err(InstallError::Misplaced { found: statement.kind, wanted: kind });
        }
        if statement.parts.is_empty() {
            return Err(PackageError::Malformed(NO_PARTS.into()).into());
        }
        let record = self.record().clone();
        match self.may_be_tried(statement, &record, &trust) {
            Err(InstallError::InForce(_)) => return Ok(()),
            other => other?,
        }
        let mut arrivals = self.arrivals();
        let (found, known) = (statement.version, arrivals.highest(kind, &trust));
        if found < known {
            return Err(InstallError::CameLater { kind, found, known });
        }
        if let Some(last) = arrivals.last(kind) {
            if last.statement.is_same(statement) {
                return Ok(());
            }
            let version = statement.version;
            if last.statement.version == version && trust.stands(&last.signer, &Role::Models) {
                return Err(InstallError::CameOtherwise { kind, version });
            }
        }
        refuse_given_up(statement, &record, &trust)?;
        tracing::info!(%kind, package = statement.words(), parts = statement.parts.len(), "model package announced");
        Ok(arrivals.take_up(line, signed)?)
    }

    /// Looks at a package whose parts are all here, and says why it is not to be tried, if so.
    pub(super) fn look_at_whole(&self, file: &[u8]) -> Result<(), InstallError> {
        let trust = self.current_trust().ok_or(InstallError::NoTrust)?;
        let (signers, now) = (trust.keys_for(&Role::Models), self.clock.standing());
        let package = Package::open(file, &signers, |kind| self.highest(kind, &trust), &now)?;
        let record = self.record().clone();
        self.may_be_tried(&package.statement, &record, &trust)?;
        refuse_given_up(&package.statement, &record, &trust)
    }

    /// Writes down what became of a package that came over the broker.
    pub(super) fn conclude(&self, statement: &Statement, result: Option<&InstallError>) {
        let ending = self.is_ending();
        self.arrivals().change(statement.kind, |last| {
            // Another one may have come meanwhile.
            if !last.statement.is_same(statement) {
                return;
            }
            last.begun = 0;
            match result {
                None | Some(InstallError::InForce(_)) => {
                    (last.fate, last.why) = (ModelFate::Installed, None);
                }
                Some(InstallError::Busy) => {}
                Some(_) if ending => {}
                Some(e) if e.may_pass() => {
                    last.vain += 1;
                    last.why = Some(e.to_string());
                }
                Some(e) => (last.fate, last.why) = (ModelFate::Refused, Some(e.to_string())),
            }
        });
        self.tell_fleet();
    }

    /// Tries a package that waits because a maintainer says so, and uses it if it passes.
    pub(super) fn install_waiting(
        &self,
        who: Actor,
        kind: Option<Kind>,
    ) -> Result<Outcome, String> {
        let (statement, file) = {
            let mut arrivals = self.arrivals();
            let waiting = arrivals.all().filter(|last| last.fate == ModelFate::Waiting);
            let statements: Vec<_> = waiting.map(|last| last.statement.clone()).collect();
            let wanted = |s: &&Statement| kind.is_none_or(|kind| s.kind == kind);
            let statement = match (&statements[..], kind) {
                ([], _) => {
                    return Err("no package waits: outrider models list shows what has come".into());
                }
                ([one], None) => one.clone(),
                (several, None) => {
                    let words: Vec<_> = several.iter().map(|s| s.kind.word()).collect();
                    return Err(format!(
                        "packages of several models wait: name one with --kind, of {}",
                        words.join(", ")
                    ));
                }
                (all, Some(kind)) => match all.iter().find(wanted) {
                    Some(one) => one.clone(),
                    None => return Err(format!("no package of the {kind} waits")),
                },
            };
            let file = arrivals.whole(statement.kind).map_err(|e| e.to_string())?;
            let why =
                "a part of it is damaged on the disk and is fetched again: wait until it has come";
            (statement, file.ok_or(why)?)
        };
        let (outcome, error) = self.install_or_why(who, &file);
        self.conclude(&statement, error.as_ref());
        Ok(outcome)
    }

    /// Says in health how it stands, for the status that the broker gets.
    pub(super) fn tell_fleet(&self) {
        let record = self.record().clone();
        let arrivals = self.arrivals();
        let standing = Kind::ALL.into_iter().filter_map(|kind| {
            let in_force = record.in_force(kind).map(|installed| installed.statement.version);
            let came = arrivals.last(kind).map(|last| (last.statement.version, last.fate));
            let says = in_force.is_some() || came.is_some();
            says.then_some(ModelStanding { kind: kind.word(), in_force, came })
        });
        let standing: Vec<_> = standing.collect();
        if self.health.models() != standing {
            self.health.set_models(standing);
        }
    }
}

/// Refuses a package that was in force and is not any more, however it had come: a person gave it up, or the car did, and
/// the broker still has it.
fn refuse_given_up(
    statement: &Statement,
    record: &Record,
    trust: &Trust,
) -> Result<(), InstallError> {
    let newest = record.slots.get(&statement.kind).and_then(|slot| slot.newest.as_ref());
    let stands = newest.filter(|newest| trust.stands(&newest.signer, &Role::Models));
    match stands.is_some_and(|newest| newest.statement.is_same(statement)) {
        true => Err(InstallError::GivenUp(statement.words())),
        false => Ok(()),
    }
}

impl fmt::Debug for FromFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFleet").field("downlink", &self.downlink).finish_non_exhaustive()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Models {
    /// As a maintainer's command does it.
    pub fn install_waiting_for_tests(&self) -> Result<Outcome, String> {
        self.install_waiting(Actor::System, None)
    }

    /// Leaves the record as so many trials do that ended the program.
    pub fn begin_trials_for_tests(&self, kind: Kind, n: u32) {
        for _ in 0..n {
            self.arrivals().begin_trial(kind).expect("the disk takes it");
        }
    }
}
