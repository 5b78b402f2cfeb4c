//! Makes lists and sets up cars at a desk: sources' files become entries (`import`), entries become signed chunks
//! on a broker (`publish`), a table of cars becomes a package for each (`fleet`). Of all this a car uses only the code
//! that opens its package.

pub mod fleet;
pub mod import;
pub mod publish;
