//! What the OCR's head says of plates that were not read, and how often it cries wolf of those that were.
//!
//! In: cases with what the head said of the plate's picture. Out: counts by class, of plates that were found: whether one
//! was read is for its label to say, and whether the cause is the true one nobody has labelled.

use std::collections::BTreeMap;

use serde::Serialize;

use super::score::Case;
use crate::onboard::vision::legibility::Cause;

/// Labelled plates that were found and of which a head said whether they are legible.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Causes {
    /// Not read as labelled.
    pub(super) not_read: Said,
    /// Read as labelled: each cause here is a false alarm.
    pub(super) read: Said,
    /// Plates whose text nobody knows.
    pub(super) no_text: Said,
}

/// What was said of some plates.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Said {
    /// Such plates.
    pub(super) n: usize,
    /// Of these, those of which a cause was said.
    pub(super) called: usize,
    /// How many by cause, all of them.
    pub(super) by_cause: BTreeMap<&'static str, usize>,
}

impl Said {
    fn of<'a>(cases: impl Iterator<Item = &'a Case>) -> Self {
        let mut said = Self::default();
        said.by_cause.extend(Cause::ALL.map(|cause| (cause.name(), 0)));
        for case in cases.filter(|case| case.legible.is_some()) {
            said.n += 1;
            if let Some(cause) = case.cause {
                said.called += 1;
                *said.by_cause.entry(cause.name()).or_default() += 1;
            }
        }
        said
    }
}

/// Counts of these cases; none where no head said anything of any of them.
pub(super) fn of(cases: &[&Case]) -> Option<Causes> {
    let part = |f: &dyn Fn(&Case) -> bool| Said::of(cases.iter().copied().filter(|c| f(c)));
    let causes = Causes {
        not_read: part(&|c| c.label.is_some() && !c.is_folded()),
        read: part(&Case::is_folded),
        no_text: part(&|c| c.label.is_none()),
    };
    let n = causes.not_read.n + causes.read.n + causes.no_text.n;
    (n > 0).then_some(causes)
}

/// The head of the table.
pub(super) fn head() -> Vec<String> {
    let causes = Cause::ALL.map(|cause| cause.says().to_owned());
    let mut head = vec!["source".to_owned(), "found, not read".to_owned()];
    head.extend(causes);
    head.extend(["no cause", "read, and called illegible", "without text"].map(String::from));
    head
}

/// A row of it.
pub(super) fn row(name: &str, causes: &Causes) -> Vec<String> {
    let Causes { not_read, read, no_text } = causes;
    let mut row = vec![name.to_owned(), not_read.n.to_string()];
    row.extend(Cause::ALL.map(|cause| not_read.by_cause[cause.name()].to_string()));
    row.push((not_read.n - not_read.called).to_string());
    row.push(format!("{} of {}", read.called, read.n));
    row.push(format!("{} of {}", no_text.called, no_text.n));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(label: Option<&str>, read: &str, said: Option<(f32, Option<Cause>)>) -> Case {
        Case {
            label: label.map(String::from),
            read: read.into(),
            legible: said.map(|(legible, _)| legible),
            cause: said.and_then(|(_, cause)| cause),
            ..Case::default()
        }
    }

    #[test]
    fn plates_count_by_whether_they_were_read_and_those_that_were_not_found_do_not_count() {
        let cases = [
            case(Some("ABC123"), "", Some((0.1, Some(Cause::Dark)))),
            case(Some("ABC123"), "A8C123", Some((0.3, Some(Cause::Soft)))),
            case(Some("ABC123"), "A8C123", Some((0.8, None))),
            // O and 0 are one: this is read.
            case(Some("OBC123"), "0BC123", Some((0.4, Some(Cause::Glare)))),
            case(Some("ABC123"), "ABC123", Some((0.9, None))),
            case(None, "", Some((0.2, Some(Cause::Covered)))),
            case(Some("ABC123"), "", None),
        ];
        let causes = of(&cases.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(
            row("us", &causes),
            ["us", "3", "1", "1", "0", "0", "1", "1 of 2", "1 of 1"],
            "{:?}",
            head()
        );
        assert_eq!(causes.read.by_cause["glare"], 1);
        assert_eq!(head().len(), row("us", &causes).len());
    }

    #[test]
    fn package_without_a_head_has_no_counts() {
        assert_eq!(of(&[&case(Some("ABC123"), "", None)]), None);
    }
}
