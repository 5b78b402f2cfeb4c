//! The settings: one TOML file, as types. Unknown keys are refused, and every error names the
//! key, the value and the range.
//!
//! Each section is a struct in its own file, with its defaults, a doc line with unit and range per
//! field, and a `validate` for what a type cannot say.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Why a configuration is refused. Each message is one line that names what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser says, with line and key.
        message: String,
    },
    /// A value outside its range, or two that do not go together.
    #[error("{key} = {value}: must be {range}")]
    Range {
        /// Dotted key, such as `camera.front.fps`.
        key: String,
        /// The value as written.
        value: String,
        /// What is allowed, in words.
        range: String,
    },
}

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who this car is.
    pub vehicle: Vehicle,
}

/// Who this car is, in topics and hits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vehicle {
    /// Unit number, such as `4127`; a topic level, so letters, digits, `-` and `_` only.
    pub id: String,
    /// Agency, such as `peel`; a topic level too.
    pub agency: String,
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text).map_err(|e| ConfigError::Malformed {
            path: path.to_owned(),
            message: e.to_string(),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Rules that hold across fields.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, value) in
            [("vehicle.id", &self.vehicle.id), ("vehicle.agency", &self.vehicle.agency)]
        {
            let fits = !value.is_empty()
                && value.len() <= 32
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !fits {
                return Err(ConfigError::Range {
                    key: key.into(),
                    value: format!("{value:?}"),
                    range: "1 to 32 letters, digits, - or _".into(),
                });
            }
        }
        Ok(())
    }
}
