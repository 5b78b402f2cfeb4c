//! The names of columns: their normal form, and which of them may be shown.
//!
//! In: the cells of a header. Out: names reduced to letters and digits, and a form of each that
//! reveals no content: where the mapping does not fit, the first line may well be a row, which
//! holds a person's data. A column is shown by name only if every word of it is in the table of
//! usual words.

use super::interpret::shape;

/// Words in a column's name that indicate personal data. Such columns are dropped like all that no
/// field reads; the report names them.
pub const PERSONAL: &[&str] = &[
    "name",
    "owner",
    "dob",
    "birth",
    "address",
    "street",
    "phone",
    "ssn",
    "soc",
    "sex",
    "race",
    "height",
    "weight",
    "hair",
    "eye",
    "licence no",
    "license no",
    "oln",
    "driver",
    "person",
    "vin",
    "author",
];

/// Words in a column's name that may say when or whether an entry holds: a list with such an unread
/// column must not be used without a warning.
const LIMITING: &[&str] = &[
    "expir",
    "until",
    "thru",
    "through",
    "valid",
    "end",
    "ends",
    "ended",
    "status",
    "state of entry",
    "active",
    "inactive",
    "cancel",
    "canceled",
    "cancelled",
    "clear",
    "cleared",
    "recover",
    "recovered",
    "located",
    "purge",
    "remove",
    "removed",
    "delete",
    "deleted",
    "close",
    "closed",
    "void",
    "retire",
    "stop date",
    "effective",
    "start",
    "from",
    "begin",
    "begins",
];

/// Other words that occur in columns' names.
const WORDS: &[&str] = &[
    "plate",
    "plates",
    "number",
    "no",
    "nr",
    "num",
    "licence",
    "license",
    "lic",
    "lis",
    "lit",
    "liy",
    "tag",
    "registration",
    "reg",
    "vrm",
    "vrn",
    "state",
    "province",
    "prov",
    "country",
    "jurisdiction",
    "issuer",
    "issuing",
    "issue",
    "region",
    "category",
    "type",
    "kind",
    "priority",
    "alert",
    "reason",
    "description",
    "desc",
    "comment",
    "comments",
    "note",
    "notes",
    "remark",
    "remarks",
    "source",
    "agency",
    "originating",
    "ori",
    "case",
    "oca",
    "nic",
    "incident",
    "year",
    "vyr",
    "colour",
    "color",
    "vco",
    "make",
    "vma",
    "model",
    "vmo",
    "vehicle",
    "class",
    "vst",
    "style",
    "body",
    "caution",
    "action",
    "covert",
    "confirmed",
    "last",
    "effective",
    "expires",
    "expiry",
    "expiration",
    "date",
    "time",
    "to",
    "on",
    "at",
    "of",
    "and",
    "the",
    "in",
    "id",
    "code",
    "list",
    "hot",
    "hotlist",
    "file",
    "record",
    "mapping",
    "dot",
    "exp",
    "age",
    "first",
    "middle",
    "surname",
    "gender",
    "city",
    "county",
    "zip",
    "postal",
    "email",
    "ssn",
    "dl",
    "contact",
    "officer",
    "unit",
    "badge",
    "entered",
    "created",
    "updated",
    "modified",
    "by",
    "user",
    "latitude",
    "longitude",
    "location",
    "image",
    "photo",
    "url",
    "key",
    "flag",
    "mask",
    "level",
    "hit",
    "details",
    "text",
    "misc",
    "mis",
];

/// A column's name reduced to letters and digits, in lower case.
pub fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

fn words(name: &str) -> Vec<String> {
    // `EndDate` is two words.
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut before = ' ';
    for c in name.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    let lower = spaced.to_lowercase();
    lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a column holds personal data.
pub fn is_personal(name: &str) -> bool {
    let lower = name.to_ascii_lowercase().replace(['_', '-'], " ");
    PERSONAL.iter().any(|word| lower.contains(word))
}

/// Whether a column may say when or whether an entry holds.
pub fn is_limiting(name: &str) -> bool {
    let words = words(name);
    let glued = plain(name);
    let whole = |word: &str| words.iter().any(|w| w == word);
    LIMITING.iter().any(|word| whole(word))
        || ["expir", "validto", "enddate", "until", "cancel", "recover", "purge"]
            .iter()
            .any(|w| glued.contains(w))
}

/// The form of a column that may be shown even if the line is not a header.
pub fn shown(at: usize, name: &str) -> String {
    let known = |w: &String| {
        WORDS.contains(&w.as_str())
            || PERSONAL.contains(&w.as_str())
            || LIMITING.contains(&w.as_str())
    };
    let words = words(name);
    if !words.is_empty() && words.len() <= 5 && words.iter().all(known) {
        return name.trim().to_owned();
    }
    format!("column {} of the form {:?}", at + 1, shape(name.trim()))
}

/// All columns of a line in that form.
pub fn shown_all<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut out: Vec<_> =
        names.into_iter().enumerate().take(21).map(|(at, name)| shown(at, name)).collect();
    if out.len() > 20 {
        out[20] = "and more".into();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_shown_by_name_and_content_by_its_shape() {
        let cells = ["Plate Number", "name", "age", "NOBODY A", "1970-01-01", "SYN0001", ""];
        let shown = shown_all(cells).join(", ");
        assert!(
            shown.starts_with("Plate Number, name, age, column 4 of the form \"AAAAAA A\""),
            "{shown}"
        );
        for content in ["NOBODY", "1970", "SYN0001"] {
            assert!(!shown.contains(content), "{shown}");
        }
    }

    #[test]
    fn columns_that_may_limit_an_entry() {
        for name in [
            "Valid Until",
            "End Date",
            "Expiration",
            "EXP_DATE expiry",
            "Status",
            "Date Cancelled",
            "recovered",
            "PurgeDate",
            "ValidTo",
        ] {
            assert!(is_limiting(name), "{name}");
        }
        for name in ["Plate", "Vendor", "Make", "Notes", "Owner Name", "Gender", "Send to"] {
            assert!(!is_limiting(name), "{name}");
        }
    }
}
