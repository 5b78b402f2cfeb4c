use std::path::Path;

use rstest::rstest;

use super::*;
use crate::clock::SimulatedClock;
use crate::config::{KeepingConfig, Vehicle};
use crate::plate::Plate;

struct Car {
    dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    service: Arc<Hotlists>,
    audit: Audit,
}

impl Car {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::starting_at("2026-11-24T07:00:00Z".parse().unwrap()));
        let keeping = KeepingConfig { directory: dir.path().join("state"), ..Default::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        Self { dir, clock, service: Arc::default(), audit }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn open(&self) -> Hotplates {
        open_in(&self.state(), self)
    }

    fn listed(&self, plate: &str) -> usize {
        let plate = Plate::parse(plate).unwrap();
        let now = self.clock.now().wall;
        self.service
            .lists()
            .iter()
            .map(|l| l.look_up(plate.key(), now).count() + l.fitting(&plate, now).count())
            .sum()
    }

    fn events(&self) -> String {
        let mut text = Vec::new();
        self.audit.export(Actor::System, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}

fn open_in(state: &Path, car: &Car) -> Hotplates {
    let device = DeviceKey::load(state).unwrap();
    let parts = (car.clock.clone() as Arc<dyn Clock>, Arc::default(), car.audit.clone());
    Hotplates::open(&HotplatesConfig::default(), state, &device, car.service.clone(), parts)
        .unwrap()
}

fn officer() -> SignedIn {
    SignedIn::for_tests("4411", Who::Officer)
}

fn wanted(plate: &str) -> Wanted {
    Wanted {
        plate: plate.into(),
        jurisdiction: "CA-ON".into(),
        priority: Priority::High,
        reason: "left the scene of a collision".into(),
        case: "26-00417".into(),
        by: String::new(),
        role: None,
        lasts: None,
    }
}

#[test]
fn added_for_a_shift_serves_at_once_and_ends_by_itself() {
    let car = Car::new();
    let hotplates = car.open();
    let added = hotplates.add(&officer(), &wanted("CKSV 841")).unwrap();
    assert_eq!(added.expires.to_string(), "2026-11-24T19:00:00Z");
    assert_eq!(car.listed("CKSV841"), 1);
    let lists = car.service.lists();
    let now = car.clock.now().wall;
    let entry = lists[0].look_up(Plate::parse("CKSV841").unwrap().key(), now).next().unwrap();
    assert_eq!((&*lists[0].stamp().name, &*entry.category), ("hotplates", "hotplate"));
    assert_eq!(entry.source, format!("hotplate {} by officer 4411", added.id));

    car.clock.advance(Duration::from_secs(12 * 3600));
    hotplates.tick();
    assert_eq!(car.listed("CKSV841"), 0);
    assert!(hotplates.list().is_empty());
    let events = car.events();
    assert!(events.contains("hotplate_added") && events.contains("hotplate_expired"), "{events}");
    assert!(!events.contains("CKSV"), "the audit has no place for a plate");
}

#[test]
fn hotplates_whose_store_is_gone_are_missed_until_the_last_of_them_would_have_ended() {
    let car = Car::new();
    car.open().add(&officer(), &wanted("CKSV841")).unwrap();
    for entry in std::fs::read_dir(car.state()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("hotplates.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let again = car.open();
    let state = |hotplates: &Hotplates| hotplates.health.state(PART);
    let Some(PartState::Impaired(why)) = state(&again) else { panic!("not told") };
    assert!(why.contains("until 2026-11-24T19:00:00Z at the latest is missing"), "{why}");
    car.clock.advance(Duration::from_secs(12 * 3600));
    again.tick();
    assert_eq!(state(&again), Some(PartState::Working));
}

#[test]
fn survives_a_new_device_key() {
    let car = Car::new();
    let added = car.open().add(&officer(), &wanted("CKSV841")).unwrap();
    let before = std::fs::read(car.state().join("device.key")).unwrap();
    crate::keys::rotation::Rotation::begin(&car.state(), false).unwrap().finish(None).unwrap();
    assert_ne!(std::fs::read(car.state().join("device.key")).unwrap(), before);
    // The log was opened under the old key; this test does not use it.
    let again = car.open();
    assert_eq!(again.list(), [added]);
    assert_eq!(car.listed("CKSV841"), 1);
}

#[test]
fn survives_a_restart_and_a_boot_with_the_time_it_has_left() {
    let car = Car::new();
    car.open().add(&officer(), &wanted("CKSV841")).unwrap();
    car.clock.advance(Duration::from_secs(3600));
    assert_eq!(car.open().list().len(), 1, "the daemon restarts");
    car.clock.reboot(car.clock.now().wall);
    let hotplates = car.open();
    assert_eq!(car.listed("CKSV841"), 1, "the car boots");
    // The wall clock stands still from here on, and the boot clock ends it.
    let wall = car.clock.now().wall;
    car.clock.advance(Duration::from_secs(11 * 3600 + 1));
    car.clock.set_wall(wall);
    hotplates.tick();
    assert_eq!(car.listed("CKSV841"), 0);
}

#[test]
fn ends_while_the_car_sleeps_whatever_the_wall_clock_says() {
    let car = Car::new();
    let hotplates = car.open();
    hotplates.add(&officer(), &wanted("CKSV841")).unwrap();
    let wall = car.clock.now().wall;
    car.clock.sleep(Duration::from_secs(13 * 3600));
    car.clock.set_wall(wall);
    hotplates.tick();
    assert_eq!(car.listed("CKSV841"), 0);
}

#[test]
fn wall_clock_set_back_over_a_boot_ends_it() {
    let car = Car::new();
    let hotplates = car.open();
    hotplates.add(&officer(), &wanted("CKSV841")).unwrap();
    car.clock.advance(Duration::from_secs(2 * 3600));
    hotplates.tick();
    drop(hotplates);
    // The time is after it was added and before the last note.
    car.clock.reboot("2026-11-24T07:30:00Z".parse().unwrap());
    assert!(car.open().list().is_empty());
    assert!(car.events().contains("hotplate_expired"));
}

#[rstest]
#[case::no_reason(|w: &mut Wanted| w.reason = " x ".into(), "give a reason of 5 to 200 characters, it has 1")]
#[case::name_and_plate_for_a_case(|w: &mut Wanted| w.case = "John Smith, ABCD123".into(), "give the number under which the case is kept")]
#[case::another_plate_for_a_case(|w: &mut Wanted| w.case = "ABCD123".into(), "give the number under which the case is kept")]
#[case::its_plate_for_a_case(|w: &mut Wanted| { w.plate = "2600417".into(); w.case = "26-00417".into() }, "give the number under which the case is kept")]
#[case::turned_text(|w: &mut Wanted| w.reason = "left the \u{202e}scene".into(), "the reason has a character that cannot be shown (U+202E")]
#[case::forged_line(|w: &mut Wanted| w.reason = "left\nINFO all is well".into(), "the reason has a character that cannot be shown (U+000A")]
#[case::too_long(|w: &mut Wanted| w.lasts = Some(HumanDuration::from_secs(7 * 86_400)), "a hotplate runs from 1m to 1d, not 7d")]
#[case::partial_without_a_grant(|w: &mut Wanted| w.plate = "CKS*".into(), "partial plates (? and *) need a policy")]
#[case::no_plate(|w: &mut Wanted| w.plate = "C#S".into(), "plate has the character '#'")]
#[case::no_code(|w: &mut Wanted| w.jurisdiction = "Ontario".into(), "jurisdiction \"Ontario\" is not")]
fn hotplate_that_is_refused_says_what_to_do(#[case] spoil: fn(&mut Wanted), #[case] says: &str) {
    let car = Car::new();
    let hotplates = car.open();
    let mut bad = wanted("CKSV841");
    spoil(&mut bad);
    let message = hotplates.add(&officer(), &bad).unwrap_err().to_string();
    assert!(message.starts_with(says), "{message}");
    assert!(hotplates.list().is_empty());
    assert!(!car.events().contains("hotplate_added"));
}

#[test]
fn number_is_bounded_and_the_same_plate_is_added_once() {
    let car = Car::new();
    let hotplates = car.open();
    hotplates.add(&officer(), &wanted("CKSV841")).unwrap();
    let again = hotplates.add(&officer(), &wanted("cksv-841")).unwrap_err().to_string();
    assert!(again.starts_with("this plate is a hotplate already"), "{again}");
    let mut elsewhere = wanted("CKSV841");
    elsewhere.jurisdiction = "US-NY".into();
    hotplates.add(&officer(), &elsewhere).unwrap();
    for n in 2..HotplatesConfig::default().most {
        hotplates.add(&officer(), &wanted(&format!("ABC{n:03}"))).unwrap();
    }
    let full = hotplates.add(&officer(), &wanted("BMNT220")).unwrap_err().to_string();
    assert_eq!(full, "there are 16 hotplates, as many as may be: remove one first");
}

#[test]
fn policy_grants_partial_plates_forbids_officers_and_revokes_from_afar() {
    let car = Car::new();
    let hotplates = car.open();
    let rules = |json: &str| serde_json::from_str::<Rules>(json).unwrap();
    hotplates.obey(&rules(r#"{"hotplates":{"wildcards":true}}"#));
    let loose = hotplates.add(&officer(), &wanted("CK*")).unwrap_err().to_string();
    assert!(loose.contains("at least 3 characters"), "{loose}");
    let partial = hotplates.add(&officer(), &wanted("CKS*41")).unwrap();
    assert_eq!((car.listed("CKSV841"), car.listed("CKSV842")), (1, 0));

    hotplates.obey(&rules(r#"{"roles":{"officer":[]},"hotplates":{"most":2}}"#));
    let officer = hotplates.add(&officer(), &wanted("BMNT220")).unwrap_err().to_string();
    assert_eq!(officer, "officers may not add hotplates by the policy in force: ask a supervisor");
    let supervisor = SignedIn::for_tests("97", Who::Supervisor);
    hotplates.add(&supervisor, &wanted("BMNT220")).unwrap();

    let revoke = format!(r#"{{"hotplates":{{"revoked":["{}"]}}}}"#, partial.id);
    hotplates.obey(&rules(&revoke));
    assert_eq!(hotplates.list().len(), 1);
    assert!(car.events().contains("revoked by policy"));
    hotplates.obey(&rules(r#"{"hotplates":{"revoked_before":"2026-11-24T08:00:00Z"}}"#));
    assert!(hotplates.list().is_empty());
    assert!(car.open().list().is_empty(), "and not after a restart either");
}

#[test]
fn removed_by_whoever_says_why() {
    let car = Car::new();
    let hotplates = car.open();
    let id = hotplates.add(&officer(), &wanted("CKSV841")).unwrap().id.to_string();
    let unknown = hotplates.remove(&officer(), "01KB", "found").unwrap_err().to_string();
    assert!(unknown.starts_with("there is no hotplate 01KB"), "{unknown}");
    hotplates.remove(&officer(), &id, "found").unwrap();
    assert_eq!(car.listed("CKSV841"), 0);
    assert!(car.events().contains("\"found\""));
}

#[test]
fn what_is_on_the_disk_is_encrypted() {
    let car = Car::new();
    car.open().add(&officer(), &wanted("CKSV841")).unwrap();
    for file in std::fs::read_dir(car.state()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(7).any(|w| w == b"CKSV841"));
    }
}
