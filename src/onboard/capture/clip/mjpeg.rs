//! JPEGs one after another, with nothing in between: what many network cameras and
//! `ffmpeg -f mjpeg` write.
//!
//! The end of a picture is found by its structure, not by searching for an end marker: headers may
//! carry a thumbnail, which has an end marker of its own.

use std::io::{self, BufRead};

use super::{Flaw, LARGEST_FRAME, Pictures};
use crate::onboard::frame::Pixels;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const TEM: u8 = 0x01;
const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;

/// Cuts a stream into pictures.
pub(super) struct JpegStream<R> {
    from: R,
    next: u64,
    over: bool,
}

impl<R: BufRead> JpegStream<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, next: 0, over: false }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.from.fill_buf()?.first().copied();
        self.from.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Skips to the next start marker. Whatever lies before it belongs to no picture.
    fn find_start(&mut self) -> io::Result<bool> {
        let mut last = 0;
        while let Some(byte) = self.byte()? {
            if last == 0xff && byte == SOI {
                return Ok(true);
            }
            last = byte;
        }
        Ok(false)
    }

    /// Reads up to and with the end marker. `Ok(None)`: the stream ended before it.
    fn rest_of_picture(&mut self, picture: &mut Vec<u8>) -> Result<Option<()>, Flaw> {
        loop {
            let Some(marker) = self.marker(picture)? else { return Ok(None) };
            match marker {
                EOI => return Ok(Some(())),
                SOI | TEM | RST0..=RST7 => {}
                _ => {
                    let (Some(high), Some(low)) = (self.byte()?, self.byte()?) else {
                        return Ok(None);
                    };
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    picture.extend([high, low]);
                    if !self.copy(length.saturating_sub(2), picture)? {
                        return Ok(None);
                    }
                }
            }
            if picture.len() > LARGEST_FRAME {
                return Err(Flaw::new("a JPEG without an end"));
            }
        }
    }

    /// Copies up to and with the next marker, which after a scan's header lies behind the
    /// entropy-coded data: there 0xff stands for itself before a zero.
    fn marker(&mut self, picture: &mut Vec<u8>) -> Result<Option<u8>, Flaw> {
        loop {
            let chunk = self.from.fill_buf()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            match chunk.iter().position(|b| *b == 0xff) {
                None => {
                    picture.extend_from_slice(chunk);
                    let n = chunk.len();
                    self.from.consume(n);
                }
                Some(at) => {
                    picture.extend_from_slice(&chunk[..=at]);
                    self.from.consume(at + 1);
                    // Any number of fill bytes may stand before the code.
                    let code = loop {
                        match self.byte()? {
                            None => return Ok(None),
                            Some(0xff) => picture.push(0xff),
                            Some(code) => break code,
                        }
                    };
                    picture.push(code);
                    if code != 0 {
                        return Ok(Some(code));
                    }
                }
            }
            if picture.len() > LARGEST_FRAME {
                return Err(Flaw::new("a JPEG without an end"));
            }
        }
    }

    fn copy(&mut self, mut n: usize, picture: &mut Vec<u8>) -> io::Result<bool> {
        while n > 0 {
            let chunk = self.from.fill_buf()?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let take = n.min(chunk.len());
            picture.extend_from_slice(&chunk[..take]);
            self.from.consume(take);
            n -= take;
        }
        Ok(true)
    }
}

impl<R: BufRead + Send> Pictures for JpegStream<R> {
    fn next(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        if self.over || !self.find_start()? {
            return Ok(None);
        }
        let number = self.next;
        self.next += 1;
        let mut picture = vec![0xff, SOI];
        match self.rest_of_picture(&mut picture) {
            Ok(Some(())) => Ok(Some((number, Pixels::Mjpeg(picture)))),
            Ok(None) => {
                self.over = true;
                Err(Flaw(format!("the recording ends in the middle of picture {}", number + 1)))
            }
            Err(flaw) => Err(flaw),
        }
    }

    fn rate(&self) -> Option<f64> {
        None
    }
}
