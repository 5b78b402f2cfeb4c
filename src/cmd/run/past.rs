//! The thread that compares new list entries with reads of before, where policy allows it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::hotlist::Hotlists;
use crate::lookup::past::PastReads;
use crate::onboard::store::Searcher;
use crate::policy::HeldPolicy;

/// Time between two looks at the lists.
const LOOK: Duration = Duration::from_secs(1);

/// The running thread. Dropping it ends it.
pub(super) struct Running {
    past: Arc<PastReads>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
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
        Arc::new(move |permit, keys, since| searcher.search_all(permit, keys, since)),
        audit.clone(),
        clock.clone(),
        config.keeping.clone(),
        Box::new(move || version.state().policy.map(|policy| policy.version)),
    ));
    let obeys = past.clone();
    policy.tell(move |rules| obeys.obey(rules));
    let (stop, stopped) = channel();
    let compares = past.clone();
    let thread = std::thread::Builder::new()
        .name("past-reads".into())
        .spawn(move || {
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                compares.step();
            }
        })
        .expect("the system can start a thread");
    Some(Running { past, stop: Some(stop), thread: Some(thread) })
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("thread that compares past reads panicked");
        }
    }
}
