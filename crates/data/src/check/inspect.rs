//! Inspection of one sample, by a worker.

use super::finding::{Finding, Kind, remarked};
use crate::decode::part;
use crate::error::{Error, guarded};
use crate::load::dataset::Dataset;
use crate::load::layout::Layout;
use crate::load::{IGNORE, Sample, Target};
use crate::transform::resize::{Placement, Scaler};
use image::{ImageFormat, RgbImage};
use image_hasher::{HashAlg, HasherConfig};
use raster::{Element, Pixels, on_pixels};
use std::io::Read;
use std::path::Path;

/// Height and width of the perceptual hash, in bits.
const SIDE: u32 = 16;

/// Size of the perceptual hash, in bytes.
pub(super) const HASH_BYTES: usize = (SIDE * SIDE / 8) as usize;

/// Height and width that a picture is resized to before it is hashed, in pixels: the hasher's own resampling of whole
/// photographs would take longer than decoding them.
const THUMBNAIL: u32 = 64;

/// Maximum number of values of a channel that are kept of an image.
const SOME: usize = 4096;

/// Results of an inspection, kept after the pixels are dropped.
#[derive(Default)]
pub(super) struct Inspection {
    /// Findings on this sample alone.
    pub(super) findings: Vec<Finding>,
    /// Measurements, if it could be decoded.
    pub(super) decoded: Option<Decoded>,
}

/// Measurements of a sample that could be decoded.
pub(super) struct Decoded {
    /// Height and width of the image in its file, in pixels.
    pub(super) size: [u32; 2],
    /// Number of pixels of each class id; 0 where the target has none.
    pub(super) counts: [u64; 256],
    /// Number of pixels whose content is known.
    pub(super) known: u64,
    /// For each channel the sum of its values above black, and of their squares.
    pub(super) sums: Vec<[f64; 2]>,
    /// For each channel some of its values, evenly spaced; none of bytes, whose range is known.
    pub(super) some: Vec<Vec<f32>>,
    /// Hashes to compare it with others.
    pub(super) prints: Prints,
}

/// Hashes that identify a sample: all that is kept of each until the last one has been inspected.
pub(super) struct Prints {
    /// BLAKE3 of size and pixels: the same for the same picture in another format, or with other metadata in its file.
    pub(super) image: [u8; 32],
    /// BLAKE3 of the class ids or values.
    pub(super) mask: [u8; 32],
    /// Perceptual hash, in which similar pictures differ in few bits. `None` for a picture of one colour, which has no
    /// features.
    pub(super) looks: Option<[u8; HASH_BYTES]>,
}

/// Inspects a sample of `dataset`, whose ids must be below `classes`.
pub(super) fn inspect(dataset: &dyn Dataset, index: u64, classes: usize) -> Inspection {
    let mut inspection = Inspection::default();
    for path in dataset.paths(index).unwrap_or_default() {
        inspection.findings.extend(misnamed(&path));
    }
    inspection.findings.extend(dataset.remarks(index).into_iter().map(|(remark, path)| remarked(remark, path)));
    let mut sample = Sample::default();
    let load = || {
        dataset.whole(index, &mut sample)?;
        decoded(&sample, &dataset.layout())
    };
    match guarded(|| format!("sample '{}'", dataset.name(index)), load) {
        Ok(decoded) => {
            let mut odd = odd(&decoded, classes);
            // A slice beside what is searched for shows nothing of it.
            if dataset.paths(index).is_ok_and(|paths| paths.first().is_some_and(|path| part::is_slice(path))) {
                odd.retain(|finding| !matches!(finding.kind, Kind::EmptyMask | Kind::ConstantImage));
            }
            inspection.findings.extend(odd);
            inspection.decoded = Some(decoded);
        }
        Err(error) => inspection.findings.push(Finding::from_error(&error)),
    }
    inspection
}

/// Returns the findings on a sample that could be decoded.
fn odd(decoded: &Decoded, classes: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let shown = |id: usize| decoded.counts[id] > 0;
    let beyond: Vec<String> = (classes..usize::from(IGNORE)).filter(|&id| shown(id)).map(|id| id.to_string()).collect();
    if !beyond.is_empty() {
        let message = format!("the mask holds the class ids {}, of {classes} classes", beyond.join(", "));
        findings.push(Finding::new(Kind::Label, message));
    } else if decoded.counts == [0; 256] {
        // The target is a map of numbers.
    } else if (0..classes).all(|id| !shown(id)) {
        findings.push(Finding::new(Kind::EmptyMask, "no pixel of the mask counts: all are ignored"));
    } else if classes > 1 && (1..classes).all(|id| !shown(id)) {
        findings.push(Finding::new(Kind::EmptyMask, "the mask shows nothing but the first class"));
    }
    if decoded.prints.looks.is_none() {
        findings.push(Finding::new(Kind::ConstantImage, "all pixels of the image have the same colour"));
    }
    findings
}

fn decoded(sample: &Sample, layout: &Layout) -> Result<Decoded, Error> {
    let channels = layout.channels().max(1) as usize;
    let mut counts = [0; 256];
    sample.target.classes().iter().for_each(|id| counts[usize::from(*id)] += 1);
    let unknown = on_pixels!(&sample.image, image => unknown(image, sample.target.classes(), layout));
    let known = |pixel: usize| !unknown.get(pixel).copied().unwrap_or_default();
    let area = sample.image.len() / channels;
    let pixels = (0..area).filter(|pixel| known(*pixel)).count() as u64;
    let (sums, constant) = on_pixels!(&sample.image, image => summed(image, channels, layout.unit()[0], known));
    let some = match &sample.image {
        Pixels::U8(_) => Vec::new(),
        Pixels::U16(image) => some_of(image, channels, known),
        Pixels::F32(image) => some_of(image, channels, known),
    };
    let mut image = blake3::Hasher::new();
    image.update(&sample.size[0].to_le_bytes()).update(&sample.size[1].to_le_bytes());
    match &sample.image {
        Pixels::U8(bytes) => _ = image.update(bytes),
        wide => _ = image.update(&wide.clone().into_le_bytes()),
    }
    let looks = if constant { None } else { Some(looks(sample, layout)?) };
    let mut mask = blake3::Hasher::new();
    match &sample.target {
        Target::Classes(ids) => _ = mask.update(ids),
        Target::Values(values) => values.iter().for_each(|value| _ = mask.update(&value.to_le_bytes())),
    }
    let mask = *mask.finalize().as_bytes();
    let prints = Prints { image: *image.finalize().as_bytes(), mask, looks };
    Ok(Decoded { size: sample.size, counts, known: pixels, sums, some, prints })
}

/// Tells for each pixel whether it is without data: black and ignored, as those become. Bytes of colours have none.
fn unknown<T: Element>(image: &[T], ids: &[u8], layout: &Layout) -> Vec<bool> {
    if layout.is_plain() {
        return Vec::new();
    }
    let black = T::from_f32(layout.black());
    let pixels = image.chunks_exact(layout.channels().max(1) as usize).zip(ids);
    pixels.map(|(pixel, id)| *id == IGNORE && pixel.iter().all(|number| *number == black)).collect()
}

/// Returns for each channel the sum of its values above `black` and of their squares, and whether all pixels are equal.
fn summed<T: Element>(
    image: &[T],
    channels: usize,
    black: f32,
    known: impl Fn(usize) -> bool,
) -> (Vec<[f64; 2]>, bool) {
    let (mut sums, mut constant) = (vec![[0.0; 2]; channels], true);
    for (number, pixel) in image.chunks_exact(channels).enumerate() {
        constant &= image.starts_with(pixel);
        if !known(number) {
            continue;
        }
        for (value, sums) in pixel.iter().zip(&mut sums) {
            let value = f64::from(value.to_f32() - black);
            sums[0] += value;
            sums[1] += value * value;
        }
    }
    (sums, constant)
}

/// Returns some values of each channel, evenly spaced.
fn some_of<T: Element>(image: &[T], channels: usize, known: impl Fn(usize) -> bool) -> Vec<Vec<f32>> {
    let every = (image.len() / channels).div_ceil(SOME).max(1);
    let some = || image.chunks_exact(channels).enumerate().step_by(every).filter(|(number, _)| known(*number));
    (0..channels).map(|channel| some().map(|(_, pixel)| pixel[channel].to_f32()).collect()).collect()
}

/// Returns the perceptual hash: for each place of a grid, whether it is darker than the next.
fn looks(sample: &Sample, layout: &Layout) -> Result<[u8; HASH_BYTES], Error> {
    let thumbnail = shrink(sample, layout)?;
    let hasher = HasherConfig::with_bytes_type::<[u8; HASH_BYTES]>()
        .hash_size(SIDE, SIDE)
        .hash_alg(HashAlg::Gradient)
        .to_hasher();
    Ok(hasher.hash_image(&thumbnail).into_inner())
}

/// Returns the picture in RGB, `THUMBNAIL` pixels high and wide.
fn shrink(sample: &Sample, layout: &Layout) -> Result<RgbImage, Error> {
    let (mut whole, mut small) = (sample.image.clone(), Pixels::default());
    let place = (Placement::filling([THUMBNAIL; 2]), layout.black());
    Scaler::default().image(&mut whole, sample.size, layout.channels(), place, &mut small)?;
    let rgb = layout.picture(&small);
    RgbImage::from_raw(THUMBNAIL, THUMBNAIL, rgb).ok_or_else(|| Error::Resize {
        from: sample.size,
        to: [THUMBNAIL; 2],
        problem: "it has another length than its size says".into(),
    })
}

/// Returns a finding if the first bytes of a file are of another image format than its name.
pub(super) fn misnamed(path: &Path) -> Option<Finding> {
    // `.jpe` and `.jfif` are JPEGs too, but `image` does not know both.
    let of_name = || path.extension().filter(|name| ["jpe", "jfif"].iter().any(|jpeg| name.eq_ignore_ascii_case(jpeg)));
    let named = ImageFormat::from_path(path).ok().or_else(|| of_name().map(|_| ImageFormat::Jpeg))?;
    let mut start = Vec::new();
    regular::open(path).ok()?.take(64).read_to_end(&mut start).ok()?;
    let found = image::guess_format(&start).ok()?;
    let message = format!("the file's content is {}, its name says {}", name(found), name(named));
    (found != named).then(|| Finding::new(Kind::Misnamed, message).files([path.to_path_buf()]))
}

fn name(format: ImageFormat) -> String {
    format.extensions_str().first().map_or_else(|| format!("{format:?}"), |name| name.to_uppercase())
}
