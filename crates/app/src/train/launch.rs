//! `app train --nproc`: starts the ranks of this machine, which are this program once more, and ends when they have
//! ended.
//!
//! The ranks find each other by the environment variables that torchrun sets. With several machines, each runs one
//! launcher, which finds its place in the variables that Kubeflow sets for torchrun: PET_NNODES, PET_NODE_RANK,
//! PET_MASTER_ADDR and PET_MASTER_PORT.

mod ranks;

use crate::cli::{Processes, Train};
use crate::common::ranked::LAUNCHER;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use std::env;
use std::ffi::OsString;
use std::net::TcpListener;
use std::process::{self, Command, ExitCode};
use std::thread::available_parallelism;
use std::time::Duration;

pub use ranks::outlives_no_launcher;
pub(super) use ranks::{Ranks, Told};

/// Time that the other ranks get to find out that one has failed, and to save what they can.
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// Address at which the ranks of one machine meet: nobody outside can reach it.
const LOOPBACK: &str = "127.0.0.1";
/// Variable with the level from which on libtorch logs.
const LOG_LEVEL: &str = "TORCH_CPP_LOG_LEVEL";
/// torchrun's default port for several machines.
const PORT: u16 = 29_500;

/// Starts the ranks and waits for their end. The status is 0 if all ranks ended with 0, 75 if all others can be
/// resumed, or else that of the first that failed.
pub fn run(args: &Train, processes: Processes) -> Result<ExitCode> {
    let local = local(processes, usize::try_from(tch::Cuda::device_count()).unwrap_or(0))?;
    if env::var_os("RANK").is_some() {
        return Err(usage(
            "--nproc starts the ranks, but RANK is set: this process is a rank already. Leave out --nproc, or \
             unset RANK",
        ));
    }
    let place = Place::find(|name| env::var(name).ok())?;
    let told = Told::listen()?;
    let program = env::current_exe().context("finding this program, to start the ranks")?;
    let arguments: Vec<OsString> = without(env::args_os().skip(1), &["--nproc"]).collect();
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    // The ranks share the cores; each with threads for all of them would be slower by far.
    let threads = env::var_os("OMP_NUM_THREADS").unwrap_or_else(|| (cores / local).max(1).to_string().into());
    let commands = (0..local).map(|rank| {
        let mut command = Command::new(&program);
        command.args(&arguments).envs(place.variables(rank, local));
        // When a rank ends, c10d prints stack traces on the others; the program says itself what concerns a person.
        if env::var_os(LOG_LEVEL).is_none() {
            command.env(LOG_LEVEL, "ERROR");
        }
        command.env("OMP_NUM_THREADS", &threads).env(LAUNCHER, process::id().to_string());
        (place.node * local + rank, command)
    });
    let mut ranks = Ranks::start("Rank", commands, args.tui)?;
    log::info!("Started {local} ranks, {} threads each", threads.display());
    Ok(ExitCode::from(ranks.wait(GRACE, || told.since_last())))
}

/// Returns the number of ranks to start on this machine, which has `gpus` GPUs.
fn local(processes: Processes, gpus: usize) -> Result<usize> {
    match processes {
        Processes::Count(count) => Ok(count),
        Processes::PerGpu if gpus > 0 => Ok(gpus),
        Processes::PerGpu => {
            Err(usage("--nproc auto starts a rank per GPU, and libtorch finds no GPU: give a number, e.g. --nproc 2"))
        }
    }
}

/// Returns the arguments without these options and their values.
pub(super) fn without(arguments: impl Iterator<Item = OsString>, options: &[&str]) -> impl Iterator<Item = OsString> {
    let mut is_value = false;
    arguments.filter(move |argument| {
        let text = argument.to_string_lossy();
        let was_value = std::mem::replace(&mut is_value, options.iter().any(|option| text == *option));
        let holds_both =
            options.iter().any(|option| text.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')));
        !(was_value || is_value || holds_both)
    })
}

/// Place of this machine among those that train together.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    nodes: usize,
    node: usize,
    address: String,
    port: u16,
}

impl Place {
    /// Reads the place from the environment; without one, this machine is the only one.
    fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str, default: Option<usize>| match (variable(name), default) {
            (Some(text), _) => text.parse().map_err(|_| usage(format!("{name} must be a whole number, is \"{text}\""))),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(usage(format!("PET_NNODES is set, but {name} is not: --nproc needs both"))),
        };
        let nodes = number("PET_NNODES", Some(1))?;
        if nodes <= 1 {
            // Free now; that somebody else takes it before rank 0 does is as good as impossible.
            let port = TcpListener::bind((LOOPBACK, 0)).and_then(|listener| listener.local_addr());
            let port = port.context("finding a free port on 127.0.0.1, at which the ranks meet")?.port();
            return Ok(Self { nodes: 1, node: 0, address: LOOPBACK.into(), port });
        }
        let node = number("PET_NODE_RANK", None)?;
        if node >= nodes {
            return Err(usage(format!("PET_NODE_RANK must be below PET_NNODES ({nodes}), is {node}")));
        }
        let address = variable("PET_MASTER_ADDR");
        let address =
            address.ok_or_else(|| usage("PET_NNODES is set, but PET_MASTER_ADDR is not: --nproc needs both"))?;
        let port = number("PET_MASTER_PORT", Some(PORT.into()))?;
        let port = u16::try_from(port).map_err(|_| usage(format!("PET_MASTER_PORT must be a port, is {port}")))?;
        Ok(Self { nodes, node, address, port })
    }

    /// Returns what torchrun sets for one of `local` ranks on this machine.
    fn variables(&self, rank: usize, local: usize) -> [(&'static str, String); 6] {
        [
            ("RANK", (self.node * local + rank).to_string()),
            ("WORLD_SIZE", (self.nodes * local).to_string()),
            ("LOCAL_RANK", rank.to_string()),
            ("LOCAL_WORLD_SIZE", local.to_string()),
            ("MASTER_ADDR", self.address.clone()),
            ("MASTER_PORT", self.port.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests;
