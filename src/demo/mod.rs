//! A whole drive without a car: rendered cameras, simulated GPS, embedded broker.

pub mod camera;
pub mod scenario;
