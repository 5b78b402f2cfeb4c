//! `[gps]`: where fixes come from and how old one may be.

use std::net::{IpAddr, SocketAddr};
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
    /// TAIP messages of the car's router, by UDP at `listen` or by TCP from `connect`.
    Taip,
    /// A file of NMEA sentences at `path`, played once at its own pace.
    Nmea,
    /// No receiver: every read says that it has no fix.
    Off,
}

/// Where fixes come from and how old one may be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GpsConfig {
    /// `gpsd`, `taip`, `nmea` or `off`.
    pub source: GpsSource,
    /// gpsd's host and port.
    pub address: String,
    /// This computer's own address and port, to which the router sends TAIP by UDP.
    pub listen: Option<SocketAddr>,
    /// The router's address: packets from any other are refused. It goes with `listen`.
    pub from: Option<IpAddr>,
    /// The router's host and port, where it offers TAIP by TCP; in place of `listen`.
    pub connect: Option<String>,
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
            listen: None,
            from: None,
            connect: None,
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
        if self.source == GpsSource::Gpsd && !has_port(&self.address) {
            return Err(range(
                "address",
                format!("{:?}", self.address),
                "host:port such as \"127.0.0.1:2947\"",
            ));
        }
        if self.source == GpsSource::Nmea && self.path.is_none() {
            return Err(range("path", "unset".into(), "the NMEA file, with source = \"nmea\""));
        }
        match self.source {
            GpsSource::Taip => self.validate_router(range),
            _ => Ok(()),
        }
    }

    /// Checks that it is known how the router's messages come, and whose they are.
    fn validate_router(
        &self,
        range: impl Fn(&str, String, &str) -> ConfigError,
    ) -> Result<(), ConfigError> {
        match (self.listen, &self.connect) {
            (None, None) => Err(range(
                "listen",
                "unset".into(),
                "the address and port of this computer to which the router sends TAIP by UDP, such as \
                 \"192.168.13.1:21000\" (or set gps.connect, for TCP)",
            )),
            (Some(_), Some(connect)) => Err(range(
                "connect",
                format!("{connect:?}"),
                "left out with gps.listen: the messages come by UDP or by TCP",
            )),
            (None, Some(connect)) if !has_port(connect) => Err(range(
                "connect",
                format!("{connect:?}"),
                "the router's host:port such as \"192.168.13.31:9494\"",
            )),
            (Some(listen), None) if listen.port() == 0 => Err(range(
                "listen",
                format!("\"{listen}\""),
                "an address with the port to which the router sends, such as \"192.168.13.1:21000\"",
            )),
            (Some(_), None) if self.from.is_none_or(|from| from.is_unspecified()) => Err(range(
                "from",
                self.from.map_or("unset".into(), |from| format!("\"{from}\"")),
                "the router's own address, such as \"192.168.13.31\": packets from any other are refused",
            )),
            _ => Ok(()),
        }
    }

    /// The source in words, for a person who asks where positions come from.
    pub fn in_words(&self) -> String {
        match (self.source, self.listen, self.from, &self.connect) {
            (GpsSource::Gpsd, ..) => format!("gpsd at {}", self.address),
            (GpsSource::Taip, Some(listen), Some(from), _) => {
                format!("TAIP from {from} to {listen}")
            }
            (GpsSource::Taip, .., connect) => {
                format!("TAIP from {}", connect.as_deref().unwrap_or("nowhere"))
            }
            (GpsSource::Nmea, ..) => "a recording".into(),
            (GpsSource::Off, ..) => "switched off".into(),
        }
    }
}

/// Whether a text ends with a port.
fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
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
        let taip = "source = \"taip\"\n";
        let listen = format!("{taip}listen = \"192.168.13.1:21000\"\n");
        for (toml, key) in [
            (taip.to_owned(), "gps.listen = unset"),
            (listen.clone(), "gps.from = unset"),
            (format!("{listen}from = \"0.0.0.0\""), "gps.from = \"0.0.0.0\""),
            (format!("{listen}connect = \"router:9494\""), "gps.connect = \"router:9494\""),
            (format!("{taip}connect = \"router\""), "gps.connect = \"router\""),
            (format!("{taip}listen = \"127.0.0.1:0\""), "gps.listen = \"127.0.0.1:0\""),
        ] {
            let message = message(&toml);
            assert!(message.starts_with(&format!("{key}: must be ")), "{message}");
        }
        for (toml, words) in [
            (
                format!("{listen}from = \"192.168.13.31\""),
                "TAIP from 192.168.13.31 to 192.168.13.1:21000",
            ),
            (format!("{taip}connect = \"router:9494\""), "TAIP from router:9494"),
        ] {
            let config: GpsConfig = toml::from_str(&toml).unwrap();
            config.validate().unwrap();
            assert_eq!(config.in_words(), words);
        }
        GpsConfig::default().validate().unwrap();
    }
}
