//! `outrider policy`: what cars may keep, match and allow; written by people, explained to people,
//! signed by two of them where it widens.
//!
//! In: a draft in TOML, or an envelope that lacks a signature. Out: a signed envelope, sentences about
//! it, and the broker's retained topic. What counts as widening is decided in `policy/changes.rs`, for
//! the car and for this command alike.

mod describe;
mod publish;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Deserialize;

use self::describe::Counts;
use crate::cmd::envelope;
use crate::cmd::which_car::WhichCar;
use crate::control;
use crate::dsse::{Envelope, SigningKey};
use crate::policy::{self, POLICY_TYPE, Policy, PolicyError, Previous, Rules, State};
use crate::trust::{Root, Trust, TrustDocument};

/// Write, explain, sign and publish what cars may keep, match and allow.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider policy explain draft.toml --previous policy-6.json\n  outrider policy sign draft.toml --previous policy-6.json --key chief.key --out policy-7.json\n  outrider policy publish policy-7.json --broker mqtts://broker.example --ca ca.pem --certificate admin.pem --key admin.key\n  outrider policy show"
)]
pub struct PolicyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sign a draft, or add a signature to an envelope.
    #[command(
        after_help = "Without --previous the command cannot know what a policy widens or silences, and says so. A draft is TOML: agency, version (if left out, one more than the previous), expires, note, and the tables rules.keeping, rules.lists, rules.hotplates, rules.lookups, rules.models, rules.alerts, rules.roles, rules.sign_in, rules.users; see docs/policy.md.\n\nExamples:\n  outrider policy sign draft.toml --previous policy-6.json --key chief.key --out policy-7.json\n  outrider policy sign policy-7.json --previous policy-6.json --key commissioner.key --out policy-7.json"
    )]
    Sign(SignArgs),
    /// Explain what a policy changes and who must sign it.
    #[command(
        after_help = "Examples:\n  outrider policy explain policy-7.json --previous policy-6.json\n  outrider policy explain draft.toml --previous policy-6.json --ceiling ceiling.toml"
    )]
    Explain(ExplainArgs),
    /// Show the policy that the running car obeys, or one in a file.
    #[command(
        after_help = "Examples:\n  outrider policy show\n  outrider policy show policy-7.json"
    )]
    Show(ShowArgs),
    /// Hand a signed policy to the broker, which keeps it for every car.
    Publish(publish::PublishArgs),
}

#[derive(Debug, Args)]
struct SignArgs {
    /// A draft in TOML, or an envelope in JSON.
    file: PathBuf,
    /// Secret key of whoever signs; given twice, two people sign.
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// The policy in force, to compare with and to count versions from; without it the command cannot say what the
    /// policy changes.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// Where to write the envelope.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// A draft in TOML, or an envelope in JSON.
    file: PathBuf,
    /// The policy in force; without it, the policy is explained as the first one of a car that has none.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// The ceiling that the cars are provisioned with: rules that no policy may go past.
    #[arg(long, value_name = "FILE")]
    ceiling: Option<PathBuf>,
    /// The trust document, to check the signatures and to name those who have signed.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The root's public keys, to check the trust document.
    #[arg(long, value_name = "FILE", requires = "trust")]
    root: Option<PathBuf>,
    /// The changes as a JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// An envelope or a draft; without it, the running car is asked.
    file: Option<PathBuf>,
    #[command(flatten)]
    car: WhichCar,
}

/// A policy as a person drafts it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    agency: String,
    version: Option<u64>,
    expires: Option<Timestamp>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    rules: Rules,
}

/// The content of a file: a policy, with its envelope if it is signed.
struct Found {
    policy: Policy,
    envelope: Option<Envelope>,
}

impl PolicyArgs {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        match self.what {
            What::Sign(args) => args.run(),
            What::Explain(args) => args.run(),
            What::Show(args) => args.run(),
            What::Publish(args) => args.run(),
        }
    }
}

impl SignArgs {
    fn run(self) -> anyhow::Result<()> {
        let previous = self.previous.as_deref().map(read).transpose()?.map(|found| found.policy);
        let found = read_draft(&self.file, previous.as_ref())?;
        let keys = self.key.iter().map(|path| key(path)).collect::<anyhow::Result<Vec<_>>>()?;
        let keys: Vec<_> = keys.iter().collect();
        let mut envelope = match found.envelope {
            Some(envelope) => envelope,
            None => found.policy.sign(&[]),
        };
        for key in &keys {
            envelope.add(key);
        }
        no_car_takes(&found.policy, previous.as_ref())?;
        std::fs::write(&self.out, envelope.to_json())
            .with_context(|| format!("cannot write {}", self.out.display()))?;
        let changes = policy::changes(&rules_before(previous.as_ref()), &found.policy.rules);
        let mut out = std::io::stdout().lock();
        write!(out, "{}", describe::changes(&found.policy, previous.as_ref(), &changes))?;
        let own: Vec<_> = keys.iter().map(|key| key.public()).collect();
        let signers = describe::signers(&envelope, None, &own, Counts::New)?;
        write!(out, "{}", describe::who_must_sign(&changes, &signers, &self.out))?;
        Ok(())
    }
}

impl ExplainArgs {
    fn run(self) -> anyhow::Result<()> {
        let root = self.root.as_deref();
        let trust = self.trust.as_deref().map(|file| trust(file, root)).transpose()?;
        let previous = match &self.previous {
            Some(path) => Some(was_in_force(path, trust.as_ref())?),
            None => None,
        };
        let found = read_draft(&self.file, previous.as_ref())?;
        let changes = policy::changes(&rules_before(previous.as_ref()), &found.policy.rules);
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&changes)?)?;
            return Ok(());
        }
        write!(out, "{}", describe::changes(&found.policy, previous.as_ref(), &changes))?;
        if previous.is_some() && trust.is_none() {
            writeln!(out, "Who signed the previous policy was not checked: give --trust.")?;
        }
        let signers = match &found.envelope {
            Some(envelope) => describe::signers(envelope, trust.as_ref(), &[], Counts::New)
                .with_context(|| format!("{}", self.file.display()))?,
            None => Vec::new(),
        };
        if trust.is_some() && root.is_none() {
            writeln!(out, "The trust document itself was not checked: give --root.")?;
        }
        write!(out, "{}", describe::who_must_sign(&changes, &signers, &self.file))?;
        if let Some(trust) = &trust {
            if let Some(stranger) = signers.iter().find(|signer| signer.name.is_none()) {
                bail!(
                    "no car takes it: key {} has signed it and may not sign policy; sign the draft anew without it",
                    stranger.key
                );
            }
            if found.policy.agency != trust.agency {
                bail!(
                    "no car takes it: it is for agency {:?}, and the trust document for {:?}",
                    found.policy.agency,
                    trust.agency
                );
            }
            if found.envelope.is_some() {
                no_car_takes(&found.policy, previous.as_ref())?;
            }
        }
        if let Some(path) = &self.ceiling {
            let past = policy::past_ceiling(&found.policy.rules, &policy::load_ceiling(path)?);
            if !past.is_empty() {
                bail!("no car under this ceiling takes it, whoever signs: {}", past.join("; "));
            }
            writeln!(out, "Within the ceiling of {}.", path.display())?;
        }
        Ok(())
    }
}

/// The policy with which cars compare a new one. Whoever could put another in its place could make a change look
/// smaller than it is; so with a trust document it has to be signed by who may.
fn was_in_force(path: &Path, trust: Option<&TrustDocument>) -> anyhow::Result<Policy> {
    let Found { policy, envelope } = read(path)?;
    let Some(trust) = trust else { return Ok(policy) };
    let shown = || format!("the previous policy, {}", path.display());
    let Some(envelope) = envelope else { bail!("{} is a draft: no car obeys it", shown()) };
    let signers =
        describe::signers(&envelope, Some(trust), &[], Counts::InForce).with_context(shown)?;
    let strange = signers.iter().any(|signer| signer.name.is_none());
    if signers.is_empty() || strange || policy.agency != trust.agency {
        bail!(
            "{} is not signed by who may sign policy of {:?}: no car compares with it",
            shown(),
            trust.agency
        );
    }
    Ok(policy)
}

impl ShowArgs {
    fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if let Some(path) = &self.file {
            let found = read(path)?;
            write!(out, "{}", describe::all_rules(&found.policy))?;
            writeln!(
                out,
                "This is what the file says: no signature was checked (outrider policy explain --trust checks them)."
            )?;
            return Ok(());
        }
        let state: State = control::ask(&self.car.state()?, policy::SHOW, &())?;
        write!(out, "{}", describe::state(&state))?;
        Ok(())
    }
}

/// What a car with this policy in force, or with none, compares a new policy with.
fn rules_before(previous: Option<&Policy>) -> Rules {
    before(previous).compared_with(Timestamp::now())
}

fn before(previous: Option<&Policy>) -> Previous {
    let highest = previous.map_or(0, |policy| policy.version);
    Previous { policy: previous.cloned(), highest, lost: false }
}

/// Refuses a policy that no car takes, whoever signs it: one whose version is used up or leaves no room, or whose dates
/// are impossible.
fn no_car_takes(policy: &Policy, previous: Option<&Policy>) -> anyhow::Result<()> {
    if let Some(previous) = previous
        && previous.version >= policy.version
    {
        bail!(
            "the draft is version {}, but {} is in force: no car would take it",
            policy.version,
            previous.version
        );
    }
    let now = Timestamp::now();
    if let Some(end) = policy.expires.filter(|end| *end <= now) {
        bail!("the policy expired at {end}: no car would take it");
    }
    let known = previous.map_or(0, |policy| policy.version);
    policy.dated(known).check(&now.into()).context("no car would take it")?;
    policy.check_people().context("no car would take it")?;
    if let Some(at) = policy.rules.hotplates.revoked_before.filter(|at| *at > policy.issued) {
        return Err(PolicyError::RevokedBefore(at)).context("no car would take it");
    }
    Ok(())
}

/// Reads an envelope, or a draft that states its version.
fn read(path: &Path) -> anyhow::Result<Found> {
    read_draft(path, None)
}

fn read_draft(path: &Path, previous: Option<&Policy>) -> anyhow::Result<Found> {
    // A draft in TOML may be longer than the policy that it makes, by comments.
    let text = envelope::bytes(path, 4 * policy::LONGEST)?;
    if text.trim_ascii_start().starts_with(b"{") {
        let envelope = envelope::parse(path, &text)?;
        envelope::refuse_another_kind(path, &envelope, POLICY_TYPE, "policy")?;
        let policy = Policy::parse(envelope.unverified_payload())
            .with_context(|| format!("{}", path.display()))?;
        return Ok(Found { policy, envelope: Some(envelope) });
    }
    let text = String::from_utf8(text).with_context(|| format!("{}", path.display()))?;
    let draft: Draft = toml::from_str(&text)
        .map_err(|e| anyhow::anyhow!("{}: {}", path.display(), e.to_string().trim()))?;
    let next = previous.map_or(1, |p| p.version + 1);
    let policy = Policy {
        agency: draft.agency,
        version: draft.version.unwrap_or(next),
        // Whole seconds, because people compare this time.
        issued: Timestamp::from_second(Timestamp::now().as_second()).expect("a time of our age"),
        expires: draft.expires,
        note: draft.note,
        rules: draft.rules,
    };
    Ok(Found { policy, envelope: None })
}

/// A signer's key, as `outrider provision author-key` makes it.
fn key(path: &Path) -> anyhow::Result<SigningKey> {
    super::hotlist::signing_key(path)
}

/// The trust document of a file; proven where the root's public keys are given.
pub(super) fn trust(path: &Path, root: Option<&Path>) -> anyhow::Result<TrustDocument> {
    let (envelope, document) = envelope::trust(path)?;
    if let Some(root) = root {
        Trust::open(&envelope, &Root::load(root)?, &document.agency, 0, Timestamp::now())
            .with_context(|| path.display().to_string())?;
    }
    Ok(document)
}

#[cfg(test)]
mod tests;
