//! `outrider models publish`: brings a signed package to the broker, at a desk.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::read_package;
use crate::authoring::publish::publish_model;
use crate::clock::{Standing, TimeSource};
use crate::cmd::hotlist::{BrokerArgs, bar, bytes, print_json};
use crate::cmd::policy::trust;
use crate::models::{InParts, Package, in_parts};
use crate::trust::{Role, TrustDocument};

/// Arguments of `outrider models publish`.
#[derive(Debug, Args)]
#[command(
    about = "Bring a signed package to the broker: its parts first, then its signed statement",
    after_help = "Cars fetch it if their policy says so: models.from_broker = \"wait\" has it wait for a maintainer, \"install\" has the \
        car try it, and use it if it passes. Without that rule no car asks for it. The broker keeps one package for each kind \
        of model. An interrupted run may be repeated: equal messages replace each other. --replaces takes from the broker \
        what only the package before needed.\n\nExamples:\n  \
        outrider models publish ocr-9.model --agency peel --trust trust.json --broker mqtts://broker.example --ca ca.pem \
        --certificate workshop.pem --key workshop.key.pem\n  \
        outrider models publish ocr-10.model --replaces ocr-9.model --agency peel --broker mqtt://localhost"
)]
pub(super) struct PublishArgs {
    /// The package, as `models pack` wrote it.
    file: PathBuf,
    /// The agency whose cars are to have it.
    #[arg(long)]
    agency: String,
    /// The package that was published before, whose parts the broker need not keep.
    #[arg(long, value_name = "FILE")]
    replaces: Option<PathBuf>,
    /// The trust document, which says whether cars believe the signature.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl PublishArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let file = read_package(&self.file)?;
        let not_published = || format!("{} is not published", self.file.display());
        let package = in_parts(&file).with_context(not_published)?;
        if let Some(path) = &self.trust {
            let document = trust(path, None)?;
            if document.agency != self.agency {
                bail!(
                    "{} is of agency {:?}, not {:?}",
                    path.display(),
                    document.agency,
                    self.agency
                );
            }
            cars_believe(&document, &file).with_context(not_published)?;
        }
        let before = self.replaces.as_deref().map(read_package).transpose()?;
        let before = match &before {
            Some(file) => Some(in_parts(file).context("--replaces names no such package")?),
            None => None,
        };
        if let Some(InParts { statement, .. }) = &before
            && statement.kind != package.statement.kind
        {
            bail!(
                "--replaces names a package of the {}, this is one of the {}",
                statement.kind,
                package.statement.kind
            );
        }
        if !self.broker.is_given() {
            bail!("no broker is given: add --broker mqtts://host");
        }
        let bar = bar(0, "publishing {wide_bar} {bytes}/{total_bytes} {eta}");
        let mut broker = self.broker.connect()?;
        let done =
            publish_model(&package, &self.agency, before.as_ref(), &mut broker, |at, of| {
                bar.set_length(of);
                bar.set_position(at);
            })?;
        broker.close();
        bar.finish_and_clear();
        if self.json {
            return print_json(&serde_json::to_value(done)?);
        }
        println!(
            "{} {} published, signed by key {}: {} parts ({}), {} old ones removed",
            package.statement.kind,
            package.statement.words(),
            package.signer,
            done.sent,
            bytes(done.bytes),
            done.cleaned
        );
        Ok(())
    }
}

/// Refuses what no car of this trust document takes.
fn cars_believe(document: &TrustDocument, file: &[u8]) -> anyhow::Result<()> {
    let TrustDocument { keys, withdrawn, retired, .. } = document;
    let may = keys.iter().filter(|key| key.roles.contains(&Role::Models));
    let signers: Vec<_> = may
        .map(|key| key.public)
        .filter(|key| !withdrawn.contains(&key.id()) && !retired.contains(&key.id()))
        .collect();
    let now = Standing::of_machine(jiff::Timestamp::now(), TimeSource::Ntp);
    Package::open(file, &signers, |_| 0, &now)?;
    Ok(())
}
