//! Load tool: one car that takes large lists, or a thousand cars that take an update at once, over real
//! MQTT connections with TLS and client certificates to a real mosquitto with the files of
//! `examples/broker/`, all on this machine.
//!
//! ```text
//! cargo run --release --features testing --example fleet_load -- car 1000000
//! cargo run --release --features testing --example fleet_load -- fleet 1000 1000000
//! ```
//! `car` prints time and bytes of a first sync, of updates of 1 % and 0.01 %, and of a revocation.
//! `fleet` lets every car fetch and prove what it lacks for an update of 1 % (without building an index
//! of its own: a thousand indexes do not fit one machine) and prints the time until the last has it,
//! and what that costs the broker. `docs/scale.md` has the figures.

#![allow(clippy::unwrap_used, clippy::disallowed_types, reason = "a load tool, on loopback")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use common::author::{Author, Car, LIST_KEY, chunk_topic, manifest_topic, signing_key, trust};
use common::fleet::{AGENCY, Fleet};
use outrider::config::UplinkConfig;
use outrider::downlink::Downlink;
use outrider::hotlist::format::{
    Address, Expected, ListKey, Manifest, open_chunk, open_page, revocation_tag,
};
use outrider::hotlist::sync::made_up::MadeUp;
use outrider::inbound::{Inbound, Topic};
use outrider::plate::{Jurisdiction, ListedPlate};
use rumqttc::{
    AsyncClient, Event, MqttOptions, Packet, PublishOptions, QoS, TlsConfiguration, Transport,
};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, or: u64| args.get(n).map_or(or, |a| a.parse().unwrap());
    match args.first().map(String::as_str) {
        Some("car") => one_car(number(1, 1_000_000)),
        Some("fleet") => many_cars(number(1, 1_000), number(2, 1_000_000)),
        _ => eprintln!("usage: fleet_load car [ENTRIES] | fleet [CARS] [ENTRIES]"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An author's connection that publishes retained messages and waits for every acknowledgement.
struct Publisher {
    client: AsyncClient,
    runtime: tokio::runtime::Runtime,
}

impl Publisher {
    fn connect(fleet: &Fleet) -> Self {
        let config: UplinkConfig = fleet.uplink("author-stolen");
        let read =
            |path: &Option<std::path::PathBuf>| std::fs::read(path.as_ref().unwrap()).unwrap();
        let broker = rumqttc::Broker::tcp("localhost", fleet.port());
        let mut options = MqttOptions::new("author-stolen", broker);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
            ca: read(&config.ca),
            alpn: None,
            client_auth: Some((read(&config.certificate), read(&config.key))),
        }));
        let runtime = runtime();
        let (client, mut events) = AsyncClient::builder(options).capacity(16).try_build().unwrap();
        let (ready, connected) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => _ = ready.send(()),
                    Ok(_) => {}
                    Err(rumqttc::ConnectionError::RequestsDone) => break, // dropped: all is said
                    Err(e) => panic!("publisher: {e}"),
                }
            }
        });
        connected.recv().unwrap();
        Self { client, runtime }
    }

    fn publish(&self, messages: impl Iterator<Item = (String, Vec<u8>)>) {
        self.runtime.block_on(async {
            let mut notices = std::collections::VecDeque::new();
            for (topic, payload) in messages {
                let options = PublishOptions::new(QoS::AtLeastOnce).retain(true);
                let notice = self.client.publish_tracked(topic, payload, options).await.unwrap();
                notices.push_back(notice);
                // The broker's own window is 20.
                if notices.len() >= 20 {
                    notices.pop_front().unwrap().wait_async().await.unwrap();
                }
            }
            for notice in notices {
                notice.wait_async().await.unwrap();
            }
        });
    }

    /// Publishes the chunks that are new since `before`, then the manifest. Returns when the broker
    /// has acknowledged it, and the bytes of the chunks.
    fn version(&self, list: &MadeUp, before: &BTreeSet<Address>) -> (Instant, usize) {
        let new: Vec<_> = list.messages.iter().filter(|(a, _)| !before.contains(*a)).collect();
        let bytes = new.iter().map(|(_, bytes)| bytes.len()).sum();
        self.publish(new.into_iter().map(|(a, bytes)| (chunk_topic(a), bytes.to_vec())));
        let start = Instant::now();
        let manifest = list.signed(&signing_key(2));
        self.publish(std::iter::once((manifest_topic(), manifest)));
        (start, bytes)
    }
}

fn addresses(list: &MadeUp) -> BTreeSet<Address> {
    list.messages.keys().copied().collect()
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn one_car(entries: u64) {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(&dir.path().join("broker")) else { return };
    let author = Author::new();
    fleet.retain_as("admin", "alpr/v1/peel/trust", &trust(1, &[&author.key]));
    let start = Instant::now();
    let mut list = MadeUp::new(AGENCY, "stolen", LIST_KEY, entries);
    println!(
        "{entries} entries sealed in {:.1} s: {} messages, {:.1} MB",
        start.elapsed().as_secs_f64(),
        list.messages.len(),
        megabytes(list.manifest.counts.bytes)
    );
    let publisher = Publisher::connect(&fleet);
    publisher.version(&list, &BTreeSet::new());
    println!("broker holds it in {:.1} MB resident", megabytes(resident(fleet.pid())));

    let start = Instant::now();
    let car = Car::start_with(dir.path(), Some(&fleet.uplink("4127")), "most_bytes = \"2GiB\"\n");
    let serves = |version: u64| {
        while car.version() != Some(version) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    serves(1);
    let mut before = car.downlink.received();
    let (index, rows) = car.service.lists()[0].bytes();
    println!(
        "first sync: {:.2} s, {:.1} MB in {} messages; index {:.1} MB, sealed rows {:.1} MB",
        start.elapsed().as_secs_f64(),
        megabytes(before.bytes),
        before.messages,
        megabytes(index as u64),
        megabytes(rows as u64)
    );
    for (n, (name, part)) in [("1 %", 100), ("0.01 %", 10_000)].into_iter().enumerate() {
        let had = addresses(&list);
        list.change(entries / part);
        let (start, _) = publisher.version(&list, &had);
        serves(n as u64 + 2);
        let took = start.elapsed();
        let now = car.downlink.received();
        println!(
            "update of {name}: {:.2} s after its manifest, {:.3} MB in {} messages",
            took.as_secs_f64(),
            megabytes(now.bytes - before.bytes),
            now.messages - before.messages
        );
        before = now;
    }
    let gone = list.plate(entries / 3);
    assert!(car.lists(&gone));
    let key = ListKey::parse(LIST_KEY).unwrap();
    let on = Jurisdiction::parse("CA-ON").unwrap();
    list.manifest.version += 1;
    list.manifest.revoked = vec![revocation_tag(&key, ListedPlate::parse(&gone).unwrap(), on)];
    let (start, _) = publisher.version(&list, &addresses(&list));
    while car.lists(&gone) {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!(
        "revocation: in force {:.0} ms after its manifest",
        start.elapsed().as_secs_f64() * 1e3
    );
    drop(car);
    let start = Instant::now();
    let again = Car::start_with(dir.path(), None, "most_bytes = \"2GiB\"\n");
    assert_eq!(again.version(), Some(4));
    println!("restart: serves from its disk after {:.2} s", start.elapsed().as_secs_f64());
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Seconds of processor time that a process has used.
fn processor(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// A car without an index: fetches what it lacks, proves it, and forgets it.
struct LightCar {
    downlink: Downlink,
    to: SyncSender<Inbound>,
    inbound: Receiver<Inbound>,
    version: u64,
    pages: BTreeSet<Address>,
    missing: BTreeSet<Address>,
    asked: BTreeSet<Address>,
    done: Option<Instant>,
}

impl LightCar {
    fn new(id: usize) -> Self {
        let vehicle = outrider::config::Vehicle { id: id.to_string(), agency: AGENCY.into() };
        let downlink = Downlink::new(&vehicle);
        let (to, inbound) = sync_channel(64);
        downlink.subscribe(Topic::Manifest("stolen".into()), to.clone());
        let (pages, missing, asked) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { downlink, to, inbound, version: 0, pages, missing, asked, done: None }
    }

    /// Takes what has come. `held` is what every car has from before.
    fn step(&mut self, key: &ListKey, held: &BTreeSet<Address>) {
        while let Ok(Inbound { topic, payload, .. }) = self.inbound.try_recv() {
            match &topic {
                Topic::Manifest(_) => {
                    let authors = [signing_key(2).public()];
                    let (agency, list, now) = (AGENCY, "stolen", jiff::Timestamp::now());
                    let authors = &authors[..];
                    let known_version = self.version;
                    let expected = Expected { authors, agency, list, known_version, now };
                    let (manifest, _) = Manifest::open(&payload, &expected).unwrap();
                    if manifest.version == self.version {
                        continue;
                    }
                    self.version = manifest.version;
                    self.pages = manifest.pages().map(|page| page.address).collect();
                    self.missing = self.pages.difference(held).copied().collect();
                }
                Topic::Chunk(_, address) => {
                    let address = Address::parse(address).unwrap();
                    if self.pages.contains(&address) {
                        let refs = open_page(key, address, &payload).unwrap();
                        let new = refs.iter().map(|r| r.address).filter(|a| !held.contains(a));
                        self.missing.extend(new);
                    } else {
                        open_chunk(key, address, &payload).unwrap();
                    }
                    self.missing.remove(&address);
                    self.asked.remove(&address);
                    self.downlink.unsubscribe(&topic);
                }
                _ => {}
            }
        }
        let room = 32_usize.saturating_sub(self.asked.len());
        let due: Vec<_> = self.missing.difference(&self.asked).take(room).copied().collect();
        for address in due {
            let topic = Topic::Chunk("stolen".into(), address.to_string().into());
            self.downlink.subscribe(topic, self.to.clone());
            self.asked.insert(address);
        }
        if self.version == 2 && self.missing.is_empty() && self.done.is_none() {
            self.done = Some(Instant::now());
        }
    }
}

fn many_cars(cars: u64, entries: u64) {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(&dir.path().join("broker")) else { return };
    let mut list = MadeUp::new(AGENCY, "stolen", LIST_KEY, entries);
    let publisher = Publisher::connect(&fleet);
    publisher.version(&list, &BTreeSet::new());
    let alone = resident(fleet.pid());
    println!(
        "{entries} entries, {} messages, {:.1} MB; broker with them: {:.1} MB resident",
        list.messages.len(),
        megabytes(list.manifest.counts.bytes),
        megabytes(alone)
    );

    let runtime = runtime();
    let mut fleet_cars: Vec<_> = (0..cars as usize).map(LightCar::new).collect();
    let start = Instant::now();
    let stops: Vec<_> = fleet_cars
        .iter()
        .enumerate()
        .map(|(n, car)| {
            let (stop, stopped) = tokio::sync::oneshot::channel();
            // Cars of a fleet have certificates of their own; what the broker looks up in its list is
            // the same for all of them.
            let mut uplink = fleet.uplink("4127");
            uplink.client_id = Some(format!("car-{n}"));
            let downlink = car.downlink.clone();
            runtime.spawn(async move { downlink.serve_for_tests(&uplink, stopped).await });
            stop
        })
        .collect();
    let key = ListKey::parse(LIST_KEY).unwrap();
    let held = addresses(&list);
    while fleet_cars.iter().any(|car| car.version != 1) {
        fleet_cars.iter_mut().for_each(|car| car.step(&key, &held));
        std::thread::sleep(Duration::from_millis(2));
    }
    let with_cars = resident(fleet.pid());
    println!(
        "{cars} cars connected and hold version 1 after {:.1} s; broker: {:.1} MB resident, {:.0} kB a \
         car",
        start.elapsed().as_secs_f64(),
        megabytes(with_cars),
        (with_cars.saturating_sub(alone)) as f64 / cars as f64 / 1e3
    );

    list.change(entries / 100);
    let before = fleet_cars_bytes(&fleet_cars);
    let used = processor(fleet.pid());
    let (start, update) = publisher.version(&list, &held);
    let mut most = resident(fleet.pid());
    let mut looked = Instant::now();
    while fleet_cars.iter().any(|car| car.done.is_none()) {
        fleet_cars.iter_mut().for_each(|car| car.step(&key, &held));
        if looked.elapsed() > Duration::from_millis(100) {
            most = most.max(resident(fleet.pid()));
            looked = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut times: Vec<_> =
        fleet_cars.iter().map(|car| (car.done.unwrap() - start).as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let bytes = fleet_cars_bytes(&fleet_cars) - before;
    println!(
        "update of 1 % ({:.2} MB a car): first car {:.2} s, half {:.2} s, 95 % {:.2} s, last {:.2} s",
        megabytes(update as u64),
        times[0],
        times[times.len() / 2],
        times[times.len() * 95 / 100],
        times[times.len() - 1]
    );
    println!(
        "broker: {:.1} MB resident at most, {:.1} s of processor, {:.1} MB of payload sent, {:.1} MB/s",
        megabytes(most),
        processor(fleet.pid()) - used,
        megabytes(bytes),
        megabytes(bytes) / times[times.len() - 1]
    );
    drop(stops);
    drop(runtime);
}

fn fleet_cars_bytes(cars: &[LightCar]) -> u64 {
    cars.iter().map(|car| car.downlink.received().bytes).sum()
}
