//! Hotplates from the page.
//!
//! In: a hotplate to add, or one to take away, as JSON from the page itself (`guard.rs`). Out: what the
//! daemon says to it, in words. Costs a synchronous commit, off the threads that serve the page. Leaves
//! to others: whether it may be (`hotlist::hotplate`), and who a person is (`session.rs`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::session::enter;
use super::shift::NOT_BEGUN;
use crate::hotlist::hotplate::{ADD, Hotplates, REMOVE, Remove, Told, Wanted};
use crate::sessions::Refused;

/// The longest that the page sends: a reason of 200 characters and a dozen short words.
pub(super) const LONGEST: usize = 4096;

/// Adds one.
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Response {
    let Some(hotplates) = shared.hotplates.clone() else { return none() };
    let stated = (wanted.by.clone(), wanted.role);
    let to_begin = shared.page.is_to_begin(&headers);
    let add = move |who: &_| match to_begin {
        true => Err(Refused::new(NOT_BEGUN)),
        false => Ok(Hotplates::add(&hotplates, who, &wanted).map(Told::from)?),
    };
    enter(&shared, &headers, ADD, stated, add).await
}

/// Takes one away.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(asked): Json<Remove>,
) -> Response {
    let Some(hotplates) = shared.hotplates.clone() else { return none() };
    let Remove { id, by, role, why } = asked;
    let to_begin = shared.page.is_to_begin(&headers);
    let remove = move |who: &_| match to_begin {
        true => Err(Refused::new(NOT_BEGUN)),
        false => Ok(hotplates.remove(who, &id, &why)?),
    };
    enter(&shared, &headers, REMOVE, (by, role), remove).await
}

fn none() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "this car has no hotplates\n").into_response()
}
