//! Waits for the passphrase of the device key, where the key is behind one.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};

use anyhow::Context as _;
use sd_notify::NotifyState;
use zeroize::Zeroizing;

use super::asked::UNLOCK;
use crate::control::Control;
use crate::keys::passphrase;
use crate::prompt;

/// Returns when the key is open: typed here if a person started us at a terminal, else told by
/// `outrider unlock`. Nothing else runs meanwhile: without its key a car can keep no hit.
pub(super) fn wait(state: &Path) -> anyhow::Result<()> {
    while passphrase::is_locked(state) {
        if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            let words = prompt::read_secret("Passphrase of this car's device key")?;
            if let Err(e) = passphrase::unlock(state, &words) {
                eprintln!("{e}");
            }
            continue;
        }
        let (opened, wait) = channel();
        let folder = state.to_owned();
        let listening = Control::default()
            .otherwise("this car waits for its passphrase and reads nothing: run outrider unlock")
            .on(UNLOCK, move |words: String| {
                let words = Zeroizing::new(words);
                passphrase::unlock(&folder, &words).map_err(|e| e.to_string())?;
                // Nobody waits any more if another was quicker.
                let _ = opened.send(());
                Ok(())
            })
            .listen(state)?;
        tracing::warn!("device key locked: NOT READING until outrider unlock");
        // Up, and waiting for a person: systemd would kill a start that takes as long as a person does.
        super::tell_systemd(&[
            NotifyState::Ready,
            NotifyState::Status("NOT READING: waits for the passphrase, outrider unlock"),
        ]);
        loop {
            super::tell_systemd(&[NotifyState::Watchdog]);
            match wait.recv_timeout(super::LOOK) {
                Ok(()) => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(e @ RecvTimeoutError::Disconnected) => {
                    return Err(e).context("the control socket closed");
                }
            }
        }
        drop(listening);
    }
    Ok(())
}
