//! The variables of Slurm.

use crate::Error;
use crate::variables::{Variables, below, malformed, missing, number, set};
use crate::world::{Launcher, World};

/// Ports from here on are not given to other programs by most systems' defaults.
const FIRST_PORT: u64 = 15_000;
/// Number of ports, one of which a job takes.
const PORTS: u64 = 15_000;

/// Returns true inside a job.
pub(crate) fn is_job(variables: &Variables) -> bool {
    set(variables, "SLURM_JOB_ID").is_some()
}

/// Returns the place of a task, if `srun` started this process with others. A batch script is one process.
pub(crate) fn world(variables: &Variables) -> Result<Option<World>, Error> {
    // Only tasks that srun started belong to a step with a list of nodes.
    let Some(nodes) = set(variables, "SLURM_STEP_NODELIST") else { return Ok(None) };
    let tasks = match number(variables, "SLURM_STEP_NUM_TASKS")? {
        Some(tasks) => Some(tasks),
        None => number(variables, "SLURM_NTASKS")?,
    };
    let count: usize = tasks.unwrap_or(1);
    if count <= 1 {
        return Ok(None);
    }
    let why = "srun started several tasks (SLURM_STEP_NODELIST is set)";
    let needed = |name| number(variables, name)?.ok_or_else(|| missing(name, why));
    let (rank, local_rank): (usize, usize) = (needed("SLURM_PROCID")?, needed("SLURM_LOCALID")?);
    below("SLURM_PROCID", rank, "SLURM_NTASKS", count)?;
    let (job, step) = (needed("SLURM_JOB_ID")? as u64, number::<u64>(variables, "SLURM_STEP_ID")?.unwrap_or(0));
    // Task 0 runs on the first node of the step. (srun itself may run elsewhere, on a login node for example.)
    let first = first_host(nodes).ok_or_else(|| malformed("SLURM_STEP_NODELIST", nodes, "a list of hosts"))?;
    let launched_here = number(variables, "SLURM_STEP_NUM_NODES")? == Some(1u64);
    let local_count = set(variables, "SLURM_STEP_TASKS_PER_NODE")
        .and_then(|counts| local_tasks(counts, number(variables, "SLURM_NODEID").ok()??));
    let address = match set(variables, "MASTER_ADDR") {
        Some(address) => address.to_string(),
        None if launched_here => "127.0.0.1".into(),
        None => first,
    };
    let port = FIRST_PORT + (job.wrapping_mul(7).wrapping_add(step)) % PORTS;
    let port = number(variables, "MASTER_PORT")?.unwrap_or(u16::try_from(port).unwrap_or(u16::MAX));
    let all_here = if launched_here { count } else { local_rank + 1 };
    Ok(Some(World {
        rank,
        count,
        local_rank,
        local_count: local_count.unwrap_or(all_here).clamp(local_rank + 1, count.max(local_rank + 1)),
        address,
        port,
        agent_store: false,
        attempt: format!("slurm.{job}.{step}.{}", set(variables, "SLURM_RESTART_COUNT").unwrap_or("0")),
        launcher: Launcher::Slurm,
    }))
}

/// Returns the first host of a list such as `gpu[03-07,12],login1`.
fn first_host(nodes: &str) -> Option<String> {
    let end = nodes.find([',', '[']).unwrap_or(nodes.len());
    let name = &nodes[..end];
    let Some(ranges) = nodes[end..].strip_prefix('[') else { return (!name.is_empty()).then(|| name.into()) };
    let (ranges, rest) = ranges.split_once(']')?;
    let first = ranges.split([',', '-']).next().filter(|first| !first.is_empty())?;
    // Some sites number in two places: rack[1-2]n[01-16].
    let rest = rest.split(',').next().filter(|rest| !rest.is_empty());
    let rest = rest.map_or(Some(String::new()), first_host)?;
    Some(format!("{name}{first}{rest}"))
}

/// Returns the number of tasks on node `node` by a list such as `4(x2),3`.
fn local_tasks(counts: &str, node: usize) -> Option<usize> {
    let mut before = 0;
    for part in counts.split(',') {
        let (tasks, times) = match part.split_once("(x") {
            Some((tasks, times)) => (tasks, times.strip_suffix(')')?.parse().ok()?),
            None => (part, 1),
        };
        before += times;
        if node < before {
            return tasks.parse().ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_list() {
        let cases = [
            ("node1", Some("node1")),
            ("a,b", Some("a")),
            ("gpu[03-07,12],login1", Some("gpu03")),
            ("gpu[7,9]", Some("gpu7")),
            ("rack[1-2]n[01-16]", Some("rack1n01")),
            ("n[1-2].example.org,m", Some("n1.example.org")),
            ("gpu[", None),
            ("", None),
        ];
        for (list, first) in cases {
            assert_eq!(first_host(list).as_deref(), first, "{list}");
        }
    }

    #[test]
    fn the_tasks_of_a_node() {
        assert_eq!([0, 1, 2, 3].map(|node| local_tasks("4(x2),3", node)), [Some(4), Some(4), Some(3), None]);
        assert_eq!(local_tasks("two", 0), None);
    }
}
