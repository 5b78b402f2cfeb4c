//! A car's package: everything that a car is given, in one file that a code opens.
//!
//! In: files and the car that they are for. Out: sealed bytes, and the other way round. The code has 133 bits that the
//! kernel chose, so that no slow derivation is needed; it travels apart from the file. An opened package is checked
//! before anything is written: no name may lead out of the car's folder for configuration and keys, its *room*.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use anyhow::{Context as _, bail, ensure};
use data_encoding::BASE64;
use jiff::Timestamp;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Names the form of the file.
const MAGIC: &[u8] = b"outrider car package 1\n";

/// Longest package: lists from files can be in it.
pub const LONGEST: u64 = 64 << 20;

/// Letters and digits of a code, of which no two look alike.
const LETTERS: &str = "abcdefghjkmnpqrstuvwxyz23456789";

/// Characters of a code; 31 to the power of 27 are more than 2 to the power of 133.
const CODE: usize = 27;

/// What a car is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The agency that the car belongs to.
    pub agency: String,
    /// The vehicle's number.
    pub vehicle: String,
    /// When it was made: a car takes none that is older than what it has.
    pub made: Timestamp,
    /// Files by their name in the car's room, as Base64.
    files: BTreeMap<String, String>,
}

/// What opens a package.
pub struct Code(Zeroizing<String>);

impl Code {
    /// A new code.
    pub fn random() -> anyhow::Result<Self> {
        let mut code = Zeroizing::new(String::with_capacity(64));
        let letters = LETTERS.as_bytes();
        // Bytes beyond the last whole multiple of the alphabet would make some letters likelier.
        let fair = 256 - 256 % letters.len();
        while code.chars().filter(|c| *c != '-').count() < CODE {
            let mut byte = [0];
            getrandom::fill(&mut byte).map_err(|e| anyhow::anyhow!("no random bytes: {e}"))?;
            let byte = usize::from(byte[0]);
            if byte < fair {
                if code.len() % 10 == 9 {
                    code.push('-');
                }
                code.push(char::from(letters[byte % letters.len()]));
            }
        }
        Ok(Self(code))
    }

    /// A code that a person typed: case, blanks and hyphens do not matter.
    pub fn typed(text: &str) -> anyhow::Result<Self> {
        let mut code = Zeroizing::new(String::with_capacity(64));
        for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let c = c.to_ascii_lowercase();
            ensure!(
                LETTERS.contains(c),
                "a code has letters and digits, and neither i, l, o, 0 nor 1"
            );
            code.push(c);
        }
        ensure!(
            code.len() == CODE,
            "a code has {CODE} letters and digits, this one {}",
            code.len()
        );
        Ok(Self(code))
    }

    /// As it is written down for the person who brings the package to the car.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn key(&self) -> LessSafeKey {
        let mut digest = Sha256::new();
        digest.update(MAGIC);
        for c in self.0.bytes().filter(|c| *c != b'-') {
            digest.update([c]);
        }
        let key: Zeroizing<[u8; 32]> = Zeroizing::new(digest.finalize().into());
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*key).expect("the key has 32 bytes"))
    }
}

/// Whether a name stays inside the room: a few plain parts, and nothing that leads out.
fn stays_inside(name: &str) -> bool {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    !name.is_empty() && name.len() <= 200 && plain && path.components().count() <= 3
}

impl Package {
    /// An empty package.
    pub fn new(agency: &str, vehicle: &str, made: Timestamp) -> Self {
        let (agency, vehicle) = (agency.to_owned(), vehicle.to_owned());
        Self { agency, vehicle, made, files: BTreeMap::new() }
    }

    /// Puts a file in.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        ensure!(stays_inside(name), "{name:?} is no name inside {}", super::ROOM);
        self.files.insert(name.to_owned(), BASE64.encode(bytes));
        Ok(())
    }

    /// Names of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// A file.
    pub fn file(&self, name: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let text = self.files.get(name).with_context(|| format!("the package has no {name}"))?;
        Ok(Zeroizing::new(
            BASE64.decode(text.as_bytes()).with_context(|| format!("{name}: damaged"))?,
        ))
    }

    /// The sealed file.
    pub fn seal(&self, code: &Code) -> anyhow::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|e| anyhow::anyhow!("no random bytes: {e}"))?;
        let mut sealed = Zeroizing::new(serde_json::to_vec(self)?);
        let of = Nonce::assume_unique_for_key(nonce);
        code.key()
            .seal_in_place_append_tag(of, Aad::from(MAGIC), &mut *sealed)
            .map_err(|_| anyhow::anyhow!("too long to seal"))?;
        let bytes = [MAGIC, &nonce, &sealed].concat();
        ensure!(
            bytes.len() as u64 <= LONGEST,
            "the package would be longer than {} MiB",
            LONGEST >> 20
        );
        Ok(bytes)
    }

    /// What is in a sealed file.
    pub fn open(sealed: &[u8], code: &Code) -> anyhow::Result<Self> {
        let Some((nonce, sealed)) =
            sealed.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(NONCE_LEN))
        else {
            bail!("is not a car's package of a form that this version knows");
        };
        let nonce = Nonce::assume_unique_for_key(nonce.try_into().expect("the nonce's length"));
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plain = code
            .key()
            .open_in_place(nonce, Aad::from(MAGIC), &mut sealed)
            .map_err(|_| anyhow::anyhow!("does not open with this code, or was changed"))?;
        let package: Self = serde_json::from_slice(plain).context("is not understood")?;
        for name in package.names() {
            ensure!(stays_inside(name), "{name:?} is no name inside {}", super::ROOM);
        }
        Ok(package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        let mut package = Package::new("peel", "4127", "2026-11-30T04:00:00Z".parse().unwrap());
        package.put("keys/stolen.key", b"secret").unwrap();
        package
    }

    #[test]
    fn package_opens_with_its_code_alone_and_not_when_a_bit_has_changed() {
        let (code, other) = (Code::random().unwrap(), Code::random().unwrap());
        let sealed = package().seal(&code).unwrap();
        assert!(!sealed.windows(6).any(|w| w == b"secret" || w == b"stolen"));
        let typed = Code::typed(&code.text().to_uppercase().replace('-', " ")).unwrap();
        let opened = Package::open(&sealed, &typed).unwrap();
        assert_eq!(opened, package());
        assert_eq!(&**opened.file("keys/stolen.key").unwrap(), b"secret");
        assert!(Package::open(&sealed, &other).is_err());
        for at in [0, MAGIC.len(), MAGIC.len() + NONCE_LEN, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(Package::open(&changed, &code).is_err(), "byte {at}");
        }
    }

    #[test]
    fn codes_are_long_enough_and_typing_errors_are_told() {
        let code = Code::random().unwrap();
        assert_eq!(code.text().chars().filter(|c| *c != '-').count(), CODE);
        assert_ne!(code.text(), Code::random().unwrap().text());
        assert!(Code::typed("abc").is_err() && Code::typed(&"0".repeat(CODE)).is_err());
    }

    #[test]
    fn no_name_leads_out_of_the_room() {
        for name in ["../passwd", "/etc/passwd", "keys/../../x", "", "a/b/c/d", "./x"] {
            assert!(package().put(name, b"x").is_err(), "{name}");
        }
        for name in ["outrider.toml", "keys/stolen.key", "tls/ca.pem"] {
            package().put(name, b"x").unwrap();
        }
    }
}
