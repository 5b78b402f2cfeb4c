//! Keeps the policy in force over restarts, sealed with the device key together with the highest
//! version.
//!
//! A file that exists but cannot be read is not treated as "no policy", because damage would then
//! widen; neither is a missing file whose policy was in force ([`Memory`]). In both cases the
//! policy counts as lost, and the strictest rules hold
//! ([`Rules::strictest`](super::Rules::strictest)).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::{Policy, Previous, Signer};
use crate::dated::MOST_FIRST;
use crate::dsse::{Envelope, KeyId};
use crate::in_force::Memory;
use crate::keys::sealed::Sealer;
use crate::keys::{DeviceKey, Purpose};
use crate::trust::{Role, Trust};

/// Name of the file in the state folder, and the name under which it is sealed.
const FILE: &str = "policy.sealed";

/// Whether this state folder has the file of a policy in force.
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
    /// How many people had to sign it.
    #[serde(default = "one")]
    needed: usize,
    /// The highest version that each key has signed.
    #[serde(default)]
    floors: BTreeMap<KeyId, u64>,
    /// Whether too few of its signers may still sign.
    #[serde(default)]
    withdrawn: bool,
}

fn one() -> usize {
    1
}

/// What was read from the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Taken {
    pub(super) previous: Previous,
    pub(super) signers: Vec<Signer>,
    /// When it came into force.
    pub(super) taken: Option<Timestamp>,
    /// How many people had to sign it.
    pub(super) needed: usize,
    /// The highest version that each key has signed; those of withdrawn keys no longer count.
    pub(super) floors: BTreeMap<KeyId, u64>,
    /// Whether too few of its signers may still sign: the strictest rules hold then.
    pub(super) withdrawn: bool,
    /// The envelope of the policy in force.
    pub(super) envelope: Option<Envelope>,
}

impl Taken {
    /// What a new policy is compared with: the policy in force, unless it or its signers are lost,
    /// and the highest version signed by a key that is not withdrawn.
    pub(super) fn before(&self, trust: Option<&Trust>) -> Previous {
        let counts = |by: &KeyId| trust.is_none_or(|trust| trust.stands(by, &Role::Policy));
        let floors = self.floors.iter().filter(|(by, _)| counts(by)).map(|(_, floor)| *floor);
        let highest = match self.floors.is_empty() {
            // The file is from before versions were kept by key. A version that leaves no room for
            // others is not counted.
            true => self.previous.highest.min(MOST_FIRST),
            false => floors.max().unwrap_or(0),
        };
        let lost = self.previous.lost || self.withdrawn;
        Previous { policy: self.previous.policy.clone(), highest, lost }
    }
}

/// Reads and writes the file.
pub(super) struct Kept {
    path: PathBuf,
    sealer: Sealer,
    memory: Memory,
}

impl Kept {
    pub(super) fn new(state: &Path, device: &DeviceKey) -> Self {
        let memory = Memory::new(state, device);
        Self { path: state.join(FILE), sealer: Sealer::new(device, Purpose::FleetSeal), memory }
    }

    /// Reads the policy that was in force. `recorded` searches the audit log, if neither the file
    /// nor the memory of it is there: it returns the version that was applied, 0 if none.
    pub(super) fn read(&self, recorded: impl FnOnce() -> u64) -> Taken {
        let mut taken = self.read_file();
        let known = match self.memory.recall() {
            Ok(Some(record)) => record.policy,
            Ok(None) if taken.previous.policy.is_some() => 0,
            Ok(None) => recorded(),
            Err(error) => {
                tracing::error!(%error, "record of what was in force not read");
                recorded()
            }
        };
        let has = taken.previous.highest;
        if known > has {
            let file = self.path.display();
            tracing::error!(%file, known, has, "policy that was in force is gone or older: the strictest rules hold");
            taken = Taken::default();
            taken.previous.lost = true;
            taken.previous.highest = known;
        }
        // The memory of this car is younger than its policy.
        if has > known {
            self.memory.note(|record| record.policy = has);
        }
        taken
    }

    /// Reads as [`Kept::read`] does but changes nothing: for commands that run beside the daemon.
    pub(super) fn peek(&self) -> Taken {
        let mut taken = self.read_file();
        let known = self.memory.recall().map_or(0, |record| record.unwrap_or_default().policy);
        if known > taken.previous.highest {
            taken = Taken::default();
            taken.previous.lost = true;
        }
        taken
    }

    fn read_file(&self) -> Taken {
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
        // This car sealed it, so it was verified when it was applied, even if its keys were
        // withdrawn since.
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
                needed: content.needed,
                floors: content.floors,
                withdrawn: content.withdrawn,
                envelope: Some(content.envelope),
            },
            Err(error) => {
                tracing::error!(error, "policy in force is not understood");
                lost()
            }
        }
    }

    /// Writes the file; it is on the disk when this returns.
    pub(super) fn write(&self, taken: &Taken) -> io::Result<()> {
        let Taken { previous, signers, taken, needed, floors, withdrawn, envelope } = taken;
        let (Some(envelope), Some(taken)) = (envelope, taken) else {
            return Err(io::Error::other("there is no policy to keep"));
        };
        let content = Content {
            highest: previous.highest,
            taken: *taken,
            signers: signers.clone(),
            envelope: envelope.clone(),
            needed: *needed,
            floors: floors.clone(),
            withdrawn: *withdrawn,
        };
        let json = serde_json::to_vec(&content)?;
        self.sealer.write(&self.path, FILE, &json)?;
        // The memory takes the version as it is: if a signer was withdrawn, it may be lower than
        // before.
        self.memory.note(|record| record.policy = previous.highest);
        Ok(())
    }
}
