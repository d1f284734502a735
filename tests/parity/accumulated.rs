//! Batches with different numbers of ignored pixels that make one update together, against one step on all of them.

use super::{Recorded, assert_close, cases};
use contract::{Batch, Batches, Event, Input, Progress};
use executors::Trainer;
use metric::Segmentation;
use optim::{Length, Schedule};
use serde::Deserialize;
use tch::{Device, Tensor, nn};

#[derive(Deserialize)]
struct Case {
    optimizer: optim::Config,
    loss: loss::Config,
}

impl Input for Recorded {
    fn epoch(&self, _: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.len()).map(|batch| {
            let inputs = self.get(&format!("inputs.{batch}"));
            let names = vec![String::new(); inputs.size()[0] as usize];
            Ok(Batch::new(inputs, self.get(&format!("targets.{batch}")), names))
        }))
    }

    fn len(&self) -> u64 {
        5
    }
}

#[test]
fn accumulated_batches_make_the_update_of_one_large_batch_in_pytorch() {
    let recorded = Recorded::open("accumulated");
    let cases = cases::<Case>("accumulated");
    assert_eq!(cases.len(), 4);
    for (case, Case { optimizer, loss }) in cases {
        let store = nn::VarStore::new(Device::Cpu);
        let mut model = nn::conv2d(store.root(), 3, 4, 1, nn::ConvConfig::default());
        tch::no_grad(|| model.ws.copy_(&recorded.get("start.weight")));
        tch::no_grad(|| model.bs.as_mut().unwrap().copy_(&recorded.get("start.bias")));
        let length = Length { updates_per_epoch: 2, epochs: 1 };
        let mut optimizer = optimizer.build(contract::parameters(&store), Schedule::default(), length).unwrap();
        let classes = ["a", "b", "c", "d"].map(String::from);
        let mut metric = Segmentation::new(classes.into(), Device::Cpu).unwrap();
        let loss_fn = loss.build(Device::Cpu).unwrap();
        let mut trainer = Trainer::new(&model, &recorded, &loss_fn, &mut optimizer, &mut metric, 1);
        let mut norms = Vec::new();
        for event in trainer.train(Progress::default()) {
            let (Event::Step { update, .. } | Event::Epoch { update, .. }) = event.unwrap();
            let Some(update) = update else { continue };
            assert_eq!(update.rejected.double_value(&[]), 0.0, "{case}");
            norms.push(update.gradient_norm);
            for (name, value) in contract::parameters(&store) {
                let name = format!("{case}.after{}.{name}", norms.len());
                assert_close(&name, &value.detach(), &recorded.get(&name));
            }
        }
        assert_close(&case, &Tensor::stack(&norms, 0), &recorded.get(&format!("{case}.norms")));
    }
}
