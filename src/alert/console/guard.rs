//! Who may ask the page for anything: only browsers that mean *this* page.
//!
//! A foreign web site can point its own name at a loopback address (DNS rebinding) or make a
//! browser ask us across sites. The `Host` it sends is then its own name, the `Origin` its own
//! origin, or `Sec-Fetch-Site` says `cross-site`: all three are refused before any handler runs.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, StatusCode, header};

use crate::config::ConsoleConfig;

/// Where the page adds a hotplate.
pub(super) const ADD: &str = "/hotplates/add";

/// Where it takes one away.
pub(super) const REMOVE: &str = "/hotplates/remove";

/// The names by which this page may be asked for.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// Allows the address that is served, `localhost` where that is loopback, and the names of the
    /// configuration.
    pub(super) fn new(config: &ConsoleConfig, bound: SocketAddr) -> Self {
        let mut names = vec![literal(bound.ip())];
        if bound.ip().is_loopback() {
            names.extend(["localhost".into(), "127.0.0.1".into(), "[::1]".into()]);
        }
        names.extend(config.names.iter().cloned());
        let port = bound.port();
        let mut hosts: Vec<_> = names.iter().map(|name| format!("{name}:{port}")).collect();
        if port == 80 {
            hosts.extend(names);
        }
        Self { hosts }
    }

    /// Checks one request; the answer to a refused one.
    pub(super) fn check(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), (StatusCode, &'static str)> {
        let sends = method == Method::POST && (path == ADD || path == REMOVE);
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
        // Browsers name the origin with everything that is sent: what names none is no page of ours.
        let origin = text(header::ORIGIN);
        let ours = origin.as_ref().map_or(!sends, |origin| *origin == format!("http://{host}"));
        if !ours {
            return Err((StatusCode::FORBIDDEN, "asked for by another site\n"));
        }
        if text(header::HeaderName::from_static("sec-fetch-site"))
            .is_some_and(|site| site != "same-origin" && site != "none")
        {
            return Err((StatusCode::FORBIDDEN, "asked for by another site\n"));
        }
        Ok(())
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

    fn ask(listen: &str, asked: &[(&'static str, &'static str)]) -> Option<u16> {
        let config = ConsoleConfig { names: vec!["outrider.local".into()], ..Default::default() };
        let mut headers = HeaderMap::new();
        for (name, value) in asked {
            headers.insert(*name, value.parse().unwrap());
        }
        let guard = Guard::new(&config, listen.parse().unwrap());
        guard.check(&Method::GET, "/", &headers).err().map(|(status, _)| status.as_u16())
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
    fn page_sends_hotplates_from_its_own_origin_and_nothing_else() {
        let config = ConsoleConfig::default();
        let guard = Guard::new(&config, config.listen);
        let sends = |path: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "localhost:8470".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert("origin", origin.parse().unwrap());
            }
            guard.check(&Method::POST, path, &headers).is_ok()
        };
        let ours = Some("http://localhost:8470");
        assert!(sends(ADD, ours) && sends(REMOVE, ours));
        for (path, origin) in
            [(ADD, None), (ADD, Some("null")), (ADD, Some("http://evil.example")), ("/", ours)]
        {
            assert!(!sends(path, origin), "{path} from {origin:?}");
        }
    }
}
