//! One connection to the broker and back, for `outrider check`.

use std::time::Duration;

use super::{Broker as _, Hello, Mqtt, Session as _};
use crate::broker::{BrokerError, LinkState};
use crate::config::{BrokerAddress, ConfigError, UplinkConfig, Vehicle};
use crate::health::Health;
use crate::wire::{HealthReport, Message, Names, Outbound, QueueReport};

/// Why the broker cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The connection.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// No answer in time.
    #[error("broker {at}: no answer within {within:?}")]
    Silent {
        /// The broker's address.
        at: String,
        /// How long was waited.
        within: Duration,
    },
    /// No thread or descriptor to be had.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Connects with the settings of the daemon, certificates included, and disconnects; nothing is
/// published. `None` if no broker is configured.
///
/// The client identifier is not the daemon's, because of two clients with one identifier a broker throws the older out.
pub fn probe(
    config: &UplinkConfig,
    vehicle: &Vehicle,
    within: Duration,
) -> Result<Option<BrokerAddress>, ProbeError> {
    let Some(address) = config.address()? else { return Ok(None) };
    let ours = config.client_id.clone();
    let ours = ours.unwrap_or_else(|| format!("outrider-{}-{}", vehicle.agency, vehicle.id));
    let asking = UplinkConfig { client_id: Some(format!("{ours}-check")), ..config.clone() };
    let Some(mut broker) = Mqtt::new(&asking, vehicle)? else { return Ok(None) };
    // A last will is part of connecting. This one counts nothing and is not retained, so that it
    // harms nobody if the line breaks in this moment.
    let nothing = HealthReport::of(
        &Health::default().snapshot(),
        &Names::default(),
        jiff::Timestamp::now(),
        0,
        LinkState::Offline,
        QueueReport::default(),
        Vec::new(),
    );
    let will = Message::new(vehicle, Outbound::Health(Box::new(nothing)));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let connecting = broker.connect(Hello { will });
        let session = tokio::time::timeout(within, connecting)
            .await
            .map_err(|_| ProbeError::Silent { at: address.to_string(), within })??;
        let _ = tokio::time::timeout(within, session.close()).await;
        Ok(Some(address))
    })
}
