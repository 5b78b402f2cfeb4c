//! The keys that this process keeps open, by the file from which they come.
//!
//! A passphrase is typed once and a credential is unsealed once; the key then stays open while the
//! process lives. It is also remembered which state folders had a key: if a key file vanishes from
//! a running car, no new one is made, because the stores would not open with it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::SecretKey;

#[derive(Default)]
struct Opened {
    keys: Vec<(PathBuf, SecretKey)>,
    seen: Vec<PathBuf>,
}

static OPENED: Mutex<Opened> = Mutex::new(Opened { keys: Vec::new(), seen: Vec::new() });

/// Keeps a key open.
pub(super) fn hold(file: PathBuf, key: SecretKey) {
    let mut opened = lock();
    opened.keys.retain(|(known, _)| *known != file);
    opened.keys.push((file, key));
}

/// The key of a file, if it is kept open.
pub(super) fn held(file: &Path) -> Option<SecretKey> {
    let opened = lock();
    let (_, key) = opened.keys.iter().find(|(known, _)| known == file)?;
    Some(SecretKey::from_bytes(key.expose()))
}

/// Remembers that this state folder has a key file.
pub(super) fn remember(file: &Path) {
    let mut opened = lock();
    if !opened.seen.iter().any(|known| known == file) {
        opened.seen.push(file.to_owned());
    }
}

/// Whether this state folder had a key file.
pub(super) fn was_seen(file: &Path) -> bool {
    lock().seen.iter().any(|known| known == file)
}

/// Forgets every key of a state folder, but not that it had one: a wiped car makes no new key while
/// it ends.
pub(super) fn forget(state: &Path) {
    lock().keys.retain(|(file, _)| file.parent() != Some(state));
}

fn lock() -> MutexGuard<'static, Opened> {
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}
