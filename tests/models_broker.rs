//! Packages of models over the broker: a desk publishes them with the built `outrider`, a real mosquitto with the access
//! list of `examples/broker/` keeps them, and a car takes them as far as its policy lets it; and somebody who owns the
//! broker sends whatever they like.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::author::signing_key;
use common::fleet::Fleet;
use common::packages::{AUTHOR, SECOND, SIGNER, car, car_with, good, packed, root, trust, variant};
use common::people;
use common::running::{Car, program, refusal};
use common::runtime::onnxruntime;
use common::{skipped, until, within};
use jiff::Timestamp;
use outrider::audit::{Actor, Audit};
use outrider::camera_id::CameraId;
use outrider::clock::{Clock, SystemClock};
use outrider::config::{Config, PolicyConfig};
use outrider::downlink::Downlink;
use outrider::health::{Health, ModelFate};
use outrider::inbound::Topic;
use outrider::keys::DeviceKey;
use outrider::models::{Came, FromFleet, Kind, MODEL_TYPE, Models, Parts, in_parts, unverified};
use outrider::policy::{FromBroker, HeldPolicy, ModelRules, Rules};
use outrider::threads::UntilDropped;
use outrider::trust::{HeldTrust, Root};
use serde_json::Value;

#[test]
fn child_that_runs() {
    common::running::child();
}

/// Who maintains the car.
const MAINTAINER: &str = "700";

/// Rules by which packages from the broker are taken so.
fn rules(from_broker: FromBroker) -> Rules {
    Rules { models: ModelRules { from_broker }, users: people::users(), ..Rules::default() }
}

/// A car of the fleet's broker, whose policy lets packages come like this.
fn car_of(fleet: &Fleet, folder: &Path, runtime: &Path, from_broker: FromBroker) -> Car {
    let uplink = fleet.uplink("4127");
    let path = |file: &Option<PathBuf>| file.as_ref().unwrap().display().to_string();
    let lines = format!(
        "[uplink]\nbroker = \"{}\"\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\nretry_most = \"1s\"\n",
        uplink.broker.as_ref().unwrap(),
        path(&uplink.ca),
        path(&uplink.certificate),
        path(&uplink.key),
    );
    let car = car_with(folder, runtime, &lines);
    let policy = people::policy("peel", 1, rules(from_broker));
    std::fs::write(car.path("people/policy.json"), policy).unwrap();
    car
}

/// `outrider models publish` at the desk of whoever signs packages.
fn publish(fleet: &Fleet, folder: &Path, package: &[u8], further: &[&str]) -> Output {
    std::fs::write(folder.join("a.model"), package).unwrap();
    let uplink = fleet.uplink("workshop");
    let mut command = std::process::Command::new(program());
    command.args(["models", "publish"]).arg(folder.join("a.model")).args(["--agency", "peel"]);
    command.arg("--broker").arg(uplink.broker.unwrap()).arg("--ca").arg(uplink.ca.unwrap());
    command.arg("--certificate").arg(uplink.certificate.unwrap());
    command.arg("--key").arg(uplink.key.unwrap()).args(further).output().unwrap()
}

#[track_caller]
fn publishes(fleet: &Fleet, folder: &Path, package: &[u8], further: &[&str]) -> String {
    let output = publish(fleet, folder, package, further);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn list(car: &Car) -> Value {
    serde_json::from_str(&car.does(&["models", "list", "--json"])).unwrap()
}

/// What became of the package that came last.
fn fate(car: &Car) -> String {
    list(car)["came"][0]["fate"].as_str().unwrap_or("none").to_owned()
}

/// The version of the OCR that is in force; `None` for the shipped one.
fn in_force(told: &Value) -> Option<u64> {
    let models = told["models"].as_array().unwrap();
    models.iter().find(|m| m["kind"] == "ocr").unwrap()["in_force"]["version"].as_u64()
}

#[test]
fn published_package_waits_over_a_crash_until_a_maintainer_installs_it() {
    let Some(runtime) = onnxruntime("packages of models over the broker") else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(&dir.path().join("broker")) else { return };
    let mut car = car_of(&fleet, &dir.path().join("car"), &runtime, FromBroker::Wait);
    car.start(&[]);
    let statuses = fleet.listen_as("admin", "alpr/v1/peel/vehicle/4127/status");
    let told = |words: &str| {
        let heard = statuses.heard();
        let last = heard.last().map(|(_, payload, _)| payload.clone()).unwrap_or_default();
        String::from_utf8(last).unwrap().contains(words)
    };
    until("the car is there", || told(r#""models":[]"#));
    // A part of a package and no more: the author's line was cut.
    let package = good(2);
    let cut = in_parts(&package).unwrap();
    let topic = |digest: &str| format!("alpr/v1/peel/models/ocr/part/{digest}");
    let mut parts = cut.parts.clone();
    parts.sort();
    // A car asks for four at a time, in the order of their digests.
    for (digest, bytes) in &parts[..4] {
        fleet.retain_as("workshop", &topic(digest), bytes);
    }
    fleet.retain_as("workshop", "alpr/v1/peel/models/ocr/package", cut.line);
    until("four parts are here", || list(&car)["came"][0]["parts_here"] == 4);
    let status = car.does(&["status"]);
    assert!(
        status.contains(&format!("is being fetched: 4 of {} parts", cut.parts.len())),
        "{status}"
    );
    until("the fleet is told", || {
        told(r#""models":[{"kind":"ocr","in_force":null,"came":2,"fate":"fetching"}]"#)
    });
    car.crash();
    let said = publishes(&fleet, dir.path(), &package, &[]);
    assert!(said.starts_with("ocr plate-ocr-small 0.8.2, version 2 published"), "{said}");
    car.start(&[]);
    within(Duration::from_secs(60), "it has come whole", || fate(&car) == "waiting");
    until("the fleet is told", || told(r#""came":2,"fate":"waiting""#));
    let status = car.does(&["status"]);
    assert!(status.contains("version 2") && status.contains("has come and waits"), "{status}");
    assert_eq!(in_force(&list(&car)), None, "nothing is used that no person has let in");
    // Nobody installs it who is not a maintainer.
    let output = car.command_as("1234", &["models", "install", "--waiting"]).output().unwrap();
    assert!(refusal(&["--waiting"], output).contains("sign"));
    assert!(car.login("1234", people::PIN).status.success());
    let output = car.command_as("1234", &["models", "install", "--waiting"]).output().unwrap();
    assert!(refusal(&["--waiting"], output).contains("maintainer"));
    assert!(car.login(MAINTAINER, people::PIN).status.success());
    let install = || car.command_as(MAINTAINER, &["models", "install", "--waiting"]).output();
    let output = install().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("version 2 is in force"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!((in_force(&list(&car)), fate(&car)), (Some(2), "installed".into()));
    until("the fleet is told", || {
        told(r#"{"kind":"ocr","in_force":2,"came":2,"fate":"installed"}"#)
    });
    assert!(refusal(&["--waiting"], install().unwrap()).contains("no package waits"));
    let installed = car.audit().into_iter().find(|r| r["event"]["kind"] == "model_installed");
    assert_eq!(installed.unwrap()["who"]["role"], "maintainer");
    // The broker still has it, and a restart fetches and tries nothing.
    car.stop();
    assert_eq!(fate(&car), "installed", "the same is told from the disk");
    car.start(&[]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((in_force(&list(&car)), fate(&car)), (Some(2), "installed".into()));
    assert_eq!((car.recorded("model_installed"), car.recorded("model_refused")), (1, 0));
    let parts = std::fs::read_dir(car.state().join("models_in/ocr")).unwrap().count();
    assert_eq!(parts, 0, "its parts are gone");
}

#[test]
fn desk_publishes_what_cars_believe_and_removes_what_only_the_one_before_needed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(&dir.path().join("broker")) else { return };
    std::fs::write(dir.path().join("trust.json"), trust(1, &[SIGNER])).unwrap();
    let trusted = dir.path().join("trust.json").display().to_string();
    let with_trust = ["--trust", trusted.as_str()];
    let (first, second) = (good(2), good(3));
    publishes(&fleet, dir.path(), &first, &with_trust);
    std::fs::write(dir.path().join("before.model"), &first).unwrap();
    let before = dir.path().join("before.model").display().to_string();
    let said = publishes(&fleet, dir.path(), &second, &["--replaces", &before]);
    // The release in model.toml and the end of the weights differ: the first part and the last.
    assert!(said.contains("2 old ones removed"), "{said}");
    let kept = fleet.retained_as("4127", "alpr/v1/peel/models/#");
    let cut = in_parts(&second).unwrap();
    assert_eq!(kept.len(), cut.parts.len() + 1);
    let of = |end: &str| kept.iter().find(|(topic, _)| topic.ends_with(end)).unwrap().1.clone();
    assert_eq!(of("/ocr/package"), cut.line);
    assert!(cut.parts.iter().all(|(digest, bytes)| of(digest) == *bytes));
    // What no car takes is not published, and neither is what is not whole.
    let refused = |package: &[u8], further: &[&str]| {
        let said = publish(&fleet, dir.path(), package, further);
        assert!(!said.status.success());
        String::from_utf8_lossy(&said.stderr).into_owned()
    };
    let files = variant("plate-ocr-small", "0.9.0", |_, _| {});
    let stranger = packed(&files, 4, &signing_key(SECOND));
    assert!(refused(&stranger, &with_trust).contains("signed by 0 of the keys"));
    assert!(refused(&second[..second.len() - 1], &[]).contains("it was cut or added to"));
    assert!(refused(b"no package", &[]).contains("no model package"));
    let detector =
        packed(&variant("plate-detector-small", "0.9.0", |_, _| {}), 4, &signing_key(SIGNER));
    assert!(
        refused(&detector, &["--replaces", &before])
            .contains("--replaces names a package of the ocr")
    );
    // The access list keeps others out of the topic: they could only disturb.
    let topic = "alpr/v1/peel/models/ocr/package";
    fleet.publish_as("author-stolen", topic, b"x", true);
    fleet.publish_as("4127", topic, b"x", true);
    assert_eq!(fleet.retained_as("4127", topic)[0].1, cut.line);
}

/// The models of a car without the daemon around them, and a broker that a test holds.
struct Bare {
    models: Arc<Models>,
    downlink: Downlink,
    health: Arc<Health>,
    audit: Audit,
    trust: Arc<HeldTrust>,
    policy: Arc<HeldPolicy>,
    stands: Arc<AtomicBool>,
    following: Option<UntilDropped>,
}

impl Bare {
    /// Opens the state folder of this car, which stands, and follows what comes.
    fn open(car: &Car) -> Self {
        Self::open_while(car, true)
    }

    fn open_while(car: &Car, stands: bool) -> Self {
        let config = Config::load(&car.path("outrider.toml")).unwrap();
        let state = &config.keeping.directory;
        let (device, health) = (DeviceKey::load(state).unwrap(), Arc::new(Health::default()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let root = Root { keys: vec![signing_key(1).public()], needed: 1 };
        let held = HeldTrust::open(root, "peel", state, &device, clock.clone()).unwrap();
        let _ = held.offer(&trust(1, &[SIGNER]));
        let trust = Arc::new(held);
        let audit =
            Audit::open(&config.keeping, &config.vehicle, clock.clone(), health.clone()).unwrap();
        let known = trust.clone();
        let policy = HeldPolicy::open(
            &PolicyConfig::default(),
            "peel",
            state,
            &device,
            Box::new(move || known.current()),
            (clock.clone(), health.clone(), audit.clone()),
        );
        let policy = Arc::new(policy.unwrap());
        let models = Models::open(Parts {
            config: &config,
            device: &device,
            trust: Some(trust.clone()),
            audit: audit.clone(),
            clock,
            health: health.clone(),
        });
        let downlink = Downlink::new(&config.vehicle);
        let stands = Arc::new(AtomicBool::new(stands));
        let asked = stands.clone();
        let following = models.follow(FromFleet {
            downlink: downlink.clone(),
            policy: policy.clone(),
            stands: Box::new(move || asked.load(Ordering::Relaxed)),
        });
        let following = Some(following);
        Self { models, downlink, health, audit, trust, policy, stands, following }
    }

    /// A new policy.
    fn rule(&self, version: u64, from_broker: FromBroker) {
        assert!(self.policy.offer(&people::policy("peel", version, rules(from_broker))).unwrap());
    }

    /// The first line of a package, as if the broker had sent it.
    fn announce(&self, line: &[u8]) -> bool {
        self.downlink.deliver_for_tests(&Topic::Model("ocr".into()), line, true)
    }

    /// Waits until the car listens; what it heard is refused.
    fn listens(&self) {
        until("it listens", || self.announce(b"x"));
        until("it has heard", || self.models.state().refused.is_some());
    }

    /// Waits until the car listens, and has heard of this package.
    fn hears_of(&self, package: &[u8]) {
        until("it listens", || self.announce(line(package)));
    }

    /// Waits until the car has a package whole, which an honest broker has.
    fn gets(&self, package: &[u8]) {
        self.hears_of(package);
        self.serve_all(package, 1_000);
        until("it is whole", || self.fate() == Some(ModelFate::Waiting));
    }

    /// The parts that the car asks for.
    fn asked(&self) -> Vec<(Topic, String)> {
        let wanted = self.downlink.wanted_for_tests().into_iter();
        let part = |topic: Topic| match &topic {
            Topic::ModelPart(_, digest) => Some((topic.clone(), digest.to_string())),
            _ => None,
        };
        wanted.filter_map(part).collect()
    }

    /// Answers every part that the car asks for with what `broker` has for it; returns the number of answers. Ends when
    /// nothing was asked for in `patience`, or after `most`.
    fn serve(&self, patience: Duration, most: usize, broker: impl Fn(&str) -> Vec<u8>) -> usize {
        let (mut answers, mut last) = (0, Instant::now());
        while last.elapsed() < patience && answers < most {
            for (topic, digest) in self.asked() {
                if answers < most && self.downlink.deliver_for_tests(&topic, &broker(&digest), true)
                {
                    answers += 1;
                    last = Instant::now();
                    // It is answered once, and then the car does not ask for it any more.
                    until("the part is taken", || {
                        !self.asked().contains(&(topic.clone(), digest.clone()))
                    });
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        answers
    }

    /// An honest broker.
    fn serve_all(&self, package: &[u8], most: usize) -> usize {
        let cut = in_parts(package).unwrap();
        self.serve(Duration::from_millis(1_500), most, |digest| {
            cut.parts.iter().find(|(of, _)| of == digest).map_or(Vec::new(), |(_, b)| b.to_vec())
        })
    }

    fn came(&self) -> Option<Came> {
        self.models.state().came.into_iter().next()
    }

    fn fate(&self) -> Option<ModelFate> {
        self.came().map(|came| came.fate)
    }

    /// Announces what must be refused: nothing is fetched for it. Returns why.
    #[track_caller]
    fn refused(&self, line: &[u8]) -> String {
        let (before, asked) = (self.models.state().refused, self.asked());
        assert!(self.announce(line));
        until("it is refused", || self.models.state().refused != before);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(self.asked(), asked);
        self.models.state().refused.unwrap().what
    }

    fn recorded(&self, kind: &str) -> usize {
        let mut log = Vec::new();
        self.audit.export(Actor::System, &mut log).unwrap();
        let kind = format!("\"kind\":\"{kind}\"");
        String::from_utf8(log).unwrap().matches(&kind).count()
    }

    /// The same car after a restart, standing.
    fn restarted(self, car: &Car) -> Self {
        self.restarted_while(car, true)
    }

    /// The same car after a restart.
    fn restarted_while(mut self, car: &Car, stands: bool) -> Self {
        self.following.take();
        drop(self);
        Self::open_while(car, stands)
    }
}

/// A car that stands and follows what comes as far as this rule of its policy says, and its folder.
fn follows(runtime: &Path, from_broker: FromBroker) -> (tempfile::TempDir, Car, Bare) {
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), runtime);
    let bare = Bare::open(&car);
    bare.rule(1, from_broker);
    (dir, car, bare)
}

/// Where no test loads a model.
fn no_runtime() -> PathBuf {
    "/nonexistent/libonnxruntime.so".into()
}

/// The first line of a package.
fn line(package: &[u8]) -> &[u8] {
    in_parts(package).unwrap().line
}

/// Files below the folder for what comes.
fn files_in(car: &Car) -> usize {
    let Ok(all) = std::fs::read_dir(car.state().join("models_in/ocr")) else { return 0 };
    all.count()
}

#[test]
fn nothing_is_asked_for_unless_policy_says_so_and_no_more_once_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), &no_runtime());
    let bare = Bare::open(&car);
    std::thread::sleep(Duration::from_millis(700));
    assert!(bare.downlink.wanted_for_tests().is_empty(), "a car without policy");
    bare.rule(1, FromBroker::Off);
    std::thread::sleep(Duration::from_millis(700));
    assert!(bare.downlink.wanted_for_tests().is_empty());
    let package = good(2);
    assert!(!bare.announce(line(&package)), "nobody listens");
    bare.rule(2, FromBroker::Wait);
    let kinds = || bare.downlink.wanted_for_tests();
    let both = [Topic::Model("detector".into()), Topic::Model("ocr".into())];
    until("it listens for what it reads with", || kinds() == both);
    assert!(bare.announce(line(&package)));
    assert_eq!(bare.serve_all(&package, 5), 5);
    until("the last one is kept", || files_in(&car) == 5);
    bare.rule(3, FromBroker::Off);
    until("it does not listen any more", || kinds().is_empty());
    assert_eq!((files_in(&car), bare.came()), (0, None), "and keeps nothing of it");
}

#[test]
fn package_comes_over_restarts_and_no_part_of_it_comes_twice() {
    let (_dir, car, mut bare) = follows(&no_runtime(), FromBroker::Wait);
    let package = good(2);
    let parts = in_parts(&package).unwrap().parts.len();
    bare.hears_of(&package);
    until("it asks", || !bare.asked().is_empty());
    assert!(bare.asked().len() <= 4, "a slow line is not filled");
    let mut served = bare.serve_all(&package, 20);
    bare = bare.restarted(&car);
    bare.hears_of(&package);
    served += bare.serve_all(&package, 30);
    bare = bare.restarted(&car);
    // The broker says nothing: the car asks for what it knows of.
    served += bare.serve_all(&package, parts);
    assert_eq!(served, parts);
    until("it is whole", || bare.fate() == Some(ModelFate::Waiting));
    let told = bare.health.models();
    assert_eq!(told[0].came, Some((2, ModelFate::Waiting)));
    bare = bare.restarted(&car);
    bare.hears_of(&package);
    assert_eq!((bare.serve_all(&package, 1), bare.fate()), (0, Some(ModelFate::Waiting)));
    // One with a higher version takes its place, and shares what is equal.
    let next = good(3);
    assert!(bare.announce(line(&next)));
    assert_eq!(bare.serve_all(&next, parts), 2, "the first part and the last");
    until("it is whole", || {
        bare.came().is_some_and(|c| (c.model.version, c.fate) == (Some(3), ModelFate::Waiting))
    });
    assert_eq!(bare.recorded("model_refused"), 0);
}

#[test]
fn owner_of_the_broker_makes_a_car_fetch_nothing_that_no_signer_in_force_has_signed() {
    let (_dir, car, bare) = follows(&no_runtime(), FromBroker::Install);
    let package = good(7);
    bare.listens();
    let files = variant("plate-ocr-small", "0.9.0", |_, _| {});
    for n in [AUTHOR, 5, SECOND, 99] {
        let foreign = packed(&files, 7, &signing_key(n));
        let why = bare.refused(line(&foreign));
        assert!(why.contains("signed by 0 of the keys that may sign this"), "{n}: {why}");
    }
    // Every byte of the line counts, and nothing may stand behind it.
    let mut altered = line(&package).to_vec();
    altered[700] ^= 1;
    bare.refused(&altered);
    bare.refused(&line(&package)[..500]);
    bare.refused(&[line(&package), b"\n"].concat());
    bare.refused(&package[..90_000]);
    let manifest = String::from_utf8(line(&package).to_vec()).unwrap();
    let other = manifest.replace(MODEL_TYPE, "application/vnd.outrider.policy.v1+json");
    bare.refused(other.as_bytes());
    let detector =
        packed(&variant("plate-detector-small", "0.9.0", |_, _| {}), 7, &signing_key(SIGNER));
    assert!(
        bare.refused(line(&detector)).contains("of the detector came where one of the ocr belongs")
    );
    // Longer than any: dropped unseen.
    assert!(!bare.announce(&vec![b'x'; (96 << 10) + 1]));
    assert_eq!(bare.downlink.received().too_long, 1);
    // Taken from the broker: nobody has signed that.
    assert!(bare.announce(b""));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!((bare.came(), bare.asked(), files_in(&car)), (None, vec![], 0));
    // And a good one is taken up after all of it.
    assert!(bare.announce(line(&package)));
    until("it is fetched", || !bare.asked().is_empty());
    assert_eq!(bare.fate(), Some(ModelFate::Fetching));
    // An older one, and another of the same version, do not take its place; a higher one does.
    assert!(
        bare.refused(line(&good(6)))
            .contains("version 6 of the ocr comes over the broker after version 7")
    );
    let twin = packed(&files, 7, &signing_key(SIGNER));
    assert!(bare.refused(line(&twin)).contains("came over the broker as version 7"));
    assert_eq!(bare.came().unwrap().model.release, "0.8.7");
    // Its signer is withdrawn: it is forgotten, and so is its version.
    assert!(bare.trust.offer(&trust(2, &[SECOND])).unwrap());
    until("it is forgotten", || bare.came().is_none());
    assert!(bare.refused(line(&good(8))).contains("signed by 0 of the keys"));
    let second = packed(&files, 1, &signing_key(SECOND));
    assert!(bare.announce(line(&second)));
    until("another signer's is taken up", || bare.fate() == Some(ModelFate::Fetching));
    // A car that was told of a package before it was told who may sign takes it once it knows.
    assert!(bare.refused(line(&good(9))).contains("signed by 0 of the keys"));
    assert!(bare.trust.offer(&trust(3, &[SIGNER])).unwrap());
    until("it is taken up", || bare.came().is_some_and(|came| came.model.version == Some(9)));
}

#[test]
fn other_bytes_behind_the_parts_are_kept_nowhere_and_soon_asked_for_no_more() {
    let (_dir, car, mut bare) = follows(&no_runtime(), FromBroker::Install);
    let package = good(2);
    let cut = in_parts(&package).unwrap();
    bare.hears_of(&package);
    // Another part of the same package, an altered one, a cut one, none at all, and one that is too long.
    let (all, patience) = (&cut.parts, Duration::from_secs(2));
    let wrong = |digest: &str| {
        let at = all.iter().position(|(of, _)| of == digest).unwrap();
        let mut bytes = all[at].1.to_vec();
        match at % 4 {
            0 => bytes[17] ^= 1,
            1 => bytes.truncate(100),
            2 => bytes.clear(),
            _ => bytes = all[(at + 1) % all.len()].1.to_vec(),
        }
        bytes
    };
    let answers = bare.serve(patience, 1_000, wrong);
    assert!((8..=12).contains(&answers), "{answers} of {}", all.len());
    assert_eq!((files_in(&car), bare.fate()), (0, Some(ModelFate::Fetching)));
    let lines = bare.models.lines().join("\n");
    assert!(lines.contains("parts at the broker are not those that were signed"), "{lines}");
    // Too long a part is dropped before anybody sees it.
    bare = bare.restarted(&car);
    until("it asks", || !bare.asked().is_empty());
    let (topic, _) = bare.asked()[0].clone();
    assert!(!bare.downlink.deliver_for_tests(&topic, &vec![0; (64 << 10) + 1], true));
    // Nobody asked for this one.
    let stray = Topic::ModelPart("ocr".into(), "00".repeat(32).into());
    assert!(!bare.downlink.deliver_for_tests(&stray, b"x", true));
    // A broker that is put right is believed.
    assert_eq!(bare.serve_all(&package, 1_000), all.len());
    until("it is whole", || bare.fate() == Some(ModelFate::Waiting));
}

#[test]
fn flood_of_first_lines_costs_a_few_records_and_hides_no_good_one() {
    let (_dir, _car, bare) = follows(&no_runtime(), FromBroker::Wait);
    let package = good(2);
    bare.listens();
    let began = Instant::now();
    let mut n = 0_u64;
    while began.elapsed() < Duration::from_secs(3) {
        n += 1;
        bare.announce(format!("{{\"payloadType\":\"{n}\"}}").as_bytes());
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(n > 1_000, "{n}");
    assert!(bare.announce(line(&package)));
    until("the good one is taken up", || bare.fate() == Some(ModelFate::Fetching));
    let recorded = bare.recorded("model_refused");
    assert!((1..=20).contains(&recorded), "{recorded} records of {n} refusals");
}

#[test]
fn policy_has_a_car_install_by_itself_once_and_not_while_it_drives() {
    let Some(runtime) = onnxruntime("packages of models over the broker") else { return };
    let (_dir, car, mut bare) = follows(&runtime, FromBroker::Install);
    bare.stands.store(false, Ordering::Relaxed);
    let package = good(2);
    bare.gets(&package);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(bare.fate(), Some(ModelFate::Waiting), "the car drives");
    bare.health.camera(&CameraId::new("front"));
    bare.health.slow_down(Duration::from_millis(100));
    bare.stands.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(bare.fate(), Some(ModelFate::Waiting), "the car is hot");
    assert_eq!(bare.recorded("model_installed") + bare.recorded("model_refused"), 0);
    bare.health.slow_down(Duration::ZERO);
    let installed = |bare: &Bare| bare.fate() == Some(ModelFate::Installed);
    within(Duration::from_secs(60), "it is tried and used", || installed(&bare));
    let told = serde_json::to_value(bare.models.state()).unwrap();
    assert_eq!(in_force(&told), Some(2));
    let mut log = Vec::new();
    bare.audit.export(Actor::System, &mut log).unwrap();
    let log = String::from_utf8(log).unwrap();
    let record = log.lines().find(|line| line.contains("\"model_installed\"")).unwrap();
    let key = signing_key(SIGNER).public().id();
    assert!(record.contains(&format!("\"role\":\"author\",\"id\":\"{key}\"")), "{record}");
    // A maintainer goes back: what the broker retains does not come into force again.
    bare.models.roll_back(Actor::System, Some(Kind::Ocr)).unwrap();
    bare = bare.restarted(&car);
    bare.hears_of(&package);
    assert_eq!(bare.serve_all(&package, 1), 0);
    let told = serde_json::to_value(bare.models.state()).unwrap();
    assert_eq!((in_force(&told), bare.recorded("model_installed")), (None, 1));
}

#[test]
fn package_that_was_given_up_does_not_come_back_over_the_broker() {
    let Some(runtime) = onnxruntime("packages of models over the broker") else { return };
    let (_dir, car, mut bare) = follows(&runtime, FromBroker::Install);
    // A maintainer has installed it from its file, and gone back.
    let package = good(2);
    assert_eq!(bare.models.install(Actor::System, &package).refused, None);
    bare.models.roll_back(Actor::System, Some(Kind::Ocr)).unwrap();
    bare.listens();
    for _ in 0..2 {
        let why = bare.refused(line(&package));
        assert!(why.contains("version 2 was in force here and was given up"), "{why}");
        assert_eq!((bare.came(), bare.asked()), (None, vec![]));
        bare = bare.restarted(&car);
        bare.listens();
    }
    // A higher one may come.
    assert!(bare.announce(line(&good(3))));
    until("it is taken up", || bare.fate() == Some(ModelFate::Fetching));
}

#[test]
fn package_that_was_refused_is_not_fetched_and_not_tried_again() {
    let Some(runtime) = onnxruntime("packages of models over the broker") else { return };
    let (_dir, car, mut bare) = follows(&runtime, FromBroker::Install);
    let swapped = variant("plate-ocr-small", "0.9.0", |toml, _| {
        *toml = toml.replace("0123456789ABCDEF", "0123456798ABDCEF");
    });
    let package = packed(&swapped, 2, &signing_key(SIGNER));
    bare.hears_of(&package);
    bare.serve_all(&package, 1_000);
    within(Duration::from_secs(60), "it is tried and refused", || {
        bare.fate() == Some(ModelFate::Refused)
    });
    let why = bare.came().unwrap().why.unwrap();
    assert!(why.starts_with("it reads worse than the models in force"), "{why}");
    assert_eq!((files_in(&car), bare.recorded("model_refused")), (0, 1));
    bare = bare.restarted(&car);
    bare.hears_of(&package);
    assert_eq!((bare.serve_all(&package, 1), bare.recorded("model_refused")), (0, 1));
    let lines = bare.models.lines().join("\n");
    assert!(lines.contains("came and was refused: it reads worse"), "{lines}");
    assert_eq!(bare.health.models()[0].came, Some((2, ModelFate::Refused)));
    assert!(bare.models.install_waiting_for_tests().unwrap_err().contains("no package waits"));
}

#[test]
fn trial_that_ends_the_program_twice_is_not_begun_a_third_time() {
    let (_dir, car, mut bare) = follows(&no_runtime(), FromBroker::Wait);
    let package = good(2);
    bare.gets(&package);
    // As two crashes in the middle of a trial leave it.
    bare.models.begin_trials_for_tests(Kind::Ocr, 2);
    bare = bare.restarted(&car);
    bare.rule(2, FromBroker::Install);
    until("it is given up", || bare.fate() == Some(ModelFate::Refused));
    let why = bare.came().unwrap().why.unwrap();
    assert_eq!(why, "the program ended 2 times while it was tried");
    assert_eq!(bare.recorded("model_refused"), 1);
}

#[test]
fn trial_without_a_result_is_repeated_five_times_and_then_waits_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), &no_runtime());
    // Nothing can be compared, because the models in force are not there.
    let config = std::fs::read_to_string(car.path("outrider.toml")).unwrap();
    let shipped = format!("folder = \"{}\"", root().join("models").display());
    assert!(config.contains(&shipped));
    let config = config.replace(&shipped, "folder = \"/nonexistent\"");
    std::fs::write(car.path("outrider.toml"), config).unwrap();
    let mut bare = Bare::open(&car);
    bare.rule(1, FromBroker::Install);
    let package = good(2);
    bare.hears_of(&package);
    bare.serve_all(&package, 1_000);
    // A restart ends the pause.
    for n in 1..=5 {
        until("it is tried", || bare.recorded("model_refused") == n);
        let why = || bare.came().and_then(|came| came.why).unwrap_or_default();
        until("the reason is told", || why().contains("nothing can be compared"));
        assert_eq!(bare.fate(), Some(ModelFate::Waiting));
        bare = bare.restarted(&car);
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((bare.recorded("model_refused"), bare.fate()), (5, Some(ModelFate::Waiting)));
    let outcome = bare.models.install_waiting_for_tests().unwrap();
    assert!(outcome.refused.unwrap().contains("nothing can be compared"), "a person may go on");
}

#[test]
fn stop_in_order_during_a_trial_counts_against_nobody() {
    let Some(runtime) = onnxruntime("packages of models over the broker") else { return };
    let (_dir, car, mut bare) = follows(&runtime, FromBroker::Install);
    bare.stands.store(false, Ordering::Relaxed);
    let package = good(2);
    bare.gets(&package);
    // More stops than trials may end the program.
    for n in 1..=3 {
        bare.models.end_trials();
        bare.stands.store(true, Ordering::Relaxed);
        within(Duration::from_secs(60), "the trial ends", || bare.recorded("model_refused") >= n);
        bare = bare.restarted_while(&car, false);
        assert_eq!(bare.fate(), Some(ModelFate::Waiting));
    }
    bare.stands.store(true, Ordering::Relaxed);
    within(Duration::from_secs(60), "it is tried and used", || {
        bare.fate() == Some(ModelFate::Installed)
    });
    // The next one waits until this one's first minute is over.
    let next = good(3);
    assert!(bare.announce(line(&next)));
    bare.serve_all(&next, 1_000);
    until("it is whole", || bare.fate() == Some(ModelFate::Waiting));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((bare.fate(), bare.recorded("model_installed")), (Some(ModelFate::Waiting), 1));
}

#[test]
fn package_without_room_on_the_disk_is_not_fetched_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), &no_runtime());
    let config = std::fs::read_to_string(car.path("outrider.toml")).unwrap();
    let reserve = config.replace("disk_reserve = \"0B\"", "disk_reserve = \"1TiB\"");
    assert_ne!(config, reserve);
    let disk = rustix::fs::statvfs(dir.path()).unwrap();
    if disk.f_bavail * disk.f_frsize > 1 << 40 {
        return skipped("a full disk", "it has more than a tebibyte free");
    }
    std::fs::write(car.path("outrider.toml"), reserve).unwrap();
    let mut bare = Bare::open(&car);
    bare.rule(1, FromBroker::Wait);
    let package = good(2);
    bare.hears_of(&package);
    let said = |bare: &Bare| bare.models.lines().join("\n");
    until("it says why", || said(&bare).contains("is not fetched: it takes"));
    assert_eq!((bare.fate(), bare.asked()), (Some(ModelFate::Fetching), vec![]));
    // Once there is room it goes on.
    std::fs::write(car.path("outrider.toml"), config).unwrap();
    bare = bare.restarted(&car);
    until("it asks", || !bare.asked().is_empty());
    assert!(!said(&bare).contains("is not fetched"), "{}", said(&bare));
}

#[test]
fn package_made_by_an_older_program_is_refused_and_says_what_to_do() {
    let (_dir, _car, bare) = follows(&no_runtime(), FromBroker::Wait);
    let mut statement = unverified(&good(2)).unwrap();
    statement.parts.clear();
    let payload = serde_json::to_vec(&statement).unwrap();
    let envelope = outrider::dsse::Envelope::sign(MODEL_TYPE, payload, &[&signing_key(SIGNER)]);
    bare.listens();
    assert!(bare.refused(&envelope.to_json()).contains("pack it again"));
    // One from a clock that runs ahead.
    let files = variant("plate-ocr-small", "0.9.0", |_, _| {});
    let ahead = Timestamp::now() + Duration::from_secs(400 * 86_400);
    let package =
        outrider::models::pack(&files.0, &files.1, 2, ahead, &signing_key(SIGNER)).unwrap().1;
    assert!(bare.refused(line(&package)).contains("ahead is believed"));
}
