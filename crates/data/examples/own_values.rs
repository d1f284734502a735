//! Depths from files of one's own, through everything that comes before a network:
//! `cargo run -p data --example own_values -- [FOLDER]`.
//!
//! Writes photographs and depths into FOLDER (by default a temporary one), if there are none: `NAME.png`, and
//! `NAME.f32` with a 32-bit little-endian number a pixel, where NaN means that nothing was measured. Then it goes
//! through two epochs of augmented batches, as training would, and repeats the end of the second.

use contract::{Batch, BoxError, Input};
use data::{
    Dataset, Error, Loader, LoaderConfig, Order, Orientation, Pipeline, Resize, Sample, Source, Targets, Transform,
    Values, read_pixels, verify,
};
use image::{Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tch::{Device, Kind};

/// Height and width of the network's input.
const SIZE: [u32; 2] = [48, 64];

/// Photographs with a map of depths each.
struct Depths {
    folder: PathBuf,
    names: Vec<String>,
}

impl Depths {
    fn open(folder: &Path) -> std::io::Result<Self> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "f32") {
                names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
        // The order in which a system lists files is no order to train in.
        names.sort();
        Ok(Self { folder: folder.into(), names })
    }

    fn path(&self, index: u64, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name(index)))
    }
}

impl Dataset for Depths {
    fn len(&self) -> u64 {
        self.names.len() as u64
    }

    fn size(&self) -> Option<[u32; 2]> {
        Some(SIZE)
    }

    /// One number a pixel, `[N, H, W]`; unknown ones are NaN.
    fn targets(&self) -> Targets {
        Targets::Values(Values::default())
    }

    fn name(&self, index: u64) -> String {
        self.names.get(index as usize).cloned().unwrap_or_default()
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let (size, image) = read_pixels(&self.path(index, "png"), 3, Orientation::Apply)?;
        let path = self.path(index, "f32");
        let bytes = fs::read(&path).map_err(|source| Error::Io { path, source })?;
        let [height, width] = size;
        if bytes.len() != height as usize * width as usize * 4 {
            let problem = format!("its .f32 file has {} bytes, expected 4 for each of {height}x{width}", bytes.len());
            return Err(Error::of_sample(self.name(index), problem));
        }
        (sample.size, sample.image) = (size, image.into());
        let depths = sample.target.values_mut();
        depths.clear();
        depths.extend(bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)));
        Resize::default().apply(sample, SIZE, self.targets())
    }

    /// Lets a run notice that files were replaced since.
    fn source(&self, index: u64) -> Result<Source, Error> {
        let files = ["png", "f32"].map(|extension| self.path(index, extension));
        Source::of(files.iter().map(PathBuf::as_path))
    }
}

/// Writes 20 photographs of a floor, which is the darker the farther it is, and its depths, with gaps.
fn write(folder: &Path) -> Result<(), BoxError> {
    fs::create_dir_all(folder)?;
    for number in 0..20u32 {
        let (width, height) = (90 + number, 60 + number);
        let depth = |y: u32| 2.0 * height as f32 / (y + 10) as f32;
        let shade = |x: u32, y: u32| (200.0 / depth(y)) as u8 / 2 + 40 * u8::from(x / 10 % 2 == y / 10 % 2);
        let path = folder.join(format!("floor-{number:02}.png"));
        RgbImage::from_fn(width, height, |x, y| Rgb([shade(x, y); 3])).save(&path)?;
        let depths = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let depths = depths.map(|(x, y)| if x < 5 { f32::NAN } else { depth(y) });
        fs::write(path.with_extension("f32"), depths.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BoxError> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().join("floors"), PathBuf::from);
    if !folder.exists() {
        write(&folder)?;
    }
    let depths = Depths::open(&folder)?;
    // Every target is read once: what is wrong ends the program here.
    verify(&depths, 0, 2)?;

    let transforms = serde_json::from_str::<Vec<Transform>>(
        r#"[{"kind": "horizontal_flip"}, {"kind": "affine"}, {"kind": "color_jitter"}, {"kind": "gaussian_noise"}]"#,
    )?;
    let pipeline = Pipeline { transforms, ..Pipeline::plain(SIZE) };
    let config = LoaderConfig { batch_size: 8, workers: 2, max_skipped: 1, ..LoaderConfig::default() };
    let loader = Loader::new(Arc::new(depths), pipeline, &config, Order::Shuffled, 1, Device::Cpu)?;
    println!("{} samples, fingerprint {}", loader.samples(), loader.fingerprint()?);

    let mean = |batch: &Batch| batch.targets.nanmean(None::<&[i64]>, false, Kind::Float).double_value(&[]);
    let mut last = 0.0;
    for epoch in 0..2 {
        for batch in loader.epoch(epoch, 0) {
            let batch = batch?;
            let unknown = batch.targets.isnan().to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
            last = mean(&batch);
            println!(
                "epoch {epoch}: inputs {:?}, targets {:?}, mean depth {last:.3}, {:.1} % unknown",
                batch.inputs.size(),
                batch.targets.size(),
                100.0 * unknown
            );
        }
    }
    // As after an interruption: the last batch of epoch 1, to the bit.
    for batch in loader.epoch(1, loader.len() - 1) {
        let again = mean(&batch?);
        println!("resumed: mean depth {again:.3}, {}", if again == last { "the same" } else { "ANOTHER" });
    }
    Ok(())
}
