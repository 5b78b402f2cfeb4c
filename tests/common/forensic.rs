//! What somebody finds who has the disk and every key on it: written from the documents
//! (`docs/SECURITY.md`), with none of the daemon's own code for keys and databases.
//!
//! Keys are derived from `device.key`; the ring's are unsealed. Then every database is tried with
//! every key: asked by SQL for what it has, and decrypted page by page for what it no longer has.

use std::collections::BTreeMap;
use std::path::Path;

use aes::cipher::{BlockCipherDecrypt as _, KeyInit as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use rusqlite::Connection;

use super::search::Places;

/// What was opened, and what was in it.
#[derive(Default)]
pub struct Opened {
    /// Keys that were there.
    pub keys: usize,
    /// Databases that some key opened.
    pub databases: usize,
    /// Databases that no key opened.
    pub shut: usize,
    /// Rows and decrypted pages, by database.
    pub places: Places,
}

struct Len32;

impl KeyType for Len32 {
    fn len(&self) -> usize {
        32
    }
}

fn derive(device: &[u8], label: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, b"outrider device key")
        .extract(device)
        .expand(&[label], Len32)
        .unwrap()
        .fill(&mut key)
        .unwrap();
    key
}

/// `ORK1`, nonce, 64 sealed bytes of which the first half is the key, tag.
fn unseal(sealed: &[u8], name: &str, seal: &[u8; 32]) -> Option<[u8; 32]> {
    if sealed.len() != 96 || !sealed.starts_with(b"ORK1") {
        return None;
    }
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, seal).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(&sealed[4..16]).ok()?;
    let mut body = sealed[16..].to_vec();
    let plain = key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut body).ok()?;
    plain[..32].try_into().ok()
}

/// Opens whatever can be opened below a state folder.
pub fn open_all(state: &Path) -> Opened {
    let mut opened = Opened::default();
    let files = super::search::files(state, &[]);
    let mut keys: Vec<[u8; 32]> = Vec::new();
    if let Ok(device) = std::fs::read(state.join("device.key")) {
        // Every label that the program has for any store, and the key itself.
        let labels = include_str!("../../crates/vault/src/keys.rs")
            .split("b\"outrider/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(|label| format!("outrider/{label}"));
        keys.extend(labels.map(|label| derive(&device, label.as_bytes())));
        keys.extend(<[u8; 32]>::try_from(device.as_slice()).ok());
        let seal = derive(&device, b"outrider/v1/ring-seal");
        for path in files.keys().filter(|p| p.ends_with(".key")).map(Path::new) {
            let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
            let sealed = std::fs::read(path).unwrap_or_default();
            keys.extend(unseal(&sealed, name, &seal));
        }
    }
    opened.keys = keys.len();
    for path in files.keys().filter(|p| p.ends_with(".db")).map(Path::new) {
        let found = keys.iter().find_map(|key| rows(path, key).map(|rows| (key, rows)));
        let Some((key, rows)) = found else {
            opened.shut += 1;
            continue;
        };
        opened.databases += 1;
        let name = path.display();
        opened.places.insert(format!("rows of {name}"), rows);
        let beside = |end: &str| std::fs::read(format!("{name}{end}")).unwrap_or_default();
        opened.places.insert(format!("pages of {name}"), pages(&beside(""), key));
        opened.places.insert(format!("journal of {name}"), {
            let mut journal = wal_pages(&beside("-wal"), key);
            journal.extend(rollback_pages(&beside("-journal"), key));
            journal
        });
    }
    opened
}

/// Every value of every row, if this key opens the database. Works on a copy: the daemon may be
/// using it.
fn rows(path: &Path, key: &[u8; 32]) -> Option<Vec<u8>> {
    let aside = tempfile::tempdir().unwrap();
    let copy = aside.path().join("copy.db");
    std::fs::copy(path, &copy).ok()?;
    let _ = std::fs::copy(format!("{}-wal", path.display()), aside.path().join("copy.db-wal"));
    let db = Connection::open(&copy).ok()?;
    let hex = data_encoding::HEXLOWER.encode(key);
    db.execute_batch(&format!("PRAGMA cipher_log_level = NONE; PRAGMA key = \"x'{hex}'\";"))
        .ok()?;
    let mut query = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").ok()?;
    let tables: Vec<String> =
        query.query_map((), |row| row.get(0)).ok()?.map_while(Result::ok).collect();
    let mut all = Vec::new();
    for table in tables {
        let Ok(mut query) = db.prepare(&format!("SELECT * FROM \"{table}\"")) else { continue };
        let columns = query.column_count();
        let mut rows = query.query(()).ok()?;
        while let Ok(Some(row)) = rows.next() {
            for column in 0..columns {
                match row.get_ref(column) {
                    Ok(rusqlite::types::ValueRef::Text(text)) => all.extend_from_slice(text),
                    Ok(rusqlite::types::ValueRef::Blob(blob)) => all.extend_from_slice(blob),
                    Ok(other) => all.extend_from_slice(format!("{other:?}").as_bytes()),
                    Err(_) => {}
                }
                all.push(b'\n');
            }
        }
    }
    Some(all)
}

const PAGE: usize = 4096;
/// At a page's end: the initialisation vector, then the seal.
const RESERVED: usize = 16 + 64;

/// AES-256 in CBC mode; `None` for a page that is not whole.
fn decrypt(page: &[u8], key: &[u8; 32], skip: usize) -> Option<Vec<u8>> {
    let body = page.get(skip..PAGE - RESERVED)?;
    let mut last: [u8; 16] = page.get(PAGE - RESERVED..PAGE - RESERVED + 16)?.try_into().ok()?;
    let cipher = aes::Aes256::new(&(*key).into());
    let mut clear = Vec::with_capacity(body.len());
    for sealed in body.chunks_exact(16) {
        let sealed: [u8; 16] = sealed.try_into().ok()?;
        let mut block = sealed.into();
        cipher.decrypt_block(&mut block);
        clear.extend(block.iter().zip(last).map(|(a, b)| a ^ b));
        last = sealed;
    }
    Some(clear)
}

/// All pages of a database file, free ones too. The first begins with 16 bytes of salt in clear.
fn pages(file: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let pages = file.chunks_exact(PAGE).enumerate();
    pages
        .filter_map(|(n, page)| decrypt(page, key, if n == 0 { 16 } else { 0 }))
        .flatten()
        .collect()
}

/// All frames of a write-ahead log, checkpointed ones too.
fn wal_pages(wal: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let frames = wal.get(32..).unwrap_or_default().chunks_exact(24 + PAGE);
    let page = |frame: &[u8]| {
        let first = frame[..4] == [0, 0, 0, 1];
        decrypt(&frame[24..], key, if first { 16 } else { 0 })
    };
    frames.filter_map(page).flatten().collect()
}

/// All records of a rollback journal.
fn rollback_pages(journal: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let records = journal.get(512..).unwrap_or_default().chunks_exact(4 + PAGE + 4);
    records.filter_map(|record| decrypt(&record[4..], key, 0)).flatten().collect()
}

/// Sealed keys of the ring, by bucket: to be looked for on the raw disk once they are gone.
pub fn sealed_keys(state: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = super::search::files(&state.join("ring"), &[]);
    let keys = files.into_keys().filter(|p| p.ends_with(".key"));
    keys.map(|p| (p.clone(), std::fs::read(&p).unwrap_or_default())).collect()
}
