//! Makes the people who may sign in at the demo's car: a root, two signers of policy and two users, for this drive alone.
//!
//! In: the demo's folder. Out: the files that a car's configuration names, as an agency's desk would make them, and
//! the numbers and PINs to try. The PINs are written on the screen: there is nothing here to protect.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;

use crate::config::Config;
use crate::dsse::SigningKey;
use crate::pin::PinHash;
use crate::policy::{Policy, Rules, User, Who};
use crate::trust::{Role, Root, TrustDocument, TrustedKey};

/// Number, name, roles, PIN.
const PEOPLE: [(&str, &str, &[Who], &str); 2] = [
    ("1001", "A. Demo", &[Who::Officer], "480213"),
    ("2001", "B. Demo", &[Who::Officer, Who::Supervisor], "731945"),
];

/// Writes root, trust document and policy, and names them in the configuration.
pub fn sign(config: &mut Config, folder: &Path) -> anyhow::Result<()> {
    let key = || SigningKey::generate().context("no random bytes for the demo's keys");
    let (root, signers) = (key()?, [key()?, key()?]);
    let issued = Timestamp::from_second(Timestamp::now().as_second() - 3600)?;
    let agency = config.vehicle.agency.clone();
    let keys = signers.iter().zip(["A. Chief", "B. Commissioner"]).map(|(key, name)| TrustedKey {
        name: name.into(),
        public: key.public(),
        roles: vec![Role::Policy],
    });
    let trust = TrustDocument {
        agency: agency.clone(),
        version: 1,
        issued,
        expires: None,
        keys: keys.collect(),
        withdrawn: Vec::new(),
        retired: Vec::new(),
    };
    let mut rules = Rules::default();
    for (number, name, roles, pin) in PEOPLE {
        let roles: BTreeSet<_> = roles.iter().copied().collect();
        let (name, pin) = (name.into(), PinHash::of(pin)?);
        rules.users.insert(number.into(), User { name, roles, trained_until: None, pin });
    }
    let note = "made by the demo".into();
    let policy = Policy { agency, version: 1, issued, expires: None, note, rules };
    let write = |name: &str, bytes: Vec<u8>| -> anyhow::Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    let public = serde_json::to_vec(&Root { keys: vec![root.public()], needed: 1 })?;
    config.trust.root = Some(write("root.pub.json", public)?);
    config.trust.document = Some(write("trust.json", trust.sign(&[&root]).to_json())?);
    let envelope = policy.sign(&[&signers[0], &signers[1]]);
    config.policy.file = Some(write("policy.json", envelope.to_json())?);
    Ok(())
}

/// Who can sign in, a line each.
pub fn lines() -> Vec<String> {
    let line = |(number, _, roles, pin): &(&str, &str, &[Who], &str)| {
        let roles: Vec<_> = roles.iter().map(|role| role.word()).collect();
        format!("number {number}, PIN {pin}  ({})", roles.join(", "))
    };
    PEOPLE.iter().map(line).collect()
}
