//! What a camera sees now, for whoever is signed in: a small picture without plates, and how the camera is aimed.
//!
//! In: the camera's name. Out: a JPEG that is made now and kept nowhere, not in a browser's cache either
//! (`Cache-Control: no-store`); numbers for whoever mounts the cameras. Costs a decoded frame a look, five a second for each
//! camera at most. Leaves to others: covering plates (`onboard::glance`).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Shared;
use crate::onboard::glance::NoGlimpse;
use crate::policy::Who;
use crate::sessions::{Door, View};

/// Says how many plates were covered in a picture.
const COVERED: header::HeaderName = header::HeaderName::from_static("x-outrider-covered");

/// Who looks, if they may: whoever is signed in, or anybody at the page of a car in which nobody can be.
pub(super) fn viewer(shared: &Shared, headers: &HeaderMap) -> Result<View, Box<Response>> {
    let token = shared.page.token(headers);
    let view = shared.page.sessions.view(Door::Page, token.as_deref());
    let refused = |status: StatusCode, why: &'static str| Box::new((status, why).into_response());
    match &view.who {
        None if view.users => Err(refused(StatusCode::UNAUTHORIZED, "nobody is signed in here\n")),
        Some(who) if who.locked => Err(refused(StatusCode::LOCKED, "locked: give the PIN\n")),
        _ => Ok(view),
    }
}

/// What a camera sees now, small, its plates covered.
pub(super) async fn now(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(camera): Path<String>,
) -> Response {
    if let Err(refused) = viewer(&shared, &headers) {
        return *refused;
    }
    let glances = shared.duty.glances.clone();
    match tokio::task::spawn_blocking(move || glances.look(&camera)).await {
        Ok(Ok(seen)) => {
            let headers = [
                (header::CONTENT_TYPE, "image/jpeg".to_owned()),
                (COVERED, seen.covered.to_string()),
            ];
            (headers, seen.jpeg).into_response()
        }
        Ok(Err(none)) => {
            let status = match none {
                NoGlimpse::NoSuchCamera(_) => StatusCode::NOT_FOUND,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{none}\n")).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not done\n").into_response(),
    }
}

/// How each camera is aimed, for a maintainer, or for whoever sets up a car in which nobody can sign in yet.
pub(super) async fn aim(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let view = match viewer(&shared, &headers) {
        Ok(view) => view,
        Err(refused) => return *refused,
    };
    if view.who.is_some_and(|who| !who.roles.contains(&Who::Maintainer)) {
        let why = "cameras are aimed by a maintainer\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    Json(shared.duty.glances.aims()).into_response()
}
