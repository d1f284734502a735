//! All that a checkpoint holds: the states of the training, and the session's own.

use crate::error::Result;
use crate::generators;
use crate::lockstep::Lockstep;
use crate::recovery::Recovery;
use crate::saver::States;
use crate::stopping::{EarlyStopping, STOPPING, Waiting};
use contract::{Metric, StateDict, StateError, Stateful, TorchError};
use executors::{RestoreError, Training};
use tch::Tensor;

/// State of the random generators.
pub const GENERATOR: &str = "generator";
/// State of the recovery.
pub const RECOVERY: &str = "recovery";
/// Number of ranks that trained, in checkpoints of more than one.
pub const RANKS: &str = "ranks";
/// State of the first rank's metric; those of the others are `metric-1`, `metric-2`, …
const METRIC: &str = "metric";
/// State of the optimizer, and the beginning of the names of its gradients that wait for an update.
const OPTIMIZER: &str = "optimizer";
const GRADIENT: &str = "gradient.";

/// The session's own parts that a checkpoint holds.
#[derive(Clone, Copy)]
pub struct Own<'o> {
    /// Recovery.
    pub recovery: &'o Recovery,
    /// Early stopping, if there is one.
    pub stopping: Option<(&'o EarlyStopping, &'o Waiting)>,
}

/// Returns all that a checkpoint holds, with this rank's metric only.
pub fn states(training: &mut Training, own: Own, lockstep: &Lockstep) -> Result<States> {
    let mut states = training.trainer.states();
    states.insert(GENERATOR.into(), generators::take(training.trainer.devices())?);
    states.insert(RECOVERY.into(), own.recovery.state());
    states.extend(own.stopping.map(|(rule, waiting)| (STOPPING.into(), waiting.state(rule))));
    if let (_, ranks @ 2..) = lockstep.place() {
        states.insert(RANKS.into(), [("count".to_string(), Tensor::from(ranks as i64))].into());
    }
    Ok(states)
}

/// Adds the metrics of the other ranks to `states`. All ranks call it.
pub fn add_metrics(states: &mut States, training: &Training, lockstep: &Lockstep) -> Result<()> {
    if !lockstep.is_alone() {
        let all = lockstep.gather(training.trainer.metric.state())?;
        states.extend((1..).zip(all.into_iter().skip(1)).map(|(rank, state)| (metric_of(rank), state)));
    }
    Ok(())
}

fn metric_of(rank: usize) -> String {
    if rank == 0 { METRIC.into() } else { format!("{METRIC}-{rank}") }
}

/// Makes the states of a checkpoint those of rank `rank` of `count`. With as many ranks as saved it, each gets its own
/// metric; else the first rank gets what all of them saw, and the others start with an empty metric. Gradients that
/// wait for an update, which only a process that trains alone saves, stay on the first rank.
pub fn of_rank(
    states: &mut States,
    metric: &mut dyn Metric,
    (rank, count): (usize, usize),
) -> std::result::Result<(), RestoreError> {
    let saved: Vec<(String, StateDict)> = (0..).map(metric_of).map_while(|name| states.remove_entry(&name)).collect();
    let own = match saved.len() {
        // The restoration itself says that it is missing.
        0 => None,
        same if same == count => saved.into_iter().nth(rank).map(|(_, state)| state),
        _ => Some(merged(metric, if rank == 0 { &saved } else { &[] })?),
    };
    states.extend(own.map(|state| (METRIC.to_string(), state)));
    if rank > 0 {
        let optimizer = states.get_mut(OPTIMIZER).into_iter().flatten();
        for (name, gradient) in optimizer.filter(|(name, _)| name.starts_with(GRADIENT)) {
            let zero = gradient.f_zeros_like().map_err(|error| torch(name, error))?;
            *gradient = zero;
        }
    }
    Ok(())
}

/// Returns the number of ranks that trained until the checkpoint if metrics of some are missing, since one had failed.
pub fn lacks_metrics(states: &States) -> Option<i64> {
    let count = states.get(RANKS)?.get("count")?.f_int64_value(&[]).ok()?;
    let last = usize::try_from(count - 1).ok()?;
    (!states.contains_key(&metric_of(last))).then_some(count)
}

/// Returns the state of a metric that saw all that `saved` ones did; `metric` itself stays as it is.
fn merged(metric: &mut dyn Metric, saved: &[(String, StateDict)]) -> std::result::Result<StateDict, RestoreError> {
    let failed = |name: &str| {
        let name = name.to_string();
        move |source| RestoreError::State { name, source }
    };
    let before = copied(metric.state()).map_err(failed(METRIC))?;
    let merge = |metric: &mut dyn Metric| {
        metric.reset();
        for (place, (name, state)) in saved.iter().enumerate() {
            let done = if place == 0 { metric.load_state(state) } else { metric.merge(state) };
            done.map_err(failed(name))?;
        }
        copied(metric.state()).map_err(failed(METRIC))
    };
    let state = merge(metric);
    metric.load_state(&before).map_err(failed(METRIC))?;
    state
}

fn copied(state: StateDict) -> std::result::Result<StateDict, StateError> {
    let copy = |(name, tensor): (String, Tensor)| {
        let copy = tensor.f_zeros_like().and_then(|mut copy| copy.f_copy_(&tensor.detach()).map(|_| copy));
        copy.map(|copy| (name.clone(), copy)).map_err(|source| StateError::Torch { name, source: source.into() })
    };
    state.into_iter().map(copy).collect()
}

fn torch(name: &str, error: tch::TchError) -> RestoreError {
    let source = StateError::Torch { name: name.into(), source: TorchError::from(error) };
    RestoreError::State { name: OPTIMIZER.into(), source }
}
