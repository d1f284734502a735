//! Prediction of a large image tile by tile, blended where tiles overlap.

use crate::tiled::{Finished, Tiled};
use crate::tiling::Tiling;
use contract::{BoxError, TorchError};
use tch::{Kind, Tensor, nn::ModuleT};

/// Predicts an image of `size` (height, width) tile by tile, from the top; a pass of the model takes up to `at_once`
/// tiles. `read` returns the inputs `[1, C, h, w]` of the tile that begins at `[top, left]` and has the size `[h, w]`,
/// on the model's device. `write` receives finished rows: the index of the first one, and the probabilities
/// `[K, rows, width]` f32 of the classes, on that device. [`Tiled`] does it for several images.
///
/// # Errors
///
/// Those of `read` and `write`, invalid values in `tiling`, and panics of the model.
pub fn predict_tiles(
    model: &dyn ModuleT,
    size: [i64; 2],
    tiling: &Tiling,
    at_once: usize,
    mut read: impl FnMut([i64; 2], [i64; 2]) -> Result<Tensor, BoxError>,
    mut write: impl FnMut(i64, &Tensor) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let gather = |tiles: Vec<Tensor>| match &tiles[..] {
        [only] => Ok(only.shallow_clone()),
        _ => Tensor::f_cat(&tiles, 0).map_err(|error| TorchError::from(error).into()),
    };
    let mut tiled = Tiled::<Tensor, ()>::new(model, tiling, at_once, gather)?;
    let mut write_finished = |tiled: &mut Tiled<Tensor, ()>| {
        while let Some(finished) = tiled.take()? {
            if let Finished::Rows(top, rows) = finished {
                write(top, &rows)?;
            }
        }
        Ok::<_, BoxError>(())
    };
    for tile in tiling.tiles(size) {
        tiled.add(tile, read(tile.place(), tile.size())?)?;
        write_finished(&mut tiled)?;
    }
    tiled.finish()?;
    write_finished(&mut tiled)
}

/// A model averaged over mirror images: the mean of its probabilities for them, mirrored back. Returns logarithms of
/// probabilities, which are valid logits.
#[derive(Debug)]
pub struct Mirrored {
    /// The model.
    pub model: Box<dyn ModuleT>,
    /// Mirrors vertically as well as horizontally.
    pub vertical: bool,
}

impl ModuleT for Mirrored {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let axes: &[&[i64]] = if self.vertical { &[&[], &[3], &[2], &[2, 3]] } else { &[&[], &[3]] };
        let seen = axes
            .iter()
            .map(|axes| self.model.forward_t(&x_nchw.flip(*axes), train).softmax(1, Kind::Float).flip(*axes));
        (seen.sum::<Tensor>() / axes.len() as f64).log()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tch::{Device, nn};
    use testing::noise;

    /// Returns two 3×3 convolutions with a ReLU between them, without bias: a pixel's class depends on pixels up to 2
    /// away.
    fn network() -> (nn::VarStore, nn::SequentialT) {
        let store = nn::VarStore::new(Device::Cpu);
        let config = nn::ConvConfig { padding: 1, bias: false, ..Default::default() };
        let conv = |name: &str, inputs, outputs| nn::conv2d(store.root() / name, inputs, outputs, 3, config);
        let network = nn::seq_t().add(conv("a", 3, 6)).add_fn(Tensor::relu).add(conv("b", 6, 4));
        let _no_grad = tch::no_grad_guard();
        for (seed, (_, mut variable)) in (0..).zip(store.variables().into_iter().collect::<BTreeMap<_, _>>()) {
            variable.copy_(&noise(&variable.size(), seed));
        }
        (store, network)
    }

    /// Returns the probabilities predicted tile by tile, and the number of rows of each call of `write`.
    fn tiled(model: &dyn ModuleT, image: &Tensor, tiling: &Tiling, at_once: usize) -> (Tensor, Vec<i64>) {
        let (mut parts, mut rows) = (Vec::new(), Vec::new());
        let read =
            |[top, left]: [i64; 2], [height, width]: [i64; 2]| Ok(image.narrow(2, top, height).narrow(3, left, width));
        let size = [image.size()[2], image.size()[3]];
        predict_tiles(model, size, tiling, at_once, read, |top, part| {
            assert_eq!(top, rows.iter().sum::<i64>());
            rows.push(part.size()[1]);
            parts.push(part.copy());
            Ok(())
        })
        .unwrap();
        (Tensor::cat(&parts, 1), rows)
    }

    #[test]
    fn tiles_give_what_the_whole_image_gives_away_from_their_borders() {
        let (_store, model) = network();
        let image = noise(&[1, 3, 150, 203], 9);
        let whole = model.forward_t(&image, false).softmax(1, Kind::Float).squeeze_dim(0);
        let tiling = Tiling { tile: 64, overlap: 0.25 };
        let (found, rows) = tiled(&model, &image, &tiling, 1);
        assert_eq!((found.size(), rows.iter().sum::<i64>()), (whole.size(), 150));
        // A pixel more than 2 away from every tile border within the image sees the same in each of its tiles as in the
        // image.
        let near = |places: Vec<i64>, at: i64, size: i64| {
            let borders =
                places.iter().flat_map(|place| [*place, *place + 64]).filter(|border| (1..size).contains(border));
            borders.into_iter().any(|border| (at - border).abs() <= 2)
        };
        let away = |size: i64| -> Vec<i64> { (0..size).filter(|at| !near(tiling.places(size), *at, size)).collect() };
        let [rows, columns] = [away(150), away(203)].map(|places| Tensor::from_slice(&places));
        assert!(rows.numel() > 100 && columns.numel() > 150);
        let inner = |all: &Tensor| all.index_select(1, &rows).index_select(2, &columns);
        let worst = (inner(&found) - inner(&whole)).abs().max().double_value(&[]);
        assert!(worst < 1e-4, "{worst}");
        let all = (&found - &whole).abs().max().double_value(&[]);
        assert!(all > 1e-3, "borders make a difference: {all}");
        assert!((found.sum_dim_intlist(0i64, false, None::<Kind>) - 1.0).abs().max().double_value(&[]) < 1e-5);
    }

    /// A model that counts its passes.
    #[derive(Debug)]
    struct Counted(nn::SequentialT, AtomicUsize);

    impl ModuleT for Counted {
        fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.forward_t(x_nchw, train)
        }
    }

    #[test]
    fn tiles_of_several_rows_share_a_pass_and_give_the_same() {
        let (_store, model) = network();
        let image = noise(&[1, 3, 150, 203], 9);
        let tiling = Tiling { tile: 64, overlap: 0.25 };
        let (alone, rows) = tiled(&model, &image, &tiling, 1);
        let count = rows.len() * tiling.places(203).len();
        // The right and the lower tiles are smaller: four sizes.
        for (at_once, most) in [(0, count), (1, count), (7, count / 2), (1000, 4)] {
            let (_store, model) = network();
            let model = Counted(model, AtomicUsize::new(0));
            let (found, same) = tiled(&model, &image, &tiling, at_once);
            let passes = model.1.load(Ordering::Relaxed);
            assert!(passes <= most, "{passes} passes");
            assert_eq!(same, rows);
            assert!((&found - &alone).abs().max().double_value(&[]) < 1e-5, "{at_once}");
            assert!(found.argmax(0, false).equal(&alone.argmax(0, false)), "{at_once}");
        }
    }

    #[test]
    fn an_image_of_one_tile_or_less_is_predicted_whole() {
        let (_store, model) = network();
        for size in [[64, 64], [40, 7], [1, 1]] {
            let image = noise(&[1, 3, size[0], size[1]], 3);
            let whole = model.forward_t(&image, false).softmax(1, Kind::Float).squeeze_dim(0);
            let (found, _) = tiled(&model, &image, &Tiling { tile: 64, overlap: 0.25 }, 4);
            assert!((found - whole).abs().max().double_value(&[]) < 1e-6);
        }
    }

    #[test]
    fn what_reading_writing_and_the_model_complain_about_is_an_error() {
        let (_store, model) = network();
        let tiling = Tiling { tile: 32, overlap: 0.0 };
        let image = |_, [height, width]: [i64; 2]| Ok(Tensor::zeros([1, 3, height, width], (Kind::Float, Device::Cpu)));
        let says = |result: Result<(), BoxError>| result.unwrap_err().to_string();
        assert_eq!(
            says(predict_tiles(&model, [40, 40], &tiling, 1, |_, _| Err("no tile".into()), |_, _| Ok(()))),
            "no tile"
        );
        assert_eq!(says(predict_tiles(&model, [40, 40], &tiling, 1, image, |_, _| Err("no room".into()))), "no room");
        let grey = |_, [height, width]: [i64; 2]| Ok(Tensor::zeros([1, 1, height, width], (Kind::Float, Device::Cpu)));
        let said = says(predict_tiles(&model, [40, 40], &tiling, 1, grey, |_, _| Ok(())));
        assert!(said.contains("channels"), "{said}");
    }

    #[test]
    fn mirror_images_are_mirrored_back_and_averaged() {
        let image = noise(&[1, 3, 12, 9], 4);
        for (vertical, axes) in [(false, vec![vec![], vec![3]]), (true, vec![vec![], vec![3], vec![2], vec![2, 3]])] {
            let (_store, model) = network();
            let expected =
                |axes: &Vec<i64>| model.forward_t(&image.flip(axes), false).softmax(1, Kind::Float).flip(axes);
            let expected = axes.iter().map(expected).sum::<Tensor>() / axes.len() as f64;
            let mirrored = Mirrored { model: Box::new(model), vertical };
            let found = mirrored.forward_t(&image, false).softmax(1, Kind::Float);
            assert!((&found - expected).abs().max().double_value(&[]) < 1e-6);
            // Hence the prediction for a mirror image is the mirror image of the prediction.
            let other = mirrored.forward_t(&image.flip([3]), false).softmax(1, Kind::Float).flip([3]);
            assert!((found - other).abs().max().double_value(&[]) < 1e-6);
        }
    }
}
