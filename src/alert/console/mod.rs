//! The officer's page, served by the daemon itself on loopback or the car's own network.
//!
//! In: hits and health through the [`Board`]; who signs in, hotplates that an officer adds or takes away and what is
//! said of a hit, and nothing else from the page. Out: a few static files, a stream of server-sent events, and each hit's plate
//! picture. Costs one task a page and a status every quarter second.

mod answer;
pub mod board;
mod guard;
mod hotplates;
mod judge;
mod looks;
mod records;
mod seats;
mod serve;
mod session;
mod shift;
pub mod status;
mod tls;
mod token;
mod training;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt, wrappers::WatchStream};
use tracing::{info, warn};

use crate::alert::training::Training;
use crate::camera_id::CameraId;
use crate::clock::Clock;
use crate::config::ConsoleConfig;
use crate::gps::Position;
use crate::health::Health;
use crate::hits::HitImage;
use crate::hotlist::hotplate::Hotplates;
use crate::onboard::glance::Glances;
use crate::records::disposition::Judge;
use crate::records::review::Review;
use crate::sessions::Sessions;

use board::Board;
use guard::{Guard, Pass};
use seats::{Seat, Seats};
use serve::Connection;
use session::PageSessions;
use shift::Shifts;
use status::{Beside, Watch};
pub use token::{FILE as TOKEN_FILE, PageAddress, Token};

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
    /// No token to let anybody in by.
    #[error("the console's token: {0}; a new one is made if the file is not there")]
    Token(crate::secret_file::SecretFileError),
    /// No encryption.
    #[error(
        "console.{name} = {}: {why}; the page is not served without it. `outrider provision fleet` makes one",
        path.display()
    )]
    Tls {
        /// The setting.
        name: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No token either.
    #[error("no random bytes from the kernel for the console's token: {0}")]
    Random(String),
}

/// Time between two looks at health.
const TICK: Duration = Duration::from_millis(250);

/// Ticks between two statuses that tell nothing new: the page calls two seconds of silence a lost
/// connection.
const TICKS_PER_BEAT: u32 = 4;

/// What the page may load: its own files, nothing inline, nothing from elsewhere.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                   connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Leads a browser that brought the token to the page.
const ENTER: &str = "<!doctype html><meta charset=\"utf-8\">\
    <meta http-equiv=\"refresh\" content=\"0;url=/\"><title>Outrider</title>";

/// What the console asks besides health, four times a second.
pub type Ask = Box<dyn Fn() -> Beside + Send + Sync>;

/// What the page lets people do, and what it asks.
pub struct Doors {
    /// Besides health, four times a second.
    pub ask: Ask,
    /// Entries that officers add; `None` where there can be none.
    pub hotplates: Option<Arc<Hotplates>>,
    /// What is said of hits.
    pub judge: Arc<Judge>,
    /// What supervisors and auditors see.
    pub review: Arc<Review>,
    /// Who is signed in.
    pub sessions: Arc<Sessions>,
    /// What an officer looks at before the shift, and an installer at the cameras.
    pub duty: Duty,
}

/// What an officer looks at before the shift, and an installer at the cameras.
pub struct Duty {
    /// What the cameras see.
    pub glances: Glances,
    /// Plays the tone of a high hit once.
    pub tone: Box<dyn Fn() + Send + Sync>,
    /// What is kept in the car and for how long, in plain words.
    pub kept: Box<dyn Fn() -> String + Send + Sync>,
}

/// Speed above which the page opens no text field, in metres a second: 8 km/h.
const DRIVING_MPS: f32 = 8.0 / 3.6;

/// The running page.
pub struct Console {
    page: PageAddress,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    ticker: JoinHandle<()>,
}

struct Shared {
    board: Arc<Board>,
    guard: Guard,
    hotplates: Option<Arc<Hotplates>>,
    judge: Arc<Judge>,
    review: Arc<Review>,
    /// Whether somebody drives, faster than [`DRIVING_MPS`].
    driving: Arc<AtomicBool>,
    page: PageSessions,
    clock: Arc<dyn Clock>,
    duty: Duty,
    shifts: Shifts,
    training: Training,
    seats: Seats,
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
        Doors { ask, hotplates, judge, review, sessions, duty }: Doors,
        token: Token,
    ) -> Result<Self, ConsoleError> {
        let tls = tls::acceptor(config)?;
        let failed = |source| ConsoleError::Listen { listen: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let driving = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            board: board.clone(),
            guard: Guard::new(config, address, token.clone()),
            hotplates,
            judge,
            review,
            driving: driving.clone(),
            page: PageSessions::new(sessions.clone(), address.port(), tls.is_some())
                .map_err(ConsoleError::Random)?,
            clock: clock.clone(),
            duty,
            shifts: Shifts::default(),
            training: Training::default(),
            seats: Seats::default(),
            stop: stopped.clone(),
        });
        let router = Router::new()
            .route("/", get(|| page("text/html; charset=utf-8", include_str!("index.html"))))
            .route("/console.css", get(|| page("text/css", include_str!("console.css"))))
            .route("/console.js", get(|| page("text/javascript", include_str!("console.js"))))
            .route("/screen.js", get(|| page("text/javascript", include_str!("screen.js"))))
            .route("/state.js", get(|| page("text/javascript", include_str!("state.js"))))
            .route("/verify.js", get(|| page("text/javascript", include_str!("verify.js"))))
            .route("/queue.js", get(|| page("text/javascript", include_str!("queue.js"))))
            .route("/large.js", get(|| page("text/javascript", include_str!("large.js"))))
            .route(
                "/records",
                get(|| page("text/html; charset=utf-8", include_str!("records.html"))),
            )
            .route("/records.css", get(|| page("text/css", include_str!("records.css"))))
            .route("/records.js", get(|| page("text/javascript", include_str!("records.js"))))
            .route("/charts.js", get(|| page("text/javascript", include_str!("charts.js"))))
            .route("/session.css", get(|| page("text/css", include_str!("session.css"))))
            .route("/post.js", get(|| page("text/javascript", include_str!("post.js"))))
            .route("/session.js", get(|| page("text/javascript", include_str!("session.js"))))
            .route("/shift.css", get(|| page("text/css", include_str!("shift.css"))))
            .route("/shift.js", get(|| page("text/javascript", include_str!("shift.js"))))
            .route("/training.js", get(|| page("text/javascript", include_str!("training.js"))))
            .route("/cameras.js", get(|| page("text/javascript", include_str!("cameras.js"))))
            .route("/icon.svg", get(|| page("image/svg+xml", include_str!("icon.svg"))))
            .route("/events", get(events))
            .route("/hit/{id}/{picture}", get(picture))
            .route("/camera/{id}/now.jpg", get(looks::now))
            .route("/aim", get(looks::aim))
            .route(guard::SHIFT, get(shift::show))
            .route(guard::TONE, post(shift::tone))
            .route(guard::BEGIN, post(shift::begin))
            .route(guard::TRAINING[0], post(training::begin))
            .route(guard::TRAINING[1], post(training::next))
            .route(guard::TRAINING[2], post(training::judge))
            .route(guard::TRAINING[3], post(training::end))
            .route(guard::ADD, post(hotplates::add))
            .route(guard::REMOVE, post(hotplates::remove))
            .route(guard::JUDGE, post(judge::judge))
            .route(guard::ANSWER, post(answer::answer))
            .route(guard::HITS, post(records::hits))
            .route(guard::LOOK_UPS, post(records::look_ups))
            .route(guard::LOG, post(records::log))
            .route(guard::CHAIN, post(records::chain))
            .route(guard::FIGURES, post(records::figures))
            .route(guard::EXPORT, post(records::export))
            .route(guard::SESSION, get(session::show))
            .route(guard::SIGN_IN, post(session::sign_in))
            .route(guard::UNLOCK, post(session::unlock))
            .route(guard::LOCK, post(session::lock))
            .route(guard::SIGN_OUT, post(session::sign_out))
            .layer(DefaultBodyLimit::max(hotplates::LONGEST))
            .layer(middleware::from_fn_with_state(shared.clone(), guarded))
            .with_state(shared);
        let encrypted = tls.is_some();
        let server = tokio::spawn(serve::serve(listener, tls, router, stopped));
        let watch = Watch::new(cameras);
        let ticker = tokio::spawn(tick(board, watch, clock, health, (ask, sessions, driving)));
        info!(%address, encrypted, "console ready");
        Ok(Self { page: PageAddress::new(address, token, encrypted), stop, server, ticker })
    }

    /// Where it is served, with what lets a browser in: the port, too, if port 0 was asked for.
    pub fn page(&self) -> &PageAddress {
        &self.page
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
    (ask, sessions, driving): (Ask, Arc<Sessions>, Arc<AtomicBool>),
) {
    let mut every = tokio::time::interval(TICK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for n in 0_u32.. {
        every.tick().await;
        let now = clock.now();
        let mut status = watch.step(now.monotonic, now.wall, &health.shown(), ask());
        let speed = match &status.position {
            Position::Fixed { fix, .. } => fix.speed_mps,
            Position::NoFix => None,
        };
        let moves = speed.is_some_and(|speed| speed > DRIVING_MPS);
        if moves {
            sessions.moving();
        }
        driving.store(moves && !board.nobody_drives(), Ordering::Relaxed);
        status.sessions = sessions.tick();
        board.status(status, n.is_multiple_of(TICKS_PER_BEAT));
    }
}

/// Checks who asks, and puts the same headers on every answer.
async fn guarded(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let response = match shared.guard.check(request.method(), request.uri(), request.headers()) {
        Ok(Pass::In) => {
            connection.is_known();
            // Whatever changes something brings what only our own page knows, before anybody reads it.
            if request.method() == Method::POST
                && let now = shared.clock.now().monotonic
                && let Err(refused) =
                    shared.page.check(request.headers(), request.uri().path(), now)
            {
                return with_headers(refused.into_response());
            }
            // A body that does not come is not waited for. A stream begins at once, and goes on.
            match tokio::time::timeout(serve::ANSWER, next.run(request)).await {
                Ok(response) => response,
                Err(_) => (StatusCode::REQUEST_TIMEOUT, "too slow\n").into_response(),
            }
        }
        // On to the page itself, so that the token does not stay in the address. Not by a redirect: a
        // browser that came by a link of another site would not send the cookie along.
        Ok(Pass::Enter(cookie)) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            ([(header::CONTENT_TYPE, kind), (header::SET_COOKIE, cookie)], ENTER).into_response()
        }
        Err(refused) => refused.into_response(),
    };
    with_headers(response)
}

fn with_headers(mut response: Response) -> Response {
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

async fn picture(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path((id, name)): Path<(String, String)>,
) -> Response {
    // A drawn one is shown to whoever practises on it.
    if let Some(jpeg) = shared.training.picture(&shared.page.csrf_of(&headers), &id)
        && name == "plate.jpg"
    {
        return ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response();
    }
    let board = shared.board.clone();
    let kept = HitImage::of_name(&name)
        .map(|image| tokio::task::spawn_blocking(move || board.picture(&id, image)));
    let found = match kept {
        Some(kept) => kept.await.ok().flatten(),
        None => None,
    };
    match found {
        Some(jpeg) if !jpeg.is_empty() => {
            ([(header::CONTENT_TYPE, "image/jpeg")], jpeg.to_vec()).into_response()
        }
        _ => (StatusCode::NOT_FOUND, "no picture of such a hit\n").into_response(),
    }
}

async fn events(State(shared): State<Arc<Shared>>) -> Response {
    let (seat, given_up) = shared.seats.take();
    Sse::new(stream(shared, seat, given_up)).into_response()
}

/// What is shown now, then every change, until the page leaves, falls behind, or we stop.
fn stream(
    shared: Arc<Shared>,
    seat: Seat,
    given_up: watch::Receiver<bool>,
) -> impl Stream<Item = Result<sse::Event, Infallible>> + use<> {
    enum Next {
        Send(board::Event),
        Leave,
        End,
    }
    let (first, changes) = shared.board.join();
    let changes =
        tokio_stream::wrappers::BroadcastStream::new(changes).map(|change| match change {
            Ok(event) => Next::Send(event),
            Err(tokio_stream::wrappers::errors::BroadcastStreamRecvError::Lagged(_)) => Next::End,
        });
    let ends = WatchStream::new(shared.stop.clone()).filter(|stop| *stop).map(|_| Next::End);
    // The page is told, so that it does not come back and push another out in its turn.
    let leave = WatchStream::new(given_up).filter(|up| *up).map(|_| Next::Leave);
    let mut left = false;
    tokio_stream::iter(first)
        .map(Next::Send)
        .chain(changes)
        .merge(ends)
        .merge(leave)
        .take_while(move |next| {
            let go_on = !left && !matches!(next, Next::End);
            left = matches!(next, Next::Leave);
            go_on
        })
        .filter_map(move |next| {
            let _held = &seat;
            match next {
                Next::Send(event) => {
                    Some(Ok(sse::Event::default().event(event.name).data(&*event.json)))
                }
                Next::Leave => Some(Ok(sse::Event::default().event("full").data("{}"))),
                Next::End => None,
            }
        })
}
