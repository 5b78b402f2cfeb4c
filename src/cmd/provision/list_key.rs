//! `outrider provision list-key`: the key that authors and cars of one list share.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use zeroize::Zeroizing;

use crate::hotlist::format::{ListKey, ListKeys};
use crate::secret_file;

/// Arguments of `outrider provision list-key`.
#[derive(Debug, Args)]
#[command(
    about = "Make, rotate or trim the key of a list, which its authors and cars share",
    after_help = "To change the key, run --rotate on the author's machine, bring the new file to the cars, build and publish \
        (every chunk is then new), and run --withdraw-old once no car needs the old key.\n\nExamples:\n  \
        outrider provision list-key --out stolen.list.key\n  \
        outrider provision list-key --rotate stolen.list.key\n  \
        outrider provision list-key --withdraw-old stolen.list.key"
)]
pub(super) struct ListKeyArgs {
    /// File for a new key, mode 0600.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Put a new key in front of those in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    rotate: Option<PathBuf>,
    /// Drop all keys of this file but the newest.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "rotate"])]
    withdraw_old: Option<PathBuf>,
    /// Show the names of the keys in this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "rotate", "withdraw_old"])]
    show: Option<PathBuf>,
}

impl ListKeyArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if let Some(path) = &self.out {
            let key = ListKey::generate()?;
            secret_file::create(path, &text([&key]))?;
            println!("list key {} in {}", key.id(), path.display());
        } else if let Some(path) = &self.rotate {
            let (old, new) = (ListKeys::load(path)?, ListKey::generate()?);
            secret_file::replace(path, &text(std::iter::once(&new).chain(old.iter())))?;
            println!("list key {} in front of {} in {}", new.id(), names(&old), path.display());
        } else if let Some(path) = &self.withdraw_old {
            let keys = ListKeys::load(path)?;
            secret_file::replace(path, &text([keys.newest()]))?;
            println!("only list key {} is left in {}", keys.newest().id(), path.display());
        } else if let Some(path) = &self.show {
            println!("{}", names(&ListKeys::load(path)?));
        } else {
            bail!("give one of --out, --rotate, --withdraw-old and --show");
        }
        Ok(())
    }
}

fn names(keys: &ListKeys) -> String {
    keys.iter().map(|key| key.id().to_string()).collect::<Vec<_>>().join(", ")
}

fn text<'k>(keys: impl IntoIterator<Item = &'k ListKey>) -> Zeroizing<String> {
    // Allocated once, because a text that grows leaves copies of the keys behind.
    let mut out = Zeroizing::new(String::with_capacity(8_192));
    out.push_str(
        "# List keys, the newest first. Secret: for authors and cars of the list alone.\n",
    );
    for key in keys {
        out.push_str(&key.secret_text());
        out.push_str(&format!(" # {}\n", key.id()));
    }
    out
}
