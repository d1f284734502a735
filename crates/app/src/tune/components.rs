//! Chooses the steps on connected components.

use super::kept::{Kept, each};
use super::score::{Tried, choose};
use super::spool::Spool;
use crate::common::postprocessing::OfClass;
use anyhow::Result;
use metric::Confusion;
use postprocess::{Neighbours, Regions, Runs, fill_holes, keep_largest, remove_small};

/// Names of the steps.
pub const LARGEST: &str = "largest component";
pub const AREA: &str = "minimum area";
pub const HOLES: &str = "fill holes";

/// Quantiles of the areas of a class's components up to which they are removed.
const QUANTILES: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// A component of a class in an image.
#[derive(Debug, Clone)]
struct Piece {
    area: u64,
    is_largest: bool,
    /// Class that its pixels take if it is removed.
    into: Option<u8>,
    /// Numbers of its pixels by the mask's class.
    targets: Vec<(u8, i64)>,
}

/// Tries the steps in the order in which they are applied, and notes those that are kept in `steps`. Returns the counts
/// with them.
pub fn choose_steps(
    spool: &Spool,
    all: &[Kept],
    neighbours: Neighbours,
    mut counts: Confusion,
    steps: &mut [OfClass],
    mut tried: impl FnMut(Tried),
) -> Result<Confusion> {
    for step in [LARGEST, AREA, HOLES] {
        for (class, of_class) in (0..=u8::MAX).zip(steps.iter_mut()) {
            let candidates = match step {
                LARGEST => {
                    let pieces = pieces(spool, all, class, neighbours)?.concat();
                    vec![(0, without(&counts, class, pieces.iter().filter(|piece| !piece.is_largest)))]
                }
                AREA => {
                    let pieces = pieces(spool, all, class, neighbours)?.concat();
                    let with = |least: u64| without(&counts, class, pieces.iter().filter(|piece| piece.area < least));
                    areas(&pieces).into_iter().map(|least| (least, with(least))).collect()
                }
                _ => vec![(0, filled(spool, all, class, neighbours, &counts)?)],
            };
            let Some((value, after, kept)) = choose(&counts, &candidates, class) else { continue };
            let (before, with) = (counts.mean_iou(), after.mean_iou());
            let shown = (step == AREA).then_some(value as f64);
            tried(Tried { step, class, value: shown, before, after: with, kept });
            if !kept {
                continue;
            }
            match step {
                LARGEST => of_class.keep_largest = true,
                AREA => of_class.min_area = value,
                _ => of_class.fill_holes = true,
            }
            counts = after.clone();
            change(spool, all, |runs| match step {
                LARGEST => keep_largest(runs, class, neighbours),
                AREA => remove_small(runs, class, value, neighbours),
                _ => fill_holes(runs, class, neighbours),
            })?;
        }
    }
    Ok(counts)
}

/// Returns the minimum areas that are tried: each removes the components up to a quantile of all areas.
fn areas(pieces: &[Piece]) -> Vec<u64> {
    let mut areas: Vec<u64> = pieces.iter().map(|piece| piece.area).collect();
    areas.sort_unstable();
    let Some(last) = areas.len().checked_sub(1) else { return Vec::new() };
    let mut least: Vec<u64> = QUANTILES.iter().map(|share| areas[(share * last as f64) as usize] + 1).collect();
    least.dedup();
    least
}

/// Returns the counts after the pixels of these components of `class` took the classes around them.
fn without<'p>(counts: &Confusion, class: u8, pieces: impl Iterator<Item = &'p Piece>) -> Confusion {
    let mut counts = counts.clone();
    for piece in pieces {
        for (target, pixels) in piece.into.map(|_| &piece.targets[..]).unwrap_or_default() {
            counts.add((*target).into(), class.into(), -pixels);
            counts.add((*target).into(), piece.into.unwrap_or(class).into(), *pixels);
        }
    }
    counts
}

/// Returns the components of a class in each image.
fn pieces(spool: &Spool, all: &[Kept], class: u8, neighbours: Neighbours) -> Result<Vec<Vec<Piece>>> {
    each(all, |kept| {
        let (runs, mask) = (runs(spool, kept)?, mask(spool, kept)?);
        let regions = Regions::of(&runs, neighbours, |other| other == class);
        let (largest, around) = (regions.largest(), regions.surroundings(&runs, |_| true));
        let piece = |(region, (area, into)): (usize, (&u64, Option<u8>))| {
            let is_largest = largest == Some(region);
            Piece { area: *area, is_largest, into, targets: Vec::new() }
        };
        let mut pieces: Vec<Piece> = regions.areas().iter().zip(around).enumerate().map(piece).collect();
        for (row, targets) in mask.chunks_exact(runs.width() as usize).enumerate() {
            for run in runs.row(row) {
                let Some(region) = regions.of_run(run.number) else { continue };
                for target in &targets[run.columns()] {
                    let all = &mut pieces[region].targets;
                    match all.iter_mut().find(|(id, _)| id == target) {
                        Some((_, pixels)) => *pixels += 1,
                        None => all.push((*target, 1)),
                    }
                }
            }
        }
        Ok(pieces)
    })
}

/// Returns the counts after the holes of `class` were filled.
fn filled(spool: &Spool, all: &[Kept], class: u8, neighbours: Neighbours, counts: &Confusion) -> Result<Confusion> {
    // What is moved out of each cell and into another one.
    let moved = each(all, |kept| {
        let (runs, mask) = (runs(spool, kept)?, mask(spool, kept)?);
        let outside = Regions::of(&runs, neighbours, |other| other != class);
        let mut moved = Vec::<((u8, u8), i64)>::new();
        for (row, targets) in mask.chunks_exact(runs.width() as usize).enumerate() {
            let is_hole = |run| outside.of_run(run).is_some_and(|region| !outside.is_at_edge(region));
            for run in runs.row(row).filter(|run| is_hole(run.number)) {
                for target in &targets[run.columns()] {
                    let cell = (*target, run.class);
                    match moved.iter_mut().find(|(other, _)| *other == cell) {
                        Some((_, pixels)) => *pixels += 1,
                        None => moved.push((cell, 1)),
                    }
                }
            }
        }
        Ok(moved)
    })?;
    let mut counts = counts.clone();
    for ((target, from), pixels) in moved.into_iter().flatten() {
        counts.add(target.into(), from.into(), -pixels);
        counts.add(target.into(), class.into(), pixels);
    }
    Ok(counts)
}

/// Changes the map of each image.
fn change(spool: &Spool, all: &[Kept], change: impl Fn(&mut Runs) + Sync) -> Result<()> {
    let change = |kept: &Kept| {
        let mut runs = runs(spool, kept)?;
        change(&mut runs);
        let mut first = 0;
        kept.parts.iter().try_for_each(|part| {
            let rows = part.map.len() / (kept.width as usize).max(1);
            let map = runs.pixels(first..first + rows);
            first += rows;
            spool.replace(part.map, &map)
        })
    };
    each(all, change).map(drop)
}

/// Returns the map of an image.
fn runs(spool: &Spool, kept: &Kept) -> Result<Runs> {
    let mut runs = Runs::new(kept.width);
    for part in &kept.parts {
        runs.push(&spool.read(part.map)?);
    }
    Ok(runs)
}

/// Returns the mask of an image.
fn mask(spool: &Spool, kept: &Kept) -> Result<Vec<u8>> {
    let parts = kept.parts.iter().map(|part| spool.read(part.mask)).collect::<Result<Vec<_>>>()?;
    Ok(parts.concat())
}

#[cfg(test)]
mod tests;
