//! The policy in force, kept over restarts: sealed with the device key, the highest version with it.
//!
//! What cannot be read back although it is there is not "no policy": that would widen by damage. It
//! counts as lost, and the strictest rules hold ([`Rules::strictest`](super::Rules::strictest)).

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::{Policy, Previous, Signer};
use crate::dsse::Envelope;
use crate::keys::{DeviceKey, Purpose};
use crate::sealed::Sealer;

/// Name of the file in the state folder, and what it is sealed under.
const FILE: &str = "policy.sealed";

/// Whether there is, or was, a policy in force in this state folder.
pub fn is_kept(state: &Path) -> bool {
    state.join(FILE).exists()
}

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    highest: u64,
    taken: Timestamp,
    signers: Vec<Signer>,
    envelope: Envelope,
}

/// What was read back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Taken {
    pub(super) previous: Previous,
    pub(super) signers: Vec<Signer>,
    /// When it came into force.
    pub(super) taken: Option<Timestamp>,
}

/// Reads and writes the file.
pub(super) struct Kept {
    path: PathBuf,
    sealer: Sealer,
}

impl Kept {
    pub(super) fn new(state: &Path, device: &DeviceKey) -> Self {
        Self { path: state.join(FILE), sealer: Sealer::new(device, Purpose::FleetSeal) }
    }

    pub(super) fn read(&self) -> Taken {
        let lost = || Taken {
            previous: Previous { lost: true, ..Previous::default() },
            ..Taken::default()
        };
        let bytes = match self.sealer.read(&self.path, FILE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) if !self.path.exists() => return Taken::default(),
            Ok(None) => {
                tracing::error!(file = %self.path.display(), "policy in force is not readable");
                return lost();
            }
            Err(error) => {
                tracing::error!(file = %self.path.display(), %error, "policy in force is not readable");
                return lost();
            }
        };
        // Sealed by this car: it was believed when it was taken, also if its keys were withdrawn since.
        let read = serde_json::from_slice::<Content>(&bytes).map_err(|e| e.to_string()).and_then(
            |content| {
                let policy = Policy::parse(content.envelope.unverified_payload());
                policy.map(|policy| (content, policy)).map_err(|e| e.to_string())
            },
        );
        match read {
            Ok((content, policy)) => Taken {
                previous: Previous { policy: Some(policy), highest: content.highest, lost: false },
                signers: content.signers,
                taken: Some(content.taken),
            },
            Err(error) => {
                tracing::error!(error, "policy in force is not understood");
                lost()
            }
        }
    }

    /// On the disk when this returns.
    pub(super) fn write(
        &self,
        envelope: &[u8],
        highest: u64,
        signers: &[Signer],
        taken: Timestamp,
    ) -> io::Result<()> {
        let envelope = Envelope::parse(envelope).map_err(io::Error::other)?;
        let content = Content { highest, taken, signers: signers.to_vec(), envelope };
        let json = serde_json::to_vec(&content)?;
        self.sealer.write(&self.path, FILE, &json)
    }
}
