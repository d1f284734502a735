//! Cost of a closer look, in addition to the scores of a validation. `scripts/bench seeing` runs it.
//!
//! Makes passes over SAMPLES samples of the pets' size, with scores alone and with a look, in turns; prints the median
//! seconds of each.

use contract::BoxError;
use metric::{Detail, Gallery, Segmentation};
use std::num::NonZeroU16;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const SAMPLES: i64 = 298;
const BATCH: i64 = 16;
const CLASSES: i64 = 3;
const SIDE: i64 = 128;
const ROUNDS: usize = 31;
/// As in crates/app/src/common/closer.rs.
const STRIDE: NonZeroU16 = NonZeroU16::new(2).unwrap();
const FIRST: usize = 4;
const EXTREMES: usize = 8;

fn main() -> Result<(), BoxError> {
    torch_ext::tune_allocator();
    torch_ext::tune_openmp();
    let draw = Tensor::randn([SAMPLES, CLASSES, SIDE, SIDE], (Kind::Float, Device::Cpu)) * 3.0;
    let targets = Tensor::randint(CLASSES, [SAMPLES, SIDE, SIDE], (Kind::Int64, Device::Cpu));
    // As they come from a network on a CPU.
    let outputs: Vec<Tensor> = draw.split(BATCH, 0).iter().map(torch_ext::channels_last).collect::<Result<_, _>>()?;
    let batches: Vec<(Tensor, Tensor)> = outputs.into_iter().zip(targets.split(BATCH, 0)).collect();
    let pass = |closer: bool| -> Result<f64, BoxError> {
        let since = Instant::now();
        let mut scores = Segmentation::new(["pet", "background", "border"].map(String::from).into(), Device::Cpu)?;
        let mut detail = Detail::new(CLASSES as usize, STRIDE, Device::Cpu)?;
        let mut gallery = Gallery::new(FIRST, EXTREMES);
        for (outputs, targets) in &batches {
            let counted = scores.count(&Tensor::from(0.5f32), outputs, targets)?;
            if closer {
                detail.update(outputs, targets, &counted)?;
                gallery.update(&counted)?;
            }
        }
        scores.confusion()?;
        Ok(since.elapsed().as_secs_f64())
    };
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        seconds[0].push(pass(false)?);
        seconds[1].push(pass(true)?);
    }
    let median = |of: &mut Vec<f64>| {
        of.sort_by(f64::total_cmp);
        of[ROUNDS / 2]
    };
    let [alone, closer] = seconds.each_mut().map(median);
    println!("{alone:.4} {closer:.4}");
    Ok(())
}
