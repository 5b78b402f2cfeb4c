//! `outrider evidence`: writes everything about a hit into one signed file, and checks such a file with
//! nothing but the car's public key.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::signed;
use crate::config::Config;
use crate::daemon::asked::EVIDENCE;
use crate::policy::Who;
use crate::records::evidence;
use crate::records::evidence::Request;

/// Write everything about a hit into one signed file, or check such a file.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  outrider evidence 01KXB3... -o bundle.zip --case 26-00417\n  outrider evidence verify bundle.zip --key 4f2c..."
)]
pub struct EvidenceArgs {
    #[command(subcommand)]
    verify: Option<Sub>,
    /// The hit, by its ULID.
    #[arg(required = true)]
    hit: Option<String>,
    /// File to write to; must not exist yet.
    #[arg(short, long, value_name = "FILE", required = true)]
    output: Option<PathBuf>,
    /// Number of the person who exports it; must be the person who is signed in (outrider login).
    #[arg(long, value_name = "ID")]
    officer: Option<String>,
    /// The role, where the person who is signed in has several.
    #[arg(long)]
    role: Option<Who>,
    /// Number of the case that it is for.
    #[arg(long, value_name = "NUMBER", required = true)]
    case: Option<String>,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Check a bundle; names the first file that does not fit.
    #[command(after_help = "Example:\n  outrider evidence verify bundle.zip --key 4f2c...")]
    Verify {
        /// The bundle.
        bundle: PathBuf,
        /// The car's public key, 64 hexadecimal digits, or a file that contains them.
        #[arg(long, value_name = "KEY")]
        key: String,
    },
}

impl EvidenceArgs {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(Sub::Verify { bundle, key }) = self.verify {
            let key = super::audit::public_key(&key)?;
            let bytes = std::fs::read(&bundle)
                .with_context(|| format!("cannot read {}", bundle.display()))?;
            let manifest = evidence::verify(&bytes, &key)
                .with_context(|| format!("{} does not hold", bundle.display()))?;
            let said = format!(
                "holds: hit {} of vehicle {} of {}, {} files, made {:.0} by {} for case {}",
                manifest.hit,
                manifest.vehicle,
                manifest.agency,
                manifest.files.len(),
                manifest.made,
                manifest.made_by,
                manifest.case
            );
            println!("{}", super::audit::plain(&said));
            return Ok(());
        }
        let given = "clap asks for it";
        let config = Config::load(&self.config)?;
        let request = Request {
            hit: self.hit.context(given)?,
            officer: self.officer.unwrap_or_default(),
            role: self.role,
            case: self.case.context(given)?,
        };
        let output = self.output.context(given)?;
        // Checked before the daemon makes it: a bundle whose export was recorded must not fail to be written.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&output)
            .with_context(|| format!("cannot write {}", output.display()))?;
        let bytes = signed::ask_daemon::<_, String>(&config.keeping.directory, EVIDENCE, &request)
            .map_err(anyhow::Error::from)
            .and_then(|text| {
                data_encoding::BASE64.decode(text.as_bytes()).context("the daemon's answer")
            })
            .inspect_err(|_| _ = std::fs::remove_file(&output))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        eprintln!("{} bytes in {}", bytes.len(), output.display());
        Ok(())
    }
}
