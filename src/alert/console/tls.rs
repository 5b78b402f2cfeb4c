//! The page on the car's own network: encrypted, by a certificate that the fleet's authority has made for it.
//!
//! In: two PEM files. Out: what turns a connection into an encrypted one, or why not, by file. Costs a handshake a
//! connection. TLS 1.2 and 1.3, by rustls, which the broker's connection has too. Leaves to others: who may look
//! (`guard.rs`, `token.rs`); making the certificate (`outrider provision fleet`).

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::ConsoleError;
use crate::config::ConsoleConfig;
use crate::files::{self, Readers};

/// What encrypts connections; nothing where the page is served on loopback without a certificate.
pub(super) fn acceptor(config: &ConsoleConfig) -> Result<Option<TlsAcceptor>, ConsoleError> {
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
        return Ok(None);
    };
    let failed = |name: &'static str, path: &Path, why: String| ConsoleError::Tls {
        name,
        path: path.to_owned(),
        why,
    };
    let read = |name, path: &Path, readers| {
        files::read_text(path, readers).map_err(|e| failed(name, path, e.to_string()))
    };
    let pem = read("certificate", certificate, Readers::Anybody)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| failed("certificate", certificate, e.to_string()))?;
    if chain.is_empty() {
        return Err(failed("certificate", certificate, "no certificate in it".into()));
    }
    let pem = Zeroizing::new(read("key", key, Readers::Group)?);
    let secret = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| failed("key", key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed("certificate", certificate, e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|e| failed("key", key, format!("does not go with console.certificate: {e}")))?;
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> ConsoleConfig {
        ConsoleConfig {
            certificate: Some(folder.join("page.pem")),
            key: Some(folder.join("page.key")),
            ..ConsoleConfig::default()
        }
    }

    #[test]
    fn what_is_wrong_with_certificate_or_key_is_said_by_file() {
        assert!(acceptor(&ConsoleConfig::default()).unwrap().is_none());
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let error = |config: &ConsoleConfig| match acceptor(config) {
            Err(e) => e.to_string(),
            Ok(_) => String::new(),
        };
        let (certificate, key) = (dir.path().join("page.pem"), dir.path().join("page.key"));
        assert!(error(&config).contains("console.certificate = "), "{}", error(&config));
        std::fs::write(&certificate, "nothing\n").unwrap();
        assert!(error(&config).contains("no certificate in it"), "{}", error(&config));
        let made = |_| rcgen::generate_simple_self_signed(vec!["outrider.local".into()]).unwrap();
        let [one, other] = [0, 1].map(made);
        std::fs::write(&certificate, one.cert.pem()).unwrap();
        crate::secret_file::create(&key, &other.signing_key.serialize_pem()).unwrap();
        assert!(error(&config).contains("does not go with"), "{}", error(&config));
        std::fs::remove_file(&key).unwrap();
        crate::secret_file::create(&key, &one.signing_key.serialize_pem()).unwrap();
        assert!(acceptor(&config).unwrap().is_some());
    }
}
