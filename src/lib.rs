//! Outrider, an in-vehicle licence-plate reader for public safety.
//!
//! Reading this list from top to bottom follows a frame to an alert and to the broker. Only [`onboard`] sees
//! every plate that passes; what it hands out is a [`onboard::Hit`] or plate-free counters. The parts below
//! are crates of their own in `crates/`, named here as if they were modules.

// Printing. It comes first, because its macros replace those of the standard library.
#[macro_use]
pub mod print;
// Which program this is.
pub mod version;

// The lists that turn a read into a hit; what the fleet sends to the car; the connection to its broker.
pub use outrider_lists::{broker, downlink, hotlist};
// Everything that sees every plate that passes; where the car is.
pub use outrider_onboard::{gps, onboard};
// Our own renderer: plates, cars, road, day and dusk.
pub use outrider_render as render;
// Plates, time, settings, health.
pub(crate) use outrider_base::prompt;
pub use outrider_base::threads;
pub use outrider_base::{
    aside, backoff, camera_id, clock, config, entry, files, geometry, health, plate, secret_file,
    text,
};
// Secrets, signed documents, the audit log, policy, counters.
pub use outrider_vault::{
    audit, command, control, counters, dated, dsse, grounds, in_force, inbound, keys, pin, policy,
    secret, sessions, sqlcipher, trust,
};

// How a hit reaches the officer: sound and screen.
pub mod alert;
// Hits on the disk, and what the broker still has to acknowledge.
pub mod hits;
// What people do with the records of hits.
pub mod records;
// Signed packages of models: verified, tried, put in force, given up.
pub mod models;
// What leaves the vehicle, field by field.
pub mod wire;
// How a hit leaves the vehicle, and the only way anything does.
pub mod uplink;
// The daemon: all parts, connected.
pub mod daemon;
// Making lists at a desk.
pub mod authoring;
// A whole drive without a car: rendered cameras, simulated GPS, embedded broker.
#[cfg(feature = "demo")]
#[allow(
    clippy::disallowed_types,
    reason = "the demo's own broker, receiver and wire searcher, on loopback"
)]
pub mod demo;
// One module per subcommand.
pub mod cmd;
