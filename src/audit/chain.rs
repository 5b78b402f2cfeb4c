//! The chain: lines of JSON, each holding the SHA-256 of the line before it.
//!
//! A record is hashed as the very bytes that are stored and exported, so a verifier needs no canonical
//! JSON: `sha256sum` of one line is the next line's `prev`. A checkpoint is a DSSE envelope over a head
//! of the chain; in an export it stands right after the record that it seals.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::event::{Actor, AuditEvent};
use crate::clock::TimeSource;
use crate::dsse::{Envelope, PublicKey, SigningKey};

/// Type of a checkpoint's payload.
pub const CHECKPOINT_TYPE: &str = "application/vnd.outrider.audit-checkpoint.v1+json";

/// Version of the record's form.
pub(super) const FORMAT: u8 = 1;

/// Longest line: an event with a policy's worth of changes stays far below.
const MOST_LINE: usize = 256 * 1024;

/// A digest as records have it.
pub(super) type Hash = [u8; 32];

/// What stands before the first record.
pub(super) const BEFORE_ALL: Hash = [0; 32];

/// One record. Field by field in this order it is the line that is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    pub v: u8,
    /// 1, 2, 3 and so on without a gap.
    pub seq: u64,
    /// When, on the wall clock.
    pub wall: Timestamp,
    /// What vouched for the wall clock then.
    pub time_source: TimeSource,
    /// Which boot of the machine.
    pub boot: String,
    /// When, on that boot's clock, which nobody can set.
    pub boot_ms: u64,
    /// Who.
    pub who: Actor,
    /// What, why, and what was before.
    pub event: AuditEvent,
    /// SHA-256 of the line before.
    pub prev: String,
}

impl Record {
    /// The bytes that are hashed, stored and exported.
    pub(super) fn line(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and dates")
    }
}

pub(super) fn hash(line: &[u8]) -> Hash {
    Sha256::digest(line).into()
}

/// SHA-256 of a line without its line end, in hexadecimal: what the next line names.
pub fn digest(line: &str) -> String {
    hex(&hash(line.as_bytes()))
}

pub(super) fn hex(hash: &Hash) -> String {
    data_encoding::HEXLOWER.encode(hash)
}

/// A head of the chain, as the device key signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Version of this form.
    pub v: u8,
    /// Whose car.
    pub agency: String,
    /// Which car.
    pub vehicle: String,
    /// SHA-256 of the chain's first line: tells this chain from one that was begun anew.
    pub chain: String,
    /// The last record.
    pub seq: u64,
    /// SHA-256 of its line.
    pub head: String,
    /// When it was signed.
    pub at: Timestamp,
}

impl Checkpoint {
    pub(super) fn sign(&self, keys: &[&SigningKey]) -> Envelope {
        let payload = serde_json::to_vec(self).expect("strings, numbers and dates");
        Envelope::sign(CHECKPOINT_TYPE, payload, keys)
    }

    /// Believes a checkpoint that one of these keys has signed.
    pub fn open(envelope: &Envelope, keys: &[PublicKey]) -> Result<Self, String> {
        let (payload, _) = envelope.open(CHECKPOINT_TYPE, keys, 1).map_err(|e| e.to_string())?;
        serde_json::from_slice(payload).map_err(|e| e.to_string())
    }
}

/// What is wrong with a log. Names the first bad record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A record is not what it was, not where it was, or gone.
    #[error("record {seq}: {why}")]
    Record {
        /// Which.
        seq: u64,
        /// What is wrong.
        why: String,
    },
    /// A checkpoint does not fit.
    #[error("checkpoint after record {after}: {why}")]
    Checkpoint {
        /// Which record it stands behind.
        after: u64,
        /// What is wrong.
        why: String,
    },
    /// The end is missing.
    #[error(
        "the log ends with record {last}, and a checkpoint seals record {sealed}: the end was cut off"
    )]
    Truncated {
        /// The last record that is there.
        last: u64,
        /// The last that must be.
        sealed: u64,
    },
    /// A checkpoint from elsewhere is not of this log.
    #[error("checkpoint for record {seq} from outside: {why}")]
    Outside {
        /// Which record it seals.
        seq: u64,
        /// What is wrong.
        why: String,
    },
    /// Nothing there.
    #[error("the log holds no record")]
    Empty,
    /// The log ends in half a line.
    #[error("the log does not end with a whole line: the end was cut off or damaged")]
    Torn,
}

/// What was found of a good log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Records, which is also the number of the last.
    pub records: u64,
    /// SHA-256 of the last line.
    pub head: String,
    /// The last record that a checkpoint covers: what comes after is not proved by a signature.
    pub sealed: u64,
    /// Keys that signed checkpoints, the first of them given, the others vouched for by it.
    pub keys: Vec<PublicKey>,
}

/// The part of a record that proves the chain; what an event says is not looked at, so that a verifier
/// of today can verify a log of tomorrow.
#[derive(Deserialize)]
struct Link {
    seq: u64,
    prev: String,
    event: Kind,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
    public: Option<String>,
}

/// Checks a log line by line, as it was exported or as it is stored.
pub struct Verifier {
    keys: Vec<PublicKey>,
    /// A key that a record says is the next one, until a checkpoint vouches for that record.
    coming: Option<PublicKey>,
    /// Checkpoints from elsewhere, by record.
    outside: BTreeMap<u64, Checkpoint>,
    first: Option<Hash>,
    last: Option<(u64, Hash)>,
    sealed: u64,
    /// The last record named another predecessor: either may be the bad one, and what follows tells.
    quarrel: Option<u64>,
}

impl Verifier {
    /// For a car whose public key this is.
    pub fn new(key: PublicKey) -> Self {
        Self {
            keys: vec![key],
            coming: None,
            outside: BTreeMap::new(),
            first: None,
            last: None,
            sealed: 0,
            quarrel: None,
        }
    }

    /// Also holds the log against a checkpoint that left the car in time. Checked at the end, since a
    /// later key of the car may have signed it.
    pub fn against(&mut self, checkpoint: Checkpoint) {
        self.outside.insert(checkpoint.seq, checkpoint);
    }

    /// Takes the next line, without its line end.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let next = self.last.map_or(1, |(seq, _)| seq + 1);
        let bad = |why: &str| Fault::Record { seq: next, why: why.into() };
        if line.len() > MOST_LINE || !line.starts_with(b"{") || !line.ends_with(b"}") {
            return Err(self.settle(None).err().unwrap_or_else(|| bad("its line is damaged")));
        }
        if line.starts_with(b"{\"payloadType\"") {
            return self.checkpoint(line);
        }
        let Ok(link) = serde_json::from_slice::<Link>(line) else {
            return Err(self.settle(None).err().unwrap_or_else(|| bad("its line is damaged")));
        };
        self.settle(Some(&link.prev))?;
        let this = hash(line);
        match self.last {
            None if link.seq != 1 => {
                return Err(bad(&format!("missing: the log begins with record {}", link.seq)));
            }
            None if link.prev != hex(&BEFORE_ALL) => {
                return Err(bad("changed: something is named before it"));
            }
            None => self.first = Some(this),
            Some((seq, _)) if link.seq != seq + 1 => {
                return Err(bad(&format!("missing or moved: record {} stands there", link.seq)));
            }
            Some((seq, hash)) => {
                if link.prev != hex(&hash) {
                    self.quarrel = Some(seq);
                }
            }
        }
        self.last = Some((link.seq, this));
        if let Some(outside) = self.outside.get(&link.seq)
            && outside.head != hex(&this)
            && self.quarrel.is_none()
        {
            let why = "the log has another record there than when it was sealed".into();
            return Err(Fault::Outside { seq: link.seq, why });
        }
        if link.event.kind == "key_rotated" {
            self.coming = link.event.public.and_then(|text| PublicKey::parse(&text).ok());
        }
        Ok(())
    }

    /// If two records quarrel, says which is the bad one: the later, if what follows does not fit it
    /// either.
    fn settle(&mut self, next_prev: Option<&str>) -> Result<(), Fault> {
        let (Some(earlier), Some((later, hash))) = (self.quarrel, self.last) else { return Ok(()) };
        let seq = match next_prev {
            Some(prev) if prev == hex(&hash) => earlier,
            None => earlier,
            Some(_) => later,
        };
        Err(Fault::Record {
            seq,
            why: "changed: its SHA-256 is not the one that the chain holds".into(),
        })
    }

    fn checkpoint(&mut self, line: &[u8]) -> Result<(), Fault> {
        let after = self.last.map_or(0, |(seq, _)| seq);
        let bad = |why: String| Fault::Checkpoint { after, why };
        let opened = Envelope::parse(line)
            .map_err(|e| e.to_string())
            .and_then(|envelope| Checkpoint::open(&envelope, &self.keys));
        self.settle(opened.as_ref().ok().map(|c| c.head.as_str()))?;
        let checkpoint = opened.map_err(bad)?;
        let (Some(first), Some((last, head))) = (self.first, self.last) else {
            return Err(bad("it stands before any record".into()));
        };
        if checkpoint.seq != last {
            return Err(match checkpoint.seq > last {
                true => {
                    Fault::Record { seq: last + 1, why: "missing: a checkpoint seals it".into() }
                }
                false => bad(format!("it seals record {}", checkpoint.seq)),
            });
        }
        if checkpoint.head != hex(&head) {
            let why = "changed: its SHA-256 is not the one that was sealed".into();
            return Err(Fault::Record { seq: last, why });
        }
        if checkpoint.chain != hex(&first) {
            return Err(bad("it seals another chain".into()));
        }
        self.sealed = last;
        self.keys.extend(self.coming.take());
        Ok(())
    }

    /// The end: what holds, or what is missing.
    pub fn end(mut self) -> Result<Verdict, Fault> {
        self.settle(None)?;
        let (Some(chain), Some((last, head))) = (self.first, self.last) else {
            return Err(Fault::Empty);
        };
        for (seq, outside) in &self.outside {
            if outside.chain != hex(&chain) {
                let why = "it seals another chain: the log was begun anew".into();
                return Err(Fault::Outside { seq: *seq, why });
            }
            if *seq > last {
                return Err(Fault::Truncated { last, sealed: *seq });
            }
        }
        let sealed = self.outside.keys().copied().fold(self.sealed, u64::max);
        Ok(Verdict { records: last, head: hex(&head), sealed, keys: self.keys })
    }
}

/// Checks a whole export against a key, and against checkpoints that were kept elsewhere.
pub fn verify(export: &[u8], key: PublicKey, outside: &[Envelope]) -> Result<Verdict, Fault> {
    // Who signed those is known only when the log has told the car's keys.
    let mut verifier = Verifier::new(key);
    for envelope in outside {
        let claimed: Checkpoint = serde_json::from_slice(envelope.unverified_payload())
            .map_err(|e| Fault::Outside { seq: 0, why: e.to_string() })?;
        verifier.against(claimed);
    }
    let Some((b'\n', lines)) = export.split_last() else {
        return Err(if export.is_empty() { Fault::Empty } else { Fault::Torn });
    };
    for line in lines.split(|b| *b == b'\n') {
        verifier.line(line)?;
    }
    let verdict = verifier.end();
    let keys = verdict.as_ref().map_or(vec![key], |v| v.keys.clone());
    for envelope in outside {
        let opened = Checkpoint::open(envelope, &keys);
        if let (Err(why), Ok(_)) = (opened, &verdict) {
            return Err(Fault::Outside { seq: 0, why });
        }
    }
    verdict
}
