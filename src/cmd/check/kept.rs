//! What the car keeps: the policy in force, the device key, the audit log. A daemon that runs is asked: it
//! alone may have the key. Looking makes nothing.

use jiff::Timestamp;

use super::Finding;
use crate::audit::Fault;
use crate::cmd::audit::{Broken, Log};
use crate::cmd::one_line;
use crate::config::{Config, KeySource};
use crate::control;
use crate::keys::{DeviceKey, KeyError, Protection};
use crate::policy::{self, Rules};
use crate::trust::{Root, pin};

/// What is in force, and what it limits.
pub(super) fn policy(config: &Config) -> Finding {
    let ceiling = match config.policy.ceiling.as_deref().map(policy::load_ceiling) {
        Some(Err(e)) => {
            return Finding::fail(
                "policy",
                e,
                "mend the file: the daemon does not start without it",
            );
        }
        Some(Ok(ceiling)) => Some(ceiling),
        None => None,
    };
    let state = &config.keeping.directory;
    // Before the first policy there is nothing to open, and no key is made by looking. A daemon that runs is
    // asked: it alone may have the key.
    let unreadable = |why: String| {
        Finding::warn(
            "policy",
            format!("in force, and not to be read here: {why}"),
            "check as the user that the daemon runs as; outrider policy show asks the daemon",
        )
    };
    let (held, lost, refused) = if control::answers(state) {
        match control::ask::<_, policy::State>(state, policy::SHOW, &()) {
            Ok(said) => (said.policy, said.lost, said.refused),
            Err(e) => return unreadable(e.to_string()),
        }
    } else if policy::is_kept(state) {
        match DeviceKey::existing(state) {
            Ok(device) => {
                let (held, lost) = policy::on_disk(state, &device);
                (held, lost, None)
            }
            Err(e) => return unreadable(e.to_string()),
        }
    } else {
        (None, false, None)
    };
    if lost {
        return Finding::fail(
            "policy",
            "what was in force cannot be read any more: nothing is kept, lists match exactly",
            "publish the policy again, signed by two people",
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
        fact += ", under the ceiling of the provisioning";
    }
    let limited = policy::limit(&mut config.clone(), &rules);
    if !limited.is_empty() {
        fact += &format!("; {}", limited.join("; "));
    }
    match held.and_then(|policy| policy.expires).filter(|end| *end <= now) {
        Some(end) => Finding::warn(
            "policy",
            format!("{fact}; past its date since {end:.0}"),
            "publish a new one: this one limits on and grants nothing",
        ),
        None => match refused {
            Some(why) => Finding::warn(
                "policy",
                format!("{fact}; the latest was refused: {why}"),
                "see who signed it, and outrider policy explain",
            ),
            None => Finding::ok("policy", fact),
        },
    }
}

/// Whether the root of the configuration is the one that this car was provisioned for.
pub(super) fn root(config: &Config) -> Option<Finding> {
    let path = config.trust.root.as_ref()?;
    let root = match Root::load(path) {
        Ok(root) => root,
        Err(e) => {
            let advice = "put the root's public keys there, or mend trust.root";
            return Some(Finding::fail("root of trust", e, advice));
        }
    };
    let state = &config.keeping.directory;
    // A daemon that runs has looked; who has no key cannot.
    let device = DeviceKey::look(&config.keeping).ok()?;
    let name = root.name();
    Some(match pin::check(&root, state, &device).and_then(|()| pin::pinned(state, &device)) {
        Ok(Some(_)) => Finding::ok("root of trust", format!("{name}, as provisioned")),
        Ok(None) => Finding::warn(
            "root of trust",
            format!("{name}, and this car goes by whatever {} says", path.display()),
            "outrider provision pin-root makes it the only one",
        ),
        Err(e) => Finding::fail("root of trust", e, "the daemon does not start until it is mended"),
    })
}

/// The device key's protection, and the whole of the audit log. Makes neither.
pub(super) fn records(config: &Config, findings: &mut Vec<Finding>) {
    let state = &config.keeping.directory;
    let protection = match control::answers(state) {
        true => Log::of(config).and_then(|log| Ok(log.outline()?.protection)),
        false => match DeviceKey::look(&config.keeping) {
            Ok(device) => Ok(Some(device.protection())),
            // Made at the first start.
            Err(KeyError::Missing { .. }) => return,
            Err(KeyError::Otherwise { wanted: KeySource::Credential, .. }) => {
                return findings.push(Finding::warn(
                    "device key",
                    "a systemd credential, which the service alone is passed",
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
            let advice = "without its key the car keeps no hit; see the message";
            return findings.push(Finding::fail("device key", one_line(&e), advice));
        }
    });
    if !state.join("audit.db").exists() {
        return;
    }
    let checked = Log::of(config).and_then(|log| log.verify(None));
    findings.push(match checked {
        Ok(verdict) => {
            let fact = format!("{} records, the chain holds", verdict.records);
            Finding::ok("audit log", fact)
        }
        Err(e) if matches!(e.downcast_ref(), Some(Broken(Fault::Empty))) => {
            Finding::ok("audit log", "empty")
        }
        Err(e) => Finding::fail(
            "audit log",
            one_line(&e),
            "no look-ups and no policy changes until it holds; ask who had access",
        ),
    });
}
