//! Writes predictions with their place on earth: GeoTIFFs, and polygons as GeoJSON.

use crate::common::files::Partial;
use crate::common::seal::checksum;
use annotation::{FeatureCollection, Options, Size, outlines};
use anyhow::{Context, Result};
use data::{Depth, IGNORE, Pixels};
use raster::{Geo, GeoTiffWriter, Raster, TiffSettings};
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// Returns the place of the image in `file`, if it says one. Of several files the first does.
pub fn place(file: &Path) -> Option<Geo> {
    Raster::open(&data::part::first(file)).ok()?.info().geo.clone()
}

/// A GeoTIFF that is being written.
pub struct Tif {
    writer: GeoTiffWriter<BufWriter<File>>,
    partial: Partial,
}

impl Tif {
    /// Starts a file of class ids.
    pub fn of_classes(path: &Path, size: [u32; 2], geo: Option<Geo>) -> Result<Self> {
        let no_data = Some(f64::from(IGNORE));
        Self::create(path, TiffSettings { geo, no_data, ..TiffSettings::new(size, 1, Depth::U8) })
    }

    /// Starts a file of probabilities, a band for each class.
    pub fn of_probabilities(path: &Path, size: [u32; 2], classes: usize, geo: Option<Geo>) -> Result<Self> {
        let bands = u32::try_from(classes)?;
        Self::create(path, TiffSettings { geo, no_data: Some(f64::NAN), ..TiffSettings::new(size, bands, Depth::F32) })
    }

    fn create(path: &Path, settings: TiffSettings) -> Result<Self> {
        let partial = Partial::create(path)?;
        let writer = GeoTiffWriter::new(BufWriter::new(partial.file()?), settings);
        Ok(Self { writer: writer.with_context(|| partial.doing())?, partial })
    }

    /// Adds rows.
    pub fn write(&mut self, rows: &Pixels) -> Result<()> {
        self.writer.rows(rows).with_context(|| self.partial.doing())
    }

    /// Completes the file. Returns it with its checksum; the caller publishes it.
    pub fn finish(self) -> Result<(Partial, String)> {
        let Self { writer, partial } = self;
        let file = writer.finish().with_context(|| partial.doing())?;
        sealed(file.into_inner().map_err(std::io::IntoInnerError::into_error), partial)
    }
}

/// Polygons that are written once the class map is complete.
pub struct Polygons {
    map: Vec<u8>,
    size: [u32; 2],
    names: Vec<String>,
    geo: Option<Geo>,
    partial: Partial,
}

impl Polygons {
    /// Starts the file, for classes of these `names`.
    pub fn create(path: &Path, size: [u32; 2], names: &[String], geo: Option<Geo>) -> Result<Self> {
        Ok(Self { map: Vec::new(), size, names: names.to_vec(), geo, partial: Partial::create(path)? })
    }

    /// Adds rows of class ids.
    pub fn write(&mut self, ids: &[u8]) {
        self.map.extend_from_slice(ids);
    }

    /// Traces the polygons and completes the file. Returns it with its checksum; the caller publishes it.
    pub fn finish(self) -> Result<(Partial, String)> {
        let Self { map, size: [height, width], names, geo, partial } = self;
        let areas = Size::new(width.into(), height.into())
            .map_err(Into::into)
            .and_then(|size| outlines(&map, size, &Options::default()).map_err(anyhow::Error::from));
        let areas = areas.with_context(|| partial.doing())?;
        drop(map);
        let crs = geo.as_ref().and_then(|geo| geo.epsg).map(|code| format!("urn:ogc:def:crs:EPSG::{code}"));
        if geo.as_ref().is_some_and(|geo| geo.keys.is_some()) && crs.is_none() {
            log::warn!(
                "{}: the image's reference system has no EPSG code, so the polygons name none: tell programs which it is",
                partial.path().display()
            );
        }
        let affine = geo.map(|geo| geo.transform);
        let collection = FeatureCollection { areas: &areas, names: &names, affine, crs: crs.as_deref() };
        let mut file = BufWriter::new(partial.file()?);
        serde_json::to_writer(&mut file, &collection).with_context(|| partial.doing())?;
        let file = file.write_all(b"\n").and_then(|()| file.into_inner().map_err(std::io::IntoInnerError::into_error));
        sealed(file, partial)
    }
}

fn sealed(file: std::io::Result<File>, partial: Partial) -> Result<(Partial, String)> {
    let sum = file.and_then(|mut file| {
        let bytes = file.seek(SeekFrom::End(0))?;
        checksum(&mut file, bytes)
    });
    let sum = sum.with_context(|| partial.doing())?;
    Ok((partial, sum))
}
