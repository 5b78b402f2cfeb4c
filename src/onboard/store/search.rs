//! Look-ups in the ring: one plate, for somebody whose grounds were checked.
//!
//! In: a key and a time, on the ring's own thread. Out: when and where, never a text. Costs: every row of
//! every bucket, since nothing is indexed by plate. It takes a [`Permit`], which `lookup` alone makes.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use jiff::Timestamp;

use crate::lookup::{Permit, Sighting};
use crate::plate::PlateKey;

/// Longest that a search may take: a full ring of a gibibyte is read in a tenth of that.
const PATIENCE: Duration = Duration::from_secs(30);

/// A search that waits for the ring's thread.
pub(super) struct Asked {
    pub(super) key: PlateKey,
    pub(super) since: Timestamp,
    pub(super) answer: SyncSender<Result<Vec<Sighting>, String>>,
}

/// Searches the ring. Clones share it.
#[derive(Clone)]
pub struct Searcher(pub(super) SyncSender<Asked>);

impl Searcher {
    /// Reads of the plate since then that the ring still keeps, oldest first. Waits for the ring's thread,
    /// a second as a rule. The error is one line.
    pub fn search(
        &self,
        _permit: &Permit,
        key: PlateKey,
        since: Timestamp,
    ) -> Result<Vec<Sighting>, String> {
        let (answer, answered) = sync_channel(1);
        self.0.try_send(Asked { key, since, answer }).map_err(|_| "the ring is busy".to_owned())?;
        let mut found = answered.recv_timeout(PATIENCE).map_err(|e| match e {
            std::sync::mpsc::RecvTimeoutError::Timeout => "the ring is busy".to_owned(),
            std::sync::mpsc::RecvTimeoutError::Disconnected => "the ring is closed".to_owned(),
        })??;
        found.sort_by_key(|sighting| sighting.seen);
        Ok(found)
    }
}
