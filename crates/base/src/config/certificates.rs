//! `[certificates]`: how long before its end a certificate of the car is warned of.

use serde::{Deserialize, Serialize};

use super::{ConfigError, HumanDuration};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// The certificates that end one day: the one for the broker, and the page's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificatesConfig {
    /// Time before its end from which on a certificate is warned of, in whole days, `"8d"` to `"180d"`. In its last week
    /// it fails, whatever is set here.
    pub warn_before: HumanDuration,
}

impl Default for CertificatesConfig {
    fn default() -> Self {
        Self { warn_before: HumanDuration::from_secs(30 * DAY) }
    }
}

impl CertificatesConfig {
    /// Whole days left from which on a certificate is warned of.
    pub fn warn_days(&self) -> i64 {
        i64::try_from(self.warn_before.get().as_secs() / DAY).unwrap_or(i64::MAX)
    }

    /// Refuses warnings that would come with the failure, or be there all the year.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let time = self.warn_before.get();
        let whole = time.as_millis().is_multiple_of(1_000 * u128::from(DAY));
        if whole && (8 * DAY..=180 * DAY).contains(&time.as_secs()) {
            return Ok(());
        }
        Err(ConfigError::Range {
            key: "certificates.warn_before".into(),
            value: format!("\"{}\"", self.warn_before),
            range: "whole days, 8d to 180d".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("7d", None)]
    #[case("8d", Some(8))]
    #[case("240h", Some(10))]
    #[case("241h", None)]
    #[case("691200001ms", None)]
    #[case("180d", Some(180))]
    #[case("181d", None)]
    fn warning_comes_whole_days_before_the_end(#[case] text: &str, #[case] days: Option<i64>) {
        let config = CertificatesConfig { warn_before: text.parse().unwrap() };
        match (config.validate(), days) {
            (Ok(()), Some(days)) => assert_eq!(config.warn_days(), days),
            (Err(e), None) => assert!(e.to_string().contains("certificates.warn_before"), "{e}"),
            (said, _) => panic!("{text}: {said:?}"),
        }
    }
}
