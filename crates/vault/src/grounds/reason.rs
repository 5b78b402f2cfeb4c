//! What is accepted as grounds: a reason code of a closed list, a case number, a person's number.

use crate::text::{self, ForeignText};

/// Why somebody looks a plate up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Reason {
    StolenVehicle,
    StolenPlate,
    MissingPerson,
    AmberAlert,
    WantedPerson,
    ViolentCrime,
    HitAndRun,
    OfficerSafety,
    CourtOrder,
    Complaint,
    Disclosure,
}

impl Reason {
    /// Every code, and what it is for.
    pub const ALL: [(Self, &'static str, &'static str); 11] = [
        (Self::StolenVehicle, "stolen_vehicle", "a vehicle reported stolen"),
        (Self::StolenPlate, "stolen_plate", "a plate reported stolen or copied"),
        (Self::MissingPerson, "missing_person", "a person reported missing"),
        (Self::AmberAlert, "amber_alert", "an abducted child"),
        (Self::WantedPerson, "wanted_person", "a warrant"),
        (Self::ViolentCrime, "violent_crime", "a violent crime under investigation"),
        (Self::HitAndRun, "hit_and_run", "a collision whose driver left"),
        (Self::OfficerSafety, "officer_safety", "a threat to somebody's life now"),
        (Self::CourtOrder, "court_order", "a judge has said so"),
        (Self::Complaint, "complaint", "somebody complains about this system"),
        (Self::Disclosure, "disclosure", "the person concerned asks, or the defence"),
    ];

    /// Parses a code.
    pub fn parse(code: &str) -> Result<Self, VagueError> {
        Self::ALL
            .iter()
            .find(|(_, word, _)| *word == code)
            .map(|(reason, ..)| *reason)
            .ok_or_else(|| VagueError::Reason(ForeignText::shown(code, 40).into()))
    }
}

fn codes() -> String {
    Reason::ALL.iter().map(|(_, word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// Why grounds are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VagueError {
    /// It is not a reason code.
    #[error("{0:?} is no reason code; the codes are: {codes}", codes = codes())]
    Reason(String),
    /// It is not a case number.
    #[error("{0:?} names no case: give the number under which the case is kept, such as 26-00417")]
    Case(String),
    /// It is not an officer's number.
    #[error("{0:?} names nobody: give the officer's number")]
    Officer(String),
}

/// What people write who have no case, in lower case, letters and digits only.
const EMPTY_WORDS: [&str; 28] = [
    "na",
    "none",
    "no",
    "nil",
    "null",
    "test",
    "testing",
    "asdf",
    "qwerty",
    "xxx",
    "abc",
    "abc123",
    "unknown",
    "pending",
    "tba",
    "tbd",
    "police",
    "investigation",
    "investigative",
    "lawenforcement",
    "official",
    "business",
    "query",
    "check",
    "lookup",
    "plate",
    "case",
    "officer",
];

/// Checks a case number: it has the form of one (`text::case_number`), is not a placeholder, and is
/// not one digit over and over.
pub fn case_number(text: &str) -> Result<(), VagueError> {
    let bad = || VagueError::Case(ForeignText::shown(text, 40).into());
    let plain = plain(text);
    let digits: Vec<_> = plain.bytes().filter(u8::is_ascii_digit).collect();
    let run = |step: u8| digits.windows(2).all(|w| w[1] == w[0].wrapping_add(step));
    let filler = run(0) || (digits.len() == plain.len() && run(1));
    if text::case_number(text).is_none() || filler || EMPTY_WORDS.contains(&plain.as_str()) {
        return Err(bad());
    }
    Ok(())
}

/// Longest number of an officer, in characters.
const MOST_OFFICER: usize = 32;

/// Checks an officer's number.
pub fn officer(text: &str) -> Result<(), VagueError> {
    let plain = plain(text);
    let shown = ForeignText::parse(text, MOST_OFFICER).is_ok();
    if plain.is_empty() || !shown || EMPTY_WORDS.contains(&plain.as_str()) {
        return Err(VagueError::Officer(ForeignText::shown(text, 40).into()));
    }
    Ok(())
}

impl VagueError {
    /// The reason for the refusal, as it is recorded. The text is left out: it may be anything,
    /// even a plate.
    pub fn on_record(&self) -> &'static str {
        match self {
            Self::Reason(_) => "no reason code",
            Self::Case(_) => "no case number",
            Self::Officer(_) => "no officer's number",
        }
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("26-00417", true)]
    #[case("PR2026/4411", true)]
    #[case("2026", true)]
    #[case("test", false)]
    #[case("N/A", false)]
    #[case("1234", false)]
    #[case("123456789", false)]
    #[case("0000", false)]
    #[case("111111", false)]
    #[case("investigation", false)]
    #[case("case 1", false)]
    #[case("", false)]
    fn case_numbers(#[case] text: &str, #[case] good: bool) {
        assert_eq!(case_number(text).is_ok(), good, "{text}");
    }

    #[test]
    fn unknown_reason_is_told_the_codes() {
        let error = Reason::parse("just curious").unwrap_err().to_string();
        assert!(error.contains("stolen_vehicle, stolen_plate"), "{error}");
        assert_eq!(Reason::parse("hit_and_run"), Ok(Reason::HitAndRun));
    }
}
