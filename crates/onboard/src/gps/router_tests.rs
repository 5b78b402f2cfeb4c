//! A router on this machine, over real sockets.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use super::*;

const SOON: Duration = Duration::from_secs(10);

const SHORT: Duration = Duration::from_millis(30);

fn rpv(second: u32, end: &str) -> String {
    format!(">RPV{second:05}+4359000-07964000030270{end}<")
}

/// A router at 127.0.0.1, and somebody else in the same network.
fn network() -> (Router, impl Fn(&str, &str)) {
    let router = Router::listen("127.0.0.1:0".parse().unwrap(), "127.0.0.1".parse().unwrap());
    let router = router.unwrap();
    let to = router.at().unwrap();
    let send = move |from: &str, text: &str| {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.send_to(text.as_bytes(), to).unwrap();
    };
    (router, send)
}

fn latitude(report: Report) -> f64 {
    match report {
        Report::Fix(fix) => fix.latitude,
        other => panic!("{other:?}"),
    }
}

#[test]
fn packets_of_the_router_are_taken_and_those_of_others_are_counted_and_told() {
    let (mut router, send) = network();
    assert_eq!(router.next_report(SHORT).unwrap(), Report::Quiet);
    assert_eq!(router.silence(), "nothing has come from the router 127.0.0.1 yet");
    for _ in 0..5 {
        send("127.0.0.2", &rpv(1, "12").replace("+4359", "+4400"));
    }
    send("127.0.0.1", &rpv(2, "12"));
    assert_eq!(latitude(router.next_report(SOON).unwrap()), 43.59);
    assert_eq!(router.next_report(SHORT).unwrap(), Report::Quiet);
    assert_eq!(router.refused.count, 5);
    let told = router.strangers().unwrap();
    assert!(told.starts_with("4 packets or more") && told.ends_with("127.0.0.2"), "{told}");
}

#[test]
fn fix_that_is_lost_repeated_or_stored_is_none_and_none_gets_younger() {
    let (mut router, send) = network();
    send("127.0.0.1", &rpv(100, "12"));
    assert_eq!(latitude(router.next_report(SOON).unwrap()), 43.59);
    // The same one again.
    send("127.0.0.1", &rpv(100, "12"));
    assert_eq!(router.next_report(SHORT).unwrap(), Report::Quiet);
    assert_eq!(router.silence(), "the router 127.0.0.1 sends one fix again and again");
    // Old by the router's own word.
    send("127.0.0.1", &rpv(101, "11"));
    assert_eq!(router.next_report(SOON).unwrap(), Report::NoFix);
    // Stored while it was away, and sent at once: the newest counts.
    let stored = [rpv(102, "12"), rpv(103, "12"), rpv(104, "12").replace("+4359", "+4400")];
    send("127.0.0.1", &stored.concat());
    assert_eq!(latitude(router.next_report(SOON).unwrap()), 44.0);
    assert_eq!(router.next_report(SHORT).unwrap(), Report::Quiet);
    assert_eq!(router.silence(), "the router 127.0.0.1 sends no position any more");
}

#[test]
fn router_that_speaks_something_else_is_told_what_to_do() {
    let (mut router, send) = network();
    send("127.0.0.1", "$GPRMC,070000.00,A\r\n");
    assert_eq!(router.next_report(SHORT).unwrap(), Report::Quiet);
    assert_eq!(router.silence(), "the router 127.0.0.1 sends no TAIP");
    send("127.0.0.1", ">RID1234<");
    assert_eq!(router.next_report(SHORT).unwrap(), Report::Quiet);
    let told = "the router 127.0.0.1 sends no position: set it to TAIP's RPV or RLN";
    assert_eq!(router.silence(), told);
}

#[test]
fn router_by_tcp_in_pieces_and_its_end_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let message = rpv(100, "12");
        for piece in message.as_bytes().chunks(7) {
            stream.write_all(piece).unwrap();
            stream.flush().unwrap();
            thread::sleep(Duration::from_millis(5));
        }
    });
    let mut router = Router::connect(&address).unwrap();
    assert_eq!(latitude(router.next_report(SOON).unwrap()), 43.59);
    let error = router.next_report(SOON).unwrap_err().to_string();
    assert_eq!(error, format!("lost the router at {address}: it closed the connection"));
    server.join().unwrap();
    let error = Router::connect(&address).err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot reach the router at {address}: ")), "{error}");
}

#[test]
fn address_of_another_computer_cannot_be_listened_at() {
    // Of a net that is for documents alone.
    let at = "192.0.2.1:21000".parse().unwrap();
    let error = Router::listen(at, "192.0.2.2".parse().unwrap()).err().unwrap().to_string();
    assert!(error.starts_with("cannot listen for the router at 192.0.2.1:21000: "), "{error}");
    assert!(error.ends_with("set gps.listen to an address of this computer"), "{error}");
}
