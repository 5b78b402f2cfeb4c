//! `[[hotlist]]`: a list of plates in a file, and how its entries are matched.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, HumanDuration};
use crate::hotlist::{Matching, Priority};

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HotlistConfig {
    /// What alerts call it: 1 to 32 letters, digits, `-` and `_`; no two lists share a name.
    pub name: String,
    /// A plain list (one plate a line, `#` starts a comment) or, with a header line, CSV.
    pub path: PathBuf,
    /// Category of entries whose line states none, such as `stolen_vehicle`.
    #[serde(default = "uncategorised")]
    pub category: String,
    /// Priority of entries whose line states none: `low`, `medium` or `high`.
    #[serde(default)]
    pub priority: Priority,
    /// `exact`, or `look_alike`: also what the vote held possible, shown as approximate.
    #[serde(default)]
    pub matching: Matching,
    /// Age of the source from which on the officer is told that the list is old.
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
            if !named || lists[..i].iter().any(|other| other.name == list.name) {
                return Err(ConfigError::Range {
                    key: "hotlist.name".into(),
                    value: format!("{:?}", list.name),
                    range: "1 to 32 letters, digits, - or _, different for each list".into(),
                });
            }
            if list.path.as_os_str().is_empty() {
                return Err(range("path", "\"\"".into(), "the list's file"));
            }
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
