//! `[policy]` and `[hotplates]`: signed policy, and the entries that officers add.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, HumanDuration};

/// Where signed policy comes from besides the broker, and the ceiling that it never goes past.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// A signed policy on disk, for cars that no broker reaches; a changed file is read within
    /// seconds.
    pub file: Option<PathBuf>,
    /// File with rules in TOML that no policy and no setting of this car goes past, whoever signs;
    /// it is written when the car is provisioned.
    pub ceiling: Option<PathBuf>,
}

/// Entries that officers add in the car.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HotplatesConfig {
    /// How long a hotplate lasts where the officer names no time: a shift, `"15m"` to `longest`.
    pub shift: HumanDuration,
    /// Longest that a hotplate may last, up to `"30d"`.
    pub longest: HumanDuration,
    /// Most hotplates at once, 0 to 100; 0 forbids them.
    pub most: u32,
}

impl Default for HotplatesConfig {
    fn default() -> Self {
        Self {
            // Patrol shifts in Ontario are 12 hours at most.
            shift: HumanDuration::from_secs(12 * 3_600),
            longest: HumanDuration::from_secs(24 * 3_600),
            most: 16,
        }
    }
}

impl HotplatesConfig {
    /// Checks the ranges that the types do not express.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |key: &str, value: String, range: &str| {
            Err(ConfigError::Range { key: format!("hotplates.{key}"), value, range: range.into() })
        };
        if self.longest.get() > Duration::from_secs(30 * 86_400) {
            return range("longest", format!("\"{}\"", self.longest), "30d at most");
        }
        if self.shift.get() < Duration::from_secs(900) || self.shift > self.longest {
            return range("shift", format!("\"{}\"", self.shift), "15m to hotplates.longest");
        }
        if self.most > 100 {
            return range("most", self.most.to_string(), "0 to 100");
        }
        Ok(())
    }
}
