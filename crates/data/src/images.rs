//! Image files without masks, to predict.

use crate::dataset::{Dataset, IGNORE, Sample, Source, item, pixels};
use crate::decode::read_rgb;
use crate::error::Error;
use crate::resize::bilinear;
use std::path::PathBuf;

/// Named image files. Their masks are all [`IGNORE`]: nobody knows what the pixels show.
#[derive(Debug)]
pub struct Images {
    files: Vec<(String, PathBuf)>,
    size: [u32; 2],
}

impl Images {
    /// Takes the (name, path) of each image, and the height and width that they are brought to. Reads nothing yet.
    pub fn new(files: Vec<(String, PathBuf)>, size: [u32; 2]) -> Self {
        Self { files, size }
    }
}

impl Dataset for Images {
    fn len(&self) -> u64 {
        self.files.len() as u64
    }

    fn size(&self) -> Option<[u32; 2]> {
        Some(self.size)
    }

    fn name(&self, index: u64) -> String {
        item(&self.files, index).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let (_, path) = item(&self.files, index)?;
        let rgb = read_rgb(path)?;
        let from = [rgb.height(), rgb.width()];
        let image = bilinear(rgb.into_raw(), from, self.size)?;
        *sample = Sample { size: self.size, image, mask: self.mask(index)? };
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
        let images = Images::new(files, [4, 6]);
        let mut sample = Sample::default();
        images.load(0, &mut sample).unwrap();
        assert_eq!((sample.image, sample.mask), ([9, 8, 7].repeat(24), vec![IGNORE; 24]));
        assert_eq!((images.name(1), images.name(2)), ("gone".into(), String::new()));
        assert!(images.load(1, &mut Sample::default()).unwrap_err().to_string().contains("gone.png"));
        assert_eq!(images.source(0).unwrap().bytes, bytes);
        assert!(images.source(1).unwrap_err().to_string().contains("gone.png"));
        assert!(matches!(images.load(2, &mut Sample::default()), Err(Error::Index { index: 2, len: 2 })));
    }
}
