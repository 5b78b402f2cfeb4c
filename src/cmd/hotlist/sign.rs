//! `outrider hotlist sign`: signs a version with the author's key.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{StoreArgs, holding, print_json, signing_key};

/// Arguments of `outrider hotlist sign`.
#[derive(Debug, Args)]
#[command(
    about = "Sign the newest version with an author's key",
    after_help = "Examples:\n  \
        outrider hotlist sign --store stolen --author-key stolen.author.key\n  \
        outrider hotlist sign --store stolen --author-key stolen.author.key --version-number 12"
)]
pub(super) struct SignArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// File with the author's secret key (`outrider provision author-key`).
    #[arg(long, value_name = "FILE")]
    author_key: PathBuf,
    /// Which version [default: the newest].
    #[arg(long, value_name = "N")]
    version_number: Option<u64>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl SignArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let store = self.store.open()?;
        let author = signing_key(&self.author_key)?;
        let manifest = match self.version_number {
            Some(version) => store.manifest(version)?,
            None => store.newest_or_error(false).context("nothing to sign")?,
        };
        store.put_signed(manifest.version, &manifest.sign(&author))?;
        let id = author.public().id();
        if self.json {
            return print_json(&serde_json::json!({
                "list": manifest.list, "version": manifest.version, "signed_by": id,
                "revocations": manifest.revoked.len(),
            }));
        }
        println!("{} version {} signed by key {id}", manifest.list, manifest.version);
        println!("  {}", holding(manifest.revoked.len()));
        println!("next: outrider hotlist publish --store {} ...", store.folder().display());
        Ok(())
    }
}
