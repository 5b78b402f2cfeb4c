//! Evidence: everything about one hit in one signed file, checkable with nothing but a public key.
//!
//! In: a hit's name, a person, a case. Out: a zip whose `manifest.dsse.json`, signed by the device key,
//! names every other file by its SHA-256. Costs: milliseconds. Leaves to others: who may have it, where it
//! goes. That it was made is in the audit log before it exists.
//!
//! A bundle has one reading: whoever checks it makes it anew from what was signed, and takes no other bytes
//! (`archive.rs`). What a person sees who opens it with any program is what was checked.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

mod archive;
mod page;
#[cfg(test)]
mod tests;

pub use archive::MOST_BYTES;

use crate::audit::{Actor, Audit, AuditError, AuditEvent};
use crate::clock::Clock;
use crate::dsse::{self, DsseError, Envelope, PublicKey};
use crate::grounds::{self, VagueError};
use crate::hits::{KeptHit, Outbox, OutboxError};
use crate::keys::Protection;
use crate::policy::{Permission, Who};
use crate::records::disposition::Standing;
use crate::sessions::{SignedIn, Stated, StatesWho};
use crate::text::ForeignText;

/// Type of the manifest's payload.
pub const MANIFEST_TYPE: &str = "application/vnd.outrider.evidence.v1+json";

/// The signed file in every bundle.
pub const MANIFEST: &str = "manifest.dsse.json";

/// Version of the bundle's form. Archives of version 1 could be read in more than one way.
const FORMAT: u8 = 2;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The hits.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// It could not be written down, so it does not happen.
    #[error("no export without a record: {0}")]
    Unaudited(#[from] AuditError),
    /// No grounds.
    #[error(transparent)]
    Vague(#[from] VagueError),
    /// Not a hit's name.
    #[error("{0:?} is no hit: give its ULID, 26 characters")]
    NoName(String),
    /// Not this role.
    #[error("{role} may not {what}: ask a supervisor, or whoever signs this agency's policy")]
    Role {
        /// Who asked.
        role: &'static str,
        /// For what.
        what: &'static str,
    },
    /// Nothing to sign with.
    #[error("no export without the device key")]
    NoKey,
    /// More than a bundle may hold.
    #[error("bundle: more than {} files or {} bytes", archive::MOST_FILES, archive::MOST_BYTES)]
    TooLarge,
}

/// Why a bundle is not believed. Names the first file that does not fit.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not a bundle.
    #[error("not an evidence bundle: {0}")]
    Container(String),
    /// The signature.
    #[error("{MANIFEST}: {0}")]
    Signature(#[from] DsseError),
    /// A file that is not what was signed.
    #[error("{file}: {why}")]
    File {
        /// Which.
        file: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form.
    pub v: u8,
    /// The hit.
    pub hit: String,
    /// Whose car.
    pub agency: String,
    /// Which car.
    pub vehicle: String,
    /// When the bundle was made.
    pub made: Timestamp,
    /// For whom.
    pub made_by: String,
    /// For which case.
    pub case: String,
    /// The program's version.
    pub software: String,
    /// Where the signing key comes from.
    pub key_protection: Option<Protection>,
    /// Every other file, in order.
    pub files: Vec<Named>,
}

/// A file by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name in the bundle.
    pub name: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// A bundle, ready to be written.
pub struct Bundle {
    /// The zip.
    pub bytes: Vec<u8>,
    /// Its SHA-256, as the audit log has it.
    pub sha256: String,
}

/// Who wants it, and for which case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The hit's name.
    pub hit: String,
    /// The officer's number, where that is stated: it has to be who is signed in.
    #[serde(default)]
    pub officer: String,
    /// In which role, where that is stated.
    #[serde(default)]
    pub role: Option<Who>,
    /// For which case.
    pub case: String,
}

impl StatesWho for Request {
    fn stated(&self) -> Stated<'_> {
        Stated { number: Some(&self.officer), role: self.role }
    }
}

/// Makes a bundle for somebody with grounds; who has none is refused, and both are on record.
pub fn ask(
    outbox: &Outbox,
    audit: &Audit,
    clock: &dyn Clock,
    may: &BTreeSet<Permission>,
    person: &SignedIn,
    request: &Request,
) -> Result<Bundle, EvidenceError> {
    let who = person.actor();
    let hit = Ulid::from_string(&request.hit).ok();
    let checked = (|| {
        grounds::case_number(&request.case)?;
        if !may.contains(&Permission::ExportEvidence) {
            let (role, what) = (person.role().word(), Permission::ExportEvidence.words());
            return Err(EvidenceError::Role { role, what });
        }
        hit.ok_or_else(|| EvidenceError::NoName(ForeignText::shown(&request.hit, 40).into()))
    })();
    let made = checked.and_then(|hit| export(outbox, audit, clock, hit, &who, &request.case));
    match made {
        // That it was not recorded cannot be recorded.
        Ok(_) | Err(EvidenceError::Unaudited(_)) => made,
        Err(e) => {
            // A text that is no hit's name may be anything, a plate too.
            let hit = hit.map_or_else(String::new, |hit| hit.to_string());
            let good = crate::grounds::case_number(&request.case).is_ok();
            let case = if good { request.case.clone() } else { String::new() };
            let why = match &e {
                EvidenceError::Vague(vague) => vague.on_record().to_owned(),
                EvidenceError::NoName(_) => "no hit's name".to_owned(),
                other => other.to_string(),
            };
            audit.append(who, AuditEvent::EvidenceRefused { hit, case, why })?;
            Err(e)
        }
    }
}

/// Makes a bundle, and writes down that it was made. Whether `who` may is the caller's question.
pub fn export(
    outbox: &Outbox,
    audit: &Audit,
    clock: &dyn Clock,
    hit: Ulid,
    who: &Actor,
    case: &str,
) -> Result<Bundle, EvidenceError> {
    let kept = outbox.kept(hit)?.ok_or(OutboxError::NoSuchHit(hit))?;
    let steps = outbox.dispositions(hit)?;
    let jpeg = outbox.plate_jpeg(hit)?;
    let standing = Standing::of(&steps);
    let mut records = Vec::new();
    for line in audit.about(hit)? {
        records.extend(line);
        records.push(b'\n');
    }
    let pretty = |value: &serde_json::Value| {
        let mut text = serde_json::to_vec_pretty(value).expect("JSON is JSON");
        text.push(b'\n');
        text
    };
    let json = |value: serde_json::Result<serde_json::Value>| {
        pretty(&value.expect("reports have string keys and finite numbers"))
    };
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("index.html".into(), page::html(&kept, &steps, standing, jpeg.is_some()).into_bytes()),
        ("hit.json".into(), json(serde_json::to_value(&kept.report))),
        ("entry.json".into(), json(serde_json::to_value(entry(&kept)))),
        ("reading.json".into(), json(serde_json::to_value(&kept.detail.reading))),
        ("dispositions.json".into(), json(serde_json::to_value(&steps))),
        ("audit.jsonl".into(), records),
    ];
    if let Some(jpeg) = jpeg {
        files.push(("plate.jpg".into(), jpeg));
    }
    if let Some(sealed) = audit.checkpoint()? {
        files.push(("audit-checkpoint.dsse.json".into(), sealed.envelope));
    }
    let manifest = Manifest {
        v: FORMAT,
        hit: hit.to_string(),
        agency: kept.report.agency.clone(),
        vehicle: kept.report.vehicle.clone(),
        made: clock.now().wall,
        made_by: who.to_string(),
        case: case.into(),
        software: env!("CARGO_PKG_VERSION").into(),
        key_protection: audit.protection(),
        files: files.iter().map(|(name, bytes)| Named::of(name, bytes)).collect(),
    };
    let payload = serde_json::to_vec(&manifest).expect("strings and numbers");
    let envelope = audit.sign(MANIFEST_TYPE, payload).ok_or(EvidenceError::NoKey)?;
    files.insert(0, (MANIFEST.into(), envelope.to_json()));
    let bytes = pack(&files).ok_or(EvidenceError::TooLarge)?;
    let sha256 = digest(&bytes);
    let event = AuditEvent::EvidenceExported { hit, case: case.into(), sha256: sha256.clone() };
    audit.append(who.clone(), event)?;
    Ok(Bundle { bytes, sha256 })
}

/// The list's line: what left with the hit, and its free text, which did not.
fn entry(kept: &KeptHit) -> serde_json::Value {
    serde_json::json!({
        "entry": kept.report.entry,
        "other_entries": kept.report.other_entries,
        "reason": kept.detail.reason,
        "vehicle": kept.detail.vehicle,
    })
}

impl Named {
    fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.into(), sha256: digest(bytes), bytes: bytes.len() as u64 }
    }
}

/// SHA-256, hexadecimal, as the audit log has it of a bundle.
pub fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

fn pack(files: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    archive::pack(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

/// Whether a file of this name is the same one to every program and system.
fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

/// Checks a bundle with the car's public key and nothing else.
///
/// Names the first file that is missing, was added, stands elsewhere or was changed. Then the bundle is made
/// anew from the files that were found right: other bytes than those are refused, whatever they are.
pub fn verify(bundle: &[u8], key: &PublicKey) -> Result<Manifest, VerifyError> {
    let container = |why: &str| VerifyError::Container(why.to_owned());
    let bad = |file: &str, why| {
        let file: String = file.chars().take(80).collect();
        // A name that no bundle has stands in quotes: it is somebody's words.
        VerifyError::File { file: if is_plain(&file) { file } else { format!("{file:?}") }, why }
    };
    let found = archive::unpack(bundle).map_err(VerifyError::Container)?;
    let Some((&(_, signed), others)) =
        found.split_first().filter(|((name, _), _)| *name == MANIFEST)
    else {
        return Err(bad(MANIFEST, "it is missing, or not the first file"));
    };
    let envelope = Envelope::parse(signed)?;
    let (payload, _) = envelope.open(MANIFEST_TYPE, std::slice::from_ref(key), 1)?;
    let manifest: Manifest = dsse::document(payload)
        .map_err(|why| VerifyError::Container(format!("{MANIFEST}: {why}")))?;
    if manifest.v != FORMAT {
        return Err(VerifyError::Container(format!(
            "{MANIFEST} is of format {}, this reads format {FORMAT}",
            manifest.v
        )));
    }
    let is_named = |name: &str| manifest.files.iter().any(|file| file.name == name);
    let is_there = |name: &str| others.iter().any(|(found, _)| *found == name);
    let mut seen = BTreeSet::from([MANIFEST]);
    let mut there = others.iter();
    for named in &manifest.files {
        if !is_plain(&named.name) || !seen.insert(&named.name) {
            return Err(bad(&named.name, "a bundle has no file of that name, or not twice"));
        }
        match there.next() {
            Some((name, bytes)) if *name == named.name => {
                if Named::of(name, bytes) != *named {
                    let why = "its SHA-256 is not the one that was signed: it was changed";
                    return Err(bad(name, why));
                }
            }
            Some((name, _)) if seen.contains(name) => return Err(bad(name, "it is there twice")),
            Some((name, _)) if !is_named(name) => {
                return Err(bad(name, "it was added: nobody signed it"));
            }
            _ if is_there(&named.name) => return Err(bad(&named.name, "it is not in its place")),
            _ => return Err(bad(&named.name, "it is missing or damaged")),
        }
    }
    if let Some((name, _)) = there.next() {
        let twice = seen.contains(name);
        let why = if twice { "it is there twice" } else { "it was added: nobody signed it" };
        return Err(bad(name, why));
    }
    if archive::pack(found.iter().copied()).is_none_or(|again| again != bundle) {
        return Err(container(
            "its files are those that were signed, and its bytes are not those that they make: something was \
             put before, between or behind them, or they were packed anew",
        ));
    }
    Ok(manifest)
}

/// A bundle of a made-up hit, for tests and fuzzing.
#[cfg(any(test, feature = "testing"))]
pub fn made_up(key: &crate::dsse::SigningKey) -> Vec<u8> {
    let files: Vec<(String, Vec<u8>)> = vec![
        ("index.html".into(), b"<!doctype html>\n<title>Hit</title>\n".to_vec()),
        ("hit.json".into(), b"{}\n".to_vec()),
        ("plate.jpg".into(), vec![0xff, 0xd8, 0xff, 0xd9]),
    ];
    let manifest = Manifest {
        v: FORMAT,
        hit: Ulid(1).to_string(),
        agency: "peel".into(),
        vehicle: "4127".into(),
        made: Timestamp::UNIX_EPOCH,
        made_by: "supervisor 77".into(),
        case: "26-00417".into(),
        software: env!("CARGO_PKG_VERSION").into(),
        key_protection: None,
        files: files.iter().map(|(name, bytes)| Named::of(name, bytes)).collect(),
    };
    let payload = serde_json::to_vec(&manifest).expect("strings and numbers");
    let envelope = Envelope::sign(MANIFEST_TYPE, payload, &[key]);
    pack(&[vec![(MANIFEST.into(), envelope.to_json())], files].concat()).expect("small")
}
