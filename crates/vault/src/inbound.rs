//! A message from the broker before it is verified: its topic and its bytes.
//!
//! These types lie below the parts that process messages (trust, policy, lists), so that those need
//! not know how messages arrive (`downlink`).

use std::fmt;
use std::sync::Arc;

use crate::config::Vehicle;

/// Longest message of any kind; the broker is told not to send longer ones.
pub const LARGEST: usize = 256 << 10;

/// What may be received: a closed list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The document that says who may sign what, signed by the agency's root (`trust.rs`).
    Trust,
    /// The agency's policy.
    Policy,
    /// A command to this car.
    Command,
    /// The manifest of a list.
    Manifest(Arc<str>),
    /// A chunk or page of a list, by its address.
    Chunk(Arc<str>, Arc<str>),
    /// The signed statement of a package of models, by kind of model.
    Model(Arc<str>),
    /// A part of such a package, by kind of model and by its digest.
    ModelPart(Arc<str>, Arc<str>),
}

impl Topic {
    /// The full topic.
    pub fn path(&self, vehicle: &Vehicle) -> String {
        let base = format!("alpr/v1/{}", vehicle.agency);
        match self {
            Self::Trust => format!("{base}/trust"),
            Self::Policy => format!("{base}/policy"),
            Self::Command => format!("{base}/vehicle/{}/cmd", vehicle.id),
            Self::Manifest(list) => format!("{base}/hotlist/{list}/manifest"),
            Self::Chunk(list, address) => format!("{base}/hotlist/{list}/chunk/{address}"),
            Self::Model(kind) => format!("{base}/models/{kind}/package"),
            Self::ModelPart(kind, digest) => format!("{base}/models/{kind}/part/{digest}"),
        }
    }

    /// Most bytes of a message on this topic; a longer one is dropped unread.
    pub const fn most_bytes(&self) -> usize {
        match self {
            // A few dozen keys of 200 bytes; a page of settings.
            Self::Trust | Self::Policy => LARGEST,
            Self::Command | Self::ModelPart(..) => 64 << 10,
            // DESIGN 4.2: what common brokers carry.
            Self::Manifest(_) | Self::Chunk(..) | Self::Model(_) => 96 << 10,
        }
    }

    /// Whether it is a part of a list or of a package; the broker sends these only to cars that subscribe to them.
    pub fn is_chunk(&self) -> bool {
        matches!(self, Self::Chunk(..) | Self::ModelPart(..))
    }
}

/// A message from the broker, not verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The topic on which it arrived.
    pub topic: Topic,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Whether the broker had retained it.
    pub retained: bool,
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbound({:?}, {} bytes)", self.topic, self.payload.len())
    }
}
