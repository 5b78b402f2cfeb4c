//! A USB bridge with GPIO lines in software. It is a HID device of the kernel's `uhid`, so that a real driver binds to it and
//! makes a GPIO chip of it.
//!
//! `usb_gpio KIND FOLDER` plugs it in. KIND is `cp2112`, eight lines whose driver tells of changes, or `mcp2221`, four lines
//! whose driver tells of none. FOLDER has a file for each line, `0` and so on, in which `1` is high and `0` is low: of a line that is an
//! input the file is read whenever the driver asks, of an output it is written. Ending the program pulls the plug. It needs
//! root, `modprobe uhid` and the driver (`hid-cp2112`, `hid-mcp2221`), and of Rust the standard library alone:
//! `rustc --edition 2024 -O examples/usb_gpio.rs` builds it in a second.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Events of `linux/uhid.h`, of which this answers some.
const OUTPUT: u32 = 6;
const GET_REPORT: u32 = 9;
const GET_REPORT_REPLY: u32 = 10;
const CREATE: u32 = 11;
const INPUT: u32 = 12;
const SET_REPORT: u32 = 13;
const SET_REPORT_REPLY: u32 = 14;
/// Bytes of the largest event.
const LARGEST: usize = 4 + 4372;
const BUS_USB: u16 = 3;
/// Answers of the kernel's errno: no such report.
const REFUSED: u16 = 5;

/// One collection of a vendor with 64 bytes in and 64 out. Feature reports need no mention: the kernel passes on what the
/// driver asks.
const DESCRIPTOR: [u8; 25] = [
    0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x40,
    0x09, 0x01, 0x81, 0x02, 0x09, 0x01, 0x91, 0x02, 0xC0,
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cp2112,
    Mcp2221,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "cp2112" => Some(Self::Cp2112),
            "mcp2221" => Some(Self::Mcp2221),
            _ => None,
        }
    }

    /// Vendor and product.
    fn numbers(self) -> (u32, u32) {
        match self {
            Self::Cp2112 => (0x10C4, 0xEA90),
            Self::Mcp2221 => (0x04D8, 0x00DD),
        }
    }

    fn lines(self) -> usize {
        match self {
            Self::Cp2112 => 8,
            Self::Mcp2221 => 4,
        }
    }
}

struct Chip {
    kind: Kind,
    folder: PathBuf,
    kernel: File,
    /// Whether each line is an output.
    outputs: [bool; 8],
}

impl Chip {
    fn plugged_in(kind: Kind, folder: &Path) -> io::Result<Self> {
        let mut kernel = OpenOptions::new().read(true).write(true).open("/dev/uhid")?;
        let mut event = CREATE.to_le_bytes().to_vec();
        let mut text = |text: &str, room: usize| {
            event.extend(text.bytes());
            event.resize(event.len() + room - text.len(), 0);
        };
        text("USB bridge in software", 128);
        text("", 64);
        text("", 64);
        let (vendor, product) = kind.numbers();
        event.extend(u16::try_from(DESCRIPTOR.len()).unwrap_or(0).to_le_bytes());
        event.extend(BUS_USB.to_le_bytes());
        for number in [vendor, product, 0, 0] {
            event.extend(number.to_le_bytes());
        }
        event.extend(DESCRIPTOR);
        kernel.write_all(&event)?;
        Ok(Self { kind, folder: folder.to_owned(), kernel, outputs: [false; 8] })
    }

    fn file(&self, line: usize) -> PathBuf {
        self.folder.join(line.to_string())
    }

    /// A line that cannot be read is low.
    fn level(&self, line: usize) -> bool {
        std::fs::read(self.file(line)).is_ok_and(|level| level.starts_with(b"1"))
    }

    /// Nobody ever reads half a level: the file is put in place of the one before.
    fn set(&self, line: usize, level: bool) -> io::Result<()> {
        let new = self.folder.join("new");
        std::fs::write(&new, if level { "1\n" } else { "0\n" })?;
        std::fs::rename(new, self.file(line))
    }

    /// What the CP2112 says of a feature report.
    fn feature(&self, report: u8) -> Option<Vec<u8>> {
        let bits = |is: &dyn Fn(usize) -> bool| {
            (0..8).filter(|line| is(*line)).fold(0, |bits, line| bits | 1 << line)
        };
        match report {
            // Direction, push-pull, special, clock.
            2 => Some(vec![2, bits(&|line| self.outputs[line]), 0xFF, 0, 0]),
            3 => Some(vec![3, bits(&|line| self.level(line))]),
            // Part number and version.
            5 => Some(vec![5, 0x0C, 3]),
            // SMBus.
            6 => Some([6].into_iter().chain([0; 13]).collect()),
            // Nothing may be programmed.
            0x20 => Some(vec![0x20, 0]),
            _ => None,
        }
    }

    /// Takes a feature report of the CP2112; `false` refuses.
    fn take_feature(&mut self, report: &[u8]) -> io::Result<bool> {
        match *report {
            [2, direction, ..] => {
                for (line, output) in self.outputs.iter_mut().enumerate() {
                    *output = direction & 1 << line != 0;
                }
            }
            [4, levels, which, ..] => {
                for line in (0..8).filter(|line| which & 1 << line != 0 && self.outputs[*line]) {
                    self.set(line, levels & 1 << line != 0)?;
                }
            }
            [6, ..] => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The MCP2221's answer to a command, which begins with the command.
    fn answer(&mut self, command: &[u8; 64]) -> io::Result<[u8; 64]> {
        let mut answer = [0; 64];
        answer[0] = command[0];
        match command[0] {
            // Levels and directions are set, each where its flag says so; the answer repeats them.
            0x50 => {
                answer[2..18].copy_from_slice(&command[2..18]);
                for line in 0..self.kind.lines() {
                    let [sets_level, level, sets_direction, is_input] =
                        [0, 1, 2, 3].map(|byte| command[2 + 4 * line + byte] != 0);
                    if sets_direction {
                        self.outputs[line] = !is_input;
                    }
                    if sets_level && self.outputs[line] {
                        self.set(line, level)?;
                    }
                }
            }
            0x51 => {
                for line in 0..self.kind.lines() {
                    answer[2 + 2 * line] = u8::from(self.level(line));
                    answer[3 + 2 * line] = u8::from(!self.outputs[line]);
                }
            }
            _ => {}
        }
        Ok(answer)
    }

    /// Until the kernel lets go of the device.
    fn run(&mut self) -> io::Result<()> {
        let mut event = vec![0; LARGEST];
        loop {
            let length = self.kernel.read(&mut event)?;
            let [a, b, c, d, rest @ ..] = &event[..length] else { return Ok(()) };
            let mut reply = Vec::new();
            match (u32::from_le_bytes([*a, *b, *c, *d]), rest) {
                (GET_REPORT, [a, b, c, d, number, ..]) => {
                    let report = self.feature(*number);
                    let error = if report.is_some() { 0 } else { REFUSED };
                    let report = report.unwrap_or_default();
                    reply.extend(GET_REPORT_REPLY.to_le_bytes());
                    reply.extend([a, b, c, d]);
                    reply.extend(error.to_le_bytes());
                    reply.extend(u16::try_from(report.len()).unwrap_or(0).to_le_bytes());
                    reply.extend(report);
                }
                // Number, kind of report, and the report's length before the report itself.
                (SET_REPORT, [a, b, c, d, _, _, low, high, report @ ..]) => {
                    let length = usize::from(u16::from_le_bytes([*low, *high]));
                    let report = report.get(..length).unwrap_or_default();
                    let error = if self.take_feature(report)? { 0 } else { REFUSED };
                    reply.extend(SET_REPORT_REPLY.to_le_bytes());
                    reply.extend([a, b, c, d]);
                    reply.extend(error.to_le_bytes());
                }
                (OUTPUT, command) if self.kind == Kind::Mcp2221 => {
                    let Some(command) = command.first_chunk().copied() else { continue };
                    let answer = self.answer(&command)?;
                    reply.extend(INPUT.to_le_bytes());
                    reply.extend(64u16.to_le_bytes());
                    reply.extend(answer);
                }
                _ => continue,
            }
            self.kernel.write_all(&reply)?;
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(kind), [_, folder]) =
        (arguments.first().and_then(|name| Kind::of(name)), arguments.as_slice())
    else {
        eprintln!("usage: usb_gpio cp2112|mcp2221 FOLDER");
        std::process::exit(2);
    };
    let ended = Chip::plugged_in(kind, Path::new(folder)).and_then(|mut chip| chip.run());
    if let Err(e) = ended {
        eprintln!("error: {e}: it needs root, modprobe uhid, and the folder {folder}");
        std::process::exit(1);
    }
}
