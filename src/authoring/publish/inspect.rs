//! Inspects, compares and verifies versions of a list. Nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::PublishError;
use super::store::Store;
use crate::dsse::{KeyId, PublicKey};
use crate::hotlist::format::{Expected, ListKey, Manifest, Record, open_chunk};

/// How two versions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Change {
    /// Entries that are new.
    pub added: u64,
    /// Entries that are gone.
    pub removed: u64,
    /// Entries of which anything but plate and issuer changed.
    pub changed: u64,
}

impl Change {
    /// Records of a layer that says it.
    pub fn records(&self) -> u64 {
        self.added + self.removed + self.changed
    }
}

/// What is in a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Inspection {
    /// Entries.
    pub entries: u64,
    /// Of those, patterns with `?` or `*`.
    pub patterns: u64,
    /// Covert entries.
    pub covert: u64,
    /// Entries that have expired or are not in force yet.
    pub out_of_force: u64,
    /// Entries that the manifest revokes.
    pub revoked: u64,
    /// Entries by category.
    pub categories: BTreeMap<String, u64>,
    /// Entries by issuer.
    pub jurisdictions: BTreeMap<String, u64>,
    /// Entries by priority.
    pub priorities: BTreeMap<String, u64>,
}

/// Counts what a version holds; `each` sees every record.
pub fn inspect(
    store: &Store,
    key: &ListKey,
    manifest: &Manifest,
    now: Timestamp,
    mut each: impl FnMut(&Record<'_>),
) -> Result<Inspection, PublishError> {
    let mut seen = Inspection::default();
    let mut reader = store.read(key, &manifest.layers, false)?;
    while let Some(record) = reader.advance()? {
        each(&record);
        seen.entries += 1;
        seen.patterns += u64::from(record.plate.is_pattern());
        seen.covert += u64::from(record.covert);
        let holds = record.effective.is_none_or(|from| from <= now)
            && record.expires.is_none_or(|end| now < end);
        seen.out_of_force += u64::from(!holds);
        if !manifest.revoked.is_empty() {
            let tag =
                crate::hotlist::format::revocation_tag(key, record.plate, record.jurisdiction);
            seen.revoked += u64::from(manifest.revokes(&tag));
        }
        let priority = format!("{:?}", record.priority).to_lowercase();
        for (counts, name) in [
            (&mut seen.categories, record.category),
            (&mut seen.jurisdictions, record.jurisdiction.as_str()),
            (&mut seen.priorities, &priority),
        ] {
            match counts.get_mut(name) {
                Some(n) => *n += 1,
                None => _ = counts.insert(name.to_owned(), 1),
            }
        }
    }
    Ok(seen)
}

/// How one version differs from another, and what that costs a car that has the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The version before.
    pub from: u64,
    /// The version after.
    pub to: u64,
    /// Entries.
    pub change: Change,
    /// Revocations that are new.
    pub newly_revoked: u64,
    /// Messages that a car of the first version fetches, the manifest not counted.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of all messages of the second version: what a car without any fetches.
    pub all_bytes: u64,
}

/// Compares two versions; `each` receives every entry that differs, as it was and as it is.
pub fn difference(
    store: &Store,
    (from_key, from): (&ListKey, &Manifest),
    (to_key, to): (&ListKey, &Manifest),
    mut each: impl FnMut(Option<&Record<'_>>, Option<&Record<'_>>),
) -> Result<Difference, PublishError> {
    let has: BTreeSet<_> = store.messages(from_key, from)?.into_iter().map(|m| m.address).collect();
    let all = store.messages(to_key, to)?;
    let new: Vec<_> = all.iter().filter(|m| !has.contains(&m.address)).collect();
    let mut change = Change::default();
    let mut old = store.read(from_key, &from.layers, false)?;
    let mut new_list = store.read(to_key, &to.layers, false)?;
    // The records borrow from the two readers, so a record that is needed longer is copied into an entry.
    let mut was = old.advance()?.map(|r| r.to_entry());
    let mut is = new_list.advance()?.map(|r| r.to_entry());
    loop {
        let (a, b) = (was.as_ref().map(Record::of), is.as_ref().map(Record::of));
        let order = match (&a, &b) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.key().cmp(&b.key()),
        };
        match order {
            std::cmp::Ordering::Less => {
                change.removed += 1;
                each(a.as_ref(), None);
                was = old.advance()?.map(|r| r.to_entry());
            }
            std::cmp::Ordering::Greater => {
                change.added += 1;
                each(None, b.as_ref());
                is = new_list.advance()?.map(|r| r.to_entry());
            }
            std::cmp::Ordering::Equal => {
                if a != b {
                    change.changed += 1;
                    each(a.as_ref(), b.as_ref());
                }
                was = old.advance()?.map(|r| r.to_entry());
                is = new_list.advance()?.map(|r| r.to_entry());
            }
        }
    }
    Ok(Difference {
        from: from.version,
        to: to.version,
        change,
        newly_revoked: to.revoked.iter().filter(|t| !from.revokes(t)).count() as u64,
        messages: new.len() as u64,
        bytes: new.iter().map(|m| u64::from(m.bytes)).sum(),
        all_bytes: all.iter().map(|m| u64::from(m.bytes)).sum(),
    })
}

/// What a successful check has established.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The version.
    pub version: u64,
    /// Who signed it.
    pub signed_by: KeyId,
    /// Messages opened.
    pub messages: u64,
    /// Entries read.
    pub entries: u64,
    /// Of those, entries that the manifest revokes.
    pub revoked: u64,
    /// Of those, entries whose own dates have ended or not begun.
    pub out_of_force: u64,
    /// The agency of the list.
    pub agency: String,
    /// When the source last said so.
    pub source_time: Timestamp,
    /// When the version was made.
    pub issued: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
}

/// Checks a signed version as a car would, and more: the signature, every page, every chunk, the order
/// of records over chunks, and all counts.
pub fn verify(
    store: &Store,
    key: &ListKey,
    version: u64,
    authors: &[PublicKey],
    now: Timestamp,
) -> Result<Verified, PublishError> {
    let unproven = store.manifest(version)?;
    let expected = Expected {
        authors,
        agency: &unproven.agency,
        list: &unproven.list,
        // As a car that knows nothing of the list yet.
        known_version: 0,
        now,
    };
    let (manifest, signed_by) = Manifest::open(&store.signed(version)?, &expected)?;
    let unsound = |why: String| PublishError::Unsound { version, why };
    if manifest != unproven {
        return Err(unsound("the signed manifest and the built one differ".into()));
    }
    let (mut messages, mut bytes, mut chunks) = (0, 0, 0);
    for (n, layer) in manifest.layers.iter().enumerate() {
        let mut records = 0;
        for page in &layer.pages {
            let message = store.get(page.address)?;
            if message.len() != page.bytes as usize {
                return Err(unsound(format!("page {} has another size", page.address)));
            }
            bytes += message.len() as u64;
            messages += 1;
            let references = crate::hotlist::format::open_page(key, page.address, &message)?;
            if references.len() != page.chunks as usize {
                return Err(unsound(format!("page {} has another count", page.address)));
            }
            for one in references {
                let message = store.get(one.address)?;
                let chunk = open_chunk(key, one.address, &message)?;
                let fits =
                    message.len() == one.bytes as usize && chunk.len() == one.entries as usize;
                if !fits {
                    return Err(unsound(format!("chunk {} has another size", one.address)));
                }
                bytes += message.len() as u64;
                records += chunk.len() as u64;
                messages += 1;
                chunks += 1;
            }
        }
        if records != layer.records {
            let says = layer.records;
            return Err(unsound(format!("layer {n} has {records} records, says {says}")));
        }
    }
    let Inspection { entries, revoked, out_of_force, .. } =
        inspect(store, key, &manifest, now, |_| {})?;
    let counts = manifest.counts;
    if (entries, bytes, chunks) != (counts.entries, counts.bytes, counts.chunks) {
        return Err(unsound(format!(
            "has {entries} entries, {chunks} chunks, {bytes} bytes; says {counts:?}"
        )));
    }
    let Manifest { agency, source_time, issued, expires, .. } = manifest;
    Ok(Verified {
        version,
        signed_by,
        messages,
        entries,
        revoked,
        out_of_force,
        agency,
        source_time,
        issued,
        expires,
    })
}
