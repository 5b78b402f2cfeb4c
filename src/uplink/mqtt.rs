//! The uplink's socket: MQTT v5 over TLS with a client certificate. This is the only way out of the vehicle.
//!
//! In: [`Message`]s. Out: the broker's answer to each. Costs: one task per connection. Leaves
//! to others: when to connect, what to send, what to do when the connection breaks (`mod.rs`).
//!
//! Each connection is a new client with a clean session: the library then has nothing to resume
//! and nothing to lose, and whatever was under way is sent again from the outbox.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet, PubAckReason,
    PublishNoticeError, PublishOptions, PublishProperties, PublishResult, QoS,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Answer, Broker, Hello, Session, Ticket};
use crate::broker::BrokerError;
use crate::broker::connect::Diagnosis;
use crate::broker::connect::{CONNECT_WITHIN, Connect};
use crate::config::{ConfigError, UplinkConfig, Vehicle};
use crate::wire::Message;

/// Time for disconnecting properly.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Places in the queue to the client: more than the widest window (`broker/link.rs`), health and
/// status together, so that handing over never waits.
const CHANNEL: usize = 64;

/// The largest message for a broker that names no limit: MQTT's own limit.
const PROTOCOL_LIMIT: usize = 256 * 1024 * 1024;

/// The broker of the configuration.
pub struct Mqtt(Connect);

impl Mqtt {
    /// Takes the settings; `None` if no broker is configured. Files are read at each connect, so
    /// that renewed certificates are used without a restart.
    pub fn new(config: &UplinkConfig, vehicle: &Vehicle) -> Result<Option<Self>, ConfigError> {
        Ok(Connect::new(config, vehicle, "")?.map(Self))
    }

    fn options(&self, hello: Hello) -> Result<MqttOptions, BrokerError> {
        let mut options = self.0.options()?;
        options.set_last_will(LastWill::new(
            hello.will.topic(),
            hello.will.payload(),
            QoS::AtLeastOnce,
            hello.will.retained(),
            None,
        ));
        Ok(options)
    }
}

impl Broker for Mqtt {
    type Session = MqttSession;

    async fn connect(&mut self, hello: Hello) -> Result<MqttSession, BrokerError> {
        let options = self.options(hello)?;
        let (client, events) = AsyncClient::builder(options)
            .capacity(CHANNEL)
            .try_build()
            .map_err(|e| BrokerError::Credentials(format!("MQTT client: {e}")))?;
        let (answers, incoming) = mpsc::unbounded_channel();
        let (connected, connack) = oneshot::channel();
        let driver = tokio::spawn(drive(events, self.0.diagnosis(), connected, answers.clone()));
        let mut session = MqttSession {
            at: self.0.broker_address(),
            client,
            answers,
            incoming,
            driver,
            largest: PROTOCOL_LIMIT,
        };
        match tokio::time::timeout(CONNECT_WITHIN, connack).await {
            Ok(Ok(limit)) => {
                session.largest = limit;
                Ok(session)
            }
            // The driver ended: its reason is in the channel.
            Ok(Err(_)) => match session.incoming.recv().await {
                Some(Err(e)) => Err(e),
                _ => Err(refused(&session.at, "the connection ended before it began".into())),
            },
            Err(_) => Err(refused(
                &session.at,
                format!("no answer within {} s", CONNECT_WITHIN.as_secs()),
            )),
        }
    }
}

/// One MQTT connection.
pub struct MqttSession {
    at: String,
    client: AsyncClient,
    answers: mpsc::UnboundedSender<Result<Answer, BrokerError>>,
    incoming: mpsc::UnboundedReceiver<Result<Answer, BrokerError>>,
    driver: JoinHandle<()>,
    largest: usize,
}

impl Drop for MqttSession {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session for MqttSession {
    fn largest(&self) -> usize {
        self.largest
    }

    fn publish(&mut self, ticket: Ticket, message: &Message) -> Result<(), BrokerError> {
        let properties = PublishProperties {
            content_type: Some(message.content_type().into()),
            ..PublishProperties::default()
        };
        let options =
            PublishOptions::new(QoS::AtLeastOnce).retain(message.retained()).properties(properties);
        let notice = self
            .client
            .try_publish_tracked(message.topic(), message.payload().to_vec(), options)
            .map_err(|e| BrokerError::Lost {
                at: self.at.clone(),
                why: e.to_string(),
                by_broker: false,
            })?;
        let (answers, topic) = (self.answers.clone(), message.topic().to_owned());
        tokio::spawn(async move {
            if let Some(answer) = judge(ticket, &topic, notice.wait_async().await) {
                // Nobody listens once the session is over; the outbox sends it again.
                let _ = answers.send(Ok(answer));
            }
        });
        Ok(())
    }

    async fn next(&mut self) -> Result<Answer, BrokerError> {
        match self.incoming.recv().await {
            Some(answer) => answer,
            None => unreachable!("the session holds a sender itself"),
        }
    }

    async fn close(mut self) {
        if self.client.disconnect_with_timeout(CLOSE_WITHIN).await.is_ok() {
            let _ = tokio::time::timeout(CLOSE_WITHIN, &mut self.driver).await;
        }
    }
}

/// What the end of a tracked publish means for the message; `None` if the connection ended.
fn judge(
    ticket: Ticket,
    topic: &str,
    end: Result<PublishResult, PublishNoticeError>,
) -> Option<Answer> {
    let refused = |why: String| Some(Answer::Refused(ticket, why));
    let reason = match end {
        Ok(PublishResult::Qos1(ack)) => ack.reason,
        Err(PublishNoticeError::V5PubAck(reason)) => reason,
        Err(PublishNoticeError::RetainNotSupported) => {
            return refused(
                "broker keeps no retained messages: the status topic needs them".into(),
            );
        }
        Ok(_) | Err(_) => return None,
    };
    match reason {
        // Nobody is subscribed; that does not concern us, because the broker has the message.
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
            Some(Answer::Acknowledged(ticket))
        }
        PubAckReason::NotAuthorized => refused(format!(
            "broker does not let this car publish to {topic}: grant its user or certificate write \
             access to the car's own topics"
        )),
        PubAckReason::QuotaExceeded => {
            refused("broker is over its quota: free some room there".into())
        }
        reason => refused(format!("broker refused a message to {topic}: {reason:?}")),
    }
}

/// Polls one connection until it ends, and says how it ended.
async fn drive(
    mut events: EventLoop,
    words: Arc<Diagnosis>,
    connected: oneshot::Sender<usize>,
    answers: mpsc::UnboundedSender<Result<Answer, BrokerError>>,
) {
    let mut connected = Some(connected);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                let limit = ack.properties.and_then(|p| p.max_packet_size);
                let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(PROTOCOL_LIMIT);
                if let Some(connected) = connected.take() {
                    let _ = connected.send(limit);
                }
            }
            Ok(_) => {}
            Err(ConnectionError::RequestsDone) => return,
            Err(e) => {
                let e = match connected.is_some() {
                    true => words.refused(&e),
                    false => words.lost(&e),
                };
                let _ = answers.send(Err(e));
                return;
            }
        }
    }
}

fn refused(at: &str, why: String) -> BrokerError {
    BrokerError::Refused { at: at.to_owned(), why }
}
