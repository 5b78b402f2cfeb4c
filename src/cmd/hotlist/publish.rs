//! `outrider hotlist publish`: brings a signed version to the broker.

use anyhow::bail;
use clap::Args;

use super::{BrokerArgs, ListKeyArgs, StoreArgs, bar, bytes, holding, print_json};
use crate::authoring::publish::{BrokerError, PublishError, Published, Store, publish};
use crate::hotlist::format::ListKeys;

/// Number of attempts without progress after which publishing is given up.
const ATTEMPTS: u32 = 3;

/// Arguments of `outrider hotlist publish`.
#[derive(Debug, Args)]
#[command(
    about = "Publish the newest signed version: missing chunks first, then the manifest",
    after_help = "After an interruption the same command goes on where it was.\n\nExamples:\n  \
        outrider hotlist publish --store stolen --list-key stolen.list.key --broker mqtts://broker.example \
        --ca ca.pem --certificate author.pem --key author.key.pem\n  \
        outrider hotlist publish --store stolen --list-key stolen.list.key --broker mqtt://localhost --anew"
)]
pub(super) struct PublishArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    list_key: ListKeyArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Number of versions that stay complete at the broker, for cars that are still fetching them.
    #[arg(long, value_name = "N", default_value_t = 3)]
    keep: usize,
    /// Send everything, for a broker that has lost what it had.
    #[arg(long)]
    anew: bool,
    /// Publish although the newest version is sealed with an older list key than the newest.
    #[arg(long)]
    under_old_key: bool,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl PublishArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (store, keys) = (self.store.open()?, self.list_key.load()?);
        if !self.broker.is_given() {
            bail!("no broker is given: add --broker mqtts://host");
        }
        let newest = store.newest_or_error(true)?;
        if newest.key != keys.newest().id() && !self.under_old_key {
            return Err(PublishError::OldKey {
                version: newest.version,
                key: newest.key.to_string(),
                newest: keys.newest().id().to_string(),
            }
            .into());
        }
        let done = publish_to(&store, &keys, &self.broker, (self.keep, self.anew))?;
        if self.json {
            let mut json = serde_json::to_value(done)?;
            json["revocations"] = newest.revoked.len().into();
            return print_json(&json);
        }
        println!(
            "version {} published: {} messages sent ({}), {} already there, {} old ones removed",
            done.version,
            done.sent,
            bytes(done.bytes),
            done.had,
            done.cleaned,
        );
        println!("  {}; sealed with list key {}", holding(newest.revoked.len()), newest.key);
        Ok(())
    }
}

/// Publishes, and connects again as long as something gets through.
pub(super) fn publish_to(
    store: &Store,
    keys: &ListKeys,
    to: &BrokerArgs,
    (keep, mut anew): (usize, bool),
) -> Result<Published, PublishError> {
    let bar = bar(0, "publishing {wide_bar} {bytes}/{total_bytes} {eta}");
    let mut failures = 0;
    loop {
        let mut through = 0;
        let done = to.connect().map_err(PublishError::from).and_then(|mut broker| {
            let done = publish(store, keys, &mut broker, &to.name(), (keep, anew), |at, of| {
                through = at;
                bar.set_length(of);
                bar.set_position(at);
            })?;
            broker.close();
            Ok(done)
        });
        // Only the first attempt begins from nothing; later ones go on from what was acknowledged.
        anew &= through == 0;
        match done {
            Ok(done) => {
                bar.finish_and_clear();
                return Ok(done);
            }
            Err(PublishError::Broker(BrokerError::Connection { at, why }))
                if through > 0 || failures + 1 < ATTEMPTS =>
            {
                failures = if through > 0 { 0 } else { failures + 1 };
                tracing::warn!(broker = %at, %why, "connection lost, trying again");
                std::thread::sleep(std::time::Duration::from_secs(2));
            }
            Err(e) => return Err(e),
        }
    }
}
