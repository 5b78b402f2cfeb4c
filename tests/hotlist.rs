//! Takes a list from its source to the broker with the real program and a real mosquitto: keys, trust, import, build,
//! sign, publish over mutual TLS, revoke, clean. The same messages are then read and published again with nothing but
//! `mosquitto_sub` and `mosquitto_pub`.

#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::mosquitto::{Mosquitto, Setup};
use outrider::dsse::Envelope;
use outrider::hotlist::format::{
    Address, Expected, ListKeys, Manifest, open_chunk, open_page, revocation_tag,
};
use outrider::trust::{Role, Root, Trust};

const ACCESS: &str = "\
user admin
topic readwrite alpr/v1/opp/hotlist/stolen/#
topic readwrite alpr/v1/opp/trust
topic read #
user 4127
topic read alpr/v1/opp/hotlist/#
";

/// An author's desk: a folder and the program.
struct Desk(tempfile::TempDir);

impl Desk {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn try_run(&self, arguments: &str, input: &str) -> Output {
        let mut command = assert_cmd::Command::cargo_bin("outrider").unwrap();
        command.current_dir(self.0.path()).args(arguments.split(' ')).write_stdin(input);
        command.output().unwrap()
    }

    #[track_caller]
    fn run(&self, arguments: &str) -> String {
        self.run_with(arguments, "")
    }

    #[track_caller]
    fn run_with(&self, arguments: &str, input: &str) -> String {
        let output = self.try_run(arguments, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "outrider {arguments}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &str) -> String {
        let output = self.try_run(arguments, "");
        assert!(!output.status.success(), "outrider {arguments} was not refused");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Keys, a trust document, and 2,000 plates.
    fn with_keys() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.run("provision root --out root.key --public root.pub.json");
        let author = desk.run("provision author-key --out author.key");
        let public = author.lines().find_map(|l| l.strip_prefix("public ")).unwrap().to_owned();
        desk.run("provision list-key --out list.key");
        desk.run("provision trust init --root root.key --file trust.json --agency opp");
        desk.run(&format!(
            "provision trust grant --root root.key --file trust.json --key {public} --name desk \
             --list stolen"
        ));
        desk.write_source(0..2_000);
        desk
    }

    fn write_source(&self, plates: std::ops::Range<u32>) {
        let rows: String = plates
            .map(|n| format!("SYN{n:04},CA-ON,stolen_vehicle,high,Synthetic row {n}\n"))
            .collect();
        let csv = format!("Plate,Jurisdiction,Category,Priority,Reason\n{rows}");
        std::fs::write(self.path("source.csv"), csv).unwrap();
    }

    fn release(&self) {
        self.run(
            "hotlist import source.csv --mapping outrider-csv --list stolen --list-key list.key",
        );
        self.run("hotlist build stolen.hotlist --store store --agency opp --list-key list.key");
        self.run("hotlist sign --store store --author-key author.key");
    }
}

fn broker_arguments(broker: &Mosquitto, folder: &Path) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    format!(
        "--broker mqtts://localhost:{} --ca {} --certificate {} --key {}",
        broker.port(),
        file("ca.pem"),
        file("admin.pem"),
        file("admin.key")
    )
}

/// Everything that is retained under a topic, by `mosquitto_sub` alone.
fn retained(broker: &Mosquitto, folder: &Path, filter: &str) -> BTreeMap<String, Vec<u8>> {
    let output = mosquitto("mosquitto_sub", broker, folder)
        .args(["-t", filter, "-F", "%t %x", "-W", "2", "--retained-only"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(topic, hex)| {
            let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap();
            (topic.to_owned(), bytes)
        })
        .collect()
}

fn mosquitto(program: &str, broker: &Mosquitto, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-V", "5", "-q", "1", "-h", "localhost", "-p"]).arg(broker.port().to_string());
    command.arg("--cafile").arg(folder.join("ca.pem"));
    command.arg("--cert").arg(folder.join("admin.pem"));
    command.arg("--key").arg(folder.join("admin.key"));
    command
}

/// Reads a list from messages and files alone, as another client would.
fn read_as_a_car(
    desk: &Desk,
    messages: &BTreeMap<String, Vec<u8>>,
) -> (Manifest, Vec<(String, bool)>) {
    let now = jiff::Timestamp::now();
    let root: Root =
        serde_json::from_slice(&std::fs::read(desk.path("root.pub.json")).unwrap()).unwrap();
    let trust = Envelope::parse(&messages["alpr/v1/opp/trust"]).unwrap();
    let trust = Trust::open(&trust, &root, "opp", 0, now).unwrap();
    let authors = trust.keys_for(&Role::ListAuthor("stolen".into()));
    let expected =
        Expected { authors: &authors, agency: "opp", list: "stolen", known_version: 0, now };
    let message = &messages["alpr/v1/opp/hotlist/stolen/manifest"];
    let (manifest, _) = Manifest::open(message, &expected).unwrap();
    let keys = ListKeys::load(&desk.path("list.key")).unwrap();
    let key = keys.get(manifest.key).unwrap();
    let get = |address: Address| &messages[&format!("alpr/v1/opp/hotlist/stolen/chunk/{address}")];
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        let mut chunks = Vec::new();
        for page in &layer.pages {
            for one in open_page(key, page.address, get(page.address)).unwrap() {
                chunks.push(open_chunk(key, one.address, get(one.address)).unwrap());
            }
        }
        layers.push(chunks);
    }
    let records = layers
        .iter()
        .map(|chunks| chunks.iter().flat_map(|chunk| chunk.records().map(|(_, record)| record)));
    let listed = outrider::hotlist::format::merged(records.collect())
        .map(|r| {
            let tag = revocation_tag(key, r.plate, r.jurisdiction);
            (r.plate.expose().to_owned(), manifest.revokes(&tag))
        })
        .collect();
    (manifest, listed)
}

#[test]
fn list_goes_its_whole_way_over_mutual_tls() {
    let broker_folder = tempfile::tempdir().unwrap();
    let folder = broker_folder.path();
    let setup = Setup { tls: true, acl: Some(ACCESS.into()), ..Setup::default() };
    let Some(broker) = Mosquitto::start(folder, setup) else { return };
    let to = broker_arguments(&broker, folder);
    let desk = Desk::with_keys();
    desk.release();
    desk.run(
        "hotlist verify --store store --list-key list.key --root root.pub.json --trust trust.json",
    );
    desk.run(&format!("provision trust publish --file trust.json {to}"));
    let said = desk.run(&format!("hotlist publish --store store --list-key list.key {to}"));
    assert!(said.starts_with("version 1 published: "), "{said}");

    let messages = retained(&broker, folder, "alpr/v1/opp/#");
    let (manifest, listed) = read_as_a_car(&desk, &messages);
    assert_eq!((manifest.version, listed.len()), (1, 2_000));
    let everything: Vec<u8> = messages.values().flatten().copied().collect();
    assert!(!everything.windows(7).any(|w| w == b"SYN0042"), "no plate in clear at the broker");

    // Twenty entries go and twenty come: the car fetches one chunk and its page.
    desk.write_source(20..2_020);
    desk.release();
    let diff = desk.run("hotlist diff --store store --list-key list.key");
    assert!(diff.contains("20 added, 20 removed, 0 changed"), "{diff}");
    let said = desk.run(&format!("hotlist publish --store store --list-key list.key {to}"));
    assert!(said.starts_with("version 2 published: 2 messages sent"), "{said}");
    let messages = retained(&broker, folder, "alpr/v1/opp/#");
    let (_, listed) = read_as_a_car(&desk, &messages);
    assert_eq!(listed.first().unwrap().0, "SYN0020");
    assert_eq!(listed.len(), 2_000);

    // A wrong entry stops alerting before the next update is made.
    let revoke = format!(
        "hotlist revoke --jurisdiction CA-ON --store store --list-key list.key --author-key author.key {to}"
    );
    let said = desk.run_with(&revoke, "syn 1000\n");
    assert!(said.contains("1 entries revoked (CA-ON)"), "{said}");
    let messages = retained(&broker, folder, "alpr/v1/opp/#");
    let (manifest, listed) = read_as_a_car(&desk, &messages);
    assert_eq!(manifest.version, 3);
    let revoked: Vec<_> = listed.iter().filter(|(_, gone)| *gone).collect();
    assert_eq!(revoked, [&("SYN1000".to_owned(), true)]);
    let inspect = desk.run("hotlist inspect --store store --list-key list.key");
    assert!(inspect.contains("revoked: 1"), "{inspect}");

    // Interop: what one broker holds, plain tools bring to another, and it reads the same there.
    let second_folder = tempfile::tempdir().unwrap();
    let second = second_folder.path();
    let setup = Setup { tls: true, ..Setup::default() };
    let Some(other) = Mosquitto::start(second, setup) else { return };
    for (topic, payload) in &messages {
        let file = desk.path("payload");
        std::fs::write(&file, payload).unwrap();
        let mut publish = mosquitto("mosquitto_pub", &other, second);
        assert!(publish.args(["-r", "-t", topic, "-f"]).arg(&file).status().unwrap().success());
    }
    let copied = retained(&other, second, "alpr/v1/opp/#");
    assert_eq!(copied, messages);
    assert_eq!(read_as_a_car(&desk, &copied).1, listed);
}

#[test]
fn author_without_access_is_told_what_to_grant() {
    let broker_folder = tempfile::tempdir().unwrap();
    let folder = broker_folder.path();
    let acl = Some("user admin\ntopic read #\n".into());
    let setup = Setup { tls: true, acl, ..Setup::default() };
    let Some(broker) = Mosquitto::start(folder, setup) else { return };
    let desk = Desk::with_keys();
    desk.release();
    let to = broker_arguments(&broker, folder);
    let said = desk.refused(&format!("hotlist publish --store store --list-key list.key {to}"));
    assert!(said.contains("grant this author's user or certificate write access"), "{said}");
}

#[test]
fn withdrawn_author_signs_no_more() {
    let desk = Desk::with_keys();
    desk.release();
    let verify =
        "hotlist verify --store store --list-key list.key --root root.pub.json --trust trust.json";
    desk.run(verify);
    let shown = desk.run("provision trust show --file trust.json --root root.pub.json");
    assert!(shown.contains("desk: authors list stolen") && shown.contains("holds"), "{shown}");
    let name = desk.run("provision author-key --show author.key");
    let name = name.lines().find_map(|l| l.strip_prefix("name   ")).unwrap().to_owned();
    desk.run(&format!(
        "provision trust withdraw --root root.key --file trust.json --key-name {name}"
    ));
    let said = desk.refused(verify);
    assert!(said.contains("trust.json lets nobody author list"), "{said}");
}

#[test]
fn half_a_source_file_is_not_built_without_a_word() {
    let desk = Desk::with_keys();
    desk.release();
    desk.write_source(0..900);
    desk.run("hotlist import source.csv --mapping outrider-csv --list stolen --list-key list.key");
    let build = "hotlist build stolen.hotlist --store store --agency opp --list-key list.key";
    let said = desk.refused(build);
    assert!(said.contains("from 2000 to 900 entries (-55 %; 0 added, 1100 removed)"), "{said}");
    let said = desk.run(&format!("{build} --confirm-size"));
    assert!(said.contains("900 entries (0 added, 1100 removed, 0 changed)"), "{said}");
}

#[test]
fn import_says_what_it_left_out_and_explains_a_line() {
    let desk = Desk::with_keys();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("hotlists/samples");
    let file = samples.join("synthetic-ncic-fixed.txt");
    let said = desk.run(&format!(
        "hotlist import {} --mapping ncic-fixed --list stolen --list-key list.key",
        file.display()
    ));
    assert!(said.contains("dropped, category off by default: N 1"), "{said}");
    let quarantine = std::fs::read_to_string(desk.path("stolen.quarantine.tsv")).unwrap();
    assert!(quarantine.contains("11\teffective of the form \"99999999\""), "{quarantine}");
    let work = std::fs::read(desk.path("stolen.hotlist")).unwrap();
    assert!(!work.windows(7).any(|w| w == b"SYN0001"), "the work file is encrypted");
    let said =
        desk.run(&format!("hotlist import {} --mapping ncic-fixed --explain 2", file.display()));
    assert!(said.contains("characters 27 to 37") && said.contains("\"SYN0001\""), "{said}");
    let all = desk.run("hotlist import --mappings");
    assert_eq!(all.lines().count(), 13, "{all}");
}

#[test]
fn import_that_is_a_torso_is_no_success_and_writes_nothing() {
    let desk = Desk::with_keys();
    let rows = |bad: usize| -> String {
        let good = (bad..18).map(|n| format!("SYN{n:04},CA-ON,stolen_vehicle\n"));
        let bad = (0..bad).map(|n| format!("SYN{n:04},Nobody Smithson {n},stolen_vehicle\n"));
        format!("Plate,Jurisdiction,Category\n{}", bad.chain(good).collect::<String>())
    };
    let import =
        "hotlist import source.csv --mapping outrider-csv --list stolen --list-key list.key";
    for (bad, why) in [
        (10, "10 of 18 rows have something wrong (56 %, the most is 10 %)"),
        (18, "none of the 18 rows is usable"),
    ] {
        std::fs::write(desk.path("source.csv"), rows(bad)).unwrap();
        for arguments in
            [import.to_owned(), format!("{import} --dry-run"), format!("{import} --json")]
        {
            let output = desk.try_run(&arguments, "");
            let said =
                [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
            assert!(!output.status.success() && said.contains(why), "{said}");
            assert!(!said.contains("Smithson"), "{said}");
        }
        assert!(!desk.path("stolen.hotlist").exists());
    }
    std::fs::write(desk.path("source.csv"), "Plate,Jurisdiction,Category\n").unwrap();
    assert!(desk.refused(import).contains("no entry among 0 rows"));
    desk.run(&format!("{import} --allow-empty"));
    std::fs::write(desk.path("source.csv"), rows(10)).unwrap();
    let said = desk.run(&format!("{import} --most-bad 60"));
    assert!(said.contains("18 rows read as outrider-csv: 8 entries"), "{said}");
}

#[test]
fn emergency_rotation_leaves_nothing_under_the_old_key_and_revocations_hold() {
    let desk = Desk::with_keys();
    desk.release();
    let said = desk.run_with(
        "hotlist revoke --jurisdiction CA-ON --store store --list-key list.key --author-key author.key",
        "SYN0007\n",
    );
    assert!(said.contains("1 entries revoked (CA-ON); 1 revocation holds"), "{said}");
    desk.run("provision list-key --rotate list.key");
    let names = desk.run("provision list-key --show list.key");
    let (new, old) = names.trim().split_once(", ").unwrap();

    // What is there goes out under the old key only if somebody says so.
    let publish = "hotlist publish --store store --list-key list.key --broker mqtt://localhost:1";
    let said = desk.refused(publish);
    assert!(
        said.contains(&format!("version 2 is sealed with list key {old}, and {new} is the newest")),
        "{said}"
    );
    assert!(desk.refused(&format!("{publish} --under-old-key")).contains("localhost"));
    let said = desk.run_with(
        "hotlist revoke --store store --list-key list.key --author-key author.key",
        "SYN0008\n",
    );
    assert!(said.contains("2 revocations hold"), "{said}");
    assert!(
        said.contains(&format!("CAUTION: this version is sealed with the old list key {old}")),
        "{said}"
    );

    // The work file was sealed before the rotation.
    let build = "hotlist build stolen.hotlist --store store --agency opp --list-key list.key";
    let said = desk.run(build);
    assert!(said.contains("2 revocations hold, 0 ended"), "{said}");
    assert!(said.contains(&format!("sealed with list key {new}")), "{said}");
    let said = desk.run("hotlist sign --store store --author-key author.key");
    assert!(said.contains("2 revocations hold"), "{said}");
    assert!(desk.refused(publish).contains("localhost"), "nothing but the broker is missing");
    for command in [
        "hotlist inspect --store store --list-key list.key",
        "hotlist diff --store store --list-key list.key",
        "hotlist verify --store store --list-key list.key --root root.pub.json --trust trust.json",
    ] {
        let said = desk.run(command);
        assert!(said.contains("2 revocations hold"), "{command}: {said}");
    }
    let keys = ListKeys::load(&desk.path("list.key")).unwrap();
    let manifest = std::fs::read(desk.path("store/manifest/4.json")).unwrap();
    let manifest = Manifest::parse(&manifest).unwrap();
    for (plate, revoked) in [("SYN0007", true), ("SYN0008", true), ("SYN0009", false)] {
        let plate = outrider::plate::ListedPlate::parse(plate).unwrap();
        let ontario = outrider::plate::Jurisdiction::parse("CA-ON").unwrap();
        let tag = revocation_tag(keys.newest(), plate, ontario);
        assert_eq!(manifest.revokes(&tag), revoked);
    }
}
