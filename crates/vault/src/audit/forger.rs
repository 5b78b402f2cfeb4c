//! Makes audit logs in memory and forges them as somebody could who has the log but not its key. It
//! is for tests and fuzzing.
//!
//! In: a log and the changes to make. Out: the log as the forger would hand it in: lines dropped,
//! doubled, swapped, made up, altered or sealed by the forger's own key, and every hash computed
//! anew. The daemon contains none of this.

use super::chain::{self, Checkpoint, Record};
use super::event::{Actor, AuditEvent};
use crate::clock::TimeSource;
use crate::dsse::{Envelope, PublicKey, SigningKey};

/// A forgery of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Removes the line.
    Drop,
    /// Removes the line and all lines after it.
    Cut,
    /// Doubles the line.
    Double,
    /// Exchanges the line with the one of this number.
    Swap(usize),
    /// Makes up a record before the line.
    Invent,
    /// Changes who did it.
    Alter,
    /// Removes every seal from this line on.
    Strip,
    /// Makes up, before the line, a change to the forger's key and a seal that confirms it.
    ChangeKey,
    /// Replaces every seal from this line on by the forger's own.
    Reseal {
        /// Whether they claim to be signed by the car's key.
        named: bool,
    },
}

/// One line of an export.
#[derive(Debug, Clone)]
enum Line {
    Record(Box<Record>),
    Seal(Vec<u8>),
    /// A seal that the forger makes.
    Forged {
        named: bool,
    },
    Other(Vec<u8>),
}

/// Makes a log as cars export it: with this many records, sealed after every `sealed_every`, the
/// last of them the export's own.
pub fn make_log(key: &SigningKey, records: u64, sealed_every: u64) -> Vec<u8> {
    let (mut out, mut prev, mut first, mut sealed) = (Vec::new(), chain::BEFORE_ALL, None, 0);
    for seq in 1..=records {
        let event = match seq == records {
            true => {
                let head = if seq == 1 { String::new() } else { chain::hex(&prev) };
                AuditEvent::AuditExported { records: seq - 1, head }
            }
            false => AuditEvent::CameraBack { camera: "front".into(), seconds: seq },
        };
        let line = record(seq, event, &prev).line();
        prev = chain::hash(&line);
        let first = *first.get_or_insert(prev);
        out.extend_from_slice(&line);
        out.push(b'\n');
        if seq == records || seq - sealed >= sealed_every {
            out.extend_from_slice(&head(seq, &first, &prev, sealed).sign(&[key]).to_json());
            out.push(b'\n');
            sealed = seq;
        }
    }
    out
}

/// Applies these forgeries to a log in order, each to the line of its number; then numbers and
/// hashes every record anew if `rehash` is set. `own` is the forger's key, `car` the car's public
/// key.
pub fn forge(
    export: &[u8],
    edits: &[(usize, Edit)],
    rehash: bool,
    own: &SigningKey,
    car: &PublicKey,
) -> Vec<u8> {
    let body = export.strip_suffix(b"\n").unwrap_or(export);
    let mut lines: Vec<Line> = body.split(|b| *b == b'\n').map(read).collect();
    for (at, edit) in edits {
        if !lines.is_empty() {
            let at = at % lines.len();
            apply(&mut lines, at, *edit, own, car);
        }
    }
    write(lines, rehash, own, car)
}

fn read(line: &[u8]) -> Line {
    match serde_json::from_slice(line) {
        Ok(record) => Line::Record(Box::new(record)),
        Err(_) if line.starts_with(b"{\"payloadType\"") => Line::Seal(line.to_vec()),
        Err(_) => Line::Other(line.to_vec()),
    }
}

fn apply(lines: &mut Vec<Line>, at: usize, edit: Edit, own: &SigningKey, car: &PublicKey) {
    let strip = |lines: &mut Vec<Line>| {
        let mut tail = lines.split_off(at);
        tail.retain(|line| !matches!(line, Line::Seal(_) | Line::Forged { .. }));
        lines.append(&mut tail);
    };
    let made_up = |event| Line::Record(Box::new(record(at as u64 + 1, event, &chain::BEFORE_ALL)));
    match edit {
        Edit::Drop => _ = lines.remove(at),
        Edit::Cut => lines.truncate(at),
        Edit::Double => lines.insert(at, lines[at].clone()),
        Edit::Swap(with) => {
            let with = with % lines.len();
            lines.swap(at, with);
        }
        Edit::Invent => lines.insert(at, made_up(AuditEvent::GpsLost)),
        Edit::Alter => {
            if let Line::Record(record) = &mut lines[at] {
                record.who = Actor::Officer("9999".into());
            }
        }
        Edit::Strip => strip(lines),
        Edit::ChangeKey => {
            let event = AuditEvent::KeyRotated {
                old: car.id(),
                new: own.public().id(),
                public: own.public().to_string(),
                protection: crate::keys::Protection::KeyFile,
            };
            lines.splice(at..at, [made_up(event), Line::Forged { named: true }]);
        }
        Edit::Reseal { named } => {
            strip(lines);
            lines.push(Line::Forged { named });
        }
    }
}

fn write(lines: Vec<Line>, rehash: bool, own: &SigningKey, car: &PublicKey) -> Vec<u8> {
    let (mut out, mut seq, mut prev, mut first) = (Vec::new(), 0, chain::BEFORE_ALL, None);
    let mut sealed = 0;
    for line in lines {
        let line = match line {
            Line::Record(mut record) => {
                if rehash {
                    (record.seq, record.prev) = (seq + 1, chain::hex(&prev));
                    if let AuditEvent::AuditExported { records, head } = &mut record.event {
                        *records = seq;
                        *head = if seq == 0 { String::new() } else { chain::hex(&prev) };
                    }
                }
                seq = record.seq;
                let line = record.line();
                prev = chain::hash(&line);
                first.get_or_insert(prev);
                line
            }
            Line::Forged { named } => {
                let seal = head(seq, &first.unwrap_or(prev), &prev, sealed).sign(&[own]).to_json();
                sealed = seq;
                match named {
                    false => seal,
                    // The car's key is named, but the signature is the forger's.
                    true => {
                        let text = String::from_utf8_lossy(&seal).into_owned();
                        let [from, to] = [own.public().id(), car.id()].map(|id| id.to_string());
                        text.replace(&from, &to).into_bytes()
                    }
                }
            }
            Line::Seal(line) => {
                sealed = seq;
                line
            }
            Line::Other(line) => line,
        };
        out.extend_from_slice(&line);
        out.push(b'\n');
    }
    out
}

fn record(seq: u64, event: AuditEvent, prev: &chain::Hash) -> Record {
    Record {
        v: chain::FORMAT,
        seq,
        wall: jiff::Timestamp::UNIX_EPOCH,
        time_source: TimeSource::Unverified,
        boot: "00".repeat(16),
        boot_ms: seq,
        who: Actor::System,
        event,
        prev: chain::hex(prev),
    }
}

fn head(seq: u64, first: &chain::Hash, head: &chain::Hash, previous: u64) -> Checkpoint {
    Checkpoint {
        v: chain::FORMAT,
        agency: "peel".into(),
        vehicle: "4127".into(),
        chain: chain::hex(first),
        seq,
        head: chain::hex(head),
        at: jiff::Timestamp::UNIX_EPOCH,
        previous: Some(previous),
    }
}

/// The seals of a log in order, as they leave the car.
pub fn seals(export: &[u8]) -> Vec<Envelope> {
    export.split(|b| *b == b'\n').filter_map(|line| Envelope::parse(line).ok()).collect()
}
