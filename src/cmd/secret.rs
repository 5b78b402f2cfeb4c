//! Asks for a secret at the terminal, without showing it.
//!
//! Secrets are neither arguments nor environment: both can be read by others while the process runs.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Longest passphrase.
const LONGEST: usize = 512;

/// Asks once.
pub(crate) fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .context("a passphrase is typed at a terminal, and there is none")?;
    let before = tcgetattr(&terminal).context("/dev/tty")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    write!(terminal, "{prompt}: ")?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let mut line = Zeroizing::new([0_u8; LONGEST]);
    let read = terminal.read(&mut *line);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    let line = &line[..read?];
    if line.len() == LONGEST {
        bail!("the passphrase is longer than {LONGEST} bytes");
    }
    let text = std::str::from_utf8(line).context("the passphrase is not UTF-8")?;
    Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Asks for a new one, twice.
pub(crate) fn chosen(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let first = ask(prompt)?;
    if *ask("Once more")? != *first {
        bail!("the two are not the same");
    }
    Ok(first)
}
