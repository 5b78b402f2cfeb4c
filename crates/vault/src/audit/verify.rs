//! Verifies a log with a public key alone.
//!
//! In: lines, as they were exported or as they are stored; heads that were kept outside the car.
//! Out: a [`Verdict`], or the first [`Fault`]. Costs: two hashes a line. Leaves to others: whose
//! key it is.
//!
//! Anybody who has the file can compute every hash anew, so hashes only show that lines belong
//! together. Proof comes from seals: a seal signs a head, and with it every line before. Therefore
//! a log without a seal at its end is refused from the first unsealed line on, every seal names the
//! previous one, and an export ends with the sealed record of that very export. What cannot be
//! detected is an earlier export that is shown in place of a later one; a head that has left the
//! car since then reveals it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chain::{BEFORE_ALL, CHECKPOINT_TYPE, Checkpoint, Hash, SEALED_EVERY, hash, hex};
use crate::dsse::{Envelope, KeyId, PublicKey};

/// Longest line, in bytes: a policy with all its changes stays below, even with every byte escaped.
const MOST_LINE: usize = 2 << 20;

/// The beginning of every seal's line.
const SEAL: &[u8] = b"{\"payloadType\"";

/// What is wrong with a log: the first bad record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A record was changed, moved or removed.
    #[error("record {seq}: {why}")]
    Record {
        /// Its number.
        seq: u64,
        /// What is wrong.
        why: String,
    },
    /// A checkpoint does not fit.
    #[error("checkpoint after record {after}: {why}")]
    Checkpoint {
        /// The record after which it stands.
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
        /// The last record that must be there.
        sealed: u64,
    },
    /// There are more unsealed records at the end than are allowed.
    #[error(
        "from record {from} on nobody vouches: no seal by the car's key covers records {from} to {last}, and {}; \
         anybody can have written them", may_wait(*.most)
    )]
    Unsealed {
        /// The first record without a seal.
        from: u64,
        /// The last record.
        last: u64,
        /// How many records may be unsealed.
        most: u64,
    },
    /// An export does not end with its own record.
    #[error(
        "the log ends with record {last}, and an export ends with the record of that export: what came \
         after record {last} was cut off"
    )]
    CutShort {
        /// The last record that is there.
        last: u64,
    },
    /// A checkpoint from outside does not belong to this log.
    #[error("checkpoint for record {seq} from outside: {why}")]
    Outside {
        /// The record that it seals.
        seq: u64,
        /// What is wrong.
        why: String,
    },
    /// The log is empty.
    #[error("the log holds no record")]
    Empty,
    /// The log ends in the middle of a line.
    #[error("the log does not end with a whole line: the end was cut off or damaged")]
    Torn,
}

fn may_wait(most: u64) -> String {
    match most {
        0 => "an export ends with a seal".into(),
        most => format!("at most {most} records may wait for one"),
    }
}

/// What is known of a log that is in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Number of records, which is also the number of the last one.
    pub records: u64,
    /// SHA-256 of the last line.
    pub head: String,
    /// The last record that a seal covers: no signature proves the records after it.
    pub sealed: u64,
    /// Keys that may have signed seals: first the one that was given, then those that it confirmed.
    pub keys: Vec<PublicKey>,
    /// Agencies and vehicles that the seals name, each once: more than one means that the car was
    /// renamed.
    pub names: Vec<(String, String)>,
    /// Records whose hash a head from outside confirms, ascending.
    pub witnessed: Vec<u64>,
    /// Whether the last record is that of an export.
    pub exported: bool,
}

/// The part of a record that proves the chain. The rest of the event is not parsed, so that a
/// present verifier can verify a future log.
#[derive(Deserialize)]
struct Link {
    seq: u64,
    prev: String,
    event: Kind,
}

/// The values have any type, because future events may use these names for something else.
#[derive(Deserialize)]
struct Kind {
    kind: String,
    old: Option<Value>,
    public: Option<Value>,
    records: Option<Value>,
    head: Option<Value>,
}

impl Kind {
    /// Whether this is the record of an export of everything before it.
    fn exports(&self, seq: u64, prev: &str) -> bool {
        let before = if seq == 1 { "" } else { prev };
        self.kind == "audit_exported"
            && self.records.as_ref().and_then(Value::as_u64) == seq.checked_sub(1)
            && self.head.as_ref().and_then(Value::as_str) == Some(before)
    }
}

/// A change of keys that a record announces. It takes effect if the very next line is a seal by
/// both keys.
struct Coming {
    old: PublicKey,
    new: PublicKey,
}

/// Verifies a log line by line, as it was exported or as it is stored.
pub struct Verifier {
    /// Every key that was confirmed.
    keys: Vec<PublicKey>,
    /// The keys of which one must sign the next seal. After a change of keys there are two, because
    /// a change that a power cut interrupts leaves the old key in force.
    current: Vec<PublicKey>,
    coming: Option<Coming>,
    /// Heads from outside, not verified until the log has named the car's keys.
    outside: Vec<(u64, Envelope)>,
    /// The hash of each record for which there is such a head.
    heads: BTreeMap<u64, Hash>,
    first: Option<Hash>,
    last: Option<(u64, Hash)>,
    sealed: u64,
    names: Vec<(String, String)>,
    /// Whether the last seal names the previous one, as all seals of this version do.
    linked: bool,
    /// Whether the last record is that of an export of everything before it.
    exported: bool,
    /// The last record whose `prev` did not fit: either it or the record before is bad, and the
    /// next line decides.
    quarrel: Option<u64>,
}

impl Verifier {
    /// Begins with the car's public key.
    pub fn new(key: PublicKey) -> Self {
        Self {
            keys: vec![key],
            current: vec![key],
            coming: None,
            outside: Vec::new(),
            heads: BTreeMap::new(),
            first: None,
            last: None,
            sealed: 0,
            names: Vec::new(),
            linked: false,
            exported: false,
            quarrel: None,
        }
    }

    /// Also compares the log with a head that left the car earlier. It must be called before the
    /// first line; the head is verified at the end, because a later key of the car may have signed
    /// it.
    pub fn against(&mut self, head: Envelope) -> Result<(), Fault> {
        #[derive(Deserialize)]
        struct Claimed {
            seq: u64,
        }
        let Claimed { seq } = serde_json::from_slice(head.unverified_payload())
            .map_err(|e| Fault::Outside { seq: 0, why: format!("it is no checkpoint: {e}") })?;
        self.outside.push((seq, head));
        Ok(())
    }

    /// Takes the next line, without its line end.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let next = self.last.map_or(1, |(seq, _)| seq + 1);
        let bad = |why: &str| Fault::Record { seq: next, why: why.into() };
        if line.len() > MOST_LINE || !line.starts_with(b"{") || !line.ends_with(b"}") {
            return Err(self.settle(None).err().unwrap_or_else(|| bad("its line is damaged")));
        }
        if line.starts_with(SEAL) {
            return self.seal(line);
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
        if self.outside.iter().any(|(seq, _)| *seq == link.seq) {
            self.heads.insert(link.seq, this);
        }
        self.exported = link.event.exports(link.seq, &link.prev);
        self.coming = self.announced(&link.event);
        Ok(())
    }

    /// The change of keys that a record announces, if a key in force makes it.
    fn announced(&self, event: &Kind) -> Option<Coming> {
        if event.kind != "key_rotated" {
            return None;
        }
        let old = event.old.as_ref()?.as_str()?;
        let old = self.current.iter().find(|key| key.id().as_str() == old)?;
        let new = PublicKey::parse(event.public.as_ref()?.as_str()?).ok()?;
        Some(Coming { old: *old, new })
    }

    /// If two neighbouring records contradict each other, decides which is bad: the later one, if
    /// the next line does not fit it either.
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

    fn seal(&mut self, line: &[u8]) -> Result<(), Fault> {
        let after = self.last.map_or(0, |(seq, _)| seq);
        let bad = |why: String| Fault::Checkpoint { after, why };
        let opened = Envelope::parse(line)
            .map_err(|e| e.to_string())
            .and_then(|envelope| self.believed(&envelope));
        self.settle(opened.as_ref().ok().map(|(c, _)| c.head.as_str()))?;
        let (seal, current) = opened.map_err(bad)?;
        let (Some(first), Some((last, head))) = (self.first, self.last) else {
            return Err(bad("it stands before any record".into()));
        };
        if seal.seq != last {
            return Err(match seal.seq > last {
                true => {
                    Fault::Record { seq: last + 1, why: "missing: a checkpoint seals it".into() }
                }
                false => bad(format!("it seals record {}", seal.seq)),
            });
        }
        if seal.head != hex(&head) {
            let why = "changed: its SHA-256 is not the one that was sealed".into();
            return Err(Fault::Record { seq: last, why });
        }
        if seal.chain != hex(&first) {
            return Err(bad("it seals another chain".into()));
        }
        if self.sealed == last {
            return Err(bad("it is the second over this record".into()));
        }
        match seal.previous {
            Some(previous) if previous > self.sealed => {
                return Err(bad(format!("the one over record {previous} before it is missing")));
            }
            Some(previous) if previous < self.sealed => {
                let sealed = self.sealed;
                return Err(bad(format!("it knows nothing of the one over record {sealed}")));
            }
            _ => {}
        }
        self.linked = seal.previous.is_some();
        self.sealed = last;
        for key in &current {
            if !self.keys.contains(key) {
                self.keys.push(*key);
            }
        }
        self.current = current;
        self.coming = None;
        let name = (seal.agency, seal.vehicle);
        if !self.names.contains(&name) {
            self.names.push(name);
        }
        Ok(())
    }

    /// The content of a seal, if a key in force has signed it, and the keys in force after it.
    fn believed(&self, envelope: &Envelope) -> Result<(Checkpoint, Vec<PublicKey>), String> {
        if let Some(Coming { old, new }) = &self.coming
            && envelope.signers().eq([&old.id(), &new.id()])
        {
            let both = vec![*old, *new];
            envelope.open(CHECKPOINT_TYPE, &both, both.len()).map_err(|e| e.to_string())?;
            return Ok((Checkpoint::open(envelope, &both)?, both));
        }
        let seal = Checkpoint::open(envelope, &self.current)?;
        let signers: Vec<&KeyId> = envelope.signers().collect();
        let [signer] = signers[..] else {
            return Err("it carries more than one signature".into());
        };
        let current = self.current.iter().copied().filter(|key| key.id() == *signer);
        Ok((seal, current.collect()))
    }

    /// Ends an export: returns the verdict, or what is missing.
    pub fn end_of_export(self) -> Result<Verdict, Fault> {
        let linked = self.linked;
        let verdict = self.end(0)?;
        match linked && !verdict.exported {
            true => Err(Fault::CutShort { last: verdict.records }),
            false => Ok(verdict),
        }
    }

    /// Ends a log that is still being written: its last records may be unsealed.
    pub fn end_in_place(self) -> Result<Verdict, Fault> {
        self.end(SEALED_EVERY - 1)
    }

    fn end(mut self, most: u64) -> Result<Verdict, Fault> {
        self.settle(None)?;
        let (Some(chain), Some((last, head))) = (self.first, self.last) else {
            return Err(Fault::Empty);
        };
        let mut witnessed = Vec::new();
        for (seq, envelope) in &self.outside {
            let bad = |why: &str| Fault::Outside { seq: *seq, why: why.into() };
            let outside = Checkpoint::open(envelope, &self.keys).map_err(|why| bad(&why))?;
            if outside.chain != hex(&chain) {
                return Err(bad("it seals another chain: the log was begun anew"));
            }
            if *seq > last {
                return Err(Fault::Truncated { last, sealed: *seq });
            }
            if self.heads.get(seq).map(hex).as_ref() != Some(&outside.head) {
                return Err(bad("the log has another record there than when it was sealed"));
            }
            witnessed.push(*seq);
        }
        if last - self.sealed > most {
            return Err(Fault::Unsealed { from: self.sealed + 1, last, most });
        }
        witnessed.sort_unstable();
        Ok(Verdict {
            records: last,
            head: hex(&head),
            sealed: self.sealed,
            keys: self.keys,
            names: self.names,
            witnessed,
            exported: self.exported,
        })
    }
}

/// Why an export is not said to hold.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// Something is wrong with it.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It cannot be read to its end.
    #[error("cannot be read to its end: {0}")]
    Io(#[from] io::Error),
}

/// Verifies a whole export with a key, and with heads that were kept outside the car. It is read line by line and no
/// further than to the first fault, so that a file of any size takes the memory of one line.
pub fn verify_from(
    export: &mut dyn BufRead,
    key: PublicKey,
    outside: &[Envelope],
) -> Result<Verdict, ExportFault> {
    let mut verifier = Verifier::new(key);
    for envelope in outside {
        verifier.against(envelope.clone())?;
    }
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than a line may have shows that it is too long, and one is its end.
        let most = MOST_LINE as u64 + 2;
        (&mut *export).take(most).read_until(b'\n', &mut line)?;
        match line.split_last() {
            None => return Ok(verifier.end_of_export()?),
            Some((b'\n', line)) => verifier.line(line)?,
            // The verifier has a word for what is too long.
            Some(_) if line.len() > MOST_LINE => verifier.line(&line)?,
            Some(_) => return Err(Fault::Torn.into()),
        }
    }
}

/// As [`verify_from`], of bytes in memory.
pub fn verify(mut export: &[u8], key: PublicKey, outside: &[Envelope]) -> Result<Verdict, Fault> {
    match verify_from(&mut export, key, outside) {
        Ok(verdict) => Ok(verdict),
        Err(ExportFault::Fault(fault)) => Err(fault),
        Err(ExportFault::Io(e)) => unreachable!("memory can be read: {e}"),
    }
}
