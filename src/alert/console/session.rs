//! Signing in on the page: number and PIN, a cookie for the session, and what every change has to bring along.
//!
//! In: what the page sends. Out: whose session it is, in words and as JSON. Costs an Argon2 hash for each attempt,
//! off the threads that serve the page. Leaves to others: who may sign in and what follows
//! ([`sessions`](crate::sessions)); the token that lets a browser see the page at all (`token.rs`).
//!
//! The session is 256 random bits in a cookie that no script reads and no other site makes a browser send. A change
//! brings a second secret in a header, which the page is told when it asks who is signed in: another page that made
//! a browser send the cookie would not know it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Shared;
use super::token::Token;
use crate::sessions::{
    Door, EnterError, Login, Refused, Sessions, SignInError, SignedIn, Stated, View,
};
use crate::text::ForeignText;

/// What a change brings along.
pub(super) const CSRF: HeaderName = HeaderName::from_static("x-outrider-csrf");

/// Changes that all pages together may send in [`PER`]: nobody judges two hits a second.
const MOST: usize = 120;

/// The span of time over which that limit counts.
const PER: Duration = Duration::from_secs(60);

/// The longest that the page is told why not, in characters.
const LONGEST_REFUSAL: usize = 500;

/// What the page's own files need of sessions.
pub(super) struct PageSessions {
    pub(super) sessions: Arc<Sessions>,
    port: u16,
    /// Whether the page is served encrypted: a cookie then asks for it.
    tls: bool,
    /// What a page brings along with which nobody has signed in yet.
    before: Token,
    /// When the last changes came, on the boot clock.
    recent: Mutex<VecDeque<Duration>>,
}

impl PageSessions {
    pub(super) fn new(sessions: Arc<Sessions>, port: u16, tls: bool) -> Result<Self, String> {
        Ok(Self { sessions, port, tls, before: Token::random()?, recent: Mutex::default() })
    }

    /// The session's token that a browser brings.
    pub(super) fn token(&self, headers: &HeaderMap) -> Option<String> {
        let name = cookie_name(self.port);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let mut pairs = cookies.flat_map(|v| v.split(';')).filter_map(|p| p.trim().split_once('='));
        pairs.find(|(n, _)| *n == name).map(|(_, token)| token.to_owned())
    }

    fn csrf(&self, token: Option<&str>) -> String {
        self.sessions.csrf(token).unwrap_or_else(|| self.before.text().to_owned())
    }

    /// What a page of this session brings along: names the session to the rest of the console.
    pub(super) fn csrf_of(&self, headers: &HeaderMap) -> String {
        self.csrf(self.token(headers).as_deref())
    }

    /// Whether an officer is signed in here whose shift is not begun.
    pub(super) fn is_to_begin(&self, headers: &HeaderMap) -> bool {
        let view = self.sessions.view(Door::Page, self.token(headers).as_deref());
        view.who.is_some_and(|who| who.begin)
    }

    /// Whether a change may be looked at: it brings what only our own page knows, and not too many came.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        path: &str,
        now: Duration,
    ) -> Result<(), (StatusCode, &'static str)> {
        let token = self.token(headers);
        let ours = Sha256::digest(self.csrf(token.as_deref()).as_bytes());
        let brought = headers.get(&CSRF).map(|value| Sha256::digest(value.as_bytes()));
        if brought != Some(ours) {
            return Err((
                StatusCode::FORBIDDEN,
                "not sent by this page as it is now: load it again\n",
            ));
        }
        // That a tone was heard is never kept waiting.
        if path == super::guard::ANSWER {
            return Ok(());
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|at| now.saturating_sub(*at) < PER);
        if recent.len() >= MOST {
            return Err((
                StatusCode::TOO_MANY_REQUESTS,
                "too many entries within a minute: wait\n",
            ));
        }
        recent.push_back(now);
        Ok(())
    }
}

/// Cookies know no port, and a second daemon on this machine has sessions of its own.
fn cookie_name(port: u16) -> String {
    format!("outrider-session-{port}")
}

/// Makes a browser bring the session's token back until it is closed; an empty one makes it forget.
fn set_cookie(port: u16, token: &str, tls: bool) -> HeaderValue {
    let (name, secure) = (cookie_name(port), if tls { "; Secure" } else { "" });
    let forget = if token.is_empty() { "; Max-Age=0" } else { "" };
    let cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{forget}");
    HeaderValue::from_str(&cookie).expect("digits and words")
}

/// What the page is told when it asks who is signed in.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    view: View,
    csrf: String,
}

fn told(page: &PageSessions, token: Option<&str>) -> Json<Answer> {
    let view = page.sessions.view(Door::Page, token);
    Json(Answer { view, csrf: page.csrf(token) })
}

/// Who is signed in.
pub(super) async fn show(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let token = shared.page.token(&headers);
    told(&shared.page, token.as_deref()).into_response()
}

/// Signs somebody in; whoever was before is signed out.
pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(asked): Json<Login>,
) -> Response {
    let before = shared.page.token(&headers);
    let sessions = shared.page.sessions.clone();
    let made = move || {
        let made = sessions.sign_in(Door::Page, &asked.number, &asked.pin)?;
        let _ = sessions.sign_out(Door::Page, before.as_deref());
        Ok(made.token)
    };
    match tokio::task::spawn_blocking(made).await {
        Ok(Ok(token)) => {
            let cookie = set_cookie(shared.page.port, &token, shared.page.tls);
            ([(header::SET_COOKIE, cookie)], told(&shared.page, Some(&token))).into_response()
        }
        Ok(Err(e)) => refused(&e),
        Err(_) => not_done(),
    }
}

/// A PIN alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pin {
    pin: String,
}

/// Lets whoever is locked go on.
pub(super) async fn unlock(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(Pin { pin }): Json<Pin>,
) -> Response {
    let pin = zeroize::Zeroizing::new(pin);
    let token = shared.page.token(&headers);
    let (sessions, brought) = (shared.page.sessions.clone(), token.clone());
    let unlock = move || sessions.unlock(Door::Page, brought.as_deref(), &pin);
    match tokio::task::spawn_blocking(unlock).await {
        Ok(Ok(())) => told(&shared.page, token.as_deref()).into_response(),
        Ok(Err(e)) => refused(&e),
        Err(_) => not_done(),
    }
}

/// Locks.
pub(super) async fn lock(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let token = shared.page.token(&headers);
    match shared.page.sessions.lock(Door::Page, token.as_deref()) {
        Ok(()) => told(&shared.page, token.as_deref()).into_response(),
        Err(e) => refused(&e),
    }
}

/// Signs out.
pub(super) async fn sign_out(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let token = shared.page.token(&headers);
    match shared.page.sessions.sign_out(Door::Page, token.as_deref()) {
        Ok(()) => {
            let cookie = set_cookie(shared.page.port, "", shared.page.tls);
            ([(header::SET_COOKIE, cookie)], told(&shared.page, None)).into_response()
        }
        Err(e) => refused(&e),
    }
}

/// Does something as whoever is signed in on this page, off the threads that serve it.
pub(super) async fn enter<T: Serialize + Send + 'static>(
    shared: &Shared,
    headers: &HeaderMap,
    what: &'static str,
    (number, role): (String, Option<crate::policy::Who>),
    does: impl FnOnce(&SignedIn) -> Result<T, Refused> + Send + 'static,
) -> Response {
    let token = shared.page.token(headers);
    let sessions = shared.page.sessions.clone();
    let done = tokio::task::spawn_blocking(move || {
        let stated = Stated { number: Some(&number), role };
        sessions.enter((Door::Page, token.as_deref()), what, stated, does)
    });
    match done.await {
        Ok(Ok(done)) => Json(done).into_response(),
        Ok(Err(EnterError::SignIn(e))) => refused(&e),
        Ok(Err(EnterError::Refused(why))) => words(StatusCode::UNPROCESSABLE_ENTITY, &why),
        Err(_) => not_done(),
    }
}

fn refused(why: &SignInError) -> Response {
    let status = match why {
        SignInError::NoUsers | SignInError::NotInRole { .. } | SignInError::SomebodyElse { .. } => {
            StatusCode::FORBIDDEN
        }
        SignInError::Locked { .. } => StatusCode::LOCKED,
        SignInError::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        SignInError::Random(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNAUTHORIZED,
    };
    words(status, &why.to_string())
}

fn words(status: StatusCode, why: &str) -> Response {
    (status, format!("{}\n", ForeignText::shown(why, LONGEST_REFUSAL))).into_response()
}

fn not_done() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "not done\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::super::guard::{ANSWER, JUDGE};
    use super::*;
    use crate::audit::Audit;
    use crate::clock::SystemClock;
    use crate::config::{KeepingConfig, Vehicle};
    use crate::policy::{Rules, User, Who};

    #[test]
    fn cookie_is_read_by_no_script_sent_by_no_other_site_and_only_encrypted_where_the_page_is() {
        let plain = set_cookie(8470, "ab", false);
        assert_eq!(plain, "outrider-session-8470=ab; Path=/; HttpOnly; SameSite=Strict");
        let tls = set_cookie(8470, "ab", true);
        assert_eq!(tls, "outrider-session-8470=ab; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert!(set_cookie(8470, "", false).to_str().unwrap().ends_with("; Max-Age=0"));
    }

    #[test]
    fn changes_bring_what_only_the_page_knows_and_come_at_a_persons_pace() {
        let dir = tempfile::tempdir().unwrap();
        let keeping = KeepingConfig { directory: dir.path().join("state"), ..Default::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let clock = Arc::new(SystemClock);
        let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let user = User {
            name: String::new(),
            roles: [Who::Officer].into(),
            trained_until: None,
            pin: crate::pin::PinHash::of("480213").unwrap(),
        };
        let rules =
            Arc::new(Rules { users: [("1234".to_owned(), user)].into(), ..Rules::default() });
        let in_force = Box::new(move || rules.clone());
        let sessions = Sessions::new(in_force, audit, clock, &keeping.directory);
        let page = PageSessions::new(Arc::new(sessions), 8470, false).unwrap();
        let brings = |csrf: Option<&str>, token: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(csrf) = csrf {
                headers.insert(CSRF, csrf.parse().unwrap());
            }
            if let Some(token) = token {
                let cookie = format!("a=b; outrider-session-8470={token}");
                headers.insert(header::COOKIE, cookie.parse().unwrap());
            }
            headers
        };
        let at = Duration::from_secs(100);
        let refused = |headers: &HeaderMap| page.check(headers, JUDGE, at).unwrap_err().0;
        let before = page.csrf(None);
        assert_eq!(refused(&brings(None, None)), StatusCode::FORBIDDEN);
        assert_eq!(refused(&brings(Some("x"), None)), StatusCode::FORBIDDEN);
        assert!(page.check(&brings(Some(&before), None), JUDGE, at).is_ok());
        let token = page.sessions.sign_in(Door::Page, "1234", "480213").unwrap().token;
        let own = page.csrf(Some(&token));
        assert_ne!(own, before);
        // The page's own word of before the sign-in is none after it, nor is another session's.
        assert_eq!(refused(&brings(Some(&before), Some(&token))), StatusCode::FORBIDDEN);
        assert_eq!(refused(&brings(Some(&own), None)), StatusCode::FORBIDDEN);
        for _ in 1..MOST {
            page.check(&brings(Some(&own), Some(&token)), JUDGE, at).unwrap();
        }
        assert_eq!(refused(&brings(Some(&own), Some(&token))), StatusCode::TOO_MANY_REQUESTS);
        // A tone is answered all the same.
        assert!(page.check(&brings(Some(&own), Some(&token)), ANSWER, at).is_ok());
        assert!(page.check(&brings(None, Some(&token)), ANSWER, at).is_err());
        assert!(page.check(&brings(Some(&own), Some(&token)), JUDGE, at + PER).is_ok());
    }
}
