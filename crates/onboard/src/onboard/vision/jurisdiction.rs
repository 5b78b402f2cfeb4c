//! The jurisdiction of a plate, as a probability from the picture and from the text's format.
//!
//! In: an [`Impression`] of each look, a log probability for every issuer that the model knows, and
//! the plate's text. Out: a [`JurisdictionRead`], or nothing: an issuer that is not sure enough is
//! *unknown*, which is stated and never guessed. The model is trained on plates with texts of any
//! issuer, so that the format's evidence ([`syntax::log_likelihood`]) is not counted twice. Costs:
//! some hundred additions a look. Leaves to others: what it means for a hit (the matcher).
//! docs/decisions/0105 has the reasons and the measured accuracy.

use std::sync::Arc;

use super::candidate::Confidence;
use crate::plate::{Jurisdiction, syntax};

/// Share of every look's distribution that is spread over all issuers, so that no single look can
/// exclude one.
const DOUBT: f32 = 0.01;

/// The jurisdiction that was read, with its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JurisdictionRead {
    jurisdiction: Jurisdiction,
    probability: Confidence,
}

impl JurisdictionRead {
    /// A jurisdiction that was read; `None` if it is unknown, because then there is no probability.
    pub fn new(jurisdiction: Jurisdiction, probability: Confidence) -> Option<Self> {
        (!jurisdiction.is_unknown()).then_some(Self { jurisdiction, probability })
    }

    /// The jurisdiction; never unknown.
    pub fn jurisdiction(&self) -> Jurisdiction {
        self.jurisdiction
    }

    /// Its probability.
    pub fn probability(&self) -> Confidence {
        self.probability
    }
}

/// The issuers that a model distinguishes, and when it is sure.
#[derive(Debug, PartialEq)]
pub struct Issuers {
    /// The issuer of each class, in order; unknown for classes without a particular issuer.
    pub(super) classes: Vec<Jurisdiction>,
    /// Probability from which on an issuer is reported.
    pub(super) threshold: f32,
    /// Weight of the format's log likelihood, 0 to 1.
    pub(super) format_weight: f32,
}

/// The evidence of one look at a plate, or of several, for its issuer.
#[derive(Debug, Clone)]
pub struct Impression {
    issuers: Arc<Issuers>,
    /// A log probability for each class.
    logs: Box<[f32]>,
}

impl Impression {
    /// Converts a network's logits.
    pub(super) fn of_logits(issuers: &Arc<Issuers>, logits: &[f32], temperature: f32) -> Self {
        let scaled: Vec<f32> = logits.iter().map(|l| l / temperature).collect();
        let logs = normal(&scaled).iter().map(|log| doubted(log.exp(), scaled.len())).collect();
        Self { issuers: issuers.clone(), logs }
    }

    /// The issuer of a plate with this text; `None` if none is sure enough.
    pub fn read(&self, text: &str) -> Option<JurisdictionRead> {
        let (class, p) = self.likeliest(text)?;
        (p >= self.issuers.threshold)
            .then(|| JurisdictionRead::new(self.issuers.classes[class], Confidence::new(p)))
            .flatten()
    }

    /// The likeliest class for a plate of this text, and its probability.
    fn likeliest(&self, text: &str) -> Option<(usize, f32)> {
        let formats: Vec<Option<f32>> =
            self.issuers.classes.iter().map(|of| syntax::log_likelihood(text, *of)).collect();
        // Where the table has no formats, the text has an average likelihood, which is no evidence.
        let known: Vec<f32> = formats.iter().flatten().map(|log| log.exp()).collect();
        let usual = match known.len() {
            0 => 0.0,
            n => (known.iter().sum::<f32>() / n as f32).max(f32::MIN_POSITIVE).ln(),
        };
        let joined: Vec<f32> = self
            .logs
            .iter()
            .zip(&formats)
            .map(|(log, format)| {
                log + self.issuers.format_weight * format.map_or(0.0, |f| f - usual)
            })
            .collect();
        let p = normal(&joined);
        let best = (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b]))?;
        Some((best, p[best].exp()))
    }
}

/// Normalises log probabilities so that their sum is one.
fn normal(logs: &[f32]) -> Vec<f32> {
    let top = logs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logs.iter().map(|log| (log - top).exp()).sum();
    logs.iter().map(|log| log - top - sum.ln()).collect()
}

/// The logarithm of a probability with some doubt added; a model's output may not even be a number.
fn doubted(p: f32, classes: usize) -> f32 {
    let p = if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.0 };
    ((1.0 - DOUBT) * p + DOUBT / classes as f32).ln()
}

/// The joint evidence of a track's looks: the weighted mean of their log probabilities, multiplied
/// by the number of independent looks that the vote counts.
#[derive(Debug, Clone, Default)]
pub(in crate::onboard) struct Impressions {
    issuers: Option<Arc<Issuers>>,
    sums: Vec<f32>,
    weight: f32,
}

impl Impressions {
    /// Adds one look. `weight` is above 0.
    pub(in crate::onboard) fn add(&mut self, look: &Impression, weight: f32) {
        if self.issuers.as_ref().is_none_or(|of| !Arc::ptr_eq(of, &look.issuers)) {
            // Looks of different models cannot be joined: the newer model's are kept.
            let sums = vec![0.0; look.logs.len()];
            *self = Self { issuers: Some(look.issuers.clone()), sums, weight: 0.0 };
        }
        for (sum, log) in self.sums.iter_mut().zip(&look.logs) {
            *sum += weight * log;
        }
        self.weight += weight;
    }

    /// The issuer of a plate with this text, where the looks count as `looks` independent ones.
    pub(in crate::onboard) fn read(&self, text: &str, looks: f32) -> Option<JurisdictionRead> {
        let issuers = self.issuers.clone()?;
        let sharpness = looks / self.weight.max(f32::MIN_POSITIVE);
        let logs = self.sums.iter().map(|sum| sum * sharpness).collect();
        Impression { issuers, logs }.read(text)
    }
}

/// An impression with made-up probabilities, for tests of later stages; the remaining probability
/// is shared by the class without a particular issuer and an unnamed state.
#[cfg(any(test, feature = "testing"))]
pub fn impression_for_tests(of: &[(&str, f32)], threshold: f32) -> Impression {
    use std::sync::OnceLock;
    static ISSUERS: OnceLock<std::sync::Mutex<Vec<Arc<Issuers>>>> = OnceLock::new();
    let codes = ["US-CA", "US-NV", "US-NY", "CA-ON", "CA-QC", "GB", "unknown"];
    let mut known = ISSUERS.get_or_init(Default::default).lock().expect("no holder panics");
    // One set per threshold, so that looks of one test can be joined.
    let issuers = match known.iter().find(|issuers| issuers.threshold == threshold) {
        Some(issuers) => issuers.clone(),
        None => {
            let classes = codes.map(|code| Jurisdiction::parse(code).expect("a code")).to_vec();
            let issuers = Arc::new(Issuers { classes, threshold, format_weight: 1.0 });
            known.push(issuers.clone());
            issuers
        }
    };
    let left = (1.0 - of.iter().map(|(_, p)| p).sum::<f32>()).max(0.0) / codes.len() as f32;
    let p = |code: &str| left + of.iter().find(|(c, _)| *c == code).map_or(0.0, |(_, p)| *p);
    let logs = codes.iter().map(|code| doubted(p(code), codes.len())).collect();
    Impression { issuers, logs }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(read: Option<JurisdictionRead>) -> String {
        read.map_or("unknown".into(), |read| read.jurisdiction().to_string())
    }

    #[test]
    fn who_is_not_sure_is_unknown() {
        let unsure = impression_for_tests(&[("US-NY", 0.6), ("CA-QC", 0.3)], 0.9);
        assert_eq!(said(unsure.read("ROCKER")), "unknown");
        let sure = impression_for_tests(&[("US-NY", 0.99)], 0.9);
        assert_eq!(said(sure.read("ROCKER")), "US-NY");
        assert!(sure.read("ROCKER").unwrap().probability().get() > 0.9);
    }

    #[test]
    fn nobody_in_particular_is_never_said() {
        let nobody = impression_for_tests(&[("unknown", 1.0)], 0.5);
        assert_eq!(said(nobody.read("ROCKER")), "unknown");
    }

    #[test]
    fn format_of_one_state_settles_a_doubt_and_a_shared_format_does_not() {
        let unsure = impression_for_tests(&[("US-CA", 0.5), ("US-NV", 0.4)], 0.9);
        assert_eq!(said(unsure.read("6ABC234")), "US-CA");
        assert_eq!(said(unsure.read("ROCKER")), "unknown");
        let other = impression_for_tests(&[("US-NY", 0.5), ("CA-ON", 0.4)], 0.9);
        assert_eq!(said(other.read("ABC123")), "unknown");
    }

    #[test]
    fn format_alone_does_not_outvote_a_clear_picture() {
        let clear = impression_for_tests(&[("US-NV", 0.999)], 0.9);
        assert_ne!(said(clear.read("6ABC234")), "US-CA");
    }

    #[test]
    fn looks_add_up_and_one_that_disagrees_takes_away() {
        let look = impression_for_tests(&[("US-NY", 0.85)], 0.9);
        let mut looks = Impressions::default();
        assert_eq!(said(looks.read("ROCKER", 1.0)), "unknown", "nothing was seen");
        looks.add(&look, 1.0);
        assert_eq!(said(looks.read("ROCKER", 1.0)), "unknown");
        looks.add(&look, 1.0);
        assert_eq!(said(looks.read("ROCKER", 1.0)), "unknown", "the same look twice is one look");
        assert_eq!(said(looks.read("ROCKER", 1.6)), "US-NY");
        looks.add(&impression_for_tests(&[("CA-QC", 0.99)], 0.9), 1.0);
        assert_eq!(said(looks.read("ROCKER", 1.6)), "unknown");
    }

    #[test]
    fn numbers_that_are_none_are_doubt() {
        let issuers = impression_for_tests(&[], 0.9).issuers;
        let nan = Impression::of_logits(&issuers, &[f32::NAN; 7], 1.0);
        assert_eq!(said(nan.read("ROCKER")), "unknown");
        let endless = [f32::INFINITY, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(said(Impression::of_logits(&issuers, &endless, 1.0).read("R")), "unknown");
    }
}
