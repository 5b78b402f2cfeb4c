use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::clock::SimulatedClock;
use crate::config::{KeepingConfig, Vehicle};
use crate::pin::HASHED;
use crate::policy::SignInRules;

const PIN: &str = "480213";
const PAGE: Door = Door::Page;

struct Car {
    sessions: Sessions,
    rules: Arc<Mutex<Arc<Rules>>>,
    audit: Audit,
    clock: Arc<SimulatedClock>,
    dir: tempfile::TempDir,
}

fn user(roles: &[Who], trained_until: Option<&str>) -> User {
    User {
        name: "J. Roy".into(),
        roles: roles.iter().copied().collect(),
        trained_until: trained_until.map(|day| day.parse().unwrap()),
        pin: PinHash::of(PIN).unwrap(),
    }
}

impl Car {
    fn with(users: &[(&str, User)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::starting_at("2026-11-30T08:00:00Z".parse().unwrap()));
        let keeping =
            KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
        let users: BTreeMap<_, _> =
            users.iter().map(|(number, user)| ((*number).to_owned(), user.clone())).collect();
        let rules = Arc::new(Mutex::new(Arc::new(Rules { users, ..Rules::default() })));
        let current = rules.clone();
        let in_force = Box::new(move || current.lock().unwrap().clone());
        let sessions =
            Sessions::new(in_force, audit.clone(), clock.clone(), &dir.path().join("state"));
        Self { sessions, rules, audit, clock, dir }
    }

    fn policy(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = self.rules.lock().unwrap();
        let mut next = (**rules).clone();
        change(&mut next);
        *rules = Arc::new(next);
    }

    /// The audit records of sessions and refusals, with who did it.
    fn log(&self) -> Vec<String> {
        let last = self.audit.outline().unwrap().last;
        let page = self.audit.page(crate::audit::pages::Wanted { after: 0, last }).unwrap();
        let lines = page.iter().map(|line| serde_json::from_str(&line.line).unwrap());
        let told = |record: crate::audit::Record| match record.event {
            AuditEvent::Session { what, number, .. } => {
                Some(format!("{}: {what} [{}]", record.who, number.unwrap_or_default()))
            }
            AuditEvent::EntryRefused { what, why } => {
                Some(format!("{}: {what}: {why}", record.who))
            }
            _ => None,
        };
        lines.filter_map(told).collect()
    }

    fn sign_in(&self, number: &str) -> Result<String, SignInError> {
        self.sessions.sign_in(PAGE, number, PIN).map(|ticket| ticket.token)
    }
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

#[test]
fn person_signs_in_is_locked_goes_on_and_signs_out_and_all_of_it_is_on_record() {
    let car = Car::with(&[("1234", user(&[Who::Officer], None))]);
    let ticket = car.sessions.sign_in(PAGE, " 1234 ", PIN).unwrap();
    let token = Some(ticket.token.as_str());
    assert_eq!(ticket.token.len(), 64);
    let who = car.sessions.who(PAGE, token).unwrap();
    assert_eq!(
        (who.number(), who.role(), who.actor().to_string().as_str()),
        ("1234", Who::Officer, "officer 1234")
    );
    // Entries keep a session open, views do not.
    for _ in 0..3 {
        car.clock.advance(minutes(14));
        assert!(car.sessions.who(PAGE, token).is_ok());
    }
    car.clock.advance(minutes(10));
    assert!(!car.sessions.view(PAGE, token).who.unwrap().locked);
    car.clock.advance(minutes(5));
    assert!(car.sessions.view(PAGE, token).who.unwrap().locked);
    assert!(matches!(car.sessions.who(PAGE, token), Err(SignInError::Locked { .. })));
    assert_eq!(car.sessions.unlock(PAGE, token, "480214"), Err(SignInError::Wrong));
    assert!(matches!(car.sessions.who(PAGE, token), Err(SignInError::Locked { .. })));
    car.sessions.unlock(PAGE, token, PIN).unwrap();
    assert!(car.sessions.who(PAGE, token).is_ok());
    // A driving person is not asked for the PIN.
    for _ in 0..10 {
        car.clock.advance(minutes(10));
        car.sessions.moving();
    }
    assert!(car.sessions.who(PAGE, token).is_ok());
    car.sessions.lock(PAGE, token).unwrap();
    car.sessions.moving();
    assert!(matches!(car.sessions.who(PAGE, token), Err(SignInError::Locked { .. })));
    car.sessions.sign_out(PAGE, token).unwrap();
    assert_eq!(car.sessions.who(PAGE, token), Err(SignInError::NotSignedIn));
    assert_eq!(car.sessions.sign_out(PAGE, token), Err(SignInError::NotSignedIn));
    let log = car.log();
    assert_eq!(
        log,
        [
            "officer 1234: signed in [1234]",
            "officer 1234: locked: no entry [1234]",
            "system: refused: wrong number or PIN [1234]",
            "officer 1234: unlocked [1234]",
            "officer 1234: locked [1234]",
            "officer 1234: signed out [1234]",
        ]
    );
    let all = std::fs::read(car.dir.path().join("state/sign-in.json")).unwrap();
    assert!(!String::from_utf8_lossy(&all).contains(PIN));
}

#[test]
fn every_attempt_costs_one_hash_whoever_has_the_number_and_growing_pauses_cost_none() {
    let car = Car::with(&[("1234", user(&[Who::Officer], None))]);
    let cost = |number: &str, pin: &str| {
        let before = HASHED.get();
        let done = car.sessions.sign_in(PAGE, number, pin).map(drop);
        (HASHED.get() - before, done)
    };
    assert_eq!(cost("1234", PIN), (1, Ok(())));
    assert_eq!(cost("1234", "480214"), (1, Err(SignInError::Wrong)));
    assert_eq!(cost("9999", PIN), (1, Err(SignInError::Wrong)));
    assert_eq!(cost("", ""), (1, Err(SignInError::Wrong)));
    assert_eq!(cost("1234", &"7".repeat(5000)), (1, Err(SignInError::Wrong)));
    assert_eq!(cost("1234", "48021"), (1, Err(SignInError::Wrong)));
    // The third wrong PIN has brought a pause, which even the right PIN does not shorten.
    let wait = |s| Err(SignInError::Wait(Duration::from_secs(s)));
    assert_eq!(cost("1234", PIN), (0, wait(30)));
    // For a number that nobody has the same pause applies.
    for _ in 0..2 {
        assert_eq!(cost("9999", PIN).1, Err(SignInError::Wrong));
    }
    assert_eq!(cost("9999", PIN), (0, wait(30)));
    car.clock.advance(Duration::from_secs(30));
    assert_eq!(cost("1234", "480214"), (1, Err(SignInError::Wrong)));
    assert_eq!(cost("1234", PIN), (0, wait(60)));
    // What was typed in place of a number is recorded nowhere.
    assert!(car.log().iter().all(|line| !line.contains("9999")), "{:?}", car.log());
}

#[test]
fn car_without_users_lets_nobody_in_and_says_what_to_do() {
    let car = Car::with(&[]);
    assert_eq!(car.sign_in("1234"), Err(SignInError::NoUsers));
    let refused = car.sessions.enter((PAGE, None), "query", Stated::default(), |_| Ok(()));
    let why = refused.unwrap_err().to_string();
    assert!(
        why.contains("no policy with users is in force") && why.contains("provision pin"),
        "{why}"
    );
    assert!(!car.sessions.view(PAGE, None).users);
    assert_eq!(
        car.log(),
        [
            "system: refused: no policy with users is in force []",
            "system: query: no policy with users is in force",
        ]
    );
}

#[test]
fn training_that_has_lapsed_locks_with_a_clear_word_also_in_the_middle_of_a_shift() {
    let car = Car::with(&[
        ("1234", user(&[Who::Officer], Some("2026-11-29"))),
        ("77", user(&[Who::Officer], Some("2026-11-30"))),
    ]);
    let why = car.sign_in("1234").unwrap_err();
    assert!(why.to_string().starts_with("the training of 1234 ended on 2026-11-29"), "{why}");
    let token = car.sign_in("77").unwrap();
    car.clock.advance(minutes(8 * 60));
    car.sessions.moving();
    assert!(car.sessions.who(PAGE, Some(&token)).is_ok());
    // It is past midnight on the car's own clock.
    car.clock.set_wall("2026-12-01T00:00:00Z".parse().unwrap());
    let why = car.sessions.who(PAGE, Some(&token)).unwrap_err();
    assert!(matches!(why, SignInError::Lapsed { .. }), "{why}");
    assert_eq!(car.sessions.who(PAGE, Some(&token)), Err(SignInError::NotSignedIn));
    assert!(car.log().contains(&"officer 77: the training has lapsed [77]".to_owned()));
}

#[test]
fn policy_that_takes_a_user_a_role_or_a_pin_away_ends_the_session_at_once() {
    let roles = [Who::Officer, Who::Supervisor];
    for change in [
        (|rules: &mut Rules| {
            rules.users.remove("1234");
        }) as fn(&mut Rules),
        |rules| {
            rules.users.get_mut("1234").unwrap().roles.remove(&Who::Supervisor);
        },
        |rules| rules.users.get_mut("1234").unwrap().pin = PinHash::of("591324").unwrap(),
        |rules| rules.users.clear(),
    ] {
        let car = Car::with(&[("1234", user(&roles, None)), ("77", user(&roles, None))]);
        let token = car.sign_in("1234").unwrap();
        let before = car.sessions.tick();
        car.policy(change);
        assert!(car.sessions.tick() > before, "pages are told");
        assert!(car.sessions.view(PAGE, Some(&token)).who.is_none());
        assert!(car.sessions.who(PAGE, Some(&token)).is_err());
        let end = "supervisor 1234: ended: the policy in force has changed [1234]".to_owned();
        assert!(car.log().contains(&end), "{:?}", car.log());
    }
    // The entry itself notices it, before any other check has run.
    let car = Car::with(&[("1234", user(&roles, None)), ("77", user(&roles, None))]);
    let token = car.sign_in("1234").unwrap();
    car.policy(|rules| {
        rules.users.remove("1234");
    });
    assert!(matches!(car.sessions.who(PAGE, Some(&token)), Err(SignInError::Changed { .. })));
}

#[test]
fn shift_ends_whatever_is_entered_and_policy_says_when() {
    let car = Car::with(&[("1234", user(&[Who::Officer], None))]);
    car.policy(|rules| {
        let hours = |h: u64| Some(crate::config::HumanDuration::from_secs(3600 * h));
        rules.sign_in = SignInRules { idle: hours(1), shift: hours(2) };
    });
    let token = car.sign_in("1234").unwrap();
    for _ in 0..3 {
        car.clock.advance(minutes(39));
        assert!(car.sessions.who(PAGE, Some(&token)).is_ok());
    }
    car.clock.advance(minutes(3));
    assert!(matches!(car.sessions.who(PAGE, Some(&token)), Err(SignInError::ShiftOver { .. })));
}

#[test]
fn token_counts_at_its_own_door_and_nobody_else_is_stated() {
    let car = Car::with(&[("1234", user(&[Who::Officer, Who::Supervisor], None))]);
    let shell = car.sessions.sign_in(Door::Shell(1000), "1234", PIN).unwrap().token;
    for door in [Door::Page, Door::Shell(1001), Door::Shell(0)] {
        assert_eq!(car.sessions.who(door, Some(&shell)), Err(SignInError::NotSignedIn));
    }
    let at = (Door::Shell(1000), Some(shell.as_str()));
    let enter = |number, role| {
        let stated = Stated { number, role };
        car.sessions.enter(at, "query", stated, |who| Ok(who.actor().to_string()))
    };
    assert_eq!(enter(None, None).unwrap(), "supervisor 1234");
    assert_eq!(enter(Some("1234"), Some(Who::Officer)).unwrap(), "officer 1234");
    assert_eq!(enter(Some("J. Roy"), None).unwrap(), "supervisor 1234");
    let why = enter(Some("77"), None).unwrap_err().to_string();
    assert_eq!(
        why,
        "1234 is signed in, and \"77\" is stated: leave that out, or sign in as that person"
    );
    let why = enter(None, Some(Who::Auditor)).unwrap_err().to_string();
    assert!(why.starts_with("1234 may not act as auditor"), "{why}");
    let refused: Result<(), _> =
        car.sessions.enter(at, "query", Stated::default(), |_| Err(Refused::new("no case")));
    assert_eq!(refused.unwrap_err().to_string(), "no case");
    assert_eq!(
        car.log()[1..],
        [
            "supervisor 1234: query: somebody else was stated",
            "supervisor 1234: query: a role was stated that the person has not",
            "supervisor 1234: query: no case",
        ]
    );
}

#[test]
fn officer_begins_the_shift_once_on_record_and_the_last_one_is_known_after_a_restart() {
    let people = [
        ("1234", user(&[Who::Officer], None)),
        ("77", user(&[Who::Maintainer, Who::Auditor], None)),
    ];
    let car = Car::with(&people);
    let begin = |token: &str| car.sessions.view(PAGE, Some(token)).who.unwrap().begin;
    assert!(!begin(&car.sign_in("77").unwrap()), "nobody's shift but an officer's");
    let shell = Door::Shell(1000);
    let typed = car.sessions.sign_in(shell, "1234", PIN).unwrap();
    assert!(!typed.view.who.unwrap().begin, "a terminal has no page");
    let token = car.sign_in("1234").unwrap();
    assert!(begin(&token));
    assert_eq!(car.sessions.last_shift(), None);
    let line = |what: &str, is: &str| crate::audit::ShiftLine {
        what: what.into(),
        is: is.into(),
        says: "x".repeat(2_000),
    };
    let who = car.sessions.who(PAGE, Some(&token)).unwrap();
    for _ in 0..2 {
        let lines = vec![line("camera front", "ok"), line("gps", "not_well")];
        car.sessions.begin_shift(&who, Some(&token), lines, false).unwrap();
    }
    assert!(!begin(&token));
    let began = |record: &crate::audit::Record| match &record.event {
        AuditEvent::ShiftBegun { lines, heard } => Some((lines.clone(), *heard)),
        _ => None,
    };
    let on_record: Vec<_> = car.audit.recent(50).unwrap().iter().filter_map(began).collect();
    let [(lines, false)] = &on_record[..] else { panic!("begun twice: {on_record:?}") };
    assert_eq!((lines[1].what.as_str(), lines[1].is.as_str()), ("gps", "not_well"));
    assert!(lines[0].says.chars().count() <= crate::audit::MOST_TEXT + 1, "texts are cut");
    car.audit.verify(None).unwrap();
    let rules = car.rules.clone();
    let again = Sessions::new(
        Box::new(move || rules.lock().unwrap().clone()),
        car.audit.clone(),
        car.clock.clone(),
        &car.dir.path().join("state"),
    );
    let last = again.last_shift().unwrap();
    assert_eq!((last.by.as_str(), last.not_well), ("officer 1234", 2), "GPS, and the tone");
    assert_eq!(Some(last), car.sessions.last_shift());
}

#[test]
fn restart_ends_sessions_and_no_pause() {
    let car = Car::with(&[("1234", user(&[Who::Officer], None))]);
    let token = car.sign_in("1234").unwrap();
    for _ in 0..3 {
        assert_eq!(car.sessions.sign_in(PAGE, "1234", "480214").map(drop), Err(SignInError::Wrong));
    }
    let rules = car.rules.clone();
    let again = Sessions::new(
        Box::new(move || rules.lock().unwrap().clone()),
        car.audit.clone(),
        car.clock.clone(),
        &car.dir.path().join("state"),
    );
    assert_eq!(again.who(PAGE, Some(&token)), Err(SignInError::NotSignedIn));
    assert!(matches!(again.sign_in(PAGE, "1234", PIN).map(drop), Err(SignInError::Wait(_))));
}
