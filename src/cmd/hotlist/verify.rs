//! `outrider hotlist verify`: checks everything about a version, offline.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;

use super::{ListKeyArgs, StoreArgs, holding, key_of, print_json};
use crate::authoring::publish::verify;
use crate::cmd::envelope;
use crate::dsse::PublicKey;
use crate::trust::{Role, Root, Trust};

/// Arguments of `outrider hotlist verify`.
#[derive(Debug, Args)]
#[command(
    about = "Check a signed version as a car would: signature, chunks, order, counts",
    after_help = "Examples:\n  \
        outrider hotlist verify --store stolen --list-key stolen.list.key --root root.pub.json \
        --trust trust.json\n  \
        outrider hotlist verify --store stolen --list-key stolen.list.key --author 4f0c...e1"
)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    list_key: ListKeyArgs,
    /// Which version [default: the newest signed one].
    #[arg(long, value_name = "N")]
    version_number: Option<u64>,
    /// File with the root's public keys, as provisioned into the cars.
    #[arg(long, value_name = "FILE", requires = "trust")]
    root: Option<PathBuf>,
    /// The trust document that says who may author the list.
    #[arg(long, value_name = "FILE", requires = "root")]
    trust: Option<PathBuf>,
    /// An author's public key, in place of a trust document; may be repeated.
    #[arg(long, value_name = "KEY", conflicts_with = "trust")]
    author: Vec<String>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl VerifyArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (store, keys) = (self.store.open()?, self.list_key.load()?);
        let version = match self.version_number {
            Some(version) => version,
            None => store.newest_or_error(true)?.version,
        };
        let manifest = store.manifest(version)?;
        let now = Timestamp::now();
        let authors = match (&self.root, &self.trust) {
            (Some(root), Some(trust)) => {
                let root = Root::load(root)?;
                let shown = || trust.display().to_string();
                let envelope = envelope::read(trust, envelope::MOST_DOCUMENT)?;
                let trust =
                    Trust::open(&envelope, &root, &manifest.agency, 0, now).with_context(shown)?;
                trust.keys_for(&Role::ListAuthor(manifest.list.clone()))
            }
            _ => self.author.iter().map(|text| PublicKey::parse(text)).collect::<Result<_, _>>()?,
        };
        if authors.is_empty() {
            match &self.trust {
                Some(trust) => bail!(
                    "{} lets nobody author list {:?}: see outrider provision trust grant --list",
                    trust.display(),
                    manifest.list
                ),
                None => bail!(
                    "nothing says whose signature to believe: give --root and --trust, or --author"
                ),
            }
        }
        let held = verify(&store, key_of(&keys, &manifest)?, version, &authors, now)?;
        if self.json {
            return print_json(&held);
        }
        println!(
            "{} version {} holds: signed by key {}, {} messages, {} entries",
            manifest.list, held.version, held.signed_by, held.messages, held.entries
        );
        println!(
            "  list {} of agency {}, source of {}, issued {}, expires {}",
            manifest.list, held.agency, held.source_time, held.issued, held.expires
        );
        if held.revoked + held.out_of_force > 0 {
            println!(
                "  of the entries {} are revoked and {} are not in force now",
                held.revoked, held.out_of_force
            );
        }
        println!("  not known: whether a newer version exists; only the broker knows");
        println!("  {}", holding(manifest.revoked.len()));
        Ok(())
    }
}
