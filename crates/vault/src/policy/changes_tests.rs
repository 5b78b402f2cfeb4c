use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::entry::{Matching, Priority};
use crate::policy::Always;

fn rules(json: &str) -> Rules {
    serde_json::from_str(json).unwrap()
}

fn says(old: &str, new: &str) -> Vec<String> {
    changes(&rules(old), &rules(new)).into_iter().map(|c| c.says).collect()
}

#[test]
fn difference_is_said_in_plain_words() {
    assert_eq!(
        says(r#"{"keeping":{"non_hit":"0s"}}"#, r#"{"keeping":{"non_hit":"24h"}}"#),
        [
            "keeps reads that match nothing for 24 hours instead of not at all: keeps MORE, needs two signatures"
        ]
    );
    assert_eq!(
        says("{}", r#"{"keeping":{"non_hit":"3m","hits":"30d"}}"#),
        [
            "keeps reads that match nothing for 3 minutes instead of for as long as each car's \
             configuration says: keeps LESS, one signature does",
            "keeps delivered hits for 30 days instead of for as long as each car's configuration \
             says: keeps LESS, one signature does"
        ]
    );
    assert_eq!(
        says(
            r#"{"lists":{"categories":["stolen_vehicle"]}}"#,
            r#"{"lists":{"categories":["missing","stolen_vehicle"],"named":{"amber":{"matching":"wildcard"}}}}"#
        ),
        [
            "alarms for entries of missing, stolen_vehicle instead of entries of stolen_vehicle: \
             matches MORE, needs two signatures",
            "list amber: matches the text as read, what the vote held possible, and partial plates \
             instead of the text as read and what the vote held possible: matches MORE, needs two \
             signatures"
        ]
    );
    assert_eq!(
        says("{}", r#"{"roles":{"officer":["look_up"]},"hotplates":{"wildcards":true}}"#),
        [
            "takes partial plates as hotplates, which it did not: matches MORE, needs two signatures",
            "officers may no longer add hotplates: lets people do LESS, one signature does",
            "officers may no longer remove hotplates: lets people do LESS, one signature does"
        ]
    );
}

#[test]
fn session_against_a_duration_is_widening_both_ways() {
    for (old, new) in [("session", "3m"), ("3m", "session")] {
        let with = |r: &str| rules(&format!(r#"{{"keeping":{{"non_hit":"{r}"}}}}"#));
        assert_eq!(changes(&with(old), &with(new))[0].direction, Direction::Widens);
    }
}

#[test]
fn list_is_judged_by_what_its_rules_come_to() {
    // The list's own rule goes, and the same rule comes for every list: nothing changes for this
    // list.
    let old = r#"{"lists":{"named":{"stolen":{"red_after":"2d"}}}}"#;
    let new = r#"{"lists":{"every":{"red_after":"2d"}}}"#;
    let changes = changes(&rules(old), &rules(new));
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (&*changes[0].what, changes[0].direction),
        ("lists.every.red_after", Direction::Narrows)
    );
    // A list loses its own strict rule: that widens, though nothing was added.
    let changes = super::changes(&rules(old), &Rules::default());
    assert_eq!(changes[0].direction, Direction::Widens);
}

#[test]
fn revoking_a_hotplate_takes_one_signature_and_so_does_forgetting_that() {
    let some = rules(r#"{"hotplates":{"revoked":["01M83K8NC10000000000000001"]}}"#);
    let narrows = changes(&Rules::default(), &some);
    assert_eq!((narrows.len(), narrows[0].direction), (1, Direction::Narrows));
    assert_eq!(changes(&some, &Rules::default())[0].direction, Direction::Neutral);
}

/// Each rule that can stop alerts, records or the proof of a hit, with a value before and a
/// silencing one.
#[test]
fn what_makes_a_car_fall_silent_takes_two_people() {
    for (old, new) in [
        ("{}", r#"{"lists":{"categories":[]}}"#),
        (r#"{"lists":{"categories":["amber","stolen"]}}"#, r#"{"lists":{"categories":["amber"]}}"#),
        ("{}", r#"{"alerts":{"realert_after":"10000d"}}"#),
        (r#"{"alerts":{"realert_after":"1m"}}"#, "{}"),
        ("{}", r#"{"alerts":{"mute":["low","medium","high"]}}"#),
        (r#"{"alerts":{"mute":[]}}"#, "{}"),
        (r#"{"alerts":{"mute":["low"]}}"#, r#"{"alerts":{"mute":["medium"]}}"#),
        ("{}", r#"{"alerts":{"unread_jurisdiction":"lower"}}"#),
        ("{}", r#"{"lists":{"every":{"past_red":"stop"}}}"#),
        (
            r#"{"lists":{"every":{"past_red":"stop","red_after":"24h"}}}"#,
            r#"{"lists":{"every":{"past_red":"stop","red_after":"1s"}}}"#,
        ),
        ("{}", r#"{"lists":{"named":{"stolen":{"growth_percent":0}}}}"#),
        ("{}", r#"{"hotplates":{"most":0}}"#),
        ("{}", r#"{"hotplates":{"longest":"1s"}}"#),
        ("{}", r#"{"keeping":{"hits":"1s"}}"#),
        (r#"{"keeping":{"hits":"2d"}}"#, r#"{"keeping":{"hits":"1h"}}"#),
        ("{}", r#"{"keeping":{"hit_images":"1s"}}"#),
    ] {
        let there = changes(&rules(old), &rules(new));
        let silences = there.iter().find(|c| c.direction == Direction::Silences);
        let Some(silences) = silences else { panic!("{old} -> {new}: {there:?}") };
        assert!(silences.says.ends_with("needs two signatures"), "{}", silences.says);
    }
    for (old, new) in [
        (r#"{"alerts":{"realert_after":"10m"}}"#, r#"{"alerts":{"realert_after":"1m"}}"#),
        (r#"{"alerts":{"mute":["low"]}}"#, r#"{"alerts":{"mute":[]}}"#),
        ("{}", r#"{"alerts":{"unread_jurisdiction":"alert"}}"#),
        (r#"{"alerts":{"unread_jurisdiction":"lower"}}"#, "{}"),
        ("{}", r#"{"keeping":{"hits":"2d"}}"#),
        ("{}", r#"{"lists":{"every":{"red_after":"1h"}}}"#),
    ] {
        let there = changes(&rules(old), &rules(new));
        assert!(there.iter().all(|c| !c.direction.needs_two()), "{old} -> {new}: {there:?}");
    }
}

const JOHN: &str = r#"{"1234":{"roles":["officer"],"pin":"$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#;
const JOHN_TO_JUNE: &str = r#"{"1234":{"roles":["officer"],"trained_until":"2027-06-30","pin":"$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#;
const JOHN_SUPERVISOR: &str = r#"{"1234":{"roles":["officer","supervisor"],"pin":"$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#;

#[test]
fn users_are_said_by_name_and_their_hashes_never() {
    let with = |users: &str| rules(&format!(r#"{{"users":{users}}}"#));
    let named = JOHN_TO_JUNE.replace(r#"{"roles""#, r#"{"name":"J. Roy","roles""#);
    let there = changes(&Rules::default(), &with(&named));
    let [one] = &there[..] else { panic!("{there:?}") };
    assert_eq!((&*one.what, &*one.new), ("users.1234", "officer"));
    assert_eq!(
        one.says,
        "1234 (J. Roy) may sign in as officer until 2027-06-30: lets people do MORE, needs two signatures"
    );
    let reset = JOHN.replace("AAAAAAA", "BAAAAAA");
    let there = changes(&with(JOHN), &with(&reset));
    let [one] = &there[..] else { panic!("{there:?}") };
    assert_eq!((&*one.what, one.direction), ("users.1234.pin", Direction::Widens), "both ways");
    assert!(!words::json(&there).contains("argon2"), "{there:?}");
    let renamed = changes(&with(JOHN_TO_JUNE), &with(&named));
    assert_eq!(renamed[0].direction, Direction::Neutral);
}

/// Each rule with a narrow and a wide value; one line for each, beside the classification above.
fn widenings() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        ("keeping", r#"{"non_hit":"0s"}"#, r#"{"non_hit":"session"}"#),
        ("keeping", r#"{"non_hit":"3m"}"#, r#"{"non_hit":"24h"}"#),
        ("keeping", r#"{"non_hit":"3m"}"#, "{}"),
        ("keeping", r#"{"thumbnails":false}"#, r#"{"thumbnails":true}"#),
        ("keeping", r#"{"hits":"1d"}"#, r#"{"hits":"30d"}"#),
        ("keeping", r#"{"hit_images":"1d"}"#, "{}"),
        ("lists", r#"{"categories":[]}"#, r#"{"categories":["stolen_vehicle"]}"#),
        ("lists", r#"{"categories":["stolen_vehicle"]}"#, "{}"),
        ("lists", r#"{"every":{"matching":"exact"}}"#, r#"{"every":{"matching":"look_alike"}}"#),
        ("lists", "{}", r#"{"every":{"matching":"wildcard"}}"#),
        ("lists", r#"{"every":{"matching":"exact"}}"#, "{}"),
        ("lists", r#"{"every":{"amber_after":"6h"}}"#, r#"{"every":{"amber_after":"12h"}}"#),
        ("lists", r#"{"every":{"red_after":"6h"}}"#, "{}"),
        ("lists", r#"{"every":{"past_red":"stop"}}"#, r#"{"every":{"past_red":"tell"}}"#),
        ("lists", r#"{"every":{"growth_percent":5}}"#, r#"{"every":{"growth_percent":20}}"#),
        ("lists", r#"{"every":{"shrink_percent":5}}"#, "{}"),
        ("lists", r#"{"every":{"false_hits":2}}"#, r#"{"every":{"false_hits":20}}"#),
        ("lists", r#"{"named":{"a":{"false_hits":2}}}"#, "{}"),
        ("hotplates", r#"{"longest":"12h"}"#, r#"{"longest":"24h"}"#),
        ("hotplates", r#"{"most":0}"#, r#"{"most":8}"#),
        ("hotplates", "{}", r#"{"wildcards":true}"#),
        ("lookups", "{}", r#"{"past_reads":true}"#),
        ("models", "{}", r#"{"from_broker":"wait"}"#),
        ("models", r#"{"from_broker":"wait"}"#, r#"{"from_broker":"install"}"#),
        ("models", "{}", r#"{"from_broker":"install"}"#),
        ("verify", "{}", r#"{"dispatch":false}"#),
        ("verify", r#"{"sight":true,"dispatch":true}"#, r#"{"sight":true,"dispatch":false}"#),
        (
            "roles",
            "{}",
            r#"{"officer":["add_hotplate","look_up","look_up_across_days","remove_hotplate"]}"#,
        ),
        ("roles", r#"{"supervisor":[]}"#, "{}"),
        ("roles", "{}", r#"{"auditor":["export_evidence","look_up"]}"#),
        ("roles", "{}", r#"{"maintainer":["export_evidence"]}"#),
        ("sign_in", r#"{"idle":"5m"}"#, "{}"),
        ("sign_in", "{}", r#"{"idle":"30m"}"#),
        ("sign_in", r#"{"shift":"8h"}"#, r#"{"shift":"14h"}"#),
        ("users", "{}", JOHN),
        ("users", JOHN, JOHN_SUPERVISOR),
        ("users", JOHN_TO_JUNE, JOHN),
    ]
}

#[test]
fn every_rule_widens_one_way_and_narrows_the_other() {
    for (section, narrow, wide) in widenings() {
        let narrow_text = narrow;
        let with = |inner: &str| rules(&format!("{{\"{section}\":{inner}}}"));
        let (narrow, wide) = (with(narrow), with(wide));
        let there = changes(&narrow, &wide);
        assert!(there.iter().any(|c| c.direction == Direction::Widens), "{there:?}");
        let back = changes(&wide, &narrow);
        assert!(!back.is_empty(), "{section}");
        let silent = [r#"{"categories":[]}"#, r#"{"categories":["stolen_vehicle"]}"#]
            .into_iter()
            .chain([r#"{"every":{"past_red":"stop"}}"#, r#"{"most":0}"#]);
        let expected = match silent.into_iter().any(|s| narrow_text == s) {
            true => Direction::Silences,
            false => Direction::Narrows,
        };
        assert!(back.iter().all(|c| c.direction == expected), "{back:?}");
        for change in there {
            assert!(change.says.ends_with("needs two signatures"), "{}", change.says);
        }
    }
}

pub(crate) fn any_rules() -> impl Strategy<Value = Rules> {
    let hours = || prop::option::of((1_u64..100).prop_map(|h| HumanDuration::from_secs(h * 3600)));
    let retention = prop::option::of(prop_oneof![
        Just(Retention::Nothing),
        Just(Retention::Session),
        (1_u64..100).prop_map(|m| Retention::For(Duration::from_secs(m * 60))),
    ]);
    let keeping = (retention, prop::option::of(any::<bool>()), hours(), hours()).prop_map(
        |(non_hit, thumbnails, hits, hit_images)| KeepingRules {
            non_hit,
            thumbnails,
            hits,
            hit_images,
        },
    );
    let matching = prop::option::of(prop_oneof![
        Just(Matching::Exact),
        Just(Matching::LookAlike),
        Just(Matching::Wildcard)
    ]);
    let past_red = prop::option::of(prop_oneof![Just(PastRed::Stop), Just(PastRed::Tell)]);
    let percent = || prop::option::of(0_u32..100);
    let list = (matching, hours(), hours(), past_red, percent(), percent(), percent()).prop_map(
        |(
            matching,
            amber_after,
            red_after,
            past_red,
            growth_percent,
            shrink_percent,
            false_hits,
        )| {
            ListRules {
                matching,
                amber_after,
                red_after,
                past_red,
                growth_percent,
                shrink_percent,
                false_hits,
            }
        },
    );
    let named = prop::collection::btree_map("[ab]", list.clone(), 0..3);
    let categories = prop::option::of(prop::collection::btree_set("[abc]", 0..3));
    let lists = (categories, list, named).prop_map(
        |(categories, every, named): (_, _, BTreeMap<String, ListRules>)| ListsRules {
            categories,
            every,
            named,
        },
    );
    let hotplates = (hours(), prop::option::of(0_u32..9), any::<bool>()).prop_map(
        |(longest, most, wildcards)| HotplateRules {
            longest,
            most,
            wildcards,
            ..HotplateRules::default()
        },
    );
    let permissions = || {
        prop::option::of(prop::collection::btree_set(
            prop::sample::select(&Permission::ALL[..]),
            0..6,
        ))
    };
    let mute = prop::option::of(Just(BTreeSet::from([Priority::Low])));
    let unread = prop::option::of(prop_oneof![
        Just(UnreadJurisdiction::Alert),
        Just(UnreadJurisdiction::Lower)
    ]);
    let day = prop::option::of((1_i8..28).prop_map(|day| jiff::civil::date(2027, 6, day)));
    let roles = prop::collection::btree_set(prop::sample::select(&Who::ALL[..]), 1..4);
    let pin = "[ab]".prop_map(|c| {
        let salt = "bm9ib2R5IGhhcyB0aGlzLg".replace('b', &c);
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${}", "A".repeat(43)).try_into().unwrap()
    });
    let user = ("[xy]", roles, day, pin).prop_map(|(name, roles, trained_until, pin)| User {
        name,
        roles,
        trained_until,
        pin,
    });
    let users = prop::collection::btree_map("[12]", user, 0..3);
    let sign_in = (hours(), hours()).prop_map(|(idle, shift)| SignInRules { idle, shift });
    let people = (permissions(), permissions(), sign_in, users);
    let asks = (prop::option::of(Just(Always)), prop::option::of(any::<bool>()))
        .prop_map(|(sight, dispatch)| VerifyRules { sight, dispatch });
    let told = (hours(), mute, unread, asks);
    let from_broker =
        prop::sample::select(&[FromBroker::Off, FromBroker::Wait, FromBroker::Install][..]);
    (keeping, lists, hotplates, (any::<bool>(), from_broker), told, people).prop_map(
        |(
            keeping,
            lists,
            hotplates,
            (past_reads, from_broker),
            (realert_after, mute, unread_jurisdiction, verify),
            roles,
        )| Rules {
            keeping,
            lists,
            hotplates,
            lookups: LookupRules { past_reads },
            models: ModelRules { from_broker },
            alerts: AlertRules { realert_after, mute, unread_jurisdiction },
            verify,
            roles: RoleRules { officer: roles.0, supervisor: roles.1, ..RoleRules::default() },
            sign_in: roles.2,
            users: roles.3,
        },
    )
}

proptest! {
    #[test]
    fn rules_survive_json_and_equal_rules_change_nothing(rules in any_rules()) {
        let json = words::json(&rules);
        let back: Rules = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&back, &rules);
        prop_assert_eq!(changes(&rules, &back), vec![]);
    }

    /// Whatever only narrows in one direction widens in the other, and never the reverse.
    #[test]
    fn narrowing_undone_is_widening(old in any_rules(), new in any_rules()) {
        let there = changes(&old, &new);
        let back = changes(&new, &old);
        for change in &there {
            let undone: Vec<_> = back.iter().filter(|c| c.what == change.what).collect();
            prop_assert!(!undone.is_empty(), "{:?}", change);
            match change.direction {
                Direction::Narrows => {
                    prop_assert!(undone.iter().all(|c| c.direction == Direction::Widens));
                }
                // Both directions widen where the two values cannot be compared.
                Direction::Widens => {}
                // Neutral changes say nothing about the other direction: a longer quiet time
                // silences, a shorter one is neutral.
                Direction::Neutral => {
                    let quiet = [Direction::Neutral, Direction::Silences];
                    prop_assert!(undone.iter().all(|c| quiet.contains(&c.direction)));
                }
                Direction::Silences => {
                    prop_assert!(undone.iter().all(|c| c.direction != Direction::Narrows));
                }
            }
        }
    }

    /// A widening cannot be hidden by making it in two steps neither of which widens.
    #[test]
    fn steps_that_do_not_widen_never_add_up_to_one_that_does(
        a in any_rules(), b in any_rules(), c in any_rules(),
    ) {
        let widens = |x: &Rules, y: &Rules| {
            changes(x, y).iter().any(|c| c.direction.needs_two())
        };
        if !widens(&a, &b) && !widens(&b, &c) {
            prop_assert!(!widens(&a, &c));
        }
        prop_assert!(!widens(&a, &a.lapsed()), "a policy past its date grants less, never more");
    }
}
