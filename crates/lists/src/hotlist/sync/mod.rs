//! Keeps the lists from the broker in service: fetches changes, verifies them, replaces the list.
//!
//! In: manifests and chunks through [`downlink`](crate::downlink), not verified yet. Out: lists in
//! service ([`Hotlists`]), their state in health. Costs: one thread that mostly waits; for a new
//! version all chunks are opened once (`benches/matching.rs`), and meanwhile there are two indexes.
//! Leaves to others: the socket, what a match means, which lists policy allows.
//!
//! A look-up never waits for any of this, and no failure takes the version in service out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

mod answer;
mod cache;
mod check;
mod fault;
mod follower;
#[cfg(any(test, feature = "testing"))]
pub mod made_up;
mod wanted;

pub use answer::{CONFIRM, Confirm, ConfirmError, answer};
use cache::Cache;
pub use cache::Confirmation;
pub use check::{SizeLimit, SyncError};
use follower::Follower;

use super::Hotlists;
use super::blocks::MemorySeal;
use super::format::{Address, ListKeys};
use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::{HotlistConfig, ListSource};
use crate::downlink::Downlink;
use crate::health::{Health, PartState};
use crate::inbound::{Inbound, Topic};
use crate::keys::DeviceKey;
use crate::secret_file;
use crate::threads::Turns;
use crate::trust::HeldTrust;

/// Most chunks that are requested and have not arrived, over all lists. 32 of 96 KiB are 3 MiB;
/// with 200 ms to the broker and back that is 15 MB a second, more than any car's connection.
const WINDOW: usize = 32;

/// A chunk that was requested this long ago makes room for another in the window. Its subscription
/// stays: when its author publishes it, it arrives.
const MAKES_ROOM_AFTER: Duration = Duration::from_secs(5);

/// Time between two checks of what changes without a message: age, trust, confirmations.
const TURN: Duration = Duration::from_millis(500);

/// Capacity of the inbound channel: the window, and its manifests.
const CHANNEL: usize = WINDOW * 2;

/// Why a list's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The key file, or the sealed copy, cannot be used.
    #[error("hotlist.{list}.key = {path:?}: {why}")]
    Key {
        /// The list.
        list: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The list's folder cannot be used.
    #[error("hotlist {list}: cannot use its folder under {state:?}: {source}")]
    Folder {
        /// The list.
        list: String,
        /// The state folder.
        state: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the lists from the broker need.
pub struct Parts<'a> {
    /// All lists of the configuration; those from files are ignored.
    pub lists: &'a [HotlistConfig],
    /// The agency.
    pub agency: &'a str,
    /// The state folder.
    pub state: &'a Path,
    /// The device key, which seals files.
    pub device: &'a DeviceKey,
    /// The trust document in force.
    pub trust: Arc<HeldTrust>,
    /// The lists in service.
    pub service: Arc<Hotlists>,
    /// Where manifests and chunks arrive.
    pub downlink: Downlink,
    /// The audit log, which records the versions in service and the refused ones.
    pub audit: Option<Audit>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where each list's state is reported.
    pub health: Arc<Health>,
}

/// The lists from the broker.
pub struct Sync {
    followers: Vec<Follower>,
    downlink: Downlink,
    to: SyncSender<Inbound>,
    inbound: Receiver<Inbound>,
    asked: BTreeMap<(usize, Address), Instant>,
    turns: Turns,
}

impl Sync {
    /// Resumes every list: when this returns, what was in service before is in service again,
    /// without any network. A list whose key or folder cannot be used is reported in health; the
    /// others are followed.
    pub fn open(parts: Parts<'_>) -> Self {
        let (to, inbound) = sync_channel(CHANNEL);
        let mut followers = Vec::new();
        for config in parts.lists.iter().filter(|list| list.source == ListSource::Mqtt) {
            match follower(config, &parts) {
                Ok(follower) => followers.push(follower),
                Err(e) => {
                    tracing::error!(error = %e, "hotlist cannot be followed");
                    let part = format!("hotlist/{}", config.name);
                    parts.health.set(&part, PartState::Down(e.to_string()));
                }
            }
        }
        for follower in &followers {
            parts.downlink.subscribe(Topic::Manifest(follower.name().into()), to.clone());
        }
        Self {
            followers,
            downlink: parts.downlink,
            to,
            inbound,
            asked: BTreeMap::new(),
            turns: Turns::every(TURN),
        }
    }

    /// Follows the lists on a thread of its own until the handle is dropped.
    pub fn spawn(mut self) -> SyncHandle {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = (!self.followers.is_empty()).then(|| {
            crate::threads::spawn("list-sync", move || {
                while !stopped.load(Ordering::Relaxed) && self.turn(TURN) {}
            })
            .expect("the process may start threads")
        });
        SyncHandle { stop, thread }
    }

    /// Processes what has arrived, waiting at most for `patience`; then requests what is missing.
    /// What time changes is checked when nothing arrived, and every `TURN` in any case. Returns
    /// whether more can arrive.
    pub fn turn(&mut self, patience: Duration) -> bool {
        let nothing = match self.inbound.recv_timeout(patience.min(self.turns.wait())) {
            Ok(inbound) => {
                self.dispatch(inbound);
                // No more messages than the channel holds are processed: somebody who fills it as
                // fast as it is emptied must not delay the periodic checks.
                for inbound in self.inbound.try_iter().take(CHANNEL).collect::<Vec<_>>() {
                    self.dispatch(inbound);
                }
                false
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        if self.turns.is_due() || nothing {
            self.followers.iter_mut().for_each(Follower::tick);
        }
        self.request_missing();
        true
    }

    fn dispatch(&mut self, inbound: Inbound) {
        let list = match &inbound.topic {
            Topic::Manifest(list) | Topic::Chunk(list, _) => list,
            Topic::Trust
            | Topic::Policy
            | Topic::Command
            | Topic::Model(_)
            | Topic::ModelPart(..) => return,
        };
        let Some(n) = self.followers.iter().position(|f| f.name() == &**list) else { return };
        let follower = &mut self.followers[n];
        match &inbound.topic {
            Topic::Chunk(_, address) => {
                let Some(address) = Address::parse(address) else { return };
                follower.chunk(address, &inbound.payload);
                // The subscription to a refused chunk stays: its author may publish a correct one.
                if !follower.missing().any(|missing| missing == address) {
                    self.asked.remove(&(n, address));
                    self.downlink.unsubscribe(&inbound.topic);
                }
            }
            _ => follower.manifest(&inbound.payload),
        }
    }

    /// Requests missing chunks, as many as the window allows, and unsubscribes from those that are
    /// no longer wanted.
    fn request_missing(&mut self) {
        let topic = |n: usize, address: &Address, followers: &[Follower]| {
            Topic::Chunk(followers[n].name().into(), address.to_string().into())
        };
        let missing: BTreeSet<_> = (0..)
            .zip(&self.followers)
            .flat_map(|(n, follower)| follower.missing().map(move |address| (n, address)))
            .collect();
        let left: Vec<_> = self.asked.keys().filter(|k| !missing.contains(k)).copied().collect();
        for (n, address) in left {
            self.asked.remove(&(n, address));
            self.downlink.unsubscribe(&topic(n, &address, &self.followers));
        }
        let fresh = self.asked.values().filter(|at| at.elapsed() < MAKES_ROOM_AFTER).count();
        let room = WINDOW.saturating_sub(fresh);
        let due: Vec<_> =
            missing.into_iter().filter(|k| !self.asked.contains_key(k)).take(room).collect();
        for (n, address) in due {
            self.downlink.subscribe(topic(n, &address, &self.followers), self.to.clone());
            self.asked.insert((n, address), Instant::now());
        }
    }
}

fn follower(config: &HotlistConfig, parts: &Parts<'_>) -> Result<Follower, KeyFileError> {
    let list = config.name.as_str();
    let cache = Cache::open(parts.state, list, parts.device).map_err(|source| {
        KeyFileError::Folder { list: list.into(), state: parts.state.to_owned(), source }
    })?;
    let keys = Arc::new(keys(config, &cache)?);
    let seal = MemorySeal::new().map_err(|e| KeyFileError::Folder {
        list: list.into(),
        state: parts.state.to_owned(),
        source: io::Error::other(e.to_string()),
    })?;
    Ok(Follower::open(follower::Parts {
        config: config.clone(),
        agency: parts.agency.to_owned(),
        keys,
        seal,
        cache,
        trust: parts.trust.clone(),
        service: parts.service.clone(),
        audit: parts.audit.clone(),
        clock: parts.clock.clone(),
        health: parts.health.clone(),
    }))
}

/// The list's keys: from their file, which is then sealed in the car; or, without the file, from
/// the sealed copy.
fn keys(config: &HotlistConfig, cache: &Cache) -> Result<ListKeys, KeyFileError> {
    let path = config.key.clone().unwrap_or_default();
    let wrong =
        |why: String| KeyFileError::Key { list: config.name.clone(), path: path.clone(), why };
    if path.exists() {
        let text = secret_file::read(&path).map_err(|e| wrong(e.to_string()))?;
        let keys = ListKeys::parse(&text).ok_or_else(|| {
            wrong("holds no list key (64 hexadecimal digits a line, the newest first)".into())
        })?;
        if let Err(e) = cache.keep_keys(text.as_bytes()) {
            tracing::warn!(list = config.name, error = %e, "list key not sealed in the car");
        }
        return Ok(keys);
    }
    let sealed = cache.keys().map_err(|e| wrong(e.to_string()))?;
    let text = sealed.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(ListKeys::parse).ok_or_else(|| {
        wrong("is not there, and none is sealed in this car: put the list's key there once".into())
    })
}

/// The running sync. Dropping it ends the thread.
pub struct SyncHandle {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for SyncHandle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the car has of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The version in service.
    pub version: u64,
    /// Its number of entries.
    pub entries: u64,
    /// When its source was last known to be right.
    pub source_time: jiff::Timestamp,
    /// From then on it is out of service.
    pub expires: jiff::Timestamp,
    /// A newer version that is known but incomplete, or not confirmed.
    pub newest: Option<u64>,
}

/// Reads what the car has of a list, for `outrider check`; changes nothing. `None` if nothing of it
/// has arrived, or the car was never started.
pub fn kept(state: &Path, config: &HotlistConfig) -> Result<Option<Kept>, KeyFileError> {
    let list = config.name.as_str();
    if !state.join("lists").join(list).exists() {
        return Ok(None);
    }
    let folder =
        |source| KeyFileError::Folder { list: list.to_owned(), state: state.to_owned(), source };
    let device = DeviceKey::load(state).map_err(|e| folder(io::Error::other(e.to_string())))?;
    let cache = Cache::open(state, list, &device).map_err(folder)?;
    let kept = cache.state().map_err(folder)?;
    let manifest = |message: String| follower::parse(&message);
    let newest = kept.newest.and_then(manifest).map(|manifest| manifest.version);
    Ok(kept.held.and_then(manifest).map(|held| Kept {
        version: held.version,
        entries: held.counts.entries,
        source_time: held.source_time,
        expires: held.expires,
        newest,
    }))
}

/// Writes a person's confirmation of a sudden change of a list's size; the daemon finds it within
/// seconds.
pub fn confirm(
    state: &Path,
    list: &str,
    device: &DeviceKey,
    confirmation: &Confirmation,
) -> io::Result<()> {
    Cache::open(state, list, device)?.confirm(confirmation)
}
