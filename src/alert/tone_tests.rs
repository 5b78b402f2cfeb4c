//! Measures the tones: pulses, spectrum, ramps, and whether a simulated ear that knows nothing but rates of pulses
//! can distinguish the first half second of each.

use super::*;

pub(in crate::alert) const ALL: [Priority; 3] = [Priority::High, Priority::Medium, Priority::Low];

/// Half a second, in which the three tones must be distinguishable.
const HALF: usize = RATE as usize / 2;

/// Samples of one step of the envelope: 5 ms.
const STEP: usize = RATE as usize / 200;

/// Amplitude of the sine of `hertz` in `samples` (one term of a discrete Fourier transform).
pub(in crate::alert) fn amplitude(samples: &[i16], hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (i, x) in samples.iter().enumerate() {
        let phase = std::f64::consts::TAU * hertz * i as f64 / f64::from(RATE);
        re += f64::from(*x) * phase.cos();
        im -= f64::from(*x) * phase.sin();
    }
    2.0 * re.hypot(im) / samples.len() as f64
}

/// Loudness (RMS) in steps of 5 ms.
fn envelope(samples: &[i16]) -> Vec<f64> {
    let rms = |step: &[i16]| {
        (step.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / step.len() as f64).sqrt()
    };
    samples.chunks(STEP).map(rms).collect()
}

/// First and last samples of the pulses: what lies above a hundredth of the loudest, gaps of less than 10 ms closed.
pub(in crate::alert) fn pulses(samples: &[i16]) -> Vec<(usize, usize)> {
    let loudest = samples.iter().map(|x| x.unsigned_abs()).max().unwrap_or(0);
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (i, x) in samples.iter().enumerate() {
        if x.unsigned_abs() <= loudest / 100 {
            continue;
        }
        match found.last_mut() {
            Some((_, end)) if i - *end < RATE as usize / 100 => *end = i,
            _ => found.push((i, i)),
        }
    }
    found
}

/// Milliseconds from a tenth to nine tenths of a pulse's full loudness, at its start and at its end.
fn ramps_ms(pulse: &[i16], hertz: f32) -> [f64; 2] {
    let period = (RATE as f32 / hertz) as usize;
    let peaks = |samples: Vec<i16>| -> f64 {
        let peak =
            |at: usize| samples[at..at + period].iter().map(|x| x.unsigned_abs()).max().unwrap();
        let full = peak(samples.len() / 2);
        let reaches = |share: f64| {
            (0..samples.len() / 2)
                .find(|at| f64::from(peak(*at)) >= share * f64::from(full))
                .unwrap()
        };
        (reaches(0.9) - reaches(0.1)) as f64 * 1000.0 / f64::from(RATE)
    };
    [peaks(pulse.to_vec()), peaks(pulse.iter().rev().copied().collect())]
}

/// What the issue asks of a tone, measured on its samples.
pub(in crate::alert) fn assert_is_a_burst(heard: &[i16], priority: Priority) {
    let wanted = burst(priority);
    let found = pulses(heard);
    assert_eq!(found.len(), wanted.pulses as usize, "{priority:?}: pulses {found:?}");
    assert!((150.0..=1000.0).contains(&wanted.hertz), "{priority:?}");
    for (n, (start, end)) in found.iter().enumerate() {
        let pulse = &heard[*start..=*end];
        // Whole periods of the middle, so that each harmonic stands in a term of its own.
        let middle = &pulse[FADE..pulse.len() - FADE];
        let periods = (middle.len() as f64 * f64::from(wanted.hertz) / f64::from(RATE)).floor();
        let whole = (periods * f64::from(RATE) / f64::from(wanted.hertz)).round() as usize;
        let level = |k: u32| {
            20.0 * amplitude(&middle[..whole], f64::from(k) * f64::from(wanted.hertz)).log10()
        };
        let inside = (1..20).filter(|k| (300.0..=4000.0).contains(&(*k as f32 * wanted.hertz)));
        let levels: Vec<f64> = inside.map(level).collect();
        let loudest = levels.iter().copied().fold(f64::MIN, f64::max);
        let strong: Vec<_> = levels.iter().filter(|l| loudest - **l <= 15.0).collect();
        assert!(strong.len() >= 4, "{priority:?}, pulse {n}: harmonics at {levels:?} dB");
        // Between the harmonics is nothing: no second pitch, as a dispatcher's call has.
        for between in [1.5, 2.5, 3.5] {
            let hiss =
                20.0 * amplitude(&middle[..whole], between * f64::from(wanted.hertz)).log10();
            assert!(loudest - hiss > 15.0, "{priority:?}, pulse {n}: {hiss} dB at {between}");
        }
        // A raised cosine of 25 ms takes 0.59 of it from a tenth to nine tenths: 20 to 30 ms are 11.8 to 17.7.
        for ramp in ramps_ms(pulse, wanted.hertz) {
            assert!((10.0..=19.0).contains(&ramp), "{priority:?}, pulse {n}: ramp of {ramp} ms");
        }
    }
    for two in found.windows(2) {
        let every = (two[1].0 - two[0].0) as f64 * 1000.0 / f64::from(RATE);
        assert!((every - f64::from(wanted.every_ms)).abs() < 2.0, "{priority:?}: every {every} ms");
    }
}

#[test]
fn tones_are_bursts_of_five_three_and_one_rich_in_harmonics_with_soft_edges() {
    for priority in ALL {
        assert_is_a_burst(&samples(priority, 80), priority);
    }
    assert_eq!(ALL.map(|p| burst(p).pulses), [5, 3, 1]);
    assert!((20..=30).contains(&RAMP_MS));
}

#[test]
fn high_is_loudest_and_nothing_clips() {
    let peak = |p, volume| samples(p, volume).iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert!(peak(Priority::High, 100) > peak(Priority::Medium, 100));
    assert!(peak(Priority::Medium, 100) > peak(Priority::Low, 100));
    assert!(peak(Priority::High, 20) > 4_000, "quietest setting is inaudible");
    assert!(peak(Priority::High, 255) <= i16::MAX as u16);
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    /// Between -1 and 1.
    fn roll(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// What a moving car sounds like from inside: rumble that falls with frequency, an engine's hum and its harmonics,
/// and wind over all of the band. Of RMS 1.
fn cabin(dice: &mut Dice, length: usize) -> Vec<f64> {
    let hum = 30.0 + 15.0 * dice.roll();
    let (mut rumble, mut out) = (0.0, Vec::with_capacity(length));
    for i in 0..length {
        rumble = 0.995 * rumble + 0.1 * dice.roll();
        let at = std::f64::consts::TAU * hum * i as f64 / f64::from(RATE);
        let engine: f64 = (1..=4).map(|n| (f64::from(n) * at).sin() / f64::from(n)).sum();
        out.push(rumble + 0.3 * engine + 0.25 * dice.roll());
    }
    let rms = (out.iter().map(|x| x * x).sum::<f64>() / length as f64).sqrt();
    out.iter().map(|x| x / rms).collect()
}

/// Recognises a half second by its pulses alone: by how often the loudness rises through the middle between quiet
/// and loud. Knows no pitch.
fn recognised(half_second: &[i16]) -> Option<Priority> {
    let loud = envelope(half_second);
    let most = loud.iter().copied().fold(0.0, f64::max);
    let least = loud.iter().copied().fold(f64::MAX, f64::min);
    let (up, down) = (least + 0.5 * (most - least), least + 0.3 * (most - least));
    let (mut on, mut starts) = (false, 0);
    for step in loud {
        if !on && step > up {
            (on, starts) = (true, starts + 1);
        } else if on && step < down {
            on = false;
        }
    }
    match starts {
        4 => Some(Priority::High),
        2 => Some(Priority::Medium),
        1 => Some(Priority::Low),
        _ => None,
    }
}

/// Adds noise to half a second so that the pulses are `db` louder than it.
fn in_noise(tone: &[i16], db: f64, dice: &mut Dice) -> Vec<i16> {
    let mut first = tone[..tone.len().min(HALF)].to_vec();
    first.resize(HALF, 0);
    let sounding: Vec<f64> = first.iter().filter(|x| **x != 0).map(|x| f64::from(*x)).collect();
    let rms = (sounding.iter().map(|x| x * x).sum::<f64>() / sounding.len() as f64).sqrt();
    let noise = rms / 10_f64.powf(db / 20.0);
    let cabin = cabin(dice, HALF);
    first.iter().zip(cabin).map(|(x, n)| (f64::from(*x) + n * noise) as i16).collect()
}

#[test]
fn half_a_second_in_a_noisy_cabin_tells_the_three_apart() {
    let mut dice = Dice(20_261_130);
    for db in [20.0, 12.0] {
        let mut wrong = Vec::new();
        for trial in 0..300 {
            let priority = ALL[trial % 3];
            let heard = in_noise(&samples(priority, 80), db, &mut dice);
            if recognised(&heard) != Some(priority) {
                wrong.push((trial, priority, recognised(&heard)));
            }
        }
        eprintln!("{} of 300 told wrongly at {db} dB", wrong.len());
        assert!(db < 20.0 || wrong.is_empty(), "at {db} dB: {wrong:?}");
    }
    // The control: where the noise drowns the tone, the same ear cannot distinguish them.
    let drowned = (0..60).filter(|n| {
        recognised(&in_noise(&samples(ALL[n % 3], 80), -20.0, &mut dice)) == Some(ALL[n % 3])
    });
    let drowned = drowned.count();
    assert!(drowned < 45, "{drowned} of 60 told in noise that drowns them");
}
