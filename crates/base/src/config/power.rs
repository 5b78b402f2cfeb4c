//! `[power]`: the line that says whether the ignition is on, and for how long the car stays on without it.

use std::path::PathBuf;

use serde::Deserialize;

use super::gpio::{self, ActiveLevel};
use super::{ConfigError, HumanDuration};

/// The ignition line. Off unless `chip` and `line` are set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PowerConfig {
    /// The GPIO chip's device, such as `/dev/gpiochip0`.
    pub chip: Option<PathBuf>,
    /// The line's number on that chip, 0 to 1023, as `gpioinfo` counts.
    pub line: Option<u32>,
    /// `high` or `low`: the level at which the ignition is on.
    pub active: ActiveLevel,
    /// How long the ignition must be off before the car powers off, 5s to 12h.
    pub grace: HumanDuration,
}

impl Default for PowerConfig {
    fn default() -> Self {
        Self {
            chip: None,
            line: None,
            active: ActiveLevel::High,
            // Long enough for a stop at a petrol pump or an engine that stalls.
            grace: HumanDuration::from_secs(60),
        }
    }
}

impl PowerConfig {
    /// The chip and the line, where the ignition is watched.
    pub fn watched(&self) -> Option<(&PathBuf, u32)> {
        Some((self.chip.as_ref()?, self.line?))
    }

    /// Checks ranges, and that a line has its chip.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |key: &str, value: String, range: &str| ConfigError::Range {
            key: format!("power.{key}"),
            value,
            range: range.into(),
        };
        match (&self.chip, self.line) {
            (Some(chip), line) => {
                gpio::chip("power.chip", chip)?;
                let unset = || range("line", "unset".into(), "the line's number, with power.chip");
                gpio::line("power.line", line.ok_or_else(unset)?)?;
            }
            (None, Some(line)) => {
                return Err(range("line", line.to_string(), "left out without power.chip"));
            }
            (None, None) => {}
        }
        let allowed = HumanDuration::from_secs(5)..=HumanDuration::from_secs(12 * 3600);
        if !allowed.contains(&self.grace) {
            return Err(range("grace", format!("\"{}\"", self.grace), "5s to 12h"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_names_key_value_and_range() {
        let chip = "chip = \"/dev/gpiochip0\"\n";
        for (toml, expected) in [
            ("chip = \"gpiochip0\"".to_owned(), "power.chip = \"gpiochip0\": must be the path"),
            (chip.to_owned(), "power.line = unset: must be the line's number"),
            ("line = 17".to_owned(), "power.line = 17: must be left out without power.chip"),
            (format!("{chip}line = 1024"), "power.line = 1024: must be 0 to 1023"),
            ("grace = \"4s\"".to_owned(), "power.grace = \"4s\": must be 5s to 12h"),
            ("grace = \"1d\"".to_owned(), "power.grace = \"1d\": must be 5s to 12h"),
        ] {
            let config: PowerConfig = toml::from_str(&toml).unwrap();
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        let config: PowerConfig =
            toml::from_str(&format!("{chip}line = 17\nactive = \"low\"")).unwrap();
        config.validate().unwrap();
        assert_eq!(config.watched().unwrap().1, 17);
        assert_eq!(PowerConfig::default().watched(), None, "off by default");
    }
}
