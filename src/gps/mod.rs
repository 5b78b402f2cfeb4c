//! Where the car is. In: gpsd's reports. Out: a [`Position`] for any recent instant of the boot
//! clock, with its age and accuracy. No fix is said, never invented.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
