//! `outrider report`: the transparency report of this car, or of many from their messages.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::civil::Date;

use crate::audit::Audit;
use crate::clock::SystemClock;
use crate::cmd::owners_files::OwnersFiles;
use crate::config::Config;
use crate::control;
use crate::counters::report::Report;
use crate::counters::{Counters, DayReport};
use crate::daemon::asked::{DAYS, Days};
use crate::keys::DeviceKey;
use crate::wire::StatsReport;

/// Write MCCA's seven statistics and ours as JSON, CSV and a page for the public.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider report --from 2026-01-01 --to 2026-12-31 -o report\n  mosquitto_sub -t 'alpr/v1/peel/vehicle/+/stats/+' >> stats.jsonl\n  outrider report --stats stats.jsonl --from 2026-01-01 -o report"
)]
pub struct ReportArgs {
    /// First day [default: a year before the last].
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Last day [default: today].
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// File with the days of many cars, one message of `vehicle/<id>/stats/<day>` per line, instead of this car's own.
    #[arg(long, value_name = "FILE")]
    stats: Vec<PathBuf>,
    /// Folder for report.json, report.csv and report.html [default: JSON on standard output].
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl ReportArgs {
    /// Writes the report.
    pub fn run(self) -> anyhow::Result<()> {
        let to = self
            .to
            .unwrap_or_else(|| jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date());
        let year = jiff::Span::new().years(1);
        let from = match self.from {
            Some(from) => from,
            None => to.checked_sub(year)?.tomorrow()?,
        };
        if from > to {
            bail!("--from {from} is after --to {to}");
        }
        let (agency, days) = match self.stats.is_empty() {
            true => {
                let config = Config::load(&self.config)?;
                // With the year before, to compare.
                let days = own(&config, Days { from: from.checked_sub(year)?, to })?;
                (config.vehicle.agency, days)
            }
            false => read(&self.stats)?,
        };
        let report = Report::of(&agency, from, to, days);
        let Some(folder) = &self.output else {
            writeln!(std::io::stdout().lock(), "{}", report.json())?;
            return Ok(());
        };
        std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        for (name, text) in [
            ("report.json", report.json()),
            ("report.csv", report.csv()),
            ("report.html", report.html()),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
            eprintln!("{}", path.display());
        }
        Ok(())
    }
}

/// This car's own days, from the daemon if it runs, because it alone may have the key.
fn own(config: &Config, days: Days) -> anyhow::Result<Vec<(String, DayReport)>> {
    let state = &config.keeping.directory;
    if control::answers(state) {
        let days: Vec<StatsReport> = control::ask(state, DAYS, &days)?;
        return Ok(days.into_iter().map(StatsReport::into_day).collect());
    }
    let _owners = OwnersFiles::of(state);
    // A report must make neither counters nor a key.
    DeviceKey::existing(state)?;
    let counters = Counters::open(&config.keeping)?;
    if state.join("audit.db").exists() {
        // Count what the audit log has and the daemon did not count before it ended.
        let (clock, health) = (Arc::new(SystemClock), Arc::default());
        let audit = Audit::open(&config.keeping, &config.vehicle, clock, health)
            .context("the figures cannot be reconciled with the audit log")?;
        counters.count(&audit)?;
    }
    let days = counters.days(days.from, days.to)?;
    Ok(days.into_iter().map(|day| (config.vehicle.id.clone(), day.shown())).collect())
}

/// The days of a file's messages. Nobody has signed them, so what no car sends is refused and not added up.
fn read(files: &[PathBuf]) -> anyhow::Result<(String, Vec<(String, DayReport)>)> {
    let mut agency = String::new();
    let mut days = Vec::new();
    let mut known: BTreeMap<(String, Date, u64), (StatsReport, String)> = BTreeMap::new();
    for path in files {
        let shown = || format!("{}", path.display());
        let mut file = BufReader::new(File::open(path).with_context(shown)?);
        for number in 1.. {
            let Some(line) =
                next_line(&mut file).with_context(|| format!("{}:{number}", path.display()))?
            else {
                break;
            };
            if line.trim().is_empty() {
                continue;
            }
            let place = format!("{}:{number}", path.display());
            let report: StatsReport =
                serde_json::from_str(line.trim_end()).with_context(|| place.clone())?;
            report.check().map_err(anyhow::Error::msg).with_context(|| place.clone())?;
            if agency.is_empty() {
                agency.clone_from(&report.agency);
            }
            if report.agency != agency {
                bail!("{place}: of another agency");
            }
            let key = (report.vehicle.clone(), report.day, report.revision);
            match known.entry(key) {
                Entry::Vacant(free) => {
                    days.push(report.clone().into_day());
                    free.insert((report, place));
                }
                Entry::Occupied(had) if had.get().0 == report => {}
                Entry::Occupied(had) => bail!(
                    "{place}: says something else of vehicle {} on {} than {}, both as revision {}: one of them is \
                     not the car's",
                    report.vehicle,
                    report.day,
                    had.get().1,
                    report.revision
                ),
            }
        }
    }
    if days.is_empty() {
        bail!("no day in {} files", files.len());
    }
    Ok((agency, days))
}

/// Longest line of a file of messages, in bytes: a day of a car has a few thousand.
const MOST_LINE: u64 = 1 << 20;

/// The next line of a file that may have any size and no end.
fn next_line(file: &mut impl BufRead) -> anyhow::Result<Option<String>> {
    let mut line = Vec::new();
    file.take(MOST_LINE).read_until(b'\n', &mut line)?;
    if line.len() as u64 == MOST_LINE {
        bail!("the line is longer than any message");
    }
    match line.is_empty() {
        true => Ok(None),
        false => Ok(Some(String::from_utf8(line)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = r#"{"v":1,"agency":"peel","vehicle":"4127","day":"2026-11-01","revision":1,"car":{"queries":1},"cameras":{"front":{"hits":2,"reads":10}}}"#;

    fn of(lines: &[&str]) -> Result<Report, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let (agency, days) = read(&[path]).map_err(|e| format!("{e:#}"))?;
        let day = |text: &str| text.parse().unwrap();
        Ok(Report::of(&agency, day("2026-11-01"), day("2026-11-30"), days))
    }

    #[test]
    fn day_that_came_twice_counts_once_and_a_later_state_counts_alone() {
        assert_eq!(of(&[DAY, "", DAY]).unwrap().total.detections, 10);
        let later = DAY.replace(":10", ":11").replace("revision\":1", "revision\":2");
        assert_eq!(of(&[&later, DAY]).unwrap().total.detections, 11);
        assert_eq!(of(&[&format!("{DAY}\r")]).unwrap().total.hotplate_hits, 2);
    }

    #[test]
    fn what_no_car_sends_is_refused_with_its_line_and_not_added_up() {
        let cases = [
            (DAY.replace(":10", ":18446744073709551615"), "no count of a day is above"),
            (DAY.replace(":10", ":1000000001"), "no count of a day is above"),
            (DAY.replace("\"v\":1", "\"v\":2"), "is of format 2, this reads format 1"),
            (DAY.replace(":10", ":10,\"reads\":99"), "a name stands there twice"),
            (DAY.replace("{\"queries", "{\"queries\":7,\"queries"), "a name stands there twice"),
            (DAY.replace("4127", "4127 "), "as no car is called"),
            (DAY.replace("4127", "\u{ff14}127"), "as no car is called"),
            (DAY.replace("queries", "disposition/\\u001b[2J"), "with what cannot be shown"),
            (DAY.replace("front", "fr\u{202e}ont"), "with what cannot be shown"),
            (DAY.replace(":10", ":11"), "says something else of vehicle 4127 on 2026-11-01 than"),
        ];
        for (line, why) in cases {
            assert_ne!(line, DAY);
            let refused = of(&[DAY, &line]).unwrap_err();
            assert!(
                refused.contains("stats.jsonl:2: ") && refused.contains(why),
                "{line}: {refused}"
            );
        }
        let endless = read(&["/dev/zero".into()]).unwrap_err();
        assert!(format!("{endless:#}").contains("longer than any message"), "{endless:#}");
    }
}
