//! Everything that sees the plates of uninvolved people, and where the car is when it sees them.
//!
//! This crate is the privacy fence: what is private here cannot be named in any other crate.

use outrider_base::{
    backoff, camera_id, clock, config, entry, files, geometry, health, plate, secret_file, text,
    threads,
};
use outrider_lists::hotlist;
use outrider_vault::{grounds, keys, policy, secret, sqlcipher};

// Where the car is: fixes with their age and accuracy.
pub mod gps;
// The reading pipeline.
pub mod onboard;
