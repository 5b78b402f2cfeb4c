//! `[[camera]]`: one section per camera of the car.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};

use super::ConfigError;
use super::network_camera::{self, Transport};
use crate::camera_id::CameraId;

/// One camera. Only `name` is needed when the car has one camera.
///
/// A setting that is left out is chosen from what the camera offers, anew at every start: leaving
/// `exposure` out after it was 50 means automatic exposure again, not 50.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// How the camera is called in hits, health and on the console, such as `front`: 1 to 32
    /// letters, digits, `-` or `_`, and no two alike.
    pub name: CameraId,
    /// Which camera: a path, best one that survives replugging (`/dev/v4l/by-path/...` names the
    /// socket, `/dev/v4l/by-id/...` the camera), or a part of the camera's own name, such as
    /// `HD Pro Webcam`. Left out: the only camera there is.
    pub device: Option<String>,
    /// A recording that is played in place of a camera, over and over, as fast as it was recorded:
    /// a folder of pictures, AVI, MJPEG or Y4M, and any film where ffmpeg is installed. It is for
    /// trying a car without a camera; check, health and the page say that it is no camera. Excludes
    /// `device`.
    pub recording: Option<PathBuf>,
    /// Address of a network camera, such as `rtsp://10.0.0.21/stream`, without user name and
    /// password. It takes the place of `device`; size, rate, exposure and the like are set on the
    /// camera's own page.
    pub url: Option<String>,
    /// How a network camera's pictures travel: `"tcp"` or `"udp"`. Left out: tcp.
    pub transport: Option<Transport>,
    /// User name at the network camera, where it wants one. Goes with `password_file`.
    pub username: Option<String>,
    /// File whose first line is the password at the network camera. It has no place in this file,
    /// which others may read.
    pub password_file: Option<PathBuf>,
    /// Pixels per row, 160 to 7680. Goes with `height`. Left out: the offered size nearest to
    /// 1920x1080.
    pub width: Option<u32>,
    /// Rows, 120 to 4320. Goes with `width`.
    pub height: Option<u32>,
    /// Frames per second, 2 to 240. Left out: 30, or the nearest that the camera offers.
    pub fps: Option<f64>,
    /// Pixel format. Left out: the first of mjpeg, yuyv, nv12, grey, y10,
    /// y12, y16 that the camera offers.
    pub format: Option<PixelFormat>,
    /// Exposure time in units of 100 µs (10 is 1 ms), or `"auto"`. A car passing at 100 km/h
    /// blurs over more than a stroke of a plate at about 1 ms.
    #[serde(default)]
    pub exposure: Level,
    /// Gain in the camera's own units, or `"auto"`.
    #[serde(default)]
    pub gain: Level,
    /// Focus in the camera's own units, or `"auto"`. Behind glass, automatic focus may settle on
    /// the glass: set a value.
    #[serde(default)]
    pub focus: Level,
}

/// A pixel format that we can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelFormat {
    /// JPEG pictures.
    Mjpeg,
    /// 4:2:2, two bytes per pixel.
    Yuyv,
    /// 4:2:0, a plane of luma and one of chroma.
    Nv12,
    /// Luma only, a byte a pixel.
    Grey,
    /// Luma only, the lower ten bits of two bytes a pixel.
    Y10,
    /// Luma only, the lower twelve bits of two bytes a pixel.
    Y12,
    /// Luma only, two bytes a pixel.
    Y16,
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mjpeg => "mjpeg",
            Self::Yuyv => "yuyv",
            Self::Nv12 => "nv12",
            Self::Grey => "grey",
            Self::Y10 => "y10",
            Self::Y12 => "y12",
            Self::Y16 => "y16",
        })
    }
}

/// A setting that the camera can manage by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Not written: automatic where the camera can do that, else the driver's default.
    #[default]
    Unset,
    /// Written as `"auto"`: refused where the camera cannot do that.
    Auto,
    /// A value that must be within the driver's range.
    Fixed(i64),
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\" or a whole number")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Level, E> {
                Ok(Level::Fixed(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Level, E> {
                i64::try_from(value)
                    .map(Level::Fixed)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Level, E> {
                match value {
                    "auto" => Ok(Level::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// 7680 x 4320 is 8K, more than any car camera delivers.
const WIDTHS: std::ops::RangeInclusive<u32> = 160..=7680;
const HEIGHTS: std::ops::RangeInclusive<u32> = 120..=4320;
/// Under 2, a running camera could not be told from a stalled one within 2 s.
const RATES: std::ops::RangeInclusive<f64> = 2.0..=240.0;

impl CameraConfig {
    /// A camera of this name with every other setting left out.
    pub fn named(name: &str) -> Self {
        Self {
            name: CameraId::new(name),
            device: None,
            recording: None,
            url: None,
            transport: None,
            username: None,
            password_file: None,
            width: None,
            height: None,
            fps: None,
            format: None,
            exposure: Level::Unset,
            gain: Level::Unset,
            focus: Level::Unset,
        }
    }

    /// The dotted key of one of this camera's settings, as errors name it.
    pub fn key(&self, field: &str) -> String {
        format!("camera.{}.{field}", self.name)
    }

    fn refuse(&self, field: &str, value: impl fmt::Display, range: &str) -> ConfigError {
        ConfigError::Range { key: self.key(field), value: value.to_string(), range: range.into() }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        network_camera::validate(self)?;
        if let Some(device) = &self.device
            && device.trim().is_empty()
        {
            return Err(self.refuse(
                "device",
                format!("{device:?}"),
                "a path under /dev or a part of the camera's name (leave it out for the only \
                 camera)",
            ));
        }
        if let (Some(recording), Some(_)) = (&self.recording, &self.device) {
            return Err(self.refuse(
                "recording",
                format!("{:?}", recording.display().to_string()),
                "left out with device: it is played in place of a camera",
            ));
        }
        match (self.width, self.height) {
            (Some(width), _) if !WIDTHS.contains(&width) => {
                return Err(self.refuse("width", width, "160 to 7680 pixels"));
            }
            (_, Some(height)) if !HEIGHTS.contains(&height) => {
                return Err(self.refuse("height", height, "120 to 4320 pixels"));
            }
            (Some(width), None) => {
                return Err(self.refuse("width", width, "written together with height"));
            }
            (None, Some(height)) => {
                return Err(self.refuse("height", height, "written together with width"));
            }
            _ => {}
        }
        if let Some(fps) = self.fps
            && !RATES.contains(&fps)
        {
            return Err(self.refuse("fps", fps, "2 to 240 frames per second"));
        }
        for (field, level) in
            [("exposure", self.exposure), ("gain", self.gain), ("focus", self.focus)]
        {
            // V4L2 controls are 32 bits wide; the camera's own range is checked when the camera is
            // opened.
            if let Level::Fixed(value) = level
                && i32::try_from(value).is_err()
            {
                return Err(self.refuse(field, value, "\"auto\" or a number of 32 bits"));
            }
        }
        Ok(())
    }
}

/// Rules for all cameras together.
pub(super) fn validate(cameras: &[CameraConfig]) -> Result<(), ConfigError> {
    for (i, camera) in cameras.iter().enumerate() {
        let name = camera.name.as_str();
        if !super::is_topic_level(name) {
            return Err(ConfigError::Range {
                key: "camera.name".into(),
                value: format!("{name:?}"),
                range: super::TOPIC_LEVEL.into(),
            });
        }
        camera.validate()?;
        // With two cameras, "the only camera" would be whichever is plugged in while the other is
        // not.
        let stated = camera.device.is_some() || camera.recording.is_some() || camera.url.is_some();
        if cameras.len() > 1 && !stated {
            return Err(camera.refuse(
                "device",
                "(left out)",
                "written for each camera when there is more than one",
            ));
        }
        for earlier in &cameras[..i] {
            if earlier.name == camera.name {
                return Err(ConfigError::Range {
                    key: "camera.name".into(),
                    value: format!("{name:?}"),
                    range: "a name that no other camera has".into(),
                });
            }
            if camera.url.is_some() && earlier.url == camera.url {
                return Err(camera.refuse(
                    "url",
                    network_camera::told(camera.url.as_deref().unwrap_or_default()),
                    &format!("another address than that of camera {}", earlier.name),
                ));
            }
            if camera.device.is_some() && earlier.device == camera.device {
                let device = camera.device.as_deref().unwrap_or_default();
                return Err(camera.refuse(
                    "device",
                    format!("{device:?}"),
                    &format!("another device than that of camera {}", earlier.name),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;
    use crate::config::Config;

    fn parse(cameras: &str) -> Result<Vec<CameraConfig>, String> {
        let text = format!("[vehicle]\nid = \"4127\"\nagency = \"peel\"\n{cameras}");
        Config::parse(&text, Path::new("o.toml")).map(|c| c.camera).map_err(|e| e.to_string())
    }

    #[test]
    fn car_without_cameras_and_car_with_one_unnamed_device_are_fine() {
        assert!(parse("").unwrap().is_empty());
        let cameras = parse("[[camera]]\nname = \"front\"").unwrap();
        assert_eq!(cameras[0].device, None);
        assert_eq!(cameras[0].exposure, Level::Unset);
    }

    #[test]
    fn every_setting_is_read() {
        let cameras = parse(
            "[[camera]]\nname = \"front\"\ndevice = \"HD Pro\"\nwidth = 1280\nheight = 720\n\
             fps = 29.97\nformat = \"nv12\"\nexposure = 10\ngain = \"auto\"\nfocus = 0",
        )
        .unwrap();
        let camera = &cameras[0];
        assert_eq!((camera.width, camera.height, camera.fps), (Some(1280), Some(720), Some(29.97)));
        assert_eq!(camera.format, Some(PixelFormat::Nv12));
        assert_eq!(
            (camera.exposure, camera.gain, camera.focus),
            (Level::Fixed(10), Level::Auto, Level::Fixed(0))
        );
    }

    #[rstest]
    #[case("width = 1280", "6: camera.front.width = 1280: must be written together with height")]
    #[case("height = 720", "6: camera.front.height = 720: must be written together with width")]
    #[case("width = 100\nheight = 720", "6: camera.front.width = 100: must be 160 to 7680 pixels")]
    #[case("width = 1280\nheight = 9", "7: camera.front.height = 9: must be 120 to 4320 pixels")]
    #[case("fps = 0", "6: camera.front.fps = 0: must be 2 to 240 frames per second")]
    #[case("fps = nan", "6: camera.front.fps = NaN: must be 2 to 240 frames per second")]
    #[case("fps = 1000.5", "6: camera.front.fps = 1000.5: must be 2 to 240 frames per second")]
    #[case(
        "device = \" \"",
        "6: camera.front.device = \" \": must be a path under /dev or a part of the camera's name \
         (leave it out for the only camera)"
    )]
    #[case(
        "gain = 3000000000",
        "6: camera.front.gain = 3000000000: must be \"auto\" or a number of 32 bits"
    )]
    #[case(
        "format = \"h264\"",
        "6: camera.front.format = \"h264\": must be \"mjpeg\", \"yuyv\", \"nv12\", \"grey\", \"y10\", \"y12\" or \"y16\""
    )]
    #[case(
        "exposure = \"short\"",
        "6: camera.front.exposure = \"short\": must be \"auto\" or a whole number"
    )]
    #[case("exposure = 0.5", "6: camera.front.exposure = 0.5: must be \"auto\" or a whole number")]
    #[case(
        "exposure_ms = 1",
        "6: camera.front.exposure_ms: there is no such key: did you mean \"exposure\"?"
    )]
    fn refusal_names_line_key_value_and_range(#[case] line: &str, #[case] message: &str) {
        let told = parse(&format!("[[camera]]\nname = \"front\"\n{line}")).unwrap_err();
        assert_eq!(told, format!("o.toml:{message}"));
    }

    #[rstest]
    #[case(
        "[[camera]]\nname = \"a b\"",
        "camera.name = \"a b\": must be 1 to 32 letters, digits, - or _"
    )]
    #[case(
        "[[camera]]\nname = \"a\"\ndevice = \"x\"\n[[camera]]\nname = \"a\"\ndevice = \"y\"",
        "camera.name = \"a\": must be a name that no other camera has"
    )]
    #[case(
        "[[camera]]\nname = \"a\"\ndevice = \"x\"\n[[camera]]\nname = \"b\"\ndevice = \"x\"",
        "camera.b.device = \"x\": must be another device than that of camera a"
    )]
    #[case(
        "[[camera]]\nname = \"a\"\ndevice = \"x\"\n[[camera]]\nname = \"b\"",
        "camera.b.device = (left out): must be written for each camera when there is more than one"
    )]
    fn cameras_must_not_share(#[case] text: &str, #[case] message: &str) {
        let told = parse(text).unwrap_err();
        assert!(told.ends_with(message), "{told}");
    }
}
