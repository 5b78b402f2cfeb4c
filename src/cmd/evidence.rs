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
use crate::dsse::PublicKey;
use crate::keys::Protection;
use crate::policy::Who;
use crate::records::evidence;
use crate::records::evidence::{Manifest, Request};

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
            let bytes = crate::files::read_at_most(&bundle, evidence::MOST_BYTES)
                .with_context(|| format!("cannot read {}", bundle.display()))?;
            let manifest = evidence::verify(&bytes, &key)
                .with_context(|| format!("{} does not hold", bundle.display()))?;
            for line in findings(&manifest, &key, &evidence::digest(&bytes)) {
                println!("{}", super::audit::plain(&line));
            }
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

/// What is said of a bundle that was found right, line by line: what is proved, and what is not.
fn findings(manifest: &Manifest, key: &PublicKey, sha256: &str) -> [String; 5] {
    let Manifest { hit, vehicle, agency, files, made, made_by, case, key_protection, .. } =
        manifest;
    let whose = match key_protection {
        Some(Protection::KeyFile) => {
            ", a file on the car's disk when it signed: whoever had the disk then had the key"
        }
        Some(Protection::Passphrase) => ", behind a passphrase when it signed",
        Some(Protection::SystemdCredential) => ", a system credential when it signed",
        None => "",
    };
    [
        format!(
            "holds: hit {hit} of vehicle {vehicle} of {agency}, {} files, made {made:.0} by {made_by} for case {case}",
            files.len()
        ),
        format!("signed by key {}{whose}", key.id()),
        format!(
            "the bundle's SHA-256 is {sha256}: the car's audit log has it in its record of this export \
             (outrider audit export)"
        ),
        "not known: what was entered of this hit after the bundle was made; an earlier bundle of a hit that was \
         called a misread since passes this check too. The audit log shows it"
            .into(),
        "not proved: the times. They are those of the car's clock; hit.json says who vouched for it (clock.source)"
            .into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_bundle_that_holds_is_said_which_it_is_and_what_is_not_known() {
        let key = crate::dsse::SigningKey::parse(&"07".repeat(32)).unwrap();
        let bundle = evidence::made_up(&key);
        let mut manifest = evidence::verify(&bundle, &key.public()).unwrap();
        let sha256 = evidence::digest(&bundle);
        let lines = findings(&manifest, &key.public(), &sha256);
        assert!(lines[0].starts_with("holds: hit 0000000000"), "{}", lines[0]);
        assert!(lines[1].ends_with(key.public().id().as_str()), "{}", lines[1]);
        assert!(lines[2].contains(&sha256), "{}", lines[2]);
        assert!(lines[3].starts_with("not known: what was entered"), "{}", lines[3]);
        assert!(lines[4].starts_with("not proved: the times"), "{}", lines[4]);
        manifest.key_protection = Some(Protection::KeyFile);
        let lines = findings(&manifest, &key.public(), &sha256);
        assert!(lines[1].contains("whoever had the disk then had the key"), "{}", lines[1]);
    }
}
