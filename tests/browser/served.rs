//! Whom the page is served to, and that nobody keeps the officer from it.

use super::*;

#[test]
fn foreign_names_and_sites_get_nothing() {
    let car = Car::start();
    car.board.show(&card("01A", "CKSV841", "CKSV841", Priority::High), jpeg());
    let port = car.address.port();
    let own = format!("Host: 127.0.0.1:{port}\r\nCookie: {}\r\n", car.page.cookie());
    let page = get(car.address, "/", &own);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("default-src 'none'"), "{page}");
    assert!(get(car.address, "/hit/01A/plate.jpg", &own).contains("image/jpeg"));
    assert!(get(car.address, "/hit/01Z/plate.jpg", &own).starts_with("HTTP/1.1 404"));
    for (path, headers, status) in [
        ("/", format!("Host: evil.example:{port}\r\n"), "421"),
        ("/events", format!("Host: evil.example:{port}\r\n"), "421"),
        ("/hit/01A/plate.jpg", format!("Host: evil.example:{port}\r\n"), "421"),
        ("/no-such-page", format!("Host: evil.example:{port}\r\n"), "421"),
        ("/events", format!("{own}Origin: http://evil.example\r\n"), "403"),
        ("/hit/01A/plate.jpg", format!("{own}Sec-Fetch-Site: cross-site\r\n"), "403"),
    ] {
        let answer = get(car.address, path, &headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {headers}: {answer}");
        assert!(answer.contains("content-security-policy"), "{answer}");
        assert!(!answer.contains("CKSV"), "{answer}");
    }
}

#[test]
fn port_that_is_taken_is_named_with_what_to_do() {
    let car = Car::start();
    let config = ConsoleConfig { listen: car.address, ..Default::default() };
    let second = car.runtime.block_on(Console::start(
        &config,
        car.board.clone(),
        vec![],
        Arc::new(SystemClock),
        car.health.clone(),
        Doors {
            ask: Box::new(|| beside(false)),
            hotplates: None,
            judge: car.judge.clone(),
            review: car.review.clone(),
            sessions: car.sessions.clone(),
            duty: duty(&car.glances, &car.tones),
        },
        Token::random().unwrap(),
    ));
    let Err(error @ ConsoleError::Listen { .. }) = second else { panic!("two on one port") };
    assert_eq!(
        error.to_string(),
        format!(
            "console.listen = \"{0}\": Address already in use (os error 98): choose another port, or \
             stop the program that `ss -ltnp 'sport = :{1}'` shows",
            car.address,
            car.address.port()
        )
    );
}

/// What any user of this machine can do: connect, ask, hold.
#[test]
fn whoever_has_no_token_gets_nothing_and_the_first_visit_with_it_brings_a_cookie() {
    let car = Car::start();
    car.board.show(&card("01A", "CKSV841", "CKSV841", Priority::High), jpeg());
    let host = format!("Host: {}\r\n", car.address);
    let other = format!("{host}Cookie: outrider-{}={}\r\n", car.address.port(), "0".repeat(32));
    for path in ["/", "/events", "/hit/01A/plate.jpg", "/console.js", "/?token=", "/nothing"] {
        for headers in [&host, &other] {
            let answer = get(car.address, path, headers);
            assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
            assert!(!answer.contains("CKSV") && !answer.contains("set-cookie"), "{answer}");
        }
    }
    let post = |cookie: &str| {
        let mut stream = TcpStream::connect(car.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(
            stream,
            "POST /hotplates/add HTTP/1.1\r\n{host}Origin: http://{}\r\n{cookie}Content-Length: 0\r\n\r\n",
            car.address
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(post("").starts_with("HTTP/1.1 401"));
    let with = post(&format!("Cookie: {}\r\n", car.page.cookie()));
    assert!(
        with.starts_with("HTTP/1.1 403") && with.contains("load it again"),
        "let in to look: {with}"
    );
    let query = car.page.to_string().split_once('?').unwrap().1.to_owned();
    let first = get(car.address, &format!("/?{query}"), &host);
    assert!(first.starts_with("HTTP/1.1 200") && first.contains("SameSite=Strict"), "{first}");
    assert!(!first.contains("CKSV"), "{first}");
}

/// Opens this many connections that say nothing, or half of a request.
fn idlers(address: SocketAddr, many: usize) -> Vec<TcpStream> {
    let open = |n: usize| {
        let mut stream = TcpStream::connect(address).ok()?;
        if n.is_multiple_of(2) {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost:");
        }
        Some(stream)
    };
    (0..many).filter_map(open).collect()
}

/// Connections that the page's port holds on its own side. Other tests of this process have theirs elsewhere.
fn held_by(address: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", address.port());
    let held = |line: &&str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        // 01 established, 08 closed by the other side and not by us.
        columns[1].ends_with(&port) && ["01", "08"].contains(&columns[3])
    };
    table.lines().skip(1).filter(held).count()
}

#[test]
fn hundreds_of_idle_connections_neither_keep_the_officer_out_nor_use_up_the_daemon() {
    let car = Car::start();
    let _idle = idlers(car.address, 300);
    std::thread::sleep(Duration::from_millis(500));
    let held = held_by(car.address);
    assert!(held <= 40, "{held} connections are held that say nothing");
    let own = format!("Host: {}\r\nCookie: {}\r\n", car.address, car.page.cookie());
    let page = get(car.address, "/", &own);
    assert!(page.starts_with("HTTP/1.1 200"), "the officer is kept out: {page}");
    std::thread::sleep(Duration::from_secs(4));
    let held = held_by(car.address);
    assert!(held <= 8, "{held} connections are held although no head came within its time");
}

#[test]
fn newest_page_always_has_a_seat_and_the_oldest_is_told() {
    let car = Car::start();
    let open = || {
        let mut stream = TcpStream::connect(car.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (host, cookie) = (car.address, car.page.cookie());
        write!(stream, "GET /events HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n").unwrap();
        let mut piece = [0; 1024];
        let n = stream.read(&mut piece).unwrap();
        let head = String::from_utf8_lossy(&piece[..n]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        stream
    };
    let mut pages: Vec<_> = (0..17).map(|_| open()).collect();
    let mut all = Vec::new();
    pages[0].read_to_end(&mut all).unwrap();
    assert!(String::from_utf8_lossy(&all).contains("event: full"), "the oldest is told");
    let mut piece = [0; 64];
    assert!(pages[16].read(&mut piece).unwrap() > 0, "the newest goes on");
}

/// As a tablet on the car's own network sees it; the test's certificate is its own authority.
#[test]
fn encrypted_page_signs_somebody_in_by_secure_cookies_and_says_nothing_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (dir.path().join("page.pem"), dir.path().join("page.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    outrider::secret_file::create(&key, &made.signing_key.serialize_pem()).unwrap();
    let config = ConsoleConfig {
        certificate: Some(certificate),
        key: Some(key),
        ..ConsoleConfig::default()
    };
    let car = Car::start_with(Screen::default(), config);
    car.parked.store(true, Ordering::Relaxed);
    assert!(car.url().starts_with("https://"), "{}", car.url());
    car.board.show(&card("01A", "CKSV841", "CKSV841", Priority::Low), jpeg());
    // In clear there is no page, whoever asks.
    let mut line = TcpStream::connect(car.address).unwrap();
    let (host, cookie) = (car.address, car.page.cookie());
    // The other side hangs up as soon as it sees that no hand is shaken.
    let _ = write!(line, "GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n");
    let mut answer = Vec::new();
    let _ = line.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("HTTP/1.1") && !answer.contains("CKSV"), "{answer}");
    // A connection that never shakes hands is let go like any other stranger's.
    let _idle = idlers(car.address, 40);
    std::thread::sleep(Duration::from_secs(4));
    assert!(held_by(car.address) <= 8);
    let Some(browser) = Browser::start() else { return };
    browser.go(&car.url());
    browser
        .until("document.getElementById('watch-word') && status && status.position.speed_mps < 1");
    assert_eq!(browser.ask("return location.protocol + isSecureContext"), "https:true");
    browser.ask("document.getElementById('who').click()");
    browser.until("!document.getElementById('sign-in').hidden");
    super::entering::sign_in(&browser, "1234");
    let cookies = browser.cookies();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(cookies.iter().all(|c| c["secure"] == true && c["httpOnly"] == true), "{cookies:?}");
}
