//! ffmpeg as the reader of one network camera: what it is told to do, and how it is started.
//!
//! In: an address and a login. Out: a process whose standard output is Y4M. The address goes to its
//! standard input, as a list with one entry (ffmpeg's `ffconcat`): every user of the machine can
//! read the arguments of a process, and the login is part of the address. ffmpeg may use no
//! protocol, container and decoder but those that such a camera needs.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use zeroize::Zeroizing;

use crate::config::{CameraAddress, CameraConfig, Transport};
use crate::secret_file;

/// The name under which ffmpeg is searched for in the path.
pub(super) const FFMPEG: &str = "ffmpeg";

/// Time within which the camera must accept a connection and answer, in microseconds.
const ANSWER_WITHIN_US: u32 = 5_000_000;

/// Longest user name and password together, in bytes as they stand in an address: ffmpeg cuts off
/// what is longer.
const LONGEST_LOGIN: usize = 127;

/// Threads that decode. The second one is worth a delay of one frame where a picture is large; more
/// would only add to the delay, and take the processors from reading.
const THREADS: &str = "2";

/// What the kernel ends first when memory is short: this, and not the daemon.
const ENDED_FIRST: &str = "1000";

/// User name and password.
pub(super) struct Login {
    password: Zeroizing<String>,
    /// Both as they stand in an address, the password by itself too.
    encoded: Zeroizing<String>,
    encoded_password: Zeroizing<String>,
}

impl Login {
    /// Reads the login of a camera, if it has one. The file is read now, so that a new password is
    /// used without a restart.
    pub(super) fn of(config: &CameraConfig) -> Result<Option<Self>, String> {
        let (Some(name), Some(file)) = (&config.username, &config.password_file) else {
            return Ok(None);
        };
        let key = config.key("password_file");
        let text = secret_file::read_given(file).map_err(|e| format!("{key}: {e}"))?;
        let password = text.split('\n').next().unwrap_or_default();
        let password = password.strip_suffix('\r').unwrap_or(password);
        if password.is_empty() {
            return Err(format!("{key}: the first line of {} is empty", file.display()));
        }
        let encoded_password = encoded(password);
        let encoded = Zeroizing::new(format!("{}:{}@", &*encoded(name), &*encoded_password));
        if encoded.len() - 1 > LONGEST_LOGIN {
            return Err(format!(
                "{key}: user name and password take {} bytes in an address, at most \
                 {LONGEST_LOGIN} can be sent; every letter that is not of the English alphabet \
                 takes three or more",
                encoded.len() - 1
            ));
        }
        let password = Zeroizing::new(password.to_owned());
        Ok(Some(Self { password, encoded, encoded_password }))
    }

    /// What must not be repeated.
    pub(super) fn secrets(self) -> Vec<Zeroizing<String>> {
        vec![self.password, self.encoded_password]
    }
}

/// A text as it stands in an address.
fn encoded(text: &str) -> Zeroizing<String> {
    // All of it is allocated at once: a buffer that grows leaves copies behind.
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
                out.extend(['%', digit(byte >> 4), digit(byte)]);
            }
        }
    }
    out
}

/// The list that ffmpeg reads: the one stream, and how to take it.
pub(super) fn list(
    address: CameraAddress<'_>,
    login: Option<&Login>,
    transport: Transport,
) -> Zeroizing<String> {
    let CameraAddress { host, rest } = address;
    let login = login.map_or("", |login| login.encoded.as_str());
    // The address has no quote in it: the configuration refuses that.
    Zeroizing::new(format!(
        "ffconcat version 1.0\nfile 'rtsp://{login}{host}{rest}'\n\
         option rtsp_transport {transport}\noption timeout {ANSWER_WITHIN_US}\n\
         option allowed_media_types video\n"
    ))
}

/// ffmpeg's arguments. `-safe 0` allows the list to have options, which say more than a file name;
/// `passthrough` keeps it from sending a frame twice to fill a gap: each vote would count.
fn arguments() -> Vec<&'static str> {
    let mut all = vec!["-nostdin", "-hide_banner", "-v", "error", "-threads", THREADS];
    all.extend(["-protocol_whitelist", "pipe,rtp,tcp,udp"]);
    all.extend(["-format_whitelist", "concat,rtsp", "-codec_whitelist", "h264,hevc,mjpeg"]);
    all.extend(["-f", "concat", "-safe", "0", "-i", "pipe:0"]);
    all.extend(["-map", "0:v:0", "-an", "-sn", "-dn", "-fps_mode", "passthrough"]);
    all.extend(["-vf", "scale=out_range=tv,format=yuv420p", "-f", "yuv4mpegpipe"]);
    all.extend(["-progress", "pipe:2", "-stats_period", "0.5", "pipe:1"]);
    all
}

/// A running ffmpeg.
pub(super) struct Started {
    /// The process.
    pub child: Child,
    /// Its pictures.
    pub pictures: ChildStdout,
    /// What it complains about.
    pub complaints: ChildStderr,
}

/// Starts ffmpeg on a list.
pub(super) fn start(ffmpeg: &str, list: &str) -> Result<Started, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(found) = found(ffmpeg, std::env::split_paths(&path)) else {
        return Err(format!(
            "{ffmpeg}, which reads network cameras, is not installed (apt-get install ffmpeg)"
        ));
    };
    let mut command = Command::new(found);
    command
        .args(arguments())
        .env_clear()
        .env("PATH", path)
        .current_dir("/")
        // A key that interrupts the daemon in a terminal must not end its cameras first.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    dies_with_this_thread(&mut command);
    let mut child = command.spawn().map_err(|e| format!("{ffmpeg} cannot be started: {e}"))?;
    // Best effort: with less memory than it wants, the daemon may be ended in its place.
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.id()), ENDED_FIRST);
    let mut stdin = child.stdin.take().expect("its input was asked for");
    let pictures = child.stdout.take().expect("its output was asked for");
    let complaints = child.stderr.take().expect("its errors were asked for");
    // The list fits into the pipe. If ffmpeg has ended already, it says why.
    match stdin.write_all(list.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("{ffmpeg} takes no address: {e}"))
        }
        _ => Ok(Started { child, pictures, complaints }),
    }
}

/// Has the kernel kill the program when the thread that starts it has ended: a daemon that was
/// killed drops nothing, and without a picture to write ffmpeg would not notice.
#[expect(unsafe_code, reason = "the standard library has no other way to ask for it")]
fn dies_with_this_thread(command: &mut Command) {
    // SAFETY: between fork and exec this makes one system call and touches no memory but its own
    // stack. `setpriv` could do it outside of us, but the unit's filter forbids it a call (capset).
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(())
        });
    }
}

/// Where a program is.
fn found(name: &str, path: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let runs = |file: &PathBuf| {
        Path::new(file).metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    path.map(|folder| folder.join(name)).find(runs)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A camera with this password in a file of this mode.
    fn camera(folder: &Path, name: &str, password: &str, mode: u32) -> CameraConfig {
        let file = folder.join("roof.password");
        fs::write(&file, password).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        CameraConfig {
            url: Some("rtsp://roof:554/a?b=1".into()),
            username: Some(name.into()),
            password_file: Some(file),
            ..CameraConfig::named("roof")
        }
    }

    fn refused(name: &str, password: &str, mode: u32) -> String {
        let folder = tempfile::tempdir().unwrap();
        Login::of(&camera(folder.path(), name, password, mode)).err().unwrap()
    }

    #[test]
    fn list_names_the_stream_with_its_login_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let camera = camera(folder.path(), "car 1", "p@:/ 'ss%\u{f6}\r\nmore\n", 0o640);
        let login = Login::of(&camera).unwrap();
        let address = CameraAddress::parse(camera.url.as_deref().unwrap()).unwrap();
        let text = list(address, login.as_ref(), Transport::Udp);
        assert_eq!(
            &*text,
            "ffconcat version 1.0\n\
             file 'rtsp://car%201:p%40%3A%2F%20%27ss%25%C3%B6@roof:554/a?b=1'\n\
             option rtsp_transport udp\noption timeout 5000000\n\
             option allowed_media_types video\n"
        );
        let secrets: Vec<_> = login.unwrap().secrets().iter().map(|s| s.to_string()).collect();
        assert_eq!(secrets, ["p@:/ 'ss%\u{f6}", "p%40%3A%2F%20%27ss%25%C3%B6"]);
        let bare = list(address, None, Transport::Tcp);
        assert!(bare.contains("file 'rtsp://roof:554/a?b=1'\noption rtsp_transport tcp\n"));
    }

    #[test]
    fn password_that_cannot_be_used_is_refused_without_being_told() {
        let told = refused("car", "hunter2", 0o644);
        assert!(
            told.contains("camera.roof.password_file: ") && told.contains("mode 0644"),
            "{told}"
        );
        let told = refused("car", "\nhunter2", 0o600);
        assert!(told.contains("the first line of ") && told.contains("is empty"), "{told}");
        let told = refused("car", &"hunter2\u{e9}".repeat(10), 0o600);
        assert!(told.contains("take 134 bytes in an address, at most 127"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        let none = CameraConfig::named("roof");
        assert!(Login::of(&none).unwrap().is_none());
    }

    #[test]
    fn without_ffmpeg_the_message_says_what_to_install() {
        let told = start("no-such-ffmpeg", "").err().unwrap();
        assert_eq!(
            told,
            "no-such-ffmpeg, which reads network cameras, is not installed (apt-get install ffmpeg)"
        );
    }
}
