//! Boundary scores over many images.

use super::BoundaryScores;
use crate::tally::mean;
use contract::Scores;

/// Names of the scores of a class.
const OF_CLASS: [&str; 3] = ["boundary_iou", "hausdorff95", "surface_dice"];

/// Returns the scores over all images by name: `mean_boundary_iou`, `mean_hausdorff95` and `mean_surface_dice` over the
/// classes, then each score for each class as `boundary_iou/CLASS`, NaN for a class in no image.
///
/// Boundary IoU is that of the summed pixels, as IoU is. Distance and surface Dice are means over the images that have
/// the class in target or prediction.
pub fn boundary_scores(images: &[&[Option<BoundaryScores>]], classes: &[String]) -> Scores {
    let of_class = |class: usize| -> [Option<f64>; 3] {
        let found: Vec<&BoundaryScores> = images.iter().filter_map(|image| image.get(class)?.as_ref()).collect();
        if found.is_empty() {
            return [None; 3];
        }
        let sum = |part: fn(&BoundaryScores) -> u64| found.iter().map(|scores| part(scores)).sum::<u64>() as f64;
        let of_images = |part: fn(&BoundaryScores) -> f64| Some(mean(found.iter().map(|scores| Some(part(scores)))));
        [
            Some(sum(|scores| scores.intersection) / sum(|scores| scores.union)),
            of_images(|scores| scores.hausdorff95),
            of_images(|scores| scores.surface_dice),
        ]
    };
    let found: Vec<[Option<f64>; 3]> = (0..classes.len()).map(of_class).collect();
    let of = |score: usize| found.iter().map(move |scores| scores[score]);
    let means = OF_CLASS.iter().enumerate().map(|(score, name)| (format!("mean_{name}"), mean(of(score))));
    let each = OF_CLASS.iter().enumerate().flat_map(|(score, name)| {
        let values = classes.iter().zip(of(score));
        values.map(move |(class, value)| (format!("{name}/{class}"), value.unwrap_or(f64::NAN)))
    });
    means.chain(each).collect()
}
