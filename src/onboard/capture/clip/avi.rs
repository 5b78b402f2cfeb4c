//! MJPEG in AVI: what dash cameras and `ffmpeg -c:v mjpeg` write.
//!
//! The file is walked chunk by chunk from its beginning; indexes and the sizes of the lists around
//! the frames are ignored. So a recording cut off by a power failure, whose index was never
//! written and whose sizes are still zero, plays up to its last whole frame, and OpenDML files
//! larger than 1 GB need nothing special.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Flaw, LARGEST_FRAME, Pictures, fill};
use crate::onboard::frame::Pixels;

/// Why a file is not played from here.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Not a whole AVI header, or no video in it.
    Damaged(String),
    /// Video in another form than JPEG: its four-letter code.
    OtherCodec(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Four-letter codes that mean "each frame is a JPEG".
const JPEG_CODES: [&[u8; 4]; 5] = [b"MJPG", b"JPEG", b"AVRN", b"LJPG", b"DMB1"];

/// Chunks between two frames, at most: a sound file has a handful, a damaged one may be an endless
/// row of empty chunks.
const MOST_CHUNKS: u32 = 1_000_000;

/// An AVI file, read as far as the next frame.
pub(super) struct Avi<R> {
    from: R,
    /// Which stream of the file.
    stream: u8,
    rate: Option<f64>,
    next: u64,
    over: bool,
}

/// A chunk's header.
struct Chunk {
    id: [u8; 4],
    size: u32,
}

impl<R: Read + Seek> Avi<R> {
    /// Reads the headers, up to the first frame.
    pub(super) fn open(mut from: R) -> Result<Self, Refusal> {
        from.seek(SeekFrom::Start(12))?;
        let mut streams = 0_u8;
        let mut per_frame_us = 0;
        let mut video: Option<(u8, u32, u32)> = None;
        let mut jpeg = false;
        let mut code = *b"????";
        for _ in 0..MOST_CHUNKS {
            let Some(chunk) = header(&mut from)? else { break };
            match &chunk.id {
                b"LIST" => {
                    let mut kind = [0; 4];
                    from.read_exact(&mut kind).map_err(|_| cut_header())?;
                    match &kind {
                        b"movi" => {
                            let Some((stream, scale, rate)) = video else {
                                return Err(Refusal::Damaged("an AVI file without video".into()));
                            };
                            if !jpeg {
                                return Err(Refusal::OtherCodec(printable(code)));
                            }
                            let rate = match (scale, rate, per_frame_us) {
                                (1.., 1.., _) => Some(f64::from(rate) / f64::from(scale)),
                                (_, _, 1..) => Some(1e6 / f64::from(per_frame_us)),
                                _ => None,
                            };
                            return Ok(Self { from, stream, rate, next: 0, over: false });
                        }
                        b"hdrl" | b"strl" => {}
                        _ => skip(&mut from, chunk.size.saturating_sub(4))?,
                    }
                }
                b"avih" => {
                    let body = body(&mut from, chunk.size)?;
                    per_frame_us = u32_at(&body, 0);
                }
                b"strh" => {
                    let body = body(&mut from, chunk.size)?;
                    let (this, kind) = (streams, body.get(..4));
                    streams = streams.saturating_add(1);
                    if kind == Some(b"vids") && video.is_none() {
                        video = Some((this, u32_at(&body, 20), u32_at(&body, 24)));
                        code = body.get(4..8).and_then(|c| c.try_into().ok()).unwrap_or(code);
                        jpeg = is_jpeg(code);
                    }
                }
                b"strf" => {
                    let body = body(&mut from, chunk.size)?;
                    // The header of the stream that was just named; the format's own code decides.
                    if video.is_some_and(|(n, ..)| n + 1 == streams)
                        && let Some(compression) = body.get(16..20).and_then(|c| c.try_into().ok())
                    {
                        code = compression;
                        jpeg = is_jpeg(code);
                    }
                }
                _ => skip(&mut from, chunk.size)?,
            }
        }
        Err(cut_header())
    }

    fn frame(&mut self, size: u32) -> Result<Vec<u8>, Flaw> {
        let number = self.next + 1;
        if size as usize > LARGEST_FRAME {
            self.over = true;
            return Err(Flaw(format!("frame {number} says it has {size} bytes: damaged here")));
        }
        // The buffer grows with what is there, not with what is claimed.
        let mut bytes = Vec::new();
        let read = (&mut self.from).take(u64::from(size)).read_to_end(&mut bytes)?;
        if read < size as usize {
            self.over = true;
            return Err(Flaw(format!(
                "the recording ends in the middle of frame {number}: {size} bytes wanted, {read} \
                 left"
            )));
        }
        self.from.seek_relative(i64::from(size % 2))?;
        Ok(bytes)
    }
}

impl<R: Read + Seek + Send> Pictures for Avi<R> {
    fn next(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        if self.over {
            return Ok(None);
        }
        for _ in 0..MOST_CHUNKS {
            let Some(chunk) = header(&mut self.from)? else { break };
            match &chunk.id {
                // Into the list: frames lie flat, grouped in `rec `, or in a further `movi`.
                b"LIST" | b"RIFF" => skip(&mut self.from, 4)?,
                [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'd', b'c' | b'b']
                    if (tens - b'0') * 10 + (ones - b'0') == self.stream =>
                {
                    let number = self.next;
                    // An empty chunk says that a frame was dropped and the one before stays.
                    if chunk.size > 0 {
                        let bytes = self.frame(chunk.size)?;
                        self.next += 1;
                        return Ok(Some((number, Pixels::Mjpeg(bytes))));
                    }
                    self.next += 1;
                }
                id if id.iter().all(|b| (0x20..0x7f).contains(b)) => {
                    skip(&mut self.from, chunk.size)?;
                }
                _ => {
                    self.over = true;
                    return Err(Flaw(format!(
                        "damaged after frame {}: no chunk begins where one should",
                        self.next
                    )));
                }
            }
        }
        self.over = true;
        Ok(None)
    }

    fn rate(&self) -> Option<f64> {
        self.rate
    }
}

fn cut_header() -> Refusal {
    Refusal::Damaged("the AVI file ends before its first frame".into())
}

/// The next chunk's header; `None` at the end of the file, where up to seven stray bytes may be.
fn header(from: &mut impl Read) -> io::Result<Option<Chunk>> {
    let mut bytes = [0; 8];
    if fill(from, &mut bytes)? < 8 {
        return Ok(None);
    }
    let [a, b, c, d, size @ ..] = bytes;
    Ok(Some(Chunk { id: [a, b, c, d], size: u32::from_le_bytes(size) }))
}

/// A header chunk's body: the first 64 bytes of it, which is all that is looked at.
fn body(from: &mut (impl Read + Seek), size: u32) -> Result<Vec<u8>, Refusal> {
    let mut body = vec![0; size.min(64) as usize];
    from.read_exact(&mut body).map_err(|_| cut_header())?;
    from.seek_relative(i64::from(size) - body.len() as i64 + i64::from(size % 2))?;
    Ok(body)
}

/// Skips a chunk's body and the byte that makes it even.
fn skip(from: &mut impl Seek, size: u32) -> io::Result<()> {
    from.seek_relative(i64::from(size) + i64::from(size % 2))
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
pub(super) mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = [id.as_slice(), &(body.len() as u32).to_le_bytes(), body].concat();
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }

    fn list(kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
        chunk(b"LIST", &[kind.as_slice(), &parts.concat()].concat())
    }

    fn stream_header(kind: &[u8; 4], code: &[u8; 4], scale: u32, rate: u32) -> Vec<u8> {
        let mut body = [kind.as_slice(), code].concat();
        body.resize(20, 0);
        body.extend([scale.to_le_bytes(), rate.to_le_bytes()].concat());
        body.resize(56, 0);
        chunk(b"strh", &body)
    }

    /// An AVI file as ffmpeg writes it: sound first, then video at `rate` / 1001.
    pub(in super::super) fn avi(code: &[u8; 4], rate: u32, frames: &[&[u8]]) -> Vec<u8> {
        let mut format = vec![0; 16];
        format.extend(code);
        format.resize(40, 0);
        let header = list(
            b"hdrl",
            &[
                chunk(b"avih", &[33_333_u32.to_le_bytes().as_slice(), &[0; 52]].concat()),
                list(
                    b"strl",
                    &[stream_header(b"auds", &[0; 4], 1, 8_000), chunk(b"strf", &[1; 18])],
                ),
                list(
                    b"strl",
                    &[stream_header(b"vids", code, 1_001, rate), chunk(b"strf", &format)],
                ),
            ],
        );
        let frames: Vec<_> =
            frames.iter().flat_map(|f| [chunk(b"00wb", b"sound"), chunk(b"01dc", f)]).collect();
        let body = [
            b"AVI ".to_vec(),
            header,
            chunk(b"JUNK", &[0; 33]),
            list(b"movi", &frames),
            chunk(b"idx1", &[0; 32]),
        ]
        .concat();
        chunk(b"RIFF", &body)
    }

    fn play(bytes: &[u8]) -> Vec<Result<(u64, Vec<u8>), String>> {
        let mut avi = Avi::open(Cursor::new(bytes)).unwrap();
        std::iter::from_fn(|| avi.next().transpose())
            .map(|next| match next {
                Ok((n, Pixels::Mjpeg(bytes))) => Ok((n, bytes)),
                Ok((_, other)) => panic!("{other:?}"),
                Err(Flaw(why)) => Err(why),
            })
            .collect()
    }

    #[test]
    fn frames_come_out_in_order_and_empty_ones_leave_a_gap() {
        let file = avi(b"MJPG", 30_000, &[b"one", b"", b"three", b"four"]);
        let (zero, two, three) = (b"one".to_vec(), b"three".to_vec(), b"four".to_vec());
        assert_eq!(play(&file), [Ok((0, zero)), Ok((2, two)), Ok((3, three))]);
        let rate = Avi::open(Cursor::new(file)).unwrap().rate().unwrap();
        assert!((rate - 29.97).abs() < 0.001, "{rate}");
    }

    #[test]
    fn recording_cut_by_a_power_failure_plays_to_its_last_whole_frame() {
        let mut file = avi(b"mjpg", 30_000, &[b"one", b"two---"]);
        // The index and the last four bytes are missing, the list's size was never filled in.
        file.truncate(file.len() - (8 + 32) - 4);
        let at = file.windows(4).position(|w| w == b"movi").unwrap() - 4;
        file[at..at + 4].copy_from_slice(&[0; 4]);
        assert_eq!(
            play(&file),
            [
                Ok((0, b"one".to_vec())),
                Err("the recording ends in the middle of frame 2: 6 bytes wanted, 2 left".into())
            ]
        );
    }

    #[test]
    fn second_part_of_a_large_recording_goes_on() {
        let mut file = avi(b"MJPG", 30_000, &[b"one"]);
        let more = [b"AVIX".to_vec(), list(b"movi", &[list(b"rec ", &[chunk(b"01dc", b"two")])])];
        file.extend(chunk(b"RIFF", &more.concat()));
        assert_eq!(play(&file), [Ok((0, b"one".to_vec())), Ok((1, b"two".to_vec()))]);
    }

    #[test]
    fn damage_between_frames_is_said_and_ends_the_recording() {
        let mut file = avi(b"MJPG", 30_000, &[b"one"]);
        file.truncate(file.len() - (8 + 32));
        file.extend([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(
            play(&file)[1],
            Err("damaged after frame 1: no chunk begins where one should".into())
        );
        let mut file = avi(b"MJPG", 30_000, &[b"one"]);
        file.truncate(file.len() - (8 + 32));
        file.extend([b"01dc".as_slice(), &[0xff; 8]].concat());
        assert_eq!(
            play(&file)[1],
            Err("frame 2 says it has 4294967295 bytes: damaged here".into())
        );
    }

    #[test]
    fn header_cut_short_and_other_codecs_are_told_apart() {
        let file = avi(b"MJPG", 30_000, &[]);
        let told = |bytes: &[u8]| match Avi::open(Cursor::new(bytes)).err() {
            Some(Refusal::Damaged(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(&file[..200]), "the AVI file ends before its first frame");
        let video = file.windows(4).position(|w| w == b"vids").unwrap();
        let mut silent = file.clone();
        silent[video..video + 4].copy_from_slice(b"txts");
        assert_eq!(told(&silent), "an AVI file without video");
        let file = avi(b"H264", 30_000, &[b"x"]);
        assert!(matches!(
            Avi::open(Cursor::new(file)),
            Err(Refusal::OtherCodec(code)) if code == "H264"
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Any damage to a sound file: no panic, no endless loop, no more frames than bytes.
        #[test]
        fn damaged_files_end(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            let mut file = avi(b"MJPG", 30_000, &frames);
            for (at, value) in damage {
                let at = at.index(file.len());
                file[at] = value;
            }
            file.truncate(cut.index(file.len()) + 1);
            if let Ok(mut avi) = Avi::open(Cursor::new(&file)) {
                let mut steps = 0;
                while !matches!(avi.next(), Ok(None)) {
                    steps += 1;
                    prop_assert!(steps <= file.len());
                }
            }
        }

        /// Bytes of no origin at all.
        #[test]
        fn noise_ends(noise in prop::collection::vec(any::<u8>(), 0..4_000)) {
            let file = [b"RIFF....AVI LIST....movi".as_slice(), &noise].concat();
            let mut avi =
                Avi { from: Cursor::new(&file[24..]), stream: 0, rate: None, next: 0, over: false };
            for _ in 0..=noise.len() {
                if matches!(avi.next(), Ok(None)) {
                    break;
                }
            }
            prop_assert!(avi.over);
            let _ = Avi::open(Cursor::new(&file));
        }
    }
}
