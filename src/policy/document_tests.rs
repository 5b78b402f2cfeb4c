use proptest::prelude::*;

use super::super::changes::tests::any_rules;
use super::*;
use crate::dsse::PublicKey;
use crate::trust::{Root, TrustDocument, TrustedKey};

pub(crate) const NOW: &str = "2026-11-24T07:00:00Z";

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(crate) fn key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

/// Keys 1 and 2 are two people's; 3 is a second key of the first; 4 may not sign policy.
pub(crate) fn trust() -> Trust {
    let root = key(0xee);
    let trusted = |n: u8, name: &str, roles: Vec<Role>| TrustedKey {
        name: name.into(),
        public: key(n).public(),
        roles,
    };
    let document = TrustDocument {
        agency: "peel".into(),
        version: 1,
        issued: now(),
        expires: None,
        keys: vec![
            trusted(1, "A. Chief", vec![Role::Policy]),
            trusted(2, "B. Commissioner", vec![Role::Policy]),
            trusted(3, "A. Chief", vec![Role::Policy]),
            trusted(4, "C. Author", vec![Role::ListAuthor("stolen".into())]),
        ],
        withdrawn: Vec::new(),
    };
    let keys: Vec<PublicKey> = vec![root.public()];
    let root_keys = Root { keys, needed: 1 };
    Trust::open(&document.sign(&[&root]), &root_keys, "peel", 0, now()).unwrap()
}

pub(crate) fn policy(version: u64, rules: &str) -> Policy {
    Policy {
        agency: "peel".into(),
        version,
        issued: now(),
        expires: None,
        note: String::new(),
        rules: serde_json::from_str(rules).unwrap(),
    }
}

pub(crate) fn after(policy: Policy) -> Previous {
    Previous { highest: policy.version, policy: Some(policy), lost: false }
}

fn open(policy: &Policy, keys: &[u8], previous: &Previous) -> Result<Opened, PolicyError> {
    let keys: Vec<_> = keys.iter().map(|n| key(*n)).collect();
    let envelope = policy.sign(&keys.iter().collect::<Vec<_>>()).to_json();
    Policy::open(&envelope, Some(&trust()), "peel", previous, None, now())
}

const NARROW: &str = r#"{"keeping":{"non_hit":"0s"}}"#;
const WIDE: &str = r#"{"keeping":{"non_hit":"24h"}}"#;

#[test]
fn limiting_takes_one_signature_and_widening_two_people() {
    let opened = open(&policy(1, NARROW), &[1], &Previous::default()).unwrap();
    assert_eq!(opened.signers[0].name, "A. Chief");
    let before = after(opened.policy);
    let once = open(&policy(2, WIDE), &[1], &before).unwrap_err();
    assert_eq!(
        once.to_string(),
        "policy widens and has 1 of the 2 signatures that needs: keeps reads that match nothing for \
         24 hours instead of not at all: keeps MORE, needs two signatures"
    );
    let one_person = open(&policy(2, WIDE), &[1, 3], &before).unwrap_err().to_string();
    assert!(one_person.contains("(both keys are A. Chief's)"), "{one_person}");
    assert_eq!(open(&policy(2, WIDE), &[1, 2], &before).unwrap().signers.len(), 2);
    assert!(open(&policy(2, WIDE), &[1, 4], &before).is_err(), "an author's key does not count");
}

#[test]
fn first_policy_may_limit_with_one_signature_and_grant_with_two() {
    assert!(open(&policy(1, WIDE), &[2], &Previous::default()).is_ok(), "a cap only limits");
    let grant = policy(1, r#"{"hotplates":{"wildcards":true}}"#);
    assert!(matches!(open(&grant, &[1], &Previous::default()), Err(PolicyError::Widens { .. })));
    assert!(open(&grant, &[1, 2], &Previous::default()).is_ok());
}

#[test]
fn rollback_repetition_and_a_second_text_of_one_version() {
    let before = after(policy(7, NARROW));
    assert_eq!(
        open(&policy(6, NARROW), &[1, 2], &before),
        Err(PolicyError::Rollback { found: 6, known: 7 })
    );
    assert!(open(&policy(7, NARROW), &[1], &before).unwrap().changes.is_empty());
    let other = policy(7, r#"{"keeping":{"non_hit":"0s","thumbnails":false}}"#);
    assert_eq!(open(&other, &[1, 2], &before), Err(PolicyError::SameVersion(7)));
}

#[test]
fn policy_of_others_expired_unsigned_or_rewritten_is_refused() {
    let mut theirs = policy(1, NARROW);
    theirs.agency = "opp".into();
    assert!(matches!(open(&theirs, &[1], &Previous::default()), Err(PolicyError::Agency { .. })));
    let mut old = policy(1, NARROW);
    old.expires = Some(now());
    assert_eq!(open(&old, &[1], &Previous::default()), Err(PolicyError::Expired(now())));
    assert!(open(&policy(1, NARROW), &[], &Previous::default()).is_err());
    assert!(open(&policy(1, NARROW), &[4], &Previous::default()).is_err());

    let spaced = serde_json::to_vec_pretty(&policy(1, NARROW)).unwrap();
    let envelope = Envelope::sign(POLICY_TYPE, spaced, &[&key(1)]).to_json();
    let none = Previous::default();
    let opened = Policy::open(&envelope, Some(&trust()), "peel", &none, None, now());
    assert_eq!(opened, Err(PolicyError::NotCanonical));
    let envelope = policy(1, NARROW).sign(&[&key(1)]).to_json();
    let opened = Policy::open(&envelope, None, "peel", &none, None, now());
    assert_eq!(opened, Err(PolicyError::NoTrust));
    let long = vec![b' '; LONGEST + 1];
    let opened = Policy::open(&long, Some(&trust()), "peel", &none, None, now());
    assert_eq!(opened, Err(PolicyError::TooLong { found: LONGEST + 1 }));
}

#[test]
fn rule_that_this_version_does_not_know_refuses_the_whole_policy() {
    let payload = br#"{"agency":"peel","version":1,"issued":"2026-11-24T07:00:00Z","rules":{"keeping":{"faces":"1d"}}}"#;
    let envelope = Envelope::sign(POLICY_TYPE, payload.to_vec(), &[&key(1), &key(2)]).to_json();
    let error = Policy::open(&envelope, Some(&trust()), "peel", &Previous::default(), None, now());
    let message = error.unwrap_err().to_string();
    assert!(message.contains("unknown field `faces`"), "{message}");
}

#[test]
fn ceiling_holds_whoever_signs() {
    let ceiling: Rules = toml::from_str("[keeping]\nnon_hit = \"3m\"").unwrap();
    let open = |rules: &str| {
        let envelope = policy(1, rules).sign(&[&key(1), &key(2)]).to_json();
        let none = Previous::default();
        Policy::open(&envelope, Some(&trust()), "peel", &none, Some(&ceiling), now())
    };
    assert_eq!(
        open(WIDE).unwrap_err().to_string(),
        "policy goes past the ceiling of this car's provisioning: keeping.non_hit = 1d, the ceiling is 3m"
    );
    assert!(open(r#"{"keeping":{"non_hit":"3m"}}"#).is_ok());
    assert!(open("{}").is_ok(), "what a policy leaves out, the ceiling limits all the same");
    let grant = open(r#"{"lookups":{"past_reads":true}}"#);
    assert!(
        matches!(grant, Err(PolicyError::Ceiling(_))),
        "no grant that the ceiling does not name"
    );
}

#[test]
fn past_its_date_a_policy_limits_on_and_renewing_its_grants_takes_two() {
    let rules = r#"{"keeping":{"non_hit":"3m"},"hotplates":{"wildcards":true}}"#;
    let mut granted = policy(1, rules);
    granted.expires = Some("2026-11-24T06:00:00Z".parse().unwrap());
    let lapsed = granted.rules_at(now());
    assert_eq!(lapsed.keeping, granted.rules.keeping);
    assert!(!lapsed.hotplates.wildcards);
    let before = after(granted);
    assert!(matches!(open(&policy(2, rules), &[1], &before), Err(PolicyError::Widens { .. })));
    assert!(open(&policy(2, rules), &[1, 2], &before).is_ok());
}

#[test]
fn car_that_lost_its_policy_is_at_its_strictest_until_two_have_signed() {
    let lost = Previous { lost: true, ..Previous::default() };
    let strict = lost.rules_at(now());
    assert_eq!(strict.keeping.non_hit, Some(crate::config::Retention::Nothing));
    assert_eq!(strict.lists.of("any").loosest(), crate::hotlist::Matching::Exact);
    assert!(open(&policy(1, WIDE), &[1], &lost).is_err());
    assert!(open(&policy(1, WIDE), &[1, 2], &lost).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Promise P5: one signature is enough exactly where nothing widens.
    #[test]
    fn one_signature_where_nothing_widens_two_where_anything_does(
        old in any_rules(), new in any_rules(),
    ) {
        let with = |version, rules: &Rules| Policy { rules: rules.clone(), ..policy(version, "{}") };
        let before = after(with(1, &old));
        let widens = changes(&old, &new).iter().any(|c| c.direction == Direction::Widens);
        let once = open(&with(2, &new), &[1], &before);
        prop_assert_eq!(once.is_err(), widens, "{:?}", once);
        prop_assert!(open(&with(2, &new), &[1, 2], &before).is_ok());
    }

    /// What a policy comes to under a ceiling is never past it, whatever the two say.
    #[test]
    fn nothing_gets_past_a_ceiling(rules in any_rules(), ceiling in any_rules()) {
        if past_ceiling(&rules, &ceiling).is_empty() {
            let filled = rules.filled_from(&ceiling);
            let widens = changes(&ceiling, &filled);
            prop_assert!(widens.iter().all(|c| c.direction != Direction::Widens));
        }
        prop_assert!(past_ceiling(&ceiling, &ceiling).is_empty());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let none = Previous::default();
        let _ = Policy::open(&bytes, Some(&trust()), "peel", &none, None, now());
        let _ = Policy::parse(&bytes);
    }
}
