//! A network's predictions for some samples, kept from the pass that measured it: the first, the worst and the best.

use crate::Counted;
use crate::confusion::{mean_ious, read_tallies};
use crate::tally::Tally;
use contract::{BoxError, StateDict, TorchError};
use tch::{Device, Kind, TchError, Tensor};

/// Names in a state: numbers of samples and their counts by batch, and parts of the kept samples.
const SIZES: &str = "sizes";
const TALLIES: &str = "tallies";
const PARTS: [&str; 3] = ["keys", "numbers", "classes"];

/// Selected samples since creation, kept on the device with their predictions.
#[derive(Debug)]
pub struct Gallery {
    first: Kept,
    worst: Kept,
    best: Kept,
    /// Counts of each batch, `[N, K, 3]` i64, and the scores computed from them, `[N]` f64.
    tallies: Vec<Tensor>,
    scores: Vec<Tensor>,
}

/// A sample and its prediction.
#[derive(Debug)]
pub struct Predicted {
    /// Index of its batch.
    pub batch: u64,
    /// Its index in the batch.
    pub at: u64,
    /// Its mean IoU over the classes in its target or prediction; NaN without valid pixels.
    pub score: f64,
    /// `[H, W]` u8 on the device: the predicted classes of its pixels.
    pub classes: Tensor,
}

/// The `count` samples with the smallest key, the earliest of equal ones. One with a NaN key only for lack of others.
#[derive(Debug)]
struct Kept {
    count: i64,
    /// Keys, indices (of batch and sample, `[k, 2]`) and classes (`[k, H, W]`) of at most `count` samples, sorted by
    /// key.
    tensors: Option<[Tensor; 3]>,
}

impl Gallery {
    /// Creates an empty gallery for the first `first`, the worst `extremes` and the best `extremes` samples.
    pub fn new(first: usize, extremes: usize) -> Self {
        let kept = |count: usize| Kept { count: i64::try_from(count).unwrap_or(i64::MAX), tensors: None };
        Self {
            first: kept(first),
            worst: kept(extremes),
            best: kept(extremes),
            tallies: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// Counts a batch, whose samples must have the size of earlier ones. Does not wait for the device.
    pub fn update(&mut self, counted: &Counted) -> Result<(), BoxError> {
        let _no_grad = tch::no_grad_guard();
        self.f_update(counted).map_err(|error| TorchError::from(error).into())
    }

    fn f_update(&mut self, counted: &Counted) -> Result<(), TchError> {
        let tallies = counted.tallies()?;
        let scores = mean_ious(&tallies)?;
        let places = Tensor::f_arange(scores.size()[0], (Kind::Int64, scores.device()))?;
        let batch = places.f_full_like(self.scores.len() as i64)?;
        let numbers = Tensor::f_stack(&[&batch, &places], 1)?;
        let classes = counted.predicted.f_to_kind(Kind::Uint8)?;
        // Once full, it never changes again.
        if !self.first.is_full() {
            self.first.update(&scores.f_zeros_like()?, &numbers, &classes)?;
        }
        self.worst.update(&scores, &numbers, &classes)?;
        self.best.update(&scores.f_neg()?, &numbers, &classes)?;
        self.scores.push(scores);
        self.tallies.push(tallies);
        Ok(())
    }

    /// Returns all that it holds, by name, for [`Self::merge`].
    pub fn state(&self) -> Result<StateDict, TorchError> {
        let mut state = StateDict::new();
        if !self.scores.is_empty() {
            let sizes: Vec<i64> = self.scores.iter().map(|scores| scores.size()[0]).collect();
            state.insert(SIZES.into(), Tensor::f_from_slice(&sizes)?);
            state.insert(TALLIES.into(), Tensor::f_cat(&self.tallies, 0)?);
        }
        for (name, kept) in [("first", &self.first), ("worst", &self.worst), ("best", &self.best)] {
            let tensors = kept.tensors.iter().flatten().zip(PARTS);
            state.extend(tensors.map(|(tensor, part)| (format!("{name}.{part}"), tensor.shallow_clone())));
        }
        Ok(state)
    }

    /// Becomes the gallery of all `ranks`, given their states in order. In each batch the samples of a rank lie behind
    /// those of the ranks before it, and are counted so from now on.
    pub fn merge(&mut self, ranks: &[StateDict]) -> Result<(), BoxError> {
        let _no_grad = tch::no_grad_guard();
        self.f_merge(ranks).map_err(|error| TorchError::from(error).into())
    }

    fn f_merge(&mut self, ranks: &[StateDict]) -> Result<(), TchError> {
        let on_host = |state: &StateDict, name: &str| match state.get(name) {
            Some(tensor) => tensor.f_to_device(Device::Cpu).map(Some),
            None => Ok(None),
        };
        // Number of samples of the ranks so far, and their counts, by batch.
        let (mut before, mut tallies) = (Vec::<i64>::new(), Vec::<Vec<Tensor>>::new());
        let mut all: [Vec<[Tensor; 3]>; 3] = Default::default();
        for state in ranks {
            let (Some(sizes), Some(own)) = (on_host(state, SIZES)?, on_host(state, TALLIES)?) else { continue };
            let sizes = Vec::<i64>::try_from(sizes)?;
            before.resize(before.len().max(sizes.len()), 0);
            tallies.resize_with(before.len(), Vec::new);
            let offsets = Tensor::f_from_slice(&before)?;
            for (name, all) in ["first", "worst", "best"].into_iter().zip(&mut all) {
                let [keys, numbers, classes] = PARTS.map(|part| on_host(state, &format!("{name}.{part}")));
                let (Some(keys), Some(numbers), Some(classes)) = (keys?, numbers?, classes?) else { continue };
                let batch = numbers.f_select(1, 0)?;
                let at = numbers.f_select(1, 1)?.f_add(&offsets.f_index_select(0, &batch)?)?;
                all.push([keys, Tensor::f_stack(&[&batch, &at], 1)?, classes]);
            }
            for (batch, part) in own.f_split_with_sizes(sizes.as_slice(), 0)?.into_iter().enumerate() {
                before[batch] += sizes[batch];
                tallies[batch].push(part);
            }
        }
        self.tallies = tallies.iter().map(|parts| Tensor::f_cat(parts, 0)).collect::<Result<_, _>>()?;
        self.scores = self.tallies.iter().map(mean_ious).collect::<Result<_, _>>()?;
        for (kept, all) in [&mut self.first, &mut self.worst, &mut self.best].into_iter().zip(all) {
            kept.merge(&all)?;
        }
        Ok(())
    }

    /// Returns the scores of all samples, by batch. Waits for the device.
    pub fn scores(&self) -> Result<Vec<Vec<f64>>, TorchError> {
        self.scores.iter().map(|scores| Ok(Vec::try_from(scores.f_to_device(Device::Cpu)?)?)).collect()
    }

    /// Returns the counts of all samples, class by class, in the order of the batches. Waits for the device.
    pub fn tallies(&self) -> Result<Vec<Vec<Tally>>, TorchError> {
        let batches: Result<Vec<_>, _> = self.tallies.iter().map(read_tallies).collect();
        Ok(batches?.concat())
    }

    /// Returns the first samples. Waits for the device.
    pub fn first(&self) -> Result<Vec<Predicted>, TorchError> {
        self.predicted(&self.first)
    }

    /// Returns the samples with the lowest scores, the worst first. Waits for the device.
    pub fn worst(&self) -> Result<Vec<Predicted>, TorchError> {
        self.scored(&self.worst)
    }

    /// Returns the samples with the highest scores, the best first. Waits for the device.
    pub fn best(&self) -> Result<Vec<Predicted>, TorchError> {
        self.scored(&self.best)
    }

    fn scored(&self, kept: &Kept) -> Result<Vec<Predicted>, TorchError> {
        let mut predicted = self.predicted(kept)?;
        predicted.retain(|predicted| !predicted.score.is_nan());
        Ok(predicted)
    }

    fn predicted(&self, kept: &Kept) -> Result<Vec<Predicted>, TorchError> {
        let Some([_, numbers, classes]) = &kept.tensors else { return Ok(Vec::new()) };
        let numbers = Vec::<i64>::try_from(numbers.f_to_device(Device::Cpu)?.f_flatten(0, -1)?)?;
        let predicted = |([batch, at], classes): (&[i64; 2], Tensor)| {
            let score = self.scores[*batch as usize].f_double_value(&[*at])?;
            Ok(Predicted { batch: *batch as u64, at: *at as u64, score, classes })
        };
        numbers.as_chunks().0.iter().zip(classes.f_unbind(0)?).map(predicted).collect()
    }
}

impl Kept {
    fn is_full(&self) -> bool {
        self.tensors.as_ref().is_some_and(|[keys, ..]| keys.size()[0] >= self.count)
    }

    /// Keeps the first of the samples that several kept, and no others.
    fn merge(&mut self, all: &[[Tensor; 3]]) -> Result<(), TchError> {
        self.tensors = None;
        if all.is_empty() {
            return Ok(());
        }
        let part = |part: usize| Tensor::f_cat(&all.iter().map(|kept| &kept[part]).collect::<Vec<_>>(), 0);
        let [keys, numbers, classes] = [part(0)?, part(1)?, part(2)?];
        // In the order of their places, as one pass would have met them: first by sample, then, stable, by batch.
        let by_sample = numbers.f_select(1, 1)?.f_argsort_stable(true, 0, false)?;
        let batches = numbers.f_select(1, 0)?.f_index_select(0, &by_sample)?;
        let order = by_sample.f_index_select(0, &batches.f_argsort_stable(true, 0, false)?)?;
        let [keys, numbers, classes] = [keys, numbers, classes].map(|part| part.f_index_select(0, &order));
        self.update(&keys?, &numbers?, &classes?)
    }

    fn update(&mut self, keys: &Tensor, numbers: &Tensor, classes: &Tensor) -> Result<(), TchError> {
        let new = [keys, numbers, classes];
        let all = match &self.tensors {
            None => new.map(Tensor::shallow_clone),
            Some(old) => {
                let [keys, numbers, classes] = [0, 1, 2].map(|part| Tensor::f_cat(&[&old[part], new[part]], 0));
                [keys?, numbers?, classes?]
            }
        };
        // The sort is stable, and kept samples come before new ones. NaN comes last.
        let order = all[0].f_argsort_stable(true, 0, false)?;
        let order = order.f_narrow(0, 0, order.size()[0].min(self.count))?;
        let [keys, numbers, classes] = all.map(|part| part.f_index_select(0, &order));
        self.tensors = Some([keys?, numbers?, classes?]);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
