//! `outrider query`: looks one plate up in what this car still keeps; a reason is needed and recorded.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::signed;
use crate::config::{Config, HumanDuration};
use crate::daemon::asked::QUERY;
use crate::grounds::Reason;
use crate::policy::Who;
use crate::records::lookup::{Found, Request};

/// Look one plate up; the daemon writes it into the audit log before it answers.
#[derive(Debug, Args)]
#[command(after_help = reasons())]
pub struct QueryArgs {
    /// The whole plate; `-` reads it from standard input, so that no list of processes, no history and no log of sudo
    /// shows it.
    plate: String,
    /// Code of the reason; the codes are listed below.
    #[arg(long, value_name = "CODE")]
    reason: String,
    /// Number of the case that it is for.
    #[arg(long, value_name = "NUMBER")]
    case: String,
    /// Number of the person who asks; must be the person who is signed in (outrider login).
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    officer: String,
    /// The role, where the person who is signed in has several.
    #[arg(long)]
    role: Option<Who>,
    /// How far back to look, such as 2h or 3d, or a time [default: a day]. More than a day needs a supervisor.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

fn reasons() -> String {
    let mut text = String::from("Reason codes:\n");
    for (_, code, what) in Reason::ALL {
        text += &format!("  {code:<16} {what}\n");
    }
    text + "\nExample:\n  outrider query - --reason hit_and_run --case 26-00417"
}

impl QueryArgs {
    /// Asks the daemon.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let plate = super::typed_plate(self.plate)?;
        let request = Request {
            plate,
            officer: self.officer,
            role: self.role,
            reason: self.reason,
            case: self.case,
            since: self.since.as_deref().map(time).transpose()?,
        };
        let found: Found = signed::ask_daemon(&config.keeping.directory, QUERY, &request)?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
            return Ok(());
        }
        writeln!(out, "searched: {}", found.searched)?;
        for hit in &found.hits {
            writeln!(
                out,
                "hit   {}  {:.0}  {}  {} ({})",
                hit.hit, hit.seen, hit.camera, hit.category, hit.list
            )?;
        }
        for read in &found.reads {
            let place =
                read.place.map_or("no fix".into(), |(lat, lon)| format!("{lat:.5}, {lon:.5}"));
            writeln!(out, "read  {}  {:.0}  {}  {place}", read.read, read.seen, read.camera)?;
        }
        if found.hits.is_empty() && found.reads.is_empty() {
            writeln!(out, "nothing found")?;
        }
        Ok(())
    }
}

fn time(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let back: HumanDuration = text
        .parse()
        .ok()
        .with_context(|| format!("--since {text:?}: give 2h, 3d, or 2026-11-23T07:00:00Z"))?;
    let back = SignedDuration::try_from(back.get()).context("--since is too far back")?;
    Timestamp::now().checked_sub(back).context("--since is too far back")
}
