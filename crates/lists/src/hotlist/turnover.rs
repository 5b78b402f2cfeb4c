//! Measures how much of a list changes at once, and whether that must be reported.
//!
//! In: the version in service and the one that replaces it, from a file or from the broker. Out: a
//! sentence for people, who must ask whether the change is intended. Costs: a probe for each plate
//! of both. Leaves to others: how long it is reported, and whether such a change is accepted at
//! all.

use std::time::Duration;

use super::Hotlist;

/// Percent of a list that may come, go or be replaced at once without a report: more than a day's
/// turnover of any list, and less than for a feed that was cut off or swapped.
const SUDDEN_PERCENT: usize = 20;

/// How long a sudden change is reported: for the shift in which it happened.
pub(super) const TOLD_FOR: Duration = Duration::from_secs(12 * 3_600);

/// Describes a sudden change between two versions; `None` if there is none. A short list counts
/// like a long one: each missing entry is a car that passes unnoticed.
pub(super) fn sudden_change(before: &Hotlist, after: &Hotlist) -> Option<String> {
    let (was, is) = (before.len(), after.len());
    if was == 0 {
        return None;
    }
    let gone = before.plates().filter(|plate| !after.lists(*plate)).count();
    let new = after.plates().filter(|plate| !before.lists(*plate)).count();
    let much = |n: usize| n * 100 > was * SUDDEN_PERCENT;
    let word =
        match (is * 100 < was * (100 - SUDDEN_PERCENT), is * 100 > was * (100 + SUDDEN_PERCENT)) {
            (true, _) => "has shrunk",
            (_, true) => "has grown",
            _ if much(gone) || much(new) => "has other entries",
            _ => return None,
        };
    Some(format!(
        "the list {word} at once: {was} entries before, {is} now ({gone} plates gone, {new} new); is that meant?"
    ))
}
