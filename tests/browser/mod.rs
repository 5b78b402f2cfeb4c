//! A real Chromium, driven over WebDriver: just enough of the protocol to load a page, ask it
//! something, press a key and take a picture.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A browser with one page.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one, or says loudly why not.
    pub(crate) fn start() -> Option<Self> {
        let driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = match driver {
            Ok(driver) => driver,
            Err(e) => {
                eprintln!(
                    "SKIPPED: the console in Chromium because chromedriver does not start: {e}"
                );
                return None;
            }
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map(|line| line.unwrap())
            .find_map(|line| {
                let digits =
                    line.split("successfully on port ").nth(1)?.trim_end_matches('.').to_owned();
                digits.parse().ok()
            })
            .expect("chromedriver names its port");
        // Its pipe must stay open: it writes to it later.
        std::thread::spawn(move || lines.count());
        let profile = tempfile::tempdir().unwrap();
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted =
            json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": args}}}});
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let made = browser.call("POST", "/session", &wanted);
        browser.session = made["sessionId"].as_str().expect("a session begins").to_owned();
        Some(browser)
    }

    /// Loads a page.
    pub(crate) fn go(&self, url: &str) {
        self.command("POST", "url", &json!({ "url": url }));
    }

    /// Sets the size of the page's window.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let params =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let cmd = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": params});
        self.command("POST", "goog/cdp/execute", &cmd);
    }

    /// Runs a function body in the page and gives what it returns.
    pub(crate) fn ask(&self, script: &str) -> Value {
        self.command("POST", "execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of an element as a person sees it, hidden parts left out.
    pub(crate) fn text(&self, id: &str) -> String {
        let text = self.ask(&format!("return document.getElementById('{id}').innerText"));
        text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Waits until an expression is true, and tells how long that took.
    pub(crate) fn until(&self, expression: &str) -> Duration {
        let start = Instant::now();
        while self.ask(&format!("return Boolean({expression})")) != Value::Bool(true) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "never true in the page: {expression}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        start.elapsed()
    }

    /// Presses a key, named as the page's `KeyboardEvent.key`.
    pub(crate) fn press(&self, key: &str) {
        self.ask(&format!(
            "document.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', cancelable: true}}))"
        ));
    }

    /// Keeps a picture of the window, if a folder for that is named in `OUTRIDER_SCREENSHOTS`.
    pub(crate) fn keep_picture(&self, name: &str) {
        let Ok(folder) = std::env::var("OUTRIDER_SCREENSHOTS") else { return };
        let picture = self.command("GET", "screenshot", &Value::Null);
        let png = data_encoding::BASE64.decode(picture.as_str().unwrap().as_bytes()).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).unwrap();
    }

    fn command(&self, method: &str, what: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}/{what}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).unwrap();
            match line.trim().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap();
                }
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut text = vec![0; length];
        answer.read_exact(&mut text).unwrap();
        let mut value: Value = serde_json::from_slice(&text).unwrap();
        let value = value["value"].take();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
