//! A bucket makes searches hard: it has no index by plate, and nothing spans buckets.

use super::*;
use crate::keys::DeviceKey;

fn bucket(folder: &Path, sealer: &Sealer) -> Bucket {
    let now = Now { boot_ms: 0, wall_ms: 1_764_000_000_000 };
    Bucket::create(folder, now, BootId::from_bytes([1; 16]), Some(sealer)).unwrap()
}

#[test]
fn bucket_has_one_table_no_index_and_no_view() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = Sealer::new(&DeviceKey::load(&dir.path().join("state")).unwrap());
    let bucket = bucket(dir.path(), &sealer);
    let db = bucket.open.as_ref().unwrap();
    let mut query = db.prepare("SELECT type, name FROM sqlite_master").unwrap();
    let all = query.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let all: Vec<(String, String)> = all.map(Result::unwrap).collect();
    assert_eq!(all, [("table".to_owned(), "read".to_owned())]);
    // SQLite makes none by itself either, for a primary key or a unique column.
    let plan = |what: &str| -> String {
        db.query_row(&format!("EXPLAIN QUERY PLAN {what}"), (), |row| row.get(3)).unwrap()
    };
    let found = plan("SELECT id FROM read WHERE plate = 'CKSV841'");
    assert!(found.starts_with("SCAN"), "{found}");
    // No other file is open beside it.
    let mut query = db.prepare("PRAGMA database_list").unwrap();
    let files = query.query_map((), |row| row.get::<_, String>(1)).unwrap();
    assert_eq!(files.map(Result::unwrap).collect::<Vec<_>>(), ["main"]);
}

#[test]
fn no_key_opens_another_bucket() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = Sealer::new(&DeviceKey::load(&dir.path().join("state")).unwrap());
    let mut buckets: Vec<Bucket> = (0..3).map(|_| bucket(dir.path(), &sealer)).collect();
    buckets.iter_mut().for_each(Bucket::close);
    for of in &buckets {
        let (key, _) = sealer.read(&of.key_path(), &of.name).unwrap().unwrap();
        for bucket in &buckets {
            assert_eq!(bucket.open_again(&key).is_ok(), bucket.name == of.name);
        }
    }
}
