//! `[[hotlist]]`: a list of plates, where it comes from, and how its entries are matched.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, HumanBytes, HumanDuration};
use crate::entry::{DateOrder, Matching, Priority};

/// Where a list comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ListSource {
    /// A file in the car.
    #[default]
    File,
    /// Signed, from the fleet's broker.
    Mqtt,
}

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HotlistConfig {
    /// The list's name in alerts and topics: 1 to 32 letters, digits, `-` and `_`; no two lists
    /// share a name.
    pub name: String,
    /// `file`, or `mqtt`: signed by its author, kept up to date over the broker.
    #[serde(default)]
    pub source: ListSource,
    /// With `source = "file"`: a plain list (one plate a line, `#` starts a comment) or, with a
    /// header line, CSV.
    #[serde(default)]
    pub path: PathBuf,
    /// With `source = "mqtt"`: the file of the list's key. It is read at every start while it
    /// exists, and its content is sealed in the car; after the first start it may be removed.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// With `source = "mqtt"`: entries that the list may have, 1 to 20,000,000.
    #[serde(default = "ten_million")]
    pub most_entries: u64,
    /// With `source = "mqtt"`: what the list may take on disk and in memory, `"1MiB"` to `"4GiB"`.
    #[serde(default = "half_a_gibibyte")]
    pub most_bytes: HumanBytes,
    /// With `source = "mqtt"`: percent of its entries that a new version may lack before it waits
    /// for a confirmation, 1 to 100.
    #[serde(default = "twenty")]
    pub most_shrink: u8,
    /// With `source = "mqtt"`: percent of the entries before that a new version may have more
    /// before it waits for a confirmation, 1 to 10,000.
    #[serde(default = "fifty")]
    pub most_growth: u16,
    /// With `source = "file"`: the order of the numbers in dates that are not written as
    /// `2026-11-23`: `ymd`, `mdy` or `dmy`. A row with a date in another order is left out and
    /// reported.
    #[serde(default)]
    pub date_order: Option<DateOrder>,
    /// Category of entries whose row states none, such as `stolen_vehicle`.
    #[serde(default = "uncategorised")]
    pub category: String,
    /// Priority of entries whose row states none: `low`, `medium` or `high`.
    #[serde(default)]
    pub priority: Priority,
    /// `exact`; `look_alike`: also the vote's likely alternatives, shown as approximate;
    /// `wildcard`: also patterns with `?` and `*`, once a signed policy grants them. Policy may
    /// allow less.
    #[serde(default)]
    pub matching: Matching,
    /// Whether its hits give no cue in the car: no tone, no card, no count. They are recorded and
    /// delivered all the same.
    #[serde(default)]
    pub covert: bool,
    /// Age of the source from which on the officer is warned that the list is old.
    #[serde(default = "a_day")]
    pub amber_after: HumanDuration,
    /// Age of the source from which on the list counts as stale; not less than `amber_after`.
    #[serde(default = "two_days")]
    pub red_after: HumanDuration,
}

fn uncategorised() -> String {
    "listed".into()
}

// Ontario's feeds come every morning (FIELD 4a): one that is a day old has missed an update.
fn a_day() -> HumanDuration {
    HumanDuration::from_secs(86_400)
}

fn two_days() -> HumanDuration {
    HumanDuration::from_secs(2 * 86_400)
}

// Twice the largest list known to us (NCIC's licence plate file, about 5 million).
fn ten_million() -> u64 {
    10_000_000
}

fn half_a_gibibyte() -> HumanBytes {
    HumanBytes::mib(512)
}

// A feed that was cut off half-way lacks far more; in a normal week a few percent change.
fn twenty() -> u8 {
    20
}

fn fifty() -> u16 {
    50
}

impl HotlistConfig {
    /// Checks all lists together.
    pub fn validate_all(lists: &[Self]) -> Result<(), ConfigError> {
        for (i, list) in lists.iter().enumerate() {
            let range = |key: &str, value: String, range: &str| ConfigError::Range {
                key: format!("hotlist.{}.{key}", list.name),
                value,
                range: range.into(),
            };
            let named = (1..=32).contains(&list.name.len())
                && list.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if list.name == crate::entry::HOTPLATES {
                return Err(ConfigError::Range {
                    key: "hotlist.name".into(),
                    value: format!("{:?}", list.name),
                    range: "another name: that is the list of what officers add in the car".into(),
                });
            }
            if !named || lists[..i].iter().any(|other| other.name == list.name) {
                return Err(ConfigError::Range {
                    key: "hotlist.name".into(),
                    value: format!("{:?}", list.name),
                    range: "1 to 32 letters, digits, - or _, different for each list".into(),
                });
            }
            list.validate_source()?;
            if list.category.is_empty() || list.category.len() > 32 {
                let value = format!("{:?}", list.category);
                return Err(range("category", value, "1 to 32 characters"));
            }
            if list.red_after < list.amber_after || list.amber_after == HumanDuration::ZERO {
                let value = format!("\"{}\"", list.red_after);
                return Err(range("red_after", value, "at least amber_after, and that above 0s"));
            }
        }
        Ok(())
    }

    /// Checks that the keys which this source needs are there, and those which it does not take are
    /// not.
    fn validate_source(&self) -> Result<(), ConfigError> {
        let range = |key: &str, value: String, range: &str| {
            let key = format!("hotlist.{}.{key}", self.name);
            Err(ConfigError::Range { key, value, range: range.into() })
        };
        match (self.source, self.path.as_os_str().is_empty(), &self.key) {
            (ListSource::File, true, _) => {
                return range("path", "\"\"".into(), "the list's file");
            }
            (ListSource::File, false, Some(key)) => {
                let value = format!("{:?}", key.display().to_string());
                return range("key", value, "left out, or source = \"mqtt\" in its place");
            }
            (ListSource::Mqtt, false, _) => {
                let value = format!("{:?}", self.path.display().to_string());
                return range("path", value, "left out with source = \"mqtt\"");
            }
            (ListSource::Mqtt, true, None) => {
                return range("key", "(not set)".into(), "the file of the list's key");
            }
            (ListSource::File, false, None) | (ListSource::Mqtt, true, Some(_)) => {}
        }
        for (key, value, least, most) in [
            ("most_entries", self.most_entries, 1, 20_000_000),
            ("most_shrink", u64::from(self.most_shrink), 1, 100),
            ("most_growth", u64::from(self.most_growth), 1, 10_000),
        ] {
            if !(least..=most).contains(&value) {
                return range(key, value.to_string(), &format!("{least} to {most}"));
            }
        }
        if !((1 << 20)..=(4 << 30)).contains(&self.most_bytes.get()) {
            return range("most_bytes", format!("\"{}\"", self.most_bytes), "1MiB to 4GiB");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(toml: &str) -> HotlistConfig {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn name_and_path_are_enough() {
        let list = list("name = \"stolen\"\npath = \"stolen.csv\"");
        assert_eq!(list.matching, Matching::Exact);
        HotlistConfig::validate_all(&[list]).unwrap();
    }

    #[test]
    fn list_from_the_broker_needs_its_key_and_no_path() {
        let good = list("name = \"s\"\nsource = \"mqtt\"\nkey = \"s.key\"");
        HotlistConfig::validate_all(&[good]).unwrap();
        for (bad, why) in [
            ("source = \"mqtt\"", "hotlist.s.key = (not set): must be the file of"),
            (
                "source = \"mqtt\"\nkey = \"k\"\npath = \"a\"",
                "hotlist.s.path = \"a\": must be left out",
            ),
            ("path = \"a\"\nkey = \"k\"", "hotlist.s.key = \"k\": must be left out, or source"),
            (
                "source = \"mqtt\"\nkey = \"k\"\nmost_shrink = 0",
                "hotlist.s.most_shrink = 0: must be 1 to 100",
            ),
            (
                "source = \"mqtt\"\nkey = \"k\"\nmost_bytes = \"1KiB\"",
                "hotlist.s.most_bytes = \"1KiB\": must be 1MiB to 4GiB",
            ),
        ] {
            let bad = list(&format!("name = \"s\"\n{bad}"));
            let message = HotlistConfig::validate_all(&[bad]).unwrap_err().to_string();
            assert!(message.starts_with(why), "{message}");
        }
    }

    #[test]
    fn two_lists_of_one_name_are_refused() {
        let a = list("name = \"stolen\"\npath = \"a.csv\"");
        let e = HotlistConfig::validate_all(&[a.clone(), a]).unwrap_err().to_string();
        assert_eq!(
            e,
            "hotlist.name = \"stolen\": must be 1 to 32 letters, digits, - or _, different for each list"
        );
    }

    #[test]
    fn red_before_amber_is_refused() {
        let a = list("name = \"s\"\npath = \"a.csv\"\namber_after = \"2d\"\nred_after = \"1d\"");
        let e = HotlistConfig::validate_all(&[a]).unwrap_err().to_string();
        assert_eq!(
            e,
            "hotlist.s.red_after = \"1d\": must be at least amber_after, and that above 0s"
        );
    }
}
