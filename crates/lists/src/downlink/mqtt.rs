//! The downlink's socket: connects, subscribes, delivers what arrives.
//!
//! Each connection is a new client with a clean session, as at the uplink: there is nothing to
//! resume and nothing to lose. After a lost connection it tries again with growing, scattered
//! pauses (`broker/link.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, IncomingPacketSizeLimit, Packet, QoS,
    SubscribeFilterInput, SubscribeNoticeError, SubscribeReasonCode,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{PART, Shared};
use crate::broker::connect::Diagnosis;
use crate::broker::connect::{CONNECT_WITHIN, Connect};
use crate::broker::{BrokerError, Happened, Link};
use crate::health::{Health, PartState};
use crate::inbound::LARGEST;

/// Topics in one SUBSCRIBE or UNSUBSCRIBE: AWS IoT Core allows eight, and disconnects after more.
const BATCH: usize = 8;

/// Capacity of the channel to the client.
const CHANNEL: usize = 16;

/// Time for disconnecting.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Time until delivery is tried again to a receiver that had no room.
const RETRY_FULL: Duration = Duration::from_millis(20);

/// Keeps a connection until `stop`.
pub(super) async fn serve(
    shared: Arc<Shared>,
    connect: Connect,
    retry_most: Duration,
    health: Arc<Health>,
    mut stop: oneshot::Receiver<()>,
) {
    let started = Instant::now();
    let mut seed = [0; 8];
    // Without random bytes, differences in the broker's timing scatter the cars.
    let _ = getrandom::fill(&mut seed);
    let mut link = Link::new(retry_most, u64::from_le_bytes(seed));
    loop {
        let pause = Instant::now() + link.retry_in(started.elapsed());
        loop {
            // Meanwhile messages are delivered to receivers that had no room.
            let more = shared.deliver_waiting();
            let turn = if more { RETRY_FULL } else { Duration::from_secs(3_600) };
            tokio::select! {
                () = tokio::time::sleep_until(pause.min(Instant::now() + turn)) => {}
                _ = &mut stop => return,
            }
            if Instant::now() >= pause {
                break;
            }
        }
        let mut connected = None;
        let ended = session(&shared, &connect, &health, &mut stop, || {
            connected = Some(started.elapsed());
            health.set(PART, PartState::Working);
        })
        .await;
        shared.connected.store(false, Ordering::Relaxed);
        if let Some(at) = connected {
            link.step(at, Happened::Connected);
        }
        let Some(why) = ended else { return };
        link.step(started.elapsed(), Happened::Lost);
        let retry_ms = link.retry_in(started.elapsed()).as_millis() as u64;
        tracing::warn!(error = %why, retry_ms, "downlink not connected");
        health.set(PART, PartState::Down(format!("{why}; lists and policy stay as they are")));
    }
}

/// Runs one connection. `None` if it was stopped.
async fn session(
    shared: &Arc<Shared>,
    connect: &Connect,
    health: &Arc<Health>,
    stop: &mut oneshot::Receiver<()>,
    up: impl FnOnce(),
) -> Option<BrokerError> {
    let mut options = match connect.options() {
        Ok(options) => options,
        Err(e) => return Some(e),
    };
    let most = u32::try_from(LARGEST + 1024).expect("a few MiB");
    options.set_incoming_packet_size_limit(IncomingPacketSizeLimit::Bytes(most));
    let built = AsyncClient::builder(options).capacity(CHANNEL).try_build();
    let (client, events) = match built {
        Ok(built) => built,
        Err(e) => return Some(BrokerError::Credentials(format!("MQTT client: {e}"))),
    };
    shared.start_over();
    let (ready, mut connack) = oneshot::channel();
    let mut driver =
        Driver(tokio::spawn(drive(events, shared.clone(), connect.diagnosis(), ready)));
    tokio::select! {
        ended = &mut driver.0 => return Some(ended.unwrap_or_else(|e| lost(connect, &e))),
        answered = tokio::time::timeout(CONNECT_WITHIN, &mut connack) => if answered.is_err() {
            let why = format!("no answer within {} s", CONNECT_WITHIN.as_secs());
            return Some(BrokerError::Refused { at: connect.broker_address(), why });
        },
        _ = &mut *stop => return None,
    }
    shared.connected.store(true, Ordering::Relaxed);
    up();
    tracing::info!(broker = connect.broker_address(), "downlink connected");
    loop {
        let mut more = send_subscriptions(&client, shared, health);
        more |= shared.deliver_waiting();
        let turn = if more { RETRY_FULL } else { Duration::from_secs(3_600) };
        tokio::select! {
            ended = &mut driver.0 => return Some(ended.unwrap_or_else(|e| lost(connect, &e))),
            () = shared.changed.notified() => {}
            () = tokio::time::sleep(turn) => {}
            _ = &mut *stop => {
                if client.disconnect_with_timeout(CLOSE_WITHIN).await.is_ok() {
                    let _ = tokio::time::timeout(CLOSE_WITHIN, &mut driver.0).await;
                }
                return None;
            }
        }
    }
}

fn lost(connect: &Connect, e: &tokio::task::JoinError) -> BrokerError {
    BrokerError::Lost { at: connect.broker_address(), why: e.to_string(), by_broker: false }
}

/// The task that polls; it ends when this is dropped.
struct Driver(tokio::task::JoinHandle<BrokerError>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the subscriptions that are due. Returns whether the client had no room for more.
fn send_subscriptions(client: &AsyncClient, shared: &Arc<Shared>, health: &Arc<Health>) -> bool {
    loop {
        let leaving = shared.to_leave(BATCH);
        if leaving.is_empty() {
            break;
        }
        if client.try_unsubscribe_many(leaving.clone()).is_err() {
            shared.desk().leaving.extend(leaving);
            return true;
        }
    }
    loop {
        let asking = shared.to_ask(BATCH);
        if asking.is_empty() {
            return false;
        }
        let filters =
            asking.iter().map(|path| SubscribeFilterInput::new(path.clone(), QoS::AtLeastOnce));
        match client.try_subscribe_many_tracked(filters) {
            Ok(notice) => {
                let health = health.clone();
                tokio::spawn(async move {
                    let Err(SubscribeNoticeError::V5SubAckFailure(codes)) =
                        notice.wait_async().await
                    else {
                        return;
                    };
                    let refused = codes
                        .iter()
                        .zip(&asking)
                        .find(|(code, _)| !matches!(code, SubscribeReasonCode::Success(_)));
                    if let Some((code, path)) = refused {
                        tracing::warn!(topic = path, ?code, "subscription refused");
                        health.set(
                            PART,
                            PartState::Impaired(format!(
                                "broker does not let this car read {path} ({code:?}): grant it in \
                                 the broker's access list"
                            )),
                        );
                    }
                });
            }
            Err(_) => {
                let mut desk = shared.desk();
                for path in &asking {
                    if let Some(wanted) = desk.wanted.get_mut(path) {
                        wanted.asked = false;
                    }
                }
                return true;
            }
        }
    }
}

/// Polls one connection until it ends, delivers what arrives, and returns how it ended.
async fn drive(
    mut events: EventLoop,
    shared: Arc<Shared>,
    words: Arc<Diagnosis>,
    ready: oneshot::Sender<()>,
) -> BrokerError {
    let mut ready = Some(ready);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                if let Ok(path) = std::str::from_utf8(&publish.topic) {
                    shared.deliver(path, &publish.payload, publish.retain);
                    // A delivery may have to be repeated, or a receiver forgotten.
                    shared.changed.notify_one();
                }
            }
            Ok(_) => {}
            Err(ConnectionError::RequestsDone) => {
                return words.lost(&ConnectionError::RequestsDone);
            }
            Err(e) if ready.is_some() => return words.refused(&e),
            Err(e) => return words.lost(&e),
        }
    }
}
