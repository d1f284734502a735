//! Fine-tuning: a new head on the encoder of an earlier run, which stays frozen for two epochs and is trained slowly
//! afterwards. `cargo run -p session --example finetune -- runs/finetune`
//!
//! The earlier run is made here too: it tells two widths of stripes apart. The later one has three classes.

use contract::{Batch, Batches, BoxError, Input, StateDict, Stateful, parameters};
use executors::{Trainer, Validator};
use optim::{GroupConfig, Length, Schedule};
use session::{Opened, Outcome, RESUMABLE, Reached, Session, Settings, Signals};
use std::path::Path;
use std::process::ExitCode;
use tch::{Device, Kind, Tensor, nn, nn::Module, nn::ModuleT};

const EPOCHS: u64 = 4;
const FROZEN_EPOCHS: u64 = 2;
const SIZE: i64 = 32;
const BATCH: i64 = 4;

/// Batches of pictures of stripes, whose width is the class of the pixel.
struct Stripes {
    classes: i64,
    batches: u64,
}

impl Input for Stripes {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.batches).map(move |batch| {
            let place = (epoch * self.batches + batch) as f64;
            let ramp = |values: i64| Tensor::arange(values, (Kind::Float, Device::Cpu));
            let (down, across) = (ramp(SIZE).view([1, -1, 1]), ramp(SIZE).view([1, 1, -1]));
            let phases = ramp(BATCH).view([-1, 1, 1]) * 7.0 + place * 3.0;
            let classes = ((&down + &across + &phases) / 16.0).floor().remainder(self.classes as f64);
            let inputs = ((down - across) * (&classes + 1.0) * 0.8 + phases).sin().unsqueeze(1);
            let names = (0..BATCH).map(|sample| format!("{place}.{sample}")).collect();
            Ok(Batch::new(inputs, classes.to_kind(Kind::Int64), names))
        }))
    }

    fn len(&self) -> u64 {
        self.batches
    }
}

/// An encoder, and a head that gives logits.
#[derive(Debug)]
struct Network {
    convolution: nn::Conv2D,
    norm: nn::BatchNorm,
    head: nn::Conv2D,
}

impl Network {
    fn new(store: &nn::VarStore, classes: i64) -> Self {
        let (encoder, same) = (store.root() / "encoder", nn::ConvConfig { padding: 2, ..Default::default() });
        Self {
            convolution: nn::conv2d(&encoder / "convolution", 1, 12, 5, same),
            norm: nn::batch_norm2d(&encoder / "norm", 12, Default::default()),
            head: nn::conv2d(store.root() / "head", 12, classes, 5, same),
        }
    }
}

impl ModuleT for Network {
    /// While the encoder is frozen, BatchNorm normalises with its running statistics and leaves them as they are.
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let is_frozen = !self.convolution.ws.requires_grad();
        let x = self.norm.forward_t(&self.convolution.forward(x), train && !is_frozen);
        self.head.forward(&x.relu())
    }
}

/// Trains a network in `folder`, from the checkpoint there if there is one. Returns false if a signal stopped it.
fn train(
    folder: &Path,
    signals: &Signals,
    (network, store): (&Network, &nn::VarStore),
    classes: &[&str],
    groups: Vec<GroupConfig>,
) -> Result<bool, BoxError> {
    let [training_data, validation_data] = [30, 4].map(|batches| Stripes { classes: classes.len() as i64, batches });
    let loss_fn = loss::CrossEntropy::default();
    let config = optim::Config { learning_rate: 0.01, groups, ..optim::Config::default() };
    let length = Length { updates_per_epoch: training_data.len(), epochs: EPOCHS };
    let mut optimizer = config.build(parameters(store), Schedule::default(), length)?;
    let metric = || metric::Segmentation::new(classes.iter().map(|class| class.to_string()).collect(), Device::Cpu);
    let (mut metric, mut scores) = (metric()?, metric()?);

    let mut opened = Opened::open(folder)?;
    let trainer = Trainer::new(network, &training_data, &loss_fn, &mut optimizer, &mut metric, EPOCHS);
    let mut trainer = trainer.protect("model", store);
    let (mut session, mut training) = Session::begin(&mut opened, Settings::default(), signals, &mut trainer)?;
    while let Some(reached) = session.next(&mut training)? {
        if let Reached::Epoch { scores: of_training, .. } = reached {
            let mut validator = Validator::new(network, &validation_data, &loss_fn, &mut scores);
            session.validate(&mut training, |watch| validator.test(watch))?;
            session.epoch(&mut training, &of_training)?;
        }
        if session.settle(&mut training)?.is_break() {
            break;
        }
    }
    Ok(session.finish(&mut training)? == Outcome::Finished)
}

fn main() -> Result<ExitCode, BoxError> {
    let signals = Signals::listen()?;
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).format_target(false).init();
    let folder = std::env::args().nth(1).ok_or("usage: finetune FOLDER")?;
    let (earlier, later) = (Path::new(&folder).join("earlier"), Path::new(&folder).join("later"));
    tch::manual_seed(1);

    let store = nn::VarStore::new(Device::Cpu);
    if !train(&earlier, &signals, (&Network::new(&store, 2), &store), &["wide", "narrow"], Vec::new())? {
        return Ok(ExitCode::from(RESUMABLE));
    }

    let store = nn::VarStore::new(Device::Cpu);
    let network = Network::new(&store, 3);
    let opened = Opened::open(&earlier)?;
    let (_, checkpoint) = opened.checkpoint().ok_or("the earlier run has no checkpoint")?;
    // All tensors of the encoder, and nothing else. If the later run resumes, those of its own checkpoint replace them.
    let encoder = |state: &StateDict| -> StateDict {
        let named = state.iter().filter(|(name, _)| name.starts_with("encoder."));
        named.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    };
    contract::load(&encoder(&store.state()), &encoder(&checkpoint.states["model"]))?;
    let slower = GroupConfig { parameters: "encoder.*".into(), factor: 0.1, frozen_epochs: FROZEN_EPOCHS };
    let classes = ["wide", "middle", "narrow"];
    let is_finished = train(&later, &signals, (&network, &store), &classes, vec![slower])?;
    Ok(if is_finished { ExitCode::SUCCESS } else { ExitCode::from(RESUMABLE) })
}
