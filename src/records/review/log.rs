//! The audit log for people: look-ups with their grounds, every record that may be told here, and the chain's state.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ROWS, Review, ReviewError, Span, choice};
use crate::audit::{Actor, AuditEvent, Record, Seq};
use crate::grounds::Reason;
use crate::sessions::SignedIn;

/// Which look-ups are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookUpsFilter {
    /// When they were made.
    pub made: Span,
    /// For which reason, by code.
    pub reason: Option<String>,
    /// Those that were refused, or those that were not.
    pub refused: Option<bool>,
}

/// One look-up. The plate is a tag: the same plate has the same one in this car.
#[derive(Debug, Clone, Serialize)]
pub struct LookUpRow {
    pub record: Seq,
    pub at: Timestamp,
    pub who: String,
    pub reason: String,
    pub case: String,
    pub scope: String,
    pub plate_tag: String,
    pub results: Option<u64>,
    pub refused: Option<String>,
}

/// Look-ups that a filter leaves.
#[derive(Debug, Clone, Serialize)]
pub struct LookUps {
    /// The newest first.
    pub rows: Vec<LookUpRow>,
    /// How many there are.
    pub total: u64,
    /// Of these: by reason; those that named none under an empty word.
    pub reasons: BTreeMap<String, u64>,
    /// Of these: refused.
    pub refused: u64,
    /// Reason codes that there are, each with what it is for.
    pub codes: Vec<(&'static str, &'static str)>,
}

/// Which records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogFilter {
    /// When they were written.
    pub written: Span,
    /// Of which kind, such as `policy_applied`.
    pub kind: Option<String>,
    /// By whom, as the log names people: `officer`, `supervisor`, `auditor`, `maintainer`, `system`, `shell`.
    pub role: Option<String>,
    /// Those before this record.
    pub before: Option<Seq>,
}

/// One record.
#[derive(Debug, Clone, Serialize)]
pub struct LogRow {
    pub record: Seq,
    pub at: Timestamp,
    pub who: String,
    pub kind: String,
    pub facts: Vec<(String, String)>,
}

/// Records that a filter leaves.
#[derive(Debug, Clone, Serialize)]
pub struct Log {
    /// The newest first.
    pub rows: Vec<LogRow>,
    /// Whether there may be older ones.
    pub more: bool,
    /// Kinds that may be chosen.
    pub kinds: &'static [&'static str],
}

/// The state of the chain, as it was checked just now.
#[derive(Debug, Clone, Serialize)]
pub struct Chain {
    /// When.
    pub checked: Timestamp,
    /// Whether every record is what it was and where it was.
    pub holds: bool,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// The first record that was checked, and the last.
    pub from: Seq,
    /// See `from`.
    pub to: Seq,
    /// The last record that a signature of the car's covers.
    pub sealed: Seq,
    /// SHA-256 of the last line: to be compared with a head that left the car.
    pub head: String,
    /// Keys that have signed, the first one first.
    pub keys: Vec<String>,
}

/// Kinds of records that are told here. Records of single hits stand in the hit log: of a covert one nothing in the
/// car may tell, and a log with all others would tell by its gaps.
const KINDS: &[&str] = &[
    "started",
    "stopped",
    "list_served",
    "list_refused",
    "list_revoked",
    "trust_refused",
    "policy_applied",
    "policy_refused",
    "hotplate_added",
    "hotplate_removed",
    "hotplate_expired",
    "bucket_purged",
    "disposition",
    "outcome",
    "look_up",
    "look_up_refused",
    "evidence_exported",
    "evidence_refused",
    "records_viewed",
    "records_exported",
    "audit_exported",
    "legal_hold",
    "legal_hold_ended",
    "key_created",
    "key_rotated",
    "key_wiped",
    "command_refused",
    "clock_stepped",
    "camera_lost",
    "camera_back",
    "gps_lost",
    "gps_back",
    "config_changed",
    "session",
    "entry_refused",
];

/// Facts that count covert hits too.
const UNTOLD: &[(&str, &[&str])] = &[("stopped", &["hits", "recorded", "delivered"])];

fn row(record: &Record) -> Option<LogRow> {
    let Ok(Value::Object(mut event)) = serde_json::to_value(&record.event) else { return None };
    let kind = event.remove("kind")?.as_str()?.to_owned();
    if !KINDS.contains(&kind.as_str()) {
        return None;
    }
    let untold = UNTOLD.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, facts)| facts);
    let told = event.into_iter().filter(|(name, _)| !untold.contains(&name.as_str()));
    let facts = told
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            (name, value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
        })
        .collect();
    let who = record.who.to_string();
    Some(LogRow { record: record.seq, at: record.wall, who, kind, facts })
}

/// The role of whoever acted, in a word.
fn role(who: &Actor) -> String {
    let word = who.to_string();
    word.split(' ').next().unwrap_or_default().to_owned()
}

const ROLES: [&str; 8] =
    ["officer", "supervisor", "auditor", "maintainer", "system", "shell", "key", "remote"];

impl Review {
    /// Look-ups by people, once it is written down who looks at them.
    pub fn look_ups(&self, who: &SignedIn, filter: &LookUpsFilter) -> Result<LookUps, ReviewError> {
        Self::may(who)?;
        let (mut found, words) = self.find_look_ups(filter)?;
        self.viewed(who, "look-ups", &words, found.rows.len())?;
        found.rows.truncate(ROWS);
        Ok(found)
    }

    pub(super) fn find_look_ups(
        &self,
        filter: &LookUpsFilter,
    ) -> Result<(LookUps, Vec<String>), ReviewError> {
        let mut rows = Vec::new();
        self.audit.newest_first(None, |record| {
            let Record { seq, wall: at, who, event, .. } = record;
            // What the car compares because policy says so is no person's query.
            if who == Actor::System || !filter.made.has(at) {
                return true;
            }
            let who = who.to_string();
            let row = match event {
                AuditEvent::LookUp { target, reason, case, scope, results } => LookUpRow {
                    record: seq,
                    at,
                    who,
                    reason,
                    case,
                    scope,
                    plate_tag: target,
                    results: Some(results),
                    refused: None,
                },
                AuditEvent::LookUpRefused { target, reason, case, scope, why } => LookUpRow {
                    record: seq,
                    at,
                    who,
                    reason,
                    case,
                    scope,
                    plate_tag: target,
                    results: None,
                    refused: Some(why),
                },
                _ => return true,
            };
            let wanted = filter.reason.as_ref().is_none_or(|reason| *reason == row.reason)
                && filter.refused.is_none_or(|refused| refused == row.refused.is_some());
            if wanted {
                rows.push(row);
            }
            true
        })?;
        let mut reasons = BTreeMap::new();
        for row in &rows {
            *reasons.entry(row.reason.clone()).or_default() += 1;
        }
        let code = filter.reason.as_ref();
        let mut words = filter.made.words();
        words.extend(choice("reason", code, code.is_some_and(|c| Reason::parse(c).is_ok())));
        words.extend(filter.refused.map(|yes| if yes { "refused" } else { "allowed" }.to_owned()));
        let found = LookUps {
            total: rows.len() as u64,
            refused: rows.iter().filter(|row| row.refused.is_some()).count() as u64,
            reasons,
            codes: Reason::ALL.iter().map(|(_, code, what)| (*code, *what)).collect(),
            rows,
        };
        Ok((found, words))
    }

    /// Records of the log, once it is written down who looks at them.
    pub fn log(&self, who: &SignedIn, filter: &LogFilter) -> Result<Log, ReviewError> {
        Self::may(who)?;
        let (rows, words) = self.find_records(filter, ROWS + 1)?;
        let more = rows.len() > ROWS;
        let rows: Vec<_> = rows.into_iter().take(ROWS).collect();
        self.viewed(who, "audit log", &words, rows.len())?;
        Ok(Log { rows, more, kinds: KINDS })
    }

    /// Up to `most` of the records that a filter leaves.
    pub(super) fn find_records(
        &self,
        filter: &LogFilter,
        most: usize,
    ) -> Result<(Vec<LogRow>, Vec<String>), ReviewError> {
        let mut found = Vec::new();
        self.audit.newest_first(filter.before, |record| {
            let wanted = filter.written.has(record.wall)
                && filter.role.as_ref().is_none_or(|wanted| *wanted == role(&record.who));
            if wanted
                && let Some(row) = row(&record)
                && filter.kind.as_ref().is_none_or(|kind| *kind == row.kind)
            {
                found.push((row, record.event.hit()));
            }
            found.len() < most
        })?;
        // A hold of a covert hit is placed by whoever learnt of it elsewhere.
        found.retain(|(_, hit)| hit.is_none_or(|hit| !self.covert(hit)));
        let rows = found.into_iter().map(|(row, _)| row).collect();
        let mut words = filter.written.words();
        let (kind, role) = (filter.kind.as_ref(), filter.role.as_ref());
        words.extend(choice("kind", kind, kind.is_some_and(|k| KINDS.contains(&k.as_str()))));
        words.extend(choice("by", role, role.is_some_and(|r| ROLES.contains(&r.as_str()))));
        words.extend(filter.before.map(|before| format!("before record {before}")));
        Ok((rows, words))
    }

    /// Checks the whole chain now, once it is written down who asked.
    pub fn chain(&self, who: &SignedIn) -> Result<Chain, ReviewError> {
        Self::may(who)?;
        let checked = self.clock.now().wall;
        let outline = self.audit.outline()?;
        let chain = match self.audit.verify_by_pages()? {
            Ok(verdict) => Chain {
                checked,
                holds: true,
                fault: None,
                from: verdict.records.min(1),
                to: verdict.records,
                sealed: verdict.sealed,
                head: verdict.head,
                keys: verdict.keys.iter().map(|key| key.id().to_string()).collect(),
            },
            Err(fault) => Chain {
                checked,
                holds: false,
                fault: Some(fault.to_string()),
                from: outline.last.min(1),
                to: outline.last,
                sealed: 0,
                head: outline.head,
                keys: Vec::new(),
            },
        };
        let says = if chain.holds { "holds" } else { "does not hold" };
        self.viewed(who, "chain", &[says.to_owned()], usize::try_from(chain.to).unwrap_or(0))?;
        Ok(chain)
    }
}
