//! A USB camera in software. It speaks USB/IP to the kernel's `vhci_hcd`, so that the real `uvcvideo` driver binds to it.
//!
//! `usb_camera PORT FPS STILL PICTURE..` plugs it into a port (0 to 7) of the virtual hub and shows each picture, a JPEG of
//! 640x480, for ten seconds, over and over. While there is a file STILL, the device answers and sends no frame. Ending
//! the program pulls the plug. It needs root and `modprobe vhci_hcd`, and of Rust the standard library alone:
//! `rustc --edition 2024 -O examples/usb_camera.rs` builds it in a second.

#![expect(clippy::disallowed_types, reason = "a socket whose other end is this machine's kernel")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const WIDTH: u16 = 640;
const HEIGHT: u16 = 480;
/// Bytes that a frame may have, as the driver is told.
const LARGEST_FRAME: u32 = 640 * 480 * 2;
/// Bytes of one bulk transfer, its two bytes of header included.
const PAYLOAD: u32 = 16 << 10;
/// Between frames in units of 100 ns, as UVC counts: 10 and 2 a second.
const INTERVALS: [u32; 2] = [1_000_000, 5_000_000];
/// For how long one picture is shown.
const SHOWN: Duration = Duration::from_secs(10);
/// How long a request is waited for before frames are looked after.
const PATIENCE: Duration = Duration::from_millis(20);

const HUB: &str = "/sys/devices/platform/vhci_hcd.0/attach";
/// What `attach` calls a high-speed device.
const HIGH_SPEED: u32 = 3;

/// USB/IP: commands from the kernel, and the answers to them.
const SUBMIT: u32 = 1;
const UNLINK: u32 = 2;
const SUBMITTED: u32 = 3;
const UNLINKED: u32 = 4;
const HEADER: usize = 48;
/// Negative errno: the endpoint refuses, the transfer was taken back.
const STALLED: i32 = -32;
const TAKEN_BACK: i32 = -104;

/// Bytes in USB's order.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn u16(self, value: u16) -> Self {
        self.put(&value.to_le_bytes())
    }

    fn u32(self, value: u32) -> Self {
        self.put(&value.to_le_bytes())
    }

    /// A descriptor: its length goes before what is put here.
    fn descriptor(self, body: Self) -> Self {
        let length = u8::try_from(body.0.len() + 1).expect("no descriptor is that long");
        self.put(&[length]).put(&body.0)
    }
}

fn length(bytes: &Bytes) -> u16 {
    u16::try_from(bytes.0.len()).expect("descriptors are short")
}

fn device() -> Bytes {
    // A device of several functions (0xEF), the Linux Foundation's vendor number, version 1.0, three strings.
    let body = Bytes::default().put(&[1, 0, 2, 0xEF, 2, 1, 64]);
    Bytes::default().descriptor(body.u16(0x1d6b).u16(0x0102).u16(0x0100).put(&[1, 2, 3, 1]))
}

/// One configuration: an interface that controls, an interface that streams MJPEG over a bulk endpoint.
fn configuration() -> Bytes {
    let new = Bytes::default;
    let camera =
        new().descriptor(new().put(&[0x24, 2, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]));
    let output = new().descriptor(new().put(&[0x24, 3, 2, 1, 1, 0, 1, 0]));
    let units = camera.put(&output.0);
    // UVC 1.0; the length of all three, a clock of 48 MHz, and which interface streams.
    let control = new().descriptor(
        new().put(&[0x24, 1, 0, 1]).u16(13 + length(&units)).u32(48_000_000).put(&[1, 1]),
    );

    let format = new().descriptor(new().put(&[0x24, 6, 1, 1, 1, 1, 0, 0, 0, 0]));
    let mut frame = new().put(&[0x24, 7, 1, 0]).u16(WIDTH).u16(HEIGHT).u32(10_000_000);
    frame = frame.u32(100_000_000).u32(LARGEST_FRAME).u32(INTERVALS[0]).put(&[2]);
    let frame = new().descriptor(frame.u32(INTERVALS[0]).u32(INTERVALS[1]));
    let colours = new().descriptor(new().put(&[0x24, 0x0D, 1, 1, 4]));
    let formats = format.put(&frame.0).put(&colours.0);
    let input = new().descriptor(
        new().put(&[0x24, 1, 1]).u16(14 + length(&formats)).put(&[0x81, 0, 2, 0, 0, 0, 1, 0]),
    );

    let body = new()
        // Both interfaces belong together and are video.
        .put(&[8, 11, 0, 2, 0x0E, 3, 0, 2])
        .put(&[9, 4, 0, 0, 0, 0x0E, 1, 0, 2])
        .put(&control.put(&units.0).0)
        .put(&[9, 4, 1, 0, 1, 0x0E, 2, 0, 0])
        .put(&input.put(&formats.0).0)
        // Endpoint 1 towards the host, bulk, 512 bytes.
        .put(&[7, 5, 0x81, 2, 0, 2, 0]);
    new().put(&[9, 2]).u16(9 + length(&body)).put(&[2, 1, 0, 0x80, 250]).put(&body.0)
}

fn string(index: u8) -> Bytes {
    let text = match index {
        // The languages of the others: English.
        0 => return Bytes::default().put(&[4, 3, 9, 4]),
        1 => "Outrider",
        2 => "Test camera",
        _ => "TC0001",
    };
    let units = text.encode_utf16().fold(Bytes::default().put(&[3]), Bytes::u16);
    Bytes::default().descriptor(units)
}

/// What the stream is to be, as the driver asks and is answered (`VS_PROBE_CONTROL`).
fn probe(interval: u32) -> Bytes {
    let head = Bytes::default().u16(1).put(&[1, 1]).u32(interval);
    head.put(&[0; 8]).u16(32).u32(LARGEST_FRAME).u32(PAYLOAD)
}

/// A request of the kernel.
struct Request {
    header: [u8; HEADER],
    data: Vec<u8>,
}

impl Request {
    fn word(&self, at: usize) -> u32 {
        let bytes = self.header[at..at + 4].try_into().expect("four bytes are four bytes");
        u32::from_be_bytes(bytes)
    }

    fn sequence(&self) -> u32 {
        self.word(4)
    }

    fn wants_data(&self) -> bool {
        self.word(12) == 1
    }
}

/// A frame on its way: what is left of it, and the bit that changes with each.
struct OnItsWay {
    picture: usize,
    sent: usize,
    toggle: u8,
}

struct Camera {
    kernel: UnixStream,
    received: Vec<u8>,
    /// Bulk transfers that wait for a piece of a frame: number and room.
    waiting: VecDeque<(u32, usize)>,
    /// What the driver has set, never faster than `every`.
    interval: u32,
    every: Duration,
    pictures: Vec<Vec<u8>>,
    still: PathBuf,
    began: Instant,
    next_frame: Instant,
    frame: Option<OnItsWay>,
    toggle: u8,
}

impl Camera {
    /// The next request, if one comes soon.
    fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some(request) = self.whole_request() {
                return Ok(Some(request));
            }
            let mut bytes = [0; 4096];
            match self.kernel.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.received.extend(&bytes[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Takes a request off what was received, if all of it is there.
    fn whole_request(&mut self) -> Option<Request> {
        let header = self.received.first_chunk::<HEADER>().copied()?;
        let mut request = Request { header, data: Vec::new() };
        let outgoing = request.word(0) == SUBMIT && !request.wants_data();
        let data = if outgoing { usize::try_from(request.word(24)).ok()? } else { 0 };
        request.data = self.received.get(HEADER..HEADER + data)?.to_vec();
        self.received.drain(..HEADER + data);
        Some(request)
    }

    /// Sends an answer: five words of who and what, then the words of that answer, then data.
    fn answer(&mut self, kind: u32, sequence: u32, words: [u32; 7], data: &[u8]) -> io::Result<()> {
        let head = [kind, sequence, 0, 0, 0];
        let mut bytes: Vec<u8> = head.iter().chain(&words).flat_map(|w| w.to_be_bytes()).collect();
        bytes.extend(data);
        self.kernel.write_all(&bytes)
    }

    fn submitted(
        &mut self,
        sequence: u32,
        status: i32,
        moved: usize,
        data: &[u8],
    ) -> io::Result<()> {
        let moved = u32::try_from(moved).expect("a transfer is short");
        // No packets: it is not isochronous.
        let words = [status.cast_unsigned(), moved, 0, u32::MAX, 0, 0, 0];
        self.answer(SUBMITTED, sequence, words, data)
    }

    fn handle(&mut self, request: &Request) -> io::Result<()> {
        let sequence = request.sequence();
        let room = usize::try_from(request.word(24)).unwrap_or(0);
        match (request.word(0), request.word(16)) {
            (UNLINK, _) => {
                let which = request.word(20);
                let before = self.waiting.len();
                self.waiting.retain(|(number, _)| *number != which);
                let status = if self.waiting.len() < before { TAKEN_BACK } else { 0 };
                // Nobody streams any more: what was on its way is of no use to the next.
                self.frame = None;
                self.answer(UNLINKED, sequence, [status.cast_unsigned(), 0, 0, 0, 0, 0, 0], &[])
            }
            (SUBMIT, 0) => match self.control(request) {
                None => self.submitted(sequence, STALLED, 0, &[]),
                Some(said) if request.wants_data() => {
                    let said = &said.0[..said.0.len().min(room)];
                    self.submitted(sequence, 0, said.len(), said)
                }
                Some(_) => self.submitted(sequence, 0, room, &[]),
            },
            _ => {
                self.waiting.push_back((sequence, room));
                Ok(())
            }
        }
    }

    /// Answers a request to endpoint 0; none is a refusal.
    fn control(&mut self, request: &Request) -> Option<Bytes> {
        let [kind, what, low, high, interface, ..] = request.header[40..] else { return None };
        let new = Bytes::default;
        match (kind & 0x60, what) {
            // GET_DESCRIPTOR
            (0, 6) => match high {
                1 => Some(device()),
                2 => Some(configuration()),
                3 => Some(string(low)),
                _ => None,
            },
            // GET_STATUS, GET_CONFIGURATION, GET_INTERFACE; all that sets something is done.
            (0, 0) => Some(new().u16(0)),
            (0, 8) => Some(new().put(&[1])),
            (0, 10) => Some(new().put(&[0])),
            (0, _) if kind < 0x80 => Some(new()),
            // Of class video, to the interface that streams: probe and commit.
            (0x20, _) if interface == 1 && high <= 2 => Some(match what {
                // SET_CUR, with the interval at byte 4
                1 => {
                    if let Some(bytes) = request.data.get(4..8).and_then(|b| b.try_into().ok()) {
                        self.interval = u32::from_le_bytes(bytes).max(INTERVALS[0]);
                    }
                    new()
                }
                0x82 => probe(INTERVALS[0]),
                0x83 => probe(INTERVALS[1]),
                0x85 => new().u16(length(&probe(0))),
                0x86 => new().put(&[3]),
                _ => probe(self.interval),
            }),
            _ => None,
        }
    }

    /// Fills the transfers that wait with the frame that is due.
    fn deliver(&mut self) -> io::Result<()> {
        if self.frame.is_none() && Instant::now() >= self.next_frame && !self.still.exists() {
            let of_the_driver = Duration::from_nanos(u64::from(self.interval) * 100);
            self.next_frame = Instant::now() + self.every.max(of_the_driver);
            let turn = self.began.elapsed().as_secs() / SHOWN.as_secs();
            let picture = usize::try_from(turn).unwrap_or(0) % self.pictures.len();
            self.toggle ^= 1;
            self.frame = Some(OnItsWay { picture, sent: 0, toggle: self.toggle });
        }
        while let (Some(frame), Some((sequence, room))) = (&mut self.frame, self.waiting.front()) {
            let left = &self.pictures[frame.picture][frame.sent..];
            let piece = &left[..left.len().min(*room - 2)];
            let is_last = piece.len() == left.len();
            // The header's length, then its flags: end of header, end of frame, and the frame's bit.
            let mut bytes = vec![2, 0x80 | u8::from(is_last) << 1 | frame.toggle];
            bytes.extend(piece);
            frame.sent += piece.len();
            let sequence = *sequence;
            self.waiting.pop_front();
            if is_last {
                self.frame = None;
            }
            self.submitted(sequence, 0, bytes.len(), &bytes)?;
        }
        Ok(())
    }

    /// Until the kernel lets go of the device.
    fn run(&mut self) -> io::Result<()> {
        loop {
            while let Some(request) = self.request()? {
                self.handle(&request)?;
            }
            self.deliver()?;
        }
    }
}

fn plugged_in(arguments: &[String]) -> Result<Camera, String> {
    let [port, rate, still, pictures @ ..] = arguments else {
        return Err("usage: usb_camera PORT FPS STILL PICTURE..".into());
    };
    let port: u32 = port.parse().map_err(|e| format!("port {port:?}: {e}"))?;
    let rate: f64 = rate.parse().map_err(|e| format!("rate {rate:?}: {e}"))?;
    if pictures.is_empty() || !(0.1..=10.0).contains(&rate) {
        return Err("a picture is needed, and a rate of 0.1 to 10 frames a second".into());
    }
    let read = |path: &String| std::fs::read(path).map_err(|e| format!("{path}: {e}"));
    let pictures = pictures.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let (kernel, theirs) = UnixStream::pair().map_err(|e| format!("no socket: {e}"))?;
    kernel.set_read_timeout(Some(PATIENCE)).map_err(|e| format!("no time-out: {e}"))?;
    let line = format!("{port} {} {} {HIGH_SPEED}", theirs.as_raw_fd(), 0x1_0002 + port);
    std::fs::write(HUB, line).map_err(|e| format!("{HUB}: {e}"))?;
    let now = Instant::now();
    Ok(Camera {
        kernel,
        received: Vec::new(),
        waiting: VecDeque::new(),
        interval: INTERVALS[0],
        every: Duration::from_secs_f64(1.0 / rate),
        pictures,
        still: Path::new(still).to_owned(),
        began: now,
        next_frame: now,
        frame: None,
        toggle: 0,
    })
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut camera = plugged_in(&arguments)?;
    println!("plugged in");
    camera.run().map_err(|e| format!("the kernel has let go of the camera: {e}"))
}
