//! Load of the machine.

use std::time::{Duration, Instant};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

const FRESH: Duration = Duration::from_secs(1);

/// Use of processors and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Share of all processors in use, from 0 to 1.
    pub cpu: f64,
    /// Bytes of memory in use.
    pub memory_used: u64,
    /// Total bytes of memory: of the container, if it has less than the machine.
    pub memory: u64,
    /// Bytes of memory used by this process.
    pub process: u64,
}

/// Load of a GPU, as far as known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gpu {
    /// Utilisation, from 0 to 1.
    pub busy: Option<f64>,
    /// Bytes of its memory in use.
    pub memory_used: Option<u64>,
    /// Total bytes of its memory.
    pub memory: Option<u64>,
}

/// Measures the load, at most once a second.
pub(crate) struct Meter {
    system: System,
    process: Option<Pid>,
    asked: Option<Instant>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { system: System::new(), process: sysinfo::get_current_pid().ok(), asked: None }
    }

    /// Returns the load if the last one is at least a second old. The first has no CPU use, which needs two samples.
    pub(crate) fn read(&mut self) -> Option<Load> {
        if self.asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return None;
        }
        self.asked = Some(Instant::now());
        let system = &mut self.system;
        system.refresh_cpu_usage();
        system.refresh_memory();
        let process = self.process.and_then(|pid| {
            let memory = ProcessRefreshKind::nothing().with_memory();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, memory);
            system.process(pid)
        });
        let process = process.map_or(0, sysinfo::Process::memory);
        let (used, all) = (self.system.used_memory(), self.system.total_memory());
        let (memory_used, memory) = match self.system.cgroup_limits() {
            Some(limits) if limits.total_memory < all => {
                (limits.total_memory.saturating_sub(limits.free_memory), limits.total_memory)
            }
            _ => (used, all),
        };
        let cpu = f64::from(self.system.global_cpu_usage()) / 100.0;
        Some(Load { cpu: cpu.clamp(0.0, 1.0), memory_used, memory, process })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_the_machine_more() {
        let mut meter = Meter::new();
        let load = meter.read().unwrap();
        assert!(0 < load.process && load.process < load.memory && load.memory_used <= load.memory, "{load:?}");
        assert!((0.0..=1.0).contains(&load.cpu));
        assert_eq!(meter.read(), None);
    }
}
