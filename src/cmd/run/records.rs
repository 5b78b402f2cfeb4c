//! What may be asked of the daemon about its records: look-ups, dispositions, evidence, holds, counts,
//! the audit log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::audit::{Actor, Audit, pages};
use crate::clock::Clock;
use crate::cmd::hold::{self, HOLD};
use crate::cmd::report::{DAYS, Days};
use crate::cmd::{
    disposition::DISPOSITION, evidence::EVIDENCE, one_line, provision::WIPE, query::QUERY,
};
use crate::config::Vehicle;
use crate::control::Control;
use crate::counters::Counters;
use crate::disposition;
use crate::evidence;
use crate::lookup::{self, LookUps, Permissions, Recent, SearchReads};
use crate::onboard::store::Searcher;
use crate::uplink::wire::StatsReport;
use crate::uplink::{Holds, Outbox};

/// What the answers need.
pub(super) struct Records {
    pub(super) audit: Audit,
    pub(super) outbox: Outbox,
    /// `None` if they could not be opened; health says why.
    pub(super) counters: Option<Counters>,
    pub(super) vehicle: Vehicle,
    pub(super) searcher: Option<Searcher>,
    pub(super) permissions: Permissions,
    pub(super) clock: Arc<dyn Clock>,
    /// Where an order to wipe goes, with who gave it and why.
    pub(super) wipe: SyncSender<Wipe>,
}

/// An order to wipe this car.
#[derive(Debug, Clone)]
pub struct Wipe {
    /// Who gave it.
    pub(super) who: Actor,
    /// Why.
    pub(super) why: String,
    /// The state folder.
    pub(super) state: PathBuf,
}

impl Records {
    /// Registers the questions.
    pub(super) fn answer(self, control: Control, state: PathBuf) -> Control {
        let Self { audit, outbox, counters, vehicle, searcher, permissions, clock, wipe } = self;
        let reads: Option<SearchReads> = searcher.map(|searcher| -> SearchReads {
            Arc::new(move |permit, key, since| searcher.search(permit, key, since))
        });
        let lookups = LookUps {
            audit: audit.clone(),
            outbox: outbox.clone(),
            reads,
            permissions: permissions.clone(),
            clock: clock.clone(),
            recent: Recent::default(),
        };
        let control = control.on(QUERY, move |request: lookup::Request| {
            lookups.ask(&request).map_err(|e| e.to_string())
        });
        let control = {
            let (audit, outbox, clock) = (audit.clone(), outbox.clone(), clock.clone());
            let vehicle = vehicle.clone();
            control.on(DISPOSITION, move |request: disposition::Request| {
                disposition::decide(&outbox, &audit, &vehicle, &*clock, &request)
                    .map(|standing| standing.status())
                    .map_err(|e| e.to_string())
            })
        };
        let control = control.on(EVIDENCE, {
            let (audit, outbox, clock) = (audit.clone(), outbox.clone(), clock.clone());
            move |request: evidence::Request| {
                let may = permissions(request.role);
                let made = evidence::ask(&outbox, &audit, &*clock, &may, &request);
                Ok(data_encoding::BASE64.encode(&made.map_err(|e| e.to_string())?.bytes))
            }
        });
        let control = control.on(DAYS, {
            let audit = audit.clone();
            move |Days { from, to }: Days| {
                let counters = counters.as_ref().ok_or("nothing is counted: see health")?;
                // What was written down a moment ago counts too.
                let days = counters.count(&audit).and_then(|_| counters.days(from, to));
                let days = days.map_err(|e| e.to_string())?;
                let own = |day| StatsReport::of(&vehicle, day);
                Ok(days.into_iter().map(own).collect::<Vec<_>>())
            }
        });
        let control = control.on_from(HOLD, {
            let (audit, state) = (audit.clone(), state.clone());
            move |who, request: hold::Request| {
                let holds = Holds::open(&state, clock.clone()).map_err(|e| e.to_string())?;
                hold::carry_out(&holds, &audit, Actor::Shell(who.uid), request)
                    .map_err(|e| one_line(&e))
            }
        });
        let control = pages::answer(control, &audit);
        control.on_from(WIPE, move |who, why: String| {
            let (who, state) = (Actor::Shell(who.uid), state.clone());
            wipe.try_send(Wipe { who, why, state }).map_err(|_| "a wipe is under way".to_owned())
        })
    }
}
