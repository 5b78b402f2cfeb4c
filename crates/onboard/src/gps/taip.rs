//! Reads TAIP, the text protocol in which routers for vehicles tell a position.
//!
//! In: bytes as they come from a socket. Out: of each message what it says of the position, and counts of those
//! that are damaged or of other kinds. RPV and RLN are understood. What TAIP does not say, nobody makes up: no
//! message has an accuracy, and none has a date, so that a fix from here has neither and vouches for no clock.
//!
//! A message is `>RPV…;ID=1234;*7F<`. Identifier and checksum may be missing; a checksum that is there is the XOR of
//! everything from `>` to `*`, both included. A message that is cut short, has a wrong checksum or another length
//! than its kind says nothing.

use std::time::Duration;

use super::Fix;

/// Longest message in bytes: an RLN with all the satellites that its two digits can count has 476.
const LONGEST: usize = 512;

/// Miles an hour in metres a second.
const MPH: f32 = 0.447_04;

/// A day, after which the time of day begins anew.
const DAY: Duration = Duration::from_secs(86_400);

/// How far back a time of day may be and still be that of a fix which was told before: the other kind of message on
/// the same fix, or a packet that was overtaken.
const OVERTAKEN: Duration = Duration::from_secs(10);

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    /// Where the car was at this GPS time of day.
    Place {
        /// Time since midnight, as GPS counts it.
        at: Duration,
        /// The place.
        fix: Fix,
    },
    /// The router has no fix: the message says that there is none, that it is old, or where nothing can be.
    NoFix,
}

impl Said {
    /// Whether this is news after a fix of that time of day, and no repetition of it.
    pub(super) fn is_newer_than(&self, last: Option<Duration>) -> bool {
        match (self, last) {
            (Self::Place { at, .. }, Some(last)) => {
                let back = (last + DAY - (*at).min(DAY)).as_nanos() % DAY.as_nanos();
                back > OVERTAKEN.as_nanos()
            }
            _ => true,
        }
    }
}

/// Messages among other bytes: what they say, and how many say nothing that is understood.
#[derive(Debug, Default)]
pub struct Messages {
    /// The bytes of a message that has begun and not ended.
    open: Option<Vec<u8>>,
    /// Messages that are cut short, have a wrong checksum, or are not of their kind's form.
    pub damaged: u64,
    /// Messages of kinds that say no position.
    pub others: u64,
}

impl Messages {
    /// Takes the next bytes of a stream. Returns what the messages say that end in them.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        for byte in bytes {
            match (byte, &mut self.open) {
                (b'>', open) => {
                    // One that was open is cut short.
                    self.damaged += u64::from(open.is_some());
                    *open = Some(Vec::new());
                }
                (b'<', open @ Some(_)) => match open.take().and_then(|body| kind(&body)) {
                    Some(Kind::Position(position)) => said.push(position),
                    Some(Kind::Other) => self.others += 1,
                    None => self.damaged += 1,
                },
                (byte, Some(body)) if body.len() < LONGEST => body.push(*byte),
                (_, open @ Some(_)) => {
                    *open = None;
                    self.damaged += 1;
                }
                // Between two messages.
                (_, None) => {}
            }
        }
        said
    }

    /// Takes a packet, in which its messages end.
    pub fn packet(&mut self, bytes: &[u8]) -> Vec<Said> {
        let said = self.read(bytes);
        self.damaged += u64::from(self.open.take().is_some());
        said
    }
}

enum Kind {
    Position(Said),
    Other,
}

/// What stands between `>` and `<`; `None` if it is damaged.
fn kind(body: &[u8]) -> Option<Kind> {
    let body = std::str::from_utf8(body).ok()?;
    if !body.bytes().all(|b| (b' '..0x7f).contains(&b)) {
        return None;
    }
    if let Some((before, sum)) = body.rsplit_once(";*") {
        let sum = Some(sum).filter(|sum| sum.len() == 2)?;
        let summed = before.bytes().chain(*b">;*").fold(0, |x, b| x ^ b);
        if u8::from_str_radix(sum, 16).ok()? != summed {
            return None;
        }
    }
    let data = body.split(';').next().unwrap_or_default();
    Some(match data.get(..3)? {
        "RPV" => Kind::Position(rpv(Fields(&data[3..]))?),
        "RLN" => Kind::Position(rln(Fields(&data[3..]))?),
        _ => Kind::Other,
    })
}

/// RPV, position and velocity: 30 characters.
///
/// `AAAAA` time of day in seconds, `BBBCCCCC` latitude, `DDDDEEEEE` longitude, `FFF` mph, `GGG` degrees, `H` source,
/// `I` age.
fn rpv(mut fields: Fields<'_>) -> Option<Said> {
    let at = fields.thousandths(5, 0)?;
    let latitude = fields.degrees(2, 5)?;
    let longitude = fields.degrees(3, 5)?;
    let speed = fields.number(3, 0)?;
    let heading = fields.number(3, 0)?;
    let (source, age) = (fields.digit()?, fields.digit()?);
    fields.0.is_empty().then(|| said(at, (latitude, longitude), (speed, heading), (source, age)))?
}

/// RLN, long navigation: 65 characters, and four for each satellite.
///
/// `AAAAABBB` time of day in milliseconds, `CCCDDDDDDD` latitude, `EEEEFFFFFFF` longitude, `GGGGGGGHH` feet of height,
/// `IIIJ` mph, `KKKKL` mph upwards, `MMMN` degrees, `OO` satellites with `PPQQ` each, ten characters that are reserved,
/// `S` source, `T` age.
fn rln(mut fields: Fields<'_>) -> Option<Said> {
    let at = fields.thousandths(5, 3)?;
    let latitude = fields.degrees(2, 7)?;
    let longitude = fields.degrees(3, 7)?;
    fields.degrees(6, 2)?;
    let speed = fields.number(3, 1)?;
    fields.degrees(3, 1)?;
    let heading = fields.number(3, 1)?;
    let satellites = fields.number(2, 0)? as usize;
    fields.take(4 * satellites + 10)?;
    let (source, age) = (fields.digit()?, fields.digit()?);
    fields.0.is_empty().then(|| said(at, (latitude, longitude), (speed, heading), (source, age)))?
}

/// What well-formed fields say; `None` if they cannot be: such a message is damaged.
fn said(
    at: Duration,
    (latitude, longitude): (f64, f64),
    (mph, heading): (f64, f64),
    (source, age): (u8, u8),
) -> Option<Said> {
    // A leap second is the 86,400th.
    if at > DAY || heading > 360.0 {
        return None;
    }
    // 0 and 2: two dimensions, without and with corrections; 1 and 3: three. Others are reckoned by dead reckoning, or
    // unknown. The age is 2 up to ten seconds, 1 beyond, 0 where nothing is there.
    if source > 3 || age != 2 || !Fix::is_place(latitude, longitude) {
        return Some(Said::NoFix);
    }
    let fix = Fix {
        latitude,
        longitude,
        accuracy_m: None,
        speed_mps: Some(mph as f32 * MPH),
        heading_deg: Some(heading as f32),
        // A time of day without a date is no time.
        time: None,
        three_d: source % 2 == 1,
    };
    Some(Said::Place { at, fix })
}

/// What is left of a message's fields, which have no separators. It is ASCII.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    /// So many digits, of which the last ones are decimals.
    fn number(&mut self, whole: usize, decimals: usize) -> Option<f64> {
        let digits = self.take(whole + decimals)?;
        // `parse` would take a sign.
        let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
        let number: f64 = Some(digits).filter(|_| all_digits)?.parse().ok()?;
        Some(number / 10_f64.powi(decimals as i32))
    }

    /// The same after a sign.
    fn degrees(&mut self, whole: usize, decimals: usize) -> Option<f64> {
        let sign = match self.take(1)? {
            "+" => 1.0,
            "-" => -1.0,
            _ => return None,
        };
        Some(sign * self.number(whole, decimals)?)
    }

    /// Seconds, to the millisecond where `decimals` is three.
    fn thousandths(&mut self, whole: usize, decimals: usize) -> Option<Duration> {
        let seconds = self.number(whole, decimals)?;
        Some(Duration::from_millis((seconds * 1_000.0).round() as u64))
    }

    fn digit(&mut self) -> Option<u8> {
        Some(self.number(1, 0)? as u8)
    }
}

#[cfg(test)]
#[path = "taip_tests.rs"]
mod tests;
