//! Sets up many cars at a desk: from one table of cars and one template it makes one sealed file for each car.
//!
//! In: the table, the template, the files that the template names, the fleet's authority. Out: packages that
//! `outrider provision take` opens on the car, once. Leaves to others: the car's device key, which no desk sees.

pub mod authority;
pub mod package;
pub mod table;

/// Where a car's configuration and keys lie.
pub const ROOM: &str = "/etc/outrider";

/// The configuration's name in it.
pub const CONFIG: &str = "outrider.toml";
