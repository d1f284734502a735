//! The variables by which a launcher tells a process its place among the others.

use crate::variables::{Variables, below, malformed, missing, number, set};
use crate::world::{Launcher, World, is_loopback};
use crate::{Error, slurm};

impl World {
    /// Returns the place that the environment describes, or that of a single process.
    ///
    /// # Errors
    ///
    /// Fails if variables are missing, malformed or contradict each other. The error names them.
    pub fn from_env() -> Result<Self, Error> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::of(&std::env::vars_os().filter_map(text).collect())
    }

    /// Returns the place that `variables` describe. See [`from_env`](Self::from_env).
    ///
    /// # Errors
    ///
    /// Those of [`from_env`](Self::from_env).
    pub fn of(variables: &Variables) -> Result<Self, Error> {
        if ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"].iter().any(|name| set(variables, name).is_some()) {
            return Self::of_ranks(variables);
        }
        if let Some(world) = slurm::world(variables)? {
            return Ok(world);
        }
        match ["MASTER_ADDR", "MASTER_PORT"].iter().find(|name| set(variables, name).is_some()) {
            // Slurm's batch scripts often export them for the tasks that they start.
            Some(name) if !slurm::is_job(variables) => {
                Err(missing("RANK", &format!("{name} is set: set RANK and WORLD_SIZE as well, or unset it")))
            }
            _ => Ok(Self::alone()),
        }
    }

    fn of_ranks(variables: &Variables) -> Result<Self, Error> {
        let why = "some of RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE are set";
        let needed = |name| number(variables, name)?.ok_or_else(|| missing(name, why));
        let (rank, count): (usize, usize) = (needed("RANK")?, needed("WORLD_SIZE")?);
        below("RANK", rank, "WORLD_SIZE", count)?;
        let agent_store = match set(variables, "TORCHELASTIC_USE_AGENT_STORE") {
            None => false,
            Some(value) if ["True", "true", "1"].contains(&value) => true,
            Some(value) if ["False", "false", "0"].contains(&value) => false,
            Some(value) => return Err(malformed("TORCHELASTIC_USE_AGENT_STORE", value, "True or False")),
        };
        let (address, port) = (set(variables, "MASTER_ADDR"), number::<u16>(variables, "MASTER_PORT")?);
        let (address, port) = match (address, port, count) {
            (Some(address), Some(port), _) => (address.to_string(), port),
            (_, _, 1) => ("127.0.0.1".into(), 0),
            (None, ..) => return Err(missing("MASTER_ADDR", &format!("WORLD_SIZE is {count}"))),
            (_, None, _) => return Err(missing("MASTER_PORT", &format!("WORLD_SIZE is {count}"))),
        };
        // Without local numbers: a machine has one process, unless all are on this one.
        let near = if is_loopback(&address) { (rank, count) } else { (0, 1) };
        let local_count = number(variables, "LOCAL_WORLD_SIZE")?;
        let local_rank = number(variables, "LOCAL_RANK")?.unwrap_or(near.0);
        let local_count: usize = local_count.unwrap_or_else(|| near.1.max(local_rank + 1));
        below("LOCAL_RANK", local_rank, "LOCAL_WORLD_SIZE", local_count)?;
        if local_count > count || local_rank > rank {
            let (small, large) = if local_count > count {
                (format!("WORLD_SIZE={count}"), format!("LOCAL_WORLD_SIZE={local_count}"))
            } else {
                (format!("RANK={rank}"), format!("LOCAL_RANK={local_rank}"))
            };
            return Err(Error::Environment(format!("{small} and {large} contradict each other")));
        }
        let torchrun = ["TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"];
        let [run, restart] = torchrun.map(|name| set(variables, name));
        // A store of the agent outlives attempts. One of rank 0 does not; then the agent of a machine that came later
        // counts fewer restarts than the others, whose ranks must meet its own all the same.
        let restarts = restart.filter(|_| agent_store).unwrap_or("0");
        let attempt = format!("{}.{restarts}.{count}", run.unwrap_or("run"));
        let launcher = match (count, run.or(restart)) {
            (_, Some(_)) => Launcher::Torchrun,
            (1, None) => Launcher::Nobody,
            _ => Launcher::Variables,
        };
        Ok(Self { rank, count, local_rank, local_count, address, port, agent_store, attempt, launcher })
    }
}

#[cfg(test)]
mod tests;
