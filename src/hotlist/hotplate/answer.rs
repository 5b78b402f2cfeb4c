//! Hotplates over the control socket: what `outrider hotplate` asks.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Hotplate, Hotplates, Wanted};
use crate::control::Control;
use crate::hotlist::Priority;
use crate::policy::Who;

/// Asks for one to be added.
pub const ADD: &str = "hotplate/add";

/// Asks for all that run.
pub const LIST: &str = "hotplate/list";

/// Asks for one to be removed.
pub const REMOVE: &str = "hotplate/remove";

/// One of them, as it is told over the control socket (to the daemon's user and root) and to the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its identifier.
    pub id: String,
    /// The plate, or pattern.
    pub plate: String,
    /// Who issued it, or `unknown`.
    pub jurisdiction: String,
    /// How urgent.
    pub priority: Priority,
    /// Why.
    pub reason: String,
    /// The case, if any.
    pub case: String,
    /// Who added it.
    pub by: String,
    /// In which role.
    pub role: Who,
    /// When.
    pub added: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

impl From<Hotplate> for Told {
    fn from(h: Hotplate) -> Self {
        Self {
            id: h.id.to_string(),
            plate: h.plate.expose().to_owned(),
            jurisdiction: h.jurisdiction.to_string(),
            priority: h.priority,
            reason: h.reason,
            case: h.case,
            by: h.by,
            role: h.role,
            added: h.added,
            expires: h.expires,
        }
    }
}

/// Asks for the removal of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Its identifier.
    pub id: String,
    /// Who removes it.
    pub by: String,
    /// In which role.
    pub role: Who,
    /// Why.
    pub why: String,
}

/// Registers the answers.
pub fn answer(control: Control, hotplates: &Arc<Hotplates>) -> Control {
    let [adds, lists, removes] = [hotplates.clone(), hotplates.clone(), hotplates.clone()];
    control
        .on(ADD, move |wanted: Wanted| adds.add(&wanted).map(Told::from).map_err(|e| e.to_string()))
        .on(LIST, move |(): ()| Ok(lists.list().into_iter().map(Told::from).collect::<Vec<_>>()))
        .on(REMOVE, move |asked: Remove| {
            removes.remove(&asked.id, asked.role, &asked.by, &asked.why).map_err(|e| e.to_string())
        })
}
