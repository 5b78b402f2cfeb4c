//! Turns an error of the TOML reader into one line that an installer can act on: file, line, key,
//! value, what is allowed, and for a mistyped key the one that was probably meant.
//!
//! The reader reports a span of bytes and a message. The document is read again with spans to find
//! out which key lies there. That costs a second parse, on the error path only.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration text with the place of every key in it.
pub(super) struct Document<'t> {
    text: &'t str,
    items: Vec<Item>,
}

/// One key or one element of an array.
struct Item {
    /// The dotted key; an element of an array is named by its `id` or `name`, else by its number
    /// from 1.
    path: String,
    key: Range<usize>,
    value: Range<usize>,
    is_table: bool,
}

impl<'t> Document<'t> {
    /// Finds the place of every key. A text that is not TOML has none.
    pub(super) fn new(text: &'t str) -> Self {
        let mut items = Vec::new();
        if let Ok(root) = DeTable::parse(text) {
            collect(root.get_ref(), "", &mut items);
        }
        Self { text, items }
    }

    /// The line, from 1, of a dotted key as a range error names it, or of its nearest parent that
    /// is there.
    pub(super) fn line_of(&self, dotted: &str) -> Option<usize> {
        let mut path = dotted;
        loop {
            if let Some(item) = self.items.iter().find(|i| i.path == path) {
                return Some(self.line(item.key.start));
            }
            path = path.rsplit_once('.')?.0;
        }
    }

    /// Rewrites the reader's error: returns the line, where it is known, and the message without
    /// it.
    pub(super) fn explain(&self, error: &toml::de::Error) -> (Option<usize>, String) {
        let message = first_line(error.message());
        let Some(span) = error.span() else { return (None, message) };
        let line = Some(self.line(span.start));
        let item = self.item_at(&span);
        let path = item.map_or("", |i| i.path.as_str());
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        if let Some((unknown, known)) = names(&message, "unknown field") {
            let path = match item {
                Some(item) if item.key == span => item.path.clone(),
                _ if path.is_empty() => unknown.clone(),
                _ => format!("{path}.{unknown}"),
            };
            let kind = if path == unknown { "section" } else { "key" };
            return (line, unknown_key(&path, kind, &unknown, &known));
        }
        if let Some((missing, _)) = names(&message, "missing field") {
            return match path {
                // If something is missing from the whole file, the reader's span is the whole file.
                "" => (None, format!("the section [{missing}] is missing")),
                path => (line, format!("[{path}] lacks the key {missing:?}")),
            };
        }
        let value = self.text.get(span.clone()).map(|v| first_line(v.trim())).unwrap_or_default();
        if let Some((_, known)) = names(&message, "unknown variant") {
            return (line, format!("{path} = {value}: must be {}", one_of(&known)));
        }
        if let Some((_, expected)) = message
            .strip_prefix("invalid type: ")
            .or_else(|| message.strip_prefix("invalid value: "))
            .and_then(|m| m.rsplit_once(", expected "))
        {
            if expected == "a sequence" && item.is_some_and(|i| i.is_table) {
                return (line, format!("[{path}] must be written [[{path}]], once for each"));
            }
            if item.is_some_and(|i| i.is_table) {
                return (line, format!("{path}: must be {}", in_words(expected)));
            }
            return (line, format!("{path} = {value}: must be {}", in_words(expected)));
        }
        let message = match message.as_str() {
            "invalid socket address syntax" => {
                "must be an address and a port, such as \"127.0.0.1:8470\"".into()
            }
            // A text that is not TOML has no places, but it names the key itself.
            "duplicate key" => return (line, format!("{value}: duplicate key")),
            _ => message,
        };
        match item {
            Some(item) if item.value == span && !item.is_table => {
                (line, format!("{path} = {value}: {message}"))
            }
            Some(_) => (line, format!("{path}: {message}")),
            None if parent.is_empty() => (line, message),
            None => (line, format!("{parent}: {message}")),
        }
    }

    /// The innermost key whose name or value has exactly this span, or else contains it.
    fn item_at(&self, span: &Range<usize>) -> Option<&Item> {
        let exact = |i: &&Item| i.key == *span || i.value == *span;
        // A table's own span can be that of its header: the element inside an array is preferred.
        self.items.iter().rev().find(exact).or_else(|| {
            let around = |r: &Range<usize>| r.start <= span.start && span.end <= r.end;
            self.items.iter().filter(|i| around(&i.value)).min_by_key(|i| i.value.len())
        })
    }

    fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|b| **b == b'\n').count() + 1
    }
}

fn collect(table: &DeTable<'_>, parent: &str, items: &mut Vec<Item>) {
    for (key, value) in table {
        let path = match parent {
            "" => key.get_ref().to_string(),
            parent => format!("{parent}.{}", key.get_ref()),
        };
        collect_value(value, path, key.span(), items);
    }
}

fn collect_value(
    value: &Spanned<DeValue<'_>>,
    path: String,
    key: Range<usize>,
    items: &mut Vec<Item>,
) {
    let is_table = matches!(value.get_ref(), DeValue::Table(_));
    items.push(Item { path: path.clone(), key, value: value.span(), is_table });
    match value.get_ref() {
        DeValue::Table(table) => collect(table, &path, items),
        DeValue::Array(array) => {
            for (n, element) in array.iter().enumerate() {
                let name = match element.get_ref() {
                    DeValue::Table(table) => table
                        .iter()
                        .find(|(k, _)| matches!(k.get_ref().as_ref(), "id" | "name"))
                        .and_then(|(_, v)| v.get_ref().as_str().map(str::to_owned)),
                    _ => None,
                };
                let name = name.unwrap_or_else(|| (n + 1).to_string());
                collect_value(element, format!("{path}.{name}"), element.span(), items);
            }
        }
        _ => {}
    }
}

/// The names in back quotes of a message that begins with `kind`: first the offending one.
fn names(message: &str, kind: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix(kind)?;
    let mut quoted = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((quoted.next()?, quoted.collect()))
}

fn unknown_key(path: &str, kind: &str, unknown: &str, known: &[String]) -> String {
    let nearest = known
        .iter()
        .map(|k| (distance(unknown, k), k))
        .min()
        // A third of the letters may differ: "lsiten" is "listen", "colour" is none of our keys.
        .filter(|(d, k)| *d <= 1 + k.len().min(unknown.len()) / 3);
    match nearest {
        Some((_, meant)) => format!("{path}: there is no such {kind}: did you mean {meant:?}?"),
        None if known.is_empty() => format!("{path}: there is no such {kind}"),
        None => format!("{path}: there is no such {kind}; there are: {}", known.join(", ")),
    }
}

fn one_of(known: &[String]) -> String {
    let quoted: Vec<_> = known.iter().map(|k| format!("{k:?}")).collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        [firsts @ .., last] => format!("{} or {last}", firsts.join(", ")),
        [] => "another value".into(),
    }
}

/// Translates serde's name of a type into an installer's words.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a string" | "a borrowed string" | "path string" => "a text in quotes".into(),
        "a sequence" => "a list in [ ]".into(),
        other if other.starts_with("struct ") => "a table".into(),
        other => other.into(),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Levenshtein distance; two swapped neighbours count once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let step = usize::from(a[i - 1] != b[j - 1]);
                    let mut best =
                        (rows[i - 1][j - 1] + step).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_near() {
        assert_eq!(distance("lsiten", "listen"), 1);
        assert_eq!(distance("fps", "fps"), 0);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn keys_are_found_by_the_name_of_their_element() {
        let doc = Document::new("a = 1\n[[camera]]\nid = \"front\"\nfps = 900\n[[camera]]\n");
        assert_eq!(doc.line_of("camera.front.fps"), Some(4));
        assert_eq!(doc.line_of("camera.front.width"), Some(2));
        assert_eq!(doc.line_of("camera.2"), Some(5));
        assert_eq!(doc.line_of("nowhere"), None);
    }
}
