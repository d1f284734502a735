//! The steps, each for one class, and all of them in order.

use crate::regions::{Neighbours, Regions};
use crate::runs::Runs;

/// Steps for one class. The default has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Keeps the largest component of an image and removes the others.
    pub keep_largest: bool,
    /// Removes components of fewer pixels.
    pub min_area: u64,
    /// Fills holes.
    pub fill_holes: bool,
}

impl Rules {
    /// Returns true if there is no step.
    pub fn is_none(&self) -> bool {
        !self.keep_largest && self.min_area <= 1 && !self.fill_holes
    }
}

/// Applies the rules of all classes, in the order of their ids: first those for the largest components, then those for
/// the minimum areas, then those for holes.
pub fn clean(runs: &mut Runs, rules: &[Rules], neighbours: Neighbours) {
    let classes = || (0..=u8::MAX).zip(rules);
    for (class, _) in classes().filter(|(_, rules)| rules.keep_largest) {
        keep_largest(runs, class, neighbours);
    }
    for (class, rules) in classes().filter(|(_, rules)| rules.min_area > 1) {
        remove_small(runs, class, rules.min_area, neighbours);
    }
    for (class, _) in classes().filter(|(_, rules)| rules.fill_holes) {
        fill_holes(runs, class, neighbours);
    }
}

/// Removes all components of a class but the largest; of several that are as large, the first one stays.
pub fn keep_largest(runs: &mut Runs, class: u8, neighbours: Neighbours) {
    remove(runs, class, neighbours, |regions| {
        let largest = regions.largest();
        (0..regions.len()).map(|region| Some(region) != largest).collect()
    });
}

/// Removes the components of a class that have fewer than `min_area` pixels.
pub fn remove_small(runs: &mut Runs, class: u8, min_area: u64, neighbours: Neighbours) {
    remove(runs, class, neighbours, |regions| regions.areas().iter().map(|area| *area < min_area).collect());
}

/// Removes the components of a class that `wrong` marks.
fn remove(runs: &mut Runs, class: u8, neighbours: Neighbours, wrong: impl Fn(&Regions) -> Vec<bool>) {
    let regions = Regions::of(runs, neighbours, |other| other == class);
    let wrong = wrong(&regions);
    if wrong.contains(&true) {
        let around = regions.surroundings(runs, |region| wrong[region]);
        runs.change(|run, class| regions.of_run(run).and_then(|region| around[region]).unwrap_or(class));
    }
}

/// Gives the holes of a class that class.
pub fn fill_holes(runs: &mut Runs, class: u8, neighbours: Neighbours) {
    let outside = Regions::of(runs, neighbours, |other| other != class);
    if (0..outside.len()).any(|region| !outside.is_at_edge(region)) {
        let is_hole = |run| outside.of_run(run).is_some_and(|region| !outside.is_at_edge(region));
        runs.change(|run, other| if is_hole(run) { class } else { other });
    }
}
