//! The format in which hotlists travel to the cars: records, chunks, pages, the manifest.
//!
//! In: entries, a list key, an author's key. Out: small sealed messages that any MQTT broker
//! carries, and in the car the same entries again, or a reason for refusing them. Costs: some tens
//! of bytes an entry on the wire. Leaves to others: reading sources (`import`), sockets (`publish`,
//! `sync`), memory layout.
//!
//! ```text
//! manifest (signed, retained) ── layers, oldest first
//!    └─ layer ── pages: up to 1,500 chunk addresses each
//!         └─ chunk: records in order of (plate key, jurisdiction)
//! ```
//!
//! A list is a stack of *layers*: the base holds every entry of one version, and each layer above
//! it holds what changed since, with removed entries marked as such ([`merged`]). An update is
//! therefore as large as its changes, however scattered these are; with the base alone, a change of
//! one entry in a hundred would touch nearly every chunk. Pages keep the manifest to a few
//! kilobytes for lists of any size. `docs/formats.md` specifies all of it for other clients.

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

/// Why a chunk or page is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It is larger or smaller than any that we make.
    #[error("chunk {address} has {bytes} bytes, must be {least} to {most}")]
    Size {
        /// Its address.
        address: Address,
        /// Its size.
        bytes: usize,
        /// The least possible size.
        least: usize,
        /// The largest that we make.
        most: usize,
    },
    /// It has a later format, or is garbage.
    #[error("chunk {address} is of format {found}, this reads format {ours}")]
    Version {
        /// Its address.
        address: Address,
        /// The format that it states.
        found: u8,
        /// The format that this version reads.
        ours: u8,
    },
    /// It is a page where a chunk should be, or the other way round.
    #[error("chunk {address} is of kind {found}, must be {wanted}")]
    Kind {
        /// Its address.
        address: Address,
        /// The kind that it states.
        found: u8,
        /// The kind that is needed.
        wanted: u8,
    },
    /// It was sealed with another key, damaged or forged, or is under another chunk's address.
    #[error(
        "chunk {0} does not open with the list key: damaged, forged, or sealed with another key"
    )]
    Sealed(Address),
    /// It does not unpack to what it states.
    #[error("chunk {address} does not unpack: {why}")]
    Packed {
        /// Its address.
        address: Address,
        /// The reason.
        why: String,
    },
    /// Its content has another address: the author's software is broken, or hostile.
    #[error("chunk {0} holds something that has another address")]
    Address(Address),
    /// Its content is not canonical.
    #[error("chunk {address}, record {record}: {why}")]
    Record {
        /// Its address.
        address: Address,
        /// Number of the record, from 0.
        record: usize,
        /// What is wrong. It never contains a plate.
        why: RecordError,
    },
    /// It is a page with impossible references.
    #[error("page {address}: {why}")]
    Page {
        /// Its address.
        address: Address,
        /// What is wrong.
        why: &'static str,
    },
}

/// Entries like NCIC's for tests in other modules: distinct, in order.
#[cfg(any(test, feature = "testing"))]
pub use chunk::{check_content, synthetic_entries};
