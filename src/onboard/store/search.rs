//! Look-ups in the ring: one plate, for somebody whose grounds were checked, or the few plates that a list
//! has newly, where policy grants that.
//!
//! In: keys and a time, on the ring's own thread. Out: when and where, never a text. Costs: every row of
//! every bucket, since nothing is indexed by plate. It takes a [`Permit`], which `lookup` alone makes.

use std::collections::BTreeSet;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use jiff::Timestamp;

use crate::lookup::{Permit, Sighting};
use crate::plate::PlateKey;

/// Longest that a search may take: a full ring of a gibibyte is read in a tenth of that.
const PATIENCE: Duration = Duration::from_secs(30);

/// A search that waits for the ring's thread.
pub(super) struct Asked {
    pub(super) keys: BTreeSet<PlateKey>,
    pub(super) since: Timestamp,
    pub(super) answer: SyncSender<Result<Found, String>>,
}

/// Sightings, each with the key that was asked for.
pub(super) type Found = Vec<(PlateKey, Sighting)>;

/// Searches the ring. Clones share it.
#[derive(Clone)]
pub struct Searcher(pub(super) SyncSender<Asked>);

impl Searcher {
    /// Reads of the plate since then that the ring still keeps, oldest first. Waits for the ring's thread,
    /// a second as a rule. The error is one line.
    pub fn search(
        &self,
        permit: &Permit,
        key: PlateKey,
        since: Timestamp,
    ) -> Result<Vec<Sighting>, String> {
        let found = self.search_all(permit, &BTreeSet::from([key]), since)?;
        Ok(found.into_iter().map(|(_, sighting)| sighting).collect())
    }

    /// As [`Searcher::search`], for several plates in one pass.
    pub fn search_all(
        &self,
        _permit: &Permit,
        keys: &BTreeSet<PlateKey>,
        since: Timestamp,
    ) -> Result<Vec<(PlateKey, Sighting)>, String> {
        let (answer, answered) = sync_channel(1);
        let keys = keys.clone();
        self.0
            .try_send(Asked { keys, since, answer })
            .map_err(|_| "the ring is busy".to_owned())?;
        let mut found = answered.recv_timeout(PATIENCE).map_err(|e| match e {
            std::sync::mpsc::RecvTimeoutError::Timeout => "the ring is busy".to_owned(),
            std::sync::mpsc::RecvTimeoutError::Disconnected => "the ring is closed".to_owned(),
        })??;
        found.sort_by_key(|(_, sighting)| sighting.seen);
        Ok(found)
    }
}
