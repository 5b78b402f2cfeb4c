//! Asks chronyd, as `chronyc tracking` does, whether it keeps the machine's clock synchronised.
//!
//! In: nothing. Out: yes or no. Costs: one datagram to the machine itself and its answer, at most
//! every [`ASK_EVERY`]; nothing where no chronyd runs. Leaves to others: whether GPS agrees.
//!
//! Source: chrony's `candm.h`, protocol version 6. A request has a head of 20 bytes, an answer one
//! of 28, and a request is padded to the length of its answer. chronyd answers this request to
//! anybody on the machine. The tests below contain answers of chronyd 4.3.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time between two requests: who vouches for a clock changes in minutes.
const ASK_EVERY: Duration = Duration::from_secs(16);

/// Longest wait for the answer, which comes from this machine.
const PATIENCE: Duration = Duration::from_millis(100);

/// chronyd's port for requests.
const PORT: u16 = 323;

/// Version of the protocol, used since chrony 2.2.
const VERSION: u8 = 6;
/// Packet type of a request.
const REQUEST: u8 = 1;
/// Packet type of an answer.
const REPLY: u8 = 2;
/// The number of the "tracking" command, and the number of its answer's format.
const TRACKING: (u16, u16) = (33, 5);
/// Length of the answer, and therefore of the request, in bytes.
const LENGTH: usize = 104;
/// Where the answer holds the identifier of the reference source.
const REFERENCE: std::ops::Range<usize> = 28..32;
/// The reference identifier of chronyd's `local` mode. It serves the machine's own clock to others
/// when there is no source, and calls that synchronised.
const ITSELF: [u8; 4] = [127, 127, 1, 1];
/// Where the answer holds the leap status: after the head, the source's name and address, and the
/// stratum.
const LEAP: std::ops::Range<usize> = 54..56;
/// The leap status of a clock that is not synchronised.
const NOT_SYNCHRONISED: u16 = 3;

static LAST: Mutex<Option<(Instant, bool)>> = Mutex::new(None);

/// Whether chronyd runs here and reports that it keeps the clock synchronised.
pub(super) fn is_synchronised() -> bool {
    let mut last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((asked, synchronised)) = *last
        && asked.elapsed() < ASK_EVERY
    {
        return synchronised;
    }
    let runs = ["/run/chrony/chronyd.pid", "/run/chronyd.pid", "/run/chrony/chronyd.sock"]
        .iter()
        .any(|path| Path::new(path).exists());
    let synchronised =
        runs && request_tracking((Ipv4Addr::LOCALHOST, PORT).into()).unwrap_or(false);
    *last = Some((Instant::now(), synchronised));
    synchronised
}

#[expect(
    clippy::disallowed_types,
    reason = "asks this machine's chronyd for the state of the clock"
)]
fn request_tracking(at: SocketAddr) -> std::io::Result<bool> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    // On a connected socket only datagrams from chronyd's own port arrive.
    socket.connect(at)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut sequence = [0; 4];
    getrandom::fill(&mut sequence).map_err(|e| std::io::Error::other(e.to_string()))?;
    socket.send(&tracking_request(sequence))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    Ok(reports_synchronised(&answer[..length], sequence))
}

fn tracking_request(sequence: [u8; 4]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[0] = VERSION;
    bytes[1] = REQUEST;
    bytes[4..6].copy_from_slice(&TRACKING.0.to_be_bytes());
    bytes[8..12].copy_from_slice(&sequence);
    bytes
}

/// Whether a reply belongs to this request and reports a synchronised clock.
fn reports_synchronised(answer: &[u8], sequence: [u8; 4]) -> bool {
    let word = |at: std::ops::Range<usize>| {
        let bytes: Option<[u8; 2]> = answer.get(at).and_then(|b| b.try_into().ok());
        bytes.map(u16::from_be_bytes)
    };
    answer.len() >= LENGTH
        && answer[..2] == [VERSION, REPLY]
        && word(4..6) == Some(TRACKING.0)
        && word(6..8) == Some(TRACKING.1)
        && word(8..10) == Some(0)
        && answer[16..20] == sequence
        && answer[REFERENCE] != ITSELF
        && word(LEAP).is_some_and(|leap| leap < NOT_SYNCHRONISED)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_types, reason = "the test is chronyd")]

    use std::net::UdpSocket;

    use super::*;

    /// Replies of chronyd 4.3 to the sequence `abcd`: synchronised with a server, without a source,
    /// and without a source under `local stratum 8`.
    const CAPTURED: [(&str, bool); 3] = [
        (
            "060200000021000500000000000000006162636400000000000000007f0000017f00000100000000\
             00000000000000000001000000090000000000006b0cc3a3353bcbaedb2b5c6dceafc76ad0e156df\
             e6ddceb2e899fce3f2a9ccc9e08e009adafaf8b70682597a",
            true,
        ),
        (
            "06020000002100050000000000000000616263640000000000000000000000000000000000000000\
             00000000000000000000000000000003000000000000000000000000000000000000000000000000\
             000000000000000000000000048000000480000000000000",
            false,
        ),
        (
            "060200000021000500000000000000006162636400000000000000007f7f01010000000000000000\
             00000000000000000000000000080000000000006b0cc33f0844ae21000000000000000000000000\
             000000000000000000000000000000000000000000000000",
            false,
        ),
    ];

    #[test]
    fn answers_of_the_real_chronyd_are_understood_and_its_own_clock_vouches_for_nothing() {
        for (captured, kept) in CAPTURED {
            let digits = captured.as_bytes().chunks(2);
            let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16);
            let answer: Vec<u8> = digits.map(|two| byte(two).unwrap()).collect();
            assert_eq!(answer.len(), LENGTH);
            assert_eq!(reports_synchronised(&answer, *b"abcd"), kept, "{captured}");
            assert!(!reports_synchronised(&answer, *b"abce"), "an answer to somebody else");
        }
    }

    fn chronyd(leap: u16, spoil: impl FnOnce(&mut Vec<u8>) + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut asked = [0; 512];
            let (length, from) = socket.recv_from(&mut asked).unwrap();
            assert_eq!((length, &asked[..6]), (LENGTH, &[6, 1, 0, 0, 0, 33][..]));
            let mut answer = vec![0; LENGTH];
            answer[..8].copy_from_slice(&[6, 2, 0, 0, 0, 33, 0, 5]);
            answer[16..20].copy_from_slice(&asked[8..12]);
            answer[LEAP].copy_from_slice(&leap.to_be_bytes());
            spoil(&mut answer);
            socket.send_to(&answer, from).unwrap();
        });
        at
    }

    #[test]
    fn chronyd_that_keeps_the_clock_vouches_for_it_and_one_that_does_not_yet_does_not() {
        assert!(request_tracking(chronyd(0, |_| {})).unwrap());
        assert!(request_tracking(chronyd(1, |_| {})).unwrap(), "a leap second is announced");
        assert!(!request_tracking(chronyd(NOT_SYNCHRONISED, |_| {})).unwrap());
    }

    #[test]
    fn answer_to_another_question_vouches_for_nothing() {
        for place in [0, 1, 5, 7, 9, 17] {
            assert!(
                !request_tracking(chronyd(0, move |answer| answer[place] ^= 1)).unwrap(),
                "byte {place}"
            );
        }
        assert!(!request_tracking(chronyd(0, |answer| answer.truncate(60))).unwrap());
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(!request_tracking(nobody).unwrap_or(false));
    }
}
