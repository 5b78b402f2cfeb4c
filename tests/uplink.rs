//! Sends hits over real sockets to a real mosquitto: they are delivered over mutual TLS, through restarts of the broker
//! and kill -9 of the car; and what the broker refuses is reported with its reason.

#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::mosquitto::{Mosquitto, Setup, Subscriber, hit_of};
use common::{car, until, within};
use outrider::clock::SystemClock;
use outrider::config::{Retention, UplinkConfig, Vehicle};
use outrider::health::{Health, PartState};
use outrider::hits::Outbox;
use outrider::uplink::{Notices, Parts, Uplink, spawn};
use outrider::wire::Names;

const FOUR_TOPICS: &str = "\
user 4127
topic readwrite alpr/v1/peel/vehicle/4127/#
user admin
topic read #
";

fn vehicle() -> Vehicle {
    Vehicle { id: "4127".into(), agency: "peel".into() }
}

/// A car's storage and uplink, without its cameras.
struct Car {
    health: Arc<Health>,
    outbox: Outbox,
    uplink: Option<Uplink>,
}

impl Car {
    fn start(folder: &Path, uplink: &UplinkConfig) -> Self {
        let keeping = car::keeping(folder, Retention::Nothing);
        let health = Arc::new(Health::default());
        let clock = Arc::new(SystemClock);
        let outbox = Outbox::open(&keeping, &vehicle(), clock.clone(), health.clone()).unwrap();
        let parts = Parts {
            outbox: outbox.clone(),
            vehicle: vehicle(),
            non_hit: keeping.non_hit,
            notices: Notices::default(),
            names: Names::default(),
            hotlists: Arc::default(),
            clock,
            health: health.clone(),
        };
        Self { health, outbox, uplink: Some(spawn(uplink, parts).unwrap()) }
    }

    /// Drives past these plates, all of them listed, and records every hit.
    fn record(&self, folder: &Path, plates: &[String]) -> Vec<String> {
        let keeping = car::keeping(folder, Retention::Nothing);
        let (onboard, hits) = car::drive(plates, plates, &keeping, &self.health);
        let ids: Vec<_> =
            hits.iter().map(|hit| self.outbox.record(&hit).unwrap().id.to_string()).collect();
        onboard.stop(Duration::from_secs(10)).unwrap();
        assert_eq!(ids.len(), plates.len(), "every plate was a hit");
        ids
    }

    fn until_delivered(&self) {
        within(Duration::from_secs(60), "everything is acknowledged", || {
            let queue = self.outbox.queue().unwrap();
            (queue.hits, queue.images, queue.set_aside) == (0, 0, 0)
        });
    }

    /// Waits for what health says of the broker.
    #[track_caller]
    fn until_said(&self, words: &str) -> String {
        let mut last = String::new();
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            if let Some(PartState::Down(why) | PartState::Impaired(why)) =
                self.health.state("broker")
            {
                if why.contains(words) {
                    return why;
                }
                last = why;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("health never said {words:?}, last it said {last:?}");
    }
}

impl Drop for Car {
    fn drop(&mut self) {
        if let Some(uplink) = self.uplink.take() {
            uplink.stop(Duration::from_secs(10));
        }
    }
}

fn plates(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("HIT{n:04}")).collect()
}

fn set(ids: &[String]) -> BTreeSet<String> {
    ids.iter().cloned().collect()
}

/// The last retained status that a newcomer gets.
fn status(subscriber: &Subscriber) -> Option<serde_json::Value> {
    let received = subscriber.received();
    let (_, last) = received.iter().rfind(|(topic, _)| topic.ends_with("/status"))?;
    Some(serde_json::from_slice(last).unwrap())
}

#[test]
fn hits_are_delivered_over_mutual_tls_and_within_the_cars_own_topics() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { tls: true, acl: Some(FOUR_TOPICS.into()), ..Setup::default() };
    let Some(broker) = Mosquitto::start(&dir.path().join("broker"), setup) else { return };
    let subscriber = broker.subscriber(None);
    let car = Car::start(dir.path(), &broker.uplink());
    // Retained: it comes whoever was first. Then the subscription is there, too.
    until("the car is online", || status(&subscriber).is_some_and(|s| s["online"] == true));
    let ids = car.record(dir.path(), &plates(0..10));
    car.until_delivered();
    let pictures = || {
        let received = subscriber.received();
        received.iter().filter(|(topic, _)| topic.ends_with("/plate.jpg")).count()
    };
    until("all arrived", || set(&subscriber.hits()) == set(&ids) && pictures() == ids.len());
    assert_eq!(subscriber.hits(), ids, "in order, and each once on a good line");
    assert_eq!(car.health.delivered.get(), 10);
    // Each picture is there, and is the one whose digest its hit names.
    let received = subscriber.received();
    for id in &ids {
        let payload = |end: &str| {
            let found = received.iter().find(|(topic, _)| topic.ends_with(end));
            found.unwrap_or_else(|| panic!("{end} is missing")).1.clone()
        };
        let hit: serde_json::Value =
            serde_json::from_slice(&payload(&format!("/hit/{id}"))).unwrap();
        let jpeg = payload(&format!("/hit/{id}/plate.jpg"));
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&jpeg);
        assert_eq!(hit["images"][0]["sha256"], data_encoding::HEXLOWER.encode(&digest));
        assert_eq!(hit["status"], "UNVERIFIED: not grounds for a stop");
    }
    drop(car);
    until("the car said goodbye", || status(&subscriber).is_some_and(|s| s["online"] == false));
}

#[test]
fn what_is_wrong_with_tls_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("broker");
    let setup = Setup { tls: true, ..Setup::default() };
    let Some(broker) = Mosquitto::start(&folder, setup) else { return };
    let good = broker.uplink();
    let port = broker.port();
    let cases = [
        (
            "it wants a client certificate: set uplink.certificate and uplink.key",
            UplinkConfig { certificate: None, key: None, ..good.clone() },
        ),
        (
            "it does not accept this car's certificate (uplink.certificate)",
            UplinkConfig {
                certificate: Some(folder.join("stranger.pem")),
                key: Some(folder.join("stranger.key")),
                ..good.clone()
            },
        ),
        (
            "its certificate is not signed by the authority in uplink.ca",
            UplinkConfig { ca: Some(folder.join("other-ca.pem")), ..good.clone() },
        ),
        (
            "its certificate is for another host name than the one in uplink.broker",
            UplinkConfig { broker: Some(format!("mqtts://127.0.0.1:{port}")), ..good.clone() },
        ),
        (
            "uplink.key does not belong to uplink.certificate",
            UplinkConfig { key: Some(folder.join("admin.key")), ..good.clone() },
        ),
        ("uplink.key = ", UplinkConfig { key: Some(folder.join("no-such.key")), ..good.clone() }),
    ];
    for (n, (words, config)) in cases.into_iter().enumerate() {
        let car = Car::start(&dir.path().join(n.to_string()), &config);
        let said = car.until_said(words);
        assert!(!said.contains("hits waiting"), "nothing waits: {said}");
    }
}

#[test]
fn wrong_password_port_or_protocol_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let login = Some(("car".to_owned(), "right".to_owned()));
    let setup = Setup { login, ..Setup::default() };
    let Some(broker) = Mosquitto::start(&dir.path().join("broker"), setup) else { return };
    let password = dir.path().join("password");
    std::fs::write(&password, "wrong\n").unwrap();
    // What others can read is refused in other words.
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = UplinkConfig {
        username: Some("car".into()),
        password_file: Some(password.clone()),
        ..broker.uplink()
    };
    let car = Car::start(&dir.path().join("a"), &config);
    let ids = car.record(&dir.path().join("a"), &plates(0..1));
    let said = car.until_said("check uplink.username, uplink.password_file");
    assert!(said.starts_with(&format!("broker mqtt://127.0.0.1:{}: refused: ", broker.port())));
    car.until_said("; hits waiting in the car: 1");
    // The right one needs no restart.
    std::fs::write(&password, "right\n").unwrap();
    car.until_delivered();
    assert_eq!(car.outbox.recent(1).unwrap()[0].id.to_string(), ids[0]);
    drop(car);

    let nobody = UplinkConfig { broker: Some("mqtt://127.0.0.1:1".into()), ..broker.uplink() };
    Car::start(&dir.path().join("b"), &nobody).until_said("nothing listens there");
    let no_tls = UplinkConfig {
        broker: Some(format!("mqtts://localhost:{}", broker.port())),
        ca: Some(write_any_ca(dir.path())),
        ..broker.uplink()
    };
    Car::start(&dir.path().join("c"), &no_tls).until_said(": the broker closed the connection");
}

fn write_any_ca(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("any-ca.pem");
    let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
    path
}

#[test]
fn broker_that_grants_no_write_access_is_said_and_hits_wait() {
    let dir = tempfile::tempdir().unwrap();
    let acl = FOUR_TOPICS.replace("4127/#", "4127/status");
    let setup = Setup { tls: true, acl: Some(acl), ..Setup::default() };
    let Some(broker) = Mosquitto::start(&dir.path().join("broker"), setup) else { return };
    let car = Car::start(dir.path(), &broker.uplink());
    car.record(dir.path(), &plates(0..3));
    car.until_said("broker does not let this car publish to alpr/v1/peel/vehicle/4127/");
    let queue = car.outbox.queue().unwrap();
    let states: Vec<_> = car.outbox.recent(9).unwrap().into_iter().map(|h| h.delivery).collect();
    assert_eq!(queue.hits, 3, "{queue:?} {states:?} {}", broker.log());
    assert_eq!(car.health.delivered.get(), 0);
}

#[test]
fn persistent_broker_restarted_mid_stream_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { persistent: true, ..Setup::default() };
    let Some(mut broker) = Mosquitto::start(&dir.path().join("broker"), setup) else { return };
    let subscriber = broker.subscriber(Some("fleet"));
    subscriber.ready(&broker);
    let car = Car::start(dir.path(), &broker.uplink());
    let mut ids = Vec::new();
    for round in 0..4 {
        let plates = plates(round * 60..(round + 1) * 60);
        std::thread::scope(|scope| {
            let recording = scope.spawn(|| car.record(dir.path(), &plates));
            // Somewhere in the middle.
            let seen = subscriber.hits().len();
            until("some have arrived", || subscriber.hits().len() > seen + 5);
            broker.restart();
            ids.extend(recording.join().unwrap());
        });
    }
    car.until_delivered();
    until("all arrived", || set(&subscriber.hits()) == set(&ids));
    assert_eq!(ids.len(), 240);
    eprintln!("240 hits, {} arrivals over 4 restarts", subscriber.hits().len());
}

#[test]
fn broker_without_a_memory_killed_mid_stream_gets_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut broker) = Mosquitto::start(&dir.path().join("broker"), Setup::default()) else {
        return;
    };
    let subscriber = broker.subscriber(None);
    subscriber.ready(&broker);
    let car = Car::start(dir.path(), &broker.uplink());
    car.record(dir.path(), &plates(0..20));
    until("some have arrived", || !subscriber.hits().is_empty());
    broker.kill();
    car.record(dir.path(), &plates(20..40));
    car.until_said("hits waiting in the car");
    broker.restart();
    // What it takes while nobody listens, and what it forgot when it was killed, is its own
    // affair: it has acknowledged all of it.
    car.until_delivered();
    assert_eq!(car.health.delivered.get(), 40);
    subscriber.ready(&broker);
    let last = car.record(dir.path(), &plates(40..45));
    until("the later ones arrived", || set(&subscriber.hits()).is_superset(&set(&last)));
}

#[test]
fn oversize_message_is_set_aside_and_others_pass() {
    let dir = tempfile::tempdir().unwrap();
    // The hit's text is below this, the picture of noise above.
    let setup = Setup { extra: "max_packet_size 2000\n".into(), ..Setup::default() };
    let Some(broker) = Mosquitto::start(&dir.path().join("a"), setup) else { return };
    let subscriber = broker.subscriber(None);
    subscriber.ready(&broker);
    let car = Car::start(&dir.path().join("car"), &broker.uplink());
    let ids = car.record(&dir.path().join("car"), &plates(0..5));
    until("texts arrived", || subscriber.hits() == ids);
    until("pictures are set aside", || car.outbox.queue().unwrap().set_aside == 5);
    assert_eq!(car.health.state("broker"), Some(PartState::Working));
    drop(car);

    // A broker that has the limit and does not say so: mosquitto's message_size_limit.
    let setup = Setup { extra: "message_size_limit 2000\n".into(), ..Setup::default() };
    let Some(broker) = Mosquitto::start(&dir.path().join("b"), setup) else { return };
    let subscriber = broker.subscriber(None);
    subscriber.ready(&broker);
    let car = Car::start(&dir.path().join("car2"), &broker.uplink());
    let ids = car.record(&dir.path().join("car2"), &plates(0..3));
    within(Duration::from_secs(60), "texts arrived", || set(&subscriber.hits()) == set(&ids));
    within(Duration::from_secs(90), "pictures are set aside", || {
        let queue = car.outbox.queue().unwrap();
        (queue.hits, queue.images, queue.set_aside) == (0, 0, 3)
    });
}

/// The car that is killed: records hits as fast as they come, and says each once `record` has
/// returned. Runs only when the test below starts it.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os("OUTRIDER_TEST_CHILD") else { return };
    let port = std::env::var("OUTRIDER_TEST_PORT").unwrap();
    let folder = Path::new(&folder);
    let config = UplinkConfig {
        broker: Some(format!("mqtt://127.0.0.1:{port}")),
        retry_most: "1s".parse().unwrap(),
        ..UplinkConfig::default()
    };
    let car = Car::start(folder, &config);
    let plates = plates(0..5_000);
    let keeping = car::keeping(folder, Retention::For(Duration::from_secs(3_600)));
    let (_onboard, hits) = car::drive(&plates, &plates, &keeping, &car.health);
    for hit in hits {
        let recorded = car.outbox.record(&hit).unwrap();
        println!("recorded {}", recorded.id);
    }
}

#[test]
fn killed_again_and_again_no_recorded_hit_is_lost_and_each_arrives() {
    const ROUNDS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { persistent: true, ..Setup::default() };
    let Some(broker) = Mosquitto::start(&dir.path().join("broker"), setup) else { return };
    let subscriber = broker.subscriber(Some("fleet"));
    subscriber.ready(&broker);
    let folder = dir.path().join("car");
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env("OUTRIDER_TEST_CHILD", &folder)
            .env("OUTRIDER_TEST_PORT", broker.port().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (out, sink) = (child.stdout.take().unwrap(), acknowledged.clone());
        let before = sink.lock().unwrap().len();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some((_, id)) = line.split_once("recorded ") {
                    sink.lock().unwrap().insert(id.to_owned());
                }
            }
        });
        // Killed after another number of hits each time, wherever it then is.
        let after = before + 1 + round * 7 % 23;
        until("hits are recorded", || acknowledged.lock().unwrap().len() >= after);
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();

        let health = Arc::new(Health::default());
        let keeping = car::keeping(&folder, Retention::Nothing);
        let outbox = Outbox::open(&keeping, &vehicle(), Arc::new(SystemClock), health).unwrap();
        let kept: BTreeSet<_> =
            outbox.recent(usize::MAX).unwrap().iter().map(|h| h.id.to_string()).collect();
        let said = acknowledged.lock().unwrap();
        let lost: Vec<_> = said.difference(&kept).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
    }
    // The last will: the broker says that the car is gone.
    until("the will is published", || status(&subscriber).is_some_and(|s| s["online"] == false));

    let car = Car::start(&folder, &broker.uplink());
    car.until_delivered();
    let kept: BTreeSet<_> =
        car.outbox.recent(usize::MAX).unwrap().iter().map(|h| h.id.to_string()).collect();
    until("all arrived", || set(&subscriber.hits()) == kept);
    let said = acknowledged.lock().unwrap();
    assert!(kept.is_superset(&said) && said.len() >= ROUNDS);
    let arrivals = subscriber.received().iter().filter(|(t, _)| hit_of(t).is_some()).count();
    eprintln!(
        "{ROUNDS} kills: {} hits recorded, all kept, {} kept, {arrivals} arrivals of them",
        said.len(),
        kept.len()
    );
}
