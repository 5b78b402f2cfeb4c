//! A package in the parts in which it goes over a broker.
//!
//! In: a file. Out: its first line and its parts, each with the digest that the first line states. Costs: two digests and
//! those of the parts. Leaves to others: the signature, which cars verify (`package.rs`); sending them
//! (`authoring/publish/models.rs`).

use super::package::{PART_BYTES, PackageError, Statement, check_bytes, read_statement, split};
use crate::dsse::{Envelope, KeyId};

/// A package as it goes over a broker.
#[derive(Debug)]
pub struct InParts<'f> {
    /// What the first line states; its signature is not verified.
    pub statement: Statement,
    /// The key that the first line names.
    pub signer: KeyId,
    /// The first line, without its end.
    pub line: &'f [u8],
    /// Each part with its digest.
    pub parts: Vec<(String, &'f [u8])>,
}

/// Cuts a file into what goes over a broker, if its bytes are those that its first line states. Cars check the
/// signature.
pub fn in_parts(file: &[u8]) -> Result<InParts<'_>, PackageError> {
    let (line, rest) = split(file)?;
    let envelope = Envelope::parse(line)?;
    let statement = read_statement(envelope.unverified_payload())?;
    check_bytes(&statement, rest)?;
    if statement.parts.is_empty() {
        return Err(PackageError::Malformed(NO_PARTS.into()));
    }
    let signer = envelope.signers().next().cloned();
    let signer = signer.ok_or_else(|| PackageError::Malformed("nobody has signed it".into()))?;
    let parts = statement.parts.iter().cloned().zip(rest.chunks(PART_BYTES)).collect();
    Ok(InParts { statement, signer, line, parts })
}

/// What is said of a package that was packed by an older program.
pub(super) const NO_PARTS: &str =
    "it has no digests of its parts, without which it comes by file alone: pack it again";
