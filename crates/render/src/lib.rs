//! Our own renderer: plates in our own typeface, cars, road, day and dusk.
//!
//! Everything is drawn from numbers in these files; there are no pictures and no fonts of others.
//! In: where the camera is and which vehicles are around it ([`scene::Vehicle`]). Out: pictures
//! such as a car's camera would take, and where each plate lies in them, so that reading can be
//! measured.

#[cfg(feature = "drives")]
use outrider_base::geometry;

#[cfg(feature = "drives")]
pub mod car;
pub mod chance;
mod glyphs;
#[cfg(feature = "drives")]
pub mod light;
pub mod plate;
#[cfg(feature = "drives")]
mod raster;
#[cfg(feature = "drives")]
mod road;
#[cfg(feature = "drives")]
pub mod scene;
#[cfg(feature = "drives")]
mod scenery;
pub mod stroke;
pub mod text;
#[cfg(feature = "drives")]
pub mod view;

#[cfg(feature = "drives")]
pub use road::{ONCOMING_LANE_M, RIGHT_LANE_M};
