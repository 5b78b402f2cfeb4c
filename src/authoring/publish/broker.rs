//! Brings a signed version to a broker: chunks first, then the manifest; at last it removes chunks that are left over.
//!
//! In: the store and a [`Broker`]. Out: retained messages, and a file that remembers which of them the
//! broker has acknowledged, so that an interrupted run goes on where it was. Leaves to others: the socket
//! (`mqtt.rs`).
//!
//! A car that sees the new manifest finds every chunk of it. One that is still fetching the version
//! before finds those too: they go only once none of the newest few manifests names them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::store::Store;
use super::{PublishError, at};
use crate::files;
use crate::hotlist::format::{Address, ListKeys, Manifest};

/// Messages under way at once: what mosquitto takes by default.
pub(super) const WINDOW: usize = 20;

/// Why a broker did not take something, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// There is no connection, or it ended.
    #[error("broker {at}: {why}")]
    Connection {
        /// Which broker.
        at: String,
        /// Why.
        why: String,
    },
    /// The broker accepted the connection and refused a message.
    #[error("broker refused a message to {topic}: {why}")]
    Refused {
        /// Where to.
        topic: String,
        /// Why.
        why: String,
    },
    /// Certificates, passwords, settings.
    #[error("{0}")]
    Settings(String),
}

/// A broker, as far as publishing needs one.
pub trait Broker {
    /// Hands over a retained message; an empty one removes the topic's message. The caller keeps
    /// no more than 20 under way.
    fn send(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BrokerError>;
    /// Waits until one message that was handed over has been acknowledged, in the order of sending.
    /// `None` if nothing is under way.
    fn acknowledged(&mut self) -> Result<Option<String>, BrokerError>;
}

/// Where things are published.
pub mod topics {
    use crate::hotlist::format::Address;

    /// The manifest's topic.
    pub fn manifest(agency: &str, list: &str) -> String {
        format!("alpr/v1/{agency}/hotlist/{list}/manifest")
    }

    /// A chunk's or page's topic.
    pub fn chunk(agency: &str, list: &str, address: Address) -> String {
        format!("alpr/v1/{agency}/hotlist/{list}/chunk/{address}")
    }

    /// The policy's topic.
    pub fn policy(agency: &str) -> String {
        format!("alpr/v1/{agency}/policy")
    }

    /// The topic of commands to one car.
    pub fn command(agency: &str, vehicle: &str) -> String {
        format!("alpr/v1/{agency}/vehicle/{vehicle}/cmd")
    }

    /// The topic of the signed statement of a package of models.
    pub fn model(agency: &str, kind: &str) -> String {
        format!("alpr/v1/{agency}/models/{kind}/package")
    }

    /// The topic of a part of such a package.
    pub fn model_part(agency: &str, kind: &str, digest: &str) -> String {
        format!("alpr/v1/{agency}/models/{kind}/part/{digest}")
    }

    /// The trust document's topic.
    pub fn trust(agency: &str) -> String {
        format!("alpr/v1/{agency}/trust")
    }
}

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Published {
    /// The version.
    pub version: u64,
    /// Chunks and pages sent, or parts of a package of models.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks and pages that the broker had already.
    pub had: u64,
    /// Chunks and pages taken away.
    pub cleaned: u64,
}

/// Brings the newest signed version to a broker. `keep` versions stay whole there; `anew` sends
/// everything, for a broker that has lost what it had.
pub fn publish(
    store: &Store,
    keys: &ListKeys,
    broker: &mut dyn Broker,
    name: &str,
    (keep, anew): (usize, bool),
    mut progress: impl FnMut(u64, u64),
) -> Result<Published, PublishError> {
    let manifest = store.newest_or_error(true)?;
    let signed = store.signed(manifest.version)?;
    let key = |m: &Manifest| {
        keys.get(m.key).ok_or_else(|| PublishError::Key {
            what: format!("version {}", m.version),
            wanted: m.key.to_string(),
            keys: "the list key file".into(),
        })
    };
    let journal_path = store.published_path(name);
    let mut has = if anew { BTreeSet::new() } else { read_journal(&journal_path)? };
    let mut journal = Journal::open(&journal_path, anew)?;
    let messages = store.messages(key(&manifest)?, &manifest)?;
    let mut report = Published { version: manifest.version, ..Published::default() };
    let missing: Vec<_> = messages.iter().filter(|m| !has.contains(&m.address)).collect();
    report.had = (messages.len() - missing.len()) as u64;
    let total = missing.iter().map(|m| u64::from(m.bytes)).sum();
    let mut acknowledge = |broker: &mut dyn Broker, has: &mut BTreeSet<Address>| {
        let Some(topic) = broker.acknowledged()? else { return Ok(false) };
        if let Some(address) = topic.rsplit('/').next().and_then(Address::parse) {
            journal.note(address)?;
            has.insert(address);
        }
        Ok::<_, PublishError>(true)
    };
    for (n, message) in missing.iter().enumerate() {
        let topic = topics::chunk(&manifest.agency, &manifest.list, message.address);
        broker.send(&topic, store.get(message.address)?)?;
        if n + 1 >= WINDOW {
            acknowledge(broker, &mut has)?;
        }
        report.sent += 1;
        report.bytes += u64::from(message.bytes);
        progress(report.bytes, total);
    }
    while acknowledge(broker, &mut has)? {}
    // The manifest is published only now that every chunk is there.
    broker.send(&topics::manifest(&manifest.agency, &manifest.list), signed)?;
    while broker.acknowledged()?.is_some() {}

    let mut named = BTreeSet::new();
    let signed_versions = store.versions()?.into_iter().rev().filter(|(_, signed)| *signed);
    for (version, _) in signed_versions.take(keep.max(1)) {
        let kept = store.manifest(version)?;
        let Ok(key) = key(&kept) else { continue };
        match store.messages(key, &kept) {
            Ok(messages) => named.extend(messages.iter().map(|m| m.address)),
            // The store no longer has it, so nobody can fetch that version any more.
            Err(PublishError::Missing(_)) => {}
            Err(e) => return Err(e),
        }
    }
    let left: Vec<_> = has.difference(&named).copied().collect();
    for address in &left {
        let topic = topics::chunk(&manifest.agency, &manifest.list, *address);
        broker.send(&topic, Vec::new())?;
        report.cleaned += 1;
        if report.cleaned as usize >= WINDOW {
            broker.acknowledged()?;
        }
    }
    while broker.acknowledged()?.is_some() {}
    let stays: BTreeSet<_> = has.intersection(&named).copied().collect();
    write_journal(&journal_path, &stays)?;
    Ok(report)
}

fn read_journal(path: &Path) -> Result<BTreeSet<Address>, PublishError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(Address::parse).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(e) => Err(at(path)(e)),
    }
}

fn write_journal(path: &Path, has: &BTreeSet<Address>) -> Result<(), PublishError> {
    let lines: String = has.iter().map(|address| format!("{address}\n")).collect();
    files::replace(path, &[lines.as_bytes()]).map_err(at(path))
}

/// Writes acknowledgements down as they come. A line that a power cut has cut short is no address, so that
/// its chunk is sent again.
struct Journal {
    path: std::path::PathBuf,
    file: fs::File,
}

impl Journal {
    fn open(path: &Path, anew: bool) -> Result<Self, PublishError> {
        let mut options = OpenOptions::new();
        options.create(true).append(!anew).write(true).truncate(anew);
        let mut file = options.open(path).map_err(at(path))?;
        // After a cut line, start a new one.
        file.write_all(b"\n").map_err(at(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn note(&mut self, address: Address) -> Result<(), PublishError> {
        self.file.write_all(format!("{address}\n").as_bytes()).map_err(at(&self.path))
    }
}
