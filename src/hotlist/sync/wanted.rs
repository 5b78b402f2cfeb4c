//! A version on its way: which of its pages and chunks are here, and which are missing.
//!
//! In: a verified manifest; pages and chunks, from memory, the disk or the broker. Out: what is missing
//! still, and at last the chunks of every layer. Nothing is taken that does not open with the list's key
//! under its address; what is refused is remembered, so that health can say it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::check::SyncError;
use super::follower::Parts;
use crate::hotlist::chunked::Chunks;
use crate::hotlist::format::{Address, ChunkRef, Layer, Manifest, open_chunk, open_page};

/// The version that is being fetched.
pub(super) struct Wanted {
    pub(super) manifest: Manifest,
    /// Pages that are here, opened.
    pages: BTreeMap<Address, Vec<ChunkRef>>,
    /// Pages and chunks that are here, as they came.
    pub(super) chunks: Chunks,
    /// What is not here yet.
    pub(super) missing: BTreeSet<Address>,
    /// What came in their place and was refused.
    pub(super) bad: BTreeMap<Address, SyncError>,
    /// When something came last, on the boot clock.
    pub(super) moved: Duration,
}

impl Wanted {
    /// Nothing is here yet.
    pub(super) fn new(manifest: Manifest, now: Duration) -> Self {
        let missing = manifest.pages().map(|page| page.address).collect();
        Self {
            manifest,
            pages: BTreeMap::new(),
            chunks: Chunks::new(),
            missing,
            bad: BTreeMap::new(),
            moved: now,
        }
    }

    /// Takes what is here already: in memory, where the version that serves has it, or on the disk.
    pub(super) fn look_around(&mut self, parts: &Parts, held: Option<&Chunks>) {
        let mut looked = BTreeSet::new();
        // Pages bring chunks to look for, so once more for what the first look has found.
        loop {
            let due: Vec<_> = self.missing.difference(&looked).copied().collect();
            if due.is_empty() {
                break;
            }
            for address in due {
                looked.insert(address);
                if let Some(sealed) = held.and_then(|held| held.get(&address)) {
                    // It opened under this address when it came; a page is opened again to be read.
                    let sealed = sealed.clone();
                    if let Err(e) = self.place(parts, address, sealed, true) {
                        warn!(list = parts.config.name, error = %e, "held chunk does not serve");
                    }
                } else if let Some(bytes) = parts.cache.chunk(&address)
                    && let Err(e) = self.take(parts, address, &bytes)
                {
                    warn!(list = parts.config.name, error = %e, "cached chunk is damaged");
                }
            }
        }
    }

    /// Takes a chunk or page, once it has proven to be what it should be.
    pub(super) fn take(
        &mut self,
        parts: &Parts,
        address: Address,
        bytes: &[u8],
    ) -> Result<(), SyncError> {
        self.place(parts, address, bytes.into(), false)
    }

    fn place(
        &mut self,
        parts: &Parts,
        address: Address,
        sealed: Arc<[u8]>,
        proven: bool,
    ) -> Result<(), SyncError> {
        let manifest = &self.manifest;
        let (list, version) = (manifest.list.clone(), manifest.version);
        let key = parts.keys.get(manifest.key);
        let key = key.ok_or(SyncError::Key { list: list.clone(), version, key: manifest.key })?;
        if let Some(page) = manifest.pages().find(|page| page.address == address) {
            let refs = open_page(key, address, &sealed)?;
            if refs.len() != page.chunks as usize {
                let (found, promised) = (refs.len(), page.chunks);
                return Err(SyncError::Page { list, version, found, promised });
            }
            let before = self.pages.insert(address, refs);
            if let Err(e) = self.weigh() {
                self.pages.remove(&address);
                return Err(e);
            }
            debug_assert!(before.is_none(), "a page that is here is not missing");
            let refs = self.pages[&address].iter().map(|r| r.address);
            self.missing.extend(refs.filter(|a| !self.chunks.contains_key(a)));
        } else if !proven {
            open_chunk(key, address, &sealed)?;
        }
        self.missing.remove(&address);
        self.chunks.insert(address, sealed);
        Ok(())
    }

    /// Whether the pages that are here name more than the manifest says.
    fn weigh(&self) -> Result<(), SyncError> {
        let manifest = &self.manifest;
        let pages: u64 = manifest.pages().map(|page| u64::from(page.bytes)).sum();
        let chunks: u64 = self.pages.values().flatten().map(|r| u64::from(r.bytes)).sum();
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

    /// The chunks of each layer, oldest first; whole once nothing is missing.
    pub(super) fn layers(&self) -> Vec<Vec<ChunkRef>> {
        let of = |layer: &Layer| {
            let refs = layer.pages.iter().filter_map(|page| self.pages.get(&page.address));
            refs.flatten().copied().collect()
        };
        self.manifest.layers.iter().map(of).collect()
    }
}
