//! The parts of a running Outrider, built in order, connected, and stopped in order.
//!
//! `outrider run` starts one on the car's cameras; `outrider demo` starts the same one on rendered
//! cameras. What differs between them is in [`Seams`], nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::alert::Annunciator;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::health::Health;
use crate::onboard::frame::CameraId;
use crate::onboard::{Look, Opener, score};

/// Where a daemon meets hardware and time. The default is the real thing.
pub struct Seams {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Cameras in place of those of the configuration.
    pub cameras: Option<Vec<SeamCamera>>,
    /// What sounds in place of the loudspeaker of the configuration.
    pub annunciator: Option<Box<dyn Annunciator>>,
    /// What the drive really shows, where that is known.
    pub truth: Option<score::Truth>,
}

/// A camera that is not in the configuration.
pub struct SeamCamera {
    /// Its name.
    pub id: CameraId,
    /// How to open it.
    pub open: Opener,
    /// What looks at its frames in place of the models of the configuration.
    pub reader: Option<Box<dyn Look>>,
}

impl Default for Seams {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), cameras: None, annunciator: None, truth: None }
    }
}

/// A running Outrider.
pub struct Daemon {
    health: Arc<Health>,
    console: Option<SocketAddr>,
}

impl Daemon {
    /// Builds and connects the parts. An error is one line that says what to do.
    pub fn start(_config: Config, _seams: Seams) -> anyhow::Result<Self> {
        anyhow::bail!("the stages that the daemon connects land next")
    }

    /// Counters and states of every part.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Where the console is served, with the port that was taken; `None` if it is switched off.
    pub fn console(&self) -> Option<SocketAddr> {
        self.console
    }

    /// Closes the cameras, drains every stage in reading order, records what was alerted, gives the
    /// uplink a moment, and ends. Returns the last word of health.
    pub fn stop(self) -> crate::health::Snapshot {
        self.health.snapshot()
    }
}
