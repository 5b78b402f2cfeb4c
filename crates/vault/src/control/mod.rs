//! The control socket: how a command on this machine sends requests to the running daemon.
//!
//! In: one request for each connection, a line of JSON (`{"ask":"hotplate/add","with":{...}}`).
//! Out: one line, `{"answer":...}` or `{"refused":"what to do"}`. Costs: a thread that sleeps.
//! Leaves to others: the handlers, registered with [`Control::on`] before the daemon listens.
//!
//! Only this machine can reach it: it is a Unix socket `control.sock` of mode 0600 in the state
//! folder, which nobody but the daemon's user and root can enter. Whoever can connect can also read
//! the device key file, so no second secret guards it; the handlers audit what is requested.
//! Nothing here reaches the network (docs/decisions/0071-control-socket.md).
//!
//! ```no_run
//! use outrider_vault::control::{Control, ask};
//! # fn main() -> anyhow::Result<()> {
//! let state = std::path::Path::new("/var/lib/outrider");
//! // In the daemon; requests are answered for as long as `listening` lives:
//! let listening = Control::default().on("double", |n: u32| Ok(n * 2)).listen(state)?;
//! // In the command:
//! let answer: u32 = ask(state, "double", &21)?;
//! # assert_eq!(answer, 42); drop(listening); Ok(()) }
//! ```
#![expect(
    clippy::disallowed_types,
    reason = "a door inward: a socket that only this machine's daemon user and root can reach"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{debug, warn};

use crate::files::{self, UntrustedError};
use crate::text::ForeignText;

/// Name of the socket inside the state folder.
pub const SOCKET: &str = "control.sock";

/// Longest request, in bytes: a few lines of text.
const LONGEST: u64 = 1 << 20;

/// Longest answer, in bytes. The longest are an evidence bundle, a page of the audit log and two
/// years of counts.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Longest refusal, in characters: a line or two on a terminal, whoever wrote the text in it.
const LONGEST_REFUSAL: usize = 1_000;

/// Time for a request to arrive and for its answer to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time for a whole request to arrive.
const HEAR: Duration = PATIENCE;

/// Time for the daemon to answer: a wipe or an export has to write to the disk.
const ANSWER: Duration = Duration::from_secs(60);

/// Requests that are handled at once: a person sends one at a time.
const MOST_AT_ONCE: usize = 8;

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another daemon listens there already.
    #[error("another outrider answers at {path}: stop it first, or use another keeping.directory")]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// The folder is not the daemon's own.
    #[error("control socket {path}: {source}")]
    Folder {
        /// The socket.
        path: PathBuf,
        /// What is wrong with the folder.
        source: UntrustedError,
    },
    /// The socket cannot be made.
    #[error("control socket {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a request got no answer. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No daemon listens.
    #[error(
        "no daemon answers at {path}: is `outrider run` at work, and are you root or its user?"
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
    },
    /// The folder's owner is not somebody to whom a request, or a passphrase, may be sent.
    #[error("the control socket's folder cannot be relied on, so the daemon was not asked: {0}")]
    Untrusted(#[from] UntrustedError),
    /// Another user listens.
    #[error(
        "user {found} answers at {path}, which belongs to user {owner}: nothing was asked; see what that \
         user runs there"
    )]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// The user who listens, according to the kernel.
        found: u32,
        /// The owner of the folder.
        owner: u32,
    },
    /// The daemon closed the connection without an answer.
    #[error("the daemon at {path} has ended, or answers too many at once: try again")]
    Ended {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke.
    #[error("the connection to the daemon at {path} broke: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon refuses, in its own words.
    #[error("{0}")]
    Refused(String),
    /// The answer has another format.
    #[error("the daemon's answer is not understood ({0}): are both of the same version?")]
    Strange(String),
}

/// A request as it is sent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    ask: String,
    #[serde(default)]
    with: Value,
    /// The token of a signed-in person (`sessions`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
}

/// An answer as it is sent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Answer(Value),
    Refused(String),
}

/// Who sends a request: a user of this machine, and the token that they send along.
#[derive(Clone, PartialEq, Eq)]
pub struct Asker {
    /// User id, according to the kernel.
    pub uid: u32,
    /// The token of a signed-in person, not checked yet.
    pub session: Option<String>,
}

type Answering = Box<dyn Fn(Asker, Value) -> Result<Value, String> + Send + Sync>;

/// The handlers. They are registered while the daemon is built, then [`Control::listen`] is called.
#[derive(Default)]
pub struct Control {
    answers: BTreeMap<&'static str, Answering>,
    otherwise: Option<&'static str>,
}

impl Control {
    /// Registers the handler of a request. Its error is one line for the person who sent the
    /// request: it names what was refused and what to do.
    ///
    /// Handlers run on threads of their own, at most eight at once: a handler locks what it needs.
    #[must_use]
    pub fn on<Q: DeserializeOwned, A: Serialize>(
        self,
        question: &'static str,
        answer: impl Fn(Q) -> Result<A, String> + Send + Sync + 'static,
    ) -> Self {
        self.on_from(question, move |_, with| answer(with))
    }

    /// As [`Control::on`], for a handler that depends on who asks or records it.
    #[must_use]
    pub fn on_from<Q: DeserializeOwned, A: Serialize>(
        mut self,
        question: &'static str,
        answer: impl Fn(Asker, Q) -> Result<A, String> + Send + Sync + 'static,
    ) -> Self {
        let answering = move |who: Asker, with: Value| {
            let with = serde_json::from_value(with).map_err(|e| {
                format!("{question:?} is asked otherwise: {}", ForeignText::remark(e))
            })?;
            serde_json::to_value(answer(who, with)?).map_err(|e| format!("no answer: {e}"))
        };
        let before = self.answers.insert(question, Box::new(answering));
        debug_assert!(before.is_none(), "{question} is answered twice");
        self
    }

    /// Sets the refusal of requests that have no handler, in place of the list of those that have
    /// one.
    #[must_use]
    pub fn otherwise(mut self, refusal: &'static str) -> Self {
        self.otherwise = Some(refusal);
        self
    }

    /// Listens in the state folder until the handle is dropped.
    pub fn listen(self, state: &Path) -> Result<Listening, ControlError> {
        let path = state.join(SOCKET);
        let io = |source| ControlError::Io { path: path.clone(), source };
        files::own_folder(state)
            .map_err(|source| ControlError::Folder { path: path.clone(), source })?;
        refuse_a_second(state)?;
        // A socket that is there was left by a daemon that was killed.
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)),
            _ => {}
        }
        let socket = UnixListener::bind(&path).map_err(io)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = crate::threads::spawn("control", {
            let stop = stop.clone();
            move || serve(&socket, &Arc::new(self), &stop)
        })
        .map_err(io)?;
        Ok(Listening { path, stop, thread: Some(thread) })
    }

    /// The answer to these bytes, as a client of the socket would get it.
    #[cfg(any(test, feature = "testing"))]
    pub fn answer_for_tests(&self, line: &[u8]) -> Vec<u8> {
        serde_json::to_vec(&self.answer(Asker { uid: 0, session: None }, line))
            .expect("values and texts")
    }

    fn answer(&self, who: Asker, line: &[u8]) -> Answer {
        let question: Question = match serde_json::from_slice(line) {
            Ok(question) => question,
            Err(e) => {
                return Answer::Refused(format!("not a question: {}", ForeignText::remark(e)));
            }
        };
        let Some(answering) = self.answers.get(question.ask.as_str()) else {
            if let Some(refusal) = self.otherwise {
                return Answer::Refused(refusal.into());
            }
            let known: Vec<_> = self.answers.keys().copied().collect();
            let asked = ForeignText::shown(&question.ask, 40);
            return Answer::Refused(format!(
                "{asked:?} cannot be asked of this daemon; it knows: {}",
                known.join(", ")
            ));
        };
        debug!(ask = question.ask, "asked");
        let who = Asker { session: question.session, ..who };
        match answering(who, question.with) {
            Ok(value) => Answer::Answer(value),
            Err(why) => Answer::Refused(ForeignText::shown(&why, LONGEST_REFUSAL).into()),
        }
    }
}

fn serve(socket: &UnixListener, control: &Arc<Control>, stop: &AtomicBool) {
    let under_way = Arc::new(AtomicUsize::new(0));
    for connection in socket.incoming() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let connection = match connection {
            Ok(connection) => connection,
            Err(e) => {
                warn!(error = %e, "control socket");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        // Beyond the limit the connection is closed; the client reports that.
        if under_way.fetch_add(1, Ordering::AcqRel) >= MOST_AT_ONCE {
            under_way.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (control, leave) = (control.clone(), Leave(under_way.clone()));
        let started = crate::threads::spawn("control", move || {
            let _leave = leave;
            if let Err(e) = converse(&control, connection) {
                debug!(error = %e, "control connection");
            }
        });
        if let Err(e) = started {
            warn!(error = %e, "no thread to answer on");
        }
    }
}

/// Counts a request as done, even if its handler panicked.
struct Leave(Arc<AtomicUsize>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn converse(control: &Control, connection: UnixStream) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    let who = Asker { uid: peer(&connection)?, session: None };
    // The socket's mode keeps other users out; this check holds even if the mode was changed.
    let us = rustix::process::geteuid().as_raw();
    if who.uid != us && who.uid != 0 {
        warn!(uid = who.uid, "another user at the control socket: request not read");
        return Ok(());
    }
    read_line(&connection, LONGEST, HEAR, &mut line)?;
    let mut answer = serde_json::to_vec(&control.answer(who, &line))?;
    answer.push(b'\n');
    (&connection).write_all(&answer)
}

/// The user at the other end, according to the kernel.
fn peer(connection: &UnixStream) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(connection)?.uid.as_raw())
}

/// Reads up to the end of a line, for `within` at most: a trickle of bytes cannot hold the thread.
fn read_line(
    connection: &UnixStream,
    most: u64,
    within: Duration,
    line: &mut Vec<u8>,
) -> io::Result<()> {
    let until = Instant::now() + within;
    let mut input = BufReader::new(connection.take(most));
    loop {
        let part = input.fill_buf()?;
        if part.is_empty() {
            return Ok(());
        }
        let end = part.iter().position(|b| *b == b'\n');
        let taken = end.map_or(part.len(), |end| end + 1);
        line.extend_from_slice(&part[..taken]);
        input.consume(taken);
        if end.is_some() {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// The listening socket; dropping this closes and removes it.
#[derive(Debug)]
pub struct Listening {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread that waits for a connection.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// Refuses to be a second daemon in this state folder: before anything in it is touched, as what it begins with (keys of a
/// session, what has expired, starts of a new model) is the first one's.
pub fn refuse_a_second(state: &Path) -> Result<(), ControlError> {
    let path = state.join(SOCKET);
    match UnixStream::connect(&path).is_ok() {
        true => Err(ControlError::Taken { path }),
        false => Ok(()),
    }
}

/// Whether a daemon that answers requests runs in this state folder.
pub fn answers(state: &Path) -> bool {
    connect(state).is_ok()
}

/// Connects to the daemon in this state folder, after checking who listens.
fn connect(state: &Path) -> Result<UnixStream, AskError> {
    let path = state.join(SOCKET);
    let nobody = || AskError::Nobody { path: path.clone() };
    if !state.exists() {
        return Err(nobody());
    }
    let owner = files::folder_owner(state)?;
    let connection = UnixStream::connect(&path).map_err(|_| nobody())?;
    let found = peer(&connection).map_err(|source| AskError::Io { path: path.clone(), source })?;
    if found != owner && found != 0 {
        return Err(AskError::Stranger { path, found, owner });
    }
    Ok(connection)
}

/// Sends a request to the daemon that runs in this state folder, and waits for its answer.
pub fn ask<Q: Serialize, A: DeserializeOwned>(
    state: &Path,
    question: &str,
    with: &Q,
) -> Result<A, AskError> {
    ask_as(state, None, question, with)
}

/// As [`ask`], as the person who is signed in with this session's token.
pub fn ask_as<Q: Serialize, A: DeserializeOwned>(
    state: &Path,
    session: Option<&str>,
    question: &str,
    with: &Q,
) -> Result<A, AskError> {
    let path = state.join(SOCKET);
    let io = |source| AskError::Io { path: path.clone(), source };
    let strange = |e: serde_json::Error| AskError::Strange(e.to_string());
    let connection = connect(state)?;
    connection.set_read_timeout(Some(ANSWER)).map_err(io)?;
    connection.set_write_timeout(Some(PATIENCE)).map_err(io)?;
    let with = serde_json::to_value(with).map_err(strange)?;
    let mut line = serde_json::to_vec(&Question {
        ask: question.into(),
        with,
        session: session.map(str::to_owned),
    })
    .map_err(strange)?;
    line.push(b'\n');
    (&connection).write_all(&line).map_err(io)?;
    let mut answer = Vec::new();
    BufReader::new((&connection).take(LONGEST_ANSWER))
        .read_until(b'\n', &mut answer)
        .map_err(io)?;
    if answer.is_empty() {
        return Err(AskError::Ended { path });
    }
    match serde_json::from_slice(&answer).map_err(strange)? {
        Answer::Answer(value) => serde_json::from_value(value).map_err(strange),
        Answer::Refused(why) => Err(AskError::Refused(why)),
    }
}

#[cfg(test)]
mod tests;
