//! The one table of issuers' codes.
//!
//! In: a code as a list writes it, and which kind of codes the mapping declares. Out: the ISO 3166
//! code, or nothing: a code that is not in the table is reported with its row and never guessed.
//! `DE` is Delaware among states and Germany among countries, so no code is read without knowing
//! which kind is meant.
//!
//! Sources: ISO 3166-1 (countries), ISO 3166-2:US and CA (subdivisions), the United Nations' list of
//! distinguishing signs of vehicles in international traffic (ECE/TRANS/WP.1), the FBI's UCR/NIBRS state
//! codes (`NB` is Nebraska and `GM` is Guam), and NCIC's code list of licence plate states as NIEM's
//! `fbi` namespace names it (`NK` for New Brunswick). NCIC extracts write the letter O as zero, codes
//! included (example rows of openalpr_hotlist_import: `0H`, `C0`); no code of two letters has a digit, so
//! that a zero in one is always an O.

use serde::Deserialize;

use crate::plate::{Jurisdiction, names};

/// The meaning of a list's bare two-letter codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Issuers {
    /// US states and Canadian provinces, by their postal codes; `MX` is Mexico.
    #[default]
    States,
    /// Countries, by ISO 3166 or their sign in international traffic; a code of a state or province
    /// that no country has is accepted too.
    Countries,
    /// NCIC's codes of states and provinces.
    Ncic,
}

/// NCIC's codes that are not postal codes, or have another meaning as postal codes.
const NCIC: [(&str, &str); 10] = [
    ("NB", "US-NE"),
    ("NK", "CA-NB"),
    ("GM", "US-GU"),
    ("PQ", "CA-QC"),
    ("NF", "CA-NL"),
    ("YK", "CA-YT"),
    ("US", "US"),
    ("MX", "MX"),
    ("MM", "MX"),
    ("CD", "CA"),
];

/// Codes that Canada Post no longer uses and lists still contain.
const FORMER: [(&str, &str); 3] = [("PQ", "CA-QC"), ("NF", "CA-NL"), ("YK", "CA-YT")];

/// ISO 3166-1, assigned codes.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN \
    BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC \
    EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR \
    HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT \
    LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP \
    NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL \
    SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE \
    VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Signs in international traffic that are not the country's ISO code, and a few codes of three letters.
const SIGNS: [(&str, &str); 38] = [
    ("A", "AT"),
    ("AND", "AD"),
    ("B", "BE"),
    ("BIH", "BA"),
    ("CAN", "CA"),
    ("CDN", "CA"),
    ("D", "DE"),
    ("DEU", "DE"),
    ("E", "ES"),
    ("ESP", "ES"),
    ("EST", "EE"),
    ("F", "FR"),
    ("FIN", "FI"),
    ("FL", "LI"),
    ("FRA", "FR"),
    ("GBR", "GB"),
    ("GBZ", "GI"),
    ("H", "HU"),
    ("I", "IT"),
    ("IRL", "IE"),
    ("ITA", "IT"),
    ("L", "LU"),
    ("M", "MT"),
    ("MEX", "MX"),
    ("MNE", "ME"),
    ("N", "NO"),
    ("NMK", "MK"),
    ("P", "PT"),
    ("POL", "PL"),
    ("RKS", "XK"),
    ("RSM", "SM"),
    ("RUS", "RU"),
    ("S", "SE"),
    ("SLO", "SI"),
    ("SRB", "RS"),
    ("UK", "GB"),
    ("USA", "US"),
    ("V", "VA"),
];

/// The issuer for a code; `None` if there is none.
pub fn issuer(text: &str, issuers: Issuers) -> Option<Jurisdiction> {
    let code = text.trim().to_ascii_uppercase();
    if let Some((country, part)) = code.split_once(['-', '_']) {
        return subdivision(&letters(country), part);
    }
    let bare = letters(&code);
    let found = match issuers {
        Issuers::Ncic => meaning(&NCIC, &bare).or_else(|| state(&bare)),
        Issuers::States => state(&bare).or_else(|| former(&bare)),
        Issuers::Countries => country(&bare).or_else(|| state(&bare)).or_else(|| former(&bare)),
    };
    found.and_then(|iso| Jurisdiction::parse(&iso).ok())
}

/// Replaces zeros by the letter O: no code of states or countries has a digit.
fn letters(code: &str) -> String {
    code.replace('0', "O")
}

fn has(table: &str, code: &str) -> bool {
    !code.is_empty() && table.split_ascii_whitespace().any(|known| known == code)
}

fn meaning(table: &[(&str, &str)], code: &str) -> Option<String> {
    table.iter().find(|(known, _)| *known == code).map(|(_, iso)| (*iso).to_owned())
}

fn state(code: &str) -> Option<String> {
    match code {
        "MX" => Some("MX".into()),
        _ => ["US", "CA"]
            .iter()
            .map(|of| format!("{of}-{code}"))
            .find(|iso| names::of(iso).is_some()),
    }
}

/// Former codes are tried last, because `NF` is Norfolk Island among countries.
fn former(code: &str) -> Option<String> {
    meaning(&FORMER, code)
}

fn country(code: &str) -> Option<String> {
    if has(COUNTRIES, code) { Some(code.to_owned()) } else { meaning(&SIGNS, code) }
}

/// Parses `US-NY`, `ca-on`, `FR-75`. Parts of the USA and Canada must be in the table; for other
/// countries the country must be, and the part must have the standard's form.
fn subdivision(of: &str, part: &str) -> Option<Jurisdiction> {
    let of = country(of)?;
    let iso = match of.as_str() {
        "US" | "CA" => {
            let part = letters(part);
            let iso = format!("{of}-{part}");
            if names::of(&iso).is_some() {
                iso
            } else {
                former(&part).filter(|iso| iso.starts_with(&of))?
            }
        }
        _ => format!("{of}-{part}"),
    };
    Jurisdiction::parse(&iso).ok().filter(|j| !j.is_unknown())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str, issuers: Issuers) -> String {
        issuer(text, issuers).map_or("none".into(), |j| j.to_string())
    }

    #[rstest]
    #[case("0H", "US-OH")]
    #[case("C0", "US-CO")]
    #[case("M0", "US-MO")]
    #[case("0R", "US-OR")]
    #[case("0K", "US-OK")]
    #[case("0N", "CA-ON")]
    #[case("NB", "US-NE")]
    #[case("NE", "US-NE")]
    #[case("NK", "CA-NB")]
    #[case("GM", "US-GU")]
    #[case("PQ", "CA-QC")]
    #[case("MX", "MX")]
    #[case("us-0h", "US-OH")]
    #[case("FR", "none")]
    #[case("ZZ", "none")]
    fn ncic(#[case] code: &str, #[case] expected: &str) {
        assert_eq!(read(code, Issuers::Ncic), expected);
    }

    #[rstest]
    #[case("DE", "US-DE", "DE")]
    #[case("CA", "US-CA", "CA")]
    #[case("IN", "US-IN", "IN")]
    #[case("AL", "US-AL", "AL")]
    #[case("NE", "US-NE", "NE")]
    #[case("ON", "CA-ON", "CA-ON")]
    #[case("ny", "US-NY", "US-NY")]
    #[case("NB", "CA-NB", "CA-NB")]
    #[case("NF", "CA-NL", "NF")]
    #[case("0H", "US-OH", "US-OH")]
    #[case("D", "none", "DE")]
    #[case("UK", "none", "GB")]
    #[case("BW", "none", "BW")]
    #[case("us-mo", "US-MO", "US-MO")]
    #[case("US-ZZ", "none", "none")]
    #[case("CA-PQ", "CA-QC", "CA-QC")]
    #[case("DE-BY", "DE-BY", "DE-BY")]
    #[case("QQ-12", "none", "none")]
    #[case("US-", "none", "none")]
    #[case("Ontario", "none", "none")]
    #[case("", "none", "none")]
    fn states_and_countries(#[case] code: &str, #[case] states: &str, #[case] countries: &str) {
        assert_eq!(read(code, Issuers::States), states);
        assert_eq!(read(code, Issuers::Countries), countries);
    }

    #[test]
    fn every_meaning_is_in_the_table() {
        for (_, iso) in NCIC.iter().chain(&FORMER).chain(&SIGNS) {
            let known = match iso.split_once('-') {
                Some((country, part)) => subdivision(country, part).is_some(),
                None => has(COUNTRIES, iso),
            };
            assert!(known, "{iso}");
        }
        let named = |of: &str| names::NAMES.iter().filter(|(iso, _)| iso.starts_with(of)).count();
        assert_eq!((named("US-"), named("CA-")), (57, 13));
        assert_eq!(COUNTRIES.split_ascii_whitespace().count(), 250, "249 of ISO 3166-1, and XK");
    }
}
