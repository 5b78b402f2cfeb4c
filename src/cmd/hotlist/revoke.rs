//! `outrider hotlist revoke`: takes a wrong entry out of force before the next update is made.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::{
    BrokerArgs, ListKeyArgs, StoreArgs, holding, life, print_json, publish::publish_to, signing_key,
};
use crate::authoring::publish::{Revoking, revoke};
use crate::config::HumanDuration;
use crate::plate::{Jurisdiction, ListedPlate};

/// Arguments of `outrider hotlist revoke`.
#[derive(Debug, Args)]
#[command(
    about = "Take entries out of force at once: a new signed version without a new chunk",
    after_help = "The plate is read from standard input, so that it stands in no process list and no \
        shell history.\nThe revocation goes on with every version until the source no longer lists the \
        entry.\n\nExample:\n  \
        echo ABC123 | outrider hotlist revoke --jurisdiction CA-ON --store stolen \
        --list-key stolen.list.key --author-key stolen.author.key --broker mqtts://broker.example \
        --ca ca.pem --certificate author.pem --key author.key.pem"
)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    list_key: ListKeyArgs,
    /// File with the author's secret key.
    #[arg(long, value_name = "FILE")]
    author_key: PathBuf,
    /// Only the entry of this issuer [default: of all issuers].
    #[arg(long)]
    jurisdiction: Option<String>,
    /// How long cars may use the version if no other comes.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    expires_in: HumanDuration,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl RevokeArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        let plate = ListedPlate::parse(line.trim())?;
        let jurisdiction = self.jurisdiction.as_deref().map(Jurisdiction::parse).transpose()?;
        let (store, keys) = (self.store.open()?, self.list_key.load()?);
        let author = signing_key(&self.author_key)?;
        let now = Timestamp::from_second(Timestamp::now().as_second())?;
        let life = life(self.expires_in)?;
        let done = revoke(&store, &Revoking { plate, jurisdiction, now, life, keys: &keys })?;
        let manifest = &done.manifest;
        store.put_signed(manifest.version, &manifest.sign(&author))?;
        let published = match self.broker.is_given() {
            true => Some(publish_to(&store, &keys, &self.broker, (3, false))?),
            false => None,
        };
        if self.json {
            return print_json(&serde_json::json!({
                "list": manifest.list,
                "version": manifest.version,
                "revoked_entries": done.issuers.len(),
                "revocations": manifest.revoked.len(),
                "published": published,
                "under_old_key": done.old_key,
            }));
        }
        let issuers: Vec<_> = done.issuers.iter().map(ToString::to_string).collect();
        println!(
            "{} version {}: {} entries revoked ({}); {}",
            manifest.list,
            manifest.version,
            done.issuers.len(),
            issuers.join(", "),
            holding(manifest.revoked.len())
        );
        if done.old_key {
            println!(
                "CAUTION: this version is sealed with the old list key {}, as its chunks are; import and build to get rid of it",
                manifest.key
            );
        }
        match published {
            Some(_) => println!("published: cars drop the entry as soon as they get the manifest"),
            None => println!("not published yet: outrider hotlist publish"),
        }
        Ok(())
    }
}
