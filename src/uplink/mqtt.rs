//! The socket: MQTT v5 over TLS with a client certificate. The one door out of the vehicle.
//!
//! In: [`Message`]s. Out: what the broker answers to each. Costs: one task per connection. Leaves
//! to others: when to connect, what to send, what to do when it breaks (`mod.rs`).
//!
//! Each connection is a new client with a clean session: the library then has nothing to resume
//! and nothing to lose, and whatever was under way is sent again from the outbox.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    Packet, PubAckReason, PublishNoticeError, PublishOptions, PublishProperties, PublishResult,
    QoS, StateError, TlsConfiguration, TlsError, Transport,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::wire::Message;
use super::{Answer, Broker, BrokerError, Hello, Session, Ticket};
use crate::config::{BrokerAddress, ConfigError, UplinkConfig, Vehicle};

/// Time for name look-up, TCP, TLS and CONNACK together. Two satellite round trips each.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Time for the goodbye.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Places between us and the client: more than the widest window (`link.rs`), its health and its
/// status, so that handing over never waits.
const CHANNEL: usize = 64;

/// What a broker takes that names no limit: MQTT's own.
const PROTOCOL_LIMIT: usize = 256 * 1024 * 1024;

/// The broker of the configuration.
pub struct Mqtt {
    address: BrokerAddress,
    client_id: String,
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    login: Option<(String, Option<PathBuf>)>,
    keep_alive: u16,
}

impl Mqtt {
    /// Takes the settings; `None` if no broker is configured. Files are read at each connect, so
    /// that renewed certificates serve without a restart.
    pub fn new(config: &UplinkConfig, vehicle: &Vehicle) -> Result<Option<Self>, ConfigError> {
        config.validate()?;
        let Some(address) = config.address()? else { return Ok(None) };
        let client_id = config
            .client_id
            .clone()
            .unwrap_or_else(|| format!("outrider-{}-{}", vehicle.agency, vehicle.id));
        Ok(Some(Self {
            address,
            client_id,
            ca: config.ca.clone(),
            identity: config.certificate.clone().zip(config.key.clone()),
            login: config.username.clone().map(|name| (name, config.password_file.clone())),
            keep_alive: u16::try_from(config.keep_alive.get().as_secs()).unwrap_or(u16::MAX),
        }))
    }

    fn options(&self, hello: Hello) -> Result<MqttOptions, BrokerError> {
        let broker = rumqttc::Broker::tcp(self.address.host.clone(), self.address.port);
        let mut options = MqttOptions::new(self.client_id.clone(), broker);
        options.set_keep_alive(self.keep_alive);
        options.set_clean_start(true);
        options.set_connect_timeout(CONNECT_WITHIN);
        options.set_last_will(LastWill::new(
            hello.will.topic(),
            hello.will.payload(),
            QoS::AtLeastOnce,
            hello.will.retained(),
            None,
        ));
        if let Some((name, password)) = &self.login {
            match password {
                Some(file) => {
                    let text = Zeroizing::new(read("uplink.password_file", file)?);
                    let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    options.set_credentials(name.clone(), line.to_vec());
                }
                None => {
                    options.set_username(name.clone());
                }
            }
        }
        if self.address.tls {
            let ca = self.ca.as_ref().expect("validated: mqtts goes with a CA");
            let client_auth = match &self.identity {
                Some((certificate, key)) => {
                    Some((read("uplink.certificate", certificate)?, read("uplink.key", key)?))
                }
                None => None,
            };
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
                ca: read("uplink.ca", ca)?,
                alpn: None,
                client_auth,
            }));
        }
        // The library would join host and port to a text, which an IPv6 address does not survive.
        let BrokerAddress { host, port, .. } = self.address.clone();
        options.set_socket_connector(move |_, _| {
            let host = host.clone();
            async move {
                let socket = TcpStream::connect((host.as_str(), port)).await?;
                socket.set_nodelay(true)?;
                Ok(socket)
            }
        });
        Ok(options)
    }
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, BrokerError> {
    std::fs::read(path).map_err(|e| {
        BrokerError::Credentials(format!("{key} = {:?}: {e}", path.display().to_string()))
    })
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
        let driver =
            tokio::spawn(drive(events, self.address.to_string(), connected, answers.clone()));
        let mut session = MqttSession {
            at: self.address.to_string(),
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

/// What an end of a tracked publish says of the message. `None`: nothing, the connection ended.
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
        // No one listening is the receivers' affair: the broker has the message.
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
    at: String,
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
                    true => refused(&at, explain(&e)),
                    false => BrokerError::Lost { by_broker: hung_up(&e), why: explain(&e), at },
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

/// Whether the broker ended the connection, rather than the line going quiet.
fn hung_up(e: &ConnectionError) -> bool {
    if let Some(e) = io_error(e) {
        return e.kind() != io::ErrorKind::TimedOut;
    }
    !matches!(
        e,
        ConnectionError::MqttState(StateError::AwaitPingResp) | ConnectionError::Timeout(_)
    )
}

/// The error of the socket or of TLS inside, wherever the library wraps it.
fn io_error(e: &ConnectionError) -> Option<&io::Error> {
    match e {
        ConnectionError::Io(e)
        | ConnectionError::MqttState(
            StateError::Io(e) | StateError::Deserialization(rumqttc::Error::Io(e)),
        )
        | ConnectionError::Tls(TlsError::Io(e)) => Some(e),
        _ => None,
    }
}

/// What went wrong, in words for an installer.
fn explain(e: &ConnectionError) -> String {
    if let Some(e) = io_error(e) {
        return explain_io(e);
    }
    match e {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => explain_code(*code),
        ConnectionError::Timeout(_) => format!("no answer within {} s", CONNECT_WITHIN.as_secs()),
        ConnectionError::Tls(TlsError::TLS(e)) => explain_tls(e),
        ConnectionError::Tls(TlsError::NoValidCertInChain) => {
            "uplink.ca holds no certificate".into()
        }
        ConnectionError::Tls(TlsError::NoValidClientCertInChain) => {
            "uplink.certificate holds no certificate".into()
        }
        ConnectionError::Tls(TlsError::NoValidKeyInChain) => {
            "uplink.key holds no private key".into()
        }
        ConnectionError::Tls(TlsError::Pem(e)) => {
            format!("a certificate or key file is damaged: {e}")
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => "it hung up".into(),
        ConnectionError::MqttState(StateError::AwaitPingResp) => "it stopped answering".into(),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            format!("it hung up: {reason_code:?}")
        }
        e => e.to_string(),
    }
}

fn explain_code(code: ConnectReturnCode) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword => {
            "refused: wrong user name or password; check uplink.username and uplink.password_file"
                .into()
        }
        ConnectReturnCode::NotAuthorized => {
            "refused: not authorised; check uplink.username, uplink.password_file or the \
             certificate, and what the broker grants them"
                .into()
        }
        ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid => {
            "refused: it does not accept uplink.client_id".into()
        }
        ConnectReturnCode::UnsupportedProtocolVersion
        | ConnectReturnCode::RefusedProtocolVersion => "refused: it does not speak MQTT 5".into(),
        ConnectReturnCode::Banned => "refused: this car is banned there".into(),
        code => format!("refused: {code:?}"),
    }
}

fn explain_io(e: &io::Error) -> String {
    if let Some(tls) = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        return explain_tls(tls);
    }
    match e.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".into(),
        io::ErrorKind::TimedOut => "no answer".into(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "it hung up".into(),
        _ => e.to_string(),
    }
}

fn explain_tls(e: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error};
    match e {
        Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "its certificate is not signed by the authority in uplink.ca".into()
        }
        Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another host name than the one in uplink.broker".into(),
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired, or this car's clock is wrong".into()
        }
        Error::InvalidCertificate(
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. },
        ) => "its certificate is not valid yet, or this car's clock is wrong".into(),
        Error::InvalidCertificate(why) => format!("its certificate is not accepted: {why:?}"),
        Error::AlertReceived(Alert::CertificateRequired | Alert::HandshakeFailure) => {
            "it wants a client certificate: set uplink.certificate and uplink.key".into()
        }
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::DecryptError,
        ) => "it does not accept this car's certificate (uplink.certificate)".into(),
        Error::AlertReceived(Alert::CertificateExpired) => {
            "this car's certificate has expired (uplink.certificate)".into()
        }
        Error::AlertReceived(Alert::CertificateRevoked) => {
            "this car's certificate is revoked (uplink.certificate)".into()
        }
        Error::InvalidMessage(_) => {
            "what answers there does not speak TLS: wrong port in uplink.broker?".into()
        }
        Error::InconsistentKeys(_) => "uplink.key does not belong to uplink.certificate".into(),
        e => format!("TLS: {e}"),
    }
}
