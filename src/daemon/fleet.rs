//! What the fleet sends: the door in, whose signatures are believed, the lists and the packages of models of the broker.
//!
//! Parts subscribe at the [`Downlink`] before the door opens. Without `[trust]` nothing that comes
//! could be believed: the door stays shut.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context as _;

use super::power;
use super::records::Wipe;
use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::Clock;
use crate::command::{Command, CommandError, Order, TO_DESTROY};
use crate::config::Config;
use crate::downlink::{Door, Downlink};
use crate::dsse::{Envelope, KeyId};
use crate::gps::Fixes;
use crate::health::{Health, PartState};
use crate::hits::held_hits;
use crate::hotlist::Hotlists;
use crate::hotlist::sync::{self, Sync, SyncHandle};
use crate::inbound::Topic;
use crate::keys::DeviceKey;
use crate::models::{FromFleet, Models};
use crate::policy::HeldPolicy;
use crate::threads::UntilDropped;
use crate::trust::{HeldTrust, Role, Root, pin};

/// The root's name in health, where there is something to say of it.
const ROOT: &str = "trust/root";

/// Trust documents that wait: the newest is the one that counts.
const DOCUMENTS: usize = 4;

/// Time between two looks at whether a refused command is now somebody's who may give it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the fleet sends.
pub(super) struct Fleet {
    downlink: Downlink,
    trust: Option<Arc<HeldTrust>>,
    sync: Option<SyncHandle>,
    door: Option<Door>,
}

/// Whether so many people may order what destroys these hits. Where nobody can tell whether any is held,
/// one may be.
fn enough_to_destroy(
    held: Result<usize, impl std::fmt::Display>,
    people: usize,
) -> Result<(), CommandError> {
    let held = match held {
        Ok(0) => return Ok(()),
        Ok(1) => "a hit".to_owned(),
        Ok(hits) => format!("{hits} hits"),
        Err(why) => format!("hits, if there are any ({why}),"),
    };
    match people >= TO_DESTROY {
        true => Ok(()),
        false => Err(CommandError::Held { held, have: people }),
    }
}

/// The keys that an envelope names: nobody has checked them.
fn claimed(envelope: Envelope) -> Vec<KeyId> {
    envelope.signers().take(4).cloned().collect()
}

/// How it stands with the root of the configuration.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing speaks against it.
    AsProvisioned,
    /// What the provisioning wrote is damaged or gone, and something else remembers this root.
    AsRemembered(&'static str),
    /// It is damaged, and nothing else remembers any root.
    Unknown(&'static str),
}

/// Whether this car was provisioned for this root. Damage is no reason not to start: what else remembers the
/// root decides, and where nothing does nobody is believed.
fn standing_of(
    root: &Root,
    state: &std::path::Path,
    device: &DeviceKey,
    audit: &Audit,
) -> anyhow::Result<Standing> {
    // A log that cannot be read says nothing, and health says that.
    let on_record = || audit.was_in_force().ok().and_then(|(_, root)| root);
    let (known, told) = match pin::pinned(state, device) {
        Ok(Some(pinned)) if pin::is_gone(state, device) => (Some(pinned), Some("is gone")),
        Ok(Some(pinned)) => (Some(pinned), None),
        Ok(None) => (on_record(), None),
        Err(e) => {
            tracing::error!(error = %e, "the root that this car was provisioned for cannot be read");
            (pin::remembered(state, device).or_else(on_record), Some("cannot be read any more"))
        }
    };
    match known {
        Some(pinned) if pinned != root.name() => {
            Err(pin::PinError::Another { found: root.name(), pinned }.into())
        }
        Some(_) => Ok(told.map_or(Standing::AsProvisioned, Standing::AsRemembered)),
        None => Ok(told.map_or(Standing::AsProvisioned, Standing::Unknown)),
    }
}

impl Fleet {
    /// Takes up what was believed before the restart. Lists that came before serve when this
    /// returns, without any network.
    pub(super) fn prepare(
        config: &Config,
        hotlists: &Arc<Hotlists>,
        audit: &Audit,
        clock: &Arc<dyn Clock>,
        health: &Arc<Health>,
    ) -> anyhow::Result<Self> {
        let downlink = Downlink::new(&config.vehicle);
        let state = &config.keeping.directory;
        let device = DeviceKey::load(state)?;
        let root = match &config.trust.root {
            Some(root) => Root::load(root)?,
            None => match pin::remembered_keys(state, &device) {
                None => return Ok(Self { downlink, trust: None, sync: None, door: None }),
                Some(root) => {
                    let name = root.name();
                    let why = format!(
                        "trust.root was {name} and is gone from the configuration: that root holds"
                    );
                    tracing::error!("{why}");
                    health.set(ROOT, PartState::Impaired(why));
                    root
                }
            },
        };
        let standing = standing_of(&root, state, &device, audit)?;
        let trust = HeldTrust::open(root, &config.vehicle.agency, state, &device, clock.clone())
            .with_context(|| format!("cannot use {}", state.display()))?;
        trust.record_in(audit.clone());
        match standing {
            Standing::AsProvisioned => {}
            Standing::AsRemembered(what) => {
                let why = format!("root.sealed {what}: outrider provision pin-root writes it anew");
                tracing::error!("{why}");
                health.set(ROOT, PartState::Impaired(why));
            }
            // The document that this car has sealed itself is by the root that it went by.
            Standing::Unknown(what) if trust.current().is_some() => {
                let why = format!("root.sealed {what}: outrider provision pin-root writes it anew");
                tracing::error!("{why}");
                health.set(ROOT, PartState::Impaired(why));
            }
            Standing::Unknown(what) => {
                let why = format!(
                    "root.sealed {what}, and nothing else says whose documents this car goes by: nothing \
                     that comes is believed; see that trust.root is the agency's own, then run outrider \
                     provision pin-root"
                );
                tracing::error!("{why}");
                health.set(ROOT, PartState::Down(why));
                return Ok(Self { downlink, trust: None, sync: None, door: None });
            }
        }
        if let Some(path) = &config.trust.document {
            let json = std::fs::read(path)
                .with_context(|| format!("cannot read trust.document = {}", path.display()))?;
            if let Err(e) = trust.offer(&json) {
                tracing::warn!(file = %path.display(), error = %e, "trust document refused");
            }
        }
        let (trust, (to, documents)) = (Arc::new(trust), sync_channel(DOCUMENTS));
        downlink.subscribe(Topic::Trust, to);
        trust.clone().follow(documents, health.clone());
        let sync = Sync::open(sync::Parts {
            lists: &config.hotlist,
            agency: &config.vehicle.agency,
            state,
            device: &device,
            trust: trust.clone(),
            service: hotlists.clone(),
            downlink: downlink.clone(),
            audit: Some(audit.clone()),
            clock: clock.clone(),
            health: health.clone(),
        });
        Ok(Self { downlink, trust: Some(trust), sync: Some(sync.spawn()), door: None })
    }

    /// Where parts subscribe.
    pub(super) fn downlink(&self) -> &Downlink {
        &self.downlink
    }

    /// Whose signatures are believed; `None` without `[trust]`.
    pub(super) fn trust(&self) -> Option<&Arc<HeldTrust>> {
        self.trust.as_ref()
    }

    /// Follows commands from afar, as long as the door is open.
    pub(super) fn obey(
        &self,
        config: &Config,
        audit: &Audit,
        clock: &Arc<dyn Clock>,
        wipe: SyncSender<Wipe>,
    ) {
        let Some(trust) = self.trust.clone() else { return };
        let (to, commands) = sync_channel(DOCUMENTS);
        self.downlink.subscribe(Topic::Command, to);
        let (audit, clock) = (audit.clone(), clock.clone());
        let (vehicle, state) = (config.vehicle.clone(), config.keeping.directory.clone());
        crate::threads::spawn("commands", move || {
            // The broker sends a retained command with every connection: once is enough on record.
            let mut refused: Option<(Vec<u8>, CommandError)> = None;
            let mut known = trust.changes();
            loop {
                let payload = match commands.recv_timeout(LOOK_EVERY) {
                    Ok(message) => message.payload,
                    Err(RecvTimeoutError::Disconnected) => return,
                    // Who may command may arrive after the command.
                    Err(RecvTimeoutError::Timeout) => match &refused {
                        Some((payload, _)) if trust.changes() != known => payload.clone(),
                        _ => continue,
                    },
                };
                known = trust.changes();
                let Some(ours) = audit.public_key() else { continue };
                let now = trust.current();
                let keys = now.as_ref().map(|t| t.keys_for(&Role::Command));
                let envelope = Envelope::parse(&payload).map_err(CommandError::from);
                let opened = envelope.as_ref().map_err(Clone::clone).and_then(|envelope| {
                    let keys = keys.unwrap_or_default();
                    let standing = clock.standing();
                    let (command, signed) =
                        Command::open_all(envelope, &keys, &vehicle, &ours, &standing)?;
                    let people = now.as_ref().map_or(0, |trust| trust.people(&signed));
                    enough_to_destroy(held_hits(&state, clock.clone()), people)?;
                    Ok((command, signed[0].clone()))
                });
                match opened {
                    Ok((Command { order: Order::Wipe, reason: why, .. }, key)) => {
                        let state = state.clone();
                        // One is enough.
                        let _ = wipe.try_send(Wipe { who: Actor::Remote(key), why, state });
                        refused = None;
                    }
                    Err(e) => {
                        let same = |(before, why): &(Vec<u8>, CommandError)| {
                            *before == payload && e.is_like(why)
                        };
                        if refused.as_ref().is_some_and(same) {
                            continue;
                        }
                        let signers = envelope.map_or_else(|_| Vec::new(), claimed);
                        let event = AuditEvent::CommandRefused { signers, why: e.to_string() };
                        if audit.refused("command", event) {
                            tracing::error!(error = %e, "command refused");
                        }
                        refused = Some((payload, e));
                    }
                }
            }
        })
        .expect("the process may start threads");
    }

    /// Follows packages of models, where policy lets them come; `None` where nobody's could be believed.
    pub(super) fn bring_models(
        &self,
        models: &Arc<Models>,
        policy: &Arc<HeldPolicy>,
        clock: &Arc<dyn Clock>,
        fixes: &Fixes,
    ) -> Option<UntilDropped> {
        self.trust.as_ref()?;
        let (clock, fixes) = (clock.clone(), fixes.clone());
        Some(models.follow(FromFleet {
            downlink: self.downlink.clone(),
            policy: policy.clone(),
            stands: Box::new(move || !power::moves(&fixes, &*clock)),
        }))
    }

    /// Opens the door, if anything that comes could be believed.
    pub(super) fn open(&mut self, config: &Config, health: &Arc<Health>) -> anyhow::Result<()> {
        if self.trust.is_some() {
            self.door = Some(self.downlink.open(&config.uplink, health.clone())?);
        }
        Ok(())
    }

    /// Closes the door. Returns whether it was shut within `deadline`.
    pub(super) fn stop(self, deadline: Duration) -> bool {
        drop(self.sync);
        self.door.is_none_or(|door| door.stop(deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_pin_stops_no_start_and_lets_no_other_root_in() {
        use crate::clock::SystemClock;
        use crate::config::{KeepingConfig, Vehicle};
        use crate::dsse::SigningKey;
        let root = |n: &str| {
            let key = SigningKey::parse(&n.repeat(32)).unwrap();
            Root { keys: vec![key.public()], needed: 1 }
        };
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let device = DeviceKey::load(&state).unwrap();
        let keeping = KeepingConfig { directory: state.clone(), ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let clock = Arc::new(SystemClock);
        let audit = Audit::open(&keeping, &vehicle, clock, Arc::default()).unwrap();
        let (ours, theirs) = (root("11"), root("22"));
        pin::pin(&ours, &state, &device).unwrap();
        let standing = |root| standing_of(root, &state, &device, &audit);
        assert_eq!(standing(&ours).unwrap(), Standing::AsProvisioned);
        std::fs::write(state.join("root.sealed"), b"ORS1 something else entirely").unwrap();
        assert!(matches!(standing(&ours).unwrap(), Standing::AsRemembered(_)));
        assert!(standing(&theirs).is_err(), "another root comes in by damage");
        // Nothing remembers any root: nobody is believed, and the car starts.
        std::fs::write(state.join("in_force.sealed"), b"ORS1 something else entirely").unwrap();
        for root in [&ours, &theirs] {
            assert!(matches!(standing(root).unwrap(), Standing::Unknown(_)));
        }
    }

    #[test]
    fn hit_under_legal_hold_takes_two_people_to_destroy() {
        let held = |hits| -> Result<usize, String> { Ok(hits) };
        assert_eq!(enough_to_destroy(held(0), 1), Ok(()));
        let refused = enough_to_destroy(held(1), 1).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "command destroys a hit that a legal hold keeps, and is signed by 1 of the 2 people that takes"
        );
        assert_eq!(enough_to_destroy(held(3), 2), Ok(()));
        let unknown: Result<usize, String> = Err("hits.db does not open".into());
        assert!(enough_to_destroy(unknown, 1).is_err());
    }
}
