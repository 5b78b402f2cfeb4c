//! `[trust]`: whose signatures this car believes.

use std::path::PathBuf;

use serde::Deserialize;

/// Whose signatures this car believes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustConfig {
    /// File with the public keys of the agency's root, as `outrider provision` writes it. The root
    /// signs the document that says who may author lists, sign policy and command cars.
    pub root: Option<PathBuf>,
    /// File with the document that the root has signed, for cars that no broker reaches; read at the
    /// start.
    pub document: Option<PathBuf>,
}
