//! Keys that this process holds open, by the file that they came from.
//!
//! A passphrase is typed once and a credential unsealed once; both are then good for as long as the process
//! lives. And a folder whose key was seen is remembered, so that a key file which vanishes under a running
//! car is never made anew: what it keeps would not open with another.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::SecretKey;

#[derive(Default)]
struct Opened {
    keys: Vec<(PathBuf, SecretKey)>,
    seen: Vec<PathBuf>,
}

static OPENED: Mutex<Opened> = Mutex::new(Opened { keys: Vec::new(), seen: Vec::new() });

/// Holds a key open.
pub(super) fn hold(file: PathBuf, key: SecretKey) {
    let mut opened = lock();
    opened.keys.retain(|(known, _)| *known != file);
    opened.keys.push((file, key));
}

/// The key of a file that is held open.
pub(super) fn held(file: &Path) -> Option<SecretKey> {
    let opened = lock();
    let (_, key) = opened.keys.iter().find(|(known, _)| known == file)?;
    Some(SecretKey::from_bytes(key.expose()))
}

/// Remembers that this state folder has a key file.
pub(super) fn saw(file: &Path) {
    let mut opened = lock();
    if !opened.seen.iter().any(|known| known == file) {
        opened.seen.push(file.to_owned());
    }
}

/// Whether it had one.
pub(super) fn was_seen(file: &Path) -> bool {
    lock().seen.iter().any(|known| known == file)
}

/// Forgets every key of a state folder. That it had one is remembered: a wiped car makes no new key while it ends.
pub(super) fn forget(state: &Path) {
    lock().keys.retain(|(file, _)| file.parent() != Some(state));
}

fn lock() -> MutexGuard<'static, Opened> {
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}
