//! A list on the car's disk.
//!
//! In: chunks as they arrived, encrypted with the list's key; that key; the state of the list. Out:
//! the same after a restart. Costs: a chunk is one small file, written once. Leaves to others: what
//! the bytes mean and whether they are whole: a chunk is trusted because it opens under its
//! address, not because it is stored here.
//!
//! ```text
//! lists/<name>/<name>.state      sealed by the device key: highest version, the manifest that serves,
//!                                the newest one
//! lists/<name>/<name>.spare      the same once more: one damaged file takes no list out of service
//! lists/<name>/<name>.key        sealed by the device key: the list's keys
//! lists/<name>/<name>.confirmed  sealed by the device key: a sudden change that a person vouches for
//! lists/<name>/<name>.sudden     sealed by the device key: a sudden change that is reported
//! lists/<name>/chunks/           one file for each chunk and page, named by its address
//! ```
//!
//! A new state is committed after the chunks that it names are on the disk, and chunks are removed
//! after the state that named them is gone: whenever the power fails, one whole list remains.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::fault;
use crate::dsse::KeyId;
use crate::hotlist::format::{Address, MAX_SEALED};
use crate::in_force::Memory;
use crate::keys::sealed::Sealer;
use crate::keys::{DeviceKey, Purpose};
use crate::policy::Who;

/// The state of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Format of this file: 1.
    pub(super) v: u8,
    /// The highest version whose manifest was ever verified.
    pub(super) highest: u64,
    /// The same by the key that signed it: versions that a withdrawn author has used up no longer
    /// count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) floors: BTreeMap<KeyId, u64>,
    /// The message with the manifest in service.
    pub(super) held: Option<String>,
    /// The message with the newest verified manifest, if that is another one: its chunks are being
    /// fetched, or it waits for a confirmation.
    pub(super) newest: Option<String>,
}

/// A sudden change of size that a person has confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The version.
    pub version: u64,
    /// The number of the person.
    pub by: String,
    /// The role in which they acted.
    pub role: Who,
    /// The reason that they gave.
    pub reason: String,
}

/// A sudden change of a list, which is reported for the rest of the shift, even after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sudden {
    /// The text of the report.
    pub(super) what: String,
    /// When the version came into service.
    pub(super) since: Timestamp,
}

/// The two copies of a list's state, in the order in which they are written.
const COPIES: [&str; 2] = ["state", "spare"];

/// One list's folder.
pub(super) struct Cache {
    folder: PathBuf,
    list: String,
    sealer: Sealer,
    memory: Memory,
}

impl Cache {
    /// Opens a list's folder below the state folder; makes it if needed.
    pub(super) fn open(state: &Path, list: &str, device: &DeviceKey) -> io::Result<Self> {
        let folder = state.join("lists").join(list);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join("chunks"))?;
        let sealer = Sealer::new(device, Purpose::FleetSeal);
        let memory = Memory::new(state, device);
        Ok(Self { folder, list: list.to_owned(), sealer, memory })
    }

    /// The name of a file, which is also the name under which it is sealed, so that another list's
    /// file does not pass for it. The two are the same because a rotation of the device key seals
    /// every file anew under its own name.
    fn name(&self, file: &str) -> String {
        format!("{}.{file}", self.list)
    }

    fn read(&self, file: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let name = self.name(file);
        self.sealer.read(&self.folder.join(&name), &name)
    }

    fn write(&self, file: &str, plain: &[u8]) -> io::Result<()> {
        let name = self.name(file);
        self.sealer.write(&self.folder.join(&name), &name, plain)
    }

    /// The state of the list; the default if there is none, or none that this car wrote. If the two
    /// copies differ, because a power cut came between them, the later one is used. Even if both
    /// files are lost, the highest version is remembered.
    pub(super) fn state(&self) -> io::Result<State> {
        let copies = COPIES.map(|file| self.copy(file));
        let mut best: Option<State> = None;
        for state in copies.iter().flatten().flatten() {
            if best.as_ref().is_none_or(|best| state.highest > best.highest) {
                best = Some(state.clone());
            }
        }
        if best.is_none() {
            // A read error does not mean that there is no state.
            copies.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        let mut state = best.unwrap_or_else(|| State { v: 1, ..State::default() });
        for (by, floor) in self.remembered() {
            let known = state.floors.entry(by).or_default();
            *known = floor.max(*known);
        }
        Ok(state)
    }

    fn copy(&self, file: &str) -> io::Result<Option<State>> {
        let sealed = self.read(file)?;
        Ok(sealed.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Sets damaged files aside; the next commit writes them anew.
    pub(super) fn set_damaged_aside(&self) {
        for file in COPIES {
            let path = self.folder.join(self.name(file));
            if path.exists()
                && matches!(self.copy(file), Ok(None))
                && let Err(e) = crate::aside::set_aside(&path)
            {
                tracing::error!(path = %path.display(), error = %e, "damaged, and not set aside");
            }
        }
    }

    /// The version that was in force, if nothing is left of the list but the memory of it.
    pub(super) fn lost_version(&self) -> Option<u64> {
        let there = COPIES.iter().any(|file| self.folder.join(self.name(file)).exists());
        self.remembered().into_values().max().filter(|_| !there)
    }

    fn remembered(&self) -> BTreeMap<KeyId, u64> {
        self.memory.read().lists.remove(&self.list).unwrap_or_default()
    }

    /// Commits the state of the list. Everything that it names is on the disk before.
    pub(super) fn keep_state(&self, state: &State) -> io::Result<()> {
        let json = serde_json::to_vec(state).expect("texts and numbers");
        // Chunks are written without a sync each; this one covers all of them.
        rustix::fs::syncfs(File::open(&self.folder)?)?;
        fault::step("before-state");
        self.write("state", &json)?;
        fault::step("after-state");
        self.write("spare", &json)?;
        if !state.floors.is_empty() {
            self.memory.note(|record| {
                record.lists.insert(self.list.clone(), state.floors.clone());
            });
        }
        Ok(())
    }

    /// The text of the list's keys, if they were sealed in this car.
    pub(super) fn keys(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        self.read("key")
    }

    /// Seals the list's keys.
    pub(super) fn keep_keys(&self, text: &[u8]) -> io::Result<()> {
        self.write("key", text)
    }

    /// The change that a person has confirmed last.
    pub(super) fn confirmation(&self) -> io::Result<Option<Confirmation>> {
        let sealed = self.read("confirmed")?;
        Ok(sealed.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Writes a person's confirmation of a change.
    pub(super) fn confirm(&self, confirmation: &Confirmation) -> io::Result<()> {
        let json = serde_json::to_vec(confirmation).expect("texts and numbers");
        self.write("confirmed", &json)
    }

    /// The sudden change that was reported last.
    pub(super) fn sudden(&self) -> Option<Sudden> {
        let sealed = self.read("sudden").ok().flatten()?;
        serde_json::from_slice(&sealed).ok()
    }

    /// Writes a sudden change that is being reported.
    pub(super) fn keep_sudden(&self, sudden: &Sudden) -> io::Result<()> {
        let json = serde_json::to_vec(sudden).expect("a text and a date");
        self.write("sudden", &json)
    }

    fn chunk_path(&self, address: &Address) -> PathBuf {
        self.folder.join("chunks").join(address.to_string())
    }

    /// A chunk or page as it arrived, if it is here; not verified.
    pub(super) fn chunk(&self, address: &Address) -> Option<Vec<u8>> {
        let path = self.chunk_path(address);
        // A longer file is not a chunk and is not read.
        let length = fs::metadata(&path).ok()?.len();
        if length > MAX_SEALED as u64 {
            return None;
        }
        fs::read(path).ok()
    }

    /// Stores a chunk or page. A power cut may leave a partial file beside it, which is swept up
    /// later.
    pub(super) fn keep_chunk(&self, address: &Address, bytes: &[u8]) -> io::Result<()> {
        let path = self.chunk_path(address);
        let aside = path.with_extension("new");
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut file = File::create(&aside)?;
        io::Write::write_all(&mut file, first)?;
        fault::step("half-a-chunk");
        io::Write::write_all(&mut file, second)?;
        fs::rename(&aside, &path)?;
        fault::step("after-a-chunk");
        Ok(())
    }

    /// Removes the files that no manifest names. Returns how many were removed.
    pub(super) fn sweep(&self, named: &BTreeSet<Address>) -> io::Result<usize> {
        let mut gone = 0;
        for entry in fs::read_dir(self.folder.join("chunks"))? {
            let entry = entry?;
            let name = entry.file_name();
            let address = name.to_str().and_then(Address::parse);
            if address.is_none_or(|a| !named.contains(&a)) {
                fs::remove_file(entry.path())?;
                gone += 1;
                fault::step("sweeping");
            }
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(state: &Path, list: &str) -> Cache {
        Cache::open(state, list, &DeviceKey::load(state).unwrap()).unwrap()
    }

    #[test]
    fn state_comes_back_and_is_no_other_lists() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let stolen = cache(&state, "stolen");
        assert_eq!(stolen.state().unwrap(), State { v: 1, ..State::default() });
        let kept = State { highest: 7, held: Some("{}".into()), v: 1, ..State::default() };
        stolen.keep_state(&kept).unwrap();
        assert_eq!(cache(&state, "stolen").state().unwrap(), kept);
        let amber = cache(&state, "amber");
        let [from, to] = ["lists/stolen/stolen.state", "lists/amber/amber.state"];
        fs::copy(state.join(from), state.join(to)).unwrap();
        assert_eq!(amber.state().unwrap().highest, 0, "sealed under the other list's name");
    }

    #[test]
    fn one_damaged_state_takes_no_list_away_and_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let stolen = cache(&state, "stolen");
        let kept = State { v: 1, highest: 7, held: Some("{}".into()), ..State::default() };
        stolen.keep_state(&kept).unwrap();
        for file in ["stolen.state", "stolen.spare"] {
            let path = state.join("lists/stolen").join(file);
            let good = fs::read(&path).unwrap();
            for bad in [&good[..good.len() / 2], &[0x5a; 4096][..], b""] {
                fs::write(&path, bad).unwrap();
                assert_eq!(stolen.state().unwrap(), kept, "{file}");
                stolen.set_damaged_aside();
                assert!(!path.exists());
                stolen.keep_state(&kept).unwrap();
            }
        }
        let aside = crate::aside::list(&state);
        assert_eq!(aside.len(), 6, "{aside:?}");
        assert!(aside.iter().all(|a| a.was.starts_with("stolen.s")), "{aside:?}");
    }

    #[test]
    fn sweeping_leaves_what_is_named_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(&dir.path().join("state"), "stolen");
        let [a, b] = [Address::from_bytes([1; 32]), Address::from_bytes([2; 32])];
        cache.keep_chunk(&a, b"first").unwrap();
        cache.keep_chunk(&b, b"second").unwrap();
        fs::write(cache.folder.join("chunks/half.new"), b"ha").unwrap();
        assert_eq!(cache.sweep(&BTreeSet::from([b])).unwrap(), 2);
        assert_eq!((cache.chunk(&a), cache.chunk(&b)), (None, Some(b"second".to_vec())));
    }
}
