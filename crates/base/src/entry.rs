//! What settings, policy and lists say of an entry: how urgent it is and how it may be matched.

use serde::{Deserialize, Serialize};

/// Name of the list that officers make in the car. No other may have it.
pub const HOTPLATES: &str = "hotplates";

/// How urgent an alert is; it chooses tone and colour.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// For information: expired registration and the like.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Stolen, wanted, missing; cannot be muted.
    High,
}

/// How a list's entries may be matched. Each way includes the ones before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// The folded text must be equal.
    #[default]
    Exact,
    /// Also the vote's likely alternatives, shown as approximate.
    LookAlike,
    /// Also patterns: `?` stands for one character, `*` for any run. Needs a policy that grants it.
    Wildcard,
}

impl std::fmt::Display for Matching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::LookAlike => "look_alike",
            Self::Wildcard => "wildcard",
        })
    }
}

/// In which order the numbers of a date stand. ISO 8601 is read whatever is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// Year, month, day.
    Ymd,
    /// Month, day, year, as in the USA.
    Mdy,
    /// Day, month, year, as in most of the world.
    Dmy,
}
