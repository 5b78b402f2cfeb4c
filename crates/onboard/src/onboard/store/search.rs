//! Look-ups in the ring: of one plate, for somebody whose grounds were checked, or of the few
//! plates that are new in a list, where policy allows that.
//!
//! In: a permit, on the ring's own thread. Out: times and places, never a text. Costs: reading
//! every row of every bucket, because there is no index by plate. It needs a [`Permit`], which only
//! `lookup/permit.rs` makes, and searches for the permit's plates.

use std::collections::BTreeSet;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use jiff::Timestamp;

use crate::grounds::{Permit, Sighting};
use crate::plate::PlateKey;

/// Longest time for a search: a full ring of a gibibyte is read in a tenth of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A search that waits for the ring's thread.
pub(super) struct Asked {
    pub(super) keys: BTreeSet<PlateKey>,
    pub(super) since: Timestamp,
    pub(super) answer: SyncSender<Result<Found, String>>,
}

/// The sightings found, each with its plate's key.
pub(super) type Found = Vec<(PlateKey, Sighting)>;

/// Searches the ring. Clones share it.
#[derive(Clone)]
pub struct Searcher(pub(super) SyncSender<Asked>);

impl Searcher {
    /// The reads of the permit's plates that the ring still keeps, oldest first. It waits for the
    /// ring's thread, usually a second. The error is one line.
    pub fn search(&self, permit: &Permit) -> Result<Vec<Sighting>, String> {
        let found = self.search_all(permit)?;
        Ok(found.into_iter().map(|(_, sighting)| sighting).collect())
    }

    /// As [`Searcher::search`], for several plates in one pass.
    pub fn search_all(&self, permit: &Permit) -> Result<Vec<(PlateKey, Sighting)>, String> {
        let (answer, answered) = sync_channel(1);
        let (keys, since) = (permit.keys().clone(), permit.since());
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
