//! The group of ranks that this process trains in, if a launcher started several.

use crate::cli;
use crate::common::config::{self, Backend, Config};
use crate::common::network::Network;
use crate::common::ranked;
use crate::common::run::Run;
use crate::common::usage::in_words;
use crate::train::start::{self, Start};
use anyhow::{Error, Result};
use contract::{BoxError, Loss, Metric, Model, Optimizer, Ranks, StateDict, Stateful};
use distributed::{AcrossRanks, Distributed, Fate, Group, Reduced};
use metric::{Confusion, Segmentation};
use optim::Optim;
use session::{Opened, RESUMABLE};
use std::process::ExitCode;
use std::sync::Arc;
use tch::nn::VarStore;

/// Joins the other ranks. None if this process trains alone.
///
/// # Errors
///
/// Fails if the launcher's variables are wrong, or a rank does not come.
pub fn join(args: &cli::Train) -> Result<Option<Arc<Group>>> {
    let world = ranked::world()?;
    if world.count == 1 && !ranked::is_launched() {
        return Ok(None);
    }
    let config = start::distributed(args)?;
    // One rank with a backend of its own has all that several have.
    if world.count == 1 && config.backend == Backend::Auto {
        return Ok(None);
    }
    let group = Group::join(world, &config.options())?;
    if group.uses_nccl() && group.rank() == 0 {
        log::info!("Tensors of GPUs travel over NCCL");
    }
    Ok(Some(Arc::new(group)))
}

/// Finds the starting point of a training: on the first rank, which tells the others, or alone.
pub fn start(group: Option<&Arc<Group>>, args: &cli::Train) -> Result<Start> {
    let Some(ranks) = group.map(Arc::as_ref) else { return start::start(args) };
    let mut own = None;
    let opened = Opened::across(ranks, || {
        let Start { config, opened, changes, .. } = start::start(args)?;
        own = Some((config, changes));
        Ok::<_, Error>(opened)
    })?;
    let text = session::from_first(ranks, || match &own {
        Some((config, _)) => config.resolved(),
        None => Ok(String::new()),
    })?;
    let run = Run::at(opened.folder().path());
    let (config, changes) = match own {
        Some(own) => own,
        None => (Config::parse_saved(&text, "the configuration of rank 0")?, Vec::new()),
    };
    Ok(Start { run, config, opened, changes })
}

/// Returns a model that is the same on all ranks from the start on; None for a process that trains alone.
pub fn model<'m>(
    group: Option<&'m Arc<Group>>,
    plain: &'m dyn Model,
    store: &VarStore,
) -> Result<Option<Distributed<'m>>> {
    let distributed = group.map(|group| Distributed::new(plain, &all(store), group.as_ref()));
    distributed.transpose().map_err(Error::from_boxed)
}

/// Returns the loss over the batches of all ranks.
pub fn loss(group: Option<&Arc<Group>>, own: impl Loss + 'static) -> Box<dyn Loss> {
    match group {
        Some(group) => Box::new(AcrossRanks::new(own, ranks(group))),
        None => Box::new(own),
    }
}

/// Returns a metric of what all ranks see.
pub fn metric<'m>(group: Option<&Arc<Group>>, own: impl Metric + 'm) -> Box<dyn Metric + 'm> {
    match group {
        Some(group) => Box::new(AcrossRanks::new(own, ranks(group))),
        None => Box::new(own),
    }
}

/// Returns an optimizer of the gradients of all ranks.
pub fn optimizer<'g>(
    group: Option<&'g Arc<Group>>,
    own: Optim,
    store: &VarStore,
    config: &config::Distributed,
) -> Box<dyn Optimizer + 'g> {
    match group {
        Some(group) => Box::new(Reduced::new(own, group, &all(store), config.compression())),
        None => Box::new(own),
    }
}

/// Returns the confusion matrix of what all ranks saw: this rank's `own`, and those of the others.
pub fn confusion(group: Option<&Arc<Group>>, own: &Segmentation, network: &Network) -> Result<Confusion, BoxError> {
    let Some(group) = group else { return Ok(own.confusion()?) };
    let mut all = network.metric()?;
    for state in group.gather(&own.state())? {
        all.merge(&state)?;
    }
    Ok(all.confusion()?)
}

/// Returns all variables, those too that are frozen and will thaw.
fn all(store: &VarStore) -> StateDict {
    store.variables().into_iter().collect()
}

fn ranks(group: &Arc<Group>) -> Arc<dyn Ranks> {
    Arc::clone(group) as Arc<dyn Ranks>
}

/// Returns true if a training failed because another rank did, and that will pass: the rank died or fell silent. One
/// that left after an error of its own would meet it again.
pub fn will_pass(group: Option<&Arc<Group>>) -> bool {
    let fault = group.and_then(|group| group.fault());
    fault.is_some_and(|fault| fault.culprits.iter().all(|culprit| culprit.fate != Fate::Left))
}

/// Returns the status of a training that another rank ended, after logging why; other errors are handed back.
pub fn ended_by_others(group: Option<&Arc<Group>>, error: Error) -> Result<ExitCode> {
    let never_came = error.downcast_ref::<distributed::Error>().is_some_and(distributed::Error::can_resume);
    if !never_came && !will_pass(group) {
        return Err(error);
    }
    log::error!("{}", in_words(&error));
    Ok(ExitCode::from(RESUMABLE))
}
