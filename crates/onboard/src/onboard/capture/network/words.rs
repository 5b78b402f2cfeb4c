//! What ffmpeg's complaints mean, and what to do about them.
//!
//! In: the last lines that it said. Out: one line for the officer and for whoever mends the car. It
//! never repeats an address: some cameras take a password in it. Much of what ffmpeg says comes
//! from the camera and is treated as text of others.

use std::time::Duration;

use crate::config::CameraConfig;
use crate::text::ForeignText;

/// The keys that a message may ask to correct.
pub(super) struct Keys {
    camera: String,
    /// Whether the camera is sent a user name and a password.
    login: bool,
}

impl Keys {
    /// Those of a camera.
    pub(super) fn of(config: &CameraConfig) -> Self {
        Self { camera: config.key(""), login: config.username.is_some() }
    }
}

/// Why a stream ended or never began. `well` is whether ffmpeg ended of its own accord.
pub(super) fn reason(lines: &[String], well: bool, keys: &Keys) -> String {
    let said = |words: &[&str]| words.iter().any(|w| lines.iter().any(|line| line.contains(w)));
    let key = |name: &str| format!("{}{name}", keys.camera);
    if said(&["401 Unauthorized", "authorization failed"]) {
        let (url, name, file) = (key("url"), key("username"), key("password_file"));
        return match keys.login {
            true => format!("wrong user name or password: correct {name} and {file}"),
            false => {
                format!("it wants a user name and a password for {url}: set {name} and {file}")
            }
        };
    }
    if said(&["403 Forbidden", "access denied"]) {
        return format!(
            "{} may not see this stream: allow it on the camera's page",
            key("username")
        );
    }
    if said(&["404 Not Found", "404 Stream Not Found", "Server returned 404"]) {
        return format!("it has no stream of that name: correct the path in {}", key("url"));
    }
    if said(&["461 Unsupported", "Nonmatching transport"]) {
        return format!("it does not send that way: set {} to the other", key("transport"));
    }
    if said(&["Connection refused"]) {
        return format!(
            "the connection is refused: it is still starting, or {} has the wrong port",
            key("url")
        );
    }
    if said(&["Failed to resolve hostname"]) {
        return format!("nobody knows an address for that name: correct {}", key("url"));
    }
    if said(&["No route to host", "Network is unreachable", "Host is down", "Host is unreachable"])
    {
        return "it cannot be reached: see to its power, its cable and this computer's address"
            .into();
    }
    if said(&["Permission denied", "Operation not permitted"]) {
        return "this computer may not connect to it: see the service's IPAddressAllow= and the \
                firewall"
            .into();
    }
    if said(&["timed out"]) {
        return "it does not answer: see to its power and its cable".into();
    }
    if said(&["not on whitelist"]) {
        return "it sends pictures that are none of H.264, H.265 and MJPEG: choose one of these on \
                the camera's page"
            .into();
    }
    if said(&["matches no streams", "does not contain any stream", "454 Session Not Found"]) {
        return format!("there is no video at that address: correct {}", key("url"));
    }
    if said(&["Impossible to open"]) {
        return format!("no RTSP camera answers there: correct {}", key("url"));
    }
    match lines.last() {
        Some(line) if !well => format!("ffmpeg: {}", ForeignText::remark(plain(line))),
        _ => "it ended the stream".into(),
    }
}

/// That the pictures are too far behind.
pub(super) fn too_slow(behind: Duration) -> String {
    format!(
        "this computer decodes its pictures too slowly, they are {:.1} s behind: set a smaller \
         picture or fewer of them in a second on the camera's page",
        behind.as_secs_f64()
    )
}

/// A line without the part of ffmpeg that said it, and without addresses.
fn plain(line: &str) -> String {
    let line = match line.strip_prefix('[').and_then(|inside| inside.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    let word = |word: &str| match word.contains("://") {
        true => "(address)".to_owned(),
        false => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn keys(login: bool) -> Keys {
        let username = login.then(|| "car".to_owned());
        Keys::of(&CameraConfig { username, ..CameraConfig::named("roof") })
    }

    /// Lines as ffmpeg 5.1 writes them.
    #[rstest]
    #[case(
        "[rtsp @ 0x55] method DESCRIBE failed: 401 Unauthorized",
        "wrong user name or password: correct camera.roof.username and camera.roof.password_file"
    )]
    #[case(
        "pipe:0: Server returned 404 Not Found",
        "it has no stream of that name: correct the path in camera.roof.url"
    )]
    #[case(
        "[tcp @ 0x55] Connection to tcp://10.0.0.21:554?timeout=5000000 failed: Connection refused",
        "the connection is refused: it is still starting, or camera.roof.url has the wrong port"
    )]
    #[case(
        "[tcp @ 0x55] Failed to resolve hostname roof: Name or service not known",
        "nobody knows an address for that name: correct camera.roof.url"
    )]
    #[case(
        "[vp8 @ 0x55] Codec (vp8) not on whitelist 'h264,hevc,mjpeg'",
        "it sends pictures that are none of H.264, H.265 and MJPEG: choose one of these on the camera's page"
    )]
    #[case(
        "[concat @ 0x55] Impossible to open 'rtsp://roof/1'",
        "no RTSP camera answers there: correct camera.roof.url"
    )]
    #[case(
        "[rtsp @ 0x55] strange answer to rtsp://roof/1?password=x of rtsp://roof",
        "ffmpeg: strange answer to (address) of (address)"
    )]
    #[case("bad \u{202e}words\u{7}", "ffmpeg: bad \u{fffd}words\u{fffd}")]
    fn complaint_in_words(#[case] line: &str, #[case] words: &str) {
        assert_eq!(reason(&[line.to_owned()], false, &keys(true)), words);
    }

    #[test]
    fn without_a_login_the_message_says_what_to_set() {
        let lines = ["pipe:0: Server returned 401 Unauthorized".to_owned()];
        let told = reason(&lines, false, &keys(false));
        assert!(told.ends_with("set camera.roof.username and camera.roof.password_file"), "{told}");
    }

    #[test]
    fn stream_that_ends_in_order_says_so_whatever_was_complained_about_before() {
        let lines = ["[h264 @ 0x55] error while decoding MB 3 4".to_owned()];
        assert_eq!(reason(&lines, true, &keys(true)), "it ended the stream");
        assert_eq!(reason(&[], false, &keys(true)), "it ended the stream");
    }
}
