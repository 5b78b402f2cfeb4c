//! Lets a person in the car confirm a sudden change of a list's size: the request of `outrider
//! hotlist confirm`.
//!
//! In: who is signed in, and why. Out: a confirmation in the audit log, and sealed beside the list,
//! where the list's follower finds it within a second. Costs: two small files read. Leaves to
//! others: proving who the person is ([`SignedIn`]).

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Confirmation, KeyFileError, confirm, kept};
use crate::audit::{Audit, AuditError, AuditEvent, Change};
use crate::config::{HotlistConfig, ListSource};
use crate::control::Control;
use crate::grounds::Permissions;
use crate::keys::{DeviceKey, KeyError};
use crate::policy::{Permission, Who};
use crate::sessions::{self, Refused, Sessions, SignedIn, Stated, StatesWho};

/// The request for a confirmation.
pub const CONFIRM: &str = "hotlist/confirm";

/// Shortest reason, in characters: as for a hotplate.
const SHORTEST_REASON: usize = 5;

/// A request to confirm one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The list.
    pub list: String,
    /// The version that waits.
    pub version: u64,
    /// Who confirms it, if stated: it must be the person who is signed in.
    #[serde(default)]
    pub by: String,
    /// The role in which they act, if stated.
    #[serde(default)]
    pub role: Option<Who>,
    /// Why the change is intended.
    pub reason: String,
}

impl StatesWho for Confirm {
    fn stated(&self) -> Stated<'_> {
        Stated { number: Some(&self.by), role: self.role }
    }
}

/// Why a version is not confirmed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// There is no such list.
    #[error("this car has no list {0:?} from the broker: outrider check names those it has")]
    NoList(String),
    /// The reason is too short.
    #[error("give a reason of {SHORTEST_REASON} characters or more, it has {0}")]
    Reason(usize),
    /// This role may not do that.
    #[error("{} may not {} by the policy in force", .0.words(), Permission::ConfirmList.words())]
    NotAllowed(Who),
    /// No version of the list has arrived.
    #[error("this car has not received list {0:?} yet")]
    Nothing(String),
    /// This version does not wait for a confirmation.
    #[error(
        "version {version} of list {list:?} does not wait for a confirmation: version {serves} is in service{waits}"
    )]
    NotWaiting {
        /// The list.
        list: String,
        /// The version.
        version: u64,
        /// The version in service.
        serves: u64,
        /// The version that waits, in words, if there is one.
        waits: String,
    },
    /// It cannot be recorded in the audit log.
    #[error("not confirmed, because it cannot be audited: {0}")]
    Unaudited(#[from] AuditError),
    /// The list's folder cannot be used.
    #[error(transparent)]
    Folder(#[from] KeyFileError),
    /// The device key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The confirmation cannot be written.
    #[error("cannot write the confirmation: {0}")]
    Disk(#[from] std::io::Error),
}

/// Registers the handler.
pub fn answer(
    control: Control,
    lists: Vec<HotlistConfig>,
    state: PathBuf,
    may: Permissions,
    (sessions, audit): (&Arc<Sessions>, Audit),
) -> Control {
    sessions::answer(control, sessions, CONFIRM, move |who, asked: Confirm| {
        confirm_version(who, &asked, (&lists, &state), &may, &audit).map_err(|e| match e {
            ConfirmError::NoList(_) => Refused::as_recorded(&e, "no such list"),
            e => Refused::new(e),
        })
    })
}

fn confirm_version(
    who: &SignedIn,
    asked: &Confirm,
    (lists, state): (&[HotlistConfig], &std::path::Path),
    may: &Permissions,
    audit: &Audit,
) -> Result<(), ConfirmError> {
    let Confirm { list, version, by: _, role: _, reason } = asked;
    let (role, reason) = (who.role(), reason.trim());
    let length = reason.chars().count();
    if length < SHORTEST_REASON {
        return Err(ConfirmError::Reason(length));
    }
    if !may(role).contains(&Permission::ConfirmList) {
        return Err(ConfirmError::NotAllowed(role));
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
    // It is recorded before it takes effect: the person who confirms is responsible.
    let change = Change {
        field: format!("hotlist.{list}.confirmed"),
        old: Some(format!("version {}", kept.version)),
        new: Some(format!("version {version}: {reason}")),
    };
    audit.append(who.actor(), AuditEvent::ConfigChanged { changes: vec![change] })?;
    let by = who.number().to_owned();
    let confirmation = Confirmation { version: *version, by, role, reason: reason.into() };
    Ok(confirm(state, list, &device, &confirmation)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::SystemClock;
    use crate::config::{KeepingConfig, Vehicle};

    fn asked(list: &str, role: Who, reason: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let lists =
            ["name = \"stolen\"\nsource = \"mqtt\"\nkey = \"k\"", "name = \"bolo\"\npath = \"b\""];
        let lists: Vec<_> = lists.iter().map(|toml| toml::from_str(toml).unwrap()).collect();
        let may: Permissions = Arc::new(|who| match who {
            Who::Officer => BTreeSet::new(),
            _ => BTreeSet::from([Permission::ConfirmList]),
        });
        let keeping = KeepingConfig { directory: state.clone(), ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let clock = Arc::new(SystemClock);
        let audit = Audit::open(&keeping, &vehicle, clock, Arc::default()).unwrap();
        let (list, by, reason) = (list.into(), String::new(), reason.into());
        let asked = Confirm { list, version: 7, by, role: None, reason };
        let who = SignedIn::for_tests("97", role);
        confirm_version(&who, &asked, (&lists, &state), &may, &audit).unwrap_err().to_string()
    }

    #[test]
    fn confirmation_needs_a_person_who_may_a_reason_and_a_version_that_waits() {
        let of = asked;
        let supervisor = Who::Supervisor;
        assert!(of("stolen", supervisor, "ok").starts_with("give a reason of 5 characters"));
        assert_eq!(
            of("stolen", Who::Officer, "told by phone"),
            "officers may not confirm a list that changed too much by the policy in force"
        );
        let from_a_file = of("bolo", supervisor, "told by phone");
        assert!(from_a_file.starts_with("this car has no list \"bolo\" from the broker"));
        let nothing = of("stolen", supervisor, "told by phone");
        assert_eq!(nothing, "this car has not received list \"stolen\" yet");
    }
}
