//! Hotplates from the page: the one thing that it can send.
//!
//! In: a hotplate to add, or one to take away, as JSON from the page itself (`guard.rs`). Out: what the
//! daemon says to it, in words. Costs a synchronous commit, off the threads that serve the page. Leaves
//! to others: whether it may be (`hotlist::hotplate`), and who a person is: there is no sign-in yet, so number
//! and role are as stated, and go into the audit so.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Shared;
use crate::hotlist::hotplate::{HotplateError, Hotplates, Remove, Told, Wanted};

/// The longest that the page sends: a reason of 200 characters and a dozen short words.
pub(super) const LONGEST: usize = 4096;

/// Adds one.
pub(super) async fn add(State(shared): State<Arc<Shared>>, Json(wanted): Json<Wanted>) -> Response {
    change(&shared, move |hotplates| hotplates.add(&wanted).map(Told::from)).await
}

/// Takes one away.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<Remove>,
) -> Response {
    let Remove { id, by, role, why } = asked;
    change(&shared, move |hotplates| hotplates.remove(&id, role, &by, &why)).await
}

async fn change<T: serde::Serialize + Send + 'static>(
    shared: &Shared,
    how: impl FnOnce(&Hotplates) -> Result<T, HotplateError> + Send + 'static,
) -> Response {
    let Some(hotplates) = shared.hotplates.clone() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "this car has no hotplates\n").into_response();
    };
    match tokio::task::spawn_blocking(move || how(&hotplates)).await {
        Ok(Ok(done)) => Json(done).into_response(),
        Ok(Err(refused)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("{refused}\n")).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not done\n").into_response(),
    }
}
