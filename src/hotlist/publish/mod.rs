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

use super::format::{Address, FormatError, ManifestError, RecordError};
use crate::dsse::DsseError;

mod broker;
mod build;
mod look;
mod mqtt;
mod store;
mod work;

pub use broker::{Broker, BrokerError, Published, publish, topics};
pub use build::{Building, Built, Revoked, Revoking, build, revoke};
pub use look::{Change, Difference, Inspection, Verified, difference, inspect, verify};
pub use mqtt::MqttBroker;
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
    /// A work file that is none, or was cut short.
    #[error("{path} is no whole work file of outrider hotlist import: {why}")]
    Work {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The list key does not fit.
    #[error("{what} is sealed with list key {wanted}, which {keys} does not hold")]
    Key {
        /// What.
        what: String,
        /// The key it needs.
        wanted: String,
        /// What was given.
        keys: String,
    },
    /// A chunk that the store should have.
    #[error("store has no chunk {0}: it was moved or cleaned; build anew with --rebase")]
    Missing(Address),
    /// A chunk that does not open.
    #[error(transparent)]
    Chunk(#[from] FormatError),
    /// Records that do not go together.
    #[error("record {0}")]
    Record(#[from] RecordError),
    /// A manifest that does not hold.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A signature that does not fit.
    #[error(transparent)]
    Signature(#[from] DsseError),
    /// The store has nothing of the kind.
    #[error("store {store} has no {what}")]
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
    /// The list would shrink or grow all at once.
    #[error(
        "list would go from {before} to {after} entries ({percent:+.0} %; {added} added, {removed} removed), \
         more than {most} % at once: if that is meant, build with --confirm-size, and look at \
         `hotlist diff --entries` before it is signed"
    )]
    Size {
        /// Entries in the version before.
        before: u64,
        /// Entries now.
        after: u64,
        /// Entries that are new.
        added: u64,
        /// Entries that went.
        removed: u64,
        /// Change in percent.
        percent: f64,
        /// The most that goes without a word.
        most: u32,
    },
    /// Work file and store are of different lists.
    #[error("{what} is of list {found:?}, this is list {wanted:?}")]
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
        "{0} revocations do not fit into one manifest (at most 500): build a version without them"
    )]
    TooManyRevoked(usize),
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

/// Puts the path to an I/O error.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> PublishError + use<> {
    let path = path.to_owned();
    move |source| PublishError::Io { path, source }
}

#[cfg(test)]
mod tests;
