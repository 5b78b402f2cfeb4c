//! `outrider report`: the transparency report of this car, or of many from their messages.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::civil::Date;

use crate::audit::Audit;
use crate::clock::SystemClock;
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

fn read(files: &[PathBuf]) -> anyhow::Result<(String, Vec<(String, DayReport)>)> {
    let mut agency = String::new();
    let mut days = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let report: StatsReport = serde_json::from_str(line)
                .with_context(|| format!("{}:{}", path.display(), number + 1))?;
            if agency.is_empty() {
                agency.clone_from(&report.agency);
            }
            if report.agency != agency {
                bail!("{}:{}: of another agency", path.display(), number + 1);
            }
            days.push(report.into_day());
        }
    }
    if days.is_empty() {
        bail!("no day in {} files", files.len());
    }
    Ok((agency, days))
}
