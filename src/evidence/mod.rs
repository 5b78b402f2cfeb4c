//! Evidence: everything about one hit in one signed file, checkable with nothing but a public key.
//!
//! In: a hit's name, a person, a case. Out: a zip whose `manifest.dsse.json`, signed by the device key,
//! names every other file by its SHA-256. Costs: milliseconds. Leaves to others: who may have it, where it
//! goes. That it was made is in the audit log before it exists.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _, Write as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;
use zip::write::SimpleFileOptions;

mod kept;
mod page;
#[cfg(test)]
mod tests;

pub use kept::{Frame, Reading};

use crate::audit::{Actor, Audit, AuditError, AuditEvent};
use crate::clock::Clock;
use crate::disposition::Standing;
use crate::dsse::{DsseError, Envelope, PublicKey};
use crate::keys::Protection;
use crate::lookup::{self, VagueError};
use crate::policy::Permission;
use crate::uplink::{KeptHit, Outbox, OutboxError};

/// Type of the manifest's payload.
pub const MANIFEST_TYPE: &str = "application/vnd.outrider.evidence.v1+json";

/// The signed file in every bundle.
pub const MANIFEST: &str = "manifest.dsse.json";

/// Version of the bundle's form.
const FORMAT: u8 = 1;

/// Largest file that is unpacked: a picture and a page are far below, a zip bomb is not.
const MOST_BYTES: u64 = 64 << 20;

/// Files that are looked at.
const MOST_FILES: usize = 256;

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
    /// The container.
    #[error("bundle: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// Writing it.
    #[error("bundle: {0}")]
    Io(#[from] std::io::Error),
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
    /// The officer's number.
    pub officer: String,
    /// In which role.
    pub role: crate::policy::Who,
    /// For which case.
    pub case: String,
}

/// Makes a bundle for somebody with grounds; who has none is refused, and both are on record.
pub fn ask(
    outbox: &Outbox,
    audit: &Audit,
    clock: &dyn Clock,
    may: &BTreeSet<Permission>,
    request: &Request,
) -> Result<Bundle, EvidenceError> {
    let who = lookup::actor(request.role, request.officer.trim());
    let hit = Ulid::from_string(&request.hit).ok();
    let checked = (|| {
        lookup::case_number(&request.case)?;
        lookup::officer(&request.officer)?;
        if !may.contains(&Permission::ExportEvidence) {
            let (role, what) = (request.role.word(), Permission::ExportEvidence.words());
            return Err(EvidenceError::Role { role, what });
        }
        hit.ok_or_else(|| EvidenceError::NoName(request.hit.chars().take(40).collect()))
    })();
    let made = checked.and_then(|hit| export(outbox, audit, clock, hit, &who, &request.case));
    match made {
        // That it was not recorded cannot be recorded.
        Ok(_) | Err(EvidenceError::Unaudited(_)) => made,
        Err(e) => {
            // A text that is no hit's name may be anything, a plate too.
            let hit = hit.map_or_else(String::new, |hit| hit.to_string());
            let (case, why) = (request.case.clone(), e.to_string());
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
    let bytes = pack(&files)?;
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

fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

fn pack(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, EvidenceError> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name.as_str(), SimpleFileOptions::default().unix_permissions(0o644))?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Checks a bundle with the car's public key and nothing else.
pub fn verify(bundle: &[u8], key: &PublicKey) -> Result<Manifest, VerifyError> {
    let container = |e: &dyn std::fmt::Display| VerifyError::Container(e.to_string());
    let mut zip = zip::ZipArchive::new(Cursor::new(bundle)).map_err(|e| container(&e))?;
    if zip.len() > MOST_FILES {
        return Err(container(&"it holds more files than any bundle"));
    }
    let mut read = |name: &str| -> Result<Vec<u8>, VerifyError> {
        let bad = |why| VerifyError::File { file: name.to_owned(), why };
        let file = zip.by_name(name).map_err(|_| bad("it is missing or damaged"))?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|_| bad("it is damaged"))?;
        match bytes.len() as u64 > MOST_BYTES {
            true => Err(bad("it is larger than any evidence")),
            false => Ok(bytes),
        }
    };
    let envelope = Envelope::parse(&read(MANIFEST)?)?;
    let (payload, _) = envelope.open(MANIFEST_TYPE, std::slice::from_ref(key), 1)?;
    let manifest: Manifest = serde_json::from_slice(payload).map_err(|e| container(&e))?;
    for named in &manifest.files {
        let bytes = read(&named.name)?;
        if Named::of(&named.name, &bytes) != *named {
            let why = "its SHA-256 is not the one that was signed: it was changed";
            return Err(VerifyError::File { file: named.name.clone(), why });
        }
    }
    // Two files of one name: tools differ in which they show.
    let mut seen = BTreeSet::new();
    for i in 0..zip.len() {
        let file = zip.by_index_raw(i).map_err(|e| container(&e))?;
        let name = file.name().map_err(|e| container(&e))?.into_owned();
        let signed = name == MANIFEST || manifest.files.iter().any(|f| f.name == name);
        if !signed || !seen.insert(name.clone()) {
            let why = if signed { "it is there twice" } else { "it was added: nobody signed it" };
            return Err(VerifyError::File { file: name, why });
        }
    }
    Ok(manifest)
}
