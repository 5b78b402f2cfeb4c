//! `outrider disposition`: records what a hit was, and what came of it.

use std::path::PathBuf;

use clap::Args;

use super::signed;
use crate::config::Config;
use crate::daemon::asked::DISPOSITION;
use crate::policy::Who;
use crate::records::disposition::{Compared, Dispatch, Request, Word};
use crate::wire::TakenBackWhy;

/// Record what a hit was after comparing it, what dispatch said, and what came of it.
#[derive(Debug, Args)]
#[command(
    after_help = "First confirmed, misread, wrong_jurisdiction, stale or dismissed; then dispatch_confirmed or\nnot_active; then what came of it. A wrong verdict is taken back (taken_back --why REASON).\n\nExamples:\n  outrider disposition 01KXB3... confirmed --characters-match --jurisdiction-matches\n  outrider disposition 01KXB3... dispatch_confirmed --operator 27"
)]
pub struct DispositionArgs {
    /// The hit, by its ULID.
    hit: String,
    /// The verdict, what dispatch said, or the outcome.
    word: Word,
    /// With `confirmed`: the characters in the picture are the entry's.
    #[arg(long)]
    characters_match: bool,
    /// With `confirmed`: the state or province in the picture is the entry's.
    #[arg(long)]
    jurisdiction_matches: bool,
    /// With `taken_back`: the reason.
    #[arg(long, value_name = "REASON")]
    why: Option<TakenBackWhy>,
    /// With `dispatch_confirmed` and `not_active`: the operator's number at dispatch, in digits.
    #[arg(long, value_name = "NUMBER")]
    operator: Option<String>,
    /// With `--operator`: when they said so [default: now].
    #[arg(long, value_name = "TIME", requires = "operator")]
    at: Option<jiff::Timestamp>,
    /// Number of the person who decides; must be the person who is signed in (outrider login).
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    officer: String,
    /// The role, where the person who is signed in has several.
    #[arg(long)]
    role: Option<Who>,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl DispositionArgs {
    /// Sends the step to the daemon.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let request = Request {
            hit: self.hit,
            word: self.word,
            officer: self.officer,
            role: self.role,
            compared: Compared {
                characters: self.characters_match,
                jurisdiction: self.jurisdiction_matches,
            },
            why: self.why,
            dispatch: self.operator.map(|operator| Dispatch { operator, at: self.at }),
        };
        let status: String = signed::ask_daemon(&config.keeping.directory, DISPOSITION, &request)?;
        println!("{status}");
        Ok(())
    }
}
