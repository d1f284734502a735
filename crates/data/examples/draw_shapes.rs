//! Draws pictures of the generated data set into a folder: `cargo run -p data --example draw_shapes -- FOLDER [COUNT]`.
//!
//! They are the validation samples, so `app predict` shows on them what a network has learned.

use data::{Config, Sample, Split};
use image::RgbImage;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("expected FOLDER [COUNT]")?);
    let count = arguments.next().map_or(Ok(8), |count| count.parse())?;
    let shapes = Config::default().open(Split::Validation)?;
    let mut sample = Sample::default();
    std::fs::create_dir_all(&folder)?;
    for index in 0..shapes.len().min(count) {
        shapes.load(index, &mut sample)?;
        let [height, width] = sample.size;
        let picture =
            RgbImage::from_raw(width, height, sample.image.bytes().to_vec()).ok_or("a sample of the wrong size")?;
        picture.save(folder.join(shapes.name(index)).with_extension("png"))?;
    }
    Ok(())
}
