//! What the command says of a policy, for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::dsse::{Envelope, KeyId};
use crate::policy::{Change, Direction, Policy, State, TO_WIDEN};
use crate::trust::{Role, TrustDocument};

/// Somebody who has signed, as far as that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    /// The key.
    pub(super) key: KeyId,
    /// Whose it is, where a trust document was given; `None` if it may not sign policy.
    pub(super) name: Option<String>,
}

/// What a policy changes, one line each, what widens first.
pub(super) fn changes(policy: &Policy, previous: Option<&Policy>, changes: &[Change]) -> String {
    let mut text =
        format!("Policy {} of {}, issued {}", policy.version, policy.agency, policy.issued);
    match policy.expires {
        Some(end) => write!(text, ", grants until {end}"),
        None => write!(text, ", without an end"),
    }
    .expect("a string takes all");
    if !policy.note.is_empty() {
        write!(text, ": {}", policy.note).expect("a string takes all");
    }
    text += "\n";
    text += &match previous {
        Some(previous) => format!("Compared with version {}:\n", previous.version),
        None => "Compared with no policy, where each car's configuration decides alone:\n".into(),
    };
    if changes.is_empty() {
        text += "  changes nothing\n";
    }
    for (direction, word) in [
        (Direction::Widens, "WIDENS "),
        (Direction::Narrows, "narrows"),
        (Direction::Neutral, "       "),
    ] {
        for change in changes.iter().filter(|c| c.direction == direction) {
            writeln!(text, "  {word}  {}", change.says).expect("a string takes all");
        }
    }
    text
}

/// Who has signed an envelope; nothing is verified here, cars do that.
pub(super) fn signers(envelope: &Envelope, trust: Option<&TrustDocument>) -> Vec<Signed> {
    let name = |key: &KeyId| {
        let found = trust?.keys.iter().find(|k| k.public.id() == *key)?;
        found.roles.contains(&Role::Policy).then(|| found.name.clone())
    };
    envelope
        .signers()
        .map(|key| Signed {
            key: key.clone(),
            name: match trust {
                Some(_) => name(key),
                None => Some(format!("key {key}")),
            },
        })
        .collect()
}

/// Whether the signatures are enough, and what to do where they are not.
pub(super) fn who_must_sign(changes: &[Change], signed: &[Signed], file: &Path) -> String {
    let widens = changes.iter().any(|c| c.direction == Direction::Widens);
    let needed = if widens { TO_WIDEN } else { 1 };
    let mut text = match widens {
        true => "It widens: two different people must sign.\n".to_owned(),
        false => "It widens nothing: one signature does.\n".to_owned(),
    };
    let people: BTreeSet<_> = signed.iter().filter_map(|s| s.name.as_ref()).collect();
    for signer in signed {
        match &signer.name {
            Some(name) => writeln!(text, "Signed by {name}."),
            None => writeln!(text, "Key {} has signed and may not sign policy.", signer.key),
        }
        .expect("a string takes all");
    }
    if people.len() < needed {
        let missing = needed - people.len();
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
    } else if needed == 1 && people.len() < TO_WIDEN {
        text += "A car that has missed a widening before this one refuses it until a second person has \
                 signed too.\n";
    }
    text
}

/// What a running car obeys.
pub(super) fn state(state: &State) -> String {
    let mut text = match &state.policy {
        None if state.lost => {
            "The policy of this car cannot be read any more: the strictest rules hold \
                               until a new one arrives, signed by two people.\n"
                .to_owned()
        }
        None => "No policy: this car's configuration decides alone.\n".to_owned(),
        Some(policy) => {
            let all = crate::policy::changes(&Default::default(), &policy.rules);
            let mut text = changes(policy, None, &all);
            let names: Vec<_> = state.signers.iter().map(|s| s.name.as_str()).collect();
            writeln!(text, "Signed by {}.", names.join(" and ")).expect("a string takes all");
            text
        }
    };
    if state.expired {
        text += "It is past its date: its limits hold on, what it granted is withdrawn.\n";
    }
    if let Some(refused) = &state.refused {
        writeln!(text, "Refused since: {refused}").expect("a string takes all");
    }
    match state.ceiling {
        true => text += "The ceiling of its provisioning holds above that.\n",
        false => text += "No ceiling is provisioned.\n",
    }
    text
}
