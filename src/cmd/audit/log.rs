//! Reads a car's audit log from the running daemon, which has the key, or else from its files.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::audit::pages::{EXPORT, LINES, Line, OUTLINE, Outline, SEAL, Wanted};
use crate::audit::{Actor, Audit, AuditEvent, Fault, Record, Seq, Verdict, Verifier};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::control;
use crate::dsse::{Envelope, PublicKey};
use crate::health::Health;
use crate::keys::DeviceKey;

/// The log of one car.
pub(crate) enum Log {
    /// The daemon runs: it alone has the key if that is a credential or behind a passphrase.
    Running(PathBuf),
    /// Its files, with the key beside them.
    Files(Box<Audit>),
}

/// What is wrong with a log that could be read but is not valid.
#[derive(Debug, thiserror::Error)]
#[error("audit log: {0}; keep the file, and ask who had access")]
pub(crate) struct Broken(pub(crate) Fault);

impl Log {
    /// Finds the log of the configuration's car. Neither a log nor a key is made for it.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        let keeping = &config.keeping;
        let state = &keeping.directory;
        if control::answers(state) {
            return Ok(Self::Running(state.clone()));
        }
        if !state.join("audit.db").exists() {
            bail!("no audit log in {} yet", state.display());
        }
        DeviceKey::existing(state).context("the log cannot be opened, and no daemon runs")?;
        let (clock, health) = (Arc::new(SystemClock), Arc::new(Health::default()));
        Ok(Self::Files(Box::new(Audit::open(keeping, &config.vehicle, clock, health)?)))
    }

    /// The number of the last record, and the key that signs.
    pub(crate) fn outline(&self) -> anyhow::Result<Outline> {
        Ok(match self {
            Self::Running(state) => control::ask(state, OUTLINE, &())?,
            Self::Files(audit) => audit.outline()?,
        })
    }

    fn page(&self, wanted: Wanted) -> anyhow::Result<Vec<Line>> {
        Ok(match self {
            Self::Running(state) => control::ask(state, LINES, &wanted)?,
            Self::Files(audit) => audit.page(wanted)?,
        })
    }

    /// Hands every wanted line to `each`, until it returns `false`.
    fn walk(
        &self,
        mut wanted: Wanted,
        each: &mut dyn FnMut(Line) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        while wanted.after < wanted.last {
            let page = self.page(wanted)?;
            let Some(last) = page.last().map(|line| line.seq) else { return Ok(()) };
            wanted.after = last;
            for line in page {
                if !each(line)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The last `n` records, oldest first.
    pub(crate) fn recent(&self, n: u64) -> anyhow::Result<Vec<Record>> {
        let last = self.outline()?.last;
        let mut records = Vec::new();
        self.walk(Wanted { after: last.saturating_sub(n), last }, &mut |line| {
            // One that cannot be read is for `verify` to name.
            records.extend(serde_json::from_str::<Record>(&line.line));
            Ok(true)
        })?;
        Ok(records)
    }

    /// Writes the whole log as JSON lines, each checkpoint behind the record that it seals. That it is
    /// exported is recorded first. Returns how many records, and the head.
    pub(crate) fn export(&self, out: &mut dyn Write) -> anyhow::Result<(Seq, String)> {
        let last = match self {
            Self::Running(state) => control::ask(state, EXPORT, &())?,
            Self::Files(audit) => {
                audit.announce_export(Actor::Shell(rustix::process::getuid().as_raw()))?
            }
        };
        let mut head = String::new();
        let mut reached = 0;
        self.walk(Wanted { after: 0, last }, &mut |line| {
            writeln!(out, "{}", line.line)?;
            if let Some(seal) = &line.seal {
                writeln!(out, "{seal}")?;
            }
            reached = line.seq;
            if reached == last {
                head = crate::audit::digest(&line.line);
            }
            Ok(true)
        })
        .context("audit export not written")?;
        if reached != last {
            bail!("the log ends with record {reached} and not {last}: run outrider audit verify");
        }
        Ok((last, head))
    }

    /// Checks the whole chain, here and not in the daemon, against heads that were kept elsewhere. `key` is the
    /// car's public key as somebody else knows it. If nobody says, it is the one that the log begins with, and
    /// the log must come to the key that this car has: that is consistent and no more.
    pub(crate) fn verify(
        &self,
        key: Option<PublicKey>,
        heads: &[Envelope],
    ) -> anyhow::Result<Verdict> {
        let outline: Outline = match self {
            Self::Running(state) => control::ask(state, SEAL, &())?,
            Self::Files(audit) => audit.sealed_outline()?,
        };
        let Some(key) = key.or(self.first_key()?).or(outline.key) else {
            bail!("this car has no key yet");
        };
        let mut verifier = Verifier::new(key);
        for head in heads {
            verifier.against(head.clone()).map_err(Broken)?;
        }
        self.walk(Wanted { after: 0, last: outline.last }, &mut |Line { line, seal, .. }| {
            verifier.line(line.as_bytes()).map_err(Broken)?;
            seal.map_or(Ok(()), |seal| verifier.line(seal.as_bytes())).map_err(Broken)?;
            Ok(true)
        })?;
        let verdict = verifier.end_in_place().map_err(Broken)?;
        if let Some(own) = outline.key
            && !verdict.keys.contains(&own)
        {
            let last = verdict.keys.last().map_or_else(String::new, |key| key.id().to_string());
            bail!(
                "the log ends with key {last}, but this car has key {}: it is another car's log",
                own.id()
            );
        }
        Ok(verdict)
    }

    /// The key that the log begins with, if it says so.
    fn first_key(&self) -> anyhow::Result<Option<PublicKey>> {
        let mut first = None;
        self.walk(Wanted { after: 0, last: BEGINNING }, &mut |line| {
            if let Ok(record) = serde_json::from_str::<Record>(&line.line)
                && let AuditEvent::KeyCreated { public, .. } = record.event
            {
                first = PublicKey::parse(&public).ok();
            }
            Ok(first.is_none())
        })?;
        Ok(first)
    }
}

/// The key is made before anything that is recorded, or at the first start.
const BEGINNING: Seq = 16;
