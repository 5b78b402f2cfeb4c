//! A device key that systemd seals: made and changed with `systemd-creds`, as root.
//!
//! In: the sealed file. Out: the key, or the file replaced in one step. Costs: a process each. Leaves to
//! others: handing it to the service, which systemd does (`LoadCredentialEncrypted=`).
//!
//! The key goes through pipes and this process's locked memory alone: never an argument, the environment
//! or a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::{CREDENTIAL, SecretKey, opened};

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
    /// It refuses.
    #[error("{PROGRAM} {what} {path}: {said}")]
    Refused {
        /// What it was to do.
        what: &'static str,
        /// The sealed file.
        path: PathBuf,
        /// Its own words.
        said: String,
    },
    /// There is one already.
    #[error("{0} is there already: outrider provision rotate changes it")]
    There(PathBuf),
    /// What is in it is not a key.
    #[error("what is sealed in {0} is no device key")]
    NoKey(PathBuf),
    /// The file.
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
    /// What it is sealed to, as `systemd-creds --with-key` takes it; what the machine has if nobody says.
    with_key: Option<String>,
}

impl Sealed {
    /// The credential in this file, whether it is there or not.
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

    /// Seals a first key; there must be none.
    pub fn create(&self, key: &SecretKey) -> Result<(), CredentialError> {
        if self.path.exists() {
            return Err(CredentialError::There(self.path.clone()));
        }
        self.write_next(key)?;
        self.put_in_force()
    }

    /// Seals a key beside the one that is in force.
    pub(super) fn write_next(&self, key: &SecretKey) -> Result<(), CredentialError> {
        let with_key = self.with_key.as_ref().map(|with| format!("--with-key={with}"));
        let sealed = self.run("encrypt", with_key.as_slice(), key.expose())?;
        if let Some(folder) = self.path.parent() {
            super::private_folder(folder).map_err(|e| self.io(e))?;
        }
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.next())
            .and_then(|mut file| {
                file.write_all(&sealed)?;
                file.sync_all()
            })
            .map_err(|e| self.io(e))
    }

    /// The one step that counts: what was sealed beside takes the place.
    pub(super) fn put_in_force(&self) -> Result<(), CredentialError> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::rename(self.next(), &self.path)
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|e| self.io(e))
    }

    /// Holds the key open for this process, as systemd would hand it to the service.
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
        // Neither side is longer than a pipe holds, so neither waits for the other.
        let fed = child.stdin.take().expect("it is piped").write_all(input);
        let mut output = Zeroizing::new(Vec::with_capacity(2 * LONGEST as usize));
        let stdout = child.stdout.take().expect("it is piped");
        let read = stdout.take(LONGEST).read_to_end(&mut output);
        let done = child.wait_with_output().map_err(CredentialError::Program)?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            return Err(CredentialError::Refused { what, path: self.path.clone(), said });
        }
        fed.and(read).map_err(|e| self.io(e))?;
        Ok(output)
    }
}

/// The key that this process holds open in place of one that systemd passes.
pub(super) fn held(state: &Path) -> Option<SecretKey> {
    opened::held(&state.join(CREDENTIAL))
}
