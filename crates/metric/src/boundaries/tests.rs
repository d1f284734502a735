use super::*;
use crate::boundary_scores;
use proptest::prelude::*;

const WIDTH: usize = 40;
const HEIGHT: usize = 30;

/// Draws a square of class 1 on ground of class 0.
fn square(top: usize, left: usize, side: usize) -> Vec<u8> {
    let inside = |place: usize, first: usize| (first..first + side).contains(&place);
    (0..WIDTH * HEIGHT).map(|at| u8::from(inside(at / WIDTH, top) && inside(at % WIDTH, left))).collect()
}

fn compare(target: &[u8], predicted: &[u8]) -> Vec<Option<BoundaryScores>> {
    Boundaries::default().compare([HEIGHT, WIDTH], target, predicted, 3)
}

fn mean_of(images: &[Vec<Option<BoundaryScores>>], name: &str) -> f64 {
    let images: Vec<&[_]> = images.iter().map(Vec::as_slice).collect();
    let classes = ["ground", "square", "none"].map(String::from);
    boundary_scores(&images, &classes).into_iter().find(|(found, _)| found == name).unwrap().1
}

#[test]
fn a_square_beside_itself_is_as_far_as_it_was_moved() {
    let found = compare(&square(5, 5, 10), &square(5, 8, 10))[1].unwrap();
    assert_eq!(found.hausdorff95, 3.0);
    let same = compare(&square(5, 5, 10), &square(5, 5, 10));
    let same = same[1].unwrap();
    assert_eq!((same.boundary_iou(), same.hausdorff95, same.surface_dice), (1.0, 0.0, 1.0));
    // Moved by no more than the tolerance.
    assert_eq!(compare(&square(5, 5, 10), &square(5, 7, 10))[1].unwrap().surface_dice, 1.0);
}

#[test]
fn the_band_is_a_frame_of_the_ratio_of_the_diagonal() {
    let mask: Vec<bool> = square(5, 5, 10).iter().map(|id| *id == 1).collect();
    let frame = |reach| band(WIDTH, &mask, reach).iter().filter(|is_in| **is_in).count();
    assert_eq!([1, 2, 4, 5, 9].map(frame), [100 - 64, 100 - 36, 100 - 4, 100, 100]);
    assert_eq!(Boundaries { ratio: 0.02, tolerance: 0.0 }.band(125.0), 2, "2.5 goes to the even number");
    assert_eq!(Boundaries { ratio: 0.0, tolerance: 0.0 }.band(125.0), 1);
}

#[test]
fn a_missed_object_and_an_invented_one_improve_no_mean() {
    let (ground, object) = (vec![0; WIDTH * HEIGHT], square(5, 5, 10));
    let far = square(15, 25, 10);
    let good = compare(&object, &square(6, 6, 10));
    let bad = compare(&object, &far);
    for (target, predicted) in [(&object, &ground), (&ground, &object)] {
        let missed = compare(target, predicted);
        let scores = missed[1].unwrap();
        assert_eq!((scores.boundary_iou(), scores.surface_dice), (0.0, 0.0));
        assert_eq!(scores.hausdorff95, 50.0, "the diagonal of 30 × 40 pixels");
        assert!(scores.hausdorff95 > bad[1].unwrap().hausdorff95);
        // The image as if the class were left out of it.
        let left_out = vec![missed[0], None, None];
        for name in ["boundary_iou", "surface_dice", "hausdorff95"] {
            for name in [format!("mean_{name}"), format!("{name}/square")] {
                let [before, after] = [&left_out, &missed].map(|image| mean_of(&[good.clone(), image.clone()], &name));
                let is_worse = if name.contains("hausdorff") { after > before } else { after < before };
                assert!(is_worse, "{name}: {before}, with a missed object {after}");
            }
        }
    }
    // An image without the object in either says nothing of it.
    let empty = compare(&ground, &ground);
    assert_eq!(empty[1], None);
    for name in ["boundary_iou/square", "hausdorff95/square", "surface_dice/square"] {
        assert_eq!(mean_of(&[good.clone(), empty.clone()], name), mean_of(std::slice::from_ref(&good), name));
    }
    assert!(mean_of(&[good], "hausdorff95/none").is_nan());
}

#[test]
fn ignored_pixels_belong_to_neither() {
    let (mut target, object) = (square(5, 5, 10), square(5, 5, 10));
    let mut predicted = square(5, 5, 12);
    // The columns in which they differ, and the rows, are not known.
    for (at, id) in target.iter_mut().enumerate() {
        if at % WIDTH >= 15 || at / WIDTH >= 15 {
            *id = 255;
        }
    }
    assert_eq!(compare(&target, &predicted)[1], compare(&target, &object)[1]);
    assert_eq!(compare(&target, &predicted)[1].unwrap().boundary_iou(), 1.0);
    // What is predicted there alone is not there at all.
    predicted.iter_mut().zip(&target).for_each(|(id, target)| *id = if *target == 255 { 2 } else { *id });
    assert_eq!(compare(&target, &predicted)[2], None);
}

proptest! {
    #[test]
    fn no_scores_are_worse_than_those_of_a_missed_object_and_both_sides_count_alike(
        one in prop::collection::vec(0u8..3, 12 * 9),
        other in prop::collection::vec(0u8..3, 12 * 9),
    ) {
        let options = Boundaries { ratio: 0.1, tolerance: 1.0 };
        let found = options.compare([12, 9], &one, &other, 3);
        prop_assert_eq!(&found, &options.compare([12, 9], &other, &one, 3));
        for scores in found.into_iter().flatten() {
            prop_assert!((0.0..=15.0).contains(&scores.hausdorff95));
            prop_assert!((0.0..=1.0).contains(&scores.surface_dice) && scores.intersection <= scores.union);
        }
    }
}
