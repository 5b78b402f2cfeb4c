//! `outrider hotlist confirm`: a person vouches, in the car, for a sudden change of a list's size.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::config::{Config, ListSource};
use crate::hotlist::sync::{self, Confirmation};
use crate::keys::DeviceKey;

/// Arguments of `outrider hotlist confirm`.
#[derive(Debug, Args)]
#[command(
    about = "Let this car take a version whose size has changed suddenly",
    after_help = "A version that is much shorter or longer than the one before waits until a person in the car \
        says that it is meant, or its author does (hotlist sign). The running daemon takes it within \
        seconds.\n\nExample:\n  \
        outrider hotlist confirm stolen 412 --by 'Sgt 4417' --reason 'quarterly purge, told by phone'"
)]
pub(super) struct ConfirmArgs {
    /// Name of the list, as in the configuration.
    list: String,
    /// The version that waits; `outrider check` and the console name it.
    version: u64,
    /// Who vouches.
    #[arg(long, value_name = "WHO")]
    by: String,
    /// Why the change is meant.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The car's configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl ConfirmArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let state = &config.keeping.directory;
        let Some(list) = config.hotlist.iter().find(|list| list.name == self.list) else {
            bail!("{} has no [[hotlist]] named {:?}", self.config.display(), self.list);
        };
        if list.source != ListSource::Mqtt {
            bail!("list {:?} comes from a file: there is nothing to confirm", self.list);
        }
        let (by, reason) = (self.by.trim(), self.reason.trim());
        if by.is_empty() || reason.is_empty() {
            bail!("--by and --reason must say who vouches, and why");
        }
        match sync::kept(state, list)? {
            Some(kept) if kept.newest == Some(self.version) => {}
            Some(kept) => bail!(
                "version {} of list {:?} does not wait: version {} serves{}",
                self.version,
                self.list,
                kept.version,
                kept.newest.map_or(String::new(), |n| format!(", version {n} waits"))
            ),
            None => bail!("nothing of list {:?} has come to this car", self.list),
        }
        let device = DeviceKey::load(state)?;
        let confirmation = Confirmation {
            version: self.version,
            by: by.to_owned(),
            reason: reason.to_owned(),
            uid: rustix::process::geteuid().as_raw(),
        };
        sync::confirm(state, &self.list, &device, &confirmation)
            .with_context(|| format!("cannot write under {}", state.display()))?;
        println!("version {} of list {:?} confirmed by {by}", self.version, self.list);
        Ok(())
    }
}
