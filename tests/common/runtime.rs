//! ONNX Runtime, for tests with real models.

use std::path::{Path, PathBuf};

use super::skipped;

/// Where `scripts/onnxruntime.sh` puts the library. Where it is not, `what` is skipped.
pub fn onnxruntime(what: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("build/onnxruntime");
    let path = folder.join(std::env::consts::ARCH).join("libonnxruntime.so");
    if path.is_file() {
        return Some(path);
    }
    skipped(what, &format!("{} is missing", path.display()));
    None
}
