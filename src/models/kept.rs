//! What the state folder keeps of installed models: their files, and the sealed record of which are in force.
//!
//! In: a verified package; a change of the record. Out: the same after a restart, or nothing. Costs: the files are
//! written and synced once; the record is a small sealed file. Leaves to others: when a package is taken or given up
//! (`installed.rs`).
//!
//! ```text
//! models.sealed                    which packages are in force, which were before, and what is on probation
//! models/ocr-9-0123456789ab/       a package: model.toml, model.onnx
//! models/new/                      one that is being written; removed at the next start
//! ```
//!
//! A package is there whole before the record names it, and a folder that no record names is removed: after a power cut
//! at any time the packages before are in force, or the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::package::{Kind, Package, PackageError, Statement};
use crate::dsse::KeyId;
use crate::files::{self, Aside};
use crate::keys::sealed::Sealer;
use crate::keys::{DeviceKey, Purpose};

/// Name of the record in the state folder, and the name under which it is sealed.
const RECORD: &str = "models.sealed";

/// Name of the folder with the packages.
const FOLDER: &str = "models";

/// Name of the folder in which a package is written.
const NEW: &str = "new";

/// A package that was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// What was signed.
    pub statement: Statement,
    /// Who signed it.
    pub signer: KeyId,
    /// When it came into force here.
    pub at: Timestamp,
}

impl Installed {
    /// The name of its folder: nothing of it is what a signer wrote as text.
    pub fn folder(&self) -> String {
        let Statement { kind, version, files, .. } = &self.statement;
        format!("{kind}-{version}-{}", files.onnx.sha256.get(..12).unwrap_or_default())
    }
}

/// The packages of one kind of model. Where there is none, the shipped model of the configuration is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Slot {
    /// The one in force.
    pub in_force: Option<Installed>,
    /// The one before, to which a roll-back goes.
    pub previous: Option<Installed>,
    /// The one that came into force last, so that another package of the same version is refused.
    pub newest: Option<Installed>,
}

/// A package that has not yet survived its first minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probation {
    /// Which kind of model.
    pub kind: Kind,
    /// Starts of it that have begun, the installation included.
    pub starts: u32,
    /// Frames a second that the trial measured, by camera.
    pub most_fps: BTreeMap<String, f64>,
}

/// Something that people should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it happened.
    pub at: Timestamp,
    /// What, in words.
    pub what: String,
}

/// What the car remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The packages, by kind.
    pub slots: BTreeMap<Kind, Slot>,
    /// The package that still has to prove itself.
    pub probation: Option<Probation>,
    /// The folders of packages that have not survived a minute in force: the one on probation, and those whose own
    /// minute another installation cut short. Where the program ends again and again, each of them may be the reason.
    pub unproven: BTreeSet<String>,
    /// Why the daemon went back by itself; until a package is installed, or a maintainer has seen it.
    pub rolled_back: Option<Told>,
}

impl Record {
    /// The package of this kind that is in force.
    pub fn in_force(&self, kind: Kind) -> Option<&Installed> {
        self.slots.get(&kind)?.in_force.as_ref()
    }

    /// The kinds whose package in force has not survived a minute.
    pub fn kinds_unproven(&self) -> impl Iterator<Item = Kind> + use<'_> {
        let is_unproven = move |kind: &Kind| {
            self.in_force(*kind)
                .is_some_and(|installed| self.unproven.contains(&installed.folder()))
        };
        Kind::ALL.into_iter().filter(is_unproven)
    }

    /// Takes note of what has changed: packages that are gone need prove nothing any more, and one that is in force
    /// again without having survived its minute begins another.
    pub fn settle(&mut self) {
        let there: BTreeSet<_> = self.all().map(Installed::folder).collect();
        self.unproven.retain(|folder| there.contains(folder));
        let next = self.kinds_unproven().next();
        if self.probation.is_none() {
            let again = |kind| Probation { kind, starts: 1, most_fps: BTreeMap::new() };
            self.probation = next.map(again);
        }
    }

    /// What is in force has survived its minute.
    pub fn prove(&mut self) {
        self.probation = None;
        let in_force = self.slots.values().filter_map(|slot| slot.in_force.as_ref());
        for folder in in_force.map(Installed::folder) {
            self.unproven.remove(&folder);
        }
    }

    /// Every package that must stay on the disk.
    pub fn all(&self) -> impl Iterator<Item = &Installed> {
        self.slots.values().flat_map(|slot| slot.in_force.iter().chain(&slot.previous))
    }
}

/// Why a package cannot be kept, or cannot be used again.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It could not be written or read.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record does not open with this car's key, or is not one.
    #[error("{path} cannot be read: {why}; shipped models are in force", path = .path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file is not the one that was installed.
    #[error(transparent)]
    Changed(#[from] PackageError),
}

/// The packages of one car.
pub struct Kept {
    state: PathBuf,
    sealer: Sealer,
}

impl Kept {
    /// Those in this state folder.
    pub fn new(state: &Path, device: &DeviceKey) -> Self {
        Self { state: state.to_owned(), sealer: Sealer::new(device, Purpose::FleetSeal) }
    }

    fn root(&self) -> PathBuf {
        self.state.join(FOLDER)
    }

    /// The record; `None` if there never was one.
    pub fn read(&self) -> Result<Option<Record>, KeptError> {
        let path = self.state.join(RECORD);
        let refuse = |why: String| KeptError::Record { path: path.clone(), why };
        let io = |source| KeptError::Io { path: path.clone(), source };
        match self.sealer.read(&path, RECORD).map_err(io)? {
            Some(json) => {
                serde_json::from_slice(&json).map(Some).map_err(|e| refuse(e.to_string()))
            }
            None if path.exists() => Err(refuse("it does not open with this car's key".into())),
            None => Ok(None),
        }
    }

    /// Replaces the record; after a power cut the old one is there or the new one.
    pub fn write(&self, record: &Record) -> Result<(), KeptError> {
        let path = self.state.join(RECORD);
        let json = serde_json::to_vec(record).expect("texts, numbers and dates");
        let written = self.sealer.write(&path, RECORD, &json);
        written.map_err(|source| KeptError::Io { path, source })
    }

    /// The folder of a package.
    pub fn path(&self, installed: &Installed) -> PathBuf {
        self.root().join(installed.folder())
    }

    /// Writes a package's files where they can be tried, and returns the folder. No record names them yet, and
    /// [`Kept::sweep`] removes them.
    pub fn write_new(&self, package: &Package<'_>) -> Result<PathBuf, KeptError> {
        let (root, new) = (self.root(), self.root().join(NEW));
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| KeptError::Io { path: path.clone(), source }
        };
        files::own_folder(&root).map_err(|e| at(&root)(e.into()))?;
        remove_folder(&new).map_err(at(&new))?;
        files::private_folder(&new).map_err(at(&new))?;
        for (name, bytes) in [("model.toml", package.toml), ("model.onnx", package.onnx)] {
            let path = new.join(name);
            let written = Aside::begin(&path).and_then(|mut aside| {
                aside.file().write_all(bytes)?;
                aside.put_in_place()
            });
            written.map_err(at(&path))?;
        }
        Ok(new)
    }

    /// Puts the files that [`Kept::write_new`] has written into the package's own folder.
    pub fn put_in_place(&self, installed: &Installed) -> Result<(), KeptError> {
        let place = self.path(installed);
        let io = |source| KeptError::Io { path: place.clone(), source };
        // The same package may be there already, because it is the one to which a roll-back would go.
        if self.check(installed).is_ok() {
            return remove_folder(&self.root().join(NEW)).map_err(io);
        }
        remove_folder(&place).map_err(io)?;
        files::rename(&self.root().join(NEW), &place).map_err(io)
    }

    /// Refuses a package whose files are not, byte for byte, those that were signed.
    pub fn check(&self, installed: &Installed) -> Result<(), KeptError> {
        let folder = self.path(installed);
        let files = &installed.statement.files;
        for (name, stated) in [("model.toml", &files.toml), ("model.onnx", &files.onnx)] {
            let path = folder.join(name);
            let bytes = fs::read(&path).map_err(|source| KeptError::Io { path, source })?;
            stated.check(name, &bytes)?;
        }
        Ok(())
    }

    /// Removes every folder that the record does not name. What cannot be removed is left for the next time.
    pub fn sweep(&self, record: &Record) {
        let named: Vec<String> = record.all().map(Installed::folder).collect();
        let Ok(folders) = fs::read_dir(self.root()) else { return };
        for folder in folders.flatten() {
            let name = folder.file_name();
            if !named.iter().any(|known| name.to_str() == Some(known))
                && let Err(e) = remove_folder(&folder.path())
            {
                tracing::warn!(folder = %folder.path().display(), error = %e, "left-over model not removed");
            }
        }
    }
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => files::remove(path),
        other => other,
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
