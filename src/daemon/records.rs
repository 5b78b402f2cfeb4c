//! What may be asked of the daemon about its records: look-ups, dispositions, evidence, holds, counts,
//! the audit log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::asked::{DAYS, DISPOSITION, Days, EVIDENCE, QUERY, WIPE};
use super::one_line;
use crate::audit::{Actor, Audit, pages};
use crate::clock::Clock;
use crate::config::Vehicle;
use crate::control::Control;
use crate::counters::{Counters, DayReport};
use crate::grounds::Permissions;
use crate::hits::{Holds, Outbox};
use crate::onboard::store::Searcher;
use crate::records::disposition::{self, Judge};
use crate::records::evidence;
use crate::records::hold::{self, HOLD, refuse_held};
use crate::records::lookup;
use crate::records::lookup::{LookUps, Recent, SearchReads};
use crate::sessions::{self, Door, Refused, Sessions, Stated, StatesWho as _};
use crate::wire::StatsReport;

/// What the answers need.
pub(super) struct Records {
    pub(super) audit: Audit,
    pub(super) outbox: Outbox,
    pub(super) judge: Arc<Judge>,
    /// `None` if they could not be opened; health says why.
    pub(super) counters: Option<Counters>,
    pub(super) vehicle: Vehicle,
    pub(super) searcher: Option<Searcher>,
    pub(super) permissions: Permissions,
    pub(super) sessions: Arc<Sessions>,
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
        let Self {
            audit,
            outbox,
            judge,
            counters,
            vehicle,
            searcher,
            permissions,
            sessions,
            clock,
            wipe,
        } = self;
        let reads: Option<SearchReads> = searcher
            .map(|searcher| -> SearchReads { Arc::new(move |permit| searcher.search(permit)) });
        let lookups = LookUps {
            audit: audit.clone(),
            outbox: outbox.clone(),
            reads,
            permissions: permissions.clone(),
            clock: clock.clone(),
            recent: Recent::default(),
        };
        // Look-ups and bundles write their own refusals down, with what was asked for.
        let control = sessions::answer(control, &sessions, QUERY, {
            move |who, request: lookup::Request| {
                lookups.ask(who, &request).map_err(Refused::recorded)
            }
        });
        let control = sessions::answer(control, &sessions, DISPOSITION, {
            move |who, request: disposition::Request| Ok(judge.decide(who, &request)?.status)
        });
        let control = sessions::answer(control, &sessions, EVIDENCE, {
            let (audit, outbox, clock) = (audit.clone(), outbox.clone(), clock.clone());
            move |who, request: evidence::Request| {
                let may = permissions(who.role());
                let made = evidence::ask(&outbox, &audit, &*clock, &may, who, &request);
                let made = made.map_err(Refused::recorded)?;
                Ok(data_encoding::BASE64.encode(&made.bytes))
            }
        });
        let control = sessions::answer_sessions(control, &sessions);
        let control = control.on(DAYS, {
            let audit = audit.clone();
            move |Days { from, to }: Days| {
                let counters = counters.as_ref().ok_or("nothing is counted: see health")?;
                // What was written down a moment ago counts too.
                let days = counters.count(&audit).and_then(|_| counters.days(from, to));
                let days = days.map_err(|e| e.to_string())?;
                let own = |day: DayReport| StatsReport::of(&vehicle, day.shown());
                Ok(days.into_iter().map(own).collect::<Vec<_>>())
            }
        });
        let held_by = clock.clone();
        let control = control.on_from(HOLD, {
            let (audit, state) = (audit.clone(), state.clone());
            move |asker, request: hold::Request| {
                let holds = || Holds::open(&state, clock.clone()).map_err(|e| e.to_string());
                // What is held is told to whoever reaches the socket.
                if matches!(request, hold::Request::List) {
                    return hold::list(&holds()?).map_err(|e| one_line(&e));
                }
                let at = (Door::Shell(asker.uid), asker.session.as_deref());
                let author = request.stated().number.map(str::to_owned);
                let stated = Stated { number: author.as_deref(), role: None };
                let done = sessions.enter(at, HOLD, stated, |who| {
                    hold::may(who).map_err(Refused::new)?;
                    let holds = holds().map_err(Refused::new)?;
                    hold::carry_out(&holds, &audit, who, request)
                        .map_err(|e| Refused::as_recorded(one_line(&e), "not done"))
                });
                done.map_err(|e| e.to_string())
            }
        });
        let control = pages::answer(control, &audit);
        control.on_from(WIPE, move |who, why: String| {
            let (who, state) = (Actor::Shell(who.uid), state.clone());
            refuse_held(&state, held_by.clone()).map_err(|e| one_line(&e))?;
            wipe.try_send(Wipe { who, why, state }).map_err(|_| "a wipe is under way".to_owned())
        })
    }
}
