//! The table of cars, and the configuration that the template becomes for each of them.
//!
//! In: a CSV file with the columns `vehicle`, `agency`, `cameras` and `roles`, or a TOML file with a `[[car]]` for
//! each; a template configuration; for each role a file of settings that replace those of the template. Out: a
//! configuration for each car, and the files that it names. A wrong row is refused, and its line is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use toml::{Table, Value};

use super::{CONFIG, ROOM};
use crate::config::{Config, ListSource};

/// One car of the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Car {
    /// Unit number.
    pub vehicle: String,
    /// Agency; the template's where it is left out.
    pub agency: Option<String>,
    /// Which of the template's cameras it has, as `name`, `name=device` or, of a network camera, `name=url`; all of
    /// them where none is named.
    #[serde(default)]
    pub cameras: Vec<String>,
    /// Names of the roles whose settings replace the template's.
    #[serde(default)]
    pub roles: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cars {
    car: Vec<Car>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    vehicle: String,
    #[serde(default)]
    agency: String,
    #[serde(default)]
    cameras: String,
    #[serde(default)]
    roles: String,
}

/// The words of a cell, which blanks and semicolons separate.
fn words(text: &str) -> Vec<String> {
    text.split([' ', ';']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Reads the table.
pub fn read(path: &Path) -> anyhow::Result<Vec<Car>> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let cars = match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => {
            toml::from_str::<Cars>(&text)
                .map_err(|e| anyhow::anyhow!("{shown}: {}", e.message()))?
                .car
        }
        Some("csv") => {
            let mut reader =
                csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
            let mut cars = Vec::new();
            for row in reader.deserialize::<Row>() {
                let row = row.map_err(|e| anyhow::anyhow!("{shown}: {e}"))?;
                cars.push(Car {
                    vehicle: row.vehicle,
                    agency: Some(row.agency).filter(|agency| !agency.is_empty()),
                    cameras: words(&row.cameras),
                    roles: words(&row.roles),
                });
            }
            cars
        }
        _ => bail!("{shown}: a table of cars must be a .csv or a .toml file"),
    };
    ensure!(!cars.is_empty(), "{shown} has no car in it");
    let mut seen = BTreeSet::new();
    for car in &cars {
        let whose = (car.agency.clone(), car.vehicle.clone());
        ensure!(seen.insert(whose), "{shown}: vehicle {:?} stands there twice", car.vehicle);
    }
    Ok(cars)
}

/// A file of settings.
pub fn settings(path: &Path) -> anyhow::Result<Table> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).map_err(|e| anyhow::anyhow!("{}: {}", path.display(), e.message()))
}

/// Merges settings into others: tables are joined, lists of tables are appended, other values are replaced.
fn lay_over(below: &mut Table, above: &Table) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (Some(Value::Array(below)), Value::Array(above))
                if above.iter().all(Value::is_table) =>
            {
                below.extend(above.iter().cloned());
            }
            _ => _ = below.insert(key.clone(), value.clone()),
        }
    }
}

/// The table of a section, made where there is none.
fn section<'t>(of: &'t mut Table, name: &str) -> anyhow::Result<&'t mut Table> {
    let value = of.entry(name).or_insert_with(|| Value::Table(Table::new()));
    value.as_table_mut().with_context(|| format!("[{name}] of the template is no table"))
}

/// The cameras that a car has.
fn cameras(config: &mut Table, car: &Car) -> anyhow::Result<()> {
    if car.cameras.is_empty() {
        return Ok(());
    }
    let known = config.get("camera").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut chosen = Vec::new();
    for wanted in &car.cameras {
        let (name, device) = match wanted.split_once('=') {
            Some((name, device)) => (name, Some(device)),
            None => (wanted.as_str(), None),
        };
        let of_name = |camera: &&Value| camera.get("name").and_then(Value::as_str) == Some(name);
        let mut camera = known.iter().find(of_name).cloned().with_context(|| {
            format!("vehicle {}: the template has no [[camera]] named {name:?}", car.vehicle)
        })?;
        if let (Some(device), Some(table)) = (device, camera.as_table_mut()) {
            let (key, other) = match device.contains("://") {
                true => ("url", "device"),
                false => ("device", "url"),
            };
            table.insert(key.into(), device.into());
            table.remove(other);
        }
        chosen.push(camera);
    }
    config.insert("camera".into(), Value::Array(chosen));
    Ok(())
}

/// A car's configuration, as text and parsed.
pub fn configuration(
    template: &Table,
    roles: &BTreeMap<String, Table>,
    car: &Car,
) -> anyhow::Result<(String, Config)> {
    let mut config = template.clone();
    for role in &car.roles {
        let above = roles.get(role).with_context(|| {
            format!("vehicle {}: no file of settings for the role {role:?}", car.vehicle)
        })?;
        lay_over(&mut config, above);
    }
    let vehicle = section(&mut config, "vehicle")?;
    vehicle.insert("id".into(), car.vehicle.clone().into());
    if let Some(agency) = &car.agency {
        vehicle.insert("agency".into(), agency.clone().into());
    }
    cameras(&mut config, car)?;
    // A car that speaks to a broker has a certificate of its own, in a place of its own.
    if config.get("uplink").is_some_and(|uplink| uplink.get("broker").is_some()) {
        let uplink = section(&mut config, "uplink")?;
        for (key, file) in
            [("certificate", "vehicle.pem"), ("key", "vehicle.key"), ("ca", "ca.pem")]
        {
            uplink.entry(key).or_insert_with(|| format!("{ROOM}/tls/{file}").into());
        }
    }
    let text = toml::to_string(&config).context("the configuration cannot be written")?;
    let text = format!("# Written by outrider provision fleet.\n{text}");
    let named = PathBuf::from(format!("{CONFIG} of vehicle {}", car.vehicle));
    let meaning = Config::parse(&text, &named)?;
    Ok((text, meaning))
}

/// The files in the car's room that a configuration names, by key and by name in the room.
pub fn files_of(config: &Config) -> anyhow::Result<Vec<(String, String)>> {
    let uplink = &config.uplink;
    let mut paths: Vec<(String, &PathBuf)> = [
        ("trust.root", &config.trust.root),
        ("trust.document", &config.trust.document),
        ("policy.ceiling", &config.policy.ceiling),
        ("policy.file", &config.policy.file),
        ("console.certificate", &config.console.certificate),
        ("console.key", &config.console.key),
        ("uplink.ca", &uplink.ca),
        ("uplink.certificate", &uplink.certificate),
        ("uplink.key", &uplink.key),
        ("uplink.password_file", &uplink.password_file),
    ]
    .into_iter()
    .filter_map(|(key, path)| Some((key.to_owned(), path.as_ref()?)))
    .collect();
    for camera in &config.camera {
        paths.extend(camera.password_file.as_ref().map(|path| (camera.key("password_file"), path)));
    }
    for list in &config.hotlist {
        paths.extend(list.key.as_ref().map(|path| (format!("hotlist.{}.key", list.name), path)));
        if list.source == ListSource::File {
            paths.push((format!("hotlist.{}.path", list.name), &list.path));
        }
    }
    let inside = |(key, path): (String, &PathBuf)| match path.strip_prefix(ROOM) {
        Ok(name) => Ok((key, name.display().to_string())),
        Err(_) => bail!(
            "{key} = {:?}: must lie in {ROOM}, since a car's package writes nowhere else",
            path.display()
        ),
    };
    paths.into_iter().map(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "[vehicle]\nid = \"\"\nagency = \"peel\"\n\
        [[camera]]\nname = \"front\"\ndevice = \"/dev/a\"\n[[camera]]\nname = \"left\"\ndevice = \"/dev/b\"\n\
        [uplink]\nbroker = \"mqtts://broker.example\"\n\
        [[hotlist]]\nname = \"stolen\"\npath = \"/etc/outrider/lists/stolen.csv\"\n";

    fn car(cameras: &[&str], roles: &[&str]) -> Car {
        let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Car { vehicle: "4127".into(), agency: None, cameras: all(cameras), roles: all(roles) }
    }

    #[test]
    fn car_has_the_cameras_and_the_roles_of_its_row() {
        let template: Table = toml::from_str(TEMPLATE).unwrap();
        let patrol = "[keeping]\nnon_hit = \"1h\"\n[[hotlist]]\nname = \"bolo\"\npath = \"/etc/outrider/lists/bolo.csv\"\n";
        let roles = BTreeMap::from([("patrol".to_owned(), toml::from_str(patrol).unwrap())]);
        let (text, config) =
            configuration(&template, &roles, &car(&["left=/dev/z"], &["patrol"])).unwrap();
        assert_eq!((config.vehicle.id.as_str(), config.vehicle.agency.as_str()), ("4127", "peel"));
        assert_eq!(config.camera.len(), 1);
        assert_eq!(config.camera[0].name.as_str(), "left");
        assert_eq!(config.camera[0].device.as_deref(), Some("/dev/z"));
        assert_eq!(config.hotlist.len(), 2);
        assert_eq!(config.keeping.non_hit.to_string(), "1h");
        let files: Vec<_> = files_of(&config).unwrap().into_iter().map(|(_, name)| name).collect();
        let expected = [
            "tls/ca.pem",
            "tls/vehicle.pem",
            "tls/vehicle.key",
            "lists/stolen.csv",
            "lists/bolo.csv",
        ];
        assert_eq!(files, expected, "{text}");
        let (_, plain) = configuration(&template, &roles, &car(&[], &[])).unwrap();
        assert_eq!((plain.camera.len(), plain.hotlist.len()), (2, 1));
    }

    #[test]
    fn network_camera_has_the_address_of_its_row_and_the_password_of_the_template() {
        let camera = "[vehicle]\nid = \"\"\nagency = \"peel\"\n[[camera]]\nname = \"roof\"\n\
            url = \"rtsp://10.0.0.21/1\"\nusername = \"car\"\n\
            password_file = \"/etc/outrider/roof.password\"\n";
        let template: Table = toml::from_str(camera).unwrap();
        let (_, config) =
            configuration(&template, &BTreeMap::new(), &car(&["roof=rtsp://10.0.0.99/1"], &[]))
                .unwrap();
        assert_eq!(config.camera[0].url.as_deref(), Some("rtsp://10.0.0.99/1"));
        let files = files_of(&config).unwrap();
        assert_eq!(files, [("camera.roof.password_file".into(), "roof.password".into())]);
    }

    #[test]
    fn what_the_template_does_not_know_is_named() {
        let template: Table = toml::from_str(TEMPLATE).unwrap();
        let none = BTreeMap::new();
        let refused = |car: &Car| configuration(&template, &none, car).unwrap_err().to_string();
        assert!(refused(&car(&["rear"], &[])).contains("no [[camera]] named \"rear\""));
        assert!(refused(&car(&[], &["patrol"])).contains("the role \"patrol\""));
        let odd = Car { vehicle: "41 27".into(), ..car(&[], &[]) };
        assert!(refused(&odd).contains("vehicle.id"), "{}", refused(&odd));
        let elsewhere = TEMPLATE.replace("/etc/outrider/lists", "/srv");
        let (_, config) =
            configuration(&toml::from_str(&elsewhere).unwrap(), &none, &car(&[], &[])).unwrap();
        assert!(files_of(&config).unwrap_err().to_string().contains("hotlist.stolen.path"));
    }

    #[test]
    fn both_forms_of_the_table_say_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (csv, toml) = (dir.path().join("cars.csv"), dir.path().join("cars.toml"));
        fs::write(
            &csv,
            "vehicle,agency,cameras,roles\n4127,peel,front; left=/dev/z,patrol\n4128,,,\n",
        )
        .unwrap();
        fs::write(
            &toml,
            "[[car]]\nvehicle = \"4127\"\nagency = \"peel\"\ncameras = [\"front\", \"left=/dev/z\"]\n\
             roles = [\"patrol\"]\n[[car]]\nvehicle = \"4128\"\n",
        )
        .unwrap();
        assert_eq!(read(&csv).unwrap(), read(&toml).unwrap());
        fs::write(&csv, "vehicle,agency\n4127,peel\n4127,peel\n").unwrap();
        assert!(read(&csv).unwrap_err().to_string().contains("\"4127\" stands there twice"));
        fs::write(&csv, "vehicle,colour\n4127,red\n").unwrap();
        assert!(read(&csv).unwrap_err().to_string().contains("colour"));
    }
}
