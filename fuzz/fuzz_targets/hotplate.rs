//! A hotplate as the page and the command ask for it: what is taken can be shown, ends, and has no room for a
//! name in what leaves.
#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use outrider::audit::Audit;
use outrider::clock::{Clock, SystemClock};
use outrider::config::{HotplatesConfig, KeepingConfig, Vehicle};
use outrider::health::Health;
use outrider::hotlist::hotplate::{Hotplates, Wanted};
use outrider::keys::DeviceKey;
use outrider::policy::Who;
use outrider::sessions::SignedIn;
use outrider::text::ForeignText;

static HOTPLATES: OnceLock<Hotplates> = OnceLock::new();

fn hotplates() -> Hotplates {
    let directory = std::env::temp_dir().join(format!("outrider-fuzz-{}", std::process::id()));
    let keeping = KeepingConfig { directory: directory.clone(), ..KeepingConfig::default() };
    let vehicle = Vehicle { id: "1".into(), agency: "fuzz".into() };
    let (clock, health): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Arc::new(Health::default()));
    let audit = Audit::open(&keeping, &vehicle, clock.clone(), health.clone()).expect("a folder");
    let device = DeviceKey::load(&directory).expect("a key");
    let config = HotplatesConfig::default();
    Hotplates::open(&config, &directory, &device, Arc::default(), (clock, health, audit))
        .expect("a store")
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(wanted) = serde_json::from_slice::<Wanted>(bytes) else { return };
    let hotplates = HOTPLATES.get_or_init(hotplates);
    let who = SignedIn::for_tests("1", Who::Supervisor);
    let Ok(taken) = hotplates.add(&who, &wanted) else { return };
    assert!(taken.expires > taken.added);
    assert_eq!(ForeignText::parse(&taken.reason, 200).as_deref(), Ok(taken.reason.as_str()));
    let letters = taken.case.bytes().filter(u8::is_ascii_alphabetic).count();
    assert!(letters <= 4 && taken.case.len() <= 32);
    let id = taken.id.to_string();
    hotplates.remove(&who, &id, "fuzzed away").expect("it is there");
});
