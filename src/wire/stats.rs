//! A day's counts as they leave, and as they are read again: every name once, and no number that no car counts.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::FORMAT;
use crate::config::{Vehicle, is_topic_level};
use crate::counters::DayReport;
use crate::text::ForeignText;

/// One day's counts: numbers under names from a closed set, from list categories and from reason codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct StatsReport {
    pub v: u8,
    pub agency: String,
    pub vehicle: String,
    pub day: Date,
    pub revision: u64,
    #[serde(deserialize_with = "each_once")]
    pub car: BTreeMap<String, u64>,
    #[serde(deserialize_with = "cameras_each_once")]
    pub cameras: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Most that one count of a day may say: no car drives past as many plates, and sums of as many cars as there are
/// stay far below the largest number.
const MOST_OF_A_DAY: u64 = 1_000_000_000;

/// Longest name of a count or a camera, in characters.
const LONGEST_NAME: usize = 100;

/// A map in which each name stands once. Of two values under one name serde would take the last, and another program
/// the first.
struct Once<V>(BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Once<V> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Names<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> serde::de::Visitor<'de> for Names<V> {
            type Value = Once<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("names, each once")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut all: A,
            ) -> Result<Once<V>, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((name, value)) = all.next_entry::<String, V>()? {
                    if map.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a name stands there twice"));
                    }
                }
                Ok(Once(map))
            }
        }
        d.deserialize_map(Names(std::marker::PhantomData))
    }
}

fn each_once<'de, D: serde::Deserializer<'de>>(d: D) -> Result<BTreeMap<String, u64>, D::Error> {
    Once::deserialize(d).map(|Once(map)| map)
}

fn cameras_each_once<'de, D: serde::Deserializer<'de>>(
    d: D,
) -> Result<BTreeMap<String, BTreeMap<String, u64>>, D::Error> {
    let Once(cameras) = Once::<Once<u64>>::deserialize(d)?;
    Ok(cameras.into_iter().map(|(name, Once(counts))| (name, counts)).collect())
}

impl StatsReport {
    /// The report of a day.
    pub fn of(vehicle: &Vehicle, day: DayReport) -> Self {
        let DayReport { day, revision, car, cameras } = day;
        let (agency, vehicle) = (vehicle.agency.clone(), vehicle.id.clone());
        Self { v: FORMAT, agency, vehicle, day, revision, car, cameras }
    }

    /// Checks what no car of ours sends, whoever did: a report adds up what it is given.
    pub fn check(&self) -> Result<(), String> {
        if self.v != FORMAT {
            return Err(format!("is of format {}, this reads format {FORMAT}", self.v));
        }
        if !is_topic_level(&self.agency) || !is_topic_level(&self.vehicle) {
            return Err("names an agency or a vehicle as no car is called".into());
        }
        let names = self.cameras.keys().chain(self.cameras.values().flat_map(BTreeMap::keys));
        let shown = |name: &&String| {
            ForeignText::parse(name, LONGEST_NAME).is_ok_and(|text| text == name.as_str())
        };
        if !names.chain(self.car.keys()).all(|name| shown(&name)) {
            return Err("names a count or a camera with what cannot be shown".into());
        }
        let counts = self.cameras.values().chain([&self.car]).flat_map(BTreeMap::values);
        match counts.copied().max() {
            Some(n) if n > MOST_OF_A_DAY => {
                Err(format!("says {n}, and no count of a day is above {MOST_OF_A_DAY}"))
            }
            _ => Ok(()),
        }
    }

    /// The day's counts again, with the agency and the vehicle that they are of.
    pub fn into_day(self) -> (String, DayReport) {
        let Self { vehicle, day, revision, car, cameras, .. } = self;
        (vehicle, DayReport { day, revision, car, cameras })
    }
}
