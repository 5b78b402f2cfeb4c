//! Entries by signed-in people, on the page or the control socket: the check before each, and the
//! record of each refusal.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Door, Sessions, SignInError, SignedIn, View, on_record};
use crate::audit::AuditEvent;
use crate::control::Control;
use crate::policy::Who;

/// The request to sign in.
pub const LOGIN: &str = "session/login";

/// The request to sign out.
pub const LOGOUT: &str = "session/logout";

/// The request for who is signed in.
pub const SHOW: &str = "session/show";

/// Who a request claims to come from; that has to agree with who is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stated<'a> {
    /// Their number, or their name in the policy.
    pub number: Option<&'a str>,
    /// Their role.
    pub role: Option<Who>,
}

/// A request that may state who makes it.
pub trait StatesWho {
    /// What it states.
    fn stated(&self) -> Stated<'_>;
}

/// Why an entry was refused.
#[derive(Debug)]
pub struct Refused {
    /// The message to the person.
    pub says: String,
    /// The reason for the audit log; `None` if it is recorded already.
    pub on_record: Option<String>,
}

impl Refused {
    /// A refusal whose message can be recorded, because nothing that somebody typed is in it.
    pub fn new(why: impl std::fmt::Display) -> Self {
        let says = why.to_string();
        Self { on_record: Some(says.clone()), says }
    }

    /// A refusal that is recorded already.
    pub fn recorded(why: impl std::fmt::Display) -> Self {
        Self { says: why.to_string(), on_record: None }
    }

    /// A refusal that is recorded in other words, because its message may hold what somebody typed.
    pub fn as_recorded(why: impl std::fmt::Display, on_record: &str) -> Self {
        Self { says: why.to_string(), on_record: Some(on_record.to_owned()) }
    }
}

/// Why an entry was not made.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Nobody who may make it is signed in.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The entry itself was refused.
    #[error("{0}")]
    Refused(String),
}

/// A number and a PIN.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The person's number.
    pub number: String,
    /// The PIN's digits.
    pub pin: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(redacted)")
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.pin);
    }
}

impl Sessions {
    /// Makes an entry as the person with this token. A refusal is recorded in the audit log with
    /// its reason.
    pub fn enter<A>(
        &self,
        (door, token): (Door, Option<&str>),
        what: &str,
        stated: Stated<'_>,
        does: impl FnOnce(&SignedIn) -> Result<A, Refused>,
    ) -> Result<A, EnterError> {
        let refused = |why: String| AuditEvent::EntryRefused { what: what.into(), why };
        let who = match self.who(door, token) {
            Ok(who) => who,
            // Anybody can send such a request: of many in a short time, only the first are recorded
            // one by one.
            Err(error) => {
                let kind = format!("entry/{what}");
                self.audit.refused(&kind, refused(on_record(&error).into()));
                return Err(error.into());
            }
        };
        let who = match who.clone().as_stated(stated) {
            Ok(who) => who,
            Err(error) => {
                self.audit.note(who.actor(), refused(on_record(&error).into()));
                return Err(error.into());
            }
        };
        does(&who).map_err(|Refused { says, on_record }| {
            if let Some(why) = on_record {
                self.audit.note(who.actor(), refused(why));
            }
            EnterError::Refused(says)
        })
    }
}

/// Registers the handler of a request that only a signed-in person may make.
pub fn answer<Q: DeserializeOwned + StatesWho, A: Serialize>(
    control: Control,
    sessions: &Arc<Sessions>,
    question: &'static str,
    answer: impl Fn(&SignedIn, Q) -> Result<A, Refused> + Send + Sync + 'static,
) -> Control {
    let sessions = sessions.clone();
    control.on_from(question, move |asker, with: Q| {
        let at = (Door::Shell(asker.uid), asker.session.as_deref());
        // What the request states is read before the request is passed on.
        let (number, role) = {
            let Stated { number, role } = with.stated();
            (number.map(str::to_owned), role)
        };
        let stated = Stated { number: number.as_deref(), role };
        sessions.enter(at, question, stated, |who| answer(who, with)).map_err(|e| e.to_string())
    })
}

/// Registers signing in and out at the control socket.
pub fn answer_sessions(control: Control, sessions: &Arc<Sessions>) -> Control {
    let [ins, outs, shows] = [sessions.clone(), sessions.clone(), sessions.clone()];
    control
        .on_from(LOGIN, move |asker, asked: Login| {
            let door = Door::Shell(asker.uid);
            // At a terminal there is one person: signing in there ends the session before.
            let before = asker.session.as_deref();
            let made = ins.sign_in(door, &asked.number, &asked.pin).map_err(|e| e.to_string())?;
            let _ = ins.sign_out(door, before);
            Ok((made.token, made.view))
        })
        .on_from(LOGOUT, move |asker, (): ()| {
            let door = Door::Shell(asker.uid);
            outs.sign_out(door, asker.session.as_deref()).map_err(|e| e.to_string())
        })
        .on_from(SHOW, move |asker, (): ()| -> Result<View, String> {
            Ok(shows.view(Door::Shell(asker.uid), asker.session.as_deref()))
        })
}
