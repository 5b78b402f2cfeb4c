//! `outrider models`: packages of models, from the desk that signs them to the car that tries them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::models::MOST_PACKAGE;

mod install;
mod list;
mod pack;
mod publish;
mod rollback;

/// Arguments of `outrider models`.
#[derive(Debug, Args)]
#[command(
    about = "Sign and publish packages of models; install them in this car, list them, go back",
    after_help = "A car takes a package that somebody has signed whom the root trusts for models (outrider provision trust \
        grant --models), and uses it only if it reads at least as well and fast enough. Models that are shipped with the \
        program stay where they are. A package travels as a file, or over the broker where policy lets it (models.from_broker).\n\nExamples, the first two at a desk:\n  \
        outrider models pack plate-ocr-small --version 9 --signer workshop.key -o ocr-9.model\n  \
        outrider models publish ocr-9.model --agency peel --broker mqtt://localhost\n  \
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
    Publish(publish::PublishArgs),
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
            Command::Publish(args) => args.run(),
            Command::Install(args) => args.run(),
            Command::List(args) => args.run(),
            Command::Rollback(args) => args.run(),
            Command::Seen(args) => args.run(),
        }
    }
}

/// The bytes of a package file, which are not verified.
fn read_package(path: &Path) -> anyhow::Result<Vec<u8>> {
    let (shown, mut bytes) = (path.display(), Vec::new());
    File::open(path)
        .and_then(|file| file.take(MOST_PACKAGE + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > MOST_PACKAGE {
        bail!("{shown} is no model package: it has more than {MOST_PACKAGE} bytes");
    }
    Ok(bytes)
}
