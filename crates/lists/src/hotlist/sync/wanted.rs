//! A version that is being fetched: which of its pages and chunks are here, and which are missing.
//!
//! In: a verified manifest; pages and chunks, from memory, the disk or the broker. Out: what is
//! still missing, and in the end the chunks of every layer. A page or chunk is accepted only if it
//! opens with the list's key under its address; refusals are remembered, so that health can report
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::warn;

use super::check::SyncError;
use super::follower::Parts;
use crate::hotlist::blocks::{Blocks, MemorySeal};
use crate::hotlist::chunked::Chunks;
use crate::hotlist::format::{Address, ChunkRef, Layer, ListKey, Manifest, open_chunk, open_page};

/// Verified pages and chunks.
#[derive(Default, Clone)]
pub(super) struct Here {
    pages: BTreeMap<Address, Arc<[ChunkRef]>>,
    pub(super) chunks: Chunks,
}

impl Here {
    /// Whether nothing is here.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The addresses of all of it.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> {
        self.pages.keys().chain(self.chunks.keys()).copied()
    }
}

/// Most threads that verify chunks: at the start the cameras do not wait for the lists, but they
/// need a core.
const MOST_PROVERS: usize = 4;

/// Verifies and opens pages and chunks.
struct Prover<'a> {
    key: &'a ListKey,
    seal: &'a Arc<MemorySeal>,
    pages: BTreeSet<Address>,
}

/// A verified page or chunk.
enum Proven {
    Page(Arc<[ChunkRef]>),
    Chunk(Arc<Blocks>),
}

impl Prover<'_> {
    fn prove(&self, address: Address, bytes: &[u8]) -> Result<Proven, SyncError> {
        if self.pages.contains(&address) {
            return Ok(Proven::Page(open_page(self.key, address, bytes)?.into()));
        }
        let chunk = open_chunk(self.key, address, bytes)?;
        Ok(Proven::Chunk(Arc::new(Blocks::of(&chunk, self.seal))))
    }
}

/// Whether bytes belong to their address, by the key of this version: only such bytes are written
/// to the disk.
pub(super) fn proves(parts: &Parts, manifest: &Manifest, address: Address, bytes: &[u8]) -> bool {
    let Some(key) = parts.keys.get(manifest.key) else { return false };
    let pages = manifest.pages().map(|page| page.address).collect();
    Prover { key, seal: &parts.seal, pages }.prove(address, bytes).is_ok()
}

/// The version that is being fetched.
pub(super) struct Wanted {
    pub(super) manifest: Manifest,
    /// What is here.
    pub(super) here: Here,
    /// The addresses that are missing.
    pub(super) missing: BTreeSet<Address>,
    /// The addresses for which something was refused.
    pub(super) bad: BTreeMap<Address, SyncError>,
    /// When something last arrived, on the boot clock.
    pub(super) moved: Duration,
}

impl Wanted {
    /// Starts with nothing here.
    pub(super) fn new(manifest: Manifest, now: Duration) -> Self {
        let missing = manifest.pages().map(|page| page.address).collect();
        Self { manifest, here: Here::default(), missing, bad: BTreeMap::new(), moved: now }
    }

    /// Collects what is here already: in memory, for the version in service, or on the disk.
    pub(super) fn collect_present(&mut self, parts: &Parts, held: Option<&Here>) {
        let list = &parts.config.name;
        let mut looked = BTreeSet::new();
        // Pages name more chunks, so the search is repeated for those.
        loop {
            let due: Vec<_> = self.missing.difference(&looked).copied().collect();
            if due.is_empty() {
                break;
            }
            looked.extend(&due);
            let mut elsewhere = Vec::new();
            for address in due {
                let page = held.and_then(|held| held.pages.get(&address));
                let chunk = held.and_then(|held| held.chunks.get(&address));
                match (page, chunk) {
                    (Some(page), _) => {
                        if let Err(e) = self.place_page(address, page.clone()) {
                            warn!(list, error = %e, "page in memory is not valid");
                        }
                    }
                    (None, Some(chunk)) => self.place_chunk(address, chunk.clone()),
                    (None, None) => elsewhere.push(address),
                }
            }
            for (address, proven) in self.prove_from_disk(parts, &elsewhere) {
                if let Err(e) = proven.and_then(|proven| self.place(address, proven)) {
                    warn!(list, error = %e, "cached chunk is damaged");
                }
            }
        }
    }

    /// Reads and verifies what is on the disk, on several threads: a list of five million has 2,500
    /// chunks, and is put in service once all are verified.
    fn prove_from_disk(
        &self,
        parts: &Parts,
        due: &[Address],
    ) -> Vec<(Address, Result<Proven, SyncError>)> {
        let Ok(prover) = self.prover(parts) else { return Vec::new() };
        let cache = &parts.cache;
        let (next, proven) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(due.len())));
        let work = || {
            while let Some(address) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(bytes) = cache.chunk(address) else { continue };
                let result = prover.prove(*address, &bytes);
                proven.lock().expect("no holder panics").push((*address, result));
            }
        };
        let most = std::thread::available_parallelism().map_or(1, |n| n.get().min(MOST_PROVERS));
        std::thread::scope(|scope| {
            for _ in 1..most.min(due.len()) {
                scope.spawn(work);
            }
            work();
        });
        proven.into_inner().expect("no holder panics")
    }

    /// Accepts a chunk or page if it is valid.
    pub(super) fn accept(
        &mut self,
        parts: &Parts,
        address: Address,
        bytes: &[u8],
    ) -> Result<(), SyncError> {
        let proven = self.prover(parts)?.prove(address, bytes)?;
        self.place(address, proven)
    }

    /// What verifies the chunks of this version.
    fn prover<'a>(&self, parts: &'a Parts) -> Result<Prover<'a>, SyncError> {
        let manifest = &self.manifest;
        let key = parts.keys.get(manifest.key).ok_or_else(|| SyncError::Key {
            list: manifest.list.clone(),
            version: manifest.version,
            key: manifest.key,
        })?;
        let pages = manifest.pages().map(|page| page.address).collect();
        Ok(Prover { key, seal: &parts.seal, pages })
    }

    fn place(&mut self, address: Address, proven: Proven) -> Result<(), SyncError> {
        match proven {
            Proven::Page(refs) => self.place_page(address, refs),
            Proven::Chunk(chunk) => {
                self.place_chunk(address, chunk);
                Ok(())
            }
        }
    }

    fn place_chunk(&mut self, address: Address, chunk: Arc<Blocks>) {
        self.missing.remove(&address);
        self.here.chunks.insert(address, chunk);
    }

    fn place_page(&mut self, address: Address, refs: Arc<[ChunkRef]>) -> Result<(), SyncError> {
        let manifest = &self.manifest;
        if let Some(page) = manifest.pages().find(|page| page.address == address)
            && refs.len() != page.chunks as usize
        {
            return Err(SyncError::Page {
                list: manifest.list.clone(),
                version: manifest.version,
                found: refs.len(),
                promised: page.chunks,
            });
        }
        self.here.pages.insert(address, refs.clone());
        if let Err(e) = self.check_totals() {
            self.here.pages.remove(&address);
            return Err(e);
        }
        let named = refs.iter().map(|r| r.address);
        self.missing.extend(named.filter(|a| !self.here.chunks.contains_key(a)));
        self.missing.remove(&address);
        Ok(())
    }

    /// Checks that the pages which are here do not name more than the manifest states.
    fn check_totals(&self) -> Result<(), SyncError> {
        let manifest = &self.manifest;
        let pages: u64 = manifest.pages().map(|page| u64::from(page.bytes)).sum();
        let chunks: u64 =
            self.here.pages.values().flat_map(|refs| refs.iter()).map(|r| u64::from(r.bytes)).sum();
        if pages + chunks > manifest.counts.bytes {
            return Err(SyncError::Bytes {
                list: manifest.list.clone(),
                version: manifest.version,
                bytes: pages + chunks,
                most: manifest.counts.bytes,
            });
        }
        Ok(())
    }

    /// The chunks of each layer, oldest first; complete once nothing is missing. A missing page is
    /// represented by one unknown chunk.
    pub(super) fn layers(&self) -> Vec<Vec<Option<ChunkRef>>> {
        let of = |layer: &Layer| {
            let mut refs = Vec::new();
            for page in &layer.pages {
                match self.here.pages.get(&page.address) {
                    Some(page) => refs.extend(page.iter().copied().map(Some)),
                    None => refs.push(None),
                }
            }
            refs
        };
        self.manifest.layers.iter().map(of).collect()
    }
}
