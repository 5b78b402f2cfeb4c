//! Who may look at the page: whoever has its token.
//!
//! In: the state folder. Out: a [`Token`], made once, kept in `console.token` (mode 0600). It stands in the
//! address that the daemon logs at its start; the first visit puts it into a cookie that no script reads and
//! no other site makes a browser send. Loopback alone tells nothing: every user of the machine is there.
//! Leaves to others: sign-in by person (`session.rs`); who holds the token is whoever may read log or state folder.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};

use super::ConsoleError;
use crate::secret_file::{self, SecretFileError};

/// The file in the state folder.
pub const FILE: &str = "console.token";

/// Its bytes: nobody guesses 128 bits, and a person can still type 32 digits.
const BYTES: usize = 16;

/// Time for which a browser keeps the cookie, in seconds: a year.
const KEPT_FOR: u32 = 31_536_000;

/// What a browser has to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token of this state folder, made if there is none.
    pub fn of(state: &Path) -> Result<Self, ConsoleError> {
        let path = state.join(FILE);
        match secret_file::read(&path) {
            Ok(text) => text.parse().map_err(|()| {
                ConsoleError::Token(SecretFileError::Content { path, what: "token of 32 digits" })
            }),
            Err(SecretFileError::Untrusted(crate::files::UntrustedError::Io {
                source, ..
            })) if source.kind() == std::io::ErrorKind::NotFound => {
                let token = Self::random().map_err(ConsoleError::Random)?;
                secret_file::create(&path, &format!("{}\n", token.0))
                    .map_err(ConsoleError::Token)?;
                Ok(token)
            }
            Err(e) => Err(ConsoleError::Token(e)),
        }
    }

    /// One that nobody has seen, for as long as the process lives.
    pub fn random() -> Result<Self, String> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
        Ok(Self(data_encoding::HEXLOWER.encode(&bytes)))
    }

    /// Its digits.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether this is it. Digests are compared, so that the time taken says nothing of the text.
    fn is(&self, text: &str) -> bool {
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(text.as_bytes())
    }

    /// Whether an address brings it: `/?token=...`.
    pub(super) fn is_in_query(&self, query: Option<&str>) -> bool {
        let mut pairs = query.unwrap_or_default().split('&');
        pairs.any(|pair| pair.strip_prefix("token=").is_some_and(|text| self.is(text)))
    }

    /// Whether a browser brings it back.
    pub(super) fn is_in_cookie(&self, headers: &HeaderMap, port: u16) -> bool {
        let name = cookie_name(port);
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).any(
            |value| {
                value.split(';').any(|pair| {
                    pair.trim().split_once('=').is_some_and(|(n, text)| n == name && self.is(text))
                })
            },
        )
    }

    /// What makes a browser bring it back.
    pub(super) fn set_cookie(&self, port: u16, tls: bool) -> HeaderValue {
        let (name, token) = (cookie_name(port), &self.0);
        let secure = if tls { "; Secure" } else { "" };
        let cookie = format!(
            "{name}={token}; Path=/; Max-Age={KEPT_FOR}; HttpOnly; SameSite=Strict{secure}"
        );
        HeaderValue::from_str(&cookie).expect("digits and words")
    }
}

/// Cookies know no port, and a second daemon on this machine has a token of its own.
fn cookie_name(port: u16) -> String {
    format!("outrider-{port}")
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let good = text.len() == 2 * BYTES && text.bytes().all(|b| b.is_ascii_hexdigit());
        if good { Ok(Self(text.to_ascii_lowercase())) } else { Err(()) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Where the page is, with what lets a browser in. As text, the address to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageAddress {
    /// Host and port.
    pub address: SocketAddr,
    token: Token,
    tls: bool,
}

impl PageAddress {
    pub(super) fn new(address: SocketAddr, token: Token, tls: bool) -> Self {
        Self { address, token, tls }
    }

    /// The `Cookie` header of a browser that has been let in.
    pub fn cookie(&self) -> String {
        format!("{}={}", cookie_name(self.address.port()), self.token.0)
    }
}

impl fmt::Display for PageAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}/?token={}", self.address, self.token.0)
    }
}

impl FromStr for PageAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(())?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(()),
        };
        let (address, token) = rest.split_once("/?token=").ok_or(())?;
        Ok(Self { address: address.parse().map_err(|_| ())?, token: token.parse()?, tls })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn token_is_made_once_for_its_owner_alone_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = Token::of(dir.path()).unwrap();
        assert_eq!(Token::of(dir.path()).unwrap(), first);
        let path = dir.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Token::of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("can be read by others (mode 0644)"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(Token::of(dir.path()).is_err(), "an empty token lets nobody in");
    }

    #[test]
    fn address_says_it_and_debug_does_not() {
        let token = Token::random().unwrap();
        let page = PageAddress::new("127.0.0.1:8470".parse().unwrap(), token.clone(), false);
        assert_eq!(page.to_string(), format!("http://127.0.0.1:8470/?token={}", token.0));
        assert_eq!(page.to_string().parse(), Ok(page.clone()));
        let encrypted = PageAddress { tls: true, ..page.clone() };
        assert!(encrypted.to_string().starts_with("https://127.0.0.1:8470/?token="));
        assert_eq!(encrypted.to_string().parse(), Ok(encrypted));
        assert!(token.set_cookie(8470, true).to_str().unwrap().ends_with("; Secure"));
        assert!(!format!("{page:?}").contains(&token.0));
        let mut headers = HeaderMap::new();
        headers.insert("cookie", format!("a=b; {}", page.cookie()).parse().unwrap());
        assert!(token.is_in_cookie(&headers, 8470));
        assert!(!token.is_in_cookie(&headers, 8471), "the page of another daemon");
        assert!(!Token::random().unwrap().is_in_cookie(&headers, 8470));
        assert!(token.is_in_query(Some(&format!("look=dark&token={}", token.0))));
        assert!(!token.is_in_query(Some("token=")) && !token.is_in_query(None));
    }
}
