//! A signed package with one model: how it is written, and how it is verified.
//!
//! In: a folder with `model.toml` and `model.onnx` and a key; or a file, and whom the root trusts for models.
//! Out: the file; or the very bytes that were signed; or the statement alone, which comes first over the broker. Costs:
//! one signature, two digests and those of the parts. Leaves to others: whether the model reads well and fast enough
//! (`trial.rs`), and what becomes of it (`kept.rs`).
//!
//! A file is one line with a signed [`Statement`] in its DSSE envelope, then the bytes of `model.toml`, then those of
//! `model.onnx`, and nothing else. The statement has the length and the digest of both, so that every byte of the file
//! is signed or refused. There is no path in it: the two names are fixed.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::Standing;
use crate::dated::{Dated, DatedError, Kind as DatedKind};
use crate::dsse::{self, DsseError, Envelope, KeyId, PublicKey, SigningKey};
use crate::onboard::vision::one_file::{self, NotOneFile};
use crate::text::{ForeignText, TextError};

/// Type of the envelope's payload.
pub const MODEL_TYPE: &str = "application/vnd.outrider.model.v1+json";

/// Longest first line, in bytes: the one with the digests of the most parts has less than 47,000.
const MOST_LINE: usize = 64 << 10;

/// Longest `model.toml`, in bytes; the longest of ours has 1,700.
const MOST_TOML: u64 = 64 << 10;

/// Longest `model.onnx`, in bytes; the longest of ours has 7.1 million.
const MOST_ONNX: u64 = 32 << 20;

/// Longest package file, in bytes.
pub const MOST_PACKAGE: u64 = MOST_LINE as u64 + 1 + MOST_TOML + MOST_ONNX;

/// Length of a part, but for the last one, in bytes: brokers carry messages of up to 96 KiB.
pub const PART_BYTES: usize = 64 << 10;

/// Longest name of a model, in characters.
const MOST_NAME: usize = 48;

/// Longest release, in characters, such as `0.8.0`.
const MOST_RELEASE: usize = 24;

/// What a model does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Finds plates.
    Detector,
    /// Reads their text.
    Ocr,
    /// Tells who issued them.
    Jurisdiction,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Detector, Self::Ocr, Self::Jurisdiction];

    /// In one word, as `model.toml` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Ocr => "ocr",
            Self::Jurisdiction => "jurisdiction",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a package is not made, or is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The file does not begin with a line.
    #[error(
        "no model package: it does not begin with a signed statement of at most {MOST_LINE} bytes on a line"
    )]
    NoLine,
    /// The envelope is not believed.
    #[error("model package: {0}")]
    Signature(#[from] DsseError),
    /// The statement is not in its one form.
    #[error("model package: {0}")]
    Malformed(String),
    /// One of its texts cannot be shown.
    #[error("model package: its {what} {why}")]
    Text {
        /// Which.
        what: &'static str,
        /// What is wrong.
        why: TextError,
    },
    /// The name has other characters than those of a package.
    #[error("model package: a model's name is 1 to {MOST_NAME} of a-z, 0-9 and -, this one is not")]
    Name,
    /// A file has an impossible length.
    #[error("model package: {file} has {bytes} bytes, must have 1 to {most}")]
    Size {
        /// Which file.
        file: &'static str,
        /// Its length.
        bytes: u64,
        /// The most.
        most: u64,
    },
    /// The file is longer or shorter than its statement says.
    #[error(
        "model package has {found} bytes after its first line, its statement says {stated}: it was cut or added to"
    )]
    Length {
        /// How many there are.
        found: u64,
        /// How many there should be.
        stated: u64,
    },
    /// A file is not the one that was signed.
    #[error(
        "model package: {file} is not the file that was signed (SHA-256 {found}, signed {stated})"
    )]
    Digest {
        /// Which file.
        file: &'static str,
        /// Its digest.
        found: String,
        /// The digest that was signed.
        stated: String,
    },
    /// Some of its weights are in no file that was signed.
    #[error("model.onnx: {0}")]
    Onnx(NotOneFile),
    /// A part is not the one that was signed.
    #[error("model package: part {n} is not the one that was signed")]
    Part {
        /// Which, from 1.
        n: usize,
    },
    /// `model.toml` contradicts the statement, or does not belong into a package.
    #[error("model.toml: {0}")]
    Toml(String),
    /// Its date or version cannot be believed.
    #[error(transparent)]
    Dated(#[from] DatedError),
    /// It is older than what was in force.
    #[error(
        "model package has version {found} of the {kind}, version {known} was in force already: have a higher one signed"
    )]
    Rollback {
        /// What the model does.
        kind: Kind,
        /// Its version.
        found: u64,
        /// The highest version that was in force.
        known: u64,
    },
}

/// The SHA-256 of these bytes, as statements have it.
pub(super) fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Whether a text is written as [`digest`] writes one: it names folders, and is shown to people.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Refuses weights of which some are in another file, which nobody has signed. What is no ONNX file at all does not load.
fn check_onnx(onnx: &[u8]) -> Result<(), PackageError> {
    match one_file::check(onnx) {
        Err(e @ NotOneFile::Elsewhere(_)) => Err(PackageError::Onnx(e)),
        Err(NotOneFile::Foreign(_)) | Ok(()) => Ok(()),
    }
}

/// Length and digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stated {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, 64 small hexadecimal digits.
    pub sha256: String,
}

impl Stated {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: digest(bytes) }
    }

    /// Refuses other bytes than those that were signed.
    pub(super) fn check(&self, file: &'static str, bytes: &[u8]) -> Result<(), PackageError> {
        let found = Self::of(bytes);
        match found == *self {
            true => Ok(()),
            false => Err(PackageError::Digest {
                file,
                found: found.sha256,
                stated: ForeignText::shown(&self.sha256, 64).into(),
            }),
        }
    }

    fn fits(&self, file: &'static str, most: u64) -> Result<(), PackageError> {
        match (1..=most).contains(&self.bytes) {
            true => Ok(()),
            false => Err(PackageError::Size { file, bytes: self.bytes, most }),
        }
    }
}

/// The two files of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// What the model takes and gives.
    #[serde(rename = "model.toml")]
    pub toml: Stated,
    /// Its weights.
    #[serde(rename = "model.onnx")]
    pub onnx: Stated,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What the model does.
    pub kind: Kind,
    /// Its name, as in `model.toml`.
    pub name: String,
    /// The release of its weights, as in `model.toml`.
    pub release: String,
    /// The version of the package, which only grows for each kind.
    pub version: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// Its files.
    pub files: Files,
    /// The SHA-256 of each part of [`PART_BYTES`] of both files, one behind the other: what comes over the broker is
    /// signed part by part. Packages from before December 2026 have none, and come by file alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

impl Statement {
    /// In words, such as `plate-ocr-small 0.8.0, version 9`.
    pub fn words(&self) -> String {
        format!("{} {}, version {}", self.name, self.release, self.version)
    }

    /// Whether two statements are of the same package: the same model in the same bytes under the same version.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.version, &self.files) == (other.kind, other.version, &other.files)
    }

    /// Bytes of both files.
    pub fn length(&self) -> u64 {
        self.files.toml.bytes + self.files.onnx.bytes
    }

    /// Checks everything that can be seen without the files.
    fn check(&self) -> Result<(), PackageError> {
        let of_a_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=MOST_NAME).contains(&self.name.len()) || !self.name.bytes().all(of_a_name) {
            return Err(PackageError::Name);
        }
        let what = "release";
        let release = ForeignText::parse(&self.release, MOST_RELEASE);
        let release = release.map_err(|why| PackageError::Text { what, why })?;
        if release.as_str() != self.release || self.release.is_empty() {
            let why = format!("its {what} is empty or has blanks around it");
            return Err(PackageError::Malformed(why));
        }
        if self.version == 0 {
            return Err(PackageError::Malformed("versions begin at 1".into()));
        }
        self.files.toml.fits("model.toml", MOST_TOML)?;
        self.files.onnx.fits("model.onnx", MOST_ONNX)?;
        for (file, stated) in [("model.toml", &self.files.toml), ("model.onnx", &self.files.onnx)] {
            if !is_digest(&stated.sha256) {
                let found = ForeignText::shown(&stated.sha256, 64);
                let why = format!(
                    "the sha256 of {file} is {found:?}: must be 64 small hexadecimal digits"
                );
                return Err(PackageError::Malformed(why));
            }
        }
        let due = self.length().div_ceil(PART_BYTES as u64);
        if !self.parts.is_empty()
            && (self.parts.len() as u64 != due || !self.parts.iter().all(|part| is_digest(part)))
        {
            let why = format!("its parts are not the {due} digests that its length makes");
            return Err(PackageError::Malformed(why));
        }
        Ok(())
    }
}

/// What a package's own `model.toml` says of itself. The rest of it is read by the reader that loads it.
#[derive(Deserialize)]
struct Head {
    name: String,
    version: String,
    kind: String,
    file: String,
    sha256: String,
}

impl Head {
    fn read(toml: &[u8]) -> Result<Self, PackageError> {
        let text = std::str::from_utf8(toml).map_err(|e| PackageError::Toml(e.to_string()))?;
        toml::from_str(text)
            .map_err(|e| PackageError::Toml(ForeignText::remark(e.message()).into()))
    }

    /// The kind, if everything in it is as a package needs it.
    fn check(&self, onnx: &Stated) -> Result<Kind, PackageError> {
        let refuse = |why: String| Err(PackageError::Toml(why));
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.word() == self.kind) else {
            let found = ForeignText::shown(&self.kind, 40);
            return refuse(format!("kind = {found:?}: must be detector, ocr or jurisdiction"));
        };
        if self.file != "model.onnx" {
            let found = ForeignText::shown(&self.file, 40);
            return refuse(format!("file = {found:?}: must be model.onnx in a signed package"));
        }
        if self.sha256 != onnx.sha256 {
            return refuse("its sha256 is not that of model.onnx: correct one of the two".into());
        }
        Ok(kind)
    }
}

/// Makes a package.
pub fn pack(
    toml: &[u8],
    onnx: &[u8],
    version: u64,
    issued: Timestamp,
    key: &SigningKey,
) -> Result<(Statement, Vec<u8>), PackageError> {
    let files = Files { toml: Stated::of(toml), onnx: Stated::of(onnx) };
    let head = Head::read(toml)?;
    let kind = head.check(&files.onnx)?;
    check_onnx(onnx)?;
    let parts = [toml, onnx].concat().chunks(PART_BYTES).map(digest).collect();
    let statement =
        Statement { kind, name: head.name, release: head.version, version, issued, files, parts };
    statement.check()?;
    // What no car takes is not signed.
    let dated =
        Dated { kind: DatedKind::Models, issued, expires: None, version: Some((version, 0)) };
    dated.check(&issued.into())?;
    let payload = serde_json::to_vec(&statement).expect("texts, numbers and a date");
    let mut file = Envelope::sign(MODEL_TYPE, payload, &[key]).to_json();
    file.push(b'\n');
    file.extend_from_slice(toml);
    file.extend_from_slice(onnx);
    Ok((statement, file))
}

/// The first line of a package, signed by somebody who may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub statement: Statement,
    /// Who signed it.
    pub signer: KeyId,
}

impl Signed {
    /// Verifies a first line: one of `signers` has signed it and nobody else, its date can be believed, and its version
    /// is at least the `known` one of its kind.
    pub fn open(
        line: &[u8],
        signers: &[PublicKey],
        known: impl FnOnce(Kind) -> u64,
        now: &Standing,
    ) -> Result<Self, PackageError> {
        if line.len() > MOST_LINE {
            return Err(PackageError::NoLine);
        }
        let envelope = Envelope::parse(line)?;
        let (payload, signed) = envelope.open(MODEL_TYPE, signers, 1)?;
        let statement = read_statement(payload)?;
        let (kind, found, issued) = (statement.kind, statement.version, statement.issued);
        let known = known(kind);
        if found < known {
            return Err(PackageError::Rollback { kind, found, known });
        }
        let version = Some((found, known));
        Dated { kind: DatedKind::Models, issued, expires: None, version }.check(now)?;
        Ok(Self { statement, signer: signed[0].clone() })
    }
}

pub(super) fn read_statement(payload: &[u8]) -> Result<Statement, PackageError> {
    let statement: Statement = dsse::document(payload)
        .map_err(|why| PackageError::Malformed(ForeignText::remark(why).into()))?;
    statement.check()?;
    Ok(statement)
}

/// First line and the rest of a file.
pub(super) fn split(file: &[u8]) -> Result<(&[u8], &[u8]), PackageError> {
    let line = file.iter().take(MOST_LINE + 1).position(|b| *b == b'\n');
    let line = line.ok_or(PackageError::NoLine)?;
    Ok((&file[..line], &file[line + 1..]))
}

/// A package that somebody has signed who may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package<'f> {
    /// What was signed.
    pub statement: Statement,
    /// Who signed it.
    pub signer: KeyId,
    /// The bytes of `model.toml`.
    pub toml: &'f [u8],
    /// The bytes of `model.onnx`.
    pub onnx: &'f [u8],
}

impl<'f> Package<'f> {
    /// Verifies a file: its first line as [`Signed::open`] does, and that every byte of it is one that was signed.
    pub fn open(
        file: &'f [u8],
        signers: &[PublicKey],
        known: impl FnOnce(Kind) -> u64,
        now: &Standing,
    ) -> Result<Self, PackageError> {
        let (line, rest) = split(file)?;
        let Signed { statement, signer } = Signed::open(line, signers, known, now)?;
        let (toml, onnx) = check_bytes(&statement, rest)?;
        Ok(Self { statement, signer, toml, onnx })
    }
}

/// Refuses other bytes behind the first line than the statement's; returns the two files.
pub(super) fn check_bytes<'f>(
    statement: &Statement,
    rest: &'f [u8],
) -> Result<(&'f [u8], &'f [u8]), PackageError> {
    let Files { toml: toml_stated, onnx: onnx_stated } = &statement.files;
    let stated = statement.length();
    if rest.len() as u64 != stated {
        return Err(PackageError::Length { found: rest.len() as u64, stated });
    }
    let at = usize::try_from(toml_stated.bytes).expect("at most 64 KiB");
    let (toml, onnx) = rest.split_at(at);
    toml_stated.check("model.toml", toml)?;
    onnx_stated.check("model.onnx", onnx)?;
    let mut parts = rest.chunks(PART_BYTES).zip(&statement.parts);
    if let Some(n) = parts.position(|(part, stated)| digest(part) != *stated) {
        return Err(PackageError::Part { n: n + 1 });
    }
    check_onnx(onnx)?;
    let head = Head::read(toml)?;
    let is_as_stated = head.check(onnx_stated)? == statement.kind
        && head.name == statement.name
        && head.version == statement.release;
    if !is_as_stated {
        let why = "kind, name or version differ from the signed statement: pack it again";
        return Err(PackageError::Toml(why.into()));
    }
    Ok((toml, onnx))
}

/// The first line of a file, not verified: to show it at a desk.
pub fn unverified(file: &[u8]) -> Option<Statement> {
    let envelope = Envelope::parse(split(file).ok()?.0).ok()?;
    dsse::document(envelope.unverified_payload()).ok()
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;
