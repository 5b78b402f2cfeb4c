//! The hotlists of the configuration: read at the start, read again when asked, shown with their
//! age.

use std::sync::Arc;

use jiff::Timestamp;

use crate::alert::console::status::ListStatus;
use crate::hotlist::{Freshness, Hotlists};

/// The lists in service, for the page; covert ones are not shown.
pub(super) fn status(hotlists: &Arc<Hotlists>, now: Timestamp) -> Vec<ListStatus> {
    let lists = hotlists.lists();
    let mut status: Vec<_> = lists
        .iter()
        .filter(|list| !list.covert())
        .map(|list| ListStatus {
            name: list.stamp().name.to_string(),
            version: list.stamp().version.to_string(),
            entries: list.len() as u64,
            source_time: list.stamp().source_time,
            stale: list.freshness(now) != Freshness::Fresh,
        })
        .collect();
    status.sort_by(|a, b| a.name.cmp(&b.name));
    status
}
