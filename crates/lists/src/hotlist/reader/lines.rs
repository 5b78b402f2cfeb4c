//! Decodes a source's bytes into lines of text, numbered from 1.
//!
//! In: bytes in any encoding, with any line ends. Out: one line at a time. Costs: one buffer of 64
//! KiB and the longest line. Leaves to others: what a line means.
//!
//! A byte-order mark overrides the declared encoding. UTF-16 is recognised without one too, because
//! every other byte of a list in it is zero. UTF-8 and Windows-1252 are distinguished line by line,
//! because files are concatenated from both: a line that is valid UTF-8 is UTF-8. A line ends with
//! LF, CR LF or CR alone (as Excel for Mac writes it), also mixed.
//!
//! A line is never longer than [`LONGEST_LINE`]: a longer one is reported and skipped, so that some
//! other kind of file, or a bomb, costs time but no memory.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Longest line, in bytes: no real row is this long.
pub const LONGEST_LINE: usize = 64 * 1024;

/// How bytes become text.
enum How {
    /// By a decoder, as the bytes come.
    Decoder(Box<Decoder>),
    /// Line by line: UTF-8 where the line is valid, else Windows-1252.
    ByLine,
}

/// Bytes of UTF-8, or of lines whose encoding is determined later.
pub struct Decoded<'r> {
    inner: &'r mut dyn BufRead,
    how: How,
    out: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'r> Decoded<'r> {
    /// Decodes the bytes of `inner`. With `None`, each line is UTF-8 or Windows-1252.
    pub fn new(
        inner: &'r mut dyn BufRead,
        encoding: Option<&'static Encoding>,
    ) -> io::Result<Self> {
        let start = inner.fill_buf()?;
        let marked = Encoding::for_bom(start).map(|(encoding, _)| encoding);
        let found = marked.or_else(|| utf_16(start)).or(encoding);
        let how = match found {
            Some(encoding) if encoding != WINDOWS_1252 => {
                How::Decoder(Box::new(encoding.new_decoder()))
            }
            _ => How::ByLine,
        };
        Ok(Self { inner, how, out: Vec::with_capacity(64 * 1024), at: 0, ended: false })
    }

    /// Decodes the bytes of `inner` where lines have no meaning, as in JSON.
    pub fn whole(
        inner: &'r mut dyn BufRead,
        encoding: Option<&'static Encoding>,
    ) -> io::Result<Self> {
        Self::new(inner, Some(encoding.unwrap_or(UTF_8)))
    }

    fn refill(&mut self) -> io::Result<()> {
        self.at = 0;
        self.out.clear();
        while self.out.is_empty() && !self.ended {
            let input = self.inner.fill_buf()?;
            let last = input.is_empty();
            let read = match &mut self.how {
                How::ByLine => {
                    self.out.extend_from_slice(input);
                    self.ended = last;
                    input.len()
                }
                How::Decoder(decoder) => {
                    self.out.resize(64 * 1024, 0);
                    let (result, read, written, _) =
                        decoder.decode_to_utf8(input, &mut self.out, last);
                    self.out.truncate(written);
                    self.ended = last && result == CoderResult::InputEmpty;
                    read
                }
            };
            self.inner.consume(read);
        }
        Ok(())
    }
}

/// Detects UTF-16 without a mark: nearly every other of the first bytes of a list is zero.
fn utf_16(start: &[u8]) -> Option<&'static Encoding> {
    let start = &start[..start.len().min(512) / 2 * 2];
    let zeros = |odd: usize| start.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), start.len() / 2);
    match half {
        0 => None,
        half if odd * 10 >= half * 6 && even * 20 <= half => Some(UTF_16LE),
        half if even * 10 >= half * 6 && odd * 20 <= half => Some(UTF_16BE),
        _ => None,
    }
}

impl Read for Decoded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let from = self.fill_buf()?;
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Decoded<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.out.len() && !self.ended {
            self.refill()?;
        }
        Ok(&self.out[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

/// The result of reading a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Its text is in the buffer.
    Text,
    /// The line was too long and was skipped.
    TooLong,
    /// There are no more lines.
    End,
}

/// Lines of decoded text, numbered from 1.
pub struct Lines<'r> {
    input: Decoded<'r>,
    number: u64,
    text: String,
    raw: Vec<u8>,
    /// Lines that were read ahead.
    ahead: VecDeque<(Line, String)>,
    /// Whether the last line ended with CR: a LF that follows belongs to it.
    after_cr: bool,
    not_utf_8: u64,
}

impl<'r> Lines<'r> {
    /// Reads lines from decoded text.
    pub fn new(input: Decoded<'r>) -> Self {
        Self {
            input,
            number: 0,
            text: String::new(),
            raw: Vec::new(),
            ahead: VecDeque::new(),
            after_cr: false,
            not_utf_8: 0,
        }
    }

    /// Number of the line that was read last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The text of the line that was read last, without its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Number of lines so far that were not UTF-8 and were read as Windows-1252.
    pub fn not_utf_8(&self) -> u64 {
        self.not_utf_8
    }

    /// Reads the next line.
    pub fn advance(&mut self) -> io::Result<Line> {
        let line = match self.ahead.pop_front() {
            Some((line, text)) => {
                self.text = text;
                line
            }
            None => self.fetch()?,
        };
        if line != Line::End {
            self.number += 1;
        }
        Ok(line)
    }

    /// The `n`th line after this one, from 0; the position stays.
    pub fn peek(&mut self, n: usize) -> io::Result<Option<&str>> {
        while self.ahead.len() <= n {
            if self.ahead.back().is_some_and(|(line, _)| *line != Line::Text) {
                return Ok(None);
            }
            let mine = std::mem::take(&mut self.text);
            let line = self.fetch();
            let fetched = std::mem::replace(&mut self.text, mine);
            match line? {
                Line::End => return Ok(None),
                line => self.ahead.push_back((line, fetched)),
            }
        }
        Ok(self.ahead.get(n).filter(|(line, _)| *line == Line::Text).map(|(_, text)| text.as_str()))
    }

    /// Appends the next `n` lines, which were peeked at, to this one: a quoted cell continues in
    /// them.
    pub fn join(&mut self, n: usize) {
        for (_, text) in self.ahead.drain(..n) {
            self.text.push('\n');
            self.text.push_str(&text);
            self.number += 1;
        }
    }

    fn fetch(&mut self) -> io::Result<Line> {
        self.raw.clear();
        let (mut any, mut fits) = (false, true);
        loop {
            let part = self.input.fill_buf()?;
            if part.is_empty() {
                break;
            }
            if std::mem::take(&mut self.after_cr) && part[0] == b'\n' {
                self.input.consume(1);
                continue;
            }
            any = true;
            let end = part.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let taken = &part[..end.unwrap_or(part.len())];
            fits &= self.raw.len() + taken.len() <= LONGEST_LINE;
            if fits {
                self.raw.extend_from_slice(taken);
            }
            self.after_cr = end.is_some_and(|end| part[end] == b'\r');
            let used = end.map_or(part.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.text.clear();
        if !any {
            return Ok(Line::End);
        }
        if !fits {
            return Ok(Line::TooLong);
        }
        match std::str::from_utf8(&self.raw) {
            Ok(text) => self.text.push_str(text),
            Err(_) => {
                self.not_utf_8 += 1;
                self.text.push_str(&WINDOWS_1252.decode_without_bom_handling(&self.raw).0);
            }
        }
        // A mark between concatenated files, and the end-of-file character of DOS.
        while let Some(rest) = self.text.strip_prefix('\u{feff}') {
            self.text = rest.to_owned();
        }
        if self.text.ends_with('\u{1a}') {
            self.text.pop();
        }
        Ok(Line::Text)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn lines(bytes: &[u8], encoding: Option<&str>) -> Vec<String> {
        let mut reader = bytes;
        let encoding = encoding.map(|e| Encoding::for_label(e.as_bytes()).unwrap());
        let mut lines = Lines::new(Decoded::new(&mut reader, encoding).unwrap());
        let mut out = Vec::new();
        loop {
            match lines.advance().unwrap() {
                Line::Text => out.push(lines.text().to_owned()),
                Line::TooLong => out.push("(too long)".into()),
                Line::End => return out,
            }
        }
    }

    #[rstest]
    #[case(b"a\r\nb\n\nc", &["a", "b", "", "c"])]
    #[case(b"a\rb\rc\r", &["a", "b", "c"])]
    #[case(b"a\rb\r\nc\nd", &["a", "b", "c", "d"])]
    #[case(b"a\r\rb", &["a", "", "b"])]
    #[case(b"a\n\x1a", &["a", ""])]
    fn ends_of_lines(#[case] bytes: &[u8], #[case] expected: &[&str]) {
        assert_eq!(lines(bytes, None), expected);
        // One byte at a time, so that every line end falls between two buffers.
        let mut slow = io::BufReader::with_capacity(1, bytes);
        let mut slow = Lines::new(Decoded::new(&mut slow, None).unwrap());
        for text in expected {
            assert_eq!(slow.advance().unwrap(), Line::Text);
            assert_eq!(slow.text(), *text);
        }
        assert_eq!(slow.advance().unwrap(), Line::End);
    }

    #[test]
    fn encodings() {
        assert_eq!(lines(b"QU\xc9BEC\n", Some("windows-1252")), ["QUÉBEC"]);
        assert_eq!(lines(b"QU\xc9BEC\nQU\xc3\x89BEC\n", None), ["QUÉBEC", "QUÉBEC"]);
        assert_eq!(
            lines(b"QU\xc3\x89BEC\n", Some("windows-1252")),
            ["QUÉBEC"],
            "whole UTF-8 is UTF-8"
        );
        assert_eq!(lines(b"AB\xff12\n", Some("utf-8")), ["AB\u{fffd}12"], "said, so not guessed");
        assert_eq!(
            lines(b"\xef\xbb\xbfplate\n", Some("windows-1252")),
            ["plate"],
            "a mark goes first"
        );
        assert_eq!(lines(b"\xef\xbb\xbfplate\n\xef\xbb\xbfAB12\n", None), ["plate", "AB12"]);
        let text = "plate,state\r\nAB12,NY\r\nÜ1,ON\r\n";
        let expected = ["plate,state", "AB12,NY", "Ü1,ON"];
        for mark in ["\u{feff}", ""] {
            let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
            let little: Vec<u8> = units.iter().flat_map(|u| u.to_le_bytes()).collect();
            let big: Vec<u8> = units.iter().flat_map(|u| u.to_be_bytes()).collect();
            for encoding in [None, Some("utf-8"), Some("windows-1252")] {
                assert_eq!(lines(&little, encoding), expected);
                assert_eq!(lines(&big, encoding), expected);
            }
        }
    }

    #[test]
    fn lines_are_looked_at_ahead_and_joined_or_left() {
        let mut reader = &b"a\nb\nc\n"[..];
        let mut lines = Lines::new(Decoded::new(&mut reader, None).unwrap());
        lines.advance().unwrap();
        assert_eq!(lines.peek(1).unwrap(), Some("c"));
        assert_eq!((lines.text(), lines.number()), ("a", 1));
        lines.join(1);
        assert_eq!((lines.text(), lines.number()), ("a\nb", 2));
        assert_eq!(lines.peek(1).unwrap(), None);
        assert_eq!(lines.advance().unwrap(), Line::Text);
        assert_eq!((lines.text(), lines.number()), ("c", 3));
        assert_eq!(lines.advance().unwrap(), Line::End);
    }

    #[test]
    fn endless_line_costs_no_memory_and_the_next_is_read() {
        let mut bytes = vec![b'x'; 300_000];
        bytes.extend_from_slice(b"\nABC123\n");
        assert_eq!(lines(&bytes, Some("utf-8")), ["(too long)", "ABC123"]);
    }
}
