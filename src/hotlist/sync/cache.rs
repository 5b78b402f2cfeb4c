//! A list on the car's disk.
//!
//! In: chunks as they came, encrypted with the list's key; that key; how far the list has come. Out:
//! the same after a restart. Costs: a chunk is one small file, written once. Leaves to others: what
//! the bytes mean and whether they are whole: a chunk is believed when it opens under its address, not
//! because it lies here.
//!
//! ```text
//! lists/<name>/<name>.state      sealed by the device key: highest version, the manifest that serves,
//!                                the newest one
//! lists/<name>/<name>.key        sealed by the device key: the list's keys
//! lists/<name>/<name>.confirmed  sealed by the device key: a sudden change that a person vouches for
//! lists/<name>/chunks/           one file for each chunk and page, named by its address
//! ```
//!
//! A new state is committed after the chunks that it names are on the disk, and chunks are removed
//! after the state that named them is gone: whenever the power goes, one whole list is left.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::fault;
use crate::hotlist::format::{Address, MAX_SEALED};
use crate::keys::{DeviceKey, Purpose};
use crate::policy::Who;
use crate::sealed::Sealer;

/// How far a list has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Format of this file: 1.
    pub(super) v: u8,
    /// The highest version whose manifest was ever verified.
    pub(super) highest: u64,
    /// The message with the manifest that serves.
    pub(super) held: Option<String>,
    /// The message with the newest manifest that was verified, where that is another one: its
    /// chunks are being fetched, or it waits to be confirmed.
    pub(super) newest: Option<String>,
}

/// A sudden change of size that a person has vouched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The version.
    pub version: u64,
    /// Who.
    pub by: String,
    /// In which role.
    pub role: Who,
    /// Why.
    pub reason: String,
}

/// One list's folder.
pub(super) struct Cache {
    folder: PathBuf,
    list: String,
    sealer: Sealer,
}

impl Cache {
    /// Opens a list's folder under the state folder, or makes it.
    pub(super) fn open(state: &Path, list: &str, device: &DeviceKey) -> io::Result<Self> {
        let folder = state.join("lists").join(list);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join("chunks"))?;
        let sealer = Sealer::new(device, Purpose::FleetSeal);
        Ok(Self { folder, list: list.to_owned(), sealer })
    }

    /// What a file is called, and sealed under: another list's does not pass for it. The two are one
    /// because a rotation of the device key seals every file anew under its own name.
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

    /// How far the list has come; the default if there is nothing, or nothing that this car wrote.
    pub(super) fn state(&self) -> io::Result<State> {
        let sealed = self.read("state")?;
        let state = sealed.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(state.unwrap_or_else(|| State { v: 1, ..State::default() }))
    }

    /// Commits how far the list has come. Everything that it names is on the disk before.
    pub(super) fn keep_state(&self, state: &State) -> io::Result<()> {
        let json = serde_json::to_vec(state).expect("texts and numbers");
        // Chunks are written without a sync each: one for all of them, here.
        rustix::fs::syncfs(File::open(&self.folder)?)?;
        fault::step("before-state");
        self.write("state", &json)?;
        fault::step("after-state");
        Ok(())
    }

    /// The text of the list's keys, if they were sealed here.
    pub(super) fn keys(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        self.read("key")
    }

    /// Seals the list's keys.
    pub(super) fn keep_keys(&self, text: &[u8]) -> io::Result<()> {
        self.write("key", text)
    }

    /// The change that a person has vouched for last.
    pub(super) fn confirmation(&self) -> io::Result<Option<Confirmation>> {
        let sealed = self.read("confirmed")?;
        Ok(sealed.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Writes down that a person vouches for a change.
    pub(super) fn confirm(&self, confirmation: &Confirmation) -> io::Result<()> {
        let json = serde_json::to_vec(confirmation).expect("texts and numbers");
        self.write("confirmed", &json)
    }

    fn chunk_path(&self, address: &Address) -> PathBuf {
        self.folder.join("chunks").join(address.to_string())
    }

    /// A chunk or page as it came, if it is here; unproven.
    pub(super) fn chunk(&self, address: &Address) -> Option<Vec<u8>> {
        let path = self.chunk_path(address);
        // What is longer is no chunk: not worth reading.
        let length = fs::metadata(&path).ok()?.len();
        if length > MAX_SEALED as u64 {
            return None;
        }
        fs::read(path).ok()
    }

    /// Keeps a chunk or page. A half-written one is left aside by a power cut, and swept up later.
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

    /// Removes what no manifest names. Returns how many files went.
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
        let kept = State { v: 1, highest: 7, held: Some("{}".into()), newest: None };
        stolen.keep_state(&kept).unwrap();
        assert_eq!(cache(&state, "stolen").state().unwrap(), kept);
        let amber = cache(&state, "amber");
        let [from, to] = ["lists/stolen/stolen.state", "lists/amber/amber.state"];
        fs::copy(state.join(from), state.join(to)).unwrap();
        assert_eq!(amber.state().unwrap().highest, 0, "sealed under the other list's name");
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
