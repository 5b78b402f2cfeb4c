//! Y4M, uncompressed video with a line of text before each frame: from a file or from ffmpeg.
//!
//! 8-bit 4:2:0 becomes NV12, mono becomes grey. [`Pixels::Nv12`] is limited range and
//! [`Pixels::Grey`] full range, so samples are stretched where the file's `XCOLORRANGE` differs.
//! Odd sizes lose their last row or column, which has no chroma of its own.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Flaw, LARGEST_FRAME, Pictures};
use crate::onboard::frame::{Pixels, Raw};

/// Why a file cannot be played here.
#[derive(Debug)]
pub(in super::super) enum Refusal {
    /// The header is incomplete or impossible.
    Damaged(String),
    /// The pixel layout is not supported.
    OtherLayout(String),
}

/// Largest width and height of a frame; it also keeps sizes from overflowing in the decoder.
const LARGEST_SIDE: u64 = 16_384;

/// A Y4M stream.
pub(in super::super) struct Y4m<R: Read> {
    decoder: y4m::Decoder<Counted<R>>,
    read: Arc<AtomicU64>,
    layout: Layout,
    rate: Option<f64>,
    next: u64,
    over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Nv12 { full_range: bool },
    Grey { full_range: bool },
}

/// Counts the bytes read: the decoder cannot distinguish a frame that was cut from the end.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl<R: BufRead> Y4m<R> {
    pub(in super::super) fn open(mut from: R) -> Result<Self, Refusal> {
        let damaged = |why: String| Refusal::Damaged(format!("not a Y4M stream: {why}"));
        let start = from.fill_buf().map_err(|e| damaged(e.to_string()))?;
        let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let tag = |letter: char| line.split(' ').skip(1).find_map(|t| t.strip_prefix(letter));
        for side in ['W', 'H'] {
            let value = tag(side).unwrap_or("");
            if !value.parse().is_ok_and(|n: u64| (2..=LARGEST_SIDE).contains(&n)) {
                return Err(damaged(format!("{side} is {value:?}, must be 2 to {LARGEST_SIDE}")));
            }
        }
        let range = |name: &str| line.split(' ').any(|t| t.eq_ignore_ascii_case(name));
        let layout = match tag('C').unwrap_or("420") {
            "420" | "420jpeg" | "420mpeg2" | "420paldv" => {
                Layout::Nv12 { full_range: range("XCOLORRANGE=FULL") }
            }
            "mono" => Layout::Grey { full_range: !range("XCOLORRANGE=LIMITED") },
            other => return Err(Refusal::OtherLayout(other.to_owned())),
        };
        let read = Arc::new(AtomicU64::new(0));
        let limits = y4m::Limits { bytes: LARGEST_FRAME };
        let decoder = y4m::Decoder::new_with_limits(Counted(from, read.clone()), limits)
            .map_err(|e| damaged(e.to_string()))?;
        let y4m::Ratio { num, den } = decoder.get_framerate();
        let rate = (num > 0 && den > 0).then(|| num as f64 / den as f64);
        Ok(Self { decoder, read, layout, rate, next: 0, over: false })
    }
}

impl<R: Read + Send> Pictures for Y4m<R> {
    fn next(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        if self.over {
            return Ok(None);
        }
        let (width, height) = (self.decoder.get_width(), self.decoder.get_height());
        let before = self.read.load(Ordering::Relaxed);
        match self.decoder.read_frame() {
            Ok(frame) => {
                let number = self.next;
                self.next += 1;
                Ok(Some((number, pack(&frame, width, height, self.layout))))
            }
            Err(error) => {
                self.over = true;
                match error {
                    y4m::Error::EOF if self.read.load(Ordering::Relaxed) == before => Ok(None),
                    y4m::Error::EOF => Err(Flaw::new(format!(
                        "the recording ends in the middle of frame {}",
                        self.next + 1
                    ))),
                    error => Err(Flaw::new(format!("damaged after frame {}: {error}", self.next))),
                }
            }
        }
    }

    fn rate(&self) -> Option<f64> {
        self.rate
    }
}

fn pack(frame: &y4m::Frame<'_>, width: usize, height: usize, layout: Layout) -> Pixels {
    // Both are at most LARGEST_SIDE and fit into 32 bits.
    let raw = |w: usize, h: usize, bytes| Raw { width: w as u32, height: h as u32, bytes };
    match layout {
        Layout::Grey { full_range } => {
            let mut bytes = frame.get_y_plane().to_vec();
            if !full_range {
                let table = table(|v| (v - 16.0) * 255.0 / 219.0);
                bytes.iter_mut().for_each(|b| *b = table[usize::from(*b)]);
            }
            Pixels::Grey(raw(width, height, bytes))
        }
        Layout::Nv12 { full_range } => {
            let (w, h) = (width & !1, height & !1);
            let mut bytes = Vec::with_capacity(w * h * 3 / 2);
            for row in frame.get_y_plane().chunks_exact(width).take(h) {
                bytes.extend_from_slice(&row[..w]);
            }
            let chroma = width.div_ceil(2);
            let rows = frame.get_u_plane().chunks_exact(chroma);
            for (u, v) in rows.zip(frame.get_v_plane().chunks_exact(chroma)).take(h / 2) {
                bytes.extend(u.iter().zip(v).take(w / 2).flat_map(|(u, v)| [*u, *v]));
            }
            if full_range {
                let (luma, chroma) = bytes.split_at_mut(w * h);
                let table_y = table(|v| 16.0 + v * 219.0 / 255.0);
                let table_c = table(|v| 128.0 + (v - 128.0) * 224.0 / 255.0);
                luma.iter_mut().for_each(|b| *b = table_y[usize::from(*b)]);
                chroma.iter_mut().for_each(|b| *b = table_c[usize::from(*b)]);
            }
            Pixels::Nv12(raw(w, h, bytes))
        }
    }
}

/// The output for each sample value.
fn table(map: impl Fn(f64) -> f64) -> [u8; 256] {
    std::array::from_fn(|v| map(v as f64).round().clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn file(tags: &str, frames: &[&[u8]]) -> Vec<u8> {
        let mut out = format!("YUV4MPEG2 {tags}\n").into_bytes();
        for frame in frames {
            out.extend(b"FRAME\n");
            out.extend(*frame);
        }
        out
    }

    fn play(bytes: &[u8]) -> Vec<Result<Pixels, String>> {
        let mut y4m = Y4m::open(bytes).unwrap();
        std::iter::from_fn(|| y4m.next().transpose())
            .map(|next| next.map(|(_, pixels)| pixels).map_err(|Flaw { why, .. }| why))
            .collect()
    }

    fn only(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        match play(bytes).remove(0).unwrap() {
            Pixels::Nv12(raw) | Pixels::Grey(raw) => (raw.width, raw.height, raw.bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn planes_are_interleaved() {
        let file = file("W4 H2 F30000:1001 C420jpeg", &[b"abcdefgh\x01\x02\x11\x12"]);
        assert_eq!(only(&file), (4, 2, b"abcdefgh\x01\x11\x02\x12".to_vec()));
        let rate = Y4m::open(file.as_slice()).unwrap().rate().unwrap();
        assert!((rate - 29.97).abs() < 0.001, "{rate}");
    }

    #[test]
    fn odd_size_loses_its_last_column_and_row() {
        let file = file("W3 H3", &[b"abcdefghi\x01\x02\x03\x04\x11\x12\x13\x14"]);
        assert_eq!(only(&file), (2, 2, b"abde\x01\x11".to_vec()));
    }

    #[test]
    fn range_is_brought_to_what_the_layout_means() {
        let full = file("W2 H2 XCOLORRANGE=FULL", &[&[0, 255, 128, 1, 0, 255]]);
        assert_eq!(only(&full).2, [16, 235, 126, 17, 16, 240]);
        let limited = file("W2 H2 Cmono XCOLORRANGE=LIMITED", &[&[16, 235, 0, 255]]);
        assert_eq!(only(&limited).2, [0, 255, 0, 255]);
        let mono = file("W2 H2 Cmono", &[&[1, 2, 3, 4]]);
        assert_eq!(only(&mono).2, [1, 2, 3, 4]);
    }

    #[test]
    fn frame_cut_short_is_said_after_the_whole_ones() {
        let whole = file("W2 H2", &[&[0; 6], &[0; 6]]);
        assert_eq!(play(&whole).len(), 2);
        for cut in 1..=11 {
            let played = play(&whole[..whole.len() - cut]);
            assert_eq!(
                played[1].as_ref().unwrap_err(),
                "the recording ends in the middle of frame 2"
            );
            assert_eq!(played.len(), 2);
        }
        assert_eq!(play(&whole[..whole.len() - 12]).len(), 1);
    }

    #[rstest]
    #[case("W0 H2", "not a Y4M stream: W is \"0\", must be 2 to 16384")]
    #[case("W2", "not a Y4M stream: H is \"\", must be 2 to 16384")]
    #[case(
        "W2 H99999999999999999999",
        "not a Y4M stream: H is \"99999999999999999999\", must be 2 \
        to 16384"
    )]
    #[case("W16384 H16384", "not a Y4M stream: Out of memory (limits exceeded)")]
    fn absurd_headers_are_refused(#[case] tags: &str, #[case] message: &str) {
        match Y4m::open(file(tags, &[]).as_slice()).err() {
            Some(Refusal::Damaged(why)) => assert_eq!(why, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ten_bit_video_is_left_to_ffmpeg() {
        let ten = file("W2 H2 C420p10", &[]);
        assert!(matches!(Y4m::open(ten.as_slice()), Err(Refusal::OtherLayout(l)) if l == "420p10"));
    }

    proptest! {
        #[test]
        fn noise_ends(noise in prop::collection::vec(any::<u8>(), 0..600), w in 0..20_u32) {
            let file = [format!("YUV4MPEG2 W{w} H4 C420").as_bytes(), &noise].concat();
            if let Ok(mut y4m) = Y4m::open(file.as_slice()) {
                for _ in 0..=file.len() {
                    if matches!(y4m.next(), Ok(None)) {
                        break;
                    }
                }
                prop_assert!(y4m.over);
            }
        }
    }
}
