//! `[reading]`: when a vote is sure, how long a track lives, how often one plate may raise an
//! alert.

use serde::{Deserialize, Serialize};

use super::{ConfigError, HumanDuration};

/// When a vote is sure, how long a track lives, how often one plate may raise an alert.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingConfig {
    /// Probability that the least certain character must reach after the vote, 0.5 to 0.999.
    /// Letters that lists cannot keep apart (O, Q and 0; I and 1) count as one.
    pub min_confidence: f32,
    /// Frames whose own text must equal the voted one, 1 to 30.
    pub min_agreeing_frames: u32,
    /// Width of the plate below which a frame does not vote, in pixels of the full frame, 10 to
    /// 1000.
    pub min_plate_width: f32,
    /// Lowest plausibility, 0 to 0.9, at which what was found is read as a plate: the detector's
    /// mean score over the frames, lowered where the text has no plate's usual format. 0 lets every
    /// text of three characters and more through.
    pub min_plausibility: f32,
    /// Frames in a row that a plate may go unseen before its track closes, 1 to 60.
    pub max_gap_frames: u32,
    /// How long an entry that has raised an alert stays quiet, 0s to 24h. An earlier approximate
    /// match does not hold back an exact one.
    pub realert_after: HumanDuration,
    /// What happens to a hit whose entry states a jurisdiction while none was read.
    pub unread_jurisdiction: UnreadJurisdiction,
}

/// What happens to a hit whose entry states a jurisdiction while none was read from the plate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreadJurisdiction {
    /// It keeps its entry's priority, and the alert says that the jurisdiction was not read.
    #[default]
    Alert,
    /// Its priority is medium at most, and the alert says so.
    Lower,
}

impl Default for ReadingConfig {
    fn default() -> Self {
        Self {
            // docs/decisions/0030: at 0.95 one of 387 simulated reads was wrong, at 0.9 four of 431.
            min_confidence: 0.95,
            min_agreeing_frames: 3,
            min_plate_width: 40.0,
            // docs/decisions/0025: the detector's own threshold, so that usual plates lose nothing.
            min_plausibility: 0.35,
            max_gap_frames: 8,
            realert_after: HumanDuration::from_secs(300),
            unread_jurisdiction: UnreadJurisdiction::Alert,
        }
    }
}

impl ReadingConfig {
    /// Checks every field against its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |key: &str, value: String, fits: bool, range: &str| {
            if fits {
                return Ok(());
            }
            Err(ConfigError::Range { key: format!("reading.{key}"), value, range: range.into() })
        };
        check(
            "min_confidence",
            self.min_confidence.to_string(),
            (0.5..=0.999).contains(&self.min_confidence),
            "0.5 to 0.999",
        )?;
        check(
            "min_agreeing_frames",
            self.min_agreeing_frames.to_string(),
            (1..=30).contains(&self.min_agreeing_frames),
            "1 to 30 frames",
        )?;
        check(
            "min_plate_width",
            self.min_plate_width.to_string(),
            (10.0..=1000.0).contains(&self.min_plate_width),
            "10 to 1000 pixels",
        )?;
        check(
            "min_plausibility",
            self.min_plausibility.to_string(),
            (0.0..=0.9).contains(&self.min_plausibility),
            "0 to 0.9",
        )?;
        check(
            "max_gap_frames",
            self.max_gap_frames.to_string(),
            (1..=60).contains(&self.max_gap_frames),
            "1 to 60 frames",
        )?;
        check(
            "realert_after",
            format!("\"{}\"", self.realert_after),
            self.realert_after <= HumanDuration::from_secs(86_400),
            "0s to 24h",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_their_own_ranges() {
        ReadingConfig::default().validate().unwrap();
    }

    #[test]
    fn out_of_range_names_key_value_and_range() {
        let message = |toml: &str| {
            toml::from_str::<ReadingConfig>(toml).unwrap().validate().unwrap_err().to_string()
        };
        assert_eq!(
            message("min_confidence = 1.5"),
            "reading.min_confidence = 1.5: must be 0.5 to 0.999"
        );
        assert_eq!(
            message("min_confidence = nan"),
            "reading.min_confidence = NaN: must be 0.5 to 0.999"
        );
        assert_eq!(
            message("realert_after = \"2d\""),
            "reading.realert_after = \"2d\": must be 0s to 24h"
        );
    }
}
