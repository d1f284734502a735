//! Tiles of an image: their size, their places and their number in a pass.

use contract::Invalid;
use tch::Device;

/// Grid of the tiles' positions, in pixels. On it, networks that halve an image up to five times group the same pixels
/// as on the whole image.
const GRID: i64 = 32;

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
    /// (height, width), which training has memory for. It is 1 on a CPU, which gains nothing by more: so there a tile's
    /// result depends on no other tile. (f32 convolutions that were tried on a CPU gave the same bits in a batch of 16
    /// as alone, but oneDNN does not promise it.)
    pub fn at_once(&self, device: Device, samples: u64, size: [u32; 2]) -> usize {
        let pixels = samples.saturating_mul(u64::from(size[0]) * u64::from(size[1]));
        let of_tile = self.tile.unsigned_abs().saturating_pow(2).max(1);
        if device == Device::Cpu { 1 } else { usize::try_from(pixels / of_tile).unwrap_or(usize::MAX).max(1) }
    }

    /// Returns the tiles of an image of `size` (height, width), from the top, each row from the left.
    pub fn tiles(&self, size: [i64; 2]) -> impl Iterator<Item = Tile> + use<> {
        self.tiles_from(size, 0)
    }

    /// Returns those [`tiles`](Self::tiles) that begin at the row `from` or below it.
    pub fn tiles_from(&self, size: [i64; 2], from: i64) -> impl Iterator<Item = Tile> + use<> {
        let ([height, width], side) = (size, self.tile);
        let (tops, lefts) = (self.places(height), self.places(width));
        let last = lefts.len() - 1;
        let of_row = move |(number, top): (usize, i64)| {
            let (rows, next) = (side.min(height - top), tops.get(number + 1).copied().unwrap_or(height));
            let done = move |column: usize| if column == last { (next - top).min(rows) } else { 0 };
            let tile = move |(column, left): (usize, i64)| Tile {
                top,
                left,
                size: [rows, side.min(width - left)],
                done: done(column),
                width,
                is_first: [top, left] == [from, 0],
            };
            lefts.clone().into_iter().enumerate().map(tile)
        };
        self.places(height).into_iter().enumerate().skip_while(move |(_, top)| *top < from).flat_map(of_row)
    }

    /// Returns the row from which [tiles](Self::tiles_from) give the rows of an image from `done` on exactly as all
    /// tiles do: the top of the first tiles that reach them. None unless tiles begin at the row `done`, or the image
    /// ends there.
    pub fn restart(&self, height: i64, done: i64) -> Option<i64> {
        let tops = self.places(height);
        if done == height {
            return Some(done);
        }
        let first = tops.iter().copied().find(|top| top + self.tile > done);
        first.filter(|_| tops.contains(&done))
    }

    /// Returns the positions of the tiles along a side of `size` pixels.
    pub(crate) fn places(&self, size: i64) -> Vec<i64> {
        let step = ((self.tile as f64 * (1.0 - self.overlap)) as i64 / GRID * GRID).max(GRID);
        let last = ((size - self.tile).max(0) + GRID - 1) / GRID * GRID;
        let mut places: Vec<i64> = (0..).map(|number| number * step).take_while(|place| *place < last).collect();
        places.push(last);
        places
    }
}

/// A tile of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    pub(crate) top: i64,
    pub(crate) left: i64,
    pub(crate) size: [i64; 2],
    /// Number of rows of the image that are done with this tile, the last one of its row; 0 for the others.
    pub(crate) done: i64,
    /// Width of the image.
    pub(crate) width: i64,
    /// True if its image begins with it.
    pub(crate) is_first: bool,
}

impl Tile {
    /// Returns its first row and column in the image.
    pub fn place(&self) -> [i64; 2] {
        [self.top, self.left]
    }

    /// Returns its height and width, which are smaller than the others' where the image ends.
    pub fn size(&self) -> [i64; 2] {
        self.size
    }

    /// Returns whether an image begins with it.
    pub(crate) fn is_first(&self) -> bool {
        self.is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_restart_repeats_the_tiles_that_reach_the_missing_rows() {
        // The tops are 0, 96, 192, 288.
        let tiling = Tiling { tile: 128, overlap: 0.25 };
        assert_eq!(tiling.places(400), [0, 96, 192, 288]);
        let restarts = [0, 96, 192, 288, 400, 1, 95, 399].map(|done| tiling.restart(400, done));
        assert_eq!(restarts, [Some(0), Some(0), Some(96), Some(192), Some(400), None, None, None]);
        // Every second row of tiles reaches a row; with much overlap, five do.
        assert_eq!(Tiling { tile: 160, overlap: 0.9 }.restart(640, 320), Some(192));
        assert_eq!(Tiling { tile: 128, overlap: 0.0 }.restart(400, 128), Some(128));
        let tiles: Vec<Tile> = tiling.tiles_from([400, 200], 192).collect();
        let expected: Vec<Tile> = tiling.tiles([400, 200]).filter(|tile| tile.top >= 192).collect();
        assert_eq!(
            tiles.iter().map(Tile::place).collect::<Vec<_>>(),
            expected.iter().map(Tile::place).collect::<Vec<_>>()
        );
        assert_eq!(tiles.iter().filter(|tile| tile.is_first()).count(), 1);
        assert!(tiles[0].is_first() && tiling.tiles_from([400, 200], 400).next().is_none());
    }

    #[test]
    fn a_pass_has_the_pixels_of_a_batch() {
        let tiling = Tiling { tile: 64, overlap: 0.25 };
        let gpu = Device::Cuda(0);
        assert_eq!(tiling.at_once(gpu, 16, [128, 128]), 64);
        assert_eq!(tiling.at_once(gpu, 1, [32, 32]), 1);
        assert_eq!(tiling.at_once(Device::Cpu, 16, [128, 128]), 1);
    }
}
