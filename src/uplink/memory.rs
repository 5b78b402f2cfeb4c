//! A broker in memory: the other half of the [`Broker`] seam, for tests and simulations.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::{Answer, Broker, Hello, Session, Ticket};
use crate::broker::BrokerError;
use crate::wire::Message;

/// How the broker behaves; changed while it runs.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Whether it accepts connections; turning this off breaks those there are.
    pub reachable: bool,
    /// Whether it acknowledges.
    pub acknowledges: bool,
    /// The largest message that it announces to take.
    pub largest: usize,
    /// Hangs up over messages whose topic holds this.
    pub hangs_up_over: Option<String>,
    /// Refuses messages whose topic holds this.
    pub refuses: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            reachable: true,
            acknowledges: true,
            largest: 256 * 1024 * 1024,
            hangs_up_over: None,
            refuses: None,
        }
    }
}

/// A broker in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryBroker(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Guards everything below, for a few instructions at a time.
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    received: Vec<Message>,
    connections: usize,
}

impl MemoryBroker {
    /// Changes how it behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state().behaviour);
        self.0.changed.notify_waiters();
    }

    /// All that it accepted, in order.
    pub fn received(&self) -> Vec<Message> {
        self.state().received.clone()
    }

    /// Connections that it accepted.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder panics")
    }
}

impl Broker for MemoryBroker {
    type Session = MemorySession;

    async fn connect(&mut self, _: Hello) -> Result<MemorySession, BrokerError> {
        let mut state = self.state();
        if !state.behaviour.reachable {
            return Err(BrokerError::Refused { at: "memory".into(), why: "unreachable".into() });
        }
        state.connections += 1;
        let largest = state.behaviour.largest;
        drop(state);
        Ok(MemorySession { broker: self.clone(), answers: Vec::new(), hung_up: false, largest })
    }
}

/// One connection to a [`MemoryBroker`].
pub struct MemorySession {
    broker: MemoryBroker,
    answers: Vec<Answer>,
    hung_up: bool,
    largest: usize,
}

impl Session for MemorySession {
    fn largest(&self) -> usize {
        self.largest
    }

    fn publish(&mut self, ticket: Ticket, message: &Message) -> Result<(), BrokerError> {
        let mut state = self.broker.state();
        let holds = |what: &Option<String>| {
            what.as_ref().is_some_and(|part| message.topic().contains(part.as_str()))
        };
        if self.hung_up || holds(&state.behaviour.hangs_up_over) {
            self.hung_up = true;
        } else if holds(&state.behaviour.refuses) {
            self.answers.push(Answer::Refused(ticket, "refused".into()));
        } else {
            state.received.push(message.clone());
            self.answers.push(Answer::Acknowledged(ticket));
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Answer, BrokerError> {
        loop {
            let broker = self.broker.clone();
            let changed = broker.0.changed.notified();
            let behaviour = broker.state().behaviour.clone();
            if self.hung_up || !behaviour.reachable {
                let why = "hung up".into();
                return Err(BrokerError::Lost {
                    at: "memory".into(),
                    why,
                    by_broker: self.hung_up,
                });
            }
            if behaviour.acknowledges && !self.answers.is_empty() {
                return Ok(self.answers.remove(0));
            }
            changed.await;
        }
    }

    async fn close(self) {}
}
