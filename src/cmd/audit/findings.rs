//! The text that `outrider audit verify` prints: what is proved, by which key, and what cannot be known here.

use crate::audit::Verdict;

/// The verdict for people. Without a key from somebody else, a log can only be found to be consistent.
pub(super) fn verdict(verdict: &Verdict, key_given: bool, export: bool) -> String {
    let names: Vec<_> = verdict
        .names
        .iter()
        .map(|(agency, car)| plain(&format!("vehicle {car} of {agency}")))
        .collect();
    let keys: Vec<_> = verdict.keys.iter().map(|key| key.id().to_string()).collect();
    let mut text = format!(
        "{}: {} records of {}, head {}\nsealed up to record {} by {}",
        if key_given { "holds" } else { "consistent" },
        verdict.records,
        match names.is_empty() {
            true => "a car that no seal names".into(),
            false => names.join(", then "),
        },
        verdict.head,
        verdict.sealed,
        keys.join(", then "),
    );
    if verdict.sealed < verdict.records {
        let (from, last) = (verdict.sealed + 1, verdict.records);
        text += &format!(
            "\nnot proved: records {from} to {last} are not sealed yet, so nobody vouches for them"
        );
    }
    if !key_given {
        text += "\nnot proved: who wrote it. It was checked with the key that this car itself names: give --key \
                 with the one that `outrider provision device` printed";
    }
    text += "\nnot proved: the times. They are those of the car's clock; each record says who vouched for it (time_source)";
    text += &match verdict.witnessed.last() {
        Some(seq) => format!(
            "\n{} heads from outside fit, the newest of record {seq}: nothing up to there is missing; \
             whether anything behind record {} is missing, only a later head can show",
            verdict.witnessed.len(),
            verdict.records
        ),
        None => format!(
            "\nnot known: whether records behind record {} were cut off, because a log that ends at an earlier seal \
             passes this check too. Give --witness FILE with the head that the broker keeps under {}",
            verdict.records,
            topic(verdict)
        ),
    };
    if export && !verdict.exported {
        text +=
            "\nit does not end with the record of an export, as every export of this version does";
    }
    text
}

fn topic(verdict: &Verdict) -> String {
    let (agency, car) = verdict
        .names
        .last()
        .map_or(("<agency>", "<id>"), |(agency, car)| (agency.as_str(), car.as_str()));
    plain(&format!("alpr/v1/{agency}/vehicle/{car}/audit/checkpoint"))
}

/// A text without control characters: what others wrote must not control a terminal.
pub(in crate::cmd) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(witnessed: Vec<u64>) -> Verdict {
        Verdict {
            records: 151,
            head: "00ff".into(),
            sealed: 151,
            keys: Vec::new(),
            names: vec![("peel".into(), "4127".into())],
            witnessed,
            exported: true,
        }
    }

    #[test]
    fn without_a_key_nothing_is_said_to_hold_and_without_a_witness_the_end_is_not_known() {
        let text = verdict(&of(Vec::new()), false, false);
        assert!(text.starts_with("consistent: 151 records of vehicle 4127 of peel"), "{text}");
        assert!(!text.contains("holds:") && text.contains("not proved: who wrote it"), "{text}");
        let text = verdict(&of(Vec::new()), true, true);
        assert!(text.starts_with("holds: "), "{text}");
        assert!(text.contains("not proved: the times"), "{text}");
        assert!(text.contains("under alpr/v1/peel/vehicle/4127/audit/checkpoint"), "{text}");
        let text = verdict(&of(vec![64, 151]), true, true);
        assert!(text.contains("2 heads from outside fit") && !text.contains("not known"), "{text}");
    }
}
