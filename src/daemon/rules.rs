//! Reads the policy's rules before anything is opened, and passes each change on to the parts that run.
//!
//! At the start the configuration is limited by what was in force before; while the daemon runs, a new
//! policy from the broker or the file is told to the lists, the hotplates and the ring. What it changes
//! of other settings counts from the next start.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};

use tracing::info;

use super::fleet::Fleet;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::health::Health;
use crate::hotlist::Hotlists;
use crate::hotlist::hotplate::Hotplates;
use crate::inbound::{Inbound, Topic};
use crate::keys::DeviceKey;
use crate::onboard::store::RingLimit;
use crate::policy::{self, HeldPolicy};
use crate::trust::HeldTrust;

/// Policies that wait: the newest is the one that counts.
const WAITING: usize = 4;

/// The rules in force and where new ones come from.
pub(super) struct Ruled {
    held: Arc<HeldPolicy>,
    /// Who may sign: known once the fleet's documents have been taken up.
    trust: Arc<OnceLock<Arc<HeldTrust>>>,
    /// Until the fleet's door is known.
    inbound: Mutex<Option<(SyncSender<Inbound>, Receiver<Inbound>)>>,
}

impl Ruled {
    /// Takes up what was in force, and limits the configuration by it.
    pub(super) fn take_up(
        mut config: Config,
        clock: &Arc<dyn Clock>,
        health: &Arc<Health>,
        audit: &Audit,
    ) -> anyhow::Result<(Config, Self)> {
        let state = &config.keeping.directory;
        let device = DeviceKey::load(state)?;
        let trust: Arc<OnceLock<Arc<HeldTrust>>> = Arc::default();
        let known = trust.clone();
        let held = HeldPolicy::open(
            &config.policy,
            &config.vehicle.agency,
            state,
            &device,
            Box::new(move || known.get().and_then(|trust| trust.current())),
            (clock.clone(), health.clone(), audit.clone()),
        )?;
        for limited in policy::limit(&mut config, &held.rules()) {
            info!(limited, "configuration limited by policy");
        }
        let inbound = Mutex::new(Some(sync_channel(WAITING)));
        Ok((config, Self { held: Arc::new(held), trust, inbound }))
    }

    /// Lets the running parts obey, and takes new policies from now on.
    pub(super) fn connect(
        &self,
        fleet: &Fleet,
        hotlists: &Arc<Hotlists>,
        hotplates: Option<&Arc<Hotplates>>,
        ring: RingLimit,
    ) {
        let lists = hotlists.clone();
        self.held.on_change(move |rules| lists.govern(&rules.lists));
        if let Some(hotplates) = hotplates.cloned() {
            self.held.on_change(move |rules| hotplates.obey(rules));
        }
        self.held.on_change(move |rules| ring.set(&rules.keeping));
        let taken = self.inbound.lock().expect("no holder panics").take();
        if let (Some(trust), Some((to, inbound))) = (fleet.trust(), taken) {
            let _ = self.trust.set(trust.clone());
            fleet.downlink().subscribe(Topic::Policy, to);
            let trust = trust.clone();
            self.held.refresh();
            self.held.clone().follow(inbound, move || trust.changes());
        }
    }

    /// The policy in force.
    pub(super) fn held(&self) -> &Arc<HeldPolicy> {
        &self.held
    }
}
