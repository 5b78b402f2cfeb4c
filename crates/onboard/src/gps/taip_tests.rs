//! Messages as manuals print them, and as nobody should send them.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// An example with identifier and checksum.
const MANUAL: &[u8] = b">RPV15714+3739438-1220384601512612;ID=1234;*7F<";

/// The example of a gateway's manual, whose longitude has lost its sign there.
const LONG: &str = "83830000+490256603-1220996704+000001240000+0000000008130007000800190023002800030025000000000000";

fn one(message: &[u8]) -> Option<Said> {
    let mut messages = Messages::default();
    let said = messages.packet(message);
    assert_eq!(said.len() as u64 + messages.damaged + messages.others, 1, "{messages:?}");
    said.first().copied()
}

fn place(message: &[u8]) -> (Duration, Fix) {
    match one(message) {
        Some(Said::Place { at, fix }) => (at, fix),
        other => panic!("{other:?}"),
    }
}

#[test]
fn position_and_velocity() {
    let (at, fix) = place(MANUAL);
    assert_eq!(at, Duration::from_secs(15_714));
    assert_eq!((fix.latitude, fix.longitude), (37.39438, -122.03846));
    assert!((fix.speed_mps.unwrap() - 6.7056).abs() < 1e-4, "15 mph: {fix:?}");
    assert_eq!((fix.heading_deg, fix.three_d), (Some(126.0), true));
    assert_eq!((fix.accuracy_m, fix.time), (None, None), "TAIP says neither");
}

#[test]
fn long_navigation_of_a_gateway() {
    let (at, fix) = place(format!(">RLN{LONG}12<").as_bytes());
    assert_eq!(at, Duration::from_secs(83_830));
    assert_eq!((fix.latitude, fix.longitude), (49.025_660_3, -122.099_670_4));
    assert_eq!((fix.speed_mps, fix.heading_deg, fix.three_d), (Some(0.0), Some(0.0), true));
    let half = LONG.replacen("83830000", "83830250", 1);
    assert_eq!(place(format!(">RLN{half}02<").as_bytes()).0, Duration::from_millis(83_830_250));
}

/// Source and age are the last two digits.
#[rstest]
#[case::two_dimensions("02", Some(false))]
#[case::three_dimensions("12", Some(true))]
#[case::corrected("22", Some(false))]
#[case::corrected_three_dimensions("32", Some(true))]
#[case::old("11", None)]
#[case::not_available("10", None)]
#[case::dead_reckoning("62", None)]
#[case::degraded_dead_reckoning("82", None)]
#[case::unknown("92", None)]
fn only_a_fresh_fix_of_satellites_is_one(#[case] end: &str, #[case] three_d: Option<bool>) {
    for message in [format!(">RPV15714+3739438-12203846015126{end}<"), format!(">RLN{LONG}{end}<")]
    {
        match (one(message.as_bytes()), three_d) {
            (Some(Said::Place { fix, .. }), Some(three_d)) => assert_eq!(fix.three_d, three_d),
            (Some(Said::NoFix), None) => {}
            (other, _) => panic!("{message}: {other:?}"),
        }
    }
}

#[rstest]
#[case::nought_nought("+0000000+00000000", Some(Said::NoFix))]
#[case::beyond_the_pole("+9100000-12203846", Some(Said::NoFix))]
#[case::beyond_the_date_line("+3739438-18100000", Some(Said::NoFix))]
#[case::without_a_sign("03739438-12203846", None)]
#[case::letter("+37394a8-12203846", None)]
#[case::sign_among_digits("+373+438-12203846", None)]
fn places_that_are_none(#[case] place: &str, #[case] expected: Option<Said>) {
    assert_eq!(one(format!(">RPV15714{place}01512612<").as_bytes()), expected);
}

#[rstest]
#[case::wrong_checksum(b">RPV15714+3739438-1220384601512612;ID=1234;*7E<")]
#[case::checksum_of_one_digit(b">RPV15714+3739438-1220384601512612;ID=1234;*F<")]
#[case::checksum_with_a_sign(b">RPV15714+3739438-1220384601512612;ID=1234;*+F<")]
#[case::changed_on_the_way(b">RPV15714+3739439-1220384601512612;ID=1234;*7F<")]
#[case::one_digit_short(b">RPV15714+3739438-122038460151261<")]
#[case::one_digit_long(b">RPV15714+3739438-12203846015126122<")]
#[case::cut_short(b">RPV15714+3739438-12203")]
#[case::no_such_time_of_day(b">RPV86401+3739438-1220384601512612<")]
#[case::no_such_heading(b">RPV15714+3739438-1220384601536112<")]
#[case::byte_that_is_no_text(b">RPV15714+3739438-122\x00384601512612<")]
#[case::too_many_satellites_for_its_length(
    b">RLN83830000+490256603-1220996704+000001240000+00000000099000000000012<"
)]
#[case::nothing(b"><")]
fn damaged_messages_say_nothing_and_are_counted(#[case] message: &[u8]) {
    let mut messages = Messages::default();
    assert_eq!(messages.packet(message), []);
    assert_eq!((messages.damaged, messages.others), (1, 0));
}

#[test]
fn messages_of_one_packet_are_all_found_whatever_stands_between_them() {
    let mut messages = Messages::default();
    let no_fix = ">RPV15715+3739438-1220384601512691;ID=1234<";
    let packet = [
        b"\r\n\xb5b<;*00".as_slice(),
        MANUAL,
        b"\0\0",
        b">RVR VERSION 1.0;*00<".as_slice(),
        b">RID1234<>RPV157",
        no_fix.as_bytes(),
        b"$GPRMC,07<",
    ];
    let said = messages.packet(&packet.concat());
    assert!(matches!(said[..], [Said::Place { .. }, Said::NoFix]), "{said:?}");
    // The version has a wrong checksum, and one is cut by the next.
    assert_eq!((messages.damaged, messages.others), (2, 1));
}

#[test]
fn packet_ends_its_messages_and_a_stream_goes_on() {
    let (before, after) = MANUAL.split_at(20);
    let mut packets = Messages::default();
    assert_eq!(packets.packet(before), []);
    assert_eq!(packets.packet(after), []);
    assert_eq!(packets.damaged, 1);
    let mut stream = Messages::default();
    assert_eq!(stream.read(before), []);
    assert_eq!(stream.read(after).len(), 1);
    assert_eq!(stream.damaged, 0);
}

#[test]
fn endless_message_fills_no_memory() {
    let mut messages = Messages::default();
    assert_eq!(messages.read(b">"), []);
    for _ in 0..1_000 {
        assert_eq!(messages.read(&[b'1'; 1_000]), []);
        assert!(messages.open.as_ref().is_none_or(|open| open.len() <= LONGEST));
    }
    assert_eq!(messages.read(MANUAL).len(), 1, "the next is read");
}

#[test]
fn repeated_and_overtaken_fixes_are_no_news_and_midnight_is() {
    let at =
        |seconds: f64| Said::Place { at: Duration::from_secs_f64(seconds), fix: place(MANUAL).1 };
    for (seconds, last, newer) in [
        (100.0, None, true),
        (100.0, Some(100.0), false),
        // RPV after RLN of the same fix.
        (100.0, Some(100.4), false),
        (100.4, Some(100.0), true),
        (99.0, Some(100.0), false),
        (101.0, Some(100.0), true),
        (0.0, Some(86_399.0), true),
        (86_399.0, Some(0.0), false),
        (86_400.0, Some(86_399.0), true),
        // A router whose clock was put right.
        (50.0, Some(100.0), true),
    ] {
        let said = at(seconds);
        assert_eq!(
            said.is_newer_than(last.map(Duration::from_secs_f64)),
            newer,
            "{seconds} after {last:?}"
        );
    }
    assert!(Said::NoFix.is_newer_than(Some(Duration::ZERO)), "that it is lost is always news");
}

proptest! {
    /// Whatever comes: a place that is said is one, and the counts add up.
    #[test]
    fn any_bytes_give_places_that_can_be(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        text in "[><;*RPVLN0-9+-]{0,200}",
    ) {
        for bytes in [&bytes[..], text.as_bytes()] {
            let mut messages = Messages::default();
            for said in messages.packet(bytes) {
                if let Said::Place { at, fix } = said {
                    prop_assert!(at <= DAY && Fix::is_place(fix.latitude, fix.longitude));
                }
            }
            prop_assert!(messages.open.is_none());
            let begun = bytes.iter().filter(|b| **b == b'>').count() as u64;
            prop_assert!(messages.damaged + messages.others <= begun);
            // In pieces they say the same.
            let (mut stream, mut said) = (Messages::default(), Vec::new());
            for piece in bytes.chunks(7) {
                said.extend(stream.read(piece));
            }
            said.extend(stream.packet(b""));
            prop_assert_eq!(Messages::default().packet(bytes), said);
            prop_assert_eq!((stream.damaged, stream.others), (messages.damaged, messages.others));
        }
    }

    /// No change of a byte of a message with a checksum passes for another position.
    #[test]
    fn any_changed_byte_is_found(at in 1..MANUAL.len() - 1, to in any::<u8>()) {
        let mut changed = MANUAL.to_vec();
        changed[at] = to;
        let untouched = Messages::default().packet(MANUAL);
        let said = Messages::default().packet(&changed);
        // Without its `;*` a message has no checksum, and an identifier of any length.
        let summed = changed.windows(2).any(|pair| pair == b";*");
        prop_assert!(!summed || said.is_empty() || said == untouched, "{said:?}");
    }

    /// Positions come back as they were written.
    #[test]
    fn any_position_is_read_as_written(
        seconds in 0_u32..86_400, lat in -9_000_000_i64..=9_000_000, lon in -18_000_000_i64..=18_000_000,
        mph in 0_u32..1_000, heading in 0_u32..=360, cut in 0_usize..33,
    ) {
        let data = format!("RPV{seconds:05}{lat:+08}{lon:+09}{mph:03}{heading:03}12");
        prop_assert_eq!(data.len(), 33);
        let mut messages = Messages::default();
        let said = messages.packet(format!(">{data}<").as_bytes());
        let (latitude, longitude) = (lat as f64 / 1e5, lon as f64 / 1e5);
        match said[..] {
            [Said::Place { at, fix }] => {
                prop_assert_eq!(at, Duration::from_secs(u64::from(seconds)));
                prop_assert!((fix.latitude - latitude).abs() < 1e-9);
                prop_assert!((fix.longitude - longitude).abs() < 1e-9);
                prop_assert_eq!(fix.heading_deg, Some(heading as f32));
            }
            [Said::NoFix] => prop_assert!(!Fix::is_place(latitude, longitude)),
            _ => prop_assert!(false, "{:?}", said),
        }
        // Any shorter one is damaged.
        let shorter = format!(">{}<", &data[..cut]);
        prop_assert!(Messages::default().packet(shorter.as_bytes()).is_empty());
    }
}
