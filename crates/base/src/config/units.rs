//! Durations and sizes as people write them: `"3m"`, `"24h"`, `"64MiB"`.
//!
//! Only the value is kept. It prints as the shortest form with the same meaning, so that a
//! configuration which is shown back reads as it was written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole number and a unit: `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(Duration);

/// Units of [`HumanDuration`] in milliseconds, largest first.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl HumanDuration {
    /// No time at all.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// Whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// Whole seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whether this is `0s`.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        match TIME_UNITS.iter().find(|(_, unit)| ms != 0 && ms.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", ms / unit),
            None => f.write_str("0s"),
        }
    }
}

impl From<HumanDuration> for Duration {
    fn from(human: HumanDuration) -> Self {
        human.0
    }
}

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number and a unit, such as \"500ms\", \"30s\", \"3m\", \"24h\" or \"7d\"")]
pub struct NotADuration;

impl FromStr for HumanDuration {
    type Err = NotADuration;
    fn from_str(text: &str) -> Result<Self, NotADuration> {
        let (number, unit) = split(text).ok_or(NotADuration)?;
        let (_, ms) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or(NotADuration)?;
        number.checked_mul(*ms).map(Self::from_millis).ok_or(NotADuration)
    }
}

/// A whole number of bytes and a unit: `B`, `KiB`, `MiB`, `GiB`, `TiB`, or `KB`, `MB`, `GB`, `TB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanBytes(u64);

/// Units of [`HumanBytes`] in bytes; printing takes the first that divides.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl HumanBytes {
    /// Bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Whole mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZE_UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => f.write_str("0B"),
        }
    }
}

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number and a unit, such as \"512KiB\", \"64MiB\" or \"2GiB\"")]
pub struct NotASize;

impl FromStr for HumanBytes {
    type Err = NotASize;
    fn from_str(text: &str) -> Result<Self, NotASize> {
        let (number, unit) = split(text).ok_or(NotASize)?;
        let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or(NotASize)?;
        number.checked_mul(*bytes).map(Self).ok_or(NotASize)
    }
}

/// Splits `64MiB` into 64 and `MiB`. A sign, a point or a space is refused, so that each value is
/// written in one way.
fn split(text: &str) -> Option<(u64, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..at].parse().ok()?, &text[at..]))
}

/// Implements `Serialize` by what is printed and `Deserialize` from a string only: a bare number
/// has no unit, and guessing one turns a retention of three days into three seconds.
macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(match std::any::type_name::<$type>().ends_with("Bytes") {
                            true => "a size such as \"64MiB\"",
                            false => "a duration such as \"30s\" or \"24h\"",
                        })
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                d.deserialize_str(Text)
            }
        }
    };
}
as_text!(HumanDuration);
as_text!(HumanBytes);

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0s", 0, "0s")]
    #[case("0d", 0, "0s")]
    #[case("500ms", 500, "500ms")]
    #[case("90s", 90_000, "90s")]
    #[case("60s", 60_000, "1m")]
    #[case("24h", 86_400_000, "1d")]
    #[case("7d", 604_800_000, "7d")]
    fn durations_people_write(#[case] text: &str, #[case] ms: u64, #[case] shown: &str) {
        let duration: HumanDuration = text.parse().unwrap();
        assert_eq!(duration.get(), Duration::from_millis(ms));
        assert_eq!(duration.to_string(), shown);
    }

    #[rstest]
    #[case("64MiB", 64 << 20, "64MiB")]
    #[case("1024KiB", 1 << 20, "1MiB")]
    #[case("5MB", 5_000_000, "5MB")]
    #[case("0B", 0, "0B")]
    #[case("1500B", 1_500, "1500B")]
    fn sizes_people_write(#[case] text: &str, #[case] bytes: u64, #[case] shown: &str) {
        let size: HumanBytes = text.parse().unwrap();
        assert_eq!(size.get(), bytes);
        assert_eq!(size.to_string(), shown);
    }

    #[rstest]
    #[case("")]
    #[case("3")]
    #[case("s")]
    #[case("-3s")]
    #[case("1.5h")]
    #[case("3 m")]
    #[case("3M")]
    #[case("99999999999999999999d")]
    #[case("9999999999999999d")]
    fn texts_without_one_meaning_are_refused(#[case] text: &str) {
        assert_eq!(text.parse::<HumanDuration>(), Err(NotADuration));
        assert_eq!(text.parse::<HumanBytes>(), Err(NotASize));
    }

    #[test]
    fn a_bare_number_is_refused_with_an_example() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its refusal is looked at")]
        struct Section {
            keep: HumanDuration,
            size: HumanBytes,
        }
        let error = toml::from_str::<Section>("keep = 3\nsize = \"1B\"").unwrap_err();
        assert!(error.message().contains("a duration such as"), "{error}");
        let error = toml::from_str::<Section>("keep = \"3m\"\nsize = 5").unwrap_err();
        assert!(error.message().contains("a size such as"), "{error}");
    }
}
