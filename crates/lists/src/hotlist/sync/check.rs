//! Checks whether a manifest may be followed: everything that can be checked before a chunk is
//! fetched.
//!
//! In: a message from the topic `hotlist/<list>/manifest`, what this car knows, what its settings
//! allow. Out: a manifest to follow, or a refusal that names the list, the value and what to do.
//! Costs: one signature check. Leaves to others: the chunks.

use std::sync::Arc;

use crate::clock::Standing;
use crate::config::HotlistConfig;
use crate::dsse::KeyId;
use crate::hotlist::chunked::ChunkedError;
use crate::hotlist::format::{Expected, FormatError, ListKeyId, ListKeys, Manifest, ManifestError};
use crate::policy::ListRules;
use crate::trust::{Role, Trust};

/// Lists shorter than this may change size freely: percentages of a handful mean nothing.
const FEW: u64 = 100;

/// Why a version of a list is refused. The version before stays in service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// The manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There is no trust document, so nobody may sign anything yet.
    #[error("no trust document yet: publish it to alpr/v1/<agency>/trust, retained")]
    NoTrust,
    /// Two manifests have the same version.
    #[error(
        "version {version} of list {list:?} comes with two different manifests: its author must publish a higher version"
    )]
    TwoFaced {
        /// The list.
        list: String,
        /// The version.
        version: u64,
    },
    /// The car does not have the list key.
    #[error(
        "list {list:?} version {version} needs list key {key}: put it into hotlist.{list}.key and restart"
    )]
    Key {
        /// The list.
        list: String,
        /// The version.
        version: u64,
        /// The key.
        key: ListKeyId,
    },
    /// It has more entries than the settings allow.
    #[error(
        "list {list:?} version {version} has {entries} entries, hotlist.{list}.most_entries is {most}"
    )]
    Entries {
        /// The list.
        list: String,
        /// The version.
        version: u64,
        /// Its number of entries.
        entries: u64,
        /// The number that is allowed.
        most: u64,
    },
    /// It has more bytes than the settings allow.
    #[error(
        "list {list:?} version {version} has {bytes} bytes, hotlist.{list}.most_bytes is {most}"
    )]
    Bytes {
        /// The list.
        list: String,
        /// The version.
        version: u64,
        /// Its number of bytes.
        bytes: u64,
        /// The number that is allowed.
        most: u64,
    },
    /// Its size has changed so much that it looks like a broken feed, or a hostile author.
    #[error(
        "list {list:?} version {version} has {entries} entries, version {before_version} has \
         {before}, and {limit}: waits until it is confirmed (outrider hotlist confirm {list} {version})"
    )]
    Sudden {
        /// The list.
        list: String,
        /// The version.
        version: u64,
        /// Its number of entries.
        entries: u64,
        /// The version in service.
        before_version: u64,
        /// The number of entries of that version.
        before: u64,
        /// The limit that is exceeded.
        limit: SizeLimit,
    },
    /// A chunk or page is not valid.
    #[error(transparent)]
    Chunk(#[from] FormatError),
    /// The chunks do not form the list that the manifest describes.
    #[error(transparent)]
    Content(#[from] ChunkedError),
    /// A page has another number of chunks than the manifest states.
    #[error(
        "list {list:?} version {version}: a page names {found} chunks, the manifest says {promised}"
    )]
    Page {
        /// The list.
        list: String,
        /// The version.
        version: u64,
        /// The number in the page.
        found: usize,
        /// The number in the manifest.
        promised: u32,
    },
}

/// By how much a list may change its size at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimit {
    /// In percent of the entries before.
    percent: u32,
    grown: bool,
    /// Whether policy sets this limit; otherwise the car's own settings do.
    policy: bool,
}

impl std::fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { percent, grown, policy } = self;
        match (policy, grown) {
            (true, true) => write!(f, "policy lets it grow by {percent} %"),
            (true, false) => write!(f, "policy lets it shrink by {percent} %"),
            (false, true) => write!(f, "most_growth is {percent} %, unless its author vouches"),
            (false, false) => write!(f, "most_shrink is {percent} %, unless its author vouches"),
        }
    }
}

/// What a manifest is compared with.
pub(super) struct Known<'a> {
    pub(super) config: &'a HotlistConfig,
    pub(super) agency: &'a str,
    pub(super) keys: &'a Arc<ListKeys>,
    pub(super) trust: Option<&'a Trust>,
    /// The highest verified version whose author may still sign.
    pub(super) highest: u64,
    /// The policy's rules for the list.
    pub(super) rules: ListRules,
    /// The manifest in service.
    pub(super) held: Option<&'a Manifest>,
    /// The version that a person has confirmed.
    pub(super) confirmed: Option<u64>,
    pub(super) now: Standing,
}

/// A manifest that an author in force has signed.
pub(super) struct Verified {
    pub(super) manifest: Manifest,
    pub(super) author: KeyId,
    /// Why it must not be followed all the same. Its revocations take effect nevertheless.
    pub(super) obstacle: Option<SyncError>,
}

impl Known<'_> {
    /// Verifies a message, and checks whether it may be followed.
    pub(super) fn check(&self, message: &[u8]) -> Result<Verified, SyncError> {
        let trust = self.trust.ok_or(SyncError::NoTrust)?;
        let list = self.config.name.as_str();
        let authors = trust.keys_for(&Role::ListAuthor(list.to_owned()));
        let expected = Expected {
            authors: &authors,
            agency: self.agency,
            list,
            known_version: self.highest,
            now: self.now.at,
        };
        let (manifest, author) = Manifest::open_at(message, &expected, &self.now)?;
        let obstacle = self.fits(&manifest).err();
        Ok(Verified { manifest, author, obstacle })
    }

    /// Checks that this car can and may hold the version.
    fn fits(&self, manifest: &Manifest) -> Result<(), SyncError> {
        let (list, version) = (manifest.list.clone(), manifest.version);
        if self.keys.get(manifest.key).is_none() {
            return Err(SyncError::Key { list, version, key: manifest.key });
        }
        let (entries, most) = (manifest.counts.entries, self.config.most_entries);
        if entries > most {
            return Err(SyncError::Entries { list, version, entries, most });
        }
        let (bytes, most) = (manifest.counts.bytes, self.config.most_bytes.get());
        if bytes > most {
            return Err(SyncError::Bytes { list, version, bytes, most });
        }
        if let Some(held) = self.held
            && held.version != version
            && let Some(limit) = self.exceeded(held.counts.entries, manifest)
            && self.confirmed != Some(version)
        {
            let (before_version, before) = (held.version, held.counts.entries);
            return Err(SyncError::Sudden {
                list,
                version,
                entries,
                before_version,
                before,
                limit,
            });
        }
        Ok(())
    }

    /// The limit that a change of size exceeds. The author's confirmation is enough for the limits
    /// of the car's own settings. For the limits of policy a person in the car must confirm,
    /// because these also guard against authors.
    fn exceeded(&self, before: u64, manifest: &Manifest) -> Option<SizeLimit> {
        let after = manifest.counts.entries;
        if before.max(after) < FEW {
            return None;
        }
        let grown = after > before;
        let past = |percent: u32| before.abs_diff(after) * 100 > before * u64::from(percent);
        let (policy, own) = match grown {
            true => (self.rules.growth_percent, u32::from(self.config.most_growth)),
            false => (self.rules.shrink_percent, u32::from(self.config.most_shrink)),
        };
        if let Some(percent) = policy.filter(|percent| past(*percent)) {
            return Some(SizeLimit { percent, grown, policy: true });
        }
        let sudden = past(own) && !manifest.resized;
        sudden.then_some(SizeLimit { percent: own, grown, policy: false })
    }
}
