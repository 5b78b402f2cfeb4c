//! The fleet's small certificate authority, which gives each car the certificate that its broker knows it by.
//!
//! It is a folder with `ca.pem` and `ca.key`, as `examples/broker/authority.sh` makes it too. Whoever has `ca.key` can
//! make certificates of cars: it stays at the desk, and no package contains it.

use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use zeroize::Zeroizing;

use crate::config::ConsoleConfig;
use crate::files::{self, Readers};
use crate::secret_file;

/// Years for which a new authority is valid.
const AUTHORITY_YEARS: i64 = 10;

/// A certificate is valid from this long before it was made, because a car's clock may be behind the desk's.
const BEHIND: i64 = 86_400;

/// An authority that can sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A car's certificate and its key, as PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its secret key.
    pub key: Zeroizing<String>,
}

fn date(seconds: i64) -> anyhow::Result<rcgen::CertificateParams> {
    // rcgen uses the dates of the crate `time`, on which we do not depend: they are made from a day.
    let day = Timestamp::from_second(seconds)?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut params = CertificateParams::default();
    let (month, of_month) = (day.month().unsigned_abs(), day.day().unsigned_abs());
    params.not_after = rcgen::date_time_ymd(i32::from(day.year()), month, of_month);
    Ok(params)
}

/// Parameters of a certificate that is valid from a day ago to the day after `seconds` from now.
fn lasting(now: Timestamp, seconds: i64) -> anyhow::Result<CertificateParams> {
    let mut params = date(now.as_second() + seconds)?;
    params.not_before = date(now.as_second() - BEHIND)?.not_after;
    Ok(params)
}

impl Authority {
    /// Opens the authority of a folder, or makes one where there is none. Returns whether it is new.
    pub fn of(folder: &Path, now: Timestamp) -> anyhow::Result<(Self, bool)> {
        let (pem, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        match (pem.exists(), key.exists()) {
            (true, true) => Ok((Self::load(&pem, &key)?, false)),
            (false, false) => Ok((Self::make(folder, now)?, true)),
            (true, false) => {
                bail!("{} is missing although ca.pem is there: bring it back", key.display())
            }
            (false, true) => {
                bail!("{} is missing although ca.key is there: bring it back", pem.display())
            }
        }
    }

    fn load(pem: &Path, key: &Path) -> anyhow::Result<Self> {
        let certificate = files::read_text(pem, Readers::Anybody)
            .with_context(|| format!("cannot read {}", pem.display()))?;
        let secret = secret_file::read(key)?;
        let secret = KeyPair::from_pem(&secret)
            .with_context(|| format!("{} is no key that this program signs with", key.display()))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, secret)
            .with_context(|| format!("{} is no authority's certificate", pem.display()))?;
        Ok(Self { issuer, certificate })
    }

    fn make(folder: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let mut params = lasting(now, AUTHORITY_YEARS * 365 * 86_400)?;
        params.distinguished_name.push(DnType::CommonName, "Outrider fleet authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let secret = KeyPair::generate()?;
        let certificate = params.self_signed(&secret)?.pem();
        files::private_folder(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        secret_file::create(&folder.join("ca.key"), &Zeroizing::new(secret.serialize_pem()))?;
        files::create(&folder.join("ca.pem"), &[certificate.as_bytes()])?;
        Ok(Self { issuer: Issuer::new(params, secret), certificate })
    }

    /// What the broker and every car need to believe its certificates.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Makes the certificate by which a car serves its page on its own network: for its address there, and its names.
    pub fn page(
        &self,
        console: &ConsoleConfig,
        now: Timestamp,
        days: u32,
    ) -> anyhow::Result<Identity> {
        let mut params = lasting(now, i64::from(days) * 86_400)?;
        let address = console.listen.ip();
        params.distinguished_name.push(DnType::CommonName, address.to_string());
        params.subject_alt_names.push(SanType::IpAddress(address));
        for name in &console.names {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: Zeroizing::new(key.serialize_pem()) })
    }

    /// Makes a car's certificate, whose name is what the broker calls the car.
    pub fn identity(&self, vehicle: &str, now: Timestamp, days: u32) -> anyhow::Result<Identity> {
        let mut params = lasting(now, i64::from(days) * 86_400)?;
        params.distinguished_name.push(DnType::CommonName, vehicle);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: Zeroizing::new(key.serialize_pem()) })
    }
}
