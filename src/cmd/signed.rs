//! The session of whoever types commands: it keeps the token that `outrider login` was given for later commands.
//!
//! In: the car's state folder. Out: questions to its daemon that include the token. The token is in a file of
//! mode 0600 in the account's own runtime folder (`XDG_RUNTIME_DIR`, else `~/.cache`), one for each state folder; the
//! daemon takes it only from the same user of the machine. Leaves to others: whose token it is (`sessions`).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::control::{self, AskError};
use crate::{files, secret_file};

/// Asks the daemon in the name of whoever is signed in here, or of nobody.
pub(super) fn ask_daemon<Q: Serialize, A: DeserializeOwned>(
    state: &Path,
    question: &str,
    with: &Q,
) -> Result<A, AskError> {
    let token = path(state).ok().and_then(|path| secret_file::read(&path).ok());
    control::ask_as(state, token.as_deref().map(|token| token.trim()), question, with)
}

/// Keeps a token for the commands that follow.
pub(super) fn keep(state: &Path, token: &str) -> anyhow::Result<()> {
    let path = path(state)?;
    let folder = path.parent().context("a session's file lies in a folder")?;
    files::private_folder(folder).with_context(|| format!("cannot use {}", folder.display()))?;
    let shown = || format!("cannot keep the session in {}", path.display());
    secret_file::replace(&path, &format!("{token}\n")).with_context(shown)
}

/// Forgets it.
pub(super) fn forget(state: &Path) {
    if let Ok(path) = path(state) {
        let _ = std::fs::remove_file(path);
    }
}

fn path(state: &Path) -> anyhow::Result<PathBuf> {
    let set =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_RUNTIME_DIR").or_else(|| Some(set("HOME")?.join(".cache")));
    let folder = folder.context(
        "neither XDG_RUNTIME_DIR nor HOME is set: a session has no place to be kept; set one of them",
    )?;
    let state = std::fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
    let name = Sha256::digest(state.as_os_str().as_encoded_bytes());
    let name = data_encoding::HEXLOWER.encode(&name[..8]);
    Ok(folder.join("outrider").join(format!("session-{name}")))
}
