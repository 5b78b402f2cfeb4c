//! `outrider provision take`: a car takes its package, once.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::authoring::fleet::package::{Code, LONGEST, Package};
use crate::authoring::fleet::{CONFIG, ROOM, table};
use crate::config::Config;
use crate::files::{self, Aside};
use crate::prompt;
use crate::secret_file;
use crate::uplink::certificate::Expiry;

/// File that remembers the last package.
const TAKEN: &str = "taken.json";

/// The daemon's group, which may read the files that root has put there.
const GROUP: &str = "outrider";

/// Arguments of `outrider provision take`.
#[derive(Debug, Args)]
#[command(
    about = "Take this car's package, as outrider provision fleet wrote it, and destroy it",
    after_help = "Run it as root. It asks for the code at the terminal. It refuses a package for another vehicle and one that \
        is older than the last that this car has taken. The files of the package replace those that were there, so the \
        same command renews a certificate.\n\nExamples:\n  \
        outrider provision take /media/stick/4127.car\n  \
        outrider provision take 4127.car --code-file code --start"
)]
pub(super) struct TakeArgs {
    /// The package.
    package: PathBuf,
    /// File whose first line is the code, for an image builder [default: asked for].
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    /// Then start the daemon, now and at every start of the car.
    #[arg(long)]
    start: bool,
    /// Leave the package and the code's file where they are.
    #[arg(long)]
    keep: bool,
    /// Folder of this car's configuration and keys.
    #[arg(long, value_name = "FOLDER", default_value = ROOM)]
    into: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    agency: String,
    vehicle: String,
    made: Timestamp,
}

impl TakeArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let shown = self.package.display();
        let package = Package::open(&self.read()?, &self.code()?)
            .with_context(|| format!("{shown}: nothing was taken"))?;
        self.refuse_another_car(&package)?;
        let text = String::from_utf8(package.file(CONFIG)?.to_vec())
            .with_context(|| format!("{CONFIG} of the package"))?;
        let config = Config::parse(&text, Path::new(CONFIG))?;
        let whose = &config.vehicle;
        ensure!(
            (&whose.id, &whose.agency) == (&package.vehicle, &package.agency),
            "the package is for vehicle {} of {}, and its configuration for {} of {}",
            package.vehicle,
            package.agency,
            whose.id,
            whose.agency
        );
        for (key, name) in table::files_of(&config)? {
            let is_there = package.names().any(|has| has == name) || self.into.join(&name).exists();
            ensure!(is_there, "{key} names {name}, which neither the package nor this car has");
        }
        let group = group(GROUP);
        // The configuration is written last, when the files that it names are there.
        for name in package.names().filter(|name| *name != CONFIG).chain([CONFIG]) {
            self.write(name, &package.file(name)?, group)?;
        }
        let (agency, vehicle) = (package.agency.clone(), package.vehicle.clone());
        let taken = Taken { agency, vehicle, made: package.made };
        self.write(TAKEN, &Zeroizing::new(serde_json::to_vec_pretty(&taken)?), group)?;
        if !self.keep {
            for path in std::iter::once(&self.package).chain(&self.code_file) {
                files::shred(path).with_context(|| {
                    format!(
                        "the package was taken, but {} cannot be destroyed: do that by hand",
                        path.display()
                    )
                })?;
            }
        }
        println!("this car is vehicle {} of {}", taken.vehicle, taken.agency);
        if let Some(path) = &config.uplink.certificate
            && let Ok(name) = path.strip_prefix(ROOM)
        {
            let expiry = Expiry::of_file(&self.into.join(name), Timestamp::now())?;
            println!("its certificate {}", expiry.in_words());
        }
        match self.start {
            true => start(),
            false => {
                println!(
                    "next: runuser -u outrider -- outrider check, then systemctl enable --now outrider"
                );
                Ok(())
            }
        }
    }

    /// The sealed bytes. It does not matter who put the file there, because only the code opens it.
    fn read(&self) -> anyhow::Result<Vec<u8>> {
        let shown = self.package.display();
        let file = fs::File::open(&self.package).with_context(|| format!("cannot read {shown}"))?;
        let mut bytes = Vec::new();
        file.take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read {shown}"))?;
        ensure!(bytes.len() as u64 <= LONGEST, "{shown} is longer than any package");
        Ok(bytes)
    }

    fn code(&self) -> anyhow::Result<Code> {
        let typed = match &self.code_file {
            Some(file) => secret_file::read_given(file)?,
            None => prompt::read_secret("Code of this package")?,
        };
        Code::typed(typed.lines().next().unwrap_or_default())
    }

    fn refuse_another_car(&self, package: &Package) -> anyhow::Result<()> {
        if let Ok(text) = fs::read(self.into.join(TAKEN)) {
            let before: Taken = serde_json::from_slice(&text)
                .with_context(|| format!("{TAKEN} of {}", self.into.display()))?;
            if (&before.vehicle, &before.agency) != (&package.vehicle, &package.agency) {
                bail!(
                    "this car is vehicle {} of {}, but the package is for {} of {}: nothing was taken",
                    before.vehicle,
                    before.agency,
                    package.vehicle,
                    package.agency
                );
            }
            ensure!(
                before.made < package.made,
                "this car has taken a package made {:.0}, and this one, made {:.0}, is not newer: nothing was taken",
                before.made,
                package.made
            );
            return Ok(());
        }
        // A car that was set up by hand before.
        let there = fs::read_to_string(self.into.join(CONFIG)).ok();
        let there = there.and_then(|text| toml::from_str::<toml::Table>(&text).ok());
        let id = there.as_ref().and_then(|table| table.get("vehicle")?.get("id")?.as_str());
        if let Some(id) = id.filter(|id| !id.is_empty() && *id != package.vehicle) {
            bail!(
                "this car is vehicle {id}, but the package is for {}: nothing was taken",
                package.vehicle
            );
        }
        Ok(())
    }

    fn write(
        &self,
        name: &str,
        bytes: &Zeroizing<Vec<u8>>,
        group: Option<u32>,
    ) -> anyhow::Result<()> {
        let place = self.into.join(name);
        let failed = || format!("cannot write {}", place.display());
        if let Some(folder) = place.parent().filter(|folder| !folder.exists()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(folder)
                .with_context(failed)?;
            give_to_group(folder, group).with_context(failed)?;
        }
        let mut aside = Aside::begin_with(&place, 0o640).with_context(failed)?;
        std::io::Write::write_all(aside.file(), bytes).with_context(failed)?;
        aside.put_in_place().with_context(failed)?;
        give_to_group(&place, group).with_context(failed)
    }
}

/// Lets the daemon's group read a file of root's.
fn give_to_group(path: &Path, group: Option<u32>) -> std::io::Result<()> {
    match group {
        Some(group) if rustix::process::geteuid().is_root() => chown(path, Some(0), Some(group)),
        _ => Ok(()),
    }
}

/// The number of a group, if this machine has it.
fn group(name: &str) -> Option<u32> {
    let all = fs::read_to_string("/etc/group").ok()?;
    all.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

fn start() -> anyhow::Result<()> {
    let done = std::process::Command::new("systemctl")
        .args(["enable", "--now", "outrider"])
        .status()
        .context("systemctl does not start")?;
    ensure!(
        done.success(),
        "systemctl enable --now outrider ended with {done}: run outrider check"
    );
    println!("started: outrider status shows how the car is");
    Ok(())
}
