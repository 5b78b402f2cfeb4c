//! Compares the names of people in the trust document, however they are spelled.
//!
//! In: the names of a document's keys. Out: which keys belong to one person, or why a document is
//! refused: two people must have names that nobody can confuse. Costs: a pass over each name.
//! Leaves to others: whether a name is a real person's; the root's holders vouch for that.
//!
//! Otherwise "chief", "chief " and a "chief" with an invisible or a Cyrillic letter would be three
//! people, and one person could sign a widening that needs two.

use std::collections::BTreeMap;

use super::TrustedKey;

/// Longest name, in characters.
const LONGEST: usize = 80;

/// Characters that are allowed in a name beside letters and digits.
const MARKS: &str = " .,'-_()/&@#+:";

/// Ranges of letters that are allowed in names: those whose letters are one character each. Letters
/// made of several characters, full-width and mathematical letters are not allowed.
const LETTERS: [std::ops::RangeInclusive<char>; 12] = [
    '\u{00c0}'..='\u{024f}',
    '\u{0370}'..='\u{03ff}',
    '\u{0400}'..='\u{04ff}',
    '\u{05d0}'..='\u{05ea}',
    '\u{0620}'..='\u{064a}',
    '\u{0904}'..='\u{0939}',
    '\u{1400}'..='\u{167f}',
    '\u{1e00}'..='\u{1eff}',
    '\u{3041}'..='\u{3096}',
    '\u{30a1}'..='\u{30fa}',
    '\u{4e00}'..='\u{9fff}',
    '\u{ac00}'..='\u{d7a3}',
];

/// A name reduced to its visible shape: equal where two spellings look or sound the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person(String);

impl Person {
    /// Parses a name that can be one person's, or says why it cannot.
    pub fn parse(name: &str) -> Result<Self, String> {
        let shown: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
        let bad = |why: &str| Err(format!("the name \"{shown}\" {why}"));
        if name.chars().count() > LONGEST {
            return bad(&format!("has more than {LONGEST} characters"));
        }
        if name != name.trim() || name.contains("  ") {
            return bad("begins or ends with a space, or has two in a row");
        }
        let odd = |c: &char| {
            !(c.is_ascii_alphanumeric()
                || MARKS.contains(*c)
                || (c.is_alphabetic() && LETTERS.iter().any(|block| block.contains(c))))
        };
        if let Some(c) = name.chars().find(odd) {
            return bad(&format!(
                "has the character U+{:04X}, which is no letter, digit or mark of names",
                u32::from(c)
            ));
        }
        let latin = |c: char| c.is_ascii_alphabetic() || ('\u{00c0}'..='\u{024f}').contains(&c);
        let alike = |c: char| ('\u{0370}'..='\u{04ff}').contains(&c);
        if name.chars().any(latin) && name.chars().any(alike) {
            return bad("mixes Latin letters with Greek or Cyrillic ones that look like them");
        }
        let person = Self(skeleton(name));
        match person.0.is_empty() {
            true => bad("has no letter or digit"),
            false => Ok(person),
        }
    }

    /// Checks that every key's name can be a person's and that no two names can be confused.
    pub fn check(keys: &[TrustedKey]) -> Result<(), String> {
        let mut known: BTreeMap<Self, &str> = BTreeMap::new();
        for (n, key) in keys.iter().enumerate() {
            let person = Self::parse(&key.name)?;
            let before = known.insert(person, &key.name).filter(|before| *before != key.name);
            if let Some(before) = before {
                return Err(format!(
                    "the names \"{}\" and \"{}\" can be taken for each other: write one person's name one \
                     way, and two people's so that they differ in more than case, marks, spaces or accents",
                    before, key.name
                ));
            }
            if keys[..n].iter().any(|other| other.public == key.public) {
                return Err(format!("the key {} is listed twice", key.public.id()));
            }
        }
        Ok(())
    }
}

/// The name in lower case, without marks and accents, with look-alike letters made equal.
fn skeleton(name: &str) -> String {
    let letters = name.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric());
    let text: String = letters.map(plain).collect();
    text.replace("rn", "m").replace("vv", "w")
}

/// The Latin letter that looks the same.
fn plain(c: char) -> char {
    match c {
        '0' | 'о' | 'ο' | 'ö' | 'ø' | 'ò' | 'ó' | 'ô' | 'õ' | 'ō' | 'ŏ' | 'ő' | 'ό' => {
            'o'
        }
        '1' | 'i' | 'і' | 'ї' | 'ι' | 'ϊ' | 'ί' | 'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į'
        | 'ı' | 'ł' | 'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ӏ' => 'l',
        'а' | 'α' | 'ά' | 'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => 'a',
        'с' | 'ϲ' | 'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' | 'ð' | 'ԁ' => 'd',
        'е' | 'ё' | 'ε' | 'έ' | 'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'э' => {
            'e'
        }
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ĥ' | 'ħ' | 'һ' | 'н' | 'η' => 'h',
        'ј' | 'ĵ' => 'j',
        'к' | 'κ' | 'ķ' => 'k',
        'м' | 'μ' => 'm',
        'ñ' | 'ń' | 'ņ' | 'ň' | 'п' => 'n',
        'р' | 'ρ' => 'p',
        'ŕ' | 'ŗ' | 'ř' | 'г' => 'r',
        'ѕ' | 'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'т' | 'τ' | 'ţ' | 'ť' | 'ŧ' | 'ț' => 't',
        'υ' | 'ύ' | 'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => 'u',
        'ν' => 'v',
        'ω' | 'ŵ' | 'ш' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'ý' | 'ÿ' | 'ŷ' | 'γ' => 'y',
        'ź' | 'ż' | 'ž' | 'ζ' => 'z',
        'в' | 'β' | 'ß' => 'b',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::space_behind("chief ")]
    #[case::space_before(" chief")]
    #[case::zero_width("ch\u{200b}ief")]
    #[case::joiner("ch\u{200d}ief")]
    #[case::soft_hyphen("ch\u{ad}ief")]
    #[case::no_break_space("a\u{a0}chief")]
    #[case::tab("a\tchief")]
    #[case::two_spaces("a  chief")]
    #[case::right_to_left("\u{202e}feihc")]
    #[case::combining_accent("chie\u{301}f")]
    #[case::full_width("ｃｈｉｅｆ")]
    #[case::mathematical("𝐜𝐡𝐢𝐞𝐟")]
    #[case::one_cyrillic_letter("сhief")]
    #[case::nothing("")]
    #[case::marks_alone(" - ")]
    fn name_that_nobody_can_tell_from_another_is_refused(#[case] name: &str) {
        assert!(Person::parse(name).is_err());
    }

    #[rstest]
    #[case::case("chief", "Chief")]
    #[case::mark("A. Chief", "A Chief")]
    #[case::one_for_i("chief", "ch1ef")]
    #[case::capital_i_for_l("Bell", "BeIl")]
    #[case::accent("Jose", "José")]
    #[case::all_cyrillic("Сор", "Cop")]
    #[case::rn_for_m("Farmer", "Farrner")]
    fn spellings_of_one_name_are_one_person(#[case] a: &str, #[case] b: &str) {
        assert_eq!(Person::parse(a).unwrap(), Person::parse(b).unwrap());
    }

    #[test]
    fn people_of_many_names_stay_apart() {
        let names = [
            "A. Chief",
            "B. Commissioner",
            "desk 1",
            "desk 2",
            "Łukasz Wiśniewski",
            "ᓄᓇᕗᑦ",
            "山田",
            "김민수",
            "O'Neill",
            "Sgt. Okafor",
            "Insp. Roy",
            "Жуков",
        ];
        let people: std::collections::BTreeSet<_> =
            names.iter().map(|name| Person::parse(name).unwrap()).collect();
        assert_eq!(people.len(), names.len());
    }

    proptest! {
        #[test]
        fn any_text(name in ".{0,100}") {
            let _ = Person::parse(&name);
        }
    }
}
