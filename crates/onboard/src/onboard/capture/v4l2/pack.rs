//! A driver's buffer -> [`Pixels`] without row padding.

use crate::config::PixelFormat;
use crate::onboard::frame::{Pixels, Raw};

/// How the driver lays out a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) format: PixelFormat,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes from one row to the next; 0 where the driver leaves it to us.
    pub(super) stride: u32,
}

impl Layout {
    /// Copies a frame out of the buffer. Odd widths and heights lose their last column or row in
    /// the formats whose colour covers two pixels.
    pub(super) fn pack(self, buffer: &[u8]) -> Result<Pixels, String> {
        let (even_w, even_h) = (self.width & !1, self.height & !1);
        Ok(match self.format {
            PixelFormat::Mjpeg => Pixels::Mjpeg(buffer.to_vec()),
            PixelFormat::Grey => {
                Pixels::Grey(self.rows(buffer, self.width, self.height, self.width, self.height)?)
            }
            PixelFormat::Y10 => self.upper_eight(buffer, 10)?,
            PixelFormat::Y12 => self.upper_eight(buffer, 12)?,
            PixelFormat::Y16 => self.upper_eight(buffer, 16)?,
            PixelFormat::Yuyv => {
                let mut raw =
                    self.rows(buffer, even_w * 2, self.height, self.width * 2, self.height)?;
                raw.width = even_w;
                Pixels::Yuyv(raw)
            }
            PixelFormat::Nv12 => {
                // The rows of chroma follow those of luma at the same stride.
                let rows = self.height + self.height.div_ceil(2);
                let stride = self.width.next_multiple_of(2);
                let mut raw = self.rows(buffer, even_w, rows, stride, rows)?;
                if self.height != even_h {
                    // The last row of luma and the chroma that it alone has.
                    let (row, luma) = (even_w as usize, self.height as usize);
                    raw.bytes.drain((luma - 1) * row..luma * row);
                    raw.bytes.truncate(row * (even_h + even_h / 2) as usize);
                }
                raw.height = even_h;
                Pixels::Nv12(raw)
            }
        })
    }

    /// Luma of `bits` bits in two bytes each, the lower one first: the upper eight of them are the picture's.
    /// What a driver leaves in the bits above, where there should be nothing, counts as white.
    fn upper_eight(self, buffer: &[u8], bits: u32) -> Result<Pixels, String> {
        let (row, height) = (self.width * 2, self.height);
        let mut raw = self.rows(buffer, row, height, row, height)?;
        let luma = |two: &[u8]| {
            let sample = u16::from_le_bytes([two[0], two[1]]) >> (bits - 8);
            u8::try_from(sample).unwrap_or(u8::MAX)
        };
        raw.bytes = raw.bytes.chunks_exact(2).map(luma).collect();
        raw.width = self.width;
        Ok(Pixels::Grey(raw))
    }

    /// Copies `rows` rows of `take` bytes each. `row` is how many bytes a row must have at least.
    fn rows(
        self,
        buffer: &[u8],
        take: u32,
        rows: u32,
        row: u32,
        height: u32,
    ) -> Result<Raw, String> {
        let stride = self.stride.max(row) as usize;
        let (take, rows) = (take as usize, rows as usize);
        let needed = stride * rows.saturating_sub(1) + take;
        if buffer.len() < needed {
            return Err(format!("{} bytes, {needed} expected", buffer.len()));
        }
        let bytes = if take == stride {
            buffer[..take * rows].to_vec()
        } else {
            let mut bytes = Vec::with_capacity(take * rows);
            for row in buffer.chunks(stride).take(rows) {
                bytes.extend_from_slice(&row[..take]);
            }
            bytes
        };
        Ok(Raw { width: take as u32, height, bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn layout(format: PixelFormat, width: u32, height: u32, stride: u32) -> Layout {
        Layout { format, width, height, stride }
    }

    #[test]
    fn padding_is_left_behind() {
        let packed = layout(PixelFormat::Yuyv, 2, 2, 6).pack(b"abcd..efgh..").unwrap();
        assert_eq!(packed.bytes(), b"abcdefgh");
        let packed = layout(PixelFormat::Grey, 3, 2, 4).pack(b"abc.def").unwrap();
        assert_eq!(packed.bytes(), b"abcdef", "the last row's padding may be missing");
        let packed = layout(PixelFormat::Nv12, 2, 2, 3).pack(b"ab.cd.uv.").unwrap();
        assert_eq!(packed.bytes(), b"abcduv");
    }

    #[test]
    fn odd_sizes_lose_what_has_no_colour() {
        let packed = layout(PixelFormat::Nv12, 3, 3, 4).pack(b"abc.def.ghi.uvUVxyXY").unwrap();
        assert_eq!(packed.bytes(), b"abdeuv");
        let packed = layout(PixelFormat::Yuyv, 3, 1, 0).pack(b"aubvcu").unwrap();
        assert_eq!(packed.bytes(), b"aubv");
    }

    /// Black, the middle and white of each depth; the padding of a row stays behind.
    #[rstest]
    #[case::ten_bits(PixelFormat::Y10, [0x0000, 0x0200, 0x03ff])]
    #[case::twelve_bits(PixelFormat::Y12, [0x0000, 0x0800, 0x0fff])]
    #[case::sixteen_bits(PixelFormat::Y16, [0x0000, 0x8000, 0xffff])]
    fn deeper_luma_keeps_its_upper_eight_bits(#[case] format: PixelFormat, #[case] row: [u16; 3]) {
        let mut buffer = Vec::new();
        for _ in 0..2 {
            buffer.extend(row.iter().flat_map(|sample| sample.to_le_bytes()));
            buffer.extend([0xaa, 0xaa]);
        }
        let packed = layout(format, 3, 2, 8).pack(&buffer).unwrap();
        assert_eq!(format!("{packed:?}"), "Grey(3x2, 6 bytes)");
        assert_eq!(packed.bytes(), [0, 128, 255, 0, 128, 255]);
    }

    #[test]
    fn bits_above_the_depth_are_white_and_no_neighbour_of_black() {
        let packed = layout(PixelFormat::Y10, 2, 1, 0).pack(&[0x00, 0x04, 0xff, 0x03]).unwrap();
        assert_eq!(packed.bytes(), [255, 255]);
    }

    #[test]
    fn short_buffer_is_no_frame() {
        let told = layout(PixelFormat::Y16, 4, 2, 8).pack(&[0; 8]).unwrap_err();
        assert_eq!(told, "8 bytes, 16 expected");
        let told = layout(PixelFormat::Grey, 4, 2, 4).pack(b"abcd").unwrap_err();
        assert_eq!(told, "4 bytes, 8 expected");
        let told = layout(PixelFormat::Nv12, 4, 2, 4).pack(b"").unwrap_err();
        assert_eq!(told, "0 bytes, 12 expected");
    }

    #[test]
    fn jpeg_is_taken_as_it_is() {
        let packed = layout(PixelFormat::Mjpeg, 4, 2, 0).pack(b"\xff\xd8..").unwrap();
        assert_eq!(packed.bytes(), b"\xff\xd8..");
    }

    proptest! {
        /// Whatever sizes meet whatever buffer: a frame of its own size, or a message.
        #[test]
        fn packed_frames_have_the_bytes_that_their_size_asks_for(
            format in prop::sample::select(vec![
                PixelFormat::Mjpeg, PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Grey,
                PixelFormat::Y10, PixelFormat::Y12, PixelFormat::Y16,
            ]),
            (w, h) in (2_u32..12, 2_u32..12),
            stride in 0_u32..40,
            buffer in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            if let Ok(packed) = layout(format, w, h, stride).pack(&buffer)
                && let Some(expected) = packed.bytes_expected()
            {
                prop_assert_eq!(packed.bytes().len() as u64, expected);
            }
        }
    }
}
