//! The three tones as samples, one per priority.
//!
//! Told apart by rhythm and pitch, so that one ear at 100 km/h is enough: high alternates two
//! pitches without a pause, medium beeps twice, low once and softer. In: a priority and a
//! loudness. Out: 16-bit mono samples at [`RATE`]. Synthesised when asked for: 1.2 s costs less
//! than a millisecond.

use std::f32::consts::TAU;

use crate::hotlist::Priority;

/// Samples a second. Every sound chip takes 48 kHz without resampling.
pub const RATE: u32 = 48_000;

/// Length of the rise and fall at the edges of every note, in samples: 8 ms.
///
/// A note that starts at full swing is heard as a click. Below about 5 ms the click is still
/// there, above 20 ms the note starts to sound soft.
const RAMP: usize = 8 * RATE as usize / 1000;

/// Share of the third harmonic.
///
/// A little of it lets a small speaker be located and be heard by an ear that has lost its highs,
/// and the pitch stays clear.
const THIRD: f32 = 0.15;

/// One pitch held for a while; a pitch of zero is silence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    /// Fundamental in hertz.
    pub hertz: f32,
    /// Length in milliseconds, ramps included.
    pub ms: u32,
}

/// The melody of a priority, and its share of the set loudness.
pub fn notes(priority: Priority) -> (&'static [Note], f32) {
    const HIGH_UP: Note = Note { hertz: 1500.0, ms: 150 };
    const HIGH_DOWN: Note = Note { hertz: 1000.0, ms: 150 };
    const MEDIUM: Note = Note { hertz: 784.0, ms: 180 };
    const PAUSE: Note = Note { hertz: 0.0, ms: 120 };
    const LOW: Note = Note { hertz: 523.0, ms: 250 };
    match priority {
        Priority::High => {
            (&[HIGH_DOWN, HIGH_UP, HIGH_DOWN, HIGH_UP, HIGH_DOWN, HIGH_UP, HIGH_DOWN, HIGH_UP], 1.0)
        }
        Priority::Medium => (&[MEDIUM, PAUSE, MEDIUM], 0.8),
        Priority::Low => (&[LOW], 0.5),
    }
}

/// Synthesises a tone at `volume` percent of full scale.
pub fn samples(priority: Priority, volume: u8) -> Vec<i16> {
    let (notes, share) = notes(priority);
    let peak = f32::from(i16::MAX) * share * f32::from(volume.min(100)) / 100.0;
    let mut out = Vec::new();
    for note in notes {
        let n = (RATE * note.ms / 1000) as usize;
        for i in 0..n {
            let phase = TAU * note.hertz * i as f32 / RATE as f32;
            let wave = (phase.sin() + THIRD * (3.0 * phase).sin()) / (1.0 + THIRD);
            out.push((wave * ramp(i.min(n - 1 - i)) * peak) as i16);
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
pub(super) mod tests {
    use super::*;

    /// Share of the energy of `samples` that lies at `hertz` (Goertzel's filter).
    pub(in crate::alert) fn energy_at(samples: &[i16], hertz: f32) -> f64 {
        let w = std::f64::consts::TAU * f64::from(hertz) / f64::from(RATE);
        let (mut s1, mut s2, mut total) = (0.0_f64, 0.0_f64, 0.0_f64);
        for x in samples {
            let x = f64::from(*x);
            let s0 = x + 2.0 * w.cos() * s1 - s2;
            (s2, s1) = (s1, s0);
            total += x * x;
        }
        let power = s1 * s1 + s2 * s2 - 2.0 * w.cos() * s1 * s2;
        2.0 * power / (total.max(1.0) * samples.len() as f64)
    }

    fn length_ms(priority: Priority) -> usize {
        samples(priority, 80).len() * 1000 / RATE as usize
    }

    #[test]
    fn three_tones_differ_in_length_and_pitch() {
        assert_eq!(
            [Priority::High, Priority::Medium, Priority::Low].map(length_ms),
            [1200, 480, 250]
        );
        let first_150_ms = |p| samples(p, 80)[..7200].to_vec();
        for (priority, hertz) in
            [(Priority::High, 1000.0), (Priority::Medium, 784.0), (Priority::Low, 523.0)]
        {
            for candidate in [523.0, 784.0, 1000.0] {
                let share = energy_at(&first_150_ms(priority), candidate);
                assert_eq!(share > 0.7, candidate == hertz, "{priority:?} {candidate}: {share}");
            }
        }
    }

    #[test]
    fn no_sample_jumps_further_than_the_wave_itself() {
        for priority in [Priority::High, Priority::Medium, Priority::Low] {
            let s = samples(priority, 100);
            assert_eq!((s[0], *s.last().unwrap()), (0, 0), "{priority:?} starts or ends at once");
            // The steepest slope of a 1.5 kHz sine with 15 % third harmonic at full scale.
            let limit =
                f64::from(i16::MAX) * std::f64::consts::TAU * 1500.0 / f64::from(RATE) * 1.3;
            let steepest = s.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max();
            assert!(f64::from(steepest.unwrap()) < limit, "{priority:?}: {steepest:?} > {limit}");
        }
    }

    #[test]
    fn high_is_loudest_and_nothing_clips() {
        let peak = |p, volume| samples(p, volume).iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(peak(Priority::High, 100) > peak(Priority::Medium, 100));
        assert!(peak(Priority::Medium, 100) > peak(Priority::Low, 100));
        assert!(peak(Priority::High, 20) > 4_000, "quietest setting is inaudible");
        assert!(peak(Priority::High, 255) <= i16::MAX as u16);
    }
}
