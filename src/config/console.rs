//! `[console]`: the officer's page.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The officer's page, served by the daemon itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// Whether the page is served at all; the tones sound either way.
    pub enabled: bool,
    /// Address and port to serve on. Loopback, or with `allow_lan` one address of the car's own
    /// network; never a wildcard, which would serve the cellular modem too.
    pub listen: SocketAddr,
    /// Lets `listen` be an address of a private network. Whoever is on that network sees the hits, and
    /// can add hotplates.
    pub allow_lan: bool,
    /// Host names, besides the address itself, by which browsers may ask for the page. Any other
    /// name is refused: it would be a foreign site pointing its name at this address.
    pub names: Vec<String>,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 8470)),
            allow_lan: false,
            names: Vec::new(),
        }
    }
}

impl ConsoleConfig {
    /// Refuses addresses that would show hits outside the car.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |range: &str| {
            Err(ConfigError::Range {
                key: "console.listen".into(),
                value: format!("\"{}\"", self.listen),
                range: range.into(),
            })
        };
        let ip = self.listen.ip().to_canonical();
        if !ip.is_loopback() {
            if !self.allow_lan {
                return refuse(
                    "a loopback address such as \"127.0.0.1:8470\", unless allow_lan = true",
                );
            }
            if !is_private(ip) {
                return refuse("loopback or one private address such as \"192.168.10.1:8470\"");
            }
        }
        for name in &self.names {
            let fits = !name.is_empty()
                && name.len() <= 253
                && name.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'
                });
            if !fits {
                return Err(ConfigError::Range {
                    key: "console.names".into(),
                    value: format!("{name:?}"),
                    range: "host names in lower case without a port, such as \"outrider.local\""
                        .into(),
                });
            }
        }
        Ok(())
    }
}

/// Whether an address belongs to a network that is not routed on the Internet.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("127.0.0.1:8470", false, true)]
    #[case("[::1]:8470", false, true)]
    #[case("192.168.10.1:8470", false, false)]
    #[case("192.168.10.1:8470", true, true)]
    #[case("[fd00::1]:8470", true, true)]
    #[case("0.0.0.0:8470", true, false)]
    #[case("[::]:8470", true, false)]
    #[case("[::ffff:8.8.8.8]:8470", true, false)]
    #[case("203.0.113.9:8470", true, false)]
    fn where_the_page_may_be_served(#[case] at: &str, #[case] lan: bool, #[case] fine: bool) {
        let config =
            ConsoleConfig { listen: at.parse().unwrap(), allow_lan: lan, ..Default::default() };
        assert_eq!(config.validate().is_ok(), fine);
    }
}
