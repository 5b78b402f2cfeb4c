//! The thread that compares new list entries with reads of before, where policy allows it.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::hotlist::Hotlists;
use crate::onboard::store::Searcher;
use crate::policy::HeldPolicy;
use crate::records::lookup::past::PastReads;
use crate::threads::{self, UntilDropped};

/// Time between two looks at the lists.
const LOOK: Duration = Duration::from_secs(1);

/// The running thread. Dropping it ends it.
pub(super) struct Running {
    past: Arc<PastReads>,
    _thread: UntilDropped,
}

impl Running {
    /// What was found is asked here.
    pub(super) fn shared(&self) -> &Arc<PastReads> {
        &self.past
    }
}

/// Starts it where there is a ring to compare with; it does nothing until a policy grants it.
pub(super) fn spawn(
    config: &Config,
    searcher: Option<Searcher>,
    policy: &Arc<HeldPolicy>,
    (hotlists, audit, clock): (&Arc<Hotlists>, &Audit, &Arc<dyn Clock>),
) -> Option<Running> {
    let searcher = searcher?;
    let version = policy.clone();
    let past = Arc::new(PastReads::new(
        hotlists.clone(),
        Arc::new(move |permit| searcher.search_all(permit)),
        audit.clone(),
        clock.clone(),
        config.keeping.clone(),
        Box::new(move || version.state().policy.map(|policy| policy.version)),
    ));
    let obeys = past.clone();
    policy.on_change(move |rules| obeys.obey(rules));
    let compares = past.clone();
    let look_on = move |pause: threads::Pause| {
        while pause.goes_on_after(LOOK) {
            compares.step();
        }
    };
    let thread = threads::spawn_until_dropped("past-reads", look_on);
    Some(Running { past, _thread: thread.expect("the system can start a thread") })
}
