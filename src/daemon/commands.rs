//! What may be asked of the running daemon over its control socket, and the hotplates behind it.
//!
//! Neither is worth a car that does not read: what cannot be opened is told in health.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::asked::STATUS;
use super::standing::{self, Latest};
use super::start::permissions;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Control, ControlError, Listening};
use crate::health::{Health, PARTS, PartState};
use crate::hotlist::Hotlists;
use crate::hotlist::hotplate::{self, Hotplates};
use crate::hotlist::sync;
use crate::keys::DeviceKey;
use crate::models::{self, Models};
use crate::policy::{self, HeldPolicy};
use crate::sessions::Sessions;

/// The control socket's name in health.
const PART: &str = "control";

/// Opens the hotplates, if that is possible.
pub(super) fn hotplates(
    config: &Config,
    hotlists: &Arc<Hotlists>,
    (clock, health, audit): (&Arc<dyn Clock>, &Arc<Health>, &Audit),
) -> Option<Arc<Hotplates>> {
    let state = &config.keeping.directory;
    let parts = (clock.clone(), health.clone(), audit.clone());
    let opened = DeviceKey::load(state).map_err(|e| e.to_string()).and_then(|device| {
        Hotplates::open(&config.hotplates, state, &device, hotlists.clone(), parts)
            .map_err(|e| e.to_string())
    });
    match opened {
        Ok(hotplates) => Some(Arc::new(hotplates)),
        Err(why) => {
            tracing::error!(why, "no hotplates");
            health.set("hotplates", PartState::Down(why));
            None
        }
    }
}

/// Opens the control socket. Only another daemon in the same state folder keeps this one from
/// starting.
pub(super) fn listen(
    control: Control,
    config: &Config,
    health: &Health,
) -> Result<Option<Listening>, ControlError> {
    match control.listen(&config.keeping.directory) {
        Ok(listening) => {
            health.set(PART, PartState::Working);
            Ok(Some(listening))
        }
        Err(taken @ ControlError::Taken { .. }) => Err(taken),
        Err(e) => {
            tracing::error!(error = %e, "no control socket");
            health.set(PART, PartState::Down(e.to_string()));
            Ok(None)
        }
    }
}

/// What may be asked.
pub(super) fn all(
    config: &Config,
    hotplates: Option<&Arc<Hotplates>>,
    policy: &Arc<HeldPolicy>,
    (health, latest, models): (&Arc<Health>, Latest, &Arc<Models>),
    (sessions, audit): (&Arc<Sessions>, &Audit),
) -> Control {
    let (may, policy) = (permissions(policy), policy.clone());
    let mut control = Control::default().on(policy::SHOW, move |(): ()| Ok(policy.state()));
    let covert = config.hotlist.iter().filter(|list| list.covert);
    let hidden: BTreeSet<_> = covert.map(|list| format!("hotlist/{}", list.name)).collect();
    let health = health.clone();
    control = control.on(PARTS, move |(): ()| {
        let mut parts = health.snapshot().parts;
        parts.retain(|part, _| !hidden.contains(part));
        Ok(parts)
    });
    let (shifts, packages) = (sessions.clone(), models.clone());
    control = control.on(STATUS, move |(): ()| {
        let look = standing::latest(&latest);
        let (shift, models) = (shifts.last_shift(), packages.lines());
        look.map(|look| standing::Told { shift, models, ..look.told })
            .ok_or_else(|| "the daemon is still starting: ask again".to_owned())
    });
    let state = config.keeping.directory.clone();
    let doors = (sessions, audit.clone());
    control = sync::answer(control, config.hotlist.clone(), state, may, doors);
    control = models::answer(control, models, sessions);
    if let Some(hotplates) = hotplates {
        control = hotplate::answer(control, hotplates, sessions);
    }
    control
}
