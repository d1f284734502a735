//! Compares all steps with SciPy's `ndimage` on maps from noise to blobs (`reference/make.py`).

use postprocess::{Neighbours, Regions, Rules, Runs, clean, fill_holes, keep_largest, remove_small};
use serde::Deserialize;
use std::fs;

#[derive(Deserialize)]
struct Case {
    width: u32,
    neighbours: u8,
    classes: Vec<u8>,
    of: u8,
    areas: Vec<u64>,
    keep_largest: Vec<u8>,
    remove_small: Vec<u8>,
    fill_holes: Vec<u8>,
    rules: Vec<Rule>,
    clean: Vec<u8>,
}

#[derive(Deserialize)]
struct Rule {
    keep_largest: bool,
    min_area: u64,
    fill_holes: bool,
}

#[test]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
fn every_step_gives_what_scipy_gives() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/cases.json");
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut changed = 0;
    for (number, case) in cases.iter().enumerate() {
        let neighbours = if case.neighbours == 8 { Neighbours::Eight } else { Neighbours::Four };
        let mut runs = Runs::new(case.width);
        // Rows may come in any portions.
        case.classes.chunks(case.width as usize * (1 + number % 3)).for_each(|rows| runs.push(rows));
        let regions = Regions::of(&runs, neighbours, |class| class == case.of);
        assert_eq!(regions.areas(), case.areas, "case {number}");
        let done = |step: &dyn Fn(&mut Runs)| {
            let mut runs = runs.clone();
            step(&mut runs);
            runs.pixels(0..runs.height())
        };
        assert_eq!(done(&|runs| keep_largest(runs, case.of, neighbours)), case.keep_largest, "case {number}");
        assert_eq!(done(&|runs| remove_small(runs, case.of, 5, neighbours)), case.remove_small, "case {number}");
        assert_eq!(done(&|runs| fill_holes(runs, case.of, neighbours)), case.fill_holes, "case {number}");
        let of = |rule: &Rule| Rules {
            keep_largest: rule.keep_largest,
            min_area: rule.min_area,
            fill_holes: rule.fill_holes,
        };
        let rules: Vec<Rules> = case.rules.iter().map(of).collect();
        assert_eq!(done(&|runs| clean(runs, &rules, neighbours)), case.clean, "case {number}");
        let steps = [&case.keep_largest, &case.remove_small, &case.fill_holes, &case.clean];
        changed += steps.iter().filter(|map| ***map != case.classes).count();
    }
    assert!(cases.len() == 60 && changed > 100, "{changed} of the maps change");
}
