//! Which letter or digit a character in a list stands for on a plate.
//!
//! In: a character as somebody typed it. Out: the letter or digit on the plate, nothing for a
//! separator or an invisible character, or a refusal. Costs: a few comparisons; ASCII is checked
//! first. Nothing is guessed: a letter without a twin of the same shape among `A-Z` is refused, so
//! that its row is reported and not listed as another plate.
//!
//! Cyrillic and Greek letters are read by their shape, following the Vienna Convention on Road
//! Traffic, which has capital Latin characters and Arabic numerals on plates in international
//! traffic (annex 2).

/// What one character stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// Nothing: it is a separator or an invisible character.
    Nothing,
    /// A letter of `A-Z` or a digit.
    Is(u8),
    /// A letter or digit that is typed in another script and looks the same.
    Shape(u8),
    /// It is on no plate.
    None,
}

/// Each letter, and the letters with marks that are read as it.
const MARKED: [(u8, &str); 19] = [
    (b'A', "ÀÁÂÃÄÅĀĂĄǍ"),
    (b'C', "ÇĆĈĊČ"),
    (b'D', "ĎĐ"),
    (b'E', "ÈÉÊËĒĔĖĘĚ"),
    (b'G', "ĜĞĠĢ"),
    (b'H', "ĤĦ"),
    (b'I', "ÌÍÎÏĨĪĬĮİ"),
    (b'J', "Ĵ"),
    (b'K', "Ķ"),
    (b'L', "ĹĻĽĿŁ"),
    (b'N', "ÑŃŅŇ"),
    (b'O', "ÒÓÔÕÖØŌŎŐ"),
    (b'R', "ŔŖŘ"),
    (b'S', "ŚŜŞŠȘ"),
    (b'T', "ŢŤŦȚ"),
    (b'U', "ÙÚÛÜŨŪŬŮŰŲ"),
    (b'W', "Ŵ"),
    (b'Y', "ÝŶŸ"),
    (b'Z', "ŹŻŽ"),
];

/// Each Latin letter, and the Cyrillic and Greek capitals of the same shape.
const SHAPES: [(u8, &str); 18] = [
    (b'A', "\u{410}\u{391}"),
    (b'B', "\u{412}\u{392}"),
    (b'C', "\u{421}"),
    (b'E', "\u{415}\u{401}\u{395}"),
    (b'H', "\u{41d}\u{397}"),
    (b'I', "\u{406}\u{407}\u{399}\u{4c0}"),
    (b'J', "\u{408}"),
    (b'K', "\u{41a}\u{39a}"),
    (b'M', "\u{41c}\u{39c}"),
    (b'N', "\u{39d}"),
    (b'O', "\u{41e}\u{39f}"),
    (b'P', "\u{420}\u{3a1}"),
    (b'Q', "\u{51a}"),
    (b'S', "\u{405}"),
    (b'T', "\u{422}\u{3a4}"),
    (b'X', "\u{425}\u{3a7}"),
    (b'Y', "\u{423}\u{4ae}\u{3a5}"),
    (b'Z', "\u{396}"),
];

/// The digit zero of scripts whose digits have the values of ours.
const ZEROS: [u32; 4] = [0x660, 0x6f0, 0x966, 0xff10];

/// Whether a character is invisible: zero-width, direction, variation and the like.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
    )
}

/// Tells what a character stands for.
pub fn letter(c: char) -> Letter {
    match c {
        '0'..='9' | 'A'..='Z' => return Letter::Is(c as u8),
        'a'..='z' => return Letter::Is(c.to_ascii_uppercase() as u8),
        ' ' | '-' | '.' | '\t' => return Letter::Nothing,
        _ if c.is_ascii() => return Letter::None,
        _ => {}
    }
    let separates = matches!(
        c,
        '\u{b7}' | '\u{2022}' | '\u{2010}'
            ..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    );
    // Line ends are white space too, but a plate does not continue on another line.
    let space = c.is_whitespace() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    // A mark of its own belongs to the letter before it: some systems write an umlaut as two
    // characters.
    let mark = matches!(c, '\u{300}'..='\u{36f}');
    if separates || space || mark || is_invisible(c) {
        return Letter::Nothing;
    }
    let mut upper = c.to_uppercase();
    let (Some(up), None) = (upper.next(), upper.next()) else { return Letter::None };
    if up.is_ascii_uppercase() {
        return Letter::Is(up as u8);
    }
    let find =
        |table: &[(u8, &str)]| table.iter().find(|(_, twins)| twins.contains(up)).map(|t| t.0);
    if let Some(plain) = find(&MARKED) {
        return Letter::Is(plain);
    }
    let code = u32::from(up);
    let wide = match code {
        0xff21..=0xff3a => u8::try_from(code - 0xff21).ok().map(|n| b'A' + n),
        _ => None,
    };
    let digit = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code));
    let digit = digit.and_then(|zero| u8::try_from(code - zero).ok()).map(|n| b'0' + n);
    match find(&SHAPES).or(wide).or(digit) {
        Some(plain) => Letter::Shape(plain),
        None => Letter::None,
    }
}

/// Whether a text has letters or digits of another script that are read by their shape.
pub fn has_shapes(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| matches!(letter(c), Letter::Shape(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plate::Plate;

    fn read(text: &str) -> String {
        Plate::parse(text).map_or_else(|e| e.to_string(), |p| p.expose().to_owned())
    }

    #[test]
    fn characters_that_cannot_be_seen_or_only_separate_are_dropped() {
        for text in [
            "HBX\u{a0}101",
            "\u{200b}HBX101",
            "HBX\u{2011}101",
            "HBX\u{202f}101\u{feff}",
            "H\u{ad}BX\u{2009}101",
        ] {
            assert_eq!(read(text), "HBX101", "{}", text.escape_unicode());
        }
        assert!(Plate::parse("HBX\n101").is_err() && Plate::parse("HBX\u{2028}101").is_err());
    }

    #[test]
    fn marks_go_whether_they_are_one_character_or_two() {
        assert_eq!(read("WU\u{308}-AB 12"), "WUAB12");
        assert_eq!(read("zg 123-čć"), "ZG123CC");
        assert_eq!(read("wø 12345"), "WO12345");
        assert_eq!(read("łó 1é"), "LO1E");
    }

    #[test]
    fn other_scripts_count_by_their_shape_and_what_has_none_is_refused() {
        assert_eq!(read("А123ВС77"), "A123BC77");
        assert_eq!(read("АА1234ВІ"), "AA1234BI");
        assert_eq!(read("ΙΚΥ1234"), "IKY1234");
        assert_eq!(read("ＡＢ１２"), "AB12");
        assert!(has_shapes("А123ВС77") && !has_shapes("WÜAB12"));
        for text in ["Я123", "ЖБ1", "Δ12", "東京12", "ß12", "AB🚗1"] {
            assert!(Plate::parse(text).is_err(), "{text}");
        }
    }
}
