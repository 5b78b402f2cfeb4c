//! Outrider, an in-vehicle licence-plate reader for public safety.
//!
//! Reading this list from top to bottom follows a frame to an alert. Only [`onboard`] sees every
//! plate that passes; what it hands out is a [`onboard::Hit`] or plate-free counters.

// How a hit reaches the officer: sound and screen.
pub mod alert;
// The hash-chained, device-signed record of who did what, and why.
pub mod audit;
// Time: the wall clock and the boot clock, real or simulated.
pub mod clock;
// One module per subcommand.
pub mod cmd;
// Signed commands from afar.
pub mod command;
// Where the settings come from: one TOML file, as types.
pub mod config;
// How a command on this machine asks the running daemon.
pub mod control;
// Counts without plates, per day and camera.
pub mod counters;
// A whole drive without a car: rendered cameras, simulated GPS, embedded broker.
#[allow(
    clippy::disallowed_types,
    reason = "the demo's own broker, receiver and wire searcher, on loopback"
)]
pub mod demo;
// What the fleet sends to the car.
pub mod downlink;
// What people make of a hit.
pub mod disposition;
// Signed documents.
pub mod dsse;
// One hit and all that is known of it, in one signed file.
pub mod evidence;
// Points, boxes and quadrilaterals in pixels.
pub mod geometry;
// Where the car is: fixes with their age and accuracy.
pub mod gps;
// Per-stage counters and the state of every part, free of plates.
pub mod health;
// The lists that turn a read into a hit.
pub mod hotlist;
// Secrets: the device key and what derives from it.
pub mod keys;
// One plate in what this car keeps, for somebody with grounds.
pub mod lookup;
// Everything that sees plates that are nobody's business.
pub mod onboard;
// Plate text, jurisdictions, look-alike characters.
pub mod plate;
// Signed policy: what the car may keep, match and allow.
pub mod policy;
// Our own renderer: plates, cars, road, day and dusk.
pub mod render;
// Secrets in files that only their owner reads.
pub mod secret_file;
// Small files that only this car can read back.
pub mod sealed;
// Opens the encrypted databases.
pub mod sqlcipher;
// Waiting for a thread, and not for ever.
mod threads;
// Who may sign what.
pub mod trust;
// How a hit leaves the vehicle, and the only way anything does.
pub mod uplink;
