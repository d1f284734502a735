//! Progress bar of predictions: in images, or in pixels where one image takes long.

use super::find::Pictures;
use super::image::{Begun, is_large};
use super::source::Told;
use std::time::Instant;
use terminal::{Step, Watch};

/// Pixels that are counted as one.
const UNIT: f64 = 1e6;

/// Progress bar of predictions.
pub struct Progress {
    watch: Watch,
    /// Pixels that are on their way, if they are counted, and of them those that were shown.
    pixels: Option<(u64, u64)>,
    images: u64,
    began: Instant,
}

impl Progress {
    /// Begins with `pictures`, of which the rows in `begun` were predicted before.
    pub fn new(title: &str, pictures: &Pictures, begun: &Begun) -> Self {
        let pixels = |size: [u32; 2]| u64::from(size[0]) * u64::from(size[1]);
        let all: u64 = pictures.values().map(|picture| pixels(picture.size)).sum();
        let before = begun.iter().filter_map(|(name, rows)| Some(pixels([*rows, pictures.get(name)?.size[1]])));
        let done = before.sum();
        let by_pixels = pictures.values().any(|picture| is_large(picture.size));
        let watch = if by_pixels {
            Watch::new(title, millions(done), millions(all)).counting("Mpx").in_percent()
        } else {
            Watch::new(title, 0, pictures.len() as u64)
        };
        Self { watch, pixels: by_pixels.then_some((done, millions(done))), images: 0, began: Instant::now() }
    }

    /// Shows what is done.
    pub fn add(&mut self, told: Told) {
        let samples = match (told, &mut self.pixels) {
            (Told::Pixels(_), None) => return,
            (Told::Pixels(more), Some((done, shown))) => {
                *done += more;
                let before = std::mem::replace(shown, millions(*done));
                *shown - before
            }
            (Told::Image, counted) => {
                self.images += 1;
                u64::from(counted.is_none())
            }
        };
        self.watch.step(&Step { samples: samples as usize, ..Step::default() });
    }

    /// Returns the images a second.
    pub fn rate(&self) -> f64 {
        match self.pixels {
            Some(_) => self.images as f64 / self.began.elapsed().as_secs_f64(),
            None => self.watch.rate(),
        }
    }
}

fn millions(pixels: u64) -> u64 {
    (pixels as f64 / UNIT).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::Picture;

    #[test]
    fn a_large_image_is_counted_in_pixels_and_small_ones_as_images() {
        let picture = |size| Picture { file: "a".into(), base: "a".into(), size };
        let large: Pictures = [("a".into(), picture([5000, 4000])), ("b".into(), picture([1000, 1000]))].into();
        let mut progress = Progress::new("Prediction", &large, &[("a".into(), 500)].into());
        assert_eq!(progress.pixels, Some((2_000_000, 2)));
        (0..4).for_each(|_| progress.add(Told::Pixels(400_000)));
        progress.add(Told::Image);
        assert_eq!((progress.pixels, progress.images), (Some((3_600_000, 4)), 1));
        assert!(progress.rate() > 0.0);
        let small: Pictures = [("b".into(), picture([1000, 1000]))].into();
        let mut progress = Progress::new("Prediction", &small, &Begun::new());
        progress.add(Told::Pixels(1_000_000));
        assert!(progress.rate().is_nan());
        progress.add(Told::Image);
        assert!(progress.pixels.is_none() && progress.rate() > 0.0);
    }
}
