//! `outrider hold`: keeps a hit past its retention, or ends that.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::control;
use crate::keys::DeviceKey;
use crate::uplink::Holds;

/// Keep a hit and its pictures past their retention, because a court or a complaint says so.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider hold 01KXB3… --reason 'court order 26-118' --author 'Sgt. Okafor' --until 2027-06-01\n  outrider hold 01KXB3… --release --author 'Insp. Roy'\n  outrider hold --list"
)]
pub struct HoldArgs {
    /// The hit, by its ULID.
    #[arg(value_name = "HIT", required_unless_present = "list")]
    hit: Option<String>,
    /// Why it must be kept.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["release", "list"])]
    reason: Option<String>,
    /// Who says so.
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    author: Option<String>,
    /// When the hold ends by itself: a date (its end, UTC) or a time such as 2027-06-01T12:00:00Z.
    #[arg(long, value_name = "DATE", required_unless_present_any = ["release", "list"])]
    until: Option<String>,
    /// End the holds of this hit.
    #[arg(long, conflicts_with_all = ["reason", "until", "list"])]
    release: bool,
    /// List the holds in force, as JSON lines.
    #[arg(long, conflicts_with_all = ["hit", "reason", "author", "until"])]
    list: bool,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl HoldArgs {
    /// Places, ends or lists holds.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let request = self.request()?;
        let state = &config.keeping.directory;
        // A daemon that runs is asked: it alone may have the key.
        let done: Done = match control::answers(state) {
            true => control::ask(state, HOLD, &request)?,
            false => {
                DeviceKey::existing(state)?;
                let holds = Holds::open(state, Arc::new(SystemClock))?;
                let (clock, health) = (Arc::new(SystemClock), Arc::default());
                let audit = Audit::open(&config.keeping, &config.vehicle, clock, health)?;
                let who = Actor::Shell(rustix::process::getuid().as_raw());
                carry_out(&holds, &audit, who, request)?
            }
        };
        match done {
            Done::Placed { hit, until } => println!("hit {hit} held until {until}"),
            Done::Ended { hit, holds } => {
                println!("hit {hit}: {holds} ended, its retention counts again");
            }
            Done::InForce(holds) => {
                for hold in holds {
                    println!("{hold}");
                }
            }
        }
        Ok(())
    }

    fn request(self) -> anyhow::Result<Request> {
        if self.list {
            return Ok(Request::List);
        }
        let hit = self.hit.unwrap_or_default();
        Ulid::from_string(&hit)
            .map_err(|_| anyhow::anyhow!("{hit:?} is no hit: give its ULID, 26 characters"))?;
        let author = self.author.unwrap_or_default();
        if self.release {
            return Ok(Request::Release { hit, author });
        }
        let until = parse_until(&self.until.unwrap_or_default())?;
        Ok(Request::Place { hit, reason: self.reason.unwrap_or_default(), author, until })
    }
}

/// What is asked of the control socket.
pub(crate) const HOLD: &str = "hold";

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    Place { hit: String, reason: String, author: String, until: Timestamp },
    Release { hit: String, author: String },
    List,
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    Placed {
        hit: String,
        until: Timestamp,
    },
    Ended {
        hit: String,
        holds: usize,
    },
    /// A line of JSON each.
    InForce(Vec<String>),
}

/// Does it, and writes it down.
pub(crate) fn carry_out(
    holds: &Holds,
    audit: &Audit,
    who: Actor,
    request: Request,
) -> anyhow::Result<Done> {
    let named = |hit: &str| Ulid::from_string(hit).with_context(|| format!("{hit:?} is no hit"));
    // What nobody could read of later is not done.
    if let Some(why) = audit.closed().filter(|_| !matches!(request, Request::List)) {
        bail!("no hold without a record: {why}");
    }
    Ok(match request {
        Request::List => {
            let each = holds.in_force()?;
            let each = each.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            Done::InForce(each)
        }
        Request::Release { hit, author } => {
            let id = named(&hit)?;
            let ended = holds.release(id, &author)?;
            let why = format!("ended by {author}");
            audit.append(who, AuditEvent::LegalHoldEnded { hit: id, why })?;
            Done::Ended { hit, holds: ended }
        }
        Request::Place { hit, reason, author, until } => {
            let hold = holds.place(named(&hit)?, &reason, &author, until)?;
            let reason = format!("{}, for {}", hold.reason, hold.author);
            audit.append(who, AuditEvent::LegalHold { hit: hold.hit, until, reason })?;
            Done::Placed { hit, until: hold.until }
        }
    })
}

/// A date means its end.
fn parse_until(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let Ok(date) = text.parse::<Date>() else {
        bail!("--until {text:?}: must be a date such as 2027-06-01, or a time with its zone");
    };
    let next = date.tomorrow().context("--until is beyond what a calendar holds")?;
    let start = next.to_zoned(jiff::tz::TimeZone::UTC);
    Ok(start.context("--until is beyond what a calendar holds")?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_means_its_end() {
        let at = |text| parse_until(text).unwrap().to_string();
        assert_eq!(at("2027-06-01"), "2027-06-02T00:00:00Z");
        assert_eq!(at("2027-06-01T12:00:00-04:00"), "2027-06-01T16:00:00Z");
        let message = parse_until("next week").unwrap_err().to_string();
        assert_eq!(
            message,
            "--until \"next week\": must be a date such as 2027-06-01, or a time with its zone"
        );
    }
}
