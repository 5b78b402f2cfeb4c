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
    profile: tempfile::TempDir,
}

/// A driver and its port; `None` if it ends without naming one.
fn driver() -> std::io::Result<Option<(Child, u16)>> {
    let mut driver = Command::new("chromedriver")
        .args(["--port=0", "--log-level=SEVERE"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.by_ref().map(|line| line.unwrap()).find_map(|line| {
        let digits = line.split("successfully on port ").nth(1)?.trim_end_matches('.').to_owned();
        digits.parse().ok()
    });
    let Some(port) = port else {
        driver.wait()?;
        return Ok(None);
    };
    // Its pipe must stay open: it writes to it later.
    std::thread::spawn(move || lines.count());
    Ok(Some((driver, port)))
}

impl Browser {
    /// Starts one, or says loudly why not.
    pub(crate) fn start() -> Option<Self> {
        // It takes the number of a free port of IPv4 for IPv6 too, and ends where another program has that one.
        let (driver, port) = match (0..5).find_map(|_| driver().transpose()) {
            Some(Ok(started)) => started,
            Some(Err(e)) => {
                let why = format!("chromedriver does not start: {e}");
                crate::skips::skipped("the console in Chromium", &why);
                return None;
            }
            None => panic!("chromedriver ended five times without naming its port"),
        };
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
        let wanted = json!({"capabilities": {"alwaysMatch": {"acceptInsecureCerts": true, "goog:chromeOptions": {"args": args}}}});
        let mut browser = Self { driver, port, session: String::new(), profile };
        let made = browser.call("POST", "/session", &wanted);
        browser.session = made["sessionId"].as_str().expect("a session begins").to_owned();
        Some(browser)
    }

    /// Loads a page.
    pub(crate) fn go(&self, url: &str) {
        self.command("POST", "url", &json!({ "url": url }));
    }

    /// Sets the size of the page's window, and waits until the page has been drawn at that size: `resize` is told to
    /// its scripts at the next frame only, and observers of sizes hear of it in the same frame or the one after.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
                "screenWidth": width, "screenHeight": height});
        let cmd = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": params});
        self.command("POST", "goog/cdp/execute", &cmd);
        let drawn = format!(
            "const done = arguments[0];
             const after = (frames) => frames ? requestAnimationFrame(() => after(frames - 1)) : done();
             const sized = () => innerWidth === {width} && innerHeight === {height}
               ? after(2) : requestAnimationFrame(sized);
             sized();"
        );
        self.command("POST", "execute/async", &json!({"script": drawn, "args": []}));
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

    /// The cookies that the browser has for this page.
    pub(crate) fn cookies(&self) -> Vec<Value> {
        self.command("GET", "cookie", &Value::Null).as_array().cloned().unwrap_or_default()
    }

    /// Keeps a picture of the window in `target/screens`, for people to look at.
    pub(crate) fn keep_picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screens");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = self.command("GET", "screenshot", &Value::Null);
        let png = data_encoding::BASE64.decode(picture.as_str().unwrap().as_bytes()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
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
        // A test that fails deletes no session, and the browser outlives its driver then.
        end_processes_with(&self.profile.path().display().to_string());
    }
}

/// Ends every process whose command line has these words in it: ours, by the name of its profile's folder.
fn end_processes_with(words: &str) {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let id = process.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(id) = id.and_then(rustix::process::Pid::from_raw) else { continue };
        let said = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&said).contains(words) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
}
