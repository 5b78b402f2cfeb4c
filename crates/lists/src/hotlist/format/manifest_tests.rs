use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn author(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

fn manifest() -> Manifest {
    let tag = |n: u8| RevocationTag::parse(&format!("{n:02x}").repeat(16)).unwrap();
    Manifest {
        agency: "opp".into(),
        category: "stolen_vehicle".into(),
        counts: Counts { bytes: 120_345, chunks: 3, entries: 4_500 },
        expires: "2026-12-01T06:00:00Z".parse().unwrap(),
        issued: "2026-11-24T06:00:00Z".parse().unwrap(),
        key: ListKeyId::parse("0123456789abcdef").unwrap(),
        layers: vec![Layer {
            pages: vec![PageRef {
                address: Address::from_bytes([0xab; 32]),
                bytes: 180,
                chunks: 3,
            }],
            records: 4_500,
        }],
        list: "stolen".into(),
        matching: Matching::Exact,
        resized: false,
        revoked: vec![tag(1), tag(2)],
        source_time: "2026-11-24T05:00:00Z".parse().unwrap(),
        v: 1,
        version: 12,
    }
}

fn open(message: &[u8], known_version: u64) -> Result<Manifest, ManifestError> {
    let authors = [author(1).public()];
    let now = "2026-11-25T00:00:00Z".parse().unwrap();
    let expected =
        Expected { authors: &authors, agency: "opp", list: "stolen", known_version, now };
    Manifest::open(message, &expected).map(|(manifest, _)| manifest)
}

fn signed(manifest: &Manifest) -> Vec<u8> {
    manifest.sign(&author(1)).to_json()
}

fn signed_payload(payload: &[u8]) -> Vec<u8> {
    Envelope::sign(MANIFEST_TYPE, payload.to_vec(), &[&author(1)]).to_json()
}

#[test]
fn signed_manifest_opens_and_its_form_is_held() {
    let manifest = manifest();
    assert_eq!(open(&signed(&manifest), 11).unwrap(), manifest);
    assert_eq!(open(&signed(&manifest), 12).unwrap(), manifest, "the same again is no rollback");
    insta::assert_snapshot!(String::from_utf8(manifest.canonical()).unwrap(), @r#"{"agency":"opp","category":"stolen_vehicle","counts":{"bytes":120345,"chunks":3,"entries":4500},"expires":"2026-12-01T06:00:00Z","issued":"2026-11-24T06:00:00Z","key":"0123456789abcdef","layers":[{"pages":[{"address":"abababababababababababababababababababababababababababababababab","bytes":180,"chunks":3}],"records":4500}],"list":"stolen","matching":"exact","revoked":["01010101010101010101010101010101","02020202020202020202020202020202"],"source_time":"2026-11-24T05:00:00Z","v":1,"version":12}"#);
}

#[test]
fn version_before_the_known_one_is_a_rollback() {
    let refused = open(&signed(&manifest()), 13).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "manifest of list \"stolen\" has version 12, version 13 is known already"
    );
}

#[test]
fn manifest_by_a_stranger_is_refused() {
    let refused = open(&manifest().sign(&author(9)).to_json(), 0);
    assert!(matches!(refused, Err(ManifestError::Signature(DsseError::TooFew { .. }))));
}

#[test]
fn manifest_of_another_list_or_agency_is_refused() {
    for other in [
        Manifest { list: "wanted".into(), ..manifest() },
        Manifest { agency: "rcmp".into(), ..manifest() },
    ] {
        assert!(matches!(open(&signed(&other), 0), Err(ManifestError::Other { .. })));
    }
}

#[test]
fn expired_manifest_is_refused() {
    let old = Manifest {
        issued: "2026-11-23T06:00:00Z".parse().unwrap(),
        source_time: "2026-11-23T06:00:00Z".parse().unwrap(),
        expires: "2026-11-25T00:00:00Z".parse().unwrap(),
        ..manifest()
    };
    assert!(matches!(open(&signed(&old), 0), Err(ManifestError::Expired { .. })));
}

#[test]
fn oversize_manifest_is_refused_unread() {
    assert_eq!(open(&vec![b' '; MAX_SEALED + 1], 0), Err(ManifestError::Size(MAX_SEALED + 1)));
}

#[test]
fn signed_document_of_another_type_is_no_manifest() {
    let payload = manifest().canonical();
    let policy = Envelope::sign("application/vnd.outrider.policy.v1+json", payload, &[&author(1)]);
    let refused = open(&policy.to_json(), 0);
    assert!(matches!(refused, Err(ManifestError::Signature(DsseError::Type { .. }))));
}

#[rstest]
#[case::space("{\"agency\"", "{ \"agency\"")]
#[case::another_order("\"v\":1,\"version\":12", "\"version\":12,\"v\":1")]
#[case::escape("\"opp\"", "\"o\\u0070p\"")]
#[case::offset("2026-11-24T05:00:00Z", "2026-11-24T00:00:00-05:00")]
#[case::flag_that_says_nothing("\"revoked\"", "\"resized\":false,\"revoked\"")]
fn other_ways_to_write_the_same_are_refused(#[case] one: &str, #[case] other: &str) {
    let payload = String::from_utf8(manifest().canonical()).unwrap();
    let changed = payload.replacen(one, other, 1);
    assert_ne!(payload, changed);
    assert_eq!(open(&signed_payload(changed.as_bytes()), 0), Err(ManifestError::NotCanonical));
}

#[rstest]
#[case::unknown_field("\"v\":1", "\"trust_me\":true,\"v\":1")]
#[case::field_twice("\"v\":1", "\"v\":1,\"v\":1")]
#[case::negative("\"entries\":4500", "\"entries\":-1")]
#[case::fraction("\"version\":12", "\"version\":12.5")]
#[case::upper_case_address("abababab", "ABababab")]
#[case::something_after("\"version\":12}", "\"version\":12}x")]
fn malformed_manifests_are_refused(#[case] one: &str, #[case] other: &str) {
    let payload = String::from_utf8(manifest().canonical()).unwrap();
    let changed = payload.replacen(one, other, 1);
    assert_ne!(payload, changed);
    let refused = open(&signed_payload(changed.as_bytes()), 0);
    assert!(matches!(refused, Err(ManifestError::Malformed(_))), "{refused:?}");
}

type Change = fn(&mut Manifest);

#[rstest]
#[case::future_format(|m: &mut Manifest| m.v = 2)]
#[case::version_zero(|m: &mut Manifest| m.version = 0)]
#[case::topic_in_the_name(|m: &mut Manifest| m.list = "a/b".into())]
#[case::no_category(|m: &mut Manifest| m.category = String::new())]
#[case::source_after_issue(|m: &mut Manifest| m.source_time = m.issued + 1.hours())]
#[case::expires_before_issue(|m: &mut Manifest| m.expires = m.issued)]
#[case::lives_for_ever(|m: &mut Manifest| m.expires = m.issued + (401 * 24).hours())]
#[case::unsorted_revocations(|m: &mut Manifest| m.revoked.reverse())]
#[case::revocation_twice(|m: &mut Manifest| m.revoked[1] = m.revoked[0])]
#[case::heap_of_layers(|m: &mut Manifest| m.layers = vec![m.layers[0].clone(); 17])]
#[case::heap_of_pages(|m: &mut Manifest| m.layers[0].pages = vec![m.layers[0].pages[0]; 65])]
#[case::more_chunks_than_named(|m: &mut Manifest| m.counts.chunks = 4)]
#[case::more_entries_than_records(|m: &mut Manifest| m.counts.entries = 4_501)]
#[case::entries_beyond_reason(|m: &mut Manifest| {
    m.layers[0].records = 60_000_000;
    m.counts.entries = 60_000_000;
})]
#[case::records_that_overflow(|m: &mut Manifest| m.layers[0].records = u64::MAX)]
#[case::bytes_beyond_what_chunks_hold(|m: &mut Manifest| m.counts.bytes = u64::MAX)]
#[case::empty_page(|m: &mut Manifest| m.layers[0].pages[0].chunks = 0)]
#[case::page_too_large(|m: &mut Manifest| m.layers[0].pages[0].bytes = 98_305)]
fn absurd_numbers_are_refused(#[case] change: Change) {
    let mut absurd = manifest();
    change(&mut absurd);
    let refused = open(&signed(&absurd), 0);
    assert!(matches!(refused, Err(ManifestError::Absurd(_))), "{refused:?}");
}

#[test]
fn empty_list_is_a_list() {
    let none = Manifest { counts: Counts::default(), layers: Vec::new(), ..manifest() };
    assert!(open(&signed(&none), 0).is_ok());
}

#[test]
fn most_revocations_and_pages_fit_in_one_message() {
    let mut full = manifest();
    full.revoked = (0..MAX_REVOKED as u32)
        .map(|n| RevocationTag::parse(&format!("{n:032x}")).unwrap())
        .collect();
    // Five million entries are 2,400 chunks: two pages or three.
    full.layers = vec![full.layers[0].clone(); MAX_LAYERS];
    full.layers[0].pages = vec![full.layers[0].pages[0]; 24];
    full.counts.chunks = 3 * (24 + 15);
    full.check().unwrap();
    let bytes = signed(&full).len();
    assert!(bytes <= MAX_SEALED, "{bytes}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut message = signed(&manifest());
        let at = at.index(message.len());
        message[at] ^= 1 << bit;
        // Base64 and hexadecimal are parsed strictly, so no flip leaves the meaning unchanged.
        prop_assert!(open(&message, 0).is_err());
    }

    #[test]
    fn garbage_is_refused(message in prop::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(open(&message, 0).is_err());
        prop_assert!(Manifest::parse(&message).is_err());
    }
}
