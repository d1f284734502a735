//! Local equalisation of a band's histogram. Masks stay as they are.

use crate::transform::bounds::{interval, share};
use crate::transform::picture::{Picture, levels, mirrored};
use crate::transform::random::Random;
use contract::Invalid;
use raster::{Depth, Element};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Equalises the histogram of each band, tile by tile and with a limit for the contrast: OpenCV's `createCLAHE`, to the
/// bit, for bytes and for 16-bit numbers. (K. Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics
/// Gems IV, 1994.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clahe {
    /// Minimum and maximum limit of the contrast, from 1 to 1000: a value counts at most this many times as often as
    /// all values on average.
    pub clip: [f32; 2],
    /// Number of tiles along the columns and along the rows, from 1 to 16.
    pub tiles: [u32; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Maximum number of tiles along an axis: the tables of 16-bit numbers take 128 kB a tile.
const MOST_TILES: u32 = 16;

impl Default for Clahe {
    fn default() -> Self {
        Self { clip: [1.0, 4.0], tiles: [8, 8], probability: 0.5 }
    }
}

impl Clahe {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("clip", self.clip, 1.0..=1000.0)?;
        Invalid::unless(self.tiles.iter().all(|tiles| (1..=MOST_TILES).contains(tiles)), "tiles", || {
            format!("must hold two numbers from 1 to {MOST_TILES}, is {:?}", self.tiles)
        })?;
        share("probability", self.probability)
    }

    /// Refuses floats.
    pub(super) fn suits(&self, depth: Depth) -> Result<(), Invalid> {
        Invalid::unless(depth != Depth::F32, "kind", || {
            "clahe counts whole numbers, and these images hold floats: leave it out, or take contrast or gamma".into()
        })
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if random.chance(self.probability) {
            let clip = f64::from(random.between(self.clip[0], self.clip[1]));
            let tiles = self.tiles.map(|tiles| tiles as usize);
            (0..picture.bands).for_each(|band| equalise(picture, band, clip, tiles));
        }
    }
}

/// Equalises a band. Floats stay as they are.
pub(super) fn equalise<T: Element>(picture: &mut Picture<T>, band: usize, clip: f64, tiles: [usize; 2]) {
    let Some(levels) = levels::<T>() else { return };
    let sides = picture.sides();
    let whole = (0..2).all(|axis| sides[axis].is_multiple_of(tiles[axis]));
    // Where one side is not divided evenly, OpenCV adds up to a pixel a tile along both.
    let added = |axis: usize| if whole { 0 } else { tiles[axis] - sides[axis] % tiles[axis] };
    let tile = [0, 1].map(|axis| (sides[axis] + added(axis)) / tiles[axis]);
    let tables = tables(picture, band, levels, clip, (tiles, tile));

    let columns: Vec<Place> = (0..sides[1]).map(|column| Place::of(column, tile[1], tiles[1])).collect();
    let table = |row: usize, column: usize| &tables[(row * tiles[1] + column) * levels..][..levels];
    for (row, line) in picture.numbers.chunks_exact_mut(sides[1] * picture.bands).enumerate() {
        let down = Place::of(row, tile[0], tiles[0]);
        for (number, along) in line.iter_mut().skip(band).step_by(picture.bands).zip(&columns) {
            let level = number.to_f32() as usize;
            let across = |row: usize| {
                let [first, second] = [along.first, along.second].map(|column| table(row, column)[level].to_f32());
                first * along.weights[0] + second * along.weights[1]
            };
            let value = across(down.first) * down.weights[0] + across(down.second) * down.weights[1];
            *number = T::from_f32(value.round_ties_even());
        }
    }
}

/// Tiles whose tables a row or column is mixed from, with their weights.
struct Place {
    first: usize,
    second: usize,
    weights: [f32; 2],
}

impl Place {
    fn of(place: usize, tile: usize, tiles: usize) -> Self {
        let centre = place as f32 * (1.0 / tile as f32) - 0.5;
        let before = centre.floor();
        let weight = centre - before;
        let first = before.max(0.0) as usize;
        let second = ((before + 1.0) as usize).min(tiles - 1);
        Self { first: first.min(tiles - 1), second, weights: [1.0 - weight, weight] }
    }
}

/// Returns the table of each tile, one after another.
fn tables<T: Element>(
    picture: &Picture<T>,
    band: usize,
    levels: usize,
    clip: f64,
    ([rows, columns], [height, width]): ([usize; 2], [usize; 2]),
) -> Vec<T> {
    let sides = picture.sides();
    let area = height * width;
    let limit = ((clip * area as f64 / levels as f64) as usize).max(1);
    let scale = (levels - 1) as f32 / area as f32;
    let mut histogram = vec![0usize; levels];
    let mut tables = Vec::with_capacity(rows * columns * levels);
    for tile in 0..rows * columns {
        let [top, left] = [tile / columns * height, tile % columns * width];
        histogram.fill(0);
        for row in top..top + height {
            let line = &picture.numbers[mirrored(row as isize, sides[0]) * sides[1] * picture.bands..];
            for column in left..left + width {
                let place = mirrored(column as isize, sides[1]) * picture.bands + band;
                histogram[line[place].to_f32() as usize] += 1;
            }
        }
        clip_histogram(&mut histogram, limit);
        let mut sum = 0;
        tables.extend(histogram.iter().map(|count| {
            sum += count;
            T::from_f32((sum as f32 * scale).round_ties_even())
        }));
    }
    tables
}

/// Limits the counts, and spreads what is cut off over all of them.
fn clip_histogram(histogram: &mut [usize], limit: usize) {
    let levels = histogram.len();
    let mut clipped = 0;
    for count in histogram.iter_mut() {
        clipped += count.saturating_sub(limit);
        *count = (*count).min(limit);
    }
    let (each, rest) = (clipped / levels, clipped % levels);
    histogram.iter_mut().for_each(|count| *count += each);
    let step = levels.checked_div(rest).unwrap_or(1).max(1);
    histogram.iter_mut().step_by(step).take(rest).for_each(|count| *count += 1);
}
