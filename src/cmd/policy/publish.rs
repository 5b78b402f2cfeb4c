//! `outrider policy publish`: hands a signed policy to the broker.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::describe::Counts;
use super::{describe, no_car_takes, read, rules_before, trust};
use crate::authoring::publish::{Broker as _, topics};
use crate::cmd::hotlist::BrokerArgs;
use crate::dsse::Envelope;
use crate::policy::{self, Direction, Policy, TO_WIDEN};
use crate::trust::TrustDocument;

/// Hand a signed policy to the broker, which keeps it for every car.
#[derive(Debug, Args)]
#[command(
    after_help = "The same with mosquitto's own tool: mosquitto_pub -q 1 -r -t alpr/v1/peel/policy -f policy-7.json\n\nExample:\n  outrider policy publish policy-7.json --broker mqtts://broker.example --ca ca.pem --certificate admin.pem --key admin.key"
)]
pub(super) struct PublishArgs {
    /// The envelope.
    file: PathBuf,
    /// The policy in force in the cars; needed where one person has signed, to check that one signature is enough.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// The trust document, which says whose the signatures are.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
}

impl PublishArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let found = read(&self.file)?;
        let Some(envelope) = found.envelope else {
            bail!("{} is a draft: sign it first (outrider policy sign)", self.file.display());
        };
        let previous = self.previous.as_deref().map(read).transpose()?.map(|found| found.policy);
        let trust = self.trust.as_deref().map(|path| trust(path, None)).transpose()?;
        some_car_takes(&found.policy, &envelope, previous.as_ref(), trust.as_ref())
            .with_context(|| format!("{} is not published", self.file.display()))?;
        if !self.broker.is_given() {
            bail!("no broker is given: add --broker mqtts://host");
        }
        let mut connection = self.broker.connect()?;
        connection.send(&topics::policy(&found.policy.agency), envelope.to_json())?;
        while connection.acknowledged()?.is_some() {}
        connection.close();
        println!("policy of {} version {} published", found.policy.agency, found.policy.version);
        Ok(())
    }
}

/// Refuses what no car may take. Signatures are proven in the cars; here they are counted, by person where
/// the trust document is given.
pub(super) fn some_car_takes(
    policy: &Policy,
    envelope: &Envelope,
    previous: Option<&Policy>,
    trust: Option<&TrustDocument>,
) -> anyhow::Result<()> {
    no_car_takes(policy, previous)?;
    let signed = describe::signers(envelope, trust, &[], Counts::New)?;
    if let Some(stranger) = signed.iter().find(|signer| signer.name.is_none()) {
        bail!(
            "key {} has signed it, but the trust document does not let it sign policy",
            stranger.key
        );
    }
    let people = describe::count_people(&signed);
    let changes = policy::changes(&rules_before(previous), &policy.rules);
    let two: Vec<_> = changes.iter().filter(|c| c.direction.needs_two()).collect();
    let silences = two.iter().any(|c| c.direction == Direction::Silences);
    match (people, previous, two.first()) {
        (0, ..) => bail!("nobody has signed it: outrider policy sign"),
        (TO_WIDEN.., ..) | (_, Some(_), None) => Ok(()),
        (_, Some(_), Some(first)) => bail!(
            "it {} and one person has signed it, so no car takes it: {}",
            if silences { "silences" } else { "widens" },
            first.says
        ),
        (_, None, None) => Ok(()),
        (_, None, Some(_)) => bail!(
            "one person has signed it, and without --previous FILE this command cannot know whether that is \
             enough: name the policy in force, or have a second person sign"
        ),
    }
}
