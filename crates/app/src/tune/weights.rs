//! Chooses the weights of the classes' probabilities.

use super::kept::{Contenders, Kept, best, each};
use super::score::{Tried, choose};
use super::spool::Spool;
use anyhow::Result;
use metric::Confusion;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Name of the step.
pub const STEP: &str = "weight";

/// Weights that are tried: powers of the square root of 2 from 1/4 to 4. For two classes, weight w of one means that it
/// is predicted from a probability of 1 / (1 + w) on.
const TRIED: [f32; 8] = [0.25, SQRT_2 / 4.0, 0.5, FRAC_1_SQRT_2, SQRT_2, 2.0, 2.0 * SQRT_2, 4.0];

/// Returns the counts of the predictions as they are.
pub fn counts(spool: &Spool, all: &[Kept], classes: usize) -> Result<Confusion> {
    with_candidates(spool, all, &vec![1.0; classes], 0, &[]).map(|(counts, _)| counts)
}

/// Tries weights class by class, each with the weights of the classes before it. Takes the counts without weights, and
/// returns the weights and the counts with them. The maps of the images become those of the weights.
pub fn choose_weights(
    spool: &Spool,
    all: &[Kept],
    before: &Confusion,
    mut tried: impl FnMut(Tried),
) -> Result<(Vec<f32>, Confusion)> {
    let mut weights = vec![1.0; before.classes()];
    let mut counts = before.clone();
    for (class, index) in (0..=u8::MAX).zip(0..weights.len()) {
        let (before, candidates) = with_candidates(spool, all, &weights, class, &TRIED)?;
        let Some((value, after, kept)) = choose(&before, &candidates, class) else { continue };
        let (score, with) = (before.mean_iou(), after.mean_iou());
        tried(Tried { step: STEP, class, value: Some(value.into()), before: score, after: with, kept });
        if kept {
            weights[index] = value;
            counts = after.clone();
        }
    }
    if weights.iter().any(|weight| *weight != 1.0) {
        redraw(spool, all, &weights)?;
    }
    Ok((weights, counts))
}

/// Returns the counts with these weights, and those with each of `candidates` for the weight of `class` instead.
fn with_candidates(
    spool: &Spool,
    all: &[Kept],
    weights: &[f32],
    class: u8,
    candidates: &[f32],
) -> Result<(Confusion, Vec<(f32, Confusion)>)> {
    let classes = weights.len();
    let of_image = |kept: &Kept| {
        let (mut common, mut before) = (Confusion::new(classes, &[]), Confusion::new(classes, &[]));
        let mut others = vec![Confusion::new(classes, &[]); candidates.len()];
        for part in &kept.parts {
            let (contenders, mask) = (spool.read(part.contenders)?, spool.read(part.mask)?);
            for (contest, target) in Contenders(&contenders).zip(mask) {
                let own = contest.all().find(|(id, _)| *id == class).map(|(_, value)| value);
                let weighted = contest.all().map(|(id, value)| (id, value * weights[usize::from(id)]));
                let (Some(own), Some((other, most))) = (own, best(weighted.filter(|(id, _)| *id != class))) else {
                    // The weight of the class changes nothing here.
                    common.add(target.into(), contest.winner(weights).into(), 1);
                    continue;
                };
                let winner = |weight: f32| {
                    let own = own * weight;
                    if own > most || own == most && class < other { class } else { other }
                };
                before.add(target.into(), winner(weights[usize::from(class)]).into(), 1);
                for (counts, weight) in others.iter_mut().zip(candidates) {
                    counts.add(target.into(), winner(*weight).into(), 1);
                }
            }
        }
        before.merge(&common);
        others.iter_mut().for_each(|counts| counts.merge(&common));
        Ok((before, others))
    };
    let mut before = Confusion::new(classes, &[]);
    let mut others = vec![Confusion::new(classes, &[]); candidates.len()];
    for (of_image, of_others) in each(all, of_image)? {
        before.merge(&of_image);
        others.iter_mut().zip(&of_others).for_each(|(all, more)| all.merge(more));
    }
    Ok((before, candidates.iter().copied().zip(others).collect()))
}

/// Makes the maps those of the weights.
fn redraw(spool: &Spool, all: &[Kept], weights: &[f32]) -> Result<()> {
    let redraw = |kept: &Kept| {
        kept.parts.iter().try_for_each(|part| {
            let contenders = spool.read(part.contenders)?;
            let map: Vec<u8> = Contenders(&contenders).map(|contest| contest.winner(weights)).collect();
            spool.replace(part.map, &map)
        })
    };
    each(all, redraw).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::kept::Part;
    use super::*;

    /// Keeps one image of one row with these probabilities of class 1 of two, in parts of 3 pixels.
    fn kept(spool: &Spool, probabilities: &[f32], mask: &[u8]) -> Kept {
        let part = |(probabilities, mask): (&[f32], &[u8])| {
            let contest = |p: &f32| {
                let values = [1.0 - p, *p].map(f32::to_le_bytes).concat();
                [&[2, 0, 1], &values[..]].concat()
            };
            let contenders: Vec<u8> = probabilities.iter().flat_map(contest).collect();
            let map: Vec<u8> = probabilities.iter().map(|p| u8::from(*p > 0.5)).collect();
            let [contenders, mask, map] = [&contenders, mask, &map].map(|bytes: &[u8]| spool.append(bytes).unwrap());
            Part { contenders, mask, map }
        };
        Kept { width: 3, parts: probabilities.chunks(3).zip(mask.chunks(3)).map(part).collect() }
    }

    #[test]
    fn a_weight_moves_the_threshold_to_where_the_score_is_best() {
        let spool = Spool::new().unwrap();
        // Class 1 is right from a probability of 0.3 on; the last pixel is ignored.
        let probabilities = [0.1, 0.2, 0.28, 0.35, 0.4, 0.45, 0.7, 0.9, 0.95];
        let all = [kept(&spool, &probabilities, &[0, 0, 0, 1, 1, 1, 1, 1, 255])];
        let before = counts(&spool, &all, 2).unwrap();
        let mut tried = Vec::new();
        let (weights, after) = choose_weights(&spool, &all, &before, |one| tried.push(one)).unwrap();
        // Half the weight of class 0 is a threshold of 1 / 3 for class 1: the first class that is tried gets it.
        assert_eq!((weights, after.mean_iou()), (vec![0.5, 1.0], 1.0));
        assert_eq!(tried.iter().map(|tried| tried.kept).collect::<Vec<_>>(), [true, false]);
        assert_eq!((before.accuracy(), tried[0].before), (5.0 / 8.0, before.mean_iou()));
        // The maps are those of the weights.
        let map: Vec<u8> = all[0].parts.iter().flat_map(|part| spool.read(part.map).unwrap()).collect();
        assert_eq!(map, [0, 0, 0, 1, 1, 1, 1, 1, 1]);
    }
}
