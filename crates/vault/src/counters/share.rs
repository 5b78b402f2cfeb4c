//! A part of a whole as people may be told it: with as many digits as its number supports, and never more.
//!
//! The last digit of a percentage is the first digit of its standard error, and with it stands the range in which the
//! true share lies with 95 % (Wilson's interval). Of fewer than [`FEW`] there is no percentage at all: "2 of 9".

use serde::Serialize;

/// Fewer than this many make no percentage.
pub const FEW: u64 = 20;

/// The normal distribution's 97.5 % point.
const Z: f64 = 1.96;

/// A part of a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The part.
    pub part: u64,
    /// The whole.
    pub of: u64,
    /// In words.
    pub says: String,
}

/// Digits behind the point of a percentage with this standard error, in percent.
fn digits(error: f64) -> usize {
    // The error's own first digit, once that is rounded. Four are a millionth: no car counts that many hits.
    [0.95, 0.095, 0.0095, 0.00095].iter().position(|step| error >= *step).unwrap_or(4)
}

/// The percentage alone, without its range; nothing where there are too few.
pub fn percent(part: u64, of: u64) -> Option<String> {
    told(part, of).map(|(percent, _)| percent)
}

fn told(part: u64, of: u64) -> Option<(String, String)> {
    if of < FEW {
        return None;
    }
    let (k, n) = (part as f64, of as f64);
    // One more of each, so that none and all have an error too.
    let p = (k + 1.0) / (n + 2.0);
    let digits = digits((p * (1.0 - p) / n).sqrt() * 100.0);
    let middle = (k + Z * Z / 2.0) / (n + Z * Z);
    let half = Z / (n + Z * Z) * (k * (n - k) / n + Z * Z / 4.0).sqrt();
    let (low, high) = ((middle - half).max(0.0) * 100.0, (middle + half).min(1.0) * 100.0);
    Some((format!("{:.digits$} %", k * 100.0 / n), format!("{low:.digits$} to {high:.digits$} %")))
}

impl Share {
    /// A part of a whole.
    pub fn of(part: u64, of: u64) -> Self {
        let says = match told(part, of) {
            None => format!("{part} of {of}"),
            Some((percent, range)) => format!("{percent} ({range}), {part} of {of}"),
        };
        Self { part, of, says }
    }
}

/// A number against an earlier one, in words.
pub fn change(before: u64, now: u64) -> String {
    if before < FEW || now < FEW {
        return format!("{before} to {now}");
    }
    let (b, n) = (before as f64, now as f64);
    // Counts are Poisson's: the ratio's relative error.
    let digits = digits(n / b * (1.0 / b + 1.0 / n).sqrt() * 100.0);
    format!("{:+.digits$} %", (n - b) * 100.0 / b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, 0, "0 of 0")]
    #[case(2, 9, "2 of 9")]
    #[case(0, 40, "0 % (0 to 9 %), 0 of 40")]
    #[case(8, 200, "4 % (2 to 8 %), 8 of 200")]
    #[case(100, 10_000, "1.0 % (0.8 to 1.2 %), 100 of 10000")]
    #[case(40, 40, "100 % (91 to 100 %), 40 of 40")]
    fn digits_are_as_many_as_the_number_supports(
        #[case] part: u64,
        #[case] of: u64,
        #[case] says: &str,
    ) {
        assert_eq!(Share::of(part, of).says, says);
    }

    #[rstest]
    #[case(3, 5, "3 to 5")]
    #[case(100, 150, "+50 %")]
    #[case(20_000, 30_000, "+50 %")]
    #[case(1_000_000, 1_000_000, "+0.0 %")]
    fn change_of_few_is_told_as_it_is(#[case] before: u64, #[case] now: u64, #[case] says: &str) {
        assert_eq!(change(before, now), says);
    }
}
