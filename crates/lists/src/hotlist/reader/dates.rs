//! Parses dates as sources write them: in a declared order, with a possible year.
//!
//! In: a text, the forms that the mapping declares (strftime, in the order of trying), the time
//! zone. Out: an instant, no date, or an error. Two-digit years up to 68 belong to this century,
//! those from 69 on to the last one, as in POSIX. A row with an impossible year is refused: an
//! entry that expired in the year 26 would never alert.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::entry::DateOrder;

/// Possible years of a list's dates. An end before them would silence the entry for good.
pub const YEARS: std::ops::RangeInclusive<i16> = 1950..=2100;

/// The year that sources write for "without end".
const WITHOUT_END: i16 = 9999;

/// Day, month and year in one order, with the usual separators and times of day.
const MONTH_FIRST: &[&str] = &[
    "%m/%d/%Y",
    "%m-%d-%Y",
    "%m.%d.%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%m-%d-%Y %H:%M",
    "%m-%d-%Y %H:%M:%S",
];
const DAY_FIRST: &[&str] = &[
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%d.%m.%Y",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%d-%m-%Y %H:%M:%S",
];
const YEAR_FIRST: &[&str] =
    &["%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S"];

/// The forms with this order.
pub fn forms(order: DateOrder) -> &'static [&'static str] {
    match order {
        DateOrder::Ymd => YEAR_FIRST,
        DateOrder::Mdy => MONTH_FIRST,
        DateOrder::Dmy => DAY_FIRST,
    }
}

/// A text that is not a date, or a date with an impossible year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoDate;

/// Parses a date. If it is an `end`, a day counts to its end, and the year 9999 means no end.
pub fn parse(
    text: &str,
    forms: &[impl AsRef<str>],
    end: bool,
    zone: &TimeZone,
) -> Result<Option<Timestamp>, NoDate> {
    let blank = text.bytes().all(|b| matches!(b, b'0' | b'-' | b'/' | b'.' | b':' | b' '));
    if text.is_empty() || blank {
        return Ok(None);
    }
    let civil = forms.iter().find_map(|form| of_form(form.as_ref(), text)).or_else(|| iso(text));
    let at = match civil {
        Some(When::Day(day)) if end && day.year() == WITHOUT_END => return Ok(None),
        Some(When::Time(time)) if end && time.year() == WITHOUT_END => return Ok(None),
        Some(When::Day(day)) if YEARS.contains(&day.year()) => {
            let day = if end { day.checked_add(1.day()).map_err(|_| NoDate)? } else { day };
            zone.to_timestamp(day.at(0, 0, 0, 0)).map_err(|_| NoDate)?
        }
        Some(When::Time(time)) if YEARS.contains(&time.year()) => {
            zone.to_timestamp(time).map_err(|_| NoDate)?
        }
        Some(_) => return Err(NoDate),
        // The last days of that year are later than any instant that can be represented.
        None if end && text.starts_with("9999-") => return Ok(None),
        None => {
            let at: Timestamp = text.parse().map_err(|_| NoDate)?;
            let year = at.to_zoned(TimeZone::UTC).year();
            if !YEARS.contains(&year) {
                return Err(NoDate);
            }
            at
        }
    };
    Timestamp::from_second(at.as_second()).map(Some).map_err(|_| NoDate)
}

enum When {
    Day(Date),
    Time(DateTime),
}

fn of_form(form: &str, text: &str) -> Option<When> {
    let timed = ["%H", "%I", "%T", "%R"].iter().any(|hour| form.contains(hour));
    let read = |form: &str| match timed {
        true => DateTime::strptime(form, text).ok().map(When::Time),
        false => Date::strptime(form, text).ok().map(When::Day),
    };
    let found = read(form)?;
    let year = match &found {
        When::Day(day) => day.year(),
        When::Time(time) => time.year(),
    };
    // `%Y` reads two digits as a year of the first century; whoever writes two digits means the
    // present one.
    if (0..100).contains(&year) && form.contains("%Y") {
        return read(&form.replace("%Y", "%y"));
    }
    Some(found)
}

/// Parses ISO 8601 without a zone: a day, or a day and a time.
fn iso(text: &str) -> Option<When> {
    // The text is foreign: its tenth byte may be inside a character.
    let time = text.get(10..).filter(|_| text.as_bytes().get(4) == Some(&b'-'))?;
    if !text.contains(':') {
        return text.parse().ok().map(When::Day);
    }
    let zoned = text.ends_with(['Z', 'z']) || time.contains(['+', '-']);
    if zoned { None } else { text.parse().ok().map(When::Time) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str, forms: &[&str], end: bool) -> String {
        match parse(text, forms, end, &TimeZone::UTC) {
            Ok(None) => "no date".into(),
            Ok(Some(at)) => at.to_string(),
            Err(NoDate) => "refused".into(),
        }
    }

    #[rstest]
    #[case("12/31/26", true, "2027-01-01T00:00:00Z")]
    #[case("12/31/2026", false, "2026-12-31T00:00:00Z")]
    #[case("1/3/25", false, "2025-01-03T00:00:00Z")]
    #[case("12/31/0026", true, "refused")]
    #[case("12/31/1026", true, "refused")]
    #[case("12/31/99", true, "2000-01-01T00:00:00Z")]
    #[case("12/31/9999", true, "no date")]
    #[case("12/31/9999", false, "refused")]
    #[case("31/12/2026", true, "refused")]
    #[case("12/31/2026 11:30 PM", true, "2026-12-31T23:30:00Z")]
    #[case("12/31/26 23:30", true, "2026-12-31T23:30:00Z")]
    #[case("2026-12-31", false, "2026-12-31T00:00:00Z")]
    #[case("2026-12-31T10:00:00Z", false, "2026-12-31T10:00:00Z")]
    #[case("2026-12-31T10:00:00+02:00", false, "2026-12-31T08:00:00Z")]
    #[case("2026-12-31 10:00", false, "2026-12-31T10:00:00Z")]
    #[case("0026-12-31", true, "refused")]
    #[case("0001-01-01T00:00:00", true, "refused")]
    #[case("9999-12-31T23:59:59Z", true, "no date")]
    #[case("46387", true, "refused")]
    #[case("00/00/0000", true, "no date")]
    #[case("next week", true, "refused")]
    #[case::tenth_byte_within_a_character("2027-01-:\u{fffd}\0\0\0", true, "refused")]
    #[case::tenth_byte_within_another("2027-01-3\u{661}:00", true, "refused")]
    fn month_first(#[case] text: &str, #[case] end: bool, #[case] expected: &str) {
        assert_eq!(read(text, forms(DateOrder::Mdy), end), expected);
    }

    #[test]
    fn order_is_the_declared_one_and_none_is_guessed() {
        assert_eq!(read("03.04.2026", forms(DateOrder::Dmy), false), "2026-04-03T00:00:00Z");
        assert_eq!(read("03/04/2026", forms(DateOrder::Mdy), false), "2026-03-04T00:00:00Z");
        assert_eq!(read("03/04/2026", forms(DateOrder::Ymd), false), "refused");
    }

    #[test]
    fn digits_alone() {
        let leads = ["%m%d%y", "%m%d%Y", "%Y%m%d"];
        assert_eq!(read("010325", &leads, false), "2025-01-03T00:00:00Z");
        assert_eq!(read("20261102", &leads, false), "2026-11-02T00:00:00Z");
        assert_eq!(read("11022026", &leads, false), "2026-11-02T00:00:00Z");
        assert_eq!(read("20261316", &leads, false), "refused");
    }
}
