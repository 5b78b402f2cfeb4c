//! Sessions of signed-in people: number and PIN are checked with the users of the policy in force,
//! by the same code for the page and the command line.
//!
//! In: what somebody types, and the token that their browser or their command sends. Out: a
//! [`SignedIn`], which every disposition, look-up, hotplate, hold, bundle and confirmation of a
//! list needs. Nothing else makes one, so nobody can act under a name that was merely stated.
//! Costs: an Argon2 hash for each attempt, one at a time. Leaves to others: what a role may do
//! (`policy`), cookies and files that hold a token (`alert/console`, `cmd`).
//!
//! A session ends with its shift, when policy removes the user or changes their PIN, when their
//! training lapses, and by signing out. When nobody enters anything for a while it is locked until
//! the PIN is typed again. All of this, with refusals, is in the audit log; PINs, and what was
//! typed in place of a number, are never written anywhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

mod attempts;
mod door;
mod shift;
#[cfg(test)]
mod tests;

pub use door::{
    EnterError, LOGIN, LOGOUT, Login, Refused, SHOW, Stated, StatesWho, answer, answer_sessions,
};
pub use shift::LastShift;

use self::attempts::Attempts;
use crate::audit::{Actor, Audit, AuditEvent, Person};
use crate::clock::{Clock, FrameTime};
use crate::pin::{self, PinHash};
use crate::policy::{Rules, User, Who};
use crate::text::ForeignText;

/// Most sessions at once: two screens and a few terminals.
const MOST: usize = 32;

/// Bytes of a session's token.
const TOKEN: usize = 32;

/// Where somebody signed in. A token is valid there only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The officer's page.
    Page,
    /// The control socket, as this user of the machine.
    Shell(u32),
}

impl Door {
    fn words(self) -> String {
        match self {
            Self::Page => "page".into(),
            Self::Shell(uid) => format!("shell of user {uid}"),
        }
    }
}

/// Why somebody is not signed in. Each message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The car has no users.
    #[error(
        "nobody may enter anything in this car: no policy with users is in force here; have the agency sign one \
         (docs/policy.md, `outrider provision pin`). Alerts go on"
    )]
    NoUsers,
    /// There is no session.
    #[error(
        "nobody is signed in here: sign in with number and PIN, on the page or with `outrider login`"
    )]
    NotSignedIn,
    /// The session is locked: nobody entered anything for too long.
    #[error("{number} is locked after some time without an entry: give the PIN again")]
    Locked {
        /// The person's number.
        number: String,
    },
    /// The shift is over.
    #[error("the shift of {number} is over: sign in again")]
    ShiftOver {
        /// The person's number.
        number: String,
    },
    /// The policy has changed.
    #[error(
        "the policy in force has changed its entry for {number} since the sign-in: sign in again, if it still names you"
    )]
    Changed {
        /// The person's number.
        number: String,
    },
    /// The training has lapsed.
    #[error(
        "the training of {number} ended on {until}: nothing may be entered until it is renewed and a policy says \
         so; alerts go on"
    )]
    Lapsed {
        /// The person's number.
        number: String,
        /// Its last day.
        until: Date,
    },
    /// Number and PIN do not belong together.
    #[error("number or PIN is wrong")]
    Wrong,
    /// There were too many wrong PINs.
    #[error("too many wrong PINs: wait {} s", seconds(.0))]
    Wait(Duration),
    /// The request states somebody else.
    #[error(
        "{signed_in} is signed in, and {stated:?} is stated: leave that out, or sign in as that person"
    )]
    SomebodyElse {
        /// Who is signed in.
        signed_in: String,
        /// Who is stated.
        stated: String,
    },
    /// The person does not have the stated role.
    #[error("{number} may not act as {}: the policy in force names {has}", .stated.word())]
    NotInRole {
        /// The person's number.
        number: String,
        /// The stated role.
        stated: Who,
        /// The roles that they have.
        has: String,
    },
    /// The kernel gave no random bytes.
    #[error("no random bytes from the kernel for a session: {0}")]
    Random(String),
}

/// Rounded up, so that an attempt after this time is allowed.
fn seconds(wait: &Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// A person who has proven who they are, in the role in which they act. Only this module makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    number: String,
    name: String,
    roles: BTreeSet<Who>,
    role: Who,
}

impl SignedIn {
    fn new(number: &str, user: &User) -> Self {
        let role = Who::ALL.into_iter().find(|role| user.roles.contains(role));
        Self {
            number: number.to_owned(),
            name: user.name.clone(),
            roles: user.roles.clone(),
            role: role.unwrap_or(Who::Maintainer),
        }
    }

    /// Their number.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The role in which they act.
    pub fn role(&self) -> Who {
        self.role
    }

    /// The person as the audit log names them.
    pub fn actor(&self) -> Actor {
        self.role.actor(Person::who_signed_in(&self.number))
    }

    /// The person in the stated role, if they have it; refused if somebody else is stated.
    pub fn as_stated(mut self, stated: Stated<'_>) -> Result<Self, SignInError> {
        let Stated { number, role } = stated;
        let number = number.map(str::trim).filter(|number| !number.is_empty());
        if let Some(stated) = number.filter(|n| *n != self.number && *n != self.name) {
            let stated = ForeignText::shown(stated, 40).into();
            return Err(SignInError::SomebodyElse { signed_in: self.number, stated });
        }
        if let Some(stated) = role {
            if !self.roles.contains(&stated) {
                let has: Vec<_> = self.roles.iter().map(|role| role.word()).collect();
                let has = has.join(", ");
                return Err(SignInError::NotInRole { number: self.number, stated, has });
            }
            self.role = stated;
        }
        Ok(self)
    }

    /// Some person, for tests of what people do.
    #[cfg(any(test, feature = "testing"))]
    pub fn for_tests(number: &str, role: Who) -> Self {
        let (number, name) = (number.to_owned(), String::new());
        Self { number, name, roles: BTreeSet::from([role]), role }
    }
}

/// A session as it is shown to the holder of its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Whether anybody can sign in here at all.
    pub users: bool,
    /// Who is signed in, locked or not.
    pub who: Option<Shown>,
}

/// The person who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Their number.
    pub number: String,
    /// Their name, if policy has one.
    pub name: String,
    /// Their roles, the one in which they act first.
    pub roles: Vec<Who>,
    /// Whether the PIN has to be typed before anything can be entered.
    pub locked: bool,
    /// Last day of their training.
    pub trained_until: Option<Date>,
    /// Seconds until the shift ends.
    pub shift_s: u64,
    /// Whether the start of the shift is still to be gone through: an officer's, at the page.
    #[serde(default)]
    pub begin: bool,
}

/// A new session.
pub struct Ticket {
    /// The token that proves it: 64 hexadecimal digits.
    pub token: String,
    /// What may be shown of it.
    pub view: View,
}

struct Session {
    token: [u8; 32],
    /// What a page has to send with every change.
    csrf: String,
    number: String,
    /// The user as policy had it at the sign-in.
    user: User,
    door: Door,
    /// When the session began, on the boot clock.
    began: Duration,
    used: Duration,
    locked: bool,
    /// Whether the officer has gone through the start of the shift.
    begun: bool,
}

#[derive(Default)]
struct Open {
    sessions: Vec<Session>,
    /// Counts changes after which a page should ask again.
    changes: u64,
}

/// Returns the rules in force.
pub type RulesInForce = Box<dyn Fn() -> Arc<Rules> + Send + Sync>;

/// The sessions of a car. There is one per daemon; a restart ends all sessions.
pub struct Sessions {
    rules: RulesInForce,
    audit: Audit,
    clock: Arc<dyn Clock>,
    /// Locked while a PIN is hashed, so that attempts come one at a time.
    attempts: Mutex<Attempts>,
    /// Locked to read or change sessions; never while something is hashed or written.
    open: Mutex<Open>,
    /// The last start of a shift in this car, as far as it is known.
    last_shift: Mutex<Option<LastShift>>,
}

impl Sessions {
    /// Starts with nobody signed in.
    pub fn new(rules: RulesInForce, audit: Audit, clock: Arc<dyn Clock>, state: &Path) -> Self {
        let attempts = Mutex::new(Attempts::open(state, clock.now().monotonic));
        let last_shift = Mutex::new(shift::last(&audit));
        Self { rules, audit, clock, attempts, open: Mutex::default(), last_shift }
    }

    /// Signs somebody in.
    pub fn sign_in(&self, door: Door, number: &str, pin: &str) -> Result<Ticket, SignInError> {
        let (number, user) = self.prove(door, number, pin)?;
        let (token, csrf) = (random()?, random()?);
        let now = self.clock.now().monotonic;
        let session = Session {
            token: digest(&token),
            csrf,
            number,
            user,
            door,
            began: now,
            used: now,
            locked: false,
            begun: false,
        };
        let (number, who) = (session.number.clone(), SignedIn::new(&session.number, &session.user));
        {
            let mut open = self.open();
            if open.sessions.len() >= MOST {
                open.sessions.remove(0);
            }
            open.sessions.push(session);
            open.changes += 1;
        }
        self.note(who.actor(), "signed in", Some(&number), door);
        let view = self.view(door, Some(&token));
        Ok(Ticket { token, view })
    }

    /// Unlocks a locked session with the PIN.
    pub fn unlock(&self, door: Door, token: Option<&str>, pin: &str) -> Result<(), SignInError> {
        self.tick();
        let number = {
            let open = self.open();
            let session = token.and_then(|token| open.find(door, token));
            session.map(|session| session.number.clone()).ok_or(SignInError::NotSignedIn)?
        };
        let (number, user) = self.prove(door, &number, pin)?;
        let now = self.clock.now().monotonic;
        {
            let mut open = self.open();
            let session = token.and_then(|token| open.find_mut(door, token));
            let session = session.ok_or(SignInError::NotSignedIn)?;
            (session.locked, session.used) = (false, now);
            open.changes += 1;
        }
        self.note(SignedIn::new(&number, &user).actor(), "unlocked", Some(&number), door);
        Ok(())
    }

    /// Locks a session: the PIN is needed for the next entry.
    pub fn lock(&self, door: Door, token: Option<&str>) -> Result<(), SignInError> {
        let who = {
            let mut open = self.open();
            let session = token.and_then(|token| open.find_mut(door, token));
            let session = session.ok_or(SignInError::NotSignedIn)?;
            session.locked = true;
            let who = SignedIn::new(&session.number, &session.user);
            open.changes += 1;
            who
        };
        self.note(who.actor(), "locked", Some(who.number()), door);
        Ok(())
    }

    /// Ends a session; it is an error if there is none.
    pub fn sign_out(&self, door: Door, token: Option<&str>) -> Result<(), SignInError> {
        let session = {
            let mut open = self.open();
            let digest = token.map(digest);
            let at = open.sessions.iter().position(|s| s.door == door && Some(s.token) == digest);
            let at = at.ok_or(SignInError::NotSignedIn)?;
            open.changes += 1;
            open.sessions.remove(at)
        };
        let who = SignedIn::new(&session.number, &session.user);
        self.note(who.actor(), "signed out", Some(who.number()), door);
        Ok(())
    }

    /// The person with this token, for an entry that is made now. It counts as activity.
    pub fn who(&self, door: Door, token: Option<&str>) -> Result<SignedIn, SignInError> {
        let now = self.clock.now();
        let rules = (self.rules)();
        // This comes first: a session that is over is reported with the reason for its end.
        let over = {
            let open = self.open();
            let session = token.and_then(|token| open.find(door, token));
            session.and_then(|session| over(session, &rules, now))
        };
        self.tick();
        if let Some(over) = over {
            return Err(over);
        }
        if rules.users.is_empty() {
            return Err(SignInError::NoUsers);
        }
        let mut open = self.open();
        let session = token.and_then(|token| open.find_mut(door, token));
        let session = session.ok_or(SignInError::NotSignedIn)?;
        if session.locked {
            return Err(SignInError::Locked { number: session.number.clone() });
        }
        session.used = now.monotonic;
        Ok(SignedIn::new(&session.number, &session.user))
    }

    /// What the holder of this token is shown. It does not count as activity.
    pub fn view(&self, door: Door, token: Option<&str>) -> View {
        self.tick();
        let rules = (self.rules)();
        let now = self.clock.now().monotonic;
        let open = self.open();
        let session = token.and_then(|token| open.find(door, token));
        let who = session.map(|session| {
            let first = SignedIn::new(&session.number, &session.user).role;
            let mut roles: Vec<_> = Who::ALL.into_iter().collect();
            roles.retain(|role| session.user.roles.contains(role));
            debug_assert_eq!(roles.first(), Some(&first));
            let shift = rules.sign_in.shift().get();
            Shown {
                number: session.number.clone(),
                name: session.user.name.clone(),
                roles,
                locked: session.locked,
                trained_until: session.user.trained_until,
                shift_s: shift.saturating_sub(now.saturating_sub(session.began)).as_secs(),
                begin: session.is_to_begin(),
            }
        });
        View { users: !rules.users.is_empty(), who }
    }

    /// What the page of this session has to send with every change.
    pub fn csrf(&self, token: Option<&str>) -> Option<String> {
        let open = self.open();
        token.and_then(|token| open.find(Door::Page, token)).map(|session| session.csrf.clone())
    }

    /// Notes that the car moves: a person who is signed in at the page sits in it, and is not asked
    /// for a PIN, which nobody should type while driving.
    pub fn moving(&self) {
        let now = self.clock.now().monotonic;
        for session in &mut self.open().sessions {
            if session.door == Door::Page && !session.locked {
                session.used = now;
            }
        }
    }

    /// Ends and locks the sessions that are due. Returns a number that changes when a page should
    /// ask again.
    pub fn tick(&self) -> u64 {
        let now = self.clock.now();
        let rules = (self.rules)();
        let idle = rules.sign_in.idle().get();
        let mut told = Vec::new();
        let changes = {
            let mut open = self.open();
            open.sessions.retain_mut(|session| {
                let who = || SignedIn::new(&session.number, &session.user).actor();
                if let Some(over) = over(session, &rules, now) {
                    told.push((who(), on_record(&over), session.number.clone(), session.door));
                    return false;
                }
                if !session.locked && now.monotonic.saturating_sub(session.used) >= idle {
                    told.push((who(), "locked: no entry", session.number.clone(), session.door));
                    session.locked = true;
                }
                true
            });
            open.changes += told.len() as u64;
            open.changes
        };
        for (who, what, number, door) in told {
            self.note(who, what, Some(&number), door);
        }
        changes
    }

    /// Checks number and PIN. Every attempt costs one hash, whoever has the number.
    fn prove(&self, door: Door, number: &str, pin: &str) -> Result<(String, User), SignInError> {
        let rules = (self.rules)();
        let number = number.trim();
        let user = rules.users.get(number);
        let known = user.map(|_| number);
        if rules.users.is_empty() {
            self.refuse(door, None, &SignInError::NoUsers);
            return Err(SignInError::NoUsers);
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let tried: String = ForeignText::shown(number, 40).into();
        if let Some(wait) = attempts.wait(&tried, self.clock.now().monotonic) {
            drop(attempts);
            self.refuse(door, known, &SignInError::Wait(wait));
            return Err(SignInError::Wait(wait));
        }
        // A text that cannot be a PIN is hashed too, so that it costs the same.
        let pin = pin.get(..pin::LONGEST + 1).unwrap_or(pin);
        let right = user.map_or(PinHash::nobody(), |user| &user.pin).is(pin);
        let Some(user) = user.filter(|_| right) else {
            attempts.failed(&tried, known.is_some(), self.clock.now().monotonic);
            drop(attempts);
            self.refuse(door, known, &SignInError::Wrong);
            return Err(SignInError::Wrong);
        };
        attempts.worked(&tried);
        drop(attempts);
        if let Some(lapsed) = lapsed(number, user, self.clock.now()) {
            self.refuse(door, known, &lapsed);
            return Err(lapsed);
        }
        Ok((number.to_owned(), user.clone()))
    }

    fn refuse(&self, door: Door, number: Option<&str>, why: &SignInError) {
        let event = AuditEvent::Session {
            what: format!("refused: {}", on_record(why)),
            number: number.map(str::to_owned),
            door: Some(door.words()),
        };
        self.audit.refused("sign-in", event);
    }

    fn note(&self, who: Actor, what: &str, number: Option<&str>, door: Door) {
        let (number, door) = (number.map(str::to_owned), Some(door.words()));
        self.audit.note(who, AuditEvent::Session { what: what.into(), number, door });
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn find(&self, door: Door, token: &str) -> Option<&Session> {
        let token = digest(token);
        self.sessions.iter().find(|session| session.door == door && session.token == token)
    }

    fn find_mut(&mut self, door: Door, token: &str) -> Option<&mut Session> {
        let token = digest(token);
        self.sessions.iter_mut().find(|session| session.door == door && session.token == token)
    }
}

/// Why a session is over; `None` if it is not.
fn over(session: &Session, rules: &Rules, now: FrameTime) -> Option<SignInError> {
    let number = || session.number.clone();
    // If the PIN or the roles have changed, the person has to sign in again.
    if rules.users.get(&session.number) != Some(&session.user) {
        return Some(SignInError::Changed { number: number() });
    }
    if now.monotonic.saturating_sub(session.began) >= rules.sign_in.shift().get() {
        return Some(SignInError::ShiftOver { number: number() });
    }
    lapsed(&session.number, &session.user, now)
}

fn lapsed(number: &str, user: &User, now: FrameTime) -> Option<SignInError> {
    let today = now.wall.to_zoned(TimeZone::UTC).date();
    let until = user.trained_until.filter(|until| *until < today)?;
    Some(SignInError::Lapsed { number: number.to_owned(), until })
}

/// The reason for an end or a refusal as it is recorded; nothing that was typed is in it.
fn on_record(why: &SignInError) -> &'static str {
    match why {
        SignInError::NoUsers => "no policy with users is in force",
        SignInError::NotSignedIn => "nobody is signed in",
        SignInError::Locked { .. } => "locked",
        SignInError::ShiftOver { .. } => "ended: the shift is over",
        SignInError::Changed { .. } => "ended: the policy in force has changed",
        SignInError::Lapsed { .. } => "the training has lapsed",
        SignInError::Wrong => "wrong number or PIN",
        SignInError::Wait(_) => "too many wrong PINs",
        SignInError::SomebodyElse { .. } => "somebody else was stated",
        SignInError::NotInRole { .. } => "a role was stated that the person has not",
        SignInError::Random(_) => "no random bytes",
    }
}

fn random() -> Result<String, SignInError> {
    let mut bytes = [0; TOKEN];
    getrandom::fill(&mut bytes).map_err(|e| SignInError::Random(e.to_string()))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

/// Only digests are kept and compared, so that neither timing nor memory reveals a token.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
