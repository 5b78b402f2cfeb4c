//! People who may sign in at a test's car, in a policy that two signers have signed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;
use outrider::dsse::SigningKey;
use outrider::pin::PinHash;
use outrider::policy::{Policy, Rules, User, Who};
use outrider::trust::{Role, TrustDocument, TrustedKey};

use super::author::{root, signing_key};
use super::desk::Desk;

/// Everybody's PIN.
pub const PIN: &str = "480213";

/// Number, name and roles of everybody.
const PEOPLE: [(&str, &str, &[Who]); 10] = [
    ("1", "", &[Who::Officer]),
    ("9", "", &[Who::Supervisor]),
    ("77", "", &[Who::Officer, Who::Supervisor]),
    ("97", "", &[Who::Officer, Who::Supervisor]),
    ("1234", "J. Roy", &[Who::Officer]),
    ("4411", "", &[Who::Officer]),
    ("5000", "", &[Who::Supervisor]),
    ("501", "Sgt. Okafor", &[Who::Supervisor]),
    ("502", "Insp. Roy", &[Who::Auditor]),
    ("700", "", &[Who::Officer, Who::Maintainer]),
];

/// The users of a policy.
pub fn users() -> BTreeMap<String, User> {
    // One hash for all: it is made in every process that makes a car.
    static HASH: LazyLock<PinHash> = LazyLock::new(|| PinHash::of(PIN).unwrap());
    let user = |(number, name, roles): &(&str, &str, &[Who])| {
        let roles = roles.iter().copied().collect();
        let (name, pin) = ((*name).to_owned(), HASH.clone());
        ((*number).to_owned(), User { name, roles, trained_until: None, pin })
    };
    PEOPLE.iter().map(user).collect()
}

/// The number of somebody who is stated by number or by name.
pub fn number_of(stated: &str) -> &str {
    let found = PEOPLE.iter().find(|(_, name, _)| *name == stated);
    found.map_or(stated, |(number, ..)| number)
}

/// Who signs policy, as the root says.
pub fn trust(agency: &str) -> Vec<u8> {
    let keys = [(5, "A. Chief"), (6, "B. Commissioner")].map(|(n, name)| TrustedKey {
        name: name.into(),
        public: signing_key(n).public(),
        roles: vec![Role::Policy],
    });
    let document = TrustDocument {
        agency: agency.into(),
        version: 1,
        issued: Timestamp::now(),
        expires: None,
        keys: keys.into(),
        withdrawn: Vec::new(),
        retired: Vec::new(),
    };
    document.sign(&[&signing_key(1)]).to_json()
}

/// A policy that two people have signed.
pub fn policy(agency: &str, version: u64, rules: Rules) -> Vec<u8> {
    let signers: [SigningKey; 2] = [signing_key(5), signing_key(6)];
    let (agency, issued, note) = (agency.into(), Timestamp::UNIX_EPOCH, String::new());
    let policy = Policy { agency, version, issued, expires: None, note, rules };
    policy.sign(&[&signers[0], &signers[1]]).to_json()
}

/// Writes root, trust document and a policy with these people into a folder, and returns the lines of configuration
/// that name them.
pub fn provision(folder: &Path, agency: &str) -> String {
    let at = folder.display();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("root.pub.json"), serde_json::to_string(&root()).unwrap()).unwrap();
    std::fs::write(folder.join("trust.json"), trust(agency)).unwrap();
    put(folder, agency, 1, users());
    format!(
        "[trust]\nroot = \"{at}/root.pub.json\"\ndocument = \"{at}/trust.json\"\n\
         [policy]\nfile = \"{at}/policy.json\"\n"
    )
}

/// A policy with these people that two signers of this desk have signed, who are made here.
pub fn signed_at(desk: &Desk) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Draft {
        agency: &'static str,
        version: u64,
        rules: Rules,
    }
    let rules = Rules { users: users(), ..Rules::default() };
    let draft = Draft { agency: "peel", version: 1, rules };
    std::fs::write(desk.0.join("draft.toml"), toml::to_string(&draft).unwrap()).unwrap();
    ["chief", "commissioner"].iter().for_each(|name| desk.grant(name, "--policy"));
    let keys = ["--key", "chief.key", "--key", "commissioner.key"];
    desk.does(&[&["policy", "sign", "draft.toml"], &keys[..], &["--out", "policy.json"]].concat());
    std::fs::read(desk.0.join("policy.json")).unwrap()
}

/// Puts another policy where the car looks, in one step.
pub fn put(folder: &Path, agency: &str, version: u64, users: BTreeMap<String, User>) {
    let rules = Rules { users, ..Rules::default() };
    std::fs::write(folder.join("policy.new"), policy(agency, version, rules)).unwrap();
    std::fs::rename(folder.join("policy.new"), folder.join("policy.json")).unwrap();
}
