//! Recognises lines of a list that are not rows: totals, trailers, page heads, rulers.
//!
//! In: a line. Out: whether it is one of these. A word that could be a plate is not enough: a car
//! may carry `TOTAL`, and none carries `TOTAL RECORD 0000072`. Heads and foots that machines add
//! state how many rows there are, when the file was made and for whom. Seen in CLEW tables (`TOTAL
//! RECORD` with a count, `DATE` with a day), `sqlcmd` (`(72 rows affected)`) and reports printed to
//! a file.

/// Words that may follow "total" and the like.
const COUNTED: &[&str] = &[
    "RECORD",
    "RECORDS",
    "RECORDCOUNT",
    "REC",
    "RECS",
    "ROW",
    "ROWS",
    "ENTRY",
    "ENTRIES",
    "LINE",
    "LINES",
    "VEHICLE",
    "VEHICLES",
    "PLATE",
    "PLATES",
    "COUNT",
    "ITEM",
    "ITEMS",
    "HITS",
    "LISTED",
    "NUMBER",
    "OF",
];

/// Words that have more letters than any plate format and may stand before or after a number.
const LONG: &[&str] = &["RECORD", "RECORDS", "ENTRIES", "VEHICLES", "PLATES"];

/// Whether a line is a header or footer. A row of several cells with content is not.
pub fn is_no_row(line: &str, delimiter: Option<char>) -> bool {
    let line = line.trim();
    // A ruler. A line of stars is not one: it stands for a plate that somebody has masked, which is
    // reported.
    if line.chars().all(|c| "-=_~+|. \t,;".contains(c)) {
        return line.len() >= 3 && line.contains(|c| "-=_~+".contains(c));
    }
    // Five million lines come here, and the first word decides for nearly all of them.
    let Some(start) = line.find(|c: char| c.is_alphanumeric()) else { return false };
    let begin: String =
        line[start..].chars().take_while(|c| c.is_alphanumeric()).take(16).collect();
    let first = begin.to_uppercase();
    if !may_begin(&first) {
        return false;
    }
    if let Some(delimiter) = delimiter {
        let mut cells =
            line.split(delimiter).map(|c| c.trim().trim_matches('"')).filter(|c| !c.is_empty());
        let (_, second, third) = (cells.next(), cells.next(), cells.next());
        let numeric = |c: &str| c.chars().all(|c| c.is_ascii_digit() || "., ".contains(c));
        if third.is_some() || second.is_some_and(|c| !numeric(c)) {
            return false;
        }
    }
    let head: String = line.chars().take(96).collect::<String>().to_uppercase();
    let words: Vec<&str> =
        head.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).take(6).collect();
    let Some((first, rest)) = words.split_first() else { return false };
    let number = |w: &&str| w.bytes().all(|b| b.is_ascii_digit());
    let counted = |w: &&str| COUNTED.contains(w);
    let next = |n: usize, among: &[&str]| rest.get(n).is_some_and(|w| among.contains(w));
    // `ROWS 123` is a plate in Ontario's format; `Rows: 123` is a count.
    let says = head.contains([':', '=']);
    match *first {
        "GRAND" => rest.first().is_some_and(|w| w.starts_with("TOTAL")),
        "TOTAL" | "TOTALS" | "SUBTOTAL" | "COUNT" => match rest {
            [word, ..] if counted(word) || *word == "DE" || *word == "DES" => true,
            [_, ..] => rest.iter().all(number),
            [] => false,
        },
        "TOTALRECORD" | "TOTALRECORDS" | "TOTALROWS" | "RECORDCOUNT" | "ROWCOUNT" => {
            rest.iter().all(number)
        }
        "ROW" | "ROWS" | "LINES" => {
            next(0, &["COUNT", "TOTAL"]) || (says && rest.first().is_some_and(number))
        }
        "NUMBER" | "NUM" | "NO" => next(0, &["OF"]) && rest.get(1).is_some_and(counted),
        "END" => next(0, &["OF"]) && rest.len() >= 2,
        "EOF" | "HDR" | "TRL" | "TRAILER" | "HEADER" | "FOOTER" | "FTR" => {
            let long = |w: &&str| number(w) && w.len() >= 6;
            rest.iter().any(counted)
                || (rest.first().is_some_and(|w| !number(w) || long(w)) && rest.iter().any(long))
        }
        "PAGE" => rest.first().is_some_and(number) && next(1, &["OF"]),
        "GENERATED" | "CREATED" | "PRINTED" | "EXPORTED" | "EXTRACTED" | "PRODUCED" => {
            next(0, &["ON", "BY", "AT", "FROM"])
        }
        "RUN" | "REPORT" | "EXTRACT" | "PRINT" | "FILE" | "EXPORT" => {
            next(0, &["DATE", "TIME", "CREATED", "GENERATED"])
        }
        "AS" => next(0, &["OF"]) && rest.get(1).is_some_and(number),
        "DATE" => rest.len() >= 3 && rest.iter().all(number),
        "CONFIDENTIAL" | "UNCLASSIFIED" => true,
        "FOR" => next(0, &["OFFICIAL"]) && next(1, &["USE"]),
        "LAW" => next(0, &["ENFORCEMENT"]),
        word if LONG.contains(&word) => {
            !rest.is_empty() && rest.iter().all(|w| number(w) || counted(w) || *w == "TOTAL")
        }
        word if number(&word) => {
            let more = [
                "AFFECTED", "SELECTED", "RETURNED", "TOTAL", "LISTED", "EXPORTED", "WRITTEN",
                "FOUND",
            ];
            match rest {
                [one] => LONG.contains(one) && *one != "RECORD",
                [one, two, ..] => {
                    (LONG.contains(one) || *one == "ROWS" || *one == "ROW") && more.contains(two)
                }
                [] => false,
            }
        }
        // A word joined to its number by a machine, as in `TOTAL0000072` or `DATE11/24/2026`.
        word => {
            let glued = |name: &str| {
                word.strip_prefix(name).filter(|rest| !rest.is_empty() && number(rest))
            };
            glued("DATE").is_some() && rest.len() >= 2 && rest.iter().all(number)
                || ["TOTAL", "RECORDS", "COUNT"]
                    .iter()
                    .any(|w| glued(w).is_some_and(|n| n.len() >= 6))
        }
    }
}

/// Whether a header or footer can begin with this word: a cheap check that excludes nearly all
/// rows.
fn may_begin(first: &str) -> bool {
    const BEGIN: &[&str] = &[
        "GRAND",
        "TOTAL",
        "SUBTOTAL",
        "COUNT",
        "RECORD",
        "ROW",
        "LINES",
        "ENTRIES",
        "VEHICLES",
        "PLATES",
        "NUM",
        "NO",
        "END",
        "EOF",
        "HDR",
        "TRL",
        "TRAILER",
        "HEADER",
        "FOOTER",
        "FTR",
        "PAGE",
        "GENERATED",
        "CREATED",
        "PRINTED",
        "EXPORT",
        "EXTRACT",
        "PRODUCED",
        "RUN",
        "REPORT",
        "PRINT",
        "FILE",
        "AS",
        "DATE",
        "CONFIDENTIAL",
        "UNCLASSIFIED",
        "FOR",
        "LAW",
    ];
    first.bytes().all(|b| b.is_ascii_digit()) || BEGIN.iter().any(|word| first.starts_with(word))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("TOTAL RECORD 0000072")]
    #[case("Total records: 1.234")]
    #[case("TOTAL,72,,,")]
    #[case("\"Total\";72;;")]
    #[case("TOTAL RECORDS IN FILE 72")]
    #[case("TOTAL0000072")]
    #[case("TotalRecords=72")]
    #[case("Grand total: 72")]
    #[case("Total de registros 72")]
    #[case("Record count: 72")]
    #[case("RECORDS 72")]
    #[case("Rows: 72")]
    #[case("TRL 00000072")]
    #[case("Number of records: 72")]
    #[case("72 records")]
    #[case("(72 rows affected)")]
    #[case("*** END OF FILE ***")]
    #[case("End of report")]
    #[case("TRAILER 0004 RECORDS")]
    #[case("HDR NCIC LPR EXTRACT 20261124")]
    #[case("DATE11/24/2026 09:00")]
    #[case("Date: 11/24/2026")]
    #[case("Run date: 24 Nov 2026")]
    #[case("Total vehicles,72")]
    #[case("Generated on 2026-11-24")]
    #[case("Page 1 of 3")]
    #[case("-----------")]
    #[case("====,====")]
    #[case("For official use only")]
    #[case("LAW ENFORCEMENT SENSITIVE")]
    fn no_rows(#[case] line: &str) {
        assert!(is_no_row(line, [',', ';'].into_iter().find(|d| line.contains(*d))), "{line}");
    }

    #[rstest]
    #[case("TOTAL")]
    #[case("TOTAL,US-NY,stolen_vehicle,high")]
    #[case("TOTAL1")]
    #[case("RECORD7")]
    #[case("72")]
    #[case("ROW 1AB")]
    #[case("DATE 1AB")]
    #[case("END 1AB")]
    #[case("PAGE 1AB")]
    #[case("NO 12345")]
    #[case("AS 123")]
    #[case("EOF")]
    #[case("1234 ABC")]
    #[case("7HBX101 CA1920261101")]
    #[case("HDR1234")]
    #[case("HDR 123,US-NY,stolen,20261101")]
    #[case("HDR 123")]
    #[case("TOTAL 1 ILPCSTOLEN VYR/05")]
    #[case("ROWS 123")]
    #[case("ROW 123")]
    #[case("123 ROW")]
    #[case("PAGE 123")]
    #[case("DATE 123;ON")]
    #[case("SUM 123")]
    #[case("NUM 123,US-NY")]
    #[case("EOF 123")]
    #[case("***")]
    #[case("*****,ON")]
    #[case("FOR 123")]
    #[case("LAW 123,ON")]
    #[case("")]
    #[case(",,,")]
    fn rows(#[case] line: &str) {
        assert!(!is_no_row(line, [',', ';'].into_iter().find(|d| line.contains(*d))), "{line}");
    }
}
