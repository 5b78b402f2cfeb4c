//! The arguments of every command that publishes: which broker, and how to get in.

use std::path::PathBuf;

use clap::Args;

use crate::authoring::publish::{BrokerError, MqttBroker};
use crate::config::UplinkConfig;

/// The broker and how to get in.
#[derive(Debug, Clone, Args)]
pub struct BrokerArgs {
    /// `mqtts://host` or `mqtts://host:port`; plain `mqtt://` for one on this machine.
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// PEM file of the authority that signed the broker's certificate.
    #[arg(long, value_name = "FILE", requires = "broker")]
    ca: Option<PathBuf>,
    /// PEM file of the author's own certificate.
    #[arg(long, value_name = "FILE", requires = "broker")]
    certificate: Option<PathBuf>,
    /// PEM file of the author's own private key.
    #[arg(long, value_name = "FILE", requires = "broker")]
    key: Option<PathBuf>,
    /// User name, where the broker wants one.
    #[arg(long, requires = "broker")]
    username: Option<String>,
    /// File whose first line is the password.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Client identifier.
    #[arg(long, default_value = "outrider-author")]
    client_id: String,
}

impl BrokerArgs {
    /// Whether a broker was named.
    pub fn is_given(&self) -> bool {
        self.broker.is_some()
    }

    /// The broker's name in the files of the list's folder.
    pub fn name(&self) -> String {
        let settings = self.settings();
        let address = settings.address().ok().flatten();
        address.map_or_else(String::new, |a| format!("{}.{}", a.host, a.port))
    }

    /// Connects.
    pub fn connect(&self) -> Result<MqttBroker, BrokerError> {
        MqttBroker::connect(&self.settings(), &self.client_id)
    }

    fn settings(&self) -> UplinkConfig {
        UplinkConfig {
            broker: self.broker.clone(),
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            username: self.username.clone(),
            password_file: self.password_file.clone(),
            ..UplinkConfig::default()
        }
    }
}
