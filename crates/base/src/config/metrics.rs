//! `[metrics]`: counters for a monitoring agent on the same machine.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Counters and gauges without plates, in Prometheus' text format. Off unless `listen` is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Loopback address and port, such as `"127.0.0.1:9464"`; without it nothing is served. Every
    /// user of this machine can read them.
    pub listen: Option<SocketAddr>,
}

impl MetricsConfig {
    /// Refuses addresses that can be reached from other machines.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self.listen {
            Some(at) if !at.ip().to_canonical().is_loopback() => Err(ConfigError::Range {
                key: "metrics.listen".into(),
                value: format!("\"{at}\""),
                range: "a loopback address such as \"127.0.0.1:9464\"".into(),
            }),
            _ => Ok(()),
        }
    }
}
