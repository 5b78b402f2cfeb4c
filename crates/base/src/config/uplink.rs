//! `[uplink]`: the broker that hits are sent to.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::HumanDuration;

/// The broker that hits are sent to. Without `broker` nothing leaves: hits wait in the car.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UplinkConfig {
    /// `mqtts://host:port` (port 8883 if left out). Plain `mqtt://` (1883) is for a broker on this
    /// very machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// PEM file of the authority that signed the broker's certificate; needed with `mqtts://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM file of this car's own certificate, and of its chain; goes with `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of this car's own private key; goes with `certificate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// User name, where the broker wants one beside or instead of a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File whose first line is the password. It has no place in this file, which others may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Client identifier; `outrider-<agency>-<id>` if left out. Of two clients with one identifier,
    /// each disconnects the other; so does anybody else whom the broker lets in under it. With `""`
    /// the broker makes up an identifier that nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Time between pings on an idle connection, `"5s"` to `"10m"`. A dead connection is noticed
    /// within twice this.
    pub keep_alive: HumanDuration,
    /// Longest pause between two attempts to connect, `"1s"` to `"1h"`.
    pub retry_most: HumanDuration,
    /// Time between two health messages, `"5s"` to `"1d"`.
    pub health_every: HumanDuration,
}

impl Default for UplinkConfig {
    fn default() -> Self {
        Self {
            broker: None,
            ca: None,
            certificate: None,
            key: None,
            username: None,
            password_file: None,
            client_id: None,
            keep_alive: HumanDuration::from_secs(30),
            retry_most: HumanDuration::from_secs(60),
            health_every: HumanDuration::from_secs(60),
        }
    }
}

/// `uplink.broker`, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl std::fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, host, port) = (if self.tls { "mqtts" } else { "mqtt" }, &self.host, self.port);
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl UplinkConfig {
    /// Parses `broker`; `None` if the uplink is off.
    pub fn address(&self) -> Result<Option<BrokerAddress>, ConfigError> {
        let Some(text) = &self.broker else { return Ok(None) };
        let range = |range: &str| ConfigError::Range {
            key: "uplink.broker".into(),
            value: format!("{text:?}"),
            range: range.into(),
        };
        const FORM: &str = "mqtts://host or mqtts://host:port";
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtts", rest)) => (true, rest),
            Some(("mqtt", rest)) => (false, rest),
            _ => return Err(range(FORM)),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(v6) => match v6.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(range(FORM))?)),
                None => return Err(range(FORM)),
            },
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|p| *p != 0).ok_or(range(FORM))?,
            None => [1883, 8883][usize::from(tls)],
        };
        let ours = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        if host.is_empty() || !host.bytes().all(ours) {
            return Err(range(FORM));
        }
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !tls && !here {
            return Err(range(
                "mqtts:// (mqtt:// sends hits in clear, and is accepted for 127.0.0.1, ::1 and \
                 localhost only)",
            ));
        }
        Ok(Some(BrokerAddress { host: host.to_owned(), port, tls }))
    }

    /// Checks the ranges that the types do not express, and keys that need each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |key: &str, value: String, range: &str| {
            Err(ConfigError::Range { key: format!("uplink.{key}"), value, range: range.into() })
        };
        let address = self.address()?;
        if address.is_some_and(|a| a.tls) && self.ca.is_none() {
            return range(
                "ca",
                "(not set)".into(),
                "the PEM file of the authority that signed the broker's certificate, with mqtts://",
            );
        }
        for (key, this, other, that) in [
            ("certificate", &self.certificate, "key", &self.key),
            ("key", &self.key, "certificate", &self.certificate),
        ] {
            if this.is_none() && that.is_some() {
                return range(
                    key,
                    "(not set)".into(),
                    &format!("set together with uplink.{other}"),
                );
            }
        }
        if self.password_file.is_some() && self.username.is_none() {
            return range("username", "(not set)".into(), "set together with uplink.password_file");
        }
        if let Some(id) = &self.client_id
            && (id.len() > 64 || !id.bytes().all(|b| b.is_ascii_graphic()))
        {
            return range(
                "client_id",
                format!("{id:?}"),
                "1 to 64 visible ASCII characters, or \"\": the broker then makes one up",
            );
        }
        for (key, value, least, most, words) in [
            ("keep_alive", self.keep_alive, 5, 600, "5s to 10m"),
            ("retry_most", self.retry_most, 1, 3_600, "1s to 1h"),
            ("health_every", self.health_every, 5, 86_400, "5s to 1d"),
        ] {
            if !(Duration::from_secs(least)..=Duration::from_secs(most)).contains(&value.get()) {
                return range(key, format!("\"{value}\""), words);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn with_broker(broker: &str) -> UplinkConfig {
        UplinkConfig { broker: Some(broker.into()), ..UplinkConfig::default() }
    }

    #[rstest]
    #[case("mqtts://broker.agency.example", "mqtts://broker.agency.example:8883")]
    #[case("mqtts://10.0.0.4:8884", "mqtts://10.0.0.4:8884")]
    #[case("mqtt://localhost", "mqtt://localhost:1883")]
    #[case("mqtt://127.0.0.7:1999", "mqtt://127.0.0.7:1999")]
    #[case("mqtt://[::1]:1999", "mqtt://[::1]:1999")]
    fn addresses(#[case] text: &str, #[case] whole: &str) {
        assert_eq!(with_broker(text).address().unwrap().unwrap().to_string(), whole);
    }

    #[rstest]
    #[case("broker.example:8883", "must be mqtts://host or mqtts://host:port")]
    #[case("mqtts://", "must be mqtts://host or mqtts://host:port")]
    #[case("mqtts://a b", "must be mqtts://host or mqtts://host:port")]
    #[case("mqtts://a:0", "must be mqtts://host or mqtts://host:port")]
    #[case("mqtts://a:65536", "must be mqtts://host or mqtts://host:port")]
    #[case("mqtt://10.0.0.4", "must be mqtts:// (mqtt:// sends hits in clear")]
    #[case("mqtt://localhost.evil.example", "must be mqtts:// (mqtt:// sends hits in clear")]
    fn addresses_refused(#[case] text: &str, #[case] why: &str) {
        let message = with_broker(text).validate().unwrap_err().to_string();
        assert!(message.starts_with("uplink.broker = ") && message.contains(why), "{message}");
    }

    #[rstest]
    #[case("broker = \"mqtts://b\"", "uplink.ca = (not set): must be the PEM file")]
    #[case(
        "key = \"k.pem\"",
        "uplink.certificate = (not set): must be set together with uplink.key"
    )]
    #[case("certificate = \"c.pem\"", "uplink.key = (not set)")]
    #[case("password_file = \"p\"", "uplink.username = (not set)")]
    #[case("client_id = \"a b\"", "uplink.client_id = \"a b\": must be 1 to 64 visible")]
    #[case("keep_alive = \"1s\"", "uplink.keep_alive = \"1s\": must be 5s to 10m")]
    #[case("health_every = \"2d\"", "uplink.health_every = \"2d\": must be 5s to 1d")]
    fn keys_that_do_not_go_together(#[case] toml: &str, #[case] why: &str) {
        let config: UplinkConfig = toml::from_str(toml).unwrap();
        let message = config.validate().unwrap_err().to_string();
        assert!(message.starts_with(why), "{message}");
    }

    #[test]
    fn without_a_broker_nothing_leaves_and_nothing_is_wrong() {
        let config: UplinkConfig = toml::from_str("").unwrap();
        config.validate().unwrap();
        assert_eq!(config.address().unwrap(), None);
    }
}
