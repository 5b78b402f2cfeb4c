//! The hit thread: the officer first, then the disk; the uplink takes it from there.
//!
//! In: hits from the matcher. Out: tone and screen at once, then a synchronous commit, within the
//! same second. A disk that refuses does not stop the next alert: the outbox keeps the hit in
//! memory and tries on.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use tracing::error;

use crate::alert::Desk;
use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::Clock;
use crate::health::Health;
use crate::onboard::store::thumbnail;
use crate::onboard::{Hit, MatchKind};
use crate::uplink::{KeptHit, Outbox};

/// JPEG quality of the plate's picture on the officer's screen: its pixels are few, and enlarged
/// some ten times.
const QUALITY: u8 = 92;

/// Starts the thread. It ends when the matcher has.
pub(super) fn spawn(
    hits: Receiver<Hit>,
    desk: Desk,
    outbox: Outbox,
    audit: Audit,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
) -> JoinHandle<()> {
    std::thread::Builder::new()
        .name("hits".into())
        .spawn(move || {
            for hit in hits {
                // A covert hit gives no cue in the car: recorded and delivered, not told.
                if !hit.covert() {
                    desk.tell(&hit, picture(&hit));
                    let now = clock.now().monotonic;
                    health.alert_latency.record(now.saturating_sub(hit.decided()));
                }
                if let Err(e) = outbox.record(&hit) {
                    error!(error = %e, "a hit is not on the disk yet");
                }
                audit.note(Actor::System, recorded(&hit));
            }
        })
        .expect("the system can start a thread")
}

/// What the audit log says of a hit: no plate.
fn recorded(hit: &Hit) -> AuditEvent {
    let age = hit.seen().wall.duration_since(hit.list().source_time).as_secs();
    AuditEvent::HitRecorded {
        hit: hit.id(),
        camera: hit.camera().to_string(),
        list: hit.list().name.to_string(),
        list_version: hit.list().version.to_string(),
        list_age_s: u64::try_from(age).unwrap_or(0),
        category: hit.entry().category.to_string(),
        exact: hit.match_kind() == MatchKind::Exact,
    }
}

/// The same of a hit that is on the disk, for one whose record a kill came before.
pub(super) fn recorded_before(kept: &KeptHit) -> AuditEvent {
    let (report, entry) = (&kept.report, &kept.report.entry);
    let age = report.seen.duration_since(entry.list_source_time).as_secs();
    AuditEvent::HitRecorded {
        hit: kept.id,
        camera: report.camera.to_string(),
        list: entry.list.clone(),
        list_version: entry.list_version.clone(),
        list_age_s: u64::try_from(age).unwrap_or(0),
        category: entry.category.clone(),
        exact: entry.matched == MatchKind::Exact,
    }
}

/// A plate's picture; empty if there is none, which the page says.
fn picture(hit: &Hit) -> Vec<u8> {
    thumbnail::jpeg(hit.crop(), QUALITY).unwrap_or_else(|e| {
        error!(hit = %hit.id(), error = %e, "plate picture not encoded");
        Vec::new()
    })
}
