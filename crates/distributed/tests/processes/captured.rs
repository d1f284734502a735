//! Captured steps of several ranks are those made operator by operator, to the bit, and all ranks capture alike.

use crate::launch::{join, run, say};
use contract::{
    Agree, Batch, Batches, Capture, CaptureError, Event, IGNORE_INDEX, Input, Plain, Progress, Ranks, Share, Stage,
    StateDict, Stateful, Step, TorchError,
};
use distributed::{AcrossRanks, Compression, Distributed, Group, Reduced};
use executors::Trainer;
use metric::Segmentation;
use model::{Common, Fused, Precision, UNetConfig};
use optim::{GroupConfig, Length, Schedule};
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use testing::noise;
use torch_ext::FakeCapture;

/// Samples of the batches of an epoch, of all ranks together. The last one leaves a third rank none.
const SAMPLES: [i64; 5] = [7, 7, 7, 7, 2];
const EPOCHS: u64 = 5;
const CLASSES: i64 = 3;
const WARM_UP: u32 = 3;
/// Full batches but for the first one, which shows the form, those of the warm-up, and that of the capture.
const REPLAYS: u64 = 4 * EPOCHS - 1 - WARM_UP as u64 - 1;

/// Event in a training, on the last rank alone if it is a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Plain,
    /// Gradients travel in bf16.
    Bf16,
    /// Parameters thaw after two epochs.
    Thaw,
    /// The last batch of an epoch is wanted in histograms, and so is a full one among replays.
    Asked,
    /// A loss is NaN.
    NaN,
    /// A batch among replays lacks a sample.
    Skipped,
    /// No step can be captured.
    Refuses,
    /// The second replay is wrong.
    Wrong,
}

const CASES: [Case; 8] =
    [Case::Plain, Case::Bf16, Case::Thaw, Case::Asked, Case::NaN, Case::Skipped, Case::Refuses, Case::Wrong];

/// A rank's shares of the batches.
struct Shares {
    rank: i64,
    count: i64,
    case: Case,
}

impl Shares {
    fn batch(&self, epoch: u64, index: u64) -> Batch {
        let of = SAMPLES[index as usize];
        let images = noise(&[of, 3, 16, 16], 10 * epoch + index);
        let means = images.mean_dim([1i64].as_slice(), false, Kind::Float);
        let ids = (means * 4.0 + 1.5).clamp(0.0, 2.0).to_kind(Kind::Int64);
        let _ = ids.narrow(0, 0, 1).narrow(1, 0, 9).fill_(IGNORE_INDEX);
        // The first ranks have a sample more.
        let before = |rank: i64| rank * (of / self.count) + rank.min(of % self.count);
        let (first, end) = (before(self.rank), before(self.rank + 1));
        let is_hit = self.rank + 1 == self.count && (epoch, index) == (3, 1);
        let own = end - first - i64::from(is_hit && self.case == Case::Skipped);
        let images = images.narrow(0, first, own);
        let images = if is_hit && self.case == Case::NaN { images.full_like(f64::NAN) } else { images };
        let mut batch = Batch::new(images.copy(), ids.narrow(0, first, own).copy(), vec!["a".into(); own as usize]);
        batch.share = Some(Share { first: first as usize, of: of as usize });
        batch
    }
}

impl Input for Shares {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.len()).map(move |index| Ok(self.batch(epoch, index))))
    }

    fn len(&self) -> u64 {
        SAMPLES.len() as u64
    }
}

/// A capture of one rank.
struct OfRank {
    capture: FakeCapture,
    captures: u64,
    /// True on the rank that has the fault.
    is_hit: bool,
    case: Case,
}

impl Capture for OfRank {
    fn step_if_all(&mut self, step: &mut Step<'_>, all: &mut Agree<'_>) -> Result<Stage, CaptureError> {
        let refuses = self.is_hit && self.case == Case::Refuses;
        let stage = self.capture.step_if_all(step, &mut |own| all(own && !refuses))?;
        self.captures += u64::from(stage == Stage::Capture);
        if self.is_hit && self.case == Case::Wrong && self.capture.replays() == 1 {
            let _ = self.outputs()[0].shallow_clone().g_add_scalar_(0.5);
        }
        Ok(stage)
    }

    fn outputs(&self) -> &[Tensor] {
        self.capture.outputs()
    }

    fn reset(&mut self) -> Result<(), TorchError> {
        self.capture.reset()
    }
}

/// Numbers of a training to the bit, and what was said in it.
struct Trained {
    numbers: Vec<u64>,
    states: BTreeMap<String, StateDict>,
    remarks: Vec<String>,
    warning: Option<String>,
}

fn train(group: &Arc<Group>, case: Case, capture: Option<&mut OfRank>) -> Trained {
    let ranks = || Arc::clone(group) as Arc<dyn Ranks>;
    let (rank, count) = (group.rank() as i64, group.count() as i64);
    tch::manual_seed(7);
    let store = VarStore::new(Device::Cpu);
    let common = Common { dropout: 0.3, precision: Precision::Fp32, fused: Fused::Off, ..Common::default() };
    let network = model::Config::Unet(UNetConfig { width: 4, depth: 2, common, ..UNetConfig::default() });
    let kernels = Fused::Off.kernels(Precision::Fp32);
    let network = network.build_with(&store, 3, CLASSES, kernels, Some(ranks())).unwrap();
    let variables: StateDict = store.variables().into_iter().collect();
    let plain = Plain(network.as_ref());
    let model = Distributed::new(&plain, &variables, group.as_ref()).unwrap();

    let groups = match case {
        Case::Thaw => vec![GroupConfig { parameters: "encoder*".into(), factor: 0.5, frozen_epochs: 2 }],
        _ => Vec::new(),
    };
    let config =
        optim::Config { learning_rate: 0.01, clip_norm: Some(0.3), ema: Some(0.9), groups, ..Default::default() };
    let length = Length { updates_per_epoch: SAMPLES.len() as u64, epochs: EPOCHS };
    let schedule = Schedule { warmup: 5, ..Schedule::default() };
    let optimizer = config.build(contract::parameters(&store), schedule, length).unwrap();
    let optimizer = optimizer.averaging(Stateful::state(&store)).unwrap();
    let asked = optimizer.asked_gradients();
    let compression = if case == Case::Bf16 { Compression::Bf16 } else { Compression::None };
    let optimizer = Reduced::new(optimizer, group, &variables, compression);
    let mut optimizer = optimizer.capturable(capture.is_some());

    let class_weights = Some(vec![0.5, 1.0, 2.0].into());
    let loss = loss::Config { dice: 0.5, class_weights, ..Default::default() }.build(Device::Cpu).unwrap();
    let loss = AcrossRanks::new(loss, ranks());
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let mut metric = AcrossRanks::new(Segmentation::new(classes, Device::Cpu).unwrap(), ranks());
    let input = Shares { rank, count, case };
    let trainer = Trainer::new(&model, &input, &loss, &mut optimizer, &mut metric, EPOCHS);
    let mut trainer = trainer.protect("model", &store);
    if let Some(capture) = capture {
        trainer = trainer.captured_among(capture, group.as_ref());
    }
    let (mut numbers, mut events) = (Vec::new(), 0);
    let mut training = trainer.train(Progress::default());
    let bits = |scalar: &Tensor| scalar.double_value(&[]).to_bits();
    loop {
        // Only the first rank writes histograms.
        if case == Case::Asked && rank == 0 && [4, 16, 19].contains(&events) {
            assert!(asked.take().len() > 9 || events == 4);
            asked.ask();
        }
        match training.next() {
            None => break,
            Some(Err(error)) => panic!("{case:?}: {error}"),
            Some(Ok(Event::Step { loss, update, .. })) => {
                let update = update.unwrap();
                numbers.extend([&loss, &update.gradient_norm, &update.rejected].map(bits));
            }
            Some(Ok(Event::Epoch { scores, .. })) => numbers.extend(scores.iter().map(|(_, score)| score.to_bits())),
        }
        events += 1;
    }
    drop(training);
    let copy = |state: StateDict| state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
    let states = trainer.states().into_iter().map(|(part, state)| (part, copy(state))).collect();
    Trained { numbers, states, remarks: trainer.remarks(), warning: trainer.warning() }
}

fn assert_same(case: Case, captured: &Trained, eager: &Trained) {
    assert_eq!(captured.numbers, eager.numbers, "{case:?}: losses, norms and scores");
    for ((part, captured), eager) in captured.states.iter().zip(eager.states.values()) {
        for ((name, captured), eager) in captured.iter().zip(eager.values()) {
            assert!(captured.equal(eager), "{case:?}: {part} {name}");
        }
    }
}

pub fn rank() {
    let group = Arc::new(join());
    let is_last = group.rank() + 1 == group.count();
    let said = |trained: &Trained, words: &str| trained.remarks.iter().any(|remark| remark.contains(words));
    for case in CASES {
        let eager = train(&group, case, None);
        let mut capture = OfRank { capture: FakeCapture::new(WARM_UP).unwrap(), captures: 0, is_hit: is_last, case };
        let captured = train(&group, case, Some(&mut capture));
        assert_same(case, &captured, &eager);
        assert!(eager.remarks.is_empty() && eager.warning.is_none());

        let proven = said(&captured, "From here on steps are replayed from a capture");
        let OfRank { capture, captures, .. } = capture;
        let made = (captures, capture.replays());
        let say = format!("{case:?}: {made:?}, {:?}", captured.remarks);
        match case {
            Case::Plain | Case::Bf16 | Case::NaN => assert!(proven && made == (1, REPLAYS), "{say}"),
            Case::Thaw => assert!(proven && captures == 2 && made.1 == REPLAYS - u64::from(WARM_UP) - 1, "{say}"),
            // Ranks that replay meet one that does not.
            Case::Skipped => assert!(proven && made == (1, REPLAYS - u64::from(is_last)), "{say}"),
            Case::Asked => assert!(proven && made == (1, REPLAYS - u64::from(group.rank() == 0)), "{say}"),
            Case::Refuses => assert!(made == (0, 0) && said(&captured, "No step is captured"), "{say}"),
            Case::Wrong => {
                assert!(!proven && made == (1, 1), "{say}");
                let found = captured.warning.as_ref().is_some_and(|warning| warning.contains("in the loss ("));
                let told = said(&captured, &format!("rank {} has found a replay that is wrong", group.count() - 1));
                assert_eq!((found, told), (is_last, !is_last), "{say}");
            }
        }
        assert_eq!(captured.warning.is_some(), is_last && case == Case::Wrong);
    }
    say("the same");
}

#[test]
fn captured_steps_of_two_and_three_ranks_are_eager_ones_to_the_bit() {
    for count in [2, 3] {
        assert_eq!(run("captured", count, &[]), vec![vec!["the same"]; count]);
    }
}
