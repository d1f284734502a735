//! A group of processes over libtorch's c10d.

use crate::bounded::bounded;
use crate::watch::{Watch, meet};
use crate::{Error, Fault, World, packed, place};
use contract::{Alone, BoxError, Ranks, StateDict, TorchError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tch::{Device, Kind, Tensor};
use torch_ext::{Pending, Processes, Store};

/// Time that operations under way get to end when a group is dropped.
const ENDING: Duration = Duration::from_secs(2);

/// Library that carries the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// NCCL for tensors of GPUs if each rank has a GPU of its own and NCCL is there, else Gloo.
    #[default]
    Auto,
    /// Gloo, for all tensors.
    Gloo,
    /// NCCL for tensors of GPUs, Gloo for others.
    Nccl,
}

/// Settings of a group.
#[derive(Debug, Clone)]
pub struct Options {
    /// Library that carries the tensors.
    pub backend: Backend,
    /// Time after which a rank that waits for others gives up.
    pub timeout: Duration,
    /// Network interface, by name or address. None takes loopback for ranks that meet there, else the interface by
    /// which rank 0 is reached.
    pub interface: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { backend: Backend::Auto, timeout: Duration::from_secs(600), interface: None }
    }
}

/// Group of processes that train together. A single process makes no connection, unless the options name a backend.
///
/// Drop it, or call [`leave`](Self::leave), before the process ends: otherwise the others take the rank for dead.
#[derive(Debug)]
pub struct Group {
    world: World,
    alone: Alone,
    joined: Option<Joined>,
}

#[derive(Debug)]
struct Joined {
    /// None once the group was left.
    processes: Option<Processes>,
    /// True if tensors of GPUs go over NCCL, whose operations are only enqueued.
    nccl: bool,
    watch: Watch,
    /// Flags of the last [`Ranks::agree`], which are under way.
    flags: Mutex<Option<(Tensor, Pending)>>,
    /// Store of c10d, which NCCL asks later.
    _store: Store,
}

impl Group {
    /// Joins the other processes of `world`. All do so within the timeout.
    ///
    /// # Errors
    ///
    /// Fails if a rank does not come, names it, and takes no longer than the timeout and some seconds. Fails if no
    /// address can be used, or NCCL is asked for and missing.
    pub fn join(world: World, options: &Options) -> Result<Self, Error> {
        if world.count == 1 && options.backend == Backend::Auto {
            return Ok(Self { world, alone: Alone::default(), joined: None });
        }
        let nccl = nccl(&world, options.backend)?;
        let joined = Joined::new(&world, options, nccl)?;
        Ok(Self { world, alone: Alone::default(), joined: Some(joined) })
    }

    /// Returns the place of this process.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Returns true if tensors of GPUs go over NCCL.
    pub fn uses_nccl(&self) -> bool {
        self.joined.as_ref().is_some_and(|joined| joined.nccl)
    }

    /// Returns the fault that broke the group, if one did: also where its error was swallowed on the way, by a panic or
    /// libtorch's engine, or another rank met it.
    pub fn fault(&self) -> Option<Fault> {
        self.joined.as_ref().and_then(|joined| joined.watch.fault()).cloned()
    }

    /// Says goodbye to the other ranks, which do not take this one for dead then. Rank 0, which keeps the store, stays
    /// some seconds for those that still need it. The group is of no use then. Dropping it does the same.
    pub fn leave(&mut self) {
        let Some(joined) = &mut self.joined else { return };
        let Some(processes) = joined.processes.take() else { return };
        joined.watch.leave();
        let flags = joined.flags.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if joined.watch.fault().is_some() {
            // Their destructors would wait for operations that never end.
            std::mem::forget((processes, flags));
            return;
        }
        bounded(ENDING, move || {
            // An error is nobody's any more.
            let _ = flags.map(|(_, pending)| pending.wait());
            drop(processes);
        });
    }

    /// Returns the processes, unless there is only this one.
    pub(crate) fn processes(&self) -> Option<&Processes> {
        self.joined.as_ref().and_then(|joined| joined.processes.as_ref())
    }

    /// Counts an operation of all ranks that begins elsewhere.
    ///
    /// # Errors
    ///
    /// Fails if the group is broken.
    pub(crate) fn begin(&self) -> Result<(), Error> {
        self.joined.as_ref().map_or(Ok(()), Joined::begin)
    }

    /// Returns the fault behind `error` if another rank is one, else `error`.
    pub(crate) fn explained(&self, error: BoxError) -> BoxError {
        let Some(joined) = self.joined.as_ref().filter(|joined| joined.has_failed()) else { return error };
        Error::Fault(joined.diagnose(&error.to_string())).into()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Decides whether tensors of GPUs go over NCCL.
fn nccl(world: &World, backend: Backend) -> Result<bool, Error> {
    let gpus = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    let problem = if !torch_ext::has_nccl() {
        Some("this program was built without it")
    } else if gpus == 0 {
        Some("libtorch finds no GPU")
    } else if gpus < world.local_count {
        Some("each rank needs a GPU of its own, and this machine has fewer GPUs than ranks")
    } else {
        None
    };
    match (backend, problem) {
        (Backend::Gloo, _) => Ok(false),
        (Backend::Auto, problem) => Ok(problem.is_none()),
        (Backend::Nccl, None) => Ok(true),
        (Backend::Nccl, Some(problem)) => Err(Error::Nccl(problem)),
    }
}

impl Joined {
    fn new(world: &World, options: &Options, nccl: bool) -> Result<Self, Error> {
        let timeout = options.timeout;
        let own = place::own_address(world, options.interface.as_deref())?;
        let prefix = format!("oxiseg/{}/", world.attempt);
        let holder = (!world.agent_store).then_some(0);
        let silent = || Fault::of(0, crate::Fate::Silent, "its store accepts connections and does not answer");
        let (keys, address) = if world.keeps_store() {
            let meeting = place::listen(world, options.interface.is_some().then_some(own))?;
            let prefix = prefix.clone();
            bounded(timeout, move || place::keep(meeting, &prefix, timeout)).ok_or_else(silent)??
        } else {
            let address = place::reach(world, timeout)?;
            (connected(address, &prefix, timeout)?.ok_or_else(silent)?, address)
        };
        let watch = meet(keys, world.rank, world.count, holder, timeout)?;
        let met = || -> Result<_, TorchError> {
            let Some(store) = connected(address, &format!("{prefix}c10d/"), timeout)? else {
                return Err(TorchError::new("the store does not answer"));
            };
            let (rank, count, own) = (world.rank, world.count, own.to_string());
            let made = bounded(2 * timeout, move || {
                let group = Processes::new(&store, rank, count, &own, nccl, timeout);
                group.map(|group| (group, store))
            });
            made.unwrap_or_else(|| Err(TorchError::new("the ranks did not connect to each other")))
        };
        let (processes, store) =
            met().map_err(|error| watch.diagnose(error.to_string())).inspect_err(|_| watch.leave())?;
        watch.guard(processes.alarm()?);
        Ok(Self { processes: Some(processes), nccl, watch, flags: Mutex::default(), _store: store })
    }

    fn begin(&self) -> Result<(), Error> {
        if let Some(fault) = self.watch.fault() {
            return Err(fault.clone().into());
        }
        self.watch.begin();
        Ok(())
    }

    /// Makes an operation of all ranks.
    fn call<T>(&self, operation: impl FnOnce(&Processes) -> Result<T, TorchError>) -> Result<T, Error> {
        self.begin()?;
        let Some(processes) = &self.processes else { return Err(TorchError::new("the group was left").into()) };
        operation(processes).map_err(|error| self.explained(error))
    }

    fn explained(&self, error: TorchError) -> Error {
        if self.has_failed() { self.diagnose(&error.to_string()).into() } else { error.into() }
    }

    /// Finds the ranks to blame. The GPU waits for them no longer.
    fn diagnose(&self, cause: &str) -> Fault {
        let fault = self.watch.diagnose(cause.into());
        if let Some(processes) = self.processes.clone().filter(|_| self.nccl) {
            // An error means that there is nothing to end.
            bounded(ENDING, move || processes.abort().is_ok());
        }
        fault
    }

    /// Returns true once an operation failed because of another rank.
    fn has_failed(&self) -> bool {
        self.watch.fault().is_some() || self.processes.as_ref().is_some_and(Processes::failed)
    }

    fn gather(&self, state: &StateDict) -> Result<Vec<StateDict>, Error> {
        let (length, bytes) = packed::pack(state)?;
        let size = Tensor::from_slice(&[length as i64, bytes.numel() as i64]);
        let sizes = self.call(|processes| processes.gather(&size))?;
        let sizes = Vec::<i64>::try_from(sizes.flatten(0, -1)).map_err(TorchError::from)?;
        let longest = sizes.chunks(2).map(|size| size[1]).max().unwrap_or(0);
        let row = Tensor::f_zeros([longest], (Kind::Uint8, Device::Cpu)).map_err(TorchError::from)?;
        row.narrow(0, 0, bytes.numel() as i64).f_copy_(&bytes).map_err(TorchError::from)?;
        let rows = self.call(|processes| processes.gather(&row))?;
        let of = |(rank, size): (usize, &[i64])| {
            let row = rows.select(0, rank as i64).narrow(0, 0, size[1]);
            packed::unpack(usize::try_from(size[0]).unwrap_or(usize::MAX), &row).ok_or(Error::Garbled(rank))
        };
        sizes.chunks(2).enumerate().map(of).collect()
    }

    fn agree(&self, flags: u32) -> Result<u32, Error> {
        let bits: Vec<u8> = (0..u32::BITS).map(|bit| u8::from(flags >> bit & 1 == 1)).collect();
        let bits = Tensor::from_slice(&bits);
        let mut waiting = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = self.call(|processes| processes.start_max(&bits))?;
        let Some((before, done)) = waiting.replace((bits, pending)) else { return Ok(0) };
        done.wait().map_err(|error| self.explained(error))?;
        let before = Vec::<u8>::try_from(before).map_err(TorchError::from)?;
        Ok(before.iter().enumerate().map(|(bit, set)| u32::from(*set) << bit).sum())
    }
}

/// Connects to the store at `address`; None if it does not answer.
fn connected(address: std::net::SocketAddr, prefix: &str, timeout: Duration) -> Result<Option<Store>, TorchError> {
    let prefix = prefix.to_string();
    let host = address.ip().to_string();
    bounded(timeout, move || Store::connect(&host, address.port(), None, &prefix, timeout)).transpose()
}

impl Ranks for Group {
    fn rank(&self) -> usize {
        self.world.rank
    }

    fn count(&self) -> usize {
        self.world.count
    }

    fn sum(&self, tensors: &[Tensor]) -> Result<(), BoxError> {
        match &self.joined {
            None => self.alone.sum(tensors),
            Some(joined) => Ok(joined.call(|processes| processes.sum(tensors))?),
        }
    }

    fn broadcast(&self, tensors: &[Tensor], from: usize) -> Result<(), BoxError> {
        match &self.joined {
            None => self.alone.broadcast(tensors, from),
            Some(joined) => Ok(joined.call(|processes| processes.broadcast(tensors, from))?),
        }
    }

    fn gather(&self, state: &StateDict) -> Result<Vec<StateDict>, BoxError> {
        match &self.joined {
            None => self.alone.gather(state),
            Some(joined) => Ok(joined.gather(state)?),
        }
    }

    fn agree(&self, flags: u32) -> Result<u32, BoxError> {
        match &self.joined {
            None => self.alone.agree(flags),
            Some(joined) => Ok(joined.agree(flags)?),
        }
    }

    fn barrier(&self) -> Result<(), BoxError> {
        let one = [Tensor::from(1i64)];
        match &self.joined {
            None => self.alone.barrier(),
            Some(joined) => Ok(joined.call(|processes| processes.sum(&one))?),
        }
    }

    fn is_sound(&self) -> bool {
        self.joined.as_ref().is_none_or(|joined| !joined.nccl || joined.watch.fault().is_none())
    }
}
