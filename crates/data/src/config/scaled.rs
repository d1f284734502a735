//! The data as seen at another scale.

use crate::config::Config;
use crate::transform::resize::Resize;

impl Config {
    /// Returns this configuration with all lengths of the network's input multiplied by `scale`, rounded to whole
    /// pixels: its size, and the lengths that images are resized to. Where images grow, batches shrink, to keep about
    /// the same number of pixels. [`check`](Self::check) refuses a size that is too large.
    pub fn scaled(&self, scale: f64) -> Self {
        let length = |length: u32| (f64::from(length) * scale).round().max(1.0) as u32;
        let lengths = |to: Option<[u32; 2]>| to.map(|to| to.map(length));
        let mut data = self.clone();
        let preparation = match &mut data {
            Self::Shapes(_) => None,
            Self::OxfordPets(pets) => Some(&mut pets.preparation),
            Self::Folders(folders) => Some(&mut folders.preparation),
            Self::List(list) => Some(&mut list.preparation),
            Self::Coco(all) | Self::Labelme(all) | Self::Yolo(all) | Self::LabelStudio(all) | Self::Cvat(all) => {
                Some(&mut all.preparation)
            }
        };
        if let Some(preparation) = preparation {
            preparation.resize = match preparation.resize {
                Resize::Stretch { to } => Resize::Stretch { to: lengths(to) },
                Resize::Fit { to } => Resize::Fit { to: lengths(to) },
                Resize::ShorterSide { to } => Resize::ShorterSide { to: to.map(length) },
                // Whoever asks for another scale must resize by itself.
                Resize::None => Resize::None,
            };
        }
        let (size, loader) = match &mut data {
            Self::Shapes(shapes) => (&mut shapes.size, &mut shapes.loader),
            Self::OxfordPets(pets) => (&mut pets.preparation.size, &mut pets.preparation.loader),
            Self::Folders(folders) => (&mut folders.preparation.size, &mut folders.preparation.loader),
            Self::List(list) => (&mut list.preparation.size, &mut list.preparation.loader),
            Self::Coco(all) | Self::Labelme(all) | Self::Yolo(all) | Self::LabelStudio(all) | Self::Cvat(all) => {
                (&mut all.preparation.size, &mut all.preparation.loader)
            }
        };
        *size = size.map(length);
        loader.batch_size = ((loader.batch_size as f64 / scale.max(1.0).powi(2)) as u64).max(1);
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OxfordPets, PetsTarget, Preparation, Shapes};

    #[test]
    fn lengths_grow_and_batches_shrink() {
        let pets = |size, resize, batch_size| {
            let mut preparation = Preparation { size, resize, ..Preparation::default() };
            preparation.loader.batch_size = batch_size;
            Config::OxfordPets(OxfordPets { root: "pets".into(), target: PetsTarget::default(), preparation })
        };
        for (resize, grown) in [
            (Resize::Stretch { to: None }, Resize::Stretch { to: None }),
            (Resize::Stretch { to: Some([9, 30]) }, Resize::Stretch { to: Some([14, 45]) }),
            (Resize::Fit { to: Some([9, 30]) }, Resize::Fit { to: Some([14, 45]) }),
            (Resize::ShorterSide { to: None }, Resize::ShorterSide { to: None }),
            (Resize::ShorterSide { to: Some(50) }, Resize::ShorterSide { to: Some(75) }),
        ] {
            assert_eq!(pets([20, 31], resize, 16).scaled(1.5), pets([30, 47], grown, 7));
        }
        let same = pets([20, 31], Resize::default(), 16);
        assert_eq!(same.scaled(1.0), same);
        assert_eq!(same.scaled(0.01), pets([1, 1], Resize::default(), 16));
        let large = Config::Shapes(Shapes { size: [4000, 64], ..Shapes::default() }).scaled(4.0);
        assert_eq!((large.size(), large.loader().batch_size), ([16000, 256], 1));
        assert_eq!(large.check().unwrap_err().key, "size");
    }
}
