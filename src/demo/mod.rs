//! A whole drive without a car: rendered cameras, simulated GPS, embedded broker.
