//! Which program this is: its version, and the commit that it was built from.

use std::sync::LazyLock;

/// The version that Cargo.toml states.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, as `make build` and `make deb` pass it; `unknown` where nobody did. One that
/// ends in `+changed` was built from a tree with changes that no commit has.
pub const BUILD: &str = match option_env!("OUTRIDER_BUILD") {
    Some(build) if !build.is_empty() => build,
    _ => "unknown",
};

static TEXT: LazyLock<String> = LazyLock::new(|| format!("{VERSION} (build {BUILD})"));

/// Version and commit, as `outrider --version` prints them.
pub fn text() -> &'static str {
    &TEXT
}
