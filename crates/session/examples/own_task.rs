//! A task of one's own, as a run that cannot be lost: depth from pictures, with a model, data, a loss and a metric that
//! this file defines. `cargo run -p session --example own_task -- runs/depth`; `docs/own_task.md` walks through it.

use contract::{Batch, Batches, BoxError, Input, Metric, Outputs, Scores, StateDict, StateError, Stateful, load};
use executors::{Trainer, Validator};
use optim::{Length, Schedule};
use session::{Opened, Outcome, RESUMABLE, Reached, Session, Settings, Show, Signals};
use std::path::Path;
use std::process::ExitCode;
use tch::{Device, Kind, Tensor, nn, nn::ModuleT};

const EPOCHS: u64 = 3;
const SIZE: i64 = 32;
const BATCH: i64 = 4;

/// Pictures of a hilly ground and the depth of each pixel: a function of the place, so that a resumed epoch sees the
/// same.
struct Hills {
    seed: u64,
    batches: u64,
}

impl Input for Hills {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.batches).map(move |batch| {
            let place = (self.seed + epoch * self.batches + batch) as f64;
            let ramp = |values: i64| Tensor::arange(values, (Kind::Float, Device::Cpu));
            let phases = ramp(BATCH).view([-1, 1, 1]) * 1.7 + place;
            let across = (ramp(SIZE).view([1, 1, -1]) * 0.3 + phases).sin();
            let depths = ramp(SIZE).view([1, -1, 1]) / SIZE as f64 + across * 0.2 + 1.0;
            let grain = (ramp(BATCH * SIZE * SIZE).view([BATCH, SIZE, SIZE]) * 78.233 + place).sin() * 0.05;
            let inputs = ((-&depths).exp() + grain).unsqueeze(1);
            Ok(Batch::new(inputs, depths, (0..BATCH).map(|sample| format!("{place}.{sample}")).collect()))
        }))
    }

    fn len(&self) -> u64 {
        self.batches
    }
}

/// Mean loss and mean absolute error: sums that a checkpoint keeps.
struct DepthError(Tensor);

impl Metric for DepthError {
    fn reset(&mut self) {
        let _ = self.0.zero_();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Outputs, batch: &Batch) -> Result<(), BoxError> {
        let error = (outputs.prediction.squeeze_dim(1) - &batch.targets).abs().mean(Kind::Double);
        self.0 += Tensor::stack(&[loss.to_kind(Kind::Double), error, Tensor::from(1.0)], 0) * BATCH as f64;
        Ok(())
    }

    fn compute(&self) -> Result<Scores, BoxError> {
        let sums = Vec::<f64>::try_from(&self.0)?;
        Ok([("loss", sums[0]), ("mean_absolute_error", sums[1])].map(|(name, sum)| (name.into(), sum / sums[2])).into())
    }
}

impl Stateful for DepthError {
    fn state(&self) -> StateDict {
        [("sums".to_string(), self.0.shallow_clone())].into()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        load(&self.state(), state)
    }
}

fn model(store: &nn::VarStore) -> impl ModuleT {
    let same = nn::ConvConfig { padding: 1, ..Default::default() };
    nn::seq_t()
        .add(nn::conv2d(store.root() / "a", 1, 16, 3, same))
        .add(nn::batch_norm2d(store.root() / "norm", 16, Default::default()))
        .add_fn(|x| x.relu())
        .add(nn::conv2d(store.root() / "b", 16, 1, 3, same))
}

fn main() -> Result<ExitCode, BoxError> {
    let signals = Signals::listen()?;
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).format_target(false).init();
    let folder = std::env::args().nth(1).ok_or("usage: own_task FOLDER")?;
    let folder = Path::new(&folder);
    tch::manual_seed(1);

    let (store, error) =
        (nn::VarStore::new(Device::Cpu), || DepthError(Tensor::zeros([3], (Kind::Double, Device::Cpu))));
    let (model, training_data, validation_data) =
        (model(&store), Hills { seed: 0, batches: 60 }, Hills { seed: 7, batches: 8 });
    let loss_fn = |outputs: &Tensor, depths: &Tensor| -> Result<Tensor, BoxError> {
        Ok(outputs.squeeze_dim(1).smooth_l1_loss(depths, tch::Reduction::Mean, 0.1))
    };
    let config = optim::Config { clip_norm: Some(0.5), ..optim::Config::default() };
    let length = Length { updates_per_epoch: training_data.len(), epochs: EPOCHS };
    let mut optimizer = config.build(contract::parameters(&store), Schedule::default(), length)?;
    let (mut metric, mut scores) = (error(), error());

    let mut settings =
        Settings { show: Show { samples: [240, 32], batch_size: 4, ..Show::default() }, ..Settings::default() };
    (settings.checkpoint.best, settings.checkpoint.mode) = ("mean_absolute_error".into(), checkpoint::Mode::Min);
    settings.save.every_steps = Some(25);
    let mut opened = Opened::open(folder)?;
    let trainer = Trainer::new(&model, &training_data, &loss_fn, &mut optimizer, &mut metric, EPOCHS);
    let mut trainer = trainer.protect("model", &store);
    let (mut session, mut training) = Session::begin(&mut opened, settings, &signals, &mut trainer)?;
    std::fs::write(folder.join("config.json"), format!("{{\"train\": {{\"epochs\": {EPOCHS}}}}}"))?;
    while let Some(reached) = session.next(&mut training)? {
        if let Reached::Epoch { scores: of_training, .. } = reached {
            let mut validator = Validator::new(&model, &validation_data, &loss_fn, &mut scores);
            session.validate(&mut training, |watch| validator.test(watch))?;
            session.epoch(&mut training, &of_training)?;
        }
        if session.settle(&mut training)?.is_break() {
            break;
        }
    }
    let outcome = session.finish(&mut training)?;
    let run = report::Run::read(folder)?;
    report::Report { run, compare: Vec::new() }.write(&folder.join("report.html"))?;
    Ok(if outcome == Outcome::Finished { ExitCode::SUCCESS } else { ExitCode::from(RESUMABLE) })
}
