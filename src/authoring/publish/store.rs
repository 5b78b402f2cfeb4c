//! The author's folder: every chunk by its address, every version's manifest.
//!
//! ```text
//! chunk/<address>              sealed messages, pages among them
//! manifest/<version>.json      a manifest's payload, as build made it
//! manifest/<version>.signed.json  the same in its envelope, as sign made it
//! published/<broker>.txt       addresses that the broker has acknowledged
//! ```
//! Files are written aside and renamed, so that what is there is whole.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{PublishError, at};
use crate::dsse::Envelope;
use crate::files::{Aside, private_folder, read_at_most};
use crate::hotlist::format::{
    Address, Chunk, ChunkRef, Layer, ListKey, MANIFEST_TYPE, MAX_SEALED, Manifest, Record,
    RecordError, RecordKey, Sealed, open_chunk, open_page,
};

/// The author's folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens a folder; makes it if it is not there.
    pub fn open(folder: &Path) -> Result<Self, PublishError> {
        for part in ["chunk", "manifest", "published"] {
            let path = folder.join(part);
            private_folder(&path).map_err(at(&path))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a message, unless it is there already.
    pub fn put(&self, sealed: &Sealed) -> Result<(), PublishError> {
        let path = self.chunk_path(sealed.address);
        if path.exists() { Ok(()) } else { write_whole(&path, &sealed.bytes, false) }
    }

    /// A message's bytes.
    pub fn get(&self, address: Address) -> Result<Vec<u8>, PublishError> {
        let path = self.chunk_path(address);
        match read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(PublishError::Missing(address))
            }
            read => read.map_err(at(&path)),
        }
    }

    /// Addresses of all messages in the folder.
    pub fn addresses(&self) -> Result<BTreeSet<Address>, PublishError> {
        let path = self.folder.join("chunk");
        let files = fs::read_dir(&path).map_err(at(&path))?.filter_map(Result::ok);
        Ok(files.filter_map(|f| Address::parse(f.file_name().to_str()?)).collect())
    }

    /// Removes messages that none of these manifests names.
    pub fn clean(&self, key: &ListKey, keep: &[Manifest]) -> Result<usize, PublishError> {
        let mut named = BTreeSet::new();
        for manifest in keep {
            named.extend(self.messages(key, manifest)?.iter().map(|m| m.address));
        }
        let mut gone = 0;
        for address in self.addresses()?.difference(&named) {
            let path = self.chunk_path(*address);
            fs::remove_file(&path).map_err(at(&path))?;
            gone += 1;
        }
        Ok(gone)
    }

    /// Versions that were built, in order, and whether each is signed.
    pub fn versions(&self) -> Result<Vec<(u64, bool)>, PublishError> {
        let path = self.folder.join("manifest");
        let files = fs::read_dir(&path).map_err(at(&path))?.filter_map(Result::ok);
        let names: BTreeSet<String> =
            files.filter_map(|f| f.file_name().into_string().ok()).collect();
        let mut versions: Vec<(u64, bool)> = names
            .iter()
            .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
            .map(|version: u64| (version, names.contains(&format!("{version}.signed.json"))))
            .collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The newest version; signed ones only, or any.
    pub fn newest(&self, signed: bool) -> Result<Option<Manifest>, PublishError> {
        let versions = self.versions()?;
        let newest = versions.iter().rev().find(|(_, is_signed)| *is_signed || !signed);
        newest.map(|(version, _)| self.manifest(*version)).transpose()
    }

    /// The newest version, or an error that says there is none.
    pub fn newest_or_error(&self, signed: bool) -> Result<Manifest, PublishError> {
        let what = if signed { "signed version: build and sign one first" } else { "version" };
        self.newest(signed)?
            .ok_or_else(|| PublishError::None { store: self.folder.clone(), what: what.into() })
    }

    /// A version's manifest. Its signature is not checked, because this is the author's own folder.
    pub fn manifest(&self, version: u64) -> Result<Manifest, PublishError> {
        let path = self.manifest_path(version, false);
        if !path.exists() {
            let what = format!("version {version}");
            return Err(PublishError::None { store: self.folder.clone(), what });
        }
        let manifest = Manifest::parse(&read(&path).map_err(at(&path))?)?;
        if manifest.version != version {
            // A file of an older version under a newer one's name, with its good signature beside it.
            let why = format!("{} is version {}, renamed", path.display(), manifest.version);
            return Err(PublishError::Unsound { version, why });
        }
        Ok(manifest)
    }

    /// Writes a version's manifest, unsigned, and removes an older signature of the same version.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<(), PublishError> {
        manifest.check()?;
        let _ = fs::remove_file(self.manifest_path(manifest.version, true));
        let path = self.manifest_path(manifest.version, false);
        write_whole(&path, &manifest.canonical(), true)
    }

    /// A version's envelope as it is published.
    pub fn signed(&self, version: u64) -> Result<Vec<u8>, PublishError> {
        let path = self.manifest_path(version, true);
        if !path.exists() {
            let what = format!("signed version {version}: sign it first");
            return Err(PublishError::None { store: self.folder.clone(), what });
        }
        read(&path).map_err(at(&path))
    }

    /// Writes a version's envelope, if it holds that version's manifest.
    pub fn put_signed(&self, version: u64, envelope: &Envelope) -> Result<(), PublishError> {
        let path = self.manifest_path(version, false);
        let payload = read(&path).map_err(at(&path))?;
        if envelope.unverified_payload() != payload || envelope.kind() != MANIFEST_TYPE {
            let why = "the envelope contains another manifest".into();
            return Err(PublishError::Unsound { version, why });
        }
        write_whole(&self.manifest_path(version, true), &envelope.to_json(), true)
    }

    /// Every message that a version consists of: pages and chunks, layer by layer.
    pub fn messages(
        &self,
        key: &ListKey,
        manifest: &Manifest,
    ) -> Result<Vec<ChunkRef>, PublishError> {
        let mut out = Vec::new();
        for page in manifest.pages() {
            let chunks = open_page(key, page.address, &self.get(page.address)?)?;
            out.extend_from_slice(&chunks);
            let (address, bytes) = (page.address, page.bytes);
            out.push(ChunkRef { address, bytes, entries: page.chunks });
        }
        Ok(out)
    }

    /// Whether every message that a version consists of is here.
    pub fn has_all(&self, key: &ListKey, manifest: &Manifest) -> Result<bool, PublishError> {
        match self.messages(key, manifest) {
            Ok(messages) => Ok(messages.iter().all(|m| self.chunk_path(m.address).exists())),
            Err(PublishError::Missing(_)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// References to the chunks of a layer.
    pub fn chunks(&self, key: &ListKey, layer: &Layer) -> Result<Vec<ChunkRef>, PublishError> {
        let mut out = Vec::new();
        for page in &layer.pages {
            out.extend(open_page(key, page.address, &self.get(page.address)?)?);
        }
        Ok(out)
    }

    /// Reads layers, oldest first, as one list. With `removals`, records that remove an entry are kept, as is needed where
    /// the base is not among the layers.
    pub fn read<'s>(
        &'s self,
        key: &'s ListKey,
        layers: &[Layer],
        removals: bool,
    ) -> Result<Reader<'s>, PublishError> {
        let mut heads = Vec::new();
        for layer in layers {
            let chunks = self.chunks(key, layer)?.into_iter();
            let mut head = Head { store: self, key, chunks, at: None };
            head.advance()?;
            heads.push(head);
        }
        Ok(Reader { heads, removals, spent: None })
    }

    /// The file that remembers what a broker has.
    pub fn published_path(&self, broker: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let name: String = broker.chars().map(plain).collect();
        self.folder.join("published").join(format!("{name}.txt"))
    }

    fn chunk_path(&self, address: Address) -> PathBuf {
        self.folder.join("chunk").join(address.to_string())
    }

    fn manifest_path(&self, version: u64, signed: bool) -> PathBuf {
        let signed = if signed { ".signed" } else { "" };
        self.folder.join("manifest").join(format!("{version}{signed}.json"))
    }
}

/// Reads a file of the store. None has more than a message, and whoever sent the folder can have put anything into it.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    read_at_most(path, 4 * MAX_SEALED)
}

fn write_whole(path: &Path, bytes: &[u8], durable: bool) -> Result<(), PublishError> {
    let put = || {
        let mut aside = Aside::begin(path)?;
        aside.file().write_all(bytes)?;
        if durable { aside.put_in_place() } else { aside.put_in_place_unsynced() }
    };
    put().map_err(at(path))
}

/// One layer: the chunk that is being read, and where in it.
struct Head<'s> {
    store: &'s Store,
    key: &'s ListKey,
    chunks: std::vec::IntoIter<ChunkRef>,
    at: Option<(Chunk, u32, RecordKey)>,
}

impl Head<'_> {
    fn record(&self) -> Option<Record<'_>> {
        self.at.as_ref().and_then(|(chunk, offset, _)| chunk.at(*offset))
    }

    fn stands_at(&self, key: RecordKey) -> bool {
        self.at.as_ref().is_some_and(|(.., at)| *at == key)
    }

    fn advance(&mut self) -> Result<(), PublishError> {
        if let Some((chunk, offset, key)) = &mut self.at {
            *offset = chunk.after(*offset);
            if let Some(record) = chunk.at(*offset) {
                *key = record.key();
                return Ok(());
            }
        }
        let last = self.at.take().map(|(.., key)| key);
        let Some(next) = self.chunks.next() else { return Ok(()) };
        let chunk = open_chunk(self.key, next.address, &self.store.get(next.address)?)?;
        let first = chunk.ends().map(|(first, _)| first);
        let Some(first) = first.filter(|first| last.is_none_or(|last| last < *first)) else {
            return Err(PublishError::Record(RecordError::Order));
        };
        self.at = Some((chunk, 0, first));
        Ok(())
    }
}

/// Layers read as one list, record by record, with one chunk of each layer in memory.
pub struct Reader<'s> {
    heads: Vec<Head<'s>>,
    removals: bool,
    /// The key that was handed out last, to be skipped at the next call.
    spent: Option<RecordKey>,
}

impl Reader<'_> {
    /// The next record: of each key, that of the newest layer.
    pub fn advance(&mut self) -> Result<Option<Record<'_>>, PublishError> {
        let found = self.step()?;
        Ok(found.and_then(|speaker| self.heads[speaker].record()))
    }

    fn step(&mut self) -> Result<Option<usize>, PublishError> {
        loop {
            if let Some(spent) = self.spent.take() {
                for head in self.heads.iter_mut().filter(|head| head.stands_at(spent)) {
                    head.advance()?;
                }
            }
            let keys = self.heads.iter().filter_map(|head| head.at.as_ref().map(|(.., key)| *key));
            let Some(least) = keys.min() else { return Ok(None) };
            self.spent = Some(least);
            let speaker = self.heads.iter().rposition(|head| head.stands_at(least));
            let speaker = speaker.expect("one of them has the least key");
            let removed = self.heads[speaker].record().is_some_and(|record| record.removed);
            if self.removals || !removed {
                return Ok(Some(speaker));
            }
        }
    }
}
