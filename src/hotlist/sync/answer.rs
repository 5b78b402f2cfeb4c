//! A person in the car vouches for a sudden change of a list's size: what `outrider hotlist confirm` asks.
//!
//! In: who, in which role, why. Out: a confirmation, sealed beside the list, which the list's follower finds
//! within a second and writes into the audit log. Costs: two small files read. Leaves to others: who
//! the person is (the command states it, the audit keeps it).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Confirmation, KeyFileError, confirm, kept};
use crate::config::{HotlistConfig, ListSource};
use crate::control::Control;
use crate::keys::{DeviceKey, KeyError};
use crate::lookup::Permissions;
use crate::policy::{Permission, Who};

/// Asks for a confirmation.
pub const CONFIRM: &str = "hotlist/confirm";

/// Shortest reason, in characters: as for a hotplate.
const SHORTEST_REASON: usize = 5;

/// Asks for a confirmation of one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Which list.
    pub list: String,
    /// The version that waits.
    pub version: u64,
    /// Who vouches.
    pub by: String,
    /// In which role.
    pub role: Who,
    /// Why the change is meant.
    pub reason: String,
}

/// Why a version is not confirmed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// No such list.
    #[error("this car has no list {0:?} from the broker: outrider check names those it has")]
    NoList(String),
    /// Nobody.
    #[error("say who vouches: 1 to 32 letters, digits, - or _")]
    Author,
    /// Too short.
    #[error("give a reason of {SHORTEST_REASON} characters or more, it has {0}")]
    Reason(usize),
    /// Not this role's to do.
    #[error("{} may not {} by the policy in force", .0.words(), Permission::ConfirmList.words())]
    NotAllowed(Who),
    /// Nothing has come.
    #[error("nothing of list {0:?} has come to this car")]
    Nothing(String),
    /// That version does not wait.
    #[error("version {version} of list {list:?} does not wait: version {serves} serves{waits}")]
    NotWaiting {
        /// Which list.
        list: String,
        /// Which version.
        version: u64,
        /// Which one serves.
        serves: u64,
        /// Which one waits, in words, if any does.
        waits: String,
    },
    /// The list's folder.
    #[error(transparent)]
    Folder(#[from] KeyFileError),
    /// The device key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The disk.
    #[error("cannot write the confirmation: {0}")]
    Disk(#[from] std::io::Error),
}

/// Registers the answer.
pub fn answer(
    control: Control,
    lists: Vec<HotlistConfig>,
    state: PathBuf,
    may: Permissions,
) -> Control {
    control.on(CONFIRM, move |asked: Confirm| {
        take(&asked, &lists, &state, &may).map_err(|e| e.to_string())
    })
}

fn take(
    asked: &Confirm,
    lists: &[HotlistConfig],
    state: &std::path::Path,
    may: &Permissions,
) -> Result<(), ConfirmError> {
    let Confirm { list, version, by, role, reason } = asked;
    let (by, reason) = (by.trim(), reason.trim());
    if !crate::hotlist::hotplate::is_author(by) {
        return Err(ConfirmError::Author);
    }
    let length = reason.chars().count();
    if length < SHORTEST_REASON {
        return Err(ConfirmError::Reason(length));
    }
    if !may(*role).contains(&Permission::ConfirmList) {
        return Err(ConfirmError::NotAllowed(*role));
    }
    let of_the_broker = |l: &&HotlistConfig| l.name == *list && l.source == ListSource::Mqtt;
    let config = lists.iter().find(of_the_broker);
    let config = config.ok_or_else(|| ConfirmError::NoList(list.clone()))?;
    let kept = kept(state, config)?.ok_or_else(|| ConfirmError::Nothing(list.clone()))?;
    if kept.newest != Some(*version) {
        return Err(ConfirmError::NotWaiting {
            list: list.clone(),
            version: *version,
            serves: kept.version,
            waits: kept.newest.map_or(String::new(), |n| format!(", version {n} waits")),
        });
    }
    let device = DeviceKey::load(state)?;
    let confirmation =
        Confirmation { version: *version, by: by.into(), role: *role, reason: reason.into() };
    Ok(confirm(state, list, &device, &confirmation)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    fn asked(list: &str, by: &str, role: Who, reason: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let lists =
            ["name = \"stolen\"\nsource = \"mqtt\"\nkey = \"k\"", "name = \"bolo\"\npath = \"b\""];
        let lists: Vec<_> = lists.iter().map(|toml| toml::from_str(toml).unwrap()).collect();
        let may: Permissions = Arc::new(|who| match who {
            Who::Officer => BTreeSet::new(),
            Who::Supervisor => BTreeSet::from([Permission::ConfirmList]),
        });
        let (list, by, reason) = (list.into(), by.into(), reason.into());
        let asked = Confirm { list, version: 7, by, role, reason };
        take(&asked, &lists, &state, &may).unwrap_err().to_string()
    }

    #[test]
    fn confirmation_needs_a_person_who_may_a_reason_and_a_version_that_waits() {
        let of = |list, by, role, reason| asked(list, by, role, reason);
        let supervisor = Who::Supervisor;
        assert!(of("stolen", " ", supervisor, "told by phone").starts_with("say who vouches"));
        assert!(of("stolen", "97", supervisor, "ok").starts_with("give a reason of 5 characters"));
        assert_eq!(
            of("stolen", "97", Who::Officer, "told by phone"),
            "officers may not confirm a list that changed too much by the policy in force"
        );
        let from_a_file = of("bolo", "97", supervisor, "told by phone");
        assert!(from_a_file.starts_with("this car has no list \"bolo\" from the broker"));
        let nothing = of("stolen", "97", supervisor, "told by phone");
        assert_eq!(nothing, "nothing of list \"stolen\" has come to this car");
    }
}
