//! Signed documents in files, for every command that takes one.
//!
//! In: a path of somebody else's file. Out: its envelope, and a document out of it, neither of them verified: that takes
//! keys, which the command has. A file that is longer than any such document is refused before it is read whole, and
//! every message names the file.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dsse::{self, Envelope};
use crate::files::read_at_most;
use crate::trust::{TRUST_TYPE, TrustDocument};

/// Most bytes of a document in its envelope. A trust document takes about a hundred and fifty for each key; a policy and
/// a command take less.
pub(super) const MOST_DOCUMENT: usize = 1 << 20;

/// The envelope of a file that has `most` bytes at most.
pub(super) fn read(path: &Path, most: usize) -> anyhow::Result<Envelope> {
    parse(path, &bytes(path, most)?)
}

/// The bytes of a file that has `most` at most.
pub(super) fn bytes(path: &Path, most: usize) -> anyhow::Result<Vec<u8>> {
    read_at_most(path, most).with_context(|| format!("cannot read {}", path.display()))
}

/// The envelope that these bytes of a file are.
pub(super) fn parse(path: &Path, json: &[u8]) -> anyhow::Result<Envelope> {
    Envelope::parse_file(json).with_context(|| path.display().to_string())
}

/// What an envelope holds, if it is signed as what is wanted, which people call `name`.
pub(super) fn document<T: Serialize + DeserializeOwned>(
    path: &Path,
    envelope: &Envelope,
    kind: &str,
    name: &str,
) -> anyhow::Result<T> {
    refuse_another_kind(path, envelope, kind, name)?;
    dsse::document(envelope.unverified_payload())
        .map_err(|why| anyhow::anyhow!("{} is no {name}: {why}", path.display()))
}

/// Refuses an envelope that is signed as something else.
pub(super) fn refuse_another_kind(
    path: &Path,
    envelope: &Envelope,
    kind: &str,
    name: &str,
) -> anyhow::Result<()> {
    if envelope.kind() != kind {
        bail!("{} is signed as {:?}, not as a {name}", path.display(), envelope.kind());
    }
    Ok(())
}

/// The trust document of a file, in its envelope.
pub(super) fn trust(path: &Path) -> anyhow::Result<(Envelope, TrustDocument)> {
    let envelope = read(path, MOST_DOCUMENT)?;
    let document = document(path, &envelope, TRUST_TYPE, "trust document")?;
    Ok((envelope, document))
}
