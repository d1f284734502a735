use super::*;

fn variables(text: &str) -> Variables {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.into(), value.into())).collect()
}

fn read(text: &str) -> World {
    World::of(&variables(text)).unwrap()
}

fn refused(text: &str) -> String {
    World::of(&variables(text)).unwrap_err().to_string()
}

/// (rank, count, local_rank, local_count, launcher)
fn place(world: &World) -> (usize, usize, usize, usize, Launcher) {
    (world.rank, world.count, world.local_rank, world.local_count, world.launcher)
}

const TORCHRUN: &str = "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=node0 MASTER_PORT=29501 \
                        TORCHELASTIC_USE_AGENT_STORE=True TORCHELASTIC_RESTART_COUNT=2 TORCHELASTIC_RUN_ID=x7";
const SRUN: &str = "SLURM_JOB_ID=812345 SLURM_STEP_ID=0 SLURM_STEP_NODELIST=gpu[03-04] SLURM_STEP_NUM_TASKS=8 \
                    SLURM_NTASKS=8 SLURM_PROCID=5 SLURM_LOCALID=1 SLURM_NODEID=1 SLURM_STEP_TASKS_PER_NODE=4(x2) \
                    SLURM_STEP_NUM_NODES=2 SLURM_LAUNCH_NODE_IPADDR=10.0.0.9";

#[test]
fn without_variables_there_is_one_process() {
    assert_eq!(read(""), World::alone());
    assert_eq!(place(&read("RANK=0 WORLD_SIZE=1")), (0, 1, 0, 1, Launcher::Nobody));
    assert_eq!(read("RANK= WORLD_SIZE= MASTER_ADDR="), World::alone(), "empty is not set");
}

#[test]
fn torchrun() {
    let world = read(TORCHRUN);
    assert_eq!(place(&world), (3, 4, 1, 2, Launcher::Torchrun));
    assert_eq!((world.address.as_str(), world.port, world.agent_store), ("node0", 29501, true));
    assert_eq!(world.attempt, "x7.2.4");
    assert!(!world.is_local() && !world.keeps_store());
    let first = TORCHRUN.replace("RANK=3", "RANK=0").replace("LOCAL_RANK=1", "LOCAL_RANK=0");
    assert!(!read(&first).keeps_store(), "the agent does");
    let own = read(&first.replace("True", "False"));
    assert!(own.keeps_store());
    let later = read(&TORCHRUN.replace("True", "False").replace("RESTART_COUNT=2", "RESTART_COUNT=0"));
    assert_eq!(later.attempt, own.attempt, "the agent of a machine that came later");
}

#[test]
fn by_hand_all_ranks_are_here_if_they_meet_at_loopback() {
    let near = read("RANK=1 WORLD_SIZE=3 MASTER_ADDR=127.0.0.1 MASTER_PORT=4000");
    assert_eq!(place(&near), (1, 3, 1, 3, Launcher::Variables));
    assert!(near.is_local());
    let pods = read("RANK=1 WORLD_SIZE=3 MASTER_ADDR=job-master-0 MASTER_PORT=23456");
    assert_eq!(place(&pods), (1, 3, 0, 1, Launcher::Variables));
    assert!(read("RANK=0 WORLD_SIZE=3 MASTER_ADDR=localhost MASTER_PORT=4000").keeps_store());
}

#[test]
fn half_set_or_contradictory_variables_are_named() {
    let cases = [
        ("RANK=0", "WORLD_SIZE is not set, but some of RANK,"),
        ("WORLD_SIZE=2", "RANK is not set, but some of RANK,"),
        ("LOCAL_RANK=1", "RANK is not set, but some of RANK,"),
        ("MASTER_ADDR=node0", "RANK is not set, but MASTER_ADDR is set"),
        ("MASTER_PORT=1", "RANK is not set, but MASTER_PORT is set"),
        ("RANK=0 WORLD_SIZE=2", "MASTER_ADDR is not set, but WORLD_SIZE is 2"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", "MASTER_PORT is not set, but WORLD_SIZE is 2"),
        ("RANK=2 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1", "RANK=2 must be below WORLD_SIZE=2"),
        ("RANK=0 WORLD_SIZE=0", "RANK=0 must be below WORLD_SIZE=0"),
        ("RANK=x WORLD_SIZE=2", "RANK='x' must be a number"),
        ("RANK=-1 WORLD_SIZE=2", "RANK='-1' must be a number"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=70000", "MASTER_PORT='70000' must be a number"),
        (
            "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=1 MASTER_ADDR=a MASTER_PORT=1",
            "LOCAL_RANK=1 must be below LOCAL_WORLD_SIZE=1",
        ),
        (
            "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=a MASTER_PORT=1",
            "WORLD_SIZE=2 and LOCAL_WORLD_SIZE=4 contradict",
        ),
        (
            "RANK=0 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1",
            "RANK=0 and LOCAL_RANK=1 contradict",
        ),
        (
            "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1 TORCHELASTIC_USE_AGENT_STORE=perhaps",
            "TORCHELASTIC_USE_AGENT_STORE='perhaps' must be True or False",
        ),
    ];
    for (variables, message) in cases {
        let said = refused(variables);
        assert!(said.contains(message), "{variables}: {said}");
    }
}

#[test]
fn srun() {
    let world = read(SRUN);
    assert_eq!(place(&world), (5, 8, 1, 4, Launcher::Slurm));
    assert_eq!(world.address, "gpu03");
    assert!((15_000..30_000).contains(&world.port), "{}", world.port);
    let other = read(&SRUN.replace("STEP_ID=0", "STEP_ID=1"));
    assert_ne!(world.port, other.port, "steps of one job that run at once");
    assert_ne!(world.attempt, other.attempt);
    let said = refused(&SRUN.replace("SLURM_PROCID=5", ""));
    assert!(said.contains("SLURM_PROCID is not set, but srun"), "{said}");
    let named = read(&format!("{SRUN} MASTER_ADDR=ib03 MASTER_PORT=29500"));
    assert_eq!((named.address.as_str(), named.port), ("ib03", 29500));
}

#[test]
fn a_batch_script_and_a_single_task_are_one_process() {
    let script = "SLURM_JOB_ID=1 SLURM_NTASKS=4 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODELIST=gpu[01-04]";
    assert_eq!(read(script), World::alone());
    assert_eq!(read(&format!("{script} MASTER_ADDR=gpu01 MASTER_PORT=4000")), World::alone());
    let shell = format!("{script} SLURM_STEP_ID=0 SLURM_STEP_NODELIST=gpu01 SLURM_STEP_NUM_TASKS=1");
    assert_eq!(read(&shell), World::alone());
}

#[test]
fn torchrun_inside_of_srun_is_torchruns() {
    assert_eq!(place(&read(&format!("{SRUN} {TORCHRUN}"))), (3, 4, 1, 2, Launcher::Torchrun));
}
