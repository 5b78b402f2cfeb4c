//! Packages that come over the broker: what of them is here, and what became of them.
//!
//! In: verified statements, parts that fit their signed digests, results of trials. Out: which parts are missing; the
//! whole package; the same after a restart. Costs: each part is one small file, and there is one package of each kind at
//! most. Leaves to others: signatures and trials (`install.rs`), the broker and the time (`follow.rs`).
//!
//! ```text
//! models_in.sealed                 which package of each kind came last and what became of it; versions that came
//! models_in/ocr/0123...cdef        a part, named by its digest
//! ```
//!
//! The record is written before a part of the package is fetched, and what it does not name is removed. A part counts as
//! here if it has its digest, so that a power cut costs at most the parts that were being written. A package that was
//! refused or installed is remembered until a higher version comes: neither is fetched or tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::package::{Kind, PART_BYTES, Signed, Statement, digest};
use crate::dsse::KeyId;
use crate::files::{self, Aside};
use crate::health::ModelFate;
use crate::keys::sealed::Sealer;
use crate::keys::{DeviceKey, Purpose};
use crate::trust::{Role, Trust};

/// Name of the record in the state folder, and the name under which it is sealed.
const RECORD: &str = "models_in.sealed";

/// Name of the folder with the parts.
const FOLDER: &str = "models_in";

/// The package of a kind that came last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arrival {
    /// Its first line, as it came.
    line: String,
    /// What was signed.
    pub(super) statement: Statement,
    /// Who signed it.
    pub(super) signer: KeyId,
    /// What became of it.
    pub(super) fate: ModelFate,
    /// Why it was refused, or why its trial gave no result.
    pub(super) why: Option<String>,
    /// Trials that the car has begun by itself and that have no result yet.
    pub(super) begun: u32,
    /// Trials of the car's own that gave no result.
    pub(super) vain: u32,
}

impl Arrival {
    /// In words.
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.statement.kind, self.statement.words())
    }
}

/// What the car remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    last: BTreeMap<Kind, Arrival>,
    /// The highest version of each kind that came, by the key that signed it.
    came: BTreeMap<Kind, BTreeMap<KeyId, u64>>,
    /// The trials of the package of each kind that was forgotten last.
    forgotten: BTreeMap<Kind, Tried>,
}

/// Trials of a package that was forgotten because it might come no more. If it may again, they count: one that ends the
/// program would be fetched and begun for ever in a car whose policy seems to have ended at each start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tried {
    version: u64,
    sha256: String,
    begun: u32,
    vain: u32,
}

impl Tried {
    fn of(arrival: &Arrival) -> Self {
        let Arrival { statement, begun, vain, .. } = arrival;
        let sha256 = statement.files.onnx.sha256.clone();
        Self { version: statement.version, sha256, begun: *begun, vain: *vain }
    }
}

/// The packages that came to one car.
pub(super) struct Arrivals {
    state: PathBuf,
    sealer: Sealer,
    record: Record,
    /// Digests of the parts that are here.
    here: BTreeMap<Kind, BTreeSet<String>>,
}

impl Arrivals {
    /// Those in this state folder. What does not fit its digest, or belongs to no package, is removed.
    pub(super) fn open(state: &Path, device: &DeviceKey) -> Self {
        let mut arrivals = Self::look(state, device);
        // Now each is read.
        arrivals.here.clear();
        arrivals.sweep();
        arrivals
    }

    /// As [`Arrivals::open`], for a command that only reads: it removes nothing, and believes the names of parts.
    pub(super) fn look(state: &Path, device: &DeviceKey) -> Self {
        let sealer = Sealer::new(device, Purpose::FleetSeal);
        let path = state.join(RECORD);
        let record = match sealer.read(&path, RECORD) {
            Ok(Some(json)) => serde_json::from_slice(&json).map_err(|e| e.to_string()),
            Ok(None) if path.exists() => Err("it does not open with this car's key".into()),
            Ok(None) => Ok(Record::default()),
            Err(e) => Err(e.to_string()),
        };
        // What was in force is remembered elsewhere: at worst a package is fetched and tried once more.
        let record = record.unwrap_or_else(|why| {
            tracing::error!(path = %path.display(), why, "record of model packages from the broker not read");
            Record::default()
        });
        let mut arrivals = Self { state: state.to_owned(), sealer, record, here: BTreeMap::new() };
        for kind in Kind::ALL {
            let there = arrivals.needed(kind).into_iter();
            let there = there.filter(|part| arrivals.folder(kind).join(part).exists()).collect();
            arrivals.here.insert(kind, there);
        }
        arrivals
    }

    /// The package of this kind that came last.
    pub(super) fn last(&self, kind: Kind) -> Option<&Arrival> {
        self.record.last.get(&kind)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arrival> {
        self.record.last.values()
    }

    /// The highest version of this kind that came; versions by withdrawn keys do not count.
    pub(super) fn highest(&self, kind: Kind, trust: &Trust) -> u64 {
        let known = self.record.came.get(&kind).into_iter().flatten();
        let counts = known.filter(|(by, _)| trust.stands(by, &Role::Models));
        counts.map(|(_, version)| *version).max().unwrap_or(0)
    }

    /// Takes up a package, whose parts are to be fetched; it replaces the one before. Parts that both have stay.
    pub(super) fn take_up(&mut self, line: &[u8], signed: Signed) -> io::Result<()> {
        let Signed { statement, signer } = signed;
        let kind = statement.kind;
        let mut record = self.record.clone();
        let highest = record.came.entry(kind).or_default().entry(signer.clone()).or_default();
        *highest = statement.version.max(*highest);
        let line = String::from_utf8_lossy(line).into_owned();
        let (fate, why) = (ModelFate::Fetching, None);
        let mut arrival = Arrival { line, statement, signer, fate, why, begun: 0, vain: 0 };
        if let Some(Tried { version, sha256, begun, vain }) = record.forgotten.get(&kind)
            && (version, sha256)
                == (&arrival.statement.version, &arrival.statement.files.onnx.sha256)
        {
            (arrival.begun, arrival.vain) = (*begun, *vain);
        }
        record.last.insert(kind, arrival);
        self.write(&record)?;
        self.record = record;
        self.sweep();
        Ok(())
    }

    /// Digests of the parts that are still to be fetched, in their order.
    pub(super) fn missing(&self, kind: Kind) -> Vec<String> {
        let fetching = self.last(kind).filter(|last| last.fate == ModelFate::Fetching);
        let Some(last) = fetching else { return Vec::new() };
        let here = self.here.get(&kind);
        let mut seen = BTreeSet::new();
        let parts = last.statement.parts.iter();
        parts
            .filter(|part| here.is_none_or(|here| !here.contains(*part)) && seen.insert(*part))
            .cloned()
            .collect()
    }

    /// How many of its parts are here, and how many it has.
    pub(super) fn progress(&self, kind: Kind) -> (usize, usize) {
        let Some(last) = self.last(kind) else { return (0, 0) };
        let parts: BTreeSet<_> = last.statement.parts.iter().collect();
        (self.here.get(&kind).map_or(0, BTreeSet::len), parts.len())
    }

    /// Keeps a part. Returns whether it is one that is missing.
    pub(super) fn keep(&mut self, kind: Kind, part: &str, bytes: &[u8]) -> io::Result<bool> {
        if digest(bytes) != part || !self.missing(kind).iter().any(|missing| missing == part) {
            return Ok(false);
        }
        let folder = self.folder(kind);
        files::private_folder(&self.state.join(FOLDER))?;
        files::private_folder(&folder)?;
        let mut aside = Aside::begin(&folder.join(part))?;
        aside.file().write_all(bytes)?;
        // After a power cut it is read again, and fetched again if it is torn.
        aside.put_in_place_unsynced()?;
        self.here.entry(kind).or_default().insert(part.to_owned());
        Ok(true)
    }

    /// The whole package as a file; `None` if a part is missing or damaged, which is fetched again then.
    pub(super) fn whole(&mut self, kind: Kind) -> io::Result<Option<Vec<u8>>> {
        let Some(last) = self.record.last.get(&kind) else { return Ok(None) };
        let mut file = last.line.clone().into_bytes();
        file.push(b'\n');
        let mut bad = None;
        for part in &last.statement.parts {
            match fs::read(self.folder(kind).join(part)) {
                Ok(bytes) if digest(&bytes) == *part => file.extend_from_slice(&bytes),
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {
                    bad = Some(part.clone());
                    break;
                }
            }
        }
        let Some(part) = bad else { return Ok(Some(file)) };
        if let Some(here) = self.here.get_mut(&kind) {
            here.remove(&part);
        }
        let fetch_again = |last: &mut Arrival| {
            if last.fate == ModelFate::Waiting {
                last.fate = ModelFate::Fetching;
            }
        };
        self.change(kind, fetch_again);
        Ok(None)
    }

    /// Writes down that a trial begins: one that ends the program is not begun for ever.
    pub(super) fn begin_trial(&mut self, kind: Kind) -> io::Result<()> {
        let mut record = self.record.clone();
        if let Some(last) = record.last.get_mut(&kind) {
            last.begun += 1;
        }
        self.write(&record)?;
        self.record = record;
        Ok(())
    }

    /// Changes what is known of a package. A record that does not reach the disk holds until the next start.
    pub(super) fn change(&mut self, kind: Kind, change: impl FnOnce(&mut Arrival)) {
        let Some(last) = self.record.last.get_mut(&kind) else { return };
        let before = last.clone();
        change(last);
        if *last == before {
            return;
        }
        self.write_on();
        self.sweep();
    }

    /// Forgets a package, but not its version and its trials.
    pub(super) fn forget(&mut self, kind: Kind) {
        if let Some(last) = self.record.last.remove(&kind) {
            self.record.forgotten.insert(kind, Tried::of(&last));
            self.write_on();
            self.sweep();
        }
    }

    fn write_on(&self) {
        if let Err(e) = self.write(&self.record) {
            tracing::error!(error = %e, "record of model packages from the broker not written");
        }
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let json = serde_json::to_vec(record).expect("texts and numbers");
        self.sealer.write(&self.state.join(RECORD), RECORD, &json)
    }

    fn folder(&self, kind: Kind) -> PathBuf {
        self.state.join(FOLDER).join(kind.word())
    }

    /// The parts of a package that may still be installed.
    fn needed(&self, kind: Kind) -> BTreeSet<String> {
        match self.last(kind) {
            Some(last) if matches!(last.fate, ModelFate::Fetching | ModelFate::Waiting) => {
                last.statement.parts.iter().cloned().collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Removes what no package needs any more, and looks which parts are here.
    fn sweep(&mut self) {
        for kind in Kind::ALL {
            let needed = self.needed(kind);
            let known = self.here.remove(&kind).unwrap_or_default();
            let mut here = BTreeSet::new();
            let Ok(files) = fs::read_dir(self.folder(kind)) else { continue };
            for file in files.flatten() {
                let (path, name) = (file.path(), file.file_name());
                let name = name.to_string_lossy().into_owned();
                if needed.contains(&name) && (known.contains(&name) || is_whole(&path, &name)) {
                    here.insert(name);
                } else if let Err(e) = files::remove(&path) {
                    tracing::warn!(path = %path.display(), error = %e, "part of a model package not removed");
                }
            }
            self.here.insert(kind, here);
        }
    }
}

/// Whether a file is the part that its name says.
fn is_whole(path: &Path, part: &str) -> bool {
    let fits = fs::metadata(path).is_ok_and(|file| file.len() <= PART_BYTES as u64);
    fits && fs::read(path).is_ok_and(|bytes| digest(&bytes) == part)
}

#[cfg(test)]
#[path = "arrivals_tests.rs"]
mod tests;
