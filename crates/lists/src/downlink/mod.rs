//! The downlink: the one way by which messages from the fleet enter the car.
//!
//! In: the retained documents of one broker (trust, policy, manifests, packages of models), commands to this car, and
//! the chunks and parts that somebody requests. Out: [`Inbound`]s on the channel of the subscriber. Costs:
//! one thread that mostly waits, and at most one undelivered message for each topic beside what the
//! subscribers' own channels hold. Leaves to others: verifying the messages. Nothing is parsed
//! here; only size and topic are checked.
//!
//! The downlink publishes nothing; only `uplink` does. Each connection has a clean session and
//! subscribes anew, so that the broker sends what it retains again after every loss: a document may
//! be late but is never missed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

#[expect(clippy::disallowed_types, reason = "the door in: subscribes, and publishes nothing")]
mod mqtt;

use crate::broker::connect::Connect;
use crate::config::{ConfigError, UplinkConfig, Vehicle};
use crate::health::{Health, PartState};
pub use crate::inbound::{Inbound, Topic};
use crate::threads::ends_well_within;

/// The name under which health reports this part.
const PART: &str = "downlink";

/// Distinguishes the identifier of this client from the uplink's: of two clients with one
/// identifier the broker disconnects the older.
const SUFFIX: &str = "-in";

/// What was received so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Messages delivered to a subscriber.
    pub messages: u64,
    /// Their bytes, headers and TLS not counted.
    pub bytes: u64,
    /// Messages dropped because they were longer than their topic allows.
    pub too_long: u64,
}

/// Where the parts of the daemon subscribe to topics. Clones share it; it can be used before the
/// connection is made, and without a broker, when nothing arrives.
#[derive(Clone)]
pub struct Downlink(Arc<Shared>);

struct Shared {
    vehicle: Vehicle,
    /// Locked to look a topic up or to deliver one message.
    desk: Mutex<Desk>,
    changed: Notify,
    connected: AtomicBool,
    messages: AtomicU64,
    bytes: AtomicU64,
    too_long: AtomicU64,
}

#[derive(Default)]
struct Desk {
    wanted: BTreeMap<String, Wanted>,
    /// Topics to unsubscribe from on this connection.
    leaving: Vec<String>,
}

struct Wanted {
    topic: Topic,
    to: SyncSender<Inbound>,
    /// Whether this connection has subscribed to it.
    asked: bool,
    /// A message for which the receiver had no room; a newer one of the same topic replaces it.
    waiting: Option<Inbound>,
}

impl Downlink {
    /// Starts without subscriptions.
    pub fn new(vehicle: &Vehicle) -> Self {
        Self(Arc::new(Shared {
            vehicle: vehicle.clone(),
            desk: Mutex::default(),
            changed: Notify::new(),
            connected: AtomicBool::new(false),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            too_long: AtomicU64::new(0),
        }))
    }

    /// Delivers every message of a topic to `to` from now on, first the one that the broker
    /// retains, and that again after every new connection. A second subscription to the same topic
    /// replaces the first and has the retained message sent again.
    ///
    /// The downlink never waits for a receiver. One whose channel is full gets the newest message
    /// of the topic once there is room, and not those in between: give a channel enough capacity.
    pub fn subscribe(&self, topic: Topic, to: SyncSender<Inbound>) {
        let path = topic.path(&self.0.vehicle);
        let mut desk = self.0.desk();
        desk.leaving.retain(|leaving| *leaving != path);
        desk.wanted.insert(path, Wanted { topic, to, asked: false, waiting: None });
        drop(desk);
        self.0.changed.notify_one();
    }

    /// Delivers no more messages of a topic.
    pub fn unsubscribe(&self, topic: &Topic) {
        let path = topic.path(&self.0.vehicle);
        let mut desk = self.0.desk();
        if desk.wanted.remove(&path).is_some_and(|wanted| wanted.asked) {
            desk.leaving.push(path);
        }
        drop(desk);
        self.0.changed.notify_one();
    }

    /// Whether there is a connection.
    pub fn connected(&self) -> bool {
        self.0.connected.load(Ordering::Relaxed)
    }

    /// What was received so far.
    pub fn received(&self) -> Received {
        Received {
            messages: self.0.messages.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            too_long: self.0.too_long.load(Ordering::Relaxed),
        }
    }

    /// Connects, on a thread of its own. Without a broker in the configuration nothing is started,
    /// and nothing arrives.
    pub fn open(&self, config: &UplinkConfig, health: Arc<Health>) -> Result<Door, ConfigError> {
        let Some(connect) = Connect::new(config, &self.0.vehicle, SUFFIX)? else {
            health.set(PART, PartState::Off);
            return Ok(Door { stop: None, thread: None });
        };
        health.set(PART, PartState::Starting);
        let (stop, stopped) = oneshot::channel();
        let (shared, most) = (self.0.clone(), config.retry_most.get());
        let thread = crate::threads::spawn("downlink", move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs only file descriptors")
                .block_on(mqtt::serve(shared, connect, most, health, stopped));
        })
        .expect("the process may start threads");
        Ok(Door { stop: Some(stop), thread: Some(thread) })
    }

    /// The connection as a future, for one thread that simulates many cars.
    #[cfg(any(test, feature = "testing"))]
    pub async fn serve_for_tests(&self, config: &UplinkConfig, stop: oneshot::Receiver<()>) {
        let connect = Connect::new(config, &self.0.vehicle, SUFFIX).expect("good settings");
        let connect = connect.expect("a broker");
        let most = config.retry_most.get();
        mqtt::serve(self.0.clone(), connect, most, Arc::default(), stop).await;
    }

    /// Delivers a message as if the broker had sent it. Returns whether there is a subscriber.
    #[cfg(any(test, feature = "testing"))]
    pub fn deliver_for_tests(&self, topic: &Topic, payload: &[u8], retained: bool) -> bool {
        self.0.deliver(&topic.path(&self.0.vehicle), payload, retained)
    }

    /// All topics with a subscription.
    #[cfg(any(test, feature = "testing"))]
    pub fn wanted_for_tests(&self) -> Vec<Topic> {
        self.0.desk().wanted.values().map(|wanted| wanted.topic.clone()).collect()
    }
}

impl fmt::Debug for Downlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downlink").field("received", &self.received()).finish_non_exhaustive()
    }
}

/// The running downlink. Dropping it disconnects.
pub struct Door {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Disconnects from the broker and ends; gives up waiting after `deadline`. Returns whether the
    /// thread ended.
    pub fn stop(mut self, deadline: Duration) -> bool {
        self.stop.take();
        let Some(thread) = self.thread.take() else { return true };
        ends_well_within(thread, deadline)
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("no holder panics")
    }

    /// Delivers a message. Returns whether there is a subscriber.
    fn deliver(&self, path: &str, payload: &[u8], retained: bool) -> bool {
        let mut desk = self.desk();
        let Some(wanted) = desk.wanted.get_mut(path) else { return false };
        if payload.len() > wanted.topic.most_bytes() {
            self.too_long.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                topic = path,
                bytes = payload.len(),
                most = wanted.topic.most_bytes(),
                "message is longer than its kind may be, dropped"
            );
            return false;
        }
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(payload.len() as u64, Ordering::Relaxed);
        let inbound = Inbound { topic: wanted.topic.clone(), payload: payload.to_vec(), retained };
        wanted.waiting = Some(inbound);
        if !wanted.hand_on() {
            desk.wanted.remove(path);
        }
        true
    }

    /// Delivers the messages for which receivers had no room. Returns whether some still wait.
    fn deliver_waiting(&self) -> bool {
        let mut desk = self.desk();
        desk.wanted.retain(|_, wanted| wanted.hand_on());
        desk.wanted.values().any(|wanted| wanted.waiting.is_some())
    }

    /// Begins a new connection, on which nothing is subscribed yet.
    fn start_over(&self) {
        let mut desk = self.desk();
        desk.leaving.clear();
        for wanted in desk.wanted.values_mut() {
            wanted.asked = false;
        }
    }

    /// At most `most` topics to subscribe to, documents before chunks.
    fn to_ask(&self, most: usize) -> Vec<String> {
        let mut desk = self.desk();
        let mut due: Vec<_> = desk.wanted.iter_mut().filter(|(_, wanted)| !wanted.asked).collect();
        due.sort_by_key(|(_, wanted)| wanted.topic.is_chunk());
        due.truncate(most);
        for (_, wanted) in &mut due {
            wanted.asked = true;
        }
        due.into_iter().map(|(path, _)| path.clone()).collect()
    }

    /// At most `most` topics to unsubscribe from.
    fn to_leave(&self, most: usize) -> Vec<String> {
        let mut desk = self.desk();
        let from = desk.leaving.len().saturating_sub(most);
        desk.leaving.split_off(from)
    }
}

impl Wanted {
    /// Delivers the waiting message if there is room. Returns `false` if the receiver is gone.
    fn hand_on(&mut self) -> bool {
        let Some(inbound) = self.waiting.take() else { return true };
        match self.to.try_send(inbound) {
            Ok(()) => true,
            Err(TrySendError::Full(inbound)) => {
                self.waiting = Some(inbound);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn downlink() -> Downlink {
        Downlink::new(&Vehicle { id: "4127".into(), agency: "peel".into() })
    }

    #[test]
    fn topics_are_those_of_the_contract() {
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let paths: Vec<_> = [
            Topic::Trust,
            Topic::Policy,
            Topic::Command,
            Topic::Manifest("stolen".into()),
            Topic::Chunk("stolen".into(), "0f".into()),
            Topic::Model("ocr".into()),
            Topic::ModelPart("ocr".into(), "0e".into()),
        ]
        .iter()
        .map(|topic| topic.path(&vehicle))
        .collect();
        assert_eq!(
            paths,
            [
                "alpr/v1/peel/trust",
                "alpr/v1/peel/policy",
                "alpr/v1/peel/vehicle/4127/cmd",
                "alpr/v1/peel/hotlist/stolen/manifest",
                "alpr/v1/peel/hotlist/stolen/chunk/0f",
                "alpr/v1/peel/models/ocr/package",
                "alpr/v1/peel/models/ocr/part/0e",
            ]
        );
    }

    #[test]
    fn what_nobody_wants_is_dropped() {
        let downlink = downlink();
        assert!(!downlink.deliver_for_tests(&Topic::Policy, b"{}", true));
        let (to, policies) = sync_channel(1);
        downlink.subscribe(Topic::Policy, to);
        assert!(downlink.deliver_for_tests(&Topic::Policy, b"{}", true));
        assert!(!downlink.deliver_for_tests(&Topic::Trust, b"{}", true));
        assert_eq!(policies.recv().unwrap().payload, b"{}");
        downlink.unsubscribe(&Topic::Policy);
        assert!(!downlink.deliver_for_tests(&Topic::Policy, b"{}", false));
        assert_eq!(downlink.received(), Received { messages: 1, bytes: 2, too_long: 0 });
    }

    #[test]
    fn too_long_a_message_is_dropped_unseen_and_counted() {
        let downlink = downlink();
        let (to, chunks) = sync_channel(1);
        let chunk = Topic::Chunk("stolen".into(), "0f".into());
        downlink.subscribe(chunk.clone(), to);
        assert!(!downlink.deliver_for_tests(&chunk, &vec![0; (96 << 10) + 1], true));
        assert!(downlink.deliver_for_tests(&chunk, &vec![0; 96 << 10], true));
        assert_eq!(chunks.recv().unwrap().payload.len(), 96 << 10);
        assert_eq!(downlink.received().too_long, 1);
    }

    #[test]
    fn slow_receiver_gets_the_newest_and_holds_nobody_up() {
        let downlink = downlink();
        let (to, policies) = sync_channel(1);
        downlink.subscribe(Topic::Policy, to);
        for version in [b"1", b"2", b"3", b"4"] {
            assert!(downlink.deliver_for_tests(&Topic::Policy, version, false));
        }
        assert_eq!(policies.recv().unwrap().payload, b"1");
        assert!(!downlink.0.deliver_waiting(), "there was room again");
        assert_eq!(policies.recv().unwrap().payload, b"4");
    }

    #[test]
    fn receiver_that_went_away_is_forgotten() {
        let downlink = downlink();
        let (to, policies) = sync_channel(1);
        downlink.subscribe(Topic::Policy, to);
        drop(policies);
        downlink.deliver_for_tests(&Topic::Policy, b"{}", true);
        assert!(downlink.wanted_for_tests().is_empty());
    }

    #[test]
    fn new_connection_asks_for_everything_again_documents_first() {
        let downlink = downlink();
        let (to, _inbound) = sync_channel(1);
        for n in 0..40 {
            let address = format!("{n:02}").into();
            downlink.subscribe(Topic::Chunk("stolen".into(), address), to.clone());
        }
        downlink.subscribe(Topic::Trust, to.clone());
        let first = downlink.0.to_ask(32);
        assert_eq!((first.len(), first[0].as_str()), (32, "alpr/v1/peel/trust"));
        assert_eq!(downlink.0.to_ask(32).len(), 9);
        assert!(downlink.0.to_ask(32).is_empty());
        downlink.unsubscribe(&Topic::Trust);
        assert_eq!(downlink.0.to_leave(32), ["alpr/v1/peel/trust"]);
        downlink.0.start_over();
        assert_eq!(downlink.0.to_ask(64).len(), 40);
    }
}
