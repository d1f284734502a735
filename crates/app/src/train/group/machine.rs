//! Work of one rank on each machine that may take longer than ranks wait for each other, such as a download.

use crate::common::config;
use anyhow::{Context, Error, Result, anyhow, bail};
use contract::{Ranks, StateDict};
use distributed::Group;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;
use tch::Tensor;

/// Longest interval in which the ranks hear of each other meanwhile.
const PULSE: Duration = Duration::from_secs(2);

/// Name of a rank's data among tensors.
const DATA: &str = "data";

/// Returns what `work` returns: first on one rank of each machine, then, when all of these are done, on the others. Its
/// argument is true on the first rank, which shows the progress. The ranks hear of each other meanwhile, so the work
/// may take longer than their timeout. It runs in a thread and may call no libtorch function.
///
/// # Errors
///
/// Fails on all ranks if `work` does on one, or if a rank is lost.
pub fn one_of_each_machine<T: Send + 'static>(
    group: Option<&Arc<Group>>,
    config: &config::Distributed,
    work: impl Fn(bool) -> Result<T> + Send + Clone + 'static,
) -> Result<T> {
    let Some(group) = group.filter(|group| group.count() > 1) else { return work(true) };
    let pulse = PULSE.min(Duration::from_secs(config.timeout_seconds) / 4);
    in_turns(group.as_ref(), group.world().local_rank == 0, pulse, work)
}

/// Does the same for a rank that begins, or waits for those that do.
fn in_turns<T: Send + 'static>(
    ranks: &dyn Ranks,
    begins: bool,
    pulse: Duration,
    work: impl Fn(bool) -> Result<T> + Send + Clone + 'static,
) -> Result<T> {
    let shows = ranks.rank() == 0;
    let mut found = None;
    for turn in [true, false] {
        let own = (turn == begins).then(|| {
            let work = work.clone();
            move || work(shows)
        });
        found = turn_of(ranks, pulse, own)?.or(found);
    }
    found.context("no turn came to this rank")
}

/// State of a rank.
#[derive(Debug, Serialize, Deserialize)]
enum State {
    Works,
    Done,
    Failed(String),
}

/// Runs `work`, if there is any, and waits until no rank works.
fn turn_of<T: Send + 'static>(
    ranks: &dyn Ranks,
    pulse: Duration,
    work: Option<impl FnOnce() -> Result<T> + Send + 'static>,
) -> Result<Option<T>> {
    let (sender, receiver) = sync_channel(1);
    let mut own = match work {
        None => Some(Ok(None)),
        Some(work) => {
            // Whoever waits for it may have ended.
            let run = move || drop(sender.send(work()));
            let thread = thread::Builder::new().name("machine".into()).spawn(run);
            thread.err().map(|error| Err(Error::new(error).context("starting a thread")))
        }
    };
    loop {
        if own.is_none() {
            own = match receiver.recv_timeout(pulse) {
                Ok(result) => Some(result.map(Some)),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Err(anyhow!("a thread of this rank ended early"))),
            };
        }
        let state = match &own {
            None => State::Works,
            Some(Ok(_)) => State::Done,
            Some(Err(error)) => State::Failed(format!("{error:#}")),
        };
        let all = of_all(ranks, &state)?;
        let failed = all.iter().enumerate().find_map(|(rank, state)| match state {
            State::Failed(said) => Some((rank, said)),
            _ => None,
        });
        match (failed, own) {
            (_, Some(Err(error))) => return Err(error),
            (Some((rank, said)), _) => bail!("rank {rank}: {said}"),
            (None, Some(Ok(result))) if all.iter().all(|state| matches!(state, State::Done)) => return Ok(result),
            (None, still) => own = still,
        }
    }
}

/// Returns what each rank has to say, in the order of the ranks.
pub fn of_all<T: Serialize + DeserializeOwned>(ranks: &dyn Ranks, own: &T) -> Result<Vec<T>> {
    let own = Tensor::f_from_slice(&serde_json::to_vec(own)?)?;
    let all = ranks.gather(&StateDict::from([(DATA.to_string(), own)])).map_err(Error::from_boxed)?;
    let read = |state: &StateDict| -> Result<T> {
        let bytes = state.get(DATA).context("a rank that says nothing")?;
        Ok(serde_json::from_slice(&Vec::<u8>::try_from(bytes)?)?)
    };
    all.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Rank of the machine that each rank is the number of, in a group of three on two machines.
    const LOCAL: [usize; 3] = [0, 1, 0];

    #[test]
    fn the_first_of_each_machine_is_done_before_the_others_begin() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let found = testing::together(3, |ranks| {
            let (rank, order) = (ranks.rank(), Arc::clone(&order));
            in_turns(ranks, LOCAL[rank] == 0, Duration::from_millis(5), move |shows| {
                // Several pulses long.
                thread::sleep(Duration::from_millis(if rank == 2 { 60 } else { 1 }));
                order.lock().unwrap().push(rank);
                Ok((rank, shows))
            })
            .unwrap()
        });
        assert_eq!(found, [(0, true), (1, false), (2, false)]);
        assert_eq!(*order.lock().unwrap(), [0, 2, 1]);
    }

    #[test]
    fn an_error_of_one_is_an_error_of_all() {
        let said = testing::together(3, |ranks| {
            let rank = ranks.rank();
            let work = move |_: bool| if rank == 2 { Err(anyhow!("no network")) } else { Ok(rank) };
            in_turns(ranks, LOCAL[rank] == 0, Duration::from_millis(5), work).unwrap_err().to_string()
        });
        assert_eq!(said, ["rank 2: no network", "rank 2: no network", "no network"]);
    }
}
