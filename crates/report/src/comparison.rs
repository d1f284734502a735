//! Comparison of two runs, image by image, in words.

use crate::evaluation::Interval;
use crate::text;

/// Greatest probability of a chance difference at which a run is called better.
const SIGNIFICANT: f64 = 0.05;

/// Comparison of the page's run with another one.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// Both were evaluated on the same images.
    Paired(Paired),
    /// They cannot be compared, for this reason.
    Refused(String),
}

/// Differences of two runs' scores on the same images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// Number of images.
    pub images: u64,
    /// Number of images that only one of the runs validates. They are left out.
    pub left_out: u64,
    /// Mean over the images of the page's run's mean IoU less the other's.
    pub mean: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// Probability of a mean at least this far from 0, if neither run were better.
    pub p: f64,
}

impl Comparison {
    /// Says in one sentence which of the page's run `own` and the run `other` is better, if one is.
    pub fn sentence(&self, own: &str, other: &str) -> String {
        let paired = match self {
            Self::Refused(reason) => return format!("{own} and {other} are not compared: {reason}."),
            Self::Paired(paired) => paired,
        };
        let left_out = match paired.left_out {
            0 => String::new(),
            1 => "; 1 image that only one of them validates is left out".into(),
            more => format!("; {} images that only one of them validates are left out", text::count(more)),
        };
        let p = if paired.p < 1e-4 { "p < 0.0001".into() } else { format!("p = {:.4}", paired.p) };
        let images = if paired.images == 1 { "image" } else { "images" };
        let test = format!("{p}, paired test over {} {images}{left_out}", text::count(paired.images));
        let interval = |sign: f64| {
            paired.interval.map_or(String::new(), |Interval { low, high }| {
                let mut ends = [sign * low, sign * high];
                ends.sort_by(f64::total_cmp);
                format!("95 % interval {} to {}; ", text::signed(ends[0]), text::signed(ends[1]))
            })
        };
        let is_better = paired.p < SIGNIFICANT && paired.mean != 0.0;
        if !is_better {
            let mean = text::signed(paired.mean);
            return format!(
                "No difference shown between {own} and {other}: mean IoU per image {mean} ({}{test}).",
                interval(1.0)
            );
        }
        let (better, worse) = if paired.mean > 0.0 { (own, other) } else { (other, own) };
        let (mean, interval) = (text::signed(paired.mean.abs()), interval(paired.mean.signum()));
        format!("{better} is better than {worse}: mean IoU per image {mean} ({interval}{test}).")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(mean: f64, p: f64) -> Paired {
        let interval = Some(Interval { low: mean - 0.01, high: mean + 0.02 });
        Paired { images: 1200, left_out: 0, mean, interval, p }
    }

    #[test]
    fn the_better_run_is_named_first() {
        let own = Comparison::Paired(paired(0.03, 0.0004)).sentence("a", "b");
        let expected = "a is better than b: mean IoU per image +0.0300 (95 % interval +0.0200 to +0.0500; p = 0.0004, \
                        paired test over 1,200 images).";
        assert_eq!(own, expected);
        let other = Comparison::Paired(Paired { p: 3e-5, ..paired(-0.03, 0.0) }).sentence("a", "b");
        let expected = "b is better than a: mean IoU per image +0.0300 (95 % interval +0.0100 to +0.0400; p < 0.0001, \
                        paired test over 1,200 images).";
        assert_eq!(other, expected);
    }

    #[test]
    fn a_difference_that_may_be_chance_is_none() {
        let few = Paired { images: 1, left_out: 2, interval: None, ..paired(0.5, 1.0) };
        let expected = "No difference shown between a and b: mean IoU per image +0.5000 (p = 1.0000, paired test over \
                        1 image; 2 images that only one of them validates are left out).";
        assert_eq!(Comparison::Paired(few).sentence("a", "b"), expected);
        let edge = Comparison::Paired(paired(-0.01, 0.05)).sentence("a", "b");
        assert!(edge.starts_with("No difference shown between a and b: mean IoU per image −0.0100 ("), "{edge}");
        let refused = Comparison::Refused("the classes differ".into()).sentence("a", "b");
        assert_eq!(refused, "a and b are not compared: the classes differ.");
    }
}
