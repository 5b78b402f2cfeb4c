//! Our own renderer: plates in our own typeface, cars, road, day and dusk.

mod glyphs;
pub mod stroke;
pub mod text;
