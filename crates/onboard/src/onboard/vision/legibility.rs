//! Whether a plate's picture can be read at all, and if not, what is in the way.
//!
//! An OCR package may have a head beside its text that says so: `models/README.md` has the keys and
//! docs/decisions/0148 what it was trained on. In: logits of one plate. Out: a probability per class. It says
//! nothing about what stands on the plate, and nothing of it is kept.

use serde::{Deserialize, Serialize, Serializer};

/// Classes of a head, the legible one first.
pub(super) const CLASSES: [&str; 5] = ["legible", "soft", "dark", "covered", "glare"];

/// What keeps a plate from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Out of focus, smeared by motion, or of too few pixels.
    Soft,
    /// Too little light.
    Dark,
    /// Something is in front of it, or dirt on it.
    Covered,
    /// Light drowns it.
    Glare,
}

impl Cause {
    /// All of them, in the order of the classes.
    pub const ALL: [Self; 4] = [Self::Soft, Self::Dark, Self::Covered, Self::Glare];

    /// Its class in packages and in JSON.
    pub fn name(self) -> &'static str {
        CLASSES[1 + self as usize]
    }

    /// For a person.
    pub fn says(self) -> &'static str {
        match self {
            Self::Soft => "blurred",
            Self::Dark => "too dark",
            Self::Covered => "covered",
            Self::Glare => "glare",
        }
    }
}

/// A plate's chance of being legible, and of each cause why it is not: they add up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Legibility([f32; CLASSES.len()]);

impl Legibility {
    /// Of logits in the order of `head`'s classes; none where one of them is not a number.
    pub(super) fn of(logits: &[f32], head: &Head) -> Option<Self> {
        debug_assert_eq!(logits.len(), CLASSES.len(), "the package was checked");
        if !logits.iter().all(|v| v.is_finite()) {
            return None;
        }
        let most = logits.iter().copied().fold(f32::MIN, f32::max);
        let mut p = [0.0; CLASSES.len()];
        for (logit, class) in logits.iter().zip(head.order) {
            p[class] = ((logit - most) / head.temperature).exp();
        }
        let sum: f32 = p.iter().sum();
        Some(Self(p.map(|p| p / sum)))
    }

    /// The probability that it is legible.
    pub fn legible(self) -> f32 {
        self.0[0]
    }

    /// The probability of a cause.
    pub fn of_cause(self, cause: Cause) -> f32 {
        self.0[1 + cause as usize]
    }

    /// The likeliest cause, where each other class and being legible are less likely.
    pub fn cause(self) -> Option<Cause> {
        let (class, _) = self.0.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1))?;
        class.checked_sub(1).map(|cause| Cause::ALL[cause])
    }

    /// What a head says that gives this class the probability `p`, and the others equal shares of the rest.
    #[cfg(any(test, feature = "testing"))]
    pub fn for_tests(cause: Option<Cause>, p: f32) -> Self {
        let mut all = [(1.0 - p) / (CLASSES.len() - 1) as f32; CLASSES.len()];
        all[cause.map_or(0, |cause| 1 + cause as usize)] = p;
        Self(all)
    }
}

/// A map of all classes, the legible one first.
impl Serialize for Legibility {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(CLASSES.iter().zip(self.0))
    }
}

/// The mean over the frames of a pass.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::onboard) struct Mean {
    sum: [f32; CLASSES.len()],
    frames: u32,
}

impl Mean {
    /// Adds one frame.
    pub(in crate::onboard) fn add(&mut self, one: Legibility) {
        self.sum.iter_mut().zip(one.0).for_each(|(sum, p)| *sum += p);
        self.frames += 1;
    }

    /// Why the plate could not be read, by all frames together; none where it is legible or nobody says.
    pub(in crate::onboard) fn cause(self) -> Option<Cause> {
        let n = (self.frames > 0).then_some(self.frames as f32)?;
        Legibility(self.sum.map(|sum| sum / n)).cause()
    }
}

/// How a package's head is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    /// The output's name.
    pub(super) output: String,
    /// For each of the output's values, its class.
    order: [usize; CLASSES.len()],
    temperature: f32,
}

/// The section `legibility` of a package.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadFile {
    output: String,
    classes: Vec<String>,
    #[serde(default = "one")]
    temperature: f32,
}

fn one() -> f32 {
    1.0
}

impl HeadFile {
    /// The head, or what is wrong with the section.
    pub(super) fn head(&self) -> Result<Head, String> {
        let Self { output, classes, temperature } = self;
        let wanted = CLASSES.join(", ");
        let bad = |why: String| format!("legibility.classes = {classes:?}: {why}");
        if let Some(class) = classes.iter().find(|class| !CLASSES.contains(&class.as_str())) {
            return Err(bad(format!("{class:?} is not one of {wanted}")));
        }
        if let Some(class) = CLASSES.iter().find(|class| !classes.iter().any(|c| c == *class)) {
            return Err(bad(format!("{class:?} is missing")));
        }
        let Ok(names) = <&[String; CLASSES.len()]>::try_from(&classes[..]) else {
            return Err(bad(format!("must be {wanted}, each once")));
        };
        if names[0] != CLASSES[0] {
            return Err(bad(format!("{:?} must be the first", CLASSES[0])));
        }
        if !(0.05..=20.0).contains(temperature) {
            return Err(format!("legibility.temperature = {temperature}: must be 0.05 to 20"));
        }
        let class = |name: &String| CLASSES.iter().position(|c| c == name).expect("it is one");
        Ok(Head {
            output: output.clone(),
            order: names.each_ref().map(class),
            temperature: *temperature,
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn head(classes: &[&str], temperature: f32) -> Result<Head, String> {
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        HeadFile { output: "why".into(), classes, temperature }.head()
    }

    #[test]
    fn logits_become_probabilities_by_temperature_whatever_the_order_of_the_causes() {
        let plain = head(&CLASSES, 1.0).unwrap();
        let p = Legibility::of(&[2.0, 0.0, 1.0, -1.0, 0.0], &plain).unwrap();
        assert!((p.legible() - 0.592).abs() < 1e-3 && p.cause().is_none(), "{p:?}");
        assert!((p.0.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let cooler = Legibility::of(&[2.0, 0.0, 1.0, -1.0, 0.0], &head(&CLASSES, 4.0).unwrap());
        assert!((0.28..0.34).contains(&cooler.unwrap().legible()), "{cooler:?}");
        let other = head(&["legible", "glare", "covered", "dark", "soft"], 1.0).unwrap();
        let p = Legibility::of(&[0.0, 1.0, 0.0, 3.0, 0.0], &other).unwrap();
        assert_eq!(p.cause(), Some(Cause::Dark));
        assert!(p.of_cause(Cause::Glare) > p.of_cause(Cause::Soft));
        let huge = Legibility::of(&[3e38, 0.0, 0.0, 0.0, -3e38], &plain).unwrap();
        assert!((huge.legible() - 1.0).abs() < 1e-6, "{huge:?}");
        assert_eq!(Legibility::of(&[0.0, f32::NAN, 0.0, 0.0, 0.0], &plain), None);
    }

    #[test]
    fn no_cause_is_named_that_is_no_likelier_than_being_legible() {
        assert_eq!(Legibility([0.4, 0.4, 0.1, 0.1, 0.0]).cause(), None);
        assert_eq!(Legibility([0.3, 0.1, 0.1, 0.1, 0.4]).cause(), Some(Cause::Glare));
    }

    #[test]
    fn frames_of_a_pass_are_averaged() {
        let mut mean = Mean::default();
        assert_eq!(mean.cause(), None, "nobody has said anything");
        // One frame that is sure counts for more than one that is not.
        mean.add(Legibility::for_tests(Some(Cause::Dark), 0.9));
        mean.add(Legibility::for_tests(None, 0.5));
        assert_eq!(mean.cause(), Some(Cause::Dark));
        mean.add(Legibility::for_tests(None, 0.9));
        assert_eq!(mean.cause(), None);
    }

    #[test]
    fn json_has_every_class_by_its_name() {
        let json = serde_json::to_string(&Legibility([0.5, 0.25, 0.125, 0.125, 0.0])).unwrap();
        let expected = r#"{"legible":0.5,"soft":0.25,"dark":0.125,"covered":0.125,"glare":0.0}"#;
        assert_eq!(json, expected);
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.name());
        }
    }

    #[rstest]
    #[case::unknown(&["legible", "soft", "dark", "muddy", "glare"], 1.0, "\"muddy\" is not one of legible, soft, dark, covered, glare")]
    #[case::missing(&["legible", "soft", "dark", "covered"], 1.0, "\"glare\" is missing")]
    #[case::twice(&["legible", "soft", "dark", "covered", "glare", "soft"], 1.0, "each once")]
    #[case::legible_elsewhere(&["soft", "legible", "dark", "covered", "glare"], 1.0, "\"legible\" must be the first")]
    #[case::temperature(&CLASSES, 0.0, "legibility.temperature = 0: must be 0.05 to 20")]
    #[case::no_number(&CLASSES, f32::NAN, "legibility.temperature = NaN: must be")]
    fn section_that_is_wrong_is_refused(
        #[case] classes: &[&str],
        #[case] temperature: f32,
        #[case] expected: &str,
    ) {
        let e = head(classes, temperature).unwrap_err();
        assert!(e.contains(expected), "{e}");
    }
}
