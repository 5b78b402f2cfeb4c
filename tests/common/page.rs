//! The officer's page from the other end: every byte that its events bring, and its files.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

/// What the page has been sent.
pub type Heard = Arc<Mutex<Vec<u8>>>;

/// Reads the console's events for as long as they come, and takes down every byte.
pub fn listen(console: SocketAddr, heard: &Heard) {
    let sink = Arc::clone(heard);
    let mut line = TcpStream::connect(console).unwrap();
    write!(line, "GET /events HTTP/1.1\r\nHost: {console}\r\n\r\n").unwrap();
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
pub fn get(console: SocketAddr, path: &str) -> Vec<u8> {
    let mut line = TcpStream::connect(console).unwrap();
    write!(line, "GET {path} HTTP/1.1\r\nHost: {console}\r\nConnection: close\r\n\r\n").unwrap();
    let mut all = Vec::new();
    line.read_to_end(&mut all).unwrap();
    all
}
