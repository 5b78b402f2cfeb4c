//! Brokers on a socket that behave badly in one way each, which mosquitto will not do for a test.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Answers a CONNECT of MQTT 5 as a broker of 3.1.1 does, and hangs up.
    Old,
    /// Hangs up on it without a word.
    OldAndMute,
    /// Lets everybody in, and hangs up.
    ThrowsOut,
    /// Lets everybody in, and says that another came with the same identifier.
    TakenOver,
    /// Lets everybody in; hangs up over a SUBSCRIBE of more than eight filters, as AWS IoT Core does.
    Eight,
}

/// A broker. It lives as long as the test's process.
pub(crate) struct FakeBroker {
    pub(crate) port: u16,
    /// How many filters each SUBSCRIBE had, and over how many it hung up.
    pub(crate) filters: Arc<Mutex<Vec<usize>>>,
}

impl FakeBroker {
    pub(crate) fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let filters = Arc::<Mutex<Vec<usize>>>::default();
        let counts = filters.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let counts = counts.clone();
                std::thread::spawn(move || serve(socket, way, &counts));
            }
        });
        Self { port, filters }
    }

    pub(crate) fn uplink(&self) -> crate::config::UplinkConfig {
        crate::config::UplinkConfig {
            broker: Some(format!("mqtt://127.0.0.1:{}", self.port)),
            retry_most: "1s".parse().unwrap(),
            ..crate::config::UplinkConfig::default()
        }
    }
}

fn packet(socket: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    socket.read_exact(&mut byte).ok()?;
    let (kind, mut length, mut shift) = (byte[0] >> 4, 0, 0);
    loop {
        socket.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 127) << shift;
        shift += 7;
        if byte[0] & 128 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).ok()?;
    Some((kind, body))
}

fn serve(mut socket: TcpStream, way: Way, counts: &Mutex<Vec<usize>>) {
    while let Some((kind, body)) = packet(&mut socket) {
        let answer: Vec<u8> = match (kind, way) {
            (1, Way::Old) => vec![0x20, 2, 0, 1],
            (1, Way::OldAndMute) => return,
            (1, Way::TakenOver) => vec![0x20, 3, 0, 0, 0, 0xe0, 1, 0x8e],
            (1, _) => vec![0x20, 3, 0, 0, 0],
            (8, _) => {
                let n = filters(&body);
                counts.lock().unwrap().push(n);
                if way == Way::Eight && n > 8 {
                    return;
                }
                let mut answer = vec![0x90, u8::try_from(3 + n).unwrap(), body[0], body[1], 0];
                answer.extend(std::iter::repeat_n(1, n));
                answer
            }
            (12, _) => vec![0xd0, 0],
            _ => Vec::new(),
        };
        if socket.write_all(&answer).is_err() {
            return;
        }
        if kind == 1 && matches!(way, Way::Old | Way::ThrowsOut | Way::TakenOver) {
            // What was written arrives before the end does.
            std::thread::sleep(std::time::Duration::from_millis(50));
            return;
        }
    }
}

/// How many filters a SUBSCRIBE has: an identifier, properties, then each with its length and an option.
fn filters(body: &[u8]) -> usize {
    let mut at = 3 + usize::from(body[2]);
    let mut n = 0;
    while at + 2 <= body.len() {
        at += 2 + usize::from(u16::from_be_bytes([body[at], body[at + 1]])) + 1;
        n += 1;
    }
    n
}
