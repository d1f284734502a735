//! Passes of a model over tiles, whichever images they are of.

use crate::band::{Band, weights};
use crate::tiling::{Tile, Tiling};
use contract::{BoxError, Invalid, TorchError, caught};
use std::collections::{BTreeMap, VecDeque};
use tch::nn::ModuleT;
use tch::{Kind, TchError, Tensor};
use torch_ext::Ahead;

/// Passes that the host may be ahead of the device: one that runs, and the next.
const AHEAD: usize = 2;

/// Number of passes that tiles wait for others of their size to fill one: where an image ends its tiles are smaller,
/// and those of one image are few.
const WINDOW: usize = 8;

/// Maximum number of bytes of probabilities that wait for earlier tiles, unless one pass has more.
const WAITING: usize = 256 << 20;

/// Prediction of images tile by tile, where tiles of several images share a pass of the model.
///
/// The tiles of each image are [added](Self::add) in the order of [`Tiling::tiles`], and finished rows come out of
/// [`take`](Self::take) in the same order. Marks of the caller's, put between the tiles, come out between the rows. So
/// what follows sees one image after the other.
///
/// Memory holds one row of tiles and what waits: the inputs and the probabilities of up to 8 passes, the latter up to
/// 256 MB (or one pass). Nothing waits for the device but for the pass before the last.
pub struct Tiled<'m, I, M> {
    model: &'m dyn ModuleT,
    gather: Box<dyn FnMut(Vec<I>) -> Result<Tensor, BoxError> + 'm>,
    tiling: Tiling,
    at_once: usize,
    /// Everything that has not come out, in order, and the number of the first.
    waiting: VecDeque<Waiting<M>>,
    first: u64,
    /// Number of tiles among them.
    tiles: usize,
    /// Tiles without probabilities, by their size: their numbers and inputs.
    collected: BTreeMap<[i64; 2], Vec<(u64, I)>>,
    /// Rows of the image whose tiles come out.
    band: Option<Band>,
    of_tile: Option<Tensor>,
    ahead: Option<Ahead>,
    classes: usize,
}

enum Waiting<M> {
    Mark(M),
    /// A tile, and its probabilities `[K, h, w]` once they are enqueued.
    Tile(Tile, Option<Tensor>),
}

/// Output of [`Tiled`].
#[derive(Debug)]
pub enum Finished<M> {
    /// A mark, behind all that was put in before it.
    Mark(M),
    /// Rows of an image: the first one's number, and the probabilities `[K, rows, width]` f32 of the classes, on the
    /// model's device.
    Rows(i64, Tensor),
}

impl<'m, I, M> Tiled<'m, I, M> {
    /// Prepares passes of up to `at_once` tiles. `gather` makes the model's inputs, `[N, C, h, w]` on its device, of
    /// those of N tiles of one size, in their order.
    ///
    /// # Errors
    ///
    /// Names the invalid value in `tiling`.
    pub fn new(
        model: &'m dyn ModuleT,
        tiling: &Tiling,
        at_once: usize,
        gather: impl FnMut(Vec<I>) -> Result<Tensor, BoxError> + 'm,
    ) -> Result<Self, Invalid> {
        tiling.check()?;
        Ok(Self {
            model,
            gather: Box::new(gather),
            tiling: *tiling,
            at_once: at_once.max(1),
            waiting: VecDeque::new(),
            first: 0,
            tiles: 0,
            collected: BTreeMap::new(),
            band: None,
            of_tile: None,
            ahead: None,
            classes: 1,
        })
    }

    /// Puts a mark behind all that was put in so far.
    pub fn mark(&mut self, mark: M) {
        self.waiting.push_back(Waiting::Mark(mark));
    }

    /// Puts in the next tile. Runs a pass if it fills one, or if too much waits for the oldest tile.
    ///
    /// # Errors
    ///
    /// Those of `gather`, and panics of the model.
    pub fn add(&mut self, tile: Tile, input: I) -> Result<(), BoxError> {
        let number = self.first + self.waiting.len() as u64;
        self.waiting.push_back(Waiting::Tile(tile, None));
        self.tiles += 1;
        let collected = self.collected.entry(tile.size).or_default();
        collected.push((number, input));
        if collected.len() >= self.at_once {
            self.pass(tile.size)?;
        }
        // Where the caller takes what is finished, the first one waits for its pass.
        if self.tiles > self.most() { self.pass_of_first() } else { Ok(()) }
    }

    /// Returns what is finished next; `None` if it waits for tiles to come.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn take(&mut self) -> Result<Option<Finished<M>>, BoxError> {
        let _no_grad = tch::no_grad_guard();
        while !matches!(self.waiting.front(), None | Some(Waiting::Tile(_, None))) {
            self.first += 1;
            match self.waiting.pop_front() {
                Some(Waiting::Mark(mark)) => return Ok(Some(Finished::Mark(mark))),
                Some(Waiting::Tile(tile, Some(probabilities))) => {
                    self.tiles -= 1;
                    let rows = self.blend(&tile, &probabilities).map_err(torch)?;
                    if let Some(rows) = rows {
                        return Ok(Some(Finished::Rows(tile.top, rows)));
                    }
                }
                _ => break,
            }
        }
        Ok(None)
    }

    /// Runs the passes of all tiles that were put in, so that nothing of them waits for others to come.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn finish(&mut self) -> Result<(), BoxError> {
        while let Some(size) = self.collected.keys().next().copied() {
            self.pass(size)?;
        }
        Ok(())
    }

    /// Returns the number of tiles that may wait.
    fn most(&self) -> usize {
        let of_tile = self.classes.saturating_mul((self.tiling.tile * self.tiling.tile) as usize * size_of::<f32>());
        self.at_once.saturating_mul(WINDOW).min(WAITING / of_tile.max(1)).max(self.at_once)
    }

    /// Runs the pass of the first tile that has no probabilities.
    fn pass_of_first(&mut self) -> Result<(), BoxError> {
        let first = self.waiting.iter().find_map(|waiting| match waiting {
            Waiting::Tile(tile, None) => Some(tile.size),
            _ => None,
        });
        first.map_or(Ok(()), |size| self.pass(size))
    }

    /// Enqueues the pass of the tiles of this size.
    fn pass(&mut self, size: [i64; 2]) -> Result<(), BoxError> {
        let _no_grad = tch::no_grad_guard();
        let (numbers, inputs): (Vec<u64>, Vec<I>) =
            self.collected.remove(&size).unwrap_or_default().into_iter().unzip();
        let inputs = (self.gather)(inputs)?;
        let logits = caught(|| self.model.forward_t(&inputs, false)).map_err(BoxError::from)?;
        let each = logits.f_softmax(1, Kind::Float).and_then(|all| all.f_unbind(0)).map_err(torch)?;
        if each.len() != numbers.len() {
            return Err(format!("the model made {} outputs of {} tiles", each.len(), numbers.len()).into());
        }
        self.ahead.get_or_insert_with(|| Ahead::new(logits.device(), AHEAD)).enqueued()?;
        self.classes = logits.size()[1].unsigned_abs() as usize;
        for (number, probabilities) in numbers.into_iter().zip(each) {
            if let Some(Waiting::Tile(_, found)) = self.waiting.get_mut((number - self.first) as usize) {
                *found = Some(probabilities);
            }
        }
        Ok(())
    }

    /// Adds a tile to the rows of its image. Returns those that are done with it.
    fn blend(&mut self, tile: &Tile, probabilities: &Tensor) -> Result<Option<Tensor>, TchError> {
        if self.of_tile.is_none() {
            self.of_tile = Some(weights(self.tiling.tile, probabilities.device())?);
        }
        let (Some(of_tile), classes) = (&self.of_tile, probabilities.size()[0]) else { return Ok(None) };
        let band = match &mut self.band {
            Some(band) if !tile.is_first() => band,
            other => other.insert(Band::new(classes, tile.width, of_tile)?),
        };
        band.add(probabilities, tile)?;
        if tile.done > 0 { band.take(tile.done).map(Some) } else { Ok(None) }
    }
}

fn torch(error: TchError) -> BoxError {
    TorchError::from(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict_tiles;
    use std::sync::Mutex;
    use tch::{Device, nn};
    use testing::noise;

    const TILING: Tiling = Tiling { tile: 32, overlap: 0.0 };

    /// A convolution that notes the number of tiles of each pass.
    #[derive(Debug)]
    struct Noted(nn::Conv2D, Mutex<Vec<i64>>);

    impl ModuleT for Noted {
        fn forward_t(&self, x_nchw: &Tensor, _: bool) -> Tensor {
            self.1.lock().unwrap().push(x_nchw.size()[0]);
            x_nchw.apply(&self.0)
        }
    }

    fn network() -> Noted {
        let store = nn::VarStore::new(Device::Cpu);
        let config = nn::ConvConfig { padding: 1, ..Default::default() };
        let conv = nn::conv2d(store.root(), 3, 4, 3, config);
        tch::no_grad(|| conv.ws.shallow_clone().copy_(&noise(&conv.ws.size(), 1)));
        Noted(conv, Mutex::default())
    }

    fn image(number: usize, [height, width]: [i64; 2]) -> Tensor {
        noise(&[1, 3, height, width], number as u64)
    }

    fn cut(image: &Tensor, tile: &Tile) -> Tensor {
        let ([top, left], [height, width]) = (tile.place(), tile.size());
        image.narrow(2, top, height).narrow(3, left, width)
    }

    /// Returns the probabilities of an image that is predicted alone.
    fn alone(image: &Tensor) -> Tensor {
        let (mut rows, size) = (Vec::new(), [image.size()[2], image.size()[3]]);
        let read =
            |place: [i64; 2], size: [i64; 2]| Ok(image.narrow(2, place[0], size[0]).narrow(3, place[1], size[1]));
        let write = |_, part: &Tensor| {
            rows.push(part.copy());
            Ok(())
        };
        predict_tiles(&network(), size, &TILING, 1, read, write).unwrap();
        Tensor::cat(&rows, 1)
    }

    /// Predicts images of these sizes together, of which the third breaks off after two tiles. Returns what came out as
    /// text, the probabilities of each image, and the number of tiles of each pass.
    fn together(sizes: &[[i64; 2]], at_once: usize) -> (Vec<String>, BTreeMap<usize, Tensor>, Vec<i64>) {
        let model = network();
        let gather = |tiles: Vec<Tensor>| Ok(Tensor::cat(&tiles, 0));
        let mut tiled = Tiled::new(&model, &TILING, at_once, gather).unwrap();
        let (mut said, mut rows) = (Vec::new(), BTreeMap::<usize, Vec<Tensor>>::new());
        let mut current = 0;
        let mut take = |tiled: &mut Tiled<Tensor, (usize, &str)>| {
            while let Some(finished) = tiled.take().unwrap() {
                match finished {
                    Finished::Mark((number, what)) => {
                        said.push(format!("{what} {number}"));
                        current = number;
                    }
                    Finished::Rows(top, part) => {
                        let of_image = rows.entry(current).or_default();
                        assert_eq!(top, of_image.iter().map(|part| part.size()[1]).sum::<i64>());
                        of_image.push(part.copy());
                    }
                }
            }
        };
        let reads = torch_ext::Reads::watch().unwrap();
        for (number, size) in sizes.iter().enumerate() {
            tiled.mark((number, "begin"));
            let pixels = image(number, *size);
            let tiles = if number == 2 { 2 } else { usize::MAX };
            for tile in TILING.tiles(*size).take(tiles) {
                tiled.add(tile, cut(&pixels, &tile)).unwrap();
                take(&mut tiled);
                assert!(tiled.tiles <= tiled.most(), "{} wait", tiled.tiles);
            }
            tiled.mark((number, if number == 2 { "torn" } else { "end" }));
        }
        tiled.finish().unwrap();
        take(&mut tiled);
        assert_eq!((reads.count(), tiled.tiles, tiled.waiting.len(), tiled.collected.len()), (0, 0, 0, 0));
        drop(tiled);
        let whole = rows.into_iter().map(|(number, parts)| (number, Tensor::cat(&parts, 1)));
        (said, whole.collect(), model.1.into_inner().unwrap())
    }

    #[test]
    fn tiles_of_several_images_share_passes_and_give_the_same_image_by_image() {
        let sizes: Vec<[i64; 2]> = [[70, 100], [32, 32], [90, 90], [20, 130], [1, 1]].repeat(12);
        let order: Vec<String> = (0..sizes.len())
            .flat_map(|number| {
                [format!("begin {number}"), format!("{} {number}", if number == 2 { "torn" } else { "end" })]
            })
            .collect();
        let expected: Vec<Tensor> =
            sizes.iter().enumerate().map(|(number, size)| alone(&image(number, *size))).collect();
        let mut passes = Vec::new();
        for at_once in [1, 5, 16, 100_000] {
            let (said, found, of_passes) = together(&sizes, at_once);
            assert_eq!(said, order, "{at_once}");
            for (number, expected) in expected.iter().enumerate().filter(|(number, _)| *number != 2) {
                let found = &found[&number];
                assert_eq!(expected.size(), found.size());
                let off = (expected - found).abs().max().double_value(&[]);
                assert!(off < 1e-6 && (at_once > 1 || off == 0.0), "image {number}, {at_once} tiles a pass: {off}");
            }
            assert!(of_passes.iter().all(|tiles| *tiles <= at_once as i64));
            passes.push(of_passes.len());
        }
        assert!(passes.is_sorted_by(|more, fewer| more > fewer), "{passes:?}");
    }

    #[test]
    fn small_images_fill_passes_that_their_own_tiles_would_not() {
        // Twelve tiles: six whole ones, three and two that are narrower or lower, and one of the corner.
        let sizes = vec![[90, 120]; 40];
        let (_, _, passes) = together(&sizes, 16);
        let tiles: i64 = passes.iter().sum();
        assert_eq!(tiles, 12 * 39 + 2);
        assert!(tiles as f64 / passes.len() as f64 > 14.0, "{passes:?}");
        let one = together(&sizes[..1], 16).2;
        assert_eq!(one.len(), 4);
    }

    #[test]
    fn a_restarted_image_has_the_same_rows_to_the_bit() {
        let model = network();
        for tiling in [Tiling { tile: 64, overlap: 0.25 }, Tiling { tile: 64, overlap: 0.9 }, TILING] {
            let (pixels, size) = (image(7, [230, 150]), [230, 150]);
            let rows_from = |from: i64, done: i64| {
                let gather = |tiles: Vec<Tensor>| Ok(Tensor::cat(&tiles, 0));
                let mut tiled = Tiled::<Tensor, ()>::new(&model, &tiling, 1, gather).unwrap();
                let mut rows = Vec::new();
                // The rows of an image before it are gone.
                let before = tiling.tiles([64, 150]).take(2);
                for tile in before.chain(tiling.tiles_from(size, from)) {
                    tiled.add(tile, cut(&pixels, &tile)).unwrap();
                    while let Some(Finished::Rows(top, part)) = tiled.take().unwrap() {
                        rows.extend((top >= done).then(|| part.copy()));
                    }
                }
                Tensor::cat(&rows, 1)
            };
            let whole = rows_from(0, 0);
            assert_eq!(whole.size()[1], 230);
            let mut tops: Vec<i64> = tiling.tiles(size).map(|tile| tile.place()[0]).collect();
            tops.dedup();
            for done in tops {
                let again = rows_from(tiling.restart(230, done).unwrap(), done);
                assert!(again.equal(&whole.narrow(1, done, 230 - done)), "from row {done}, {tiling:?}");
            }
        }
    }

    #[test]
    fn an_output_that_is_none_of_the_tiles_is_an_error() {
        let model = nn::func_t(|x: &Tensor, _| x.narrow(0, 0, 1));
        let mut tiled = Tiled::<Tensor, ()>::new(&model, &TILING, 2, |tiles| Ok(Tensor::cat(&tiles, 0))).unwrap();
        let mut tiles = TILING.tiles([64, 32]);
        let mut add = || tiled.add(tiles.next().unwrap(), noise(&[1, 3, 32, 32], 1));
        add().unwrap();
        assert_eq!(add().unwrap_err().to_string(), "the model made 1 outputs of 2 tiles");
    }
}
