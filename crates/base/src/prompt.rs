//! Reads a secret at the terminal without showing it.
//!
//! Secrets are taken neither from arguments nor from the environment: others can read both while
//! the process runs.
//!
//! The terminal does not echo while somebody types, and echoes again however that ends. For this
//! the keys that send signals (Ctrl-C, Ctrl-\, Ctrl-Z) are read here as bytes: the terminal is
//! restored first, and then the signal is sent. Only a signal from another process that ends this
//! one meanwhile leaves the terminal silent (`reset` helps).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};

use anyhow::{Context as _, bail};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// Length of the buffer for a passphrase, in bytes.
const LONGEST: usize = 512;

/// Reads a passphrase.
pub fn read_secret(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .context("a passphrase is typed at a terminal, and there is none")?;
    loop {
        write!(terminal, "{prompt}: ")?;
        let typed = typed(&terminal);
        writeln!(terminal)?;
        match typed? {
            Typed::Line(line) => return Ok(line),
            Typed::Signal(signal) => {
                kill_process(getpid(), signal)?;
                // After Ctrl-Z and a continuation the question is asked again.
                if signal != Signal::TSTP {
                    bail!("no passphrase was typed: interrupted");
                }
            }
        }
    }
}

/// Reads a new passphrase, which is typed twice.
pub fn read_new_secret(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let first = read_secret(prompt)?;
    if *read_secret("Once more")? != *first {
        bail!("the second entry differs from the first: try again");
    }
    Ok(first)
}

/// How typing ended.
enum Typed {
    /// With the enter key.
    Line(Zeroizing<String>),
    /// With a key that means this signal.
    Signal(Signal),
}

/// A terminal that does not echo; its settings are restored when this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> anyhow::Result<Self> {
        let before = tcgetattr(terminal).context("/dev/tty")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        // A read returns as soon as there is a byte.
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question is discarded.
        tcsetattr(terminal, OptionalActions::Flush, &silent).context("/dev/tty")?;
        Ok(Self { terminal, before })
    }

    /// Whether a byte is the terminal's key for this purpose; zero means that the key is switched
    /// off.
    fn is_key(&self, byte: u8, key: SpecialCodeIndex) -> bool {
        byte != 0 && self.before.special_codes[key] == byte
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Reads what somebody types until enter, with the terminal's own keys for erasing.
fn typed(terminal: &File) -> anyhow::Result<Typed> {
    let silent = Silent::new(terminal)?;
    // The bytes never move to a larger buffer, which would leave a copy behind.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = Zeroizing::new([0_u8]);
    loop {
        match (&*terminal).read(&mut *byte) {
            Ok(0) => bail!("the terminal closed before a passphrase was typed"),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e).context("/dev/tty"),
        }
        let key = byte[0];
        if silent.is_key(key, SpecialCodeIndex::VINTR) {
            return Ok(Typed::Signal(Signal::INT));
        } else if silent.is_key(key, SpecialCodeIndex::VQUIT) {
            return Ok(Typed::Signal(Signal::QUIT));
        } else if silent.is_key(key, SpecialCodeIndex::VSUSP) {
            return Ok(Typed::Signal(Signal::TSTP));
        } else if silent.is_key(key, SpecialCodeIndex::VEOF) {
            bail!("no passphrase was typed");
        } else if silent.is_key(key, SpecialCodeIndex::VKILL) {
            line.clear();
        } else if silent.is_key(key, SpecialCodeIndex::VERASE) || key == 0x08 {
            // Erases a whole character, which may have several bytes.
            while line.pop().is_some_and(|last| last & 0xc0 == 0x80) {}
        } else if key == b'\n' || key == b'\r' {
            break;
        } else if line.len() + 1 == LONGEST {
            bail!("the passphrase is longer than {} bytes", LONGEST - 1);
        } else {
            line.push(key);
        }
    }
    let text = std::str::from_utf8(&line).context("the passphrase is not UTF-8")?;
    Ok(Typed::Line(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// A terminal, and its other end, into which the test types.
    fn terminal() -> (File, File) {
        let person: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
        let open = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let terminal = rustix::fs::open(name, open, rustix::fs::Mode::empty()).unwrap();
        (terminal.into(), person.into())
    }

    fn echoes(terminal: &File) -> bool {
        tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Types once the terminal is silent. Returns the outcome, and whether the terminal echoes
    /// again.
    fn after(keys: &'static [u8]) -> (Result<String, String>, bool) {
        let (terminal, mut person) = terminal();
        let watched = terminal.try_clone().unwrap();
        let typing = std::thread::spawn(move || {
            while echoes(&watched) {
                std::thread::yield_now();
            }
            person.write_all(keys).unwrap();
            person
        });
        let typed = match typed(&terminal) {
            Ok(Typed::Line(line)) => Ok(line.to_string()),
            Ok(Typed::Signal(signal)) => Err(format!("signal {}", signal.as_raw())),
            Err(e) => Err(e.to_string()),
        };
        let _person = typing.join().unwrap();
        (typed, echoes(&terminal))
    }

    #[test]
    fn terminal_echoes_again_however_typing_ends() {
        for (keys, what) in [
            (&b"five words\n"[..], Ok("five words")),
            (b"five worse\x7f\x7fds\n", Ok("five words")),
            (b"nothing of this\x15five\n", Ok("five")),
            ("cl\u{e9}\x7fes\n".as_bytes(), Ok("cles")),
            (b"fi\x03", Err("signal 2")),
            (b"fi\x1c", Err("signal 3")),
            (b"fi\x1a", Err("signal 20")),
            (b"fi\x04", Err("no passphrase was typed")),
            (b"\xff\n", Err("the passphrase is not UTF-8")),
            (&[b'x'; LONGEST], Err("the passphrase is longer than 511 bytes")),
        ] {
            let (typed, echoes) = after(keys);
            assert_eq!(typed, what.map(str::to_owned).map_err(str::to_owned));
            assert!(echoes, "after {keys:?}");
        }
    }
}
