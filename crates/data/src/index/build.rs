//! Builds an index from the masks of a data set.

use super::format::{HEADER, Head, Row, encode_header, encode_table};
use super::locate::{Found, locate};
use crate::cache::Told;
use crate::error::{Error, guarded};
use crate::load::dataset::Dataset;
use crate::load::ordered::Ordered;
use crate::load::pixels;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;

/// Number of masks that each thread reads ahead of the one being written.
const AHEAD: u64 = 4;

/// Classes of a mask, and its height and width.
type Mask = ([u32; 2], Vec<Found>);

/// Writes the index of `dataset`, whose masks `workers` threads read, and returns its table. `failed` makes an error of
/// one of the system.
pub(super) fn write(
    dataset: &Arc<dyn Dataset>,
    head: &Head,
    workers: u64,
    mut tell: impl FnMut(Told<'_>),
    file: &mut (impl Write + Seek),
    failed: impl Fn(io::Error) -> Error,
) -> Result<Vec<Row>, Error> {
    let (source, most) = (Arc::clone(dataset), head.most);
    let job = move |index| Ok(read(source.as_ref(), index, most).unwrap_or_default());
    let masks = Ordered::new(0..head.samples, workers, workers.saturating_mul(AHEAD), Box::new(job));
    let (mut rows, mut end) = (Vec::new(), HEADER as u64);
    file.seek(SeekFrom::Start(end)).map_err(&failed)?;
    for mask in masks {
        let (size, found) = mask?;
        let bytes: Vec<u8> = found.iter().flat_map(|found| &found.places).flat_map(|at| at.to_le_bytes()).collect();
        let shown = found.iter().map(|found| found.shown).collect();
        file.write_all(&bytes).map_err(&failed)?;
        rows.push(Row { size, offset: end, sum: crc32c::crc32c(&bytes), shown });
        end += bytes.len() as u64;
        tell(Told::Indexing { done: rows.len() as u64, total: head.samples });
    }
    let table = encode_table(&rows);
    file.write_all(&table)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(&encode_header(head, end, &table)))
        .and_then(|()| file.flush())
        .map_err(failed)?;
    Ok(rows)
}

/// Returns the classes of a sample's mask; `None` if it cannot be loaded, which whoever loads the sample reports.
pub(super) fn read(dataset: &dyn Dataset, index: u64, most: u32) -> Option<Mask> {
    let (size, ids) = guarded(|| format!("the mask of sample {index}"), || dataset.mask(index)).ok()?;
    (pixels(size) == ids.len()).then(|| (size, locate(&ids, most)))
}
