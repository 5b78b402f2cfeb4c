//! `outrider policy publish`: hands a signed policy to the broker.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::read;
use crate::cmd::hotlist::BrokerArgs;
use crate::hotlist::publish::{Broker as _, topics};

/// Hand a signed policy to the broker, which keeps it for every car.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: outrider policy publish policy-7.json --broker mqtts://broker.example --ca ca.pem --certificate admin.pem --key admin.key\n\nThe same with mosquitto's own tool: mosquitto_pub -q 1 -r -t alpr/v1/peel/policy -f policy-7.json"
)]
pub(super) struct PublishArgs {
    /// The envelope.
    file: PathBuf,
    #[command(flatten)]
    broker: BrokerArgs,
}

impl PublishArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let found = read(&self.file)?;
        let Some(envelope) = found.envelope else {
            bail!("{} is a draft: sign it first (outrider policy sign)", self.file.display());
        };
        if !self.broker.is_given() {
            bail!("say where to: --broker mqtts://...");
        }
        let mut connection = self.broker.connect()?;
        connection.send(&topics::policy(&found.policy.agency), envelope.to_json())?;
        while connection.acknowledged()?.is_some() {}
        connection.close();
        println!("policy of {} version {} published", found.policy.agency, found.policy.version);
        Ok(())
    }
}
