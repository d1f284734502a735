//! Sums over ranks in a captured step, as far as one GPU shows them: those of a group of one, over NCCL.

use super::{Outcome, WARM_UP, capture};
use contract::{BoxError, Capture};
use std::net::TcpListener;
use std::os::fd::IntoRawFd;
use std::time::Duration;
use tch::{Device, Kind, Tensor};
use torch_ext::{Processes, Reducer, Store};

const STEPS: u64 = 20;
const WIDTH: i64 = 300;

/// Values that depend on `seed` alone.
fn noise(size: &[i64], seed: u64, device: Device) -> Tensor {
    let places = Tensor::arange(size.iter().product::<i64>(), (Kind::Float, Device::Cpu));
    ((places + seed as f64) * 12.9898).sin().reshape(size).to_device(device)
}

/// Trains two layers by the sums of a group of one. Returns the losses and the weights.
fn train(group: &Processes, device: Device, mut capture: Option<&mut dyn Capture>) -> Outcome<(Vec<f64>, Vec<Tensor>)> {
    let weights = [[16, WIDTH], [WIDTH, WIDTH]].map(|size| (noise(&size, 1, device) * 0.05).set_requires_grad(true));
    let inputs = Tensor::zeros([8, 16], (Kind::Float, device));
    // Several buckets, last weight first.
    let ordered = [&weights[1], &weights[0]].map(Tensor::shallow_clone);
    let reducer = Reducer::new(group, &ordered, 1 << 20, 1 << 10, false, capture.is_none())?;
    let mut step = || -> Result<Vec<Tensor>, BoxError> {
        let hidden = inputs.f_matmul(&weights[0])?.f_tanh()?.f_matmul(&weights[1])?;
        let own = hidden.f_square()?.f_mean(Kind::Float)?;
        // As losses are summed over ranks.
        let total = own.detach().copy();
        group.sum(&[total.shallow_clone()])?;
        let loss = own.f_sub(&own.detach())?.f_add(&total)?;
        reducer.prepare(&loss)?;
        loss.f_backward()?;
        let _no_grad = tch::no_grad_guard();
        for weight in &weights {
            let _ = weight.shallow_clone().f_sub_(&weight.grad().f_mul_scalar(0.5)?)?;
            torch_ext::clear_grad(weight)?;
        }
        Ok(vec![loss.f_detach()?])
    };
    let mut losses = Vec::new();
    for number in 0..STEPS {
        torch_ext::copy(&[inputs.shallow_clone()], &[noise(&[8, 16], number, device)])?;
        let made = match &mut capture {
            None => step()?,
            Some(capture) => {
                capture.step(&mut step)?;
                capture.outputs().iter().map(Tensor::shallow_clone).collect()
            }
        };
        losses.push(made[0].f_double_value(&[])?);
    }
    Ok((losses, weights.iter().map(Tensor::f_detach).collect::<Result<_, _>>()?))
}

/// Compares a training operator by operator with one that is captured. Prints that they are the same, or fails.
pub fn check(device: Device) -> Outcome<()> {
    torch_ext::deterministic(true)?;
    let timeout = Duration::from_secs(60);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let store = Store::connect("127.0.0.1", port, Some(listener.into_raw_fd()), "sums/", timeout)?;
    let nccl = device.is_cuda();
    if nccl && !torch_ext::has_nccl() {
        return Err("this program was compiled without NCCL's headers".into());
    }
    let group = Processes::new(&store, 0, 1, "127.0.0.1", nccl, timeout)?;
    let (losses, weights) = train(&group, device, None)?;
    let mut capture = capture(device)?;
    let (of_captured, captured) = train(&group, device, Some(capture.as_mut()))?;
    if losses != of_captured || weights.iter().zip(&captured).any(|(eager, captured)| !eager.equal(captured)) {
        return Err(format!("{STEPS} steps differ: losses {losses:?} and, captured, {of_captured:?}").into());
    }
    let library = if nccl { "NCCL" } else { "Gloo" };
    println!("sums over {library} in {} replayed steps are the same to the bit", STEPS - u64::from(WARM_UP));
    Ok(())
}
