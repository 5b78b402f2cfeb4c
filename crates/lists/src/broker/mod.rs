//! The connection to the agency's broker: how this car connects, how well the connection works, and
//! explanations of failures for an installer.
//!
//! It is shared by the uplink, the downlink and the desk's publisher. Nothing here sends or
//! receives a message.

#[expect(clippy::disallowed_types, reason = "connects the doors; sends nothing itself")]
pub mod connect;
mod link;

pub use link::LinkState;
pub use link::{Happened, Link};

/// Why there is no connection. Each message names the broker and says what to do where a person
/// can do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// A certificate or password file cannot be used.
    #[error("{0}")]
    Credentials(String),
    /// Nobody answers there, or the certificates do not fit, or the broker refused us.
    #[error("broker {at}: {why}")]
    Refused {
        /// The broker's address.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// The broker answers pings but acknowledges nothing, so the connection is closed and made
    /// anew.
    #[error(
        "the broker is connected and has not acknowledged a message for {seconds} s: connecting anew"
    )]
    Unacknowledged {
        /// For how long.
        seconds: u64,
    },
    /// The connection broke.
    #[error("broker {at}: connection lost: {why}")]
    Lost {
        /// The broker's address.
        at: String,
        /// The cause.
        why: String,
        /// Whether the broker closed the connection; otherwise the network went quiet.
        by_broker: bool,
    },
}
