//! A stream of JPEGs with nothing in between, as many network cameras and `ffmpeg -f mjpeg` write
//! it.
//!
//! The end of a picture is found by its structure and not by searching for an end marker: a header
//! may contain a thumbnail, which has an end marker of its own.

use std::io::{self, BufRead};

use super::{Flaw, LARGEST_FRAME, Pictures};
use crate::onboard::frame::Pixels;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const TEM: u8 = 0x01;
const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;

/// Splits a stream into pictures.
pub(super) struct JpegStream<R> {
    from: R,
    next: u64,
    /// Whether the start marker of the next picture was read already.
    started: bool,
    over: bool,
}

/// Bytes between two pictures from which on an end marker among them means that they are the
/// remains of a picture: the smallest picture has longer tables. Some cameras write an end marker
/// twice.
const REMAINS: u64 = 128;

impl<R: BufRead> JpegStream<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, next: 0, started: false, over: false }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.from.fill_buf()?.first().copied();
        self.from.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Skips to the next start marker; returns whether there is one. Bytes before it belong to no
    /// picture, unless they end with an end marker: then that picture's start is damaged, which is
    /// reported.
    fn find_start(&mut self) -> Result<bool, Flaw> {
        if std::mem::take(&mut self.started) {
            return Ok(true);
        }
        let (mut last, mut skipped, mut ended) = (0, 0_u64, false);
        while let Some(byte) = self.byte()? {
            if last == 0xff && byte == SOI {
                self.started = true;
                break;
            }
            ended |= last == 0xff && byte == EOI;
            skipped += 1;
            last = byte;
        }
        if ended && skipped >= REMAINS {
            self.over = !self.started;
            return Err(Flaw::new(format!(
                "{skipped} bytes after picture {} are what is left of a damaged one",
                self.next
            )));
        }
        Ok(std::mem::take(&mut self.started))
    }

    /// Reads up to and including the end marker. `Ok(None)` if the stream ended before it, or if
    /// another picture began, which `started` shows.
    fn rest_of_picture(&mut self, picture: &mut Vec<u8>) -> Result<Option<()>, Flaw> {
        loop {
            let Some(marker) = self.marker(picture)? else { return Ok(None) };
            match marker {
                EOI => return Ok(Some(())),
                // The next picture begins in the middle of this one.
                SOI => {
                    self.started = true;
                    return Ok(None);
                }
                TEM | RST0..=RST7 => {}
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

    /// Copies up to and including the next marker. After a scan's header that is behind the
    /// entropy-coded data, in which 0xff before a zero stands for itself.
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
                    // Any number of fill bytes may come before the code.
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
            Ok(None) if self.started => Err(Flaw::new(format!(
                "picture {} ends in the middle: the next one begins",
                number + 1
            ))),
            Ok(None) => {
                self.over = true;
                Err(Flaw::new(format!(
                    "the recording ends in the middle of picture {}",
                    number + 1
                )))
            }
            Err(flaw) => Err(flaw),
        }
    }

    fn rate(&self) -> Option<f64> {
        None
    }
}
