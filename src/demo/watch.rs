//! Shows what the demo's cameras see on a page of its own at the loopback address, with one
//! stream of JPEG pictures per camera. The officer's console shows hits and never the road; this page is
//! for whoever watches the demo, whose road is drawn.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::scenario::Side;

/// The newest picture of each camera, for whoever looks.
#[derive(Clone, Default)]
pub struct Screen(Arc<Shared>);

/// A frame's number and its JPEG.
type Shown = (u64, Arc<[u8]>);

#[derive(Default)]
struct Shared {
    /// By camera. Held to put or to copy a picture.
    newest: Mutex<[Option<Shown>; 2]>,
    changed: Condvar,
    console: Mutex<Option<String>>,
}

/// A browser that takes no picture for this long is disconnected.
const PATIENCE: Duration = Duration::from_secs(10);

impl Screen {
    /// Shows a camera's frame.
    pub fn show(&self, side: Side, n: u64, jpeg: &[u8]) {
        let mut newest = self.0.newest.lock().expect("no holder panics");
        newest[side as usize] = Some((n, jpeg.into()));
        self.0.changed.notify_all();
    }

    /// Where the console is, for the link on the page.
    pub fn link(&self, console: Option<String>) {
        *self.0.console.lock().expect("no holder panics") = console;
    }

    /// Serves the page on a free port of the loopback address.
    pub fn serve(&self, cameras: Vec<Side>) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let screen = self.clone();
        std::thread::Builder::new().name("demo-screen".into()).spawn(move || {
            for browser in listener.incoming().flatten() {
                let (screen, cameras) = (screen.clone(), cameras.clone());
                // A browser that leaves ends its thread at the next picture.
                let answer = move || {
                    let _ = screen.answer(browser, &cameras);
                };
                let _ = std::thread::Builder::new().name("demo-screen".into()).spawn(answer);
            }
        })?;
        Ok(address)
    }

    fn answer(&self, mut browser: TcpStream, cameras: &[Side]) -> std::io::Result<()> {
        browser.set_read_timeout(Some(PATIENCE))?;
        browser.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(browser.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path == "/" {
            let page = self.page(cameras);
            return write!(
                browser,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{page}",
                page.len()
            );
        }
        match cameras.iter().find(|side| path == format!("/{}", side.id())) {
            Some(&side) => self.stream(&mut browser, side),
            None => browser.write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ),
        }
    }

    fn stream(&self, browser: &mut TcpStream, side: Side) -> std::io::Result<()> {
        browser.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\
              Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        )?;
        let mut shown = None;
        loop {
            let (n, jpeg) = {
                let mut newest = self.0.newest.lock().expect("no holder panics");
                loop {
                    match &newest[side as usize] {
                        Some((n, jpeg)) if Some(*n) != shown => break (*n, jpeg.clone()),
                        _ => {
                            let wait = self.0.changed.wait_timeout(newest, PATIENCE);
                            let (guard, late) = wait.expect("no holder panics");
                            if late.timed_out() {
                                // The drive is over.
                                return Ok(());
                            }
                            newest = guard;
                        }
                    }
                }
            };
            shown = Some(n);
            write!(
                browser,
                "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
                jpeg.len()
            )?;
            browser.write_all(&jpeg)?;
            browser.write_all(b"\r\n")?;
        }
    }

    fn page(&self, cameras: &[Side]) -> String {
        let figure = |side: &Side| {
            let id = side.id();
            format!(
                "<figure><img src=\"/{id}\" alt=\"\"><figcaption>camera {id}</figcaption></figure>"
            )
        };
        let figures: String = cameras.iter().map(figure).collect();
        let console = self
            .0
            .console
            .lock()
            .expect("no holder panics")
            .as_ref()
            .map_or_else(String::new, |at| {
                format!("<a href=\"{at}\" target=\"_blank\">Officer's console</a>")
            });
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>Outrider demo: the road</title><style>\
             body{{margin:0;background:#14171c;color:#dfe4ea;font:16px/1.4 system-ui,sans-serif}}\
             header{{display:flex;gap:1.5em;align-items:baseline;padding:.8em 1.2em;flex-wrap:wrap}}\
             h1{{font-size:1.1em;margin:0}}a{{color:#8cc1ff}}p{{margin:0;opacity:.75}}\
             main{{display:flex;gap:.6em;padding:0 .6em .6em;flex-wrap:wrap;justify-content:center}}\
             figure{{margin:0;flex:1 1 480px;max-width:1280px}}\
             img{{width:100%;display:block;border-radius:6px;background:#000;aspect-ratio:16/9}}\
             figcaption{{padding:.3em .2em;opacity:.7}}</style>\
             <header><h1>What the demo's cameras see</h1>{console}\
             <p>Drawn, not filmed: every car, plate and tree.</p></header>\
             <main>{figures}</main></html>"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn get(at: SocketAddr, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(at).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n").unwrap();
        BufReader::new(stream)
    }

    #[test]
    fn page_names_the_cameras_and_the_stream_shows_each_new_picture() {
        let screen = Screen::default();
        let at = screen.serve(vec![Side::Left]).unwrap();
        let mut page = String::new();
        get(at, "/").read_to_string(&mut page).unwrap();
        assert!(page.contains("src=\"/left\"") && !page.contains("/right"));
        let mut missing = String::new();
        get(at, "/right").read_to_string(&mut missing).unwrap();
        assert!(missing.starts_with("HTTP/1.1 404"));

        let mut stream = get(at, "/left");
        for (n, picture) in [(4, "first"), (7, "second")] {
            screen.show(Side::Left, n, picture.as_bytes());
            let mut line = String::new();
            while line.trim() != picture {
                line.clear();
                assert!(stream.read_line(&mut line).unwrap() > 0, "{picture} not shown");
            }
        }
    }
}
