//! Scores of matrices, boundaries and statistics over images, as scikit-learn, MONAI and SciPy compute them.
//! `reference/measures.py` says how they are configured.

use super::reference;
use contract::IGNORE_INDEX;
use metric::{Boundaries, Confusion, Interval, Tally, intervals, paired};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct Measures {
    matrices: Vec<Matrix>,
    boundaries: Vec<Pair>,
    statistics: Statistics,
}

#[derive(Deserialize)]
struct Matrix {
    confusion: Vec<Vec<i64>>,
    scores: BTreeMap<String, Option<f64>>,
}

#[derive(Deserialize)]
struct Pair {
    ratio: f64,
    tolerance: f64,
    classes: usize,
    target: Vec<String>,
    predicted: Vec<String>,
    scores: Vec<Option<Expected>>,
}

#[derive(Deserialize)]
struct Expected {
    intersection: u64,
    union: u64,
    hausdorff95: Option<f64>,
    surface_dice: Option<f64>,
}

#[derive(Deserialize)]
struct Statistics {
    tests: Vec<Test>,
    images: Vec<Vec<[u64; 3]>>,
    intervals: BTreeMap<String, [f64; 2]>,
}

#[derive(Deserialize)]
struct Test {
    differences: Vec<f64>,
    mean: f64,
    p: f64,
    interval: [f64; 2],
}

static MEASURES: LazyLock<Measures> =
    LazyLock::new(|| serde_json::from_str(&std::fs::read_to_string(reference("measures.json")).unwrap()).unwrap());

fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance
}

#[test]
fn scores_of_a_matrix_are_scikit_learns() {
    for Matrix { confusion, scores } in &MEASURES.matrices {
        let classes: Vec<String> = (0..confusion.len()).map(|class| class.to_string()).collect();
        let found = Confusion::new(classes.len(), &confusion.concat()).scores(&classes);
        // Classes in neither have no value there.
        let missing: Vec<&String> =
            found.iter().map(|(name, _)| name).filter(|name| !scores.contains_key(*name)).collect();
        for (name, value) in &found {
            match scores.get(name) {
                Some(expected) => {
                    let expected = expected.unwrap_or(f64::NAN);
                    assert!(close(*value, expected, 1e-12) || value.is_nan() && expected.is_nan(), "{name}: {value}");
                }
                None => assert!(value.is_nan() || name == "pixels", "{name}: {value}"),
            }
        }
        assert_eq!(found.len() - missing.len(), scores.len(), "{missing:?}");
    }
}

fn ids(rows: &[String]) -> Vec<u8> {
    let id = |byte: u8| if byte == b'.' { IGNORE_INDEX as u8 } else { byte - b'0' };
    rows.iter().flat_map(|row| row.bytes().map(id)).collect()
}

#[test]
fn boundaries_are_monais_and_those_of_the_reference_of_boundary_iou() {
    let mut one_sided = 0;
    for (number, pair) in MEASURES.boundaries.iter().enumerate() {
        let size = [pair.target.len(), pair.target[0].len()];
        let options = Boundaries { ratio: pair.ratio, tolerance: pair.tolerance };
        let found = options.compare(size, &ids(&pair.target), &ids(&pair.predicted), pair.classes);
        assert_eq!(found.len(), pair.scores.len());
        for (class, (found, expected)) in found.iter().zip(&pair.scores).enumerate() {
            let at = format!("pair {number}, class {class}");
            let (Some(found), Some(expected)) = (found, expected) else {
                assert!(found.is_none() && expected.is_none(), "{at}");
                continue;
            };
            assert_eq!((found.intersection, found.union), (expected.intersection, expected.union), "{at}");
            match (expected.hausdorff95, expected.surface_dice) {
                (Some(distance), Some(dice)) => {
                    let error = 2e-5 * distance.max(1.0);
                    assert!(close(found.hausdorff95, distance, error), "{at}: {} not {distance}", found.hausdorff95);
                    assert!(close(found.surface_dice, dice, 1e-6), "{at}: {} not {dice}", found.surface_dice);
                }
                // Our own rule: the worst that there is.
                _ => {
                    let diagonal = (size[0] as f64).hypot(size[1] as f64);
                    assert_eq!((found.hausdorff95, found.surface_dice, found.intersection), (diagonal, 0.0, 0), "{at}");
                    one_sided += 1;
                }
            }
        }
    }
    assert!(one_sided > 3, "classes that are only predicted are among them");
}

#[test]
fn p_values_are_those_of_scipys_permutation_test() {
    for Test { differences, mean, p, .. } in &MEASURES.statistics.tests {
        let found = paired(differences).unwrap();
        assert!(close(found.mean, *mean, 1e-15) && found.images == differences.len());
        if differences.len() <= 16 {
            assert!(close(found.p, *p, 1e-12), "{} not {p}", found.p);
        } else {
            // Four standard deviations of what 9,999 draws may be off.
            assert!(close(found.p, *p, 4.0 * (p * (1.0 - p) / 9999.0).sqrt() + 1e-4), "{} not {p}", found.p);
        }
    }
}

/// Asserts that an interval of 2,000 resamples is that of far more: each end within a tenth of the width.
fn assert_interval(name: &str, found: Option<&Interval>, [low, high]: [f64; 2]) {
    let found = found.unwrap_or_else(|| panic!("no interval of {name}"));
    let error = 0.1 * (high - low);
    assert!(close(found.low, low, error) && close(found.high, high, error), "{name}: {found:?}, not {low} to {high}");
}

#[test]
fn intervals_are_those_of_scipys_bootstrap() {
    let Statistics { tests, images, intervals: expected } = &MEASURES.statistics;
    for Test { differences, interval, .. } in tests {
        assert_interval("the mean", paired(differences).unwrap().interval.as_ref(), *interval);
    }
    let tally = |[hits, support, predicted]: [u64; 3]| Tally { hits, support, predicted };
    let images: Vec<Vec<Tally>> = images.iter().map(|image| image.iter().copied().map(tally).collect()).collect();
    let classes: Vec<String> = (0..3).map(|class| class.to_string()).collect();
    let found: BTreeMap<String, Interval> = intervals(&images, &classes).into_iter().collect();
    for (name, ends) in expected {
        assert_interval(name, found.get(name), *ends);
    }
    assert_eq!(found, intervals(&images, &classes).into_iter().collect(), "every time the same");
}
