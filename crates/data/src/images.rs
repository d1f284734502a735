//! Image files without masks, to predict.

use crate::dataset::{Dataset, IGNORE, Sample, Source, item, pixels};
use crate::decode::Orientation;
use crate::error::Error;
use crate::reader::with_reader;
use crate::resize::{Rectangle, Resize};
use std::path::PathBuf;

/// Named image files. Their masks are all [`IGNORE`]: nobody knows what the pixels show.
///
/// All of an image is seen, at the size of the network's input: where training goes by the shorter side, it is fitted
/// in here, and a `to` of the training's `resize` means nothing.
#[derive(Debug)]
pub struct Images {
    files: Vec<(String, PathBuf)>,
    size: [u32; 2],
    channels: u32,
    orientation: Orientation,
    resize: Resize,
}

impl Images {
    /// Takes the (name, path) of each image, the height and width that they are brought to, in which way, and their
    /// channels (3 or 1), and whether they are brought upright. Reads nothing yet.
    pub fn new(
        files: Vec<(String, PathBuf)>,
        size: [u32; 2],
        channels: u32,
        orientation: Orientation,
        resize: Resize,
    ) -> Self {
        Self { files, size, channels, orientation, resize }
    }

    /// The part of the network's input that an image of this height and width takes up; around it there is nothing.
    pub fn rectangle(&self, image: [u32; 2]) -> Rectangle {
        self.resize.place_whole(image, self.size).image
    }
}

impl Dataset for Images {
    fn len(&self) -> u64 {
        self.files.len() as u64
    }

    fn size(&self) -> Option<[u32; 2]> {
        Some(self.size)
    }

    fn channels(&self) -> u32 {
        self.channels
    }

    fn name(&self, index: u64) -> String {
        item(&self.files, index).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let (_, path) = item(&self.files, index)?;
        let place = |size| Ok(self.resize.place_whole(size, self.size));
        with_reader(|reader| reader.image(path, self.channels, self.orientation, place, &mut sample.image))?;
        sample.size = self.size;
        sample.mask.clear();
        sample.mask.resize(pixels(self.size), IGNORE);
        Ok(())
    }

    fn mask(&self, _index: u64) -> Result<Vec<u8>, Error> {
        Ok(vec![IGNORE; pixels(self.size)])
    }

    fn source(&self, index: u64) -> Result<Source, Error> {
        Source::of([item(&self.files, index)?.1.as_path()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};
    use std::fs;

    #[test]
    fn images_come_resized_with_nothing_known_about_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grey.png");
        RgbImage::from_pixel(20, 10, Rgb([9, 8, 7])).save(&path).unwrap();
        let files = vec![("grey".into(), path), ("gone".into(), folder.path().join("gone.png"))];
        let bytes = fs::metadata(&files[0].1).unwrap().len();
        let images = Images::new(files, [4, 6], 3, Orientation::Apply, Resize::default());
        let mut sample = Sample::default();
        images.load(0, &mut sample).unwrap();
        assert_eq!((sample.image, sample.mask), ([9, 8, 7].repeat(24), vec![IGNORE; 24]));
        assert_eq!((images.name(1), images.name(2)), ("gone".into(), String::new()));
        assert!(images.load(1, &mut Sample::default()).unwrap_err().to_string().contains("gone.png"));
        assert_eq!(images.source(0).unwrap().bytes, bytes);
        assert!(images.source(1).unwrap_err().to_string().contains("gone.png"));
        assert!(matches!(images.load(2, &mut Sample::default()), Err(Error::Index { index: 2, len: 2 })));
    }

    #[test]
    fn all_of_an_image_is_fitted_in_and_it_is_known_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        RgbImage::from_pixel(20, 10, Rgb([9, 9, 9])).save(&path).unwrap();
        for resize in [Resize::Fit { to: Some([3, 3]) }, Resize::ShorterSide { to: Some(50) }] {
            let images = Images::new(vec![("wide".into(), path.clone())], [6, 8], 1, Orientation::Apply, resize);
            assert_eq!(images.rectangle([10, 20]), Rectangle { top: 1, left: 0, height: 4, width: 8 });
            let mut sample = Sample::default();
            images.load(0, &mut sample).unwrap();
            let expected = [[0; 8].as_slice(), &[9; 32], &[0; 8]].concat();
            assert_eq!((sample.size, sample.image, sample.mask), ([6, 8], expected, vec![IGNORE; 48]));
        }
    }
}
