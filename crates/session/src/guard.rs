//! Detects losses and gradients that are not finite, and names the samples they came from.
//!
//! The optimizer has already refused to apply them, silently and on the device; this module reports them. It reads each
//! number once, before a replayed step may overwrite it.

use crate::error::Result;
use contract::{KEPT_STEPS, Progress, TorchError, Update, listed};
use std::collections::VecDeque;
use std::fmt;
use tch::{Device, Kind, Tensor};
use torch_ext::{Download, Downloads};

/// Steps between two looks at a GPU. Each sends for the numbers of these steps, and reads those that the look before it
/// sent for, so that nothing waits for a step that the GPU has not made yet.
const GPU_INTERVAL: u64 = KEPT_STEPS / 2;
/// Maximum number of samples named in a message.
const NAMED: usize = 32;
/// Number of losses before the trouble shown in a message.
const HISTORY: usize = 5;

/// Steps since the last look, and the losses before them.
pub struct Guard {
    device: Device,
    /// Steps whose outcome is not known: nothing of them was read yet, or their gradients wait for the next update.
    steps: Vec<Pending>,
    /// Numbers of the first of these steps, on their way from the device.
    coming: Option<Coming>,
    /// None before the first look.
    downloads: Option<Downloads>,
    history: VecDeque<f32>,
    /// Sum and number of the finite gradient norms since they were last taken.
    norms: (f64, u64),
}

struct Pending {
    /// The batch; its loss is NaN until it was read.
    batch: Suspect,
    /// Loss on the device, until it was read.
    unread: Option<Tensor>,
    update: Option<Update>,
}

/// Losses of steps, then for their updates whether each was rejected, then the gradient norms.
struct Coming {
    values: Download,
    losses: usize,
    updates: usize,
}

/// Result of a look at the device.
#[derive(Debug, Default)]
pub struct Readings {
    /// Loss of the last step that was read; `None` if none was.
    pub loss: Option<f64>,
    /// Progress after that step.
    pub at: Progress,
    /// Gradient norm of the last update among these steps.
    pub gradient_norm: Option<f64>,
    /// Learning rate of that update.
    pub learning_rate: Option<f64>,
    /// Rejected updates.
    pub troubles: Vec<Trouble>,
}

/// An update that was rejected because the loss or its gradient was not finite.
#[derive(Debug)]
pub struct Trouble {
    /// Batches that may have caused it: those whose loss is not finite, or else all that went into the gradient.
    pub suspects: Vec<Suspect>,
    /// Losses of the preceding steps, oldest first.
    pub history: Vec<f32>,
    /// Gradient norm.
    pub gradient_norm: f32,
    /// Learning rate that would have been used.
    pub learning_rate: f64,
}

/// A batch that may have caused trouble.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// Progress of training after the batch.
    pub at: Progress,
    /// Names of its samples.
    pub names: Vec<String>,
    /// Its loss.
    pub loss: f32,
}

impl Trouble {
    /// Returns the first suspected step.
    pub fn step(&self) -> u64 {
        self.suspects.first().map_or(0, |suspect| suspect.at.step)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |losses: &mut dyn Iterator<Item = f32>| losses.map(|loss| loss.to_string()).collect::<Vec<_>>().join(", ");
        let names: Vec<&str> = self.suspects.iter().flat_map(|step| step.names.iter().map(String::as_str)).collect();
        write!(f, "step {}: the loss or its gradient is not finite (loss ", self.step())?;
        write!(f, "{}", list(&mut self.suspects.iter().map(|suspect| suspect.loss)))?;
        if !self.history.is_empty() {
            write!(f, " after {}", list(&mut self.history.iter().copied()))?;
        }
        write!(f, ", gradient norm {}, learning rate {:e}; ", self.gradient_norm, self.learning_rate)?;
        write!(f, "samples: {})", listed(names, NAMED))
    }
}

impl Guard {
    /// Creates a guard for training on `device`.
    pub fn new(device: Device) -> Self {
        let (steps, history) = (Vec::new(), VecDeque::new());
        Self { device, steps, coming: None, downloads: None, history, norms: (0.0, 0) }
    }

    /// Returns the mean of the finite gradient norms that were read since the last call.
    pub fn take_gradient_norm(&mut self) -> f64 {
        let (sum, count) = std::mem::take(&mut self.norms);
        sum / count as f64
    }

    /// Records a step. Reads the numbers of all steps so far on a CPU, and wherever `look` is set. On a GPU it reads
    /// older ones, every `GPU_INTERVAL` steps.
    pub fn step(
        &mut self,
        at: Progress,
        names: Vec<String>,
        loss: Tensor,
        update: Option<Update>,
        look: bool,
    ) -> Result<Readings> {
        self.steps.push(Pending { batch: Suspect { at, names, loss: f32::NAN }, unread: Some(loss), update });
        if look || self.device == Device::Cpu {
            return self.look();
        }
        if !at.step.is_multiple_of(GPU_INTERVAL) {
            return Ok(Readings::default());
        }
        let readings = self.read()?;
        if !readings.troubles.is_empty() {
            // Nothing is done about a trouble before the later steps are known too: they may have the same.
            return self.read_all(readings);
        }
        self.send_for()?;
        Ok(readings)
    }

    /// Records the end of an epoch, with the update that it may have made, and looks at the device.
    pub fn epoch(&mut self, update: Option<Update>) -> Result<Readings> {
        if let Some(last) = self.steps.last_mut().filter(|last| last.update.is_none()) {
            last.update = update;
        }
        self.look()
    }

    /// Reads the numbers of all steps. Keeps steps whose gradients wait for the next update.
    fn look(&mut self) -> Result<Readings> {
        let older = self.read()?;
        self.read_all(older)
    }

    /// Reads the numbers of all steps after the `older` ones.
    fn read_all(&mut self, older: Readings) -> Result<Readings> {
        self.send_for()?;
        let mut readings = self.read()?;
        if readings.loss.is_none() {
            (readings.loss, readings.at) = (older.loss, older.at);
        }
        readings.gradient_norm = readings.gradient_norm.or(older.gradient_norm);
        readings.learning_rate = readings.learning_rate.or(older.learning_rate);
        readings.troubles.splice(0..0, older.troubles);
        Ok(readings)
    }

    /// Sends for the numbers of all steps, once those that were sent for before are read.
    fn send_for(&mut self) -> Result<()> {
        let losses: Vec<&Tensor> = self.steps.iter().filter_map(|step| step.unread.as_ref()).collect();
        let updates: Vec<&Update> = self.steps.iter().filter_map(|step| step.update.as_ref()).collect();
        let rejected = updates.iter().map(|update| &update.rejected);
        let norms = updates.iter().map(|update| &update.gradient_norm);
        let all: Vec<&Tensor> = losses.iter().copied().chain(rejected).chain(norms).collect();
        let Some(all) = together(&all)? else { return Ok(()) };
        let downloads = match &mut self.downloads {
            Some(downloads) => downloads,
            none => none.insert(Downloads::new(all.device())?),
        };
        let values = downloads.download(&all)?;
        self.coming = Some(Coming { values, losses: losses.len(), updates: updates.len() });
        Ok(())
    }

    /// Reads the numbers that were sent for.
    fn read(&mut self) -> Result<Readings> {
        let Some(Coming { values, losses, updates }) = self.coming.take() else { return Ok(Readings::default()) };
        let values = values.read::<f32>()?;
        let (losses, outcomes) = values.split_at(losses);
        let (rejected, norms) = outcomes.split_at(updates);
        for norm in norms.iter().filter(|norm| norm.is_finite()) {
            self.norms = (self.norms.0 + f64::from(*norm), self.norms.1 + 1);
        }
        let mut readings = Readings {
            loss: losses.last().map(|loss| f64::from(*loss)),
            gradient_norm: norms.last().map(|norm| f64::from(*norm)),
            ..Readings::default()
        };
        let unread = self.steps.iter_mut().filter_map(|step| step.unread.take().map(|_| &mut step.batch));
        // In this order: no step after them is taken for read.
        for (loss, batch) in losses.iter().zip(unread) {
            (batch.loss, readings.at) = (*loss, batch.at);
        }
        let mut outcomes = rejected.iter().zip(norms);
        let mut window = 0;
        for index in 0..self.steps.len() {
            let Some(update) = &self.steps[index].update else { continue };
            // An update that was made after the numbers were sent for, from gradients that waited.
            let Some((rejected, norm)) = outcomes.next() else { break };
            let of_window = window..=index;
            window = index + 1;
            readings.learning_rate = Some(update.learning_rate);
            // Not "is 1": an unexpected value counts as a rejection.
            if *rejected == 0.0 {
                self.history.extend(self.steps[of_window].iter().map(|step| step.batch.loss));
                while self.history.len() > HISTORY {
                    self.history.pop_front();
                }
            } else {
                readings.troubles.push(self.trouble(&self.steps[of_window], *norm, update.learning_rate));
            }
        }
        self.steps.drain(..window);
        Ok(readings)
    }

    fn trouble(&self, steps: &[Pending], gradient_norm: f32, learning_rate: f64) -> Trouble {
        let batches = || steps.iter().map(|step| &step.batch);
        let any_loss = batches().any(|batch| !batch.loss.is_finite());
        let suspects = batches().filter(|batch| !any_loss || !batch.loss.is_finite()).cloned().collect();
        Trouble { suspects, history: self.history.iter().copied().collect(), gradient_norm, learning_rate }
    }
}

/// Returns scalars as one tensor, if there are any.
fn together(scalars: &[&Tensor]) -> std::result::Result<Option<Tensor>, TorchError> {
    let Some(first) = scalars.first() else { return Ok(None) };
    let near = |scalar: &&Tensor| scalar.f_to_device(first.device())?.f_to_kind(Kind::Float)?.f_reshape([0i64; 0]);
    let scalars = scalars.iter().map(near).collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Some(Tensor::f_stack(&scalars, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(guard: &mut Guard, step: u64, loss: f32, rejected: Option<f32>) -> Readings {
        let update = rejected.map(|rejected| Update::new(1e-3, Tensor::from(f32::NAN), Tensor::from(rejected)));
        let at = Progress { step, ..Progress::default() };
        guard.step(at, vec![format!("sample{step}")], Tensor::from(loss), update, false).unwrap()
    }

    #[test]
    fn a_rejected_update_names_step_samples_learning_rate_and_the_losses_before() {
        let mut guard = Guard::new(Device::Cpu);
        for (step, loss) in [(1, 0.5), (2, 0.25)] {
            let readings = take(&mut guard, step, loss, Some(0.0));
            assert_eq!((readings.loss, readings.troubles.len()), (Some(f64::from(loss)), 0));
        }
        let readings = take(&mut guard, 3, f32::NAN, Some(1.0));
        let said = readings.troubles[0].to_string();
        assert!(said.starts_with("step 3:"), "{said}");
        for part in ["loss NaN after 0.5, 0.25,", "learning rate 1e-3", "samples: sample3)"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(take(&mut guard, 4, 0.4, Some(0.0)).troubles.is_empty(), "said once");
    }

    #[test]
    fn of_accumulated_batches_the_bad_one_is_named() {
        let mut guard = Guard::new(Device::Cpu);
        for (step, loss) in [(1, 0.5), (2, f32::INFINITY), (3, 0.4)] {
            assert!(take(&mut guard, step, loss, None).troubles.is_empty());
        }
        let said = take(&mut guard, 4, 0.3, Some(1.0)).troubles[0].to_string();
        assert!(said.starts_with("step 2:") && said.contains("samples: sample2)"), "{said}");
    }

    #[test]
    fn where_only_the_gradient_is_bad_all_its_batches_are_suspects() {
        let mut guard = Guard::new(Device::Cpu);
        take(&mut guard, 1, 0.5, None);
        let said = take(&mut guard, 2, 0.4, Some(1.0)).troubles[0].to_string();
        assert!(said.starts_with("step 1:") && said.contains("samples: sample1, sample2)"), "{said}");
    }

    /// Tensors of steps, which are overwritten as early as they may be.
    #[derive(Default)]
    struct Ring(VecDeque<Vec<Tensor>>);

    impl Ring {
        fn add(&mut self, tensors: Vec<Tensor>) {
            self.0.push_back(tensors);
            if self.0.len() as u64 > KEPT_STEPS + 1 {
                // Neither a loss nor a norm, and a rejection.
                self.0.pop_front().unwrap().into_iter().for_each(|mut tensor| drop(tensor.fill_(1e9)));
            }
        }
    }

    #[test]
    fn what_a_replay_overwrites_was_read_before_also_where_an_update_takes_longer() {
        for accumulate in [1, 3, 19, 20, 21, 64, 150] {
            for look in [0, 7, 33] {
                let said = |ring: &mut Option<Ring>| {
                    let mut guard = Guard::new(Device::Cuda(0));
                    let mut said = Vec::new();
                    // It may have resumed anywhere.
                    for step in 5..205u64 {
                        let loss = Tensor::from(if step == 77 { f32::INFINITY } else { step as f32 });
                        let update = step.is_multiple_of(accumulate).then(|| {
                            let rejected = f32::from((77..77 + accumulate).contains(&step));
                            Update::new(1e-3, Tensor::from(step as f32), Tensor::from(rejected))
                        });
                        if let Some(ring) = ring {
                            let of_update = update.iter().flat_map(|update| [&update.gradient_norm, &update.rejected]);
                            ring.add(of_update.chain([&loss]).map(Tensor::shallow_clone).collect());
                        }
                        let at = Progress { step, ..Progress::default() };
                        let names = vec![format!("sample{step}")];
                        let asked = look != 0 && step.is_multiple_of(look);
                        said.push(format!("{:?}", guard.step(at, names, loss, update, asked).unwrap()));
                    }
                    let left_over = Update::new(1e-3, Tensor::from(0.5f32), Tensor::from(1f32));
                    said.push(format!("{:?}", guard.epoch(Some(left_over)).unwrap()));
                    said.push(guard.take_gradient_norm().to_string());
                    said
                };
                assert_eq!(said(&mut Some(Ring::default())), said(&mut None), "{accumulate} batches an update");
            }
        }
    }

    #[test]
    fn the_numbers_of_a_gpu_are_read_a_look_later_and_all_where_it_is_asked_for() {
        let mut guard = Guard::new(Device::Cuda(0));
        let rejected = |step: u64| f32::from(step == 2 * GPU_INTERVAL + 3);
        for step in 1..2 * GPU_INTERVAL {
            let readings = take(&mut guard, step, step as f32, Some(rejected(step)));
            assert!(readings.loss.is_none() && readings.troubles.is_empty(), "step {step} waited for the device");
        }
        let readings = take(&mut guard, 2 * GPU_INTERVAL, 0.25, Some(0.0));
        assert_eq!((readings.loss, readings.at.step), (Some(GPU_INTERVAL as f64), GPU_INTERVAL));
        assert_eq!((readings.learning_rate, readings.troubles.len()), (Some(1e-3), 0));
        assert_eq!(guard.steps.len() as u64, GPU_INTERVAL, "those that were sent for last");
        for step in 2 * GPU_INTERVAL + 1..2 * GPU_INTERVAL + 4 {
            assert_eq!(take(&mut guard, step, 0.5, Some(rejected(step))).loss, None);
        }
        let at = Progress { step: 2 * GPU_INTERVAL + 4, ..Progress::default() };
        let readings = guard.step(at, vec![], Tensor::from(2f32), None, true).unwrap();
        assert_eq!((readings.loss, readings.at, readings.troubles.len()), (Some(2.0), at, 1));
        assert_eq!(readings.troubles[0].step(), 2 * GPU_INTERVAL + 3);
        // Its gradient waits; the end of the epoch makes the update.
        let update = Update::new(1e-3, Tensor::from(0.5f32), Tensor::from(1f32));
        assert_eq!(guard.epoch(Some(update)).unwrap().troubles[0].step(), at.step);
        assert!(guard.steps.is_empty());
    }

    #[test]
    fn an_update_from_gradients_that_waited_belongs_to_a_step_that_was_sent_for() {
        let mut guard = Guard::new(Device::Cuda(0));
        for step in 1..=GPU_INTERVAL {
            take(&mut guard, step, 0.5, (step % 4 == 0).then_some(0.0));
        }
        let update = Update::new(1e-3, Tensor::from(0.5f32), Tensor::from(1f32));
        let readings = guard.epoch(Some(update)).unwrap();
        assert_eq!((readings.loss, readings.gradient_norm), (Some(0.5), Some(0.5)));
        assert_eq!((readings.troubles.len(), readings.troubles[0].step()), (1, 9));
    }

    #[test]
    fn with_a_trouble_of_a_gpu_all_later_ones_are_read() {
        let mut guard = Guard::new(Device::Cuda(0));
        let rejected = |step: u64| f32::from(step == 7 || step == GPU_INTERVAL + 2);
        for step in 1..2 * GPU_INTERVAL {
            assert!(take(&mut guard, step, 0.5, Some(rejected(step))).troubles.is_empty());
        }
        let readings = take(&mut guard, 2 * GPU_INTERVAL, 0.5, Some(0.0));
        let steps: Vec<u64> = readings.troubles.iter().map(Trouble::step).collect();
        assert_eq!((steps, readings.at.step), (vec![7, GPU_INTERVAL + 2], 2 * GPU_INTERVAL));
        assert!(guard.steps.is_empty());
    }
}
