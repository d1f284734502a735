//! A UNet of 31 million parameters in training with Adam, on images so small that a step is short.

use crate::Outcome;
use contract::{Batch, Loss, Optimizer, StateDict, Stateful};
use optim::Optim;
use std::{collections::BTreeMap, time::Instant};
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 3;

pub struct Training {
    store: VarStore,
    model: Box<dyn ModuleT>,
    loss_fn: loss::Sum,
    optimizer: Optim,
    batch: Batch,
}

impl Training {
    pub fn new() -> Outcome<Self> {
        let device = Device::cuda_if_available();
        let store = VarStore::new(device);
        tch::manual_seed(1);
        let config = model::Config::Unet(model::UNetConfig { width: 64, ..Default::default() });
        let model = config.build(&store, 3, CLASSES)?;
        let length = optim::Length { updates_per_epoch: 1_000_000, epochs: 1 };
        let parameters = contract::parameters(&store);
        let optimizer = optim::Config::default().build(parameters, optim::Schedule::default(), length)?;
        let loss_fn = loss::Config::default().build(device)?;
        let images_nchw = Tensor::rand([2, 3, 32, 32], (Kind::Float, device));
        let targets_nhw = Tensor::randint(CLASSES, [2, 32, 32], (Kind::Int64, device));
        let batch = Batch::new(images_nchw, targets_nhw, Vec::new());
        Ok(Self { store, model, loss_fn, optimizer, batch })
    }

    /// Makes one step and returns its seconds, with the device's work.
    pub fn step(&mut self) -> Outcome<f64> {
        let start = Instant::now();
        let outputs = self.model.forward_t(&self.batch.inputs, true).into();
        let loss = self.loss_fn.loss(&outputs, &self.batch)?;
        self.optimizer.minimize(&loss, &|| self.loss_fn.weight(&outputs, &self.batch))?;
        loss.f_double_value(&[])?;
        Ok(start.elapsed().as_secs_f64())
    }

    pub fn steps(&mut self, count: usize) -> Outcome<Vec<f64>> {
        (0..count).map(|_| self.step()).collect()
    }

    /// Returns the states that a checkpoint holds; training goes on to change these tensors.
    pub fn states(&self) -> BTreeMap<String, StateDict> {
        [("model".into(), self.store.state()), ("optimizer".into(), self.optimizer.state())].into()
    }
}
