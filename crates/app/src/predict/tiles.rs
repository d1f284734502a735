//! Images in their own size, tile by tile.

use anyhow::{Context, Error, Result};
use contract::BoxError;
use data::{Config, Split};
use executors::{Tiling, predict_tiles};
use image::GrayImage;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// The class of each pixel of an image of this height and width, `pixels` (`H×W×C`) being what the configuration's network sees.
pub fn predict(
    model: &dyn ModuleT,
    device: Device,
    config: &Config,
    tiling: &Tiling,
    [height, width]: [u32; 2],
    pixels: &[u8],
) -> Result<GrayImage> {
    let size = [height, width].map(i64::from);
    let pixels_hwc = Tensor::f_from_data_size(pixels, &[size[0], size[1], config.channels().into()], Kind::Uint8)?;
    let normalize = config.pipeline(Split::Validation).normalize;
    let of_channels = |values: &[f64]| {
        Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?.f_view([1, -1, 1, 1])?.f_to_device(device)
    };
    let constants = normalize
        .map(|normalize| Ok::<_, tch::TchError>([of_channels(&normalize.mean)?, of_channels(&normalize.std)?]));
    let constants = constants.transpose()?;
    let tile = |[top, left]: [i64; 2], [rows, columns]: [i64; 2]| -> Result<Tensor, tch::TchError> {
        let tile_hwc = pixels_hwc.f_narrow(0, top, rows)?.f_narrow(1, left, columns)?.f_to_device(device)?;
        let values = tile_hwc.f_permute([2, 0, 1])?.f_unsqueeze(0)?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
        match &constants {
            Some([mean, std]) => values.f_sub(mean)?.f_div(std),
            None => Ok(values),
        }
    };
    let torch = |error: tch::TchError| BoxError::from(contract::TorchError::from(error));
    let mut classes = Vec::with_capacity(height as usize * width as usize);
    let mut add = |probabilities: &Tensor| -> Result<(), tch::TchError> {
        let ids = probabilities.f_argmax(0, false)?.f_to_kind(Kind::Uint8)?.f_to_device(Device::Cpu)?;
        classes.extend(Vec::<u8>::try_from(ids.f_flatten(0, -1)?)?);
        Ok(())
    };
    let read = |place, size| tile(place, size).map_err(torch);
    let write = |_, probabilities: &Tensor| add(probabilities).map_err(torch);
    predict_tiles(model, size, tiling, read, write).map_err(Error::from_boxed)?;
    GrayImage::from_raw(width, height, classes).context("a class map of the wrong size")
}
