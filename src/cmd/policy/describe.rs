//! The sentences in which `outrider policy` describes a policy.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::dsse::{DsseError, Envelope, KeyId, PublicKey};
use crate::policy::{Change, Direction, POLICY_TYPE, Policy, State, TO_WIDEN};
use crate::text::ForeignText;
use crate::trust::{Person, Role, TrustDocument, TrustedKey};

/// A signer, as far as this command can know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    /// The key.
    pub(super) key: KeyId,
    /// Its holder, where a trust document was given; `None` if the key may not sign policy.
    pub(super) name: Option<String>,
}

/// What a policy changes, one line for each change, widening ones first.
pub(super) fn changes(policy: &Policy, previous: Option<&Policy>, changes: &[Change]) -> String {
    let heading = match previous {
        Some(previous) => format!("Compared with version {}:\n", previous.version),
        None => "Compared with the strictest rules, as a car without a policy compares its first one; without \
                 --previous this command cannot know what it changes in other cars:\n"
            .into(),
    };
    listed(policy, &heading, changes)
}

/// What a policy says, one line for each rule that it does not leave to each car's configuration.
pub(super) fn all_rules(policy: &Policy) -> String {
    let all = crate::policy::changes(&crate::policy::Rules::default(), &policy.rules);
    listed(policy, "Compared with no policy, where each car's configuration decides alone:\n", &all)
}

/// Adds a line, whoever's words are in it: names and notes come from a file that nobody may have signed, and must not
/// look like lines of ours. Nothing is cut off, because a change that is not shown is not agreed to.
fn line(text: &mut String, before: &str, words: &str) {
    *text += before;
    *text += &ForeignText::shown(words, usize::MAX);
    text.push('\n');
}

fn listed(policy: &Policy, heading: &str, changes: &[Change]) -> String {
    let mut first =
        format!("Policy {} of {}, issued {}", policy.version, policy.agency, policy.issued);
    match policy.expires {
        Some(end) => write!(first, ", grants until {end}"),
        None => write!(first, ", without an end"),
    }
    .expect("a string takes all");
    if !policy.note.is_empty() {
        write!(first, ": {}", policy.note).expect("a string takes all");
    }
    let mut text = String::new();
    line(&mut text, "", &first);
    text += heading;
    if changes.is_empty() {
        text += "  changes nothing\n";
    }
    for (direction, word) in [
        (Direction::Widens, "WIDENS "),
        (Direction::Silences, "SILENCES"),
        (Direction::Narrows, "narrows"),
        (Direction::Neutral, "       "),
    ] {
        for change in changes.iter().filter(|c| c.direction == direction) {
            line(&mut text, &format!("  {word}  "), &change.says);
        }
    }
    text
}

/// Which signatures count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// Those of a policy that cars are to take: a retired key signs nothing new.
    New,
    /// Those of a policy that cars have: what a retired key has signed stands.
    InForce,
}

/// Who has signed an envelope. With a trust document every signature by one of its keys is checked, and an invalid one
/// is an error; without one, only the keys at hand are known, and the text says so.
pub(super) fn signers(
    envelope: &Envelope,
    trust: Option<&TrustDocument>,
    own: &[PublicKey],
    counts: Counts,
) -> Result<Vec<Signed>, DsseError> {
    let trusted = trust.map_or(&[][..], |trust| &trust.keys);
    let may = |key: &&TrustedKey| {
        let id = key.public.id();
        key.roles.contains(&Role::Policy)
            && trust.is_none_or(|trust| !trust.withdrawn.contains(&id))
            && (counts == Counts::InForce || trust.is_none_or(|trust| !trust.retired.contains(&id)))
    };
    let keys: Vec<PublicKey> = match trust {
        Some(_) => trusted.iter().filter(may).map(|key| key.public).collect(),
        None => own.to_vec(),
    };
    let proven = match envelope.open_beside_others(POLICY_TYPE, &keys, 1) {
        Ok((_, proven, _)) => proven,
        Err(DsseError::TooFew { .. }) => Vec::new(),
        Err(e) => return Err(e),
    };
    let name = |key: &KeyId| match (trust, proven.contains(key)) {
        (Some(_), true) => {
            trusted.iter().find(|k| k.public.id() == *key).map(|found| found.name.clone())
        }
        (Some(_), false) => None,
        (None, true) => Some(format!("key {key}")),
        (None, false) => Some(format!("key {key}, which was not checked")),
    };
    Ok(envelope.signers().map(|key| Signed { key: key.clone(), name: name(key) }).collect())
}

/// How many different people have signed. Two spellings of one name are one person, as in a car.
pub(super) fn count_people(signed: &[Signed]) -> usize {
    let person = |name: &String| Person::parse(name).map_err(|_| name.clone());
    let people: BTreeSet<_> = signed.iter().filter_map(|s| s.name.as_ref()).map(person).collect();
    people.len()
}

/// Whether the signatures are enough, and what to do where they are not.
pub(super) fn who_must_sign(changes: &[Change], signed: &[Signed], file: &Path) -> String {
    let has = |direction| changes.iter().any(|c| c.direction == direction);
    let (widens, silences) = (has(Direction::Widens), has(Direction::Silences));
    let needed = if widens || silences { TO_WIDEN } else { 1 };
    let mut text = match (widens, silences) {
        (true, true) => "It widens and silences: two different people must sign.\n".to_owned(),
        (true, false) => "It widens: two different people must sign.\n".to_owned(),
        (false, true) => "It silences: two different people must sign.\n".to_owned(),
        (false, false) => "It widens nothing: one signature is enough.\n".to_owned(),
    };
    let people = count_people(signed);
    for signer in signed {
        let says = match &signer.name {
            Some(name) => format!("Signed by {name}."),
            None => format!(
                "Key {} has signed it and may not sign policy: no car takes it like this.",
                signer.key
            ),
        };
        line(&mut text, "", &says);
    }
    if people < needed {
        let missing = needed - people;
        let (what, whose) = match missing {
            1 => ("one signature", "KEY"),
            _ => ("two signatures", "KEY --key ANOTHER"),
        };
        writeln!(
            text,
            "Lacks {what}: outrider policy sign {} --key {whose} --out FILE",
            file.display()
        )
        .expect("a string takes all");
    } else if needed == 1 && people < TO_WIDEN {
        text += "A car that has missed a widening before this one, and one that has no policy yet, refuses it \
                 until a second person has signed too.\n";
    }
    text
}

/// The policy that a running car obeys.
pub(super) fn state(state: &State) -> String {
    let mut text = match &state.policy {
        None if state.lost => {
            "The policy of this car cannot be read any more, or is gone: the strictest rules hold \
                               until a new one arrives, signed by two people.\n"
                .to_owned()
        }
        None => "No policy: this car's configuration decides alone.\n".to_owned(),
        Some(policy) => {
            let mut text = all_rules(policy);
            let names: Vec<_> = state.signers.iter().map(|s| s.name.as_str()).collect();
            line(&mut text, "", &format!("Signed by {}.", names.join(" and ")));
            text
        }
    };
    if state.withdrawn {
        text += "Too few of those who signed it may sign still: the strictest rules hold until a new one \
                 arrives, signed by two people.\n";
    }
    if state.expired {
        text += "It has expired: its limits still apply, and what it granted is withdrawn.\n";
    }
    if let Some(refused) = &state.refused {
        line(&mut text, "", &format!("Refused since: {refused}"));
    }
    match state.ceiling {
        true => text += "The ceiling that the car was provisioned with limits it further.\n",
        false => text += "The car was provisioned without a ceiling.\n",
    }
    text
}
