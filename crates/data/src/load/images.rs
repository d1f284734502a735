//! Images without masks, for prediction.

use crate::decode::turn::Orientation;
use crate::error::Error;
use crate::load::dataset::{Dataset, Source, item};
use crate::load::image::{Content, Image};
use crate::load::layout::Layout;
use crate::load::reader::with_reader;
use crate::load::{IGNORE, Sample, pixels, refill};
use crate::transform::resize::{Rectangle, Resize};

/// Named images. Their masks are [`IGNORE`] throughout, since the classes are unknown.
///
/// An image is predicted as a whole, at the scale of training. Where training cuts pieces of one size out of larger
/// images, these stay whole and vary in size.
#[derive(Debug)]
pub struct Images {
    images: Vec<(String, Image)>,
    size: [u32; 2],
    layout: Layout,
    orientation: Orientation,
    resize: Resize,
}

impl Images {
    /// Takes the `images` with their names, the `size` of the data, the numbers of a pixel (3 or 1 for bytes of colours
    /// or grey), the handling of orientation, and the resizing to the scale of training. Reads nothing yet.
    pub fn new(
        images: Vec<(String, Image)>,
        size: [u32; 2],
        layout: impl Into<Layout>,
        orientation: Orientation,
        resize: Resize,
    ) -> Self {
        Self { images, size, layout: layout.into(), orientation, resize }
    }

    /// Returns the part of its sample that an image of this height and width covers; the rest is padding.
    ///
    /// # Errors
    ///
    /// [`Error::Resize`] where a side would become too long.
    pub fn rectangle(&self, image: [u32; 2]) -> Result<Rectangle, Error> {
        Ok(self.resize.place_whole(image, self.size)?.image)
    }
}

impl Dataset for Images {
    fn len(&self) -> u64 {
        self.images.len() as u64
    }

    fn size(&self) -> Option<[u32; 2]> {
        // Samples smaller than the data's size are padded to it; larger ones stay as they are.
        let size = self.resize.size(self.size)?;
        Some([size[0].max(self.size[0]), size[1].max(self.size[1])])
    }

    fn channels(&self) -> u32 {
        self.layout.channels()
    }

    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    fn name(&self, index: u64) -> String {
        item(&self.images, index).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let (_, image) = item(&self.images, index)?;
        let place = |size| self.resize.place_whole(size, self.size);
        let (layout, to) = (&self.layout, &mut sample.image);
        let (_, place) = with_reader(|reader| match image.content() {
            Content::File(path) => reader.image(path, layout, self.orientation, place, to),
            Content::Pixels(pixels) => reader.pixels(pixels, layout, place, to),
        })?;
        sample.size = place.size;
        refill(sample.target.classes_mut(), pixels(place.size), IGNORE);
        Ok(())
    }

    fn source(&self, index: u64) -> Result<Source, Error> {
        match item(&self.images, index)?.1.content() {
            Content::File(path) => Source::of([path.as_path()]),
            Content::Pixels(_) => Ok(Source::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Target;
    use image::{ExtendedColorType, Rgb, RgbImage};
    use std::fs;

    #[test]
    fn images_come_resized_with_nothing_known_about_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grey.png");
        RgbImage::from_pixel(20, 10, Rgb([9, 8, 7])).save(&path).unwrap();
        let bytes = fs::metadata(&path).unwrap().len();
        let files = vec![("grey".into(), path.into()), ("gone".into(), folder.path().join("gone.png").into())];
        let images = Images::new(files, [4, 6], 3, Orientation::Apply, Resize::default());
        let mut sample = Sample::default();
        images.load(0, &mut sample).unwrap();
        assert_eq!((sample.image, sample.target), ([9u8, 8, 7].repeat(24).into(), Target::Classes(vec![IGNORE; 24])));
        assert_eq!((images.name(1), images.name(2)), ("gone".into(), String::new()));
        assert!(images.load(1, &mut Sample::default()).unwrap_err().to_string().contains("gone.png"));
        assert_eq!(images.source(0).unwrap().bytes, bytes);
        assert!(images.source(1).unwrap_err().to_string().contains("gone.png"));
        assert!(matches!(images.load(2, &mut Sample::default()), Err(Error::Index { index: 2, len: 2 })));
    }

    #[test]
    fn all_of_an_image_is_seen_at_the_scale_of_training() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        RgbImage::from_pixel(20, 10, Rgb([9, 9, 9])).save(&path).unwrap();
        for (resize, one, size, [top, left, height, width]) in [
            (Resize::Stretch { to: None }, Some([6, 8]), [6, 8], [0, 0, 6, 8]),
            (Resize::Fit { to: None }, Some([6, 8]), [6, 8], [1, 0, 4, 8]),
            // Pieces of 6×8 are cut out of these.
            (Resize::Stretch { to: Some([12, 30]) }, Some([12, 30]), [12, 30], [0, 0, 12, 30]),
            (Resize::Fit { to: Some([12, 12]) }, Some([12, 12]), [12, 12], [3, 0, 6, 12]),
            (Resize::ShorterSide { to: None }, None, [6, 12], [0, 0, 6, 12]),
            (Resize::ShorterSide { to: Some(50) }, None, [50, 100], [0, 0, 50, 100]),
            // Smaller than the network's size: in the centre of that, as in training.
            (Resize::ShorterSide { to: Some(3) }, None, [6, 8], [1, 1, 3, 6]),
            (Resize::Fit { to: Some([3, 3]) }, Some([6, 8]), [6, 8], [1, 2, 2, 3]),
        ] {
            let images = Images::new(vec![("wide".into(), path.clone().into())], [6, 8], 1, Orientation::Apply, resize);
            let part = Rectangle { top, left, height, width };
            assert_eq!((images.rectangle([10, 20]).unwrap(), images.size()), (part, one), "{resize:?}");
            let mut sample = Sample::default();
            images.load(0, &mut sample).unwrap();
            let mut expected = vec![0u8; pixels(size)];
            for row in top..top + height {
                let first = (row * size[1] + left) as usize;
                expected[first..first + width as usize].fill(9);
            }
            let unknown = Target::Classes(vec![IGNORE; pixels(size)]);
            assert_eq!((sample.size, sample.image, sample.target), (size, expected.into(), unknown));
        }
        let long = Images::new(Vec::new(), [6, 8], 1, Orientation::Apply, Resize::ShorterSide { to: Some(8000) });
        assert!(long.rectangle([10, 100]).unwrap_err().to_string().contains("no side may become longer"));
    }

    #[test]
    fn pixels_in_memory_are_seen_as_those_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let value = |x: u32, y: u32, channel: u32| (x * 11 + y * 7 + channel * 50) as u8;
        for (kind, layers) in [
            (ExtendedColorType::L8, 1),
            (ExtendedColorType::La8, 2),
            (ExtendedColorType::Rgb8, 3),
            (ExtendedColorType::Rgba8, 4),
        ] {
            let rows = (0..9).flat_map(|y| (0..13).map(move |x| (x, y)));
            let bytes: Vec<u8> = rows.flat_map(|(x, y)| (0..layers).map(move |layer| value(x, y, layer))).collect();
            let path = folder.path().join("image.png");
            image::save_buffer(&path, &bytes, 13, 9, kind).unwrap();
            let pixels = Image::pixels([9, 13, layers], bytes).unwrap();
            assert_eq!(pixels.size(&3.into(), Orientation::Apply).unwrap(), [9, 13]);
            let images = vec![("file".into(), path.into()), ("pixels".into(), pixels)];
            for channels in [1, 3] {
                let images = Images::new(images.clone(), [6, 8], channels, Orientation::Apply, Resize::default());
                let [mut file, mut pixels] = [Sample::default(), Sample::default()];
                images.load(0, &mut file).unwrap();
                images.load(1, &mut pixels).unwrap();
                assert_eq!(file, pixels, "{layers} to {channels}");
            }
        }
    }
}
