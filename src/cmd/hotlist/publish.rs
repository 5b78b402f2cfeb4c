//! `outrider hotlist publish`: a signed version to the broker.

use anyhow::bail;
use clap::Args;

use super::{BrokerArgs, ListKeyArgs, StoreArgs, bar, bytes, print_json};
use crate::hotlist::format::ListKeys;
use crate::hotlist::publish::{BrokerError, PublishError, Published, Store, publish};

/// Attempts without any progress after which it is given up.
const ATTEMPTS: u32 = 3;

/// Arguments of `outrider hotlist publish`.
#[derive(Debug, Args)]
#[command(
    about = "Publish the newest signed version: missing chunks first, then the manifest",
    after_help = "Interrupted, it goes on where it was. Examples:\n  \
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
    /// Versions that stay whole at the broker, for cars that are still fetching them.
    #[arg(long, value_name = "N", default_value_t = 3)]
    keep: usize,
    /// Send everything, for a broker that has lost what it had.
    #[arg(long)]
    anew: bool,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl PublishArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (store, keys) = (self.store.open()?, self.list_key.load()?);
        if !self.broker.is_given() {
            bail!("no broker given: say --broker mqtts://host");
        }
        let done = publish_to(&store, &keys, &self.broker, (self.keep, self.anew))?;
        if self.json {
            return print_json(&done);
        }
        println!(
            "version {} published: {} messages sent ({}), {} there already, {} cleaned",
            done.version,
            done.sent,
            bytes(done.bytes),
            done.had,
            done.cleaned,
        );
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
        // Only the first attempt begins from nothing; the next goes on from what was acknowledged.
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
