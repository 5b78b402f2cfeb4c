//! Opens and unpacks a source's file, and refuses files that are not lists.
//!
//! In: a plain, gzip or zip file, or its bytes. Out: its contents, and how much of the file has
//! been read. Costs: one buffer of 64 KiB. Leaves to others: the encoding of its characters
//! (`lines.rs`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive is damaged.
    #[error("{path} is no readable zip: {why}")]
    Zip {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The archive holds several files, and none was named.
    #[error("{path} holds {}; say which with --member", members.join(", "))]
    Members {
        /// The archive.
        path: PathBuf,
        /// The files in it.
        members: Vec<String>,
    },
    /// The archive is encrypted, and no password was given.
    #[error("{path} is encrypted; give --password-file, or run this in a terminal to be asked")]
    PasswordNeeded {
        /// The archive.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("{path} is {what}, and no list: {advice}")]
    NoText {
        /// The file.
        path: PathBuf,
        /// The kind of file.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The password is wrong.
    #[error("{path}: wrong password")]
    WrongPassword {
        /// The archive.
        path: PathBuf,
    },
}

/// Asks for the password of an encrypted archive; `None` if nobody can be asked.
pub type AskPassword<'a> = &'a mut dyn FnMut() -> Option<Zeroizing<String>>;

/// Options for opening a source.
pub struct Opening<'a> {
    /// The file to read in a zip with several.
    pub member: Option<&'a str>,
    /// Called if the zip is encrypted.
    pub password: AskPassword<'a>,
}

/// Counts the bytes read of a file, for the progress bar.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes read so far, of the file as it is on the disk.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.progress.0.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl<R: io::Seek> io::Seek for Counted<R> {
    fn seek(&mut self, pos: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(pos)
    }
}

/// First bytes of files that are not text, what those files are, and what to do.
const NO_TEXT: [(&[u8], &str, &str); 8] = [
    (b"%PDF", "a PDF document", "ask its source for the list as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save it as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz file", "unpack it first"),
    (b"BZh", "a bzip2 file", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it first"),
    (b"\x89PNG", "a picture", "ask its source for the list as CSV"),
];

/// Opens a source, unpacks it if needed, and calls `then` with its contents.
pub fn open<T>(
    path: &Path,
    opening: Opening<'_>,
    progress: &Progress,
    then: impl FnOnce(&mut dyn BufRead) -> T,
) -> Result<T, SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let counted = Counted { inner: file, progress: progress.clone() };
    unpack(path, BufReader::with_capacity(64 * 1024, counted), opening, then)
}

/// As [`open`], for a file whose bytes are in memory; nobody can be asked for a password.
pub fn open_bytes<T>(
    path: &Path,
    bytes: &[u8],
    then: impl FnOnce(&mut dyn BufRead) -> T,
) -> Result<T, SourceError> {
    let opening = Opening { member: None, password: &mut || None };
    unpack(path, BufReader::with_capacity(64 * 1024, io::Cursor::new(bytes)), opening, then)
}

fn unpack<R: Read + Seek, T>(
    path: &Path,
    mut reader: BufReader<R>,
    opening: Opening<'_>,
    then: impl FnOnce(&mut dyn BufRead) -> T,
) -> Result<T, SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
    let start = reader.fill_buf().map_err(unreadable)?;
    match start {
        [0x1f, 0x8b, ..] => {
            let unpacked = flate2::bufread::MultiGzDecoder::new(reader);
            text(path, &mut BufReader::with_capacity(64 * 1024, unpacked), then)
        }
        [b'P', b'K', 3 | 5, 4 | 6, ..] => from_zip(path, reader, opening, then),
        _ => text(path, &mut reader, then),
    }
}

/// Passes on unpacked contents, unless the first bytes show that they are not text.
fn text<T>(
    path: &Path,
    reader: &mut dyn BufRead,
    then: impl FnOnce(&mut dyn BufRead) -> T,
) -> Result<T, SourceError> {
    let no_text = |what, advice| SourceError::NoText { path: path.to_owned(), what, advice };
    // A read error here recurs for the reader of lines, which reports the line.
    match reader.fill_buf() {
        Ok([0x1f, 0x8b, ..] | [b'P', b'K', 3 | 5, 4 | 6, ..]) => {
            return Err(no_text("an archive in an archive", "unpack it once first"));
        }
        Ok(start) => {
            if let Some((_, what, advice)) =
                NO_TEXT.iter().find(|(magic, ..)| start.starts_with(magic))
            {
                return Err(no_text(what, advice));
            }
        }
        Err(_) => {}
    }
    Ok(then(reader))
}

/// Whether a file in a zip was added by an operating system.
fn is_litter(name: &str) -> bool {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.ends_with('/')
        || name.split(['/', '\\']).any(|part| part == "__MACOSX")
        || file.starts_with("._")
        || ["ds_store", "thumbs.db", "desktop.ini"]
            .contains(&file.trim_start_matches('.').to_ascii_lowercase().as_str())
}

fn from_zip<R: Read + Seek, T>(
    path: &Path,
    reader: BufReader<R>,
    opening: Opening<'_>,
    then: impl FnOnce(&mut dyn BufRead) -> T,
) -> Result<T, SourceError> {
    let broken =
        |e: &dyn std::fmt::Display| SourceError::Zip { path: path.to_owned(), why: e.to_string() };
    let mut zip = zip::ZipArchive::new(reader).map_err(|e| broken(&e))?;
    let members: Vec<String> = zip
        .file_names()
        .filter_map(Result::ok)
        .filter(|name| !is_litter(name))
        .map(String::from)
        .collect();
    if members.iter().any(|name| name == "[Content_Types].xml") {
        let (path, what, advice) = (path.to_owned(), "an Excel workbook", "save it as CSV");
        return Err(SourceError::NoText { path, what, advice });
    }
    let name = match (opening.member, &members[..]) {
        (Some(name), _) if members.iter().any(|m| m == name) => name.to_owned(),
        (None, [only]) => only.clone(),
        _ => return Err(SourceError::Members { path: path.to_owned(), members }),
    };
    let at = zip.index_for_name(&name).expect("it is one of the names");
    let encrypted = zip.by_index_raw(at).map_err(|e| broken(&e))?.encrypted();
    let member = if encrypted {
        let password = (opening.password)()
            .ok_or_else(|| SourceError::PasswordNeeded { path: path.to_owned() })?;
        match zip.by_index_decrypt(at, password.as_bytes()) {
            Ok(member) => member,
            Err(zip::result::ZipError::InvalidPassword) => {
                return Err(SourceError::WrongPassword { path: path.to_owned() });
            }
            Err(e) => return Err(broken(&e)),
        }
    } else {
        zip.by_index(at).map_err(|e| broken(&e))?
    };
    text(path, &mut BufReader::with_capacity(64 * 1024, member), then)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(
        path: &Path,
        member: Option<&str>,
        password: Option<&str>,
    ) -> Result<String, SourceError> {
        let mut ask = || password.map(|p| Zeroizing::new(p.to_owned()));
        let opening = Opening { member, password: &mut ask };
        open(path, opening, &Progress::default(), |reader| {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        })
        .map(|text| text.unwrap_or_else(|e| format!("broken: {e}")))
    }

    fn zipped(dir: &Path, files: &[(&str, &str)], password: Option<&str>) -> PathBuf {
        let path = dir.join("list.zip");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, text) in files {
            let options = zip::write::SimpleFileOptions::default();
            match password {
                Some(p) => {
                    let options = options.with_aes_encryption(zip::AesMode::Aes256, p);
                    zip.start_file(*name, options).unwrap();
                }
                None => zip.start_file(*name, options).unwrap(),
            }
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn gzip_and_zip_are_told_by_their_first_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.txt");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"ABC123\n").unwrap();
        std::fs::write(&path, gz.finish().unwrap()).unwrap();
        assert_eq!(read(&path, None, None).unwrap(), "ABC123\n");
        let path = zipped(dir.path(), &[("list.txt", "ABC123\n")], None);
        assert_eq!(read(&path, None, None).unwrap(), "ABC123\n");
    }

    #[test]
    fn zip_with_several_files_wants_to_know_which() {
        let dir = tempfile::tempdir().unwrap();
        let path = zipped(dir.path(), &[("svs.tbl", "A1\n"), ("slr.tbl", "B2\n")], None);
        let message = read(&path, None, None).unwrap_err().to_string();
        assert!(message.contains("holds svs.tbl, slr.tbl; say which with --member"), "{message}");
        assert_eq!(read(&path, Some("slr.tbl"), None).unwrap(), "B2\n");
    }

    #[test]
    fn encrypted_zip_opens_with_its_password_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = zipped(dir.path(), &[("list.txt", "ABC123\n")], Some("tr0ub4dor"));
        assert_eq!(read(&path, None, Some("tr0ub4dor")).unwrap(), "ABC123\n");
        assert!(matches!(read(&path, None, None), Err(SourceError::PasswordNeeded { .. })));
        assert!(matches!(read(&path, None, Some("wrong")), Err(SourceError::WrongPassword { .. })));
    }

    #[test]
    fn what_a_mac_or_windows_puts_beside_the_list_is_no_member() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("lists/stolen.csv", "ABC123\n"),
            ("__MACOSX/lists/._stolen.csv", "\0\u{5}\u{16}\u{7}"),
            ("lists/.DS_Store", "Bud1"),
            ("._stolen.csv", "x"),
            ("Thumbs.db", "x"),
            ("lists/desktop.ini", "x"),
        ];
        let path = zipped(dir.path(), &files, None);
        assert_eq!(read(&path, None, None).unwrap(), "ABC123\n");
    }

    #[test]
    fn what_is_no_text_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.csv");
        for (bytes, what) in [
            (&b"%PDF-1.7"[..], "a PDF document"),
            (b"\xd0\xcf\x11\xe0\xa1", "an old Excel workbook"),
            (b"\xfd7zXZ\0", "an xz file"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let message = read(&path, None, None).unwrap_err().to_string();
            assert!(message.contains(what), "{message}");
        }
        let workbook =
            zipped(dir.path(), &[("[Content_Types].xml", ""), ("xl/workbook.xml", "")], None);
        let message = read(&workbook, None, None).unwrap_err().to_string();
        assert!(message.contains("is an Excel workbook, and no list: save it as CSV"), "{message}");
        let mut inner = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        inner.write_all(b"ABC123\n").unwrap();
        let mut outer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        outer.write_all(&inner.finish().unwrap()).unwrap();
        std::fs::write(&path, outer.finish().unwrap()).unwrap();
        let message = read(&path, None, None).unwrap_err().to_string();
        assert!(message.contains("an archive in an archive"), "{message}");
    }
}
