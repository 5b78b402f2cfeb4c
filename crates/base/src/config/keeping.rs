//! `[keeping]`: what stays in the car, where, and for how long.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ConfigError;
use super::{HumanBytes, HumanDuration};

/// What is kept in the car. Every key has a default, and the default keeps the least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepingConfig {
    /// Folder of all databases and of the device key file; the first start makes it, for our own
    /// user alone.
    pub directory: PathBuf,
    /// Where the device key comes from, which opens everything that is kept: `"credential"` (passed
    /// by systemd, sealed to the TPM where there is one), `"file"` (on the same disk),
    /// `"passphrase"` (typed at the start of the shift) or `"auto"` (whichever of these exists; if
    /// none does, a file is made).
    pub key: KeySource,
    /// How long a read that matched nothing is kept: `"0s"` (never written at all), `"session"`
    /// (encrypted with keys that exist in memory only, unreadable once the daemon ends) or a
    /// duration from `"1m"` to `"30d"`.
    pub non_hit: Retention,
    /// Whether the ring also keeps a picture of each plate: the plate alone, never its
    /// surroundings.
    pub thumbnails: bool,
    /// Most bytes that the ring's files may take together, `"1MiB"` to `"1TiB"`; the oldest are
    /// purged first.
    pub ring_bytes: HumanBytes,
    /// Free disk space that the ring leaves to hits, `"0B"` to `"1TiB"`: when less is free, the
    /// ring sheds its oldest buckets and, if that is not enough, writes nothing.
    pub disk_reserve: HumanBytes,
    /// How long a hit stays in the car after the broker has acknowledged it, `"1h"` to `"3650d"`.
    /// One that is not acknowledged stays.
    pub hits: HumanDuration,
    /// How long the pictures of a delivered hit stay, `"0s"` to `"3650d"`; never longer than the
    /// hit itself. If this is shorter than `hits`, the text outlives the picture.
    pub hit_images: HumanDuration,
}

impl Default for KeepingConfig {
    fn default() -> Self {
        Self {
            directory: "/var/lib/outrider".into(),
            key: KeySource::Auto,
            non_hit: Retention::Nothing,
            thumbnails: false,
            ring_bytes: HumanBytes::mib(1024),
            disk_reserve: HumanBytes::mib(256),
            hits: HumanDuration::from_secs(30 * 86_400),
            hit_images: HumanDuration::from_secs(30 * 86_400),
        }
    }
}

impl KeepingConfig {
    /// Checks the ranges that the types do not express.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |key: &str, value: String, range: &str| {
            Err(ConfigError::Range { key: format!("keeping.{key}"), value, range: range.into() })
        };
        const TIB: u64 = 1 << 40;
        if !self.directory.is_absolute() {
            return range(
                "directory",
                format!("{:?}", self.directory.display().to_string()),
                "an absolute path",
            );
        }
        if let Retention::For(d) = self.non_hit
            && !(Duration::from_secs(60)..=Duration::from_secs(30 * 86_400)).contains(&d)
        {
            return range(
                "non_hit",
                format!("{:?}", self.non_hit.to_string()),
                "\"0s\", \"session\", or a duration from \"1m\" to \"30d\"",
            );
        }
        if !((1 << 20)..=TIB).contains(&self.ring_bytes.get()) {
            return range("ring_bytes", format!("\"{}\"", self.ring_bytes), "1MiB to 1TiB");
        }
        if self.disk_reserve.get() > TIB {
            return range("disk_reserve", format!("\"{}\"", self.disk_reserve), "0B to 1TiB");
        }
        let hits = self.hits.get();
        if !(Duration::from_secs(3_600)..=Duration::from_secs(3_650 * 86_400)).contains(&hits) {
            return range("hits", format!("\"{}\"", self.hits), "1h to 3650d");
        }
        if self.hit_images.get() > Duration::from_secs(3_650 * 86_400) {
            return range("hit_images", format!("\"{}\"", self.hit_images), "0s to 3650d");
        }
        Ok(())
    }
}

/// Where the device key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// A credential if systemd passes one, else the key in the state folder, else a file is made.
    #[default]
    Auto,
    /// Only a systemd credential.
    Credential,
    /// Only a file in the state folder; the first start makes it.
    File,
    /// Only a file under a passphrase; a start never makes it.
    Passphrase,
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Credential => "credential",
            Self::File => "file",
            Self::Passphrase => "passphrase",
        })
    }
}

/// How long reads that matched nothing are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retention {
    /// `"0s"`: such a read never reaches storage; no file is made.
    #[default]
    Nothing,
    /// `"session"`: keys live in memory only.
    Session,
    /// A duration: keys are sealed by the device key.
    For(Duration),
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("0s"),
            Self::Session => f.write_str("session"),
            Self::For(d) => {
                let ms = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
                HumanDuration::from_millis(ms).fmt(f)
            }
        }
    }
}

/// A text that is not a retention.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be \"0s\", \"session\", or a duration such as \"3m\", \"24h\" or \"7d\"")]
pub struct NotARetention;

impl FromStr for Retention {
    type Err = NotARetention;
    fn from_str(text: &str) -> Result<Self, NotARetention> {
        if text == "session" {
            return Ok(Self::Session);
        }
        match text.parse::<HumanDuration>() {
            Ok(d) if d.is_zero() => Ok(Self::Nothing),
            Ok(d) => Ok(Self::For(d.get())),
            Err(_) => Err(NotARetention),
        }
    }
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn an_empty_section_keeps_nothing() {
        let keeping: KeepingConfig = toml::from_str("").unwrap();
        assert_eq!(keeping.non_hit, Retention::Nothing);
        assert!(!keeping.thumbnails);
        keeping.validate().unwrap();
    }

    #[rstest]
    #[case("0s", Retention::Nothing)]
    #[case("0d", Retention::Nothing)]
    #[case("session", Retention::Session)]
    #[case("3m", Retention::For(Duration::from_secs(180)))]
    fn retentions_people_write(#[case] text: &str, #[case] expected: Retention) {
        assert_eq!(text.parse(), Ok(expected));
    }

    #[rstest]
    #[case("directory = \"state\"", "keeping.directory = \"state\": must be an absolute path")]
    #[case(
        "non_hit = \"5s\"",
        "keeping.non_hit = \"5s\": must be \"0s\", \"session\", or a duration from \"1m\" to \"30d\""
    )]
    #[case("ring_bytes = \"1KiB\"", "keeping.ring_bytes = \"1KiB\": must be 1MiB to 1TiB")]
    #[case("hit_images = \"9999d\"", "keeping.hit_images = \"9999d\": must be 0s to 3650d")]
    #[case("hits = \"5m\"", "keeping.hits = \"5m\": must be 1h to 3650d")]
    fn values_out_of_range(#[case] toml: &str, #[case] message: &str) {
        let keeping: KeepingConfig = toml::from_str(toml).unwrap();
        assert_eq!(keeping.validate().unwrap_err().to_string(), message);
    }

    #[test]
    fn forever_is_not_a_retention() {
        let error = toml::from_str::<KeepingConfig>("non_hit = \"forever\"").unwrap_err();
        assert!(error.message().contains("must be \"0s\", \"session\""), "{error}");
    }
}
