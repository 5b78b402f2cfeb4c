//! `[console]`: the officer's page.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The officer's page, served by the daemon itself.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// Whether the page is served at all; the tones sound either way.
    pub enabled: bool,
    /// Address and port to serve on. Loopback, or with `allow_lan` one address of the car's own
    /// network; never a wildcard, which would serve the cellular modem too.
    pub listen: SocketAddr,
    /// Lets `listen` be an address of a private network. The page is served there encrypted and not
    /// otherwise: `certificate` and `key` are needed.
    pub allow_lan: bool,
    /// PEM file of the page's certificate, and of its chain; goes with `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key; goes with `certificate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Host names, besides the address itself, by which browsers may ask for the page. Any other
    /// name is refused: a foreign site could point its own name at this address.
    pub names: Vec<String>,
    /// The terminal on which the page is read; it determines how large the page's text must be.
    pub screen: Screen,
}

/// A terminal in a car: the size of its screen, its resolution, and its distance from the officer's
/// eye.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Screen {
    /// Diagonal of the screen, in inches.
    pub diagonal_inches: f64,
    /// Width in the browser's pixels; a scaled display has fewer of them than its panel.
    pub width_px: u32,
    /// Distance from the eye to the screen, in millimetres.
    pub distance_mm: u32,
}

impl Default for Screen {
    fn default() -> Self {
        Self { diagonal_inches: 10.1, width_px: 1024, distance_mm: 700 }
    }
}

impl Screen {
    fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, value: String, range: &str| {
            Err(ConfigError::Range {
                key: format!("console.screen.{key}"),
                value,
                range: range.into(),
            })
        };
        if !(4.0..=60.0).contains(&self.diagonal_inches) {
            let inches = self.diagonal_inches.to_string();
            return refuse("diagonal_inches", inches, "4 to 60 (inches from corner to corner)");
        }
        if !(480..=7_680).contains(&self.width_px) {
            return refuse("width_px", self.width_px.to_string(), "480 to 7680 (pixels)");
        }
        if !(250..=2_000).contains(&self.distance_mm) {
            let distance = self.distance_mm.to_string();
            return refuse("distance_mm", distance, "250 to 2000 (millimetres from eye to screen)");
        }
        Ok(())
    }
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 8470)),
            allow_lan: false,
            certificate: None,
            key: None,
            names: Vec::new(),
            screen: Screen::default(),
        }
    }
}

impl ConsoleConfig {
    /// Whether the page is served encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.certificate.is_some() && self.key.is_some()
    }

    /// Refuses addresses that would show hits outside the car, and in clear outside the machine.
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
        for (name, this, other, that) in [
            ("certificate", &self.certificate, "key", &self.key),
            ("key", &self.key, "certificate", &self.certificate),
        ] {
            let unset = |range: String| {
                let (key, value) = (format!("console.{name}"), "(not set)".into());
                Err(ConfigError::Range { key, value, range })
            };
            if this.is_none() && that.is_some() {
                return unset(format!("set together with console.{other}"));
            }
            if this.is_none() && !ip.is_loopback() {
                let why = format!(
                    "a PEM file where console.listen = \"{}\": hits, token and PINs would cross the car's network \
                     in clear (`outrider provision fleet` makes certificate and key)",
                    self.listen
                );
                return unset(why);
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
        self.screen.validate()
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
        let (certificate, key) = (Some("page.pem".into()), Some("page.key".into()));
        let config = ConsoleConfig {
            listen: at.parse().unwrap(),
            allow_lan: lan,
            certificate,
            key,
            ..Default::default()
        };
        assert_eq!(config.validate().is_ok(), fine);
    }

    #[test]
    fn page_is_not_served_in_clear_outside_the_machine() {
        let says = |listen: &str, certificate: Option<&str>, key: Option<&str>| {
            let config = ConsoleConfig {
                listen: listen.parse().unwrap(),
                allow_lan: true,
                certificate: certificate.map(Into::into),
                key: key.map(Into::into),
                ..Default::default()
            };
            config.validate().map_or_else(|e| e.to_string(), |()| String::new())
        };
        let clear = says("192.168.10.1:8470", None, None);
        assert!(clear.contains("console.certificate") && clear.contains("in clear"), "{clear}");
        assert!(says("192.168.10.1:8470", Some("page.pem"), None).contains("console.key"));
        assert!(says("127.0.0.1:8470", None, Some("page.key")).contains("console.certificate"));
        assert_eq!(says("127.0.0.1:8470", None, None), "");
        assert_eq!(says("192.168.10.1:8470", Some("page.pem"), Some("page.key")), "");
    }

    #[rstest]
    #[case(Screen::default(), "")]
    #[case(Screen { diagonal_inches: 0.0, ..Screen::default() }, "console.screen.diagonal_inches = 0:")]
    #[case(Screen { diagonal_inches: f64::NAN, ..Screen::default() }, "console.screen.diagonal_inches = NaN:")]
    #[case(Screen { width_px: 100, ..Screen::default() }, "console.screen.width_px = 100:")]
    #[case(Screen { distance_mm: 70, ..Screen::default() }, "console.screen.distance_mm = 70:")]
    fn screens_that_no_car_has_are_refused_by_name(#[case] screen: Screen, #[case] says: &str) {
        let config = ConsoleConfig { screen, ..Default::default() };
        let said = config.validate().map_or_else(|e| e.to_string(), |()| String::new());
        assert!(said.starts_with(says) && said.is_empty() == says.is_empty(), "{said}");
    }
}
