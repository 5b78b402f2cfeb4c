//! Checks what the car keeps: the policy in force, the device key, the audit log. A running daemon is asked, because it
//! alone may have the key. The check makes no file and no key.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Finding;
use crate::aside;
use crate::audit::Fault;
use crate::cmd::audit::{Broken, Log};
use crate::cmd::one_line;
use crate::config::{Config, KeySource};
use crate::control;
use crate::files;
use crate::health::{self, PartState};
use crate::keys::{DeviceKey, KeyError, Protection, Purpose};
use crate::policy::{self, Rules};
use crate::sqlcipher;
use crate::trust::Root;
use crate::trust::pin::{self, PinError};

/// Who owns the state folder, and whether others can change what is in it.
pub(super) fn folder(config: &Config) -> Finding {
    let (part, path) = ("state folder", &config.keeping.directory);
    if !path.exists() {
        return Finding::ok(part, format!("{} is made at the first start", path.display()));
    }
    match files::folder_owner(path) {
        Ok(owner) => Finding::ok(part, format!("{} belongs to user {owner}", path.display())),
        Err(e) => Finding::fail(
            part,
            e,
            "find out who made it and what is in it: the daemon does not start there, and no command talks to one there",
        ),
    }
}

/// Whether anybody can sign in. That the policy cannot be read is a finding of `policy`.
pub(super) fn people(config: &Config) -> Finding {
    let state = &config.keeping.directory;
    let held = match control::answers(state) {
        true => {
            control::ask::<_, policy::State>(state, policy::SHOW, &()).ok().and_then(|s| s.policy)
        }
        false => {
            DeviceKey::existing(state).ok().and_then(|device| policy::on_disk(state, &device).0)
        }
    };
    match held.map_or(0, |policy| policy.rules.users.len()) {
        0 => Finding::warn(
            "people",
            "nobody may sign in: alerts are shown, and nothing can be entered",
            "have the agency sign a policy with users (outrider provision pin, docs/policy.md)",
        ),
        1 => Finding::ok("people", "one user may sign in"),
        users => Finding::ok("people", format!("{users} users may sign in")),
    }
}

/// What is in force, and what it limits.
pub(super) fn policy(config: &Config) -> Finding {
    let ceiling = match config.policy.ceiling.as_deref().map(policy::load_ceiling) {
        Some(Err(e)) => {
            return Finding::fail(
                "policy",
                e,
                "correct the file: the daemon does not start without it",
            );
        }
        Some(Ok(ceiling)) => Some(ceiling),
        None => None,
    };
    let state = &config.keeping.directory;
    // Before the first policy there is nothing to open, and checking makes no key. A running daemon is
    // asked, because it alone may have the key.
    let unreadable = |why: String| {
        Finding::warn(
            "policy",
            format!("one is in force, but cannot be read here: {why}"),
            "check as the user that the daemon runs as; outrider policy show asks the daemon",
        )
    };
    let (held, lost, refused) = if control::answers(state) {
        match control::ask::<_, policy::State>(state, policy::SHOW, &()) {
            Ok(said) => (said.policy, said.lost || said.withdrawn, said.refused),
            Err(e) => return unreadable(e.to_string()),
        }
    } else {
        match DeviceKey::existing(state) {
            Ok(device) => {
                if policy::ceiling_gone(&config.policy, state, &device) {
                    let advice =
                        "put policy.ceiling back, and find out who changed the configuration";
                    return Finding::fail("policy", policy::CEILING_GONE, advice);
                }
                let (held, lost) = policy::on_disk(state, &device);
                (held, lost, None)
            }
            // A car that was never started has no key and no policy.
            Err(KeyError::Missing { .. } | KeyError::Wiped { .. }) if !policy::is_kept(state) => {
                (None, false, None)
            }
            Err(e) => return unreadable(e.to_string()),
        }
    };
    if lost {
        return Finding::fail(
            "policy",
            "the policy that was in force is gone, cannot be read any more, or was signed by people who may no longer \
             sign: nothing is kept, and lists match exactly",
            "find out who had access to the state folder; publish the policy again, signed by two people",
        );
    }
    let now = Timestamp::now();
    let mut rules = held.as_ref().map_or_else(Rules::default, |policy| policy.rules_at(now));
    let mut fact = match &held {
        None => "none: the configuration alone decides".to_owned(),
        Some(policy) => format!("version {} of {:.0}", policy.version, policy.issued),
    };
    if let Some(ceiling) = &ceiling {
        rules = rules.filled_from(ceiling);
        fact += ", under the ceiling that the car was provisioned with";
    }
    let limited = policy::limit(&mut config.clone(), &rules);
    if !limited.is_empty() {
        fact += &format!("; {}", limited.join("; "));
    }
    match held.and_then(|policy| policy.expires).filter(|end| *end <= now) {
        Some(end) => Finding::warn(
            "policy",
            format!("{fact}; it expired at {end:.0}"),
            "publish a new one: an expired policy still limits and no longer grants",
        ),
        None => match refused {
            Some(why) => Finding::warn(
                "policy",
                format!("{fact}; the latest was refused: {why}"),
                "find out who signed it; outrider policy explain shows what it changes",
            ),
            None => Finding::ok("policy", fact),
        },
    }
}

/// Whether the root of the configuration is the one that this car was provisioned for.
pub(super) fn root(config: &Config) -> Option<Finding> {
    let Some(path) = config.trust.root.as_ref() else {
        let device = DeviceKey::open_existing(&config.keeping).ok()?;
        let name = pin::remembered(&config.keeping.directory, &device)?;
        return Some(Finding::fail(
            "root of trust",
            format!(
                "trust.root was {name} and is gone from the configuration: the car still believes that root"
            ),
            "put [trust] back, and find out who changed the configuration",
        ));
    };
    let root = match Root::load(path) {
        Ok(root) => root,
        Err(e) => {
            let advice = "put the root's public keys there, or correct trust.root";
            return Some(Finding::fail("root of trust", e, advice));
        }
    };
    let state = &config.keeping.directory;
    // A running daemon has checked this; without the key it cannot be checked here.
    let device = DeviceKey::open_existing(&config.keeping).ok()?;
    let name = root.name();
    Some(match pin::check(&root, state, &device).and_then(|()| pin::pinned(state, &device)) {
        Ok(Some(_)) if pin::is_gone(state, &device) => Finding::fail(
            "root of trust",
            format!("{name}, as the car remembers; the file that pins it (root.sealed) is gone"),
            "find out who had access to the state folder, then run outrider provision pin-root",
        ),
        Ok(Some(_)) => Finding::ok("root of trust", format!("{name}, as provisioned")),
        Ok(None) => Finding::warn(
            "root of trust",
            format!("{name}, but this car would believe whatever root is in {}", path.display()),
            "outrider provision pin-root makes this root the only one",
        ),
        Err(e @ PinError::Another { .. }) => {
            Finding::fail("root of trust", e, "the daemon does not start until this is corrected")
        }
        Err(e) => Finding::fail(
            "root of trust",
            e,
            "the daemon uses the other records of the root, and believes nobody where there are none",
        ),
    })
}

/// The device key's protection, and the whole of the audit log. Makes neither.
pub(super) fn records(config: &Config, findings: &mut Vec<Finding>) {
    let state = &config.keeping.directory;
    let protection = match control::answers(state) {
        true => Log::of(config).and_then(|log| Ok(log.outline()?.protection)),
        false => match DeviceKey::open_existing(&config.keeping) {
            Ok(device) => Ok(Some(device.protection())),
            // Made at the first start.
            Err(KeyError::Missing { .. }) => return,
            Err(KeyError::Otherwise { wanted: KeySource::Credential, .. }) => {
                return findings.push(Finding::warn(
                    "device key",
                    "a systemd credential, which only the service gets",
                    "start the daemon, then check again",
                ));
            }
            Err(e) => Err(e.into()),
        },
    };
    findings.push(match protection {
        Ok(Some(Protection::SystemdCredential)) => {
            Finding::ok("device key", "a systemd credential, sealed to the TPM where there is one")
        }
        Ok(Some(Protection::Passphrase)) => Finding::ok("device key", "behind a passphrase"),
        Ok(Some(Protection::KeyFile)) => Finding::warn(
            "device key",
            "a file on the same disk: whoever takes the disk takes the key",
            "set keeping.key to \"credential\" where the computer has a TPM, or to \"passphrase\"",
        ),
        Ok(None) => return,
        Err(e) => {
            let advice = "without its key the car keeps no hit: do what the message says";
            return findings.push(Finding::fail("device key", one_line(&e), advice));
        }
    });
    if !state.join("audit.db").exists() {
        return;
    }
    let checked = Log::of(config).and_then(|log| log.verify(None, &[]));
    findings.push(match checked {
        Ok(verdict) => {
            let fact = format!(
                "{} records, consistent and sealed by this car's key up to record {}",
                verdict.records, verdict.sealed
            );
            Finding::ok("audit log", fact)
        }
        Err(e) if matches!(e.downcast_ref(), Some(Broken(Fault::Empty))) => {
            Finding::ok("audit log", "empty")
        }
        Err(e) => Finding::fail(
            "audit log",
            one_line(&e),
            "there are no look-ups and no policy changes until it is intact; find out who had access",
        ),
    });
}

/// Checks the databases completely where no daemon has them open, and lists files that were set aside because they were
/// damaged.
pub(super) fn stores(config: &Config, findings: &mut Vec<Finding>) {
    let state = &config.keeping.directory;
    if let Some(line) = aside::summary(&aside::list(state)) {
        findings.push(Finding::warn(
            "set aside",
            line,
            "test the disk or the card; keep the file for whoever can examine it, then move it away",
        ));
    }
    if control::answers(state) {
        return;
    }
    let Ok(device) = DeviceKey::open_existing(&config.keeping) else { return };
    let stores = [
        ("hits.db", Purpose::Hits),
        ("counters.db", Purpose::Counters),
        ("hotplates.db", Purpose::Hotplates),
    ];
    for (name, purpose) in stores {
        let path = state.join(name);
        if !path.exists() {
            continue;
        }
        findings.push(match sqlcipher::examine(&path, &device.derive(purpose)) {
            Ok(()) => Finding::ok(name, "intact"),
            Err(e) => Finding::warn(
                name,
                e,
                "the daemon sets it aside at its start and goes on with a new one; test the disk",
            ),
        });
    }
}

/// Parts that do not work as the running daemon reports: this command alone cannot see everything, such as a broker
/// that throws the car out again and again.
pub(super) fn running(config: &Config, findings: &mut Vec<Finding>) {
    let state = &config.keeping.directory;
    if !control::answers(state) {
        return;
    }
    let parts: BTreeMap<String, PartState> = match control::ask(state, health::PARTS, &()) {
        Ok(parts) => parts,
        Err(e) => {
            let advice = "check as the user that the daemon runs as";
            return findings.push(Finding::warn("running daemon", e, advice));
        }
    };
    let before = findings.len();
    for (part, how) in parts {
        let part = format!("running: {part}");
        let advice = "do what the message says; the daemon's log has more";
        match how {
            PartState::Down(why) => findings.push(Finding::fail(&part, why, advice)),
            PartState::Impaired(why) => findings.push(Finding::warn(&part, why, advice)),
            PartState::Starting | PartState::Working | PartState::Off => {}
        }
    }
    if findings.len() == before {
        findings.push(Finding::ok("running daemon", "all of its parts work"));
    }
}

/// The state of a part as the running daemon reports it, if one runs and may be asked.
pub(super) fn daemon_state(config: &Config, part: &str) -> Option<PartState> {
    let state = &config.keeping.directory;
    let parts = control::ask::<_, BTreeMap<String, PartState>>(state, health::PARTS, &());
    parts.ok()?.remove(part)
}
