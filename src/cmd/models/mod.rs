//! `outrider models`: packages of models, from the desk that signs them to the car that tries them.

use clap::{Args, Subcommand};

mod install;
mod list;
mod pack;
mod rollback;

/// Arguments of `outrider models`.
#[derive(Debug, Args)]
#[command(
    about = "Sign packages of models; install them in this car, list them, go back",
    after_help = "A car takes a package that somebody has signed whom the root trusts for models (outrider provision trust \
        grant --models), and uses it only if it reads at least as well and fast enough. Models that are shipped with the \
        program stay where they are.\n\nExamples, the first at a desk:\n  \
        outrider models pack plate-ocr-small --version 9 --signer workshop.key -o ocr-9.model\n  \
        outrider login --number 77\n  \
        outrider models install ocr-9.model\n  \
        outrider models list\n  \
        outrider models rollback ocr"
)]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Pack(pack::PackArgs),
    Install(install::InstallArgs),
    List(list::ListArgs),
    Rollback(rollback::RollbackArgs),
    Seen(rollback::SeenArgs),
}

impl ModelsArgs {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Pack(args) => args.run(),
            Command::Install(args) => args.run(),
            Command::List(args) => args.run(),
            Command::Rollback(args) => args.run(),
            Command::Seen(args) => args.run(),
        }
    }
}
