//! The settings: one TOML file, read into types. Unknown keys are refused, and every error is one
//! line that names the file, the line, the key, the value and what is allowed.
//!
//! Each section is a struct in its own file, with its defaults, a doc line with unit and range per
//! field, and a `validate` for what a type cannot express.

mod alert;
mod camera;
mod certificates;
mod console;
mod gpio;
mod gps;
mod hotlist;
pub mod keeping;
mod locate;
mod metrics;
mod models;
mod network_camera;
mod policy;
mod power;
mod reading;
mod thermal;
mod trust;
mod units;
mod uplink;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::files::{self, Readers};

pub use alert::AlertConfig;
pub use camera::{CameraConfig, Level, PixelFormat};
pub use certificates::CertificatesConfig;
pub use console::{ConsoleConfig, Screen};
pub use gpio::{ActiveLevel, SwitchedLine};
pub use gps::{GpsConfig, GpsSource};
pub use hotlist::{HotlistConfig, ListSource};
pub use keeping::{KeepingConfig, KeySource, Retention};
pub use metrics::MetricsConfig;
pub use models::{ModelsConfig, Rectify};
pub use network_camera::{CameraAddress, Transport};
pub use policy::{HotplatesConfig, PolicyConfig};
pub use power::PowerConfig;
pub use reading::{ReadingConfig, UnreadJurisdiction};
pub use thermal::ThermalConfig;
pub use trust::TrustConfig;
pub use units::{HumanBytes, HumanDuration, NotADuration, NotASize};
pub use uplink::{BrokerAddress, UplinkConfig};

/// Why a configuration is refused. Each message is one line that says what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{place}: {message}")]
    Malformed {
        /// The file and, where known, the line: `outrider.toml:12`.
        place: String,
        /// Key, value and what is allowed.
        message: String,
    },
    /// A value outside its range, or two values that exclude each other.
    #[error("{key} = {value}: must be {range}")]
    Range {
        /// Dotted key, such as `camera.front.fps`.
        key: String,
        /// The value as written.
        value: String,
        /// What is allowed, in words.
        range: String,
    },
    /// A value outside its range, and where it stands.
    #[error("{place}: {problem}")]
    InFile {
        /// The file and, where known, the line.
        place: String,
        /// What is wrong there.
        problem: Box<ConfigError>,
    },
}

/// The whole file. Every section but `[vehicle]` has defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who this car is.
    pub vehicle: Vehicle,
    /// The cameras, one `[[camera]]` each.
    #[serde(default)]
    pub camera: Vec<CameraConfig>,
    /// Which models read plates, and how.
    #[serde(default)]
    pub models: ModelsConfig,
    /// The officer's page.
    #[serde(default)]
    pub console: ConsoleConfig,
    /// How long before its end a certificate is warned of.
    #[serde(default)]
    pub certificates: CertificatesConfig,
    /// The temperatures from which on fewer frames are read.
    #[serde(default)]
    pub thermal: ThermalConfig,
    /// Counters for a monitoring agent on this machine.
    #[serde(default)]
    pub metrics: MetricsConfig,
    /// The tones.
    #[serde(default)]
    pub alert: AlertConfig,
    /// When a vote is sure, how long a track lives, how often one plate may raise an alert.
    #[serde(default)]
    pub reading: ReadingConfig,
    /// Where fixes come from.
    #[serde(default)]
    pub gps: GpsConfig,
    /// The line that says whether the ignition is on.
    #[serde(default)]
    pub power: PowerConfig,
    /// What stays in the car, and for how long.
    #[serde(default)]
    pub keeping: KeepingConfig,
    /// The broker that hits are sent to.
    #[serde(default)]
    pub uplink: UplinkConfig,
    /// Whose signatures this car believes.
    #[serde(default)]
    pub trust: TrustConfig,
    /// Signed policy.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// Entries that officers add in the car.
    #[serde(default)]
    pub hotplates: HotplatesConfig,
    /// The lists, one `[[hotlist]]` each.
    #[serde(default)]
    pub hotlist: Vec<HotlistConfig>,
}

/// Who this car is, in topics and hits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vehicle {
    /// Unit number, such as `4127`; a topic level, so letters, digits, `-` and `_` only.
    pub id: String,
    /// Agency, such as `peel`; a topic level too.
    pub agency: String,
}

/// What [`is_topic_level`] accepts, in words.
const TOPIC_LEVEL: &str = "1 to 32 letters, digits, - or _";

/// Whether a name can stand in a topic, a file name and a dotted key as it is.
pub fn is_topic_level(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = files::read_text(path, Readers::Anybody)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Files with secrets outside the state folder: the lists' keys, the key of the car's TLS
    /// certificate, the passwords of network cameras. A wipe destroys them too.
    pub fn secrets(&self) -> Vec<PathBuf> {
        let lists = self.hotlist.iter().filter_map(|list| list.key.clone());
        let cameras = self.camera.iter().filter_map(|camera| camera.password_file.clone());
        lists.chain(self.uplink.key.clone()).chain(cameras).collect()
    }

    /// Reads and checks a text; messages name `path` as its file.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let place = |line: Option<usize>| match line {
            Some(line) => format!("{}:{line}", path.display()),
            None => path.display().to_string(),
        };
        let config: Self = toml::from_str(text).map_err(|e| {
            let (line, message) = locate::Document::new(text).explain(&e);
            ConfigError::Malformed { place: place(line), message }
        })?;
        config.validate().map_err(|problem| {
            let line = match &problem {
                ConfigError::Range { key, .. } => locate::Document::new(text).line_of(key),
                _ => None,
            };
            ConfigError::InFile { place: place(line), problem: Box::new(problem) }
        })?;
        Ok(config)
    }

    /// Checks the rules that concern several fields.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, value) in
            [("vehicle.id", &self.vehicle.id), ("vehicle.agency", &self.vehicle.agency)]
        {
            if !is_topic_level(value) {
                return Err(ConfigError::Range {
                    key: key.into(),
                    value: format!("{value:?}"),
                    range: TOPIC_LEVEL.into(),
                });
            }
        }
        camera::validate(&self.camera)?;
        self.models.validate()?;
        self.console.validate()?;
        self.certificates.validate()?;
        self.metrics.validate()?;
        self.thermal.validate()?;
        self.alert.validate()?;
        self.reading.validate()?;
        self.gps.validate()?;
        self.power.validate()?;
        if let (Some(beacon), Some((chip, line))) = (&self.alert.beacon, self.power.watched())
            && (&beacon.chip, beacon.line) == (chip, line)
        {
            return Err(ConfigError::Range {
                key: "alert.beacon.line".into(),
                value: line.to_string(),
                range: "another line than power.line, which is the ignition's".into(),
            });
        }
        self.keeping.validate()?;
        self.uplink.validate()?;
        self.hotplates.validate()?;
        if let (Some(file), None) = (&self.policy.file, &self.trust.root) {
            return Err(ConfigError::Range {
                key: "policy.file".into(),
                value: format!("{:?}", file.display().to_string()),
                range: "left out without trust.root, which says whose signatures count".into(),
            });
        }
        HotlistConfig::validate_all(&self.hotlist)?;
        if let Some(list) = self.hotlist.iter().find(|l| l.source == ListSource::Mqtt) {
            for (key, set, what) in [
                ("trust.root", self.trust.root.is_some(), "the file of the root's public keys"),
                ("uplink.broker", self.uplink.broker.is_some(), "the broker that has the list"),
            ] {
                if !set {
                    return Err(ConfigError::Range {
                        key: key.into(),
                        value: "(not set)".into(),
                        range: format!("{what}, with hotlist.{}.source = \"mqtt\"", list.name),
                    });
                }
            }
        }
        Ok(())
    }
}
