//! What every part of Outrider uses: plates, time, settings, health.
//!
//! Nothing here knows a key, a list, a camera or a socket.

// Sets damaged files aside, so that the car goes on.
pub mod aside;
// How long to wait before something that has failed is tried again.
pub mod backoff;
// The name that settings, health, reads and hits give to one camera.
pub mod camera_id;
// Time: the wall clock and the boot clock, real or simulated.
pub mod clock;
// Where the settings come from: one TOML file, as types.
pub mod config;
// How urgent a list's entries are, and how they may be matched.
pub mod entry;
// Files that the daemon relies on: who owns them, how they are replaced and destroyed.
pub mod files;
// Points, boxes and quadrilaterals in pixels.
pub mod geometry;
// Per-stage counters and the state of every part, free of plates.
pub mod health;
// Plate text, jurisdictions, look-alike characters.
pub mod plate;
// Asks for a secret at the terminal.
pub mod prompt;
// Secrets in files that only their owner reads.
pub mod secret_file;
// Text that others wrote, made fit to be shown.
pub mod text;
// Threads: how they start, end and panic.
pub mod threads;
