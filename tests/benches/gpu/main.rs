//! Training steps on a GPU, for `scripts/gpu-check`, which starts this and its peers and lets them take turns.
//!
//!     gpu cuda|cpu HOW NETWORK WIDTH IMAGES SIDE PRECISION
//!
//! HOW is `graph` (steps are captured and replayed) or `eager`, both with deterministic algorithms, or `graph-fastest`
//! or `eager-fastest`. NETWORK is `unet` or `mobilenet`, which has no WIDTH. Prints the loss of the first step. Then
//! each line of standard input is a number of steps, and answered with the mean seconds of one. Between these nothing
//! is read from the device. On a CPU the capture is `FakeCapture`.
//!
//!     gpu cuda|cpu sums
//!
//! Checks that sums over ranks can be captured, with the only rank of a group.

#[path = "../common/mod.rs"]
mod common;
mod sums;

use common::Outcome;
use common::training::{Task, Training, noise};
use contract::{Batch, Batches, Capture, Event, Input, Plain, Progress};
use executors::Trainer;
use model::{Common, Fused, MobileNetV2UNetConfig, Precision, UNetConfig};
use std::io::{Write, stdin, stdout};
use std::iter::repeat_with;
use std::time::Instant;
use tch::{Cuda, Device, Tensor};
use torch_ext::FakeCapture;

/// Steps before the capture, as `app train` makes them.
const WARM_UP: u32 = 3;

/// The same batch for ever.
struct Endless(Batch);

impl Input for Endless {
    fn len(&self) -> u64 {
        u64::MAX
    }

    fn epoch(&self, _epoch: u64, _skip: u64) -> Batches<'_> {
        let Batch { inputs, targets, names, .. } = &self.0;
        Box::new(repeat_with(|| Ok(Batch::new(inputs.shallow_clone(), targets.shallow_clone(), names.clone()))))
    }
}

fn synchronized(device: Device) {
    if device.is_cuda() {
        Cuda::synchronize(0);
    }
}

fn config(network: &str, width: &str, precision: &str) -> Outcome<model::Config> {
    let precision = match precision {
        "fp32" => Precision::Fp32,
        "tf32" => Precision::Tf32,
        "bf16" => Precision::Bf16,
        "fp16" => Precision::Fp16,
        other => return Err(format!("no precision {other}: fp32, tf32, bf16 or fp16").into()),
    };
    torch_ext::allow_tf32(precision == Precision::Tf32)?;
    // Our kernels are those of a CPU, and FakeCapture wants libtorch's.
    let common = Common { precision, fused: Fused::Off, ..Default::default() };
    match network {
        "unet" => {
            let (width, depth) = (width.parse()?, common::training::DEPTH);
            Ok(model::Config::Unet(UNetConfig { width, depth, common, ..Default::default() }))
        }
        "mobilenet" => Ok(model::Config::MobilenetV2Unet(MobileNetV2UNetConfig { common, ..Default::default() })),
        other => Err(format!("no network {other}: unet or mobilenet").into()),
    }
}

fn capture(device: Device) -> Outcome<Box<dyn Capture>> {
    match device {
        Device::Cpu => Ok(Box::new(FakeCapture::new(WARM_UP)?)),
        _ => Ok(torch_ext::cuda_graph(device, WARM_UP)?.ok_or("this program was compiled without CUDA's headers")?),
    }
}

/// Takes the next step and returns its loss, which is still on the device.
fn step(training: &mut executors::Training) -> Outcome<Tensor> {
    match training.next() {
        Some(Ok(Event::Step { loss, .. })) => Ok(loss),
        Some(Err(error)) => Err(error.into()),
        _ => Err("the batches have ended".into()),
    }
}

fn answer(number: f64) -> Outcome<()> {
    println!("{number}");
    Ok(stdout().flush()?)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let device = match words.first() {
        Some(&"cuda") if Cuda::is_available() => Device::Cuda(0),
        Some(&"cuda") => return Err("this libtorch finds no GPU".into()),
        _ => Device::Cpu,
    };
    let (how, network, width, images, side, precision) = match words[..] {
        [_, "sums"] => return sums::check(device),
        [_, how, network, width, images, side, precision] => (how, network, width, images, side, precision),
        _ => return Err("usage: gpu cuda|cpu HOW NETWORK WIDTH IMAGES SIDE PRECISION, or gpu cuda|cpu sums".into()),
    };
    torch_ext::deterministic(!how.ends_with("-fastest"))?;
    let mut capture = if how.starts_with("graph") { Some(capture(device)?) } else { None };

    let batch = noise(Task { name: "gpu", width: 0, side: side.parse()?, images: images.parse()? });
    let to_device = |tensor: &Tensor| tensor.f_to_device(device);
    let input = Endless(Batch::new(to_device(&batch.inputs)?, to_device(&batch.targets)?, batch.names));
    let training = Training::on(device, &config(network, width, precision)?)?;
    let Training { store, model, loss_fn, mut optimizer, mut metric } = training;
    let model = Plain(model.as_ref());
    let mut trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 1).protect("model", &store);
    if let Some(capture) = &mut capture {
        trainer = trainer.captured(capture.as_mut());
    }
    let mut training = trainer.train(Progress::default());
    let loss = step(&mut training)?.f_double_value(&[])?;
    if how.starts_with("graph") {
        // The first batch is remembered, the next ones warm up, and one is captured.
        for _ in 0..WARM_UP + 1 {
            drop(step(&mut training)?);
        }
        let remarks = training.trainer.remarks();
        if !remarks.iter().any(|remark| remark.contains("steps are replayed")) {
            return Err(format!("no step was captured: {}", remarks.join("; ")).into());
        }
    }
    answer(loss)?;
    for line in stdin().lines() {
        let count: u32 = line?.trim().parse()?;
        synchronized(device);
        let start = Instant::now();
        for _ in 0..count {
            drop(step(&mut training)?);
        }
        synchronized(device);
        answer(start.elapsed().as_secs_f64() / f64::from(count.max(1)))?;
    }
    Ok(())
}
