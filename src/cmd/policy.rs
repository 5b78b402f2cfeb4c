//! `outrider policy`: what cars may keep, match and allow; written by people, explained to people,
//! signed by two of them where it widens.
//!
//! In: a draft in TOML, or an envelope that lacks a signature. Out: a signed envelope, sentences about
//! it, and the broker's retained topic. What counts as widening is decided in `policy/changes.rs`, for
//! the car and for this command alike.

mod publish;
mod tell;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Deserialize;

use crate::control;
use crate::dsse::{Envelope, SigningKey};
use crate::policy::{self, POLICY_TYPE, Policy, Rules, State};
use crate::trust::TrustDocument;

/// Write, explain, sign and publish what cars may keep, match and allow.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sign a draft, or add a signature to an envelope.
    #[command(
        after_help = "Examples:\n  outrider policy sign draft.toml --previous policy-6.json --key chief.key --out policy-7.json\n  outrider policy sign policy-7.json --key commissioner.key --out policy-7.json\n\nA draft is TOML: agency, version (left out: one more than the previous), expires, note, and the tables\nrules.keeping, rules.lists, rules.hotplates, rules.lookups, rules.alerts, rules.roles; see docs/policy.md."
    )]
    Sign(SignArgs),
    /// Say in plain words what a policy changes and who must sign it.
    #[command(
        after_help = "Examples:\n  outrider policy explain policy-7.json --previous policy-6.json\n  outrider policy explain draft.toml --previous policy-6.json --ceiling ceiling.toml"
    )]
    Explain(ExplainArgs),
    /// Show the policy that the running car obeys, or one in a file.
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
    /// The policy in force, to compare and to count versions from; without it, the first policy.
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
    /// The policy in force; without it, the first policy is explained.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// Rules that no policy may go past, as the cars are provisioned.
    #[arg(long, value_name = "FILE")]
    ceiling: Option<PathBuf>,
    /// The trust document, to name those who have signed.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The changes as a JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// An envelope or a draft; without it, the running car is asked.
    file: Option<PathBuf>,
    /// The car's state folder, where the daemon's control socket is.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/outrider")]
    state: PathBuf,
}

/// A policy as a person writes it.
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

/// What a file holds: a policy, in the envelope if it is signed.
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
        if let Some(previous) = &previous
            && previous.version >= found.policy.version
        {
            bail!(
                "the draft is version {}, and {} is in force: no car would take it",
                found.policy.version,
                previous.version
            );
        }
        std::fs::write(&self.out, envelope.to_json())
            .with_context(|| format!("cannot write {}", self.out.display()))?;
        let changes = policy::changes(&rules_before(previous.as_ref()), &found.policy.rules);
        let mut out = std::io::stdout().lock();
        write!(out, "{}", tell::changes(&found.policy, previous.as_ref(), &changes))?;
        let signers = tell::signers(&envelope, None);
        write!(out, "{}", tell::who_must_sign(&changes, &signers, &self.out))?;
        Ok(())
    }
}

impl ExplainArgs {
    fn run(self) -> anyhow::Result<()> {
        let previous = self.previous.as_deref().map(read).transpose()?.map(|found| found.policy);
        let found = read_draft(&self.file, previous.as_ref())?;
        let changes = policy::changes(&rules_before(previous.as_ref()), &found.policy.rules);
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&changes)?)?;
            return Ok(());
        }
        write!(out, "{}", tell::changes(&found.policy, previous.as_ref(), &changes))?;
        let trust = self.trust.as_deref().map(trust).transpose()?;
        let signers = found.envelope.map_or_else(Vec::new, |e| tell::signers(&e, trust.as_ref()));
        write!(out, "{}", tell::who_must_sign(&changes, &signers, &self.file))?;
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

impl ShowArgs {
    fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if let Some(path) = &self.file {
            let found = read(path)?;
            let changes = policy::changes(&Rules::default(), &found.policy.rules);
            write!(out, "{}", tell::changes(&found.policy, None, &changes))?;
            return Ok(());
        }
        let state: State = control::ask(&self.state, policy::SHOW, &())?;
        write!(out, "{}", tell::state(&state))?;
        Ok(())
    }
}

fn rules_before(previous: Option<&Policy>) -> Rules {
    previous.map_or_else(Rules::default, |p| p.rules_at(Timestamp::now()))
}

/// Reads an envelope, or a draft that states its version.
fn read(path: &Path) -> anyhow::Result<Found> {
    read_draft(path, None)
}

fn read_draft(path: &Path, previous: Option<&Policy>) -> anyhow::Result<Found> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if text.trim_ascii_start().starts_with(b"{") {
        let envelope = Envelope::parse(&text).with_context(|| format!("{}", path.display()))?;
        if envelope.kind() != POLICY_TYPE {
            bail!("{} is signed as {:?}, not as a policy", path.display(), envelope.kind());
        }
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
        // Whole seconds: what people compare.
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

/// The trust document as it stands in a file: good enough to name people, proven only in a car.
fn trust(path: &Path) -> anyhow::Result<TrustDocument> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let envelope = Envelope::parse(&text).with_context(|| format!("{}", path.display()))?;
    serde_json::from_slice(envelope.unverified_payload())
        .with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests;
