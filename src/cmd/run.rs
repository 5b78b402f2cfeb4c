//! `outrider run`: the daemon.

mod daemon;

pub use daemon::{Daemon, SeamCamera, Seams};
