//! A decoded picture: planes of luma and colour difference, as the camera's own formats hold them.
//!
//! Nothing is converted to RGB at full resolution: the detector's input is made by scaling the
//! planes first, the OCR reads luma, and only crops are converted to colour. Chroma keeps its
//! original size. Buffers are kept from frame to frame, so a steady camera allocates nothing.
//!
//! Cost for 1080p: for MJPEG see `benches/stages.rs` (nearly all of it is entropy decoding); for
//! YUYV and NV12 one pass over the bytes.

use super::VisionError;
use super::jpeg::JpegDecoder;
use super::scale::{AREA, Region, Scaler};
use crate::geometry::Rect;
use crate::onboard::frame::{Frame, Pixels, Raw};

/// Smallest side of a picture, in pixels: below this nothing can be seen in it.
pub const MIN_SIDE: u32 = 8;
/// Largest side: a larger value means a damaged header.
pub const MAX_SIDE: u32 = 16384;
/// Most pixels, so that a damaged header cannot ask for gigabytes.
const MAX_PIXELS: u64 = 64 << 20;

/// Which values mean black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Range {
    /// 0 to 255, as JFIF has it.
    #[default]
    Full,
    /// 16 to 235, colour difference 16 to 240, as cameras' raw formats have it.
    Limited,
}

/// One plane of a picture.
#[derive(Clone, Copy)]
pub struct Plane<'a> {
    /// Samples of each row that belong to the picture.
    pub width: u32,
    /// Rows that belong to the picture.
    pub height: u32,
    /// Samples from one row to the next.
    pub stride: u32,
    /// Whole rows, `stride` each, at least `height` of them.
    pub bytes: &'a [u8],
}

impl Plane<'_> {
    /// Rows in the buffer, padding rows included.
    pub fn rows(&self) -> u32 {
        u32::try_from(self.bytes.len() / self.stride.max(1) as usize).unwrap_or(u32::MAX)
    }
}

/// Position of a plane in the buffer.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    at: usize,
    width: u32,
    height: u32,
    stride: u32,
    rows: u32,
}

impl Layout {
    fn len(&self) -> usize {
        self.stride as usize * self.rows as usize
    }
}

/// A decoded picture.
#[derive(Default)]
pub struct Picture {
    width: u32,
    height: u32,
    range: Range,
    bytes: Vec<u8>,
    y: Layout,
    /// Cb and Cr, of equal size; `None` for a grey picture.
    chroma: Option<[Layout; 2]>,
    jpeg: JpegDecoder,
}

impl Picture {
    /// Decodes a frame into a new picture; a loop keeps one picture and calls [`Picture::refill`].
    pub fn decode(frame: &Frame) -> Result<Self, VisionError> {
        let mut picture = Self::default();
        picture.refill(&frame.pixels)?;
        Ok(picture)
    }

    /// A grey picture of one level, for trying out a model.
    pub(super) fn blank(width: u32, height: u32) -> Self {
        let bytes = vec![114; (width * height) as usize];
        let mut picture = Self::default();
        picture
            .refill(&Pixels::Grey(Raw { width, height, bytes }))
            .expect("a size that cameras have");
        picture
    }

    /// Decodes a frame into this picture's buffers. After an error the picture is empty.
    pub fn refill(&mut self, pixels: &Pixels) -> Result<(), VisionError> {
        (self.width, self.height, self.chroma, self.range) = (0, 0, None, Range::Full);
        match pixels {
            Pixels::Mjpeg(bytes) => self.fill_jpeg(bytes),
            Pixels::Yuyv(raw) => self.fill_yuyv(raw),
            Pixels::Nv12(raw) => self.fill_nv12(raw),
            Pixels::Grey(raw) => self.fill_grey(raw),
            Pixels::Rgb(raw) => self.fill_rgb(raw),
        }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The whole picture as a box.
    pub fn bounds(&self) -> Rect {
        Rect { x: 0.0, y: 0.0, w: self.width as f32, h: self.height as f32 }
    }

    /// Which values mean black and white.
    pub fn range(&self) -> Range {
        self.range
    }

    /// Luma, at full size.
    pub fn luma(&self) -> Plane<'_> {
        self.plane(&self.y)
    }

    /// Blue and red difference, at the camera's own (smaller) size; `None` for a grey picture.
    pub fn chroma(&self) -> Option<[Plane<'_>; 2]> {
        self.chroma.as_ref().map(|planes| [self.plane(&planes[0]), self.plane(&planes[1])])
    }

    /// R G B per pixel, at full size: for tools that draw, not for the daemon.
    pub fn to_rgb(&self) -> Vec<u8> {
        let mut rgb = Vec::with_capacity(self.width as usize * self.height as usize * 3);
        if self.width > 0 {
            let mut scaler = Scaler::default();
            let whole = Region::Box(self.bounds());
            let small = scaler.scale(self, &whole, self.size(), AREA, true);
            small.push_rgb(&mut rgb);
        }
        rgb
    }

    fn plane(&self, layout: &Layout) -> Plane<'_> {
        Plane {
            width: layout.width,
            height: layout.height,
            stride: layout.stride,
            bytes: &self.bytes[layout.at..layout.at + layout.len()],
        }
    }

    /// Lays out the planes: luma of `stride` x `rows`, chroma smaller by `(across, down)`.
    fn lay_out(
        &mut self,
        size: (u32, u32),
        padded: (u32, u32),
        chroma: Option<(u32, u32)>,
    ) -> Result<(), VisionError> {
        check_size(size)?;
        let y = Layout { at: 0, width: size.0, height: size.1, stride: padded.0, rows: padded.1 };
        let mut end = y.len();
        let chroma = chroma.map(|(across, down)| {
            [(); 2].map(|()| {
                let layout = Layout {
                    at: end,
                    width: size.0.div_ceil(across),
                    height: size.1.div_ceil(down),
                    stride: padded.0.div_ceil(across),
                    rows: padded.1.div_ceil(down),
                };
                end += layout.len();
                layout
            })
        });
        self.bytes.resize(end, 0);
        (self.y, self.chroma) = (y, chroma);
        Ok(())
    }

    fn fill_jpeg(&mut self, jpeg: &[u8]) -> Result<(), VisionError> {
        let header = self.jpeg.header(jpeg)?;
        self.lay_out(header.size, header.padded, header.chroma)?;
        self.jpeg.planes(jpeg, &header, &mut self.bytes)?;
        (self.width, self.height) = header.size;
        Ok(())
    }

    fn fill_yuyv(&mut self, raw: &Raw) -> Result<(), VisionError> {
        check_raw("YUYV", raw, |w, h| w.div_ceil(2) * 4 * h)?;
        let size = (raw.width, raw.height);
        self.lay_out(size, (raw.width.next_multiple_of(2), raw.height), Some((2, 1)))?;
        let half = self.y.stride as usize / 2;
        let (luma, chroma) = self.bytes.split_at_mut(self.y.len());
        let (blue, red) = chroma.split_at_mut(half * raw.height as usize);
        let rows = raw.bytes.chunks_exact(half * 4);
        let planes = luma
            .chunks_exact_mut(half * 2)
            .zip(blue.chunks_exact_mut(half))
            .zip(red.chunks_exact_mut(half));
        for (row, ((y, cb), cr)) in rows.zip(planes) {
            for (((four, y), cb), cr) in
                row.chunks_exact(4).zip(y.chunks_exact_mut(2)).zip(cb).zip(cr)
            {
                (y[0], *cb, y[1], *cr) = (four[0], four[1], four[2], four[3]);
            }
        }
        self.done(size, Range::Limited)
    }

    fn fill_nv12(&mut self, raw: &Raw) -> Result<(), VisionError> {
        check_raw("NV12", raw, |w, h| w * h + w.div_ceil(2) * 2 * h.div_ceil(2))?;
        let size = (raw.width, raw.height);
        self.lay_out(size, size, Some((2, 2)))?;
        let (from_y, from_uv) = raw.bytes.split_at(self.y.len());
        let (luma, chroma) = self.bytes.split_at_mut(self.y.len());
        luma.copy_from_slice(from_y);
        let (blue, red) = chroma.split_at_mut(chroma.len() / 2);
        for ((pair, cb), cr) in from_uv.chunks_exact(2).zip(blue).zip(red) {
            (*cb, *cr) = (pair[0], pair[1]);
        }
        self.done(size, Range::Limited)
    }

    fn fill_grey(&mut self, raw: &Raw) -> Result<(), VisionError> {
        check_raw("GREY", raw, |w, h| w * h)?;
        let size = (raw.width, raw.height);
        self.lay_out(size, size, None)?;
        self.bytes.copy_from_slice(&raw.bytes);
        self.done(size, Range::Full)
    }

    fn fill_rgb(&mut self, raw: &Raw) -> Result<(), VisionError> {
        check_raw("RGB", raw, |w, h| w * h * 3)?;
        let size = (raw.width, raw.height);
        self.lay_out(size, size, Some((1, 1)))?;
        let (luma, chroma) = self.bytes.split_at_mut(self.y.len());
        let (blue, red) = chroma.split_at_mut(chroma.len() / 2);
        for (((rgb, y), cb), cr) in raw.bytes.chunks_exact(3).zip(luma).zip(blue).zip(red) {
            let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(f32::from);
            *y = (0.299 * r + 0.587 * g + 0.114 * b + 0.5) as u8;
            *cb = (-0.168_736 * r - 0.331_264 * g + 0.5 * b + 128.5) as u8;
            *cr = (0.5 * r - 0.418_688 * g - 0.081_312 * b + 128.5) as u8;
        }
        self.done(size, Range::Full)
    }

    fn done(&mut self, size: (u32, u32), range: Range) -> Result<(), VisionError> {
        (self.width, self.height) = size;
        self.range = range;
        Ok(())
    }
}

/// Refuses sizes that no camera has.
pub(super) fn check_size((width, height): (u32, u32)) -> Result<(), VisionError> {
    let sides = MIN_SIDE..=MAX_SIDE;
    let pixels = u64::from(width) * u64::from(height);
    if sides.contains(&width) && sides.contains(&height) && pixels <= MAX_PIXELS {
        Ok(())
    } else {
        Err(VisionError::PictureSize { width, height })
    }
}

fn check_raw(
    format: &'static str,
    raw: &Raw,
    needed: impl Fn(usize, usize) -> usize,
) -> Result<(), VisionError> {
    if raw.bytes.is_empty() {
        return Err(VisionError::EmptyFrame);
    }
    check_size((raw.width, raw.height))?;
    let needed = needed(raw.width as usize, raw.height as usize);
    if raw.bytes.len() == needed {
        return Ok(());
    }
    let (width, height, got) = (raw.width, raw.height, raw.bytes.len());
    Err(VisionError::FrameLength { format, width, height, got, needed })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A smooth colour picture: luma rises to the right, colour changes downwards.
    pub(crate) fn ramp(width: u32, height: u32) -> Raw {
        let mut bytes = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (l, c) = ((x * 200 / width) as u8, (y * 55 / height) as u8);
                bytes.extend([l + c, l, l + 55 - c]);
            }
        }
        Raw { width, height, bytes }
    }

    fn mean(plane: &Plane<'_>) -> f32 {
        let n = (plane.width * plane.height) as f32;
        let rows = plane.bytes.chunks_exact(plane.stride as usize).take(plane.height as usize);
        rows.flat_map(|r| &r[..plane.width as usize]).map(|v| f32::from(*v)).sum::<f32>() / n
    }

    #[test]
    fn every_format_of_the_same_scene_has_the_same_brightness() {
        let raw = ramp(64, 48);
        let rgb = Picture::decode(&frame(Pixels::Rgb(raw.clone()))).unwrap();
        let jpeg = super::super::jpeg::encode_rgb(&raw.bytes, 64, 48, 95).unwrap();
        let jpeg = Picture::decode(&frame(Pixels::Mjpeg(jpeg))).unwrap();
        assert_eq!(jpeg.size(), (64, 48));
        assert!((mean(&rgb.luma()) - mean(&jpeg.luma())).abs() < 1.0);
        let [cb, cr] = jpeg.chroma().unwrap();
        assert_eq!((cb.width, cb.height), (32, 24));
        let [cb0, cr0] = rgb.chroma().unwrap();
        assert!((mean(&cb) - mean(&cb0)).abs() < 1.0 && (mean(&cr) - mean(&cr0)).abs() < 1.0);
    }

    #[test]
    fn yuyv_and_nv12_split_into_the_same_planes() {
        let (w, h) = (32_u32, 16_u32);
        let luma: Vec<u8> = (0..w * h).map(|i| 16 + (i % 200) as u8).collect();
        let mut yuyv = Vec::new();
        for (i, pair) in luma.chunks_exact(2).enumerate() {
            yuyv.extend([pair[0], 90 + (i % 16) as u8, pair[1], 160]);
        }
        let mut nv12 = luma.clone();
        for _ in 0..h / 2 {
            (0..w / 2).for_each(|i| nv12.extend([90 + (i % 16) as u8, 160]));
        }
        let a = Picture::decode(&frame(Pixels::Yuyv(Raw { width: w, height: h, bytes: yuyv })));
        let b = Picture::decode(&frame(Pixels::Nv12(Raw { width: w, height: h, bytes: nv12 })));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a.luma().bytes, b.luma().bytes);
        assert_eq!((a.range(), b.range()), (Range::Limited, Range::Limited));
        let ([acb, acr], [bcb, bcr]) = (a.chroma().unwrap(), b.chroma().unwrap());
        assert_eq!(acb.bytes[..16], bcb.bytes[..16]);
        assert_eq!((acb.height, bcb.height), (16, 8));
        assert_eq!((acr.bytes[0], bcr.bytes[0]), (160, 160));
    }

    #[test]
    fn frame_whose_size_changes_mid_stream_is_taken_as_it_comes() {
        let mut picture = Picture::default();
        for (w, h) in [(64, 48), (33, 47), (128, 16), (64, 48)] {
            let raw = ramp(w, h);
            let jpeg = super::super::jpeg::encode_rgb(&raw.bytes, w, h, 90).unwrap();
            picture.refill(&Pixels::Mjpeg(jpeg)).unwrap();
            assert_eq!(picture.size(), (w, h));
            picture.refill(&Pixels::Rgb(raw)).unwrap();
            assert_eq!(picture.size(), (w, h));
        }
    }

    #[test]
    fn empty_frame_says_so() {
        let raw = Raw { width: 640, height: 480, bytes: Vec::new() };
        for pixels in [
            Pixels::Mjpeg(Vec::new()),
            Pixels::Yuyv(raw.clone()),
            Pixels::Nv12(raw.clone()),
            Pixels::Grey(raw),
        ] {
            let e = Picture::default().refill(&pixels).unwrap_err();
            assert_eq!(e.to_string(), "frame is empty (0 bytes)");
        }
    }

    #[test]
    fn raw_frame_of_the_wrong_length_names_both() {
        let raw = Raw { width: 640, height: 480, bytes: vec![0; 1000] };
        let e = Picture::default().refill(&Pixels::Yuyv(raw)).unwrap_err();
        assert_eq!(e.to_string(), "YUYV frame of 640x480 has 1000 bytes, needs 614400");
    }

    #[test]
    fn absurd_size_is_refused_before_memory_is_asked_for() {
        let raw = Raw { width: 60_000, height: 60_000, bytes: vec![0; 8] };
        let e = Picture::default().refill(&Pixels::Grey(raw)).unwrap_err();
        assert!(e.to_string().starts_with("picture of 60000x60000: must be 8 to 16384"), "{e}");
    }

    #[test]
    fn picture_is_empty_after_an_error() {
        let mut picture = Picture::default();
        picture.refill(&Pixels::Rgb(ramp(64, 48))).unwrap();
        assert!(picture.refill(&Pixels::Mjpeg(vec![1, 2, 3])).is_err());
        assert_eq!(picture.size(), (0, 0));
        assert!(picture.chroma().is_none());
    }

    /// A good frame in each format that cameras send, and damaged ones in the same format.
    fn good_and_bad(kind: &str) -> (Pixels, Vec<Pixels>) {
        let raw = ramp(64, 48);
        let of = |bytes: usize| Raw { width: 64, height: 48, bytes: raw.bytes[..bytes].to_vec() };
        let cut = |raw: Raw| Raw { bytes: raw.bytes[..raw.bytes.len() - 7].to_vec(), ..raw };
        let n = 64 * 48;
        match kind {
            "mjpeg" => {
                let jpeg = super::super::jpeg::encode_rgb(&raw.bytes, 64, 48, 90).unwrap();
                let two_starts = [&jpeg[..2], &jpeg].concat();
                let mut no_tables = jpeg.clone();
                let table = jpeg.windows(2).position(|w| w == [0xff, 0xdb]).unwrap();
                no_tables[table + 3] = 3;
                let mut no_size = jpeg.clone();
                let size = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
                no_size[size + 5..size + 9].fill(0);
                let bad = [
                    two_starts,
                    no_tables,
                    no_size,
                    jpeg[..jpeg.len() / 2].to_vec(),
                    jpeg[..30].to_vec(),
                    b"no picture".to_vec(),
                    Vec::new(),
                ];
                (Pixels::Mjpeg(jpeg), bad.map(Pixels::Mjpeg).to_vec())
            }
            "yuyv" => (Pixels::Yuyv(of(n * 2)), vec![Pixels::Yuyv(cut(of(n * 2)))]),
            "nv12" => (Pixels::Nv12(of(n * 3 / 2)), vec![Pixels::Nv12(cut(of(n * 3 / 2)))]),
            "grey" => (Pixels::Grey(of(n)), vec![Pixels::Grey(cut(of(n)))]),
            "rgb" => (Pixels::Rgb(of(n * 3)), vec![Pixels::Rgb(cut(of(n * 3)))]),
            other => panic!("{other}"),
        }
    }

    /// A bad frame does not blind a camera: a good one is read the same, whatever came before.
    #[rstest]
    fn good_frame_after_a_bad_one_is_read(
        #[values("mjpeg", "yuyv", "nv12", "grey", "rgb")] kind: &str,
        #[values("mjpeg", "yuyv", "nv12", "grey", "rgb")] between: &str,
    ) {
        let (good, bad) = good_and_bad(kind);
        let (other, other_bad) = good_and_bad(between);
        let mut picture = Picture::default();
        picture.refill(&good).unwrap();
        let planes = |picture: &Picture| {
            let chroma = picture.chroma().map(|c| c.map(|plane| plane.bytes.to_vec()));
            (picture.luma().bytes.to_vec(), chroma, picture.range())
        };
        let whole = planes(&picture);
        for bad in bad.iter().chain(&other_bad) {
            assert!(picture.refill(bad).is_err(), "{bad:?}");
            picture.refill(&good).unwrap();
            assert_eq!(planes(&picture), whole, "after {bad:?}");
            picture.refill(&other).unwrap();
        }
    }

    fn frame(pixels: Pixels) -> Frame {
        super::super::reader::still(pixels)
    }
}
