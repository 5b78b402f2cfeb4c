//! The start of an officer's shift on the page: what is shown, the tone, and the word that it was gone through.
//!
//! In: who is signed in on the page, and what they say. Out: the lines (`alert::shift`), and a record of exactly
//! those that were shown. Costs a few kilobytes for each page that shows them. Leaves to others: what the lines say, and
//! whose shift it is (`sessions`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::looks::viewer;
use super::session::enter;
use crate::alert::shift::{Line, is_silent, lines};
use crate::sessions::Refused;

/// What is entered, as the audit log calls it.
const WHAT: &str = "shift";

/// Answers that are remembered: a page asks once a second, and its officer reads for a moment.
const SHOWN: usize = 256;

/// Sessions of which it is remembered that the tone was played.
const TONES: usize = 32;

/// Least time between two tones that somebody asks for: the tone itself takes a second.
const BETWEEN_TONES: Duration = Duration::from_secs(2);

/// Why an officer cannot enter something yet.
pub(super) const NOT_BEGUN: &str =
    "the shift is not begun: go through the start of the shift first; hits can be judged meanwhile";

/// What pages have been shown.
#[derive(Default)]
pub(super) struct Shifts(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    version: u64,
    shown: VecDeque<Shown>,
    /// Sessions in which the tone was played.
    tones: VecDeque<String>,
    /// When it was played last, on the boot clock.
    last_tone: Option<Duration>,
}

struct Shown {
    version: u64,
    csrf: String,
    lines: Vec<Line>,
    /// Whether it was said that the car has no sound.
    silent: bool,
}

impl Shifts {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Remembers what a session was shown.
    fn show(&mut self, csrf: String, lines: Vec<Line>, silent: bool) -> u64 {
        self.version += 1;
        if self.shown.len() == SHOWN {
            self.shown.pop_front();
        }
        self.shown.push_back(Shown { version: self.version, csrf, lines, silent });
        self.version
    }

    /// What a session was shown under this number.
    fn was_shown(&self, csrf: &str, version: u64) -> Option<&Shown> {
        self.shown.iter().find(|shown| shown.version == version && shown.csrf == csrf)
    }

    fn has_heard(&self, csrf: &str) -> bool {
        self.tones.iter().any(|played| played == csrf)
    }

    /// Lets a tone be played, if none is.
    fn play(&mut self, csrf: &str, now: Duration) -> bool {
        if self.last_tone.is_some_and(|last| now.saturating_sub(last) < BETWEEN_TONES) {
            return false;
        }
        self.last_tone = Some(now);
        if !self.has_heard(csrf) {
            if self.tones.len() == TONES {
                self.tones.pop_front();
            }
            self.tones.push_back(csrf.to_owned());
        }
        true
    }
}

/// What the page shows.
#[derive(Serialize)]
struct Told {
    /// Names what is shown, for whoever says that it was gone through.
    version: u64,
    /// Whether it is still to be gone through.
    begin: bool,
    /// Whether the tone was played.
    tone: bool,
    /// Whether the car has no sound, so that nobody is asked about a tone.
    silent: bool,
    lines: Vec<Line>,
}

/// The lines, as they are now.
pub(super) async fn show(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let view = match viewer(&shared, &headers) {
        Ok(view) => view,
        Err(refused) => return *refused,
    };
    let Some(who) = view.who else {
        return (StatusCode::NOT_FOUND, "a car without users has no shifts\n").into_response();
    };
    let Some(status) = shared.board.latest() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "nothing is known yet\n").into_response();
    };
    let duty = &shared.duty;
    let lines = lines(&status, &duty.glances.aims(), &(duty.kept)());
    let csrf = shared.page.csrf_of(&headers);
    let mut shifts = shared.shifts.lock();
    let silent = is_silent(&status);
    let version = shifts.show(csrf.clone(), lines.clone(), silent);
    let tone = shifts.has_heard(&csrf);
    Json(Told { version, begin: who.begin, tone, silent, lines }).into_response()
}

/// Plays the tone of a high hit once.
pub(super) async fn tone(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let (csrf, now) = (shared.page.csrf_of(&headers), shared.clock.now().monotonic);
    let at = shared.clone();
    let play = move |_: &_| {
        if at.board.latest().is_some_and(|status| is_silent(&status)) {
            return Err(Refused::new("the car has no sound: no tone can be played"));
        }
        if !at.shifts.lock().play(&csrf, now) {
            return Err(Refused::new("the tone sounds already: listen"));
        }
        (at.duty.tone)();
        Ok(())
    };
    enter(&shared, &headers, WHAT, (String::new(), None), play).await
}

/// What an officer says at the end of the page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    version: u64,
    heard: bool,
}

/// An officer has gone through it.
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(Begin { version, heard }): Json<Begin>,
) -> Response {
    let (csrf, token) = (shared.page.csrf_of(&headers), shared.page.token(&headers));
    let to_begin = shared.page.is_to_begin(&headers);
    let at = shared.clone();
    let begin = move |who: &_| {
        if !to_begin {
            return Err(Refused::new("no shift is to be begun here"));
        }
        let shown = {
            let shifts = at.shifts.lock();
            if heard && !shifts.has_heard(&csrf) {
                return Err(Refused::new("play the tone first, then say whether it was heard"));
            }
            let shown = shifts.was_shown(&csrf, version);
            if heard && shown.is_some_and(|shown| shown.silent) {
                return Err(Refused::new("the car has no sound: no tone was heard"));
            }
            shown.map(|shown| shown.lines.iter().map(Line::on_record).collect::<Vec<_>>())
        };
        let Some(lines) = shown else {
            return Err(Refused::new("what was shown is too old: look at it again"));
        };
        at.page.sessions.begin_shift(who, token.as_deref(), lines, heard).map_err(Refused::new)
    };
    enter(&shared, &headers, WHAT, (String::new(), None), begin).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tone_is_played_at_a_persons_pace_and_what_was_shown_is_known_to_its_own_session_alone() {
        let mut inside = Inside::default();
        let at = Duration::from_secs(50);
        assert!(!inside.has_heard("a"));
        assert!(inside.play("a", at));
        assert!(!inside.play("b", at + BETWEEN_TONES / 2), "it sounds already");
        assert!(inside.has_heard("a") && !inside.has_heard("b"));
        assert!(inside.play("a", at + BETWEEN_TONES));
        let version = inside.show("a".into(), Vec::new(), false);
        assert!(inside.was_shown("a", version).is_some());
        assert!(inside.was_shown("b", version).is_none() && inside.was_shown("a", 7).is_none());
        for _ in 0..SHOWN {
            inside.show("a".into(), Vec::new(), false);
        }
        assert!(inside.was_shown("a", version).is_none(), "too long ago");
    }
}
