use proptest::prelude::*;

use super::*;
use crate::clock::SimulatedClock;

struct Car {
    dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    health: Arc<Health>,
}

impl Car {
    fn new() -> Self {
        let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(clock), health: Arc::default() }
    }

    fn keeping(&self) -> KeepingConfig {
        KeepingConfig { directory: self.dir.path().join("state"), ..KeepingConfig::default() }
    }

    fn try_open(&self) -> Result<Audit, AuditError> {
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        Audit::open(&self.keeping(), &vehicle, self.clock.clone(), self.health.clone())
    }

    fn open(&self) -> Audit {
        self.try_open().unwrap_or_else(|e| panic!("{e}"))
    }

    /// Opens the file as a thief who has the key would.
    fn raw(&self) -> Connection {
        let device = DeviceKey::load(&self.keeping().directory).unwrap();
        let path = self.keeping().directory.join("audit.db");
        sqlcipher::open(&path, &device.derive(Purpose::Audit), Durability::Full, "", 1).unwrap()
    }
}

fn event(n: u64) -> AuditEvent {
    AuditEvent::Disposition {
        hit: Ulid(u128::from(n)),
        old: "unverified".into(),
        new: "misread".into(),
        why: None,
        operator: None,
    }
}

fn filled(audit: &Audit, n: u64) {
    for i in 0..n {
        audit.append(Actor::Officer("1234".into()), event(i)).unwrap();
    }
}

fn export(audit: &Audit) -> Vec<u8> {
    let mut out = Vec::new();
    audit.export(Actor::Shell(0), &mut out).unwrap();
    out
}

#[test]
fn line_of_the_log_is_what_its_snapshot_says() {
    let car = Car::new();
    let audit = car.open();
    let hit = Ulid(7);
    let events = [
        AuditEvent::Started {
            software: "0.1.0".into(),
            non_hit: "0s".into(),
            protection: Some(crate::keys::Protection::KeyFile),
        },
        AuditEvent::BucketPurged {
            bucket: "00ff".into(),
            key_id: "00ff".into(),
            rows: 12,
            opened: "2026-11-23T06:00:00Z".parse().unwrap(),
            time_source: crate::clock::TimeSource::Unverified,
            reason: "expired".into(),
        },
        AuditEvent::LegalHold {
            hit,
            until: "2027-01-01T00:00:00Z".parse().unwrap(),
            reason: "R. v. Smith".into(),
        },
    ];
    for event in events {
        audit.append(Actor::Supervisor("77".into()), event).unwrap();
    }
    let mut text = String::new();
    audit.each(|line| text += &format!("{}\n", String::from_utf8_lossy(line))).unwrap();
    insta::assert_snapshot!("lines", text);
}

#[test]
fn export_is_verified_with_nothing_but_the_public_key() {
    let car = Car::new();
    let audit = car.open();
    filled(&audit, 150);
    let text = export(&audit);
    let verdict = verify(&text, audit.public_key().unwrap(), &[]).unwrap();
    assert_eq!((verdict.records, verdict.sealed), (151, 151));
    let stranger = SigningKey::generate().unwrap().public();
    assert!(matches!(verify(&text, stranger, &[]), Err(Fault::Checkpoint { after: 64, .. })));
    assert_eq!(audit.verify(None).unwrap().records, 151);
    // The chain can be checked without our tools: a line's SHA-256 is the next line's `prev`.
    let lines: Vec<_> = text.split(|b| *b == b'\n').filter(|l| l.starts_with(b"{\"v\"")).collect();
    let next: Record = serde_json::from_slice(lines[1]).unwrap();
    assert_eq!(next.prev, chain::hex(&chain::hash(lines[0])));
}

#[test]
fn restart_goes_on_where_it_stopped() {
    let car = Car::new();
    filled(&car.open(), 3);
    let audit = car.open();
    assert_eq!(audit.append(Actor::System, event(9)).unwrap(), 4);
    assert_eq!(audit.checkpoint().unwrap().unwrap().seq, 4);
    assert_eq!(car.open().sealed().unwrap().seq, 4);
    assert_eq!(audit.verify(None).unwrap().records, 4);
}

#[test]
fn two_processes_write_one_chain() {
    let car = Car::new();
    let (a, b) = (car.open(), car.open());
    std::thread::scope(|s| {
        s.spawn(|| filled(&a, 40));
        s.spawn(|| filled(&b, 40));
    });
    assert_eq!(a.verify(None).unwrap().records, 80);
}

#[test]
fn checkpoint_is_made_by_number_and_by_time() {
    let car = Car::new();
    let audit = car.open();
    filled(&audit, SEALED_EVERY - 1);
    assert_eq!(audit.sealed(), None);
    filled(&audit, 1);
    assert_eq!(audit.sealed().unwrap().seq, SEALED_EVERY);
    filled(&audit, 1);
    car.clock.advance(CHECKPOINT_AFTER);
    audit.tick();
    assert_eq!(audit.sealed().unwrap().seq, SEALED_EVERY + 1);
}

#[test]
fn end_cut_off_is_noticed_by_whoever_has_a_checkpoint() {
    let car = Car::new();
    let audit = car.open();
    filled(&audit, 10);
    let early = export(&audit);
    filled(&audit, 10);
    let sent = audit.checkpoint().unwrap().unwrap();
    let sent = Envelope::parse(&sent.envelope).unwrap();
    let key = audit.public_key().unwrap();
    assert!(verify(&early, key, &[]).is_ok());
    let cut = verify(&early, key, std::slice::from_ref(&sent)).unwrap_err();
    assert_eq!(cut, Fault::Truncated { last: 11, sealed: 21 });
    assert!(verify(&export(&audit), key, std::slice::from_ref(&sent)).is_ok());
    // A log that was begun anew is another chain, however long it is.
    let anew = Car::new();
    std::fs::create_dir_all(anew.keeping().directory).unwrap();
    std::fs::copy(
        car.keeping().directory.join(crate::keys::KEY_FILE),
        anew.keeping().directory.join(crate::keys::KEY_FILE),
    )
    .unwrap();
    let audit = anew.open();
    filled(&audit, 30);
    let fault = verify(&export(&audit), key, &[sent]).unwrap_err();
    assert!(matches!(fault, Fault::Outside { seq: 21, .. }), "{fault}");
}

#[test]
fn row_changed_behind_our_back_closes_the_log() {
    let car = Car::new();
    let audit = car.open();
    filled(&audit, 5);
    drop(audit);
    let db = car.raw();
    let deleted = db.execute("DELETE FROM record WHERE seq = 3", ());
    assert!(deleted.unwrap_err().to_string().contains("only added to"));
    db.execute_batch("DROP TRIGGER record_stays; DROP TRIGGER record_keeps_its_words;").unwrap();
    db.execute(
        "UPDATE record SET line = CAST(replace(CAST(line AS TEXT), '1234', '9999') AS BLOB)
         WHERE seq = 3",
        (),
    )
    .unwrap();
    drop(db);
    let error = car.try_open().map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, AuditError::Broken { fault: Fault::Record { seq: 3, .. }, .. }),
        "{error}"
    );
    let closed = Audit::open_or_closed(
        &car.keeping(),
        &Vehicle { id: "4127".into(), agency: "peel".into() },
        car.clock.clone(),
        car.health.clone(),
    );
    assert!(matches!(closed.append(Actor::System, event(1)), Err(AuditError::Closed(_))));
    assert!(closed.closed().unwrap().contains("record 3"));
    assert!(matches!(car.health.state(PART), Some(PartState::Down(_))));
}

#[test]
fn full_disk_refuses_the_record_and_recovers_without_hands() {
    let car = Car::new();
    let audit = car.open();
    filled(&audit, 5);
    audit.fill_disk_for_tests(true);
    let mut refused = 0;
    for n in 0..200 {
        refused += u32::from(audit.append(Actor::System, event(n)).is_err());
    }
    assert!(refused > 0);
    assert!(
        matches!(car.health.state(PART), Some(PartState::Down(line)) if line.contains("no look-ups"))
    );
    audit.fill_disk_for_tests(false);
    audit.append(Actor::System, event(1)).unwrap();
    assert_eq!(car.health.state(PART), Some(PartState::Working));
    audit.verify(None).unwrap();
}

#[test]
fn no_log_outgrows_its_bound_on_a_full_disk() {
    let car = Car::new();
    let audit = car.open();
    filled(&audit, SEALED_EVERY - 1);
    assert_eq!(audit.sealed(), None);
    // A disk on which seals fail and records do not: this can happen in its last pages.
    let db = car.raw();
    db.execute_batch(
        "CREATE TRIGGER no_seal BEFORE INSERT ON checkpoint
         BEGIN SELECT RAISE(ABORT, 'no room for a seal'); END;",
    )
    .unwrap();
    for n in 0..20 {
        audit.append(Actor::System, event(n)).unwrap_err();
    }
    assert_eq!(audit.outline().unwrap().last, SEALED_EVERY - 1);
    assert_eq!(audit.verify(None).unwrap().sealed, 0, "as many as may wait");
    db.execute_batch("DROP TRIGGER no_seal;").unwrap();
    audit.append(Actor::System, event(1)).unwrap();
    assert_eq!(audit.verify(None).unwrap().sealed, SEALED_EVERY);
    // A log with more unsealed records than are allowed has been tampered with.
    db.execute_batch("DELETE FROM checkpoint;").unwrap();
    let fault = audit.verify(None).unwrap_err();
    assert!(fault.to_string().contains("from record 1 on nobody vouches"), "{fault}");
}

#[test]
fn export_is_sealed_in_the_commit_of_its_record_whoever_writes_meanwhile() {
    let car = Car::new();
    let (a, b) = (car.open(), car.open());
    std::thread::scope(|s| {
        s.spawn(|| filled(&a, 60));
        for _ in 0..10 {
            let text = export(&b);
            assert!(verify(&text, b.public_key().unwrap(), &[]).unwrap().exported);
        }
    });
}

#[test]
fn change_of_keys_is_sealed_by_both_and_one_that_is_given_up_leaves_the_old_key() {
    let car = Car::new();
    let audit = car.open();
    let first = audit.public_key().unwrap();
    filled(&audit, 3);
    let elsewhere = tempfile::tempdir().unwrap();
    let new = |n: u8| DeviceKey::load(&elsewhere.path().join(n.to_string())).unwrap();
    // Twice a rotation is given up: the key beside is never put in force.
    for n in 0..2 {
        let next = audit.rotate(Actor::Shell(0), &new(n)).unwrap();
        assert_eq!(audit.sealed().unwrap().seq, audit.outline().unwrap().last);
        filled(&audit, 2);
        let verdict = verify(&export(&audit), first, &[]).unwrap();
        assert_eq!((verdict.keys.len(), verdict.keys.last()), (usize::from(n) + 2, Some(&next)));
        // A key that was never in force cannot verify the log.
        assert!(verify(&export(&audit), next, &[]).is_err());
    }
    // What counts is the seal by both keys: after a seal by the new key alone, or after none, the
    // new key is not trusted.
    let text = String::from_utf8(export(&audit)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let change = lines.iter().position(|l| l.contains("key_rotated")).unwrap();
    let seal = Envelope::parse(lines[change + 1].as_bytes()).unwrap();
    assert_eq!(seal.signers().count(), 2);
    let mut alone: serde_json::Value = serde_json::from_str(lines[change + 1]).unwrap();
    alone["signatures"].as_array_mut().unwrap().remove(0);
    let alone = format!(
        "{{\"payloadType\":{},\"payload\":{},\"signatures\":[{{\"keyid\":{},\"sig\":{}}}]}}",
        alone["payloadType"],
        alone["payload"],
        alone["signatures"][0]["keyid"],
        alone["signatures"][0]["sig"]
    );
    let bad = text.replace(lines[change + 1], &alone);
    let fault = verify(bad.as_bytes(), first, &[]).unwrap_err();
    assert!(
        matches!(fault, Fault::Checkpoint { after, .. } if after == change as u64 + 1),
        "{fault}"
    );
}

#[test]
fn same_plate_has_the_same_tag_here_and_another_in_the_next_car() {
    let key = |text| crate::plate::Plate::parse(text).unwrap().key();
    let (car, other) = (Car::new(), Car::new());
    let audit = car.open();
    assert_eq!(audit.tag(key("CKSV841")), car.open().tag(key("CKSV 841")));
    assert_ne!(audit.tag(key("CKSV841")), audit.tag(key("CKSV842")));
    assert_ne!(audit.tag(key("CKSV841")), other.open().tag(key("CKSV841")));
}

#[test]
fn long_text_is_cut_and_what_concerns_a_hit_is_found() {
    let car = Car::new();
    let audit = car.open();
    filled(&audit, 5);
    let hit = Ulid(3);
    audit
        .append(Actor::System, AuditEvent::LegalHoldEnded { hit, why: "x".repeat(10_000) })
        .unwrap();
    let about = audit.about(hit).unwrap();
    assert_eq!(about.len(), 2);
    assert!(about[1].len() < 2 * MOST_TEXT + 600);
}

/// An export made once: 70 records with a checkpoint in the middle and one at the end.
fn sample() -> &'static (Vec<u8>, PublicKey, Vec<std::ops::Range<usize>>) {
    static SAMPLE: std::sync::OnceLock<(Vec<u8>, PublicKey, Vec<std::ops::Range<usize>>)> =
        std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let car = Car::new();
        let audit = car.open();
        filled(&audit, 70);
        let text = export(&audit);
        let mut lines = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive(|b| *b == b'\n') {
            lines.push(at..at + line.len());
            at += line.len();
        }
        (text, audit.public_key().unwrap(), lines)
    })
}

/// The number of the record on a line; on a checkpoint's line, of the record before it.
fn number(lines: &[std::ops::Range<usize>], text: &[u8], line: usize) -> u64 {
    lines[..=line].iter().filter(|r| text[(*r).clone()].starts_with(b"{\"v\"")).count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_flipped_byte_is_found_and_named(at in 0_usize..1_000_000, bit in 0_u8..8) {
        let (text, key, lines) = sample();
        let at = at % text.len();
        let mut bad = text.clone();
        bad[at] ^= 1 << bit;
        let fault = verify(&bad, *key, &[]).unwrap_err();
        let line = lines.iter().position(|r| r.contains(&at)).unwrap();
        let n = number(lines, text, line);
        let last_of_line = lines[line].end - 1 == at;
        match fault {
            Fault::Record { seq, .. } | Fault::Checkpoint { after: seq, .. } => {
                // A checkpoint that is no longer recognised is read as the next record.
                let unknown = text[lines[line].clone()].starts_with(b"{\"payload");
                prop_assert!(seq == n || (unknown && seq == n + 1), "{} instead of {}", seq, n);
            }
            // The last line end is affected.
            Fault::Torn => prop_assert!(last_of_line && line + 1 == lines.len()),
            other => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn any_dropped_or_moved_record_is_found_and_named(
        which in 0_usize..10_000,
        to in 0_usize..10_000,
        moved: bool,
    ) {
        let (text, key, lines) = sample();
        let records: Vec<_> = (0..lines.len())
            .filter(|l| text[lines[*l].clone()].starts_with(b"{\"v\""))
            .collect();
        let which = records[which % records.len()];
        let to = records[to % records.len()];
        prop_assume!(!moved || to != which);
        let mut order: Vec<_> = (0..lines.len()).filter(|l| *l != which).collect();
        if moved {
            order.insert(to, which);
        }
        let bad: Vec<u8> = order.iter().flat_map(|l| text[lines[*l].clone()].to_vec()).collect();
        let fault = verify(&bad, *key, &[]).unwrap_err();
        let first = number(lines, text, if moved { which.min(to) } else { which });
        match fault {
            Fault::Record { seq, .. } => prop_assert!(seq == first, "{} instead of {}", seq, first),
            // The record before a checkpoint is gone.
            Fault::Checkpoint { after, .. } => prop_assert!(after + 1 >= first),
            other => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn any_cut_end_is_found_with_the_last_checkpoint(records in 0_usize..71) {
        let (text, key, lines) = sample();
        let last = Envelope::parse(text[lines.last().unwrap().clone()].trim_ascii()).unwrap();
        let cut = &text[..lines[records].start];
        prop_assert!(verify(cut, *key, &[last]).is_err());
    }
}

#[test]
fn whoever_sends_a_heap_of_refused_commands_fills_no_log() {
    let car = Car::new();
    let audit = car.open();
    for n in 0..2_000 {
        let why = format!("{n} {}\n{{\"kind\":\"policy_applied\"}}\u{1b}[2J", "x".repeat(20_000));
        audit.refused("command", AuditEvent::CommandRefused { signers: Vec::new(), why });
    }
    let records = audit.recent(10_000).unwrap();
    assert_eq!(records.len(), 5);
    for record in records {
        let line = String::from_utf8(record.line()).unwrap();
        assert!(line.len() < 2_000 && !line.contains("\\n") && !line.contains("\\u001b"), "{line}");
    }
    car.clock.advance(std::time::Duration::from_secs(601));
    audit.tick();
    let last = format!("{:?}", audit.recent(1).unwrap());
    assert!(last.contains("1995 more were refused within 10 minutes"), "{last}");
}

#[test]
fn damaged_log_is_set_aside_by_the_daemon_and_by_nobody_who_only_looks() {
    let car = Car::new();
    filled(&car.open(), 200);
    let path = car.keeping().directory.join("audit.db");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() / 2 / 4_096 * 4_096]).unwrap();
    let Err(AuditError::Store(e)) = car.try_open() else { panic!("a damaged log opens") };
    assert!(e.is_unusable(), "{e}");
    assert!(crate::aside::list(&car.keeping().directory).is_empty(), "looking moves nothing");

    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let audit =
        Audit::open_or_closed(&car.keeping(), &vehicle, car.clock.clone(), car.health.clone());
    assert_eq!((audit.closed(), crate::aside::list(&car.keeping().directory).len()), (None, 1));
    filled(&audit, 3);

    // The same while the log is open: the new log begins with the key that verifies it.
    for suffix in ["", "-wal"] {
        let name = car.keeping().directory.join(format!("audit.db{suffix}"));
        let length = std::fs::metadata(&name).map_or(0, |m| m.len());
        if length > 0 {
            std::fs::write(&name, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
        }
    }
    // What the connection holds in memory would still be served.
    if let Ok(open) = &*audit.lock() {
        open.db.execute_batch("PRAGMA shrink_memory").unwrap();
    }
    filled(&audit, 3);
    assert_eq!(crate::aside::list(&car.keeping().directory).len(), 2);
    let first = audit.since(0, 1).unwrap().remove(0);
    assert!(matches!(first.event, AuditEvent::KeyCreated { .. }), "{:?}", first.event);
    audit.checkpoint().unwrap();
    audit.verify(None).unwrap();
}
