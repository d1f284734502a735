//! Distillation: a small network learns from a large one, where only a few pixels have a label. Two networks, one loop:
//! `cargo run -p executors --example distill`

use contract::{Batch, Batches, BoxError, IGNORE_INDEX, Input, Loss, Model, Outputs, Progress};
use executors::{Trainer, Validator};
use optim::{Length, Schedule};
use std::ops::ControlFlow;
use tch::{Device, Kind, Reduction, Tensor, nn, nn::ModuleT};

const EPOCHS: u64 = 6;
const TEMPERATURE: f64 = 2.0;

/// Noise: which pixels are brighter than their surroundings? One pixel in `labelled_every` has a label.
pub struct Noise {
    batches: u64,
    labelled_every: i64,
}

impl Input for Noise {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.batches).map(move |index| {
            let seed = (epoch * self.batches + index) as f64;
            let ramp = Tensor::arange(4 * 16 * 16, (Kind::Float, Device::Cpu));
            let inputs = ((&ramp * 12.9898 + seed).sin() * 43758.5453).frac().abs().reshape([4, 1, 16, 16]);
            let surroundings = inputs.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None::<i64>);
            let classes = inputs.gt_tensor(&surroundings).squeeze_dim(1).to_kind(Kind::Int64);
            let hidden = ramp.remainder(self.labelled_every as f64).not_equal(0).reshape([4, 16, 16]);
            let names = (0..4).map(|i| format!("{index}.{i}")).collect();
            Ok(Batch::new(inputs, classes.masked_fill(&hidden, IGNORE_INDEX), names))
        }))
    }

    fn len(&self) -> u64 {
        self.batches
    }
}

/// Makes a network of `width` channels in `store`.
pub fn network(store: &nn::VarStore, width: i64) -> impl ModuleT {
    let same = nn::ConvConfig { padding: 1, ..Default::default() };
    nn::seq_t()
        .add(nn::conv2d(store.root() / "a", 1, width, 3, same))
        .add(nn::batch_norm2d(store.root() / "norm", width, Default::default()))
        .add_fn(|x| x.relu())
        .add(nn::conv2d(store.root() / "b", width, 2, 1, Default::default()))
}

/// Student and teacher as one network. The student gives the prediction; the teacher's logits stand beside it in
/// training, for the loss.
pub struct Pair<'m> {
    /// Network that is trained.
    pub student: &'m dyn ModuleT,
    /// Network that it learns from.
    pub teacher: &'m dyn ModuleT,
}

impl Model for Pair<'_> {
    fn outputs(&self, batch: &Batch, train: bool) -> Outputs {
        let prediction = self.student.forward_t(&batch.inputs, train);
        // Without gradients, and in evaluation mode, which leaves the teacher's running statistics as they are.
        let teacher = train.then(|| tch::no_grad(|| self.teacher.forward_t(&batch.inputs, false)));
        Outputs::new(prediction, teacher.into_iter().collect())
    }
}

/// Cross entropy where there are labels, and in training the divergence from the teacher in all pixels, both softened
/// by a temperature (Hinton, Vinyals and Dean 2015, arXiv 1503.02531).
pub struct Distillation;

impl Loss for Distillation {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let labelled = loss::CrossEntropy::default().loss(outputs, batch)?;
        let Some(teacher) = outputs.auxiliary.first() else { return Ok(labelled) };
        let soft = |logits: &Tensor| (logits / TEMPERATURE).f_log_softmax(1, Kind::Float);
        let divergence = soft(&outputs.prediction)?.f_kl_div(&soft(teacher)?, Reduction::Sum, true)?;
        let pixels = batch.targets.numel() as f64;
        Ok(labelled + divergence * (TEMPERATURE * TEMPERATURE / pixels))
    }
}

/// Trains the variables in `store`, and returns loss and mean IoU on other data.
pub fn train(
    model: &dyn Model,
    store: &nn::VarStore,
    loss_fn: &dyn Loss,
    labelled_every: i64,
) -> Result<[f64; 2], BoxError> {
    let (data, others) = (Noise { batches: 20, labelled_every }, Noise { batches: 7, labelled_every: 1 });
    let config = optim::Config { learning_rate: 0.01, ..optim::Config::default() };
    let length = Length { updates_per_epoch: data.len(), epochs: EPOCHS };
    let mut optimizer = config.build(contract::parameters(store), Schedule::default(), length)?;
    let mut metric = metric::Segmentation::new(vec!["darker".into(), "brighter".into()], Device::Cpu)?;
    let mut trainer = Trainer::new(model, &data, loss_fn, &mut optimizer, &mut metric, EPOCHS).protect("model", store);
    trainer.train(Progress::default()).try_for_each(|event| event.map(drop))?;
    let mut validator = Validator::new(model, &others, loss_fn, &mut metric);
    let scores = validator.test(|_| ControlFlow::Continue(()))?.unwrap_or_default();
    Ok(["loss", "mean_iou"].map(|wanted| scores.iter().find(|(name, _)| name == wanted).map_or(f64::NAN, |s| s.1)))
}

/// Trains a teacher, a student without it, and a student with it.
pub fn main() -> Result<(), BoxError> {
    tch::manual_seed(1);
    let stores = [(); 3].map(|()| nn::VarStore::new(Device::Cpu));
    let (teacher, alone, student) = (network(&stores[0], 16), network(&stores[1], 4), network(&stores[2], 4));
    let labelled = loss::CrossEntropy::default();
    println!("teacher, all pixels labelled: mean IoU {:.3}", train(&teacher, &stores[0], &labelled, 1)?[1]);
    println!("student alone, one in 100: mean IoU {:.3}", train(&alone, &stores[1], &labelled, 100)?[1]);
    let pair = Pair { student: &student, teacher: &teacher };
    println!("student with the teacher: mean IoU {:.3}", train(&pair, &stores[2], &Distillation, 100)?[1]);
    Ok(())
}
