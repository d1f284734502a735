//! A saved network, ready to predict.

use crate::Error;
use crate::description::{Class, Description, classes};
use crate::enlarge::{Enlarger, most_likely};
use crate::stored::{Content, Sections, Stored, load_weights, normalized};
use contract::{Plain, caught};
use data::{Dataset, Image, Images, Loader, LoaderConfig, Order, Rectangle, Sample, Split};
use executors::{Predictor, Tiling, predict_tiles};
use std::path::Path;
use std::slice;
use std::sync::Arc;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Tensor};

/// A saved network, ready to predict images. It can be sent to another thread, but not shared by several.
#[derive(Debug)]
pub struct Model {
    description: Description,
    classes: Vec<Class>,
    data: data::Config,
    network: Box<dyn ModuleT>,
    device: Device,
}

/// Prediction for one image, at the image's own size.
#[derive(Debug)]
pub struct Prediction {
    size: [u32; 2],
    class_map: Vec<u8>,
    /// `[K, h, w]`: probabilities at the size that the network saw.
    seen: Tensor,
    /// Part of them that shows the image.
    part: Rectangle,
}

impl Model {
    /// Opens the network that is saved in `folder`, on a GPU if there is one.
    ///
    /// # Errors
    ///
    /// Fails if the folder is no saved network, is damaged, or holds anything that an export does not write.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_on(folder, Device::cuda_if_available())
    }

    /// Like [`open`](Self::open), on the given device.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_on(folder: impl AsRef<Path>, device: Device) -> Result<Self, Error> {
        let stored = Stored::read(folder.as_ref())?;
        let Sections { data, model } = stored.sections()?;
        let (description, file, classes) = (stored.description.clone(), stored.file.clone(), classes(&data));
        let mut network: Box<dyn ModuleT> = match stored.content(device)? {
            Content::Network(network) => Box::new(network),
            Content::Weights(weights) => {
                let store = VarStore::new(device);
                let network = model.build(&store, data.channels().into(), classes.len() as i64)?;
                load_weights(&file, &store, weights)?;
                network
            }
        };
        if !sees_whole(&data) {
            // Tiles are cut out of images that are not normalised.
            network = Box::new(normalized(network, &data, device)?);
        }
        Ok(Self { description, classes, data, network, device })
    }

    /// Returns the classes, in the order of their ids.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Returns the description, with origin and scores of the network.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Predicts an image: the path of a file, or [`Image::pixels`] in memory. A file is decoded, brought upright and
    /// resized as in training.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] if the image cannot be read, other errors if the network fails.
    pub fn predict(&self, image: impl Into<Image>) -> Result<Prediction, Error> {
        let mut predictions = self.predict_batch(slice::from_ref(&image.into()))?;
        predictions.pop().ok_or_else(|| self.other(Vec::new()))
    }

    /// Predicts images, in their order. Batches are as large as in training.
    ///
    /// # Errors
    ///
    /// Those of [`predict`](Self::predict), for the first image that fails.
    pub fn predict_batch(&self, images: &[Image]) -> Result<Vec<Prediction>, Error> {
        let data = &self.data;
        let sizes =
            images.iter().map(|image| image.size(&data.layout(), data.orientation())).collect::<Result<Vec<_>, _>>()?;
        let named = images.iter().map(|image| (image.to_string(), image.clone())).collect();
        let images = Arc::new(Images::new(named, data.size(), data.layout(), data.orientation(), data.resize()));
        if sees_whole(data) {
            return self.whole(&images, &sizes);
        }
        (0..).zip(sizes).map(|(index, size)| self.in_tiles(&images, index, size)).collect()
    }

    /// Predicts images that the network sees whole, in batches.
    fn whole(&self, images: &Arc<Images>, sizes: &[[u32; 2]]) -> Result<Vec<Prediction>, Error> {
        let recorded = self.data.loader();
        // A single image needs no thread beside this one.
        let workers = if sizes.len() > 1 { recorded.workers } else { 0 };
        let loader = LoaderConfig { workers, max_skipped: 0, ..recorded.clone() };
        let pipeline = self.data.pipeline(Split::Validation);
        let input = Loader::new(images.clone(), pipeline, &loader, Order::Sequential, 0, self.device);
        let input = input.map_err(data::Error::Config)?;
        let mut predictions = Vec::with_capacity(sizes.len());
        for (prediction, size) in Predictor::new(&Plain(self.network.as_ref()), &input).predict().zip(sizes) {
            let prediction = prediction?;
            let part = images.rectangle(*size)?;
            let outputs = prediction.outputs.size();
            if outputs.len() != 3 {
                return Err(self.other(outputs));
            }
            predictions.push(self.prediction(prediction.probabilities()?, part, *size, self.data.size())?);
        }
        if predictions.len() < sizes.len() {
            return Err(self.other(vec![predictions.len() as i64]));
        }
        Ok(predictions)
    }

    /// Predicts an image that has no size in common with others, in tiles as large as the samples of training.
    fn in_tiles(&self, images: &Images, index: u64, size: [u32; 2]) -> Result<Prediction, Error> {
        let mut sample = Sample::default();
        // A decoder that panics on a strange file fails that file.
        let loaded = caught(|| images.load(index, &mut sample));
        let panicked = |message| data::Error::Panic { what: format!("image '{}'", images.name(index)), message };
        loaded.map_err(panicked)??;
        let [height, width] = sample.size.map(i64::from);
        let layout = self.data.layout();
        let image_nhwc = layout.tensor(&sample.image, &[1, height, width, layout.channels().into()])?;
        let image_nchw = layout.values(&image_nhwc.f_to_device(self.device)?)?;
        let mut rows = Vec::new();
        let (tiling, samples) = (Tiling::holding(self.data.size()), self.data.loader().batch_size);
        predict_tiles(
            self.network.as_ref(),
            [height, width],
            &tiling,
            tiling.at_once(self.device, samples, self.data.size()),
            |[top, left], [height, width]| {
                let tile = image_nchw.f_narrow(2, top, height).and_then(|rows| rows.f_narrow(3, left, width));
                Ok(tile.map_err(contract::TorchError::from)?)
            },
            |_, part| {
                rows.push(part.shallow_clone());
                Ok(())
            },
        )
        .map_err(Error::Tiles)?;
        self.prediction(Tensor::f_cat(&rows, 1)?, images.rectangle(size)?, size, sample.size)
    }

    /// Enlarges probabilities, `[K, h, w]` for an input of the size `input`, to the `size` of the image.
    fn prediction(&self, seen: Tensor, part: Rectangle, size: [u32; 2], input: [u32; 2]) -> Result<Prediction, Error> {
        let expected = [self.classes.len() as i64, input[0].into(), input[1].into()];
        if seen.size() != expected {
            return Err(Error::Outputs { expected: expected.into(), found: seen.size() });
        }
        let mut class_map = Vec::with_capacity(size[0] as usize * size[1] as usize);
        Enlarger::new(part, size).add(&seen, |rows| {
            class_map.extend(Vec::<u8>::try_from(most_likely(rows)?.f_to_device(Device::Cpu)?.f_flatten(0, -1)?)?);
            Ok::<_, Error>(())
        })?;
        Ok(Prediction { size, class_map, seen, part })
    }

    fn other(&self, found: Vec<i64>) -> Error {
        let [height, width] = self.data.size().map(i64::from);
        Error::Outputs { expected: vec![self.classes.len() as i64, height, width], found }
    }
}

/// Returns whether the network sees every image whole and at one size. Else training cut pieces out of larger images.
fn sees_whole(data: &data::Config) -> bool {
    let images = Images::new(Vec::new(), data.size(), data.layout(), data.orientation(), data.resize());
    images.size() == Some(data.size())
}

impl Prediction {
    /// Returns height and width of the image, upright.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// Returns the class of each pixel, `H×W` ids, row by row: the pixels of the PNG that `app predict` writes.
    pub fn class_map(&self) -> &[u8] {
        &self.class_map
    }

    /// Returns the [`class_map`](Self::class_map) by itself.
    pub fn into_class_map(self) -> Vec<u8> {
        self.class_map
    }

    /// Computes the probability of each class in each pixel, `[K, H, W]` f32 on the CPU.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does, for example for lack of memory.
    pub fn probabilities(&self) -> Result<Tensor, Error> {
        let mut rows = Vec::new();
        Enlarger::new(self.part, self.size).add(&self.seen, |part| {
            rows.push(part.f_to_device(Device::Cpu)?);
            Ok::<_, Error>(())
        })?;
        Ok(Tensor::f_cat(&rows, 1)?)
    }
}
