//! The work file: what `import` leaves for `build`.
//!
//! A line `OUTRIDER-HOTLIST 1`, a line of JSON ([`WorkHeader`]), then the list as sealed chunks, each
//! after its address and its length as u32, little-endian. Records are canonical and encrypted with the
//! list key, so a work file that is left about gives away no plate; its mode is 0600 all the same.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PublishError, at};
use crate::authoring::import::Report;
use crate::files::Aside;
use crate::hotlist::format::{
    Address, Chunk, ChunkWriter, ListKey, ListKeyId, ListKeys, MAX_SEALED, Record, Sealed,
    open_chunk,
};

const MAGIC: &str = "OUTRIDER-HOTLIST 1\n";

/// What is known of an imported list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkHeader {
    /// Name of the list.
    pub list: String,
    /// What its entries are about.
    pub category: String,
    /// The key that seals it.
    pub key: ListKeyId,
    /// Time of the source.
    pub source_time: Timestamp,
    /// Entries that follow.
    pub entries: u64,
    /// The mapping that read them.
    pub mapping: String,
    /// Rows of the source that are not among the entries.
    pub left_out: u64,
    /// Of those, rows with something wrong, so that it is not known what they list.
    #[serde(default)]
    pub quarantined: u64,
}

impl WorkHeader {
    /// The header of an import.
    pub fn of(
        list: &str,
        category: &str,
        key: &ListKey,
        source_time: Timestamp,
        report: &Report,
    ) -> Self {
        Self {
            list: list.into(),
            category: category.into(),
            key: key.id(),
            source_time,
            entries: report.entries,
            mapping: report.mapping.clone(),
            left_out: report.rows - report.entries,
            quarantined: report.quarantined,
        }
    }
}

/// Writes a work file completely or not at all. `progress` receives the number of records done.
pub fn write_work<'r>(
    path: &Path,
    header: &WorkHeader,
    key: &ListKey,
    records: impl Iterator<Item = Record<'r>>,
    mut progress: impl FnMut(u64),
) -> Result<(), PublishError> {
    let mut aside = Aside::begin(path).map_err(at(path))?;
    let mut out = BufWriter::new(aside.file());
    let json = serde_json::to_string(header).expect("texts, numbers and dates");
    writeln!(out, "{MAGIC}{json}").map_err(at(path))?;
    let mut put = |sealed: Vec<Sealed>| {
        for one in sealed {
            let length = u32::try_from(one.bytes.len()).expect("messages are bounded");
            out.write_all(one.address.as_bytes())?;
            out.write_all(&length.to_le_bytes())?;
            out.write_all(&one.bytes)?;
        }
        Ok(())
    };
    let mut writer = ChunkWriter::new(key);
    for (n, record) in (1..).zip(records) {
        put(writer.push(&record)?).map_err(at(path))?;
        if n % 4_096 == 0 {
            progress(n);
        }
    }
    put(writer.finish()).map_err(at(path))?;
    out.into_inner().map_err(|e| at(path)(e.into_error()))?;
    aside.put_in_place().map_err(at(path))
}

/// A work file, open for reading.
pub struct WorkFile {
    path: PathBuf,
    /// Its header.
    pub header: WorkHeader,
    input: BufReader<File>,
    read: u64,
}

impl WorkFile {
    /// Opens a work file and reads its header.
    pub fn open(path: &Path) -> Result<Self, PublishError> {
        let wrong = |why: String| PublishError::Work { path: path.to_owned(), why };
        let mut input = BufReader::new(File::open(path).map_err(at(path))?);
        let mut magic = vec![0; MAGIC.len()];
        let is = input.read_exact(&mut magic).is_ok() && magic == MAGIC.as_bytes();
        if !is {
            return Err(wrong("its first line is not that of a work file".into()));
        }
        let mut json = Vec::new();
        let mut limited = (&mut input).take(64 * 1024);
        limited.read_until(b'\n', &mut json).map_err(at(path))?;
        let header = serde_json::from_slice(&json).map_err(|e| wrong(e.to_string()))?;
        Ok(Self { path: path.to_owned(), header, input, read: 0 })
    }

    /// The key that opens it.
    pub fn key<'k>(&self, keys: &'k ListKeys) -> Result<&'k ListKey, PublishError> {
        keys.get(self.header.key).ok_or_else(|| PublishError::Key {
            what: self.path.display().to_string(),
            wanted: self.header.key.to_string(),
            keys: "the list key file".into(),
        })
    }

    /// The next chunk with its message; `None` at the end, where the count is checked.
    pub fn next_chunk(&mut self, key: &ListKey) -> Result<Option<(Chunk, Sealed)>, PublishError> {
        let path = self.path.clone();
        let wrong = |why: &str| PublishError::Work { path: path.clone(), why: why.into() };
        if self.input.fill_buf().map_err(at(&path))?.is_empty() {
            return match self.read == self.header.entries {
                true => Ok(None),
                false => Err(wrong("it has fewer or more entries than its header says")),
            };
        }
        let (mut address, mut length) = ([0; 32], [0; 4]);
        let whole = self.input.read_exact(&mut address).is_ok()
            && self.input.read_exact(&mut length).is_ok();
        let length = u32::from_le_bytes(length) as usize;
        if !whole || length > MAX_SEALED {
            return Err(wrong("a chunk is cut short"));
        }
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(|_| wrong("a chunk is cut short"))?;
        let address = Address::from_bytes(address);
        let chunk = open_chunk(key, address, &bytes)?;
        self.read += chunk.len() as u64;
        let entries = u32::try_from(chunk.len()).expect("bounded by its content");
        Ok(Some((chunk, Sealed { address, bytes, entries })))
    }
}
