//! The door in: what the fleet sends to the car, and nothing else.
//!
//! In: the retained documents of one broker (trust, policy, manifests), commands to this car, and
//! the chunks that somebody asks for. Out: [`Inbound`]s on the channel of whoever subscribed. Costs:
//! one thread that mostly waits, and at most one undelivered message for each topic beside what the
//! subscribers' own channels hold. Leaves to others: believing any of it. Nothing that comes through
//! this door is parsed here; its size is looked at, and its topic.
//!
//! The door publishes nothing: [`uplink`](crate::uplink) is the one door out. Each connection starts
//! from nothing and subscribes anew, so that what the broker retains comes again after every loss: a
//! document is never missed, only late.

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

use crate::config::{ConfigError, UplinkConfig, Vehicle};
use crate::health::{Health, PartState};
use crate::threads::ends_well_within;
use crate::uplink::connect::Connect;

/// The part's name in health.
const PART: &str = "downlink";

/// What tells the client of this door from the uplink's: a broker throws the elder of two clients
/// with one identifier out.
const SUFFIX: &str = "-in";

/// The largest message of any kind; what is longer the broker is told not to send.
const LARGEST: usize = 256 << 10;

/// What may come in, a closed list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Who may sign what, signed by the agency's root (`trust.rs`).
    Trust,
    /// The agency's policy.
    Policy,
    /// A command to this car.
    Command,
    /// What a list consists of.
    Manifest(Arc<str>),
    /// A part of a list, by its address.
    Chunk(Arc<str>, Arc<str>),
}

impl Topic {
    /// The topic in full.
    pub fn path(&self, vehicle: &Vehicle) -> String {
        let base = format!("alpr/v1/{}", vehicle.agency);
        match self {
            Self::Trust => format!("{base}/trust"),
            Self::Policy => format!("{base}/policy"),
            Self::Command => format!("{base}/vehicle/{}/cmd", vehicle.id),
            Self::Manifest(list) => format!("{base}/hotlist/{list}/manifest"),
            Self::Chunk(list, address) => format!("{base}/hotlist/{list}/chunk/{address}"),
        }
    }

    /// Bytes that a message may have; a longer one is dropped unseen.
    pub const fn most_bytes(&self) -> usize {
        match self {
            // A few dozen keys of 200 bytes; a page of settings.
            Self::Trust | Self::Policy => LARGEST,
            Self::Command => 64 << 10,
            // DESIGN 4.2: what common brokers carry.
            Self::Manifest(_) | Self::Chunk(..) => 96 << 10,
        }
    }

    fn is_chunk(&self) -> bool {
        matches!(self, Self::Chunk(..))
    }
}

/// A message from the fleet, not believed yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Where it came from.
    pub topic: Topic,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it, rather than passing it on.
    pub retained: bool,
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbound({:?}, {} bytes)", self.topic, self.payload.len())
    }
}

/// What came in so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Messages handed on.
    pub messages: u64,
    /// Their bytes, headers and TLS not counted.
    pub bytes: u64,
    /// Messages dropped because they were longer than their kind may be.
    pub too_long: u64,
}

/// Where parts say what they want to hear. Clones share it; it works before the door is open and
/// without a broker, when nothing is heard.
#[derive(Clone)]
pub struct Downlink(Arc<Shared>);

struct Shared {
    vehicle: Vehicle,
    /// Held to look a topic up or to hand one message on.
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
    /// Subscriptions to end on this connection.
    leaving: Vec<String>,
}

struct Wanted {
    topic: Topic,
    to: SyncSender<Inbound>,
    /// Whether this connection has been asked for it.
    asked: bool,
    /// A message that the receiver had no room for; a newer one of the same topic takes its place.
    waiting: Option<Inbound>,
}

impl Downlink {
    /// A desk at which nothing is wanted yet.
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

    /// Hands every message of a topic to `to` from now on, what the broker retains first, and that
    /// again after every new connection. A second subscription to the same topic replaces the first
    /// and has the retained message sent again.
    ///
    /// The door never waits for a receiver. One whose channel is full gets the newest message of the
    /// topic when there is room again, and not those in between: give a channel places enough.
    pub fn subscribe(&self, topic: Topic, to: SyncSender<Inbound>) {
        let path = topic.path(&self.0.vehicle);
        let mut desk = self.0.desk();
        desk.leaving.retain(|leaving| *leaving != path);
        desk.wanted.insert(path, Wanted { topic, to, asked: false, waiting: None });
        drop(desk);
        self.0.changed.notify_one();
    }

    /// Hands on no more messages of a topic.
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

    /// What came in so far.
    pub fn received(&self) -> Received {
        Received {
            messages: self.0.messages.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            too_long: self.0.too_long.load(Ordering::Relaxed),
        }
    }

    /// Opens the door, on a thread of its own. Without a broker in the configuration nothing is
    /// started, and nothing comes in.
    pub fn open(&self, config: &UplinkConfig, health: Arc<Health>) -> Result<Door, ConfigError> {
        let Some(connect) = Connect::new(config, &self.0.vehicle, SUFFIX)? else {
            health.set(PART, PartState::Off);
            return Ok(Door { stop: None, thread: None });
        };
        health.set(PART, PartState::Starting);
        let (stop, stopped) = oneshot::channel();
        let (shared, most) = (self.0.clone(), config.retry_most.get());
        let thread = std::thread::Builder::new()
            .name("downlink".into())
            .spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime needs only file descriptors")
                    .block_on(mqtt::serve(shared, connect, most, health, stopped));
            })
            .expect("the process may start threads");
        Ok(Door { stop: Some(stop), thread: Some(thread) })
    }

    /// The door as a future, for one thread that plays many cars.
    #[cfg(any(test, feature = "testing"))]
    pub async fn serve_for_tests(&self, config: &UplinkConfig, stop: oneshot::Receiver<()>) {
        let connect = Connect::new(config, &self.0.vehicle, SUFFIX).expect("good settings");
        let connect = connect.expect("a broker");
        let most = config.retry_most.get();
        mqtt::serve(self.0.clone(), connect, most, Arc::default(), stop).await;
    }

    /// Plays the broker: hands a message on as if it had come in. Returns whether anyone wanted it.
    #[cfg(any(test, feature = "testing"))]
    pub fn deliver_for_tests(&self, topic: &Topic, payload: &[u8], retained: bool) -> bool {
        self.0.deliver(&topic.path(&self.0.vehicle), payload, retained)
    }

    /// What is wanted now, in full.
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

/// The open door. Dropping it closes it.
pub struct Door {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Says goodbye to the broker and ends; gives up waiting after `deadline`. Returns whether the
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

    /// Hands a message on. Returns whether anyone wanted it.
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

    /// Tries again what receivers had no room for. Returns whether something still waits.
    fn deliver_waiting(&self) -> bool {
        let mut desk = self.desk();
        desk.wanted.retain(|_, wanted| wanted.hand_on());
        desk.wanted.values().any(|wanted| wanted.waiting.is_some())
    }

    /// A new connection: nothing is subscribed on it.
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

    /// At most `most` topics whose subscription to end.
    fn to_leave(&self, most: usize) -> Vec<String> {
        let mut desk = self.desk();
        let from = desk.leaving.len().saturating_sub(most);
        desk.leaving.split_off(from)
    }
}

impl Wanted {
    /// Tries to hand the waiting message on. `false`: nobody listens any more.
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
