//! Where the car is. In: gpsd's reports, or a router's. Out: a [`Position`] for any recent instant of the boot
//! clock, with its age and accuracy. A missing fix is reported, never invented.
//!
//! One thread reads the source and adds to [`Fixes`]; [`Fixes::at`] costs a short lock and a scan
//! of a few dozen fixes, and never waits for the receiver.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::WRITTEN;

mod disciplined;
mod fixes;
#[expect(clippy::disallowed_types, reason = "asks gpsd, says nothing but WATCH")]
pub mod gpsd;
pub mod nmea;
#[expect(clippy::disallowed_types, reason = "hears the car's router, says nothing")]
pub mod router;
mod sentences;
mod service;
pub mod taip;

pub use disciplined::{Disciplined, health as clock_health};
pub use fixes::Fixes;
pub use service::{Gps, open_router};

/// The receiver's report of where the car was at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    /// Degrees north, WGS 84.
    pub latitude: f64,
    /// Degrees east, WGS 84.
    pub longitude: f64,
    /// Estimated horizontal error in metres (95 %), if the receiver reports one.
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

/// Degrees from 0,0 within which a position is what a receiver reports before it knows one: a
/// hundred metres of open sea in the Gulf of Guinea.
const NOWHERE: f64 = 0.001;

impl Fix {
    /// Whether a place is possible: within the degrees of the globe, and not the 0,0 that receivers
    /// report before they know one.
    pub(crate) fn is_place(latitude: f64, longitude: f64) -> bool {
        (-90.0..=90.0).contains(&latitude)
            && (-180.0..=180.0).contains(&longitude)
            && !(latitude.abs() < NOWHERE && longitude.abs() < NOWHERE)
    }

    /// Describes a receiver's time that is impossible: where its count of weeks has rolled over, it
    /// is 1,024 weeks behind, while the place is right.
    pub fn odd_time(&self) -> Option<String> {
        let time = self.time.filter(|time| *time < WRITTEN)?;
        Some(format!(
            "the receiver's time is {time:.0}, years before this program was written (its week counter \
             has rolled over): its time is not used"
        ))
    }

    /// The fix without an impossible time.
    #[must_use]
    pub(crate) fn without_odd_time(self) -> Self {
        Self { time: self.time.filter(|time| *time >= WRITTEN), ..self }
    }
}

/// Where a frame was taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Position {
    /// It is known from fixes around the instant.
    Fixed {
        /// The fix, moved to the instant where it lies between two fixes.
        #[serde(flatten)]
        fix: Fix,
        /// How far the nearest actual fix is from the instant.
        age: Duration,
        /// Whether `fix` was interpolated between two actual fixes.
        interpolated: bool,
    },
    /// There is no fix near that instant.
    NoFix,
}

/// A report of a receiver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Report {
    /// It has a fix.
    Fix(Fix),
    /// It works, but has no fix.
    NoFix,
    /// gpsd works, but has no receiver.
    NoReceiver,
    /// It sent nothing in time.
    Quiet,
    /// There will be no more reports: the file has ended.
    End,
}

/// Why there are no fixes.
#[derive(Debug, thiserror::Error)]
pub enum GpsError {
    /// No gpsd answers.
    #[error("cannot reach gpsd at {address}: {source}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// It answered and then closed the connection.
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
        /// The system's error.
        source: std::io::Error,
    },
    /// Something answers that is not gpsd.
    #[error("what answers at {address} does not speak gpsd's protocol: set gps.address")]
    Garbage {
        /// Host and port.
        address: String,
    },
    /// The router's messages cannot be listened for.
    #[error(
        "cannot listen for the router at {address}: {source}: set gps.listen to an address of this computer"
    )]
    NotListening {
        /// This computer's address and port.
        address: std::net::SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The router does not answer.
    #[error(
        "cannot reach the router at {address}: {source}: see gps.connect, and whether the router offers TAIP there"
    )]
    NoRouter {
        /// Host and port.
        address: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The router has closed the connection, or it broke.
    #[error("lost the router at {address}: {source}")]
    RouterLost {
        /// Host and port.
        address: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file of NMEA sentences contains no position.
    #[error("NMEA file {path}: {why}")]
    NoTrack {
        /// The file.
        path: std::path::PathBuf,
        /// What it contains.
        why: String,
    },
    /// A file of NMEA sentences cannot be read.
    #[error("cannot read NMEA file {path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// A receiver, or a substitute for one.
pub trait FixSource: Send {
    /// Waits for the next report, at most for `timeout`. After an error the source must be opened
    /// anew.
    fn next_report(&mut self, timeout: Duration) -> Result<Report, GpsError>;

    /// What is said of a source that has given no report for a while.
    fn silence(&self) -> String {
        "the receiver says nothing".into()
    }

    /// What is said of others that have tried to tell a position; `None` if nobody has lately.
    fn strangers(&self) -> Option<String> {
        None
    }
}
