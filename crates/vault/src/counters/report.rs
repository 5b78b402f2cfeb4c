//! The transparency report: the seven statistics of the MCCA and our own, as JSON, CSV and a page
//! for the public.
//!
//! In: days of one car or of many. Out: text. The page is one static file without script, font or
//! picture from elsewhere. It contains numbers only; a statistic without a count is left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::Date;
use serde::Serialize;

use super::{DayReport, share};

/// Dispositions, in the order of the table; what is left of the hits is unreviewed.
pub const DISPOSITIONS: [&str; 7] = [
    "confirmed",
    "dispatch_confirmed",
    "not_active",
    "misread",
    "wrong_jurisdiction",
    "stale",
    "dismissed",
];

/// What is left of the hits: nobody has said anything of them.
pub const UNREVIEWED: &str = "unreviewed";

/// A report over a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The agency whose cars it covers.
    pub agency: String,
    /// First day, UTC.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// Number of cars that have counts in it.
    pub vehicles: usize,
    /// The whole period.
    pub total: Numbers,
    /// Each month, with the same month of the year before.
    pub months: Vec<Month>,
    /// Each year, with its change against the year before.
    pub years: Vec<Year>,
}

/// The statistics of one stretch of time. The first seven are those that the Major Cities Chiefs
/// Association recommends; the seventh, year over year, is [`Report::months`] and [`Report::years`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Numbers {
    /// 1: vehicle passes that were read.
    pub detections: u64,
    /// 2: hits, and what officers made of them.
    pub hotplate_hits: u64,
    /// Of these hits: by disposition, `unreviewed` included.
    pub dispositions: BTreeMap<String, u64>,
    /// 3: searches by users, by reason code.
    pub queries: u64,
    /// Of these searches: by reason code.
    pub queries_by_reason: BTreeMap<String, u64>,
    /// Searches that were refused.
    pub queries_refused: u64,
    /// 4: arrests that officers recorded as the outcome of a hit.
    pub arrests: u64,
    /// Every outcome that officers recorded.
    pub outcomes: BTreeMap<String, u64>,
    /// 5: hotplates that users added.
    pub user_hotplates: u64,
    /// Hotplates that a user removed.
    pub user_hotplates_removed: u64,
    /// Hotplates that expired.
    pub user_hotplates_expired: u64,
    /// 6: hits by category of the list's entry.
    pub hits_by_type: BTreeMap<String, u64>,
    /// Hits by the age of the list's source.
    pub list_age_at_hit: BTreeMap<String, u64>,
    /// Evidence bundles, audit logs and records written.
    pub exports: u64,
    /// Reads on no list that were kept and then destroyed.
    pub reads_purged: u64,
    /// Seconds on duty in which no camera read.
    pub seconds_not_reading: u64,
    /// Seconds on duty.
    pub seconds_on: u64,
}

/// One month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Month {
    /// Such as `2026-11`.
    pub month: String,
    /// Its statistics.
    pub numbers: Numbers,
    /// Change of hits against the same month of the year before, in per cent; `None` without that
    /// month.
    pub hits_change_percent: Option<f64>,
    /// Change of detections, likewise.
    pub detections_change_percent: Option<f64>,
    /// Hits and detections of that month, for whoever puts the change into words.
    #[serde(skip)]
    pub year_before: Option<(u64, u64)>,
}

impl Month {
    /// The changes of detections and hits in words, with as many digits as the numbers support.
    pub fn changes(&self) -> (String, String) {
        let (hits, detections) = match self.year_before {
            Some((hits, detections)) => (Some(hits), Some(detections)),
            None => (None, None),
        };
        let says = |before: Option<u64>, now| match before {
            Some(before) if before > 0 => share::change(before, now),
            _ => "–".to_owned(),
        };
        (says(detections, self.numbers.detections), says(hits, self.numbers.hotplate_hits))
    }
}

/// One year.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Year {
    /// Such as 2026.
    pub year: i16,
    /// Detections.
    pub detections: u64,
    /// Hits.
    pub hotplate_hits: u64,
    /// Misread hits.
    pub misread: u64,
    /// Change of hits against the year before, in per cent.
    pub hits_change_percent: Option<f64>,
}

impl Numbers {
    fn take(&mut self, day: &DayReport) {
        for (what, n) in day.cameras.values().chain([&day.car]).flatten() {
            let (head, tail) = what.split_once('/').unwrap_or((what, ""));
            match (head, tail) {
                ("reads", _) => self.detections += n,
                ("hits", "") => self.hotplate_hits += n,
                ("hits", kind) => *self.hits_by_type.entry(kind.into()).or_default() += n,
                ("disposition", word) => *self.dispositions.entry(word.into()).or_default() += n,
                ("outcome", word) => {
                    if word == "arrest" {
                        self.arrests += n;
                    }
                    *self.outcomes.entry(word.into()).or_default() += n;
                }
                ("queries", "") => self.queries += n,
                ("queries", why) => *self.queries_by_reason.entry(why.into()).or_default() += n,
                ("queries_refused", _) => self.queries_refused += n,
                ("hotplates_added", _) => self.user_hotplates += n,
                ("hotplates_removed", _) => self.user_hotplates_removed += n,
                ("hotplates_expired", _) => self.user_hotplates_expired += n,
                ("list_age_at_hit", age) => {
                    *self.list_age_at_hit.entry(age.into()).or_default() += n;
                }
                ("evidence_exports" | "audit_exports" | "records_exports", _) => self.exports += n,
                ("purged_reads", _) => self.reads_purged += n,
                ("seconds_not_reading", _) => self.seconds_not_reading += n,
                ("seconds_on", _) => self.seconds_on += n,
                _ => {}
            }
        }
    }

    fn finish(&mut self) {
        let reviewed: u64 = DISPOSITIONS.iter().filter_map(|d| self.dispositions.get(*d)).sum();
        let left = self.hotplate_hits.saturating_sub(reviewed);
        self.dispositions.insert(UNREVIEWED.into(), left);
    }

    fn disposition(&self, word: &str) -> u64 {
        self.dispositions.get(word).copied().unwrap_or(0)
    }
}

impl Report {
    /// Adds up days of cars. If a car's day is given twice, its latest state counts.
    pub fn of(agency: &str, from: Date, to: Date, days: Vec<(String, DayReport)>) -> Self {
        let mut latest: BTreeMap<(Date, String), DayReport> = BTreeMap::new();
        for (vehicle, day) in days {
            match latest.entry((day.day, vehicle)) {
                std::collections::btree_map::Entry::Vacant(free) => _ = free.insert(day),
                std::collections::btree_map::Entry::Occupied(mut had) => {
                    if had.get().revision < day.revision {
                        had.insert(day);
                    }
                }
            }
        }
        let mut total = Numbers::default();
        let mut by_month: BTreeMap<(i16, i8), Numbers> = BTreeMap::new();
        let mut by_year: BTreeMap<i16, Numbers> = BTreeMap::new();
        let mut vehicles = std::collections::BTreeSet::new();
        for ((date, vehicle), day) in &latest {
            // Months before the period are kept for comparison.
            by_month.entry((date.year(), date.month())).or_default().take(day);
            by_year.entry(date.year()).or_default().take(day);
            if (from..=to).contains(date) {
                total.take(day);
                vehicles.insert(vehicle);
            }
        }
        total.finish();
        let before = by_month.clone();
        let months = by_month
            .into_iter()
            .filter(|((y, m), _)| (*y, *m) >= (from.year(), from.month()))
            .filter(|((y, m), _)| (*y, *m) <= (to.year(), to.month()))
            .map(|((year, month), mut numbers)| {
                let last_year = before.get(&(year - 1, month));
                numbers.finish();
                Month {
                    month: format!("{year:04}-{month:02}"),
                    hits_change_percent: last_year
                        .and_then(|l| change(l.hotplate_hits, numbers.hotplate_hits)),
                    detections_change_percent: last_year
                        .and_then(|l| change(l.detections, numbers.detections)),
                    year_before: last_year.map(|l| (l.hotplate_hits, l.detections)),
                    numbers,
                }
            })
            .collect();
        let years = by_year
            .iter()
            .map(|(year, n)| Year {
                year: *year,
                detections: n.detections,
                hotplate_hits: n.hotplate_hits,
                misread: n.disposition("misread"),
                hits_change_percent: by_year
                    .get(&(year - 1))
                    .and_then(|l| change(l.hotplate_hits, n.hotplate_hits)),
            })
            .collect();
        let vehicles = vehicles.len();
        Self { agency: agency.into(), from, to, vehicles, total, months, years }
    }

    /// The report for machines.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers")
    }

    /// One row for each month and measure.
    pub fn csv(&self) -> String {
        let mut out = String::from("month,measure,detail,count\n");
        let mut row = |month: &str, measure: &str, detail: &str, n: u64| {
            let _ = writeln!(out, "{month},{measure},{},{n}", quoted(detail));
        };
        for month in &self.months {
            let (m, n) = (month.month.as_str(), &month.numbers);
            for (measure, count) in n.plain() {
                row(m, measure, "", count);
            }
            for (measure, map) in n.maps() {
                for (detail, count) in map {
                    row(m, measure, detail, *count);
                }
            }
        }
        out
    }

    /// The report for the public: one page that loads nothing from elsewhere.
    pub fn html(&self) -> String {
        let n = &self.total;
        let mut out = String::new();
        let title = format!("Licence-plate reading by {}", escaped(&self.agency));
        let _ = write!(
            out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{title}</title>\n<style>{STYLE}</style></head><body><main>\n<h1>{title}</h1>\n\
             <p>{} to {}, {} vehicle{}. Counted in the vehicles as totals: no plate, place or picture \
             is needed to make this page, and a plate that is on no list is not kept for it.</p>\n",
            self.from,
            self.to,
            self.vehicles,
            if self.vehicles == 1 { "" } else { "s" },
        );
        let of_reads = share::percent(n.hotplate_hits, n.detections)
            .map_or_else(String::new, |percent| format!(" ({percent} of them)"));
        let _ = write!(
            out,
            "<h2>In short</h2>\n<table>\n\
             <tr><th>Plates read</th><td>{}</td></tr>\n\
             <tr><th>Matches with a list{of_reads}</th><td>{}</td></tr>\n\
             <tr><th>&emsp;confirmed by an officer's eye</th><td>{}</td></tr>\n\
             <tr><th>&emsp;wrong: misread, another province, out of date, not active</th><td>{}</td></tr>\n\
             <tr><th>Arrests that came of it</th><td>{}</td></tr>\n\
             <tr><th>Searches by users</th><td>{}</td></tr>\n\
             <tr><th>&emsp;refused</th><td>{}</td></tr>\n\
             <tr><th>Plates added by hand</th><td>{}</td></tr>\n\
             <tr><th>Exports of evidence and logs</th><td>{}</td></tr>\n</table>\n",
            n.detections,
            n.hotplate_hits,
            n.disposition("confirmed") + n.disposition("dispatch_confirmed"),
            n.disposition("misread")
                + n.disposition("wrong_jurisdiction")
                + n.disposition("stale")
                + n.disposition("not_active"),
            n.arrests,
            n.queries,
            n.queries_refused,
            n.user_hotplates,
            n.exports,
        );
        for (heading, map) in [
            ("Matches by type", &n.hits_by_type),
            ("What officers decided", &n.dispositions),
            ("Outcomes", &n.outcomes),
            ("Searches by reason", &n.queries_by_reason),
            ("Age of the list at a match", &n.list_age_at_hit),
        ] {
            if map.values().any(|n| *n > 0) {
                let _ = writeln!(out, "<h2>{heading}</h2>\n{}", bars(map));
            }
        }
        if self.months.len() > 1 {
            let series = |get: fn(&Numbers) -> u64| {
                self.months.iter().map(|m| (m.month.as_str(), get(&m.numbers))).collect::<Vec<_>>()
            };
            let _ = write!(
                out,
                "<h2>Month by month</h2>\n<h3>Matches</h3>\n{}\n<h3>Plates read</h3>\n{}\n",
                columns(&series(|n| n.hotplate_hits)),
                columns(&series(|n| n.detections)),
            );
        }
        out += "<h2>Year over year</h2>\n<table><tr><th>Month</th><th>Plates read</th><th>change</th>\
                <th>Matches</th><th>change</th></tr>\n";
        for month in &self.months {
            let (detections, hits) = month.changes();
            let _ = writeln!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{detections}</td><td>{}</td><td>{hits}</td></tr>",
                month.month, month.numbers.detections, month.numbers.hotplate_hits,
            );
        }
        let _ = write!(
            out,
            "</table>\n<p class=\"small\">Days are UTC. A change is against the same month of the year \
             before. Made by outrider {}.</p>\n</main></body></html>\n",
            env!("CARGO_PKG_VERSION")
        );
        out
    }
}

impl Numbers {
    fn plain(&self) -> [(&'static str, u64); 11] {
        [
            ("detections", self.detections),
            ("hotplate_hits", self.hotplate_hits),
            ("queries", self.queries),
            ("queries_refused", self.queries_refused),
            ("arrests", self.arrests),
            ("user_hotplates", self.user_hotplates),
            ("user_hotplates_removed", self.user_hotplates_removed),
            ("exports", self.exports),
            ("reads_purged", self.reads_purged),
            ("seconds_not_reading", self.seconds_not_reading),
            ("seconds_on", self.seconds_on),
        ]
    }

    fn maps(&self) -> [(&'static str, &BTreeMap<String, u64>); 5] {
        [
            ("hits_by_type", &self.hits_by_type),
            ("dispositions", &self.dispositions),
            ("outcomes", &self.outcomes),
            ("queries_by_reason", &self.queries_by_reason),
            ("list_age_at_hit", &self.list_age_at_hit),
        ]
    }
}

fn change(before: u64, now: u64) -> Option<f64> {
    let percent = (now as f64 - before as f64) * 100.0 / before as f64;
    (before > 0).then_some((percent * 10.0).round() / 10.0)
}

/// A cell of CSV; one that a spreadsheet would take for a formula is made text.
pub fn quoted(text: &str) -> String {
    let text = text.replace('"', "\"\"");
    match text.starts_with(['=', '+', '-', '@']) {
        true => format!("\"'{text}\""),
        false if text.contains([',', '"', '\n']) => format!("\"{text}\""),
        false => text,
    }
}

/// Escapes text for HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn bars(map: &BTreeMap<String, u64>) -> String {
    let most = map.values().copied().max().unwrap_or(0).max(1);
    let mut rows: Vec<_> = map.iter().collect();
    rows.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let height = rows.len() * 26;
    let mut out = format!("<svg viewBox=\"0 0 640 {height}\" role=\"img\">");
    for (i, (word, n)) in rows.iter().enumerate() {
        let (y, width) = (i * 26, (**n as f64 * 320.0 / most as f64).round());
        let _ = write!(
            out,
            "<text x=\"228\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect x=\"236\" y=\"{}\" width=\"{width}\" height=\"18\"/>\
             <text x=\"{}\" y=\"{}\">{n}</text>",
            y + 17,
            escaped(&word.replace('_', " ")),
            y + 3,
            242.0 + width,
            y + 17,
        );
    }
    out + "</svg>"
}

fn columns(series: &[(&str, u64)]) -> String {
    let most = series.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    let step = 600.0 / series.len() as f64;
    let mut out = String::from("<svg viewBox=\"0 0 640 190\" role=\"img\">");
    for (i, (month, n)) in series.iter().enumerate() {
        let (x, height) = (20.0 + i as f64 * step, *n as f64 * 140.0 / most as f64);
        let _ = write!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{month}: {n}</title></rect>",
            x,
            160.0 - height,
            step * 0.7,
        );
        // Only as many labels as there is room for are drawn.
        if i % series.len().div_ceil(12) == 0 {
            let _ = write!(out, "<text x=\"{x:.1}\" y=\"178\" class=\"small\">{month}</text>");
        }
    }
    let _ = write!(out, "<text x=\"20\" y=\"12\" class=\"small\">most: {most}</text></svg>");
    out
}

const STYLE: &str = "body{font:17px/1.5 system-ui,sans-serif;margin:0;color:#1b1f24;background:#fff}\
main{max-width:44rem;margin:auto;padding:1rem}h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .5rem;border-bottom:1px solid #d5d9de}\
td{text-align:right;font-variant-numeric:tabular-nums}svg{width:100%;height:auto}rect{fill:#2f6fb5}text{font-size:14px;fill:currentColor}\
.small{font-size:12px}@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e9ec}rect{fill:#6aa5e8}th,td{border-color:#343a40}}";
