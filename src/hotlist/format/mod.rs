//! A hotlist on its way to the cars: records, chunks, pages, the manifest.
//!
//! In: entries, a list key, an author's key. Out: small sealed messages that any MQTT broker carries,
//! and on the other side the same entries again, or a reason why not. Costs: some tens of bytes an entry on
//! the wire. Leaves to others: reading sources (`import`), sockets (`publish`, `sync`), memory layout.
//!
//! ```text
//! manifest (signed, retained) ── layers, oldest first
//!    └─ layer ── pages: up to 1,500 chunk addresses each
//!         └─ chunk: records in order of (plate key, jurisdiction)
//! ```
//!
//! A list is a stack of *layers*: the base holds every entry of one version, each layer above it what
//! changed since, with entries that went marked as removed ([`merged`]). An update therefore weighs
//! what changed, however scattered: with the base alone, one entry in a hundred changed would touch
//! nearly every chunk. Pages keep the manifest to a few kilobytes for lists of any size.
//! `docs/formats.md` says all of it for other clients.

mod chunk;
mod key;
mod layers;
mod manifest;
mod page;
mod record;
#[cfg(test)]
mod vectors;

pub use chunk::{
    Address, Chunk, ChunkWriter, Kind, MAX_PLAIN, MAX_SEALED, Sealed, open_chunk, seal_chunk,
};
pub use key::{LIST_KEY_LEN, ListKey, ListKeyId, ListKeys, RevocationTag, revocation_tag};
pub use layers::{Keyed, merged};
pub use manifest::{
    Counts, Expected, Layer, MANIFEST_TYPE, MAX_REVOKED, Manifest, ManifestError, PageRef,
    valid_list_name,
};
pub use page::{ChunkRef, open_page, paged};
pub use record::{LONGEST_TEXT, LONGEST_WORD, Record, RecordError, RecordKey, tidy};

/// Why a chunk or page is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Larger or smaller than anything we make.
    #[error("chunk {address} has {bytes} bytes, must be {least} to {most}")]
    Size {
        /// Which.
        address: Address,
        /// Its size.
        bytes: usize,
        /// The least that can be.
        least: usize,
        /// The most that we make.
        most: usize,
    },
    /// A format of the future, or garbage.
    #[error("chunk {address} is of format {found}, this reads format {ours}")]
    Version {
        /// Which.
        address: Address,
        /// What it says.
        found: u8,
        /// What we read.
        ours: u8,
    },
    /// A page where a chunk should be, or the other way round.
    #[error("chunk {address} is of kind {found}, must be {wanted}")]
    Kind {
        /// Which.
        address: Address,
        /// What it says.
        found: u8,
        /// What is needed.
        wanted: u8,
    },
    /// Another key, damage, forgery, or a chunk under another's address.
    #[error(
        "chunk {0} does not open with the list key: damaged, forged, or sealed with another key"
    )]
    Sealed(Address),
    /// Would unpack to something else than it says.
    #[error("chunk {address} does not unpack: {why}")]
    Packed {
        /// Which.
        address: Address,
        /// Why.
        why: String,
    },
    /// Its content has another address: the author's software is broken, or hostile.
    #[error("chunk {0} holds something that has another address")]
    Address(Address),
    /// What it holds is not canonical.
    #[error("chunk {address}, record {record}: {why}")]
    Record {
        /// Which.
        address: Address,
        /// Which record, from 0.
        record: usize,
        /// What is wrong. Never repeats a plate.
        why: RecordError,
    },
    /// A page that cannot be.
    #[error("page {address}: {why}")]
    Page {
        /// Which.
        address: Address,
        /// What is wrong.
        why: &'static str,
    },
}

/// Entries for tests elsewhere, as NCIC has them: distinct, in order.
#[cfg(any(test, feature = "testing"))]
pub use chunk::{check_content, synthetic_entries};
