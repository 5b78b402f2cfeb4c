//! Answers the requests of `outrider hotplate` on the control socket.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Hotplate, HotplateError, Hotplates, Wanted};
use crate::control::Control;
use crate::entry::Priority;
use crate::policy::Who;
use crate::sessions::{self, Refused, Sessions, Stated, StatesWho};

/// The request to add one.
pub const ADD: &str = "hotplate/add";

/// The request for all that are in force.
pub const LIST: &str = "hotplate/list";

/// The request to remove one.
pub const REMOVE: &str = "hotplate/remove";

/// A hotplate as the control socket (for the daemon's user and root) and the page show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its identifier.
    pub id: String,
    /// The plate, or pattern.
    pub plate: String,
    /// Who issued it, or `unknown`.
    pub jurisdiction: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Why it was added.
    pub reason: String,
    /// The case to which it belongs, if there is one.
    pub case: String,
    /// Who added it.
    pub by: String,
    /// The role in which they acted.
    pub role: Who,
    /// When it was added.
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

/// A request to remove a hotplate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Its identifier.
    pub id: String,
    /// Who removes it, if stated: it must be the person who is signed in.
    #[serde(default)]
    pub by: String,
    /// The role in which they act, if stated.
    #[serde(default)]
    pub role: Option<Who>,
    /// Why it is removed.
    pub why: String,
}

impl StatesWho for Remove {
    fn stated(&self) -> Stated<'_> {
        Stated { number: Some(&self.by), role: self.role }
    }
}

impl From<HotplateError> for Refused {
    fn from(e: HotplateError) -> Self {
        Self::as_recorded(&e, &e.on_record())
    }
}

/// Registers the handlers. Whoever reaches the socket may list hotplates.
pub fn answer(control: Control, hotplates: &Arc<Hotplates>, sessions: &Arc<Sessions>) -> Control {
    let [adds, lists, removes] = [hotplates.clone(), hotplates.clone(), hotplates.clone()];
    let control = control
        .on(LIST, move |(): ()| Ok(lists.list().into_iter().map(Told::from).collect::<Vec<_>>()));
    let control = sessions::answer(control, sessions, ADD, move |who, wanted: Wanted| {
        Ok(adds.add(who, &wanted).map(Told::from)?)
    });
    sessions::answer(control, sessions, REMOVE, move |who, asked: Remove| {
        Ok(removes.remove(who, &asked.id, &asked.why)?)
    })
}
