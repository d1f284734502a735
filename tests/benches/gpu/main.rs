//! Training steps on a GPU, for `scripts/gpu-check`, which starts this and its peers and lets them take turns.
//!
//!     gpu cuda|cpu
//!
//! Reads requests from standard input and answers each with a number: `make TASK WIDTH IMAGES SIDE PRECISION` with the
//! loss of a first step, `step TASK COUNT` with the mean seconds of COUNT steps. Between these nothing is read from the
//! device.

#[path = "../common/mod.rs"]
mod common;

use common::Outcome;
use common::training::{Task, Training, noise};
use contract::Batch;
use model::{Fused, Precision};
use std::collections::BTreeMap;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;
use tch::{Cuda, Device};

fn synchronized(device: Device) {
    if device.is_cuda() {
        Cuda::synchronize(0);
    }
}

fn made(device: Device, words: &[&str]) -> Outcome<(Training, Batch)> {
    let [width, images, side, precision] = *words else {
        return Err("expected WIDTH IMAGES SIDE PRECISION".into());
    };
    let precision = match precision {
        "fp32" => Precision::Fp32,
        "tf32" => Precision::Tf32,
        "bf16" => Precision::Bf16,
        "fp16" => Precision::Fp16,
        other => return Err(format!("no precision {other}: fp32, tf32, bf16 or fp16").into()),
    };
    let task = Task { name: "gpu", width: width.parse()?, side: side.parse()?, images: images.parse()? };
    torch_ext::allow_tf32(precision == Precision::Tf32)?;
    let batch = noise(task);
    let batch = Batch::new(batch.inputs.f_to_device(device)?, batch.targets.f_to_device(device)?, batch.names);
    Ok((Training::on(device, task.width, precision, Fused::Auto)?, batch))
}

fn main() -> Outcome<()> {
    let device = match std::env::args().filter(|arg| arg != "--bench").nth(1).as_deref() {
        Some("cuda") if Cuda::is_available() => Device::Cuda(0),
        Some("cuda") => return Err("this libtorch finds no GPU".into()),
        Some("cpu") => Device::Cpu,
        _ => return Err("usage: gpu cuda|cpu".into()),
    };
    let mut trainings = BTreeMap::new();
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["make", task, ref rest @ ..] => {
                let (mut training, batch) = made(device, rest)?;
                let loss = training.step(&batch)?;
                trainings.insert(task.to_owned(), (training, batch));
                loss
            }
            ["step", task, count] => {
                let (training, batch) = trainings.get_mut(task).ok_or("a task that was not made")?;
                let count: u32 = count.parse()?;
                synchronized(device);
                let start = Instant::now();
                for _ in 0..count {
                    drop(training.enqueue(batch)?);
                }
                synchronized(device);
                start.elapsed().as_secs_f64() / f64::from(count.max(1))
            }
            _ => return Err(format!("not a request: {line}").into()),
        };
        println!("{answer}");
        stdout().flush()?;
    }
    Ok(())
}
