use proptest::prelude::*;

use super::super::changes::tests::any_rules;
use super::*;
use crate::dsse::PublicKey;
use crate::policy::FromBroker;
use crate::trust::{Root, TrustDocument, TrustedKey};

pub(crate) const NOW: &str = "2026-11-24T07:00:00Z";

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(crate) fn key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

/// Keys 1, 2 and 5 belong to three people; 3 is a second key of the first; 4 may not sign policy.
pub(crate) fn trust() -> Trust {
    without(0)
}

/// The same document with a key withdrawn.
pub(crate) fn without(withdrawn: u8) -> Trust {
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
            trusted(5, "D. Deputy", vec![Role::Policy]),
        ],
        withdrawn: match withdrawn {
            0 => Vec::new(),
            n => vec![key(n).public().id()],
        },
        retired: Vec::new(),
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
    let before = after(policy(1, "{}"));
    let opened = open(&policy(2, NARROW), &[1], &before).unwrap();
    assert_eq!((opened.signers[0].name.as_str(), opened.needed), ("A. Chief", 1));
    let before = after(policy(1, NARROW));
    let once = open(&policy(2, WIDE), &[1], &before).unwrap_err();
    assert_eq!(
        once.to_string(),
        "policy widens or silences and has 1 of the 2 signatures that needs: keeps reads that match nothing for \
         24 hours instead of not at all: keeps MORE, needs two signatures"
    );
    let one_person = open(&policy(2, WIDE), &[1, 3], &before).unwrap_err().to_string();
    assert!(one_person.contains("(both keys are A. Chief's)"), "{one_person}");
    assert_eq!(open(&policy(2, WIDE), &[1, 2], &before).unwrap().signers.len(), 2);
    assert!(open(&policy(2, WIDE), &[1, 4], &before).is_err(), "an author's key does not count");
}

#[test]
fn first_policy_takes_two_people_unless_it_stays_within_the_strictest_rules() {
    let none = Previous::default();
    for first in
        [NARROW, WIDE, r#"{"hotplates":{"wildcards":true}}"#, r#"{"lists":{"categories":[]}}"#]
    {
        let refused = open(&policy(1, first), &[1], &none).unwrap_err();
        assert!(matches!(refused, PolicyError::Widens { first: true, .. }), "{refused}");
        assert!(open(&policy(1, first), &[1, 2], &none).is_ok());
    }
    let strictest = serde_json::to_string(&Rules::strictest()).unwrap();
    assert!(open(&policy(1, &strictest), &[1], &none).is_ok());
}

#[test]
fn version_that_nothing_can_follow_and_one_of_the_future_are_refused_whoever_signs() {
    let before = after(policy(41, NARROW));
    for previous in [&before, &Previous::default()] {
        let last = open(&policy(u64::MAX, NARROW), &[1, 2], previous);
        assert!(matches!(last, Err(PolicyError::Dated(_))), "{last:?}");
    }
    let to_come = Policy { issued: "2099-01-01T00:00:00Z".parse().unwrap(), ..policy(42, NARROW) };
    assert!(matches!(open(&to_come, &[1, 2], &before), Err(PolicyError::Dated(_))));
    let far = policy(42, r#"{"hotplates":{"revoked_before":"2099-01-01T00:00:00Z"}}"#);
    assert!(matches!(open(&far, &[1, 2], &before), Err(PolicyError::RevokedBefore(_))));
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
    let grant = open(r#"{"models":{"from_broker":"wait"}}"#);
    assert!(matches!(grant, Err(PolicyError::Ceiling(_))), "{grant:?}");
}

#[test]
fn past_its_date_a_policy_limits_on_and_renewing_its_grants_takes_two() {
    let rules = r#"{"keeping":{"non_hit":"3m"},"hotplates":{"wildcards":true},"models":{"from_broker":"install"}}"#;
    let mut granted = policy(1, rules);
    granted.expires = Some("2026-11-24T06:00:00Z".parse().unwrap());
    let lapsed = granted.rules_at(now());
    assert_eq!(lapsed.keeping, granted.rules.keeping);
    assert!(!lapsed.hotplates.wildcards);
    assert_eq!(lapsed.models.from_broker, FromBroker::Off);
    let before = after(granted);
    assert!(matches!(open(&policy(2, rules), &[1], &before), Err(PolicyError::Widens { .. })));
    assert!(open(&policy(2, rules), &[1, 2], &before).is_ok());
}

#[test]
fn car_that_lost_its_policy_is_at_its_strictest_until_two_have_signed() {
    let lost = Previous { lost: true, ..Previous::default() };
    let strict = lost.rules_at(now());
    assert_eq!(strict.keeping.non_hit, Some(crate::config::Retention::Nothing));
    assert_eq!(strict.lists.of("any").loosest(), crate::entry::Matching::Exact);
    assert!(open(&policy(1, WIDE), &[1], &lost).is_err());
    assert!(open(&policy(1, WIDE), &[1, 2], &lost).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Promise P5: one signature is enough exactly where nothing widens or silences.
    #[test]
    fn one_signature_where_nothing_widens_or_silences_two_where_anything_does(
        old in any_rules(), new in any_rules(),
    ) {
        let with = |version, rules: &Rules| Policy { rules: rules.clone(), ..policy(version, "{}") };
        let before = after(with(1, &old));
        let widens = changes(&old, &new).iter().any(|c| c.direction.needs_two());
        let once = open(&with(2, &new), &[1], &before);
        prop_assert_eq!(once.is_err(), widens, "{:?}", once);
        prop_assert!(open(&with(2, &new), &[1, 2], &before).is_ok());
    }

    /// The rules of a policy under a ceiling never go past it, whatever both say.
    #[test]
    fn nothing_gets_past_a_ceiling(rules in any_rules(), ceiling in any_rules()) {
        // A ceiling names no users and limits none.
        let ceiling = Rules { users: rules.users.clone(), ..ceiling };
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
