//! A device key that systemd seals: made and changed with `systemd-creds`, as root.
//!
//! In: the sealed file. Out: the key, or the file replaced in one step. Costs: one process for each
//! call. Leaves to others: passing the key to the service, which systemd does
//! (`LoadCredentialEncrypted=`).
//!
//! The key passes only through pipes and this process's locked memory: never through arguments, the
//! environment or a file.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::{CREDENTIAL, SecretKey, opened};
use crate::files;

/// Where systemd looks for sealed credentials by their name.
pub const SEALED_FILE: &str = "/etc/credstore.encrypted/outrider-device-key";

/// The program that seals and unseals.
const PROGRAM: &str = "systemd-creds";

/// Longest sealed credential that is read: 32 bytes sealed to a TPM take less than a kilobyte.
const LONGEST: u64 = 64 << 10;

/// Why a credential was not sealed or unsealed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The program cannot be run.
    #[error(
        "{PROGRAM} cannot be run ({0}): install systemd 250 or later, or use another keeping.key"
    )]
    Program(io::Error),
    /// The program reports an error.
    #[error("{PROGRAM} {what} {path}: {said}")]
    Refused {
        /// What it was told to do.
        what: &'static str,
        /// The sealed file.
        path: PathBuf,
        /// Its own message.
        said: String,
    },
    /// There is a credential already.
    #[error("{0} is there already: outrider provision rotate changes it")]
    There(PathBuf),
    /// The credential does not contain a key.
    #[error("what is sealed in {0} is no device key")]
    NoKey(PathBuf),
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The sealed file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A sealed credential on the disk.
#[derive(Debug, Clone)]
pub struct Sealed {
    path: PathBuf,
    /// What it is sealed to, as `systemd-creds --with-key` takes it; if `None`, whatever the
    /// machine has.
    with_key: Option<String>,
}

impl Sealed {
    /// The credential in this file, whether the file exists or not.
    pub fn at(path: &Path, with_key: Option<&str>) -> Self {
        Self { path: path.to_owned(), with_key: with_key.map(str::to_owned) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unseals it.
    pub fn open(&self) -> Result<SecretKey, CredentialError> {
        let sealed = File::open(&self.path)
            .and_then(|file| {
                let mut bytes = Vec::new();
                file.take(LONGEST).read_to_end(&mut bytes).map(|_| bytes)
            })
            .map_err(|e| self.io(e))?;
        let plain = self.run("decrypt", &[], &sealed)?;
        super::parse_key(&plain).ok_or_else(|| CredentialError::NoKey(self.path.clone()))
    }

    /// Seals a first key; it is an error if there is one.
    pub fn create(&self, key: &SecretKey) -> Result<(), CredentialError> {
        if self.path.exists() {
            return Err(CredentialError::There(self.path.clone()));
        }
        self.write_next(key)?;
        self.put_in_force()
    }

    /// Seals a key beside the one in force.
    pub(super) fn write_next(&self, key: &SecretKey) -> Result<(), CredentialError> {
        let with_key = self.with_key.as_ref().map(|with| format!("--with-key={with}"));
        let sealed = self.run("encrypt", with_key.as_slice(), key.expose())?;
        if let Some(folder) = self.path.parent() {
            files::private_folder(folder).map_err(|e| self.io(e))?;
        }
        files::replace(&self.next(), &[&sealed]).map_err(|e| self.io(e))
    }

    /// Renames the new file into its place; this is the step that puts the new key in force.
    pub(super) fn put_in_force(&self) -> Result<(), CredentialError> {
        files::rename(&self.next(), &self.path).map_err(|e| self.io(e))
    }

    /// Keeps the key open in this process, as if systemd had passed it.
    pub fn hold(&self, state: &Path, key: &SecretKey) {
        opened::hold(state.join(CREDENTIAL), SecretKey::from_bytes(key.expose()));
    }

    fn next(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".next");
        name.into()
    }

    fn io(&self, source: io::Error) -> CredentialError {
        CredentialError::Io { path: self.path.clone(), source }
    }

    /// Runs the program over a pipe in and a pipe out.
    fn run(
        &self,
        what: &'static str,
        further: &[String],
        input: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
        let mut child = Command::new(PROGRAM)
            .arg(what)
            .arg(format!("--name={CREDENTIAL}"))
            .args(further)
            .args(["-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(CredentialError::Program)?;
        // Input and output are shorter than what a pipe holds, so neither side waits for the other.
        let fed = child.stdin.take().expect("it is piped").write_all(input);
        let mut output = Zeroizing::new(Vec::with_capacity(2 * LONGEST as usize));
        let stdout = child.stdout.take().expect("it is piped");
        let read = stdout.take(LONGEST).read_to_end(&mut output);
        let done = child.wait_with_output().map_err(CredentialError::Program)?;
        let said = String::from_utf8_lossy(&done.stderr);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        if !done.status.success() {
            return Err(CredentialError::Refused { what, path: self.path.clone(), said });
        }
        if !said.is_empty() {
            // Such as that the firmware measures nothing, so that the TPM gives the key to another system as well.
            tracing::warn!(credential = %self.path.display(), said, "{PROGRAM} warns");
        }
        fed.and(read).map_err(|e| self.io(e))?;
        Ok(output)
    }
}

/// The key that this process keeps open in place of one that systemd passes.
pub(super) fn held(state: &Path) -> Option<SecretKey> {
    opened::held(&state.join(CREDENTIAL))
}
