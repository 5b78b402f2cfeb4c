//! The arguments that say which car's daemon a command talks to: its configuration, or its state folder.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;

/// Which car.
#[derive(Debug, Args)]
pub(super) struct WhichCar {
    /// The car's configuration; its keeping.directory is where the daemon's control socket is.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
    /// The car's state folder, in place of the configuration's.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state: Option<PathBuf>,
}

impl WhichCar {
    /// The folder in which its daemon listens.
    pub(super) fn state(&self) -> anyhow::Result<PathBuf> {
        match &self.state {
            Some(state) => Ok(state.clone()),
            None => Ok(Config::load(&self.config)?.keeping.directory),
        }
    }
}
