//! The checkpoint store alone, around a loop and an optimizer of one's own: `cargo run -p checkpoint --example own_loop
//! -- FOLDER`. Kill it anywhere and start it again: it ends with the same weights, to the bit.

use checkpoint::{Config, Snapshot, Store};
use contract::{BoxError, Progress, StateDict, StateError, Stateful, load, parameters};
use std::path::Path;
use tch::{Device, Kind, Tensor, nn, nn::Module};

const STEPS: u64 = 400;

/// Gradient descent with momentum. Its velocities decide the next steps, so a checkpoint must hold them.
struct Descent {
    weights: StateDict,
    velocities: StateDict,
}

impl Descent {
    fn new(store: &nn::VarStore) -> Self {
        let weights = parameters(store);
        let velocities = weights.iter().map(|(name, weight)| (name.clone(), weight.detach().zeros_like())).collect();
        Self { weights, velocities }
    }

    fn step(&mut self, loss: &Tensor) {
        loss.backward();
        tch::no_grad(|| {
            for (weight, velocity) in self.weights.values_mut().zip(self.velocities.values_mut()) {
                let mut gradient = weight.grad();
                *velocity *= 0.9;
                *velocity += &gradient;
                *weight -= &*velocity * 0.02;
                let _ = gradient.zero_();
            }
        });
    }
}

/// Two methods make a part one that a checkpoint can keep. `load` checks names, shapes and kinds before it writes.
impl Stateful for Descent {
    fn state(&self) -> StateDict {
        self.velocities.iter().map(|(name, velocity)| (name.clone(), velocity.shallow_clone())).collect()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        load(&self.state(), state)
    }
}

/// Returns points of a curve: a function of the step, so that a resumed training sees the same.
fn batch(step: u64) -> (Tensor, Tensor) {
    let x = ((Tensor::arange(32, (Kind::Float, Device::Cpu)) * 12.9898 + step as f64).sin() * 3.0).unsqueeze(1);
    let y = x.sin();
    (x, y)
}

fn main() -> Result<(), BoxError> {
    let folder = std::env::args().nth(1).ok_or("usage: own_loop FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    tch::manual_seed(1); // the weights to begin with
    let mut variables = nn::VarStore::new(Device::Cpu);
    let root = variables.root();
    let model = nn::seq()
        .add(nn::linear(&root / "a", 1, 32, nn::LinearConfig::default()))
        .add_fn(|x| x.tanh())
        .add(nn::linear(&root / "b", 32, 1, nn::LinearConfig::default()));
    let mut descent = Descent::new(&variables);

    let store = Store::new(folder.join("checkpoints"), &Config::default());
    let (newest, damaged) = store.newest()?;
    damaged.iter().for_each(|checkpoint| eprintln!("{checkpoint}"));
    let mut done = Progress::default();
    if let Some((path, snapshot)) = newest {
        snapshot.restore("model", &mut variables)?;
        snapshot.restore("optimizer", &mut descent)?;
        done = snapshot.progress;
        println!("resumed from {}", path.display());
    }

    while done.step < STEPS {
        let (x, y) = batch(done.step);
        let loss = (model.forward(&x) - y).square().mean(Kind::Float);
        descent.step(&loss);
        done.step += 1;
        if done.step.is_multiple_of(20) {
            // `checkpoint::BackgroundWriter` does this in the background.
            let snapshot = Snapshot::new(done).with("model", &variables).with("optimizer", &descent);
            let path = store.save(&snapshot)?;
            println!("saved {} with a loss of {:.4}", path.display(), loss.double_value(&[]));
        }
    }
    Ok(())
}
