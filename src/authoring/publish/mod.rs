//! The author's side: from imported records to a signed version at the broker.
//!
//! In: a work file (`import`), a folder that holds what was made before, a list key, an author key. Out:
//! chunks, pages and manifests in that folder, and at the broker. Costs: one pass over the list before
//! and one over the new one. Leaves to others: who may sign (`trust.rs`), what cars do with it (`sync`).
//!
//! ```text
//! import ──> work file (.hotlist) ──> build ──> store/manifest/12.json ──> sign ──> 12.signed.json ──> publish
//!                                       └────> store/chunk/<address>
//! ```

use std::io;
use std::path::PathBuf;

use crate::dsse::DsseError;
use crate::hotlist::format::{Address, FormatError, ManifestError, RecordError};

mod broker;
mod build;
mod inspect;
mod models;
mod mqtt;
mod revocations;
mod store;
mod work;

pub use broker::{Broker, BrokerError, Published, publish, topics};
pub use build::{Building, Built, Revoked, Revoking, build, revoke};
pub use inspect::{Change, Difference, Inspection, Verified, difference, inspect, verify};
pub use models::publish_model;
pub use mqtt::MqttBroker;
pub use revocations::Standing;
pub use store::{Reader, Store};
pub use work::{WorkFile, WorkHeader, write_work};

/// Why a version is not made, signed, shown or published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is no work file, or was cut short.
    #[error("{path} is not a complete work file of outrider hotlist import: {why}")]
    Work {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The key file lacks the list key.
    #[error("{what} is sealed with list key {wanted}, which {keys} does not contain")]
    Key {
        /// What.
        what: String,
        /// The key it needs.
        wanted: String,
        /// What was given.
        keys: String,
    },
    /// A chunk that the store should have.
    #[error(
        "the list's folder has no chunk {0}, which was moved or removed: build anew with --rebase"
    )]
    Missing(Address),
    /// A chunk that does not open.
    #[error(transparent)]
    Chunk(#[from] FormatError),
    /// An invalid record.
    #[error("record {0}")]
    Record(#[from] RecordError),
    /// An invalid manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An invalid signature.
    #[error(transparent)]
    Signature(#[from] DsseError),
    /// The store has nothing of the kind.
    #[error("the list's folder {store} has no {what}")]
    None {
        /// Which store.
        store: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A first version with nothing on it.
    #[error(
        "the work file has no entry: look at what `hotlist import` reported; if an empty list is meant, \
         build with --allow-empty"
    )]
    Empty,
    /// The list would shrink, grow or be replaced all at once.
    #[error(
        "the list would go from {before} to {after} entries ({percent:+.0} %; {added} added, {removed} removed), \
         a change of more than {most} % at once: if that is intended, build with --confirm-size, and look at \
         `hotlist diff --entries` before it is signed"
    )]
    Size {
        /// Entries in the version before.
        before: u64,
        /// Entries now.
        after: u64,
        /// Entries that are new.
        added: u64,
        /// Entries that are gone.
        removed: u64,
        /// Change in percent.
        percent: f64,
        /// The largest change that needs no confirmation.
        most: u32,
    },
    /// Work file and store are of different lists.
    #[error("{what} belongs to list {found:?}, but this is list {wanted:?}")]
    List {
        /// What.
        what: String,
        /// What it says.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// Nothing to revoke.
    #[error("the list has no entry for that plate{0}: nothing to revoke")]
    NotListed(String),
    /// More revocations than a manifest carries.
    #[error(
        "{0} revocations do not fit into one manifest (at most 500): build a version without them (--end-revocations \
         ends those whose entry the import did not find)"
    )]
    TooManyRevoked(usize),
    /// Revocations that cannot be kept under another key.
    #[error(
        "{0} revocations are of entries that were not in the version before and may be among the rows that the \
         import could not read: under the new list key they cannot go on. Import a source without bad rows, or \
         say --end-revocations"
    )]
    Nameless(usize),
    /// The newest version is under an older key.
    #[error(
        "version {version} is sealed with list key {key}, and {newest} is the newest: import and build again, so \
         that nothing goes out under the old key; or say --under-old-key"
    )]
    OldKey {
        /// Which version.
        version: u64,
        /// Its key.
        key: String,
        /// The newest key.
        newest: String,
    },
    /// Something inside the list is not as its manifest says.
    #[error("version {version}: {why}")]
    Unsound {
        /// Which version.
        version: u64,
        /// What.
        why: String,
    },
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Adds the path to an I/O error.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> PublishError + use<> {
    let path = path.to_owned();
    move |source| PublishError::Io { path, source }
}

#[cfg(test)]
mod tests;
