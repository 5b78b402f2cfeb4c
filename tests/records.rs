//! Asks a running car with the built `outrider` for look-ups, dispositions, evidence, holds, the audit log and the
//! report, and checks outputs, exit codes, what is refused, and what is on record afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use common::people::PIN;
use common::running::{Car, child, refusal};
use common::{skipped, until};

/// The daemon's process. Runs only when a test below starts it.
#[test]
fn child_that_runs() {
    child();
}

const HIT: &str = "ZKHIT01";
const OTHER_HIT: &str = "ZKHIT02";
const PASSED: &str = "ZKPASS1";

/// A car that has just driven past three vehicles, two of them listed.
fn driven(folder: &std::path::Path) -> Car {
    let mut car = Car::new(folder, "non_hit = \"1h\"", "", &[HIT, OTHER_HIT]);
    car.start(&[HIT, PASSED, OTHER_HIT]);
    until("both hits are recorded", || car.recorded("hit_recorded") == 2);
    // The ring writes within a second.
    until("the ring has the third", || {
        let args = ["query", PASSED, "--reason", "complaint", "--case", "26-00001"];
        let who = ["--officer", "5000", "--role", "supervisor"];
        car.does(&[&args[..], &who].concat()).contains("read  ")
    });
    car
}

/// Whether a process writes no core file, whatever ends it.
fn dumps_nothing(process: u32) -> bool {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    core.is_some_and(|core| core.split_whitespace().take(2).eq(["0", "0"]))
}

#[test]
fn hotplate_is_typed_where_no_list_of_processes_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let car = driven(dir.path());
    let add = ["hotplate", "add", "-", "--reason", "left the scene", "--by", "1234"];
    let mut add = car.command(&add);
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    until("a crash leaves no memory of it behind", || dumps_nothing(add.id()));
    add.stdin.take().unwrap().write_all(b"ZKADDED\n").unwrap();
    let add = add.wait_with_output().unwrap();
    assert!(add.status.success());
    let hotplates = car.does(&["hotplate", "list"]);
    assert!(hotplates.contains("ZKADDED"), "{hotplates}");
}

/// A look-up with grounds, by this officer.
fn query<'a>(plate: &'a str, officer: &'a str, role: &'a str) -> Vec<&'a str> {
    vec![
        "query",
        plate,
        "--reason",
        "hit_and_run",
        "--case",
        "26-00417",
        "--officer",
        officer,
        "--role",
        role,
    ]
}

#[test]
fn look_ups_of_a_running_car_are_answered_refused_limited_and_all_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let car = driven(dir.path());
    let (asked, turned_away) = (car.recorded("look_up"), car.recorded("look_up_refused"));

    let found = car.does(&query(HIT, "1234", "officer"));
    assert!(found.starts_with("searched: the hits of this car, and the reads"), "{found}");
    assert!(found.contains("\nhit   01") && found.contains("front") && found.contains("(test)"));
    let found = car.does(&query(PASSED, "1234", "officer"));
    assert!(found.contains("\nread  01") && found.ends_with("no fix"), "{found}");
    assert!(car.does(&query("ZKNEVER", "1234", "officer")).ends_with("nothing found"));
    let json = car.does(&[&query(HIT, "1234", "officer")[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["hits"][0]["list"], "test");

    // The plate on standard input, where no list of processes shows it.
    let mut typed = car.command(&query("-", "1234", "officer"));
    let mut typed = typed.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    until("a crash leaves no memory of it behind", || dumps_nothing(typed.id()));
    typed.stdin.take().unwrap().write_all(format!("{HIT}\n").as_bytes()).unwrap();
    let typed = typed.wait_with_output().unwrap();
    assert!(String::from_utf8(typed.stdout).unwrap().contains("hit   01"));

    let refused = |change: &dyn Fn(&mut Vec<&str>)| {
        let mut args = query(HIT, "77", "officer");
        change(&mut args);
        car.refuses(&args)
    };
    let why = refused(&|args| args[3] = "curious");
    assert!(
        why.starts_with("\"curious\" is no reason code; the codes are: stolen_vehicle"),
        "{why}"
    );
    let why = refused(&|args| args[5] = "n/a");
    assert!(why.contains("\"n/a\" names no case"), "{why}");
    let why = refused(&|args| args[1] = "ZK*");
    assert!(why.contains("give the whole plate"), "{why}");
    let why = refused(&|args| args.extend(["--since", "3d"]));
    assert!(why.contains("officer may not look plates up across days: ask a supervisor"), "{why}");
    let why = refused(&|args| args.extend(["--since", "yesterday"]));
    assert!(why.contains("--since \"yesterday\": give 2h, 3d, or"), "{why}");
    let far = [&query(HIT, "9", "supervisor")[..], &["--since", "3d"]].concat();
    assert!(car.does(&far).contains("hit   01"));
    // What is not even a question is refused before it is asked.
    let without = car.run(&["query", HIT, "--officer", "1234", "--role", "officer"]);
    assert_eq!(without.status.code(), Some(2));

    // Five by officer 1234 so far.
    car.does(&query(HIT, "1234", "officer"));
    let why = car.refuses(&query(HIT, "1234", "officer"));
    assert!(why.starts_with("too many look-ups: at most 6 in ten minutes by one person"), "{why}");

    assert_eq!(car.recorded("look_up") - asked, 7);
    assert_eq!(car.recorded("look_up_refused") - turned_away, 5);
    let log = car.does(&["audit", "show", "-n", "1000", "--json"]);
    for plate in [HIT, OTHER_HIT, PASSED, "ZKNEVER"] {
        assert!(!log.contains(plate), "{plate} is in the audit log");
    }
    let shown = car.does(&["audit", "show", "-n", "2"]);
    assert!(shown.contains("officer 1234  look up refused"), "{shown}");
    assert_eq!(shown.lines().count(), 2);
}

#[test]
fn a_hit_is_judged_held_and_taken_as_evidence_from_a_running_car() {
    let dir = tempfile::tempdir().unwrap();
    let car = driven(dir.path());
    let records = car.audit();
    let hits: Vec<&str> = records
        .iter()
        .filter(|r| r["event"]["kind"] == "hit_recorded")
        .map(|r| r["event"]["hit"].as_str().unwrap())
        .collect();
    let [hit, other] = hits[..] else { panic!("{hits:?}") };
    let says = |word: &str| car.does(&["disposition", hit, word, "--officer", "1234"]);
    let refuses =
        |hit: &str, word: &str| car.refuses(&["disposition", hit, word, "--officer", "1"]);

    assert!(refuses(hit, "dispatch_confirmed").contains("is not confirmed by sight"));
    assert!(refuses(other, "arrest").contains("has not been looked at"));
    assert!(
        refuses("nonsense", "confirmed").contains("no hit"),
        "{}",
        refuses("nonsense", "stale")
    );
    let half = ["disposition", hit, "confirmed", "--officer", "1234", "--characters-match"];
    assert!(car.refuses(&half).contains("both compared"));
    let both = [&half[..], &["--jurisdiction-matches"]].concat();
    assert!(car.does(&both).starts_with("CONFIRMED BY SIGHT"));
    assert!(refuses(hit, "dispatch_confirmed").contains("say who at dispatch said so"));
    let operator = |number: &str| {
        ["disposition", hit, "dispatch_confirmed", "--officer", "1234", "--operator", number]
            .map(str::to_owned)
    };
    let plate = operator("CKSV841");
    assert!(car.refuses(&plate.each_ref().map(String::as_str)).contains("1 to 8 digits"));
    let active = "CONFIRMED ACTIVE BY DISPATCH: grounds to act as listed";
    assert_eq!(car.does(&operator("27").each_ref().map(String::as_str)), active);
    assert_eq!(says("arrest"), active);
    assert_eq!((car.recorded("disposition"), car.recorded("outcome")), (2, 1));

    let bundle = car.path("bundle.zip");
    let evidence = |role: &str, case: &str| -> Vec<String> {
        let to = bundle.to_str().unwrap();
        ["evidence", hit, "-o", to, "--officer", "77", "--role", role, "--case", case]
            .map(str::to_owned)
            .to_vec()
    };
    let run = |args: &[String]| car.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let why = refusal(&["officer"], run(&evidence("officer", "26-00417")));
    assert!(why.contains("officer may not export evidence"), "{why}");
    let why = refusal(&["case"], run(&evidence("supervisor", "test")));
    assert!(why.contains("names no case"), "{why}");
    assert!(!bundle.exists(), "a refusal leaves no file");
    assert!(run(&evidence("supervisor", "26-00417")).status.success());
    let why = refusal(&["there already"], run(&evidence("supervisor", "26-00417")));
    assert!(why.contains("cannot write") && why.contains("exists"), "{why}");
    assert_eq!((car.recorded("evidence_exported"), car.recorded("evidence_refused")), (1, 2));

    let key = car.does(&["audit", "key"]);
    let verify = |bundle: &std::path::Path| {
        Command::new(env!("CARGO_BIN_EXE_outrider"))
            .args(["evidence", "verify", bundle.to_str().unwrap(), "--key", &key])
            .output()
            .unwrap()
    };
    let holds = String::from_utf8(verify(&bundle).stdout).unwrap();
    assert!(holds.starts_with(&format!("holds: hit {hit} of vehicle 4127 of peel")), "{holds}");
    // By its digest a bundle is found again in the log, where later steps stand too.
    let mut records = car.audit().into_iter();
    let exported = records.find(|r| r["event"]["kind"] == "evidence_exported").unwrap();
    assert!(holds.contains(exported["event"]["sha256"].as_str().unwrap()), "{holds}");
    assert!(holds.contains("not known: what was entered of this hit after"), "{holds}");
    assert!(holds.contains("whoever had the disk then had the key"), "{holds}");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let edited = car.path("edited.zip");
    std::fs::write(&edited, bytes).unwrap();
    refusal(&["edited"], verify(&edited));

    let place = ["hold", hit, "--reason", "court order 26-118", "--author", "Sgt. Okafor"];
    let why = car.refuses(&[&place[..], &["--until", "2001-01-01"]].concat());
    assert!(why.contains("would be over already"), "{why}");
    let held = car.does(&[&place[..], &["--until", "2099-06-01"]].concat());
    assert_eq!(held, format!("hit {hit} held until 2099-06-02T00:00:00Z"));
    assert!(car.does(&["hold", "--list"]).contains("\"reason\":\"court order 26-118\""));
    let ended = car.does(&["hold", hit, "--release", "--author", "Insp. Roy"]);
    assert!(ended.contains("legal holds ended: 1; its retention applies again"), "{ended}");
    assert_eq!(car.does(&["hold", "--list"]), "");
    assert_eq!((car.recorded("legal_hold"), car.recorded("legal_hold_ended")), (1, 1));
}

#[test]
fn log_and_report_of_a_running_car_need_no_key_and_those_of_a_stopped_one_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut car = driven(dir.path());
    car.does(&query(HIT, "1234", "officer"));
    let (key_file, aside) = (car.state().join("device.key"), car.path("aside"));
    std::fs::rename(&key_file, &aside).unwrap();

    let key = car.does(&["audit", "key"]);
    // Without a key that somebody else knows a log is consistent and no more.
    let verdict = car.does(&["audit", "verify"]);
    assert!(verdict.starts_with("consistent: ") && !verdict.contains("holds: "), "{verdict}");
    assert!(verdict.contains("not proved: who wrote it"), "{verdict}");
    let verdict = car.does(&["audit", "verify", "--key", &key]);
    assert!(verdict.starts_with("holds: ") && !verdict.contains("who wrote it"), "{verdict}");
    let stranger = "00".repeat(31) + "01";
    let why = car.refuses(&["audit", "verify", "--key", &stranger]);
    assert!(why.starts_with("audit log: checkpoint after record"), "{why}");

    let export = car.path("export.jsonl");
    car.does(&["audit", "export", "-o", export.to_str().unwrap()]);
    let verify = |export: &std::path::Path| {
        Command::new(env!("CARGO_BIN_EXE_outrider"))
            .args(["audit", "verify", export.to_str().unwrap(), "--key", &key])
            .output()
            .unwrap()
    };
    assert!(verify(&export).status.success());
    let text = std::fs::read_to_string(&export).unwrap();
    let exported = text.lines().find(|l| l.contains("audit_exported")).unwrap();
    let uid = rustix::process::getuid().as_raw();
    assert!(exported.contains(&format!("\"role\":\"shell\",\"id\":{uid}")), "{exported}");
    let edited = car.path("edited.jsonl");
    std::fs::write(&edited, text.replacen("hit_and_run", "amber_alert", 1)).unwrap();
    let record: serde_json::Value = text
        .lines()
        .find(|l| l.contains("hit_and_run"))
        .map(|l| serde_json::from_str(l).unwrap())
        .unwrap();
    let why = refusal(&["edited"], verify(&edited));
    assert!(why.contains(&format!("record {}: changed", record["seq"])), "{why}");

    let report =
        |car: &Car| -> serde_json::Value { serde_json::from_str(&car.does(&["report"])).unwrap() };
    let running = report(&car);
    assert_eq!(running["total"]["queries_by_reason"]["hit_and_run"], 1, "{running:#}");
    let folder = car.path("report");
    car.does(&["report", "-o", folder.to_str().unwrap()]);
    for file in ["report.json", "report.csv", "report.html"] {
        assert!(folder.join(file).metadata().unwrap().len() > 0);
    }
    assert!(!key_file.exists(), "nobody has made another key");

    car.stop();
    // Without daemon and key there is nothing to be read, and no key is made by trying.
    for args in [&["audit", "show"][..], &["audit", "verify"], &["report"], &["hold", "--list"]] {
        let why = car.refuses(args);
        assert!(why.contains("has no device key"), "{args:?}: {why}");
    }
    assert!(!key_file.exists());
    std::fs::rename(&aside, &key_file).unwrap();
    assert_eq!(car.does(&["audit", "key"]), key);
    assert!(car.does(&["audit", "verify", "--key", &key]).starts_with("holds: "));
    assert_eq!(report(&car)["total"]["queries_by_reason"]["hit_and_run"], 1);
    let why = car.refuses(&query(HIT, "1234", "officer"));
    assert!(why.contains("is `outrider run` at work"), "{why}");
}

#[test]
fn only_who_is_signed_in_enters_anything_and_each_refusal_is_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let car = driven(dir.path());
    let hit = car.audit().into_iter().find(|r| r["event"]["kind"] == "hit_recorded").unwrap();
    let hit = hit["event"]["hit"].as_str().unwrap().to_owned();
    let bundle = car.path("bundle.zip").display().to_string();
    let grounds = ["--reason", "hit_and_run", "--case", "26-00417"];
    let query = [&["query", HIT][..], &grounds].concat();
    let everything: [&[&str]; 4] = [
        &query,
        &["disposition", &hit, "misread"],
        &["hold", &hit, "--reason", "court order 26-118", "--until", "2099-06-01"],
        &["evidence", &hit, "-o", &bundle, "--case", "26-00417"],
    ];
    let refuses =
        |person: &str, args: &[&str]| refusal(args, car.command_as(person, args).output().unwrap());
    let before = car.recorded("entry_refused");
    for args in everything {
        let why = refuses("nobody", args);
        assert!(why.starts_with("nobody is signed in here: sign in"), "{args:?}: {why}");
    }
    assert_eq!(car.recorded("entry_refused") - before, everything.len());

    // A wrong PIN is told as a wrong number is, and neither is written down.
    let wrong = refusal(&["wrong PIN"], car.login("1234", "480214"));
    assert_eq!(wrong, "number or PIN is wrong");
    assert_eq!(refusal(&["wrong number"], car.login("4711", PIN)), wrong);
    let said = car.login("1234", PIN);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.starts_with("signed in as 1234 (J. Roy), officer; the shift ends in"), "{said}");
    let show = ["login", "--show"];
    let shown = car.command_as("1234", &show).output().unwrap();
    assert!(String::from_utf8(shown.stdout).unwrap().starts_with("signed in as 1234"));
    let shown = car.command_as("nobody", &show).output().unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), "nobody is signed in here\n");

    // Who is signed in needs no flag, and no flag makes them somebody else.
    let found = car.command_as("1234", &query).output().unwrap();
    assert!(String::from_utf8(found.stdout).unwrap().contains("hit   01"));
    let found = car.audit().into_iter().rfind(|r| r["event"]["kind"] == "look_up").unwrap();
    assert_eq!((&found["who"]["role"], &found["who"]["id"]), (&"officer".into(), &"1234".into()));
    let why = refuses("1234", &[&query[..], &["--officer", "77"]].concat());
    assert!(why.starts_with("1234 is signed in, and \"77\" is stated"), "{why}");
    let why = refuses("1234", &[&query[..], &["--role", "supervisor"]].concat());
    assert!(why.starts_with("1234 may not act as supervisor"), "{why}");
    let why = refuses("1234", everything[2]);
    assert!(why.contains("officers may not hold hits"), "{why}");
    let why = refuses("1234", everything[3]);
    assert!(why.contains("officer may not export evidence"), "{why}");
    assert!(!car.path("bundle.zip").exists());

    // Policy takes the officer away while they are signed in, and lets another one's training lapse.
    let mut users = common::people::users();
    users.remove("1234");
    users.get_mut("1").unwrap().trained_until = Some("2026-01-31".parse().unwrap());
    common::people::put(&car.path("people"), "peel", 2, users);
    // It is on record before it is in force.
    until("the policy is in force", || {
        let shown = car.command_as("1234", &show).output().unwrap();
        String::from_utf8(shown.stdout).unwrap().starts_with("nobody is signed in")
    });
    assert_eq!(car.recorded("policy_applied"), 2);
    let why = refuses("1234", &query);
    assert!(why.starts_with("nobody is signed in") || why.contains("the policy in force"), "{why}");
    assert_eq!(refusal(&["gone"], car.login("1234", PIN)), "number or PIN is wrong");
    let why = refusal(&["lapsed"], car.login("1", PIN));
    assert!(why.starts_with("the training of 1 ended on 2026-01-31"), "{why}");
    assert!(car.login("77", PIN).status.success());
    let out = car.command_as("77", &["logout"]).output().unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "signed out\n");
    assert!(refuses("77", &query).starts_with("nobody is signed in here"));

    let of_sessions = |r: &serde_json::Value| {
        ["session", "entry_refused"].contains(&r["event"]["kind"].as_str().unwrap())
    };
    let log: Vec<_> =
        car.audit().into_iter().filter(of_sessions).map(|r| r["event"].to_string()).collect();
    let log = log.join("\n");
    let told = [
        "refused: wrong number or PIN",
        "refused: the training has lapsed",
        "signed in",
        "signed out",
    ];
    for what in
        told.into_iter().chain(["ended: the policy in force has changed", "officers may not hold"])
    {
        assert!(log.contains(what), "{what:?} is not on record: {log}");
    }
    for secret in [PIN, "480214", "4711"] {
        assert!(!log.contains(secret), "{secret} is on record: {log}");
    }
}

#[test]
fn car_without_users_shows_what_it_has_and_lets_nobody_enter_anything() {
    let dir = tempfile::tempdir().unwrap();
    // No trust and no policy: what a car is before its agency has signed one.
    let mut car = Car::new(dir.path(), "", "[policy]\n", &[HIT]);
    car.start(&[HIT]);
    until("the hit is recorded", || car.recorded("hit_recorded") == 1);
    let query = ["query", HIT, "--reason", "hit_and_run", "--case", "26-00417"];
    let why = car.refuses(&query);
    assert!(why.contains("no policy with users is in force"), "{why}");
    assert!(why.contains("outrider provision pin"), "it says what to do: {why}");
    let why = refusal(&["login"], car.login("1234", PIN));
    assert!(why.contains("no policy with users is in force"), "{why}");
    let shown = car.command_as("nobody", &["login", "--show"]).output().unwrap();
    assert!(String::from_utf8(shown.stdout).unwrap().starts_with("nobody can sign in"));
    assert_eq!((car.recorded("entry_refused"), car.recorded("look_up")), (1, 0));
    assert_eq!(car.recorded("session"), 1);
}

/// Types a line into `outrider` at a terminal.
fn typed(car: &Car, args: &[&str], lines: &str) -> (bool, String) {
    let words: Vec<_> = [env!("CARGO_BIN_EXE_outrider")].iter().chain(args).copied().collect();
    let command = format!("{} --config {}", words.join(" "), car.path("outrider.toml").display());
    let mut script = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = script.stdin.take().unwrap();
    for line in lines.split_inclusive('\n') {
        // Echo is off, and what was typed before the question is thrown away.
        std::thread::sleep(std::time::Duration::from_millis(400));
        keyboard.write_all(line.as_bytes()).unwrap();
    }
    let output = script.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn car_behind_a_passphrase_waits_for_it_and_says_so() {
    if !std::path::Path::new("/usr/bin/script").exists() {
        return skipped("typing a passphrase", "script (bsdutils) is missing");
    }
    let dir = tempfile::tempdir().unwrap();
    let camera = "[[camera]]\nname = \"front\"\ndevice = \"/dev/v4l/by-path/none\"\n";
    let car = Car::new(dir.path(), "", camera, &[HIT]);
    let words = "five words are long enough\n";
    let (made, said) =
        typed(&car, &["provision", "device", "--passphrase"], &format!("{words}{words}"));
    assert!(made && !said.contains("five words"), "{said}");
    assert!(!car.state().join("device.key").exists());

    let log = std::fs::File::create(car.path("log")).unwrap();
    let mut daemon = car.command(&["run"]).stdin(Stdio::null()).stderr(log).spawn().unwrap();
    until("it waits", || car.state().join("control.sock").exists());
    let why = car.refuses(&query(HIT, "1234", "officer"));
    assert!(why.contains("waits for its passphrase") && why.contains("outrider unlock"), "{why}");
    let (opened, said) = typed(&car, &["unlock"], "five words are long enougH\n");
    assert!(!opened && said.contains("that is not the passphrase"), "{said}");
    let (opened, said) = typed(&car, &["unlock"], words);
    assert!(opened && said.contains("unlocked"), "{said}");
    // Where there are models it then runs; where there are none it has opened its log before it said so.
    until("it has gone on", || {
        daemon.try_wait().unwrap().is_some() || car.run(&["audit", "key"]).status.success()
    });
    assert!(car.state().join("audit.db").exists());
    assert!(!car.state().join("device.key").exists(), "no key file beside the passphrase");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}
