//! `outrider provision finish-wipe`: root destroys what a wiped car's daemon has no right to.
//!
//! In: the word of a wipe in the state folder. Out: keys of lists and of TLS and the sealed credential, destroyed if
//! they are older than it. The daemon's user may read those keys and can change none of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::bail;
use clap::Args;

use crate::config::Config;
use crate::keys::credential;
use crate::keys::rotation::{self, WIPED};

/// Destroy what a wiped car's daemon could not: keys of lists and of TLS, its sealed credential.
#[derive(Debug, Args)]
#[command(
    after_help = "As root; the unit does it each time the daemon has ended. It does nothing on a car that was not \
        wiped, and leaves what was put there since.\n\nExample:\n  outrider provision finish-wipe"
)]
pub(super) struct FinishWipeArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl FinishWipeArgs {
    /// Destroys.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let Some(wiped) = changed(&config.keeping.directory.join(WIPED)) else { return Ok(()) };
        let old = of_before(wiped, all_secrets(&config));
        let left = rotation::destroy_secrets(&old);
        for path in old.iter().filter(|path| !left.iter().any(|(other, _)| other == *path)) {
            println!("this car was wiped: {} destroyed", path.display());
        }
        match &left[..] {
            [] => Ok(()),
            [(path, why), ..] => {
                bail!("{} secrets are left, such as {}: {why}", left.len(), path.display())
            }
        }
    }
}

/// Every secret outside of the state folder, the credential that systemd unseals included.
pub(super) fn all_secrets(config: &Config) -> Vec<PathBuf> {
    config.secrets().into_iter().chain([credential::SEALED_FILE.into()]).collect()
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path).and_then(|found| found.modified()).ok()
}

/// Those that were there when the car was wiped: a package that it took since is for its new life.
fn of_before(wiped: SystemTime, secrets: Vec<PathBuf>) -> Vec<PathBuf> {
    let is_old = |path: &PathBuf| changed(path).is_some_and(|at| at <= wiped);
    secrets.into_iter().filter(is_old).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn wiped_car_loses_the_keys_it_had_and_keeps_those_it_got_since() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let (list, tls) = (at.join("list.key"), at.join("tls.key"));
        let config = at.join("outrider.toml");
        let text = format!(
            "[vehicle]\nid = \"1\"\nagency = \"a\"\n[keeping]\ndirectory = \"{0}/state\"\n\
             [trust]\nroot = \"{0}/root.json\"\n\
             [uplink]\nbroker = \"mqtts://b\"\nca = \"{0}/ca\"\ncertificate = \"{0}/tls.pem\"\nkey = \"{0}/tls.key\"\n\
             [[hotlist]]\nname = \"l\"\nsource = \"mqtt\"\nkey = \"{0}/list.key\"\n",
            at.display()
        );
        fs::write(&config, text).unwrap();
        let finish = || FinishWipeArgs { config: config.clone() }.run().unwrap();
        fs::write(&list, "secret").unwrap();
        fs::write(&tls, "secret").unwrap();
        fs::create_dir(at.join("state")).unwrap();
        finish();
        assert!(list.exists() && tls.exists(), "nobody wiped this car");
        // The TLS key comes with a package after the wipe.
        fs::write(at.join("state").join(WIPED), "").unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(&tls).unwrap().set_modified(later).unwrap();
        finish();
        assert!(!list.exists() && tls.exists());
    }
}
