//! Carries revocations from one version to the next: they stay in force until the source drops the entry.
//!
//! In: what the version before revokes, and its entries. Out: the tags of the next version, under its own
//! list key, and how many are in force, ended or undecided. Costs: one pass over the version before, half a
//! microsecond for each entry, if it revokes anything.
//!
//! A tag is a keyed hash of plate and issuer, so that it means nothing under another key and does not say
//! which entry it names. Plate and issuer are looked up in the version before: that is how a revocation outlives a new
//! list key, and an import that writes the issuer differently (`unknown` yesterday, `US-OH` today).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::PublishError;
use super::store::Store;
use crate::hotlist::format::{
    Layer, ListKey, MAX_REVOKED, Manifest, Record, RevocationTag, revocation_tag,
};
use crate::plate::Jurisdiction;

/// What became of the revocations in a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Standing {
    /// In force.
    pub holding: u64,
    /// Of those, revocations whose entry the import did not find, while some rows could not be read.
    pub waiting: u64,
    /// Ended, because the source no longer lists their entry.
    pub ended: u64,
}

/// Plates that are revoked, folded, with the issuers of their entries and the tags that named them.
type Named = BTreeMap<String, Vec<(Jurisdiction, RevocationTag)>>;

/// The revocations of the version before, while the next is made.
pub(super) struct Carried<'k> {
    old: Option<&'k ListKey>,
    new: &'k ListKey,
    tags: BTreeSet<RevocationTag>,
    named: Named,
    found: BTreeSet<RevocationTag>,
    next: BTreeSet<RevocationTag>,
}

impl<'k> Carried<'k> {
    /// Looks up in the version before which entries its tags name. `layers` may be none: then tags are
    /// compared by themselves.
    pub(super) fn of(
        store: &Store,
        before: Option<&Manifest>,
        layers: &[Layer],
        (old, new): (Option<&'k ListKey>, &'k ListKey),
    ) -> Result<Self, PublishError> {
        let tags: BTreeSet<_> = before.iter().flat_map(|b| b.revoked.iter().copied()).collect();
        let mut named = Named::new();
        if let (Some(old), false) = (old, tags.is_empty()) {
            let mut reader = store.read(old, layers, false)?;
            while let Some(record) = reader.advance()? {
                let tag = revocation_tag(old, record.plate, record.jurisdiction);
                if tags.contains(&tag) {
                    let plate = record.plate.folded().to_string();
                    named.entry(plate).or_default().push((record.jurisdiction, tag));
                }
            }
        }
        let (found, next) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { old, new, tags, named, found, next })
    }

    /// Takes note of an entry of the next version; `is_new` means that the version before had none of this
    /// plate and issuer.
    pub(super) fn take_entry(&mut self, record: &Record<'_>, is_new: bool) {
        let Some(old) = self.old.filter(|_| !self.tags.is_empty()) else { return };
        let tag = revocation_tag(old, record.plate, record.jurisdiction);
        let mut meant: Vec<RevocationTag> = self.tags.get(&tag).copied().into_iter().collect();
        if meant.is_empty()
            && is_new
            && let Some(entries) = self.named.get(record.plate.folded().as_str())
        {
            let same = entries.iter().filter(|(j, _)| j.may_be(&record.jurisdiction));
            meant.extend(same.map(|(_, tag)| *tag));
        }
        if !meant.is_empty() {
            self.found.extend(meant);
            self.next.insert(revocation_tag(self.new, record.plate, record.jurisdiction));
        }
    }

    /// The tags of the next version. While there are `unread` rows, which the import could not read, a revoked entry
    /// may be among them, so that no revocation ends unless `end` is set.
    pub(super) fn finish(
        mut self,
        unread: u64,
        end: bool,
    ) -> Result<(Vec<RevocationTag>, Standing), PublishError> {
        let mut standing = Standing::default();
        let left: BTreeSet<_> = self.tags.difference(&self.found).copied().collect();
        if unread == 0 || end {
            standing.ended = left.len() as u64;
        } else {
            let same_key = self.old.is_some_and(|old| old.id() == self.new.id());
            let mut nameless = left.clone();
            // A tag can be made anew under another key only if its entry is known.
            for (plate, entries) in &self.named {
                for (jurisdiction, tag) in entries.iter().filter(|(_, tag)| left.contains(tag)) {
                    let plate = crate::plate::ListedPlate::parse(plate);
                    let Ok(plate) = plate else { continue };
                    self.next.insert(revocation_tag(self.new, plate, *jurisdiction));
                    nameless.remove(tag);
                }
            }
            match (same_key, nameless.is_empty()) {
                (true, _) => self.next.extend(nameless),
                (false, true) => {}
                (false, false) => return Err(PublishError::Nameless(nameless.len())),
            }
            standing.waiting = left.len() as u64;
        }
        if self.next.len() > MAX_REVOKED {
            return Err(PublishError::TooManyRevoked(self.next.len()));
        }
        standing.holding = self.next.len() as u64;
        Ok((self.next.into_iter().collect(), standing))
    }
}
