use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::hotlist::{Matching, Priority};

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
    // The list's own rule goes and the same comes for every list: for this list nothing changes.
    let old = r#"{"lists":{"named":{"stolen":{"red_after":"2d"}}}}"#;
    let new = r#"{"lists":{"every":{"red_after":"2d"}}}"#;
    let changes = changes(&rules(old), &rules(new));
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (&*changes[0].what, changes[0].direction),
        ("lists.every.red_after", Direction::Narrows)
    );
    // A list loses its own tight rule: it widens, though nothing was added.
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

/// Each rule at a narrow and at a wide value; one line for each, beside the classification above.
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
        (
            "roles",
            "{}",
            r#"{"officer":["add_hotplate","look_up","look_up_across_days","remove_hotplate"]}"#,
        ),
        ("roles", r#"{"supervisor":[]}"#, "{}"),
    ]
}

#[test]
fn every_rule_widens_one_way_and_narrows_the_other() {
    for (section, narrow, wide) in widenings() {
        let with = |inner: &str| rules(&format!("{{\"{section}\":{inner}}}"));
        let (narrow, wide) = (with(narrow), with(wide));
        let there = changes(&narrow, &wide);
        assert!(there.iter().any(|c| c.direction == Direction::Widens), "{there:?}");
        let back = changes(&wide, &narrow);
        assert!(!back.is_empty(), "{section}");
        assert!(back.iter().all(|c| c.direction == Direction::Narrows), "{back:?}");
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
    (keeping, lists, hotplates, any::<bool>(), (hours(), mute), (permissions(), permissions()))
        .prop_map(|(keeping, lists, hotplates, past_reads, (realert_after, mute), roles)| Rules {
            keeping,
            lists,
            hotplates,
            lookups: LookupRules { past_reads },
            alerts: AlertRules { realert_after, mute },
            roles: RoleRules { officer: roles.0, supervisor: roles.1 },
        })
}

proptest! {
    #[test]
    fn rules_survive_json_and_equal_rules_change_nothing(rules in any_rules()) {
        let json = words::json(&rules);
        let back: Rules = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&back, &rules);
        prop_assert_eq!(changes(&rules, &back), vec![]);
    }

    /// Whatever only narrows one way widens the other, and never the reverse.
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
                // Both ways, where the two cannot be compared.
                Direction::Widens => {}
                Direction::Neutral => {
                    prop_assert!(undone.iter().all(|c| c.direction == Direction::Neutral));
                }
            }
        }
    }

    /// No widening can be hidden by going there in two steps of which neither widens.
    #[test]
    fn steps_that_do_not_widen_never_add_up_to_one_that_does(
        a in any_rules(), b in any_rules(), c in any_rules(),
    ) {
        let widens = |x: &Rules, y: &Rules| {
            changes(x, y).iter().any(|c| c.direction == Direction::Widens)
        };
        if !widens(&a, &b) && !widens(&b, &c) {
            prop_assert!(!widens(&a, &c));
        }
        prop_assert!(!widens(&a, &a.lapsed()), "a policy past its date grants less, never more");
    }
}
