//! Reads the chunks of a RIFF file, including those of careless writers.
//!
//! In: a file. Out: one chunk header after the other, or what is there instead. A chunk of odd
//! length should be followed by a padding byte; some writers leave it out, so the following bytes
//! decide whether it is there.

use std::io::{self, Read, Seek, SeekFrom};

use super::super::{LARGEST_FRAME, fill};

/// Bytes that are searched at once for a frame.
const BLOCK: usize = 256 << 10;

/// Bytes by which a frame is recognised: its chunk's header and the start of a JPEG.
const FOUND_BY: usize = 10;

/// A chunk: its name, the length of its body, and where that begins in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) id: [u8; 4],
    pub(super) size: u32,
    pub(super) body: u64,
}

impl Chunk {
    /// Where the next chunk begins, apart from a padding byte.
    pub(super) fn end(&self) -> u64 {
        self.body + u64::from(self.size)
    }
}

/// What is found where a chunk should begin.
#[derive(Debug)]
pub(super) enum Header {
    /// A chunk.
    Chunk(Chunk),
    /// Something that is not a chunk.
    Noise,
    /// The end of the file, after `stray` bytes that are not a whole header; zeros do not count.
    End { stray: u64 },
}

/// A file of chunks, read from its beginning.
pub(super) struct Chunks<R> {
    from: R,
    length: u64,
    /// The present position of `from`.
    position: u64,
    /// Where the next chunk begins.
    at: u64,
    /// Whether a padding byte may come before it.
    odd: bool,
    /// Where the body of the chunk before begins.
    last_body: u64,
}

impl<R: Read + Seek> Chunks<R> {
    /// Starts reading chunks at this position.
    pub(super) fn from(mut from: R, at: u64) -> io::Result<Self> {
        let length = from.seek(SeekFrom::End(0))?;
        from.seek(SeekFrom::Start(at))?;
        Ok(Self { from, length, position: at, at, odd: false, last_body: at })
    }

    /// Length of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The next header.
    pub(super) fn header(&mut self) -> io::Result<Header> {
        let mut bytes = [0; 9];
        let n = self.read(self.at, &mut bytes)?;
        let skipped = usize::from(self.odd && n > 0 && is_padded(&bytes));
        let there = &bytes[skipped..n];
        let Some(header) = there.first_chunk::<8>() else {
            let stray = there.iter().any(|b| *b != 0);
            return Ok(Header::End { stray: if stray { there.len() as u64 } else { 0 } });
        };
        let [a, b, c, d, size @ ..] = *header;
        let id = [a, b, c, d];
        if is_name(&id) {
            let body = self.at + skipped as u64 + 8;
            (self.at, self.odd, self.last_body) = (body, false, body);
            return Ok(Header::Chunk(Chunk { id, size: u32::from_le_bytes(size), body }));
        }
        // Zeros between chunks are padding to the disk's block size; after the last chunk they are
        // preallocated space that was never written.
        if id[0] == 0 {
            let start = self.at + skipped as u64;
            let Some(zeros) = self.zeros_from(start)? else { return Ok(Header::End { stray: 0 }) };
            let mut id = [0; 4];
            if self.read(start + zeros, &mut id)? == 4 && is_known(&id) {
                (self.at, self.odd) = (start + zeros, false);
                return self.header();
            }
        }
        Ok(Header::Noise)
    }

    /// The kind of a list, whose parts follow as chunks. `None` at the end of the file.
    pub(super) fn kind(&mut self) -> io::Result<Option<[u8; 4]>> {
        let mut kind = [0; 4];
        let n = self.read(self.at, &mut kind)?;
        self.at += n as u64;
        Ok((n == 4).then_some(kind))
    }

    /// Skips a chunk.
    pub(super) fn skip(&mut self, chunk: &Chunk) {
        (self.at, self.odd) = (chunk.end(), chunk.size % 2 == 1);
    }

    /// Reads the body of a chunk that lies within the file.
    pub(super) fn take(&mut self, chunk: &Chunk) -> io::Result<Vec<u8>> {
        self.beginning(chunk, u32::MAX)
    }

    /// The first bytes of a chunk's body, at most `most`; fewer at the end of the file.
    pub(super) fn beginning(&mut self, chunk: &Chunk, most: u32) -> io::Result<Vec<u8>> {
        let left = self.length.saturating_sub(chunk.body);
        let wanted = u64::from(chunk.size.min(most)).min(left);
        let mut bytes = vec![0; usize::try_from(wanted).map_err(|_| io::ErrorKind::OutOfMemory)?];
        let n = self.read(chunk.body, &mut bytes)?;
        bytes.truncate(n);
        self.skip(chunk);
        Ok(bytes)
    }

    /// Searches for the next chunk that is accepted by `is_ours` and begins as a JPEG, inside and
    /// after the chunk whose header was read last, because its size may be damaged. Moves there;
    /// returns how many bytes after the present position that is (0 if it lies before).
    pub(super) fn find_frame(
        &mut self,
        is_ours: impl Fn(&[u8; 4]) -> bool,
    ) -> io::Result<Option<u64>> {
        let mut block = vec![0; BLOCK];
        let mut from = self.last_body;
        loop {
            let n = self.read(from, &mut block)?;
            let found = block[..n].windows(FOUND_BY).position(|w| {
                let size = u32::from_le_bytes([w[4], w[5], w[6], w[7]]);
                w[8..] == [0xff, 0xd8]
                    && (2..=LARGEST_FRAME as u64).contains(&u64::from(size))
                    && w.first_chunk().is_some_and(&is_ours)
            });
            if let Some(found) = found {
                let at = from + found as u64;
                let skipped = at.saturating_sub(self.at);
                (self.at, self.odd) = (at, false);
                return Ok(Some(skipped));
            }
            if n < BLOCK {
                return Ok(None);
            }
            from += (BLOCK - FOUND_BY + 1) as u64;
        }
    }

    /// Number of zeros at a position; `None` if there is nothing else up to the end.
    fn zeros_from(&mut self, start: u64) -> io::Result<Option<u64>> {
        let mut block = vec![0; BLOCK];
        let mut at = start;
        loop {
            let n = self.read(at, &mut block)?;
            if let Some(found) = block[..n].iter().position(|b| *b != 0) {
                return Ok(Some(at + found as u64 - start));
            }
            if n < BLOCK {
                return Ok(None);
            }
            at += n as u64;
        }
    }

    /// Reads at a position, as much as there is.
    fn read(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        // After the end there is nothing, at any distance.
        let at = at.min(self.length);
        // The seek is relative, so that a buffered reader keeps its buffer.
        let step = i64::try_from(at).and_then(|to| Ok(to - i64::try_from(self.position)?));
        self.from.seek_relative(step.map_err(|_| io::ErrorKind::InvalidInput)?)?;
        self.position = at;
        let n = fill(&mut self.from, into)?;
        self.position += n as u64;
        Ok(n)
    }
}

/// Whether the first of these bytes, which follow a chunk of odd length, is padding.
fn is_padded(bytes: &[u8; 9]) -> bool {
    let (first, second) = (&bytes[..4], &bytes[1..5]);
    match (is_known(second), is_known(first)) {
        (true, _) => true,
        (false, true) => false,
        // Neither is a known name: it counts which of them can be a name at all, and then the
        // standard.
        (false, false) => is_name(second) || !is_name(first),
    }
}

/// Whether four bytes can be the name of a chunk.
fn is_name(id: &[u8]) -> bool {
    id.iter().all(|b| (0x20..0x7f).contains(b))
}

/// Whether four bytes are the name of a chunk in AVI.
fn is_known(id: &[u8]) -> bool {
    match id {
        b"RIFF" | b"LIST" | b"JUNK" | b"junk" | b"idx1" | b"indx" | b"avih" | b"strh" | b"strf"
        | b"strd" | b"strn" | b"vprp" | b"dmlh" | b"segm" | b"PAD " => true,
        [b'i', b'x', a, b] => a.is_ascii_digit() && b.is_ascii_digit(),
        [a, b, c, d] => {
            a.is_ascii_digit()
                && b.is_ascii_digit()
                && c.is_ascii_alphabetic()
                && d.is_ascii_alphabetic()
        }
        _ => false,
    }
}
