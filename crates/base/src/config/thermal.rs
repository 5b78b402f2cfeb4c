//! `[thermal]`: the temperatures from which on a car reads fewer frames.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// A computer behind a seat that gets too hot slows itself down unnoticed, and then stops. Reading
/// fewer frames before that is visible: health, the page and `outrider status` report it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThermalConfig {
    /// Temperature of the hottest sensor, in degrees Celsius, from which on each camera is read ten
    /// times a second at most, 40 to 120.
    pub warm: f64,
    /// The same for four times a second; above `warm`, up to 125.
    pub hot: f64,
}

impl Default for ThermalConfig {
    fn default() -> Self {
        Self { warm: 85.0, hot: 95.0 }
    }
}

impl ThermalConfig {
    /// Refuses temperatures at which no computer works.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, value: f64, range: String| {
            Err(ConfigError::Range { key: key.into(), value: value.to_string(), range })
        };
        if !(40.0..=120.0).contains(&self.warm) {
            return refuse("thermal.warm", self.warm, "40 to 120 degrees Celsius".into());
        }
        if !(self.hot > self.warm && self.hot <= 125.0) {
            let range = format!("above thermal.warm ({}), 125 degrees Celsius at most", self.warm);
            return refuse("thermal.hot", self.hot, range);
        }
        Ok(())
    }
}
