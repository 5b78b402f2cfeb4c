//! `outrider provision fleet`: one sealed package for each car of a table.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::authoring::fleet::CONFIG;
use crate::authoring::fleet::authority::Authority;
use crate::authoring::fleet::package::{Code, Package};
use crate::authoring::fleet::table::{self, Car};
use crate::files;
use crate::secret_file;

/// Arguments of `outrider provision fleet`.
#[derive(Debug, Args)]
#[command(
    about = "Write one sealed package for each car of a table: configuration, certificate, keys",
    after_help = "The table is a CSV file with the columns vehicle, agency, cameras and roles, or a TOML file with \
        [[car]] sections. cameras names the cameras of the template that the car has, such as front;left=/dev/v4l/by-path/x; \
        each role is a file ROLES/<role>.toml whose settings replace those of the template. Every file that the template names in \
        /etc/outrider is taken from FILES under the same name. Each car's certificate and key are made here by the \
        authority in AUTHORITY, which is made first if the folder is empty.\n\n\
        In the car, outrider provision take opens a package with its code, once. Carry codes and packages separately. The same \
        command with --only sets up a further car or renews a car's certificate.\n\n\
        Examples:\n  \
        outrider provision fleet cars.csv --template template.toml --files files --authority fleet-ca --out packages \
        --codes codes.csv\n  \
        outrider provision fleet cars.csv --template template.toml --files files --authority fleet-ca --out packages \
        --codes codes-4130.csv --only 4130"
)]
pub(super) struct FleetArgs {
    /// The table of cars.
    table: PathBuf,
    /// The configuration that all cars share.
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// Folder with the files that the configuration names: root.pub.json, keys/..., lists/....
    #[arg(long, value_name = "FOLDER")]
    files: PathBuf,
    /// Folder with a file of settings for each role, ROLE.toml.
    #[arg(long, value_name = "FOLDER")]
    roles: Option<PathBuf>,
    /// Folder of the certificate authority: ca.pem and ca.key. Keep it on a machine without a network.
    #[arg(long, value_name = "FOLDER")]
    authority: PathBuf,
    /// Folder for the packages.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// File for the codes that open the packages, mode 0600; must not exist yet.
    #[arg(long, value_name = "FILE")]
    codes: PathBuf,
    /// Only this car; may be repeated.
    #[arg(long, value_name = "VEHICLE")]
    only: Vec<String>,
    /// Days for which the cars' certificates are valid.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

impl FleetArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut cars = table::read(&self.table)?;
        if !self.only.is_empty() {
            for wanted in &self.only {
                let is_there = cars.iter().any(|car| car.vehicle == *wanted);
                ensure!(is_there, "--only {wanted}: {} has no such car", self.table.display());
            }
            cars.retain(|car| self.only.contains(&car.vehicle));
        }
        ensure!(!self.codes.exists(), "{} is there already", self.codes.display());
        let template = table::settings(&self.template)?;
        let roles = self.roles()?;
        let now = Timestamp::now();
        // Everything is checked before anything is made.
        let mut plans = Vec::new();
        for car in &cars {
            let (text, config) = table::configuration(&template, &roles, car)?;
            let files = table::files_of(&config)?;
            self.refuse_missing(car, &files)?;
            plans.push((text, config, files));
        }
        let (authority, new) = Authority::of(&self.authority, now)?;
        if new {
            eprintln!(
                "made an authority in {}: ca.pem goes to the broker, ca.key stays there",
                self.authority.display()
            );
        }
        fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make {}", self.out.display()))?;
        let mut codes = Zeroizing::new(String::from("vehicle,code\n"));
        for (text, config, files) in plans {
            let vehicle = &config.vehicle;
            let mut package = Package::new(&vehicle.agency, &vehicle.id, now);
            package.put(CONFIG, text.as_bytes())?;
            let identity = match config.uplink.certificate {
                Some(_) => Some(authority.identity(&vehicle.id, now, self.days)?),
                None => None,
            };
            let page = match config.console.certificate {
                Some(_) => Some(authority.page(&config.console, now, self.days)?),
                None => None,
            };
            for (key, name) in files {
                if let ("console.certificate" | "console.key", Some(made)) = (key.as_str(), &page) {
                    let own = key == "console.certificate";
                    let pem = if own { &made.certificate } else { &*made.key };
                    package.put(&name, pem.as_bytes())?;
                    continue;
                }
                match (key.as_str(), &identity) {
                    ("uplink.certificate", Some(made)) => {
                        package.put(&name, made.certificate.as_bytes())?;
                    }
                    ("uplink.key", Some(made)) => package.put(&name, made.key.as_bytes())?,
                    ("uplink.ca", _) if !self.files.join(&name).exists() => {
                        package.put(&name, authority.certificate().as_bytes())?;
                    }
                    _ => package.put(&name, &read(&self.files.join(&name))?)?,
                }
            }
            let code = Code::random()?;
            let place = self.out.join(format!("{}.car", vehicle.id));
            files::replace(&place, &[&package.seal(&code)?])
                .with_context(|| format!("cannot write {}", place.display()))?;
            let names: Vec<_> = package.names().collect();
            println!("{}: {}", place.display(), names.join(", "));
            *codes += &format!("{},{}\n", vehicle.id, code.text());
        }
        secret_file::create(&self.codes, &codes)?;
        eprintln!("codes in {}: keep them separate from the packages", self.codes.display());
        Ok(())
    }

    fn roles(&self) -> anyhow::Result<BTreeMap<String, toml::Table>> {
        let Some(folder) = &self.roles else { return Ok(BTreeMap::new()) };
        let mut roles = BTreeMap::new();
        let shown = folder.display();
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {shown}"))? {
            let path = entry?.path();
            if let (Some("toml"), Some(name)) =
                (path.extension().and_then(|e| e.to_str()), path.file_stem())
            {
                roles.insert(name.to_string_lossy().into_owned(), table::settings(&path)?);
            }
        }
        Ok(roles)
    }

    /// Checks that the files are there which a person has to provide.
    fn refuse_missing(&self, car: &Car, files: &[(String, String)]) -> anyhow::Result<()> {
        for (key, name) in files {
            let made = [
                "console.certificate",
                "console.key",
                "uplink.certificate",
                "uplink.key",
                "uplink.ca",
            ]
            .contains(&key.as_str());
            let place = self.files.join(name);
            if !made && !place.is_file() {
                bail!(
                    "vehicle {}: {key} names {name}, and {} is not there",
                    car.vehicle,
                    place.display()
                );
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Zeroizing::new(bytes))
}
