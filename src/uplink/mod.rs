//! Talks off the vehicle; knows hits and health, nothing else.
