//! The author's socket: MQTT v5 over TLS with a client certificate.
//!
//! In: retained messages. Out: the broker's acknowledgement of each, in order. Runs on the author's
//! machine, never in a car: nothing here knows of reads or hits. One connection with a clean session;
//! what was not acknowledged is sent again by the next run (`broker.rs`).

#![expect(
    clippy::disallowed_types,
    reason = "the author's door: it publishes lists, trust, policy and models"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, Packet, PubAckReason, PublishNotice, PublishNoticeError,
    PublishOptions, PublishResult, QoS,
};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::broker::{Broker, BrokerError};
use crate::broker::connect::Diagnosis;
use crate::broker::connect::{CONNECT_WITHIN, Connect};
use crate::config::{UplinkConfig, Vehicle};

/// Longest wait for one acknowledgement. A chunk of 96 KiB takes 8 s at 100 kbit/s, 20 of them are
/// under way at once.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(180);

/// Places between us and the client: more than are ever under way.
const CHANNEL: usize = 64;

/// Messages under way, at most.
const INFLIGHT: u16 = 20;

/// A connection to a broker.
pub struct MqttBroker {
    at: String,
    client: AsyncClient,
    pending: VecDeque<(String, PublishNotice)>,
    ended: Arc<Mutex<Option<String>>>,
    runtime: Runtime,
}

impl MqttBroker {
    /// Connects. Of the settings, those of the connection are used; `client_id` is the author's own.
    pub fn connect(settings: &UplinkConfig, client_id: &str) -> Result<Self, BrokerError> {
        let wrong = |e: String| BrokerError::Settings(in_our_words(&e));
        let settings = UplinkConfig { client_id: Some(client_id.into()), ..settings.clone() };
        // A car's name would only be used as the client identifier.
        let nobody = Vehicle { id: "author".into(), agency: "author".into() };
        let connect = Connect::new(&settings, &nobody, "")
            .map_err(|e| wrong(e.to_string()))?
            .ok_or_else(|| wrong("no broker is given: add --broker mqtts://host".into()))?;
        let at = connect.broker_address();
        let mut options = connect.options().map_err(|e| wrong(e.to_string()))?;
        options.set_outgoing_inflight_upper_limit(INFLIGHT);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| wrong(e.to_string()))?;
        let (client, events) = AsyncClient::builder(options)
            .capacity(CHANNEL)
            .try_build()
            .map_err(|e| wrong(format!("MQTT client: {e}")))?;
        let (connected, connack) = oneshot::channel();
        let ended = Arc::new(Mutex::new(None));
        runtime.spawn(drive(events, connect.diagnosis(), connected, ended.clone()));
        let waited =
            runtime.block_on(async { tokio::time::timeout(CONNECT_WITHIN, connack).await });
        let broker = Self { at, client, pending: VecDeque::new(), ended, runtime };
        match waited {
            Ok(Ok(())) => Ok(broker),
            Ok(Err(_)) => Err(broker.gone()),
            Err(_) => Err(BrokerError::Connection {
                at: broker.at.clone(),
                why: format!("no answer within {} s", CONNECT_WITHIN.as_secs()),
            }),
        }
    }

    /// Which broker this is.
    pub fn address(&self) -> &str {
        &self.at
    }

    /// Disconnects.
    pub fn close(self) {
        let goodbye = self.client.disconnect_with_timeout(Duration::from_secs(2));
        let _ = self.runtime.block_on(goodbye);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }

    fn gone(&self) -> BrokerError {
        // The connection's task stores its reason just before it drops the channel that we wait on.
        let why = self.ended.lock().expect("no holder panics").clone();
        BrokerError::Connection {
            at: self.at.clone(),
            why: why.unwrap_or_else(|| "the connection ended".into()),
        }
    }
}

impl Broker for MqttBroker {
    fn send(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BrokerError> {
        let options = PublishOptions::new(QoS::AtLeastOnce).retain(true);
        let sent = self.client.try_publish_tracked(topic, payload, options);
        let notice = sent.map_err(|_| self.gone())?;
        self.pending.push_back((topic.to_owned(), notice));
        Ok(())
    }

    fn acknowledged(&mut self) -> Result<Option<String>, BrokerError> {
        let Some((topic, notice)) = self.pending.pop_front() else { return Ok(None) };
        let wait = async { tokio::time::timeout(ACKNOWLEDGE_WITHIN, notice.wait_async()).await };
        let reason = match self.runtime.block_on(wait) {
            Ok(Ok(PublishResult::Qos1(ack))) => ack.reason,
            Ok(Err(PublishNoticeError::V5PubAck(reason))) => reason,
            Ok(Err(PublishNoticeError::RetainNotSupported)) => {
                let why = "it keeps no retained messages, which cars need".into();
                return Err(BrokerError::Refused { topic, why });
            }
            Ok(_) => return Err(self.gone()),
            Err(_) => {
                let why = format!("no acknowledgement for {} s", ACKNOWLEDGE_WITHIN.as_secs());
                return Err(BrokerError::Connection { at: self.at.clone(), why });
            }
        };
        let why = match reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return Ok(Some(topic)),
            PubAckReason::NotAuthorized => {
                "grant this author's user or certificate write access to these topics".into()
            }
            reason => format!("{reason:?}"),
        };
        Err(BrokerError::Refused { topic, why })
    }
}

/// The connection's error messages name settings of the uplink; this replaces them by the author's arguments.
fn in_our_words(text: &str) -> String {
    text.replace("uplink.password_file", "--password-file").replace("uplink.", "--")
}

/// Polls the connection until it ends, and stores why it ended.
async fn drive(
    mut events: EventLoop,
    words: Arc<Diagnosis>,
    connected: oneshot::Sender<()>,
    ended: Arc<Mutex<Option<String>>>,
) {
    let mut connected = Some(connected);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if let Some(connected) = connected.take() {
                    let _ = connected.send(());
                }
            }
            Ok(_) => {}
            Err(rumqttc::ConnectionError::RequestsDone) => return,
            Err(e) => {
                let why = match connected {
                    Some(_) => words.why_refused(&e),
                    None => words.why_lost(&e),
                };
                let why = in_our_words(&why);
                *ended.lock().expect("no holder panics") = Some(why);
                return;
            }
        }
    }
}
