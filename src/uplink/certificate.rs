//! How long the car's own TLS certificates are still valid: the one that it shows the broker, and its page's.
//!
//! In: `uplink.certificate`, `console.certificate`. Out: when each expires, and in how many days. Neither the broker nor
//! a tablet warns before that day, and both refuse the car from then on; `check`, health, page and `outrider status`
//! warn weeks ahead.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;

use crate::config::{ConsoleConfig, UplinkConfig};
use crate::files::{self, Readers};
use crate::health::PartState;

/// The name in health of the certificate for the broker.
pub const PART: &str = "certificate";

/// The name in health of the page's certificate.
pub const PAGE: &str = "page_certificate";

/// Days left from which on somebody must renew it. From when on somebody should is a setting, which is always earlier.
const RED_DAYS: i64 = 7;

/// What to do about a certificate for the broker that ends soon.
pub const RENEW: &str = "renew it (docs/operations.md): a new certificate in its place serves at the next connection, \
                         without a restart";

/// What to do about a page's certificate that ends soon.
pub const RENEW_PAGE: &str = "renew it (docs/operations.md), then restart Outrider, which reads the page's certificate at its start";

/// What to do about a page's certificate that was renewed while it served.
pub const RESTART: &str =
    "restart Outrider: the renewed certificate in its place counts from the next start";

/// When a certificate ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The last moment at which it is valid.
    pub ends: Timestamp,
    /// Whole days until then; negative once it has ended.
    pub days_left: i64,
}

/// Why its end is not known. Names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Expiry {
    /// The end of the car's certificate, if it has one.
    pub fn of(config: &UplinkConfig, now: Timestamp) -> Result<Option<Self>, Unreadable> {
        config.certificate.as_deref().map(|path| Self::of_file(path, now)).transpose()
    }

    /// The end of the page's certificate, if there is a page and it has one.
    pub fn of_page(config: &ConsoleConfig, now: Timestamp) -> Result<Option<Self>, Unreadable> {
        let path = config.certificate.as_deref().filter(|_| config.enabled);
        path.map(|path| Self::of_file(path, now)).transpose()
    }

    /// What is left at `now` of a certificate that ends then.
    pub fn until(ends: Timestamp, now: Timestamp) -> Self {
        Self { ends, days_left: ends.duration_since(now).as_secs().div_euclid(86_400) }
    }

    /// The earliest end among the certificates of a PEM file: a chain is valid only as long as all of it is.
    pub fn of_file(path: &Path, now: Timestamp) -> Result<Self, Unreadable> {
        let said = |why: String| Unreadable(format!("{}: {why}", path.display()));
        let pem = files::read(path, Readers::Anybody).map_err(|e| Unreadable(e.to_string()))?;
        let mut first: Option<Timestamp> = None;
        for block in Pem::iter_from_buffer(&pem) {
            let block = block.map_err(|e| said(format!("not PEM: {e}")))?;
            if block.label != "CERTIFICATE" {
                continue;
            }
            let certificate =
                block.parse_x509().map_err(|e| said(format!("not a certificate: {e}")))?;
            let ends = Timestamp::from_second(certificate.validity().not_after.timestamp())
                .map_err(|e| said(e.to_string()))?;
            first = Some(first.map_or(ends, |before| before.min(ends)));
        }
        let ends = first.ok_or_else(|| said("holds no certificate".into()))?;
        Ok(Self::until(ends, now))
    }

    /// The state as a part of health: amber from so many days before the end on, red from a week before, with what to do.
    pub fn health(&self, warn_days: i64, advice: &str) -> PartState {
        match self.days_left {
            days if days <= RED_DAYS => PartState::Down(format!("{}: {advice}", self.in_words())),
            days if days <= warn_days => {
                PartState::Impaired(format!("{}: {advice}", self.in_words()))
            }
            _ => PartState::Working,
        }
    }

    /// "ends 2026-12-05T10:00:00Z, in 5 days".
    pub fn in_words(&self) -> String {
        match self.days_left {
            days @ ..0 => format!("ended {:.0}, {} days ago", self.ends, -days),
            0 => format!("ends {:.0}, within a day", self.ends),
            1 => format!("ends {:.0}, in 1 day", self.ends),
            days => format!("ends {:.0}, in {days} days", self.ends),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CertificatesConfig;

    fn certificate(dir: &Path, year: i32) -> std::path::PathBuf {
        let mut params = rcgen::CertificateParams::new(vec!["4127".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let path = dir.join(format!("{year}.pem"));
        std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        path
    }

    #[test]
    fn days_left_turn_amber_at_thirty_and_red_at_seven() {
        let dir = tempfile::tempdir().unwrap();
        let path = certificate(dir.path(), 2027);
        for (now, days, word) in [
            ("2026-12-01T00:00:00Z", 90, "working"),
            ("2027-01-29T00:00:00Z", 31, "working"),
            ("2027-01-30T00:00:00Z", 30, "impaired"),
            ("2027-02-21T00:00:00Z", 8, "impaired"),
            ("2027-02-22T00:00:00Z", 7, "down"),
            ("2027-03-01T00:00:00Z", 0, "down"),
            ("2027-03-01T00:00:01Z", -1, "down"),
        ] {
            let expiry = Expiry::of_file(&path, now.parse().unwrap()).unwrap();
            assert_eq!(expiry.days_left, days, "{now}");
            let default = CertificatesConfig::default().warn_days();
            let told = serde_json::to_value(expiry.health(default, RENEW)).unwrap();
            assert_eq!(told["state"], word, "{now}: {told}");
            // Another setting moves the warning, and never the failure.
            let early = serde_json::to_value(expiry.health(90, RENEW)).unwrap();
            assert_eq!(early["state"], if word == "working" { "impaired" } else { word }, "{now}");
        }
    }

    #[test]
    fn page_has_an_end_where_it_is_served_by_a_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let now = "2027-02-01T00:00:00Z".parse().unwrap();
        let says = |enabled, certificate| {
            let config = ConsoleConfig { enabled, certificate, ..ConsoleConfig::default() };
            Expiry::of_page(&config, now).map(|expiry| expiry.map(|expiry| expiry.days_left))
        };
        let path = certificate(dir.path(), 2027);
        assert_eq!(says(true, Some(path.clone())), Ok(Some(28)));
        assert_eq!(says(false, Some(path)), Ok(None));
        assert_eq!(says(true, None), Ok(None));
        let gone = says(true, Some(dir.path().join("gone.pem"))).unwrap_err().to_string();
        assert!(gone.contains("gone.pem"), "{gone}");
    }

    #[test]
    fn chain_ends_with_its_first_and_what_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let now = "2026-12-01T00:00:00Z".parse().unwrap();
        let [long, short] = [2035, 2027].map(|year| certificate(dir.path(), year));
        let chain = [std::fs::read(&long).unwrap(), std::fs::read(&short).unwrap()].concat();
        std::fs::write(&long, chain).unwrap();
        assert_eq!(Expiry::of_file(&long, now).unwrap().ends.to_string(), "2027-03-01T00:00:00Z");
        let other = dir.path().join("other.pem");
        std::fs::write(&other, "a key or a shopping list\n").unwrap();
        let refused = Expiry::of_file(&other, now).unwrap_err().to_string();
        assert!(refused.ends_with("other.pem: holds no certificate"), "{refused}");
    }
}
