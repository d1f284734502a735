//! Images in their own size, tile by tile.

use anyhow::{Context, Error, Result};
use contract::BoxError;
use executors::{Tiling, predict_tiles};
use image::GrayImage;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// The class of each pixel of an image of this height and width, `pixels` being its `H×W×C` bytes. The model takes values from 0
/// to 1.
pub fn predict(
    model: &dyn ModuleT,
    device: Device,
    tiling: &Tiling,
    [height, width]: [u32; 2],
    channels: u32,
    pixels: &[u8],
) -> Result<GrayImage> {
    let size = [height, width].map(i64::from);
    let pixels_hwc = Tensor::f_from_data_size(pixels, &[size[0], size[1], channels.into()], Kind::Uint8)?;
    let tile = |[top, left]: [i64; 2], [rows, columns]: [i64; 2]| {
        let tile_hwc = pixels_hwc.f_narrow(0, top, rows)?.f_narrow(1, left, columns)?.f_to_device(device)?;
        tile_hwc.f_permute([2, 0, 1])?.f_unsqueeze(0)?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)
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
