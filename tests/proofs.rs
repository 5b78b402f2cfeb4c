//! Gives the built `outrider` logs, policies, trust documents and commands that somebody without a key has altered, and
//! checks exit codes and messages.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::path::PathBuf;
use std::process::{Command as Process, Output};

use outrider::command::{Command, Order};
use outrider::config::Vehicle;
use outrider::dsse::{Envelope, PublicKey, SigningKey};
use outrider::policy::{Policy, Previous, Rules};
use outrider::trust::{Role, Root, Trust, TrustDocument, TrustedKey};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n\
             [console]\nenabled = false\n[keeping]\ndirectory = {:?}\n\
             [[camera]]\nname = \"front\"\ndevice = \"/dev/v4l/by-path/none\"\n",
            dir.path().join("state").display().to_string()
        );
        std::fs::write(dir.path().join("outrider.toml"), config).unwrap();
        Self(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        Process::new(env!("CARGO_BIN_EXE_outrider"))
            .args(args)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn does(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What is said of something that must not pass, and that nothing else is said beside it.
    #[track_caller]
    fn refuses(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{args:?}: {said}");
        assert!(!said.contains("holds"), "{said}");
        String::from_utf8(output.stderr).unwrap()
    }

    #[track_caller]
    fn car(&self, args: &[&str]) -> String {
        self.does(&[args, &["--config", "outrider.toml"]].concat())
    }
}

/// Every record numbered and hashed anew; lines that are no records stay as they are.
fn hashed_anew(lines: &[String]) -> String {
    let (mut seq, mut prev, mut out) = (0_u64, "00".repeat(32), String::new());
    for line in lines {
        let mut line = line.clone();
        if line.starts_with("{\"v\"") {
            seq += 1;
            let record: serde_json::Value = serde_json::from_str(&line).unwrap();
            line =
                line.replacen(&format!("\"seq\":{}", record["seq"]), &format!("\"seq\":{seq}"), 1);
            line = line.replacen(
                &format!("\"prev\":{}", record["prev"]),
                &format!("\"prev\":\"{prev}\""),
                1,
            );
            prev = data_encoding::HEXLOWER.encode(&Sha256::digest(&line));
        }
        out += &line;
        out.push('\n');
    }
    out
}

#[test]
fn log_that_was_tampered_with_and_hashed_anew_is_refused_with_words_and_exit_code() {
    let desk = Desk::new();
    let key = desk.car(&["provision", "device"]);
    for _ in 0..3 {
        desk.car(&["audit", "export", "-o", "early.jsonl"]);
    }
    let early_seals = std::fs::read_to_string(desk.at("early.jsonl")).unwrap();
    desk.car(&["audit", "export", "-o", "log.jsonl"]);
    let verify = |file: &str| desk.run(&["audit", "verify", file, "--key", &key]);
    assert!(verify("log.jsonl").status.success());
    let log = std::fs::read_to_string(desk.at("log.jsonl")).unwrap();
    let lines: Vec<String> = log.lines().map(str::to_owned).collect();
    let tampered = |name: &str, lines: &[String]| -> String {
        std::fs::write(desk.at(name), hashed_anew(lines)).unwrap();
        desk.refuses(&["audit", "verify", name, "--key", &key])
    };
    let is_record = |line: &String| line.starts_with("{\"v\"");
    assert_eq!(hashed_anew(&lines), log, "the forger hashes as the car does");

    let stripped: Vec<_> = lines.iter().filter(|l| is_record(l)).cloned().collect();
    let said = tampered("stripped.jsonl", &stripped);
    assert!(said.contains("from record 1 on nobody vouches"), "{said}");
    let mut invented = stripped.clone();
    invented.splice(2..2, vec![stripped[1].clone(); 300]);
    assert!(tampered("invented.jsonl", &invented).contains("records 1 to 305"));
    // The last seal alone, the last record alone, a record in the middle.
    let seals = lines.len() - stripped.len();
    let said = tampered("end.jsonl", &lines[..lines.len() - 1]);
    assert!(said.contains("from record 5 on nobody vouches"), "{said}");
    for at in [lines.len() - 2, 0, 2] {
        let mut less = lines.clone();
        less.remove(at);
        tampered("less.jsonl", &less);
    }
    assert!(seals >= 4);
    let words: Vec<_> = lines.iter().map(|l| l.replace("\"id\":0", "\"id\":7")).collect();
    if words != lines {
        tampered("words.jsonl", &words);
    }

    // Without the car's key nothing is proved, and nothing is said to be.
    let said = desk.refuses(&["audit", "verify", "log.jsonl"]);
    assert!(said.contains("needs --key"), "{said}");
    let said = desk.car(&["audit", "verify"]);
    assert!(said.starts_with("consistent: ") && !said.contains("holds: "), "{said}");
    // An older export in the place of a newer one: what a head from outside alone can tell.
    let said = desk.does(&["audit", "verify", "early.jsonl", "--key", &key]);
    assert!(said.starts_with("holds: ") && said.contains("not known: whether records"), "{said}");
    assert!(said.contains("alpr/v1/peel/vehicle/4127/audit/checkpoint"), "{said}");
    std::fs::write(desk.at("head.json"), format!("{}\n", lines.last().unwrap())).unwrap();
    for flag in ["--checkpoint", "--witness"] {
        let args = ["audit", "verify", "early.jsonl", "--key", &key, flag, "head.json"];
        let said = desk.refuses(&args);
        assert!(said.contains("the end was cut off"), "{said}");
        let args = ["audit", "verify", "log.jsonl", "--key", &key, flag, "head.json"];
        assert!(desk.does(&args).contains("nothing up to there is missing"));
    }
    let first = early_seals.lines().find(|l| l.starts_with("{\"payload")).unwrap();
    std::fs::write(desk.at("first.json"), first).unwrap();
    let in_place = ["audit", "verify", "--key", &key, "--witness"];
    assert!(desk.car(&[&in_place[..], &["first.json"]].concat()).starts_with("holds: "));
}

#[test]
fn desk_says_of_nobody_that_he_has_signed_who_has_not() {
    let desk = Desk::new();
    desk.does(&["provision", "root", "--out", "root.key", "--public", "root.pub.json"]);
    let trust = |how: &str, further: &[&str]| -> Vec<String> {
        let signing = ["provision", "trust", how, "--root", "root.key", "--file", "trust.json"];
        signing.iter().chain(further).map(|s| (*s).to_owned()).collect()
    };
    let run = |args: Vec<String>| desk.does(&args.iter().map(String::as_str).collect::<Vec<_>>());
    run(trust("init", &["--agency", "peel"]));
    for name in ["chief", "commissioner"] {
        let made = desk.does(&["provision", "author-key", "--out", &format!("{name}.key")]);
        let public = made.lines().find_map(|l| l.strip_prefix("public ")).unwrap().to_owned();
        run(trust("grant", &["--key", &public, "--name", name, "--policy"]));
    }
    let shown = desk.does(&["provision", "trust", "show", "--file", "trust.json"]);
    assert!(shown.contains("was not checked: give --root") && !shown.contains("holds"), "{shown}");
    let args = ["provision", "trust", "show", "--file", "trust.json", "--root", "root.pub.json"];
    assert!(desk.does(&args).contains("holds: 1 of 1 root keys must sign"));

    // The chief's policy in the name of the commissioner, too.
    std::fs::write(
        desk.at("draft.toml"),
        "agency = \"peel\"\n[rules.hotplates]\nwildcards = true\n",
    )
    .unwrap();
    desk.does(&["policy", "sign", "draft.toml", "--key", "chief.key", "--out", "policy.json"]);
    let explain = |file: &str| -> Vec<String> {
        let args = ["policy", "explain", file, "--trust", "trust.json", "--root", "root.pub.json"];
        args.map(str::to_owned).to_vec()
    };
    assert!(run(explain("policy.json")).contains("Signed by chief.\nLacks one signature"));
    let signed = std::fs::read_to_string(desk.at("policy.json")).unwrap();
    let names = std::fs::read(desk.at("trust.json")).unwrap();
    let names = Envelope::parse(&names).unwrap();
    let names: TrustDocument = serde_json::from_slice(names.unverified_payload()).unwrap();
    let id = |name: &str| names.keys.iter().find(|k| k.name == name).unwrap().public.id();
    let one = signed.split_once("\"signatures\":[").unwrap().1.strip_suffix("]}").unwrap();
    let other = one.replace(id("chief").as_str(), id("commissioner").as_str());
    let forged = signed.replace(one, &format!("{one},{other}"));
    std::fs::write(desk.at("forged.json"), &forged).unwrap();
    let args = explain("forged.json");
    let said = desk.refuses(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.contains("does not fit: damaged or forged"), "{said}");
    // A stranger's signature beside a good one.
    let mut strange = Envelope::parse(signed.as_bytes()).unwrap();
    strange.add(&SigningKey::parse(&"09".repeat(32)).unwrap());
    std::fs::write(desk.at("strange.json"), strange.to_json()).unwrap();
    let args = explain("strange.json");
    let said = desk.refuses(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.contains("has signed it and may not sign policy"), "{said}");
    // Without a trust document nobody is called a signer who was not seen to be one.
    let said = desk.does(&["policy", "explain", "forged.json"]);
    assert!(said.contains(", which was not checked."), "{said}");
    let said = desk.does(&["policy", "show", "forged.json"]);
    assert!(said.contains("no signature was checked"), "{said}");

    // The root signs on from what the root has signed, and from nothing that somebody put in its place.
    let document = TrustDocument { version: 9, ..names.clone() };
    let stranger = SigningKey::parse(&"09".repeat(32)).unwrap();
    std::fs::write(desk.at("trust.json"), document.sign(&[&stranger]).to_json()).unwrap();
    let args = trust("withdraw", &["--key-name", id("chief").as_str()]);
    let said = desk.refuses(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.contains("is not as this root has signed it"), "{said}");
}

/// A desk with a root, and a chief and a commissioner who may sign policy.
fn with_two_signers() -> (Desk, [SigningKey; 2]) {
    let desk = Desk::new();
    desk.does(&["provision", "root", "--out", "root.key", "--public", "root.pub.json"]);
    let of_root = ["--root", "root.key", "--file", "trust.json"];
    let trust = ["provision", "trust"];
    desk.does(&[&trust[..], &["init"], &of_root, &["--agency", "peel"]].concat());
    let keys = ["chief", "commissioner"].map(|name| {
        let file = format!("{name}.key");
        desk.does(&["provision", "author-key", "--out", &file]);
        let text = std::fs::read_to_string(desk.at(&file)).unwrap();
        let key = SigningKey::parse(text.lines().last().unwrap()).unwrap();
        let public = key.public().to_string();
        let grants = ["--key", &public, "--name", name, "--policy"];
        desk.does(&[&trust[..], &["grant"], &of_root, &grants].concat());
        key
    });
    (desk, keys)
}

#[test]
fn desk_says_no_car_takes_it_of_a_policy_that_no_car_takes_however_well_it_is_signed() {
    let (desk, [chief, commissioner]) = with_two_signers();
    let now = jiff::Timestamp::now();
    let good = Policy {
        agency: "peel".into(),
        version: 7,
        issued: now,
        expires: None,
        note: String::new(),
        rules: serde_json::from_str(r#"{"hotplates":{"wildcards":true}}"#).unwrap(),
    };
    let write = |name: &str, policy: &Policy, keys: &[&SigningKey]| {
        std::fs::write(desk.at(name), policy.sign(keys).to_json()).unwrap();
    };
    let trust = ["--trust", "trust.json", "--root", "root.pub.json"];
    let explain = ["policy", "explain", "policy.json"];
    let args = [&explain[..], &trust].concat();
    write("policy.json", &good, &[&chief, &commissioner]);
    let said = desk.does(&args);
    assert!(said.ends_with("Signed by chief.\nSigned by commissioner."), "{said}");

    let hours = jiff::SignedDuration::from_hours;
    let cases = [
        (Policy { agency: "opp".into(), ..good.clone() }, "it is for agency \"opp\""),
        (Policy { issued: now + hours(24 * 365), ..good.clone() }, "no car would take it"),
        (Policy { expires: Some(now - hours(1)), ..good.clone() }, "no car would take it"),
        (Policy { version: u64::MAX, ..good.clone() }, "no car would take it"),
    ];
    for (policy, why) in cases {
        write("policy.json", &policy, &[&chief, &commissioner]);
        let output = desk.run(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{why}: {said}");
    }

    // With another policy in the place of the one in force, the change looks smaller than it is.
    write("policy.json", &good, &[&chief, &commissioner]);
    let stranger = SigningKey::parse(&"09".repeat(32)).unwrap();
    let before = Policy { version: 6, ..good.clone() };
    for (keys, why) in [
        (&[&chief, &stranger][..], "no car compares with it"),
        (&[][..], "no car compares with it"),
    ] {
        write("before.json", &before, keys);
        let with_it = [&args[..], &["--previous", "before.json"]].concat();
        let said = desk.refuses(&with_it);
        assert!(said.contains(why), "{said}");
    }
    let unchecked = [&explain[..], &["--previous", "before.json"]].concat();
    assert!(desk.does(&unchecked).contains("Who signed the previous policy was not checked"));
    write("before.json", &before, &[&chief]);
    let with_it = [&args[..], &["--previous", "before.json"]].concat();
    assert!(desk.does(&with_it).contains("one signature is enough"));

    // A retired key signs nothing new; what it has signed stands.
    let id = chief.public().id();
    let retire = ["provision", "trust", "retire", "--root", "root.key", "--file", "trust.json"];
    desk.does(&[&retire[..], &["--key-name", id.as_str()]].concat());
    let output = desk.run(&with_it);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&format!("no car takes it: key {id} has signed it")), "{said}");
    write("policy.json", &good, &[&commissioner]);
    assert!(desk.does(&with_it).contains("Signed by commissioner."));
}

#[test]
fn words_in_a_document_that_nobody_signed_do_not_look_like_ours() {
    const FORGED: &str = "peel\nSigned by chief.\u{1b}[1A\u{202e}";
    let (desk, _) = with_two_signers();
    let agency = FORGED.to_owned();
    let rules: Rules = serde_json::from_str(r#"{"keeping":{"non_hit":"0s"}}"#).unwrap();
    let issued = jiff::Timestamp::now();
    let policy = Policy {
        agency: agency.clone(),
        version: 1,
        issued,
        expires: None,
        note: FORGED.into(),
        rules,
    };
    std::fs::write(desk.at("policy.json"), policy.sign(&[]).to_json()).unwrap();
    let named = TrustedKey {
        name: FORGED.into(),
        public: key(1).public(),
        roles: vec![Role::ListAuthor(FORGED.into())],
    };
    let document = TrustDocument {
        agency,
        version: 1,
        issued,
        expires: None,
        keys: vec![named],
        withdrawn: Vec::new(),
        retired: Vec::new(),
    };
    std::fs::write(desk.at("forged.json"), document.sign(&[]).to_json()).unwrap();
    for args in [
        &["policy", "show", "policy.json"][..],
        &["policy", "explain", "policy.json"],
        &["provision", "trust", "show", "--file", "forged.json"],
    ] {
        let said = desk.does(args);
        assert!(said.contains("peel Signed by chief."), "it is shown: {said}");
        assert!(!said.lines().any(|line| line.starts_with("Signed by")), "{args:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{args:?}: {said:?}");
    }
}

#[test]
fn file_of_any_size_is_refused_and_not_read_to_its_end() {
    let desk = Desk::new();
    let key = desk.car(&["provision", "device"]);
    desk.car(&["audit", "export", "-o", "log.jsonl"]);
    // Ten gigabytes that take no room: zeros, and zeros behind a good log.
    for name in ["huge", "log.jsonl"] {
        let file = std::fs::File::options().create(true).append(true).open(desk.at(name)).unwrap();
        file.set_len(10 << 30).unwrap();
    }
    let [bundle, log] = ["evidence", "audit"].map(|what| [what, "verify", "--key", &key]);
    let public = ["provision", "root", "--out", "a.key", "--add", "--public"];
    for (command, file, why) in [
        (&bundle[..], "huge", "more than 67108864 bytes"),
        (&bundle, "/dev/zero", "more than 67108864 bytes"),
        (&log, "huge", "record 1: its line is damaged"),
        (&log, "log.jsonl", "its line is damaged"),
        (&log, "/dev/zero", "record 1: its line is damaged"),
        (&["audit", "verify", "--checkpoint"], "huge", "cannot read huge: has more than 65536"),
        (&["provision", "send-command"], "huge", "cannot read huge: has more than 1048576 bytes"),
        (&["provision", "send-command"], "/dev/zero", "has more than 1048576 bytes"),
        (&["provision", "trust", "show", "--file"], "huge", "has more than 1048576 bytes"),
        (&public, "/dev/zero", "cannot read /dev/zero: has more than 65536 bytes"),
        (&["policy", "show"], "huge", "cannot read huge: has more than 4194304 bytes"),
    ] {
        // In two gigabytes of memory: whoever reads it whole does not get them.
        let output = Process::new("sh")
            .args(["-c", "ulimit -v 2000000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_outrider")])
            .args(command)
            .arg(file)
            .current_dir(desk.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?} {file}: {said}");
        assert!(said.contains(why), "{command:?} {file}: {said}");
    }
}

fn key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

fn now() -> jiff::Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

fn trust() -> Envelope {
    let issued = "2026-11-24T06:00:00Z".parse().unwrap();
    let keys = (1..=3_u8)
        .map(|n| TrustedKey {
            name: format!("person {n}"),
            public: key(n).public(),
            roles: vec![Role::Policy, Role::Command],
        })
        .collect();
    let (agency, withdrawn) = ("peel".into(), Vec::new());
    TrustDocument {
        agency,
        version: 3,
        issued,
        expires: None,
        keys,
        withdrawn,
        retired: Vec::new(),
    }
    .sign(&[&key(8)])
}

fn root() -> Root {
    Root { keys: vec![key(8).public()], needed: 1 }
}

fn policy() -> Envelope {
    let (agency, note) = ("peel".into(), "review".into());
    let rules: Rules = serde_json::from_str(r#"{"keeping":{"non_hit":"24h"}}"#).unwrap();
    let issued = "2026-11-24T06:00:00Z".parse().unwrap();
    Policy { agency, version: 1, issued, expires: None, note, rules }.sign(&[&key(1), &key(2)])
}

fn command() -> Envelope {
    Command {
        agency: "peel".into(),
        vehicle: "4127".into(),
        key: key(7).public().id(),
        order: Order::Wipe,
        reason: "stolen".into(),
        issued: "2026-11-23T07:00:00Z".parse().unwrap(),
        expires: "2026-11-30T07:00:00Z".parse().unwrap(),
    }
    .sign(&key(3))
}

/// Whether a message is believed as one of these three.
fn believed(bytes: &[u8]) -> [bool; 3] {
    let envelope = Envelope::parse(bytes);
    let opened = |envelope: &Envelope| Trust::open(envelope, &root(), "peel", 0, now());
    let held = opened(&trust()).unwrap();
    let commanders: Vec<PublicKey> = held.keys_for(&Role::Command);
    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let none = Previous::default();
    [
        envelope.as_ref().is_ok_and(|e| opened(e).is_ok()),
        Policy::open(bytes, Some(&held), "peel", &none, None, now()).is_ok(),
        envelope.is_ok_and(|e| {
            Command::open(&e, &commanders, &vehicle, &key(7).public(), now()).is_ok()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Bytes changed, parts of one document put into another, signatures of strangers added: what is
    /// believed is what was signed, as what it was signed.
    #[test]
    fn document_that_is_believed_is_the_one_that_was_signed(
        which in 0_usize..3, at in 0_usize..3_000, takes in 0_usize..4,
        puts in prop::collection::vec(any::<u8>(), 0..4),
        payload_of in 0_usize..3, kind_of in 0_usize..3, signatures_of in 0_usize..3, own in prop::option::of(20_u8..24),
    ) {
        let good = [trust(), policy(), command()];
        let json = |n: usize| -> serde_json::Value { serde_json::from_slice(&good[n].to_json()).unwrap() };
        let (kind, payload, signed) = (json(kind_of), json(payload_of), json(signatures_of));
        let spliced = format!(
            "{{\"payloadType\":{},\"payload\":{},\"signatures\":{}}}",
            kind["payloadType"], payload["payload"], signed["signatures"]
        );
        // As a forger who re-wraps with what lies about.
        let mut bad = match (at % 2, Envelope::parse(spliced.as_bytes())) {
            (0, Ok(mut envelope)) => {
                if let Some(n) = own { envelope.add(&key(n)) }
                envelope.to_json()
            }
            _ => good[which].to_json(),
        };
        let place = at % bad.len();
        let end = (place + takes).min(bad.len());
        bad.splice(place..end, puts);
        let expected = [0, 1, 2].map(|n| bad == good[n].to_json());
        prop_assert_eq!(believed(&bad), expected);
    }
}
