//! The car's router as a receiver: TAIP by UDP or TCP. In: its messages. Out: [`Report`]s.
//!
//! Anybody on the car's network can send UDP, so packets are taken from one address alone, that of the
//! configuration; others are counted and told. It is no proof: whoever can write that address into a packet is
//! taken for the router (docs/decisions/0136-taip-from-the-router.md). Of several messages that come at once the last one
//! counts, because a router that was away may send what it has stored.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tracing::warn;

use super::taip::{Messages, Said};
use super::{FixSource, GpsError, Report};

/// Time for connecting.
const CONNECT: Duration = Duration::from_secs(3);

/// Longest packet; what is longer is cut short, and so is its last message. Routers send a few hundred bytes.
const PACKET: usize = 4 * 1024;

/// For how long a refused packet is told.
const LATELY: Duration = Duration::from_secs(600);

/// Silence after which the kernel asks whether a router still holds its connection, the time between two questions,
/// and how often it asks: one that was switched off is noticed within ten seconds, and opened anew.
const ASK_AFTER: Duration = Duration::from_secs(4);
const ASK_EVERY: Duration = Duration::from_secs(2);
const ASK_TIMES: u32 = 3;

/// A router that tells TAIP.
pub struct Router {
    line: Line,
    messages: Messages,
    /// Said and not reported yet.
    waiting: VecDeque<Said>,
    /// The GPS time of day of the last fix that was reported.
    last: Option<Duration>,
    /// Whether anything came, and whether the last fix that came was the one that was reported already.
    heard: bool,
    repeats: bool,
    refused: Refused,
}

enum Line {
    Udp { socket: UdpSocket, from: IpAddr },
    Tcp { stream: TcpStream, address: String },
}

/// Packets of others.
#[derive(Default)]
struct Refused {
    count: u64,
    last: Option<(IpAddr, Instant)>,
}

impl Router {
    /// Listens for the packets that come from this address; no others are taken.
    pub fn listen(at: SocketAddr, from: IpAddr) -> Result<Self, GpsError> {
        let socket =
            UdpSocket::bind(at).map_err(|source| GpsError::NotListening { address: at, source })?;
        Ok(Self::on(Line::Udp { socket, from: from.to_canonical() }))
    }

    /// Connects to a router that offers TAIP by TCP.
    pub fn connect(address: &str) -> Result<Self, GpsError> {
        let unreachable = |source| GpsError::NoRouter { address: address.to_owned(), source };
        let mut last = Error::new(ErrorKind::NotFound, "the name has no address");
        for at in address.to_socket_addrs().map_err(unreachable)? {
            match TcpStream::connect_timeout(&at, CONNECT) {
                Ok(stream) => {
                    keep_asking(&stream).map_err(|e| unreachable(e.into()))?;
                    return Ok(Self::on(Line::Tcp { stream, address: address.to_owned() }));
                }
                Err(e) => last = e,
            }
        }
        Err(unreachable(last))
    }

    fn on(line: Line) -> Self {
        Self {
            line,
            messages: Messages::default(),
            waiting: VecDeque::new(),
            last: None,
            heard: false,
            repeats: false,
            refused: Refused::default(),
        }
    }

    /// Where packets are listened for, with the port that was taken.
    #[cfg(any(test, feature = "testing"))]
    pub fn at(&self) -> Option<SocketAddr> {
        match &self.line {
            Line::Udp { socket, .. } => socket.local_addr().ok(),
            Line::Tcp { .. } => None,
        }
    }

    /// Waits for bytes, at most for `left`; queues what they say.
    fn hear(&mut self, left: Duration) -> Result<(), GpsError> {
        let mut bytes = [0; PACKET];
        let said = match &mut self.line {
            Line::Udp { socket, from } => {
                let heard = socket.set_read_timeout(Some(left)).and_then(|()| {
                    let (length, sender) = socket.recv_from(&mut bytes)?;
                    Ok((length, sender.ip().to_canonical()))
                });
                match heard {
                    Ok((length, sender)) if sender == *from => {
                        self.heard |= length > 0;
                        self.messages.packet(&bytes[..length])
                    }
                    Ok((_, sender)) => {
                        self.refused.one(sender, *from);
                        return Ok(());
                    }
                    Err(e) if is_nothing_yet(&e) => return Ok(()),
                    Err(source) => {
                        return Err(GpsError::RouterLost { address: from.to_string(), source });
                    }
                }
            }
            Line::Tcp { stream, address } => {
                let heard = stream
                    .set_read_timeout(Some(left))
                    .and_then(|()| stream.read(&mut bytes))
                    .and_then(|length| match length {
                        0 => Err(Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
                        length => Ok(length),
                    });
                match heard {
                    Ok(length) => {
                        self.heard = true;
                        self.messages.read(&bytes[..length])
                    }
                    Err(e) if is_nothing_yet(&e) => return Ok(()),
                    Err(source) => {
                        return Err(GpsError::RouterLost { address: address.clone(), source });
                    }
                }
            }
        };
        // What came at once is one report: of the places the last, which is the newest.
        if let Some(said) = said.last() {
            self.waiting.push_back(*said);
        }
        Ok(())
    }

    /// The next report that is waiting.
    fn waiting(&mut self) -> Option<Report> {
        while let Some(said) = self.waiting.pop_front() {
            self.repeats = !said.is_newer_than(self.last);
            match said {
                Said::NoFix => return Some(Report::NoFix),
                Said::Place { at, fix } if !self.repeats => {
                    self.last = Some(at);
                    return Some(Report::Fix(fix));
                }
                // The same fix once more is not a younger one.
                Said::Place { .. } => {}
            }
        }
        None
    }
}

/// Whether nothing has come in the time for which it was waited.
fn is_nothing_yet(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Has the kernel ask now and then whether the other side is still there: we send nothing, and would wait for ever
/// for a router that was switched off.
fn keep_asking(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, ASK_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, ASK_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, ASK_TIMES)
}

impl Refused {
    fn one(&mut self, sender: IpAddr, from: IpAddr) {
        self.count += 1;
        self.last = Some((sender, Instant::now()));
        // Told at 1, 2, 4, 8, so that nobody fills the log.
        if self.count.is_power_of_two() {
            warn!(%sender, %from, refused = self.count, "packet with a position refused, its sender is not gps.from");
        }
    }
}

impl FixSource for Router {
    fn next_report(&mut self, timeout: Duration) -> Result<Report, GpsError> {
        let until = Instant::now() + timeout;
        loop {
            if let Some(report) = self.waiting() {
                return Ok(report);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Report::Quiet);
            }
            self.hear(left)?;
        }
    }

    fn silence(&self) -> String {
        let who = match &self.line {
            Line::Udp { from, .. } => from.to_string(),
            Line::Tcp { address, .. } => address.clone(),
        };
        let Messages { damaged, others, .. } = self.messages;
        match (self.heard, self.repeats) {
            (false, _) => format!("nothing has come from the router {who} yet"),
            (true, true) => format!("the router {who} sends one fix again and again"),
            (true, false) if self.last.is_some() => {
                format!("the router {who} sends no position any more")
            }
            (true, false) if damaged + others > 0 => {
                format!("the router {who} sends no position: set it to TAIP's RPV or RLN")
            }
            (true, false) => format!("the router {who} sends no TAIP"),
        }
    }

    fn strangers(&self) -> Option<String> {
        let (sender, _) = self.refused.last.filter(|(_, at)| at.elapsed() < LATELY)?;
        // Rounded, so that what is told does not change with each packet.
        let at_least = 1_u64 << self.refused.count.checked_ilog2()?;
        Some(format!(
            "{at_least} packets or more with a position were refused, because their sender is not gps.from; the last from {sender}"
        ))
    }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
