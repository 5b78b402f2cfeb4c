//! `outrider hotlist`: the author's side of a list, from the source's file to the broker.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use crate::authoring::publish::Store;
use crate::clock::span;
use crate::config::HumanDuration;
use crate::hotlist::format::{ListKey, ListKeys, Manifest};

mod broker;
mod build;
mod confirm;
mod diff;
mod import;
mod inspect;
mod publish;
mod revoke;
mod sign;
mod verify;

pub use broker::BrokerArgs;

/// Arguments of `outrider hotlist`.
#[derive(Debug, Args)]
#[command(
    about = "Make, sign and publish lists of plates",
    after_help = "Examples in the order in which a list is made; `outrider provision list-key` makes its key:\n  \
        outrider hotlist import ncic.txt --mapping ncic-fixed --list stolen --list-key stolen.list.key\n  \
        outrider hotlist build stolen.hotlist --store stolen --agency opp --list-key stolen.list.key\n  \
        outrider hotlist diff --store stolen --list-key stolen.list.key\n  \
        outrider hotlist sign --store stolen --author-key stolen.author.key\n  \
        outrider hotlist publish --store stolen --list-key stolen.list.key --broker mqtts://broker.example \
        --ca ca.pem --certificate author.pem --key author.key.pem"
)]
pub struct HotlistArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::ImportArgs),
    Build(build::BuildArgs),
    Sign(sign::SignArgs),
    Publish(publish::PublishArgs),
    Inspect(inspect::InspectArgs),
    Diff(diff::DiffArgs),
    Verify(verify::VerifyArgs),
    Revoke(revoke::RevokeArgs),
    Confirm(confirm::ConfirmArgs),
}

impl HotlistArgs {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Import(args) => args.run(),
            Command::Build(args) => args.run(),
            Command::Sign(args) => args.run(),
            Command::Publish(args) => args.run(),
            Command::Inspect(args) => args.run(),
            Command::Diff(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Revoke(args) => args.run(),
            Command::Confirm(args) => args.run(),
        }
    }
}

/// The store, which most of these work on.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The list's folder: chunks and manifests of every version kept.
    #[arg(long, value_name = "FOLDER")]
    store: PathBuf,
}

impl StoreArgs {
    fn open(&self) -> anyhow::Result<Store> {
        if !self.store.is_dir() {
            bail!("{} is not a folder: outrider hotlist build makes it", self.store.display());
        }
        Ok(Store::open(&self.store)?)
    }
}

/// The list key.
#[derive(Debug, Args)]
pub struct ListKeyArgs {
    /// File with the list's keys, the newest first (`outrider provision list-key`).
    #[arg(long, value_name = "FILE")]
    list_key: PathBuf,
}

impl ListKeyArgs {
    fn load(&self) -> anyhow::Result<ListKeys> {
        Ok(ListKeys::load(&self.list_key)?)
    }
}

/// The key that a version needs.
fn key_of<'k>(keys: &'k ListKeys, manifest: &Manifest) -> anyhow::Result<&'k ListKey> {
    keys.get(manifest.key).with_context(|| {
        format!(
            "version {} is sealed with list key {}, which the key file does not contain",
            manifest.version, manifest.key
        )
    })
}

/// How many revocations are in force, for people.
fn holding(revocations: usize) -> String {
    match revocations {
        1 => "1 revocation holds".into(),
        n => format!("{n} revocations hold"),
    }
}

/// How long a version may be used, within what a manifest takes.
fn life(human: HumanDuration) -> anyhow::Result<SignedDuration> {
    let life = SignedDuration::try_from(human.get()).unwrap_or(SignedDuration::MAX);
    if life <= SignedDuration::ZERO || life > SignedDuration::from_hours(400 * 24) {
        bail!("--expires-in {human}: must be more than 0 and at most 400d");
    }
    Ok(life)
}

/// How long ago, in the largest unit that says it.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let since = now.duration_since(then).max(SignedDuration::ZERO);
    format!("{} ago", span(since.unsigned_abs()))
}

/// Bytes for people.
pub(super) fn bytes(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits for people")]
    let f = n as f64;
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{:.1} KB", f / 1e3),
        _ => format!("{:.1} MB", f / 1e6),
    }
}

/// A progress bar where standard error is a terminal.
pub(super) fn bar(length: u64, template: &str) -> indicatif::ProgressBar {
    let style = indicatif::ProgressStyle::with_template(template).expect("a fixed template");
    indicatif::ProgressBar::new(length).with_style(style)
}

/// Prints something as one JSON document.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Reads a signing key from its file.
pub(super) fn signing_key(path: &Path) -> anyhow::Result<crate::dsse::SigningKey> {
    let text = crate::secret_file::read(path)?;
    let line = text.lines().map(|l| l.split('#').next().unwrap_or_default().trim());
    let line = line.into_iter().find(|l| !l.is_empty()).unwrap_or_default();
    crate::dsse::SigningKey::parse(line)
        .with_context(|| format!("{} (made by outrider provision author-key?)", path.display()))
}
