//! MJPEG in AVI, as dash cameras and `ffmpeg -c:v mjpeg` write it.
//!
//! The file is read chunk by chunk from its beginning, without indexes and without the sizes of the
//! lists around the frames. So a recording that was cut off by a power failure, with no index and
//! with sizes that are still zero, plays up to its last whole frame, and OpenDML files larger than
//! 1 GB need nothing special. Where there is no chunk where one should be, the next frame is
//! searched for, so that only what is damaged is lost. Whatever is not played is reported: damage
//! where it occurs, an unfinished end at the end.

use std::io::{Read, Seek};

use tracing::warn;

use super::{Flaw, LARGEST_FRAME, Pictures};
use crate::onboard::frame::Pixels;

mod chunks;

use chunks::{Chunk, Chunks, Header};

/// Why a file cannot be played here.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The AVI header is incomplete, or there is no video.
    Damaged(String),
    /// The video has another format than JPEG; this is its four-letter code.
    OtherCodec(String),
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Four-letter codes that mean "each frame is a JPEG".
const JPEG_CODES: [&[u8; 4]; 5] = [b"MJPG", b"JPEG", b"AVRN", b"LJPG", b"DMB1"];

/// An AVI file, read as far as the next frame.
pub(super) struct Avi<R> {
    chunks: Chunks<R>,
    /// The number of the stream; `None` if there is only one, whatever number its chunks have.
    stream: Option<u8>,
    rate: Option<f64>,
    next: u64,
    /// Whether the writer finished the file: it filled in the length of the frames, or wrote an
    /// index.
    closed: bool,
    /// Whether the index, which follows the frames, was reached.
    indexed: bool,
    over: bool,
}

impl<R: Read + Seek> Avi<R> {
    /// Reads the headers, up to the first frame.
    pub(super) fn open(from: R) -> Result<Self, Refusal> {
        let mut chunks = Chunks::from(from, 12)?;
        let mut streams = 0_u8;
        let mut per_frame_us = 0;
        let mut video: Option<(u8, u32, u32)> = None;
        let mut further_videos = 0;
        let mut jpeg = false;
        let mut code = *b"????";
        loop {
            let chunk = match chunks.header()? {
                Header::Chunk(chunk) => chunk,
                Header::End { .. } => return Err(cut_header()),
                Header::Noise => {
                    let why = "the AVI file's header is damaged: no chunk begins where one should";
                    return Err(Refusal::Damaged(why.into()));
                }
            };
            match &chunk.id {
                b"LIST" => match &chunks.kind()?.ok_or_else(cut_header)? {
                    b"movi" => {
                        let Some((stream, scale, rate)) = video else {
                            return Err(Refusal::Damaged("an AVI file without video".into()));
                        };
                        if !jpeg {
                            return Err(Refusal::OtherCodec(printable(code)));
                        }
                        if further_videos > 0 {
                            warn!(further_videos, "only the first video of the file is played");
                        }
                        let rate = match (scale, rate, per_frame_us) {
                            (1.., 1.., _) => Some(f64::from(rate) / f64::from(scale)),
                            (_, _, 1..) => Some(1e6 / f64::from(per_frame_us)),
                            _ => None,
                        };
                        let stream = (further_videos > 0).then_some(stream);
                        let closed = is_closed(&chunk, chunks.length());
                        return Ok(Self {
                            chunks,
                            stream,
                            rate,
                            next: 0,
                            closed,
                            indexed: false,
                            over: false,
                        });
                    }
                    b"hdrl" | b"strl" => {}
                    _ => chunks.skip(&chunk),
                },
                b"avih" => per_frame_us = u32_at(&body(&mut chunks, &chunk)?, 0),
                b"strh" => {
                    let body = body(&mut chunks, &chunk)?;
                    let (this, kind) = (streams, body.get(..4));
                    streams = streams.saturating_add(1);
                    if kind == Some(b"vids") && video.is_some() {
                        further_videos += 1;
                    } else if kind == Some(b"vids") {
                        video = Some((this, u32_at(&body, 20), u32_at(&body, 24)));
                        code = body.get(4..8).and_then(|c| c.try_into().ok()).unwrap_or(code);
                        jpeg = is_jpeg(code);
                    }
                }
                b"strf" => {
                    let body = body(&mut chunks, &chunk)?;
                    // This is the header of the stream that was just named; the format's own code
                    // decides.
                    if video.is_some_and(|(n, ..)| n + 1 == streams)
                        && let Some(compression) = body.get(16..20).and_then(|c| c.try_into().ok())
                    {
                        code = compression;
                        jpeg = is_jpeg(code);
                    }
                }
                _ => chunks.skip(&chunk),
            }
        }
    }

    /// The next picture, the end, or a fault before either.
    fn step(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        loop {
            let chunk = match self.chunks.header()? {
                Header::Chunk(chunk) => chunk,
                Header::End { stray } => return self.end(stray),
                Header::Noise if self.indexed => return self.behind_the_index(),
                Header::Noise => return Err(self.lost("no chunk begins where one should")?),
            };
            match &chunk.id {
                // Enters the list: frames lie flat, grouped in `rec `, or in a further `movi`.
                b"LIST" | b"RIFF" => {
                    let Some(kind) = self.chunks.kind()? else { return self.end(8) };
                    if chunk.id == *b"RIFF" || kind == *b"movi" {
                        self.closed = is_closed(&chunk, self.chunks.length());
                        self.indexed = false;
                    }
                }
                id if is_picture(id, self.stream) => {
                    let number = self.next;
                    self.next += 1;
                    // An empty chunk means that a frame was dropped and the previous one stays.
                    if chunk.size > 0 {
                        return self
                            .frame(&chunk)
                            .map(|bytes| Some((number, Pixels::Mjpeg(bytes))));
                    }
                }
                id => {
                    (self.closed, self.indexed) =
                        (self.closed || id == b"idx1", self.indexed || id == b"idx1");
                    if chunk.end() > self.chunks.length() {
                        let (id, size) = (printable(chunk.id), chunk.size);
                        let why = format!("chunk {id} says it has {size} bytes, more than follow");
                        return Err(self.lost(&why)?);
                    }
                    self.chunks.skip(&chunk);
                }
            }
        }
    }

    fn frame(&mut self, chunk: &Chunk) -> Result<Vec<u8>, Flaw> {
        let (number, size) = (self.next, chunk.size);
        if size as usize > LARGEST_FRAME {
            return Err(self.lost(&format!("frame {number} says it has {size} bytes"))?);
        }
        let left = self.chunks.length().saturating_sub(chunk.body);
        if u64::from(size) > left {
            let cut = format!(
                "the recording ends in the middle of frame {number}: {size} bytes wanted, {left} left"
            );
            // It may also be that the size is damaged, and more frames follow.
            return Err(match self.find_frame()? {
                Some(_) => {
                    Flaw::new(format!("frame {number} says it has {size} bytes, {left} follow"))
                }
                None => {
                    self.over = true;
                    Flaw::new(cut)
                }
            });
        }
        Ok(self.chunks.take(chunk)?)
    }

    fn find_frame(&mut self) -> std::io::Result<Option<u64>> {
        let stream = self.stream;
        self.chunks.find_frame(|id| is_picture(id, stream))
    }

    /// Bytes after the index that are not a chunk: some cameras write their own data there, and a
    /// preallocated file holds the remains of an older one.
    fn behind_the_index(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        self.over = true;
        match self.find_frame()? {
            None => Ok(None),
            Some(_) => Err(Flaw::new(
                "behind the recording's index stand further pictures, of another recording: not played",
            )),
        }
    }

    /// Searches for the next frame after damage; returns the fault to report.
    fn lost(&mut self, why: &str) -> Result<Flaw, Flaw> {
        let after = self.next;
        let found = self.find_frame()?;
        self.over = found.is_none();
        let rest = match found {
            Some(skipped) => format!("goes on {skipped} bytes later"),
            None => "no further frame is found".to_owned(),
        };
        Ok(Flaw::new(format!("damaged after frame {after}: {why}; {rest}")))
    }

    /// The end of the file, after `stray` bytes that are not a chunk.
    fn end(&mut self, stray: u64) -> Result<Option<(u64, Pixels)>, Flaw> {
        self.over = true;
        let next = self.next;
        if stray > 0 {
            return Err(Flaw::new(format!(
                "the recording ends in the middle of a chunk after frame {next}"
            )));
        }
        if !self.closed {
            return Err(Flaw::new(format!(
                "the recording was not finished by its writer: it ends after frame {next}"
            )));
        }
        Ok(None)
    }
}

impl<R: Read + Seek + Send> Pictures for Avi<R> {
    fn next(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        if self.over {
            return Ok(None);
        }
        self.step()
    }

    fn rate(&self) -> Option<f64> {
        self.rate
    }
}

/// Whether a chunk holds a picture of the stream that is played, or of any stream if there is only
/// one.
fn is_picture(id: &[u8; 4], stream: Option<u8>) -> bool {
    let [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'd' | b'D', b'c' | b'b' | b'C' | b'B'] = id
    else {
        return false;
    };
    stream.is_none_or(|stream| (tens - b'0') * 10 + (ones - b'0') == stream)
}

/// Whether a list's size was filled in and its contents are there: a writer that was cut off leaves
/// zero, and a file that was cut is shorter than the size.
fn is_closed(list: &Chunk, length: u64) -> bool {
    list.size > 4 && list.end() <= length
}

fn cut_header() -> Refusal {
    Refusal::Damaged("the AVI file ends before its first frame".into())
}

/// The body of a header chunk: its first 64 bytes, which is all that is used.
fn body<R: Read + Seek>(chunks: &mut Chunks<R>, chunk: &Chunk) -> Result<Vec<u8>, Refusal> {
    let body = chunks.beginning(chunk, 64)?;
    if body.len() < chunk.size.min(64) as usize {
        return Err(cut_header());
    }
    Ok(body)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn is_jpeg(code: [u8; 4]) -> bool {
    JPEG_CODES.iter().any(|known| known.eq_ignore_ascii_case(&code))
}

fn printable(code: [u8; 4]) -> String {
    code.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' }).collect()
}

#[cfg(test)]
pub(super) mod tests;
