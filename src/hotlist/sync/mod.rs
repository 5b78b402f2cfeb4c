//! Keeps the lists of the broker in service: fetches what changed, proves it, swaps it in.
//!
//! In: manifests and chunks through [`downlink`](crate::downlink), none of them believed. Out: lists
//! in service ([`Hotlists`]), their state in health. Costs: one thread that mostly waits; for a new
//! version all chunks are opened once (`benches/matching.rs`), and for that time there are two indexes.
//! Leaves to others: the socket, what a match means, which lists policy allows.
//!
//! A look-up never waits for any of it, and no failure takes the version that serves out of service.

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
use crate::downlink::{Downlink, Inbound, Topic};
use crate::health::{Health, PartState};
use crate::keys::DeviceKey;
use crate::secret_file;
use crate::trust::HeldTrust;

/// Chunks asked for and not here yet, over all lists. 32 of 96 KiB are 3 MiB; at 200 ms to the broker
/// and back that is 15 MB a second, more than any car's line.
const WINDOW: usize = 32;

/// A chunk asked for this long ago makes room for another in the window. It stays asked for: when its
/// author publishes it, it comes.
const MAKES_ROOM_AFTER: Duration = Duration::from_secs(5);

/// Time between two looks at what changes by itself: age, trust, confirmations.
const TURN: Duration = Duration::from_millis(500);

/// Places for what comes in: the window and its manifests.
const CHANNEL: usize = WINDOW * 2;

/// Why a list's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The key file, or the sealed copy.
    #[error("hotlist.{list}.key = {path:?}: {why}")]
    Key {
        /// Which list.
        list: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The list's folder.
    #[error("hotlist {list}: cannot use its folder under {state:?}: {source}")]
    Folder {
        /// Which list.
        list: String,
        /// The state folder.
        state: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the lists of the broker need.
pub struct Parts<'a> {
    /// All lists of the configuration; those from files are left alone.
    pub lists: &'a [HotlistConfig],
    /// Whose cars.
    pub agency: &'a str,
    /// The state folder.
    pub state: &'a Path,
    /// What seals.
    pub device: &'a DeviceKey,
    /// Who may sign.
    pub trust: Arc<HeldTrust>,
    /// Where lists serve.
    pub service: Arc<Hotlists>,
    /// Where they come from.
    pub downlink: Downlink,
    /// Where it is written down which version serves, and which was refused.
    pub audit: Option<Audit>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where each list's state is said.
    pub health: Arc<Health>,
}

/// The lists of the broker.
pub struct Sync {
    followers: Vec<Follower>,
    downlink: Downlink,
    to: SyncSender<Inbound>,
    inbound: Receiver<Inbound>,
    asked: BTreeMap<(usize, Address), Instant>,
}

impl Sync {
    /// Takes every list up where it was: what served before serves again when this returns, without
    /// any network. A list whose key or folder cannot be used is told in health; the others go on.
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
        Self { followers, downlink: parts.downlink, to, inbound, asked: BTreeMap::new() }
    }

    /// Follows the lists on a thread of its own, until the handle is dropped.
    pub fn spawn(mut self) -> SyncHandle {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = (!self.followers.is_empty()).then(|| {
            std::thread::Builder::new()
                .name("list-sync".into())
                .spawn(move || while !stopped.load(Ordering::Relaxed) && self.turn(TURN) {})
                .expect("the process may start threads")
        });
        SyncHandle { stop, thread }
    }

    /// Takes what has come, waiting `patience` at most; then asks for what is missing. Returns whether
    /// more can come.
    pub fn turn(&mut self, patience: Duration) -> bool {
        match self.inbound.recv_timeout(patience) {
            Ok(inbound) => {
                self.take(inbound);
                while let Ok(inbound) = self.inbound.try_recv() {
                    self.take(inbound);
                }
            }
            Err(RecvTimeoutError::Timeout) => self.followers.iter_mut().for_each(Follower::tick),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        self.ask();
        true
    }

    fn take(&mut self, inbound: Inbound) {
        let list = match &inbound.topic {
            Topic::Manifest(list) | Topic::Chunk(list, _) => list,
            Topic::Trust | Topic::Policy | Topic::Command => return,
        };
        let Some(n) = self.followers.iter().position(|f| f.name() == &**list) else { return };
        let follower = &mut self.followers[n];
        match &inbound.topic {
            Topic::Chunk(_, address) => {
                let Some(address) = Address::parse(address) else { return };
                follower.chunk(address, &inbound.payload);
                // One that was refused stays asked for: its author may mend it.
                if !follower.missing().any(|missing| missing == address) {
                    self.asked.remove(&(n, address));
                    self.downlink.unsubscribe(&inbound.topic);
                }
            }
            _ => follower.manifest(&inbound.payload),
        }
    }

    /// Asks for missing chunks, as many as the window takes, and leaves those that are wanted no more.
    fn ask(&mut self) {
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

/// The list's keys from their file, sealed in the car from then on; or, without the file, the sealed
/// copy.
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

/// The running sync. Dropping it ends it.
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
    /// The version that serves.
    pub version: u64,
    /// Its entries.
    pub entries: u64,
    /// When its source last said so.
    pub source_time: jiff::Timestamp,
    /// From when on it serves no more.
    pub expires: jiff::Timestamp,
    /// A newer version that is known and not whole, or not confirmed.
    pub newest: Option<u64>,
}

/// Looks at what the car has of a list, for `outrider check`; changes nothing. `None` if nothing of it
/// has come, or the car was never started.
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

/// Writes down that a person vouches for a sudden change of a list's size; the daemon finds it within
/// seconds.
pub fn confirm(
    state: &Path,
    list: &str,
    device: &DeviceKey,
    confirmation: &Confirmation,
) -> io::Result<()> {
    Cache::open(state, list, device)?.confirm(confirmation)
}
