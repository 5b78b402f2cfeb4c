//! Reads the segments of a JPEG around its picture data, without decoding any of it.
//!
//! In: the bytes of one JPEG. Out: a tidied copy on which a decoder has no harmless remarks to
//! make, how the camera was held, and how many passes decoding takes. Costs: one pass over the
//! bytes. Leaves to others: whether the picture data are complete (the decoder).

use image::metadata::Orientation;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const TEM: u8 = 0x01;
const COM: u8 = 0xfe;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP14: u8 = 0xee;

/// The segment for "JFIF 1.01, square pixels", which describes a JPEG in luma and colour
/// difference.
const JFIF: [u8; 18] = [0xff, APP0, 0, 16, b'J', b'F', b'I', b'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0];

/// One segment of a JPEG.
enum Part<'a> {
    /// A marker and its contents, without the length.
    Segment(u8, &'a [u8]),
    /// A scan's header and its data, up to the next marker that ends them.
    Scan(&'a [u8], &'a [u8]),
}

/// Iterates over the segments. It ends at the end marker, at the end of the bytes, and where a
/// segment is longer than the remaining bytes.
struct Parts<'a> {
    jpeg: &'a [u8],
    at: usize,
    /// Whether there was a second start marker: two pictures in one, and it is unknown which data
    /// belong to which.
    two_starts: bool,
    /// Whether the end marker was there.
    ended: bool,
}

/// Distance to the next byte that may begin a marker.
fn next_ff(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|b| *b == 0xff)
}

impl<'a> Parts<'a> {
    /// `None` if the bytes do not begin as a JPEG.
    fn of(jpeg: &'a [u8]) -> Option<Self> {
        jpeg.starts_with(&[0xff, SOI]).then_some(Self {
            jpeg,
            at: 2,
            two_starts: false,
            ended: false,
        })
    }

    /// The next marker's code; bytes before it belong to no segment.
    fn marker(&mut self) -> Option<u8> {
        loop {
            self.at += next_ff(self.jpeg.get(self.at..)?)? + 1;
            while *self.jpeg.get(self.at)? == 0xff {
                self.at += 1;
            }
            let code = self.jpeg[self.at];
            self.at += 1;
            if code != 0 {
                return Some(code);
            }
        }
    }

    /// The picture data up to the next marker that is neither stuffing nor a restart.
    fn data(&mut self) -> &'a [u8] {
        let rest = &self.jpeg[self.at..];
        let mut end = 0;
        let length = loop {
            let Some(found) = next_ff(&rest[end..]) else { break rest.len() };
            match rest.get(end + found + 1) {
                None => break rest.len(),
                Some(0 | 0xd0..=0xd7) => end += found + 2,
                // This is a fill byte: the marker's code follows.
                Some(0xff) => end += found + 1,
                Some(_) => break end + found,
            }
        };
        self.at += length;
        &rest[..length]
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        loop {
            match self.marker()? {
                EOI => {
                    self.ended = true;
                    return None;
                }
                SOI => {
                    self.two_starts = true;
                    return None;
                }
                TEM | 0xd0..=0xd7 => {}
                marker => {
                    let length = self.jpeg.get(self.at..self.at + 2)?;
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    let body = self.jpeg.get(self.at + 2..self.at + length.max(2))?;
                    self.at += length.max(2);
                    return Some(match marker {
                        SOS => Part::Scan(body, self.data()),
                        _ => Part::Segment(marker, body),
                    });
                }
            }
        }
    }
}

/// Writes a copy of a JPEG into `out` with the same picture data, and around them only what
/// decoding needs, in its usual form. Returns whether there was enough to copy.
///
/// Cameras write odd but harmless things: revisions of JFIF that do not exist, unknown colour
/// transforms, scan parameters of zero, bytes between segments, no end marker. libjpeg remarks on
/// each, but reports only the first remark, so that a harmless one hides real damage after it. Any
/// remark on the tidied copy means damage.
pub(super) fn tidy(jpeg: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let Some(mut parts) = Parts::of(jpeg) else { return false };
    out.extend([0xff, SOI]);
    let (mut scans, mut one_pass) = (0, false);
    for part in &mut parts {
        match part {
            Part::Segment(APP0, body) if body.starts_with(b"JFIF\0") => out.extend(JFIF),
            Part::Segment(APP14, body) if body.starts_with(b"Adobe") && body.len() >= 12 => {
                push(out, APP14, &body[..12]);
                let transform = out.last_mut().expect("twelve bytes were pushed");
                // Decoders treat an unknown transform as the usual one.
                *transform = if *transform > 2 { 1 } else { *transform };
            }
            Part::Segment(APP0..=0xef | COM, _) => {}
            Part::Segment(marker, body) => {
                one_pass |= matches!(marker, 0xc0 | 0xc1 | 0xc9);
                push(out, marker, body);
            }
            Part::Scan(header, data) => {
                scans += 1;
                push(out, SOS, header);
                // A picture in one pass contains all coefficients, whatever its header says.
                if let (true, 6.., [.., from, to, bits]) = (one_pass, header.len(), &mut out[..]) {
                    (*from, *to, *bits) = (0, 63, 0);
                }
                out.extend_from_slice(data);
            }
        }
    }
    if parts.two_starts || scans == 0 {
        return false;
    }
    if !parts.ended {
        // Zeros that fill the buffer are not part of the picture, except for one after 0xff.
        let last = out.iter().rposition(|b| *b != 0).unwrap_or(0);
        out.truncate(last + 1 + usize::from(out[last] == 0xff));
    }
    out.extend([0xff, EOI]);
    true
}

fn push(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    let length = u16::try_from(body.len() + 2).expect("its length was read from sixteen bits");
    out.extend([0xff, marker]);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(body);
}

/// How the camera was held, if the Exif header says that the picture must be rotated.
pub(super) fn orientation(jpeg: &[u8]) -> Option<Orientation> {
    Parts::of(jpeg)?
        .take_while(|part| matches!(part, Part::Segment(..)))
        .find_map(|part| match part {
            Part::Segment(APP1, body) => {
                Orientation::from_exif_chunk(body.strip_prefix(b"Exif\0\0")?)
            }
            _ => None,
        })
        .filter(|orientation| *orientation != Orientation::NoTransforms)
}

/// Number of passes over the whole picture that decoding takes, at most `most`.
pub(super) fn scans(jpeg: &[u8], most: usize) -> usize {
    let parts = Parts::of(jpeg).into_iter().flatten();
    parts.filter(|part| matches!(part, Part::Scan(..))).take(most).count()
}
