//! What may be asked of the running daemon over its control socket, and the hotplates behind it.
//!
//! Neither is worth a car that does not read: what cannot be opened is told in health.

use std::sync::Arc;

use super::daemon::permissions;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Control, ControlError, Listening};
use crate::health::{Health, PartState};
use crate::hotlist::Hotlists;
use crate::hotlist::hotplate::{self, Hotplates};
use crate::hotlist::sync;
use crate::keys::DeviceKey;
use crate::policy::{self, HeldPolicy};

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
) -> Control {
    let (may, policy) = (permissions(policy), policy.clone());
    let mut control = Control::default().on(policy::SHOW, move |(): ()| Ok(policy.state()));
    control = sync::answer(control, config.hotlist.clone(), config.keeping.directory.clone(), may);
    if let Some(hotplates) = hotplates {
        control = hotplate::answer(control, hotplates);
    }
    control
}
