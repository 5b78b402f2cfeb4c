//! How this car connects to its broker: address, TLS, certificate, login; and explanations, for an
//! installer, of why a connection failed.
//!
//! In: `[uplink]`. Out: options for one connection. The uplink (`mqtt.rs`) and the downlink
//! (`downlink/`) both use it; they are two clients with one certificate.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rumqttc::{
    ConnectReturnCode, ConnectionError, DisconnectReasonCode, MqttOptions, StateError,
    TlsConfiguration, TlsError, Transport,
};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::BrokerError;
use crate::config::{BrokerAddress, ConfigError, UplinkConfig, Vehicle};
use crate::files::{self, Readers};

/// Time for name look-up, TCP, TLS and CONNACK together. Two satellite round trips each.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Number of times that the broker closes an established connection within [`THROWN_WITHIN`] before
/// the message says that another client may have the same identifier: two such clients disconnect
/// each other for ever.
const THROWN_OUT: usize = 3;

/// Disconnections that are further apart do not count: a broker is restarted now and then.
const THROWN_WITHIN: Duration = Duration::from_secs(300);

/// One client of the configured broker.
pub struct Connect {
    address: BrokerAddress,
    client_id: String,
    diagnosis: Arc<Diagnosis>,
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    login: Option<(String, Option<PathBuf>)>,
    keep_alive: u16,
}

impl Connect {
    /// Takes the settings; `None` if no broker is configured. `suffix` distinguishes the clients of
    /// one car: of two clients with one identifier the broker disconnects the older.
    pub fn new(
        config: &UplinkConfig,
        vehicle: &Vehicle,
        suffix: &str,
    ) -> Result<Option<Self>, ConfigError> {
        config.validate()?;
        let Some(address) = config.address()? else { return Ok(None) };
        let client_id = config
            .client_id
            .clone()
            .unwrap_or_else(|| format!("outrider-{}-{}", vehicle.agency, vehicle.id));
        // The identifier that the broker makes up is a new one for each connection.
        let client_id = if client_id.is_empty() { client_id } else { client_id + suffix };
        let diagnosis = Arc::new(Diagnosis {
            at: address.to_string(),
            client_id: client_id.clone(),
            thrown: Mutex::default(),
        });
        Ok(Some(Self {
            address,
            client_id,
            diagnosis,
            ca: config.ca.clone(),
            identity: config.certificate.clone().zip(config.key.clone()),
            login: config.username.clone().map(|name| (name, config.password_file.clone())),
            keep_alive: u16::try_from(config.keep_alive.get().as_secs()).unwrap_or(u16::MAX),
        }))
    }

    /// The broker's address, for messages.
    pub fn broker_address(&self) -> String {
        self.diagnosis.at.clone()
    }

    /// Explains why connections end. It is shared by all connections of this client, because some
    /// causes show only when they recur.
    pub fn diagnosis(&self) -> Arc<Diagnosis> {
        self.diagnosis.clone()
    }

    /// Options for one new connection. The certificate files are read now, so that renewed ones are
    /// used without a restart.
    pub fn options(&self) -> Result<MqttOptions, BrokerError> {
        let broker = rumqttc::Broker::tcp(self.address.host.clone(), self.address.port);
        let mut options = MqttOptions::new(self.client_id.clone(), broker);
        options.set_keep_alive(self.keep_alive);
        options.set_clean_start(true);
        options.set_connect_timeout(CONNECT_WITHIN);
        if let Some((name, password)) = &self.login {
            match password {
                Some(file) => {
                    let text = Zeroizing::new(read("uplink.password_file", file, Readers::Group)?);
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
                    let certificate = read("uplink.certificate", certificate, Readers::Anybody)?;
                    Some((certificate, read("uplink.key", key, Readers::Group)?))
                }
                None => None,
            };
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
                ca: read("uplink.ca", ca, Readers::Anybody)?,
                alpn: None,
                client_auth,
            }));
        }
        // The library would join host and port into one text, which breaks IPv6 addresses.
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

/// Explains why there is no connection.
pub struct Diagnosis {
    at: String,
    client_id: String,
    /// When the broker closed our connection lately. Locked for a few instructions.
    thrown: Mutex<VecDeque<Instant>>,
}

impl Diagnosis {
    /// The error for a connection that the broker refused.
    pub fn refused(&self, e: &ConnectionError) -> BrokerError {
        BrokerError::Refused { at: self.at.clone(), why: self.why_refused(e) }
    }

    /// Why the broker refused it.
    pub fn why_refused(&self, e: &ConnectionError) -> String {
        // An answer that is not MQTT 5, or none: a broker that only speaks 3.1.1 behaves so.
        if silent(e) {
            return format!(
                "the broker closed the connection before accepting this client: it does not speak MQTT 5 (a \
                 broker of 3.1.1 does this), or it refuses the client identifier {:?} or the certificate \
                 without giving a reason; see its log",
                self.client_id
            );
        }
        explain(e)
    }

    /// The error for an established connection that ended.
    pub fn lost(&self, e: &ConnectionError) -> BrokerError {
        BrokerError::Lost { at: self.at.clone(), why: self.why_lost(e), by_broker: hung_up(e) }
    }

    /// Why it ended.
    pub fn why_lost(&self, e: &ConnectionError) -> String {
        if taken_over(e) {
            return format!(
                "the broker closed the connection because another client connected with the identifier {:?}: \
                 do two cars have one vehicle.id, or one uplink.client_id?",
                self.client_id
            );
        }
        let why = explain(e);
        if !silent(e) || !self.thrown_out(Instant::now()) {
            return why;
        }
        format!(
            "{why}, {THROWN_OUT} times within {} minutes: does another client use the identifier {:?} (two \
             cars with one vehicle.id, or one uplink.client_id twice)? See the broker's log",
            THROWN_WITHIN.as_secs() / 60,
            self.client_id
        )
    }

    /// Counts a disconnection by the broker. Returns whether there were too many.
    fn thrown_out(&self, now: Instant) -> bool {
        let mut thrown = self.thrown.lock().unwrap_or_else(PoisonError::into_inner);
        thrown.push_back(now);
        thrown.retain(|at| now.saturating_duration_since(*at) < THROWN_WITHIN);
        thrown.len() >= THROWN_OUT
    }
}

/// Whether the broker closed the connection without giving a reason.
fn silent(e: &ConnectionError) -> bool {
    match e {
        ConnectionError::MqttState(StateError::ConnectionAborted) => true,
        // The connection ended in the middle of a packet: an answer that is not MQTT 5 never forms
        // a whole one.
        ConnectionError::MqttState(StateError::Deserialization(e)) => {
            !matches!(e, rumqttc::Error::Io(e) if !ends(e))
        }
        ConnectionError::NotConnAck(_) => true,
        e => io_error(e).is_some_and(ends),
    }
}

fn ends(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::Other
    ) && e.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>())
}

/// Whether the broker says that another client connected with our identifier.
fn taken_over(e: &ConnectionError) -> bool {
    matches!(
        e,
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        })
    )
}

fn read(key: &str, path: &Path, readers: Readers) -> Result<Vec<u8>, BrokerError> {
    files::read(path, readers).map_err(|e| {
        let e = std::io::Error::from(e);
        BrokerError::Credentials(format!("{key} = {:?}: {e}", path.display().to_string()))
    })
}

/// Whether the broker ended the connection; otherwise the network went quiet.
fn hung_up(e: &ConnectionError) -> bool {
    if let Some(e) = io_error(e) {
        return e.kind() != io::ErrorKind::TimedOut;
    }
    !matches!(
        e,
        ConnectionError::MqttState(StateError::AwaitPingResp) | ConnectionError::Timeout(_)
    )
}

/// The error of the socket or of TLS, wherever the library wraps it.
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

/// The cause, in an installer's words.
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
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the broker closed the connection".into()
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            "the broker stopped answering".into()
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            format!("the broker closed the connection: {reason_code:?}")
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
