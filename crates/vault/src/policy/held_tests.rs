use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::super::document::tests::{key, now, policy, trust, without};
use super::*;
use crate::clock::SimulatedClock;
use crate::config::{KeepingConfig, Retention, Vehicle};

struct Car {
    dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    health: Arc<Health>,
    audit: Audit,
}

impl Car {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::starting_at(now()));
        let keeping = KeepingConfig { directory: dir.path().join("state"), ..Default::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        Self { dir, clock, health: Arc::default(), audit }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn open_with(&self, config: &PolicyConfig, keys: Keys) -> HeldPolicy {
        let device = DeviceKey::load(&self.state()).unwrap();
        let parts = (self.clock.clone() as Arc<dyn Clock>, self.health.clone(), self.audit.clone());
        HeldPolicy::open(config, "peel", &self.state(), &device, keys, parts).unwrap()
    }

    fn open(&self) -> HeldPolicy {
        self.open_with(&PolicyConfig::default(), Box::new(|| Some(Arc::new(trust()))))
    }

    fn health(&self) -> String {
        match self.health.state(PART).unwrap() {
            PartState::Impaired(why) | PartState::Down(why) => why,
            state => format!("{state:?}"),
        }
    }

    fn events(&self) -> String {
        let mut text = Vec::new();
        self.audit.export(Actor::System, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}

fn signed(policy: &Policy, keys: &[u8]) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(|n| key(*n)).collect();
    policy.sign(&keys.iter().collect::<Vec<_>>()).to_json()
}

const NARROW: &str = r#"{"keeping":{"non_hit":"0s"}}"#;
const WIDE: &str = r#"{"keeping":{"non_hit":"24h"}}"#;

fn kept(held: &HeldPolicy) -> Option<Retention> {
    held.rules().keeping.non_hit
}

#[test]
fn car_without_policy_goes_by_its_configuration_and_says_so() {
    let car = Car::new();
    let held = car.open();
    assert_eq!(*held.rules(), Rules::default());
    assert_eq!(car.health(), "Off");
    assert_eq!(held.state().policy, None);
}

#[test]
fn policy_is_obeyed_at_once_and_after_a_restart() {
    let car = Car::new();
    let held = car.open();
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    held.on_change(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(held.offer(&signed(&policy(1, NARROW), &[1, 2])), Ok(true));
    assert_eq!(held.offer(&signed(&policy(1, NARROW), &[1, 2])), Ok(false), "retained: sent again");
    assert_eq!((kept(&held), told.load(Ordering::SeqCst)), (Some(Retention::Nothing), 2));
    assert_eq!(car.health(), "Working");
    drop(held);
    let again = car.open_with(&PolicyConfig::default(), Box::new(|| None));
    assert_eq!(kept(&again), Some(Retention::Nothing), "without the keys of then");
    assert_eq!(again.state().signers[0].name, "A. Chief");
}

#[test]
fn refused_policy_leaves_the_old_one_is_told_and_audited_once() {
    let car = Car::new();
    let held = car.open();
    held.offer(&signed(&policy(4, NARROW), &[1, 2])).unwrap();
    for _ in 0..3 {
        assert!(held.offer(&signed(&policy(5, WIDE), &[1])).is_err());
    }
    assert_eq!(kept(&held), Some(Retention::Nothing));
    assert!(car.health().ends_with("version 4 stays in force"), "{}", car.health());
    let events = car.events();
    assert_eq!(events.matches("policy_refused").count(), 1, "{events}");
    assert!(events.contains("keeping.non_hit") && events.contains("policy_applied"), "{events}");
    // The second signature makes it valid.
    assert_eq!(held.offer(&signed(&policy(5, WIDE), &[1, 2])), Ok(true));
    assert_eq!(car.health(), "Working");
    assert!(held.offer(&signed(&policy(4, NARROW), &[1, 2])).is_err(), "no way back");
    assert!(car.open().offer(&signed(&policy(4, NARROW), &[1, 2])).is_err(), "nor over a restart");
}

#[test]
fn damaged_file_is_not_the_absence_of_policy() {
    let car = Car::new();
    car.open().offer(&signed(&policy(1, WIDE), &[1, 2])).unwrap();
    std::fs::write(car.state().join("policy.sealed"), b"ORS1 something else entirely").unwrap();
    let held = car.open();
    assert_eq!(*held.rules(), Rules::strictest());
    assert!(car.health().starts_with("the policy in force cannot be read"), "{}", car.health());
    assert!(held.offer(&signed(&policy(2, WIDE), &[1])).is_err());
    assert_eq!(held.offer(&signed(&policy(2, WIDE), &[1, 2])), Ok(true));
    assert_eq!(car.health(), "Working");
}

#[test]
fn policy_that_is_gone_is_not_the_absence_of_policy() {
    // With the memory of it and without: the audit log shows it in that case.
    for memory_too in [false, true] {
        let car = Car::new();
        car.open().offer(&signed(&policy(7, NARROW), &[1, 2])).unwrap();
        std::fs::remove_file(car.state().join("policy.sealed")).unwrap();
        if memory_too {
            std::fs::remove_file(car.state().join("in_force.sealed")).unwrap();
        }
        let held = car.open_with(&PolicyConfig::default(), Box::new(|| None));
        assert_eq!(*held.rules(), Rules::strictest(), "memory gone too: {memory_too}");
        assert!(held.state().lost);
        assert!(car.health().contains("is gone"), "{}", car.health());
        drop(held);
        let held = car.open();
        assert!(held.offer(&signed(&policy(6, NARROW), &[1, 2])).is_err(), "an older one");
        assert!(held.offer(&signed(&policy(8, NARROW), &[1])).is_err(), "one person's");
        assert_eq!(held.offer(&signed(&policy(7, NARROW), &[1, 2])), Ok(true), "the same again");
        assert_eq!(car.health(), "Working");
    }
}

#[test]
fn ceiling_that_the_configuration_names_no_more_holds_and_is_told() {
    let car = Car::new();
    let file = car.dir.path().join("ceiling.toml");
    let under = PolicyConfig { ceiling: Some(file.clone()), ..PolicyConfig::default() };
    std::fs::write(&file, "[keeping]\nnon_hit = \"0s\"\n").unwrap();
    assert_eq!(kept(&car.open_with(&under, Box::new(|| None))), Some(Retention::Nothing));
    assert_eq!(car.health(), "Off");
    let device = DeviceKey::load(&car.state()).unwrap();
    assert!(ceiling_gone(&PolicyConfig::default(), &car.state(), &device));
    for _ in 0..2 {
        assert_eq!(kept(&car.open()), Some(Retention::Nothing));
        assert!(
            car.health().contains("policy.ceiling was in force and is gone"),
            "{}",
            car.health()
        );
    }
    // A file without rules states that there shall be no ceiling.
    std::fs::write(&file, "").unwrap();
    assert_eq!(kept(&car.open_with(&under, Box::new(|| None))), None);
    assert_eq!((kept(&car.open()), car.health()), (None, "Off".to_owned()));
}

#[test]
fn older_policy_put_back_in_the_place_of_the_newer_is_noticed() {
    let car = Car::new();
    let held = car.open();
    held.offer(&signed(&policy(1, WIDE), &[1, 2])).unwrap();
    let file = car.state().join("policy.sealed");
    let old = std::fs::read(&file).unwrap();
    held.offer(&signed(&policy(2, NARROW), &[1])).unwrap();
    drop(held);
    std::fs::write(&file, old).unwrap();
    assert_eq!(*car.open().rules(), Rules::strictest());
}

#[test]
fn withdrawing_a_signer_withdraws_the_policy_that_took_two_and_the_versions_that_one_used_up() {
    let car = Car::new();
    let trusted = Arc::new(Mutex::new(Arc::new(trust())));
    let keys = |trusted: &Arc<Mutex<Arc<Trust>>>| -> Keys {
        let trusted = trusted.clone();
        Box::new(move || Some(trusted.lock().unwrap().clone()))
    };
    let held = car.open_with(&PolicyConfig::default(), keys(&trusted));
    held.offer(&signed(&policy(1, WIDE), &[1, 2])).unwrap();
    // One stolen key alone can go as far and as high as one signature allows.
    let high = 1 + crate::dated::MOST_STEP;
    held.offer(&signed(&policy(high, NARROW), &[1])).unwrap();
    *trusted.lock().unwrap() = Arc::new(without(1));
    held.refresh();
    assert_eq!(*held.rules(), Rules::strictest());
    assert!(car.health().contains("may no longer sign"), "{}", car.health());
    drop(held);
    let held = car.open_with(&PolicyConfig::default(), Box::new(|| None));
    assert_eq!(*held.rules(), Rules::strictest(), "before the trust document is known as well");
    drop(held);
    let held = car.open_with(&PolicyConfig::default(), keys(&trusted));
    assert_eq!(
        held.offer(&signed(&policy(2, WIDE), &[2, 5])),
        Ok(true),
        "below the thief's number"
    );
    assert_eq!(kept(&held), Some(Retention::For(Duration::from_secs(86_400))));
    assert_eq!(car.health(), "Working");
}

#[test]
fn grants_end_with_the_policys_date_while_the_car_runs() {
    let car = Car::new();
    let held = car.open();
    let mut granting = policy(1, r#"{"keeping":{"non_hit":"3m"},"hotplates":{"wildcards":true}}"#);
    granting.expires = Some(now() + Duration::from_secs(3600));
    held.offer(&signed(&granting, &[1, 2])).unwrap();
    assert!(held.rules().hotplates.wildcards);
    car.clock.advance(Duration::from_secs(3600));
    held.refresh();
    assert!(!held.rules().hotplates.wildcards);
    assert!(kept(&held).is_some(), "limits hold on");
    assert!(car.health().contains("has expired"), "{}", car.health());
}

#[test]
fn ceiling_limits_without_any_policy() {
    let car = Car::new();
    let ceiling = car.dir.path().join("ceiling.toml");
    std::fs::write(&ceiling, "[keeping]\nnon_hit = \"3m\"\n[lists.every]\nmatching = \"exact\"\n")
        .unwrap();
    let config = PolicyConfig { ceiling: Some(ceiling.clone()), file: None };
    let held = car.open_with(&config, Box::new(|| Some(Arc::new(trust()))));
    assert_eq!(kept(&held), Some(Retention::For(Duration::from_secs(180))));
    assert_eq!(held.rules().lists.of("any").loosest(), crate::entry::Matching::Exact);
    assert!(held.offer(&signed(&policy(1, WIDE), &[1, 2])).is_err());

    std::fs::write(&ceiling, "[keeping]\nnon_hits = \"3m\"\n").unwrap();
    let message = load_ceiling(&ceiling).unwrap_err().to_string();
    assert!(message.contains("unknown field `non_hits`"), "{message}");
}

#[test]
fn file_is_taken_when_it_changes_and_again_when_a_key_arrives() {
    let car = Car::new();
    let file = car.dir.path().join("policy.json");
    let config = PolicyConfig { file: Some(file.clone()), ceiling: None };
    let arrived = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let known = arrived.clone();
    let keys: Keys = Box::new(move || known.load(Ordering::SeqCst).then(|| Arc::new(trust())));
    let held = car.open_with(&config, keys);
    held.refresh();
    assert_eq!(car.health(), "Off");
    std::fs::write(&file, signed(&policy(1, NARROW), &[1, 2])).unwrap();
    held.refresh();
    assert!(car.health().contains("names no key that may sign policy"), "{}", car.health());
    arrived.store(true, Ordering::SeqCst);
    held.retry_refused();
    assert_eq!(kept(&held), Some(Retention::Nothing));
    std::fs::write(&file, b"{\"not\":\"an envelope\"}").unwrap();
    held.refresh();
    assert_eq!(kept(&held), Some(Retention::Nothing));
    assert!(car.health().contains("version 1 stays in force"), "{}", car.health());
}

#[test]
fn policy_that_cannot_be_put_on_record_is_not_taken() {
    let car = Car::new();
    let nowhere = KeepingConfig { directory: "/proc/no-such-place".into(), ..Default::default() };
    let vehicle = Vehicle { id: "1".into(), agency: "peel".into() };
    let closed = Audit::open_or_closed(&nowhere, &vehicle, car.clock.clone(), Arc::default());
    let device = DeviceKey::load(&car.state()).unwrap();
    let parts = (car.clock.clone() as Arc<dyn Clock>, car.health.clone(), closed);
    let keys: Keys = Box::new(|| Some(Arc::new(trust())));
    let held =
        HeldPolicy::open(&PolicyConfig::default(), "peel", &car.state(), &device, keys, parts)
            .unwrap();
    let refused = held.offer(&signed(&policy(1, NARROW), &[1, 2])).unwrap_err();
    assert!(matches!(refused, PolicyError::NotTaken(_)), "{refused}");
    assert_eq!(kept(&held), None);
    let _: Timestamp = now();
}
