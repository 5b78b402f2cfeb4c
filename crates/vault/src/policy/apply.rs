//! Limits the configuration to what the rules in force allow.
//!
//! In: the car's settings and the rules. Out: the settings that hold, and a sentence for each one
//! that was limited. What lists and hotplates may do is decided where they are matched, because it
//! changes while the car runs; see [`ListsRules`](super::ListsRules).

use std::collections::BTreeSet;

use super::changes::retention_within;
use super::rules::{AlertRules, HotplateRules, KeepingRules, Rules};
use super::words;
use crate::config::{Config, HumanDuration, KeepingConfig, Retention};
use crate::entry::Priority;

/// Longest that an entry stays quiet after an alert.
const LONGEST_QUIET: HumanDuration = HumanDuration::from_secs(86_400);

/// Limits a configuration. Returns what was limited, in sentences.
pub fn limit(config: &mut Config, rules: &Rules) -> Vec<String> {
    let mut said = limit_keeping(&mut config.keeping, &rules.keeping);
    let AlertRules { realert_after, mute, unread_jurisdiction } = &rules.alerts;
    // The configuration may state a day at most, and so may a policy.
    let realert_after = realert_after.map(|after| after.min(LONGEST_QUIET));
    if let Some(after) = realert_after.filter(|after| *after != config.reading.realert_after) {
        said.push(format!(
            "reading.realert_after = \"{}\": policy says {after}",
            config.reading.realert_after
        ));
        config.reading.realert_after = after;
    }
    let unread = &mut config.reading.unread_jurisdiction;
    if let Some(said_so) = unread_jurisdiction.filter(|said_so| said_so != unread) {
        let (was, is) = (words::json(unread), words::json(&said_so));
        said.push(format!("reading.unread_jurisdiction = {was}: policy says {is}"));
        *unread = said_so;
    }
    if let Some(may) = mute {
        let muted: BTreeSet<Priority> = config.alert.mute.iter().copied().collect();
        if !muted.is_subset(may) {
            said.push("alert.mute: policy lets fewer alerts be muted".into());
            config.alert.mute.retain(|priority| may.contains(priority));
        }
    }
    let HotplateRules { longest, most, wildcards: _, revoked: _, revoked_before: _ } =
        &rules.hotplates;
    let hotplates = &mut config.hotplates;
    shorten("hotplates.longest", &mut hotplates.longest, *longest, &mut said);
    shorten("hotplates.shift", &mut hotplates.shift, *longest, &mut said);
    if let Some(most) = most.filter(|most| *most < hotplates.most) {
        said.push(format!("hotplates.most = {}: policy allows {most}", hotplates.most));
        hotplates.most = most;
    }
    said
}

/// Limits what is kept. Returns what was limited, in sentences.
pub fn limit_keeping(keeping: &mut KeepingConfig, rules: &KeepingRules) -> Vec<String> {
    let KeepingRules { non_hit, thumbnails, hits, hit_images } = rules;
    let mut said = Vec::new();
    if let Some(most) = non_hit.filter(|most| !retention_within(keeping.non_hit, *most)) {
        // A session and a duration cannot be compared, so where both are given nothing is kept.
        let held = match retention_within(most, keeping.non_hit) {
            true => most,
            false => Retention::Nothing,
        };
        said.push(format!(
            "keeping.non_hit = \"{}\": policy allows \"{most}\", so \"{held}\" holds",
            keeping.non_hit
        ));
        keeping.non_hit = held;
    }
    if *thumbnails == Some(false) && keeping.thumbnails {
        said.push("keeping.thumbnails = true: policy allows none".into());
        keeping.thumbnails = false;
    }
    shorten("keeping.hits", &mut keeping.hits, *hits, &mut said);
    shorten("keeping.hit_images", &mut keeping.hit_images, *hit_images, &mut said);
    said
}

fn shorten(
    key: &str,
    value: &mut HumanDuration,
    most: Option<HumanDuration>,
    said: &mut Vec<String>,
) {
    if let Some(most) = most.filter(|most| *most < *value) {
        said.push(format!("{key} = \"{value}\": policy allows {most}"));
        *value = most;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::changes::tests::any_rules;
    use super::*;

    fn config(toml: &str) -> Config {
        let head = "[vehicle]\nid = \"1\"\nagency = \"peel\"\n";
        Config::parse(&format!("{head}{toml}"), Path::new("test.toml")).unwrap()
    }

    fn rules(json: &str) -> Rules {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn policy_limits_and_never_widens_what_the_car_is_set_to() {
        let mut car = config("[keeping]\nnon_hit = \"24h\"\nthumbnails = true\nhits = \"10d\"");
        let said = limit(&mut car, &rules(r#"{"keeping":{"non_hit":"3m","hits":"30d"}}"#));
        assert_eq!(said, ["keeping.non_hit = \"1d\": policy allows \"3m\", so \"3m\" holds"]);
        assert_eq!(car.keeping.non_hit.to_string(), "3m");
        assert_eq!(car.keeping.hits.to_string(), "10d", "a longer cap is no order to keep");
        let mut nothing = config("");
        assert!(limit(&mut nothing, &rules(r#"{"keeping":{"non_hit":"30d"}}"#)).is_empty());
        assert_eq!(nothing.keeping.non_hit, Retention::Nothing);
    }

    #[test]
    fn session_under_a_duration_keeps_nothing_and_says_so() {
        let mut car = config("[keeping]\nnon_hit = \"session\"");
        let said = limit(&mut car, &rules(r#"{"keeping":{"non_hit":"3m"}}"#));
        assert_eq!(car.keeping.non_hit, Retention::Nothing);
        assert_eq!(said, ["keeping.non_hit = \"session\": policy allows \"3m\", so \"0s\" holds"]);
    }

    #[test]
    fn alert_rules_take_the_place_of_the_cars() {
        let mut car = config("[alert]\nmute = [\"low\", \"medium\"]");
        let policy = rules(r#"{"alerts":{"realert_after":"10m","mute":["low"]}}"#);
        assert_eq!(limit(&mut car, &policy).len(), 2);
        assert_eq!(car.alert.mute, [Priority::Low]);
        assert_eq!(car.reading.realert_after.to_string(), "10m");
    }

    proptest! {
        #[test]
        fn nothing_is_kept_longer_than_either_says(
            rules in any_rules(),
            non_hit in prop_oneof![Just("0s"), Just("session"), Just("3m"), Just("24h")],
        ) {
            let before = config(&format!("[keeping]\nnon_hit = \"{non_hit}\""));
            let mut after = before.clone();
            limit(&mut after, &rules);
            prop_assert!(retention_within(after.keeping.non_hit, before.keeping.non_hit));
            if let Some(most) = rules.keeping.non_hit {
                prop_assert!(retention_within(after.keeping.non_hit, most));
            }
            prop_assert!(after.hotplates.most <= before.hotplates.most);
            prop_assert!(after.keeping.hits <= before.keeping.hits);
        }
    }
}
