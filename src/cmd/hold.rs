//! `outrider hold`: keeps a hit past its retention, or ends that.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use ulid::Ulid;

use super::signed;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::control;
use crate::hits::Holds;
use crate::keys::DeviceKey;
use crate::records::hold::{self, Done, HOLD, Request};

/// Keep a hit and its pictures past their retention, because a court or a complaint demands it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider hold 01KXB3… --reason 'court order 26-118' --until 2027-06-01\n  outrider hold 01KXB3… --release\n  outrider hold --list"
)]
pub struct HoldArgs {
    /// The hit, by its ULID.
    #[arg(value_name = "HIT", required_unless_present = "list")]
    hit: Option<String>,
    /// Why it must be kept.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["release", "list"])]
    reason: Option<String>,
    /// Number or name of the person who places the hold; must be the person who is signed in (outrider login).
    #[arg(long, value_name = "NAME")]
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
        // A running daemon is asked, because it alone may have the key.
        let done: Done = match control::answers(state) {
            true => signed::ask_daemon(state, HOLD, &request)?,
            // Holds can be listed without the daemon; whoever places one must be signed in, which the daemon knows.
            false if matches!(request, Request::List) => {
                DeviceKey::existing(state)?;
                hold::list(&Holds::open(state, Arc::new(SystemClock))?)?
            }
            false => bail!(
                "no daemon answers in {}: start it and sign in (outrider login); a hold is placed and ended by a \
                 person who is signed in",
                state.display()
            ),
        };
        match done {
            Done::Placed { hit, until } => println!("hit {hit} held until {until}"),
            Done::Ended { hit, holds } => {
                println!("hit {hit}: legal holds ended: {holds}; its retention applies again");
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

/// The time that a text means; a date means the end of that day.
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
