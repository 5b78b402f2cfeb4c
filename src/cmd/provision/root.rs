//! `outrider provision root`: the agency's root of trust.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::signing_key_file;
use crate::cmd::envelope;
use crate::dsse::SigningKey;
use crate::secret_file;
use crate::trust::Root;

/// Most bytes of a root's public halves: each takes some seventy.
const MOST_PUBLIC: usize = 64 << 10;

/// Arguments of `outrider provision root`.
#[derive(Debug, Args)]
#[command(
    about = "Make the agency's root key, which says who may sign what; keep it offline",
    after_help = "Examples:\n  \
        outrider provision root --out root.key --public root.pub.json\n  \
        outrider provision root --out second.key --public root.pub.json --add --needed 2"
)]
pub(super) struct RootArgs {
    /// File for the secret half, mode 0600.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File for the public halves, which the cars are provisioned with.
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
    /// Add a further key to the public halves in that file.
    #[arg(long)]
    add: bool,
    /// Number of root keys that must sign a trust document.
    #[arg(long, value_name = "N", default_value_t = 1)]
    needed: usize,
}

impl RootArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut root = match self.add {
            true => serde_json::from_slice(&envelope::bytes(&self.public, MOST_PUBLIC)?)
                .with_context(|| self.public.display().to_string())?,
            false => Root { keys: Vec::new(), needed: self.needed },
        };
        anyhow::ensure!(
            self.add || !self.public.exists(),
            "{} is there already: --add adds a key to it",
            self.public.display()
        );
        let key = SigningKey::generate()?;
        root.keys.push(key.public());
        root.needed = self.needed;
        anyhow::ensure!(
            (1..=root.keys.len()).contains(&root.needed) || !self.add,
            "--needed {} of {} keys cannot be",
            root.needed,
            root.keys.len()
        );
        secret_file::create(&self.out, &signing_key_file(&key, "root key of an agency"))?;
        std::fs::write(&self.public, serde_json::to_string_pretty(&root)? + "\n")?;
        println!("root key {} in {}", key.public().id(), self.out.display());
        println!(
            "{} public keys, {} must sign, in {}: provision this file into the cars",
            root.keys.len(),
            root.needed,
            self.public.display()
        );
        Ok(())
    }
}
