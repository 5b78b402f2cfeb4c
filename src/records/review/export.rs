//! Records as files: what a filter leaves, for a reason and a case, on record before it is given.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{HitsFilter, LogFilter, LookUpsFilter, Review, ReviewError};
use crate::audit::AuditEvent;
use crate::counters::report::quoted;
use crate::grounds::{Reason, case_number};
use crate::policy::Permission;
use crate::sessions::SignedIn;

/// What is to be taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// The hit log.
    Hits(HitsFilter),
    /// Look-ups.
    LookUps(LookUpsFilter),
    /// Records of the log; whole logs with their seals are `outrider audit export`'s.
    Log(LogFilter),
    /// Figures.
    Figures {
        /// First day.
        from: Date,
        /// Last day.
        to: Date,
    },
}

/// As which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One row for each, cells quoted, formulas made text.
    Csv,
    /// As the page gets it.
    Json,
}

/// An export that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What.
    pub what: What,
    /// As what.
    pub format: Format,
    /// Why, by code.
    pub reason: String,
    /// For which case.
    pub case: String,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// What it is called; no plate is in it.
    pub name: String,
    /// Its media type.
    pub media: &'static str,
    /// Its content.
    pub text: String,
    /// The same as is on record.
    pub sha256: String,
}

/// Rows as CSV, their names first.
fn csv(names: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = names.join(",") + "\n";
    for row in rows {
        text += &row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
        text.push('\n');
    }
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("maps have text keys, numbers are finite") + "\n"
}

/// What an export holds: how many rows, the filter in words, the text.
struct Content {
    name: &'static str,
    words: Vec<String>,
    rows: usize,
    text: String,
}

impl Review {
    /// Gives what a filter leaves as a file, once it is written down who takes it and why.
    pub fn export(&self, who: &SignedIn, wanted: &Wanted) -> Result<Exported, ReviewError> {
        Self::may(who)?;
        if !(self.permissions)(who.role()).contains(&Permission::ExportEvidence) {
            return Err(ReviewError::NotTaken(who.role().words()));
        }
        Reason::parse(&wanted.reason)?;
        case_number(&wanted.case)?;
        let Content { name, words, rows, text } = self.content(wanted)?;
        let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        let (format, media) = match wanted.format {
            Format::Csv => ("csv", "text/csv; charset=utf-8"),
            Format::Json => ("json", "application/json"),
        };
        let event = AuditEvent::RecordsExported {
            what: name.into(),
            format: format.into(),
            filter: words.join(", "),
            reason: wanted.reason.clone(),
            case: wanted.case.trim().to_owned(),
            results: rows as u64,
            sha256: sha256.clone(),
        };
        // Before it is given. If it cannot be written, nothing leaves.
        self.audit.append(who.actor(), event)?;
        let day = self.clock.now().wall.to_zoned(jiff::tz::TimeZone::UTC).date();
        let name = format!("outrider-{}-{name}-{day}.{format}", self.vehicle.id);
        Ok(Exported { name, media, text, sha256 })
    }

    fn content(&self, wanted: &Wanted) -> Result<Content, ReviewError> {
        let as_json = wanted.format == Format::Json;
        let time = |at: Option<jiff::Timestamp>| at.map_or(String::new(), |at| format!("{at:.3}"));
        Ok(match &wanted.what {
            What::Hits(filter) => {
                let (found, words) = self.find_hits(filter)?;
                let text = if as_json { json(&found) } else { hits_csv(&found, time) };
                Content { name: "hits", words, rows: found.rows.len(), text }
            }
            What::LookUps(filter) => {
                let (found, words) = self.find_look_ups(filter)?;
                let text = if as_json { json(&found) } else { look_ups_csv(&found, time) };
                Content { name: "look-ups", words, rows: found.rows.len(), text }
            }
            What::Log(filter) => {
                let (rows, words) = self.find_records(filter, usize::MAX)?;
                let names = ["record", "at", "who", "kind", "facts"];
                let row = |row: &super::log::LogRow| {
                    let facts: Vec<_> =
                        row.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    let (at, who) = (time(Some(row.at)), row.who.clone());
                    vec![row.record.to_string(), at, who, row.kind.clone(), facts.join("; ")]
                };
                let text = if as_json { json(&rows) } else { csv(&names, rows.iter().map(row)) };
                Content { name: "audit", words, rows: rows.len(), text }
            }
            What::Figures { from, to } => {
                let report = self.report(*from, *to)?;
                let words = vec![format!("from {from}"), format!("to {to}")];
                let text = if as_json { report.json() + "\n" } else { report.csv() };
                Content { name: "figures", words, rows: report.months.len(), text }
            }
        })
    }
}

fn hits_csv(found: &super::Hits, time: impl Fn(Option<jiff::Timestamp>) -> String) -> String {
    let names = [
        "hit",
        "seen",
        "camera",
        "list",
        "category",
        "priority",
        "match",
        "read",
        "listed",
        "jurisdiction",
        "standing",
        "outcome",
        "by",
        "at",
        "operator",
    ];
    let row = |row: &super::hits::HitRow| {
        let priority = serde_json::to_value(row.priority).ok();
        let priority = priority.and_then(|p| p.as_str().map(ToOwned::to_owned));
        vec![
            row.hit.clone(),
            time(Some(row.seen)),
            row.camera.clone(),
            row.list.clone(),
            row.category.clone(),
            priority.unwrap_or_default(),
            if row.exact { "exact" } else { "approximate" }.to_owned(),
            row.read.clone(),
            row.listed.clone(),
            row.jurisdiction.clone(),
            row.standing.to_owned(),
            row.came.unwrap_or_default().to_owned(),
            row.by.clone().unwrap_or_default(),
            time(row.at),
            row.operator.clone().unwrap_or_default(),
        ]
    };
    csv(&names, found.rows.iter().map(row))
}

fn look_ups_csv(
    found: &super::LookUps,
    time: impl Fn(Option<jiff::Timestamp>) -> String,
) -> String {
    let names =
        ["record", "at", "who", "reason", "case", "scope", "plate_tag", "results", "refused"];
    let row = |row: &super::log::LookUpRow| {
        vec![
            row.record.to_string(),
            time(Some(row.at)),
            row.who.clone(),
            row.reason.clone(),
            row.case.clone(),
            row.scope.clone(),
            row.plate_tag.clone(),
            row.results.map_or(String::new(), |n| n.to_string()),
            row.refused.clone().unwrap_or_default(),
        ]
    };
    csv(&names, found.rows.iter().map(row))
}
