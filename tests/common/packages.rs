//! Signed packages of models, a car that may take them, and who signs.

use std::path::Path;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use outrider::dsse::SigningKey;
use outrider::models::pack;
use outrider::trust::{Role, TrustDocument, TrustedKey};
use sha2::{Digest as _, Sha256};

use super::author::signing_key;
use super::running::Car;

/// Who signs models, another who does, and who authors a list.
pub const SIGNER: u8 = 20;
pub const SECOND: u8 = 21;
pub const AUTHOR: u8 = 22;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The trust document of the car, with these signers of models.
pub fn trust(version: u64, signers: &[u8]) -> Vec<u8> {
    let trusted = |n: u8, name: String, role: Role| TrustedKey {
        name,
        public: signing_key(n).public(),
        roles: vec![role],
    };
    let mut keys: Vec<_> = [(5, "A. Chief"), (6, "B. Commissioner")]
        .map(|(n, name)| trusted(n, name.into(), Role::Policy))
        .into();
    keys.push(trusted(AUTHOR, "desk".into(), Role::ListAuthor("test".into())));
    // Names must differ by more than a digit that looks like a letter.
    let names = [(SIGNER, "workshop"), (SECOND, "laboratory")];
    let signers = names.iter().filter(|(n, _)| signers.contains(n));
    keys.extend(signers.map(|(n, name)| trusted(*n, (*name).to_owned(), Role::Models)));
    let document = TrustDocument {
        agency: "peel".into(),
        version,
        issued: Timestamp::now(),
        expires: None,
        keys,
        withdrawn: Vec::new(),
        retired: Vec::new(),
    };
    document.sign(&[&signing_key(1)]).to_json()
}

/// A car that reads with the shipped models, and one camera of a small picture.
pub fn car(folder: &Path, runtime: &Path) -> Car {
    car_with(folder, runtime, "")
}

/// The same with these further lines of configuration.
pub fn car_with(folder: &Path, runtime: &Path, lines: &str) -> Car {
    let further = format!(
        "{lines}[models]\nonnxruntime = \"{}\"\nfolder = \"{}\"\n\
         [[camera]]\nname = \"front\"\nwidth = 640\nheight = 384\nfps = 3\n",
        runtime.display(),
        root().join("models").display()
    );
    let car = Car::new(folder, "", &further, &["LISTED1"]);
    std::fs::write(car.path("people/trust.json"), trust(1, &[SIGNER])).unwrap();
    car
}

/// A shipped model under another release, and with other bytes that change nothing: an ONNX file may be followed by a
/// field `doc_string`.
pub fn variant(
    name: &str,
    release: &str,
    change: impl FnOnce(&mut String, &mut Vec<u8>),
) -> (Vec<u8>, Vec<u8>) {
    let read = |file: &str| std::fs::read(root().join("models").join(name).join(file)).unwrap();
    let (toml, mut onnx) = (String::from_utf8(read("model.toml")).unwrap(), read("model.onnx"));
    onnx.extend_from_slice(&[0x32, u8::try_from(release.len()).unwrap()]);
    onnx.extend_from_slice(release.as_bytes());
    let mut toml: String = toml
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("version", _)) => format!("version = \"{release}\"\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    change(&mut toml, &mut onnx);
    let digest = HEXLOWER.encode(&Sha256::digest(&onnx));
    let toml = toml
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("sha256", _)) => format!("sha256 = \"{digest}\"\n"),
            _ => format!("{line}\n"),
        })
        .collect::<String>();
    (toml.into_bytes(), onnx)
}

pub fn packed(files: &(Vec<u8>, Vec<u8>), version: u64, key: &SigningKey) -> Vec<u8> {
    pack(&files.0, &files.1, version, Timestamp::now(), key).unwrap().1
}

/// An OCR that reads as the shipped one does.
pub fn good(version: u64) -> Vec<u8> {
    let files = variant("plate-ocr-small", &format!("0.8.{version}"), |_, _| {});
    packed(&files, version, &signing_key(SIGNER))
}
