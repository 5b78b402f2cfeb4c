//! Exposure, gain and focus, each checked against the driver's own range.
//!
//! What the configuration leaves out is made automatic again, or put back to the driver's default:
//! cameras keep their controls until they lose power, and a setting deleted from the file must not
//! live on in the camera.

use std::io;

use tracing::warn;

use super::abi::{self, ctrl};
use super::device::Device;
use crate::config::{CameraConfig, Level};

/// A control as the driver describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlRange {
    /// Least value.
    pub least: i32,
    /// Most value.
    pub most: i32,
    /// From one value to the next, at least 1.
    pub step: i32,
    /// What the driver starts with.
    pub default: i32,
    menu: bool,
}

/// One of the settings that we know, as a camera offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlInfo {
    /// Its key in the configuration: `exposure`, `gain` or `focus`.
    pub key: &'static str,
    /// The values it takes; `None`: the camera has no such control.
    pub range: Option<ControlRange>,
    /// Whether the camera can manage it by itself.
    pub auto: bool,
}

/// Why a setting cannot be made.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Not in what the driver allows: key, value as written, range in words.
    Range(&'static str, String, String),
    /// The driver refused what it allows.
    Driver(&'static str, io::Error),
}

/// The driver's controls. The other half is a scripted camera in the tests.
pub(super) trait Controls {
    /// What the driver says about a control; `None`: there is none, or it cannot be set.
    fn range(&self, id: u32) -> Option<ControlRange>;
    /// Whether a menu has an entry.
    fn has_entry(&self, id: u32, entry: i32) -> bool;
    /// The value now.
    fn get(&self, id: u32) -> io::Result<i32>;
    /// Sets a value.
    fn set(&self, id: u32, value: i32) -> io::Result<()>;
}

impl Controls for Device {
    fn range(&self, id: u32) -> Option<ControlRange> {
        let found = self.ask(&abi::QUERYCTRL, abi::QueryControl { id, ..Default::default() })?;
        let usable = found.flags & (ctrl::DISABLED | ctrl::READ_ONLY) == 0;
        usable.then_some(ControlRange {
            least: found.minimum,
            most: found.maximum,
            step: found.step.max(1),
            default: found.default,
            menu: found.kind == ctrl::MENU,
        })
    }

    fn has_entry(&self, id: u32, entry: i32) -> bool {
        u32::try_from(entry).is_ok_and(|index| {
            self.ask(&abi::QUERYMENU, abi::QueryMenu { id, index, ..Default::default() }).is_some()
        })
    }

    fn get(&self, id: u32) -> io::Result<i32> {
        let mut control = abi::Control { id, value: 0 };
        self.call(&abi::G_CTRL, &mut control).map(|()| control.value)
    }

    fn set(&self, id: u32, value: i32) -> io::Result<()> {
        self.call(&abi::S_CTRL, &mut abi::Control { id, value })
    }
}

/// A setting: where its value goes, and what switches between automatic and fixed.
struct Knob {
    key: &'static str,
    unit: &'static str,
    /// The first of these that the camera has.
    values: &'static [u32],
    switch: u32,
    /// Entries of the switch, best first.
    automatic: &'static [i32],
    fixed: &'static [i32],
}

const KNOBS: [Knob; 3] = [
    Knob {
        key: "exposure",
        unit: " (units of 100 µs)",
        values: &[ctrl::EXPOSURE_ABSOLUTE],
        switch: ctrl::EXPOSURE_AUTO,
        // V4L2_EXPOSURE_APERTURE_PRIORITY is what USB cameras call automatic, then _AUTO.
        automatic: &[3, 0],
        // V4L2_EXPOSURE_MANUAL, then _SHUTTER_PRIORITY.
        fixed: &[1, 2],
    },
    Knob {
        key: "gain",
        unit: "",
        values: &[ctrl::GAIN, ctrl::ANALOGUE_GAIN],
        switch: ctrl::AUTOGAIN,
        automatic: &[1],
        fixed: &[0],
    },
    Knob {
        key: "focus",
        unit: "",
        values: &[ctrl::FOCUS_ABSOLUTE],
        switch: ctrl::FOCUS_AUTO,
        automatic: &[1],
        fixed: &[0],
    },
];

impl Knob {
    fn value(&self, driver: &impl Controls) -> Option<(u32, ControlRange)> {
        self.values.iter().find_map(|id| driver.range(*id).map(|range| (*id, range)))
    }

    /// The entry of the switch for one of `entries`, if the camera has the switch and the entry.
    fn entry(&self, driver: &impl Controls, entries: &[i32]) -> Option<i32> {
        let range = driver.range(self.switch)?;
        entries.iter().copied().find(|entry| {
            (range.least..=range.most).contains(entry)
                && (!range.menu || driver.has_entry(self.switch, *entry))
        })
    }

    fn allowed(&self, driver: &impl Controls) -> String {
        let range = self.value(driver).map(|(_, range)| {
            let steps = match range.step {
                1 => String::new(),
                step => format!(" in steps of {step}"),
            };
            format!("{} to {}{steps}{}", range.least, range.most, self.unit)
        });
        let auto = self.entry(driver, self.automatic).is_some();
        match (range, auto) {
            (Some(range), true) => format!("{range} or \"auto\""),
            (Some(range), false) => range,
            (None, true) => "\"auto\", or left out".into(),
            (None, false) => "left out: the camera has no such control".into(),
        }
    }

    fn apply(&self, driver: &impl Controls, level: Level) -> Result<(), Refusal> {
        let refuse = |value: String| Refusal::Range(self.key, value, self.allowed(driver));
        let failed = |e| Refusal::Driver(self.key, e);
        match level {
            Level::Fixed(wanted) => {
                let Some((id, range)) = self.value(driver) else {
                    return Err(refuse(wanted.to_string()));
                };
                let value = i32::try_from(wanted)
                    .ok()
                    .filter(|v| (range.least..=range.most).contains(v))
                    .filter(|v| {
                        (i64::from(*v) - i64::from(range.least)) % i64::from(range.step) == 0
                    })
                    .ok_or_else(|| refuse(wanted.to_string()))?;
                // First the switch: the value of an automatic control cannot be set.
                match self.entry(driver, self.fixed) {
                    Some(entry) => driver.set(self.switch, entry).map_err(failed)?,
                    None if self.entry(driver, self.automatic).is_some() => {
                        let always = "\"auto\": the camera cannot switch that off";
                        return Err(Refusal::Range(self.key, value.to_string(), always.into()));
                    }
                    None => {}
                }
                driver.set(id, value).map_err(failed)?;
                match driver.get(id) {
                    Ok(now) if now != value => {
                        warn!(key = self.key, value, now, "camera took another value");
                    }
                    _ => {}
                }
                Ok(())
            }
            Level::Auto => {
                let entry =
                    self.entry(driver, self.automatic).ok_or_else(|| refuse("\"auto\"".into()))?;
                driver.set(self.switch, entry).map_err(failed)
            }
            Level::Unset => {
                let outcome = if let Some(entry) = self.entry(driver, self.automatic) {
                    driver.set(self.switch, entry)
                } else if let Some((id, range)) = self.value(driver) {
                    driver.set(id, range.default)
                } else {
                    Ok(())
                };
                // Nobody asked for it: a camera that will not be reset still takes pictures.
                if let Err(error) = outcome {
                    warn!(key = self.key, %error, "camera cannot be put back to its default");
                }
                Ok(())
            }
        }
    }
}

/// Sets what the configuration says, and puts back what it leaves out.
pub(super) fn apply(driver: &impl Controls, config: &CameraConfig) -> Result<(), Refusal> {
    // Automatic exposure may otherwise halve the frame rate at dusk and blur what it gains.
    if driver.range(ctrl::EXPOSURE_AUTO_PRIORITY).is_some()
        && let Err(error) = driver.set(ctrl::EXPOSURE_AUTO_PRIORITY, 0)
    {
        warn!(%error, "camera may lower its frame rate in the dark");
    }
    for (knob, level) in KNOBS.iter().zip([config.exposure, config.gain, config.focus]) {
        knob.apply(driver, level)?;
    }
    Ok(())
}

/// The settings that we know, as this camera offers them.
pub(super) fn list(driver: &impl Controls) -> Vec<ControlInfo> {
    KNOBS
        .iter()
        .map(|knob| ControlInfo {
            key: knob.key,
            range: knob.value(driver).map(|(_, range)| range),
            auto: knob.entry(driver, knob.automatic).is_some(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use rstest::rstest;

    use super::*;

    /// A camera with some controls: range and value each.
    #[derive(Default)]
    struct Scripted {
        controls: BTreeMap<u32, (ControlRange, Vec<i32>)>,
        values: RefCell<BTreeMap<u32, i32>>,
        refuses: bool,
    }

    impl Controls for Scripted {
        fn range(&self, id: u32) -> Option<ControlRange> {
            self.controls.get(&id).map(|c| c.0)
        }
        fn has_entry(&self, id: u32, entry: i32) -> bool {
            self.controls.get(&id).is_some_and(|c| c.1.contains(&entry))
        }
        fn get(&self, id: u32) -> io::Result<i32> {
            Ok(self.values.borrow()[&id])
        }
        fn set(&self, id: u32, value: i32) -> io::Result<()> {
            if self.refuses {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            self.values.borrow_mut().insert(id, value);
            Ok(())
        }
    }

    fn range(least: i32, most: i32, step: i32, default: i32) -> ControlRange {
        ControlRange { least, most, step, default, menu: false }
    }

    /// A webcam: exposure by menu, gain without automatic, focus in steps of 5.
    fn webcam() -> Scripted {
        let menu = ControlRange { menu: true, ..range(0, 3, 1, 3) };
        Scripted {
            controls: BTreeMap::from([
                (ctrl::EXPOSURE_AUTO, (menu, vec![1, 3])),
                (ctrl::EXPOSURE_ABSOLUTE, (range(3, 2_047, 1, 250), vec![])),
                (ctrl::EXPOSURE_AUTO_PRIORITY, (range(0, 1, 1, 0), vec![])),
                (ctrl::GAIN, (range(0, 255, 1, 64), vec![])),
                (ctrl::FOCUS_AUTO, (range(0, 1, 1, 1), vec![])),
                (ctrl::FOCUS_ABSOLUTE, (range(0, 250, 5, 0), vec![])),
            ]),
            ..Default::default()
        }
    }

    fn set_up(camera: &Scripted, text: &str) -> Result<(), String> {
        let config = toml::from_str(&format!("name = \"front\"\n{text}")).unwrap();
        apply(camera, &config).map_err(|refusal| match refusal {
            Refusal::Range(key, value, range) => format!("{key} = {value}: must be {range}"),
            Refusal::Driver(key, error) => format!("{key}: {error}"),
        })
    }

    #[test]
    fn fixed_values_switch_automatic_off_first() {
        let camera = webcam();
        set_up(&camera, "exposure = 10\ngain = 0\nfocus = 35").unwrap();
        let values = camera.values.borrow();
        assert_eq!((values[&ctrl::EXPOSURE_AUTO], values[&ctrl::EXPOSURE_ABSOLUTE]), (1, 10));
        assert_eq!((values[&ctrl::FOCUS_AUTO], values[&ctrl::FOCUS_ABSOLUTE]), (0, 35));
        assert_eq!((values[&ctrl::GAIN], values[&ctrl::EXPOSURE_AUTO_PRIORITY]), (0, 0));
    }

    #[test]
    fn what_is_left_out_goes_back_to_automatic_or_the_default() {
        let camera = webcam();
        set_up(&camera, "exposure = 10\ngain = 200\nfocus = 35").unwrap();
        set_up(&camera, "").unwrap();
        let values = camera.values.borrow();
        assert_eq!(
            (values[&ctrl::EXPOSURE_AUTO], values[&ctrl::GAIN], values[&ctrl::FOCUS_AUTO]),
            (3, 64, 1)
        );
    }

    #[rstest]
    #[case("exposure = 2", "exposure = 2: must be 3 to 2047 (units of 100 µs) or \"auto\"")]
    #[case("exposure = 2048", "exposure = 2048: must be 3 to 2047 (units of 100 µs) or \"auto\"")]
    #[case("gain = -1", "gain = -1: must be 0 to 255")]
    #[case("gain = \"auto\"", "gain = \"auto\": must be 0 to 255")]
    #[case("focus = 36", "focus = 36: must be 0 to 250 in steps of 5 or \"auto\"")]
    fn value_that_the_driver_does_not_take_is_refused(#[case] text: &str, #[case] message: &str) {
        assert_eq!(set_up(&webcam(), text).unwrap_err(), message);
    }

    #[test]
    fn camera_that_is_always_automatic_takes_no_value() {
        let mut camera = webcam();
        camera.controls.get_mut(&ctrl::EXPOSURE_AUTO).unwrap().1 = vec![0, 3];
        assert_eq!(
            set_up(&camera, "exposure = 10").unwrap_err(),
            "exposure = 10: must be \"auto\": the camera cannot switch that off"
        );
    }

    #[test]
    fn camera_without_controls_takes_none_and_needs_none() {
        let bare = Scripted::default();
        set_up(&bare, "").unwrap();
        assert_eq!(
            set_up(&bare, "focus = 0").unwrap_err(),
            "focus = 0: must be left out: the camera has no such control"
        );
        assert!(list(&bare).iter().all(|c| c.range.is_none() && !c.auto));
    }

    #[test]
    fn driver_that_refuses_what_was_asked_for_is_an_error_and_else_a_warning() {
        let stubborn = Scripted { refuses: true, ..webcam() };
        set_up(&stubborn, "").unwrap();
        assert_eq!(
            set_up(&stubborn, "exposure = 10").unwrap_err(),
            "exposure: Input/output error (os error 5)"
        );
    }
}
