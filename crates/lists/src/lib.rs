//! The lists that turn a read into a hit, and how they reach the car.

use outrider_base::{
    aside, backoff, clock, config, entry, files, health, plate, secret_file, text, threads,
};
use outrider_vault::{
    audit, control, dated, dsse, grounds, in_force, inbound, keys, policy, secret, sessions,
    sqlcipher, trust,
};

// The connection to the agency's broker.
pub mod broker;
// The messages that the fleet sends to the car.
pub mod downlink;
// The lists themselves.
pub mod hotlist;
