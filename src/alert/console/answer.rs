//! The officer has seen a hit: its tone need not come again.
//!
//! In: the name of a hit, from the page itself (`guard.rs`). Out: nothing; what the hit is stays open, and it stays
//! in front until it is judged. Whoever sits in the car may silence what sounds there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Shared;

/// The hit that was seen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    hit: String,
}

/// Silences it.
pub(super) async fn answer(State(shared): State<Arc<Shared>>, Json(seen): Json<Seen>) -> Response {
    shared.board.answered(&seen.hit);
    StatusCode::NO_CONTENT.into_response()
}
