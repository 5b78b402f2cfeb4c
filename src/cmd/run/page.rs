//! What the officer's page gets from the running parts: hits of before the start, and what health does
//! not know.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::warn;

use super::lists;
use crate::alert::card::Card;
use crate::alert::console::board::Board;
use crate::alert::console::status::Beside;
use crate::clock::Clock;
use crate::config::{Config, Retention};
use crate::gps::Fixes;
use crate::hotlist::Hotlists;
use crate::hotlist::hotplate::{Hotplates, Told};
use crate::lookup::past::PastReads;
use crate::uplink::Outbox;

/// Hits of before the start that the page lists.
pub(super) const RECALLED: usize = 20;

/// Puts the hits of before the start on the page.
pub(super) fn recall(board: &Board, outbox: &Outbox) {
    let recent = match outbox.recent(RECALLED) {
        Ok(recent) => recent,
        Err(e) => {
            warn!(error = %e, "earlier hits not shown");
            return;
        }
    };
    for kept in recent.into_iter().rev().filter(|kept| !kept.report.covert) {
        let jpeg = outbox.plate_jpeg(kept.id).ok().flatten().unwrap_or_default();
        let width = turbojpeg::read_header(&jpeg).map_or(0, |header| header.width);
        board.recall(&Card::of_kept(&kept, u32::try_from(width).unwrap_or(0)), jpeg);
    }
}

/// What the console asks besides health, four times a second.
pub(super) fn asker(
    config: &Config,
    clock: &Arc<dyn Clock>,
    (hotlists, hotplates, past): (&Arc<Hotlists>, Option<&Arc<Hotplates>>, Option<&Arc<PastReads>>),
    fixes: &Fixes,
    outbox: &Outbox,
) -> crate::alert::console::Ask {
    let (hotplates, past) = (hotplates.cloned(), past.cloned());
    let kept = match config.keeping.non_hit {
        Retention::Nothing => "not kept".to_owned(),
        Retention::Session => "kept encrypted until switched off".to_owned(),
        Retention::For(_) => format!("kept {}, encrypted", config.keeping.non_hit),
    };
    let (clock, hotlists, fixes, outbox) =
        (clock.clone(), hotlists.clone(), fixes.clone(), outbox.clone());
    let covert = config.hotlist.iter().filter(|list| list.covert);
    let hidden: BTreeSet<_> = covert.map(|list| format!("hotlist/{}", list.name)).collect();
    // The database is asked once a second at most: its lock is the hits'.
    let waiting = Mutex::new((Duration::ZERO, 0));
    Box::new(move || {
        let now = clock.now();
        let mut waiting = waiting.lock().expect("no holder panics");
        if waiting.0.is_zero() || now.monotonic.saturating_sub(waiting.0) >= Duration::from_secs(1)
        {
            *waiting = (now.monotonic, outbox.waiting_openly().unwrap_or_default());
        }
        Beside {
            lists: lists::status(&hotlists, now.wall),
            hotplates: hotplates.as_ref().map(|h| h.list().into_iter().map(Told::from).collect()),
            position: fixes.at(now.monotonic),
            waiting: waiting.1,
            kept: kept.clone(),
            hidden: hidden.clone(),
            past: past.as_ref().map(|past| past.found()).unwrap_or_default(),
        }
    })
}
