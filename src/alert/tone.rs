//! The three tones as samples, one per priority: bursts of five, three and one pulses.
//!
//! They differ within the first half second by how fast the pulses follow one another, and in pitch; every pulse of
//! a burst has one pitch, so that none is taken for a dispatcher's two-tone call. In: a priority and a loudness.
//! Out: 16-bit mono samples at [`RATE`]. Costs: less than a millisecond for half a second of sound.
//! The figures are those of MIL-STD-1472 and IEC 60601-1-8 (`docs/decisions/0115-bursts.md`).

use std::f32::consts::TAU;

use crate::entry::Priority;

/// Samples a second. Every sound chip takes 48 kHz without resampling.
pub const RATE: u32 = 48_000;

/// Length of the rise and fall at the edges of every pulse, in milliseconds.
///
/// Between 20 and 30: a faster one startles, a slower one eats up the short pulses of a high alert.
pub const RAMP_MS: u32 = 25;

const RAMP: usize = (RAMP_MS * RATE / 1000) as usize;

/// Amplitude of each harmonic against the fundamental's. A small loudspeaker hardly plays the fundamental, but the
/// pitch is heard from the harmonics too, and an ear that has lost high frequencies still hears some of them.
const HARMONICS: [f32; 6] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5];

/// The highest harmonic, in hertz: damaged ears often hear nothing above it.
const HIGHEST: f32 = 4000.0;

/// A burst of equal pulses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Number of pulses.
    pub pulses: u32,
    /// Fundamental frequency in hertz.
    pub hertz: f32,
    /// Length of a pulse in milliseconds, ramps included.
    pub ms: u32,
    /// Time from the start of a pulse to the start of the next, in milliseconds.
    pub every_ms: u32,
    /// Share of the set loudness.
    pub share: f32,
}

/// The burst of a priority.
pub const fn burst(priority: Priority) -> Burst {
    match priority {
        Priority::High => Burst { pulses: 5, hertz: 660.0, ms: 80, every_ms: 125, share: 1.0 },
        Priority::Medium => Burst { pulses: 3, hertz: 495.0, ms: 160, every_ms: 250, share: 0.8 },
        Priority::Low => Burst { pulses: 1, hertz: 330.0, ms: 250, every_ms: 250, share: 0.6 },
    }
}

impl Burst {
    fn samples(self) -> usize {
        ((self.every_ms * (self.pulses - 1) + self.ms) * RATE / 1000) as usize
    }

    /// The wave without its ramps, between -1 and 1 before it is levelled.
    fn wave(self, at: usize) -> f32 {
        let sum = |(n, share): (usize, &f32)| {
            let n = (n + 1) as f32;
            if n * self.hertz > HIGHEST {
                return 0.0;
            }
            // Phases that grow with the square keep the peaks of the harmonics apart (Schroeder 1970): the same
            // loudness with a lower peak.
            let phase = std::f32::consts::PI * n * n / HARMONICS.len() as f32;
            share * (TAU * n * self.hertz * at as f32 / RATE as f32 + phase).sin()
        };
        HARMONICS.iter().enumerate().map(sum).sum()
    }
}

/// Synthesises a tone at `volume` percent of full scale.
pub fn samples(priority: Priority, volume: u8) -> Vec<i16> {
    let burst = burst(priority);
    let one: Vec<f32> = (0..(burst.ms * RATE / 1000) as usize).map(|i| burst.wave(i)).collect();
    let highest = one.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let peak = f32::from(i16::MAX) * burst.share * f32::from(volume.min(100)) / 100.0;
    let mut out = vec![0; burst.samples()];
    for pulse in 0..burst.pulses {
        let start = (pulse * burst.every_ms * RATE / 1000) as usize;
        for (i, wave) in one.iter().enumerate() {
            let edge = ramp(i.min(one.len() - 1 - i));
            out[start + i] = (wave / highest * edge * peak) as i16;
        }
    }
    out
}

/// Raised cosine from 0 to 1 over [`RAMP`] samples.
pub(super) fn ramp(from_edge: usize) -> f32 {
    if from_edge >= RAMP {
        return 1.0;
    }
    0.5 - 0.5 * (TAU / 2.0 * from_edge as f32 / RAMP as f32).cos()
}

/// Samples that a tone takes to fade when it is cut short.
pub(super) const FADE: usize = RAMP;

#[cfg(test)]
#[path = "tone_tests.rs"]
pub(super) mod tests;
