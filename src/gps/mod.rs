//! Where the car is. In: gpsd's reports. Out: a [`Position`] for any recent instant of the boot
//! clock, with its age and accuracy. No fix is said, never invented.
//!
//! One thread reads the source and pushes into [`Fixes`]; asking [`Fixes::at`] costs a short lock
//! and a look at a few dozen fixes, never a wait for the receiver.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod fixes;
#[expect(clippy::disallowed_types, reason = "asks gpsd, says nothing but WATCH")]
pub mod gpsd;
pub mod nmea;
mod service;

pub use fixes::Fixes;
pub use service::Gps;

/// The receiver's word on where the car was at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    /// Degrees north, WGS 84.
    pub latitude: f64,
    /// Degrees east, WGS 84.
    pub longitude: f64,
    /// Estimated horizontal error in metres (95 %), if the receiver tells.
    pub accuracy_m: Option<f32>,
    /// Speed over ground in metres a second.
    pub speed_mps: Option<f32>,
    /// Course over ground in degrees clockwise from true north.
    pub heading_deg: Option<f32>,
    /// The receiver's own time of this fix.
    pub time: Option<Timestamp>,
    /// Whether height was solved too.
    pub three_d: bool,
}

/// Where a frame was taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Position {
    /// Known, from fixes around the asked instant.
    Fixed {
        /// The fix, moved to the asked instant where two fixes bracket it.
        #[serde(flatten)]
        fix: Fix,
        /// How far the nearest real fix lies from the asked instant.
        age: Duration,
        /// Whether `fix` lies between two real fixes rather than being one.
        interpolated: bool,
    },
    /// No fix near that instant.
    NoFix,
}

/// What a receiver says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Report {
    /// Here.
    Fix(Fix),
    /// It works and knows of no position.
    NoFix,
    /// gpsd works and has no receiver.
    NoReceiver,
    /// Nothing within the time asked for.
    Quiet,
    /// There will be no more: the end of a file.
    End,
}

/// Why there are no fixes.
#[derive(Debug, thiserror::Error)]
pub enum GpsError {
    /// Nobody answers.
    #[error("cannot reach gpsd at {address}: {source}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It answered and left.
    #[error("gpsd at {address} closed the connection")]
    Closed {
        /// Host and port.
        address: String,
    },
    /// The connection broke.
    #[error("lost the connection to gpsd at {address}: {source}")]
    Lost {
        /// Host and port.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something answers that is not gpsd.
    #[error("what answers at {address} does not speak gpsd's protocol: set gps.address")]
    Garbage {
        /// Host and port.
        address: String,
    },
    /// A file of NMEA sentences cannot be read.
    #[error("cannot read NMEA file {path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A receiver, or something that stands in for one.
pub trait FixSource: Send {
    /// Waits for the next report, `timeout` at most. An error ends the source: open it anew.
    fn next_report(&mut self, timeout: Duration) -> Result<Report, GpsError>;
}
