//! The control socket: how a command on this machine asks the running daemon.
//!
//! In: one question for each connection, a line of JSON (`{"ask":"hotplate/add","with":{...}}`). Out:
//! one line, `{"answer":...}` or `{"refused":"what to do"}`. Costs: a thread that sleeps. Leaves to
//! others: what may be asked, registered with [`Control::on`] before the daemon listens.
//!
//! The door opens inward only: a Unix socket `control.sock` of mode 0600 in the state folder, which
//! nobody but the daemon's user and root can enter. Whoever can speak here can also read the device
//! key file, so no second secret guards it; what is asked is audited by those who answer. Nothing
//! here reaches the network (docs/decisions/0071-control-socket.md).
//!
//! ```no_run
//! use outrider::control::{Control, ask};
//! # fn main() -> anyhow::Result<()> {
//! let state = std::path::Path::new("/var/lib/outrider");
//! // In the daemon; the door is open for as long as `listening` lives:
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
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{debug, warn};

/// Name of the socket inside the state folder.
pub const SOCKET: &str = "control.sock";

/// Longest question: a few lines of text.
const LONGEST: u64 = 1 << 20;

/// Longest answer. The longest there are: a bundle of evidence, a page of the audit log, two years of
/// counts.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Time for a question to arrive and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time for a daemon to answer: a wipe or an export touches the disk.
const ANSWER: Duration = Duration::from_secs(60);

/// Questions under way at once: a person asks one at a time.
const MOST_AT_ONCE: usize = 8;

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody answers there already.
    #[error("another outrider answers at {path}: stop it first, or use another keeping.directory")]
    Taken {
        /// The socket.
        path: PathBuf,
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

/// Why a question has no answer. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "no daemon answers at {path}: is `outrider run` at work, and are you root or its user?"
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
    },
    /// It closed the line without a word.
    #[error("the daemon at {path} has ended, or answers too many at once: try again")]
    Ended {
        /// The socket.
        path: PathBuf,
    },
    /// The line broke.
    #[error("the daemon at {path} broke off: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon says no, in its own words.
    #[error("{0}")]
    Refused(String),
    /// The daemon speaks otherwise.
    #[error("the daemon's answer is not understood ({0}): are both of the same version?")]
    Strange(String),
}

/// A question as it is sent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    ask: String,
    #[serde(default)]
    with: Value,
}

/// An answer as it is sent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Answer(Value),
    Refused(String),
}

/// Who asks, as the kernel says: a user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// User id.
    pub uid: u32,
}

type Answering = Box<dyn Fn(Asker, Value) -> Result<Value, String> + Send + Sync>;

/// What may be asked. Filled while the daemon is built, then [`Control::listen`]s.
#[derive(Default)]
pub struct Control {
    answers: BTreeMap<&'static str, Answering>,
    otherwise: Option<&'static str>,
}

impl Control {
    /// Registers who answers a question. The error is one line for the person who asked: it names
    /// what was refused and what to do.
    ///
    /// Questions are answered on threads of their own, at most eight at once: whoever answers locks
    /// what it needs.
    #[must_use]
    pub fn on<Q: DeserializeOwned, A: Serialize>(
        self,
        question: &'static str,
        answer: impl Fn(Q) -> Result<A, String> + Send + Sync + 'static,
    ) -> Self {
        self.on_from(question, move |_, with| answer(with))
    }

    /// As [`Control::on`], for answers that depend on who asks or write it down.
    #[must_use]
    pub fn on_from<Q: DeserializeOwned, A: Serialize>(
        mut self,
        question: &'static str,
        answer: impl Fn(Asker, Q) -> Result<A, String> + Send + Sync + 'static,
    ) -> Self {
        let answering = move |who: Asker, with: Value| {
            let with = serde_json::from_value(with)
                .map_err(|e| format!("{question:?} is asked otherwise: {e}"))?;
            serde_json::to_value(answer(who, with)?).map_err(|e| format!("no answer: {e}"))
        };
        let before = self.answers.insert(question, Box::new(answering));
        debug_assert!(before.is_none(), "{question} is answered twice");
        self
    }

    /// Says this to whoever asks what is not registered, in place of what may be asked.
    #[must_use]
    pub fn otherwise(mut self, refusal: &'static str) -> Self {
        self.otherwise = Some(refusal);
        self
    }

    /// Listens in the state folder until the handle is dropped.
    pub fn listen(self, state: &Path) -> Result<Listening, ControlError> {
        let path = state.join(SOCKET);
        let io = |source| ControlError::Io { path: path.clone(), source };
        crate::keys::private_folder(state).map_err(io)?;
        if UnixStream::connect(&path).is_ok() {
            return Err(ControlError::Taken { path });
        }
        // What is left there is of a daemon that was killed.
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)),
            _ => {}
        }
        let socket = UnixListener::bind(&path).map_err(io)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn({
                let stop = stop.clone();
                move || serve(&socket, &Arc::new(self), &stop)
            })
            .map_err(io)?;
        Ok(Listening { path, stop, thread: Some(thread) })
    }

    fn answer(&self, who: Asker, line: &[u8]) -> Answer {
        let question: Question = match serde_json::from_slice(line) {
            Ok(question) => question,
            Err(e) => return Answer::Refused(format!("not a question: {e}")),
        };
        let Some(answering) = self.answers.get(question.ask.as_str()) else {
            if let Some(refusal) = self.otherwise {
                return Answer::Refused(refusal.into());
            }
            let known: Vec<_> = self.answers.keys().copied().collect();
            let asked: String = question.ask.chars().take(40).collect();
            return Answer::Refused(format!(
                "{asked:?} cannot be asked of this daemon; it knows: {}",
                known.join(", ")
            ));
        };
        debug!(ask = question.ask, "asked");
        match answering(who, question.with) {
            Ok(value) => Answer::Answer(value),
            Err(why) => Answer::Refused(why),
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
        // Beyond the limit the connection is closed, which whoever asks is told.
        if under_way.fetch_add(1, Ordering::AcqRel) >= MOST_AT_ONCE {
            under_way.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (control, leave) = (control.clone(), Leave(under_way.clone()));
        let started = thread::Builder::new().name("control".into()).spawn(move || {
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

/// Counts a question out, even if answering it panicked.
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
    BufReader::new((&connection).take(LONGEST)).read_until(b'\n', &mut line)?;
    let who = Asker { uid: rustix::net::sockopt::socket_peercred(&connection)?.uid.as_raw() };
    let mut answer = serde_json::to_vec(&control.answer(who, &line))?;
    answer.push(b'\n');
    (&connection).write_all(&answer)
}

/// The open door; dropping it closes it and removes the socket.
#[derive(Debug)]
pub struct Listening {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread out of its wait for a connection.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// Whether a daemon runs in this state folder.
pub fn answers(state: &Path) -> bool {
    UnixStream::connect(state.join(SOCKET)).is_ok()
}

/// Asks the daemon that runs in this state folder.
pub fn ask<Q: Serialize, A: DeserializeOwned>(
    state: &Path,
    question: &str,
    with: &Q,
) -> Result<A, AskError> {
    let path = state.join(SOCKET);
    let io = |source| AskError::Io { path: path.clone(), source };
    let strange = |e: serde_json::Error| AskError::Strange(e.to_string());
    let connection =
        UnixStream::connect(&path).map_err(|_| AskError::Nobody { path: path.clone() })?;
    connection.set_read_timeout(Some(ANSWER)).map_err(io)?;
    connection.set_write_timeout(Some(PATIENCE)).map_err(io)?;
    let with = serde_json::to_value(with).map_err(strange)?;
    let mut line = serde_json::to_vec(&Question { ask: question.into(), with }).map_err(strange)?;
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
