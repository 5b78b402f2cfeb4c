//! Verdicts from the page: what an officer says that a hit is.
//!
//! In: a step as JSON from the page itself (`guard.rs`). Out: where the hit stands, or why the step is not
//! taken, in the words of the one state machine (`records::disposition`), which the command line has too.
//! Costs a synchronous commit, off the threads that serve the page. Leaves to others: who a person is
//! (`session.rs`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::session::enter;
use crate::records::disposition::Request;

/// What is entered, as the audit log and the control socket call it.
const WHAT: &str = "disposition";

/// Takes one step.
pub(super) async fn judge(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Response {
    // A hit that the page does not show, a covert one too, is as good as none.
    if !shared.board.has(&request.hit) {
        return (StatusCode::NOT_FOUND, "no such hit on the board\n").into_response();
    }
    let judge = shared.judge.clone();
    let stated = (request.officer.clone(), request.role);
    let decide = move |who: &_| Ok(judge.decide(who, &request)?);
    enter(&shared, &headers, WHAT, stated, decide).await
}
