//! Which cameras there are, and which one a configuration means.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::abi::{self, cap};
use super::controls::{self, ControlInfo};
use super::device::Device;
use super::offer::Offer;
use crate::config::CameraConfig;
use crate::onboard::capture::CaptureError;

/// A camera that is plugged in, for `outrider check` and for whoever writes the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraInfo {
    /// Its node, such as `/dev/video0`. Changes with the order of plugging in.
    pub device: PathBuf,
    /// The name that follows the camera, if it has a serial number.
    pub by_id: Option<PathBuf>,
    /// The name that follows the socket.
    pub by_path: Option<PathBuf>,
    /// What the camera calls itself.
    pub card: String,
    /// The kernel's driver.
    pub driver: String,
    /// Formats, sizes and rates.
    pub offer: Offer,
    /// Exposure, gain and focus.
    pub controls: Vec<ControlInfo>,
}

impl CameraInfo {
    /// The name to write into the configuration: the most stable one.
    pub fn stable_name(&self) -> &Path {
        self.by_path.as_deref().or(self.by_id.as_deref()).unwrap_or(&self.device)
    }
}

/// All cameras, and the nodes that could not be asked. Nodes that are no cameras (metadata,
/// codecs) are left out.
pub fn list_cameras() -> (Vec<CameraInfo>, Vec<CaptureError>) {
    let (mut cameras, mut errors) = (Vec::new(), Vec::new());
    for node in nodes(Path::new("/dev")) {
        match open_camera(&node) {
            Ok((device, names)) => cameras.push(CameraInfo {
                by_id: link_to(Path::new("/dev/v4l/by-id"), &node),
                by_path: link_to(Path::new("/dev/v4l/by-path"), &node),
                card: names.card,
                driver: names.driver,
                offer: Offer::ask(&device),
                controls: controls::list(&device),
                device: node,
            }),
            Err(CaptureError::NotACamera { .. }) => {}
            Err(error) => errors.push(error),
        }
    }
    (cameras, errors)
}

/// What a camera calls itself.
pub(super) struct Names {
    pub(super) card: String,
    pub(super) driver: String,
}

/// Opens a node and makes sure that frames can be streamed from it.
pub(super) fn open_camera(path: &Path) -> Result<(Device, Names), CaptureError> {
    let refuse = |source| CaptureError::Open { path: path.to_owned(), source };
    let device = Device::open(path).map_err(refuse)?;
    let mut found = abi::Capability::default();
    let not_a_camera =
        |why: &str| CaptureError::NotACamera { path: path.to_owned(), why: why.to_owned() };
    device.call(&abi::QUERYCAP, &mut found).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOTTY | libc::EINVAL) => not_a_camera("no video device at all"),
        _ => refuse(error),
    })?;
    // `capabilities` is of the whole device, its metadata node included; `device_caps` of this node.
    let caps = if found.capabilities & cap::DEVICE_CAPS != 0 {
        found.device_caps
    } else {
        found.capabilities
    };
    match unfit(caps) {
        Some(why) => Err(not_a_camera(why)),
        None => {
            Ok((device, Names { card: abi::text(&found.card), driver: abi::text(&found.driver) }))
        }
    }
}

/// Why a node with these capabilities gives no frames.
fn unfit(caps: u32) -> Option<&'static str> {
    if caps & (cap::VIDEO_M2M | cap::VIDEO_M2M_MPLANE) != 0 {
        Some("a codec or scaler")
    } else if caps & cap::VIDEO_CAPTURE == 0 {
        Some(if caps & cap::META_CAPTURE != 0 {
            "the camera's metadata; its pictures come from the node before"
        } else if caps & cap::VIDEO_CAPTURE_MPLANE != 0 {
            "its frames come in several planes, which is not supported yet"
        } else {
            "it captures no video"
        })
    } else if caps & cap::STREAMING == 0 {
        Some("it cannot stream")
    } else {
        None
    }
}

/// `/dev/video*` in order of their numbers.
fn nodes(dev: &Path) -> Vec<PathBuf> {
    let mut nodes = BTreeMap::new();
    for entry in fs::read_dir(dev).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix("video")).map(str::parse::<u32>);
        if let Some(Ok(number)) = number {
            nodes.insert(number, entry.path());
        }
    }
    nodes.into_values().collect()
}

/// The link in a folder that leads to a node.
fn link_to(folder: &Path, node: &Path) -> Option<PathBuf> {
    let node = fs::canonicalize(node).ok()?;
    let mut links: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|link| fs::canonicalize(link).is_ok_and(|target| target == node))
        .collect();
    // A USB camera has an older and a newer name for its socket; either serves.
    links.sort();
    links.into_iter().next()
}

/// A camera as far as it matters for being found.
#[derive(Debug, Clone)]
struct Present {
    node: PathBuf,
    card: String,
    stable: PathBuf,
}

/// The node that a configuration means, now: numbers change when cameras are plugged in anew.
pub(super) fn resolve(config: &CameraConfig) -> Result<PathBuf, CaptureError> {
    if let Some(path) = config.device.as_deref().map(Path::new).filter(|p| p.is_absolute())
        && path.exists()
    {
        return Ok(path.to_owned());
    }
    let present: Vec<_> = nodes(Path::new("/dev"))
        .into_iter()
        .filter_map(|node| {
            let (_, names) = open_camera(&node).ok()?;
            let stable = link_to(Path::new("/dev/v4l/by-path"), &node)
                .or_else(|| link_to(Path::new("/dev/v4l/by-id"), &node))
                .unwrap_or_else(|| node.clone());
            Some(Present { node, card: names.card, stable })
        })
        .collect();
    pick(config, &present)
}

fn pick(config: &CameraConfig, present: &[Present]) -> Result<PathBuf, CaptureError> {
    let wanted = config.device.as_deref();
    let matches: Vec<_> = present
        .iter()
        .filter(|camera| match wanted {
            None => true,
            // A path that is not there: another camera will not do.
            Some(path) if path.starts_with('/') => false,
            Some(part) => camera.card.to_lowercase().contains(&part.to_lowercase()),
        })
        .collect();
    let wanted = || wanted.map_or("(left out)".to_owned(), |w| format!("{w:?}"));
    match matches.as_slice() {
        [one] => Ok(one.node.clone()),
        [] => Err(CaptureError::NotFound {
            camera: config.name.to_string(),
            wanted: wanted(),
            present: named(present.iter()),
        }),
        several => Err(CaptureError::Ambiguous {
            camera: config.name.to_string(),
            wanted: wanted(),
            matches: named(several.iter().copied()),
        }),
    }
}

fn named<'a>(cameras: impl Iterator<Item = &'a Present>) -> String {
    let names: Vec<_> =
        cameras.map(|c| format!("{:?} at {}", c.card, c.stable.display())).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn present() -> Vec<Present> {
        [
            ("/dev/video0", "HD Pro Webcam C920", "usb-1"),
            ("/dev/video2", "Arducam B0495", "usb-2"),
            ("/dev/video4", "HD Pro Webcam C920", "usb-3"),
        ]
        .map(|(node, card, socket)| Present {
            node: node.into(),
            card: card.into(),
            stable: Path::new("/dev/v4l/by-path").join(socket),
        })
        .into()
    }

    fn pick_by(device: Option<&str>, present: &[Present]) -> Result<PathBuf, String> {
        let config =
            CameraConfig { device: device.map(str::to_owned), ..CameraConfig::named("front") };
        pick(&config, present).map_err(|e| e.to_string())
    }

    #[test]
    fn part_of_a_name_finds_its_camera() {
        assert_eq!(pick_by(Some("arducam"), &present()), Ok("/dev/video2".into()));
        assert_eq!(pick_by(None, &present()[..1]), Ok("/dev/video0".into()));
    }

    #[rstest]
    #[case(
        Some("C920"),
        "camera.front.device = \"C920\": more than one camera answers to that; take one of \
         \"HD Pro Webcam C920\" at /dev/v4l/by-path/usb-1, \
         \"HD Pro Webcam C920\" at /dev/v4l/by-path/usb-3"
    )]
    #[case(
        Some("Logitech"),
        "camera.front.device = \"Logitech\": no such camera (present: \"HD Pro Webcam C920\" at \
         /dev/v4l/by-path/usb-1, \"Arducam B0495\" at /dev/v4l/by-path/usb-2, \
         \"HD Pro Webcam C920\" at /dev/v4l/by-path/usb-3)"
    )]
    #[case(
        None,
        "camera.front.device = (left out): more than one camera answers to that; take one of \
         \"HD Pro Webcam C920\" at /dev/v4l/by-path/usb-1, \"Arducam B0495\" at \
         /dev/v4l/by-path/usb-2, \"HD Pro Webcam C920\" at /dev/v4l/by-path/usb-3"
    )]
    fn no_camera_or_several_is_said_with_what_there_is(
        #[case] device: Option<&str>,
        #[case] message: &str,
    ) {
        assert_eq!(pick_by(device, &present()).unwrap_err(), message);
    }

    #[test]
    fn unplugged_path_is_not_replaced_by_another_camera() {
        assert_eq!(
            pick_by(Some("/dev/v4l/by-id/usb-C920"), &[]).unwrap_err(),
            "camera.front.device = \"/dev/v4l/by-id/usb-C920\": no such camera (present: none)"
        );
    }

    #[rstest]
    #[case::usb_camera(0x0420_0001, None)]
    #[case::its_metadata(
        0x04a0_0000,
        Some(
            "the camera's metadata; its pictures come from the \
        node before"
        )
    )]
    #[case::hardware_codec(0x0400_4000, Some("a codec or scaler"))]
    #[case::raw_sensor_in_planes(
        0x0400_1000,
        Some(
            "its frames come in several planes, which is \
        not supported yet"
        )
    )]
    #[case::radio(0x0001_0000, Some("it captures no video"))]
    #[case::read_only_by_copying(0x0100_0001, Some("it cannot stream"))]
    fn nodes_are_told_apart_by_their_own_capabilities(
        #[case] caps: u32,
        #[case] why: Option<&str>,
    ) {
        assert_eq!(unfit(caps), why);
    }

    #[test]
    fn nodes_are_listed_by_number() {
        let dev = tempfile::tempdir().unwrap();
        for name in ["video10", "video2", "video", "videox", "v4l", "vbi0"] {
            fs::write(dev.path().join(name), "").unwrap();
        }
        let found: Vec<_> = nodes(dev.path());
        assert_eq!(found, [dev.path().join("video2"), dev.path().join("video10")]);
    }

    #[test]
    fn file_that_is_no_device_is_refused_by_name() {
        assert_eq!(
            open_camera(Path::new("/dev/null")).err().unwrap().to_string(),
            "camera /dev/null is no camera that can be used: no video device at all"
        );
        assert_eq!(
            open_camera(Path::new("/dev/video9999")).err().unwrap().to_string(),
            "camera /dev/video9999 cannot be opened: No such file or directory (os error 2)"
        );
    }
}
