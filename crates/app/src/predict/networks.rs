//! Networks that see the same images, each in its own way, and at several scales.

use super::find::Pictures;
use super::image::Begun;
use super::mean::Mean;
use super::rows::RowsWriter;
use super::source::{Source, Told, hand_on};
use super::tiles::InTiles;
use super::whole::{self, Whole};
use super::writer::MapWriter;
use crate::cli::{How, Mirror};
use crate::common::network::{Network, Trained};
use crate::common::usage::usage;
use anyhow::Result;
use contract::Plain;
use data::{Dataset, Images, Loader, Passed, Resize};
use executors::{Mirrored, Scaled, Tiling};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, Scope, available_parallelism};
use tch::Device;
use tch::nn::ModuleT;

/// Maximum number of threads that read images for tiles.
const MOST_READERS: usize = 8;

/// Smallest and largest scale, and maximum number of scales.
const SCALES: [f64; 2] = [0.25, 4.0];
const MOST_SCALES: usize = 16;

/// Request for predictions: images, and the results to make of each.
pub struct Wanted<'a> {
    /// Images to predict.
    pub pictures: &'a Pictures,
    /// Options of the prediction.
    pub how: &'a How,
    /// Weights of the classes' probabilities, if they differ.
    pub weights: Option<&'a [f32]>,
    /// The probabilities as well as the classes.
    pub probabilities: bool,
    /// Images of which rows were predicted before: only the others are. Empty but for [`tiling_of`] all networks.
    pub begun: &'a Begun,
}

/// Predicts images with the mean of `networks` and hands the results to `writer`. Returns those that cannot be read.
/// Calls `told` as it goes.
pub fn each(
    networks: Vec<Trained>,
    wanted: &Wanted,
    writer: &MapWriter,
    told: impl FnMut(Told),
) -> Result<Vec<Passed>> {
    let (how, pictures) = (wanted.how, wanted.pictures);
    let seers = networks.into_iter().map(|trained| Seer::of(trained, how)).collect::<Result<Vec<_>>>()?;
    let views = seers.iter().map(|seer| seer.views(how, pictures)).collect::<Result<Vec<_>>>()?.concat();
    let inputs = views.iter().map(|view| view.input(pictures)).collect::<Result<Vec<_>>>()?;
    let models: Vec<Plain> = views.iter().map(|view| Plain(view.seer.model.as_ref())).collect();
    let Some(device) = seers.first().map(|seer| seer.device) else { return Ok(Vec::new()) };
    thread::scope(|scope| {
        let mut sources = Vec::with_capacity(views.len());
        for ((view, input), model) in views.iter().zip(&inputs).zip(&models) {
            sources.push(view.start(input, model, wanted, scope)?);
        }
        let rows = RowsWriter::new(writer, device, wanted.weights, wanted.probabilities)?;
        if sources.len() > 1 {
            return hand_on(&mut Mean::of(sources), writer, rows, told);
        }
        match sources.pop() {
            Some(mut only) => hand_on(only.as_mut(), writer, rows, told),
            None => Ok(Vec::new()),
        }
    })
}

/// A network and its way to see images.
struct Seer {
    model: Box<dyn ModuleT>,
    device: Device,
    data: data::Config,
    way: Way,
}

/// The way in which a network sees images.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Whole, at the size of training.
    Whole,
    /// In tiles, at the scale of training.
    Scaled,
    /// In tiles, at the images' own size.
    OwnSize,
}

impl Way {
    fn of(data: &data::Config, how: &How) -> Self {
        match how.tile {
            Some(_) => Self::OwnSize,
            None if data.resize() == Resize::None => Self::OwnSize,
            None if images(data, &Pictures::new()).size() == Some(data.size()) => Self::Whole,
            None => Self::Scaled,
        }
    }
}

/// Returns the tiles in which all `networks` see images at their own size. None if one sees them in another way.
pub fn tiling_of(networks: &[Trained], how: &How) -> Option<Tiling> {
    let of = |trained: &Trained| {
        let data = &trained.config.data;
        (Way::of(data, how) == Way::OwnSize).then(|| how.tiling(data.size()))
    };
    let first = of(networks.first()?)?;
    networks.iter().all(|trained| of(trained) == Some(first)).then_some(first)
}

/// Returns the part of an image's sides that is left of them, where networks of this kind see it whole: 1 at its own
/// size.
pub fn shrinking(data: &data::Config, how: &How, size: [u32; 2]) -> f64 {
    if Way::of(data, how) == Way::OwnSize {
        return 1.0;
    }
    images(data, &Pictures::new()).rectangle(size).map_or(1.0, |seen| {
        let [height, width] = size.map(f64::from);
        (f64::from(seen.height) / height).max(f64::from(seen.width) / width)
    })
}

/// Images of a [`Seer`] at one scale.
#[derive(Clone)]
struct View<'a> {
    seer: &'a Seer,
    /// The configuration of the data at this scale.
    data: data::Config,
    images: Arc<Images>,
}

impl Seer {
    fn of(trained: Trained, how: &How) -> Result<Self> {
        let (Network { model, device, .. }, data) = (trained.network, trained.config.data);
        let model: Box<dyn ModuleT> = match how.mirror {
            Mirror::None => model,
            mirror => Box::new(Mirrored { model, vertical: mirror == Mirror::Both }),
        };
        let way = Way::of(&data, how);
        // Tiles are cut out of images that are not normalised, and a tile at its own size is resized by itself.
        let model: Box<dyn ModuleT> = match way {
            Way::Whole => model,
            Way::OwnSize if how.scales != [1.0] => {
                let model = Box::new(saved::normalized(model, &data, device)?);
                Box::new(Scaled { model, scales: how.scales.clone() })
            }
            _ => Box::new(saved::normalized(model, &data, device)?),
        };
        Ok(Self { model, device, data, way })
    }

    /// Returns the images at all scales at which this network sees them by itself.
    fn views(&self, how: &How, pictures: &Pictures) -> Result<Vec<View<'_>>> {
        let scales = if self.way == Way::OwnSize { &[1.0] } else { &how.scales[..] };
        let view = |scale: &f64| {
            let data = if *scale == 1.0 { self.data.clone() } else { self.data.scaled(*scale) };
            data.check().map_err(|invalid| usage(format!("--scales {scale}: data.{invalid}")))?;
            let images = Arc::new(images(&data, pictures));
            Ok(View { seer: self, data, images })
        };
        scales.iter().map(view).collect()
    }
}

/// Describes the pictures as the network of `data` sees them.
fn images(data: &data::Config, pictures: &Pictures) -> Images {
    let named = pictures.iter().map(|(name, picture)| (name.clone(), picture.file.clone().into())).collect();
    Images::new(named, data.size(), data.layout(), data.orientation(), data.resize())
}

impl<'a> View<'a> {
    /// Opens the images, if the network sees them whole.
    fn input(&self, pictures: &Pictures) -> Result<Option<Loader>> {
        let is_whole = self.seer.way == Way::Whole;
        let open = || whole::open(&self.images, pictures.len(), &self.data, self.seer.device);
        is_whole.then(open).transpose()
    }

    /// Starts the predictions.
    fn start<'s>(
        &'a self,
        input: &'a Option<Loader>,
        model: &'a Plain<'a>,
        wanted: &Wanted<'a>,
        scope: &'s Scope<'s, 'a>,
    ) -> Result<Box<dyn Source + 'a>> {
        let Wanted { pictures, how, begun, .. } = *wanted;
        if let Some(input) = input {
            return Ok(Box::new(Whole::start(model, input, &self.images, pictures)));
        }
        let Seer { model, device, data, way } = self.seer;
        // At every scale the network sees tiles of the size that it was trained with.
        let tiling = how.tiling(data.size());
        let in_tiles = InTiles {
            model: model.as_ref(),
            device: *device,
            layout: data.layout(),
            orientation: data.orientation(),
            tiling,
            at_once: tiling.at_once(*device, data.loader().batch_size, data.size()),
            scaled: (*way == Way::Scaled).then_some(&*self.images),
            readers: readers(*device),
            begun,
        };
        Ok(Box::new(in_tiles.start(scope, pictures)?))
    }
}

/// Returns the number of threads that read images for tiles. The network needs the cores of a CPU more than they do.
fn readers(device: Device) -> usize {
    let cores = available_parallelism().map_or(1, NonZero::get);
    if device == Device::Cpu { 1 } else { (cores / 4).clamp(1, MOST_READERS) }
}

impl How {
    /// Rejects values that cannot work.
    pub fn check(&self) -> Result<()> {
        let [least, most] = SCALES;
        if let Some(wrong) = self.scales.iter().find(|scale| !(least..=most).contains(*scale)) {
            return Err(usage(format!("--scales: each must be from {least} to {most}, one is {wrong}")));
        }
        if let Some(twice) = self.scales.iter().enumerate().find(|(at, scale)| self.scales[..*at].contains(scale)) {
            return Err(usage(format!("--scales: {} is there twice", twice.1)));
        }
        if self.scales.len() > MOST_SCALES {
            return Err(usage(format!("--scales: at most {MOST_SCALES}, these are {}", self.scales.len())));
        }
        self.tiling([1, 1]).check().map_err(|invalid| usage(format!("--{invalid}")))
    }

    /// Returns true if images are predicted once and whole, without any option.
    pub fn is_plain(&self) -> bool {
        self.tile.is_none() && self.mirror == Mirror::None && self.scales == [1.0]
    }

    /// Returns the tiles that were asked for, or tiles that hold a sample of `size`.
    fn tiling(&self, size: [u32; 2]) -> Tiling {
        let holding = Tiling::holding(size);
        Tiling { tile: self.tile.unwrap_or(holding.tile), overlap: self.overlap }
    }
}
