//! The PIN by which a person proves who they are. Signed policy contains its hash, never the PIN.
//!
//! In: digits that somebody typed. Out: a [`PinHash`] for a policy, or whether the digits are those
//! of such a hash. Costs: 19 MiB and two passes of Argon2id for each, some 50 ms of one core of a
//! car's computer. Leaves to others: limiting the attempts ([`sessions`](crate::sessions)).
//!
//! Every hash has the same cost, so that the time taken does not reveal whose it was. A PIN is
//! short: whoever has the hash can try all PINs of six digits in a day. The protection is that
//! policies are sealed in the car and behind the broker's password, and that a PIN opens nothing
//! without the car.

use std::fmt;
use std::sync::LazyLock;

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Shortest PIN, in digits.
pub const SHORTEST: usize = 6;

/// Longest PIN, in digits.
pub const LONGEST: usize = 16;

/// Cost of a guess: OWASP's second choice for Argon2id, which a small ARM computer manages beside
/// four cameras.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// The beginning of such a hash: algorithm, version and cost in the PHC string format.
const HEAD: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

const SALT: usize = 16;
const OUTPUT: usize = 32;

/// Why a text is not a PIN, or not a hash of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It is not digits only, or there are too few or too many.
    #[error("a PIN has {SHORTEST} to {LONGEST} digits and nothing else")]
    Digits,
    /// It is one of those that are tried first.
    #[error(
        "this PIN is among the first that anybody tries (one digit over and over, or a row): take another"
    )]
    Plain,
    /// It is not what `outrider provision pin` writes.
    #[error(
        "not a PIN's hash: it begins with {HEAD} and is made by `outrider provision pin`; every hash has the \
         same cost"
    )]
    Hash,
    /// The kernel gave no random bytes.
    #[error("no random bytes from the kernel for the PIN's salt: {0}")]
    Random(String),
}

/// A PIN's hash in the PHC string format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinHash {
    salt: [u8; SALT],
    output: [u8; OUTPUT],
}

impl PinHash {
    /// Hashes a new PIN under a new salt.
    pub fn of(pin: &str) -> Result<Self, PinError> {
        check(pin)?;
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|e| PinError::Random(e.to_string()))?;
        Ok(Self { salt, output: hashed(pin, &salt) })
    }

    /// Whether this is the PIN. A wrong one takes as long.
    pub fn is(&self, pin: &str) -> bool {
        // Digests are compared, so that the time taken reveals nothing about the hash.
        Sha256::digest(hashed(pin, &self.salt)) == Sha256::digest(self.output)
    }

    /// A hash that belongs to no PIN; it is checked for a number that nobody has, to take the same
    /// time.
    pub fn nobody() -> &'static Self {
        static NOBODY: LazyLock<PinHash> =
            LazyLock::new(|| PinHash { salt: *b"nobody has this.", output: [0; OUTPUT] });
        &NOBODY
    }
}

/// Checks that a text can be a PIN.
pub fn check(pin: &str) -> Result<(), PinError> {
    let digits = pin.as_bytes();
    if !(SHORTEST..=LONGEST).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(PinError::Digits);
    }
    let row = |step: u8| digits.windows(2).all(|w| (w[1] - b'0') == (w[0] - b'0' + step) % 10);
    if row(0) || row(1) || row(9) {
        return Err(PinError::Plain);
    }
    Ok(())
}

#[cfg(test)]
thread_local! {
    /// How many hashes this thread has made, so that a test can check that each attempt costs one.
    pub(crate) static HASHED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn hashed(pin: &str, salt: &[u8; SALT]) -> [u8; OUTPUT] {
    #[cfg(test)]
    HASHED.set(HASHED.get() + 1);
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(OUTPUT)).expect("within argon2's bounds");
    let mut output = Zeroizing::new([0; OUTPUT]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(pin.as_bytes(), salt, &mut *output)
        .expect("salt and output have lengths that argon2 takes");
    *output
}

impl TryFrom<String> for PinHash {
    type Error = PinError;

    fn try_from(text: String) -> Result<Self, PinError> {
        let decode = |text: &str| BASE64_NOPAD.decode(text.as_bytes()).ok();
        let parts = text.strip_prefix(HEAD).and_then(|rest| rest.split_once('$'));
        let (salt, output) = parts.ok_or(PinError::Hash)?;
        let salt = decode(salt).and_then(|bytes| bytes.try_into().ok()).ok_or(PinError::Hash)?;
        let output =
            decode(output).and_then(|bytes| bytes.try_into().ok()).ok_or(PinError::Hash)?;
        Ok(Self { salt, output })
    }
}

impl From<PinHash> for String {
    fn from(hash: PinHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encode = |bytes: &[u8]| BASE64_NOPAD.encode(bytes);
        write!(f, "{HEAD}{}${}", encode(&self.salt), encode(&self.output))
    }
}

impl fmt::Debug for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{PasswordVerifier as _, password_hash::phc::PasswordHash};
    use rstest::rstest;

    #[rstest]
    #[case("480213", Ok(()))]
    #[case("1234567890123457", Ok(()))]
    #[case("48021", Err(PinError::Digits))]
    #[case("12345678901234567", Err(PinError::Digits))]
    #[case("48021a", Err(PinError::Digits))]
    #[case("٤٨٠٢١٣", Err(PinError::Digits))]
    #[case("", Err(PinError::Digits))]
    #[case("000000", Err(PinError::Plain))]
    #[case("234567", Err(PinError::Plain))]
    #[case("890123", Err(PinError::Plain))]
    #[case("987654", Err(PinError::Plain))]
    fn pins(#[case] pin: &str, #[case] expected: Result<(), PinError>) {
        assert_eq!(check(pin), expected, "{pin}");
    }

    #[test]
    fn hash_is_a_phc_string_that_others_verify_and_only_its_pin_is() {
        let hash = PinHash::of("480213").unwrap();
        let text = hash.to_string();
        assert!(text.starts_with(HEAD) && text.len() < 100, "{text}");
        assert_eq!(PinHash::try_from(text.clone()), Ok(hash.clone()));
        assert!(hash.is("480213") && !hash.is("480214") && !hash.is(""));
        assert!(!PinHash::nobody().is("480213"));
        let others = PasswordHash::new(&text).unwrap();
        assert!(Argon2::default().verify_password(b"480213", &others).is_ok());
        assert_ne!(PinHash::of("480213").unwrap(), hash, "another salt");
        assert!(!format!("{hash:?}").contains("argon2"));
    }

    #[rstest]
    #[case("")]
    #[case("480213")]
    #[case("$argon2id$v=19$m=8,t=1,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAA")]
    #[case(
        "$argon2id$v=19$m=4194304,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    )]
    #[case("$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAA")]
    #[case(
        "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    )]
    fn other_texts_and_other_costs_are_no_hash(#[case] text: &str) {
        assert_eq!(PinHash::try_from(text.to_owned()), Err(PinError::Hash), "{text}");
    }
}
