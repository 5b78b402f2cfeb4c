//! `outrider run`: the daemon, from a configuration file.

use std::path::PathBuf;

use clap::Args;

use crate::daemon;

/// Run on the car's cameras until a signal stops it.
#[derive(Debug, Args)]
#[command(
    after_help = "SIGHUP makes it read the hotlists again. SIGTERM stops it in order, and a second SIGTERM at once.\n\nThe exit code is 78 where the car is not set up, which only a person can correct; the systemd unit does not start it again then.\n\nExample:\n  outrider run --config /etc/outrider/outrider.toml"
)]
pub struct RunArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl RunArgs {
    /// Runs until a signal.
    pub fn run(self) -> anyhow::Result<()> {
        daemon::keep_memory_private();
        daemon::run_until_signal(daemon::load(&self.config)?)
    }
}
