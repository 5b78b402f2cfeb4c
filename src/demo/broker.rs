//! An MQTT v5 broker inside the demo: rumqttd on a free port of the loopback address, without TLS.
//! A fleet uses mosquitto or its like; see docs/decisions/0051.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No free port, or no thread.
    #[error("embedded broker cannot start: {0}")]
    Start(#[from] std::io::Error),
    /// The broker was started and does not answer.
    #[error("embedded broker at {0} does not answer")]
    Silent(SocketAddr),
}

/// How long the broker may take to listen; it takes milliseconds on an idle machine.
const UP_WITHIN: Duration = Duration::from_secs(15);

/// The largest message: the vehicle's own limit is far lower.
const LARGEST: usize = 1 << 20;

/// Starts the broker and returns where it listens. It runs as long as the process: rumqttd has no
/// way to stop.
pub fn start() -> Result<SocketAddr, BrokerError> {
    // rumqttd takes an address and not a socket; the port is free between these two lines.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: LARGEST,
        max_inflight_count: 200,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "demo-broker".into(),
        listen: address,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let config = Config {
        id: 0,
        router: RouterConfig {
            max_connections: 64,
            max_outgoing_packet_count: 200,
            // Messages wait in memory for slow subscribers: 64 MB at most.
            max_segment_size: 8 << 20,
            max_segment_count: 8,
            ..RouterConfig::default()
        },
        v5: Some(HashMap::from([("demo".to_owned(), server)])),
        ..Config::default()
    };
    let mut broker = Broker::new(config);
    std::thread::Builder::new().name("demo-broker".into()).spawn(move || {
        if let Err(e) = broker.start() {
            tracing::error!(error = %e, "embedded broker ended");
        }
    })?;
    let until = Instant::now() + UP_WITHIN;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > until {
            return Err(BrokerError::Silent(address));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::{
        AsyncClient, Event, EventLoop, LastWill, MqttOptions, Packet, PublishOptions, QoS,
    };

    fn client(name: &str, at: SocketAddr, will: bool) -> (AsyncClient, EventLoop) {
        let broker = rumqttc::Broker::tcp(at.ip().to_string(), at.port());
        let mut options = MqttOptions::new(name, broker);
        options.set_clean_start(true);
        options.set_unlimited_incoming_packet_size();
        if will {
            let will = LastWill::new("car/status", "gone", QoS::AtLeastOnce, true, None);
            options.set_last_will(will);
        }
        AsyncClient::builder(options).capacity(16).try_build().unwrap()
    }

    /// Polls until `want` finds what it looks for.
    async fn until<T>(events: &mut EventLoop, want: impl Fn(&Packet) -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Event::Incoming(packet) = events.poll().await.unwrap()
                    && let Some(found) = want(&packet)
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.expect("an answer in time")
    }

    fn published(packet: &Packet) -> Option<(String, String, bool)> {
        let Packet::Publish(p) = packet else { return None };
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        Some((text(&p.topic), text(&p.payload), p.retain))
    }

    #[tokio::test]
    async fn broker_acknowledges_retains_and_keeps_the_last_will() {
        let at = start().unwrap();
        let (car, mut events) = client("car", at, true);
        until(&mut events, |p| matches!(p, Packet::ConnAck(_)).then_some(())).await;
        let retained = PublishOptions::new(QoS::AtLeastOnce).retain(true);
        car.publish("car/status", "here", retained).await.unwrap();
        until(&mut events, |p| matches!(p, Packet::PubAck(_)).then_some(())).await;

        // Comes later and still learns the state.
        let (desk, mut desk_events) = client("desk", at, false);
        until(&mut desk_events, |p| matches!(p, Packet::ConnAck(_)).then_some(())).await;
        desk.subscribe("#", QoS::AtLeastOnce).await.unwrap();
        let first = until(&mut desk_events, published).await;
        assert_eq!((first.0.as_str(), first.1.as_str()), ("car/status", "here"));

        // A large message, acknowledged and passed on whole.
        let large = "x".repeat(200_000);
        let plain = PublishOptions::new(QoS::AtLeastOnce);
        car.publish("car/hit", large.clone(), plain).await.unwrap();
        until(&mut events, |p| matches!(p, Packet::PubAck(_)).then_some(())).await;
        assert_eq!(until(&mut desk_events, published).await.1.len(), large.len());

        // The line breaks without a goodbye.
        drop(events);
        drop(car);
        let last = until(&mut desk_events, published).await;
        assert_eq!((last.0.as_str(), last.1.as_str()), ("car/status", "gone"));
    }
}
