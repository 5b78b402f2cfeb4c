//! The supervisor's and auditor's page: what it asks, while the car stands.
//!
//! In: filters as JSON from the page itself (`guard.rs`), so that nothing that was chosen stands in an address. Out:
//! rows and files of [`review`](crate::records::review), which writes down who looks before anything is shown. Costs a
//! scan, off the threads that serve the page. Leaves to others: who may, and what is shown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::session::enter;
use crate::records::review::{HitsFilter, LogFilter, LookUpsFilter, Review, ReviewError, Wanted};
use crate::sessions::SignedIn;

/// Days of figures.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Days {
    from: Date,
    to: Date,
}

/// Asks as whoever is signed in. A page full of fields and rows is nothing for somebody who drives.
async fn ask<T: Serialize + Send + 'static>(
    shared: &Shared,
    headers: &HeaderMap,
    what: &'static str,
    asks: impl FnOnce(&Review, &SignedIn) -> Result<T, ReviewError> + Send + 'static,
) -> Response {
    if shared.driving.load(Ordering::Relaxed) {
        let why = "driving: records open when the car stands, below 8 km/h\n";
        return (StatusCode::CONFLICT, why).into_response();
    }
    let review = shared.review.clone();
    let does = move |who: &SignedIn| Ok(asks(&review, who)?);
    enter(shared, headers, what, (String::new(), None), does).await
}

/// The hit log.
pub(super) async fn hits(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(filter): Json<HitsFilter>,
) -> Response {
    ask(&shared, &headers, "records/hits", move |review, who| review.hits(who, &filter)).await
}

/// Look-ups.
pub(super) async fn look_ups(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(filter): Json<LookUpsFilter>,
) -> Response {
    let asks = move |review: &Review, who: &_| review.look_ups(who, &filter);
    ask(&shared, &headers, "records/look-ups", asks).await
}

/// The audit log.
pub(super) async fn log(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(filter): Json<LogFilter>,
) -> Response {
    ask(&shared, &headers, "records/log", move |review, who| review.log(who, &filter)).await
}

/// The chain, checked now.
pub(super) async fn chain(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    ask(&shared, &headers, "records/chain", move |review, who| review.chain(who)).await
}

/// Figures.
pub(super) async fn figures(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(Days { from, to }): Json<Days>,
) -> Response {
    let asks = move |review: &Review, who: &_| review.figures(who, from, to);
    ask(&shared, &headers, "records/figures", asks).await
}

/// A file.
pub(super) async fn export(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Response {
    let asks = move |review: &Review, who: &_| review.export(who, &wanted);
    ask(&shared, &headers, "records/export", asks).await
}
