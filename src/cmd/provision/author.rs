//! `outrider provision author-key`: a key that signs lists, policy or commands.

use std::path::PathBuf;

use clap::Args;

use super::signing_key_file;
use crate::dsse::SigningKey;
use crate::secret_file;

/// Arguments of `outrider provision author-key`.
#[derive(Debug, Args)]
#[command(
    about = "Make a signing key for an author; the trust document says what the key may sign",
    after_help = "To rotate: make a new key, grant it (outrider provision trust grant), publish, then withdraw the \
        old one (outrider provision trust withdraw).\n\nExamples:\n  \
        outrider provision author-key --out stolen.author.key\n  \
        outrider provision author-key --show stolen.author.key"
)]
pub(super) struct AuthorKeyArgs {
    /// File for the secret half, mode 0600.
    #[arg(long, value_name = "FILE", required_unless_present = "show")]
    out: Option<PathBuf>,
    /// Show the public half of an existing key.
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    show: Option<PathBuf>,
}

impl AuthorKeyArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let key = match (&self.out, &self.show) {
            (_, Some(path)) => crate::cmd::hotlist::signing_key(path)?,
            (Some(path), None) => {
                let key = SigningKey::generate()?;
                secret_file::create(path, &signing_key_file(&key, "author's key"))?;
                key
            }
            (None, None) => unreachable!("clap sees to it"),
        };
        let public = key.public();
        println!("name   {}\npublic {public}", public.id());
        Ok(())
    }
}
