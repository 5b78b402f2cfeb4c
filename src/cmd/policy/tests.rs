use std::path::PathBuf;

use super::*;
use crate::secret_file;

const DRAFT: &str = r#"
agency = "peel"
note = "after the review of 12 November"
[rules.keeping]
non_hit = "24h"
[rules.lists]
categories = ["missing", "stolen_vehicle"]
[rules.lists.named.amber]
matching = "wildcard"
"#;

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for (name, n) in [("chief", 1), ("commissioner", 2)] {
            let text = format!("# signer's key\n{}\n", format!("{n:02x}").repeat(32));
            secret_file::create(&desk.at(&format!("{name}.key")), &text).unwrap();
        }
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sign(&self, file: &str, key: &str, out: &str) -> anyhow::Result<()> {
        let args = SignArgs {
            file: self.at(file),
            key: vec![self.at(&format!("{key}.key"))],
            previous: None,
            out: self.at(out),
        };
        args.run()
    }
}

#[test]
fn draft_is_signed_by_one_and_then_by_another() {
    let desk = Desk::new();
    std::fs::write(desk.at("draft.toml"), DRAFT).unwrap();
    desk.sign("draft.toml", "chief", "policy.json").unwrap();
    desk.sign("policy.json", "commissioner", "policy.json").unwrap();
    let found = read(&desk.at("policy.json")).unwrap();
    assert_eq!(found.policy.version, 1);
    let keys: Vec<_> =
        [1, 2].map(|n| SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap().public()).into();
    let envelope = found.envelope.unwrap();
    assert_eq!(envelope.open(POLICY_TYPE, &keys, 2).unwrap().1.len(), 2);
}

#[test]
fn version_counts_on_from_the_previous_and_never_back() {
    let desk = Desk::new();
    std::fs::write(desk.at("draft.toml"), format!("version = 7\n{DRAFT}")).unwrap();
    desk.sign("draft.toml", "chief", "policy-7.json").unwrap();
    std::fs::write(desk.at("draft.toml"), DRAFT).unwrap();
    let previous = read(&desk.at("policy-7.json")).unwrap().policy;
    assert_eq!(read_draft(&desk.at("draft.toml"), Some(&previous)).unwrap().policy.version, 8);
    std::fs::write(desk.at("draft.toml"), format!("version = 7\n{DRAFT}")).unwrap();
    let back = SignArgs {
        file: desk.at("draft.toml"),
        key: vec![desk.at("chief.key")],
        previous: Some(desk.at("policy-7.json")),
        out: desk.at("policy-8.json"),
    };
    let message = back.run().unwrap_err().to_string();
    assert_eq!(message, "the draft is version 7, but 7 is in force: no car would take it");
    assert!(!desk.at("policy-8.json").exists());
}

#[test]
fn misspelt_rule_is_named_with_its_line() {
    let desk = Desk::new();
    std::fs::write(desk.at("draft.toml"), DRAFT.replace("non_hit", "nonhit")).unwrap();
    let message = format!("{:#}", read(&desk.at("draft.toml")).err().unwrap());
    assert!(message.contains("unknown field `nonhit`"), "{message}");
}

#[test]
fn what_is_told() {
    let desk = Desk::new();
    std::fs::write(desk.at("draft.toml"), DRAFT).unwrap();
    let mut policy = read(&desk.at("draft.toml")).unwrap().policy;
    policy.issued = "2026-11-24T07:00:00Z".parse().unwrap();
    let narrow: Rules = serde_json::from_str(r#"{"keeping":{"non_hit":"0s"}}"#).unwrap();
    let before = Policy { rules: narrow, version: 6, ..policy.clone() };
    policy.version = 7;
    let changed = policy::changes(&before.rules, &policy.rules);
    let mut text = describe::changes(&policy, Some(&before), &changed);
    let signed = |name: &str, n: u8| describe::Signed {
        key: SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap().public().id(),
        name: Some(name.into()),
    };
    text +=
        &describe::who_must_sign(&changed, &[signed("A. Chief", 1)], Path::new("policy-7.json"));
    assert_eq!(
        text,
        "Policy 7 of peel, issued 2026-11-24T07:00:00Z, without an end: after the review of 12 November\n\
         Compared with version 6:\n\
         \x20 WIDENS   keeps reads that match nothing for 24 hours instead of not at all: keeps MORE, needs two signatures\n\
         \x20 WIDENS   list amber: matches the text as read, what the vote held possible, and partial plates instead of the text as read and what the vote held possible: matches MORE, needs two signatures\n\
         \x20 SILENCES  alarms for entries of missing, stolen_vehicle instead of entries of any category: what alarmed alarms NO MORE, needs two signatures\n\
         It widens and silences: two different people must sign.\n\
         Signed by A. Chief.\n\
         Lacks one signature: outrider policy sign policy-7.json --key KEY --out FILE\n"
    );
    let both = [signed("A. Chief", 1), signed("B. Commissioner", 2)];
    let enough = describe::who_must_sign(&changed, &both, Path::new("policy-7.json"));
    assert!(enough.ends_with("Signed by B. Commissioner.\n"), "{enough}");
}

#[test]
fn what_no_car_may_take_is_not_published() {
    let desk = Desk::new();
    std::fs::write(desk.at("draft.toml"), DRAFT).unwrap();
    let policy = read(&desk.at("draft.toml")).unwrap().policy;
    let before = Policy { version: 6, ..policy.clone() };
    let next = |rules: &str| Policy {
        version: 7,
        rules: serde_json::from_str(rules).unwrap(),
        ..policy.clone()
    };
    let (a, b) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let refused = |policy: &Policy, keys: &[&SigningKey], previous| {
        let done = publish::some_car_takes(policy, &policy.sign(keys), previous, None);
        done.err().map(|e| format!("{e:#}")).unwrap_or_default()
    };
    let silent = next(r#"{"lists":{"categories":[]}}"#);
    assert_eq!(refused(&silent, &[], Some(&before)), "nobody has signed it: outrider policy sign");
    let once = refused(&silent, &[&a], Some(&before));
    assert!(once.starts_with("it silences and one person has signed it"), "{once}");
    let unknown = refused(&silent, &[&a], None);
    assert!(unknown.contains("without --previous FILE this command cannot know"), "{unknown}");
    assert_eq!(refused(&silent, &[&a, &b], Some(&before)), "");
    let last = Policy { version: u64::MAX, ..silent.clone() };
    assert!(refused(&last, &[&a, &b], Some(&before)).contains("no car would take it"));
    let same = Policy { version: 7, ..before.clone() };
    assert_eq!(refused(&same, &[&a], Some(&before)), "", "one is enough where nothing changes");
}
