//! What Outrider keeps secret, and what it trusts: keys, sealed files, signed documents, trust, the
//! audit log, policy and counters.
//!
//! From bottom to top: [`secret`], [`sqlcipher`] and [`dsse`], [`keys`], [`control`] and [`audit`], [`trust`],
//! [`policy`], [`counters`], [`sessions`], [`grounds`].

#[cfg(test)]
use outrider_base::camera_id;
use outrider_base::{aside, clock, config, entry, files, health, plate, text, threads};

// The audit log: hash-chained, device-signed records of who did what, and why.
pub mod audit;
// Signed commands from outside the car.
pub mod command;
// How a command on this machine sends requests to the running daemon.
pub mod control;
// Counts without plates, per day and camera.
pub mod counters;
// Checks the dates and version of a signed document.
pub mod dated;
// Signed documents.
pub mod dsse;
// The grounds on which somebody may see something.
pub mod grounds;
// What was in force, remembered under the device key.
pub mod in_force;
// A message from the broker before it is verified.
pub mod inbound;
// The device key, what derives from it, and the files that it seals.
pub mod keys;
// The PIN by which a person proves who they are, as policy contains it.
pub mod pin;
// Signed policy: what the car may keep, match and allow.
pub mod policy;
// 32 secret bytes in memory.
pub mod secret;
// Who is signed in.
pub mod sessions;
// Opens the encrypted databases.
pub mod sqlcipher;
// Who may sign what.
pub mod trust;
