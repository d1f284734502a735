//! Place of a process among those that train together.

use std::net::IpAddr;

/// Program that started the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// None: this is the only process.
    Nobody,
    /// torchrun, whose agent restarts all ranks after a failure.
    Torchrun,
    /// `srun` of Slurm.
    Slurm,
    /// A person, a script or Kubernetes, by RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
    Variables,
}

/// Place of this process among those that train together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Number of this process, from 0.
    pub rank: usize,
    /// Number of processes.
    pub count: usize,
    /// Number of this process among those of its machine, which is the number of its GPU.
    pub local_rank: usize,
    /// Number of processes on this machine.
    pub local_count: usize,
    /// Host where the processes meet.
    pub address: String,
    /// Port where the processes meet.
    pub port: u16,
    /// True if the launcher keeps the store there, false if rank 0 does.
    pub agent_store: bool,
    /// Name of the attempt: other processes that met there before had another one.
    pub attempt: String,
    /// Program that started the processes.
    pub launcher: Launcher,
}

impl World {
    /// Returns the place of a single process.
    pub fn alone() -> Self {
        Self {
            rank: 0,
            count: 1,
            local_rank: 0,
            local_count: 1,
            address: "127.0.0.1".into(),
            port: 0,
            agent_store: false,
            attempt: "0".into(),
            launcher: Launcher::Nobody,
        }
    }

    /// Returns true if all processes are on this machine.
    pub fn is_local(&self) -> bool {
        self.local_count == self.count
    }

    /// Returns true if this process keeps the store.
    pub(crate) fn keeps_store(&self) -> bool {
        self.rank == 0 && !self.agent_store
    }
}

/// Returns true for the name or an address of the loopback interface.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
