//! A running car takes a policy that the built `outrider` has signed; the tests check what it does to the ring, to
//! `check`, and to entries that are new on a list.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use common::desk::Desk;
use common::page::{self, Heard};
use common::running::{Car, child};
use common::{search, until};

/// The daemon's process. Runs only when the test below starts it.
#[test]
fn child_that_runs() {
    child();
}

/// Signs rules as the next policy and puts it where the car looks.
fn policy(desk: &Desk, version: u64, rules: &str, signers: &[&str]) {
    let draft = format!("agency = \"peel\"\nversion = {version}\n{rules}");
    std::fs::write(desk.0.join("draft.toml"), draft).unwrap();
    let before = format!("policy-{}.json", version - 1);
    let previous = match version {
        1 => vec![],
        _ => vec!["--previous", before.as_str()],
    };
    let out = format!("policy-{version}.json");
    let mut from = "draft.toml".to_owned();
    for name in signers {
        let key = format!("{name}.key");
        let further: &[&str] = if from == "draft.toml" { &previous } else { &[] };
        desk.does(&[&["policy", "sign", &from, "--key", &key, "--out", &out], further].concat());
        from.clone_from(&out);
    }
    // In one step: the car must not read half of it.
    std::fs::copy(desk.0.join(&out), desk.0.join("aside")).unwrap();
    std::fs::rename(desk.0.join("aside"), desk.0.join("policy.json")).unwrap();
}

#[test]
fn policy_allows_one_comparison_and_then_ends_the_ring_while_the_car_runs() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::new(&dir.path().join("desk"));
    ["chief", "commissioner"].iter().for_each(|name| desk.grant(name, "--policy"));
    let further = format!(
        "[console]\nlisten = \"127.0.0.1:0\"\n[trust]\nroot = \"{desk}/root.pub.json\"\n\
         document = \"{desk}/trust.json\"\n[policy]\nfile = \"{desk}/policy.json\"\n",
        desk = desk.0.display()
    );
    let mut car = Car::new(&dir.path().join("car"), "non_hit = \"1h\"", &further, &["ZKHIT01"]);
    car.start(&["ZKHIT01", "ZKPASS1", "ZKPASS2"]);
    let ring = car.state().join("ring");
    let buckets = || search::files(&ring, &[]).keys().filter(|p| p.ends_with(".key")).count();
    until("the ring has written", || buckets() > 0);
    let check = || -> serde_json::Value {
        // Other parts may well fail here: there is no camera.
        let output = car.run(&["check", "--json"]);
        let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        findings.into_iter().find(|f| f["part"] == "policy").unwrap()
    };
    assert_eq!(check()["fact"], "none: the configuration alone decides");

    // New on the list before anybody allowed it: nothing is compared.
    let list = |plates: &str| std::fs::write(car.path("list.txt"), plates).unwrap();
    list("ZKHIT01\nZKPASS2\n");
    let heard = Heard::default();
    page::listen(&car.told("console ").unwrap().parse().unwrap(), &heard);
    let page = || String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    until("the list is taken", || page().contains("\"entries\":2"));
    policy(&desk, 1, "[rules.lookups]\npast_reads = true\n", &["chief"]);
    until("one signature is refused", || car.recorded("policy_refused") == 1);
    let refused = check();
    assert_eq!(refused["level"], "warn");
    assert!(refused["fact"].as_str().unwrap().contains("1 of the 2 signatures"), "{refused}");
    policy(&desk, 1, "[rules.lookups]\npast_reads = true\n", &["chief", "commissioner"]);
    until("two are enough", || car.recorded("policy_applied") == 1);
    assert_eq!(car.recorded("look_up"), 0);

    list("ZKHIT01\nZKPASS1\nZKPASS2\n");
    until("the new entry is compared", || car.recorded("look_up") >= 1);
    let records = car.audit();
    let looked: Vec<_> = records.iter().filter(|r| r["event"]["kind"] == "look_up").collect();
    let [one] = looked[..] else { panic!("{looked:?}") };
    assert_eq!((&one["who"]["role"], &one["event"]["results"]), (&"system".into(), &1.into()));
    assert_eq!(one["event"]["case"], "policy version 1");
    until("the page shows it", || page().contains("\"past\":[{"));
    assert!(!page().contains("event: hit\n"), "it raises no alert");
    assert_eq!(car.recorded("hit_recorded"), 1);

    // Narrower while it runs: one signature, within seconds, and nothing of the ring is left.
    policy(&desk, 2, "[rules.keeping]\nnon_hit = \"0s\"\n", &["commissioner"]);
    until("the ring is gone", || !ring.exists());
    let shown = page().len();
    until("the page forgets it", || page()[shown..].contains("\"past\":[]"));
    let found = check();
    assert_eq!(found["level"], "ok", "{found}");
    let fact = found["fact"].as_str().unwrap();
    assert!(fact.starts_with("version 2 of "), "{fact}");
    assert!(fact.contains("keeping.non_hit = \"1h\""), "{fact}");
    assert!(car.recorded("bucket_purged") >= 1);
    car.stop();
}
