//! The one table of plate formats: the letters and digits of each issuer's plates.
//!
//! Its users: [`syntax`](super::syntax) asks whether a read fits a jurisdiction and how likely each
//! issuer is. The reader asks whether lettering is a plate's at all (`vision/plausible.rs`), and
//! whether a look-alike stands at a place for letters or for digits (`vision/formats.rs`). Tests
//! check the formats of the two renderers (of drives and of training pictures) against this table.
//! Costs: some 300 formats of seven bytes.
//!
//! The formats are public knowledge: everybody sees them on the road.

/// The formats of one issuer.
pub(super) struct Issuer {
    pub(super) code: &'static str,
    /// Its usual formats, where they are known so well that a read with none of them deserves a
    /// second look. They come from the issuers' own pages and from the roads; the comments say
    /// since when each is issued.
    pub(super) usual: &'static [&'static str],
    /// Further formats that it issues. Having one speaks for the issuer; having none speaks against
    /// nothing. They come from the table of the training's renderer
    /// (`models/training/outrider_train/formats.py`, passenger formats, written down from public
    /// knowledge); a test compares the two tables. Those of AU-NSW come from the training pictures.
    pub(super) more: &'static [&'static str],
}

const fn usual_formats(
    code: &'static str,
    usual: &'static [&'static str],
    more: &'static [&'static str],
) -> Issuer {
    Issuer { code, usual, more }
}

const fn likelihood_only(code: &'static str, more: &'static [&'static str]) -> Issuer {
    Issuer { code, usual: &[], more }
}

/// `L` is a letter, `D` a digit, `X` either; a small letter or a digit stands for itself.
///
/// O, Q and 0, and I and 1, count as both, because many lists have folded them already.
pub(super) const ISSUERS: &[Issuer] = &[
    // ABCD 123 since 1997, ABC 123 and 123 ABC before; AB 12345 commercial; A12 34B trailers;
    // five characters on motorcycles.
    usual_formats(
        "CA-ON",
        &["LLLLDDD", "LLLDDD", "DDDLLL", "LLDDDDD", "LDDDDL", "XXXXX"],
        &["cLLLDDD", "bLLLDDD", "dLLLDDD", "aLLLDDD", "gvLLDDD"],
    ),
    // A12 BCD since 2010, 123 ABC before; commercial and other classes begin with a letter.
    usual_formats("CA-QC", &["LDDLLL", "DDDLLL", "LLLDDD", "LDDDDDD", "LLDDDDD"], &["fLLDDDD"]),
    // AB1 23C since 2014, ABC 123 and 123 ABC before; AB 1234 and 1234 AB commercial.
    usual_formats("CA-BC", &["LLDDDL", "LLLDDD", "DDDLLL", "LLDDDD", "DDDDLL"], &[]),
    usual_formats("CA-AB", &["LLLDDDD", "LLLDDD", "LDDDDD"], &["cLLDDDD", "bLLDDDD"]),
    usual_formats("CA-SK", &["DDDLLL", "LLLDDD"], &[]),
    usual_formats("CA-MB", &["LLLDDD"], &[]),
    usual_formats("CA-NB", &["LLLDDD"], &[]),
    usual_formats("CA-NS", &["LLLDDD"], &[]),
    usual_formats("CA-NL", &["LLLDDD"], &[]),
    usual_formats("CA-NT", &["DDDDDD"], &[]),
    usual_formats("CA-YT", &["LLLDD"], &[]),
    // 1ABC123 since 1980, 123 ABC and ABC 123 before; 1A23456 and 12345A1 commercial.
    usual_formats("US-CA", &["DLLLDDD", "DDDLLL", "LLLDDD", "DLDDDDD", "DDDDDLD"], &["DDDDDDL"]),
    // ABC 1234 since 2001, before ABC 123 and A12 3BC; 12345 AB commercial.
    usual_formats("US-NY", &["LLLDDDD", "LLLDDD", "LDDDLL", "DDDDDLL"], &[]),
    // A12 BCD, before ABC 12D.
    usual_formats("US-NJ", &["LDDLLL", "LLLDDL"], &[]),
    usual_formats("US-PA", &["LLLDDDD"], &[]),
    usual_formats("US-OH", &["LLLDDDD", "LLLDDD"], &["LLDDLL"]),
    // ABC 1234, since 2013 1ABC23.
    usual_formats("US-MI", &["LLLDDDD", "DLLLDD", "LLLDDD"], &["DLLDDD", "DDDLLL"]),
    usual_formats("US-WA", &["LLLDDDD", "DDDLLL", "LDDDDDL", "LDDDDDD"], &[]),
    usual_formats("US-TX", &["LLLDDDD", "LLDLDDD", "LLLDDD", "DDDLLL"], &[]),
    usual_formats("US-VA", &["LLLDDDD", "LLLDDD"], &["LLDDDDL"]),
    usual_formats("US-NC", &["LLLDDDD"], &[]),
    usual_formats("US-WI", &["LLLDDDD", "DDDLLL", "LLLDDD"], &[]),
    usual_formats("US-MN", &["LLLDDD", "DDDLLL"], &[]),
    // AB12 CDE since 2001; A123 BCD and ABC 123D before.
    usual_formats(
        "GB",
        &["LLDDLLL", "LDDDLLL", "LLLDDDL", "LDDLLL", "LLLDDL", "LDLLL", "LLLDL"],
        &[],
    ),
    usual_formats("FR", &["LLDDDLL"], &["DDDDLLDD", "DDDLLLDD"]),
    usual_formats("ES", &["DDDDLLL"], &["LDDDDLL"]),
    usual_formats("IT", &["LLDDDLL"], &[]),
    // `judge` does not judge the issuers below. Their formats are from the renderer's table, see
    // `Issuer::more`.
    likelihood_only("CA-PE", &["DDDDLL", "DDDLL"]),
    likelihood_only("US-FL", &["LLLLDD", "LDDDLL", "DDDLLL", "LLDDLL", "DDDDLL", "LLLDLL"]),
    likelihood_only("US-IL", &["LLDDDDD", "DDDDDDD", "LDDDDDD"]),
    likelihood_only("US-GA", &["LLLDDDD", "DDDDLLL", "DDDLLL"]),
    likelihood_only("US-AZ", &["LLLDDDD", "LLLDLL", "LLLDDDL", "DDDLLL"]),
    likelihood_only("US-MA", &["DLLLDD", "DDDLLD", "DLLDDD", "DDDDLL"]),
    likelihood_only("US-TN", &["LDDDDL", "LLLDDDD", "LLLDDL", "DDDLLL"]),
    likelihood_only("US-IN", &["DDDLLL", "DDDL", "DDDLL"]),
    likelihood_only("US-MO", &["LLDLLD", "LLDLDL"]),
    likelihood_only("US-MD", &["DLLDDDD", "LLLDDD"]),
    likelihood_only("US-CO", &["LLLDDD", "LLLLDD", "DDDLLL"]),
    likelihood_only("US-AL", &["DLDDDDD", "DDLDDDD", "DDDLDDD", "DDLDDDL"]),
    likelihood_only("US-SC", &["LLLDDD", "DDDLLL"]),
    likelihood_only("US-LA", &["DDDLLL", "LLLDDD"]),
    likelihood_only("US-KY", &["DDDLLL", "LLDDDD"]),
    likelihood_only("US-OR", &["DDDLLL", "LLLDDD"]),
    likelihood_only("US-OK", &["LLLDDD"]),
    likelihood_only("US-CT", &["LLDDDDD", "LLDDDD", "DDDLLL"]),
    likelihood_only("US-UT", &["LDDDLL", "LLLDDD", "DDDLLL"]),
    likelihood_only("US-IA", &["LLLDDD", "DDDLLL"]),
    likelihood_only("US-NV", &["DDDLLL", "DDLDDD"]),
    likelihood_only("US-AR", &["DDDLLL", "LLLDDL"]),
    likelihood_only("US-MS", &["LLLDDD", "LLLDDDD", "LLDDDD"]),
    likelihood_only("US-KS", &["DDDLLL", "DDDDLLL"]),
    likelihood_only("US-NM", &["LLLDDD", "DDDLLL", "LLLLDDD"]),
    likelihood_only("US-NE", &["LLLDDD", "DDLDDD", "DLDDD"]),
    likelihood_only("US-ID", &["DLDDDDD", "LDDDDDD", "DLDDDL"]),
    likelihood_only("US-WV", &["DLLDDD", "LDLDDD", "DDLDDD"]),
    likelihood_only("US-HI", &["LLLDDD"]),
    likelihood_only("US-NH", &["DDDDDDD", "DDDDDD"]),
    likelihood_only("US-ME", &["DDDDLL", "DDDDDD", "DDDLL"]),
    likelihood_only("US-RI", &["LLDDD", "DDDDDD", "LLDDDD", "1LLDDD"]),
    likelihood_only("US-MT", &["DDDDDL", "LLLDLL", "DDDDDD"]),
    likelihood_only("US-DE", &["DDDDDD"]),
    likelihood_only("US-SD", &["DLDDDD", "DLLDDD"]),
    likelihood_only("US-ND", &["DDDLLL"]),
    likelihood_only("US-AK", &["LLLDDD"]),
    likelihood_only("US-DC", &["LLDDDD"]),
    likelihood_only("US-VT", &["LLLDDD"]),
    likelihood_only("US-WY", &["DDDDDD", "DDDDD", "DDDD", "DDDDDL"]),
    likelihood_only(
        "DE",
        &["LLLDDD", "LLLDDDD", "LLLLLDD", "LLDDD", "LLLLDDD", "LLLLDD", "LLLLDDDD"],
    ),
    likelihood_only(
        "PL",
        &["LLDDDDD", "LLLDDDD", "LLDDDL", "LLLLDDD", "LLDDDDL", "LLLDDLL", "LDLLL"],
    ),
    likelihood_only("RO", &["LLDDLLL", "bDDDLLL", "bDDLLL"]),
    likelihood_only("NL", &["LLDDDL", "LDDDLL", "DDLLLD", "DDLLLL", "LLDDLL", "DLLLDD", "LLLLDD"]),
    likelihood_only("CZ", &["DLDDDDD", "DLLDDDD", "DLDDDDDD"]),
    likelihood_only("SK", &["LLDDDLL"]),
    likelihood_only("HU", &["LLLDDD", "LLLLDDD"]),
    likelihood_only("AT", &["LDDDDL", "LLDDDLL", "LDDDDDL"]),
    likelihood_only("CH", &["LLDDDDDD", "LLDDDDD", "LLDDDD"]),
    likelihood_only("SE", &["LLLDDD", "LLLDDL"]),
    likelihood_only("NO", &["LLDDDDD", "LLDDDD"]),
    likelihood_only("DK", &["LLDDDDD"]),
    likelihood_only("FI", &["LLLDDD", "LLLDD"]),
    likelihood_only("PT", &["DDLLDD", "LLDDLL", "DDDDLL"]),
    likelihood_only("BE", &["DLLLDDD", "LLLDDD"]),
    likelihood_only("IE", &["DDLDDDDD", "DDDLDDDD", "DDLLDDD"]),
    likelihood_only("HR", &["LLDDDLL", "LLDDDDL", "LLDDDDLL"]),
    likelihood_only("LT", &["LLLDDD"]),
    likelihood_only("LV", &["LLDDDD"]),
    likelihood_only("EE", &["DDDLLL"]),
    likelihood_only("BG", &["LDDDDLL", "LLDDDDLL"]),
    likelihood_only("GR", &["LLLDDDD"]),
    likelihood_only("UA", &["LLDDDDLL"]),
    likelihood_only("RS", &["LLDDDLL", "LLDDDDLL"]),
    likelihood_only("BY", &["DDDDLLD"]),
    likelihood_only("LU", &["LLDDDD"]),
    likelihood_only("AD", &["LDDDD"]),
    likelihood_only("IL", &["DDDDDDD", "DDDDDDDD"]),
    likelihood_only("BR", &["LLLDDDD", "LLLDLDD"]),
    likelihood_only("AU-NSW", &["LLDDLL", "LLLDDL", "LLLDDD"]),
];

/// Formats of vehicle plates in the rest of the world. Lettering that has one is known to be a
/// plate, whoever issued it. `L` is a letter, `D` a digit. Formats of five characters and fewer
/// prove nothing and are left out.
const ELSEWHERE: &[&str] = &[
    // Brazil, before and since 2018.
    "LLLDDDD",
    "LLLDLDD", //
    // Romania and Bucharest, Germany, Austria, Croatia, Slovenia.
    "LDDLLL",
    "LDDDLLL",
    "LLDDDDL",
    "LLLDDDDD",
    "LLLLDDDD",
    "LLDDDD",
    "LLLDDDD",
    "LDDDDDL",
    // Poland, Norway, Denmark, Switzerland.
    "LLDDDDD",
    "LLLDDDL",
    "LLDDDDDD", //
    // The Netherlands, Sweden, Finland, Belgium, Hungary, Lithuania.
    "DDLLLD",
    "DDLLLL",
    "LLLLDD",
    "LLDDLL",
    "LLLDDL",
    "DLLLDD",
    "DDDLLD",
    "DLDDDLL",
    "DLLLDDD",
    "LLDDDL", //
    // India, Russia, Ukraine, Turkey.
    "LLDDLLDDDD",
    "LLDDLDDDD",
    "LLDLLDDDD",
    "LDDDLLDD",
    "LDDDLLDDD",
    "LLDDDDLL",
    "DDLLLDDD",
    "DDLLDDDD",
    "DDLDDDD",
    "DDLLLDD",
];

/// Formats of seven characters that are so common that having one settles a doubt.
pub const SETTLING: [&[u8; 7]; 6] = [
    b"LLLDDDD", // Brazil until 2018, many US states
    b"LLLDLDD", // Brazil's Mercosur plate
    b"LLLLDDD", // Ontario
    b"DLLLDDD", // California
    b"LLDDDLL", // France, Italy, Slovakia
    b"LLDDLLL", // Great Britain
];

/// Formats that are too rare to settle a doubt, and too common to be ruled out.
pub const DOUBTING: [&[u8; 7]; 4] = [
    b"LLDLDDD", // Texas
    b"DDDDLLL", // Spain
    b"LLDDDDD", // commercial plates of several states
    b"LDDDDDD",
];

/// Whether a text has one of the formats of the rest of the world.
pub fn is_elsewhere(text: &str) -> bool {
    ELSEWHERE.iter().any(|format| fits(text, format))
}

/// Whether a text, letters and digits, has a format.
pub fn fits(text: &str, format: &str) -> bool {
    let both = |c: u8| matches!(c, b'O' | b'Q' | b'0' | b'I' | b'1');
    text.len() == format.len()
        && text.bytes().zip(format.bytes()).all(|(c, class)| match class {
            b'L' => c.is_ascii_uppercase() || both(c),
            b'D' => c.is_ascii_digit() || both(c),
            b'X' => true,
            own => super::fold(c) == super::fold(own.to_ascii_uppercase()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_settle_and_doubt_are_formats_of_an_issuer() {
        for format in SETTLING.iter().chain(&DOUBTING) {
            let format = std::str::from_utf8(*format).unwrap();
            let issued =
                |issuer: &Issuer| issuer.usual.iter().chain(issuer.more).any(|of| *of == format);
            assert!(ISSUERS.iter().any(issued), "{format}");
        }
    }

    #[test]
    fn formats_of_the_rest_of_the_world_are_long_enough_to_prove_something() {
        for format in ELSEWHERE {
            assert!(format.bytes().all(|c| c == b'L' || c == b'D'), "{format}");
            assert!((6..=crate::plate::MAX_PLATE_LEN).contains(&format.len()), "{format}");
        }
    }
}
