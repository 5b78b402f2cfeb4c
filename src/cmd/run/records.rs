//! What may be asked of the daemon about its records: look-ups, dispositions, evidence, the audit log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use ulid::Ulid;

use crate::audit::{Actor, Audit};
use crate::clock::Clock;
use crate::cmd::{disposition::DISPOSITION, evidence::EVIDENCE, provision::WIPE, query::QUERY};
use crate::config::Vehicle;
use crate::control::Control;
use crate::disposition;
use crate::evidence;
use crate::lookup::{self, LookUps, Permissions, Recent, SearchReads};
use crate::onboard::store::Searcher;
use crate::policy::Permission;
use crate::uplink::Outbox;

/// What the answers need.
pub(super) struct Records {
    pub(super) audit: Audit,
    pub(super) outbox: Outbox,
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
        let Self { audit, outbox, vehicle, searcher, permissions, clock, wipe } = self;
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
            control.on(DISPOSITION, move |request: disposition::Request| {
                disposition::decide(&outbox, &audit, &vehicle, &*clock, &request)
                    .map(|standing| standing.status())
                    .map_err(|e| e.to_string())
            })
        };
        let control = control.on(EVIDENCE, {
            let (audit, outbox) = (audit.clone(), outbox.clone());
            move |request: evidence::Request| {
                lookup::case_number(&request.case).map_err(|e| e.to_string())?;
                if !permissions(request.role).contains(&Permission::ExportEvidence) {
                    return Err(format!(
                        "{} may not {}: ask a supervisor",
                        request.role.word(),
                        Permission::ExportEvidence.words()
                    ));
                }
                let hit = Ulid::from_string(&request.hit)
                    .map_err(|_| format!("{:?} is no hit's name", request.hit))?;
                let who = lookup::actor(request.role, request.officer.trim());
                let made = evidence::export(&outbox, &audit, &*clock, hit, &who, &request.case);
                let made = made.map_err(|e| e.to_string())?;
                Ok(data_encoding::BASE64.encode(&made.bytes))
            }
        });
        control.on(WIPE, move |why: String| {
            let who = Actor::Shell(rustix::process::getuid().as_raw());
            let state = state.clone();
            wipe.try_send(Wipe { who, why, state }).map_err(|_| "a wipe is under way".to_owned())
        })
    }
}
