//! `outrider unlock`: gives the passphrase of the device key to a daemon that waits for it.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::control;
use crate::daemon::asked::UNLOCK;
use crate::prompt;

/// Give the passphrase to the daemon at the start of the shift; it is asked for at the terminal.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  outrider unlock")]
pub struct UnlockArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl UnlockArgs {
    /// Asks and tells the daemon.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let words = prompt::read_secret("Passphrase of this car's device key")?;
        let () = control::ask(&config.keeping.directory, UNLOCK, &*words)?;
        eprintln!("unlocked");
        Ok(())
    }
}
