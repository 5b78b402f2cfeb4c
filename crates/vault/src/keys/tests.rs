use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;

#[test]
fn first_start_makes_a_key_that_later_starts_read() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let first = DeviceKey::load_from(None, &state.join(KEY_FILE)).unwrap();
    let again = DeviceKey::load_from(None, &state.join(KEY_FILE)).unwrap();
    assert_eq!(first.secret.expose(), again.secret.expose());
    assert_eq!(first.protection(), Protection::KeyFile);
    let mode = |p: &Path| fs::metadata(p).unwrap().mode() & 0o7777;
    assert_eq!((mode(&state), mode(&state.join(KEY_FILE))), (0o700, 0o600));
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "nothing is left aside");
}

#[test]
fn credential_goes_before_the_file_and_may_be_hexadecimal() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(CREDENTIAL), format!("{}\n", "0f".repeat(32))).unwrap();
    let file = dir.path().join("state").join(KEY_FILE);
    let key = DeviceKey::load_from(Some(dir.path()), &file).unwrap();
    assert_eq!(key.secret.expose(), &[0x0f; 32]);
    assert_eq!(key.protection(), Protection::SystemdCredential);
    assert!(!file.exists(), "no file is made beside a credential");
}

#[test]
fn key_file_that_vanishes_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(KEY_FILE);
    DeviceKey::load_from(None, &file).unwrap();
    fs::remove_file(&file).unwrap();
    let error = DeviceKey::load_from(None, &file).unwrap_err();
    assert!(matches!(error, KeyError::Vanished { .. }), "{error}");
    assert!(!file.exists());
}

#[test]
fn key_that_others_can_read_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(KEY_FILE);
    fs::write(&file, [7; 32]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let message = DeviceKey::load_from(None, &file).unwrap_err().to_string();
    let path = file.display();
    assert!(message.contains("can be read by others (mode 0640)"), "{message}");
    assert!(message.contains(&format!("chmod 600 {path}")), "{message}");
}

#[test]
fn truncated_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(KEY_FILE);
    fs::write(&file, [7; 31]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let message = DeviceKey::load_from(None, &file).unwrap_err().to_string();
    assert!(message.ends_with("has 31 bytes, must be 32 (or 64 hexadecimal digits)"));
}

#[test]
fn purposes_have_different_keys_and_debug_shows_none() {
    let dir = tempfile::tempdir().unwrap();
    let key = DeviceKey::load_from(None, &dir.path().join(KEY_FILE)).unwrap();
    let (hits, seal) = (key.derive(Purpose::Hits), key.derive(Purpose::RingSeal));
    assert_ne!(hits.expose(), seal.expose());
    assert_ne!(hits.expose(), key.secret.expose());
    assert_eq!(hits.expose(), key.derive(Purpose::Hits).expose());
    assert_eq!(format!("{hits:?}"), "SecretKey(redacted)");
}
