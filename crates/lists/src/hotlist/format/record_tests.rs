use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// Any entry that can be encoded.
pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
    let word = || "[A-Za-zé0-9][A-Za-zé0-9 ]{0,18}[A-Z0-9]|";
    let date = || {
        prop::option::of((0..4_000_000_000_i64).prop_map(|s| Timestamp::from_second(s).unwrap()))
    };
    let code = prop_oneof![Just(""), Just("CA-ON"), Just("CA-QC"), Just("US-NY"), Just("DE")];
    let plate = prop_oneof![9 => "[0-9A-Z]{1,12}", 1 => "[0-9A-Z]{2,5}[?*][0-9A-Z]{0,4}"];
    let priority = prop_oneof![Just(Priority::Low), Just(Priority::Medium), Just(Priority::High)];
    let texts = (word(), word(), word(), word(), word(), word(), word(), word(), word());
    let rest = (prop::option::of(1950..2030_u16), date(), date(), date(), any::<bool>());
    (plate, code, "[a-z_]{1,20}", priority, texts, rest).prop_map(
        |(plate, code, category, priority, texts, rest)| Entry {
            plate: ListedPlate::parse(&plate).unwrap(),
            jurisdiction: Jurisdiction::parse(code).unwrap(),
            category: category.into(),
            priority,
            reason: texts.0,
            source: texts.1,
            case: texts.2,
            vehicle: VehicleText {
                class: texts.3,
                make: texts.4,
                model: texts.5,
                colour: texts.6,
                year: rest.0,
            },
            effective: rest.1,
            expires: rest.2,
            last_confirmed: rest.3,
            caution: texts.7,
            action: texts.8,
            covert: rest.4,
        },
    )
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode(&mut out).unwrap();
    out
}

fn plate(text: &str) -> ListedPlate {
    ListedPlate::parse(text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn entry_comes_back_as_it_went(entry in any_entry()) {
        let bytes = encoded(&Record::of(&entry));
        let (record, taken) = Record::decode(&bytes).unwrap();
        prop_assert_eq!(taken, bytes.len());
        prop_assert_eq!(record.to_entry(), entry);
    }

    #[test]
    fn what_decodes_at_all_is_what_would_be_encoded(
        entry in any_entry(), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
    ) {
        let mut bytes = encoded(&Record::of(&entry));
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok((record, taken)) = Record::decode(&bytes) {
            prop_assert_eq!(encoded(&record), &bytes[..taken]);
        }
    }

    #[test]
    fn garbage_is_refused_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((record, taken)) = Record::decode(&bytes) {
            prop_assert_eq!(encoded(&record), &bytes[..taken]);
        }
    }

    #[test]
    fn tidied_text_is_always_accepted(text in any::<String>()) {
        let text = tidy(&text, LONGEST_TEXT);
        prop_assert!(text.is_empty() || check("text", &text, LONGEST_TEXT).is_ok());
    }
}

#[test]
fn bare_record_is_small_and_spelled_out_in_the_docs() {
    let record = Record::bare(plate("CKSV841"), Jurisdiction::parse("CA-ON").unwrap(), "stolen");
    let bytes = encoded(&record);
    assert_eq!(
        data_encoding::HEXLOWER.encode(&bytes),
        "1900010000000743 4b535638343105 43412d4f4e 06 73746f6c656e".replace(' ', "")
    );
}

#[test]
fn order_is_by_folded_plate_then_jurisdiction_then_text_with_patterns_last() {
    let key = |p: &str, j: &str| RecordKey::of(plate(p), Jurisdiction::parse(j).unwrap());
    assert!(key("A1", "US-NY") < key("AA1", ""), "shorter plates pack into smaller keys");
    assert!(key("O1A", "CA-ON") < key("01A", "CA-QC"), "folded alike, the jurisdiction decides");
    assert!(key("01A", "CA-ON") < key("O1A", "CA-ON"), "then the text");
    assert!(key("ZZZZZZ", "US-WY") < key("AA?", ""));
}

#[test]
fn removal_carries_nothing_else() {
    let gone = Record::removal(plate("CKSV841"), Jurisdiction::UNKNOWN);
    let bytes = encoded(&gone);
    assert_eq!(Record::decode(&bytes).unwrap().0, gone);
    let with_reason = Record { reason: "found", ..gone };
    assert_eq!(with_reason.encode(&mut Vec::new()), Err(RecordError::Flags));
    let mut forged = bytes.clone();
    forged[2] |= 4;
    assert_eq!(Record::decode(&forged).unwrap_err(), RecordError::Flags);
}

#[rstest]
#[case::lower_case(5 + 2, b'k', RecordError::Plate)]
#[case::unknown_flag(5, 0x80, RecordError::Flags)]
#[case::priority_beyond_high(2, 3, RecordError::Flags)]
#[case::length_too_long(0, 26, RecordError::Short)]
#[case::length_too_short(0, 24, RecordError::Short)]
fn other_spellings_are_refused(#[case] at: usize, #[case] byte: u8, #[case] why: RecordError) {
    let record = Record::bare(plate("CKSV841"), Jurisdiction::parse("CA-ON").unwrap(), "stolen");
    let mut bytes = encoded(&record);
    bytes[at] = byte;
    assert_eq!(Record::decode(&bytes).unwrap_err(), why);
}

#[rstest]
#[case("", "")]
#[case("  two\twords\r\n", "two words")]
#[case("ends\u{0}here", "ends here")]
fn tidying(#[case] text: &str, #[case] tidied: &str) {
    assert_eq!(tidy(text, 255), tidied);
}

#[test]
fn long_text_is_cut_between_characters() {
    assert_eq!(tidy("ééé", 5), "éé");
    assert_eq!(tidy("abc def", 4), "abc");
}
