//! Which models are shipped, installed, in force and next to fall back on, for people and as JSON.
//!
//! In: the configuration and the record. Out: a [`State`]. Costs: the shipped files are read and their digests taken.
//! Leaves to others: asking the daemon, which alone may have the key.

use serde::{Deserialize, Serialize};

use super::arrivals::{Arrival, Arrivals};
use super::installed::Models;
use super::kept::{Installed, Kept, KeptError, Record, Told};
use super::package::{Kind, Statement};
use crate::config::{Config, ModelsConfig};
use crate::dsse::KeyId;
use crate::health::ModelFate;
use crate::keys::DeviceKey;
use crate::onboard::vision::models::named;

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The release of its weights.
    pub release: String,
    /// SHA-256 of its weights, as hits name it.
    pub sha256: String,
    /// The package's version; `None` for a shipped model.
    pub version: Option<u64>,
    /// The key that signed the package; `None` for a shipped model.
    pub signer: Option<String>,
}

impl Model {
    fn of(installed: &Installed) -> Self {
        Self::signed(&installed.statement, &installed.signer)
    }

    fn signed(statement: &Statement, signer: &KeyId) -> Self {
        Self {
            name: statement.name.clone(),
            release: statement.release.clone(),
            sha256: statement.files.onnx.sha256.clone(),
            version: Some(statement.version),
            signer: Some(signer.to_string()),
        }
    }

    /// In one line.
    pub fn words(&self) -> String {
        let sha256 = self.sha256.get(..12).unwrap_or(&self.sha256);
        let from = match (self.version, &self.signer) {
            (Some(version), Some(signer)) => format!("version {version}, signed by key {signer}"),
            _ => "shipped".into(),
        };
        format!("{} {}, sha256 {sha256}..., {from}", self.name, self.release)
    }
}

/// The models of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfKind {
    /// What they do.
    pub kind: Kind,
    /// The one that reads; `None` where none does, or the shipped one cannot be read.
    pub in_force: Option<Model>,
    /// The one that the configuration names.
    pub shipped: Option<Model>,
    /// The package to which a roll-back goes; `None` if that is the shipped model.
    pub previous: Option<Model>,
    /// Every package in the state folder.
    pub installed: Vec<Model>,
}

/// A package that came over the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    /// What it does.
    pub kind: Kind,
    /// The package.
    pub model: Model,
    /// What became of it.
    pub fate: ModelFate,
    /// Why it was refused, or why its trial gave no result.
    pub why: Option<String>,
    /// How many of its parts are here; none once it was refused or installed.
    pub parts_here: usize,
    /// How many parts it has.
    pub parts: usize,
}

impl Came {
    fn of(last: &Arrival, arrivals: &Arrivals) -> Self {
        let kind = last.statement.kind;
        let (parts_here, parts) = arrivals.progress(kind);
        let model = Model::signed(&last.statement, &last.signer);
        Self { kind, model, fate: last.fate, why: last.why.clone(), parts_here, parts }
    }

    /// In one line; nothing for one that was installed.
    pub fn words(&self) -> Option<String> {
        let Self { kind, model, fate, why, parts_here, parts } = self;
        let package = format!("{kind} {}", model.words());
        let why = why.as_deref().unwrap_or_default();
        match fate {
            ModelFate::Fetching => {
                Some(format!("{package}, is being fetched: {parts_here} of {parts} parts"))
            }
            ModelFate::Waiting if why.is_empty() => Some(format!("{package}, has come and waits")),
            ModelFate::Waiting => {
                Some(format!("{package}, has come and waits; its trial gave no result: {why}"))
            }
            ModelFate::Refused => Some(format!("{package}, came and was refused: {why}")),
            ModelFate::Installed => None,
        }
    }
}

/// The models of a car.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// By kind.
    pub models: Vec<OfKind>,
    /// The kind whose package has not yet survived its first minute.
    pub on_probation: Option<Kind>,
    /// Why the daemon went back by itself, until somebody has seen it.
    pub rolled_back: Option<Told>,
    /// The last package that was refused since the start of the daemon.
    pub refused: Option<Told>,
    /// The package of each kind that came over the broker last.
    #[serde(default)]
    pub came: Vec<Came>,
    /// Why a package is not fetched from the broker.
    #[serde(default)]
    pub not_fetched: Option<String>,
    /// What is wrong with the record or with the shipped models.
    pub trouble: Option<String>,
}

fn state(config: &ModelsConfig, record: &Record) -> State {
    let (shipped, trouble) = match named(config) {
        Ok(shipped) => (shipped, None),
        Err(e) => (Vec::new(), Some(e.to_string())),
    };
    let of_kind = |kind: Kind| {
        let shipped = shipped.iter().find(|(of, _)| *of == kind.word()).map(|(_, weights)| Model {
            name: weights.name.clone(),
            release: weights.version.clone(),
            sha256: weights.sha256.clone(),
            version: None,
            signer: None,
        });
        let slot = record.slots.get(&kind);
        let in_force = record.in_force(kind).map(Model::of);
        let previous = slot.and_then(|slot| slot.previous.as_ref()).map(Model::of);
        let installed = in_force.iter().chain(&previous).cloned().collect();
        let in_force = in_force.or_else(|| shipped.clone());
        OfKind { kind, in_force, shipped, previous, installed }
    };
    State {
        models: Kind::ALL.map(of_kind).into(),
        on_probation: record.probation.as_ref().map(|probation| probation.kind),
        rolled_back: record.rolled_back.clone(),
        refused: None,
        came: Vec::new(),
        not_fetched: None,
        trouble,
    }
}

impl State {
    /// Of a car that was never started.
    pub fn shipped(config: &ModelsConfig) -> Self {
        state(config, &Record::default())
    }
}

impl Models {
    /// Which models there are.
    pub fn state(&self) -> State {
        let record = self.record().clone();
        let refused = self.refused.lock().expect("no holder panics").clone();
        let told = state(&self.config, &record);
        let trouble = self.trouble().or(told.trouble);
        State { refused, came: self.came(), not_fetched: self.not_fetched(), trouble, ..told }
    }

    fn came(&self) -> Vec<Came> {
        let arrivals = self.arrivals();
        arrivals.all().map(|last| Came::of(last, &arrivals)).collect()
    }

    fn not_fetched(&self) -> Option<String> {
        self.not_fetched.lock().expect("no holder panics").clone()
    }

    /// A line for each package in force or on its way, and one for what people should know; empty with the shipped models.
    pub fn lines(&self) -> Vec<String> {
        let record = self.record().clone();
        let packages = Kind::ALL.into_iter().filter_map(|kind| {
            let model = Model::of(record.in_force(kind)?);
            Some(format!("{kind} {}", model.words()))
        });
        let refused = self.refused.lock().expect("no holder panics").clone();
        let refused = refused.map(|told| format!("refused since the start: {}", told.what));
        let came = self.came().into_iter().filter_map(|came| came.words());
        packages.chain(came).chain(self.not_fetched()).chain(refused).collect()
    }
}

/// As the daemon would tell it, for a car whose daemon does not run.
///
/// # Errors
///
/// A record that does not open with this key.
pub fn on_disk(config: &Config, device: &DeviceKey) -> Result<State, KeptError> {
    let folder = &config.keeping.directory;
    let record = Kept::new(folder, device).read()?;
    let arrivals = Arrivals::look(folder, device);
    let came = arrivals.all().map(|last| Came::of(last, &arrivals)).collect();
    Ok(State { came, ..state(&config.models, &record.unwrap_or_default()) })
}

/// The settings by which the daemon would load its readers.
///
/// # Errors
///
/// A record that does not open with this key.
pub fn settings_on_disk(config: &Config, device: &DeviceKey) -> Result<ModelsConfig, KeptError> {
    let kept = Kept::new(&config.keeping.directory, device);
    let record = kept.read()?.unwrap_or_default();
    let mut settings = config.models.clone();
    for kind in Kind::ALL {
        if let Some(installed) = record.in_force(kind) {
            super::installed::with_model(&mut settings, kind, &kept.path(installed));
        }
    }
    Ok(settings)
}
