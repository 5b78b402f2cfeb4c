//! `outrider audit`: verify, export and show the audit log, without a server and, for an export,
//! without the car.

use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::audit::{self, Record};
use crate::cmd::envelope;
use crate::config::Config;
use crate::dsse::PublicKey;
use crate::files;

mod findings;
mod log;

pub(super) use findings::plain;
pub(crate) use log::{Broken, Log};

/// Most bytes of a head from outside: an envelope of a few lines.
const MOST_HEAD: usize = 64 << 10;

/// Most bytes of a file that holds a public key, with a line or two about it.
const MOST_KEY: usize = 4 << 10;

/// Verify, export or show the audit log.
#[derive(Debug, Args)]
#[command(
    after_help = "The car's public key is printed by `outrider provision device` and `outrider audit key`.\n\n\
    Examples:\n  \
    outrider audit export -o car-4127.jsonl\n  \
    outrider audit verify car-4127.jsonl --key 4f2c... --witness from-broker.json\n  \
    outrider audit show -n 20"
)]
pub struct AuditArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check every record, and name the first bad one.
    #[command(
        after_help = "Examples:\n  outrider audit verify\n  outrider audit verify car-4127.jsonl --key 4f2c... --witness from-broker.json"
    )]
    Verify(VerifyArgs),
    /// Write the log as JSON lines, sealed by a fresh checkpoint. The export is recorded in the log.
    #[command(after_help = "Example:\n  outrider audit export -o car-4127.jsonl")]
    Export(ExportArgs),
    /// Show the latest records.
    #[command(after_help = "Examples:\n  outrider audit show -n 20\n  outrider audit show --json")]
    Show(ShowArgs),
    /// Print the public key that verifies this car's checkpoints and evidence.
    #[command(after_help = "Example:\n  outrider audit key > 4127.pub")]
    Key(CarArgs),
}

#[derive(Debug, Args)]
struct CarArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// An export; `-` for standard input. Without it, the log of this car is checked in place.
    export: Option<PathBuf>,
    /// The car's public key, 64 hexadecimal digits, or a file that contains them. Needed for an export: without
    /// it everything in a log may have been made up.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A head of the log that left the car earlier (`vehicle/<id>/audit/checkpoint`, which the broker keeps):
    /// shows whether records were cut off at the end since then. May be given several times.
    #[arg(long, visible_alias = "witness", value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    #[command(flatten)]
    car: CarArgs,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// File to write to [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    car: CarArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// How many records.
    #[arg(short, default_value_t = 50)]
    n: u64,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    car: CarArgs,
}

impl AuditArgs {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match self.what {
            What::Verify(args) => writeln!(out, "{}", args.run()?)?,
            What::Export(args) => args.run()?,
            What::Show(args) => {
                for record in args.car.log()?.recent(args.n)? {
                    match args.json {
                        true => writeln!(out, "{}", serde_json::to_string(&record)?)?,
                        false => writeln!(out, "{}", line(&record))?,
                    }
                }
            }
            What::Key(car) => {
                let key = car.log()?.outline()?.key.context("this car has no key yet")?;
                writeln!(out, "{key}")?;
            }
        }
        Ok(())
    }
}

impl CarArgs {
    /// The log of this car, from the daemon if it runs, because it alone may have the key.
    fn log(&self) -> anyhow::Result<Log> {
        Log::of(&Config::load(&self.config)?)
    }
}

impl VerifyArgs {
    fn run(&self) -> anyhow::Result<String> {
        let key = self.key.as_deref().map(public_key).transpose()?;
        let heads = self
            .checkpoint
            .iter()
            .map(|path| envelope::read(path, MOST_HEAD))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(export) = &self.export else {
            let verdict = self.car.log()?.verify(key, &heads)?;
            return Ok(findings::verdict(&verdict, key.is_some(), false));
        };
        let key = key.context(
            "an export needs --key, the car's public key as `outrider provision device` printed it: \
             whoever made a log up can have put any key into it",
        )?;
        let verdict = match export.as_os_str() == "-" {
            true => audit::verify_from(&mut std::io::stdin().lock(), key, &heads),
            false => {
                let file = std::fs::File::open(export)
                    .with_context(|| format!("cannot read {}", export.display()))?;
                audit::verify_from(&mut BufReader::new(file), key, &heads)
            }
        };
        let verdict = verdict.with_context(|| format!("{} does not hold", export.display()))?;
        Ok(findings::verdict(&verdict, true, true))
    }
}

impl ExportArgs {
    fn run(&self) -> anyhow::Result<()> {
        let log = self.car.log()?;
        let (records, head) = match &self.output {
            None => log.export(&mut std::io::stdout().lock())?,
            Some(path) => {
                let mut file = create(path)?;
                let done = log.export(&mut file)?;
                file.into_inner()?.sync_all()?;
                done
            }
        };
        eprintln!("{records} records, head {head}");
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<std::io::BufWriter<std::fs::File>> {
    let file =
        std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(std::io::BufWriter::new(file))
}

/// A public key as 64 digits or in a file.
pub(super) fn public_key(text: &str) -> anyhow::Result<PublicKey> {
    if let Ok(key) = PublicKey::parse(text) {
        return Ok(key);
    }
    let held = files::read_text_at_most(text.as_ref(), MOST_KEY)
        .with_context(|| format!("{text:?} is neither a public key nor a file that holds one"))?;
    Ok(PublicKey::parse(&held)?)
}

/// One record as people read it.
fn line(record: &Record) -> String {
    let event = serde_json::to_value(&record.event).unwrap_or_default();
    let mut text = format!("{:>6}  {:.0}  {}", record.seq, record.wall, record.who);
    if let Some(fields) = event.as_object() {
        let kind = fields.get("kind").and_then(|k| k.as_str()).unwrap_or_default();
        text += &format!("  {}", kind.replace('_', " "));
        for (name, value) in fields.iter().filter(|(name, _)| *name != "kind") {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            text += &format!("  {name}={value}");
        }
    }
    plain(&text)
}
