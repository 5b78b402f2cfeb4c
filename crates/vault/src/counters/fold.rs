//! Decides to which statistic each audit record, and each counter in memory, is added.

use ulid::Ulid;

use super::{Add, day_of};
use crate::audit::{Actor, AuditEvent, Record};
use crate::health::Snapshot;

/// Counts of what the cameras saw.
pub(super) fn of_health(health: &Snapshot) -> Vec<(String, &'static str, u64)> {
    let mut all = vec![
        (String::new(), "non_hits", health.non_hits),
        (String::new(), "hits_quiet", health.hits_quiet),
        (String::new(), "ring_dropped", health.ring_dropped),
    ];
    for (id, c) in &health.cameras {
        let mut push = |what, n| all.push((id.to_string(), what, n));
        push("reads", c.reads);
        push("reads_revised", c.reads_revised);
        push("reads_contradicted", c.reads_contradicted);
        push("unread_small", c.unread_small);
        push("unread_illegible", c.unread_illegible);
        push("unread_blurred", c.unread_blurred);
        push("unread_dark", c.unread_dark);
        push("unread_covered", c.unread_covered);
        push("unread_glare", c.unread_glare);
        push("unread_implausible", c.unread_implausible);
        push("unread_unsure", c.unread_unsure);
        push("unread_brief", c.unread_brief);
        push("interruptions", c.interruptions);
    }
    all
}

/// The day on which a hit was seen: everything that follows from a hit is counted on that day.
fn day_of_hit(hit: Ulid, otherwise: i64) -> i64 {
    let ms = i64::try_from(hit.timestamp_ms()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map_or(otherwise, day_of)
}

/// What one record adds.
pub(super) fn of_record(record: &Record) -> Vec<Add> {
    let today = day_of(record.wall);
    let mut adds = Vec::new();
    let mut plus = |day, camera: &str, what: String, n: i64| {
        if n != 0 {
            adds.push(Add { day, camera: camera.into(), what, n });
        }
    };
    let count = |n: &u64| i64::try_from(*n).unwrap_or(i64::MAX);
    match &record.event {
        AuditEvent::Started { .. } => plus(today, "", "starts".into(), 1),
        AuditEvent::Stopped { .. } => plus(today, "", "stops".into(), 1),
        AuditEvent::ListServed { .. } => plus(today, "", "lists_served".into(), 1),
        AuditEvent::ListRefused { .. } => plus(today, "", "lists_refused".into(), 1),
        AuditEvent::ListRevoked { entries, .. } => {
            plus(today, "", "entries_revoked".into(), count(entries));
        }
        AuditEvent::PolicyApplied { .. } => plus(today, "", "policies_applied".into(), 1),
        AuditEvent::PolicyRefused { .. } => plus(today, "", "policies_refused".into(), 1),
        AuditEvent::HotplateAdded { .. } => plus(today, "", "hotplates_added".into(), 1),
        AuditEvent::HotplateRemoved { .. } => plus(today, "", "hotplates_removed".into(), 1),
        AuditEvent::HotplateExpired { .. } => plus(today, "", "hotplates_expired".into(), 1),
        AuditEvent::BucketPurged { rows, .. } => {
            plus(today, "", "purged_buckets".into(), 1);
            plus(today, "", "purged_reads".into(), count(rows));
        }
        // Covert hits are counted separately for the fleet, and no report in the car shows them.
        AuditEvent::HitRecorded { hit, camera, covert: true, .. } => {
            plus(day_of_hit(*hit, today), camera, super::COVERT.into(), 1);
        }
        AuditEvent::HitRecorded { hit, category, camera, exact, list_age_s, .. } => {
            let day = day_of_hit(*hit, today);
            plus(day, camera, "hits".into(), 1);
            plus(day, camera, format!("hits/{category}"), 1);
            let kind = if *exact { "hits_exact" } else { "hits_approximate" };
            plus(day, camera, kind.into(), 1);
            let age = match list_age_s {
                0..43_200 => "under_12h",
                43_200..86_400 => "12h_to_24h",
                _ => "over_24h",
            };
            plus(day, camera, format!("list_age_at_hit/{age}"), 1);
        }
        AuditEvent::HitsPurged { hits, .. } => plus(today, "", "purged_hits".into(), count(hits)),
        AuditEvent::Disposition { hit, old, new, .. } => {
            let day = day_of_hit(*hit, today);
            // `unverified` has no count of its own: it is the hits minus all others.
            if old != "unverified" {
                plus(day, "", format!("disposition/{old}"), -1);
            }
            if new != "unverified" {
                plus(day, "", format!("disposition/{new}"), 1);
            }
        }
        AuditEvent::Outcome { hit, old, new } => {
            let day = day_of_hit(*hit, today);
            if !old.is_empty() {
                plus(day, "", format!("outcome/{old}"), -1);
            }
            plus(day, "", format!("outcome/{new}"), 1);
        }
        // A comparison that the car makes because policy says so is not a person's query.
        AuditEvent::LookUp { .. } if record.who == Actor::System => {
            plus(today, "", "past_reads_compared".into(), 1);
        }
        AuditEvent::LookUpRefused { .. } if record.who == Actor::System => {
            plus(today, "", "past_reads_refused".into(), 1);
        }
        AuditEvent::LookUp { reason, .. } => {
            plus(today, "", "queries".into(), 1);
            plus(today, "", format!("queries/{reason}"), 1);
        }
        AuditEvent::LookUpRefused { .. } => plus(today, "", "queries_refused".into(), 1),
        AuditEvent::EvidenceExported { .. } => plus(today, "", "evidence_exports".into(), 1),
        AuditEvent::EvidenceRefused { .. } => plus(today, "", "evidence_refused".into(), 1),
        AuditEvent::RecordsExported { .. } => plus(today, "", "records_exports".into(), 1),
        AuditEvent::RecordsViewed { .. } => plus(today, "", "records_views".into(), 1),
        AuditEvent::AuditExported { .. } => plus(today, "", "audit_exports".into(), 1),
        AuditEvent::TrustRefused { .. } => plus(today, "", "trust_refused".into(), 1),
        AuditEvent::CommandRefused { .. } => plus(today, "", "commands_refused".into(), 1),
        AuditEvent::LegalHold { .. } => plus(today, "", "legal_holds".into(), 1),
        AuditEvent::ClockStepped { .. } => plus(today, "", "clock_steps".into(), 1),
        AuditEvent::CameraLost { camera } => plus(today, camera, "losses".into(), 1),
        AuditEvent::GpsLost => plus(today, "", "gps_losses".into(), 1),
        AuditEvent::ShiftBegun { lines, heard } => {
            plus(today, "", "shifts_begun".into(), 1);
            if !heard || lines.iter().any(|line| line.is == "not_well") {
                plus(today, "", "shifts_begun_not_well".into(), 1);
            }
        }
        AuditEvent::CameraBack { .. }
        | AuditEvent::GpsBack { .. }
        | AuditEvent::KeyCreated { .. }
        | AuditEvent::KeyRotated { .. }
        | AuditEvent::KeyWiped { .. }
        | AuditEvent::LegalHoldEnded { .. }
        | AuditEvent::ConfigChanged { .. }
        | AuditEvent::EntryRefused { .. }
        // What is practised on is no hit, and its counts are its own.
        | AuditEvent::Training { .. }
        | AuditEvent::ModelInstalled { .. }
        | AuditEvent::ModelRefused { .. }
        | AuditEvent::ModelRolledBack { .. }
        | AuditEvent::Session { .. } => {}
    }
    adds
}
