//! `[alert]`: the tones, and the beacon.

use serde::{Deserialize, Serialize};

use super::{ConfigError, SwitchedLine};
use crate::entry::Priority;

/// The tones, played by the daemon so that they work with no screen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertConfig {
    /// ALSA playback device, as `aplay -L` lists them: `default`, `plughw:CARD=Device,DEV=0`.
    pub device: String,
    /// Loudness in percent of full scale, 20 to 100. There is no zero: high cannot be muted.
    pub volume: i64,
    /// Priorities that make no sound: `low`, `medium` or both, never `high`.
    pub mute: Vec<Priority>,
    /// Whether category, jurisdiction and characters of a hit are spoken after its tone, by espeak-ng.
    pub speech: bool,
    /// A GPIO line that is switched on while a high hit waits that nobody has acknowledged, as
    /// `{ chip = "/dev/gpiochip0", line = 27, active = "high" }`. None by default.
    pub beacon: Option<SwitchedLine>,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self { device: "default".into(), volume: 80, mute: Vec::new(), speech: false, beacon: None }
    }
}

impl AlertConfig {
    /// Quietest setting in percent; at a tenth of full scale a tone drowns in a moving car.
    pub const MIN_VOLUME: i64 = 20;

    /// Keeps high alerts audible.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, value: String, range: &str| {
            Err(ConfigError::Range { key: format!("alert.{key}"), value, range: range.into() })
        };
        if self.device.is_empty() || self.device.contains('\0') {
            return refuse(
                "device",
                format!("{:?}", self.device),
                "an ALSA device, as aplay -L lists them, such as \"default\"",
            );
        }
        if !(Self::MIN_VOLUME..=100).contains(&self.volume) {
            return refuse("volume", self.volume.to_string(), "20 to 100 (percent)");
        }
        if self.mute.contains(&Priority::High) {
            return refuse(
                "mute",
                "\"high\"".into(),
                "\"low\" or \"medium\": high cannot be muted",
            );
        }
        self.beacon.as_ref().map_or(Ok(()), |beacon| beacon.validate("alert.beacon"))
    }
}
