//! The grounds on which somebody may see something: reasons, case numbers, persons, and the
//! [`Permit`] without which the ring opens no bucket.
//!
//! These types lie below the ring, which needs a permit, and below `records`, which issues one
//! after making every check.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

mod reason;

pub use reason::{Reason, VagueError, case_number, officer};

use crate::plate::PlateKey;
use crate::policy::{Permission, Who};

/// Proof that every check was passed, for these plates and for reads from this time on: the ring
/// answers nothing else. Only `records/lookup/permit.rs` calls [`Permit::after_every_check`];
/// `tests/floors.rs` checks that.
#[derive(Debug)]
pub struct Permit {
    keys: BTreeSet<PlateKey>,
    since: Timestamp,
}

impl Permit {
    /// Issues a permit; for the code that has just made the checks.
    pub fn after_every_check(keys: BTreeSet<PlateKey>, since: Timestamp) -> Self {
        Self { keys, since }
    }

    /// The plates that may be looked up.
    pub fn keys(&self) -> &BTreeSet<PlateKey> {
        &self.keys
    }

    /// The time from which on reads may be seen.
    pub fn since(&self) -> Timestamp {
        self.since
    }
}

/// What a role may do, according to the policy in force.
pub type Permissions = Arc<dyn Fn(Who) -> BTreeSet<Permission> + Send + Sync>;

/// A read of the plate that matched nothing and is still kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// Identifier of the read.
    pub read: String,
    /// When it was read.
    pub seen: Timestamp,
    /// The camera that saw it.
    pub camera: String,
    /// Probability of the least certain character.
    pub weakest: f32,
    /// Latitude and longitude, if there was a fix.
    pub place: Option<(f64, f64)>,
}

impl Sighting {
    /// Makes one from a row of the ring.
    pub fn new(
        read: Ulid,
        seen: Timestamp,
        camera: String,
        weakest: f32,
        place: Option<(f64, f64)>,
    ) -> Self {
        Self { read: read.to_string(), seen, camera, weakest, place }
    }
}
