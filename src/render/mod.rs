//! Our own renderer: plates in our own typeface, cars, road, day and dusk.
//!
//! Everything is drawn from numbers in these files; there are no pictures and no fonts of others.
//! In: where we are and what drives around us ([`scene::Vehicle`]). Out: pictures such as a car's
//! camera would take, and where each plate lies in them, so that reading can be measured.

pub mod car;
pub mod chance;
mod glyphs;
pub mod light;
pub mod plate;
mod raster;
mod road;
pub mod scene;
mod scenery;
pub mod stroke;
pub mod text;
pub mod view;

pub use road::{ONCOMING_LANE_M, RIGHT_LANE_M};
