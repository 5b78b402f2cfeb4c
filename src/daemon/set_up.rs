//! Tells a car that is not set up from one that has bad luck.
//!
//! In: a configuration, or why a start failed. Out: [`NotSetUp`], where trying again mends nothing before a
//! person has been there. The program then ends with [`EXIT`], which the unit never restarts from; every other
//! failure is tried again each second. A car that was never started is looked at before it makes its device key.

use std::path::Path;

use crate::config::{Config, ConfigError};
use crate::files::{self, Readers, UntrustedError};
use crate::keys::{DeviceKey, KeyError};
use crate::onboard::vision::{Reader, Runtime};
use crate::policy;
use crate::trust::Root;
use crate::trust::pin::PinError;

/// Exit code of a daemon that is not set up: `EX_CONFIG` of sysexits, and the unit's `RestartPreventExitStatus`.
pub const EXIT: u8 = 78;

/// Why this car cannot start before a person has been there.
#[derive(Debug, thiserror::Error)]
#[error(
    "this car is not set up, and nothing was started: {0}; then run systemctl restart outrider (outrider check \
     looks at everything)"
)]
pub struct NotSetUp(String);

impl NotSetUp {
    fn of(why: &anyhow::Error) -> Self {
        Self(super::one_line(why))
    }
}

/// Reads the configuration.
pub fn load(path: &Path) -> anyhow::Result<Config> {
    Config::load(path).map_err(|e| match &e {
        // A disk that fails to read may read the next time.
        ConfigError::Unreadable { source, .. } if !needs_a_person(source) => e.into(),
        _ => NotSetUp::of(&e.into()).into(),
    })
}

/// Whether a file that could not be read stays so.
fn needs_a_person(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied,
    };
    matches!(e.kind(), NotFound | PermissionDenied | InvalidData | IsADirectory | NotADirectory)
}

/// What a start takes from files that somebody has to put there. Makes nothing.
fn look(config: &Config) -> anyhow::Result<()> {
    if let Some(ceiling) = &config.policy.ceiling {
        policy::load_ceiling(ceiling)?;
    }
    if let Some(root) = &config.trust.root {
        Root::load(root)?;
    }
    if let Some(document) = &config.trust.document {
        files::check(document, Readers::Anybody)?;
    }
    // Without a camera nothing is read, and no model is loaded.
    if !config.camera.is_empty() {
        Runtime::find(config.models.onnxruntime.as_deref())?;
        Reader::load(&config.models)?;
    }
    Ok(())
}

/// Refuses a car that was never started and is not set up, before anything is made. One that has started before
/// goes on: what has expired in it is destroyed first.
pub(super) fn refuse_before_the_first_start(config: &Config) -> anyhow::Result<()> {
    match DeviceKey::existing(&config.keeping.directory) {
        Err(KeyError::Missing { .. }) => look(config).map_err(|e| NotSetUp::of(&e).into()),
        _ => Ok(()),
    }
}

/// Whether it is the set-up for which a start failed.
pub(super) fn judge(failed: anyhow::Error, config: &Config) -> anyhow::Error {
    let is_said = failed.chain().any(|cause| cause.is::<NotSetUp>());
    let by_kind = failed.chain().any(|cause| {
        let key = cause.downcast_ref::<KeyError>();
        let file = cause.downcast_ref::<UntrustedError>();
        matches!(key, Some(KeyError::Wiped { .. } | KeyError::Otherwise { .. }))
            || file.is_some_and(|e| !matches!(e, UntrustedError::Io { .. }))
            || cause.is::<PinError>()
    });
    match is_said {
        true => failed,
        false if by_kind || look(config).is_err() => NotSetUp::of(&failed).into(),
        false => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn car(state: &Path, further: &str) -> Config {
        let text = format!(
            "[vehicle]\nid = \"1\"\nagency = \"a\"\n[keeping]\ndirectory = \"{}\"\n{further}",
            state.display()
        );
        Config::parse(&text, Path::new("test.toml")).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn what_only_a_person_mends_is_told_from_bad_luck() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let whole = car(&state, "");
        let bad_luck = || anyhow::anyhow!("the port is taken");
        assert!(!judge(bad_luck(), &whole).is::<NotSetUp>());
        // The same failure of a car whose root is not there: that comes first.
        let no_root = car(&state, "[trust]\nroot = \"/nowhere/root.pub.json\"\n");
        assert!(judge(bad_luck(), &no_root).is::<NotSetUp>());
        let wiped = KeyError::Wiped { path: state.join("WIPED") };
        let told = judge(anyhow::Error::new(wiped).context("cannot start"), &whole);
        assert!(told.is::<NotSetUp>(), "{told}");
        assert!(told.to_string().contains("outrider provision device"), "{told}");
        // Said once, however often it is judged.
        assert_eq!(judge(told, &whole).to_string().matches("not set up").count(), 1);
    }

    #[test]
    fn configuration_that_a_disk_does_not_give_is_tried_again() {
        for (kind, person) in [
            (std::io::ErrorKind::NotFound, true),
            (std::io::ErrorKind::PermissionDenied, true),
            (std::io::ErrorKind::InvalidData, true),
            (std::io::ErrorKind::Other, false),
            (std::io::ErrorKind::Interrupted, false),
        ] {
            assert_eq!(needs_a_person(&kind.into()), person, "{kind:?}");
        }
    }
}
