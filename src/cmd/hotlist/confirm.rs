//! `outrider hotlist confirm`: a person vouches, in the car, for a sudden change of a list's size.

use clap::Args;

use super::super::signed;
use crate::cmd::which_car::WhichCar;
use crate::hotlist::sync::{CONFIRM, Confirm};
use crate::policy::Who;

/// Arguments of `outrider hotlist confirm`.
#[derive(Debug, Args)]
#[command(
    about = "Let this car take a version whose size has changed suddenly",
    after_help = "A version that is much shorter or longer than the one before waits until a person in the car \
        confirms that this is intended. Where policy sets no limit of its own, its author's confirmation is enough \
        (hotlist build --confirm-size). The running daemon takes it within a second.\n\nExample:\n  \
        outrider hotlist confirm stolen 412 --reason 'quarterly purge, confirmed by phone'"
)]
pub(super) struct ConfirmArgs {
    /// Name of the list, as in the configuration.
    list: String,
    /// The version that waits; `outrider check` and the console name it.
    version: u64,
    /// Number of the person who confirms; must be the person who is signed in (outrider login).
    #[arg(long, value_name = "NUMBER", default_value = "", hide_default_value = true)]
    by: String,
    /// The role, where the person who is signed in has several. Policy says which roles may (permission confirm_list).
    #[arg(long, value_enum)]
    role: Option<Who>,
    /// Why the change is intended.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    car: WhichCar,
}

impl ConfirmArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { list, version, by, role, reason, car } = self;
        let asked = Confirm { list, version, by, role, reason };
        let () = signed::ask_daemon(&car.state()?, CONFIRM, &asked)?;
        println!("version {} of list {:?} confirmed", asked.version, asked.list);
        Ok(())
    }
}
