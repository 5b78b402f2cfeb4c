//! What the fleet sends: the door in, whose signatures are believed, the lists of the broker.
//!
//! Parts subscribe at the [`Downlink`] before the door opens. Without `[trust]` nothing that comes
//! could be believed: the door stays shut.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context as _;

use super::records::Wipe;
use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::Clock;
use crate::command::{Command, CommandError, Order};
use crate::config::Config;
use crate::downlink::{Door, Downlink, Topic};
use crate::dsse::{Envelope, KeyId};
use crate::health::Health;
use crate::hotlist::Hotlists;
use crate::hotlist::sync::{self, Sync, SyncHandle};
use crate::keys::DeviceKey;
use crate::trust::{HeldTrust, Role, Root, pin};

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

/// The keys that an envelope names, as far as they look like names of keys: nobody has checked them.
fn claimed(envelope: Envelope) -> Vec<KeyId> {
    let looks_like =
        |id: &&KeyId| id.as_str().len() == 16 && id.as_str().bytes().all(|b| b.is_ascii_hexdigit());
    envelope.signers().filter(looks_like).take(4).cloned().collect()
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
        let Some(root) = &config.trust.root else {
            return Ok(Self { downlink, trust: None, sync: None, door: None });
        };
        let state = &config.keeping.directory;
        let device = DeviceKey::load(state)?;
        let root = Root::load(root)?;
        pin::check(&root, state, &device)?;
        let trust = HeldTrust::open(root, &config.vehicle.agency, state, &device, clock.clone())
            .with_context(|| format!("cannot use {}", state.display()))?;
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
        std::thread::Builder::new()
            .name("commands".into())
            .spawn(move || {
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
                    let keys = trust.current().map(|t| t.keys_for(&Role::Command));
                    let envelope = Envelope::parse(&payload).map_err(CommandError::from);
                    let opened = envelope.as_ref().map_err(Clone::clone).and_then(|envelope| {
                        let keys = keys.unwrap_or_default();
                        Command::open(envelope, &keys, &vehicle, &ours, clock.now().wall)
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
                            tracing::error!(error = %e, "command refused");
                            let signers = envelope.map_or_else(|_| Vec::new(), claimed);
                            let why = e.to_string();
                            audit.note(Actor::System, AuditEvent::CommandRefused { signers, why });
                            refused = Some((payload, e));
                        }
                    }
                }
            })
            .expect("the process may start threads");
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
