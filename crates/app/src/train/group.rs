//! The group of ranks that this process trains in, if a launcher started several.

mod machine;

use crate::cli;
use crate::common::closer::Details;
use crate::common::config::{self, Backend, Config};
use crate::common::network::Network;
use crate::common::ranked;
use crate::common::run::Run;
use crate::common::usage::in_words;
use crate::train::start::{self, Start};
use anyhow::{Error, Result, ensure};
use contract::{BoxError, Loss, Metric, Model, Optimizer, Ranks, StateDict, Stateful};
use data::Fingerprint;
use distributed::{AcrossRanks, Distributed, Fate, Group, Reduced};
use metric::{Confusion, Segmentation};
use optim::Optim;
use session::{Opened, RESUMABLE};
use std::process::ExitCode;
use std::sync::Arc;
use tch::nn::VarStore;

pub use machine::{of_all, one_of_each_machine};

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
    let until_step = session::from_first(ranks, || serde_json::to_string(&args.until_step).map_err(Error::from))?;
    let until_step = serde_json::from_str(&until_step)?;
    let run = Run::at(opened.folder().path());
    let (config, changes) = match own {
        Some(own) => own,
        None => (Config::parse_saved(&text, "the configuration of rank 0")?, Vec::new()),
    };
    Ok(Start { run, config, opened, changes, until_step })
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

/// Returns an optimizer of the gradients of all ranks, whose updates can be captured if it `captures`.
pub fn optimizer<'g>(
    group: Option<&'g Arc<Group>>,
    own: Optim,
    store: &VarStore,
    config: &config::Distributed,
    captures: bool,
) -> Box<dyn Optimizer + 'g> {
    match group {
        Some(group) => Box::new(Reduced::new(own, group, &all(store), config.compression()).capturable(captures)),
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

/// Returns an empty look for the next validation, on all ranks if the first one has it `wanted`.
pub fn look(group: Option<&Arc<Group>>, wanted: Option<[usize; 2]>, network: &Network) -> Result<Option<Details>> {
    let wanted: Option<[usize; 2]> = match group {
        Some(group) => {
            let said = session::from_first(group.as_ref(), || serde_json::to_string(&wanted).map_err(Error::from))?;
            serde_json::from_str(&said)?
        }
        None => wanted,
    };
    Ok(wanted.map(|[first, extremes]| Details::new(network, first, extremes)).transpose()?)
}

/// Returns the first rank the look of all ranks; the others, which write nothing, none.
pub fn looked(group: Option<&Arc<Group>>, mut look: Option<Details>) -> Result<Option<Details>, BoxError> {
    let (Some(group), Some(own)) = (group, &mut look) else { return Ok(look) };
    own.merge(group.as_ref())?;
    Ok(look.filter(|_| group.rank() == 0))
}

/// Compares the data of all ranks, which read files of their own.
///
/// # Errors
///
/// Fails on all ranks if one has other data than the first, and names it.
pub fn check_data(group: Option<&Arc<Group>>, own: &[Fingerprint; 2]) -> Result<()> {
    let Some(group) = group else { return Ok(()) };
    let all = of_all(group.as_ref(), own)?;
    for (rank, theirs) in all.iter().enumerate() {
        for (split, (first, other)) in ["training", "validation"].iter().zip(all[0].iter().zip(theirs)) {
            ensure!(
                first == other,
                "rank {rank} has other {split} data than rank 0: {other}, not {first}. Every machine needs the same \
                 files"
            );
        }
    }
    Ok(())
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
