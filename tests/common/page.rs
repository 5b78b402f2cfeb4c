//! The officer's page from the other end: every byte that its events bring, and its files.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use outrider::alert::console::PageAddress;

/// What the page has been sent.
pub type Heard = Arc<Mutex<Vec<u8>>>;

/// Reads the console's events for as long as they come, and takes down every byte.
pub fn listen(console: &PageAddress, heard: &Heard) {
    let sink = Arc::clone(heard);
    let mut line = TcpStream::connect(console.address).unwrap();
    write!(
        line,
        "GET /events HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
        console.address,
        console.cookie()
    )
    .unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n) = line.read(&mut bytes)
            && n > 0
        {
            sink.lock().unwrap().extend_from_slice(&bytes[..n]);
        }
    });
}

/// One file of the page, head included.
pub fn get(console: &PageAddress, path: &str) -> Vec<u8> {
    let mut line = TcpStream::connect(console.address).unwrap();
    write!(
        line,
        "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
        console.address,
        console.cookie()
    )
    .unwrap();
    let mut all = Vec::new();
    line.read_to_end(&mut all).unwrap();
    all
}

/// Somebody who is signed in on the page, or nobody: what a browser brings along.
pub struct Session {
    cookie: String,
    csrf: String,
}

/// A browser at which nobody is signed in.
pub fn nobody(console: &PageAddress) -> Session {
    let answer = String::from_utf8(get(console, "/session")).unwrap();
    Session { cookie: console.cookie(), csrf: csrf_of(&answer) }
}

/// Somebody signs in on the page.
pub fn sign_in(console: &PageAddress, number: &str, pin: &str) -> Session {
    let body = serde_json::json!({"number": number, "pin": pin}).to_string();
    let answer = send(console, &nobody(console), "/session/sign-in", &body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    Session { cookie: format!("{}; {cookie}", console.cookie()), csrf: csrf_of(&answer) }
}

fn csrf_of(answer: &str) -> String {
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    let told: serde_json::Value = serde_json::from_str(json).unwrap();
    told["csrf"].as_str().unwrap().to_owned()
}

impl Session {
    /// The headers of a change, as the page itself sends it.
    pub fn headers(&self, console: &PageAddress) -> String {
        let (at, cookie, csrf) = (console.address, &self.cookie, &self.csrf);
        format!("Origin: http://{at}\r\nCookie: {cookie}\r\nX-Outrider-CSRF: {csrf}\r\n")
    }
}

/// What somebody who is signed in gets of a path, head included.
pub fn get_as(console: &PageAddress, session: &Session, path: &str) -> Vec<u8> {
    let mut line = TcpStream::connect(console.address).unwrap();
    write!(
        line,
        "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
        console.address, session.cookie
    )
    .unwrap();
    let mut all = Vec::new();
    line.read_to_end(&mut all).unwrap();
    all
}

/// What the start of the shift shows somebody, once something is known.
pub fn start_of_shift(console: &PageAddress, session: &Session) -> serde_json::Value {
    for _ in 0..100 {
        let answer = String::from_utf8(get_as(console, session, "/shift")).unwrap();
        if !answer.starts_with("HTTP/1.1 503") {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            return serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nothing is known of the car");
}

/// An officer goes through the start of the shift, and says that no tone was heard.
pub fn begin_shift(console: &PageAddress, session: &Session) {
    let version = &start_of_shift(console, session)["version"];
    let body = format!(r#"{{"version":{version},"heard":false}}"#);
    let answer = send(console, session, "/shift/begin", &body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Sends a change as the page does; the whole answer.
pub fn send(console: &PageAddress, session: &Session, path: &str, json: &str) -> String {
    send_with(console, &session.headers(console), path, json)
}

/// Sends JSON with these headers; the whole answer.
pub fn send_with(console: &PageAddress, headers: &str, path: &str, json: &str) -> String {
    let mut line = TcpStream::connect(console.address).unwrap();
    write!(
        line,
        "POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
        console.address,
        json.len()
    )
    .unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    answer
}
