//! `outrider unlock`: types the passphrase of the device key to a daemon that waits for it.

use std::path::PathBuf;

use clap::Args;

use super::secret;
use crate::config::Config;
use crate::control;

/// What is asked of the control socket.
pub(crate) const UNLOCK: &str = "unlock";

/// Type the passphrase at the start of the shift.
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl UnlockArgs {
    /// Asks and tells the daemon.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let words = secret::ask("Passphrase of this car's device key")?;
        let () = control::ask(&config.keeping.directory, UNLOCK, &*words)?;
        eprintln!("unlocked");
        Ok(())
    }
}
