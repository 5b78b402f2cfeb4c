//! A network camera in a `[[camera]]` section: its address, how its stream travels, its login.
//!
//! In: the keys `url`, `transport`, `username` and `password_file`. Out: a checked address, or a
//! refusal. Leaves to others: reading the password, which is done anew at each connection.

use std::fmt;

use serde::Deserialize;

use super::{CameraConfig, ConfigError, Level};

/// How the pictures of a network camera travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Inside the connection that asks for them: nothing is lost on the way.
    #[default]
    Tcp,
    /// In packets of their own: a lost one damages the pictures up to the next whole one.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// What `url` must look like.
const FORM: &str = "rtsp://HOST/PATH or rtsp://HOST:PORT/PATH, as the camera's manual states it";

/// The parts of an address `rtsp://HOST:PORT/PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CameraAddress<'a> {
    /// Host and port as written, such as `10.0.0.21:554`. It may be told.
    pub host: &'a str,
    /// The rest, from the first slash on. It is not told: some cameras take a password in it.
    pub rest: &'a str,
}

impl<'a> CameraAddress<'a> {
    /// Takes an address apart; `None` where it is none, or has a user name in it.
    pub fn parse(url: &'a str) -> Option<Self> {
        let whole = url.strip_prefix("rtsp://")?;
        let (host, rest) = whole.split_at(whole.find(['/', '?', '#']).unwrap_or(whole.len()));
        let (name, port) = match host.strip_prefix('[') {
            Some(v6) => v6.split_once(']')?,
            None => host.split_at(host.find(':').unwrap_or(host.len())),
        };
        let named = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let good = match host.starts_with('[') {
            true => name.parse::<std::net::Ipv6Addr>().is_ok(),
            false => !name.is_empty() && name.bytes().all(named),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().is_ok_and(|port: u16| port != 0),
            None => port.is_empty(),
        };
        // What RFC 3986 allows in a path and a query, but for the quote and the sign after a login.
        let in_path = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]!$&()*+,;=%".contains(&b);
        (good && port && url.len() <= LONGEST && rest.bytes().all(in_path))
            .then_some(Self { host, rest })
    }
}

/// Longest address, in bytes: ffmpeg cuts off what is longer.
const LONGEST: usize = 500;

/// An address as messages repeat it: without its path.
pub(super) fn told(url: &str) -> String {
    let host = url.find("://").map_or(0, |at| at + 3);
    match url[host..].find('/') {
        Some(slash) => format!("\"{}/...\"", &url[..host + slash]),
        None => format!("{url:?}"),
    }
}

/// Checks the keys of a network camera, and that nothing is set that such a camera has on its own
/// page.
pub(super) fn validate(camera: &CameraConfig) -> Result<(), ConfigError> {
    let refuse = |field: &str, value: String, range: &str| {
        Err(ConfigError::Range { key: camera.key(field), value, range: range.into() })
    };
    let path = |path: &std::path::Path| format!("{:?}", path.display().to_string());
    let Some(url) = &camera.url else {
        let transport = camera.transport.map(|t| format!("\"{t}\""));
        let username = camera.username.as_ref().map(|name| format!("{name:?}"));
        let password = camera.password_file.as_deref().map(path);
        for (field, value) in
            [("transport", transport), ("username", username), ("password_file", password)]
        {
            if let Some(value) = value {
                return refuse(field, value, "written together with url, for a network camera");
            }
        }
        return Ok(());
    };
    if url.contains('@') {
        return refuse(
            "url",
            "(not shown: it may hold a password)".into(),
            "written without user name and password, which belong into username and \
             password_file; an @ of the path is written %40",
        );
    }
    if CameraAddress::parse(url).is_none() {
        return refuse("url", told(url), FORM);
    }
    let level = |level: Level| match level {
        Level::Unset => None,
        Level::Auto => Some("\"auto\"".to_owned()),
        Level::Fixed(value) => Some(value.to_string()),
    };
    for (field, value) in [
        ("device", camera.device.as_ref().map(|device| format!("{device:?}"))),
        ("recording", camera.recording.as_deref().map(path)),
        ("width", camera.width.map(|n| n.to_string())),
        ("height", camera.height.map(|n| n.to_string())),
        ("fps", camera.fps.map(|n| n.to_string())),
        ("format", camera.format.map(|format| format!("\"{format}\""))),
        ("exposure", level(camera.exposure)),
        ("gain", level(camera.gain)),
        ("focus", level(camera.focus)),
    ] {
        if let Some(value) = value {
            let range = match field {
                "device" | "recording" => "left out with url: a camera is one of the three",
                _ => "left out with url: set it on the network camera's own page",
            };
            return refuse(field, value, range);
        }
    }
    match (&camera.username, &camera.password_file) {
        (Some(name), None) => {
            return refuse("username", format!("{name:?}"), "written together with password_file");
        }
        (None, Some(file)) => {
            return refuse("password_file", path(file), "written together with username");
        }
        (Some(name), _) if name.is_empty() || name.contains([':', '\n']) || name.len() > 64 => {
            return refuse(
                "username",
                format!("{name:?}"),
                "1 to 64 bytes without a colon, which would end it",
            );
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;
    use crate::config::Config;

    fn parse(lines: &str) -> Result<Vec<CameraConfig>, String> {
        let text = format!(
            "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[[camera]]\nname = \"roof\"\n{lines}"
        );
        Config::parse(&text, Path::new("o.toml")).map(|c| c.camera).map_err(|e| e.to_string())
    }

    #[rstest]
    #[case("rtsp://10.0.0.21/stream", "10.0.0.21", "/stream")]
    #[case(
        "rtsp://roof-1.car.lan:8554/a/b?channel=1&subtype=0",
        "roof-1.car.lan:8554",
        "/a/b?channel=1&subtype=0"
    )]
    #[case("rtsp://[fe80::21]:554/h264", "[fe80::21]:554", "/h264")]
    #[case("rtsp://roof", "roof", "")]
    fn addresses(#[case] url: &str, #[case] host: &str, #[case] rest: &str) {
        assert_eq!(CameraAddress::parse(url), Some(CameraAddress { host, rest }));
    }

    #[rstest]
    #[case("http://10.0.0.21/stream")]
    #[case("rtsps://10.0.0.21/stream")]
    #[case("rtsp://")]
    #[case("rtsp:///stream")]
    #[case("rtsp://roof:0/")]
    #[case("rtsp://roof:99999/")]
    #[case("rtsp://[roof]/")]
    #[case("rtsp://u:p@roof/")]
    #[case("rtsp://roof/a b")]
    #[case("rtsp://roof/a'\nfile '/etc/passwd")]
    #[case("rtsp://roof/\u{f6}")]
    fn what_is_no_address_of_a_camera(#[case] url: &str) {
        assert_eq!(CameraAddress::parse(url), None);
    }

    #[test]
    fn network_camera_needs_its_address_alone() {
        let cameras = parse("url = \"rtsp://roof/1\"").unwrap();
        assert_eq!(cameras[0].url.as_deref(), Some("rtsp://roof/1"));
        assert_eq!(cameras[0].transport.unwrap_or_default(), Transport::Tcp);
        let whole = "url = \"rtsp://roof/1\"\ntransport = \"udp\"\nusername = \"car\"\n\
                     password_file = \"/etc/outrider/roof.password\"";
        assert_eq!(parse(whole).unwrap()[0].transport, Some(Transport::Udp));
    }

    #[rstest]
    #[case("url = \"roof/1\"", "url = \"roof/...\": must be rtsp://HOST/PATH or")]
    #[case("transport = \"udp\"", "transport = \"udp\": must be written together with url")]
    #[case("username = \"car\"", "username = \"car\": must be written together with url")]
    #[case("password_file = \"/p\"", "password_file = \"/p\": must be written together with url")]
    fn keys_of_a_network_camera_need_an_address(#[case] lines: &str, #[case] message: &str) {
        let told = parse(lines).unwrap_err();
        assert!(told.contains(&format!("camera.roof.{message}")), "{told}");
    }

    #[rstest]
    #[case("device = \"/dev/video0\"", "device = \"/dev/video0\": must be left out with url")]
    #[case("recording = \"/a.avi\"", "recording = \"/a.avi\": must be left out with url")]
    #[case("fps = 10", "fps = 10: must be left out with url: set it on the network camera's own")]
    #[case("format = \"mjpeg\"", "format = \"mjpeg\": must be left out with url")]
    #[case("exposure = 10", "exposure = 10: must be left out with url")]
    #[case("focus = \"auto\"", "focus = \"auto\": must be left out with url")]
    #[case("transport = \"http\"", "transport = \"http\": must be \"tcp\" or \"udp\"")]
    #[case("username = \"car\"", "username = \"car\": must be written together with password_file")]
    #[case("password_file = \"/p\"", "password_file = \"/p\": must be written together with user")]
    #[case("username = \"a:b\"\npassword_file = \"/p\"", "username = \"a:b\": must be 1 to 64")]
    fn what_does_not_go_together_is_named(#[case] lines: &str, #[case] message: &str) {
        let told = parse(&format!("url = \"rtsp://roof/1\"\n{lines}")).unwrap_err();
        assert!(told.contains(&format!("camera.roof.{message}")), "{told}");
    }

    #[test]
    fn password_in_the_address_is_refused_and_not_repeated() {
        for url in ["rtsp://car:hunter2@roof/1", "rtsp://car:/hunter2@roof", "a/hunter2"] {
            let told = parse(&format!("url = \"{url}\"")).unwrap_err();
            assert!(!told.contains("hunter2"), "{told}");
        }
        let told = parse("url = \"rtsp://car:hunter2@roof/1\"").unwrap_err();
        assert!(told.contains("which belong into username and password_file"), "{told}");
    }

    #[test]
    fn two_cameras_do_not_share_an_address_and_need_no_device() {
        let other = |url: &str| {
            parse(&format!(
                "url = \"rtsp://roof/1\"\n[[camera]]\nname = \"rear\"\nurl = \"rtsp://roof/{url}\""
            ))
        };
        assert_eq!(other("2").unwrap().len(), 2);
        let told = other("1").unwrap_err();
        assert!(told.contains("camera.rear.url = \"rtsp://roof/...\": must be another"), "{told}");
    }
}
