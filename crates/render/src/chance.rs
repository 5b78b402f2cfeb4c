//! Repeatable randomness: a small seeded generator, and noise as a function of place.

/// A seeded generator (SplitMix64): the same seed gives the same drive on every machine.
#[derive(Debug, Clone)]
pub struct Chance(u64);

/// Mixes the bits of a number so that neighbours look unrelated.
pub fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

impl Chance {
    /// Starts a sequence of numbers.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// A number between two others.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// One of several values.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Roughly normal, mean 0 and deviation 1 (a sum of four).
    pub fn normal(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 3.0_f32.sqrt()
    }
}

/// Smooth noise in the plane, 0 to 1, one feature per unit.
pub fn noise(seed: u64, x: f32, y: f32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (smooth(x - x0), smooth(y - y0));
    let at = |dx: f32, dy: f32| {
        let (i, j) = ((x0 + dx) as i64 as u64, (y0 + dy) as i64 as u64);
        let bits = mix(seed ^ i.wrapping_mul(0x9e37_79b9) ^ mix(j));
        (bits >> 40) as f32 / (1_u64 << 24) as f32
    };
    let top = at(0.0, 0.0) * (1.0 - u) + at(1.0, 0.0) * u;
    let bottom = at(0.0, 1.0) * (1.0 - u) + at(1.0, 1.0) * u;
    top * (1.0 - v) + bottom * v
}

/// Noise with detail: `octaves` layers, each twice as fine and half as strong; 0 to 1.
pub fn fractal(seed: u64, x: f32, y: f32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total) = (0.0, 1.0, 0.0);
    let (mut x, mut y) = (x, y);
    for octave in 0..octaves {
        sum += weight * noise(seed.wrapping_add(u64::from(octave)), x, y);
        total += weight;
        weight *= 0.5;
        (x, y) = (x * 2.0 + 17.0, y * 2.0 + 31.0);
    }
    sum / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_with_the_seed_and_spread() {
        let row = |seed| {
            let mut chance = Chance::new(seed);
            (0..1000).map(|_| chance.unit()).collect::<Vec<_>>()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        let mean = row(7).iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
    }

    #[test]
    fn noise_is_smooth_and_bounded() {
        for i in 0..500 {
            let x = i as f32 * 0.37 - 90.0;
            let (a, b) = (fractal(3, x, 1.5, 4), fractal(3, x + 0.001, 1.5, 4));
            assert!((0.0..=1.0).contains(&a) && (a - b).abs() < 0.02);
        }
    }
}
