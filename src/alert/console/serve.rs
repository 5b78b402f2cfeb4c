//! The page's connections: how many there may be, how long each may take, who gives way.
//!
//! In: a listening socket and the routes. Out: answers. Costs: one task a connection. Whoever is on this
//! machine can open connections, and each takes one of the daemon's descriptors, which its cameras and its
//! broker need too. So one that has not shown the token gives way to a newer one, each request has a
//! connection of its own, and heads, bodies and readers that stand still are let go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

/// Connections that have not shown the token yet. A browser shows it with the first bytes.
const STRANGERS: usize = 16;

/// Connections in all: every page that may be open, and the files that each asks for.
const CONNECTIONS: usize = 64;

/// Time for a request's head, which a browser sends in one piece.
const HEAD: Duration = Duration::from_secs(3);

/// Time for the rest: a hotplate is committed to the disk before it is answered.
pub(super) const ANSWER: Duration = Duration::from_secs(15);

/// Time for which what was sent may go untaken, in milliseconds: a page that hangs.
const UNTAKEN_MS: u32 = 10_000;

/// The longest head of a request, in bytes: hyper's least.
const LONGEST_HEAD: usize = 8 << 10;

/// Who is connected. Clones share it.
#[derive(Clone, Default)]
struct Connected(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    next: u64,
    all: usize,
    /// Those that have not shown the token, the oldest first.
    strangers: VecDeque<(u64, AbortHandle)>,
}

/// One connection, as its requests know it.
#[derive(Clone)]
pub(super) struct Connection {
    id: u64,
    connected: Connected,
}

impl Connection {
    /// It has shown the token: it does not give way any more.
    pub(super) fn is_known(&self) {
        self.connected.lock().strangers.retain(|(id, _)| *id != self.id);
    }
}

/// Counts a connection out, however its task ends.
struct Leave(Connection);

impl Drop for Leave {
    fn drop(&mut self) {
        let mut inside = self.0.connected.lock();
        inside.all -= 1;
        inside.strangers.retain(|(id, _)| *id != self.0.id);
    }
}

impl Connected {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection on, in the place of the oldest stranger if there are too many.
    fn take(
        &self,
        socket: TcpStream,
        tls: Option<&TlsAcceptor>,
        router: &Router,
        tasks: &mut JoinSet<()>,
    ) {
        let mut inside = self.lock();
        if inside.strangers.len() >= STRANGERS || inside.all >= CONNECTIONS {
            match inside.strangers.pop_front() {
                Some((_, oldest)) => oldest.abort(),
                // All are the officer's own: this one is closed, and tried again by whoever it is.
                None => return,
            }
        }
        inside.next += 1;
        inside.all += 1;
        let id = inside.next;
        let connection = Connection { id, connected: self.clone() };
        let leave = Leave(connection.clone());
        let routes = router.clone().layer(Extension(connection));
        let tls = tls.cloned();
        // Under the lock, so that it is counted in before it can leave.
        let task = tasks.spawn(async move {
            let _leave = leave;
            match tls {
                None => answer(socket, routes).await,
                // Who does not shake hands in time is a stranger like any other.
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HEAD, tls.accept(socket)).await {
                        answer(stream, routes).await;
                    }
                }
            }
        });
        inside.strangers.push_back((id, task));
    }
}

/// Answers one request.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, routes: Router) {
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .await;
}

/// Serves until told to stop, and then until the streams have ended.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let connected = Connected::default();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = async { _ = stop.wait_for(|stop| *stop).await } => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let _ = socket.set_nodelay(true);
                    let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, UNTAKEN_MS);
                    connected.take(socket, tls.as_ref(), &router, &mut tasks);
                }
                Err(e) => {
                    warn!(error = %e, "console takes no connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}
