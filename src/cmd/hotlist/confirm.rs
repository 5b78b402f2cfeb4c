//! `outrider hotlist confirm`: a person vouches, in the car, for a sudden change of a list's size.

use std::path::PathBuf;

use clap::Args;

use crate::control;
use crate::hotlist::sync::{CONFIRM, Confirm};
use crate::policy::Who;

/// Arguments of `outrider hotlist confirm`.
#[derive(Debug, Args)]
#[command(
    about = "Let this car take a version whose size has changed suddenly",
    after_help = "A version that is much shorter or longer than the one before waits until a person in the car \
        says that it is meant. Where policy sets no limit of its own, its author's word is enough \
        (hotlist build --confirm-size). The running daemon takes it within a second.\n\nExample:\n  \
        outrider hotlist confirm stolen 412 --by 4417 --reason 'quarterly purge, told by phone'"
)]
pub(super) struct ConfirmArgs {
    /// Name of the list, as in the configuration.
    list: String,
    /// The version that waits; `outrider check` and the console name it.
    version: u64,
    /// Number of the person who vouches; goes into the audit.
    #[arg(long, value_name = "NUMBER")]
    by: String,
    /// In which role. Policy says which may (permission confirm_list).
    #[arg(long, value_enum, default_value_t = Who::Supervisor)]
    role: Who,
    /// Why the change is meant.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The car's state folder, where the daemon's control socket is.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/outrider")]
    state: PathBuf,
}

impl ConfirmArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { list, version, by, role, reason, state } = self;
        let asked = Confirm { list, version, by, role, reason };
        let () = control::ask(&state, CONFIRM, &asked)?;
        println!("version {} of list {:?} confirmed by {}", asked.version, asked.list, asked.by);
        Ok(())
    }
}
