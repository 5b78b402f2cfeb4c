//! Finds NMEA 0183 sentences among other bytes.
//!
//! In: bytes as receivers and loggers leave them. Out: the valid sentences, and the number of
//! invalid ones. Receivers mix in their own binary messages, and loggers put a time before each
//! line or leave the checksum out; none of this invalidates the sentence beside it.

/// The sentences found in a recording.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sentences<'a> {
    /// The texts between `$` and `*`, in order.
    pub(super) whole: Vec<&'a str>,
    /// Number of sentences with a wrong checksum: they are damaged.
    pub(super) wrong: usize,
    /// Number of sentences without a checksum, where others have one: they were cut.
    pub(super) cut: usize,
    /// Whether no sentence had a checksum, so that all were accepted.
    pub(super) unchecked: bool,
}

impl<'a> Sentences<'a> {
    /// Finds the sentences.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let mut found = Self::default();
        let (mut bare, mut summed) = (Vec::new(), 0);
        for piece in bytes.split(|b| *b == b'$').skip(1) {
            // A sentence extends to the end of the line, or to the first byte that no sentence
            // contains.
            let end = piece.iter().position(|b| !(0x20..0x7f).contains(b)).unwrap_or(piece.len());
            let Ok(text) = std::str::from_utf8(&piece[..end]) else { continue };
            match text.split_once('*') {
                Some((body, sum)) => {
                    summed += 1;
                    let sum = sum.get(..2).and_then(|sum| u8::from_str_radix(sum, 16).ok());
                    match sum == Some(body.bytes().fold(0, |x, b| x ^ b)) {
                        true => found.whole.push(body),
                        false => found.wrong += 1,
                    }
                }
                None if is_sentence(text) => bare.push(text.trim_end()),
                // This dollar sign begins no sentence.
                None => {}
            }
        }
        if summed == 0 {
            found.unchecked = !bare.is_empty();
            found.whole = bare;
        } else {
            found.cut = bare.len();
        }
        found
    }
}

/// Whether a text without a checksum begins like a sentence: talker, kind, comma.
fn is_sentence(text: &str) -> bool {
    text.split_once(',').is_some_and(|(name, _)| {
        (5..=6).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase())
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const A: &str = "GPGSA,A,3";
    const B: &str = "GPRMC,070000.00,A";

    fn summed(body: &str) -> String {
        format!("${body}*{:02X}", body.bytes().fold(0, |x, b| x ^ b))
    }

    #[rstest]
    #[case::line_ends_of_each_kind(&["", "\r", "", "\n"])]
    #[case::a_time_before_each_line(&["1779862800.12: ", "\r\n", "2026-05-27 09:00:01 ", "\n"])]
    #[case::binary_messages_between(&["\u{b5}b\u{1}\u{7}\u{5c}", "\r\n", "\u{b5}b\u{1}\u{3}$", "\n"])]
    #[case::zeros(&["\0\0\0", "\0", "\0", "\0\0"])]
    #[case::tag_block(&["\\s:r1,c:1779862800*5F\\", "\r\n", "\\s:r1*1B\\", "\r\n"])]
    #[case::nothing_between(&["", "", "", ""])]
    fn sentences_are_found_in_what_stands_around_them(#[case] around: &[&str]) {
        let latin1 = |text: &str| text.chars().map(|c| c as u32 as u8).collect::<Vec<u8>>();
        let bytes = [
            latin1(around[0]),
            summed(A).into_bytes(),
            latin1(around[1]),
            latin1(around[2]),
            summed(B).to_lowercase().replace("gprmc", "GPRMC").replace(",a*", ",A*").into_bytes(),
            latin1(around[3]),
        ]
        .concat();
        let found = Sentences::of(&bytes);
        assert_eq!(found.whole, [A, B]);
        assert_eq!((found.wrong, found.cut, found.unchecked), (0, 0, false));
    }

    #[test]
    fn damaged_and_cut_sentences_are_left_out_and_counted() {
        let damaged = summed(A).replace("GSA", "GSB");
        let bytes = format!("{}\n{damaged}\n${B}\n{}", summed(A), summed(B));
        let found = Sentences::of(bytes.as_bytes());
        assert_eq!(found.whole, [A, B]);
        assert_eq!((found.wrong, found.cut), (1, 1));
    }

    #[test]
    fn recording_without_any_checksum_is_taken_as_it_is_and_says_so() {
        let bytes = format!("${A}\r\n${B}\r\ncosts $5, they say\r\n");
        let found = Sentences::of(bytes.as_bytes());
        assert_eq!(found.whole, [A, B]);
        assert!(found.unchecked);
    }
}
