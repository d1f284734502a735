//! Prediction of large images tile by tile, blended where tiles overlap.

use contract::{BoxError, Invalid, TorchError, caught};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor, nn::ModuleT};

/// Grid of the tiles' positions, in pixels. On it, networks that halve an image up to five times group the same pixels
/// as on the whole image.
const GRID: i64 = 32;

/// Standard deviation of the Gaussian weight of a tile's pixels, as a fraction of the tile's side: nnU-Net's (Isensee
/// et al., 2021).
const SIGMA: f64 = 0.125;

/// Minimum weight, as a fraction of the maximum: the Gaussian nearly vanishes in a tile's corner, but some tile must
/// decide the pixels there.
const LEAST: f64 = 1e-4;

/// Size and overlap of tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tiling {
    /// Height and width of a tile, in pixels.
    pub tile: i64,
    /// Minimum fraction of a tile that the next one covers too.
    pub overlap: f64,
}

impl Tiling {
    /// Overlap that is chosen where nobody asks for another.
    pub const OVERLAP: f64 = 0.25;

    /// Returns square tiles that hold an image of `size` (height, width).
    pub fn holding(size: [u32; 2]) -> Self {
        let side = i64::from(size[0].max(size[1]));
        Self { tile: ((side + GRID - 1) / GRID * GRID).max(GRID), overlap: Self::OVERLAP }
    }

    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { tile, overlap } = self;
        Invalid::unless(*tile >= GRID && tile % GRID == 0, "tile", || {
            format!("must be a multiple of {GRID} pixels, is {tile}")
        })?;
        Invalid::unless((0.0..=0.9).contains(overlap), "overlap", || format!("must be from 0 to 0.9, is {overlap}"))
    }

    /// Returns the number of tiles for a pass on `device`: as many as have the pixels of a batch of `samples` of `size`
    /// (height, width), which training has memory for; one on a CPU, which gains nothing by more.
    pub fn at_once(&self, device: Device, samples: u64, size: [u32; 2]) -> usize {
        let pixels = samples.saturating_mul(u64::from(size[0]) * u64::from(size[1]));
        let of_tile = self.tile.unsigned_abs().saturating_pow(2).max(1);
        if device == Device::Cpu { 1 } else { usize::try_from(pixels / of_tile).unwrap_or(usize::MAX).max(1) }
    }

    /// Returns the positions of the tiles along a side of `size` pixels.
    fn places(&self, size: i64) -> Vec<i64> {
        let step = ((self.tile as f64 * (1.0 - self.overlap)) as i64 / GRID * GRID).max(GRID);
        let last = ((size - self.tile).max(0) + GRID - 1) / GRID * GRID;
        let mut places: Vec<i64> = (0..).map(|number| number * step).take_while(|place| *place < last).collect();
        places.push(last);
        places
    }
}

/// Predicts an image of `size` (height, width) tile by tile, from the top; a pass of the model takes up to `at_once`
/// tiles. `read` returns the inputs `[1, C, h, w]` of the tile that begins at `[top, left]` and has the size `[h, w]`,
/// on the model's device. `write` receives finished rows: the index of the first one, and the probabilities
/// `[K, rows, width]` f32 of the classes, on that device. Apart from what these two keep, memory holds the
/// probabilities of one row of tiles and of one pass. Nothing here waits for the device.
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
    tiling.check()?;
    let _no_grad = tch::no_grad_guard();
    let [height, width] = size;
    let (tops, lefts) = (tiling.places(height), tiling.places(width));
    let tiles = tops.iter().enumerate().flat_map(|(number, &top)| {
        let (rows, next) = (tiling.tile.min(height - top), tops.get(number + 1).copied().unwrap_or(height));
        let of_row = |&left: &i64| Tile { top, left, size: [rows, tiling.tile.min(width - left)], done: 0 };
        let mut row: Vec<Tile> = lefts.iter().map(of_row).collect();
        row.last_mut().into_iter().for_each(|last| last.done = (next - top).min(rows));
        row
    });
    let tiles: Vec<Tile> = tiles.collect();
    let mut band: Option<Band> = None;
    for tiles in tiles.chunks(at_once.max(1)) {
        let inputs = tiles.iter().map(|tile| read([tile.top, tile.left], tile.size)).collect::<Result<Vec<_>, _>>()?;
        for (tile, probabilities) in tiles.iter().zip(predicted(model, &inputs)?) {
            let band = match &mut band {
                Some(band) => band,
                none => {
                    let (classes, device) = (probabilities.size()[0], probabilities.device());
                    none.insert(Band::new(classes, tiling.tile, width, device).map_err(torch)?)
                }
            };
            band.add(&probabilities, tile).map_err(torch)?;
            if tile.done > 0 {
                write(tile.top, &band.take(tile.done).map_err(torch)?)?;
            }
        }
    }
    Ok(())
}

/// A tile of an image.
struct Tile {
    top: i64,
    left: i64,
    /// Height and width.
    size: [i64; 2],
    /// Number of rows that are done with this tile, the last one of its row; 0 for the others.
    done: i64,
}

/// Returns the probabilities `[K, h, w]` of tiles `[1, C, h, w]`, in their order. Tiles of one size share a pass.
fn predicted(model: &dyn ModuleT, tiles: &[Tensor]) -> Result<Vec<Tensor>, BoxError> {
    let mut sizes: BTreeMap<Vec<i64>, Vec<usize>> = BTreeMap::new();
    for (number, tile) in tiles.iter().enumerate() {
        sizes.entry(tile.size()).or_default().push(number);
    }
    let mut found: BTreeMap<usize, Tensor> = BTreeMap::new();
    for numbers in sizes.into_values() {
        let inputs = match numbers[..] {
            [only] => tiles[only].shallow_clone(),
            _ => Tensor::f_cat(&numbers.iter().map(|number| &tiles[*number]).collect::<Vec<_>>(), 0).map_err(torch)?,
        };
        let logits = caught(|| model.forward_t(&inputs, false)).map_err(BoxError::from)?;
        let each = logits.f_softmax(1, Kind::Float).and_then(|all| all.f_unbind(0)).map_err(torch)?;
        if each.len() != numbers.len() {
            return Err(format!("the model made {} outputs of {} tiles", each.len(), numbers.len()).into());
        }
        found.extend(numbers.into_iter().zip(each));
    }
    Ok(found.into_values().collect())
}

fn torch(error: tch::TchError) -> BoxError {
    TorchError::from(error).into()
}

/// Rows to which tiles are being added.
struct Band {
    /// `[K, tile, width]`: weighted probabilities.
    sum: Tensor,
    /// `[1, tile, width]`: weights.
    weight: Tensor,
    /// `[tile, tile]`: weights of a tile's pixels.
    of_tile: Tensor,
}

impl Band {
    fn new(classes: i64, tile: i64, width: i64, device: Device) -> Result<Self, tch::TchError> {
        let options = (Kind::Float, device);
        let places = Tensor::f_arange(tile, options)?.f_sub_scalar((tile - 1) as f64 / 2.0)?;
        let bell = places.f_div_scalar(tile as f64 * SIGMA)?.f_square()?.f_mul_scalar(-0.5)?.f_exp()?;
        Ok(Self {
            sum: Tensor::f_zeros([classes, tile, width], options)?,
            weight: Tensor::f_zeros([1, tile, width], options)?,
            of_tile: bell.f_unsqueeze(1)?.f_mul(&bell.f_unsqueeze(0)?)?.f_clamp_min(LEAST)?,
        })
    }

    /// Adds the probabilities of a tile.
    fn add(&self, probabilities: &Tensor, tile: &Tile) -> Result<(), tch::TchError> {
        let [rows, columns] = tile.size;
        let weight = self.of_tile.f_narrow(0, 0, rows)?.f_narrow(1, 0, columns)?;
        let place = |all: &Tensor| all.f_narrow(1, 0, rows)?.f_narrow(2, tile.left, columns);
        let _ = place(&self.sum)?.f_add_(&probabilities.f_mul(&weight)?)?;
        let _ = place(&self.weight)?.f_add_(&weight)?;
        Ok(())
    }

    /// Returns the probabilities of the first `rows` rows, to which no tile will be added any more. Moves the rest to
    /// the top.
    fn take(&mut self, rows: i64) -> Result<Tensor, tch::TchError> {
        let done = self.sum.f_narrow(1, 0, rows)?.f_div(&self.weight.f_narrow(1, 0, rows)?)?;
        for all in [&mut self.sum, &mut self.weight] {
            let size = all.size();
            let rest = all.f_narrow(1, rows, size[1] - rows)?;
            let nothing = Tensor::f_zeros([size[0], rows, size[2]], (Kind::Float, all.device()))?;
            *all = Tensor::f_cat(&[rest, nothing], 1)?;
        }
        Ok(done)
    }
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tch::nn;
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
    fn tiles_cover_every_side_with_the_overlap_that_was_asked_for() {
        for (tile, overlap, size, expected) in [
            (64, 0.0, 64, vec![0]),
            (64, 0.0, 10, vec![0]),
            (64, 0.0, 65, vec![0, 32]),
            (64, 0.5, 160, vec![0, 32, 64, 96]),
            (128, 0.25, 300, vec![0, 96, 192]),
            (64, 0.9, 128, vec![0, 32, 64]),
        ] {
            assert_eq!(Tiling { tile, overlap }.places(size), expected, "{tile}, {overlap}, {size}");
        }
        for (tile, overlap, key) in
            [(0, 0.2, "tile"), (100, 0.2, "tile"), (64, 1.0, "overlap"), (64, f64::NAN, "overlap")]
        {
            assert_eq!(Tiling { tile, overlap }.check().unwrap_err().key, key);
        }
    }

    #[test]
    fn tiles_that_hold_an_image_are_the_smallest_of_their_kind() {
        for (size, tile) in [([1, 1], 32), ([32, 20], 32), ([33, 1], 64), ([100, 200], 224), ([0, 0], 32)] {
            let tiling = Tiling::holding(size);
            assert_eq!(tiling.tile, tile, "{size:?}");
            tiling.check().unwrap();
        }
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
    fn a_pass_has_the_pixels_of_a_batch() {
        let tiling = Tiling { tile: 64, overlap: 0.25 };
        let gpu = Device::Cuda(0);
        assert_eq!(tiling.at_once(gpu, 16, [128, 128]), 64);
        assert_eq!(tiling.at_once(gpu, 1, [32, 32]), 1);
        assert_eq!(tiling.at_once(Device::Cpu, 16, [128, 128]), 1);
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
