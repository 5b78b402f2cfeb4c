//! Matches patterns of lists with reads: `?` stands for one character, `*` for any run, even an
//! empty one.
//!
//! Letters and digits are compared folded, as everywhere. Twelve characters against twelve take at
//! most 144 steps.

use std::borrow::Cow;

use super::{ListedPlate, Plate, fold};

impl ListedPlate {
    /// Whether this entry means the plate that was read: both are equal when folded, or the read
    /// fits the pattern.
    pub fn means(&self, read: &Plate) -> bool {
        fits(self.expose().as_bytes(), read.expose().as_bytes())
    }
}

/// Lines a listed text up with a read for display: each `*` becomes as many `?` as it stands for. A
/// text that is not a pattern, or does not fit, stays as it is.
pub fn over<'a>(listed: &'a str, read: &str) -> Cow<'a, str> {
    match listed.contains('*') {
        false => Cow::Borrowed(listed),
        true => spread(listed, read).map_or(Cow::Borrowed(listed), Cow::Owned),
    }
}

/// Whether a read fits a pattern. Neither needs to be folded.
pub fn fits(pattern: &[u8], read: &[u8]) -> bool {
    // Greedy matching: only the last run is tried again, one character longer each time.
    let (mut p, mut r, mut again) = (0, 0, None);
    while r < read.len() {
        match pattern.get(p) {
            Some(b'*') => {
                again = Some((p + 1, r));
                p += 1;
            }
            Some(c) if *c == b'?' || fold(*c) == fold(read[r]) => {
                p += 1;
                r += 1;
            }
            _ => match again {
                Some((after, at)) => {
                    again = Some((after, at + 1));
                    (p, r) = (after, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// The pattern with each `*` replaced by as many `?` as it stands for; `None` if the read does not
/// fit. Where there are several ways, the first runs are kept shortest.
fn spread(pattern: &str, read: &str) -> Option<String> {
    let Some((before, after)) = pattern.split_once('*') else {
        return fits(pattern.as_bytes(), read.as_bytes()).then(|| pattern.to_owned());
    };
    let most = read.len().checked_sub(pattern.bytes().filter(|c| *c != b'*').count())?;
    (0..=most).find_map(|n| spread(&format!("{before}{}{after}", "?".repeat(n)), read))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("CKS?841", "CKSV841", true)]
    #[case("CKS?841", "CKS841", false)]
    #[case("CKS*", "CKS", true)]
    #[case("CKS*", "CKSV841", true)]
    #[case("*841", "CKSV841", true)]
    #[case("*841", "CKSV8412", false)]
    #[case("C*V*1", "CKSV841", true)]
    #[case("C*V*2", "CKSV841", false)]
    #[case("0KS*", "OKSV841", true)]
    #[case("?KSV*", "KSV841", false)]
    fn partial_plate(#[case] pattern: &str, #[case] read: &str, #[case] fits: bool) {
        let pattern = ListedPlate::parse(pattern).unwrap();
        assert_eq!(pattern.means(&Plate::parse(read).unwrap()), fits);
    }

    #[test]
    fn pattern_is_laid_over_the_read_for_the_eye() {
        assert_eq!(over("C*41", "CKSV841"), "C????41");
        assert_eq!(over("CKS*", "CKS"), "CKS");
        assert_eq!(over("*K*1", "CKSV841"), "?K????1");
        assert_eq!(over("CKSV841", "CKSV847"), "CKSV841");
    }

    /// The most obvious way to decide what fits.
    fn by_hand(pattern: &[u8], read: &[u8]) -> bool {
        match (pattern, read) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                by_hand(rest, read) || (!read.is_empty() && by_hand(pattern, &read[1..]))
            }
            ([c, rest @ ..], [r, read @ ..]) => (*c == b'?' || c == r) && by_hand(rest, read),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn fits_what_fits_by_hand(pattern in "[AB?*]{1,8}", read in "[AB]{1,9}") {
            let (p, r) = (pattern.as_bytes(), read.as_bytes());
            prop_assert_eq!(fits(p, r), by_hand(p, r));
            match spread(&pattern, &read) {
                Some(over) => {
                    prop_assert_eq!(over.len(), read.len());
                    prop_assert!(by_hand(over.as_bytes(), r) && by_hand(p, r));
                }
                None => prop_assert!(!by_hand(p, r)),
            }
        }
    }
}
