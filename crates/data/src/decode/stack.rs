//! An image whose bands lie in one file or in several.

use super::kind::may_be_numbers;
use super::part;
use super::problem::Problem;
use crate::error::Error;
use raster::{Axes, Depth, Element, Info, Options, Pixels, Raster, on_pixels};
use std::path::{Path, PathBuf};

/// Files whose bands follow each other, as one image.
pub(super) struct Stack {
    rasters: Vec<Raster>,
    info: Info,
}

impl Stack {
    /// Opens the files that `path` names, for so many bands in all: arrays of NumPy that may have their bands first or
    /// last are taken as they fit, last if both do.
    pub(super) fn open(path: &Path, wanted: u32) -> Result<Self, Error> {
        let pieces = part::pieces(path);
        let open = |piece: &PathBuf| {
            let (file, options) = part::split(piece);
            let opened = Raster::open_with(file, &options).or_else(|error| {
                let of = |axes| Raster::open_with(file, &Options { axes, ..options.clone() });
                let fits = |raster: &Raster| pieces.len() > 1 || raster.info().bands == wanted;
                let found = [Axes::BandsLast, Axes::BandsFirst].into_iter().filter_map(|axes| of(axes).ok()).find(fits);
                found.filter(|_| may_be_numbers(file)).ok_or(error)
            });
            opened.map_err(|source| match source {
                raster::Error::Asked { problem, .. } if file == piece => {
                    let hint = "set data.slices to \"x\", \"y\" or \"z\" for each slice to be a sample";
                    Problem::Refused(format!("cannot be read as one image: {problem}; {hint}")).of(piece)
                }
                source => source.into(),
            })
        };
        let rasters = pieces.iter().map(open).collect::<Result<Vec<Raster>, Error>>()?;
        let Some(first) = rasters.first() else { return Err(Problem::CutOff.of(path)) };
        let mut info = first.info().clone();
        for other in &rasters[1..] {
            let Info { size, bands, depth, no_data, .. } = *other.info();
            if size != info.size {
                let [[height, width], [own_height, own_width]] = [size, info.size];
                let problem = format!(
                    "is {height}x{width} pixels (height x width), and {}, to which it belongs, {own_height}x{own_width}",
                    first.path().display()
                );
                return Err(Problem::Refused(problem).of(other.path()));
            }
            info.bands += bands;
            info.depth = if depth.bytes() > info.depth.bytes() { depth } else { info.depth };
            info.no_data = info.no_data.or(no_data);
            // Several files have no alpha in common, and are turned by none of them.
            (info.alpha, info.orientation) = (None, 1);
        }
        Ok(Self { rasters, info })
    }

    pub(super) fn info(&self) -> &Info {
        &self.info
    }

    /// Reads a window, as [`Raster::window`] does.
    pub(super) fn window(
        &mut self,
        top_left: [u32; 2],
        size: [u32; 2],
        bands: &[u32],
        depth: Depth,
        into: &mut Pixels,
    ) -> Result<(), Error> {
        if let [raster] = &mut self.rasters[..] {
            return Ok(raster.window(top_left, size, bands, depth, into)?);
        }
        *into = Pixels::new(depth);
        into.fill(size[0] as usize * size[1] as usize * bands.len(), 0.0);
        let (mut first, mut part) = (0, Pixels::default());
        for raster in &mut self.rasters {
            let of_file = first..first + raster.info().bands;
            let own: Vec<usize> = (0..bands.len()).filter(|place| of_file.contains(&bands[*place])).collect();
            if !own.is_empty() {
                let wanted: Vec<u32> = own.iter().map(|place| bands[*place] - first).collect();
                raster.window(top_left, size, &wanted, depth, &mut part)?;
                on_pixels!(&part, part => scatter(part, &own, bands.len(), into));
            }
            first = of_file.end;
        }
        Ok(())
    }
}

/// Puts the numbers of each pixel to their `places` among all bands.
fn scatter<T: Element>(part: &[T], places: &[usize], bands: usize, into: &mut Pixels) {
    for (from, to) in part.chunks_exact(places.len()).zip(T::buffer(into).chunks_exact_mut(bands)) {
        from.iter().zip(places).for_each(|(number, place)| to[*place] = *number);
    }
}
