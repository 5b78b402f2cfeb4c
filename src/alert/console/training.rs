//! Training on the page: drawn plates to practise on, for whoever is signed in, in a car that stands.
//!
//! In: who is signed in, and their words. Out: cards and lessons (`alert::training`); in the audit log that it was begun, and
//! how it ended. Leaves to others: what is drawn, and that every hit comes in front (`training.js`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::Shared;
use super::session::enter;
use crate::alert::training::TrainingError;
use crate::records::disposition::{Compared, Word};
use crate::sessions::{Refused, SignedIn};
use crate::wire::TakenBackWhy;

/// What is entered, as the audit log calls it.
const WHAT: &str = "training";

fn refused(why: TrainingError) -> Refused {
    Refused::new(why)
}

/// Begins.
pub(super) async fn begin(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let (csrf, at) = (shared.page.csrf_of(&headers), shared.clone());
    let begin = move |who: &SignedIn| {
        if at.driving.load(Ordering::Relaxed) {
            return Err(Refused::new("the car moves: training is for a car that stands"));
        }
        let now = at.clock.now();
        let seed = u64::try_from(now.wall.as_nanosecond()).unwrap_or_default();
        let practice = at.training.begin(&csrf, seed, now.wall).map_err(refused)?;
        at.page.sessions.trained(who, "begun", 0, 0);
        Ok(practice)
    };
    enter(&shared, &headers, WHAT, (String::new(), None), begin).await
}

/// The next card.
pub(super) async fn next(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let (csrf, at) = (shared.page.csrf_of(&headers), shared.clone());
    let next = move |_: &_| at.training.next(&csrf, at.clock.now().wall).map_err(refused);
    enter(&shared, &headers, WHAT, (String::new(), None), next).await
}

/// A word on the card in front. It names no hit: there is none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Judged {
    word: Word,
    #[serde(default)]
    compared: Compared,
    #[serde(default)]
    why: Option<TakenBackWhy>,
}

/// Takes it.
pub(super) async fn judge(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(Judged { word, compared, why }): Json<Judged>,
) -> Response {
    let (csrf, at) = (shared.page.csrf_of(&headers), shared.clone());
    let judge = move |_: &_| at.training.judge(&csrf, word, compared, why).map_err(refused);
    enter(&shared, &headers, WHAT, (String::new(), None), judge).await
}

/// Ends.
pub(super) async fn end(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let (csrf, at) = (shared.page.csrf_of(&headers), shared.clone());
    let end = move |who: &SignedIn| {
        if let Some(score) = at.training.end(&csrf) {
            at.page.sessions.trained(who, "ended", score.right, score.wrong);
        }
        Ok(())
    };
    enter(&shared, &headers, WHAT, (String::new(), None), end).await
}
