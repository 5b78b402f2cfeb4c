//! Lines of GPIO chips, as `[power]` and `[alert] beacon` name them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The level at which what is wired to a line is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActiveLevel {
    /// The line is high while it is on.
    #[default]
    High,
    /// The line is low while it is on, as behind most optocouplers.
    Low,
}

/// A line by which something is switched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchedLine {
    /// The GPIO chip's device, such as `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// The line's number on that chip, 0 to 1023, as `gpioinfo` counts.
    pub line: u32,
    /// `high` or `low`: the level at which what is wired to it is on.
    #[serde(default)]
    pub active: ActiveLevel,
}

impl SwitchedLine {
    /// Checks path and range.
    pub(super) fn validate(&self, key: &str) -> Result<(), ConfigError> {
        chip(&format!("{key}.chip"), &self.chip)?;
        line(&format!("{key}.line"), self.line)
    }
}

/// Checks the path of a chip.
pub(super) fn chip(key: &str, chip: &Path) -> Result<(), ConfigError> {
    match chip.is_absolute() {
        true => Ok(()),
        false => Err(ConfigError::Range {
            key: key.into(),
            value: format!("{:?}", chip.display().to_string()),
            range: "the path of a GPIO chip such as \"/dev/gpiochip0\"".into(),
        }),
    }
}

/// Checks the number of a line.
pub(super) fn line(key: &str, line: u32) -> Result<(), ConfigError> {
    match line <= 1023 {
        true => Ok(()),
        false => Err(ConfigError::Range {
            key: key.into(),
            value: line.to_string(),
            range: "0 to 1023".into(),
        }),
    }
}
