//! Words for values in sentences.

use std::time::Duration;

use serde::Serialize;

use crate::entry::Matching;

/// A duration in words: `24 hours`, `3 minutes`, `7 days`.
pub(super) fn spelled(d: Duration) -> String {
    const UNITS: [(&str, u128); 4] =
        [("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000)];
    let ms = d.as_millis();
    // "1 day" could be read as "until tomorrow", so 24 hours are called that.
    let unit = UNITS.iter().find(|(name, unit)| {
        ms != 0 && ms.is_multiple_of(*unit) && !(*name == "day" && ms == *unit)
    });
    match unit {
        Some((name, unit)) if ms / unit == 1 => format!("1 {name}"),
        Some((name, unit)) => format!("{} {name}s", ms / unit),
        None => format!("{ms} milliseconds"),
    }
}

/// The words for how a list is matched.
pub(super) fn matching(m: Matching) -> &'static str {
    match m {
        Matching::Exact => "the text as read",
        Matching::LookAlike => "the text as read and what the vote held possible",
        Matching::Wildcard => "the text as read, what the vote held possible, and partial plates",
    }
}

/// A value as a policy writes it.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("rules are strings, numbers and sets of them")
}
