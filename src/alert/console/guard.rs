//! Who may ask the page for anything: only browsers that mean *this* page.
//!
//! A foreign web site can point its own name at a loopback address (DNS rebinding) or make a
//! browser ask us across sites. The `Host` it sends is then its own name, the `Origin` its own
//! origin, or `Sec-Fetch-Site` says `cross-site`: all three are refused before any handler runs. And only
//! browsers that have been let in by the token (`token.rs`): other users of this machine are no officers.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use super::token::Token;
use crate::config::ConsoleConfig;

/// Where the page adds a hotplate.
pub(super) const ADD: &str = "/hotplates/add";

/// Where it takes one away.
pub(super) const REMOVE: &str = "/hotplates/remove";

/// Where it says what a hit is.
pub(super) const JUDGE: &str = "/hits/judge";

/// Where it says that a hit has been seen.
pub(super) const ANSWER: &str = "/hits/answer";

/// Who is signed in, and where somebody signs in, goes on, locks and signs out.
pub(super) const SESSION: &str = "/session";
pub(super) const SIGN_IN: &str = "/session/sign-in";
pub(super) const UNLOCK: &str = "/session/unlock";
pub(super) const LOCK: &str = "/session/lock";
pub(super) const SIGN_OUT: &str = "/session/sign-out";

/// What the supervisor's and auditor's page asks: filters do not stand in addresses.
pub(super) const HITS: &str = "/records/hits";
pub(super) const LOOK_UPS: &str = "/records/look-ups";
pub(super) const LOG: &str = "/records/log";
pub(super) const CHAIN: &str = "/records/chain";
pub(super) const FIGURES: &str = "/records/figures";
pub(super) const EXPORT: &str = "/records/export";

/// What an officer looks at before the shift; where the tone is asked for, and where the shift is begun.
pub(super) const SHIFT: &str = "/shift";
pub(super) const TONE: &str = "/shift/tone";
pub(super) const BEGIN: &str = "/shift/begin";

/// Where somebody begins to practise, gets the next card, says a word on it, and ends.
pub(super) const TRAINING: [&str; 4] =
    ["/training/begin", "/training/next", "/training/judge", "/training/end"];

/// Everything that the pages send.
const SENDS: [&str; 16] = [
    ADD, REMOVE, JUDGE, ANSWER, SIGN_IN, UNLOCK, LOCK, SIGN_OUT, TONE, BEGIN, HITS, LOOK_UPS, LOG,
    CHAIN, FIGURES, EXPORT,
];

/// The names by which this page may be asked for.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    hosts: Vec<String>,
    port: u16,
    token: Token,
    /// Whether the page is served encrypted.
    tls: bool,
}

/// What becomes of a request that is not refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It is answered.
    In,
    /// It brought the token in its address: the browser gets this cookie.
    Enter(HeaderValue),
}

impl Guard {
    /// Allows the address that is served, `localhost` where that is loopback, and the names of the
    /// configuration.
    pub(super) fn new(config: &ConsoleConfig, bound: SocketAddr, token: Token) -> Self {
        let mut names = vec![literal(bound.ip())];
        if bound.ip().is_loopback() {
            names.extend(["localhost".into(), "127.0.0.1".into(), "[::1]".into()]);
        }
        names.extend(config.names.iter().cloned());
        let port = bound.port();
        let mut hosts: Vec<_> = names.iter().map(|name| format!("{name}:{port}")).collect();
        // What a browser leaves out of the name.
        let usual = if config.is_encrypted() { 443 } else { 80 };
        if port == usual {
            hosts.extend(names);
        }
        Self { hosts, port, token, tls: config.is_encrypted() }
    }

    /// Checks one request; the answer to a refused one.
    pub(super) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Pass, (StatusCode, &'static str)> {
        let path = uri.path();
        let sends = method == Method::POST && (SENDS.contains(&path) || TRAINING.contains(&path));
        if method != Method::GET && method != Method::HEAD && !sends {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "this page is only looked at\n"));
        }
        let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or("?").to_ascii_lowercase());
        let Some(host) = text(header::HOST).filter(|h| self.hosts.contains(h)) else {
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                "not a name of this page: add it to console.names\n",
            ));
        };
        // Whoever has the token may come by a link from anywhere.
        if path == "/" && self.token.is_in_query(uri.query()) {
            return Ok(Pass::Enter(self.token.set_cookie(self.port, self.tls)));
        }
        // Browsers name the origin with everything that is sent: what names none is no page of ours.
        let origin = text(header::ORIGIN);
        let scheme = if self.tls { "https" } else { "http" };
        let ours = origin.as_ref().map_or(!sends, |origin| *origin == format!("{scheme}://{host}"));
        if !ours {
            return Err((StatusCode::FORBIDDEN, "asked for by another site\n"));
        }
        if text(header::HeaderName::from_static("sec-fetch-site"))
            .is_some_and(|site| site != "same-origin" && site != "none")
        {
            return Err((StatusCode::FORBIDDEN, "asked for by another site\n"));
        }
        match self.token.is_in_cookie(headers, self.port) {
            true => Ok(Pass::In),
            false => Err((
                StatusCode::UNAUTHORIZED,
                "open the address that Outrider logs at its start (\"console at ...?token=...\"); the \
                 token stands in console.token in the state folder too\n",
            )),
        }
    }
}

fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn let_in(port: u16, token: &Token) -> HeaderValue {
        let page =
            super::super::PageAddress::new(([127, 0, 0, 1], port).into(), token.clone(), false);
        page.cookie().parse().unwrap()
    }

    fn ask(listen: &str, asked: &[(&'static str, &'static str)]) -> Option<u16> {
        let config = ConsoleConfig { names: vec!["outrider.local".into()], ..Default::default() };
        let token = Token::random().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in asked {
            headers.insert(*name, value.parse().unwrap());
        }
        headers.insert("cookie", let_in(8470, &token));
        let guard = Guard::new(&config, listen.parse().unwrap(), token);
        let uri = Uri::from_static("/");
        guard.check(&Method::GET, &uri, &headers).err().map(|(status, _)| status.as_u16())
    }

    #[rstest]
    #[case(&[("host", "127.0.0.1:8470")], None)]
    #[case(&[("host", "LocalHost:8470")], None)]
    #[case(&[("host", "[::1]:8470")], None)]
    #[case(&[("host", "outrider.local:8470")], None)]
    #[case(&[], Some(421))]
    #[case(&[("host", "127.0.0.1")], Some(421))]
    #[case(&[("host", "evil.example:8470")], Some(421))]
    #[case(&[("host", "127.0.0.1:8470.evil.example")], Some(421))]
    #[case(&[("host", "127.0.0.1:8470"), ("origin", "http://127.0.0.1:8470")], None)]
    #[case(&[("host", "127.0.0.1:8470"), ("origin", "http://evil.example")], Some(403))]
    #[case(&[("host", "127.0.0.1:8470"), ("origin", "null")], Some(403))]
    #[case(&[("host", "127.0.0.1:8470"), ("sec-fetch-site", "cross-site")], Some(403))]
    #[case(&[("host", "127.0.0.1:8470"), ("sec-fetch-site", "none")], None)]
    fn only_our_own_names(
        #[case] asked: &[(&'static str, &'static str)],
        #[case] refused: Option<u16>,
    ) {
        assert_eq!(ask("127.0.0.1:8470", asked), refused);
    }

    #[test]
    fn loopback_names_do_not_open_a_lan_address() {
        assert_eq!(ask("192.168.10.1:8470", &[("host", "192.168.10.1:8470")]), None);
        assert_eq!(ask("192.168.10.1:8470", &[("host", "localhost:8470")]), Some(421));
    }

    #[test]
    fn page_sends_hotplates_and_verdicts_from_its_own_origin_and_nothing_else() {
        let config = ConsoleConfig::default();
        let token = Token::random().unwrap();
        let guard = Guard::new(&config, config.listen, token.clone());
        let sends = |path: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "localhost:8470".parse().unwrap());
            headers.insert("cookie", let_in(8470, &token));
            if let Some(origin) = origin {
                headers.insert("origin", origin.parse().unwrap());
            }
            guard.check(&Method::POST, &path.parse().unwrap(), &headers).is_ok()
        };
        let ours = Some("http://localhost:8470");
        assert!(SENDS.iter().chain(&TRAINING).all(|path| sends(path, ours)));
        for (path, origin) in [
            (ADD, None),
            (JUDGE, None),
            (SIGN_IN, None),
            (SIGN_IN, Some("http://evil.example")),
            (SESSION, ours),
            (JUDGE, Some("http://evil.example")),
            (ADD, Some("null")),
            (ADD, Some("http://evil.example")),
            ("/", ours),
        ] {
            assert!(!sends(path, origin), "{path} from {origin:?}");
        }
    }

    #[test]
    fn nothing_without_the_token_and_the_address_brings_a_cookie_that_no_script_reads() {
        let config = ConsoleConfig::default();
        let token = Token::random().unwrap();
        let guard = Guard::new(&config, config.listen, token.clone());
        let ask = |method: Method, path: &str, cookie: Option<&Token>| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "localhost:8470".parse().unwrap());
            headers.insert("origin", "http://localhost:8470".parse().unwrap());
            if let Some(token) = cookie {
                headers.insert("cookie", let_in(8470, token));
            }
            guard.check(&method, &path.parse().unwrap(), &headers).map_err(|(status, _)| status)
        };
        let other = Token::random().unwrap();
        for path in
            ["/", "/events", "/console.js", "/hit/01A/plate.jpg", "/no-such-page", "/?token=x"]
        {
            assert_eq!(ask(Method::GET, path, None), Err(StatusCode::UNAUTHORIZED), "{path}");
            assert_eq!(
                ask(Method::GET, path, Some(&other)),
                Err(StatusCode::UNAUTHORIZED),
                "{path}"
            );
            assert_eq!(ask(Method::GET, path, Some(&token)), Ok(Pass::In), "{path}");
        }
        assert_eq!(ask(Method::POST, JUDGE, None), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(ask(Method::POST, ADD, None), Err(StatusCode::UNAUTHORIZED));
        let page = super::super::PageAddress::new(config.listen, token.clone(), false).to_string();
        let query = page.split_once('?').unwrap().1;
        let Ok(Pass::Enter(cookie)) = ask(Method::GET, &format!("/?{query}"), None) else {
            panic!("the logged address lets nobody in")
        };
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        // The token in an address serves the page alone: no stream, no picture, no hotplate by a link.
        let events = format!("/events?{query}");
        assert_eq!(ask(Method::GET, &events, None), Err(StatusCode::UNAUTHORIZED));
    }
}
