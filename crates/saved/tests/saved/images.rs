//! Predictions: those of the live network, at the images' own size.

use super::{Place, SIDE, assert_close, data, ids, noise};
use data::{Dataset, Images, Orientation, Resize, Sample};
use export::Format;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use saved::Image;
use serde_json::json;
use std::fs::File;
use tch::{Device, Kind, Tensor};

#[test]
fn an_image_of_the_networks_size_gets_what_the_live_network_gives() {
    for format in [Format::Safetensors, Format::TorchScript] {
        let place = Place::new(&data(json!({})), &[format], Kind::Float);
        let (model, shape) = (place.open().unwrap(), [SIDE, SIDE, 3]);
        let bytes = noise(shape, 1);
        let expected = place.expected(shape, &bytes);
        let prediction = model.predict(Image::pixels(shape, bytes).unwrap()).unwrap();
        assert_eq!(prediction.size(), [SIDE, SIDE]);
        assert_eq!(prediction.class_map(), ids(&expected), "{format:?}");
        assert!(prediction.class_map().iter().any(|id| *id != prediction.class_map()[0]), "it is not all one class");
        let tolerance = if format == Format::Safetensors { 1e-6 } else { 1e-4 };
        assert_close(&prediction.probabilities().unwrap(), &expected, tolerance);
    }
}

#[test]
fn weights_of_16_bits_compute_in_f32() {
    let shape = [SIDE, SIDE, 3];
    let image = Image::pixels(shape, noise(shape, 1)).unwrap();
    for (kind, tolerance) in [(Kind::Half, 1e-2), (Kind::BFloat16, 5e-2)] {
        let place = Place::new(&data(json!({})), &[Format::Safetensors], kind);
        let found = place.open().unwrap().predict(&image).unwrap().probabilities().unwrap();
        let expected = place.expected(shape, &noise(shape, 1));
        assert_close(&found, &expected, tolerance);
        assert!((found - expected).abs().max().double_value(&[]) > 0.0);
    }
}

#[test]
fn an_image_of_another_size_gets_the_networks_output_scaled_back() {
    // Fitted into 16×16, 8×16 pixels keep their scale and lie in rows 4 to 11, with black around them.
    let fit = json!({"resize": {"kind": "fit"}});
    let place = Place::new(&data(fit), &[Format::Safetensors], Kind::Float);
    let model = place.open().unwrap();
    let bytes = noise([8, SIDE, 3], 2);
    let mut padded = vec![0; (SIDE * SIDE * 3) as usize];
    let above = (4 * SIDE * 3) as usize;
    padded[above..above + bytes.len()].copy_from_slice(&bytes);
    let expected = place.expected([SIDE, SIDE, 3], &padded).narrow(1, 4, 8);
    let found = model.predict(Image::pixels([8, SIDE, 3], bytes).unwrap()).unwrap();
    assert_close(&found.probabilities().unwrap(), &expected, 1e-6);
    assert_eq!(found.class_map(), ids(&expected));
    // An image of one colour stays so at any scale: 40×20 pixels cover 16×8 in the middle.
    let bytes = [90, 140, 30].repeat(40 * 20);
    let mut padded = vec![0; (SIDE * SIDE * 3) as usize];
    for row in 0..SIDE as usize {
        padded[(row * 16 + 4) * 3..(row * 16 + 12) * 3].copy_from_slice(&bytes[..8 * 3]);
    }
    let seen = place.expected([SIDE, SIDE, 3], &padded).narrow(2, 4, 8).unsqueeze(0);
    let expected = seen.upsample_bilinear2d([40, 20], false, None, None).squeeze_dim(0);
    let found = model.predict(Image::pixels([40, 20, 3], bytes).unwrap()).unwrap();
    assert_eq!(found.size(), [40, 20]);
    assert_close(&found.probabilities().unwrap(), &expected, 1e-5);
}

#[test]
fn where_training_cut_pieces_an_image_is_seen_in_tiles() {
    for format in [Format::Safetensors, Format::TorchScript] {
        let place = Place::new(&data(json!({"resize": {"kind": "shorter_side"}})), &[format], Kind::Float);
        let model = place.open().unwrap();
        // One tile of 32×32 pixels holds it.
        let shape = [SIDE, 28, 3];
        let bytes = noise(shape, 3);
        let expected = place.expected(shape, &bytes);
        let found = model.predict(Image::pixels(shape, bytes).unwrap()).unwrap();
        assert_close(&found.probabilities().unwrap(), &expected, 1e-4);
        assert_eq!(found.class_map(), ids(&expected), "{format:?}");
        // Several tiles: twice the scale of training, and longer than a tile.
        let shape = [2 * SIDE, 200, 3];
        let found = model.predict(Image::pixels(shape, noise(shape, 4)).unwrap()).unwrap();
        assert_eq!((found.size(), found.class_map().len()), ([32, 200], 32 * 200));
        let sum = found.probabilities().unwrap().sum_dim_intlist(0i64, false, None::<Kind>);
        assert_close(&sum, &Tensor::ones([32, 200], (Kind::Float, Device::Cpu)), 1e-5);
    }
}

#[test]
fn a_batch_gets_what_its_images_get_and_a_file_what_its_pixels_get() {
    let place = Place::new(&data(json!({})), &[Format::Safetensors], Kind::Float);
    let model = place.open().unwrap();
    let mut images = Vec::new();
    for (seed, channels, kind) in [
        (1, 1, ExtendedColorType::L8),
        (2, 2, ExtendedColorType::La8),
        (3, 3, ExtendedColorType::Rgb8),
        (4, 4, ExtendedColorType::Rgba8),
        (5, 3, ExtendedColorType::Rgb8),
    ] {
        let shape = [10 + seed, 30, channels];
        let (bytes, path) = (noise(shape, seed), place.path(&format!("{seed}.png")));
        image::save_buffer(&path, &bytes, shape[1], shape[0], kind).unwrap();
        let pixels = Image::pixels(shape, bytes).unwrap();
        let [of_pixels, of_file] = [pixels.clone(), path.clone().into()].map(|image| model.predict(image).unwrap());
        assert_eq!(of_pixels.size(), [shape[0], 30]);
        assert!(of_pixels.class_map() == of_file.class_map(), "{channels} channels");
        assert!(of_pixels.probabilities().unwrap().equal(&of_file.probabilities().unwrap()));
        images.extend([pixels, path.into()]);
    }
    let all = model.predict_batch(&images).unwrap();
    assert_eq!(all.len(), 10);
    for (image, prediction) in images.iter().zip(all) {
        let alone = model.predict(image).unwrap();
        assert_close(&prediction.probabilities().unwrap(), &alone.probabilities().unwrap(), 1e-5);
    }
    assert!(model.predict_batch(&[]).unwrap().is_empty());
}

#[test]
fn a_grey_network_sees_the_luma_of_colours() {
    let grey = json!({"channels": 1, "normalize": {"mean": [0.5], "std": [0.25]}});
    let place = Place::new(&data(grey), &[Format::Safetensors], Kind::Float);
    let model = place.open().unwrap();
    let rgb = Image::pixels([SIDE, SIDE, 3], noise([SIDE, SIDE, 3], 6)).unwrap();
    let images = vec![(String::new(), rgb.clone())];
    let mut seen = Sample::default();
    Images::new(images, [SIDE, SIDE], 1, Orientation::Apply, Resize::default()).load(0, &mut seen).unwrap();
    let expected = place.expected([SIDE, SIDE, 1], seen.image.bytes());
    assert_close(&model.predict(rgb).unwrap().probabilities().unwrap(), &expected, 1e-6);
}

#[test]
fn a_photograph_is_upright_unless_it_was_stored_pixels_that_were_learnt() {
    let upright = [12, 20, 3];
    let picture = image::RgbImage::from_raw(20, 12, noise(upright, 8)).unwrap();
    let stored = image::imageops::rotate270(&picture);
    let config = |format: Option<u64>, orientation: Option<&str>| {
        let mut data = data(json!({}));
        if let Some(orientation) = orientation {
            data["orientation"] = orientation.into();
        }
        let mut config = json!({"data": data, "model": {"kind": "unet", "width": 4, "depth": 2}});
        if let Some(format) = format {
            config["format"] = format.into();
        }
        Place::with(&config, &[Format::Safetensors], Kind::Float)
    };
    for (format, orientation, is_turned) in [
        (Some(2), None, true),
        (Some(2), Some("ignore"), false),
        // Commit 7827b7c and before read images as they are stored.
        (None, None, false),
        (Some(1), None, false),
        (Some(1), Some("apply"), true),
    ] {
        let place = config(format, orientation);
        let path = place.path("noted.png");
        let mut encoder = PngEncoder::new(File::create(&path).unwrap());
        encoder
            .set_exif_metadata(
                [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[6, 0, 0, 0, 0, 0, 0, 0]].concat(),
            )
            .unwrap();
        encoder.write_image(&stored, stored.width(), stored.height(), ExtendedColorType::Rgb8).unwrap();
        let model = place.open().unwrap();
        let expected = match is_turned {
            true => Image::pixels(upright, picture.as_raw().as_slice()).unwrap(),
            false => Image::pixels([20, 12, 3], stored.as_raw().as_slice()).unwrap(),
        };
        let [found, expected] = [Image::file(path), expected].map(|image| model.predict(image).unwrap());
        assert_eq!(found.size(), expected.size(), "{format:?} {orientation:?}");
        assert!(found.class_map() == expected.class_map(), "{format:?} {orientation:?}");
    }
}

#[test]
fn an_image_that_cannot_be_read_is_an_error_that_names_it() {
    for resize in ["stretch", "shorter_side"] {
        let place = Place::new(&data(json!({"resize": {"kind": resize}})), &[Format::Safetensors], Kind::Float);
        let model = place.open().unwrap();
        let half = place.path("half.png");
        image::RgbImage::new(64, 64).save(&half).unwrap();
        let bytes = std::fs::read(&half).unwrap();
        std::fs::write(&half, &bytes[..bytes.len() - 40]).unwrap();
        let sound = Image::pixels([8, 8, 1], [0; 64]).unwrap();
        for (path, says) in [(half, "cut off"), (place.path("gone.png"), "No such file"), (place.path(""), "a folder")]
        {
            let error = model.predict(&path).unwrap_err();
            assert!(matches!(error, saved::Error::Image(_)), "{error:?}");
            let error = model.predict_batch(&[sound.clone(), path.clone().into()]).unwrap_err();
            assert!(matches!(error, saved::Error::Image(_)), "{error:?}");
            let error = error.to_string();
            assert!(error.contains(says) && error.contains(&path.display().to_string()), "{error}");
        }
    }
}
