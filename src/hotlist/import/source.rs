//! A source file as lines of text: unpacked, decoded, one line at a time.
//!
//! In: a plain, gzip or zip file in any encoding. Out: lines with their numbers, and how much of the
//! file has been read. Costs: one buffer of 64 KiB and the longest line. Leaves to others: what a line
//! means.
//!
//! A line is never longer than [`LONGEST_LINE`]: what is longer is told and passed over, so that a file
//! that is something else, or a bomb, costs time and no memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{CoderResult, Decoder, Encoding};
use zeroize::Zeroizing;

/// No real row is this long.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system says so.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An archive that is none.
    #[error("{path} is no readable zip: {why}")]
    Zip {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Several files in it, and none was named.
    #[error("{path} holds {}; say which with --member", members.join(", "))]
    Members {
        /// The archive.
        path: PathBuf,
        /// What is in it.
        members: Vec<String>,
    },
    /// It is encrypted.
    #[error("{path} is encrypted; give --password-file, or run this in a terminal to be asked")]
    PasswordNeeded {
        /// The archive.
        path: PathBuf,
    },
    /// Not its password.
    #[error("{path}: wrong password")]
    WrongPassword {
        /// The archive.
        path: PathBuf,
    },
}

/// Asks for the password of an encrypted archive; `None` where nobody can be asked.
pub type AskPassword<'a> = &'a mut dyn FnMut() -> Option<Zeroizing<String>>;

/// How to open a source.
pub struct Opening<'a> {
    /// Of a zip with several files, which.
    pub member: Option<&'a str>,
    /// Called if the zip is encrypted.
    pub password: AskPassword<'a>,
}

/// Counts what is read of a file, for the progress bar.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes read so far, of the file as it lies on the disk.
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

/// Opens a source, unpacks it if it is packed, and hands its bytes to `then`.
pub fn open<T>(
    path: &Path,
    opening: Opening<'_>,
    progress: &Progress,
    then: impl FnOnce(&mut dyn BufRead) -> T,
) -> Result<T, SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let counted = Counted { inner: file, progress: progress.clone() };
    let mut reader = BufReader::with_capacity(64 * 1024, counted);
    let start = reader.fill_buf().map_err(unreadable)?;
    match start {
        [0x1f, 0x8b, ..] => {
            let unpacked = flate2::bufread::MultiGzDecoder::new(reader);
            Ok(then(&mut BufReader::with_capacity(64 * 1024, unpacked)))
        }
        [b'P', b'K', 3 | 5, 4 | 6, ..] => from_zip(path, reader, opening, then),
        _ => Ok(then(&mut reader)),
    }
}

fn from_zip<T>(
    path: &Path,
    reader: BufReader<Counted<File>>,
    opening: Opening<'_>,
    then: impl FnOnce(&mut dyn BufRead) -> T,
) -> Result<T, SourceError> {
    let broken =
        |e: &dyn std::fmt::Display| SourceError::Zip { path: path.to_owned(), why: e.to_string() };
    let mut zip = zip::ZipArchive::new(reader).map_err(|e| broken(&e))?;
    let members: Vec<String> = zip
        .file_names()
        .filter_map(Result::ok)
        .filter(|name| !name.ends_with('/'))
        .map(String::from)
        .collect();
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
    Ok(then(&mut BufReader::with_capacity(64 * 1024, member)))
}

/// Decodes bytes to UTF-8 as they come. A byte-order mark goes before the encoding that was said.
pub struct Decoded<'r> {
    inner: &'r mut dyn BufRead,
    decoder: Decoder,
    out: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'r> Decoded<'r> {
    /// Decodes what `inner` holds.
    pub fn new(inner: &'r mut dyn BufRead, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder();
        Self { inner, decoder, out: Vec::with_capacity(64 * 1024), at: 0, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.at = 0;
        self.out.clear();
        while self.out.is_empty() && !self.ended {
            let input = self.inner.fill_buf()?;
            let last = input.is_empty();
            self.out.resize(64 * 1024, 0);
            let (result, read, written, _) =
                self.decoder.decode_to_utf8(input, &mut self.out, last);
            self.out.truncate(written);
            self.inner.consume(read);
            self.ended = last && result == CoderResult::InputEmpty;
        }
        Ok(())
    }
}

impl Read for Decoded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let from = self.fill_buf()?;
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Decoded<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.out.len() && !self.ended {
            self.refill()?;
        }
        Ok(&self.out[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

/// A line, or what stands in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Its text is in the buffer.
    Text,
    /// It was too long and has been passed over.
    TooLong,
    /// There are no more.
    End,
}

/// Lines of decoded text, numbered from 1.
pub struct Lines<'r> {
    input: Decoded<'r>,
    number: u64,
    raw: Vec<u8>,
}

impl<'r> Lines<'r> {
    /// Reads lines from decoded text.
    pub fn new(input: Decoded<'r>) -> Self {
        Self { input, number: 0, raw: Vec::new() }
    }

    /// Number of the line that was read last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The text of the line that was read last, without its end.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.raw).expect("decoded to UTF-8")
    }

    /// Reads the next line.
    pub fn advance(&mut self) -> io::Result<Line> {
        self.raw.clear();
        self.append()
    }

    /// Reads one line more into the same buffer, after a line feed: a cell in quotes may go on.
    pub fn join(&mut self) -> io::Result<Line> {
        self.raw.push(b'\n');
        self.append()
    }

    fn append(&mut self) -> io::Result<Line> {
        let (mut any, mut fits) = (false, true);
        loop {
            let part = self.input.fill_buf()?;
            if part.is_empty() {
                break;
            }
            any = true;
            let end = part.iter().position(|b| *b == b'\n');
            let taken = &part[..end.unwrap_or(part.len())];
            fits &= self.raw.len() + taken.len() <= LONGEST_LINE;
            if fits {
                self.raw.extend_from_slice(taken);
            }
            let used = end.map_or(part.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(Line::End);
        }
        self.number += 1;
        if !fits {
            self.raw.clear();
            return Ok(Line::TooLong);
        }
        if self.raw.last() == Some(&b'\r') {
            self.raw.pop();
        }
        Ok(Line::Text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn lines(bytes: &[u8], encoding: &str) -> Vec<String> {
        let mut reader = bytes;
        let encoding = Encoding::for_label(encoding.as_bytes()).unwrap();
        let mut lines = Lines::new(Decoded::new(&mut reader, encoding));
        let mut out = Vec::new();
        loop {
            match lines.advance().unwrap() {
                Line::Text => out.push(lines.text().to_owned()),
                Line::TooLong => out.push("(too long)".into()),
                Line::End => return out,
            }
        }
    }

    #[test]
    fn line_ends_and_encodings() {
        assert_eq!(lines(b"a\r\nb\n\nc", "utf-8"), ["a", "b", "", "c"]);
        assert_eq!(lines(b"QU\xc9BEC\n", "windows-1252"), ["QUÉBEC"]);
        assert_eq!(lines(b"\xef\xbb\xbfplate\n", "windows-1252"), ["plate"], "a mark goes first");
        let utf_16: Vec<u8> = "\u{feff}AB\n12".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(lines(&utf_16, "utf-8"), ["AB", "12"]);
    }

    #[test]
    fn endless_line_costs_no_memory_and_the_next_is_read() {
        let mut bytes = vec![b'x'; 300_000];
        bytes.extend_from_slice(b"\nABC123\n");
        assert_eq!(lines(&bytes, "utf-8"), ["(too long)", "ABC123"]);
    }

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
}
