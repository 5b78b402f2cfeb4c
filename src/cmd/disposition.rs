//! `outrider disposition`: says what a hit was, and what came of it.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::control;
use crate::disposition::{Request, Word};
use crate::policy::Who;

/// What is asked of the control socket.
pub(crate) const DISPOSITION: &str = "disposition";

/// Say what a hit was after comparing it, what dispatch said, and what came of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: outrider disposition 01KXB3... confirmed --officer 1234\n\nFirst confirmed, misread, wrong_jurisdiction, stale or dismissed; then dispatch_confirmed or\nnot_active; then what came of it."
)]
pub struct DispositionArgs {
    /// The hit, by its ULID.
    hit: String,
    /// What it was.
    word: Word,
    /// Who says so.
    #[arg(long, value_name = "ID")]
    officer: String,
    /// In which role.
    #[arg(long, default_value = "officer")]
    role: Who,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl DispositionArgs {
    /// Tells the daemon.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let request =
            Request { hit: self.hit, word: self.word, officer: self.officer, role: self.role };
        let status: String = control::ask(&config.keeping.directory, DISPOSITION, &request)?;
        println!("{status}");
        Ok(())
    }
}
