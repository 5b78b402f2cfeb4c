//! The officer's page, served by the daemon itself on loopback or the car's own network.
//!
//! In: hits and health through the [`Board`]; hotplates that an officer adds or takes away, and nothing
//! else from the page. Out: a few static files, a stream of server-sent events, and each hit's plate
//! picture. Costs one task a page and a status every quarter second.

pub mod board;
mod guard;
mod hotplates;
pub mod status;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt, wrappers::WatchStream};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::ConsoleConfig;
use crate::health::Health;
use crate::hotlist::hotplate::Hotplates;
use crate::onboard::frame::CameraId;

use board::Board;
use guard::Guard;
use status::{Beside, Watch};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The address is taken, or not ours.
    #[error(
        "console.listen = \"{listen}\": {source}: choose another port, or stop the program that \
         `ss -ltnp 'sport = :{}'` shows", listen.port()
    )]
    Listen {
        /// As configured.
        listen: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// Pages open at once. A car has one or two screens; the rest of the descriptors are the cameras'.
const PAGES: usize = 16;

/// Time between two looks at health.
const TICK: Duration = Duration::from_millis(250);

/// Ticks between two statuses that tell nothing new: the page calls two seconds of silence a lost
/// connection.
const TICKS_PER_BEAT: u32 = 4;

/// What the page may load: its own files, nothing inline, nothing from elsewhere.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                   connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the console asks besides health, four times a second.
pub type Ask = Box<dyn Fn() -> Beside + Send + Sync>;

/// The running page.
pub struct Console {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    ticker: JoinHandle<()>,
}

struct Shared {
    board: Arc<Board>,
    guard: Guard,
    hotplates: Option<Arc<Hotplates>>,
    pages: AtomicUsize,
    stop: watch::Receiver<bool>,
}

impl Console {
    /// Binds the address and serves. Must be called within a tokio runtime.
    pub async fn start(
        config: &ConsoleConfig,
        board: Arc<Board>,
        cameras: Vec<CameraId>,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
        (ask, hotplates): (Ask, Option<Arc<Hotplates>>),
    ) -> Result<Self, ConsoleError> {
        let failed = |source| ConsoleError::Listen { listen: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            board: board.clone(),
            guard: Guard::new(config, address),
            hotplates,
            pages: AtomicUsize::new(0),
            stop: stopped.clone(),
        });
        let router = Router::new()
            .route("/", get(|| page("text/html; charset=utf-8", include_str!("index.html"))))
            .route("/console.css", get(|| page("text/css", include_str!("console.css"))))
            .route("/console.js", get(|| page("text/javascript", include_str!("console.js"))))
            .route("/icon.svg", get(|| page("image/svg+xml", include_str!("icon.svg"))))
            .route("/events", get(events))
            .route("/hit/{id}/plate.jpg", get(picture))
            .route(guard::ADD, post(hotplates::add))
            .route(guard::REMOVE, post(hotplates::remove))
            .layer(DefaultBodyLimit::max(hotplates::LONGEST))
            .layer(middleware::from_fn_with_state(shared.clone(), guarded))
            .with_state(shared);
        let mut ending = stopped.clone();
        let server = tokio::spawn(async move {
            let ended = async move { _ = ending.wait_for(|stop| *stop).await };
            if let Err(e) = axum::serve(listener, router).with_graceful_shutdown(ended).await {
                warn!(error = %e, "console stopped");
            }
        });
        let watch = Watch::new(cameras);
        let ticker = tokio::spawn(tick(board, watch, clock, health, ask));
        info!(%address, "console ready");
        Ok(Self { address, stop, server, ticker })
    }

    /// Where it is served: the port, too, if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every stream and the server, within a second.
    pub async fn stop(self) {
        self.ticker.abort();
        let _ = self.stop.send(true);
        if tokio::time::timeout(Duration::from_secs(1), self.server).await.is_err() {
            warn!("console still busy, left behind");
        }
    }
}

async fn tick(
    board: Arc<Board>,
    mut watch: Watch,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    ask: Ask,
) {
    let mut every = tokio::time::interval(TICK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for n in 0_u32.. {
        every.tick().await;
        let now = clock.now();
        let status = watch.step(now.monotonic, now.wall, &health.snapshot(), ask());
        board.status(status, n.is_multiple_of(TICKS_PER_BEAT));
    }
}

/// Checks who asks, and puts the same headers on every answer.
async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response =
        match shared.guard.check(request.method(), request.uri().path(), request.headers()) {
            Ok(()) => next.run(request).await,
            Err(refused) => refused.into_response(),
        };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Plates of hits do not belong in a browser's cache on a shared terminal.
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn page(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

async fn picture(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.board.picture(&id) {
        Some(jpeg) => ([(header::CONTENT_TYPE, "image/jpeg")], jpeg.to_vec()).into_response(),
        None => (StatusCode::NOT_FOUND, "no such hit on the board\n").into_response(),
    }
}

/// Counts a page while its stream lives.
struct Seat(Arc<Shared>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.pages.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn events(State(shared): State<Arc<Shared>>) -> Response {
    if shared.pages.fetch_add(1, Ordering::Relaxed) >= PAGES {
        shared.pages.fetch_sub(1, Ordering::Relaxed);
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    }
    let seat = Seat(shared.clone());
    Sse::new(stream(shared, seat)).into_response()
}

/// What is shown now, then every change, until the page leaves, falls behind, or we stop.
fn stream(
    shared: Arc<Shared>,
    seat: Seat,
) -> impl Stream<Item = Result<sse::Event, Infallible>> + use<> {
    enum Next {
        Send(board::Event),
        End,
    }
    let (first, changes) = shared.board.join();
    let changes =
        tokio_stream::wrappers::BroadcastStream::new(changes).map(|change| match change {
            Ok(event) => Next::Send(event),
            Err(tokio_stream::wrappers::errors::BroadcastStreamRecvError::Lagged(_)) => Next::End,
        });
    let ends = WatchStream::new(shared.stop.clone()).filter(|stop| *stop).map(|_| Next::End);
    tokio_stream::iter(first)
        .map(Next::Send)
        .chain(changes)
        .merge(ends)
        .take_while(|next| matches!(next, Next::Send(_)))
        .filter_map(move |next| {
            let _held = &seat;
            match next {
                Next::Send(event) => {
                    Some(Ok(sse::Event::default().event(event.name).data(&*event.json)))
                }
                Next::End => None,
            }
        })
}
