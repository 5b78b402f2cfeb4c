//! `[gps]`: where fixes come from and how old one may be.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, HumanDuration};

/// What kind of source gives the fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpsSource {
    /// gpsd over TCP at `address`.
    #[default]
    Gpsd,
    /// A file of NMEA sentences at `path`, played once at its own pace.
    Nmea,
    /// No receiver: every read says that it has no fix.
    Off,
}

/// Where fixes come from and how old one may be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GpsConfig {
    /// `gpsd`, `nmea` or `off`.
    pub source: GpsSource,
    /// gpsd's host and port.
    pub address: String,
    /// The NMEA file, with `source = "nmea"`.
    pub path: Option<PathBuf>,
    /// How far a fix may lie from a frame and still be its position, 200ms to 60s.
    pub max_age: HumanDuration,
}

impl Default for GpsConfig {
    fn default() -> Self {
        Self {
            source: GpsSource::Gpsd,
            address: "127.0.0.1:2947".into(),
            path: None,
            // Receivers report once a second; three missing reports in a row mean that something is
            // wrong.
            max_age: HumanDuration::from_secs(3),
        }
    }
}

impl GpsConfig {
    /// Checks ranges, and that the source has what it needs.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |key: &str, value: String, range: &str| ConfigError::Range {
            key: format!("gps.{key}"),
            value,
            range: range.into(),
        };
        if !(HumanDuration::from_millis(200)..=HumanDuration::from_secs(60)).contains(&self.max_age)
        {
            return Err(range("max_age", format!("\"{}\"", self.max_age), "200ms to 60s"));
        }
        let port = self.address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if self.source == GpsSource::Gpsd && port.is_none() {
            return Err(range(
                "address",
                format!("{:?}", self.address),
                "host:port such as \"127.0.0.1:2947\"",
            ));
        }
        if self.source == GpsSource::Nmea && self.path.is_none() {
            return Err(range("path", "unset".into(), "the NMEA file, with source = \"nmea\""));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_names_key_value_and_range() {
        let message = |toml: &str| {
            toml::from_str::<GpsConfig>(toml).unwrap().validate().unwrap_err().to_string()
        };
        assert_eq!(message("max_age = \"5m\""), "gps.max_age = \"5m\": must be 200ms to 60s");
        assert_eq!(
            message("address = \"gpsd\""),
            "gps.address = \"gpsd\": must be host:port such as \"127.0.0.1:2947\""
        );
        assert_eq!(
            message("source = \"nmea\""),
            "gps.path = unset: must be the NMEA file, with source = \"nmea\""
        );
        GpsConfig::default().validate().unwrap();
    }
}
