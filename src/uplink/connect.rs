//! How this car connects to its broker: address, TLS, certificate, login; and what went wrong, in
//! words for an installer.
//!
//! In: `[uplink]`. Out: options for one connection. Used by both doors, the one out (`mqtt.rs`) and
//! the one in (`downlink/`), which are two clients with one certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rumqttc::{
    ConnectReturnCode, ConnectionError, MqttOptions, StateError, TlsConfiguration, TlsError,
    Transport,
};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::BrokerError;
use crate::config::{BrokerAddress, ConfigError, UplinkConfig, Vehicle};

/// Time for name look-up, TCP, TLS and CONNACK together. Two satellite round trips each.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// One client of the broker of the configuration.
pub(crate) struct Connect {
    address: BrokerAddress,
    client_id: String,
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    login: Option<(String, Option<PathBuf>)>,
    keep_alive: u16,
}

impl Connect {
    /// Takes the settings; `None` if no broker is configured. `suffix` tells the clients of one car
    /// apart: a broker throws the elder of two with one identifier out.
    pub(crate) fn new(
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
        Ok(Some(Self {
            address,
            client_id: client_id + suffix,
            ca: config.ca.clone(),
            identity: config.certificate.clone().zip(config.key.clone()),
            login: config.username.clone().map(|name| (name, config.password_file.clone())),
            keep_alive: u16::try_from(config.keep_alive.get().as_secs()).unwrap_or(u16::MAX),
        }))
    }

    /// The broker's address, for messages.
    pub(crate) fn at(&self) -> String {
        self.address.to_string()
    }

    /// Options for one connection that starts from nothing. Files are read now, so that renewed
    /// certificates serve without a restart.
    pub(crate) fn options(&self) -> Result<MqttOptions, BrokerError> {
        let broker = rumqttc::Broker::tcp(self.address.host.clone(), self.address.port);
        let mut options = MqttOptions::new(self.client_id.clone(), broker);
        options.set_keep_alive(self.keep_alive);
        options.set_clean_start(true);
        options.set_connect_timeout(CONNECT_WITHIN);
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

/// Whether the broker ended the connection, rather than the line going quiet.
pub(crate) fn hung_up(e: &ConnectionError) -> bool {
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
pub(crate) fn explain(e: &ConnectionError) -> String {
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
