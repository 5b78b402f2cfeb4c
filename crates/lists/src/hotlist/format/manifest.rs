//! The manifest: what a version of a list consists of, signed by its author.
//!
//! In: counts and pages from the author; in the car, a retained message and what the car knows.
//! Out: a [`Manifest`] that an author in force has signed, for this list of this agency, not
//! expired, not older than a known one, in canonical form and with plausible numbers. Costs: one
//! signature check. Leaves to others: fetching pages and chunks, and whether the car's policy
//! allows the version.
//!
//! Canonical form: JSON with the keys in alphabetical order and no spaces, as `serde_json` writes
//! this struct (also RFC 8785, since numbers are whole). A payload that differs when it is written
//! again is refused, so that what was signed has one meaning.

use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use super::chunk::{Address, MAX_SEALED};
use super::key::{ListKeyId, RevocationTag};
use super::page;
use crate::clock::Standing;
use crate::dated::{Dated, DatedError, Kind};
use crate::dsse::{DsseError, Envelope, KeyId, PublicKey, SigningKey};
use crate::entry::Matching;

/// Type of the envelope's payload.
pub const MANIFEST_TYPE: &str = "application/vnd.outrider.hotlist-manifest.v1+json";

/// Most revocations in a manifest. Each is needed only until a version without the entry.
pub const MAX_REVOKED: usize = 500;

/// Most layers: loading looks at every layer.
const MAX_LAYERS: usize = 16;

/// Most pages of a layer: 24 times what five million entries need.
const MAX_PAGES: usize = 64;

/// Most entries: ten times the largest list known to us.
const MAX_ENTRIES: u64 = 50_000_000;

/// Longest life of a version. Lists are made daily.
const LONGEST_LIFE_DAYS: i64 = 400;

/// Format of the manifest.
const FORMAT: u32 = 1;

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is larger than any that we make.
    #[error("manifest has {0} bytes, the most is {MAX_SEALED}")]
    Size(usize),
    /// The envelope is not believed.
    #[error("manifest: {0}")]
    Signature(#[from] DsseError),
    /// The payload is not a valid manifest.
    #[error("manifest: {0}")]
    Malformed(String),
    /// The payload is not in its one canonical form.
    #[error("manifest is not in canonical form")]
    NotCanonical,
    /// It is for another list or agency.
    #[error("manifest is of list {list:?} of agency {agency:?}, must be {wanted:?} of {ours:?}")]
    Other {
        /// The list that it names.
        list: String,
        /// The agency that it names.
        agency: String,
        /// The list that is expected.
        wanted: String,
        /// This car's agency.
        ours: String,
    },
    /// It is older than one that was believed before.
    #[error("manifest of list {list:?} has version {found}, version {known} is known already")]
    Rollback {
        /// The list.
        list: String,
        /// Its version.
        found: u64,
        /// The highest known version.
        known: u64,
    },
    /// It has expired.
    #[error("manifest of list {list:?} version {version} expired at {at}")]
    Expired {
        /// The list.
        list: String,
        /// Its version.
        version: u64,
        /// When it expired.
        at: Timestamp,
    },
    /// Its dates or its version cannot be believed.
    #[error("list {list:?}: {why}")]
    Dated {
        /// The list.
        list: String,
        /// The reason.
        why: DatedError,
    },
    /// Its numbers are impossible.
    #[error("manifest: {0}")]
    Absurd(String),
}

/// What a version of a list consists of. The fields are in alphabetical order, which is the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The agency.
    pub agency: String,
    /// The subject of the list, such as `stolen_vehicle`: for people, and for policy's filter of
    /// whole lists. Entries have categories of their own.
    pub category: String,
    /// How many entries, chunks and bytes there are.
    pub counts: Counts,
    /// From then on it may not be used.
    pub expires: Timestamp,
    /// When it was made.
    pub issued: Timestamp,
    /// The list key that opens its chunks.
    pub key: ListKeyId,
    /// The layers: the base first, the newest last.
    pub layers: Vec<Layer>,
    /// Name of the list.
    pub list: String,
    /// The matching that its author intends; policy may allow less.
    pub matching: Matching,
    /// Whether the author confirms a sudden change of size.
    #[serde(default, skip_serializing_if = "is_false")]
    pub resized: bool,
    /// Entries that are no longer in force, whatever the chunks say. Sorted.
    pub revoked: Vec<RevocationTag>,
    /// When the source was last known to be right.
    pub source_time: Timestamp,
    /// Format of the manifest: 1.
    pub v: u32,
    /// The version, which only grows.
    pub version: u64,
}

fn is_false(b: &bool) -> bool {
    !*b
}

/// Counts of all layers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Bytes of all messages, pages included.
    pub bytes: u64,
    /// Chunks of records.
    pub chunks: u64,
    /// Entries that result from all layers.
    pub entries: u64,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Its pages in order.
    pub pages: Vec<PageRef>,
    /// Records in it, removals included.
    pub records: u64,
}

/// A page of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageRef {
    /// Its address.
    pub address: Address,
    /// Size of its message, in bytes.
    pub bytes: u32,
    /// Number of chunks that it names.
    pub chunks: u32,
}

/// What a car, or another reader, knows before it opens a manifest.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Keys that may sign this list, from the trust document.
    pub authors: &'a [PublicKey],
    /// Our agency.
    pub agency: &'a str,
    /// The list.
    pub list: &'a str,
    /// Highest known version, 0 if none.
    pub known_version: u64,
    /// The present time, by a clock that is trusted.
    pub now: Timestamp,
}

/// Whether a text can name a list: it is a part of topics and file names.
pub fn valid_list_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl Manifest {
    /// Signs it. The caller has checked it before.
    pub fn sign(&self, author: &SigningKey) -> Envelope {
        Envelope::sign(MANIFEST_TYPE, self.canonical(), &[author])
    }

    /// The bytes that are signed.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and dates")
    }

    /// Opens a message if it is valid in every respect. Also returns the key that signed.
    pub fn open(message: &[u8], expected: &Expected<'_>) -> Result<(Self, KeyId), ManifestError> {
        Self::open_at(message, expected, &expected.now.into())
    }

    /// As [`Manifest::open`], with the knowledge of who vouches for the time.
    pub fn open_at(
        message: &[u8],
        expected: &Expected<'_>,
        now: &Standing,
    ) -> Result<(Self, KeyId), ManifestError> {
        if message.len() > MAX_SEALED {
            return Err(ManifestError::Size(message.len()));
        }
        let envelope = Envelope::parse(message)?;
        let (payload, mut signed) = envelope.open(MANIFEST_TYPE, expected.authors, 1)?;
        let manifest = Self::parse(payload)?;
        if manifest.list != expected.list || manifest.agency != expected.agency {
            return Err(ManifestError::Other {
                list: manifest.list,
                agency: manifest.agency,
                wanted: expected.list.into(),
                ours: expected.agency.into(),
            });
        }
        if manifest.version < expected.known_version {
            return Err(ManifestError::Rollback {
                list: manifest.list,
                found: manifest.version,
                known: expected.known_version,
            });
        }
        if manifest.expires <= now.at {
            return Err(ManifestError::Expired {
                list: manifest.list,
                version: manifest.version,
                at: manifest.expires,
            });
        }
        manifest
            .dated(expected.known_version)
            .check(now)
            .map_err(|why| ManifestError::Dated { list: manifest.list.clone(), why })?;
        Ok((manifest, signed.swap_remove(0)))
    }

    /// The dates and the version that it states, with `known` as the highest known version.
    pub fn dated(&self, known: u64) -> Dated {
        let Self { issued, expires, version, .. } = *self;
        Dated {
            kind: Kind::Manifest,
            issued,
            expires: Some(expires),
            version: Some((version, known)),
        }
    }

    /// Parses a payload and checks its form and numbers; the caller has checked who signed it.
    pub fn parse(payload: &[u8]) -> Result<Self, ManifestError> {
        if payload.len() > MAX_SEALED {
            return Err(ManifestError::Size(payload.len()));
        }
        let manifest: Self =
            serde_json::from_slice(payload).map_err(|e| ManifestError::Malformed(e.to_string()))?;
        manifest.check()?;
        if manifest.canonical() != payload {
            return Err(ManifestError::NotCanonical);
        }
        Ok(manifest)
    }

    /// Checks that its numbers are possible.
    pub fn check(&self) -> Result<(), ManifestError> {
        let absurd = |why: String| Err(ManifestError::Absurd(why));
        if self.v != FORMAT {
            return absurd(format!("is of format {}, this reads format {FORMAT}", self.v));
        }
        if !valid_list_name(&self.list) || self.agency.is_empty() || self.agency.len() > 64 {
            return absurd("names a list or an agency that cannot be".into());
        }
        if self.category.is_empty() || self.category.len() > 32 {
            return absurd("has a category of 0 or more than 32 bytes".into());
        }
        if self.version == 0 {
            return absurd("has version 0; the first is 1".into());
        }
        if self.source_time > self.issued || self.issued >= self.expires {
            return absurd("has times that are out of order: source, issued, expires".into());
        }
        let life = self.issued.checked_add((LONGEST_LIFE_DAYS * 24).hours());
        if life.is_ok_and(|longest| self.expires > longest) {
            return absurd(format!("lasts longer than {LONGEST_LIFE_DAYS} days"));
        }
        if self.revoked.len() > MAX_REVOKED || !self.revoked.is_sorted_by(|a, b| a < b) {
            return absurd(format!("has more than {MAX_REVOKED} revocations, or unsorted ones"));
        }
        if self.layers.len() > MAX_LAYERS || self.layers.iter().any(|l| l.pages.len() > MAX_PAGES) {
            return absurd(format!("has more than {MAX_LAYERS} layers of {MAX_PAGES} pages"));
        }
        let pages = || self.layers.iter().flat_map(|layer| &layer.pages);
        let sound = |p: &PageRef| {
            (1..=page::MOST).contains(&(p.chunks as usize))
                && (1..=MAX_SEALED).contains(&(p.bytes as usize))
        };
        if !pages().all(sound) {
            return absurd("names a page of a size that cannot be".into());
        }
        let chunks: u64 = pages().map(|p| u64::from(p.chunks)).sum();
        let most_bytes = pages().map(|p| u64::from(p.bytes)).sum::<u64>()
            + chunks.saturating_mul(MAX_SEALED as u64);
        let most_records = self.layers.iter().map(|l| l.records.min(MAX_ENTRIES)).sum::<u64>();
        let counts = &self.counts;
        let fits = counts.chunks == chunks
            && counts.bytes <= most_bytes
            && counts.entries <= most_records
            && counts.entries <= MAX_ENTRIES
            && self.layers.iter().all(|l| l.records <= MAX_ENTRIES);
        if !fits {
            return absurd("has counts that do not fit each other or are beyond reason".into());
        }
        Ok(())
    }

    /// Every page of every layer.
    pub fn pages(&self) -> impl Iterator<Item = &PageRef> {
        self.layers.iter().flat_map(|layer| &layer.pages)
    }

    /// Whether it revokes the plate with this tag.
    pub fn revokes(&self, tag: &RevocationTag) -> bool {
        self.revoked.binary_search(tag).is_ok()
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
