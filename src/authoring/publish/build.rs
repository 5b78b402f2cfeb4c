//! Makes the next version of a list so that cars fetch as few bytes as possible.
//!
//! In: a work file, the store with the version before. Out: new chunks and an unsigned manifest in the
//! store. A version is the layers of the one before and one more with what changed; the base is made
//! anew where that is cheaper for the cars ([`REBASE_SHARE`]) or the list key is another.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::revocations::{Carried, Standing};
use super::store::Store;
use super::work::WorkFile;
use super::{Change, PublishError};
use crate::entry::Matching;
use crate::hotlist::format::{
    ChunkRef, ChunkWriter, Counts, Layer, ListKey, ListKeys, MAX_REVOKED, Manifest, PageRef,
    Record, RevocationTag, Sealed, paged, revocation_tag,
};
use crate::plate::{Jurisdiction, ListedPlate};

/// Share of the base, in percent, from which on the layers above it are dropped for a new base. A car
/// that joins then never fetches more than a quarter too much; an update of 1 % costs its own size and,
/// once in 25, the whole list.
const REBASE_SHARE: u64 = 25;

/// Layers, base included, from which on the upper ones are made into one.
const MERGE_FROM: usize = 12;

/// What a version is made with.
pub struct Building<'a> {
    /// The agency whose cars it is for.
    pub agency: &'a str,
    /// The matching that the author wants.
    pub matching: Matching,
    /// Now.
    pub now: Timestamp,
    /// How long it may be used.
    pub life: SignedDuration,
    /// Change of size, in percent, above which the author has to confirm it.
    pub most_change: u32,
    /// Whether the author has confirmed it.
    pub confirm_size: bool,
    /// Let a first version be empty.
    pub allow_empty: bool,
    /// Make a new base whatever it costs, also where chunks of the version before are gone.
    pub rebase: bool,
    /// End revocations whose entry the import did not find, although it could not read some rows.
    pub end_revocations: bool,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Built {
    /// The manifest, unsigned.
    pub manifest: Manifest,
    /// How it differs from the version before.
    pub change: Change,
    /// What became of the revocations.
    pub revocations: Standing,
    /// Whether the base is new.
    pub rebased: bool,
    /// Bytes of messages that cars do not have yet.
    pub new_bytes: u64,
    /// How many messages those are.
    pub new_messages: u64,
}

/// Makes the next version and leaves it, unsigned, in the store.
pub fn build(
    store: &Store,
    work: &mut WorkFile,
    keys: &ListKeys,
    with: &Building<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Built, PublishError> {
    // A new version is sealed with the newest key, whichever sealed the work file: after a rotation
    // nothing may stay under a key that may have been copied.
    let (work_key, key) = (work.key(keys)?, keys.newest());
    let before = store.newest(true)?;
    if let Some(before) = &before
        && before.list != work.header.list
    {
        return Err(PublishError::List {
            what: format!("store {}", store.folder().display()),
            found: before.list.clone(),
            wanted: work.header.list.clone(),
        });
    }
    if before.is_none() && work.header.entries == 0 && !with.allow_empty {
        return Err(PublishError::Empty);
    }
    let old_key = match &before {
        None => None,
        Some(before) => Some(keys.get(before.key).ok_or_else(|| PublishError::Key {
            what: format!("version {} in the store", before.version),
            wanted: before.key.to_string(),
            keys: "the list key file".into(),
        })?),
    };

    // One pass over both lists: the new list's own chunks go to the store at once, because they are the base of
    // a first version and of every new base; the changes are collected at the same time.
    let mut old_layers = before.as_ref().map_or(&[][..], |b| &b.layers);
    if let (true, Some(before), Some(old_key)) = (with.rebase, &before, old_key)
        && !store.has_all(old_key, before)?
    {
        old_layers = &[];
    }
    let mut carried = Carried::of(store, before.as_ref(), old_layers, (old_key, key))?;
    let mut old = store.read(old_key.unwrap_or(key), old_layers, false)?;
    let mut changes =
        Changes { writer: ChunkWriter::new(key), sealed: vec![], change: Change::default() };
    let mut resealed = (work_key.id() != key.id()).then(|| ChunkWriter::new(key));
    let mut base = Vec::new();
    let mut pending = old.advance()?.map(|r| Owned::of(&r));
    let mut entries = 0;
    let keep = |base: &mut Vec<ChunkRef>, sealed: &Sealed| {
        base.push(ChunkRef::of(sealed));
        store.put(sealed)
    };
    while let Some((chunk, sealed)) = work.next_chunk(work_key)? {
        for (_, record) in chunk.records() {
            entries += 1;
            while pending.as_ref().is_some_and(|p| p.key < record.key()) {
                let gone = pending.take().expect("looked at above");
                changes.removed(&gone)?;
                pending = old.advance()?.map(|r| Owned::of(&r));
            }
            let is_new = pending.as_ref().is_none_or(|p| p.key != record.key());
            carried.take_entry(&record, is_new);
            if let Some(writer) = &mut resealed {
                writer.push(&record)?.iter().try_for_each(|one| keep(&mut base, one))?;
            }
            if !is_new {
                let was = pending.take().expect("looked at above");
                changes.kept_or_changed(&was, &record)?;
                pending = old.advance()?.map(|r| Owned::of(&r));
            } else {
                changes.added(&record)?;
            }
        }
        if resealed.is_none() {
            keep(&mut base, &sealed)?;
        }
        progress(entries);
    }
    if let Some(writer) = resealed {
        writer.finish().iter().try_for_each(|one| keep(&mut base, one))?;
    }
    while let Some(gone) = pending.take() {
        changes.removed(&gone)?;
        pending = old.advance()?.map(|r| Owned::of(&r));
    }
    drop(old);
    let (delta, change) = changes.finish();

    let known = !old_layers.is_empty() || before.as_ref().is_none_or(|b| b.layers.is_empty());
    let resized = guard(before.as_ref(), (entries, known.then_some(&change)), with)?;
    let (revoked, revocations) = carried.finish(work.header.quarantined, with.end_revocations)?;
    let same_key = before.as_ref().is_some_and(|b| b.key == key.id());
    let upper: u64 = old_layers.iter().skip(1).map(|l| l.records).sum::<u64>() + change.records();
    let base_size = old_layers.first().map_or(0, |l| l.records);
    let rebased = with.rebase || !same_key || upper * 100 > base_size * REBASE_SHARE;

    let mut layers = Vec::new();
    if rebased {
        layers.extend(layer(store, key, &base, entries)?);
    } else {
        layers.extend_from_slice(old_layers);
        let references: Vec<_> = delta.iter().map(ChunkRef::of).collect();
        delta.iter().try_for_each(|one| store.put(one))?;
        layers.extend(layer(store, key, &references, change.records())?);
        if layers.len() > MERGE_FROM {
            let merged = merge(store, key, &layers[1..])?;
            layers.truncate(1);
            layers.extend(merged);
        }
    }
    let manifest = finish(
        store,
        key,
        Manifest {
            agency: with.agency.into(),
            category: work.header.category.clone(),
            counts: Counts { entries, ..Counts::default() },
            expires: with.now + with.life,
            issued: with.now,
            key: key.id(),
            layers,
            list: work.header.list.clone(),
            matching: with.matching,
            resized,
            revoked,
            source_time: work.header.source_time.min(with.now),
            v: 1,
            version: before.as_ref().map_or(0, |b| b.version) + 1,
        },
    )?;
    store.put_manifest(&manifest)?;
    // What the store has cannot be counted for this: a build that was refused has left its chunks there.
    let had: BTreeSet<_> = match (&before, old_key) {
        (Some(before), Some(old_key)) if known => store.messages(old_key, before)?,
        _ => Vec::new(),
    }
    .into_iter()
    .map(|m| m.address)
    .collect();
    let new: Vec<_> =
        store.messages(key, &manifest)?.into_iter().filter(|m| !had.contains(&m.address)).collect();
    Ok(Built {
        manifest,
        change,
        revocations,
        rebased,
        new_bytes: new.iter().map(|m| u64::from(m.bytes)).sum(),
        new_messages: new.len() as u64,
    })
}

/// A record of the version before, kept while the readers move on.
struct Owned {
    key: crate::hotlist::format::RecordKey,
    plate: ListedPlate,
    jurisdiction: Jurisdiction,
    bytes: Vec<u8>,
}

impl Owned {
    fn of(record: &Record<'_>) -> Self {
        let mut bytes = Vec::with_capacity(160);
        record.encode(&mut bytes).expect("it was decoded");
        let (plate, jurisdiction) = (record.plate, record.jurisdiction);
        Self { key: record.key(), plate, jurisdiction, bytes }
    }
}

struct Changes<'k> {
    writer: ChunkWriter<'k>,
    sealed: Vec<Sealed>,
    change: Change,
}

impl Changes<'_> {
    fn added(&mut self, record: &Record<'_>) -> Result<(), PublishError> {
        self.change.added += 1;
        self.sealed.extend(self.writer.push(record)?);
        Ok(())
    }

    fn removed(&mut self, gone: &Owned) -> Result<(), PublishError> {
        self.change.removed += 1;
        let record = Record::removal(gone.plate, gone.jurisdiction);
        self.sealed.extend(self.writer.push(&record)?);
        Ok(())
    }

    fn kept_or_changed(&mut self, was: &Owned, is: &Record<'_>) -> Result<(), PublishError> {
        let mut bytes = Vec::with_capacity(was.bytes.len());
        is.encode(&mut bytes)?;
        if bytes != was.bytes {
            self.change.changed += 1;
            self.sealed.extend(self.writer.push(is)?);
        }
        Ok(())
    }

    fn finish(mut self) -> (Vec<Sealed>, Change) {
        self.sealed.extend(self.writer.finish());
        (self.sealed, self.change)
    }
}

/// Refuses a change of size or content that the author would have had to confirm and has not. Returns
/// whether the size changed that much.
fn guard(
    before: Option<&Manifest>,
    (after, change): (u64, Option<&Change>),
    with: &Building<'_>,
) -> Result<bool, PublishError> {
    let Some(before) = before.map(|b| b.counts.entries).filter(|n| *n > 0) else {
        return Ok(false);
    };
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    let percent = (after as f64 / before as f64 - 1.0) * 100.0;
    let most = with.most_change;
    let much = |n: u64| n * 100 > before * u64::from(most);
    let Change { added, removed, .. } = change.copied().unwrap_or_default();
    let sudden = much(before.abs_diff(after));
    if (sudden || much(removed) || much(added)) && !with.confirm_size {
        return Err(PublishError::Size { before, after, added, removed, percent, most });
    }
    Ok(sudden)
}

/// Pages and counts a layer's chunks; nothing for no chunks.
fn layer(
    store: &Store,
    key: &ListKey,
    chunks: &[ChunkRef],
    records: u64,
) -> Result<Option<Layer>, PublishError> {
    if chunks.is_empty() {
        return Ok(None);
    }
    let mut pages = Vec::new();
    for page in paged(key, chunks) {
        store.put(&page)?;
        let one = ChunkRef::of(&page);
        pages.push(PageRef { address: one.address, bytes: one.bytes, chunks: one.entries });
    }
    Ok(Some(Layer { pages, records }))
}

/// Makes several upper layers into one.
fn merge(store: &Store, key: &ListKey, layers: &[Layer]) -> Result<Option<Layer>, PublishError> {
    let mut reader = store.read(key, layers, true)?;
    let mut writer = ChunkWriter::new(key);
    let (mut chunks, mut records) = (Vec::new(), 0);
    let mut put = |sealed: Vec<Sealed>| {
        sealed.iter().try_for_each(|one| {
            chunks.push(ChunkRef::of(one));
            store.put(one)
        })
    };
    while let Some(record) = reader.advance()? {
        records += 1;
        put(writer.push(&record)?)?;
    }
    put(writer.finish())?;
    layer(store, key, &chunks, records)
}

/// Fills in what follows from the rest.
fn finish(store: &Store, key: &ListKey, mut manifest: Manifest) -> Result<Manifest, PublishError> {
    let messages = store.messages(key, &manifest)?;
    manifest.counts.bytes = messages.iter().map(|m| u64::from(m.bytes)).sum();
    manifest.counts.chunks = manifest.pages().map(|p| u64::from(p.chunks)).sum();
    manifest.check()?;
    Ok(manifest)
}

/// The entries to revoke.
pub struct Revoking<'a> {
    /// The plate, in any spelling that folds to the entry's.
    pub plate: ListedPlate,
    /// Only the entries of this issuer; of all issuers if none is given.
    pub jurisdiction: Option<Jurisdiction>,
    /// Now.
    pub now: Timestamp,
    /// How long the version may be used.
    pub life: SignedDuration,
    /// The list's keys.
    pub keys: &'a ListKeys,
}

/// A version with revocations.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The manifest, unsigned.
    pub manifest: Manifest,
    /// Issuers of the entries that it revokes.
    pub issuers: Vec<Jurisdiction>,
    /// Whether it is sealed with an older list key than the newest, because the chunks that it names are.
    pub old_key: bool,
}

/// Makes a version that differs from the newest only in what it revokes: no chunk is new, so that
/// it is made and fetched in a moment.
pub fn revoke(store: &Store, what: &Revoking<'_>) -> Result<Revoked, PublishError> {
    let before = store.newest_or_error(true)?;
    let key = what.keys.get(before.key).ok_or_else(|| PublishError::Key {
        what: format!("version {}", before.version),
        wanted: before.key.to_string(),
        keys: "the list key file".into(),
    })?;
    let mut revoked: BTreeSet<RevocationTag> = before.revoked.iter().copied().collect();
    let (mut issuers, mut others) = (Vec::new(), Vec::new());
    let mut reader = store.read(key, &before.layers, false)?;
    while let Some(record) = reader.advance()? {
        if record.plate.folded() != what.plate.folded() {
            continue;
        }
        if what.jurisdiction.is_some_and(|j| j != record.jurisdiction) {
            others.push(record.jurisdiction.to_string());
        } else {
            revoked.insert(revocation_tag(key, record.plate, record.jurisdiction));
            issuers.push(record.jurisdiction);
        }
    }
    if issuers.is_empty() {
        let of = what.jurisdiction.map_or(String::new(), |j| format!(" of {j}"));
        let others = match others.is_empty() {
            true => String::new(),
            false => format!(" (it has some of {})", others.join(", ")),
        };
        return Err(PublishError::NotListed(format!("{of}{others}")));
    }
    if revoked.len() > MAX_REVOKED {
        return Err(PublishError::TooManyRevoked(revoked.len()));
    }
    let manifest = Manifest {
        version: before.version + 1,
        issued: what.now,
        expires: what.now + what.life,
        revoked: revoked.into_iter().collect(),
        resized: false,
        ..before
    };
    store.put_manifest(&manifest)?;
    let old_key = manifest.key != what.keys.newest().id();
    Ok(Revoked { manifest, issuers, old_key })
}
