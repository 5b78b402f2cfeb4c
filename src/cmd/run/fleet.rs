//! What the fleet sends: the door in, whose signatures are believed, the lists of the broker.
//!
//! Parts subscribe at the [`Downlink`] before the door opens. Without `[trust]` nothing that comes
//! could be believed: the door stays shut.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::Context as _;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::downlink::{Door, Downlink, Topic};
use crate::health::Health;
use crate::hotlist::Hotlists;
use crate::hotlist::sync::{self, Sync, SyncHandle};
use crate::keys::DeviceKey;
use crate::trust::{HeldTrust, Root};

/// Trust documents that wait: the newest is the one that counts.
const DOCUMENTS: usize = 4;

/// What the fleet sends.
pub(super) struct Fleet {
    downlink: Downlink,
    trust: Option<Arc<HeldTrust>>,
    sync: Option<SyncHandle>,
    door: Option<Door>,
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
        let trust = HeldTrust::open(root, &config.vehicle.agency, state, &device, clock.clone())
            .with_context(|| format!("cannot use {}", state.display()))?;
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
